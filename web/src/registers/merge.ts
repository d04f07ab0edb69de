/** Two people changed one entry: what each changed since both read it, field by field. Pure. */

import type { Field, Values } from "./types";

export interface Difference {
  key: string;
  mine: unknown;
  theirs: unknown;
  /** Whose value is proposed: the one who changed it; where both did, the person must look. */
  proposed: "mine" | "theirs";
  both: boolean;
}

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a ?? null) === JSON.stringify(b ?? null);

export function differences(fields: readonly Pick<Field, "key">[], base: Values, mine: Values, theirs: Values): Difference[] {
  const found: Difference[] = [];
  for (const { key } of fields) {
    if (same(mine[key], theirs[key])) continue;
    const [iChanged, theyChanged] = [!same(mine[key], base[key]), !same(theirs[key], base[key])];
    found.push({ key, mine: mine[key], theirs: theirs[key], proposed: iChanged ? "mine" : "theirs", both: iChanged && theyChanged });
  }
  return found;
}

export function merged(theirs: Values, chosen: readonly { key: string; value: unknown }[]): Values {
  const values: Values = { ...theirs };
  for (const { key, value } of chosen) {
    if (value === undefined) delete values[key];
    else values[key] = value;
  }
  return values;
}
