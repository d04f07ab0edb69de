/** Where a fresh login goes: only a page of ours. A foreign address in `next` must not receive it. */

export const PAGES = ["wall", "desk", "field", "vendor", "registers", "duty", "quality", "town", "grid", "admin"] as const;

const OURS = new RegExp(`^/(${PAGES.join("|")})(\\?|#|$)`);

export function destination(search: string, roles: readonly string[]): string {
  const next = new URLSearchParams(search).get("next");
  if (next !== null && OURS.test(next)) return next;
  if (roles.includes("responder")) return "/field";
  return roles.includes("vendor") ? "/vendor" : "/wall";
}
