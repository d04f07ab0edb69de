import { render } from "preact";
import { useEffect, useReducer, useRef, useState } from "preact/hooks";
import "../core/base.css";
import "./wall.css";
import { explain, lang, t } from "../core/i18n";
import type { LinkInfo } from "../core/live";
import { loadRegistry, start } from "../core/session";
import type { Session } from "../core/session";
import { Sound } from "../core/sound";
import type { MapAdapter } from "../map/adapter";
import { Alarms } from "./Alarms";
import { Bottom } from "./Bottom";
import { CityMap } from "./CityMap";
import { Banner, Header, StopBand } from "./Header";
import { IncidentPanel, Incidents } from "./Incident";
import { Left } from "./Left";
import { Notes } from "./Notes";
import { Desk } from "./desk";
import { applyScale } from "./size";

const CHANNELS = ["kpi/board", "alarm", "incident", "task", "sys", "obj/unit", "obj/closure", "obj/typhoon", "obj/device"];
const REPEAT_RED_MS = 30_000;
const REGISTRY_RETRY_MS = 5_000;

/** Space or A acknowledges; arrows walk the queue. Keys that a field or a focused button wants stay theirs. */
function onKey(desk: Desk, event: KeyboardEvent): void {
  const target = event.target as HTMLElement;
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || target.matches("input, textarea, select")) return;
  const key = event.key.toLowerCase();
  if (key === "a" || (key === " " && !target.matches("button"))) {
    event.preventDefault();
    const next = desk.nextToAck();
    if (next !== undefined) void desk.acknowledge(next);
  } else if (key === "arrowdown" || key === "arrowup") {
    if (target.closest(".map") !== null) return;
    event.preventDefault();
    const queue = desk.session.store.queue();
    const at = queue.findIndex((alarm) => alarm.alarm_id === desk.alarmId);
    const next = queue[Math.max(0, Math.min(queue.length - 1, at + (key === "arrowdown" ? 1 : -1)))];
    if (next !== undefined) desk.selectAlarm(next.alarm_id);
  }
}

function ring(session: Session, sound: Sound): () => void {
  session.store.onAlarm = (alarm, kind) => {
    if (alarm.acked !== null || alarm.state !== "firing" || !["raised", "level_up"].includes(kind)) return;
    if (alarm.colour === "red" || alarm.colour === "orange") sound.play(alarm.colour);
  };
  const timer = setInterval(() => {
    const waiting = [...session.store.alarms.values()].some((alarm) => alarm.state === "firing" && alarm.acked === null && alarm.colour === "red");
    if (waiting) sound.play("red");
  }, REPEAT_RED_MS);
  return () => clearInterval(timer);
}

function Wall({ session, link }: { session: Session; link: LinkInfo }) {
  const [desk] = useState(() => new Desk(session));
  const map = useRef<MapAdapter | null>(null);
  const [, again] = useReducer((count: number) => count + 1, 0);
  const [sound] = useState(() => new Sound(() => again(undefined as never)));
  useEffect(() => {
    const listener = (event: KeyboardEvent): void => onKey(desk, event);
    window.addEventListener("keydown", listener);
    const quiet = ring(session, sound);
    return () => {
      window.removeEventListener("keydown", listener);
      quiet();
    };
  }, [desk, session, sound]);
  return (
    <div class="wall">
      <Banner session={session} />
      <Header session={session} link={link} sound={sound} />
      <StopBand session={session} link={link} />
      <Notes session={session} />
      <div class="zones">
        <Left session={session} />
        <CityMap desk={desk} onMap={(adapter) => (map.current = adapter)} />
        <aside class="right">
          <div class="column queue">
            <Alarms desk={desk} />
            <Incidents desk={desk} />
          </div>
          <div class="column focus">
            <IncidentPanel desk={desk} />
          </div>
        </aside>
        <Bottom session={session} onUnit={(unit) => map.current?.focus(unit.lon_e6 / 1e6, unit.lat_e6 / 1e6, 15)} />
      </div>
    </div>
  );
}

const RELOAD_AGE_MS = 20 * 3600e3;
const RELOAD_HOUR = 4;
const RELOAD_CHECK_MS = 300_000;

/** A wall runs for months: once a night, in a quiet minute, it starts afresh. Never while an alarm waits for somebody. */
function nightlyReload(session: Session): void {
  setInterval(() => {
    const waiting = [...session.store.alarms.values()].some((alarm) => alarm.state === "firing" && alarm.acked === null);
    const open = session.live.info().state === "open";
    if (open && !waiting && performance.now() > RELOAD_AGE_MS && new Date().getHours() === RELOAD_HOUR) location.reload();
  }, RELOAD_CHECK_MS);
}

function Waiting({ problem }: { problem: string }) {
  return (
    <main class="waiting">
      <h1>
        {t("app.city")} {t("app.name")}
      </h1>
      <p>{problem === "" ? t("link.connecting") : problem}</p>
    </main>
  );
}

async function main(): Promise<void> {
  document.documentElement.lang = lang === "zh" ? "zh-CN" : "en";
  applyScale();
  const root = document.getElementById("app");
  if (root === null) return;
  let session: Session | null = null;
  let link: LinkInfo | null = null;
  const draw = (): void => {
    if (session !== null && link !== null) render(<Wall session={session} link={link} />, root);
  };
  render(<Waiting problem="" />, root);
  const kind = document.body.dataset["page"] === "desk" ? "console" : "wall";
  session = await start(
    kind,
    CHANNELS,
    (next) => {
      link = { ...next };
      draw();
    },
    (error) => render(<Waiting problem={explain(error)} />, root),
  );
  link = session.live.info();
  draw();
  nightlyReload(session);
  await thresholds(session);
}

/** Thresholds are a bonus on the level lists: the picture does not wait for them. */
async function thresholds(session: Session): Promise<void> {
  for (;;) {
    try {
      await loadRegistry(session);
      return;
    } catch (error) {
      console.warn("devices not loaded, trying again", error);
      await new Promise((resolve) => setTimeout(resolve, REGISTRY_RETRY_MS));
    }
  }
}

void main();
