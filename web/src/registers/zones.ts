/** What /registers/plant/{id}/zones says (command_center/registers/zones.py), and what of it is drawn. */

export type Spill = "small" | "large";
export type Ring = [number, number][];

export interface Polygon {
  type: "Polygon";
  coordinates: Ring[];
}

export interface Wind {
  device_id: string;
  name: string;
  /** where it blows from, degrees clockwise from north */
  from_deg: number;
  speed_ms: number;
  at_us: number;
  distance_m: number;
}

export interface LeakZone {
  tank: string;
  substance: string;
  un_number: string;
  spill: Spill;
  isolate_m: number;
  protect_km: number;
  all_around: boolean;
  isolation: Polygon;
  protection: Polygon | null;
  edition: string;
}

export interface Inside {
  kind: string;
  kind_zh: string;
  entry_id: string;
  name: string;
  lon: number;
  lat: number;
  distance_m: number;
  isolated: boolean;
  spills: Spill[];
}

export interface LeakZones {
  entry_id: string;
  name: string;
  lon: number;
  lat: number;
  at_us: number;
  day: boolean;
  wind: Wind | null;
  zones: LeakZone[];
  unknown: { tank: string; substance: string; un_number: string; zh: string; en: string }[];
  inside: Inside[];
  advice_zh: string;
  advice_en: string;
}

export interface ZoneShape {
  role: "isolation" | "protection";
  geometry: Polygon;
}

/** The wide zones first, so that the circles lie on them. */
export function shapesOf(found: LeakZones, spill: Spill): ZoneShape[] {
  const zones = found.zones.filter((zone) => zone.spill === spill);
  return [
    ...zones.flatMap((zone): ZoneShape[] => (zone.protection === null ? [] : [{ role: "protection", geometry: zone.protection }])),
    ...zones.map((zone): ZoneShape => ({ role: "isolation", geometry: zone.isolation })),
  ];
}

export function insideOf(found: LeakZones, spill: Spill): Inside[] {
  return found.inside.filter((one) => one.spills.includes(spill));
}

const POINTS_ZH = ["北", "东北", "东", "东南", "南", "西南", "西", "西北"];

/** 东南风 3.2 m/s（岬角站） */
export function windWords(wind: Wind, from: string): string {
  const point = POINTS_ZH[Math.round(wind.from_deg / 45) % 8] ?? "";
  const words = from === "" ? `${point}风` : `${from} ${Math.round(wind.from_deg)}°`;
  return `${words} ${wind.speed_ms.toFixed(1)} m/s（${wind.name}）`;
}
