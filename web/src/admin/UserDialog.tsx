/** A person's account: name, roles with what they mean and what never goes together, where and about what he may act. */

import { useState } from "preact/hooks";
import { t, word } from "../core/i18n";
import { useLoaded } from "../duty/data";
import { Combo } from "../office/Combo";
import { Dialog, Failure } from "../office/Dialog";
import { Labelled } from "../office/Labelled";
import { refusalOf } from "../office/problems";
import type { Office } from "../office/session";
import { AreaTree } from "./AreaTree";
import type { Person, Scope } from "./Users";
import { RoleChoice } from "./RoleChoice";
import { needsUnit, needsVendor } from "./roles";
import { explained } from "./words";

const FIELDS = ["username", "name", "roles", "unit_id", "vendor", "phone", "scope"];
export const HAZARDS = ["typhoon", "flood", "rain", "wind", "hazchem", "device"];
const NOWHERE: Scope = { areas: [], organisations: [], hazards: [] };

interface UnitRow {
  unit_id: string;
  name: string;
}

export function UserDialog({ office, person, onDone, onClose }: { office: Office; person: Person | null; onDone: (person: Person, password: string) => void; onClose: () => void }) {
  const [username, setUsername] = useState(person?.username ?? "");
  const [name, setName] = useState(person?.name ?? "");
  const [phone, setPhone] = useState("");
  const [roles, setRoles] = useState<string[]>(person?.roles ?? []);
  const [unit, setUnit] = useState(person?.unit_id ?? "");
  const [vendor, setVendor] = useState(person?.vendor ?? "");
  const [scope, setScope] = useState<Scope>(person?.scope ?? NOWHERE);
  const [reason, setReason] = useState("");
  const [errors, setErrors] = useState(new Map<string, string>());
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const units = useLoaded(() => office.api.all<UnitRow>("/api/v1/units").catch(() => []), [office], null); // not everybody may read them: then a unit is typed
  const findUnit = (query: string) => {
    const wanted = query.trim().toLowerCase();
    const found = (units.value ?? []).filter((one) => one.name.toLowerCase().includes(wanted) || one.unit_id.toLowerCase().includes(wanted)).map((one) => ({ value: one.unit_id, text: one.name, note: one.unit_id }));
    return found.length > 0 || wanted === "" ? found : [{ value: query.trim(), text: query.trim() }];
  };
  const save = async (event: Event): Promise<void> => {
    event.preventDefault();
    const missing = new Map<string, string>();
    if (!/^[A-Za-z0-9_-]{1,64}$/.test(username)) missing.set("username", t("admin.usernameRule"));
    if (name.trim() === "") missing.set("name", t("admin.nameNeeded"));
    if (roles.length === 0) missing.set("roles", t("admin.rolesNeeded"));
    if (needsUnit(roles) && unit === "") missing.set("unit_id", t("admin.unitNeeded"));
    if (needsVendor(roles) && vendor.trim() === "") missing.set("vendor", t("admin.vendorNeeded"));
    setErrors(missing);
    if (missing.size > 0) return setProblem(t("admin.lookAbove"));
    setBusy(true);
    setProblem("");
    const body = { name: name.trim(), roles, unit_id: needsUnit(roles) ? unit : "", vendor: needsVendor(roles) ? vendor.trim() : "", scope, ...(phone.trim() === "" ? {} : { phone: phone.trim() }) };
    try {
      if (person === null) {
        const made = await office.api.post<{ user: Person; password: string }>("/api/v1/users", { username, ...body });
        onDone(made.user, made.password);
      } else onDone(await office.api.put<Person>(`/api/v1/users/${encodeURIComponent(person.username)}`, { ...body, reason: reason.trim() }, person.rev), "");
    } catch (error) {
      setErrors(refusalOf(error, FIELDS).fields);
      setProblem(explained(error));
      setBusy(false);
    }
  };
  return (
    <Dialog title={person === null ? t("admin.addUser") : t("admin.editUser", { name: person.name })} onClose={onClose} wide testid="user-dialog">
      <form class="user-form" onSubmit={(event) => void save(event)}>
        <div class="stack">
          <div class="two">
            <Labelled id="user-name" label={t("admin.name")} required error={errors.get("name")}>
              <input id="user-name" type="text" value={name} autofocus={person === null} onInput={(event) => setName(event.currentTarget.value)} data-testid="user-name" />
            </Labelled>
            <Labelled id="user-username" label={t("login.username")} required error={errors.get("username")} help={person === null ? t("admin.usernameHelp") : ""}>
              <input id="user-username" type="text" value={username} disabled={person !== null} autocomplete="off" autocapitalize="none" onInput={(event) => setUsername(event.currentTarget.value)} data-testid="user-username" />
            </Labelled>
            <Labelled id="user-phone" label={t("admin.phone")} error={errors.get("phone")} help={person?.phone ? t("admin.phoneKept", { p: person.phone }) : t("admin.phoneHelp")}>
              <input id="user-phone" type="tel" value={phone} autocomplete="off" onInput={(event) => setPhone(event.currentTarget.value)} data-testid="user-phone" />
            </Labelled>
            {needsUnit(roles) ? (
              <Labelled id="user-unit" label={t("admin.unit")} required error={errors.get("unit_id")}>
                <Combo id="user-unit" value={unit} shown={units.value?.find((one) => one.unit_id === unit)?.name ?? unit} find={findUnit} onChange={(option) => setUnit(option?.value ?? "")} testid="user-unit" />
              </Labelled>
            ) : null}
            {needsVendor(roles) ? (
              <Labelled id="user-vendor" label={t("admin.vendor")} required error={errors.get("vendor")}>
                <input id="user-vendor" type="text" value={vendor} onInput={(event) => setVendor(event.currentTarget.value)} data-testid="user-vendor" />
              </Labelled>
            ) : null}
          </div>
          <fieldset class="scope">
            <legend>{t("admin.scopeAreas")}</legend>
            <p class="dim">{t("admin.scopeHelp")}</p>
            <AreaTree areas={office.areas} codes={scope.areas} onChange={(areas) => setScope({ ...scope, areas })} />
          </fieldset>
          <fieldset class="choices">
            <legend>{t("admin.scopeHazards")}</legend>
            {HAZARDS.map((code) => (
              <label key={code}>
                <input type="checkbox" checked={scope.hazards.includes(code)} onChange={(event) => setScope({ ...scope, hazards: event.currentTarget.checked ? [...scope.hazards, code] : scope.hazards.filter((other) => other !== code) })} /> {word("hazard", code)}
              </label>
            ))}
          </fieldset>
          {person === null ? null : (
            <Labelled id="user-reason" label={t("office.reason")}>
              <input id="user-reason" type="text" value={reason} onInput={(event) => setReason(event.currentTarget.value)} />
            </Labelled>
          )}
        </div>
        <div class="role-column">
          <span class="field-label">
            {t("admin.roles")} <b class="must">*</b>
          </span>
          <RoleChoice roles={roles} onChange={setRoles} />
          {errors.get("roles") === undefined ? null : <p class="field-error">{errors.get("roles")}</p>}
        </div>
        <div class="foot">
          <Failure text={problem} />
          <div class="actions">
            <button type="button" class="button" onClick={onClose}>
              {t("office.cancel")}
            </button>
            <button type="submit" class="button primary" disabled={busy} data-testid="user-save">
              {busy ? t("office.busy") : t(person === null ? "admin.create" : "duty.save")}
            </button>
          </div>
        </div>
      </form>
    </Dialog>
  );
}
