/** The roster as a grid of posts and days: who stands where, where nobody does, and how a rotation is laid out. Pure. */

export interface Post {
  post: string;
  zh: string;
  en: string;
  /** place in the order of calling */
  step: number;
  /** nobody on a required post is a gap; on another it is not */
  required: boolean;
  hand_over: boolean;
  hazards: string[];
}

export interface Shift {
  shift_id: string;
  post: string;
  /** "" for a contact without an account, who has a name and a telephone */
  username: string;
  name: string;
  phone?: string;
  phone_mask?: string;
  area: string;
  from_us: number;
  to_us: number;
  rev: number;
}

export type NewShift = Omit<Shift, "shift_id" | "rev" | "phone_mask">;

/** Who it is, whether an account or not. */
export const personOf = (shift: Pick<Shift, "username" | "name">): string => shift.username || shift.name;

export interface Gap {
  from_us: number;
  to_us: number;
}

export interface Cell {
  day_us: number;
  shifts: Shift[];
  /** hours of this day in which nobody stands on the post; only from `gapsFrom` on, since the past cannot be filled */
  gaps: Gap[];
}

export interface Row {
  post: Post;
  area: string;
  cells: Cell[];
}

export const HOUR_US = 3600e6;
export const DAY_US = 24 * HOUR_US;
const CST_US = 8 * HOUR_US; // screens show China Standard Time, which has no summer time: a day is always 24 h
const EPOCH_WEEKDAY = 3; // 1970-01-01 was a Thursday; weeks begin on Monday

/** Midnight (China Standard Time) before or at this moment. */
export function dayStart(us: number): number {
  return Math.floor((us + CST_US) / DAY_US) * DAY_US - CST_US;
}

export function weekStart(us: number): number {
  const day = Math.floor((us + CST_US) / DAY_US);
  return (day - ((day + EPOCH_WEEKDAY) % 7)) * DAY_US - CST_US;
}

export function monthStart(us: number): number {
  const date = cst(us);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1) * 1000 - CST_US;
}

export function addMonths(us: number, months: number): number {
  const date = cst(us);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + months, 1) * 1000 - CST_US;
}

export function daysOf(from: number, to: number): number[] {
  return Array.from({ length: Math.round((to - from) / DAY_US) }, (_, index) => from + index * DAY_US);
}

export interface Span {
  from: number;
  to: number;
}

/** The days that a view shows: a week from Monday, or the whole month. */
export function spanOf(view: "week" | "month", at: number): Span {
  if (view === "week") return { from: weekStart(at), to: weekStart(at) + 7 * DAY_US };
  return { from: monthStart(at), to: addMonths(at, 1) };
}

export function moved(view: "week" | "month", at: number, steps: number): number {
  return view === "week" ? at + steps * 7 * DAY_US : addMonths(at, steps);
}

/** Parts of [from, to) that none of the shifts covers. */
export function gapsIn(shifts: readonly Pick<Shift, "from_us" | "to_us">[], from: number, to: number): Gap[] {
  const gaps: Gap[] = [];
  let reached = from;
  for (const shift of [...shifts].sort((a, b) => a.from_us - b.from_us)) {
    if (shift.to_us <= reached) continue;
    if (shift.from_us >= to) break;
    if (shift.from_us > reached) gaps.push({ from_us: reached, to_us: shift.from_us });
    reached = shift.to_us;
  }
  if (reached < to) gaps.push({ from_us: reached, to_us: to });
  return gaps;
}

/**
 * One row for each post and area: every post has its row for the district (`home`), and one more for each other area that has
 * shifts. Whoever stands for a wider area fills the gap of a narrower one (command_center/duty/roster.py says the same).
 * `gapsFrom`: hours before it are not called gaps.
 */
export function gridOf(posts: readonly Post[], shifts: readonly Shift[], span: Span, gapsFrom: number, home: string): Row[] {
  const rows: Row[] = [];
  for (const post of [...posts].sort((a, b) => a.step - b.step)) {
    const own = shifts.filter((shift) => shift.post === post.post);
    const areas = [...new Set([home, ...own.map((shift) => shift.area).sort()])];
    for (const area of areas) {
      const held = area !== home || own.length === 0 || own.some((shift) => shift.area === home);
      const filling = own.filter((shift) => area.startsWith(shift.area));
      const cells = cellsOf(own.filter((shift) => shift.area === area), filling, span, post.required && held ? gapsFrom : Infinity);
      rows.push({ post, area, cells });
    }
  }
  return rows;
}

function cellsOf(shifts: readonly Shift[], filling: readonly Shift[], span: Span, gapsFrom: number): Cell[] {
  return daysOf(span.from, span.to).map((day) => {
    const end = day + DAY_US;
    const inside = shifts.filter((shift) => shift.from_us < end && shift.to_us > day).sort((a, b) => a.from_us - b.from_us);
    return { day_us: day, shifts: inside, gaps: gapsFrom >= end ? [] : gapsIn(filling, Math.max(day, gapsFrom), end) };
  });
}

/** A person who would stand in two places at once, or twice in one. */
export function clashesOf(draft: Pick<Shift, "username" | "name" | "from_us" | "to_us">, shifts: readonly Shift[], except = ""): Shift[] {
  const who = personOf(draft);
  return shifts.filter((shift) => shift.shift_id !== except && personOf(shift) === who && shift.from_us < draft.to_us && shift.to_us > draft.from_us);
}

/** "08:30" as hours after midnight; null for what is no time of day. 24:00 is the end of the day. */
export function clockTime(text: string): number | null {
  const match = /^(\d{1,2}):(\d{2})$/.exec(text.trim());
  if (match === null) return null;
  const hours = Number(match[1]) + Number(match[2]) / 60;
  return Number(match[2]) < 60 && hours <= 24 ? hours : null;
}

export const USUAL_START = 8.5;

/** The hour at which this district's days begin: the morning hour at which most of its shifts do. */
export function usualStart(shifts: readonly Pick<Shift, "from_us">[]): number {
  const counts = new Map<number, number>();
  for (const shift of shifts) {
    const hour = (shift.from_us - dayStart(shift.from_us)) / HOUR_US;
    if (hour >= 5 && hour <= 12) counts.set(hour, (counts.get(hour) ?? 0) + 1);
  }
  return [...counts].sort(([a, n], [b, m]) => m - n || a - b)[0]?.[0] ?? USUAL_START;
}

/** 8.5 as 08:30. */
export function clockWords(hour: number): string {
  const minutes = Math.round((((hour % 24) + 24) % 24) * 60);
  return `${String(Math.floor(minutes / 60)).padStart(2, "0")}:${String(minutes % 60).padStart(2, "0")}`;
}

export type Pattern = "day" | "half" | "third";
export const PATTERN_HOURS: Record<Pattern, number> = { day: 24, half: 12, third: 8 };

export interface Rotation {
  post: string;
  area: string;
  people: readonly { username: string; name: string }[];
  from_day: number;
  days: number;
  /** hours after midnight at which the first shift of a day begins */
  start: number;
  pattern: Pattern;
}

/** The people take turns, one shift each, from the first day on; the last shift may end on the day after the last. */
export function rotationOf(plan: Rotation): NewShift[] {
  if (plan.people.length === 0) return [];
  const hours = PATTERN_HOURS[plan.pattern];
  const first = dayStart(plan.from_day) + plan.start * HOUR_US;
  return Array.from({ length: plan.days * (24 / hours) }, (_, index) => {
    const person = plan.people[index % plan.people.length] as { username: string; name: string };
    const from_us = first + index * hours * HOUR_US;
    return { post: plan.post, area: plan.area, username: person.username, name: person.name, from_us, to_us: from_us + hours * HOUR_US };
  });
}

/** Of a generated rotation: what can be entered, and what stands in the way of the rest. */
export function sifted(drafts: readonly NewShift[], shifts: readonly Shift[]): { fresh: NewShift[]; taken: NewShift[]; clashes: NewShift[] } {
  const sorted = { fresh: [] as NewShift[], taken: [] as NewShift[], clashes: [] as NewShift[] };
  for (const draft of drafts) {
    const taken = shifts.some((s) => s.post === draft.post && s.area === draft.area && s.from_us < draft.to_us && s.to_us > draft.from_us);
    sorted[taken ? "taken" : clashesOf(draft, shifts).length > 0 ? "clashes" : "fresh"].push(draft);
  }
  return sorted;
}

/** Two shifts with their people exchanged, or null where one of them would then stand in two places. */
export function swapped(one: Shift, other: Shift, shifts: readonly Shift[]): [Shift, Shift] | null {
  const rest = shifts.filter((shift) => shift.shift_id !== one.shift_id && shift.shift_id !== other.shift_id);
  const who = ({ username, name, phone = "" }: Shift): Pick<Shift, "username" | "name" | "phone"> => ({ username, name, phone });
  const first = { ...one, ...who(other) };
  const second = { ...other, ...who(one) };
  if (clashesOf(first, rest).length > 0 || clashesOf(second, rest).length > 0) return null;
  return [first, second];
}

/** A shift that was dragged to another day keeps its hours. */
export function onDay(shift: Shift, fromDay: number, toDay: number): Shift {
  const by = dayStart(toDay) - dayStart(fromDay);
  return { ...shift, from_us: shift.from_us + by, to_us: shift.to_us + by };
}

/** Hours that a person stands in the span, for an even share of the load. */
export function hoursOf(shifts: readonly Shift[], span: Span): { username: string; name: string; hours: number }[] {
  const sums = new Map<string, { username: string; name: string; hours: number }>();
  for (const shift of shifts) {
    const us = Math.min(shift.to_us, span.to) - Math.max(shift.from_us, span.from);
    if (us <= 0) continue;
    const sum = sums.get(personOf(shift)) ?? { username: shift.username, name: shift.name || shift.username, hours: 0 };
    sum.hours += us / HOUR_US;
    sums.set(personOf(shift), sum);
  }
  return [...sums.values()].sort((a, b) => b.hours - a.hours || (a.username < b.username ? -1 : 1));
}

function cst(us: number): Date {
  return new Date((us + CST_US) / 1000); // read with the UTC getters
}

/** "2019-08-09" for the date fields of a form, and back. */
export function isoDay(us: number): string {
  return cst(us).toISOString().slice(0, 10);
}

/** Microseconds of a form's "2019-08-09T08:30" (or the date alone) in China Standard Time; null when it is no time. */
export function parsed(text: string): number | null {
  const ms = Date.parse(text.length <= 10 ? `${text}T00:00Z` : `${text}Z`);
  return Number.isNaN(ms) ? null : ms * 1000 - CST_US;
}

/** "2019-08-09T08:30" for a `datetime-local` field. */
export function isoMinute(us: number): string {
  return cst(us).toISOString().slice(0, 16);
}
