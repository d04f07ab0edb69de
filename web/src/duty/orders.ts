/** 批示: a leader's numbered instruction, one supervised task for each addressee. What each reader may do with it now. Pure. */

import type { User } from "../core/types";
import { atDesk } from "./rights";

export interface Addressee {
  n: number;
  kind: string;
  id: string;
  name: string;
  state: string;
  state_zh: string;
  report: string;
  /** was not reported when it was due; stays, as a fact */
  overdue: boolean;
  received_us: number | null;
  reported_us: number | null;
  changed_us: number;
}

export interface OrderEvent {
  at_us: number;
  actor: string;
  kind: string;
  text_zh: string;
  text_en: string;
  /** addressee; 0: all */
  n: number;
}

export interface Order {
  instruction_id: string;
  text: string;
  urgency: string;
  urgency_zh: string;
  issued_by: string;
  issued_us: number;
  due_us: number | null;
  incident_id: string;
  area: string;
  state: string;
  state_zh: string;
  open: boolean;
  changed_us: number;
  rev: number;
  addressees: Addressee[];
  timeline: OrderEvent[];
}

export type Step = "receive" | "report" | "check" | "return" | "close" | "recall";

/** From which states an addressee's task may take a step: the table of command_center/duty/machines.py. */
const FROM: Record<Step, readonly string[]> = {
  receive: ["ISSUED"],
  report: ["RECEIVED", "IN_PROGRESS", "RETURNED"],
  check: ["REPORTED"],
  return: ["REPORTED", "CHECKED"],
  close: ["CHECKED"],
  recall: ["ISSUED", "RECEIVED", "IN_PROGRESS", "REPORTED", "RETURNED"],
};
const UNREPORTED = ["ISSUED", "RECEIVED", "IN_PROGRESS", "RETURNED"];

export type Me = Pick<User, "username" | "roles" | "unit_id"> & { scope?: { organisations?: string[] } };

export function addressed(one: Addressee, user: Me): boolean {
  if (one.kind === "organisation") return user.scope?.organisations?.includes(one.id) === true;
  return (one.kind === "user" && one.id === user.username) || (one.kind === "unit" && one.id !== "" && one.id === user.unit_id);
}

/**
 * The buttons of one addressee's line, the likely one first. The addressee answers himself; the desk may answer for a unit or an
 * organisation that reports by telephone; the desk checks and closes, never its own report; leaders recall. The server decides again.
 */
export function stepsOf(one: Addressee, user: Me): Step[] {
  const mine = addressed(one, user);
  const may: Record<Step, boolean> = {
    receive: mine || (one.kind !== "user" && atDesk(user)),
    report: mine || (one.kind !== "user" && atDesk(user)),
    check: !mine && atDesk(user),
    return: !mine && atDesk(user),
    close: !mine && atDesk(user),
    recall: user.roles.includes("leader"),
  };
  return (Object.keys(FROM) as Step[]).filter((step) => may[step] && FROM[step].includes(one.state));
}

/** Steps that a text must go with: a report says what was done, a return and a recall say why. */
export function needsText(step: Step): step is "report" | "return" | "recall" {
  return step === "report" || step === "return" || step === "recall";
}

/** Whether the next move is this reader's: he was addressed and has not reported, or he issued it and it was reported. */
export function waitsFor(order: Order, user: Me): boolean {
  if (!order.open) return false;
  if (order.addressees.some((one) => addressed(one, user) && UNREPORTED.includes(one.state))) return true;
  return order.issued_by === user.username && order.addressees.some((one) => one.state === "REPORTED" || one.state === "CHECKED");
}

/** Microseconds past the due time of a report that somebody still owes (督办); null where nobody does. */
export function overdueBy(order: Order, nowUs: number): number | null {
  if (!order.open || order.due_us === null || order.due_us >= nowUs) return null;
  return order.addressees.some((one) => UNREPORTED.includes(one.state)) ? nowUs - order.due_us : null;
}

export function lateOne(order: Order, one: Addressee, nowUs: number): boolean {
  return one.overdue || (order.due_us !== null && order.due_us < nowUs && UNREPORTED.includes(one.state));
}

/** Overdue first, then what waits for the reader, then the other open ones by their due time, then the finished, newest first. */
export function arranged(orders: readonly Order[], user: Me, nowUs: number): Order[] {
  const rank = (order: Order): number => (overdueBy(order, nowUs) !== null ? 0 : waitsFor(order, user) ? 1 : order.open ? 2 : 3);
  const due = (order: Order): number => order.due_us ?? Number.MAX_SAFE_INTEGER;
  return [...orders].sort((a, b) => rank(a) - rank(b) || (a.open && b.open ? due(a) - due(b) : b.issued_us - a.issued_us));
}

/** How far an addressee is on 下达 - 签收 - 反馈 - 核查 - 办结, for the row of dots. */
export const STAGES = ["ISSUED", "RECEIVED", "REPORTED", "CHECKED", "CLOSED"] as const;

export function stageOf(state: string): number {
  if (state === "IN_PROGRESS" || state === "RETURNED") return 1;
  return STAGES.indexOf(state as (typeof STAGES)[number]);
}
