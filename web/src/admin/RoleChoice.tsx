/** Roles with what each means. One that never goes with a chosen one cannot be ticked, and says why. */

import { t, word } from "../core/i18n";
import { ROLE_GROUPS, blockedBy } from "./roles";

export function RoleChoice({ roles, onChange, without = [] }: { roles: string[]; onChange: (roles: string[]) => void; without?: readonly string[] }) {
  return (
    <div class="roles">
      {ROLE_GROUPS.map(([title, codes]) => {
        const shown = codes.filter((code) => !without.includes(code));
        if (shown.length === 0) return null;
        return (
          <fieldset key={title}>
            <legend>{t(title)}</legend>
            {shown.map((code) => {
              const on = roles.includes(code);
              const other = on ? "" : blockedBy(code, roles);
              return (
                <label key={code} class={`${on ? "on" : ""}${other === "" ? "" : " blocked"}`}>
                  <input type="checkbox" checked={on} disabled={other !== ""} data-testid={`role-${code}`} onChange={() => onChange(on ? roles.filter((role) => role !== code) : [...roles, code])} />
                  <span>
                    <b>{word("role", code)}</b>
                    <small>{other === "" ? word("roleHelp", code) : t("admin.notWith", { role: word("role", other) })}</small>
                  </span>
                </label>
              );
            })}
          </fieldset>
        );
      })}
    </div>
  );
}
