/** Who may do what on the duty pages, so that nobody is offered what the server refuses. The matrix decides: command_center/authority.py. */

import type { User } from "../core/types";

const anyOf = (user: Pick<User, "roles">, roles: readonly string[]): boolean => user.roles.some((role) => roles.includes(role));

export const mayPlan = (user: Pick<User, "roles">): boolean => anyOf(user, ["leader", "admin", "registrar"]);
export const atDesk = (user: Pick<User, "roles">): boolean => anyOf(user, ["operator", "leader"]);
