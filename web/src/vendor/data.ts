/** What the vendor page reads: /devices, /devices/{id}/check, /care, /credentials. */

import { own, t, word } from "../core/i18n";

export interface DeviceRow {
  device_id: string;
  name: string;
  model: string;
  area: string;
  vendor: string;
  gateway: string;
  status: string;
  /** property -> [value, quality, t_us] */
  latest: Record<string, [number | string, number, number]>;
  attributes: { stations?: Record<string, { station: string }> };
}

export interface Message {
  property: string;
  seq: number | null;
  phenomenon_us: number;
  receive_us: number;
  result: number | null;
  text: string | null;
  flags: string[];
}

export interface Letter {
  position: number;
  receive_us: number;
  reason: string;
  text: string | null;
  raw: string | null;
  size: number;
  data: { reasons?: string[]; topic?: string };
}

export interface Told {
  receive_us: number;
  reason: string;
  count?: number;
  data: Record<string, unknown>;
}

export interface Check {
  device_id: string;
  received: number;
  flagged: number;
  clock_fault: number;
  backfilled: number;
  conflicts: number;
  dead_lettered: number;
  refused: number;
  last_receive_us: number | null;
  clock_offset_s: number | null;
  last_messages: Message[];
  dead_letters: Letter[];
  refusals: Told[];
  notes: Told[];
}

export interface Item {
  key: string;
  zh: string;
  en: string;
  automatic: boolean;
  ok: boolean;
  value: string;
}

export interface Care {
  acceptance: { accepted: boolean; mark_zh: string; items: Item[]; vendor: { by: string; at_us: number } | null; city: { by: string; at_us: number } | null };
}

export interface Access {
  password_since_us: number | null;
  certificates: { serial: string; until_us: number; revoked_us: number | null }[];
}

export type Light = "good" | "warn" | "bad" | "plain";

/** One word about a device: what its vendor should look at first. */
export function lightOf(check: Check): [Light, string] {
  if (check.last_receive_us === null) return ["bad", t("vendor.never")];
  if (check.refused > 0 || check.dead_lettered > 0) return ["warn", t("vendor.someRefused")];
  if (check.clock_fault > 0) return ["warn", t("vendor.clockWrong")];
  return ["good", t("vendor.allGood")];
}

/** "+2 h 3 min", "0.4 s": how far the device's clock is ahead of ours. */
export function offsetWords(seconds: number | null): string {
  if (seconds === null) return "—";
  const size = Math.abs(seconds);
  const sign = seconds < 0 ? "−" : "+";
  if (size < 120) return `${sign}${size.toFixed(1)} s`;
  if (size < 7200) return `${sign}${Math.floor(size / 60)} min ${Math.round(size % 60)} s`;
  if (size < 172_800) return `${sign}${Math.floor(size / 3600)} h ${Math.round((size % 3600) / 60)} min`;
  return `${sign}${Math.round(size / 86_400)} d`;
}

/** A refused message as a person can read it: text where it is text, else the beginning of its bytes. */
export function letterText(letter: Letter): string {
  if (letter.text !== null && letter.text !== "") return letter.text;
  if (letter.raw === null || letter.raw === "") return "";
  const bytes = atob(letter.raw);
  return [...bytes.slice(0, 64)].map((one) => one.charCodeAt(0).toString(16).padStart(2, "0")).join(" ") + (bytes.length > 64 ? " …" : "");
}

export const valueOf = (row: Message): string => (row.text !== null ? row.text : row.result === null ? "—" : String(row.result));

export const flagWord = (flag: string): string => word("rowflag", flag);

/** A note in a sentence, where it is one of ours. */
export function noteWords(note: Told): string {
  const keys = note.data["values"] ?? note.data["keys"];
  const names = Array.isArray(keys) ? keys.join(", ") : keys !== null && typeof keys === "object" ? Object.keys(keys as object).join(", ") : "";
  const missing = note.data["missing"];
  const more = names !== "" ? `：${names}` : typeof missing === "number" ? `：${missing}（${String(note.data["after"])} → ${String(note.data["before"])}）` : "";
  return `${word("note", note.reason)}${more}`;
}

/** How to publish, ready to be copied; the password is not known here. */
export function sample(host: string, port: string, tenant: string, device: DeviceRow): string {
  const first = Object.keys(device.latest)[0] ?? "PROPERTY";
  const topic = `cb/v1/${tenant}/${device.device_id}/up/telemetry`;
  return `mosquitto_pub -h ${host} -p ${port} -u ${device.device_id} -P PASSWORD -q 1 -i ${device.device_id} \\\n  -t ${topic} \\\n  -m '{"values":{"${first}":1.0}}'`;
}

export const itemWord = (item: Item): string => own(item.zh, item.en);
