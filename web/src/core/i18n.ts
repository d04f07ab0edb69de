/** Chinese first, English second. `?lang=en` or the button; the choice stays in this browser. */

import { ApiError } from "./api";
import en from "./en.json";
import zh from "./zh-CN.json";

export type Lang = "zh" | "en";
export type Key = keyof typeof zh;

const TEXTS: Record<Lang, Record<Key, string>> = { zh, en };
const STORED = "citybrain.lang";

function initial(): Lang {
  const asked = new URLSearchParams(location.search).get("lang") ?? localStorage.getItem(STORED);
  return asked === "en" ? "en" : "zh";
}

export const lang: Lang = typeof location === "undefined" ? "zh" : initial();

/** The whole page is drawn again in the other language. */
export function switchLang(): void {
  localStorage.setItem(STORED, lang === "zh" ? "en" : "zh");
  const url = new URL(location.href);
  url.searchParams.delete("lang");
  location.replace(url);
}

export function text(language: Lang, key: Key, facts: Record<string, string | number> = {}): string {
  return (TEXTS[language][key] ?? key).replace(/\{(\w+)\}/g, (_, name: string) => String(facts[name] ?? ""));
}

export function t(key: Key, facts: Record<string, string | number> = {}): string {
  return text(lang, key, facts);
}

/** The text of a code that the server sent, or the code itself when we have no word for it. */
export function word(prefix: string, code: string): string {
  const key = `${prefix}.${code}` as Key;
  return TEXTS[lang][key] ?? code;
}

/** An object's own words in the page's language. */
export function own(zhText: string, enText: string): string {
  return lang === "zh" ? zhText || enText : enText || zhText;
}

const BY_STATUS: Record<number, Key> = {
  0: "error.offline",
  401: "login.wrong",
  403: "error.forbidden",
  404: "error.notfound",
  409: "error.conflict",
  422: "error.invalid",
  400: "error.invalid",
  503: "error.busy",
};

/** What a person reads when a request failed: our sentence, and the server's reason behind it. */
export function explain(error: unknown): string {
  if (!(error instanceof ApiError)) return String(error);
  if (error.problem.type === "timeout") return t("error.timeout");
  const illegal = error.problem.type?.includes("illegal") === true || error.problem.title === "IllegalTransition";
  const key = illegal ? "error.illegal" : BY_STATUS[error.status];
  const sentence = key !== undefined ? t(key) : error.status >= 500 ? t("error.server") : t("error.unknown", { s: error.status });
  const detail = error.status === 0 || error.status === 401 ? "" : (error.problem.detail ?? "");
  return detail === "" ? sentence : `${sentence} · ${detail}`;
}
