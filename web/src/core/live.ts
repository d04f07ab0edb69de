/**
 * Client of `cb.live.v1.json` (docs/interfaces.md section 8, reference gis-live.md section 3).
 *
 * One socket, many subscriptions. A state channel gets a snapshot and then deltas; an event channel gets the open objects
 * and then numbered events. After a lost link each subscription asks to resume from its (epoch, seq); if the server cannot,
 * it says so and a fresh snapshot replaces the local state: never a partial picture without a word.
 *
 * Timers are machine time. A browser does not show protocol pings, so silence is judged here: no frame for
 * 2 x ping_s + 3 s means the link is dead, however open the socket looks.
 */

export type LinkState = "connecting" | "open" | "waiting" | "stopped";

export interface LinkInfo {
  state: LinkState;
  /** machine ms (monotonic) of the last frame of any kind */
  lastFrameMs: number;
  /** machine ms of the last news from the field: devices, units, alarms (our own counters and clock do not count) */
  lastDataMs: number;
  retryAtMs: number | null;
  reason: string;
}

/** What the store does with the stream. */
export interface Sink {
  /** All rows of a channel: replaces what was there. Rows of state channels come with their schema. */
  snapshot(ch: string, rows: unknown[], schema: string[] | null): void;
  delta(ch: string, up: unknown[], rm: string[], schema: string[] | null, t: number): void;
  event(ch: string, event: LiveEvent): void;
  note(code: string, textKey: string): void;
}

export interface LiveEvent {
  seq: number;
  t: number;
  kind: string;
  id: string;
  rev: number;
  data: unknown;
}

/** The part of WebSocket that we use; a test hands in its own. */
export interface SocketLike {
  onopen: ((event: Event) => void) | null;
  onmessage: ((event: MessageEvent) => void) | null;
  onclose: ((event: CloseEvent) => void) | null;
  onerror: ((event: Event) => void) | null;
  send(data: string): void;
  close(code?: number, reason?: string): void;
}

export interface LiveOptions {
  url: string;
  kind: "wall" | "console" | "phone";
  lang: string;
  sink: Sink;
  onLink(info: LinkInfo): void;
  /** Refused for good (not logged in any more): the page goes to the login. */
  onRefused(code: number, reason: string): void;
  open?: (url: string) => SocketLike;
  nowMs?: () => number;
  random?: () => number;
  setTimer?: (run: () => void, ms: number) => unknown;
  clearTimer?: (timer: unknown) => void;
}

interface Subscription {
  ch: string;
  id: string | null;
  request: number;
  epoch: string | null;
  seq: number;
  schema: string[] | null;
  /** pages of a snapshot that is still arriving; null when none is under way */
  pages: unknown[] | null;
}

type Message = Record<string, unknown> & { type: string };

export const SUBPROTOCOL = "cb.live.v1.json";
const RETRY_MIN_MS = 1_000;
const RETRY_MAX_MS = 30_000;
const CONNECT_TIMEOUT_MS = 10_000;
const DEFAULT_PING_S = 10;

/** Full jitter between 1 s and the doubling bound: a thousand screens must not come back in one second. */
export function retryDelayMs(attempt: number, random: number): number {
  const bound = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** attempt);
  return Math.round(RETRY_MIN_MS + random * (bound - RETRY_MIN_MS));
}

export class LiveClient {
  private socket: SocketLike | null = null;
  private readonly subscriptions = new Map<string, Subscription>();
  private readonly bySub = new Map<string, Subscription>();
  private requests = 0;
  private attempt = 0;
  private pingS = DEFAULT_PING_S;
  private silence: unknown = null;
  private retry: unknown = null;
  private retryHintMs: number | null = null;
  private link: LinkInfo;

  private readonly now: () => number;
  private readonly random: () => number;
  private readonly setTimer: (run: () => void, ms: number) => unknown;
  private readonly clearTimer: (timer: unknown) => void;

  constructor(private readonly options: LiveOptions) {
    this.now = options.nowMs ?? (() => performance.now());
    this.random = options.random ?? Math.random;
    this.setTimer = options.setTimer ?? ((run, ms) => setTimeout(run, ms));
    this.clearTimer = options.clearTimer ?? ((timer) => clearTimeout(timer as number));
    const now = this.now();
    this.link = { state: "connecting", lastFrameMs: now, lastDataMs: now, retryAtMs: null, reason: "" };
  }

  subscribe(ch: string): void {
    if (this.subscriptions.has(ch)) return;
    const sub: Subscription = { ch, id: null, request: 0, epoch: null, seq: 0, schema: null, pages: null };
    this.subscriptions.set(ch, sub);
    if (this.link.state === "open") this.request(sub);
  }

  start(): void {
    this.connect();
  }

  stop(): void {
    this.cancelTimers();
    this.setLink({ state: "stopped", retryAtMs: null });
    this.drop(1000, "stopped");
  }

  /** The network or the page came back: do not wait for the timer. */
  wake(): void {
    if (this.link.state !== "waiting") return;
    this.attempt = 0;
    this.connect();
  }

  private connect(): void {
    this.cancelTimers();
    this.drop(1000, "reconnect");
    this.setLink({ state: "connecting", retryAtMs: null });
    const open = this.options.open ?? ((url) => new WebSocket(url, SUBPROTOCOL));
    const socket = open(this.options.url);
    this.socket = socket;
    this.watchSilence(CONNECT_TIMEOUT_MS);
    socket.onopen = () => {
      if (socket !== this.socket) return;
      this.send({ type: "hello", client: { name: "citybrain-web", ver: "1", kind: this.options.kind }, lang: this.options.lang, feat: [] });
    };
    socket.onmessage = (event) => {
      if (socket === this.socket) this.frame(String(event.data));
    };
    socket.onclose = (event) => {
      if (socket === this.socket) this.lost(event.code, event.reason);
    };
    socket.onerror = () => undefined; // a close follows and carries the reason
  }

  private frame(text: string): void {
    this.link.lastFrameMs = this.now();
    this.watchSilence((2 * this.pingS + 3) * 1000);
    let parsed: unknown;
    try {
      parsed = JSON.parse(text);
    } catch (error) {
      if (error instanceof SyntaxError) return this.lost(3004, "unreadable frame");
      throw error;
    }
    for (const message of Array.isArray(parsed) ? parsed : [parsed]) this.message(message as Message);
  }

  private message(message: Message): void {
    switch (message.type) {
      case "welcome":
        return this.welcome(message);
      case "ok":
        return this.accepted(message);
      case "snap":
        return this.snap(message);
      case "delta":
        return this.delta(message);
      case "ev":
        return this.event(message);
      case "reset":
        return this.reset(message);
      case "ping":
        return this.send({ type: "pong", t: message["t"] ?? null });
      case "note":
        return this.options.sink.note(String(message["code"] ?? ""), String(message["text_key"] ?? ""));
      case "err":
        return this.options.sink.note(`err ${String(message["code"] ?? "")}`, String(message["msg"] ?? ""));
      case "bye":
        this.retryHintMs = typeof message["retry_ms"] === "number" && message["retry_ms"] > 0 ? message["retry_ms"] : null;
        return this.lost(Number(message["code"] ?? 3001), String(message["reason"] ?? ""));
      default:
        return; // a newer server may say more than we know
    }
  }

  private welcome(message: Message): void {
    if (typeof message["ping_s"] === "number") this.pingS = message["ping_s"];
    this.attempt = 0;
    this.setLink({ state: "open", reason: "", retryAtMs: null });
    this.bySub.clear();
    for (const sub of this.subscriptions.values()) this.request(sub);
  }

  private request(sub: Subscription): void {
    sub.id = null;
    sub.pages = null;
    sub.request = ++this.requests;
    const since = sub.epoch === null ? {} : { since: { epoch: sub.epoch, seq: sub.seq } };
    this.send({ type: "sub", i: sub.request, ch: sub.ch, ...since });
  }

  private accepted(message: Message): void {
    const sub = [...this.subscriptions.values()].find((candidate) => candidate.request === message["i"]);
    if (sub === undefined) return;
    sub.id = String(message["sub"]);
    this.bySub.set(sub.id, sub);
    if (Array.isArray(message["schema"])) sub.schema = message["schema"] as string[];
    sub.epoch = String(message["epoch"] ?? "");
    if (message["recovered"] !== true) sub.seq = Number(message["seq"] ?? 0);
  }

  private snap(message: Message): void {
    const sub = this.bySub.get(String(message["sub"]));
    if (sub === undefined) return;
    const rows = (message["rows"] as unknown[] | undefined) ?? [];
    sub.pages = sub.pages === null || message["part"] === 0 ? [...rows] : [...sub.pages, ...rows];
    if (message["more"] === true) return;
    this.data(sub.ch);
    sub.seq = Number(message["seq"] ?? sub.seq);
    this.options.sink.snapshot(sub.ch, sub.pages, sub.schema);
    sub.pages = null;
  }

  private delta(message: Message): void {
    const sub = this.bySub.get(String(message["sub"]));
    if (sub === undefined) return;
    this.data(sub.ch);
    sub.seq = Math.max(sub.seq, Number(message["seq"] ?? 0));
    const up = (message["up"] as unknown[] | undefined) ?? [];
    const rm = ((message["rm"] as unknown[] | undefined) ?? []).map(String);
    this.options.sink.delta(sub.ch, up, rm, sub.schema, Number(message["t"] ?? 0));
  }

  private event(message: Message): void {
    const ch = String(message["ch"]);
    const sub = this.subscriptions.get(ch);
    const seq = Number(message["seq"] ?? 0);
    // An event from before our snapshot is in it already. Equal is applied: the same fact twice is harmless.
    if (sub === undefined || seq < sub.seq) return;
    this.data(ch);
    sub.seq = seq;
    this.options.sink.event(ch, {
      seq,
      t: Number(message["t"] ?? 0),
      kind: String(message["kind"] ?? ""),
      id: String(message["id"] ?? ""),
      rev: Number(message["rev"] ?? 0),
      data: message["data"],
    });
  }

  private reset(message: Message): void {
    const sub = this.bySub.get(String(message["sub"]));
    if (sub === undefined) return;
    sub.pages = [];
    sub.seq = 0; // the snapshot that follows carries the new position; old rows stay on screen until it is whole
  }

  private data(ch: string): void {
    if (ch.startsWith("obj/") || ch === "alarm") this.link.lastDataMs = this.now();
  }

  private lost(code: number, reason: string): void {
    this.cancelTimers();
    this.drop(1000, "lost");
    if (code >= 3500 && code < 4000) {
      this.setLink({ state: "stopped", reason: `${code} ${reason}` });
      this.options.onRefused(code, reason);
      return;
    }
    const wait = this.retryHintMs ?? retryDelayMs(this.attempt, this.random());
    this.retryHintMs = null;
    this.attempt += 1;
    this.setLink({ state: "waiting", retryAtMs: this.now() + wait, reason: `${code} ${reason}`.trim() });
    this.retry = this.setTimer(() => this.connect(), wait);
  }

  private watchSilence(ms: number): void {
    if (this.silence !== null) this.clearTimer(this.silence);
    this.silence = this.setTimer(() => this.lost(3012, "silence"), ms);
  }

  private cancelTimers(): void {
    if (this.silence !== null) this.clearTimer(this.silence);
    if (this.retry !== null) this.clearTimer(this.retry);
    this.silence = this.retry = null;
  }

  private drop(code: number, reason: string): void {
    const socket = this.socket;
    this.socket = null;
    if (socket === null) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(code, reason);
  }

  private send(message: Record<string, unknown>): void {
    this.socket?.send(JSON.stringify([message]));
  }

  private setLink(change: Partial<LinkInfo>): void {
    this.link = { ...this.link, ...change };
    this.options.onLink(this.link);
  }

  /** The link as it is now, with the newest frame times. */
  info(): LinkInfo {
    return this.link;
  }
}
