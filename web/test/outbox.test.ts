import { describe, expect, it } from "vitest";
import { ApiError } from "../src/core/api";
import { Outbox } from "../src/field/outbox";
import type { Entry, EntryStore } from "../src/field/outbox";
import { assumedState } from "../src/field/steps";

class Shelf implements EntryStore {
  readonly rows = new Map<string, Entry>();
  all = async (): Promise<Entry[]> => [...this.rows.values()];
  put = async (entry: Entry): Promise<void> => void this.rows.set(entry.key, entry);
  remove = async (key: string): Promise<void> => void this.rows.delete(key);
}

/** A server that remembers keys, as ours does: the same key twice is one report. */
class Server {
  down: number | null = null;
  refuse = new Map<string, number>();
  readonly effects = new Map<string, string>();
  calls = 0;
  loseAnswer = false;
  post = async <T>(path: string, _body: unknown, key = ""): Promise<T> => {
    this.calls += 1;
    if (this.down !== null) throw new ApiError(this.down, { status: this.down });
    const refusal = this.refuse.get(path);
    if (refusal !== undefined) throw new ApiError(refusal, { status: refusal, detail: "is CLOSED" });
    this.effects.set(key, path);
    if (this.loseAnswer) {
      this.loseAnswer = false;
      throw new ApiError(0, { status: 0 });
    }
    return {} as T;
  };
}

function make(shelf = new Shelf(), server = new Server()): { box: Outbox; shelf: Shelf; server: Server } {
  return { box: new Outbox(shelf, server, () => undefined, () => undefined), shelf, server };
}

const ACCEPT = "/api/v1/tasks/T1/accept";
const DEPART = "/api/v1/tasks/T1/depart";
const POSITION = "/api/v1/units/u/position";

describe("the outbox", () => {
  it("keeps reports while the network is away, survives a closed page, and sends them once and in order", async () => {
    const { box, shelf, server } = make();
    server.down = 0;
    await box.add("status", ACCEPT, {}, 1);
    await box.add("status", DEPART, {}, 2);
    expect(box.pending.length).toBe(2);
    const again = make(shelf, server).box;
    await again.open();
    server.down = null;
    await again.flush();
    await again.flush();
    expect([...server.effects.values()]).toEqual([ACCEPT, DEPART]);
    expect(shelf.rows.size).toBe(0);
  });

  it("a lost answer is repeated under the same key: one effect", async () => {
    const { box, server } = make();
    server.loseAnswer = true;
    await box.add("status", ACCEPT, {}, 1);
    expect(box.pending.length).toBe(1);
    await box.flush();
    expect(server.calls).toBe(2);
    expect(server.effects.size).toBe(1);
  });

  it("status goes before positions, and only the newest position waits", async () => {
    const { box, server } = make();
    server.down = 503;
    for (const at of [1, 2, 3]) await box.add("position", POSITION, { at }, at);
    await box.add("status", ACCEPT, {}, 4);
    expect(box.pending.map((entry) => entry.path)).toEqual([ACCEPT, POSITION]);
    expect(box.pending[1]?.body).toEqual({ at: 3 });
  });

  it("what the server refuses for good is shown and does not block the rest", async () => {
    const { box, server } = make();
    server.refuse.set(ACCEPT, 409);
    await box.add("status", ACCEPT, {}, 1);
    await box.add("status", DEPART, {}, 2);
    expect([...server.effects.values()]).toEqual([DEPART]);
    expect(box.refusals.map((refusal) => refusal.error.status)).toEqual([409]);
    expect(box.pending).toEqual([]);
  });

  it("an ended login keeps the reports for after the next one", async () => {
    const { box, server } = make();
    server.down = 401;
    await box.add("status", ACCEPT, {}, 1);
    expect(box.pending.length).toBe(1);
  });

  it("two reports in one millisecond keep their order", async () => {
    const { box, server } = make();
    server.down = 0;
    await box.add("status", ACCEPT, {}, 5);
    await box.add("status", DEPART, {}, 5);
    expect(box.pending.map((entry) => entry.path)).toEqual([ACCEPT, DEPART]);
  });
});

describe("the state that the phone assumes", () => {
  it("follows the reports that wait, of this task only", () => {
    expect(assumedState("T1", "ISSUED", [{ path: ACCEPT }, { path: DEPART }])).toBe("EN_ROUTE");
    expect(assumedState("T2", "ISSUED", [{ path: ACCEPT }])).toBe("ISSUED");
    expect(assumedState("T1", "ISSUED", [{ path: "/api/v1/tasks/T1/deliver" }, { path: POSITION }])).toBe("ISSUED");
  });
});
