/**
 * The map behind one small door, so that another renderer can stand here later. OpenLayers on canvas: no GPU needed, any
 * projection, text in system fonts.
 *
 * Layer order: base < district < typhoon < closures and routes < devices < trails and units < tasks < incidents < alarms.
 * Alarms and incidents are few and must catch the eye, so they are HTML overlays animated by CSS: a pulse costs no redraw of
 * the canvas.
 */

import Feature from "ol/Feature";
import OlMap from "ol/Map";
import Overlay from "ol/Overlay";
import View from "ol/View";
import { defaults as interactions } from "ol/interaction/defaults";
import { buffer, containsExtent, createEmpty, extend, isEmpty } from "ol/extent";
import type { Extent } from "ol/extent";
import LineString from "ol/geom/LineString";
import Point from "ol/geom/Point";
import Polygon from "ol/geom/Polygon";
import VectorLayer from "ol/layer/Vector";
import { fromLonLat, toLonLat, transformExtent } from "ol/proj";
import VectorSource from "ol/source/Vector";
import CircleStyle from "ol/style/Circle";
import Fill from "ol/style/Fill";
import Stroke from "ol/style/Stroke";
import Style from "ol/style/Style";
import "ol/ol.css";
import type { Api } from "../core/api";
import { t, word } from "../core/i18n";
import { rank } from "../core/store";
import { dayHm } from "../core/time";
import type { Alarm, ClosureRow, DeviceRow, Incident, Task, TrackPoint, TyphoonRow, UnitRow } from "../core/types";
import { closureIcon, deviceIcon, stormIcon, unitIcon } from "./icons";
import { LABELS, baseLayers, label, loadDistrict } from "./layers";
import type { Drawing } from "./layers";
import { category, circle, windRing } from "./storm";
import type { MapTheme } from "./theme";

import "./map.css";

export const HOME: [number, number] = [121.45, 28.68];
const HOME_EXTENT = [121.36, 28.62, 121.56, 28.74];
const TYPHOON_EXTENT = [115, 19, 133, 36];
const SPECTATOR_UNITS = new Set(["DISPATCHED", "ACKED", "EN_ROUTE", "ON_SCENE", "WORKING", "TRANSPORT", "STAGING"]);
/** Open water and mountains do not need more detail than the data has. */
const MAX_ZOOM = 17;
const OVERVIEW_RESOLUTION = 200;
const STORM_SPAN_US = 26 * 3600e6;

export interface MapOptions {
  theme: MapTheme;
  lang: "zh" | "en";
  unit: () => number;
  mode: "city" | "storm";
  interactive: boolean;
}

export interface Picked {
  kind: "device" | "unit" | "alarm" | "incident" | "place";
  id: string;
  lon: number;
  lat: number;
}

type Rows<T> = Iterable<T>;
const at = (lon_e6: number, lat_e6: number): number[] => fromLonLat([lon_e6 / 1e6, lat_e6 / 1e6]);

export class MapAdapter {
  readonly map: OlMap;
  onPick: ((picked: Picked) => void) | null = null;
  private readonly drawing: Drawing;
  private readonly sources = {
    storm: new VectorSource(),
    routes: new VectorSource(),
    closures: new VectorSource(),
    devices: new VectorSource(),
    trails: new VectorSource(),
    units: new VectorSource(),
    tasks: new VectorSource(),
    me: new VectorSource(),
  };
  private readonly roads = new Map<string, LineString>();
  private readonly overlays = new Map<string, Overlay>();
  private stormView: Extent | null = null;
  private homeExtent: Extent = transformExtent(HOME_EXTENT, "EPSG:4326", "EPSG:3857");

  constructor(
    target: HTMLElement,
    private readonly options: MapOptions,
  ) {
    this.drawing = { theme: options.theme, lang: options.lang, unit: options.unit };
    target.style.backgroundColor = options.theme.sea;
    this.map = new OlMap({
      target,
      controls: [],
      interactions: options.interactive ? interactions({ altShiftDragRotate: false, pinchRotate: false }) : [],
      layers: [...baseLayers(this.drawing), ...this.liveLayers()],
      view: new View({ center: fromLonLat(HOME), zoom: 12, maxZoom: MAX_ZOOM, minZoom: 3 }),
    });
    if (options.mode === "storm") this.fitTyphoon(0);
    else this.fitCity(0);
    this.map.on("singleclick", (event) => this.pick(event.pixel, event.coordinate));
  }

  dispose(): void {
    this.map.setTarget();
    this.map.dispose();
  }

  async loadDistrict(api: Api): Promise<void> {
    await loadDistrict(api, this.drawing, (layer, name) => {
      this.map.addLayer(layer);
      const source = layer.getSource();
      if (source === null) return;
      if (name === "roads") this.rememberRoads(source);
      if (name === "roads" || name === "district") this.learnHome(source.getExtent(), name);
    });
  }

  setDevices(rows: Rows<DeviceRow>): void {
    sync(this.sources.devices, rows, (row) => row.id, (feature, row) => {
      place(feature, at(row.lon_e6, row.lat_e6));
      setAll(feature, { kind: row.kind, status: row.status, name: row.name, pick: "device" });
    });
  }

  setUnits(rows: Rows<UnitRow>, trails: Map<string, [number, number][]>): void {
    const units = [...rows];
    sync(this.sources.units, units, (row) => row.id, (feature, row) => {
      place(feature, at(row.lon_e6, row.lat_e6));
      const heading = (row.speed_cm_s ?? 0) > 50 ? row.heading : null;
      setAll(feature, { kind: row.kind, status: row.status, name: row.name, heading, pick: "unit" });
    });
    const moving = units.filter((row) => SPECTATOR_UNITS.has(row.status) && (trails.get(row.id)?.length ?? 0) > 1);
    sync(this.sources.trails, moving, (row) => row.id, (feature, row) => {
      feature.setGeometry(new LineString((trails.get(row.id) ?? []).map((point) => fromLonLat(point))));
    });
  }

  setClosures(rows: Rows<ClosureRow>): void {
    const features: Feature[] = [];
    for (const row of rows) {
      const sign = new Feature(new Point(at(row.lon_e6, row.lat_e6)));
      setAll(sign, { sign: true, depth: row.depth_m, reason: row.reason });
      features.push(sign);
      for (const edge of row.edges ?? []) {
        const road = this.roads.get(edge);
        if (road !== undefined) features.push(new Feature(road));
      }
    }
    this.sources.closures.clear(true);
    this.sources.closures.addFeatures(features);
  }

  setTasks(rows: Rows<Task>): void {
    sync(this.sources.tasks, rows, (row) => row.task_id, (feature, row) => {
      place(feature, fromLonLat([row.lon, row.lat]));
      setAll(feature, { name: row.place, state: row.state });
    });
  }

  setRoutes(routes: Map<string, [number, number][]>): void {
    sync(this.sources.routes, routes, ([id]) => id, (feature, [, line]) => {
      feature.setGeometry(new LineString(line.map((point) => fromLonLat(point))));
    });
  }

  setMe(lon: number, lat: number, kind: string): void {
    sync(this.sources.me, [{ id: "me" }], (row) => row.id, (feature) => {
      place(feature, fromLonLat([lon, lat]));
      setAll(feature, { kind });
    });
  }

  setTyphoons(all: Rows<TyphoonRow>): void {
    const rows = [...all];
    const features: Feature[] = [];
    for (const row of rows) features.push(...this.storm(row));
    this.stormView = stormExtent(rows);
    this.sources.storm.clear(true);
    if (features.length > 0 && this.options.mode === "storm") features.push(...this.rings());
    this.sources.storm.addFeatures(features);
  }

  /** Alarms with a place; several at one place show the worst with a count. */
  setAlarms(alarms: Alarm[], selected: string): void {
    const groups = new Map<string, Alarm[]>();
    for (const alarm of alarms) {
      if (alarm.lon === null || alarm.lat === null || alarm.state !== "firing") continue;
      const key = `alarm:${alarm.lon.toFixed(4)},${alarm.lat.toFixed(4)}`;
      groups.set(key, [...(groups.get(key) ?? []), alarm]);
    }
    const wanted = new Set<string>();
    for (const [key, members] of groups) {
      members.sort((a, b) => rank(b.colour) - rank(a.colour));
      const worst = members[0] as Alarm;
      wanted.add(key);
      const element = this.overlay(key, worst.lon as number, worst.lat as number, "center-center");
      const quiet = members.every((alarm) => alarm.acked !== null);
      const chosen = members.some((alarm) => alarm.alarm_id === selected);
      element.className = `map-alarm c-${worst.colour || "none"} ${quiet ? "quiet" : "pulse"} ${chosen ? "chosen" : ""}`;
      element.dataset["id"] = worst.alarm_id;
      const badge = worst.colour === "" ? (worst.no_data ? t("flag.no_data") : "?") : shortColour(worst.colour, this.options.lang);
      setText(element, members.length > 1 ? `${badge}${members.length}` : badge);
      element.title = this.options.lang === "zh" ? worst.title_zh : worst.title_en;
    }
    this.dropOverlays("alarm:", wanted);
  }

  setIncidents(incidents: Incident[], selected: string): void {
    const wanted = new Set<string>();
    for (const incident of incidents) {
      if (incident.lon === null || incident.lat === null) continue;
      const key = `incident:${incident.incident_id}`;
      wanted.add(key);
      const element = this.overlay(key, incident.lon, incident.lat, "center-center");
      element.className = `map-incident ${incident.incident_id === selected ? "chosen" : ""}`;
      element.dataset["id"] = incident.incident_id;
    }
    this.dropOverlays("incident:", wanted);
  }

  fitCity(duration = 400): void {
    this.map.getView().fit(this.homeExtent, { padding: this.padding(), duration, maxZoom: 15 });
  }

  fitTyphoon(duration = 400): void {
    const extent = this.stormView ?? transformExtent(TYPHOON_EXTENT, "EPSG:4326", "EPSG:3857");
    this.map.getView().fit(extent, { padding: this.padding(), duration });
  }

  focus(lon: number, lat: number, zoom = 14.5): void {
    this.map.getView().animate({ center: fromLonLat([lon, lat]), zoom, duration: 500 });
  }

  /** Everything of a job in view: me, target, route. */
  fitPoints(points: [number, number][], duration = 300): void {
    const extent = createEmpty();
    for (const point of points) extend(extent, new Point(fromLonLat(point)).getExtent());
    if (isEmpty(extent) && points.length === 0) return;
    this.map.getView().fit(extent, { padding: [50, 50, 50, 50], duration, maxZoom: 15.5 });
  }

  private liveLayers(): VectorLayer[] {
    const { theme } = this.options;
    const layer = (source: VectorSource, zIndex: number, style: (feature: Feature, resolution: number) => Style | Style[] | undefined): VectorLayer =>
      new VectorLayer({ source, zIndex, declutter: LABELS, style: (feature, resolution) => style(feature as Feature, resolution) });
    const local = (style: (feature: Feature, resolution: number) => Style | Style[]) => (feature: Feature, resolution: number) =>
      resolution > OVERVIEW_RESOLUTION ? undefined : style(feature, resolution);
    return [
      layer(this.sources.storm, 40, (feature, resolution) => (resolution < OVERVIEW_RESOLUTION / 2 ? undefined : (feature.get("style") as Style[]))),
      layer(this.sources.routes, 50, () => [
        new Style({ stroke: new Stroke({ color: theme.halo, width: 9 }) }),
        new Style({ stroke: new Stroke({ color: theme.busy, width: 5, lineCap: "round" }) }),
      ]),
      layer(this.sources.closures, 52, local((feature) => this.closureStyle(feature))),
      layer(this.sources.devices, 60, local((feature, resolution) => this.deviceStyle(feature, resolution))),
      layer(this.sources.trails, 70, local(() => new Style({ stroke: new Stroke({ color: theme.busy, width: 3, lineDash: [2, 7], lineCap: "round" }) }))),
      layer(this.sources.tasks, 72, local((feature) => this.taskStyle(feature))),
      layer(this.sources.units, 75, local((feature, resolution) => this.unitStyle(feature, resolution))),
      layer(this.sources.me, 80, (feature) => new Style({ image: unitIcon(theme, this.options.lang, String(feature.get("kind")), true, null, Math.round(this.options.unit() * 2.6)) })),
    ];
  }

  private deviceStyle(feature: Feature, resolution: number): Style[] {
    const kind = String(feature.get("kind"));
    if (kind === "canary") return [];
    const size = Math.round(this.options.unit() * (resolution > 45 ? 0.8 : resolution > 18 ? 1.1 : 1.35));
    const styles = [new Style({ image: deviceIcon(this.options.theme, kind, String(feature.get("status")), size) })];
    if (resolution < 9) styles.push(new Style({ text: label(String(feature.get("name")), this.drawing, 0.58, this.options.theme.labelDim, 1.05) }));
    return styles;
  }

  private unitStyle(feature: Feature, resolution: number): Style[] {
    const status = String(feature.get("status"));
    const busy = SPECTATOR_UNITS.has(status);
    const size = Math.round(this.options.unit() * (busy ? 2.2 : 1.6));
    const icon = unitIcon(this.options.theme, this.options.lang, String(feature.get("kind")), busy, feature.get("heading") as number | null, size);
    const styles = [new Style({ image: icon, zIndex: busy ? 2 : 1 })];
    if (busy || resolution < 12) {
      const words = busy ? `${String(feature.get("name"))} · ${word("unit", status)}` : String(feature.get("name"));
      styles.push(new Style({ text: label(words, this.drawing, 0.66, busy ? this.options.theme.label : this.options.theme.labelDim, busy ? 1.45 : 1.15), zIndex: 3 }));
    }
    return styles;
  }

  private closureStyle(feature: Feature): Style[] {
    const { theme } = this.options;
    if (feature.get("sign") !== true) {
      return [
        new Style({ stroke: new Stroke({ color: theme.closureInk, width: 7 }) }),
        new Style({ stroke: new Stroke({ color: theme.closure, width: 4, lineDash: [8, 8], lineCap: "butt" }) }),
      ];
    }
    const depth = feature.get("depth") as number | null;
    const words = depth === null ? `${t("map.closure")} · ${t("map.depthUnknown")}` : `${t("map.closure")} · ${depth.toFixed(2)} m`;
    return [
      new Style({ image: closureIcon(theme, Math.round(this.options.unit() * 1.5)), zIndex: 2 }),
      new Style({ text: label(words, this.drawing, 0.62, theme.label, 1.25), zIndex: 2 }),
    ];
  }

  private taskStyle(feature: Feature): Style[] {
    const { theme } = this.options;
    const draft = feature.get("state") === "DRAFT";
    const stroke = new Stroke({ color: theme.busy, width: 2, ...(draft ? { lineDash: [3, 3] } : {}) });
    return [new Style({ image: new CircleStyle({ declutterMode: "none", radius: this.options.unit() * 0.7, stroke, fill: new Fill({ color: "rgba(0,0,0,0.15)" }) }) })];
  }

  private storm(row: TyphoonRow): Feature[] {
    const { theme, lang } = this.options;
    const past = row.track.filter((point) => point[4] === 1);
    const ahead = row.track.filter((point) => point[4] !== 1 && point[0] > row.t_us);
    const here: TrackPoint | undefined = [...past].reverse().find((point) => point[0] <= row.t_us) ?? past.at(-1);
    const features: Feature[] = [];
    if (here !== undefined) features.push(...this.windCircles(row, here));
    const line = (points: number[][], dashed: boolean): void => {
      if (points.length < 2) return;
      const stroke = new Stroke({ color: theme.storm, width: dashed ? 2 : 2.6, ...(dashed ? { lineDash: [6, 7] } : {}) });
      features.push(styled(new LineString(points), [new Style({ stroke })]));
    };
    const eye = at(row.lon_e6, row.lat_e6);
    line([...past.map((point) => at(point[1], point[2])), eye], false);
    line([eye, ...ahead.map((point) => at(point[1], point[2]))], true);
    for (const point of [...past, ...ahead]) features.push(this.trackDot(point));
    const size = Math.round(this.options.unit() * 2.4);
    const name = lang === "zh" ? row.name_zh : row.name_en;
    features.push(
      styled(new Point(eye), [
        new Style({ image: stormIcon(theme, size), zIndex: 5 }),
        new Style({ text: label(name, this.drawing, 0.9, theme.label, -1.7), zIndex: 6 }),
      ]),
    );
    return features;
  }

  private trackDot(point: TrackPoint): Feature {
    const { theme } = this.options;
    const grade = ["td", "ts", "sts", "ty", "sty", "super"].indexOf(category(point[3]) ?? "td");
    const radius = 2 + grade * 0.8;
    const forecast = point[4] !== 1;
    const image = new CircleStyle({
      declutterMode: "none",
      radius,
      fill: new Fill({ color: forecast ? theme.tile : theme.storm }),
      stroke: new Stroke({ color: forecast ? theme.storm : theme.tile, width: 1.2 }),
    });
    const styles = [new Style({ image, zIndex: 3 })];
    if (forecast) styles.push(new Style({ text: label(dayHm(point[0]), this.drawing, 0.55, theme.labelDim, 1) }));
    return styled(new Point(at(point[1], point[2])), styles);
  }

  private windCircles(row: TyphoonRow, here: TrackPoint): Feature[] {
    const alphas = [0.08, 0.11, 0.15];
    const features: Feature[] = [];
    [here[5], here[6], here[7]].forEach((radii, index) => {
      const ring = windRing(row.lon_e6 / 1e6, row.lat_e6 / 1e6, radii);
      if (ring === null) return;
      const style = new Style({
        fill: new Fill({ color: `rgba(232,236,242,${alphas[index]})` }),
        stroke: new Stroke({ color: "rgba(232,236,242,0.5)", width: 1 }),
      });
      features.push(styled(new Polygon([ring.map((point) => fromLonLat(point))]), [style]));
    });
    return features;
  }

  /** Distance rings around the district: the question at typhoon scale is "how far from us". */
  private rings(): Feature[] {
    const { theme } = this.options;
    return [200, 500].map((km) => {
      const ring = circle(HOME[0], HOME[1], km).map((point) => fromLonLat(point));
      const feature = styled(new LineString(ring), [new Style({ stroke: new Stroke({ color: theme.busy, width: 1, lineDash: [2, 6] }) })]);
      const mark = label(`${km} km`, this.drawing, 0.55, theme.labelDim, 0);
      feature.set("style", [...(feature.get("style") as Style[]), new Style({ geometry: new Point(ring[18] as number[]), text: mark })]);
      return feature;
    });
  }

  private overlay(key: string, lon: number, lat: number, positioning: "center-center"): HTMLElement {
    const known = this.overlays.get(key);
    if (known !== undefined) {
      known.setPosition(fromLonLat([lon, lat]));
      return known.getElement() as HTMLElement;
    }
    const element = document.createElement("button");
    element.type = "button";
    element.tabIndex = -1; // the queue is the way by keyboard; the map repeats it
    const kind = key.startsWith("alarm:") ? "alarm" : "incident";
    element.addEventListener("click", () => this.onPick?.({ kind, id: element.dataset["id"] ?? "", lon, lat }));
    const overlay = new Overlay({ element, positioning, position: fromLonLat([lon, lat]), stopEvent: true });
    this.overlays.set(key, overlay);
    this.map.addOverlay(overlay);
    return element;
  }

  private dropOverlays(prefix: string, wanted: Set<string>): void {
    for (const [key, overlay] of this.overlays) {
      if (!key.startsWith(prefix) || wanted.has(key)) continue;
      this.map.removeOverlay(overlay);
      this.overlays.delete(key);
    }
  }

  private rememberRoads(source: VectorSource): void {
    for (const feature of source.getFeatures()) {
      const geometry = feature.getGeometry();
      const id = feature.getId() ?? feature.get("id");
      if (geometry instanceof LineString && id !== undefined) this.roads.set(String(id), geometry);
    }
  }

  /** The home view is the road network if there is one: the district may reach far out to sea. */
  private learnHome(extent: Extent | null, name: string): void {
    if (extent === null || isEmpty(extent)) return;
    const first = containsExtent(this.homeExtent, transformExtent(HOME_EXTENT, "EPSG:4326", "EPSG:3857"));
    if (name === "district" && !first) return;
    this.homeExtent = extent;
    if (this.options.mode === "city") this.fitCity(0);
  }

  private padding(): number[] {
    const unit = this.options.unit();
    return this.options.mode === "storm" ? [unit, unit, unit, unit] : [unit * 3, unit * 2, unit * 2.5, unit * 2];
  }

  private pick(pixel: number[], coordinate: number[]): void {
    const [lon, lat] = toLonLat(coordinate) as [number, number];
    const hit = this.map.forEachFeatureAtPixel(pixel, (feature) => (feature.get("pick") === undefined ? undefined : feature), { hitTolerance: 6 });
    const kind = (hit?.get("pick") as Picked["kind"] | undefined) ?? "place";
    this.onPick?.({ kind, id: String(hit?.getId() ?? ""), lon, lat });
  }
}

export function shortColour(colour: string, lang: "zh" | "en"): string {
  return lang === "zh" ? word("colour", colour) : word("colour", colour).slice(0, 1);
}

/** A day of track before and after now, and us: the whole life of a storm would make the day that matters small. */
function stormExtent(rows: TyphoonRow[]): Extent | null {
  if (rows.length === 0) return null;
  const extent = new Point(fromLonLat(HOME)).getExtent();
  for (const row of rows) {
    extend(extent, new Point(at(row.lon_e6, row.lat_e6)).getExtent());
    for (const point of row.track) {
      if (Math.abs(point[0] - row.t_us) <= STORM_SPAN_US) extend(extent, new Point(at(point[1], point[2])).getExtent());
    }
  }
  return buffer(extent, 150_000);
}

function styled(geometry: Point | LineString | Polygon, style: Style[]): Feature {
  const feature = new Feature(geometry as Point);
  feature.set("style", style);
  return feature;
}

function place(feature: Feature, coordinate: number[]): void {
  const geometry = feature.getGeometry();
  if (!(geometry instanceof Point)) {
    feature.setGeometry(new Point(coordinate));
    return;
  }
  const known = geometry.getCoordinates();
  if (known[0] !== coordinate[0] || known[1] !== coordinate[1]) geometry.setCoordinates(coordinate);
}

function setAll(feature: Feature, values: Record<string, unknown>): void {
  for (const [key, value] of Object.entries(values)) if (feature.get(key) !== value) feature.set(key, value);
}

function setText(element: HTMLElement, value: string): void {
  if (element.textContent !== value) element.textContent = value;
}

/** Make a source hold exactly these rows: new features come, gone ones leave, the rest is updated in place. */
function sync<T>(source: VectorSource, rows: Rows<T>, idOf: (row: T) => string, update: (feature: Feature, row: T) => void): void {
  const gone = new Set(source.getFeatures().map((feature) => String(feature.getId())));
  const fresh: Feature[] = [];
  for (const row of rows) {
    const id = idOf(row);
    gone.delete(id);
    const known = source.getFeatureById(id);
    const feature = known ?? new Feature();
    if (known === null) {
      feature.setId(id);
      fresh.push(feature);
    }
    update(feature, row);
  }
  for (const id of gone) {
    const feature = source.getFeatureById(id);
    if (feature !== null) source.removeFeature(feature);
  }
  if (fresh.length > 0) source.addFeatures(fresh);
}

