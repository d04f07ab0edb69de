/** Roles as a clerk chooses them: in groups, with what never goes together, and what each needs. The server checks the same. Pure. */

import type { Key } from "../core/i18n";

export const ROLE_GROUPS: [Key, string[]][] = [
  ["admin.groupDuty", ["operator", "leader", "commander", "scene", "issuer"]],
  ["admin.groupField", ["responder", "liaison", "grid"]],
  ["admin.groupOffice", ["registrar", "analyst"]],
  ["admin.groupAdmin", ["admin", "security", "auditor"]],
  ["admin.groupOutside", ["vendor", "met", "upstream"]],
];

/** Who hands out roles does not use them, who audits changes nothing, who comes from outside has no desk (authority.FORBIDDEN_TOGETHER). */
const ALONE = ["security", "auditor", "vendor", "met", "upstream"];
const NEEDS_UNIT = ["responder", "liaison"];
/** Roles that are a person's work: no machine's key has them (access/keys.PERSONS_ONLY). */
export const PERSONS_ONLY = ["security", "auditor", "commander", "scene", "issuer"];

/** The chosen role that stands in the way of this one, or "" when it may be added. */
export function blockedBy(role: string, chosen: readonly string[]): string {
  const others = chosen.filter((other) => other !== role);
  if (ALONE.includes(role)) return others[0] ?? "";
  return others.find((other) => ALONE.includes(other)) ?? "";
}

export const needsUnit = (roles: readonly string[]): boolean => roles.some((role) => NEEDS_UNIT.includes(role));
export const needsVendor = (roles: readonly string[]): boolean => roles.includes("vendor");

// -- scope by area: a code covers everything that begins with it ------------------------------------------------------

export function covered(codes: readonly string[], code: string): boolean {
  return codes.some((prefix) => code.startsWith(prefix));
}

/** Tick or untick an area. What lies inside a ticked one is covered and needs no tick of its own. */
export function toggledArea(codes: readonly string[], code: string): string[] {
  if (codes.includes(code)) return codes.filter((other) => other !== code);
  return [...codes.filter((other) => !other.startsWith(code)), code].sort();
}
