/** City time on the page: the server's clock state carried forward by machine time. Screens show China Standard Time. */

import type { ClockState } from "./types";

const CST_OFFSET_MS = 8 * 3600_000;
const pad = (value: number): string => String(value).padStart(2, "0");

export class CityClock {
  private baseUs: number;
  private baseMs: number;
  rate: number;
  kind: string;

  constructor(
    state: Pick<ClockState, "city_us" | "rate" | "kind">,
    private readonly nowMs: () => number = () => performance.now(),
  ) {
    this.baseUs = state.city_us;
    this.baseMs = nowMs();
    this.rate = state.rate;
    this.kind = state.kind;
  }

  /** A stepped clock stands still between its steps. */
  nowUs(): number {
    if (this.kind === "stepped") return this.baseUs;
    return this.baseUs + (this.nowMs() - this.baseMs) * 1000 * this.rate;
  }

  sync(cityUs: number, rate: number = this.rate, kind: string = this.kind): void {
    this.baseUs = cityUs;
    this.baseMs = this.nowMs();
    this.rate = rate;
    this.kind = kind;
  }
}

function parts(us: number): Date {
  return new Date(us / 1000 + CST_OFFSET_MS); // read with the UTC getters: the page's own zone does not matter
}

export function hms(us: number): string {
  const date = parts(us);
  return `${pad(date.getUTCHours())}:${pad(date.getUTCMinutes())}:${pad(date.getUTCSeconds())}`;
}

export function hm(us: number): string {
  return hms(us).slice(0, 5);
}

export function dayHm(us: number): string {
  const date = parts(us);
  return `${date.getUTCMonth() + 1}/${date.getUTCDate()} ${hm(us)}`;
}

const WEEKDAYS = { zh: ["日", "一", "二", "三", "四", "五", "六"], en: ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"] };

export function longDate(us: number, lang: "zh" | "en"): string {
  const date = parts(us);
  const [y, m, d, w] = [date.getUTCFullYear(), date.getUTCMonth() + 1, date.getUTCDate(), date.getUTCDay()];
  return lang === "zh" ? `${y}年${m}月${d}日 星期${WEEKDAYS.zh[w]}` : `${WEEKDAYS.en[w]} ${y}-${pad(m)}-${pad(d)}`;
}

/** A span in the units a person says: 45秒, 12分, 3时05分. Negative spans are shown as zero. */
export function span(us: number, lang: "zh" | "en"): string {
  const seconds = Math.max(0, Math.floor(us / 1e6));
  const [s, m, h, d] = lang === "zh" ? ["秒", "分", "时", "天"] : ["s", "m", "h", "d"];
  if (seconds < 60) return `${seconds}${s}`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}${m}`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)}${h}${pad(Math.floor((seconds % 3600) / 60))}${m}`;
  return `${Math.floor(seconds / 86400)}${d}${Math.floor((seconds % 86400) / 3600)}${h}`;
}
