/**
 * The picture in the browser: what the live feed said, and nothing that the server does not know.
 *
 * State rows are compact arrays named by their channel's schema; a row with a lower `ver` than ours is old news. Events carry
 * whole objects and are applied by `rev` or `n`. Listeners are told once per animation frame, not once per row.
 */

import { text } from "./i18n";
import type { Key, Lang } from "./i18n";
import type { LiveEvent, Sink } from "./live";
import type { Alarm, ClosureRow, Colour, DeviceRow, Incident, StateRow, Task, TyphoonRow, UnitRow } from "./types";

export type Topic = "devices" | "units" | "closures" | "typhoons" | "board" | "alarms" | "incidents" | "tasks" | "ticker" | "notes";

export interface TickerItem {
  key: string;
  t_us: number;
  kind: "alarm" | "incident" | "task" | "sys";
  colour: string;
  zh: string;
  en: string;
}

/** A system note of the channel `sys`. The server may send its own words; else we have some for the known kinds. */
interface SysNote {
  id?: string;
  kind?: string;
  active?: boolean;
  text_zh?: string;
  text_en?: string;
  zh?: string;
  en?: string;
  name?: string;
}

/** A new or worse alarm came in as an event (not by a snapshot): the moment for a sound. */
export type AlarmListener = (alarm: Alarm, kind: string) => void;
export type TaskListener = (task: Task, kind: string, isNew: boolean) => void;

const STATE_TOPICS: Record<string, Topic> = {
  "obj/device": "devices",
  "obj/unit": "units",
  "obj/closure": "closures",
  "obj/typhoon": "typhoons",
  "kpi/board": "board",
};
const TICKER_MAX = 60;
const TRAIL_MAX = 80;
const CLOSED_KEPT = 200;
const CLEARED_SHOWN_MS = 60_000;
const RANK: Record<string, number> = { "": 0, blue: 1, yellow: 2, orange: 3, red: 4 };

/** Internal order of the colours; never shown. */
export const rank = (colour: string): number => RANK[colour] ?? 0;

/** A compact row as an object. Rows that come as objects already are taken as they are. Null when it has no id. */
export function namedRow(row: unknown, schema: string[] | null): StateRow | null {
  if (!Array.isArray(row)) {
    const object = row as StateRow | null;
    return object !== null && typeof object === "object" && typeof object.id === "string" ? object : null;
  }
  if (schema === null) return null;
  const named: Record<string, unknown> = {};
  schema.forEach((column, index) => {
    named[column] = row[index];
  });
  return typeof named["id"] === "string" ? (named as StateRow) : null;
}

export class Store implements Sink {
  readonly devices = new Map<string, DeviceRow>();
  readonly units = new Map<string, UnitRow>();
  readonly closures = new Map<string, ClosureRow>();
  readonly typhoons = new Map<string, TyphoonRow>();
  readonly board = new Map<string, StateRow>();
  readonly alarms = new Map<string, Alarm>();
  readonly incidents = new Map<string, Incident>();
  readonly tasks = new Map<string, Task>();
  readonly trails = new Map<string, [number, number][]>();
  readonly ticker: TickerItem[] = [];
  /** active system notes by id, as text in the page's language */
  readonly banners = new Map<string, string>();
  onAlarm: AlarmListener | null = null;
  onTask: TaskListener | null = null;

  private readonly clearedMs = new Map<string, number>();
  private readonly listeners = new Map<Topic, Set<() => void>>();
  private readonly dirty = new Set<Topic>();
  private scheduled = false;

  constructor(
    private readonly lang: Lang = "zh",
    private readonly schedule: (run: () => void) => void = nextFrame,
  ) {}

  listen(topics: readonly Topic[], run: () => void): () => void {
    for (const topic of topics) {
      const set = this.listeners.get(topic) ?? new Set();
      set.add(run);
      this.listeners.set(topic, set);
    }
    return () => {
      for (const topic of topics) this.listeners.get(topic)?.delete(run);
    };
  }

  snapshot(ch: string, rows: unknown[], schema: string[] | null): void {
    const topic = STATE_TOPICS[ch];
    if (topic !== undefined) {
      const target = this.stateMap(topic);
      target.clear();
      for (const row of rows) this.put(topic, target, namedRow(row, schema));
      this.touch(topic);
    } else if (ch === "alarm") {
      replace(this.alarms, rows as Alarm[], (alarm) => alarm.alarm_id);
      this.recall((rows as Alarm[]).map((alarm) => ({ key: `past:${alarm.alarm_id}`, t_us: alarm.raised_us, kind: "alarm", colour: alarm.colour, zh: alarm.title_zh, en: alarm.title_en })));
      this.touch("alarms");
    } else if (ch === "incident") {
      replace(this.incidents, rows as Incident[], (incident) => incident.incident_id);
      this.recall((rows as Incident[]).flatMap(pastOf));
      this.touch("incidents");
    } else if (ch === "task") {
      replace(this.tasks, rows as Task[], (task) => task.task_id);
      this.touch("tasks");
    } else if (ch === "sys") {
      this.banners.clear();
      for (const row of rows as SysNote[]) this.putNote(row.id ?? row.kind ?? "", row.kind ?? "", row);
      this.touch("notes");
    }
  }

  delta(ch: string, up: unknown[], rm: string[], schema: string[] | null, _t = 0): void {
    const topic = STATE_TOPICS[ch];
    if (topic === undefined) return;
    const target = this.stateMap(topic);
    for (const row of up) this.put(topic, target, namedRow(row, schema));
    for (const id of rm) {
      target.delete(id);
      if (topic === "units") this.trails.delete(id);
    }
    this.touch(topic);
  }

  event(ch: string, event: LiveEvent): void {
    if (ch === "alarm") this.alarmEvent(event);
    else if (ch === "incident") this.incidentEvent(event);
    else if (ch === "task") this.taskEvent(event);
    else if (ch === "sys") this.sysEvent(event);
  }

  note(code: string, key: string): void {
    console.warn(`live feed: ${code} ${key}`);
  }

  /** What a write over HTTP answered: shown at once, the event that follows says the same. */
  putTask(task: Task): void {
    const known = this.tasks.get(task.task_id);
    if (known !== undefined && known.rev > task.rev) return;
    this.tasks.set(task.task_id, task);
    this.touch("tasks");
  }

  putIncident(incident: Incident): void {
    const known = this.incidents.get(incident.incident_id);
    if (known !== undefined && known.rev > incident.rev) return;
    this.incidents.set(incident.incident_id, incident);
    this.touch("incidents");
  }

  /** Alarms the desk must look at: firing, and for a minute those that cleared. Worst first, then unacknowledged, then newest. */
  queue(nowMs: number = Date.now()): Alarm[] {
    const recent = (alarm: Alarm): boolean => nowMs - (this.clearedMs.get(alarm.alarm_id) ?? 0) < CLEARED_SHOWN_MS;
    return [...this.alarms.values()]
      .filter((alarm) => alarm.state === "firing" || recent(alarm))
      .sort((a, b) => urgency(b) - urgency(a) || b.raised_us - a.raised_us);
  }

  highest(): Colour | "" {
    let worst: Colour | "" = "";
    for (const alarm of this.alarms.values()) {
      if (alarm.state === "firing" && rank(alarm.colour) > rank(worst)) worst = alarm.colour as Colour;
    }
    return worst;
  }

  private alarmEvent(event: LiveEvent): void {
    const alarm = event.data as Alarm;
    const known = this.alarms.get(alarm.alarm_id);
    if (known !== undefined && known.n > alarm.n) return;
    this.alarms.set(alarm.alarm_id, alarm);
    if (alarm.state === "cleared" && known?.state === "firing") this.clearedMs.set(alarm.alarm_id, Date.now());
    for (const id of this.clearedMs.keys()) if (!this.alarms.has(id)) this.clearedMs.delete(id);
    trim(this.alarms, (candidate) => candidate.state === "cleared");
    this.touch("alarms");
    if (["raised", "level_up", "cleared", "no_data_on", "late_exceedance", "member"].includes(event.kind)) {
      this.tick(event, "alarm", alarm.colour || alarm.peak_colour, alarm.alarm_id, alarm.title_zh, alarm.title_en);
    }
    this.onAlarm?.(alarm, event.kind);
  }

  private incidentEvent(event: LiveEvent): void {
    const incident = event.data as Incident;
    const known = this.incidents.get(incident.incident_id);
    if (known !== undefined && known.rev > incident.rev) return;
    this.incidents.set(incident.incident_id, incident);
    this.touch("incidents");
    const last = incident.timeline.at(-1);
    if (last !== undefined && (known === undefined || known.state !== incident.state)) {
      const zh = `${incident.title_zh} · ${last.text_zh}`;
      this.tick(event, "incident", incident.colour, incident.incident_id, zh, `${incident.title_en} · ${last.text_en}`);
    }
  }

  private taskEvent(event: LiveEvent): void {
    if (event.kind === "removed") {
      this.tasks.delete(event.id); // it went to another unit: no longer ours to see
      return this.touch("tasks");
    }
    const task = event.data as Task;
    const known = this.tasks.get(task.task_id);
    if (known !== undefined && known.rev > task.rev) return;
    this.tasks.set(task.task_id, task);
    trim(this.tasks, (candidate) => candidate.state === "CLOSED");
    this.touch("tasks");
    if (known?.state !== task.state && task.state !== "DRAFT") {
      const unit = task.unit_name === "" ? "" : `${task.unit_name} · `;
      this.tick(event, "task", "", task.task_id, `${unit}${task.title_zh} · ${stateWord("zh", task)}`, `${unit}${task.title_en} · ${stateWord("en", task)}`);
    }
    this.onTask?.(task, event.kind, known === undefined);
  }

  private sysEvent(event: LiveEvent): void {
    const data = (event.data ?? {}) as SysNote;
    this.putNote(event.id, event.kind, data);
    const [zh, en] = noteWords(event.kind, data);
    if (data.active !== false && event.kind !== "removed") this.tick(event, "sys", "", event.id, zh, en);
    this.touch("notes");
  }

  private putNote(id: string, kind: string, data: SysNote): void {
    const [zh, en] = noteWords(kind, data);
    if (data.active === false || kind === "removed") this.banners.delete(id);
    else this.banners.set(id, this.lang === "zh" ? zh : en);
  }

  private tick(event: LiveEvent, kind: TickerItem["kind"], colour: string, id: string, zh: string, en: string): void {
    this.ticker.unshift({ key: `${kind}:${event.seq}:${id}`, t_us: event.t, kind, colour, zh, en });
    this.ticker.length = Math.min(this.ticker.length, TICKER_MAX);
    this.touch("ticker");
  }

  /** A page that was just opened shows what happened before it came: from the snapshots, without repeating itself. */
  private recall(items: TickerItem[]): void {
    const known = new Set(this.ticker.map((item) => item.key));
    this.ticker.push(...items.filter((item) => !known.has(item.key)));
    this.ticker.sort((a, b) => b.t_us - a.t_us);
    this.ticker.length = Math.min(this.ticker.length, TICKER_MAX);
    this.touch("ticker");
  }

  private stateMap(topic: Topic): Map<string, StateRow> {
    const maps: Partial<Record<Topic, Map<string, StateRow>>> = {
      devices: this.devices,
      units: this.units,
      closures: this.closures,
      typhoons: this.typhoons,
      board: this.board,
    };
    return maps[topic] as Map<string, StateRow>;
  }

  private put(topic: Topic, target: Map<string, StateRow>, row: StateRow | null): void {
    if (row === null) return;
    const known = target.get(row.id);
    if (known !== undefined && known.ver > row.ver) return;
    target.set(row.id, row);
    if (topic === "units") this.extendTrail(row as UnitRow);
  }

  private extendTrail(unit: UnitRow): void {
    const trail = this.trails.get(unit.id) ?? [];
    const point: [number, number] = [unit.lon_e6 / 1e6, unit.lat_e6 / 1e6];
    const last = trail.at(-1);
    if (last !== undefined && last[0] === point[0] && last[1] === point[1]) return;
    trail.push(point);
    if (trail.length > TRAIL_MAX) trail.shift();
    this.trails.set(unit.id, trail);
  }

  private touch(topic: Topic): void {
    this.dirty.add(topic);
    if (this.scheduled) return;
    this.scheduled = true;
    this.schedule(() => {
      this.scheduled = false;
      const runs = new Set<() => void>();
      for (const dirty of this.dirty) for (const run of this.listeners.get(dirty) ?? []) runs.add(run);
      this.dirty.clear();
      for (const run of runs) run();
    });
  }
}

const stateWord = (lang: Lang, task: Task): string => (lang === "zh" && task.state_zh !== "" ? task.state_zh : text(lang, `taskState.${task.state}` as Key));

function pastOf(incident: Incident): TickerItem[] {
  return incident.timeline.slice(-4).map((entry) => ({
    key: `past:${incident.incident_id}:${entry.at_us}:${entry.kind}`,
    t_us: entry.at_us,
    kind: "incident",
    colour: "",
    zh: entry.text_zh,
    en: entry.text_en,
  }));
}

const KNOWN_NOTES: Record<string, Key> = {
  child_down: "sys.child_down",
  clock_behind: "sys.clock_behind",
  broker_drop: "sys.broker_drop",
  database_down: "sys.database_down",
};

function noteWords(kind: string, data: SysNote): [string, string] {
  const facts = { x: data.name ?? data.id ?? kind };
  const key = KNOWN_NOTES[kind] ?? "sys.other";
  return [data.text_zh ?? data.zh ?? text("zh", key, facts), data.text_en ?? data.en ?? text("en", key, facts)];
}

function urgency(alarm: Alarm): number {
  const firing = alarm.state === "firing" ? 100 : 0;
  return firing + rank(alarm.colour || alarm.peak_colour) * 10 + (alarm.acked === null ? 5 : 0);
}

function replace<T>(target: Map<string, T>, rows: T[], key: (row: T) => string): void {
  target.clear();
  for (const row of rows) target.set(key(row), row);
}

/** Keeps the newest finished objects for the panels and lets the older ones go: a wall runs for months. */
function trim<T>(target: Map<string, T>, finished: (row: T) => boolean): void {
  const done = [...target].filter(([, row]) => finished(row));
  for (const [key] of done.slice(0, Math.max(0, done.length - CLOSED_KEPT))) target.delete(key);
}

/** Once per frame; a hidden page gets no frames, so a timer stands in. */
function nextFrame(run: () => void): void {
  if (document.visibilityState === "visible") requestAnimationFrame(run);
  else setTimeout(run, 250);
}
