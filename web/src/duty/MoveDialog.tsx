/** Before a shift moves or two people exchange theirs: what it was and what it would be. */

import { useState } from "preact/hooks";
import { newKey } from "../core/api";
import { explain, t } from "../core/i18n";
import { dayHm } from "../core/time";
import { Dialog, Failure } from "../office/Dialog";
import type { Office } from "../office/session";
import { postWord } from "./ShiftDialog";
import { clashesOf, swapped } from "./roster";
import type { Post, Shift } from "./roster";

export type Move = { kind: "swap"; one: Shift; other: Shift } | { kind: "to"; one: Shift; to: Shift };

export function MoveDialog({ office, posts, shifts, move, onDone, onClose }: { office: Office; posts: Post[]; shifts: Shift[]; move: Move; onDone: (words: string) => void; onClose: () => void }) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const [reason, setReason] = useState("");
  const pairs: [Shift, Shift][] | null = move.kind === "to" ? [[move.one, move.to]] : pairOf(move.one, move.other, shifts);
  const clash = move.kind === "to" ? clashesOf(move.to, shifts, move.one.shift_id).length > 0 : pairs === null;
  const swaps = move.kind === "swap";
  const put = (shift: Shift): Promise<unknown> => {
    const who = shift.username === "" ? { username: "", name: shift.name } : { username: shift.username };
    return office.api.put(`/api/v1/duty/shifts/${encodeURIComponent(shift.shift_id)}`, { post: shift.post, area: shift.area, from_us: shift.from_us, to_us: shift.to_us, ...who }, shift.rev);
  };
  const run = async (): Promise<void> => {
    if (swaps && reason.trim() === "") return setProblem(t("office.reasonNeeded"));
    setBusy(true);
    try {
      if (move.kind === "to") await put(move.to);
      else {
        await reassign(office, move.one, move.other.username, reason.trim());
        await reassign(office, move.other, move.one.username, reason.trim());
      }
      onDone(t("duty.changed"));
    } catch (error) {
      setProblem(explain(error));
      setBusy(false);
    }
  };
  const line = (shift: Shift): string => `${postWord(posts, shift.post)} · ${dayHm(shift.from_us)}–${dayHm(shift.to_us)} · ${shift.name || shift.username}`;
  return (
    <Dialog
      title={t(move.kind === "swap" ? "duty.swap" : "duty.move")}
      onClose={onClose}
      testid="move-dialog"
      foot={
        <>
          <button type="button" class="button" onClick={onClose}>
            {t("office.cancel")}
          </button>
          <button type="button" class="button primary" disabled={busy || pairs === null} autofocus data-testid="move-confirm" onClick={() => void run()}>
            {busy ? t("office.busy") : t("duty.confirm")}
          </button>
        </>
      }
    >
      <table class="before-after">
        <thead>
          <tr>
            <th>{t("duty.before")}</th>
            <th>{t("duty.after")}</th>
          </tr>
        </thead>
        <tbody>
          {(pairs ?? (move.kind === "swap" ? [[move.one, move.one], [move.other, move.other]] as [Shift, Shift][] : [])).map(([before, after]) => (
            <tr key={before.shift_id}>
              <td>{line(before)}</td>
              <td>{pairs === null ? "—" : line(after)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {clash ? (
        <p class="warning" role="alert">
          {t(move.kind === "swap" ? "duty.swapClash" : "duty.moveClash")}
        </p>
      ) : null}
      {swaps && pairs !== null ? (
        <label class="field">
          <span class="field-label">{t("duty.swapReason")}</span>
          <input type="text" value={reason} onInput={(event) => setReason(event.currentTarget.value)} data-testid="swap-reason" />
        </label>
      ) : null}
      <Failure text={problem} />
    </Dialog>
  );
}

/** What is left of a shift goes to somebody else; the journal names both. */
export function reassign(office: Office, shift: Shift, to: string, reason: string, kind: "swap" | "leave" = "swap"): Promise<unknown> {
  return office.api.request("POST", `/api/v1/duty/shifts/${encodeURIComponent(shift.shift_id)}/reassign`, { body: { to, kind, reason }, key: newKey(), ifMatch: shift.rev });
}

function pairOf(one: Shift, other: Shift, shifts: Shift[]): [Shift, Shift][] | null {
  const pair = swapped(one, other, shifts);
  return pair === null ? null : [[one, pair[0]], [other, pair[1]]];
}
