/** One register: its table, the map beside it, and what stands in the chosen entry. */

import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { explain, lang, own, t } from "../core/i18n";
import { AreaPicker } from "../office/Combo";
import { refusalOf } from "../office/problems";
import { saveAs } from "../office/save";
import type { Office } from "../office/session";
import { Table } from "../office/Table";
import type { Column } from "../office/Table";
import { toast } from "../office/toast";
import { columnsOf, keepColumns, usualColumns } from "./columns";
import type { Registers } from "./data";
import { Detail } from "./Detail";
import { MapPane } from "./MapPane";
import type { ZoneShape } from "./zones";
import { dayOf, GradeOf, isChecked, Missing, Verified } from "./marks";
import { Menu } from "./Menu";
import { go } from "./route";
import type { Entry, Field, Kind } from "./types";
import { gradeField, gradeOf, isVerified, lacksResponsible, needsResponsible, responsibleFields, shownValue } from "./values";

export const FORMATS = ["xlsx", "csv", "geojson", "gpkg", "shp.zip", "yaml"] as const;
const SEARCH_WAIT_MS = 250;

export interface ListState {
  entries: Entry[];
  total: number;
  whole: boolean;
  problem: string;
  /** Rises with each new question: the map shows all of the new answer. */
  round: number;
}

export function useList(registers: Registers, kind: string, q: string, area: string, unverified: boolean, again: number): ListState {
  const [state, setState] = useState<ListState>({ entries: [], total: 0, whole: false, problem: "", round: 0 });
  useEffect(() => {
    let stopped = false;
    setState((now) => ({ ...now, whole: false, problem: "" }));
    const timer = setTimeout(() => {
      registers
        .list(kind, { q, area, unverified }, (entries, total, whole) => setState((now) => ({ entries, total, whole, problem: "", round: whole ? now.round + 1 : now.round })), () => stopped)
        .catch((error: unknown) => stopped || setState((now) => ({ ...now, problem: explain(error), whole: true })));
    }, q === "" ? 0 : SEARCH_WAIT_MS);
    return () => {
      stopped = true;
      clearTimeout(timer);
    };
  }, [registers, kind, q, area, unverified, again]);
  return state;
}

export function columnsFor(kind: Kind, keys: readonly string[], registers: Registers): Column<Entry>[] {
  const grade = gradeField(kind.fields)?.key;
  const first = responsibleFields(kind.fields)[0]?.key;
  const words = (field: Field, entry: Entry): string => shownValue(field, entry.values[field.key], lang, registers.nameOf);
  const columns: Column<Entry>[] = [
    { key: "_name", title: t("reg.name"), width: "minmax(11rem, 1.5fr)", value: (entry) => entry.name, hint: (entry) => `${entry.name} · ${entry.entry_id}`, cell: (entry) => <strong class="name">{entry.name}</strong> },
  ];
  // An area lies in itself: its name stands there already.
  if (kind.group !== "area") columns.push({ key: "_area", title: t("reg.area"), width: "minmax(8rem, 0.8fr)", value: (entry) => entry.area, hint: (entry) => entry.area, cell: (entry) => entry.area_name });
  const checked: Column<Entry> = { key: "_verified", title: t("reg.verification"), width: "10rem", value: (entry) => entry.verified_us ?? 0, cell: (entry) => <Verified entry={entry} /> };
  const after = keys.includes(first ?? "") ? first : keys.includes(grade ?? "") ? grade : undefined; // what is asked about first stands first
  if (isChecked(kind) && after === undefined) columns.push(checked);
  for (const key of keys) {
    const field = kind.fields.find((candidate) => candidate.key === key);
    if (field === undefined) continue;
    const numeric = field.type === "number" || field.type === "integer";
    columns.push({
      key,
      title: own(field.zh, field.en),
      end: numeric,
      width: key === grade ? "7.5rem" : numeric ? "minmax(7.5rem, 0.7fr)" : "minmax(8rem, 1fr)",
      value: (entry) => (numeric ? ((entry.values[key] as number | undefined) ?? null) : words(field, entry)),
      hint: (entry) => words(field, entry),
      cell: (entry) => (key === grade ? <GradeOf kind={kind} entry={entry} brief /> : key === first && lacksResponsible(kind, entry) ? <Missing kind={kind} entry={entry} /> : words(field, entry)),
    });
    if (isChecked(kind) && key === after) columns.push(checked);
  }
  columns.push({ key: "_changed", title: t("reg.changed"), width: "7.5rem", value: (entry) => entry.changed_us, hint: (entry) => entry.changed_by, cell: (entry) => dayOf(entry.changed_us) });
  columns.push({ key: "_id", title: t("reg.id"), width: "minmax(7rem, 0.7fr)", value: (entry) => entry.entry_id, cell: (entry) => <small>{entry.entry_id}</small> });
  return columns;
}

export interface ListProps {
  office: Office;
  registers: Registers;
  kind: Kind;
  id: string;
  /** Rises when names behind references have come. */
  names: number;
}

export function List({ office, registers, kind, id, names }: ListProps) {
  const [q, setQ] = useState("");
  const [area, setArea] = useState("");
  const [unverified, setUnverified] = useState(false);
  const [missing, setMissing] = useState(false);
  const [again, setAgain] = useState(0);
  const [zones, setZones] = useState<readonly ZoneShape[]>([]);
  const [keys, setKeys] = useState(() => columnsOf(kind.kind, kind.fields));
  const search = useRef<HTMLInputElement>(null);
  const list = useList(registers, kind.kind, q.trim(), area, unverified, again);
  const rows = useMemo(() => (missing ? list.entries.filter((entry) => lacksResponsible(kind, entry)) : list.entries), [list.entries, missing, kind]);
  const marks = useMemo(() => rows.map((entry) => ({ id: entry.entry_id, name: entry.name, lon: entry.lon, lat: entry.lat, colour: gradeOf(kind.fields, entry)?.colour ?? "", geometry: kind.group === "area" && entry.entry_id !== id ? null : (entry.geometry ?? null) })), [rows, kind, kind.group === "area" ? id : ""]);
  const columns = useMemo(() => columnsFor(kind, keys, registers), [kind, keys, names]);
  const unchecked = useMemo(() => list.entries.filter((entry) => !isVerified(entry)).length, [list.entries]);
  const lacking = useMemo(() => list.entries.filter((entry) => lacksResponsible(kind, entry)).length, [list.entries, kind]);

  const select = useCallback((entry: string) => go({ kind: kind.kind, id: entry }, true), [kind]);
  const edit = (entry: Entry): void => {
    if (kind.may_write) go({ view: "edit", kind: kind.kind, id: entry.entry_id });
  };
  const changed = (): void => {
    setAgain((now) => now + 1);
    void registers.load();
  };
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.key !== "/" || event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement) return;
      event.preventDefault();
      search.current?.focus();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, []);
  const putKeys = (next: string[]): void => {
    setKeys(next);
    keepColumns(kind.kind, next);
  };
  const filters = [q.trim() !== "", area !== "", unverified, missing].some((on) => on);
  const chosen = id === "" ? undefined : rows.find((entry) => entry.entry_id === id);
  const located = kind.located !== "no";
  return (
    <div class={`list${located ? "" : " unplaced"}${id === "" ? "" : " with-detail"}`}>
      <section class="list-main" aria-label={own(kind.zh, kind.en)}>
        <header class="list-head">
          <h1>{own(kind.zh, kind.en)}</h1>
          <span class="count" data-testid="count" data-total={list.total} data-loaded={list.entries.length} data-whole={list.whole}>
            {list.whole || list.total === 0 ? t("reg.count", { n: rows.length }) : t("reg.countLoading", { n: list.entries.length, all: list.total })}
          </span>
          <div class="list-actions">
            <ColumnMenu kind={kind} keys={keys} onChange={putKeys} />
            <ExportMenu office={office} kind={kind} />
            {kind.may_write ? (
              <>
                <button type="button" class="button" onClick={() => go({ view: "import", kind: kind.kind })}>
                  {t("reg.import")}
                </button>
                <button type="button" class="button primary" onClick={() => go({ view: "new", kind: kind.kind })} data-testid="new">
                  ＋ {t("reg.new")}
                </button>
              </>
            ) : null}
          </div>
        </header>
        <div class="list-filters" role="search">
          <input ref={search} type="search" value={q} placeholder={t("reg.search")} aria-label={t("reg.search")} data-testid="search" onInput={(event) => setQ(event.currentTarget.value)} />
          <AreaPicker areas={office.areas} value={area} onChange={setArea} testid="area-filter" placeholder={t("reg.allAreas")} />
          {isChecked(kind) ? (
            <Toggle on={unverified} onChange={setUnverified} testid="filter-unverified">
              {t("reg.unverified")} {unverified ? "" : <b>{unchecked}</b>}
            </Toggle>
          ) : null}
          {needsResponsible(kind) ? (
            <Toggle on={missing} onChange={setMissing} testid="filter-missing">
              {t("reg.noResponsible")} <b>{lacking}</b>
            </Toggle>
          ) : null}
        </div>
        {list.problem === "" ? null : (
          <p class="failure" role="alert">
            {list.problem}{" "}
            <button type="button" class="link" onClick={() => setAgain(again + 1)}>
              {t("reg.again")}
            </button>
          </p>
        )}
        <div class="list-table">
          <Table
            label={own(kind.zh, kind.en)}
            columns={columns}
            rows={rows}
            rowKey={(entry) => entry.entry_id}
            selected={id}
            onSelect={(entry) => select(entry.entry_id)}
            onOpen={edit}
            testid="entries"
            empty={list.whole ? <EmptyList kind={kind} filters={filters} /> : t("reg.loading")}
          />
        </div>
      </section>
      <aside class="list-side">
        {located ? <MapPane office={office} entries={marks} selected={id} area={area} onPick={select} zones={zones} fitKey={`${kind.kind}:${list.round}`} /> : null}
        {id === "" ? (
          located ? null : <p class="detail-none">{t("reg.chooseRow")}</p>
        ) : (
          <Detail key={`${kind.kind}/${id}`} office={office} registers={registers} kind={kind} id={id} listed={chosen} onChanged={changed} names={names} onZones={setZones} />
        )}
      </aside>
    </div>
  );
}

function Toggle({ on, onChange, children, testid }: { on: boolean; onChange: (on: boolean) => void; children: unknown; testid: string }) {
  return (
    <button type="button" class={on ? "toggle on" : "toggle"} aria-pressed={on} onClick={() => onChange(!on)} data-testid={testid}>
      {children as string}
    </button>
  );
}

function EmptyList({ kind, filters }: { kind: Kind; filters: boolean }) {
  if (filters) return <p>{t("reg.noMatch")}</p>;
  return (
    <>
      <p>{t("reg.noneYet", { x: own(kind.zh, kind.en) })}</p>
      {kind.may_write ? (
        <p>
          <button type="button" class="button" onClick={() => go({ view: "import", kind: kind.kind })}>
            {t("reg.importFile")}
          </button>
        </p>
      ) : null}
    </>
  );
}

function ColumnMenu({ kind, keys, onChange }: { kind: Kind; keys: string[]; onChange: (keys: string[]) => void }) {
  const fields = kind.fields.filter((field) => field.key !== "name");
  return (
    <Menu title={t("reg.columns")} testid="columns">
      {() => (
        <>
          <button type="button" class="link" onClick={() => onChange(usualColumns(kind.fields))}>
            {t("reg.usualColumns")}
          </button>
          {fields.map((field) => (
            <label key={field.key}>
              <input
                type="checkbox"
                checked={keys.includes(field.key)}
                data-testid={`column-${field.key}`}
                onChange={(event) => onChange(event.currentTarget.checked ? fields.map((candidate) => candidate.key).filter((key) => key === field.key || keys.includes(key)) : keys.filter((key) => key !== field.key))}
              />
              {own(field.zh, field.en)}
            </label>
          ))}
        </>
      )}
    </Menu>
  );
}

function ExportMenu({ office, kind }: { office: Office; kind: Kind }) {
  const run = (format: string, close: () => void): void => {
    close();
    office.api.download(`/api/v1/registers/${encodeURIComponent(kind.kind)}/export?format=${format}`).then(
      ({ blob, filename }) => {
        saveAs(blob, filename);
        toast(t("reg.exported", { x: filename }));
      },
      (error: unknown) => toast(refusalOf(error).summary, "bad"),
    );
  };
  const formats = FORMATS.filter((format) => kind.located !== "no" || !["geojson", "gpkg", "shp.zip"].includes(format));
  return (
    <Menu title={t("reg.export")} testid="export">
      {(close) => (
        <>
          {formats.map((format) => (
            <button key={format} type="button" class="menu-item" onClick={() => run(format, close)} data-testid={`export-${format}`}>
              <b>{format.toUpperCase()}</b>
              <small>{t(FORMAT_WORDS[format])}</small>
            </button>
          ))}
          <p class="menu-note">{t("reg.exportNote")}</p>
        </>
      )}
    </Menu>
  );
}

const FORMAT_WORDS = {
  xlsx: "reg.formatXlsx",
  csv: "reg.formatCsv",
  geojson: "reg.formatGeojson",
  gpkg: "reg.formatGpkg",
  "shp.zip": "reg.formatShp",
  yaml: "reg.formatYaml",
} as const;
