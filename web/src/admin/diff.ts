/** What a proposal would change, as a person reads it: one line for each value that differs. Pure. */

export type Change = "added" | "removed" | "changed" | "same";

export interface DiffLine {
  /** the way to the value: ["thresholds", "stage_m", "on", "red"] */
  path: string[];
  change: Change;
  before: string;
  after: string;
}

type Json = Record<string, unknown>;

const isObject = (value: unknown): value is Json => value !== null && typeof value === "object" && !Array.isArray(value);

/** A value in one line. A list of plain values is joined; anything deeper is JSON. */
export function shown(value: unknown): string {
  if (value === undefined || value === null || value === "") return "";
  if (Array.isArray(value) && value.every((item) => !isObject(item) && !Array.isArray(item))) return value.map(shown).join("、");
  if (typeof value === "object") return JSON.stringify(value);
  return String(value);
}

function same(before: unknown, after: unknown): boolean {
  return JSON.stringify(before ?? null) === JSON.stringify(after ?? null);
}

/** Leaves of both documents in the order of the proposal, then what it leaves out. An empty object is a leaf. */
export function diffOf(before: unknown, after: unknown, path: string[] = []): DiffLine[] {
  const left = isObject(before) ? before : {};
  const right = isObject(after) ? after : {};
  const deep = (isObject(before) || isObject(after)) && (isObject(before) || before == null) && (isObject(after) || after == null);
  if (deep && Object.keys(left).length + Object.keys(right).length > 0) {
    const keys = [...Object.keys(right), ...Object.keys(left).filter((key) => !(key in right))];
    return keys.flatMap((key) => diffOf(left[key], right[key], [...path, key]));
  }
  const change: Change = same(before, after) ? "same" : shown(before) === "" ? "added" : shown(after) === "" ? "removed" : "changed";
  return [{ path, change, before: shown(before), after: shown(after) }];
}

/** The lines that differ, and how many do not. */
export function differing(lines: readonly DiffLine[]): { lines: DiffLine[]; same: number } {
  const changed = lines.filter((line) => line.change !== "same");
  return { lines: changed, same: lines.length - changed.length };
}
