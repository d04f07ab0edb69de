/** What the page offers to whom. The server decides (command_center/authority.py); this only keeps buttons away that it would refuse. */

import type { User } from "../core/types";

const CALLERS = ["operator", "leader", "registrar"]; // they call people, so they may say that a number is right
const SIGNERS = ["leader", "registrar"];

const has = (user: User, roles: readonly string[]): boolean => user.roles.some((role) => roles.includes(role));

export const mayVerify = (user: User): boolean => has(user, CALLERS);
export const mayReadClear = (user: User): boolean => has(user, CALLERS);
export const maySign = (user: User): boolean => has(user, SIGNERS);

/** READ_INSTRUCTIONS, for whoever opens the registers. */
export const readsOrders = (user: Pick<User, "roles">): boolean => user.roles.some((role) => role !== "auditor" && role !== "vendor");
