/** What the map and the tables show of a dry run. Pure. */

import type { PreviewPoint } from "../../map/register";
import type { DryRun, FieldChange, ImportChange } from "../types";
import { suspected } from "./shift";

const DRAWN_MAX = 2_000;

/** Points of new and changed rows; more than a map can show are thinned evenly. */
export function pointsOf(run: Pick<DryRun, "changes" | "crs">): PreviewPoint[] {
  const found: PreviewPoint[] = [];
  for (const change of run.changes) {
    const { lon, lat } = change;
    if (lon == null || lat == null) continue;
    found.push({ lon, lat, suspect: suspected([lon, lat], run.crs.used, run.crs.detected) });
  }
  const every = Math.ceil(found.length / DRAWN_MAX);
  return every <= 1 ? found : found.filter((_, index) => index % every === 0);
}

export interface ChangeLine {
  key: string;
  row: number;
  entry_id: string;
  name: string;
  what: ImportChange["what"];
  field: FieldChange | null;
}

/** One line for a new entry, one per field for a changed one. */
export function changeLines(changes: readonly ImportChange[]): ChangeLine[] {
  return changes.flatMap((change): ChangeLine[] => {
    const { row, entry_id, name, what } = change;
    if (what === "new" || change.fields.length === 0) return [{ key: `${row}`, row, entry_id, name, what, field: null }];
    return change.fields.map((field) => ({ key: `${row}:${field.key}`, row, entry_id, name, what, field }));
  });
}

export interface ExtraTable {
  name: string;
  columns: string[];
  rows: string[][];
}

/** What a commit gives once (credentials, passwords) as tables: lists of objects, and mappings. */
export function tablesOf(extra: Record<string, unknown>): ExtraTable[] {
  return Object.entries(extra).flatMap(([name, value]): ExtraTable[] => {
    const cell = (item: unknown): string => (item === null || item === undefined ? "" : typeof item === "object" ? JSON.stringify(item) : String(item));
    if (Array.isArray(value)) {
      if (value.length === 0) return [];
      const columns = [...new Set(value.flatMap((item) => (item !== null && typeof item === "object" ? Object.keys(item) : ["value"])))];
      return [{ name, columns, rows: value.map((item: unknown) => columns.map((column) => (item !== null && typeof item === "object" ? cell((item as Record<string, unknown>)[column]) : cell(item)))) }];
    }
    if (value !== null && typeof value === "object") {
      const pairs = Object.entries(value);
      if (pairs.length === 0) return [];
      if (pairs.every(([, item]) => item !== null && typeof item === "object" && !Array.isArray(item))) return tablesOf({ [name]: pairs.map(([id, item]) => ({ id, ...(item as object) })) });
      return [{ name, columns: ["id", "value"], rows: pairs.map(([id, item]) => [id, cell(item)]) }];
    }
    return value === null || value === undefined || value === "" ? [] : [{ name, columns: ["value"], rows: [[cell(value)]] }];
  });
}
