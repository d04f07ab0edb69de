/** The nouns of the registers as they travel (docs/decisions/0005). */

export type FieldType = "text" | "long_text" | "number" | "integer" | "bool" | "date" | "datetime" | "choice" | "choices" | "phone" | "area" | "ref" | "refs" | "rows";

export interface Choice {
  value: string;
  zh: string;
  en: string;
  colour?: string;
}

/** Defaults are left out on the wire. */
export interface Field {
  key: string;
  zh: string;
  en: string;
  type?: FieldType;
  required?: boolean;
  personal?: boolean;
  uom?: string;
  minimum?: number | null;
  maximum?: number | null;
  choices?: Choice[];
  ref?: string;
  aliases?: string[];
  help_zh?: string;
  help_en?: string;
  example?: string;
  fields?: Field[];
}

export interface Kind {
  kind: string;
  zh: string;
  en: string;
  group: string;
  located: "no" | "point" | "any";
  fields: Field[];
  count: number;
  may_write: boolean;
  /** A risk statement is signed each day. */
  statement?: boolean;
  /** Its numbers are checked each season; true where it is not said. */
  verify?: boolean;
  position_required?: boolean;
}

export type Values = Record<string, unknown>;
export interface Geometry {
  type: string;
  coordinates: unknown;
}

export interface Entry {
  kind: string;
  entry_id: string;
  name: string;
  area: string;
  area_name: string;
  lon: number | null;
  lat: number | null;
  geometry?: Geometry | null;
  values: Values;
  verified_us: number | null;
  verified_by: string;
  rev: number;
  changed_us: number;
  changed_by: string;
  /** Its numbers were checked this season, or this kind has none to check. */
  verified?: boolean;
  /** kind -> id -> name, of everything that the values point at */
  refs?: Record<string, Record<string, string>>;
  /** What somebody ought to look at; the entry stands all the same. */
  warnings?: { key: string; value: string; zh: string; en: string }[];
}

export interface EntryList {
  items: Entry[];
  next: string | null;
  total: number;
}

export interface Place {
  name: string;
  kind: string;
  entry_id: string;
  address: string;
  lon: number;
  lat: number;
  area: string;
  score: number;
}

/** A day's risk statement; what was wrong gets another edition. */
export interface Statement {
  date: string;
  edition: number;
  grade: string;
  text: string;
  signed_by: string;
  signed_name: string;
  signed_us: number;
}

export interface ImportProblem {
  row: number;
  column: string;
  value: string;
  zh: string;
  en: string;
}

export interface FieldChange {
  key: string;
  before: unknown;
  after: unknown;
}

export interface ImportChange {
  row: number;
  entry_id: string;
  name: string;
  what: "new" | "changed";
  fields: FieldChange[];
  lon?: number | null;
  lat?: number | null;
}

export interface DryRun {
  import_id: string;
  kind: string;
  filename: string;
  format: string;
  sheet: string;
  sheets: string[];
  crs: { declared: string; detected: string; used: string; offset_m: number | null; warning_zh: string; warning_en: string };
  /** `how`: exact, fuzzy, chosen, or "" where nothing fits */
  columns: { source: string; field: string | null; how?: string }[];
  counts: { rows: number; new: number; changed: number; same: number; wrong: number };
  problems: ImportProblem[];
  changes: ImportChange[];
  /** More problems or changes than are listed; the counts are of all. */
  truncated?: boolean;
}

/** One of the last imports. */
export interface PastImport {
  import_id: string;
  kind: string;
  filename: string;
  state: string;
  owner: string;
  created_us: number;
}

export interface Committed {
  created: number;
  changed: number;
  same: number;
  skipped: number;
  extra: Record<string, unknown>;
}
