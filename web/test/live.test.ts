import { beforeEach, describe, expect, it } from "vitest";
import { LiveClient, retryDelayMs } from "../src/core/live";
import type { LinkInfo, LiveEvent, Sink, SocketLike } from "../src/core/live";

class FakeSocket implements SocketLike {
  onopen: ((event: Event) => void) | null = null;
  onmessage: ((event: MessageEvent) => void) | null = null;
  onclose: ((event: CloseEvent) => void) | null = null;
  onerror: ((event: Event) => void) | null = null;
  sent: Record<string, unknown>[] = [];
  closed = false;
  send(data: string): void {
    this.sent.push(...(JSON.parse(data) as Record<string, unknown>[]));
  }
  close(): void {
    this.closed = true;
  }
  open(): void {
    this.onopen?.({} as Event);
  }
  say(...messages: object[]): void {
    this.onmessage?.({ data: JSON.stringify(messages) } as MessageEvent);
  }
  drop(code = 1006): void {
    this.onclose?.({ code, reason: "" } as CloseEvent);
  }
  subs(): Record<string, unknown>[] {
    return this.sent.filter((message) => message["type"] === "sub");
  }
}

class Recorder implements Sink {
  log: unknown[] = [];
  snapshot(ch: string, rows: unknown[], schema: string[] | null): void {
    this.log.push(["snap", ch, rows, schema]);
  }
  delta(ch: string, up: unknown[], rm: string[]): void {
    this.log.push(["delta", ch, up, rm]);
  }
  event(ch: string, event: LiveEvent): void {
    this.log.push(["ev", ch, event.seq, event.kind]);
  }
  note(code: string): void {
    this.log.push(["note", code]);
  }
}

let now = 0;
let timers: { run: () => void; at: number; id: number }[] = [];
let sockets: FakeSocket[] = [];
let links: LinkInfo[] = [];
let refused: number[] = [];
let sink = new Recorder();

function elapse(ms: number): void {
  const until = now + ms;
  for (;;) {
    const due = timers.filter((timer) => timer.at <= until).sort((a, b) => a.at - b.at)[0];
    if (due === undefined) break;
    now = due.at;
    timers = timers.filter((timer) => timer !== due);
    due.run();
  }
  now = until;
}

function client(...channels: string[]): LiveClient {
  let ids = 0;
  const made = new LiveClient({
    url: "ws://test",
    kind: "wall",
    lang: "zh",
    sink,
    onLink: (link) => links.push({ ...link }),
    onRefused: (code) => refused.push(code),
    open: () => {
      const socket = new FakeSocket();
      sockets.push(socket);
      return socket;
    },
    nowMs: () => now,
    random: () => 0.5,
    setTimer: (run, ms) => {
      ids += 1;
      timers.push({ run, at: now + ms, id: ids });
      return ids;
    },
    clearTimer: (id) => {
      timers = timers.filter((timer) => timer.id !== id);
    },
  });
  for (const ch of channels) made.subscribe(ch);
  made.start();
  return made;
}

const last = (): FakeSocket => sockets.at(-1) as FakeSocket;

/** Handshake up to an open link with one subscription that has its snapshot. */
function connected(ch: string, seq = 10, rows: unknown[] = []): FakeSocket {
  const socket = last();
  socket.open();
  socket.say({ type: "welcome", ping_s: 10, time: 0 });
  const request = socket.subs().find((sub) => sub["ch"] === ch);
  socket.say({ type: "ok", i: request?.["i"], sub: 7, epoch: "e1", seq, recovered: false, schema: ["id", "ver"] });
  socket.say({ type: "snap", sub: 7, seq, part: 0, more: false, rows });
  return socket;
}

beforeEach(() => {
  now = 0;
  timers = [];
  sockets = [];
  links = [];
  refused = [];
  sink = new Recorder();
});

describe("the live client", () => {
  it("says hello without a token, subscribes after welcome, and hands over the snapshot with its schema", () => {
    client("obj/device");
    const socket = connected("obj/device", 10, [["d1", 1]]);
    expect(socket.sent[0]).toMatchObject({ type: "hello", client: { kind: "wall" } });
    expect(socket.sent[0]).not.toHaveProperty("token");
    expect(socket.subs()).toEqual([{ type: "sub", i: 1, ch: "obj/device" }]);
    expect(sink.log).toEqual([["snap", "obj/device", [["d1", 1]], ["id", "ver"]]]);
  });

  it("puts the pages of a snapshot together before it shows them", () => {
    client("obj/device");
    const socket = last();
    socket.open();
    socket.say({ type: "welcome", ping_s: 10 }, { type: "ok", i: 1, sub: 7, epoch: "e1", seq: 5, recovered: false, schema: ["id"] });
    socket.say({ type: "snap", sub: 7, seq: 5, part: 0, more: true, rows: [["a"]] });
    expect(sink.log).toEqual([]);
    socket.say({ type: "snap", sub: 7, seq: 5, part: 1, more: false, rows: [["b"]] });
    expect(sink.log).toEqual([["snap", "obj/device", [["a"], ["b"]], ["id"]]]);
  });

  it("resumes with its epoch and the newest sequence after the link broke", () => {
    client("alarm");
    connected("alarm").say({ type: "ev", ch: "alarm", seq: 14, t: 1, kind: "raised", id: "x", rev: 1, data: {} });
    last().drop();
    elapse(30_000);
    const again = last();
    again.open();
    again.say({ type: "welcome", ping_s: 10 });
    expect(again.subs()[0]).toMatchObject({ ch: "alarm", since: { epoch: "e1", seq: 14 } });
    again.say({ type: "ok", i: again.subs()[0]?.["i"], sub: 1, epoch: "e1", seq: 20, recovered: true });
    again.say({ type: "ev", ch: "alarm", seq: 16, t: 1, kind: "ack", id: "x", rev: 1, data: {} });
    expect(sink.log.at(-1)).toEqual(["ev", "alarm", 16, "ack"]);
  });

  it("keeps the old picture through a reset until the new snapshot is whole", () => {
    client("alarm");
    const socket = connected("alarm");
    const before = sink.log.length;
    socket.say({ type: "reset", sub: 7, why: "gap" });
    expect(sink.log.length).toBe(before);
    socket.say({ type: "snap", sub: 7, seq: 3, part: 0, more: false, rows: [{ alarm_id: "b" }] });
    expect(sink.log.at(-1)).toEqual(["snap", "alarm", [{ alarm_id: "b" }], ["id", "ver"]]);
    socket.say({ type: "ev", ch: "alarm", seq: 4, t: 1, kind: "raised", id: "x", rev: 1, data: {} });
    expect(sink.log.at(-1)).toEqual(["ev", "alarm", 4, "raised"]);
  });

  it("drops an event from before its snapshot", () => {
    client("alarm");
    const socket = connected("alarm", 10);
    socket.say({ type: "ev", ch: "alarm", seq: 9, t: 1, kind: "raised", id: "x", rev: 1, data: {} });
    expect(sink.log.filter((entry) => (entry as string[])[0] === "ev")).toEqual([]);
  });

  it("judges a silent socket dead by its own timer", () => {
    client("alarm");
    const socket = connected("alarm");
    elapse(22_000);
    expect(links.at(-1)?.state).toBe("open");
    elapse(1_500);
    expect(links.at(-1)?.state).toBe("waiting");
    expect(socket.closed).toBe(true);
  });

  it("gives up on a socket that never opens", () => {
    client("alarm");
    elapse(10_000);
    expect(links.at(-1)?.state).toBe("waiting");
  });

  it("answers a ping, and a ping is no news from the field", () => {
    const made = client("obj/device");
    const socket = connected("obj/device");
    const dataMs = made.info().lastDataMs;
    elapse(5_000);
    socket.say({ type: "ping", t: 4 });
    expect(socket.sent.at(-1)).toEqual({ type: "pong", t: 4 });
    expect(made.info().lastDataMs).toBe(dataMs);
    expect(made.info().lastFrameMs).toBe(5_000);
  });

  it("waits as long as a draining server asks", () => {
    client("alarm");
    connected("alarm").say({ type: "bye", code: 3001, reason: "shutdown", retry_ms: 17_000 });
    elapse(16_999);
    expect(sockets.length).toBe(1);
    elapse(1);
    expect(sockets.length).toBe(2);
  });

  it("stops for good when it is refused", () => {
    client("alarm");
    connected("alarm").say({ type: "bye", code: 3500, reason: "bad token" });
    elapse(120_000);
    expect(refused).toEqual([3500]);
    expect(sockets.length).toBe(1);
    expect(links.at(-1)?.state).toBe("stopped");
  });

  it("treats an unreadable frame as a broken link", () => {
    client("alarm");
    last().open();
    last().onmessage?.({ data: "[{" } as MessageEvent);
    expect(links.at(-1)?.state).toBe("waiting");
  });

  it("comes back at once when the network does", () => {
    const made = client("alarm");
    connected("alarm");
    last().drop();
    made.wake();
    expect(sockets.length).toBe(2);
  });

  it("spreads its retries between 1 s and 30 s", () => {
    for (let attempt = 0; attempt < 12; attempt += 1) {
      for (const random of [0, 0.3, 1]) {
        const wait = retryDelayMs(attempt, random);
        expect(wait).toBeGreaterThanOrEqual(1_000);
        expect(wait).toBeLessThanOrEqual(30_000);
      }
    }
    expect(retryDelayMs(10, 1)).toBe(30_000);
  });
});
