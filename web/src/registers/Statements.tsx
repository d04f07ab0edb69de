/** 安全风险研判与承诺公告: each day the plant says its grade and signs; the days that nobody signed stand out. */

import { useEffect, useState } from "preact/hooks";
import { explain, own, t } from "../core/i18n";
import { Grade, Tag } from "../office/Badge";
import { Failure } from "../office/Dialog";
import { Labelled } from "../office/Labelled";
import { refusalOf } from "../office/problems";
import type { Office } from "../office/session";
import { toast } from "../office/toast";
import { dayOf, dayTime } from "./marks";
import { maySign } from "./rights";
import type { Entry, Kind, Statement } from "./types";
import { TREND_DAYS, trendOf } from "./trend";
import { gradeField } from "./values";

export function Statements({ office, kind, entry, onSigned }: { office: Office; kind: Kind; entry: Entry; onSigned: () => void }) {
  const path = `/api/v1/registers/${encodeURIComponent(kind.kind)}/${encodeURIComponent(entry.entry_id)}/statements`;
  const today = dayOf(office.clock.nowUs());
  const field = gradeField(kind.fields);
  const [items, setItems] = useState<Statement[] | null>(null);
  const [grade, setGrade] = useState(String(entry.values[field?.key ?? ""] ?? ""));
  const [words, setWords] = useState("");
  const [errors, setErrors] = useState<ReadonlyMap<string, string>>(new Map());
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const load = (): void => {
    office.api.get<{ items: Statement[] }>(path).then((answer) => setItems(answer.items), (error: unknown) => setProblem(explain(error)));
  };
  useEffect(load, [path]);
  const sign = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (words.trim() === "") return setErrors(new Map([["text", t("reg.statementNeeded")]]));
    setBusy(true);
    setProblem("");
    try {
      await office.api.post(path, { date: today, grade, text: words.trim() });
      setWords("");
      toast(t("reg.statementDone"));
      load();
      onSigned();
    } catch (error) {
      const refusal = refusalOf(error, ["grade", "text", "date"]);
      setErrors(refusal.fields);
      setProblem([refusal.summary, ...refusal.other].join("\n"));
    } finally {
      setBusy(false);
    }
  };
  const signed = items?.some((item) => item.date === today) === true;
  const choice = (value: string) => field?.choices?.find((candidate) => candidate.value === value);
  return (
    <div class="stack statements" data-testid="statements">
      {items === null || signed ? null : <Tag kind="bad">{t("reg.statementMissing", { d: today })}</Tag>}
      {!signed && maySign(office.user) ? (
        <form class="stack" onSubmit={(event) => void sign(event)}>
          <Labelled label={t("reg.statementGrade")} id="statement-grade" error={errors.get("grade")}>
            <select id="statement-grade" value={grade} data-testid="statement-grade" onChange={(event) => setGrade(event.currentTarget.value)}>
              {(field?.choices ?? []).map((item) => (
                <option key={item.value} value={item.value}>
                  {own(item.zh, item.en)}
                </option>
              ))}
            </select>
          </Labelled>
          <Labelled label={t("reg.statementText")} id="statement-text" required error={errors.get("text")} help={t("reg.statementHelp", { who: office.user.name || office.user.username })}>
            <textarea id="statement-text" rows={3} value={words} data-testid="statement-text" onInput={(event) => setWords(event.currentTarget.value)} />
          </Labelled>
          <Failure text={problem} />
          <div class="actions">
            <button type="submit" class="button primary small" disabled={busy} data-testid="statement-sign">
              {t("reg.statementSign")}
            </button>
          </div>
        </form>
      ) : null}
      {items === null || items.length === 0 ? null : (
        <figure class="trend" data-testid="trend">
          <figcaption>{t("reg.trend", { n: TREND_DAYS })}</figcaption>
          <div role="img" aria-label={t("reg.trend", { n: TREND_DAYS })}>
            {trendOf(items, today, TREND_DAYS).map((day) => (
              <i key={day.date} class={day.grade === "" ? "none" : `g-${day.grade}`} title={`${day.date} ${day.grade === "" ? t("reg.trendNone") : own(choice(day.grade)?.zh ?? day.grade, choice(day.grade)?.en ?? day.grade)}`} />
            ))}
          </div>
        </figure>
      )}
      <ol class="history">
        {(items ?? []).map((item) => (
          <li key={`${item.date}-${item.edition}`}>
            <p>
              <b>{item.date}</b> <Grade colour={item.grade} zh={choice(item.grade)?.zh ?? ""} en={choice(item.grade)?.en ?? ""} />
            </p>
            <p>{item.text}</p>
            <p class="why">
              {t("reg.signedBy", { who: item.signed_name || item.signed_by })} {dayTime(item.signed_us)}
              {item.edition > 1 ? ` · ${t("reg.edition", { n: item.edition })}` : ""}
            </p>
          </li>
        ))}
      </ol>
    </div>
  );
}
