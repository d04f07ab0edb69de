/** What /api/v1/areas/{code}/summary says (command_center/township.py), and what of it is drawn. */

import type { Alarm, Incident, Task, User } from "../core/types";
import type { Order } from "../duty/orders";
import type { OnDuty } from "../duty/types";
import type { MapEntry } from "../map/register";
import type { Areas } from "../office/areas";

export interface KindCount {
  kind: string;
  zh: string;
  en: string;
  group: string;
  count: number;
  unverified: number;
  grades: Record<string, number>;
}

export interface AreaSummary {
  code: string;
  name: string;
  level: string;
  at_us: number;
  alarms_by_colour: Record<string, number> | null;
  alarms: Alarm[] | null;
  incidents_open: number | null;
  incidents: Incident[] | null;
  tasks_by_state: Record<string, number> | null;
  tasks: Task[] | null;
  units_by_status: Record<string, number> | null;
  objects: KindCount[];
  devices_by_status: Record<string, number> | null;
  quality: { total: number; overdue: number; by_check: Record<string, number> } | null;
  duty: { chain: OnDuty[]; last_resort: boolean } | null;
  instructions_open: number | null;
  instructions_overdue: number | null;
  instructions: Order[] | null;
}

export const COLOURS = ["red", "orange", "yellow", "blue"] as const;

export const sum = (counts: Record<string, number> | null): number | null => (counts === null ? null : Object.values(counts).reduce((all, one) => all + one, 0));

export function silentOf(summary: AreaSummary): number | null {
  const counts = summary.devices_by_status;
  return counts === null ? null : (counts.no_data ?? 0) + (counts.offline ?? 0);
}

/** The alarms that have a place; the reddest last, so that they lie on top. */
export function marksOf(summary: AreaSummary): MapEntry[] {
  const rank = (colour: string): number => COLOURS.length - COLOURS.indexOf(colour as (typeof COLOURS)[number]);
  return [...(summary.alarms ?? [])]
    .filter((alarm) => alarm.lon !== null && alarm.lat !== null)
    .sort((a, b) => rank(a.colour) - rank(b.colour))
    .map((alarm) => ({ id: alarm.alarm_id, name: alarm.title_zh, lon: alarm.lon, lat: alarm.lat, colour: alarm.colour }));
}

/** Where somebody begins: the address bar, his own area, else the widest that there is. */
export function firstArea(asked: string, user: Pick<User, "scope">, areas: Areas): string {
  if (asked !== "") return asked;
  return user.scope?.areas?.[0] ?? areas.list[0]?.code ?? "";
}
