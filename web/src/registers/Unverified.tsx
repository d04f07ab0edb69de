/** 本季未核实: whom to call this week. One row, one call, one press. */

import { useEffect, useMemo, useState } from "preact/hooks";
import { explain, own, t } from "../core/i18n";
import { AreaPicker } from "../office/Combo";
import { refusalOf } from "../office/problems";
import { csv, saveAs } from "../office/save";
import type { Office } from "../office/session";
import { Table } from "../office/Table";
import type { Column } from "../office/Table";
import { toast } from "../office/toast";
import type { Registers } from "./data";
import { Detail } from "./Detail";
import { dayOf, Missing, Verified } from "./marks";
import { mayVerify } from "./rights";
import type { Entry, Kind } from "./types";
import { lacksResponsible, responsibleFields } from "./values";

interface Line {
  kind: Kind;
  entry: Entry;
}

const keyOf = (line: Line): string => `${line.kind.kind}/${line.entry.entry_id}`;

export function Unverified({ office, registers, names }: { office: Office; registers: Registers; names: number }) {
  const [lines, setLines] = useState<Line[]>([]);
  const [whole, setWhole] = useState(false);
  const [problem, setProblem] = useState("");
  const [only, setOnly] = useState("");
  const [area, setArea] = useState("");
  const [words, setWords] = useState("");
  const [chosen, setChosen] = useState("");
  const [done, setDone] = useState<ReadonlySet<string>>(new Set());

  useEffect(() => {
    let stopped = false;
    const show = (entries: Entry[], all: boolean): void => {
      setLines(entries.flatMap((entry) => {
        const kind = registers.kind(entry.kind);
        return kind === undefined ? [] : [{ kind, entry }];
      }));
      setWhole(all);
    };
    setWhole(false);
    setProblem("");
    registers.unverified(area, show, () => stopped).catch((error: unknown) => stopped || setProblem(explain(error)));
    return () => void (stopped = true);
  }, [registers, area]);

  const open = useMemo(() => lines.filter((line) => !done.has(keyOf(line))), [lines, done]);
  const person = (line: Line): string => {
    const field = responsibleFields(line.kind.fields)[0];
    const id = field === undefined ? undefined : line.entry.values[field.key];
    return typeof id === "string" && field !== undefined ? (field.type === "ref" ? registers.nameOf(field.ref ?? "", id) : id) : "";
  };
  /** Masked; the details show it in clear. */
  const phone = (line: Line): string => {
    const field = line.kind.fields.find((candidate) => candidate.type === "phone");
    return field === undefined ? "" : String(line.entry.values[field.key] ?? "");
  };
  const shown = useMemo(() => {
    const wanted = words.trim().toLowerCase();
    return open.filter((line) => (only === "" || line.kind.kind === only) && (wanted === "" || `${line.entry.name} ${line.entry.entry_id} ${person(line)}`.toLowerCase().includes(wanted)));
  }, [open, only, words, names]);
  const counts = useMemo(() => {
    const found = new Map<Kind, number>();
    for (const line of open) found.set(line.kind, (found.get(line.kind) ?? 0) + 1);
    return [...found];
  }, [open]);
  const verify = async (line: Line): Promise<void> => {
    try {
      await registers.verify(line.kind.kind, line.entry.entry_id, "");
      setDone((now) => new Set([...now, keyOf(line)]));
      toast(t("reg.verifiedDone", { x: line.entry.name }));
    } catch (error) {
      toast(refusalOf(error).summary, "bad");
    }
  };
  const columns: Column<Line>[] = useMemo(
    () => [
      { key: "kind", title: t("reg.kind"), width: "9rem", value: (line) => own(line.kind.zh, line.kind.en), cell: (line) => own(line.kind.zh, line.kind.en) },
      { key: "name", title: t("reg.name"), width: "minmax(12rem, 1.4fr)", value: (line) => line.entry.name, cell: (line) => <strong class="name">{line.entry.name}</strong> },
      { key: "area", title: t("reg.area"), width: "minmax(8rem, 1fr)", value: (line) => line.entry.area, cell: (line) => line.entry.area_name },
      { key: "person", title: t("reg.responsible"), width: "minmax(8rem, 1fr)", value: person, cell: (line) => (lacksResponsible(line.kind, line.entry) ? <Missing kind={line.kind} entry={line.entry} /> : person(line)) },
      { key: "phone", title: t("reg.phone"), width: "minmax(8rem, 0.9fr)", value: phone, cell: phone },
      { key: "last", title: t("reg.lastVerified"), width: "10rem", value: (line) => line.entry.verified_us ?? 0, cell: (line) => <Verified entry={line.entry} /> },
      {
        key: "do",
        title: "",
        width: "7rem",
        cell: (line) =>
          mayVerify(office.user) ? (
            <button
              type="button"
              class="button small"
              data-testid={`verify-${line.entry.entry_id}`}
              onClick={(event) => {
                event.stopPropagation();
                void verify(line);
              }}
            >
              ✓ {t("reg.verify")}
            </button>
          ) : null,
      },
    ],
    [names],
  );
  const line = open.find((candidate) => keyOf(candidate) === chosen);
  const download = (): void => {
    const rows = shown.map((item) => [own(item.kind.zh, item.kind.en), item.entry.entry_id, item.entry.name, item.entry.area_name, person(item), item.entry.verified_us === null ? "" : dayOf(item.entry.verified_us)]);
    saveAs(new Blob([csv([[t("reg.kind"), t("reg.id"), t("reg.name"), t("reg.area"), t("reg.responsible"), t("reg.lastVerified")], ...rows])], { type: "text/csv" }), `${t("reg.unverifiedList")}.csv`);
  };
  return (
    <div class="list unplaced" data-testid="unverified">
      <section class="list-main" aria-label={t("reg.unverifiedList")}>
        <header class="list-head">
          <h1>{t("reg.unverifiedList")}</h1>
          <span class="count" data-testid="count" data-whole={whole}>
            {t("reg.count", { n: shown.length })}
          </span>
          <div class="list-actions">
            <button type="button" class="button" onClick={download} disabled={shown.length === 0}>
              {t("reg.downloadList")}
            </button>
          </div>
        </header>
        <p class="list-note">{t("reg.unverifiedHelp")}</p>
        <div class="list-filters">
          <input type="search" value={words} placeholder={t("reg.filter")} aria-label={t("reg.filter")} data-testid="search" onInput={(event) => setWords(event.currentTarget.value)} />
          <select value={only} aria-label={t("reg.kinds")} data-testid="kind-filter" onChange={(event) => setOnly(event.currentTarget.value)}>
            <option value="">
              {t("reg.allKinds")} ({open.length})
            </option>
            {counts.map(([kind, count]) => (
              <option key={kind.kind} value={kind.kind}>
                {own(kind.zh, kind.en)} ({count})
              </option>
            ))}
          </select>
          <AreaPicker areas={office.areas} value={area} onChange={setArea} testid="area-filter" placeholder={t("reg.allAreas")} />
        </div>
        {problem === "" ? null : <p class="failure">{problem}</p>}
        <div class="list-table">
          <Table label={t("reg.unverifiedList")} columns={columns} rows={shown} rowKey={keyOf} selected={chosen} onSelect={(item) => setChosen(keyOf(item))} empty={whole ? t("reg.allVerified") : t("reg.loading")} testid="unverified-table" />
        </div>
      </section>
      <aside class="list-side">
        {line === undefined ? (
          <p class="detail-none">{t("reg.chooseToCall")}</p>
        ) : (
          <Detail key={chosen} office={office} registers={registers} kind={line.kind} id={line.entry.entry_id} listed={line.entry} onChanged={() => setDone((now) => new Set([...now, chosen]))} names={names} onClose={() => setChosen("")} />
        )}
      </aside>
    </div>
  );
}
