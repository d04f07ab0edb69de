/** Times of machines, names of parts, errors, as this page says them. */

import { ApiError } from "../core/api";
import { explain, t, word } from "../core/i18n";
import { refusalOf } from "../office/problems";

/** Logins, keys and waits are machine time; shown in China Standard Time with the year, which may not be the city's. */
export function machineTime(us: number | null | undefined): string {
  if (us === null || us === undefined) return "—";
  return new Date(us / 1000 + 8 * 3600_000).toISOString().slice(0, 16).replace("T", " ");
}

export const microsOf = (iso: string): number => Date.parse(iso) * 1000;

/** What went wrong; where a second factor is missing, what to do about it. */
export function explained(error: unknown): string {
  if (error instanceof ApiError && error.problem.type?.endsWith("second-factor-required") === true) return t("admin.secondFactorNeeded");
  const refusal = refusalOf(error);
  return [refusal.summary || explain(error), ...refusal.other].join("\n");
}

/** One step of the way to a changed value: a colour, a property, a field that we have a word for, or the code. */
export function stepWord(key: string): string {
  const label = word("label", key);
  if (label !== key) return label;
  const colour = word("colour", key);
  if (colour !== key) return colour;
  return key;
}
