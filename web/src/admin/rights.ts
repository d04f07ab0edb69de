/** Which parts of the administration a login sees; the matrix decides (command_center/authority.py). */

import type { User } from "../core/types";

const anyOf = (user: Pick<User, "roles">, roles: readonly string[]): boolean => user.roles.some((role) => roles.includes(role));

export const seesUsers = (user: User): boolean => anyOf(user, ["security", "auditor"]);
export const managesUsers = (user: User): boolean => anyOf(user, ["security"]);
export const seesApprovals = (user: User): boolean => anyOf(user, ["operator", "leader", "analyst", "admin", "auditor"]);
export const decidesApprovals = (user: User): boolean => anyOf(user, ["operator", "leader", "admin"]);
export const proposesThresholds = (user: User): boolean => anyOf(user, ["leader"]);
export const seesJournal = (user: User): boolean => anyOf(user, ["leader", "analyst", "admin", "auditor"]);
export const seesHead = (user: User): boolean => anyOf(user, ["admin", "auditor"]);
export const verifies = (user: User): boolean => anyOf(user, ["auditor"]);
