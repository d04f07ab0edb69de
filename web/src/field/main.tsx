import { render } from "preact";
import { useEffect, useMemo, useReducer, useRef, useState } from "preact/hooks";
import "../core/base.css";
import "./field.css";
import { useTick, useTopics } from "../core/hooks";
import { explain, lang, own, switchLang, t, word } from "../core/i18n";
import type { LinkInfo } from "../core/live";
import { start, toLogin } from "../core/session";
import type { Session } from "../core/session";
import { Sound } from "../core/sound";
import { hms, span } from "../core/time";
import type { RouteAnswer, Task } from "../core/types";
import { MapAdapter } from "../map/adapter";
import { LIGHT } from "../map/theme";
import { Outbox, indexedEntries } from "./outbox";
import { NEW_STATES, NEXT, SHOWN_STATES, assumedState, urgencyOf } from "./steps";
import type { Act } from "./steps";

const CHANNELS = ["task", "obj/unit", "obj/closure", "sys"];
const FLUSH_MS = 10_000;
const MOVING_REPORT_MS = 10_000;
const STILL_REPORT_MS = 60_000;
const POLL_MS = 20_000;

interface Fix {
  lon: number;
  lat: number;
  heading: number | null;
  speed: number | null;
  atMs: number;
}

/** A phone that stands still says NaN. */
const finite = (value: number | null): number | null => (value !== null && Number.isFinite(value) ? value : null);

class Field {
  readonly outbox: Outbox;
  fix: Fix | null = null;
  reportedMs: number | null = null;
  tracking = false;
  positionProblem = "";
  private watch: number | null = null;
  private readonly delivered = new Set<string>();
  private readonly listeners = new Set<() => void>();

  constructor(
    readonly session: Session,
    readonly sound: Sound,
  ) {
    this.outbox = new Outbox(indexedEntries(session.user.username), session.api, () => this.changed(), (entry, answer) => {
      if (entry.kind === "status" && answer !== null && typeof answer === "object" && "task_id" in answer) session.store.putTask(answer as Task);
      if (entry.kind === "position") this.reportedMs = Date.now();
      this.changed();
    });
    session.store.onTask = (task, _kind, isNew) => {
      if (NEW_STATES.includes(task.state) && (isNew || task.state === "ISSUED")) this.ring();
    };
    session.store.listen(["tasks"], () => this.confirmDelivery());
  }

  get unitId(): string {
    return this.session.user.unit_id || this.session.user.username;
  }

  listen(run: () => void): () => void {
    this.listeners.add(run);
    return () => this.listeners.delete(run);
  }

  changed(): void {
    for (const run of this.listeners) run();
  }

  tasks(): Task[] {
    return [...this.session.store.tasks.values()]
      .filter((task) => task.unit_id === this.unitId && SHOWN_STATES.includes(task.state))
      .sort((a, b) => urgencyOf(a.state) - urgencyOf(b.state) || b.changed_us - a.changed_us);
  }

  act(task: Task, act: Act, comment = ""): void {
    const body: Record<string, unknown> = { device_time: new Date(this.session.clock.nowUs() / 1000).toISOString() };
    if (comment !== "") body["comment"] = comment;
    if (this.fix !== null) Object.assign(body, { lon: this.fix.lon, lat: this.fix.lat });
    void this.outbox.add("status", `/api/v1/tasks/${encodeURIComponent(task.task_id)}/${act}`, body, Date.now());
  }

  report(lon: number, lat: number, heading: number | null = null, speed: number | null = null): void {
    const body: Record<string, unknown> = { lon, lat, ts: Math.round(this.session.clock.nowUs() / 1000) };
    if (heading !== null) body["heading"] = heading;
    if (speed !== null) body["speed_ms"] = speed;
    void this.outbox.add("position", `/api/v1/units/${encodeURIComponent(this.unitId)}/position`, body, Date.now());
  }

  /** Positions go up by themselves while this is on: often when moving, seldom when standing. */
  setTracking(on: boolean): void {
    this.tracking = on;
    if (this.watch !== null) navigator.geolocation.clearWatch(this.watch);
    this.watch = null;
    if (on && "geolocation" in navigator) {
      this.watch = navigator.geolocation.watchPosition(
        (position) => this.onFix(position),
        (error) => {
          this.positionProblem = error.message;
          this.changed();
        },
        { enableHighAccuracy: true, maximumAge: 5_000, timeout: 30_000 },
      );
    }
    this.changed();
  }

  private onFix(position: GeolocationPosition): void {
    const { longitude, latitude, heading, speed } = position.coords;
    this.fix = { lon: longitude, lat: latitude, heading: finite(heading), speed: finite(speed), atMs: Date.now() };
    this.positionProblem = "";
    const wait = (speed ?? 0) > 1 ? MOVING_REPORT_MS : STILL_REPORT_MS;
    if (this.reportedMs === null || Date.now() - this.reportedMs >= wait) {
      this.reportedMs = Date.now();
      this.report(longitude, latitude, finite(heading), finite(speed));
    }
    this.changed();
  }

  /** The task is on this screen: that is what "delivered" means. */
  private confirmDelivery(): void {
    for (const task of this.tasks()) {
      if (task.state !== "ISSUED" || this.delivered.has(task.task_id)) continue;
      this.delivered.add(task.task_id);
      this.act(task, "deliver");
    }
  }

  private ring(): void {
    this.sound.play("task");
    navigator.vibrate?.([300, 120, 300, 120, 600]);
  }
}

function useField(field: Field): void {
  const [, again] = useReducer((count: number) => count + 1, 0);
  useEffect(() => field.listen(() => again(undefined as never)), [field]);
}

function App({ field, link }: { field: Field; link: LinkInfo }) {
  const { session } = field;
  useTopics(session.store, ["tasks", "closures"]);
  useField(field);
  useTick(1000);
  const [chosen, setChosen] = useState("");
  const tasks = field.tasks();
  const current = tasks.find((task) => task.task_id === chosen) ?? tasks[0];
  const banner = session.clockState.banner;
  const isUnit = session.user.roles.includes("responder");
  return (
    <div class="field">
      {banner == null ? null : <div class="banner">{own(banner.zh, banner.en)}</div>}
      <header>
        <div>
          <strong>{session.user.name || session.user.username}</strong>
          <small data-testid="clock">
            {hms(session.clock.nowUs())} {session.clock.rate === 1 ? "" : t("clock.rate", { r: session.clock.rate })}
          </small>
        </div>
        <Sync field={field} link={link} />
      </header>
      {field.sound.state === "blocked" ? (
        <button type="button" class="strip" onClick={() => undefined}>
          ♪ {t("field.enableSound")}
        </button>
      ) : null}
      {isUnit ? null : <p class="strip">{t("field.notUnit")}</p>}
      <Refusals field={field} />
      {tasks.length > 1 ? (
        <nav class="tabs">
          {tasks.map((task) => (
            <button type="button" key={task.task_id} aria-pressed={task === current} onClick={() => setChosen(task.task_id)}>
              {own(task.title_zh, task.title_en)}
              <small>{word("taskState", task.state)}</small>
            </button>
          ))}
        </nav>
      ) : null}
      {current === undefined ? (
        <section class="none">
          <h1>{t("field.none")}</h1>
          <p>{t("field.noneHint")}</p>
        </section>
      ) : (
        <Card key={current.task_id} field={field} task={current} />
      )}
      <RouteMap field={field} task={current} />
      <Position field={field} />
      <footer>
        <button type="button" onClick={switchLang}>
          {t("lang.switch")}
        </button>
        <button type="button" onClick={() => void session.api.delete("/api/v1/sessions/current").finally(toLogin)}>
          {t("login.logout")}
        </button>
      </footer>
    </div>
  );
}

function Sync({ field, link }: { field: Field; link: LinkInfo }) {
  const count = field.outbox.pending.length;
  const away = link.state !== "open";
  return (
    <div class={`sync ${away ? "away" : ""}`} data-testid="link" data-state={link.state} data-pending={count}>
      <span>{word("link", link.state)}</span>
      <b data-testid="pending" data-count={count}>
        {count === 0 ? t("field.synced") : t("field.pending", { n: count })}
      </b>
    </div>
  );
}

function Refusals({ field }: { field: Field }) {
  return (
    <>
      {field.outbox.refusals.map((refusal) => (
        <div class="refusal" role="alert" key={refusal.entry.key}>
          <span>{t("field.refused", { why: explain(refusal.error) })}</span>
          <button type="button" onClick={() => field.outbox.dismiss(refusal)}>
            {t("field.dismiss")}
          </button>
        </div>
      ))}
    </>
  );
}

function Card({ field, task }: { field: Field; task: Task }) {
  const [declining, setDeclining] = useState(false);
  const [reason, setReason] = useState("");
  const waiting = field.outbox.pending;
  const state = assumedState(task.task_id, task.state, waiting);
  const next = NEXT[state];
  const due = task.due_us === null ? null : task.due_us - field.session.clock.nowUs();
  const unsent = state !== task.state;
  return (
    <article class="card" data-testid={`task-${task.task_id}`} data-state={state}>
      <div class="state">
        <b>{word("taskState", state)}</b>
        {unsent ? <small>{t("field.offline")}</small> : null}
        {due === null || Math.abs(due) > 86_400e6 ? null : <span class={due < 0 ? "late" : ""}>{due < 0 ? t("task.overdue", { t: span(-due, lang) }) : t("task.due", { t: span(due, lang) })}</span>}
      </div>
      <h1>{own(task.title_zh, task.title_en)}</h1>
      <p class="place">{task.place}</p>
      <p>{own(task.detail_zh, task.detail_en)}</p>
      {next === undefined ? (
        state === "REPORTED_DONE" ? <p class="waiting">{t("field.waiting")}</p> : null
      ) : (
        <button type="button" class="go" data-testid={`act-${next.act}`} onClick={() => field.act(task, next.act)}>
          {t(next.label)}
        </button>
      )}
      {NEW_STATES.includes(state) ? (
        declining ? (
          <div class="decline">
            <input value={reason} placeholder={t("field.declineReason")} aria-label={t("field.declineReason")} onInput={(event) => setReason(event.currentTarget.value)} />
            <button type="button" disabled={reason.trim() === ""} onClick={() => field.act(task, "decline", reason.trim())}>
              {t("field.decline")}
            </button>
          </div>
        ) : (
          <button type="button" class="quiet" onClick={() => setDeclining(true)}>
            {t("field.decline")}
          </button>
        )
      ) : null}
    </article>
  );
}

const ROUTED = [...NEW_STATES, "ACCEPTED", "EN_ROUTE"];

function RouteMap({ field, task }: { field: Field; task: Task | undefined }) {
  const target = useRef<HTMLDivElement>(null);
  const adapter = useRef<MapAdapter | null>(null);
  const [route, setRoute] = useState<RouteAnswer | null>(null);
  const [picking, setPicking] = useState(false);
  const { session } = field;

  useEffect(() => {
    if (target.current === null) return undefined;
    const map = new MapAdapter(target.current, { theme: LIGHT, lang, unit: () => 15, mode: "city", interactive: true });
    adapter.current = map;
    const closures = (): void => map.setClosures(session.store.closures.values());
    const me = (): void => {
      const unit = session.store.units.get(field.unitId);
      const at = field.fix ?? (unit === undefined ? null : { lon: unit.lon_e6 / 1e6, lat: unit.lat_e6 / 1e6 });
      if (at !== null) map.setMe(at.lon, at.lat, unit?.kind ?? "");
    };
    void map.loadDistrict(session.api).then(closures);
    closures();
    me();
    const stops = [session.store.listen(["closures"], closures), session.store.listen(["units"], me), field.listen(me)];
    return () => {
      for (const stop of stops) stop();
      map.dispose();
    };
  }, [field]);

  useEffect(() => {
    const map = adapter.current;
    if (map === null) return;
    map.onPick = picking
      ? (picked) => {
          setPicking(false);
          field.report(picked.lon, picked.lat);
        }
      : null;
  }, [picking, field]);

  const closed = [...session.store.closures.keys()].sort().join(",");
  useEffect(() => {
    const map = adapter.current;
    map?.setTasks(task === undefined ? [] : [task]);
    setRoute(null);
    map?.setRoutes(new Map());
    if (task === undefined) return;
    if (!ROUTED.includes(task.state)) {
      map?.fitPoints([[task.lon, task.lat]]);
      return;
    }
    session.api.get<RouteAnswer>(`/api/v1/tasks/${encodeURIComponent(task.task_id)}/route`).then(
      (answer) => {
        setRoute(answer);
        const line = answer.geometry?.coordinates ?? [];
        map?.setRoutes(new Map(line.length > 1 ? [[task.task_id, line]] : []));
        map?.fitPoints([...line, [task.lon, task.lat]]);
      },
      () => map?.fitPoints([[task.lon, task.lat]]), // offline: the target is still shown
    );
  }, [task?.task_id, task?.state, closed]);

  return (
    <section class="route">
      {route === null ? null : (
        <p data-testid="route">
          {route.geometry == null ? <b>{t("field.noRoute")}</b> : t("field.route", { km: (route.distance_m / 1000).toFixed(1), t: span(route.eta_s * 1e6, lang) })}
          {route.avoided.length > 0 ? <b>{t("field.avoid", { n: route.avoided.length })}</b> : null}
        </p>
      )}
      <div class="route-map" ref={target} data-testid="map" />
      <button type="button" class={picking ? "quiet on" : "quiet"} data-testid="report-map" aria-pressed={picking} onClick={() => setPicking(!picking)}>
        {t("field.reportMap")}
      </button>
    </section>
  );
}

function Position({ field }: { field: Field }) {
  const { fix, reportedMs } = field;
  const now = (): void => {
    if (fix !== null) field.report(fix.lon, fix.lat, fix.heading, fix.speed);
    else field.setTracking(true);
  };
  return (
    <section class="position">
      <label>
        <input type="checkbox" checked={field.tracking} data-testid="tracking" onChange={(event) => field.setTracking(event.currentTarget.checked)} />
        {t("field.tracking")}
      </label>
      <p>
        {fix === null ? t("field.noFix") : t("field.position", { lon: fix.lon.toFixed(5), lat: fix.lat.toFixed(5) })}
        {reportedMs === null ? null : <small> · {t("field.positionAge", { s: Math.round((Date.now() - reportedMs) / 1000) })}</small>}
        {field.positionProblem === "" ? null : <small> · {field.positionProblem}</small>}
      </p>
      <button type="button" class="quiet" data-testid="report-now" onClick={now}>
        {t("field.report")}
      </button>
    </section>
  );
}

/** The lists are asked for as well: a phone whose socket is cut off by a middlebox still gets its orders. */
async function poll(field: Field): Promise<void> {
  const tasks = await field.session.api.all<Task>(`/api/v1/tasks?unit=${encodeURIComponent(field.unitId)}`);
  for (const task of tasks) field.session.store.putTask(task);
}

function Root({ session, link }: { session: Session; link: LinkInfo }) {
  const [, again] = useReducer((count: number) => count + 1, 0);
  const field = useMemo(() => new Field(session, new Sound(() => again(undefined as never))), [session]);
  useEffect(() => {
    void field.outbox.open().then(() => field.outbox.flush());
    const ask = (): void => {
      if (session.user.unit_id || session.user.roles.includes("responder")) poll(field).catch(() => undefined); // the link state tells
    };
    ask();
    const timers = [setInterval(() => void field.outbox.flush(), FLUSH_MS), setInterval(ask, POLL_MS)];
    const online = (): void => void field.outbox.flush();
    window.addEventListener("online", online);
    return () => {
      for (const timer of timers) clearInterval(timer);
      window.removeEventListener("online", online);
    };
  }, [field]);
  useEffect(() => {
    if (link.state === "open") void field.outbox.flush();
  }, [link.state, field]);
  return <App field={field} link={link} />;
}

async function main(): Promise<void> {
  document.documentElement.lang = lang === "zh" ? "zh-CN" : "en";
  const root = document.getElementById("app");
  if (root === null) return;
  let session: Session | null = null;
  let link: LinkInfo | null = null;
  const draw = (): void => {
    if (session !== null && link !== null) render(<Root session={session} link={link} />, root);
  };
  const waiting = (problem: string): void => render(<p class="starting">{problem}</p>, root);
  waiting(t("link.connecting"));
  session = await start(
    "phone",
    CHANNELS,
    (next) => {
      link = { ...next };
      draw();
    },
    (error) => waiting(explain(error)),
  );
  link = session.live.info();
  draw();
}

void main();

