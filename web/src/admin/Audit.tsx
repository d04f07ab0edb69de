/** The journal with its hashes, the signed head and what a check of the chain found. Reading it is journalled too. */

import { useState } from "preact/hooks";
import { t, word } from "../core/i18n";
import { dayHm } from "../core/time";
import { useLoaded } from "../duty/data";
import { parsed } from "../duty/roster";
import { Tag } from "../office/Badge";
import { Failure } from "../office/Dialog";
import { Table } from "../office/Table";
import { csv, saveAs } from "../office/save";
import type { Office } from "../office/session";
import { Diff } from "./Diff";
import { seesHead, verifies } from "./rights";
import { explained, machineTime } from "./words";

interface Entry {
  seq: number;
  at_us: number;
  machine_us: number;
  actor: string;
  on_behalf_of: string;
  entity: string;
  entity_id: string;
  action: string;
  before: Record<string, unknown> | null;
  after: Record<string, unknown> | null;
  reason: string;
  prev_hash?: string;
  hash?: string;
}

interface Head {
  head: { seq: number; hash: string; count: number };
  anchor: { seq: number; hash: string; why: string; machine_us: number; key_id: string } | null;
  sinks?: { name: string; waiting: number; dropped: number; taken_us: number | null }[];
  overdue?: boolean;
  off_host?: boolean;
}

interface Finding {
  ok: boolean;
  from_seq: number;
  head: { seq: number };
  rows: number;
  anchors_checked: number;
  breaks: { what: string; seq: number; detail: string; anchor?: string }[];
}

const PAGE = 200;

export function Audit({ office }: { office: Office }) {
  const [filter, setFilter] = useState({ actor: "", entity: "", entity_id: "", action: "", from: "", to: "" });
  const [asked, setAsked] = useState(filter);
  const [rows, setRows] = useState<Entry[]>([]);
  const [next, setNext] = useState<string | null>(null);
  const [chosen, setChosen] = useState(0);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const query = queryOf(asked);
  // Each reading becomes a row of the journal: it is asked for by a press, and never by a timer.
  const first = useLoaded(
    async () => {
      const page = await office.api.get<{ items: Entry[]; next: string | null }>(`/api/v1/journal?limit=${PAGE}${query}`);
      setRows(page.items);
      setNext(page.next);
      return page;
    },
    [office, asked],
    null,
  );
  const more = async (): Promise<void> => {
    if (next === null || busy) return;
    setBusy(true);
    try {
      const page = await office.api.get<{ items: Entry[]; next: string | null }>(`/api/v1/journal?limit=${PAGE}${query}&cursor=${encodeURIComponent(next)}`);
      setRows([...rows, ...page.items]);
      setNext(page.next);
    } catch (error) {
      setProblem(explained(error));
    }
    setBusy(false);
  };
  const entry = rows.find((row) => row.seq === chosen);
  const set = (part: Partial<typeof filter>): void => setFilter({ ...filter, ...part });
  const download = (): void => {
    const lines = rows.map((row) => [row.seq, dayHm(row.at_us), machineTime(row.machine_us), row.actor, row.on_behalf_of, row.entity, row.entity_id, row.action, row.reason, JSON.stringify(row.before), JSON.stringify(row.after), row.hash ?? ""]);
    saveAs(new Blob([csv([["seq", "city_time", "machine_time", "actor", "on_behalf_of", "entity", "entity_id", "action", "reason", "before", "after", "hash"], ...lines])], { type: "text/csv" }), "journal.csv");
  };
  return (
    <div class="audit">
      {seesHead(office.user) ? <Chain office={office} /> : null}
      <form
        class="log-tools"
        onSubmit={(event) => {
          event.preventDefault();
          setAsked({ ...filter });
        }}
      >
        <input type="text" class="filter" value={filter.actor} placeholder={t("admin.actor")} aria-label={t("admin.actor")} onInput={(event) => set({ actor: event.currentTarget.value })} data-testid="journal-actor" />
        <input type="text" class="filter" value={filter.entity} placeholder={t("admin.entity")} aria-label={t("admin.entity")} list="entities" onInput={(event) => set({ entity: event.currentTarget.value })} data-testid="journal-entity" />
        <datalist id="entities">
          {[...new Set(rows.map((row) => row.entity))].sort().map((name) => (
            <option key={name} value={name} />
          ))}
        </datalist>
        <input type="text" class="filter" value={filter.entity_id} placeholder={t("admin.entityId")} aria-label={t("admin.entityId")} onInput={(event) => set({ entity_id: event.currentTarget.value })} />
        <input type="text" class="filter" value={filter.action} placeholder={t("admin.action")} aria-label={t("admin.action")} onInput={(event) => set({ action: event.currentTarget.value })} />
        <input type="datetime-local" class="when" value={filter.from} aria-label={t("admin.from")} title={t("admin.from")} onInput={(event) => set({ from: event.currentTarget.value })} />
        <input type="datetime-local" class="when" value={filter.to} aria-label={t("admin.to")} title={t("admin.to")} onInput={(event) => set({ to: event.currentTarget.value })} />
        <button type="submit" class="button primary" data-testid="journal-ask">
          {t("admin.ask")}
        </button>
        <button type="button" class="button" disabled={rows.length === 0} onClick={download}>
          {t("duty.download")}
        </button>
      </form>
      <Failure text={first.problem || problem} />
      <div class={entry === undefined ? "users-body" : "users-body with-card"}>
        <Table
          label={t("admin.audit")}
          testid="journal"
          rows={rows}
          rowKey={(row) => String(row.seq)}
          selected={String(chosen)}
          onSelect={(row) => setChosen(row.seq)}
          onEnd={() => void more()}
          columns={[
            { key: "seq", title: t("admin.seq"), width: "5.5rem", end: true, cell: (row) => row.seq, value: (row) => row.seq },
            { key: "at", title: t("admin.cityTime"), width: "7.5rem", cell: (row) => dayHm(row.at_us), value: (row) => row.at_us },
            { key: "actor", title: t("admin.actor"), width: "minmax(7rem, 1fr)", cell: (row) => (row.on_behalf_of === "" ? row.actor : `${row.actor} → ${row.on_behalf_of}`), value: (row) => row.actor },
            { key: "action", title: t("admin.action"), width: "minmax(7rem, 1fr)", cell: (row) => row.action, value: (row) => row.action },
            { key: "entity", title: t("admin.entity"), width: "minmax(6rem, 0.8fr)", cell: (row) => row.entity, value: (row) => row.entity },
            { key: "id", title: t("admin.entityId"), width: "minmax(9rem, 1.5fr)", cell: (row) => row.entity_id, hint: (row) => row.entity_id, value: (row) => row.entity_id },
            { key: "reason", title: t("office.reason"), width: "minmax(7rem, 1.4fr)", cell: (row) => row.reason, hint: (row) => row.reason },
            { key: "hash", title: t("admin.hash"), width: "7.5rem", cell: (row) => <code>{(row.hash ?? "").slice(0, 10) || "—"}</code>, hint: (row) => row.hash ?? "" },
          ]}
        />
        {entry === undefined ? null : (
          <aside class="user-card" aria-label={t("admin.row", { n: entry.seq })} data-testid="journal-row">
            <h2>{t("admin.row", { n: entry.seq })}</h2>
            <dl class="facts">
              <dt>{t("admin.actor")}</dt>
              <dd>
                {entry.actor}
                {entry.on_behalf_of === "" ? "" : ` (${t("admin.behalf", { name: entry.on_behalf_of })})`}
              </dd>
              <dt>{t("admin.action")}</dt>
              <dd>
                {entry.action} · {entry.entity} {entry.entity_id}
              </dd>
              <dt>{t("admin.cityTime")}</dt>
              <dd>{dayHm(entry.at_us)}</dd>
              <dt>{t("admin.machineTime")}</dt>
              <dd>{machineTime(entry.machine_us)}</dd>
              <dt>{t("office.reason")}</dt>
              <dd>{entry.reason || "—"}</dd>
              <dt>{t("admin.hash")}</dt>
              <dd>
                <code class="whole">{entry.hash || "—"}</code>
              </dd>
              <dt>{t("admin.prevHash")}</dt>
              <dd>
                <code class="whole">{entry.prev_hash || "—"}</code>
              </dd>
            </dl>
            <Diff before={entry.before} after={entry.after} past />
          </aside>
        )}
      </div>
    </div>
  );
}

function queryOf(filter: { actor: string; entity: string; entity_id: string; action: string; from: string; to: string }): string {
  const iso = (text: string): string => {
    const us = text === "" ? null : parsed(text);
    return us === null ? "" : new Date(us / 1000).toISOString();
  };
  const parts: [string, string][] = [["actor", filter.actor], ["entity", filter.entity], ["entity_id", filter.entity_id], ["action", filter.action], ["from", iso(filter.from)], ["to", iso(filter.to)]];
  return parts.filter(([, value]) => value.trim() !== "").map(([key, value]) => `&${key}=${encodeURIComponent(value.trim())}`).join("");
}

function Chain({ office }: { office: Office }) {
  const head = useLoaded(() => office.api.get<Head>("/api/v1/audit/head"), [office], null);
  const [finding, setFinding] = useState<Finding | null>(null);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const verify = async (): Promise<void> => {
    setBusy(true);
    setProblem("");
    try {
      setFinding(await office.api.get<Finding>("/api/v1/audit/verify"));
      await head.reload();
    } catch (error) {
      setProblem(explained(error));
    }
    setBusy(false);
  };
  const value = head.value;
  return (
    <section class="chain-state" aria-label={t("admin.chain")} data-testid="chain-state">
      <dl>
        <dt>{t("admin.head")}</dt>
        <dd>{value === null ? "…" : <code title={value.head.hash}>{`${value.head.seq} · ${value.head.hash.slice(0, 16)}`}</code>}</dd>
        <dt>{t("admin.anchor")}</dt>
        <dd>
          {value?.anchor == null ? (
            <Tag kind="warn">{t("admin.noAnchor")}</Tag>
          ) : (
            <>
              {t("admin.anchorAt", { n: value.anchor.seq, t: machineTime(value.anchor.machine_us) })} {value.overdue === true ? <Tag kind="bad">{t("admin.anchorOverdue")}</Tag> : null}
            </>
          )}
        </dd>
        <dt>{t("admin.offHost")}</dt>
        <dd>
          {value === null || value.off_host === true ? null : <Tag kind="warn">{t("admin.notOffHost")}</Tag>}
          {(value?.sinks ?? []).map((sink) => (
            <Tag key={sink.name} kind={sink.waiting > 0 || sink.dropped > 0 ? "warn" : "good"}>
              {sink.name} {sink.taken_us === null ? "" : machineTime(sink.taken_us)} {sink.waiting > 0 ? t("admin.sinkWaiting", { n: sink.waiting }) : ""}
            </Tag>
          ))}
        </dd>
      </dl>
      {finding === null ? null : (
        <div class={finding.ok ? "verdict good" : "verdict bad"} role="status" data-testid="verdict" data-ok={finding.ok}>
          <b>{t(finding.ok ? "admin.intact" : "admin.broken")}</b> <span>{t("admin.checked", { n: finding.rows, a: finding.anchors_checked, f: finding.from_seq })}</span>
          {finding.breaks.length === 0 ? null : (
            <ul>
              {finding.breaks.slice(0, 20).map((one, index) => (
                <li key={index}>
                  {t("admin.row", { n: one.seq })}：{word("breakKind", one.what)} <small>{one.detail}</small>
                </li>
              ))}
            </ul>
          )}
        </div>
      )}
      <Failure text={problem || head.problem} />
      {verifies(office.user) ? (
        <button type="button" class="button" disabled={busy} onClick={() => void verify()} data-testid="verify-chain">
          {busy ? t("office.busy") : t("admin.verify")}
        </button>
      ) : null}
    </section>
  );
}
