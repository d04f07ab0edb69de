/** Which fields of a kind stand as columns: chosen by the clerk, kept in this browser; until then the telling ones. */

import type { Field } from "./types";
import { gradeField, responsibleFields } from "./values";

const SHOWN_FIRST = 5;
const TOO_LONG = ["long_text", "rows", "refs"];
const stored = (kind: string): string => `citybrain.columns.${kind}`;

/** Grade and 责任人 first, then the kind's own order, without what does not fit into a cell. */
export function usualColumns(fields: readonly Field[]): string[] {
  const grade = gradeField(fields);
  const first = [...(grade === undefined ? [] : [grade]), ...responsibleFields(fields).slice(0, 1)].map((field) => field.key);
  const others = fields.filter((field) => field.key !== "name" && !first.includes(field.key) && !TOO_LONG.includes(field.type ?? "text")).map((field) => field.key);
  return [...first, ...others].slice(0, SHOWN_FIRST);
}

export function columnsOf(kind: string, fields: readonly Field[], keep: Pick<Storage, "getItem"> = localStorage): string[] {
  const raw = keep.getItem(stored(kind));
  const known = new Set(fields.map((field) => field.key));
  const chosen = raw === null ? null : raw.split(",").filter((key) => known.has(key));
  return chosen ?? usualColumns(fields);
}

export function keepColumns(kind: string, columns: readonly string[], keep: Pick<Storage, "setItem"> = localStorage): void {
  keep.setItem(stored(kind), columns.join(","));
}
