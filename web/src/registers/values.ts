/** Values of a register's entry and what a form holds of them: pure, so that every type of field is tested without a page. */

import { text } from "../core/i18n";
import type { Entry, Field, Kind, Values } from "./types";

/** What the inputs hold: text as typed, lists of ids, booleans (null: not said), rows of the same. */
export type FormValue = string | string[] | boolean | null | FormRow[];
export type FormRow = { [key: string]: FormValue };

const CST_OFFSET_MS = 8 * 3600_000;
const typeOf = (field: Field): NonNullable<Field["type"]> => field.type ?? "text";

/** A stored value as its input shows it. */
export function toForm(field: Field, value: unknown): FormValue {
  switch (typeOf(field)) {
    case "bool":
      return typeof value === "boolean" ? value : null;
    case "choices":
    case "refs":
      return Array.isArray(value) ? value.map(String) : [];
    case "rows":
      return Array.isArray(value) ? value.map((row) => rowToForm(field.fields ?? [], row as Values)) : [];
    case "datetime":
      return typeof value === "string" && value !== "" ? localTime(value) : "";
    default:
      return value === null || value === undefined ? "" : String(value);
  }
}

export function rowToForm(fields: readonly Field[], values: Values): FormRow {
  return Object.fromEntries(fields.map((field) => [field.key, toForm(field, values[field.key])]));
}

/** An input's value as it travels; undefined where nothing was entered. */
export function fromForm(field: Field, value: FormValue): unknown {
  switch (typeOf(field)) {
    case "bool":
      return value ?? undefined;
    case "choices":
    case "refs":
      return (value as string[]).length === 0 ? undefined : value;
    case "rows": {
      const rows = (value as FormRow[]).map((row) => rowFromForm(field.fields ?? [], row)).filter((row) => Object.keys(row).length > 0);
      return rows.length === 0 ? undefined : rows;
    }
    case "number":
    case "integer": {
      const typed = String(value ?? "").trim();
      const number = Number(typed);
      return typed === "" ? undefined : Number.isFinite(number) ? number : typed; // what is no number the server names
    }
    case "datetime":
      return value === "" || value === null ? undefined : `${String(value)}:00+08:00`;
    default: {
      const typed = String(value ?? "").trim();
      return typed === "" ? undefined : typed;
    }
  }
}

export function rowFromForm(fields: readonly Field[], row: FormRow): Values {
  const values: Values = {};
  for (const field of fields) {
    const value = fromForm(field, row[field.key] ?? "");
    if (value !== undefined && !(typeOf(field) === "bool" && value === "")) values[field.key] = value;
  }
  return values;
}

export interface Wrong {
  zh: string;
  en: string;
}

/** What a page can see at once; the server judges again and knows more. Keys as the server writes them: `tanks[2].un`. */
export function faults(fields: readonly Field[], row: FormRow, at = ""): Map<string, Wrong> {
  const found = new Map<string, Wrong>();
  for (const field of fields) {
    const raw = row[field.key] ?? "";
    const value = fromForm(field, raw);
    const wrong = faultOf(field, value);
    if (wrong !== null) found.set(at + field.key, wrong);
    if (typeOf(field) === "rows") {
      (raw as FormRow[]).forEach((inner, index) => {
        if (Object.keys(rowFromForm(field.fields ?? [], inner)).length === 0) return; // an empty line is not sent
        for (const [key, fault] of faults(field.fields ?? [], inner, `${at}${field.key}[${index + 1}].`)) found.set(key, fault);
      });
    }
  }
  return found;
}

function faultOf(field: Field, value: unknown): Wrong | null {
  if (value === undefined || value === "") return field.required === true ? { zh: `请填写${field.zh}`, en: `${field.en} is required` } : null;
  const type = typeOf(field);
  if (type === "number" || type === "integer") {
    if (typeof value !== "number") return { zh: "应为数字", en: "expected a number" };
    if (type === "integer" && !Number.isInteger(value)) return { zh: "应为整数", en: "expected a whole number" };
    const uom = field.uom ?? "";
    if (field.minimum != null && value < field.minimum) return { zh: `不得小于 ${field.minimum} ${uom}`.trim(), en: `at least ${field.minimum} ${uom}`.trim() };
    if (field.maximum != null && value > field.maximum) return { zh: `不得大于 ${field.maximum} ${uom}`.trim(), en: `at most ${field.maximum} ${uom}`.trim() };
  }
  if (type === "phone" && !isMasked(value) && String(value).replace(/\D/g, "").length < 3) return { zh: "应为电话号码", en: "expected a telephone number" };
  return null;
}

/** Stars stand where the server keeps something from this reader; such a value says nothing and is never compared. */
export const isMasked = (value: unknown): boolean => typeof value === "string" && value.includes("**");

/** Without the empty lines of tables inside: what is sent and what is shown have the same line numbers then. */
export function withoutEmptyLines(fields: readonly Field[], row: FormRow): FormRow {
  const tables = fields.filter((field) => typeOf(field) === "rows");
  const kept = tables.map((field) => [field.key, ((row[field.key] ?? []) as FormRow[]).filter((inner) => Object.keys(rowFromForm(field.fields ?? [], inner)).length > 0)] as const);
  return { ...row, ...Object.fromEntries(kept) };
}

/** Which fields differ between two versions of an entry. */
export function changedKeys(fields: readonly Field[], mine: Values, theirs: Values): string[] {
  return fields.map((field) => field.key).filter((key) => JSON.stringify(mine[key] ?? null) !== JSON.stringify(theirs[key] ?? null));
}

/** 2019-08-09T20:40:00+08:00 or ...Z -> 2019-08-09T20:40 in China Standard Time, as a datetime-local input wants it. */
export function localTime(iso: string): string {
  const ms = Date.parse(iso);
  return Number.isNaN(ms) ? "" : new Date(ms + CST_OFFSET_MS).toISOString().slice(0, 16);
}

export type Lookup = (ref: string, id: string) => string;

/** A value as a person reads it in a cell. `names` gives the name behind a reference. */
export function shownValue(field: Field, value: unknown, lang: "zh" | "en", names: Lookup): string {
  if (value === null || value === undefined || value === "") return "";
  switch (typeOf(field)) {
    case "bool":
      return text(lang, value === true ? "reg.yes" : "reg.no");
    case "choice":
      return choiceText(field, String(value), lang);
    case "choices":
      return (value as unknown[]).map((item) => choiceText(field, String(item), lang)).join("、");
    case "ref":
      return names(field.ref ?? "", String(value));
    case "refs":
      return (value as unknown[]).map((item) => names(field.ref ?? "", String(item))).join("、");
    case "area":
      return names("area", String(value));
    case "rows":
      return Array.isArray(value) ? text(lang, "reg.rowsIn", { n: value.length }) : "";
    case "datetime":
      return localTime(String(value)).replace("T", " ");
    case "number":
    case "integer":
      return `${String(value)}${field.uom === undefined || field.uom === "" ? "" : ` ${field.uom}`}`;
    default:
      return Array.isArray(value) ? value.map((item) => (typeof item === "number" ? item.toFixed(6) : String(item))).join(", ") : String(value);
  }
}

export function choiceText(field: Field, value: string, lang: "zh" | "en"): string {
  const choice = field.choices?.find((candidate) => candidate.value === value);
  return choice === undefined ? value : choice[lang] || choice.zh;
}

/** The field whose choices are the four colours, if the kind has one. */
export const gradeField = (fields: readonly Field[]): Field | undefined => fields.find((field) => typeOf(field) === "choice" && (field.choices ?? []).some((choice) => (choice.colour ?? "") !== ""));

export function gradeOf(fields: readonly Field[], entry: Pick<Entry, "values">): { colour: string; zh: string; en: string } | null {
  const field = gradeField(fields);
  const choice = field?.choices?.find((candidate) => candidate.value === entry.values[field.key]);
  return choice === undefined ? null : { colour: choice.colour ?? "", zh: choice.zh, en: choice.en };
}

/** Fields that name who answers for an object: 责任人 A first. */
export function responsibleFields(fields: readonly Field[]): Field[] {
  return fields.filter((field) => /责任人/.test(field.zh) && !["phone", "rows"].includes(typeOf(field)));
}

/** Objects at risk and resources need somebody who answers for them; an area or an organisation may have one. */
export const needsResponsible = (kind: Pick<Kind, "group" | "fields">): boolean => ["risk", "resource"].includes(kind.group) && responsibleFields(kind.fields).length > 0;

/** An object for which nobody answers at all: the first field of 责任人 is empty. */
export function lacksResponsible(kind: Pick<Kind, "group" | "fields">, entry: Pick<Entry, "values">): boolean {
  const first = responsibleFields(kind.fields)[0];
  if (first === undefined || !needsResponsible(kind)) return false;
  const value = entry.values[first.key];
  return value === undefined || value === null || value === "" || (Array.isArray(value) && value.length === 0);
}

/** The server knows when the season began; without its word only what was never checked is unverified. */
export const isVerified = (entry: Pick<Entry, "verified_us" | "verified">): boolean => entry.verified ?? entry.verified_us !== null;
