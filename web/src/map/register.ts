/**
 * The map beside a register: clusters of its entries, the areas, a place to be picked, and the points of an import before they
 * are taken. The base is the one of the wall, in its light dress.
 *
 * A graded entry carries the character of its colour, so that the hue is never alone.
 */

import Feature from "ol/Feature";
import OlMap from "ol/Map";
import View from "ol/View";
import Zoom from "ol/control/Zoom";
import ScaleLine from "ol/control/ScaleLine";
import { createEmpty, extend, isEmpty } from "ol/extent";
import type { Extent } from "ol/extent";
import GeoJSON from "ol/format/GeoJSON";
import type Geometry from "ol/geom/Geometry";
import LineString from "ol/geom/LineString";
import MultiPolygon from "ol/geom/MultiPolygon";
import Point from "ol/geom/Point";
import { defaults as interactions } from "ol/interaction/defaults";
import Translate from "ol/interaction/Translate";
import VectorLayer from "ol/layer/Vector";
import { fromLonLat, toLonLat, transformExtent } from "ol/proj";
import Cluster from "ol/source/Cluster";
import VectorSource from "ol/source/Vector";
import CircleStyle from "ol/style/Circle";
import Fill from "ol/style/Fill";
import RegularShape from "ol/style/RegularShape";
import Stroke from "ol/style/Stroke";
import Style from "ol/style/Style";
import Text from "ol/style/Text";
import "ol/ol.css";
import type { Api } from "../core/api";
import { text } from "../core/i18n";
import { baseLayers, label, loadDistrict } from "./layers";
import type { Drawing } from "./layers";
import "./register.css";
import { FONT, LIGHT } from "./theme";

export interface MapEntry {
  id: string;
  name: string;
  lon: number | null;
  lat: number | null;
  /** A warning hue, or "" */
  colour: string;
  geometry?: { type: string; coordinates: unknown } | null;
}

/** A point of an import: where it would be put, and where it probably is. */
export interface PreviewPoint {
  lon: number;
  lat: number;
  suspect: [number, number] | null;
}

const HOME_EXTENT = [121.36, 28.62, 121.56, 28.74];
const FORMAT = new GeoJSON({ featureProjection: "EPSG:3857" });
const CLUSTER_PX = 34;
const NAMES_BELOW = 5; // metres per pixel: closer than this, single entries carry their names
const INK = "#1b2430";
const ACCENT = "#5b3fc4";
const HUES = ["red", "orange", "yellow", "blue"];

export class RegisterMap {
  readonly map: OlMap;
  onPick: ((id: string) => void) | null = null;
  onPlace: ((lon: number, lat: number) => void) | null = null;
  private readonly drawing: Drawing;
  private readonly points = new VectorSource();
  private readonly shapes = new VectorSource();
  private readonly areas = new VectorSource();
  private readonly chosen = new VectorSource();
  private readonly draft = new VectorSource();
  private readonly preview = new VectorSource();
  private readonly zones = new VectorSource();
  private readonly looks = new Map<string, Style>();
  private readonly hue: Record<string, string>;
  private entries = new Map<string, MapEntry>();
  private area = "";
  private home: Extent = transformExtent(HOME_EXTENT, "EPSG:4326", "EPSG:3857");

  constructor(target: HTMLElement, lang: "zh" | "en", unit: () => number) {
    this.drawing = { theme: LIGHT, lang, unit };
    const css = getComputedStyle(document.documentElement);
    this.hue = Object.fromEntries(HUES.map((name) => [name, css.getPropertyValue(`--${name}`).trim()]));
    target.style.backgroundColor = LIGHT.sea;
    this.map = new OlMap({
      target,
      controls: [new Zoom(), new ScaleLine({ minWidth: 60 })],
      interactions: interactions({ altShiftDragRotate: false, pinchRotate: false, onFocusOnly: false }),
      layers: [...baseLayers(this.drawing), ...this.ownLayers()],
      view: new View({ maxZoom: 18, minZoom: 4 }),
    });
    this.map.getView().fit(this.home);
    this.map.addInteraction(this.dragging());
    this.map.on("singleclick", (event) => this.clicked(event.pixel, event.coordinate));
    this.map.on("pointermove", (event) => {
      const over = this.onPlace !== null ? "crosshair" : this.entryAt(event.pixel) !== null ? "pointer" : "";
      const element = this.map.getTargetElement();
      if (element instanceof HTMLElement) element.style.cursor = over;
    });
  }

  dispose(): void {
    this.map.setTarget();
    this.map.dispose();
  }

  async loadBase(api: Api): Promise<void> {
    const areas = api.get<object>("/api/v1/areas.geojson").then(
      (document) => this.areas.addFeatures(FORMAT.readFeatures(document) as Feature[]),
      (error: unknown) => console.warn("areas not on the map", error), // the list beside it works without
    );
    const district = loadDistrict(api, this.drawing, (layer, name) => {
      if (name === "places") return; // the areas carry these names
      this.map.addLayer(layer);
      if (layer.get("name") === "district") this.learnHome(layer.getSource()?.getExtent());
    });
    await Promise.all([areas, district]);
  }

  setEntries(entries: Iterable<MapEntry>): void {
    this.entries = new Map([...entries].map((entry) => [entry.id, entry]));
    const points: Feature[] = [];
    const shapes: Feature[] = [];
    for (const entry of this.entries.values()) {
      const place = placeOf(entry);
      if (place !== null) points.push(feature(entry.id, new Point(place)));
      if (entry.geometry != null && entry.geometry.type !== "Point") {
        const shape = FORMAT.readFeature({ type: "Feature", geometry: entry.geometry, properties: {} }) as Feature;
        shape.setId(entry.id);
        shapes.push(shape);
      }
    }
    this.points.clear(true);
    this.points.addFeatures(points);
    this.shapes.clear(true);
    this.shapes.addFeatures(shapes);
  }

  /** Marks an entry; the view moves only when it is not in sight. */
  select(id: string): void {
    this.chosen.clear(true);
    const entry = this.entries.get(id);
    const place = entry === undefined ? null : placeOf(entry);
    if (entry === undefined || place === null) return;
    this.chosen.addFeature(feature(id, new Point(place)));
    const view = this.map.getView();
    const seen = view.calculateExtent(this.map.getSize() ?? [1, 1]);
    const inside = place[0] !== undefined && place[1] !== undefined && place[0] > (seen[0] ?? 0) && place[0] < (seen[2] ?? 0) && place[1] > (seen[1] ?? 0) && place[1] < (seen[3] ?? 0);
    if (!inside) view.animate({ center: place, duration: 250 });
  }

  setArea(code: string): void {
    this.area = code;
    this.areas.changed();
    const found = this.areas.getFeatures().filter((area) => code !== "" && codeOf(area) === code);
    const extent = found[0]?.getGeometry()?.getExtent();
    if (extent !== undefined) this.fit(extent);
  }

  /** All entries, or the district while there are none. */
  fitEntries(): void {
    const extent = this.points.getExtent();
    this.fit(extent !== null && !isEmpty(extent) ? extent : this.home);
  }

  fitHome(): void {
    this.fit(this.home);
  }

  /** A place that is being edited; null takes it away. It can be dragged while `onPlace` listens. */
  setDraft(lon: number | null, lat: number | null, pan = false): void {
    this.draft.clear(true);
    if (lon === null || lat === null) return;
    const place = fromLonLat([lon, lat]);
    this.draft.addFeature(feature("draft", new Point(place)));
    const view = this.map.getView();
    if (pan) view.animate({ center: place, zoom: Math.max(view.getZoom() ?? 0, 15), duration: 250 });
  }

  /** A plant's zones; all of them come into sight. */
  setZones(shapes: readonly { role: string; geometry: object }[]): void {
    this.zones.clear(true);
    if (shapes.length === 0) return;
    const format = new GeoJSON({ featureProjection: "EPSG:3857" });
    this.zones.addFeatures(
      shapes.map(({ role, geometry }) => format.readFeature({ type: "Feature", geometry, properties: { role } }) as Feature),
    );
    const extent = this.zones.getExtent();
    if (extent !== null) this.fit(extent);
  }

  setPreview(points: readonly PreviewPoint[]): void {
    const features: Feature[] = [];
    const extent = createEmpty();
    for (const point of points) {
      const place = fromLonLat([point.lon, point.lat]);
      extend(extent, [...place, ...place]);
      const declared = new Feature(new Point(place));
      declared.set("role", "declared");
      if (point.suspect !== null) {
        const true_ = fromLonLat(point.suspect);
        extend(extent, [...true_, ...true_]);
        const line = new Feature(new LineString([place, true_]));
        line.set("role", "shift");
        const suspected = new Feature(new Point(true_));
        suspected.set("role", "suspect");
        features.push(line, suspected);
      }
      features.push(declared);
    }
    this.preview.clear(true);
    this.preview.addFeatures(features);
    if (!isEmpty(extent)) this.fit(extent);
  }

  private fit(extent: Extent): void {
    this.map.getView().fit(extent, { padding: [28, 28, 28, 28], maxZoom: 16, duration: 250 });
  }

  private learnHome(extent: Extent | null | undefined): void {
    if (extent === null || extent === undefined || isEmpty(extent)) return;
    this.home = extent;
    if (this.points.isEmpty() && this.preview.isEmpty()) this.map.getView().fit(extent, { padding: [20, 20, 20, 20] });
  }

  private clicked(pixel: number[], coordinate: number[]): void {
    const [lon, lat] = toLonLat(coordinate);
    if (this.onPlace !== null && lon !== undefined && lat !== undefined) return this.onPlace(lon, lat);
    const found = this.entryAt(pixel);
    if (typeof found === "string") this.onPick?.(found);
    else if (found !== null) this.fit(found);
  }

  /** The entry under a pixel, or the extent of a cluster there. */
  private entryAt(pixel: number[]): string | Extent | null {
    const hit = this.map.forEachFeatureAtPixel(pixel, (candidate) => candidate as Feature, { hitTolerance: 3, layerFilter: (layer) => layer.get("name") === "entries" || layer.get("name") === "shapes" });
    if (hit === undefined) return null;
    const members = (hit.get("features") as Feature[] | undefined) ?? [hit];
    if (members.length === 1) return String(members[0]?.getId());
    const extent = createEmpty();
    for (const member of members) extend(extent, member.getGeometry()?.getExtent() ?? extent);
    return (extent[2] ?? 0) - (extent[0] ?? 0) < 1 && (extent[3] ?? 0) - (extent[1] ?? 0) < 1 ? String(members[0]?.getId()) : extent;
  }

  private dragging(): Translate {
    const translate = new Translate({ layers: (layer) => layer.get("name") === "draft", hitTolerance: 6 });
    translate.on("translateend", (event) => {
      const [lon, lat] = toLonLat(event.coordinate);
      if (lon !== undefined && lat !== undefined) this.onPlace?.(lon, lat);
    });
    return translate;
  }

  private ownLayers(): VectorLayer[] {
    const layer = (name: string, source: VectorSource, zIndex: number, style: (feature: Feature, resolution: number) => Style | Style[] | undefined): VectorLayer => {
      const made = new VectorLayer({ source, zIndex, style: (candidate, resolution) => style(candidate as Feature, resolution) });
      made.set("name", name);
      return made;
    };
    const cluster = new Cluster({ source: this.points, distance: CLUSTER_PX, minDistance: 12 });
    return [
      layer("areas", this.areas, 40, (area, resolution) => this.areaStyle(area, resolution)),
      layer("shapes", this.shapes, 50, () => new Style({ fill: new Fill({ color: "rgba(91,63,196,0.10)" }), stroke: new Stroke({ color: ACCENT, width: 1.4 }) })),
      layer("zones", this.zones, 55, (zone) => {
        const near = zone.get("role") === "isolation";
        return new Style({ fill: new Fill({ color: near ? "rgba(180,35,24,0.26)" : "rgba(217,119,6,0.16)" }), stroke: new Stroke({ color: near ? "#b42318" : "#b45309", width: near ? 2 : 1.6, lineDash: near ? [] : [8, 5] }) });
      }),
      layer("entries", cluster, 60, (group, resolution) => this.entryStyle(group, resolution)),
      layer("chosen", this.chosen, 70, () => [
        new Style({ image: new CircleStyle({ radius: 16, stroke: new Stroke({ color: "#ffffff", width: 6 }) }) }),
        new Style({ image: new CircleStyle({ radius: 16, stroke: new Stroke({ color: ACCENT, width: 3.2 }) }) }),
      ]),
      layer("preview", this.preview, 80, (point) => this.previewStyle(point)),
      layer("draft", this.draft, 90, () => [
        new Style({ image: new CircleStyle({ radius: 13, fill: new Fill({ color: "rgba(91,63,196,0.25)" }), stroke: new Stroke({ color: ACCENT, width: 2.4 }) }) }),
        new Style({ image: new RegularShape({ points: 4, radius: 10, radius2: 0, stroke: new Stroke({ color: ACCENT, width: 2 }) }) }),
      ]),
    ];
  }

  private areaStyle(area: Feature, resolution: number): Style[] {
    const code = codeOf(area);
    const within = this.area !== "" && code.startsWith(this.area);
    const mine = within && code === this.area;
    const small = code.length > 9;
    if (small && resolution > 12 && !(within && this.area.length >= 9)) return [];
    const stroke = new Stroke({ color: mine ? ACCENT : "#7f8a99", width: mine ? 2 : small ? 0.7 : 1.1, lineDash: small ? [2, 4] : [7, 5] });
    const styles = [new Style({ stroke, fill: new Fill({ color: mine ? "rgba(91,63,196,0.06)" : "rgba(0,0,0,0)" }) })];
    if (code.length > 6 && resolution < (small ? 6 : 95)) styles.push(new Style({ geometry: largest(area), text: label(String(area.get("name") ?? code), this.drawing, small ? 0.72 : 0.82, mine ? ACCENT : "#566273", 0) }));
    return styles;
  }

  private entryStyle(group: Feature, resolution: number): Style | Style[] {
    const members = group.get("features") as Feature[];
    if (members.length > 1) return this.clusterLook(members.length);
    const entry = this.entries.get(String(members[0]?.getId()));
    const mark = this.markLook(entry?.colour ?? "");
    if (entry === undefined || resolution > NAMES_BELOW) return mark;
    return [mark, new Style({ text: label(entry.name, this.drawing, 0.8, INK, 1.15) })];
  }

  private clusterLook(count: number): Style {
    const size = count < 10 ? 11 : count < 100 ? 14 : count < 1000 ? 17 : 20;
    return this.look(`cluster:${count}`, () => new Style({
      image: new CircleStyle({ radius: size, fill: new Fill({ color: "rgba(40,52,68,0.86)" }), stroke: new Stroke({ color: "#ffffff", width: 1.6 }) }),
      text: new Text({ text: String(count), font: `600 ${count < 1000 ? 11.5 : 11}px ${FONT}`, fill: new Fill({ color: "#ffffff" }) }),
    }));
  }

  private markLook(colour: string): Style {
    const known = HUES.includes(colour);
    const ink = colour === "red" || colour === "blue" || !known ? "#ffffff" : INK;
    return this.look(`mark:${colour}`, () => new Style({
      image: new RegularShape({ points: 4, angle: Math.PI / 4, radius: known ? 12.5 : 9.5, fill: new Fill({ color: known ? (this.hue[colour] ?? INK) : INK }), stroke: new Stroke({ color: "#ffffff", width: 1.6 }) }),
      ...(known ? { text: new Text({ text: mark(this.drawing.lang, colour), font: `700 11px ${FONT}`, fill: new Fill({ color: ink }), offsetY: 0.5 }) } : {}),
    }));
  }

  private previewStyle(point: Feature): Style {
    switch (point.get("role")) {
      case "shift":
        return this.look("shift", () => new Style({ stroke: new Stroke({ color: "#b42318", width: 1.4, lineDash: [4, 3] }) }));
      case "suspect":
        return this.look("suspect", () => new Style({ image: new CircleStyle({ radius: 5, fill: new Fill({ color: "#ffffff" }), stroke: new Stroke({ color: "#b42318", width: 2 }) }) }));
      default:
        return this.look("declared", () => new Style({ image: new CircleStyle({ radius: 4.5, fill: new Fill({ color: ACCENT }), stroke: new Stroke({ color: "#ffffff", width: 1.4 }) }) }));
    }
  }

  private look(key: string, make: () => Style): Style {
    const found = this.looks.get(key) ?? make();
    this.looks.set(key, found);
    return found;
  }
}

const mark = (lang: "zh" | "en", colour: string): string => text(lang, `colour.${colour}` as "colour.red").slice(0, 1);

function feature(id: string, geometry: Point): Feature {
  const made = new Feature(geometry);
  made.setId(id);
  return made;
}

const codeOf = (area: Feature): string => String(area.get("code") ?? area.get("entry_id") ?? area.getId() ?? "");

/** The main part of an area: an island does not need the name once more. */
function largest(area: Feature): Geometry | undefined {
  const geometry = area.getGeometry();
  if (!(geometry instanceof MultiPolygon)) return geometry;
  return geometry.getPolygons().sort((a, b) => b.getArea() - a.getArea())[0];
}

/** Where an entry is shown: its position, or the middle of its shape. */
function placeOf(entry: MapEntry): number[] | null {
  if (entry.lon !== null && entry.lat !== null) return fromLonLat([entry.lon, entry.lat]);
  if (entry.geometry == null) return null;
  const extent = FORMAT.readGeometry(entry.geometry)?.getExtent() ?? [];
  return [((extent[0] ?? 0) + (extent[2] ?? 0)) / 2, ((extent[1] ?? 0) + (extent[3] ?? 0)) / 2];
}
