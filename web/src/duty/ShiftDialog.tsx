/** One shift: who, where, from when to when. Says at once who would stand in two places. */

import { useState } from "preact/hooks";
import { own, t } from "../core/i18n";
import { dayHm } from "../core/time";
import { AreaPicker, Combo } from "../office/Combo";
import { Dialog, Failure } from "../office/Dialog";
import { Labelled } from "../office/Labelled";
import { refusalOf } from "../office/problems";
import type { Office } from "../office/session";
import { reassign } from "./MoveDialog";
import type { Move } from "./MoveDialog";
import { nameOf, optionsOf } from "./people";
import { HOUR_US, clashesOf, clockWords, dayStart, isoMinute, parsed, usualStart } from "./roster";
import type { NewShift, Post, Shift } from "./roster";
import type { Person } from "./types";

export type ShiftDraft = NewShift & Pick<Shift, "shift_id" | "rev" | "phone_mask">;

export interface ShiftDialogProps {
  office: Office;
  posts: Post[];
  shifts: Shift[];
  people: Person[];
  draft: ShiftDraft;
  onSwap: (move: Move) => void;
  onDone: (words: string) => void;
  onClose: () => void;
}

/** Begin, in hours after the district's usual one, and length. */
const USUAL: ["duty.dayShift" | "duty.nightShift" | "duty.wholeDay", number, number][] = [
  ["duty.dayShift", 0, 12],
  ["duty.nightShift", 12, 12],
  ["duty.wholeDay", 0, 24],
];
const FIELDS = ["post", "username", "name", "phone", "area", "from_us", "to_us"];

export function ShiftDialog({ office, posts, shifts, people, draft, onSwap, onDone, onClose }: ShiftDialogProps) {
  const fresh = draft.shift_id === "";
  const [shift, setShift] = useState(draft);
  const [outside, setOutside] = useState(!fresh && draft.username === "");
  const [errors, setErrors] = useState(new Map<string, string>());
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const [other, setOther] = useState("");
  const now = office.clock.nowUs();
  const begun = !fresh && draft.from_us <= now; // who stood there stays on record: only the end moves, the rest goes over
  const over = !fresh && draft.to_us <= now;
  const [heir, setHeir] = useState("");
  const [why, setWhy] = useState("");
  const [kind, setKind] = useState<"swap" | "leave">("swap");
  const change = (part: Partial<ShiftDraft>): void => setShift({ ...shift, ...part });
  const clashes = shift.username === "" && shift.name === "" ? [] : clashesOf(shift, shifts, shift.shift_id);
  const day = dayStart(shift.from_us);
  const start = usualStart(shifts);
  const partners = shifts.filter((one) => one.shift_id !== draft.shift_id && one.post === draft.post && one.area === draft.area && one.username !== draft.username && one.username !== "" && one.to_us > now);

  const run = async (work: () => Promise<unknown>, words: string): Promise<void> => {
    setBusy(true);
    setProblem("");
    setErrors(new Map());
    try {
      await work();
      onDone(words);
    } catch (error) {
      const refusal = refusalOf(error, FIELDS);
      setErrors(refusal.fields);
      setProblem([refusal.summary, ...refusal.other].join("\n"));
      setBusy(false);
    }
  };
  const save = (event: Event): void => {
    event.preventDefault();
    const missing = new Map<string, string>();
    if (!outside && shift.username === "") missing.set("username", t("duty.whoNeeded"));
    if (outside && shift.name.trim() === "") missing.set("name", t("duty.whoNeeded"));
    if (shift.to_us <= shift.from_us) missing.set("to_us", t("duty.endsBefore"));
    setErrors(missing);
    if (missing.size > 0) return;
    const who = outside ? { username: "", name: shift.name.trim(), ...(shift.phone ? { phone: shift.phone } : {}) } : { username: shift.username };
    const body = { post: shift.post, area: shift.area, from_us: minute(shift.from_us), to_us: minute(shift.to_us), ...who };
    const path = "/api/v1/duty/shifts";
    void run(() => (fresh ? office.api.post(path, body) : office.api.put(`${path}/${encodeURIComponent(shift.shift_id)}`, body, shift.rev)), t(fresh ? "duty.added" : "duty.changed"));
  };
  const give = (): void => {
    const one = shifts.find((s) => s.shift_id === draft.shift_id);
    if (one !== undefined) void run(() => reassign(office, one, heir, why.trim(), kind), t("duty.given", { name: nameOf(people, heir) }));
  };
  const remove = (): void => void run(() => office.api.delete(`/api/v1/duty/shifts/${encodeURIComponent(shift.shift_id)}`, { ifMatch: shift.rev }), t("duty.removed"));
  return (
    <Dialog title={t(fresh ? "duty.addShift" : "duty.editShift")} onClose={onClose} testid="shift-dialog">
      <form class="stack" onSubmit={save}>
        <div class="two">
          <Labelled id="shift-post" label={t("duty.post")} required error={errors.get("post")}>
            <select id="shift-post" value={shift.post} disabled={begun} onChange={(event) => change({ post: event.currentTarget.value })} data-testid="shift-post">
              {posts.map((post) => (
                <option key={post.post} value={post.post}>
                  {own(post.zh, post.en)}
                </option>
              ))}
            </select>
          </Labelled>
          <Labelled id="shift-area" label={t("duty.area")} error={errors.get("area")}>
            <AreaPicker id="shift-area" areas={office.areas} value={shift.area} onChange={(area) => change({ area })} placeholder={t("duty.everywhere")} testid="shift-area" disabled={begun} />
          </Labelled>
        </div>
        {outside ? (
          <div class="two">
            <Labelled id="shift-name" label={t("duty.contactName")} required error={errors.get("name")}>
              <input id="shift-name" type="text" value={shift.name} onInput={(event) => change({ name: event.currentTarget.value, username: "" })} data-testid="shift-name" />
            </Labelled>
            <Labelled id="shift-phone" label={t("duty.phone")} error={errors.get("phone")} help={shift.phone_mask ? t("duty.phoneKept", { p: shift.phone_mask }) : ""}>
              <input id="shift-phone" type="tel" value={shift.phone ?? ""} onInput={(event) => change({ phone: event.currentTarget.value })} data-testid="shift-phone" />
            </Labelled>
          </div>
        ) : (
          <Labelled id="shift-person" label={t("duty.who")} required error={errors.get("username")} aside={<span class="dim">{t("duty.whoHelp")}</span>}>
            <Combo
              id="shift-person"
              value={shift.username}
              shown={shift.username === "" ? "" : nameOf(people, shift.username)}
              find={(query) => optionsOf(people, query)}
              onChange={(option) => change({ username: option?.value ?? "", name: option?.text ?? "" })}
              placeholder={t("duty.whoPlaceholder")}
              disabled={begun}
              testid="shift-person"
            />
          </Labelled>
        )}
        <label class="check">
          <input type="checkbox" checked={outside} disabled={begun} data-testid="shift-outside" onChange={(event) => setOutside(event.currentTarget.checked)} /> {t("duty.outside")}
        </label>
        {begun ? <p class="dim">{t(over ? "duty.overHint" : "duty.begunHint")}</p> : null}
        <div class="usual">
          {(begun ? [] : USUAL).map(([key, after, length]) => (
            <button key={key} type="button" class="button small" onClick={() => change({ from_us: day + (start + after) * HOUR_US, to_us: day + (start + after + length) * HOUR_US })}>
              {t(key)} {clockWords(start + after)}–{clockWords(start + after + length)}
            </button>
          ))}
          <span class="dim">{t("duty.length", { h: Math.round(((shift.to_us - shift.from_us) / HOUR_US) * 10) / 10 })}</span>
        </div>
        <div class="two">
          <Labelled id="shift-from" label={t("duty.begin")} required error={errors.get("from_us")}>
            <input id="shift-from" type="datetime-local" disabled={begun} value={isoMinute(shift.from_us)} onChange={(event) => change({ from_us: parsed(event.currentTarget.value) ?? shift.from_us })} data-testid="shift-from" />
          </Labelled>
          <Labelled id="shift-to" label={t("duty.end")} required error={errors.get("to_us")}>
            <input id="shift-to" type="datetime-local" disabled={over} value={isoMinute(shift.to_us)} onChange={(event) => change({ to_us: parsed(event.currentTarget.value) ?? shift.to_us })} data-testid="shift-to" />
          </Labelled>
        </div>
        {clashes.length > 0 ? (
          <p class="warning" role="alert" data-testid="clash">
            {t("duty.clash", { name: shift.name || nameOf(people, shift.username) })}
            {clashes.map((one) => ` ${postWord(posts, one.post)} ${dayHm(one.from_us)}–${dayHm(one.to_us)}`).join("；")}
          </p>
        ) : null}
        {!fresh && !over && draft.username !== "" ? (
          <fieldset class="give">
            <legend>{t("duty.give")}</legend>
            <div class="swap">
              <Combo value={heir} shown={heir === "" ? "" : nameOf(people, heir)} find={(query) => optionsOf(people, query).filter((option) => option.value !== draft.username)} onChange={(option) => setHeir(option?.value ?? "")} placeholder={t("duty.giveTo")} label={t("duty.giveTo")} testid="give-to" />
              <select value={kind} aria-label={t("duty.giveWhy")} onChange={(event) => setKind(event.currentTarget.value === "leave" ? "leave" : "swap")}>
                <option value="swap">{t("duty.swap")}</option>
                <option value="leave">{t("duty.leave")}</option>
              </select>
              <input type="text" value={why} placeholder={t("duty.swapReason")} aria-label={t("duty.swapReason")} onInput={(event) => setWhy(event.currentTarget.value)} data-testid="give-reason" />
              <button type="button" class="button" disabled={busy || heir === "" || why.trim() === ""} data-testid="give" onClick={() => give()}>
                {t("duty.giveNow")}
              </button>
            </div>
            {partners.length > 0 && !begun ? (
              <div class="swap">
                <select value={other} aria-label={t("duty.swapWith")} onChange={(event) => setOther(event.currentTarget.value)} data-testid="swap-with">
                  <option value="">{t("duty.swapWith")}</option>
                  {partners.map((one) => (
                    <option key={one.shift_id} value={one.shift_id}>
                      {one.name || one.username} · {dayHm(one.from_us)}–{dayHm(one.to_us)}
                    </option>
                  ))}
                </select>
                <button
                  type="button"
                  class="button"
                  disabled={other === ""}
                  data-testid="swap"
                  onClick={() => {
                    const [one, partner] = [shifts.find((s) => s.shift_id === draft.shift_id), shifts.find((s) => s.shift_id === other)];
                    if (one !== undefined && partner !== undefined) onSwap({ kind: "swap", one, other: partner });
                  }}
                >
                  {t("duty.swapNow")}
                </button>
              </div>
            ) : null}
          </fieldset>
        ) : null}
        <Failure text={problem} />
        <div class="actions">
          {fresh || begun ? null : (
            <button type="button" class="button danger-quiet left" disabled={busy} onClick={remove} data-testid="shift-remove">
              {t("duty.remove")}
            </button>
          )}
          <button type="button" class="button" onClick={onClose}>
            {t("office.cancel")}
          </button>
          <button type="submit" class="button primary" disabled={busy || over} data-testid="shift-save">
            {busy ? t("office.busy") : t("duty.save")}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

/** A gap that began just now would begin at a fraction of a second. */
const minute = (us: number): number => Math.floor(us / 60e6) * 60e6;

export const postWord = (posts: readonly Post[], code: string): string => {
  const post = posts.find((one) => one.post === code);
  return post === undefined ? code : own(post.zh, post.en);
};

