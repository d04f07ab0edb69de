/** 交接班: the officer who goes signs first, the one who comes signs second. Who may do what now. Pure. */

import type { Handover, OpenItem } from "./types";

export const isOpen = (handover: Pick<Handover, "state">): boolean => handover.state === "DRAFT" || handover.state === "SIGNED_OUT";

export function signsNext(handover: Pick<Handover, "state" | "from_user" | "to_user">, username: string): boolean {
  return (handover.state === "DRAFT" && handover.from_user === username) || (handover.state === "SIGNED_OUT" && handover.to_user === username);
}

/** What is most urgent comes first on the sheet. */
const ORDER = ["alarm", "incident", "task", "instruction", "shelved", "no_data", "banner"];

export function grouped(items: readonly OpenItem[]): [string, OpenItem[]][] {
  const groups = new Map<string, OpenItem[]>();
  for (const item of items) groups.set(item.kind, [...(groups.get(item.kind) ?? []), item]);
  const rank = (kind: string): number => (ORDER.includes(kind) ? ORDER.indexOf(kind) : ORDER.length);
  return [...groups].sort(([a], [b]) => rank(a) - rank(b));
}
