/** Columns of a file and fields of a register: what the server left open is proposed here, and a person decides. */

import type { Field, Kind } from "./types";

export interface Target {
  key: string;
  zh: string;
  en: string;
  required: boolean;
  example: string;
  aliases: string[];
}

/** What every kind has beside its own fields; the names are those of the import. */
const COMMON: Target[] = [
  { key: "entry_id", zh: "编号", en: "Id", required: false, example: "", aliases: ["id", "code", "编码", "代码"] },
  { key: "area", zh: "区划代码", en: "Area code", required: false, example: "331002001", aliases: ["行政区划代码", "区划", "area_code"] },
];
const POSITION: Target[] = [
  { key: "lon", zh: "经度", en: "Longitude", required: false, example: "121.4532", aliases: ["lng", "longitude", "x", "东经"] },
  { key: "lat", zh: "纬度", en: "Latitude", required: false, example: "28.6841", aliases: ["latitude", "y", "北纬"] },
  { key: "lonlat", zh: "坐标（经度,纬度）", en: "Position (lon,lat)", required: false, example: "121.4532,28.6841", aliases: ["坐标", "经纬度", "location"] },
  { key: "geometry", zh: "几何（WKT、GeoJSON）", en: "Geometry (WKT, GeoJSON)", required: false, example: "", aliases: ["wkt", "geom", "shape", "范围", "边界"] },
];

const targetOf = (field: Field): Target => ({
  key: field.key,
  zh: field.zh,
  en: field.en,
  required: field.required === true,
  example: field.example ?? "",
  aliases: field.aliases ?? [],
});

/** All that a column may be matched to. A field of the kind wins over a common one of the same key. */
export function targetsOf(kind: Pick<Kind, "fields" | "located">): Target[] {
  const own = kind.fields.filter((field) => field.type !== "rows").map(targetOf);
  const keys = new Set(own.map((target) => target.key));
  return [...own, ...COMMON, ...(kind.located === "no" ? [] : POSITION)].filter((target, index) => index < own.length || !keys.has(target.key));
}

const plain = (text: string): string => text.normalize("NFKC").toLowerCase().replace(/[\s_*＊()（）:：/\-.]/g, "");

/** The target that a heading names, or "" where none is clearly meant. */
export function guess(heading: string, targets: readonly Target[], taken: ReadonlySet<string>): string {
  const wanted = plain(heading);
  if (wanted === "") return "";
  const free = targets.filter((target) => !taken.has(target.key));
  const names = (target: Target): string[] => [target.key, target.zh, target.en, ...target.aliases].map(plain).filter((name) => name !== "");
  const exact = free.find((target) => names(target).includes(wanted));
  if (exact !== undefined) return exact.key;
  const close = free.filter((target) => names(target).some((name) => name.length >= 2 && (wanted.includes(name) || (wanted.length >= 2 && name.includes(wanted)))));
  return close.length === 1 ? (close[0]?.key ?? "") : "";
}

export interface Matching {
  /** Required fields that no column fills. */
  missing: Target[];
  /** Fields that two columns fill: key -> the columns' headings. */
  twice: Map<string, string[]>;
  unused: string[];
}

export function judge(columns: readonly { source: string; field: string | null }[], targets: readonly Target[]): Matching {
  const by = new Map<string, string[]>();
  for (const column of columns) if (column.field !== null && column.field !== "") by.set(column.field, [...(by.get(column.field) ?? []), column.source]);
  return {
    missing: targets.filter((target) => target.required && !by.has(target.key)),
    twice: new Map([...by].filter(([, sources]) => sources.length > 1)),
    unused: columns.filter((column) => column.field === null || column.field === "").map((column) => column.source),
  };
}
