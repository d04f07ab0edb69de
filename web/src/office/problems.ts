/** Errors of the server as a form needs them: a sentence per field, and one for the whole. */

import { ApiError } from "../core/api";
import { explain, own } from "../core/i18n";

interface FieldProblem {
  field?: string;
  column?: string;
  key?: string;
  expected?: string;
  got?: unknown;
  zh?: string;
  en?: string;
}

export interface Refusal {
  /** One sentence for the top of the form. */
  summary: string;
  /** By field key, `tanks[2].un` inside rows. `values.phone`, `body.values.phone` and `phone` are one field. */
  fields: Map<string, string>;
  /** Errors of fields that no form shows. */
  other: string[];
}

/** An error that is told in the page's own words, because they say more than the server's kind of error. */
export class Told extends Error {}

export const fieldKey = (path: string): string => path.replace(/^body\./, "").replace(/^values\./, "");

export function refusalOf(error: unknown, known: readonly string[] = []): Refusal {
  const refusal: Refusal = { summary: error instanceof Told ? error.message : explain(error), fields: new Map(), other: [] };
  if (!(error instanceof ApiError) || !Array.isArray(error.problem.errors)) return refusal;
  for (const item of error.problem.errors as FieldProblem[]) {
    const key = fieldKey(item.field ?? item.column ?? item.key ?? "");
    const words = own(item.zh ?? "", item.en ?? "") || item.expected || "";
    // `tanks[2].un` keeps its place for the cell, and the field around it is known by its name.
    const shown = known.some((name) => key === name || key.startsWith(`${name}.`) || key.startsWith(`${name}[`));
    if (!shown) refusal.other.push(key === "" ? words : `${key}: ${words}`);
    else refusal.fields.set(key, [refusal.fields.get(key), words].filter((part) => part !== undefined && part !== "").join("; "));
  }
  return refusal;
}

/** Somebody else changed it since we read it. */
export function isConflict(error: unknown): boolean {
  return error instanceof ApiError && (error.status === 409 || error.status === 412);
}
