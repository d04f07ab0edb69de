/** What /api/v1/quality says (command_center/quality.py). */

import { word } from "../core/i18n";

export const CHECKS = ["silent", "clock", "suspect", "refused", "calibration", "entry", "unverified"] as const;
export type Check = (typeof CHECKS)[number];
export const STAGES = ["found", "fed_back", "mended"] as const;
export type Stage = (typeof STAGES)[number];

export interface Problem {
  problem_id: string;
  check: Check;
  check_zh: string;
  zh: string;
  en: string;
  /** `device`, or a kind of the registers */
  subject: string;
  subject_id: string;
  name: string;
  area: string;
  /** firm of a device, organisation of an entry */
  whose: string;
  stage: Stage;
  since_us: number | null;
  ticket_id: string;
  ticket_state_zh: string;
  due_us: number | null;
  overdue: boolean;
}

export interface Board {
  items: Problem[];
  next: string | null;
  at_us: number;
  total: number;
  by_check: Partial<Record<Check, number>>;
  by_stage: Record<Stage, number>;
  by_whose: Record<string, number>;
  overdue: number;
  closed: number;
}

export interface Filter {
  check: string;
  stage: string;
  whose: string;
  area: string;
}

export const NOTHING: Filter = { check: "", stage: "", whose: "", area: "" };

export function queryOf(filter: Filter, cursor = "", limit = 500): string {
  const query = new URLSearchParams({ limit: String(limit) });
  for (const [name, value] of Object.entries(filter)) if (value !== "") query.set(name, value);
  if (cursor !== "") query.set("cursor", cursor);
  return `/api/v1/quality?${query}`;
}

export const checkWord = (check: string): string => word("check", check);
export const stageWord = (stage: string): string => word("stage", stage);

/** Where somebody mends it; "" for what is mended by a ticket. */
export function placeOf(problem: Problem): string {
  if (problem.subject === "device") return "";
  const view = problem.check === "unverified" ? "unverified" : "list";
  const query = new URLSearchParams({ ...(view === "list" ? {} : { view }), kind: problem.subject, id: problem.subject_id });
  return `/registers?${query}`;
}
