import { useEffect, useRef } from "preact/hooks";
import { useTick, useTopics } from "../core/hooks";
import { lang, t } from "../core/i18n";
import { hms } from "../core/time";
import type { RouteAnswer, Task } from "../core/types";
import { MapAdapter } from "../map/adapter";
import { DARK } from "../map/theme";
import type { Desk } from "./desk";
import { remPx } from "./size";

const ROUTED = ["ACCEPTED", "EN_ROUTE"];
const ROUTE_MAX = 12;

export function CityMap({ desk, onMap }: { desk: Desk; onMap: (map: MapAdapter) => void }) {
  const target = useRef<HTMLDivElement>(null);
  const adapterRef = useRef<MapAdapter | null>(null);
  const { session } = desk;

  useEffect(() => {
    if (target.current === null) return undefined;
    const adapter = new MapAdapter(target.current, { theme: DARK, lang, unit: remPx, mode: "city", interactive: true });
    adapterRef.current = adapter;
    onMap(adapter);
    const { store } = session;
    const draw = {
      devices: () => adapter.setDevices(store.devices.values()),
      units: () => adapter.setUnits(store.units.values(), store.trails),
      closures: () => adapter.setClosures(store.closures.values()),
      typhoons: () => adapter.setTyphoons(store.typhoons.values()),
      alarms: () => adapter.setAlarms([...store.alarms.values()], desk.alarmId),
      incidents: () => {
        const current = desk.incident();
        adapter.setIncidents(current === undefined ? [] : [current], current?.incident_id ?? "");
        adapter.setTasks(current === undefined ? [] : desk.tasksOf(current.incident_id).filter(placed));
      },
    };
    void adapter.loadDistrict(session.api).then(draw.closures);
    const stops = [
      store.listen(["devices"], draw.devices),
      store.listen(["units"], draw.units),
      store.listen(["closures"], draw.closures),
      store.listen(["typhoons"], draw.typhoons),
      store.listen(["alarms"], draw.alarms),
      store.listen(["incidents", "tasks"], draw.incidents),
      desk.listen(() => {
        draw.alarms();
        draw.incidents();
      }),
    ];
    for (const run of Object.values(draw)) run();
    const stopRoutes = followRoutes(desk, adapter);
    adapter.onPick = (picked) => {
      if (picked.kind === "alarm") desk.selectAlarm(picked.id);
      if (picked.kind === "incident") desk.selectIncident(picked.id);
    };
    return () => {
      for (const stop of stops) stop();
      stopRoutes();
      adapter.dispose();
    };
  }, [desk]);

  const onIncident = (): void => {
    const incident = desk.incident();
    if (incident?.lon != null && incident.lat !== null) adapterRef.current?.focus(incident.lon, incident.lat);
  };
  return (
    <section class="map">
      <div class="map-canvas" ref={target} data-testid="map" />
      <div class="map-views" role="group" aria-label={t("map.fit")}>
        <button type="button" onClick={() => adapterRef.current?.fitCity()}>
          {t("map.city")}
        </button>
        <button type="button" onClick={onIncident}>
          {t("map.incident")}
        </button>
        <button type="button" onClick={() => adapterRef.current?.fitTyphoon()}>
          {t("map.typhoon")}
        </button>
      </div>
      <Foot desk={desk} />
    </section>
  );
}

const placed = (task: Task): boolean => Number.isFinite(task.lon) && Number.isFinite(task.lat) && !["CLOSED", "RECALLED", "SUPERSEDED"].includes(task.state);

/** Routes of units under way: asked once per task and unit, and again when the roads change. */
function followRoutes(desk: Desk, adapter: MapAdapter): () => void {
  const { store, api } = desk.session;
  const routes = new Map<string, [number, number][]>();
  const asked = new Map<string, string>();
  const refresh = (): void => {
    const closures = [...store.closures.keys()].sort().join(",");
    const running = [...store.tasks.values()].filter((task) => ROUTED.includes(task.state) && task.unit_id !== "").slice(-ROUTE_MAX);
    const wanted = new Set(running.map((task) => task.task_id));
    for (const id of [...routes.keys()]) if (!wanted.has(id)) routes.delete(id);
    for (const task of running) {
      const version = `${task.unit_id}|${task.state}|${closures}`;
      if (asked.get(task.task_id) === version) continue;
      asked.set(task.task_id, version);
      api.get<RouteAnswer>(`/api/v1/tasks/${encodeURIComponent(task.task_id)}/route`).then(
        (answer) => {
          if (answer.geometry == null || !wanted.has(task.task_id)) return;
          routes.set(task.task_id, answer.geometry.coordinates);
          adapter.setRoutes(routes);
        },
        () => undefined, // a wall without a route line still shows unit and target
      );
    }
    adapter.setRoutes(routes);
  };
  refresh();
  return store.listen(["tasks", "closures"], refresh);
}

const LEGEND = ["water_gauge", "rain_wind_station", "gas_detector", "camera", "air_station"] as const;

function Foot({ desk }: { desk: Desk }) {
  useTopics(desk.session.store, ["devices"]);
  useTick(1000);
  const counts = new Map<string, number>();
  for (const row of desk.session.store.devices.values()) counts.set(row.kind, (counts.get(row.kind) ?? 0) + 1);
  return (
    <div class="map-foot">
      <span class="legend">
        {LEGEND.filter((kind) => counts.has(kind)).map((kind) => (
          <span key={kind}>
            {t(`kind.${kind}`)} <b>{counts.get(kind)}</b>
          </span>
        ))}
      </span>
      <span>{t("map.asof", { t: hms(desk.session.clock.nowUs()) })}</span>
      <span class="credit">{t("map.attribution")}</span>
    </div>
  );
}
