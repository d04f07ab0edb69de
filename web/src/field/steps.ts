/** The responder's one next step for each task state, and what the phone may assume while it is offline. */

import type { Key } from "../core/i18n";

export type Act = "deliver" | "accept" | "decline" | "depart" | "arrive" | "start" | "done";

export interface Step {
  act: Act;
  label: Key;
}

export const NEXT: Record<string, Step | undefined> = {
  ISSUED: { act: "accept", label: "field.accept" },
  DELIVERED: { act: "accept", label: "field.accept" },
  ACKED: { act: "accept", label: "field.accept" },
  ACCEPTED: { act: "depart", label: "field.depart" },
  EN_ROUTE: { act: "arrive", label: "field.arrive" },
  ON_SCENE: { act: "start", label: "field.start" },
  IN_PROGRESS: { act: "done", label: "field.done" },
};

export const RESULT: Record<Act, string> = {
  deliver: "DELIVERED",
  accept: "ACCEPTED",
  decline: "DECLINED",
  depart: "EN_ROUTE",
  arrive: "ON_SCENE",
  start: "IN_PROGRESS",
  done: "REPORTED_DONE",
};

export const NEW_STATES = ["ISSUED", "DELIVERED", "ACKED"];
export const SHOWN_STATES = [...NEW_STATES, "ACCEPTED", "EN_ROUTE", "ON_SCENE", "IN_PROGRESS", "REPORTED_DONE"];

const ORDER = ["IN_PROGRESS", "ON_SCENE", "EN_ROUTE", "ACCEPTED", "ISSUED", "DELIVERED", "ACKED", "REPORTED_DONE"];

/** The job at hand first, then new ones, then those that wait for the centre. */
export const urgencyOf = (state: string): number => {
  const place = ORDER.indexOf(state);
  return place < 0 ? ORDER.length : place;
};

const PATH = /^\/api\/v1\/tasks\/([^/]+)\/([a-z]+)$/;

/** The state that a task will have once the waiting reports are through; the server's state when none waits. */
export function assumedState(taskId: string, state: string, waiting: { path: string }[]): string {
  let assumed = state;
  for (const { path } of waiting) {
    const match = PATH.exec(path);
    if (match === null || decodeURIComponent(match[1] ?? "") !== taskId) continue;
    const result = RESULT[match[2] as Act];
    if (result !== undefined && match[2] !== "deliver") assumed = result;
  }
  return assumed;
}
