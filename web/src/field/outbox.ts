/**
 * What the responder did, kept in IndexedDB until the server has it. Each entry has its own Idempotency-Key and the time at
 * which it was done, so a retry after a lost answer is not a second report. Status goes first, positions last; of the
 * positions that wait only the newest is kept: the server wants to know where the unit is.
 */

import { ApiError, newKey } from "../core/api";
import type { Api } from "../core/api";

export interface Entry {
  key: string;
  path: string;
  body: Record<string, unknown>;
  kind: "status" | "position";
  /** grows with every entry: the order in which things were done */
  at: number;
}

export interface EntryStore {
  all(): Promise<Entry[]>;
  put(entry: Entry): Promise<void>;
  remove(key: string): Promise<void>;
}

export interface Refusal {
  entry: Entry;
  error: ApiError;
}

export class Outbox {
  pending: Entry[] = [];
  refusals: Refusal[] = [];
  private sending = false;
  private last = 0;

  constructor(
    private readonly store: EntryStore,
    private readonly api: Pick<Api, "post">,
    private readonly onChange: () => void,
    private readonly onAnswer: (entry: Entry, answer: unknown) => void,
  ) {}

  async open(): Promise<void> {
    this.pending = sorted(await this.store.all());
    this.last = Math.max(0, ...this.pending.map((entry) => entry.at));
    this.onChange();
  }

  /** Keep first, then send: a page that closes now has lost nothing. */
  async add(kind: Entry["kind"], path: string, body: Record<string, unknown>, nowMs: number): Promise<void> {
    this.last = Math.max(this.last + 1, nowMs);
    const entry: Entry = { key: newKey(), path, body, kind, at: this.last };
    const replaced = kind === "position" ? this.pending.filter((other) => other.path === path) : [];
    for (const old of replaced) await this.store.remove(old.key);
    await this.store.put(entry);
    this.pending = sorted([...this.pending.filter((other) => !replaced.includes(other)), entry]);
    this.onChange();
    await this.flush();
  }

  /** Send what waits, in order. Stops at the first temporary failure; what the server refuses for good is shown, not retried. */
  async flush(): Promise<void> {
    if (this.sending) return;
    this.sending = true;
    try {
      for (let entry = this.pending[0]; entry !== undefined; entry = this.pending[0]) {
        if (!(await this.deliver(entry))) return;
      }
    } finally {
      this.sending = false;
    }
  }

  dismiss(refusal: Refusal): void {
    this.refusals = this.refusals.filter((other) => other !== refusal);
    this.onChange();
  }

  private async deliver(entry: Entry): Promise<boolean> {
    try {
      const answer = await this.api.post<unknown>(entry.path, entry.body, entry.key);
      await this.forget(entry);
      this.onAnswer(entry, answer);
      return true;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.temporary || error.status === 401) return false; // after the login it is sent again
      await this.forget(entry);
      if (entry.kind === "status") this.refusals = [...this.refusals, { entry, error }];
      this.onChange();
      return true;
    }
  }

  private async forget(entry: Entry): Promise<void> {
    await this.store.remove(entry.key);
    this.pending = this.pending.filter((other) => other.key !== entry.key);
    this.onChange();
  }
}

function sorted(entries: Entry[]): Entry[] {
  const weight = (entry: Entry): number => (entry.kind === "status" ? 0 : 1);
  return [...entries].sort((a, b) => weight(a) - weight(b) || a.at - b.at);
}

const NAME = "citybrain-outbox";
const TABLE = "entries";

/** One database per user: on a shared phone nobody sends another's reports. */
export function indexedEntries(username: string): EntryStore {
  const opened = new Promise<IDBDatabase>((resolve, reject) => {
    const request = indexedDB.open(`${NAME}-${username}`, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(TABLE, { keyPath: "key" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("IndexedDB did not open"));
  });
  async function run<T>(mode: IDBTransactionMode, work: (table: IDBObjectStore) => IDBRequest<T>): Promise<T> {
    const database = await opened;
    return new Promise((resolve, reject) => {
      const transaction = database.transaction(TABLE, mode);
      const request = work(transaction.objectStore(TABLE));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onerror = transaction.onabort = () => reject(transaction.error ?? new Error("IndexedDB refused"));
    });
  }
  return {
    all: () => run<Entry[]>("readonly", (table) => table.getAll() as IDBRequest<Entry[]>),
    put: async (entry) => void (await run("readwrite", (table) => table.put(entry))),
    remove: async (key) => void (await run("readwrite", (table) => table.delete(key))),
  };
}
