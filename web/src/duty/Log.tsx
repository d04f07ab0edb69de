/** 值班日志: what happened on duty, line by line. Nothing is ever changed; a correction is a new line that names the old one. */

import { useMemo, useRef, useState } from "preact/hooks";
import { explain, own, t, word } from "../core/i18n";
import { hm } from "../core/time";
import { Tag } from "../office/Badge";
import { Failure } from "../office/Dialog";
import { csv, saveAs } from "../office/save";
import type { Office } from "../office/session";
import { toast } from "../office/toast";
import { useLoaded } from "./data";
import { nameOf, usePeople } from "./people";
import { atDesk } from "./rights";
import { DAY_US, dayStart, isoDay, parsed } from "./roster";
import type { LogEntry } from "./types";

/** What a person writes; the other kinds are written by the system itself. */
export const BY_HAND = ["call", "paper", "instruction", "patrol", "weather", "other"];
const BY_SYSTEM = ["shift", "handover", "incident"];

export function Log({ office }: { office: Office }) {
  const today = isoDay(office.clock.nowUs());
  const [day, setDay] = useState(today);
  const [kind, setKind] = useState("");
  const [correcting, setCorrecting] = useState<LogEntry | null>(null);
  const people = usePeople(office);
  const writes = atDesk(office.user);
  const log = useLoaded(() => office.api.get<{ items: LogEntry[] }>(`/api/v1/duty/log?limit=500&day=${day.replaceAll("-", "")}`), [office, day]);
  const entries = useMemo(() => [...(log.value?.items ?? [])].sort((a, b) => b.at_us - a.at_us || (a.entry_id < b.entry_id ? 1 : -1)), [log.value]);
  const corrected = new Map(entries.filter((entry) => entry.corrects !== "").map((entry) => [entry.corrects, entry.entry_id]));
  const shown = entries.filter((entry) => kind === "" || entry.kind === kind);
  const step = (days: number): void => setDay(isoDay((parsed(day) ?? office.clock.nowUs()) + days * DAY_US));
  const download = (): void => {
    const rows = [...entries].reverse().map((entry) => [entry.entry_id, `${day} ${hm(entry.at_us)}`, kindWord(entry), nameOf(people, entry.actor), entry.text, entry.corrects]);
    saveAs(new Blob([csv([t("duty.logColumns").split("|"), ...rows])], { type: "text/csv" }), `duty-log-${day}.csv`);
  };
  return (
    <div class="log">
      {writes ? (<Composer
        key={correcting?.entry_id ?? ""}
        office={office}
        correcting={correcting}
        onCancel={() => setCorrecting(null)}
        onWritten={() => {
          setCorrecting(null);
          setDay(isoDay(office.clock.nowUs()));
          void log.reload();
        }}
      />) : null}
      <header class="log-tools">
        <div class="segments">
          <button type="button" class="button" aria-label={t("duty.earlier")} onClick={() => step(-1)}>
            ‹
          </button>
          <button type="button" class="button" onClick={() => setDay(today)}>
            {t("duty.todayShort")}
          </button>
          <button type="button" class="button" aria-label={t("duty.later")} disabled={dayStart(parsed(day) ?? 0) >= dayStart(office.clock.nowUs())} onClick={() => step(1)}>
            ›
          </button>
        </div>
        <input type="date" class="day" value={day} max={today} aria-label={t("duty.goTo")} onChange={(event) => event.currentTarget.value !== "" && setDay(event.currentTarget.value)} data-testid="log-day" />
        <select class="kind" value={kind} aria-label={t("duty.kind")} onChange={(event) => setKind(event.currentTarget.value)} data-testid="log-kind">
          <option value="">{t("duty.allKinds")}</option>
          {[...BY_HAND, ...BY_SYSTEM].map((code) => (
            <option key={code} value={code}>
              {word("dutyLog", code)}
            </option>
          ))}
        </select>
        <span class="dim">{t("duty.logCount", { n: shown.length })}</span>
        <span class="spring" />
        <button type="button" class="button" disabled={entries.length === 0} onClick={download}>
          {t("duty.download")}
        </button>
        <button type="button" class="button" onClick={() => window.print()}>
          {t("duty.print")}
        </button>
      </header>
      <Failure text={log.problem} />
      <div class="log-scroll">
        <h2 class="print-only">{t("duty.logOf", { d: day })}</h2>
        {log.value !== null && shown.length === 0 ? <p class="empty">{t("duty.logNone")}</p> : null}
        <ol class="entries" data-testid="log-entries">
          {shown.map((entry) => {
            const by = corrected.get(entry.entry_id);
            return (
              <li key={entry.entry_id} class={`${entry.auto ? "auto " : ""}${by === undefined ? "" : "corrected"}`} data-testid={`log-${entry.entry_id}`} data-kind={entry.kind}>
                <time>{hm(entry.at_us)}</time>
                <Tag kind={entry.auto ? "plain" : "good"}>{kindWord(entry)}</Tag>
                <div class="words">
                  {entry.corrects === "" ? null : <Tag kind="warn">{t("duty.corrects", { n: entry.corrects })}</Tag>}
                  <span>{entry.text}</span>
                  {by === undefined ? null : <small class="bad">{t("duty.correctedBy", { n: by })}</small>}
                </div>
                <small class="author">{entry.auto ? t("duty.bySystem") : nameOf(people, entry.actor)}</small>
                <small class="number">{entry.entry_id}</small>
                <button type="button" class="button small quiet no-print" disabled={entry.auto || !writes} onClick={() => setCorrecting(entry)} data-testid={`correct-${entry.entry_id}`}>
                  {t("duty.correct")}
                </button>
              </li>
            );
          })}
        </ol>
      </div>
    </div>
  );
}

const kindWord = (entry: LogEntry): string => own(entry.kind_zh, word("dutyLog", entry.kind));

function Composer({ office, correcting, onCancel, onWritten }: { office: Office; correcting: LogEntry | null; onCancel: () => void; onWritten: () => void }) {
  const [kind, setKind] = useState(correcting === null || !BY_HAND.includes(correcting.kind) ? "call" : correcting.kind);
  const [text, setText] = useState(correcting?.text ?? "");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const box = useRef<HTMLTextAreaElement>(null);
  const write = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (text.trim() === "") {
      setProblem(t("duty.textNeeded"));
      return box.current?.focus();
    }
    setBusy(true);
    setProblem("");
    try {
      await office.api.post("/api/v1/duty/log", { kind, text: text.trim(), ...(correcting === null ? {} : { corrects: correcting.entry_id }) });
      setText("");
      toast(t("duty.written"));
      onWritten();
    } catch (error) {
      setProblem(explain(error));
    }
    setBusy(false);
  };
  return (
    <form class={correcting === null ? "composer no-print" : "composer correcting no-print"} onSubmit={(event) => void write(event)} data-testid="log-form">
      {correcting === null ? null : (
        <p class="warning">
          {t("duty.correctingNow", { n: correcting.entry_id })}
          <button type="button" class="button small" onClick={onCancel}>
            {t("office.cancel")}
          </button>
        </p>
      )}
      <div class="kinds" role="radiogroup" aria-label={t("duty.kind")}>
        {BY_HAND.map((code) => (
          <label key={code} class={code === kind ? "on" : ""}>
            <input type="radio" name="kind" checked={code === kind} onChange={() => setKind(code)} data-testid={`kind-${code}`} />
            {word("dutyLog", code)}
          </label>
        ))}
      </div>
      <textarea
        ref={box}
        rows={2}
        value={text}
        placeholder={t("duty.logPlaceholder")}
        aria-label={t("duty.logPlaceholder")}
        autofocus={correcting !== null}
        data-testid="log-text"
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) void write(event);
        }}
      />
      <button type="submit" class="button primary" disabled={busy} data-testid="log-write" title="Ctrl+Enter">
        {busy ? t("office.busy") : t(correcting === null ? "duty.write" : "duty.writeCorrection")}
      </button>
      <Failure text={problem} />
    </form>
  );
}
