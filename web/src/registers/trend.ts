/** The grades that a plant gave itself day by day: the last edition of each day counts, a day that nobody signed is a hole. */

import { DAY_US, isoDay, parsed } from "../duty/roster";
import type { Statement } from "./types";

export const TREND_DAYS = 30;

export interface TrendDay {
  date: string;
  /** "" where nobody signed */
  grade: string;
}

export function trendOf(items: readonly Statement[], today: string, days: number): TrendDay[] {
  const last = parsed(today);
  if (last === null) return [];
  const signed = new Map<string, Statement>();
  for (const item of items) if (item.edition > (signed.get(item.date)?.edition ?? 0)) signed.set(item.date, item);
  return Array.from({ length: days }, (_, n) => {
    const date = isoDay(last - (days - 1 - n) * DAY_US);
    return { date, grade: signed.get(date)?.grade ?? "" };
  });
}
