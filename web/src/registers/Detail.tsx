/** One entry: what stands in it, its history, the daily risk statement; verify, change, remove. */

import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { explain, lang, own, t, word } from "../core/i18n";
import { ReasonDialog } from "../office/Dialog";
import { isConflict, refusalOf, Told } from "../office/problems";
import type { Office } from "../office/session";
import { Tabs } from "../office/Tabs";
import { toast } from "../office/toast";
import type { Registers } from "./data";
import { dayTime, GradeOf, isChecked, Missing, Verified } from "./marks";
import { go } from "./route";
import { mayReadClear, mayVerify, readsOrders } from "./rights";
import { Statements } from "./Statements";
import { Supervised } from "./Supervised";
import { Zones } from "./Zones";
import type { ZoneShape } from "./zones";
import type { Entry, Field, Kind, Values } from "./types";
import { changedKeys, isMasked, shownValue } from "./values";
import { wordsOf } from "./Conflict";

export interface DetailProps {
  office: Office;
  registers: Registers;
  kind: Kind;
  id: string;
  /** The entry as the list has it, shown until the whole one has come. */
  listed?: Entry | undefined;
  onChanged: () => void;
  /** Rises when names behind references have come: drawn again. */
  names: number;
  onClose?: () => void;
  /** Where there is a map beside: draws a plant's zones on it. */
  onZones?: (shapes: readonly ZoneShape[]) => void;
}

export function Detail({ office, registers, kind, id, listed, onChanged, onClose, onZones }: DetailProps) {
  const [entry, setEntry] = useState<Entry | null>(listed ?? null);
  const [clear, setClear] = useState(false);
  const [problem, setProblem] = useState("");
  const [tab, setTab] = useState("values");
  const [asking, setAsking] = useState<"" | "verify" | "remove">("");

  const load = (): void => {
    registers.one(kind.kind, id).then(
      (found) => {
        setEntry(found);
        setClear(false);
      },
      (error: unknown) => setProblem(explain(error)),
    );
  };
  useEffect(load, [id, listed?.rev]);
  if (entry === null) return <section class="detail">{problem === "" ? <p>{t("reg.loading")}</p> : <p class="failure">{problem}</p>}</section>;

  const inClear = (): void => {
    registers.one(kind.kind, id, true).then(
      (found) => {
        setEntry(found);
        setClear(true);
      },
      (error: unknown) => toast(refusalOf(error).summary, "bad"),
    );
  };
  const tabs = [
    { key: "values", title: t("reg.tabValues") },
    ...(kind.statement === true ? [{ key: "statements", title: t("reg.tabStatements") }] : []),
    ...(kind.kind === "plant" && onZones !== undefined ? [{ key: "zones", title: t("reg.tabZones") }] : []),
    ...(kind.group === "risk" && readsOrders(office.user) ? [{ key: "supervised", title: t("reg.tabSupervised") }] : []),
    { key: "history", title: t("reg.tabHistory") },
  ];
  return (
    <section class="detail" aria-label={entry.name} data-testid="detail" data-entry={entry.entry_id} data-rev={entry.rev}>
      <header>
        <div class="detail-title">
          <h2>{entry.name}</h2>
          <small>{entry.entry_id}</small>
          <button type="button" class="icon" aria-label={t("office.close")} onClick={() => (onClose === undefined ? go({ kind: kind.kind }, true) : onClose())}>
            ×
          </button>
        </div>
        <div class="detail-marks">
          <GradeOf kind={kind} entry={entry} />
          {isChecked(kind) ? <Verified entry={entry} /> : null}
          <Missing kind={kind} entry={entry} />
          <span title={entry.area}>{entry.area === "" ? t("reg.noArea") : office.areas.path(entry.area)}</span>
        </div>
        <div class="detail-actions">
          {isChecked(kind) && mayVerify(office.user) ? (
            <button type="button" class="button small" onClick={() => setAsking("verify")} data-testid="verify">
              ✓ {t("reg.verify")}
            </button>
          ) : null}
          {kind.may_write ? (
            <>
              <button type="button" class="button small" onClick={() => go({ view: "edit", kind: kind.kind, id })} data-testid="edit">
                {t("reg.edit")}
              </button>
              <button type="button" class="button small danger-quiet" onClick={() => setAsking("remove")} data-testid="remove">
                {t("reg.remove")}
              </button>
            </>
          ) : null}
        </div>
      </header>
      {(entry.warnings ?? []).length === 0 ? null : (
        <ul class="detail-warnings" data-testid="warnings">
          {(entry.warnings ?? []).map((warning) => (
            <li key={`${warning.key}${warning.zh}`}>{own(warning.zh, warning.en)}</li>
          ))}
        </ul>
      )}
      <Tabs tabs={tabs} value={tab} onChange={setTab} label={entry.name} />
      <div class="detail-body">
        {tab === "values" ? <ValueList kind={kind} entry={entry} registers={registers} onClear={clear || !mayReadClear(office.user) ? undefined : inClear} /> : null}
        {tab === "values" && clear ? <p class="field-help">{t("reg.clearNoted")}</p> : null}
        {tab === "history" ? <History registers={registers} kind={kind} id={id} rev={entry.rev} /> : null}
        {tab === "supervised" ? <Supervised office={office} kind={kind} entry={entry} /> : null}
        {tab === "zones" && onZones !== undefined ? <Zones office={office} entry={entry} onShow={onZones} /> : null}
        {tab === "statements" ? <Statements office={office} kind={kind} entry={entry} onSigned={onChanged} /> : null}
      </div>
      {asking === "verify" ? (
        <ReasonDialog
          title={t("reg.verifyTitle", { x: entry.name })}
          text={t("reg.verifyText")}
          label={t("reg.verifyComment")}
          action={t("reg.verify")}
          required={false}
          onClose={() => setAsking("")}
          run={async (comment) => {
            await registers.verify(kind.kind, id, comment);
            toast(t("reg.verifiedDone", { x: entry.name }));
            load();
            onChanged();
          }}
        />
      ) : null}
      {asking === "remove" ? (
        <ReasonDialog
          title={t("reg.removeTitle", { x: entry.name })}
          text={t("reg.removeText")}
          action={t("reg.remove")}
          danger
          onClose={() => setAsking("")}
          run={async (reason) => {
            await registers.remove(kind.kind, id, reason, entry.rev).catch(async (error: unknown) => {
              const now = isConflict(error) ? await registers.one(kind.kind, id) : null;
              // Nobody changed it, so the conflict is that others still point at it; the server names them.
              throw now?.rev === entry.rev ? new Told(t("reg.stillUsed", { x: error instanceof Error ? error.message : "" })) : error;
            });
            toast(t("reg.removed", { x: entry.name }));
            go({ kind: kind.kind }, true);
            onChanged();
          }}
        />
      ) : null}
    </section>
  );
}

function ValueList({ kind, entry, registers, onClear }: { kind: Kind; entry: Entry; registers: Registers; onClear: (() => void) | undefined }) {
  const filled = kind.fields.filter((field) => field.key !== "name" && !isEmpty(entry.values[field.key]));
  const empty = kind.fields.filter((field) => field.key !== "name" && isEmpty(entry.values[field.key]));
  return (
    <>
      <dl class="values">
        {filled.map((field) => (
          <Value key={field.key} field={field} value={entry.values[field.key]} registers={registers} onClear={onClear} />
        ))}
        {entry.lon === null || entry.lat === null ? null : (
          <Pair label={t("reg.position")}>
            {entry.lon.toFixed(6)}, {entry.lat.toFixed(6)}
          </Pair>
        )}
        <Pair label={t("reg.changed")}>
          {dayTime(entry.changed_us)} · {entry.changed_by}
        </Pair>
      </dl>
      {empty.length === 0 ? null : (
        <p class="unfilled">
          {t("reg.unfilled")} {empty.map((field) => own(field.zh, field.en)).join(lang === "zh" ? "、" : ", ")}
        </p>
      )}
    </>
  );
}

const isEmpty = (value: unknown): boolean => value === undefined || value === null || value === "" || (Array.isArray(value) && value.length === 0);

function Pair({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Value({ field, value, registers, onClear }: { field: Field; value: unknown; registers: Registers; onClear: (() => void) | undefined }) {
  if (field.type === "rows" && Array.isArray(value)) return <RowsValue field={field} rows={value as Values[]} registers={registers} />;
  const words = shownValue(field, value, lang, registers.nameOf);
  const colour = field.choices?.find((choice) => choice.value === value)?.colour ?? "";
  return (
    <Pair label={own(field.zh, field.en)}>
      <span class={colour === "" ? (field.type === "long_text" ? "long" : "") : `grade g-${colour}`} data-value={field.key}>
        {words}
      </span>
      {isMasked(value) && onClear !== undefined ? (
        <button type="button" class="link" onClick={onClear} data-testid={`show-${field.key}`}>
          {t("reg.showClear")}
        </button>
      ) : null}
      {field.type === "ref" && field.ref !== undefined && registers.kind(field.ref) !== undefined ? (
        <button type="button" class="link" onClick={() => go({ kind: field.ref ?? "", id: String(value) })}>
          {t("reg.openRef")}
        </button>
      ) : null}
    </Pair>
  );
}

function RowsValue({ field, rows, registers }: { field: Field; rows: Values[]; registers: Registers }) {
  const fields = (field.fields ?? []).filter((inner) => rows.some((row) => !isEmpty(row[inner.key])));
  return (
    <div class="wide">
      <dt>{own(field.zh, field.en)}</dt>
      <dd>
        <table class="mini">
          <thead>
            <tr>
              {fields.map((inner) => (
                <th key={inner.key}>{own(inner.zh, inner.en)}</th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((row, index) => (
              <tr key={index}>
                {fields.map((inner) => (
                  <td key={inner.key}>{shownValue(inner, row[inner.key], lang, registers.nameOf)}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </dd>
    </div>
  );
}

interface JournalLine {
  seq?: number;
  at_us?: number;
  actor: string;
  action: string;
  reason?: string;
  before: Record<string, unknown> | null;
  after: Record<string, unknown> | null;
}

/** The journal keeps the members that differ, `values.phone` beside `area`. */
const valuesOf = (document: Record<string, unknown> | null): Values => Object.fromEntries(Object.entries(document ?? {}).map(([key, value]) => [key.replace(/^values\./, ""), value]));

function History({ registers, kind, id, rev }: { registers: Registers; kind: Kind; id: string; rev: number }) {
  const [lines, setLines] = useState<JournalLine[] | null>(null);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    registers.api.get<{ items: JournalLine[] }>(`/api/v1/registers/${encodeURIComponent(kind.kind)}/${encodeURIComponent(id)}/history`).then(
      (answer) => setLines(answer.items),
      (error: unknown) => setProblem(explain(error)),
    );
  }, [id, rev]);
  if (problem !== "") return <p class="failure">{problem}</p>;
  if (lines === null) return <p>{t("reg.loading")}</p>;
  const fields: Field[] = [...kind.fields, { key: "area", zh: "区划", en: "Area", type: "area" }];
  return (
    <ol class="history" data-testid="history">
      {lines.map((line, index) => {
        const [before, after] = [valuesOf(line.before), valuesOf(line.after)];
        const keys = line.before === null || line.after === null ? [] : changedKeys(fields, before, after);
        return (
          <li key={line.seq ?? index}>
            <p>
              <b>{word("regAction", line.action)}</b> {line.at_us === undefined ? "" : dayTime(line.at_us)} · {line.actor}
            </p>
            {line.reason === undefined || line.reason === "" ? null : <p class="why">{t("reg.because", { x: line.reason })}</p>}
            {keys.map((key) => {
              const field = fields.find((candidate) => candidate.key === key) as Field;
              return (
                <p key={key} class="change">
                  <span>{own(field.zh, field.en)}</span> <del>{wordsOf(field, before[key], registers.nameOf) || t("reg.empty")}</del> → <ins>{wordsOf(field, after[key], registers.nameOf) || t("reg.empty")}</ins>
                </p>
              );
            })}
          </li>
        );
      })}
      {lines.length === 0 ? <li>{t("reg.noHistory")}</li> : null}
    </ol>
  );
}
