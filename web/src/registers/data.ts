/** What the page knows of the registers: kinds, lists that arrive page by page, the names behind references. */

import { newKey } from "../core/api";
import type { Api } from "../core/api";
import type { Device } from "../core/types";
import type { Option } from "../office/Combo";
import type { DryRun, Entry, EntryList, Kind, Place, Values } from "./types";

const PAGE = 500;
const DRY_RUN_MS = 120_000; // a hundred thousand rows are read anew
const DEVICE_REFS = ["device", "camera"];

export interface Query {
  q: string;
  area: string;
  unverified: boolean;
}

export interface EntryBody {
  entry_id?: string;
  area?: string;
  lon?: number | null;
  lat?: number | null;
  geometry?: unknown;
  values: Values;
  reason: string;
}

type OnPage = (entries: Entry[], total: number, whole: boolean) => void;

const at = (kind: string, id = "", tail = ""): string => `/api/v1/registers/${encodeURIComponent(kind)}${id === "" ? "" : `/${encodeURIComponent(id)}`}${tail}`;

export class Registers {
  kinds: Kind[] = [];
  private readonly named = new Map<string, Map<string, string>>();
  private readonly loading = new Map<string, Promise<void>>();
  private readonly listeners = new Set<() => void>();

  constructor(readonly api: Api) {}

  async load(): Promise<void> {
    this.kinds = (await this.api.get<{ items: Kind[] }>("/api/v1/registers")).items;
    this.tell();
  }

  kind(name: string): Kind | undefined {
    return this.kinds.find((kind) => kind.kind === name);
  }

  listen(run: () => void): () => void {
    this.listeners.add(run);
    return () => void this.listeners.delete(run);
  }

  /** Pages one after another; `onPage` gets all that has come so far. Stops when `stopped` says so. */
  list(kind: string, query: Query, onPage: OnPage, stopped: () => boolean): Promise<void> {
    const asked = { ...(query.q === "" ? {} : { q: query.q }), ...(query.area === "" ? {} : { area: query.area }), ...(query.unverified ? { unverified: "true" } : {}) };
    return this.pages(at(kind), asked, onPage, stopped);
  }

  private async pages(path: string, asked: Record<string, string>, onPage: OnPage, stopped: () => boolean): Promise<void> {
    const parts = new URLSearchParams({ ...asked, limit: String(PAGE) });
    const entries: Entry[] = [];
    let cursor: string | null = "";
    while (cursor !== null && !stopped()) {
      if (cursor !== "") parts.set("cursor", cursor);
      const page: EntryList = await this.api.get<EntryList>(`${path}?${parts}`);
      if (stopped()) return;
      entries.push(...page.items);
      for (const entry of page.items) this.learnRefs(entry);
      cursor = page.next ?? null;
      onPage([...entries], page.total, cursor === null);
    }
  }

  /** Of every register, entries whose numbers nobody checked this season. */
  unverified(area: string, onPage: (entries: Entry[], whole: boolean) => void, stopped: () => boolean): Promise<void> {
    return this.pages("/api/v1/registers/unverified", area === "" ? {} : { area }, (entries, _, whole) => onPage(entries, whole), stopped);
  }

  async one(kind: string, id: string, clear = false): Promise<Entry> {
    const entry = await this.api.get<Entry>(`${at(kind, id)}${clear ? "?clear=true" : ""}`);
    this.learnRefs(entry);
    this.tell();
    return entry;
  }

  create(kind: string, body: EntryBody): Promise<Entry> {
    return this.api.post<Entry>(at(kind), body);
  }

  change(kind: string, id: string, body: EntryBody, rev: number): Promise<Entry> {
    return this.api.put<Entry>(at(kind, id), body, rev);
  }

  remove(kind: string, id: string, reason: string, rev: number): Promise<void> {
    return this.api.delete(at(kind, id), { body: { reason }, ifMatch: rev });
  }

  verify(kind: string, id: string, comment: string): Promise<Entry> {
    return this.api.post<Entry>(at(kind, id, "/verify"), comment === "" ? {} : { comment });
  }

  places(q: string, near: [number, number] | null): Promise<Place[]> {
    const parts = new URLSearchParams({ q, limit: "12" });
    if (near !== null) {
      parts.set("lon", near[0].toFixed(5));
      parts.set("lat", near[1].toFixed(5));
    }
    return this.api.get<{ items: Place[] }>(`/api/v1/addresses?${parts}`).then((answer) => answer.items);
  }

  /** The dry run again, against what stands now. */
  dryRun(id: string): Promise<DryRun> {
    return this.api.request<DryRun>("GET", `/api/v1/imports/${encodeURIComponent(id)}`, { timeoutMs: DRY_RUN_MS });
  }

  rework(id: string, change: { columns?: Record<string, string | null>; crs?: string; sheet?: string }): Promise<DryRun> {
    return this.api.request<DryRun>("PUT", `/api/v1/imports/${encodeURIComponent(id)}`, { body: change, key: newKey(), timeoutMs: DRY_RUN_MS });
  }

  /** The name behind a reference; lists bring names with them, one that is still unknown is asked for once. */
  readonly nameOf = (ref: string, id: string): string => {
    const known = this.named.get(ref)?.get(id);
    if (known === undefined && id !== "") void this.want(ref, id);
    return known ?? id;
  };

  private want(ref: string, id: string): Promise<void> {
    const key = DEVICE_REFS.includes(ref) ? ref : `${ref}/${id}`;
    const running = this.loading.get(key) ?? this.learn(ref, id).catch((error: unknown) => console.warn(`${key}: no name`, error)); // its id is shown
    this.loading.set(key, running);
    return running;
  }

  /** A reference's choices while one types. */
  async find(ref: string, query: string): Promise<Option[]> {
    if (DEVICE_REFS.includes(ref)) {
      await this.want(ref, "");
      const words = query.toLowerCase();
      return [...(this.named.get(ref) ?? [])].filter(([id, name]) => id.toLowerCase().includes(words) || name.toLowerCase().includes(words)).map(([value, text]) => ({ value, text, note: value }));
    }
    const answer = await this.api.get<EntryList>(`${at(ref)}?${new URLSearchParams({ q: query, limit: "30" })}`);
    this.learnNames(ref, answer.items);
    return answer.items.map((entry) => ({ value: entry.entry_id, text: entry.name, note: noteOf(entry) }));
  }

  private async learn(ref: string, id: string): Promise<void> {
    if (DEVICE_REFS.includes(ref)) {
      const devices = await this.api.all<Device>("/api/v1/devices");
      this.named.set(ref, new Map(devices.filter((device) => ref === "device" || device.kind === ref).map((device) => [device.device_id, device.name])));
      return this.tell();
    }
    this.learnNames(ref, [await this.api.get<Entry>(at(ref, id))]);
  }

  private learnNames(ref: string, entries: Entry[]): void {
    const names = this.named.get(ref) ?? new Map<string, string>();
    for (const entry of entries) names.set(entry.entry_id, entry.name);
    this.named.set(ref, names);
    this.tell();
  }

  private learnRefs(entry: Entry): void {
    for (const [ref, found] of Object.entries(entry.refs ?? {})) {
      const names = this.named.get(ref) ?? new Map<string, string>();
      for (const [id, name] of Object.entries(found)) names.set(id, name);
      this.named.set(ref, names);
    }
  }

  private tell(): void {
    for (const run of this.listeners) run();
  }
}

/** What tells two people of one name apart: organisation and post, else the id. */
function noteOf(entry: Entry): string {
  const parts = [entry.values["post"], entry.area_name].filter((part): part is string => typeof part === "string" && part !== "");
  return [...parts, entry.entry_id].join(" · ");
}
