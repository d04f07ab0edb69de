/** Proposals that take a second person: which waits, which cannot wait, and for whom. Pure. */

export interface Approval {
  approval_id: string;
  kind: string;
  subject: string;
  area: string;
  title_zh: string;
  title_en: string;
  payload: Record<string, unknown>;
  before: Record<string, unknown>;
  source: string;
  reason: string;
  state: string;
  proposed_by: string;
  proposed_us: number;
  /** machine time: it waits for a person */
  expires_us: number;
  asked: string;
  /** applied already, and waits for its confirmation */
  emergency: boolean;
  /** city time at which an unconfirmed emergency change goes back */
  until_us: number | null;
  decided_by: string;
  decided_us: number | null;
  comment: string;
  result: Record<string, unknown>;
  rev: number;
}

export const isPending = (one: Pick<Approval, "state">): boolean => one.state === "PENDING";
export const unconfirmed = (one: Pick<Approval, "state" | "emergency">): boolean => one.emergency && isPending(one);

/** Proposer and decider are two persons. */
export function mayDecide(one: Pick<Approval, "state" | "proposed_by">, username: string, decides: boolean): boolean {
  return decides && isPending(one) && one.proposed_by !== username;
}

/** Unconfirmed emergencies first, the one that goes back soonest on top; then what waits, oldest first; then the decided, newest first. */
export function queued(list: readonly Approval[]): Approval[] {
  const rank = (one: Approval): number => (unconfirmed(one) ? 0 : isPending(one) ? 1 : 2);
  const key = (one: Approval): number => (unconfirmed(one) ? (one.until_us ?? 0) : isPending(one) ? one.proposed_us : -(one.decided_us ?? one.proposed_us));
  return [...list].sort((a, b) => rank(a) - rank(b) || key(a) - key(b));
}

/** Thresholds of one property as number fields, and back: every other part of the document stays as it is. */
export interface Leaf {
  path: string[];
  value: number;
}

const LEVELS = ["red", "orange", "yellow", "blue"];
const severity = (key: string): number => LEVELS.indexOf(key);

/** The gravest level first, as warnings are listed; whatever else there is keeps its order. */
export function leavesOf(document: unknown, path: string[] = []): Leaf[] {
  if (typeof document === "number") return [{ path, value: document }];
  if (document === null || typeof document !== "object" || Array.isArray(document)) return [];
  const entries = Object.entries(document).sort(([a], [b]) => severity(a) - severity(b));
  return entries.flatMap(([key, value]) => leavesOf(value, [...path, key]));
}

export function withLeaf(document: Record<string, unknown>, path: readonly string[], value: number): Record<string, unknown> {
  const [head, ...rest] = path;
  if (head === undefined) return document;
  const inner = document[head];
  return { ...document, [head]: rest.length === 0 ? value : withLeaf((inner ?? {}) as Record<string, unknown>, rest, value) };
}

/** The source names the document a value came from; a proposal brings its own. */
export function withoutSource(document: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(document).filter(([key]) => key !== "source"));
}
