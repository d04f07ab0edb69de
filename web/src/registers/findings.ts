/** Problems of a dry run, grouped so that one fault of a column is one line and not five hundred. */

import { csv } from "../office/save";
import type { ImportProblem } from "./types";

export interface Group {
  key: string;
  column: string;
  text: string;
  rows: number[];
  /** A few of the values, for the eye. */
  values: string[];
}

const SHOWN_VALUES = 3;

export function grouped(problems: readonly ImportProblem[], lang: "zh" | "en"): Group[] {
  const groups = new Map<string, Group>();
  for (const problem of problems) {
    const text = problem[lang] || problem.zh;
    const key = `${problem.column}\u0000${text}`;
    const group = groups.get(key) ?? { key, column: problem.column, text, rows: [], values: [] };
    group.rows.push(problem.row);
    if (problem.value !== "" && group.values.length < SHOWN_VALUES && !group.values.includes(problem.value)) group.values.push(problem.value);
    groups.set(key, group);
  }
  const whole = (group: Group): number => Number((group.rows[0] ?? 0) <= 0); // of the file, as a missing column: nothing goes before it
  return [...groups.values()].sort((a, b) => whole(b) - whole(a) || b.rows.length - a.rows.length || (a.rows[0] ?? 0) - (b.rows[0] ?? 0));
}

/** 3, 7-9, 15 */
export function ranges(rows: readonly number[]): string {
  const sorted = [...new Set(rows)].sort((a, b) => a - b);
  const parts: string[] = [];
  for (let start = 0; start < sorted.length; ) {
    let end = start;
    while (sorted[end + 1] === (sorted[end] as number) + 1) end += 1;
    parts.push(end === start ? `${sorted[start]}` : `${sorted[start]}-${sorted[end]}`);
    start = end + 1;
  }
  return parts.join(", ");
}

export function filtered(problems: readonly ImportProblem[], words: string, lang: "zh" | "en"): ImportProblem[] {
  const wanted = words.trim().toLowerCase();
  if (wanted === "") return [...problems];
  return problems.filter((problem) => [String(problem.row), problem.column, problem.value, problem[lang]].some((part) => part.toLowerCase().includes(wanted)));
}

export function problemsCsv(problems: readonly ImportProblem[], heads: readonly [string, string, string, string], lang: "zh" | "en"): string {
  return csv([heads, ...problems.map((problem) => [problem.row, problem.column, problem.value, problem[lang] || problem.zh])]);
}
