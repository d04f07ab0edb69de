/** The still part of the map: the shipped base map and the district's static layers from the server. */

import GeoJSON from "ol/format/GeoJSON";
import type Feature from "ol/Feature";
import Point from "ol/geom/Point";
import VectorLayer from "ol/layer/Vector";
import VectorSource from "ol/source/Vector";
import Fill from "ol/style/Fill";
import Stroke from "ol/style/Stroke";
import Style from "ol/style/Style";
import type { StyleLike } from "ol/style/Style";
import Text from "ol/style/Text";
import CircleStyle from "ol/style/Circle";
import type { Api } from "../core/api";
import { placeIcon } from "./icons";
import type { MapTheme } from "./theme";
import { FONT } from "./theme";

/** One group for all labels of the map: of two that overlap the one on the higher layer stays. */
export const LABELS = "labels";
const FORMAT = new GeoJSON({ featureProjection: "EPSG:3857" });
/** Metres per pixel of the map above which a class of detail is left out. */
const DETAIL = { icons: 40, labels: 30, villages: 45, cities: 250 };

export const STATIC_LAYERS = ["district", "landuse", "sea", "river", "coast", "villages", "chem_park", "railway", "roads", "bridges", "underpasses", "shelters", "stations", "places"] as const;
type LayerName = (typeof STATIC_LAYERS)[number];

export function nameOf(feature: Feature, lang: "zh" | "en"): string {
  const zh = feature.get("name_zh") ?? feature.get("name") ?? "";
  return String(lang === "zh" ? zh : (feature.get("name_en") ?? zh));
}

export interface Drawing {
  theme: MapTheme;
  lang: "zh" | "en";
  /** pixels per rem of the page: text on a wall is larger than on a desk */
  unit: () => number;
}

export function baseLayers(drawing: Drawing): VectorLayer[] {
  const { theme, lang } = drawing;
  const land = file("land", 0, new Style({ fill: new Fill({ color: theme.land }), stroke: new Stroke({ color: theme.districtLine, width: 0.8 }) }));
  const water = file("inland_water", 1, new Style({ fill: new Fill({ color: theme.river }), stroke: new Stroke({ color: theme.river, width: 1.2 }) }));
  const cities = file("cities", 3, (feature, resolution) => {
    if (resolution > 2500 || resolution < DETAIL.cities) return undefined;
    const big = Number(feature.get("pop")) > 1_000_000;
    if (!big && resolution > 900) return undefined;
    return [
      new Style({ image: new CircleStyle({ declutterMode: "none", radius: 2.2, fill: new Fill({ color: theme.labelDim }) }) }),
      new Style({ text: label(String(feature.get(lang)), drawing, 0.7, theme.labelDim, 0.8) }),
    ];
  });
  return [land, water, cities];
}

function file(name: string, zIndex: number, style: StyleLike): VectorLayer {
  const source = new VectorSource({ url: `/assets/basemap/${name}.geojson`, format: FORMAT });
  return new VectorLayer({ source, zIndex, style, declutter: LABELS });
}

/** The district's layers. A layer that the server does not have is simply not drawn; the error is told once. */
export async function loadDistrict(api: Api, drawing: Drawing, add: (layer: VectorLayer, name: LayerName) => void): Promise<void> {
  const load = async (name: LayerName): Promise<void> => {
    const document = await api.get<object>(`/api/v1/layers/${name}.geojson`);
    const source = new VectorSource({ features: FORMAT.readFeatures(document) as Feature[] });
    const style = (feature: unknown, resolution: number): Style[] => styleOf(name, feature as Feature, resolution, drawing);
    const layer = new VectorLayer({ source, zIndex: 10 + STATIC_LAYERS.indexOf(name), style, declutter: LABELS });
    layer.set("name", name);
    add(layer, name);
  };
  const results = await Promise.allSettled(STATIC_LAYERS.map(load));
  const missing = STATIC_LAYERS.filter((_, index) => results[index]?.status === "rejected");
  if (missing.length > 0) console.warn(`static layers not loaded: ${missing.join(", ")}`);
}

function styleOf(name: LayerName, feature: Feature, resolution: number, drawing: Drawing): Style[] {
  const { theme, lang } = drawing;
  const own = nameOf(feature, lang);
  switch (name) {
    case "district":
      return [new Style({ fill: new Fill({ color: theme.district }), stroke: new Stroke({ color: theme.districtLine, width: 1.4, lineDash: [8, 6] }) })];
    case "landuse":
      return landStyle(feature, theme);
    case "railway":
      return [
        new Style({ stroke: new Stroke({ color: theme.labelDim, width: 2.4 }) }),
        new Style({ stroke: new Stroke({ color: theme.district, width: 1.4, lineDash: [7, 7], lineCap: "butt" }) }),
      ];
    case "sea":
      return [new Style({ fill: new Fill({ color: theme.sea }) })];
    case "coast":
      return [new Style({ stroke: new Stroke({ color: theme.districtLine, width: 1.6 }) })];
    case "river":
      return riverStyle(feature, own, resolution, drawing);
    case "roads":
      return roadStyle(feature, resolution, theme);
    case "villages":
      return [
        new Style({ fill: new Fill({ color: theme.built }), ...dot(feature, theme) }),
        ...(resolution < DETAIL.villages ? [new Style({ text: label(own, drawing, 0.62, theme.labelDim, isPoint(feature) ? 0.75 : 0) })] : []),
      ];
    case "chem_park":
      return parkStyle(feature, own, resolution, drawing);
    case "bridges":
    case "underpasses":
    case "shelters":
    case "stations":
      return placeStyle(name, feature, own, resolution, drawing);
    case "places":
      return resolution < 120 ? [new Style({ text: label(own, drawing, 0.8, theme.label, 0) })] : [];
  }
}

function landStyle(feature: Feature, theme: MapTheme): Style[] {
  const colours: Record<string, string> = { tidal_flat: theme.flat, hill: theme.hill, block: feature.get("use") === "green" ? theme.hill : theme.built };
  const colour = colours[String(feature.get("class"))];
  return colour === undefined ? [] : [new Style({ fill: new Fill({ color: colour }) })];
}

/** Water as an area; the centre line only carries the name, or stands for the river where there is no area. */
function riverStyle(feature: Feature, own: string, resolution: number, drawing: Drawing): Style[] {
  const { theme } = drawing;
  if (feature.getGeometry()?.getType().includes("Polygon") === true) return [new Style({ fill: new Fill({ color: theme.river }) })];
  const styles: Style[] = [];
  if (feature.get("class") !== "centreline") styles.push(new Style({ stroke: new Stroke({ color: theme.river, width: Math.max(3, 120 / resolution), lineCap: "round", lineJoin: "round" }) }));
  if (resolution < DETAIL.labels * 1.5 && own !== "") {
    const text = label(own, drawing, 0.7, theme.labelDim, 0);
    text.setPlacement("line");
    styles.push(new Style({ text }));
  }
  return styles;
}

/** The park with its fence and plants; tanks as dots when near. */
function parkStyle(feature: Feature, own: string, resolution: number, drawing: Drawing): Style[] {
  const { theme } = drawing;
  if (isPoint(feature)) return resolution < 12 ? [new Style({ image: new CircleStyle({ declutterMode: "none", radius: 3, stroke: new Stroke({ color: theme.parkLine, width: 1.4 }) }) })] : [];
  const plant = feature.get("class") === "plant";
  const near = resolution < (plant ? 14 : DETAIL.villages);
  const stroke = new Stroke({ color: theme.parkLine, width: plant ? 1 : 1.6, ...(plant ? {} : { lineDash: [3, 4] }) });
  return [new Style({ fill: new Fill({ color: theme.park }), stroke }), ...(near ? [new Style({ text: label(own, drawing, plant ? 0.56 : 0.68, theme.parkLine, 0) })] : [])];
}

const ROAD_RANK: Record<string, number> = { expressway: 3, ring: 3, arterial: 2, secondary: 1, park: 1, street: 0, village: 0 };
/** By rank: width in metres on the ground, narrowest and widest in pixels, coarsest resolution at which it is drawn. */
const ROAD_LOOK = [
  { ground: 14, least: 0.7, most: 4, upTo: 34 },
  { ground: 22, least: 1, most: 6, upTo: 60 },
  { ground: 34, least: 1.5, most: 8, upTo: 150 },
  { ground: 44, least: 2, most: 10, upTo: 400 },
] as const;

function roadStyle(feature: Feature, resolution: number, theme: MapTheme): Style[] {
  const rank = ROAD_RANK[String(feature.get("class"))] ?? (Number(feature.get("speed_kmh") ?? 40) >= 50 ? 2 : 0);
  const look = ROAD_LOOK[rank] ?? ROAD_LOOK[0];
  if (resolution > look.upTo) return [];
  const width = Math.min(look.most, Math.max(look.least, look.ground / resolution));
  const line = new Style({ stroke: new Stroke({ color: rank >= 2 ? theme.roadMain : theme.road, width }), zIndex: 10 + rank });
  return width < 1.6 ? [line] : [new Style({ stroke: new Stroke({ color: theme.roadCase, width: width + 1.6 }), zIndex: rank }), line];
}

const PLACE_GLYPH: Partial<Record<LayerName, string>> = { bridges: "bridge", underpasses: "underpass", shelters: "shelter", stations: "station" };

function placeStyle(name: LayerName, feature: Feature, own: string, resolution: number, drawing: Drawing): Style[] {
  if (resolution > DETAIL.icons) return [];
  const size = Math.round(drawing.unit() * 1.05);
  const { theme } = drawing;
  const geometry = feature.getGeometry();
  const icon = new Style({ image: placeIcon(theme, PLACE_GLYPH[name] ?? "", size) });
  const styles = [icon];
  if (resolution < DETAIL.labels * 0.6) styles.push(new Style({ text: label(own, drawing, 0.55, theme.labelDim, 0.9) }));
  if (geometry !== undefined && geometry.getType() !== "Point") {
    const extent = geometry.getExtent();
    const middle = [((extent[0] ?? 0) + (extent[2] ?? 0)) / 2, ((extent[1] ?? 0) + (extent[3] ?? 0)) / 2];
    for (const style of styles) style.setGeometry(new Point(middle));
  }
  return styles;
}

const isPoint = (feature: Feature): boolean => feature.getGeometry()?.getType() === "Point";

function dot(feature: Feature, theme: MapTheme): { image?: CircleStyle } {
  return isPoint(feature) ? { image: new CircleStyle({ declutterMode: "none", radius: 3, fill: new Fill({ color: theme.labelDim }) }) } : {};
}

/** Text in system fonts; `size` and `dy` in rem. */
export function label(textValue: string, drawing: Drawing, size: number, colour: string, dy: number): Text {
  const unit = drawing.unit();
  return new Text({
    text: textValue,
    font: `500 ${Math.round(unit * size)}px ${FONT}`,
    fill: new Fill({ color: colour }),
    stroke: new Stroke({ color: drawing.theme.halo, width: 3.2 }),
    offsetY: unit * dy,
    overflow: true,
  });
}
