/** What the import would do: how many of each, every wrong cell, every change; and the reason without which nothing is written. */

import { useMemo, useState } from "preact/hooks";
import { lang, own, t } from "../../core/i18n";
import { Tag } from "../../office/Badge";
import { Failure } from "../../office/Dialog";
import { Labelled } from "../../office/Labelled";
import { refusalOf } from "../../office/problems";
import { saveAs } from "../../office/save";
import type { Office } from "../../office/session";
import { Table } from "../../office/Table";
import { Tabs } from "../../office/Tabs";
import { wordsOf } from "../Conflict";
import type { Registers } from "../data";
import { filtered, grouped, problemsCsv, ranges } from "../findings";
import { targetsOf } from "../matching";
import type { Committed, Field, ImportProblem } from "../types";
import { changeLines } from "./preview";
import type { ChangeLine } from "./preview";
import type { Run } from "./Wizard";

const ROWS_SHOWN = 60; // characters of a list of rows

export function CheckStep({ office, registers, shared, onBack, onDone }: { office: Office; registers: Registers; shared: Run; onBack: () => void; onDone: (result: Committed) => void }) {
  const { run, busy } = shared;
  const [tab, setTab] = useState(run.problems.length > 0 ? "problems" : "changes");
  const [words, setWords] = useState("");
  const tabs = [
    { key: "problems", title: t("reg.problems"), count: run.problems.length },
    { key: "changes", title: t("reg.changes"), count: run.changes.length },
  ];
  return (
    <div class="wizard-body check-step">
      <Counts run={shared.run} />
      <section class="card check-tables">
        <div class="check-head">
          <Tabs tabs={tabs} value={tab} onChange={setTab} label={t("reg.stepCheck")} />
          <input type="search" value={words} placeholder={t("reg.filter")} aria-label={t("reg.filter")} data-testid="filter" onInput={(event) => setWords(event.currentTarget.value)} />
          {tab === "problems" ? (
            <button
              type="button"
              class="button"
              disabled={run.problems.length === 0}
              data-testid="problems-csv"
              onClick={() => saveAs(new Blob([problemsCsv(run.problems, [t("reg.row"), t("reg.column"), t("reg.value"), t("reg.whatIsWrong")], lang)], { type: "text/csv" }), `${run.filename}-${t("reg.problems")}.csv`)}
            >
              ⇩ {t("reg.problemsCsv")}
            </button>
          ) : null}
        </div>
        {run.truncated === true ? <p class="hint truncated">{t("reg.truncated")}</p> : null}
        {tab === "problems" ? <Problems problems={run.problems} words={words} onWords={setWords} /> : <Changes registers={registers} shared={shared} words={words} />}
      </section>
      <Commit office={office} shared={shared} busy={busy} onBack={onBack} onDone={onDone} />
    </div>
  );
}

export function Counts({ run }: { run: Run["run"] }) {
  const { counts } = run;
  return (
    <ul class="counts" data-testid="counts" data-new={counts.new} data-changed={counts.changed} data-same={counts.same} data-wrong={counts.wrong}>
      <li>
        <b>{counts.rows}</b> {t("reg.countRows")}
      </li>
      <li class="good">
        <b>{counts.new}</b> {t("reg.countNew")}
      </li>
      <li class="warn">
        <b>{counts.changed}</b> {t("reg.countChanged")}
      </li>
      <li>
        <b>{counts.same}</b> {t("reg.countSame")}
      </li>
      <li class={counts.wrong > 0 ? "bad" : ""}>
        <b>{counts.wrong}</b> {t("reg.countWrong")}
      </li>
    </ul>
  );
}

function Problems({ problems, words, onWords }: { problems: readonly ImportProblem[]; words: string; onWords: (words: string) => void }) {
  const groups = useMemo(() => grouped(problems, lang), [problems]);
  const rows = useMemo(() => filtered(problems, words, lang).map((problem, index) => ({ ...problem, key: `${index}` })), [problems, words]);
  if (problems.length === 0) return <p class="nothing-wrong">✓ {t("reg.nothingWrong")}</p>;
  return (
    <div class="problems">
      <ul class="groups" data-testid="problem-groups">
        {groups.map((group) => (
          <li key={group.key}>
            <button type="button" onClick={() => onWords(words === group.text ? "" : group.text)} aria-pressed={words === group.text}>
              <b>{group.rows.length}</b>
              <span>
                {group.column === "" ? "" : <em>{group.column}</em>} {group.text}
                {group.rows.some((row) => row > 0) ? <small>{t("reg.inRows", { x: short(ranges(group.rows)) })}</small> : null}
              </span>
            </button>
          </li>
        ))}
      </ul>
      <Table
        label={t("reg.problems")}
        rows={rows}
        rowKey={(row) => row.key}
        testid="problems"
        empty={t("reg.noMatch")}
        columns={[
          { key: "row", title: t("reg.row"), width: "5rem", end: true, value: (row) => row.row, cell: (row) => (row.row > 0 ? row.row : "—") },
          { key: "column", title: t("reg.column"), width: "minmax(8rem, 0.8fr)", value: (row) => row.column, cell: (row) => row.column || t("reg.wholeRow") },
          { key: "value", title: t("reg.value"), width: "minmax(8rem, 1fr)", value: (row) => row.value, hint: (row) => row.value, cell: (row) => <code>{row.value}</code> },
          { key: "what", title: t("reg.whatIsWrong"), width: "minmax(14rem, 2.2fr)", value: (row) => own(row.zh, row.en), hint: (row) => own(row.zh, row.en), cell: (row) => own(row.zh, row.en) },
        ]}
      />
    </div>
  );
}

/** What a row changes beside its fields. */
const BESIDE: Record<string, { zh: string; en: string }> = { position: { zh: "位置", en: "Position" }, geometry: { zh: "几何", en: "Geometry" }, area: { zh: "区划", en: "Area" } };

const short = (text: string): string => (text.length > ROWS_SHOWN ? `${text.slice(0, ROWS_SHOWN)}…` : text);

function Changes({ registers, shared, words }: { registers: Registers; shared: Run; words: string }) {
  const { run, kind } = shared;
  const labels = useMemo(() => new Map(targetsOf(kind).map((target) => [target.key, own(target.zh, target.en)])), [kind]);
  const fieldOf = (key: string): Field => kind.fields.find((field) => field.key === key) ?? { key, zh: BESIDE[key]?.zh ?? key, en: BESIDE[key]?.en ?? key };
  const said = (line: ChangeLine, side: "before" | "after"): string => (line.field === null ? "" : wordsOf(fieldOf(line.field.key), line.field[side], registers.nameOf));
  const summary = (line: ChangeLine): string => {
    const change = run.changes.find((candidate) => candidate.row === line.row);
    return (change?.fields ?? [])
      .filter((item) => item.key !== "name" && item.after !== null && item.after !== undefined && item.key !== "position")
      .map((item) => `${labels.get(item.key) ?? item.key} ${wordsOf(fieldOf(item.key), item.after, registers.nameOf)}`)
      .join(" · ");
  };
  const lines = useMemo(() => {
    const wanted = words.trim().toLowerCase();
    return changeLines(run.changes).filter((line) => wanted === "" || `${line.row} ${line.entry_id} ${line.name} ${line.field === null ? "" : (labels.get(line.field.key) ?? "")} ${said(line, "after")}`.toLowerCase().includes(wanted));
  }, [run, words]);
  return (
    <Table
      label={t("reg.changes")}
      rows={lines}
      rowKey={(line) => line.key}
      testid="changes"
      empty={words === "" ? t("reg.nothingChanges") : t("reg.noMatch")}
      columns={[
        { key: "row", title: t("reg.row"), width: "5rem", end: true, value: (line) => line.row, cell: (line) => line.row },
        { key: "what", title: t("reg.what"), width: "6rem", value: (line) => line.what, cell: (line) => (line.what === "new" ? <Tag kind="good">{t("reg.isNew")}</Tag> : <Tag kind="warn">{t("reg.isChanged")}</Tag>) },
        { key: "name", title: t("reg.name"), width: "minmax(10rem, 1fr)", value: (line) => line.name, hint: (line) => `${line.name} · ${line.entry_id}`, cell: (line) => <strong class="name">{line.name || line.entry_id}</strong> },
        { key: "field", title: t("reg.field"), width: "minmax(7rem, 0.7fr)", value: (line) => line.field?.key ?? "", cell: (line) => (line.field === null ? "" : (labels.get(line.field.key) ?? own(fieldOf(line.field.key).zh, fieldOf(line.field.key).en))) },
        {
          key: "change",
          title: t("reg.beforeAfter"),
          width: "minmax(16rem, 2fr)",
          hint: (line) => (line.field === null ? summary(line) : `${said(line, "before")} → ${said(line, "after")}`),
          cell: (line) =>
            line.field === null ? (
              <span class="new-values">{summary(line)}</span>
            ) : (
              <>
                <del>{said(line, "before") || t("reg.empty")}</del> → <ins>{said(line, "after") || t("reg.empty")}</ins>
              </>
            ),
        },
      ]}
    />
  );
}

function Commit({ office, shared, busy, onBack, onDone }: { office: Office; shared: Run; busy: boolean; onBack: () => void; onDone: (result: Committed) => void }) {
  const { run } = shared;
  const { counts } = run;
  const [reason, setReason] = useState("");
  const [skip, setSkip] = useState(false);
  const [error, setError] = useState<string | undefined>(undefined);
  const [problem, setProblem] = useState("");
  const [writing, setWriting] = useState(false);
  const whole = run.problems.some((item) => item.row <= 0); // a missing column: no row can be taken
  const count = counts.new + counts.changed;
  const blocked = count === 0 || whole || (counts.wrong > 0 && !skip);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (reason.trim() === "") return setError(t("office.reasonNeeded"));
    setWriting(true);
    setProblem("");
    try {
      onDone(await office.api.request<Committed>("POST", `/api/v1/imports/${encodeURIComponent(run.import_id)}/commit`, { body: { reason: reason.trim(), skip_wrong: skip }, key: `import-${run.import_id}`, timeoutMs: 180_000 }));
    } catch (failed) {
      const refusal = refusalOf(failed);
      setProblem([refusal.summary, ...refusal.other].join("\n"));
      setWriting(false);
    }
  };
  return (
    <form class="commit card" onSubmit={(event) => void submit(event)}>
      <Labelled label={t("reg.importReason")} id="import-reason" required error={error}>
        <input
          id="import-reason"
          type="text"
          value={reason}
          placeholder={t("reg.importReasonHint")}
          data-testid="import-reason"
          onInput={(event) => {
            setReason(event.currentTarget.value);
            setError(undefined);
          }}
        />
      </Labelled>
      {counts.wrong > 0 && !whole ? (
        <label class="skip">
          <input type="checkbox" checked={skip} data-testid="skip-wrong" onChange={(event) => setSkip(event.currentTarget.checked)} />
          {t("reg.skipWrong", { n: counts.wrong })}
        </label>
      ) : null}
      {whole ? <Tag kind="bad">{t("reg.columnsFirst")}</Tag> : count === 0 ? <Tag>{t("reg.nothingChanges")}</Tag> : null}
      <Failure text={problem} />
      <div class="wizard-foot">
        <button type="button" class="button" onClick={onBack}>
          {t("reg.back")}
        </button>
        <button type="submit" class="button primary" disabled={busy || writing || blocked} data-testid="commit">
          {writing ? t("office.busy") : t("reg.commit", { n: count })}
        </button>
      </div>
    </form>
  );
}
