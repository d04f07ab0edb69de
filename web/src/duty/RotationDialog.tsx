/** People take turns: lay out weeks of shifts at once, see them, enter them. What stands already stays. */

import { useMemo, useState } from "preact/hooks";
import { explain, own, t } from "../core/i18n";
import { dayHm } from "../core/time";
import { AreaPicker } from "../office/Combo";
import { Dialog, Failure } from "../office/Dialog";
import { Labelled } from "../office/Labelled";
import type { Office } from "../office/session";
import { PeoplePicker } from "./PeoplePicker";
import type { Picked } from "./PeoplePicker";
import { useLoaded } from "./data";
import { listOf, optionsOf } from "./people";
import { DAY_US, HOUR_US, PATTERN_HOURS, clockTime, clockWords, isoDay, parsed, rotationOf, sifted } from "./roster";
import type { Pattern, Post, Shift } from "./roster";
import type { Person } from "./types";

const PATTERNS: [Pattern, "duty.patternDay" | "duty.patternHalf" | "duty.patternThird"][] = [
  ["half", "duty.patternHalf"],
  ["day", "duty.patternDay"],
  ["third", "duty.patternThird"],
];
const DAYS_MAX = 92;

export function RotationDialog({ office, posts, people, from, start: usual, onDone, onClose }: { office: Office; posts: Post[]; people: Person[]; from: number; start: number; onDone: (words: string) => void; onClose: () => void }) {
  const [post, setPost] = useState(posts[0]?.post ?? "");
  const [area, setArea] = useState("");
  const [picked, setPicked] = useState<Picked[]>([]);
  const [day, setDay] = useState(isoDay(from));
  const [days, setDays] = useState(14);
  const [start, setStart] = useState(clockWords(usual));
  const [pattern, setPattern] = useState<Pattern>("half");
  const [busy, setBusy] = useState("");
  const [problem, setProblem] = useState("");
  const first = parsed(day);
  const hour = clockTime(start);
  const drafts = useMemo(() => {
    if (first === null || hour === null) return [];
    return rotationOf({ post, area, people: picked.map((one) => ({ username: one.value, name: one.text })), from_day: first, days: Math.min(days, DAYS_MAX), start: hour, pattern });
  }, [post, area, picked, first, days, hour, pattern]);
  // The whole time of the rotation, which may reach far beyond what the grid shows.
  const standing = useLoaded(
    () => (first === null ? Promise.resolve([]) : listOf<Shift>(office.api, `/api/v1/duty/shifts?from=${first - DAY_US}&to=${first + (days + 2) * DAY_US}`)),
    [office, first, days],
    null,
  );
  const { fresh, taken, clashes } = sifted(drafts, standing.value ?? []);
  const nameOf = (username: string): string => picked.find((one) => one.value === username)?.text ?? username;

  const run = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (picked.length === 0) return setProblem(t("duty.whoNeeded"));
    if (first === null || hour === null) return setProblem(t("duty.startNeeded"));
    setProblem("");
    setBusy(t("office.busy"));
    let made = 0;
    try {
      if (taken.length === 0) {
        const start_us = first + hour * HOUR_US;
        await office.api.post("/api/v1/duty/shifts/generate", { post, area, usernames: picked.map((one) => one.value), start_us, shift_hours: PATTERN_HOURS[pattern], until_us: start_us + days * DAY_US, reason: "" });
        made = drafts.length;
      } else {
        for (const { name: _, ...draft } of [...fresh, ...clashes]) {
          await office.api.post("/api/v1/duty/shifts", draft);
          made += 1;
          setBusy(`${made} / ${fresh.length + clashes.length}`);
        }
      }
      onDone(t("duty.generated", { n: made }));
    } catch (error) {
      setProblem(made === 0 ? explain(error) : `${t("duty.generatedPart", { n: made })} ${explain(error)}`);
      setBusy("");
      await standing.reload();
    }
  };
  return (
    <Dialog title={t("duty.rotation")} onClose={onClose} wide testid="rotation-dialog">
      <form class="rotation" onSubmit={(event) => void run(event)}>
        <div class="stack">
          <div class="two">
            <Labelled id="rota-post" label={t("duty.post")} required>
              <select id="rota-post" value={post} onChange={(event) => setPost(event.currentTarget.value)} data-testid="rota-post">
                {posts.map((one) => (
                  <option key={one.post} value={one.post}>
                    {own(one.zh, one.en)}
                  </option>
                ))}
              </select>
            </Labelled>
            <Labelled id="rota-area" label={t("duty.area")}>
              <AreaPicker id="rota-area" areas={office.areas} value={area} onChange={setArea} placeholder={t("duty.everywhere")} />
            </Labelled>
          </div>
          <Labelled id="rota-people" label={t("duty.turns")} required help={t("duty.turnsHelp")}>
            <PeoplePicker id="rota-people" picked={picked} find={(query) => optionsOf(people, query)} onChange={setPicked} ordered testid="rota-people" />
          </Labelled>
          <fieldset class="choices">
            <legend>{t("duty.pattern")}</legend>
            {PATTERNS.map(([name, key]) => (
              <label key={name}>
                <input type="radio" name="pattern" checked={pattern === name} onChange={() => setPattern(name)} /> {t(key)}
              </label>
            ))}
          </fieldset>
          <div class="three">
            <Labelled id="rota-from" label={t("duty.firstDay")} required>
              <input id="rota-from" type="date" value={day} onInput={(event) => setDay(event.currentTarget.value)} />
            </Labelled>
            <Labelled id="rota-days" label={t("duty.days")} required>
              <input id="rota-days" type="number" min={1} max={DAYS_MAX} value={days} onInput={(event) => setDays(Math.max(1, Math.min(DAYS_MAX, Number(event.currentTarget.value) || 1)))} />
            </Labelled>
            <Labelled id="rota-start" label={t("duty.startTime")} required error={hour === null ? t("duty.startNeeded") : undefined}>
              <input id="rota-start" type="text" inputMode="numeric" value={start} onInput={(event) => setStart(event.currentTarget.value)} />
            </Labelled>
          </div>
        </div>
        <div class="preview">
          <h3>{t("duty.preview")}</h3>
          {drafts.length === 0 ? (
            <p class="dim pad">{t("duty.previewNone")}</p>
          ) : (
            <>
              <p data-testid="rota-counts">
                {t("duty.previewCounts", { n: fresh.length + clashes.length })}
                {taken.length > 0 ? <span class="dim"> · {t("duty.previewTaken", { n: taken.length })}</span> : null}
                {clashes.length > 0 ? <span class="bad"> · {t("duty.previewClashes", { n: clashes.length })}</span> : null}
              </p>
              <ol>
                {drafts.map((draft) => (
                  <li key={draft.from_us} class={taken.includes(draft) ? "taken" : clashes.includes(draft) ? "clashing" : ""}>
                    <time>
                      {dayHm(draft.from_us)}–{dayHm(draft.to_us)}
                    </time>
                    <b>{nameOf(draft.username)}</b>
                    {taken.includes(draft) ? <small>{t("duty.taken")}</small> : clashes.includes(draft) ? <small>{t("duty.elsewhere")}</small> : null}
                  </li>
                ))}
              </ol>
            </>
          )}
        </div>
        <div class="foot">
          <Failure text={problem || standing.problem} />
          <div class="actions">
            <button type="button" class="button" onClick={onClose}>
              {t("office.cancel")}
            </button>
            <button type="submit" class="button primary" disabled={busy !== "" || fresh.length + clashes.length === 0} data-testid="rota-generate">
              {busy === "" ? t("duty.generate") : busy}
            </button>
          </div>
        </div>
      </form>
    </Dialog>
  );
}
