/** Keys of machines: who may what, since when, last used; a new one is shown once, a revoked one closes at once. */

import { useState } from "preact/hooks";
import { t, word } from "../core/i18n";
import { useLoaded } from "../duty/data";
import { Tag } from "../office/Badge";
import { Dialog, Failure, ReasonDialog } from "../office/Dialog";
import { Labelled } from "../office/Labelled";
import { Table } from "../office/Table";
import type { Office } from "../office/session";
import { toast } from "../office/toast";
import { AreaTree } from "./AreaTree";
import { RoleChoice } from "./RoleChoice";
import { Secret } from "./Secret";
import type { Scope } from "./Users";
import { managesUsers } from "./rights";
import { PERSONS_ONLY, needsUnit, needsVendor } from "./roles";
import { explained, machineTime } from "./words";

interface ApiKey {
  key_id: string;
  name: string;
  roles: string[];
  scope?: Partial<Scope>;
  vendor?: string;
  unit_id?: string;
  created_by: string;
  created_machine_us: number;
  expires_machine_us: number;
  revoked_machine_us: number | null;
  last_used_machine_us: number | null;
}

const state = (key: ApiKey): "revoked" | "expired" | "open" => (key.revoked_machine_us != null ? "revoked" : key.expires_machine_us <= Date.now() * 1000 ? "expired" : "open");

export function Keys({ office }: { office: Office }) {
  const keys = useLoaded(() => office.api.all<ApiKey>("/api/v1/api-keys"), [office]);
  const [adding, setAdding] = useState(false);
  const [revoking, setRevoking] = useState<ApiKey | null>(null);
  const [token, setToken] = useState("");
  const manages = managesUsers(office.user);
  return (
    <div class="users">
      <header class="log-tools">
        <span class="dim">{t("admin.keysHint")}</span>
        <span class="spring" />
        {manages ? (
          <button type="button" class="button primary" data-testid="add-key" onClick={() => setAdding(true)}>
            {t("admin.addKey")}
          </button>
        ) : null}
      </header>
      <Failure text={keys.problem} />
      <div class="users-body">
        <Table
          label={t("admin.keys")}
          testid="keys"
          rows={keys.value ?? []}
          rowKey={(one) => one.key_id}
          columns={[
            { key: "name", title: t("admin.machine"), width: "minmax(9rem, 1.4fr)", cell: (one) => <b>{one.name}</b>, value: (one) => one.name },
            { key: "id", title: t("admin.keyId"), width: "7rem", cell: (one) => one.key_id, value: (one) => one.key_id },
            { key: "roles", title: t("admin.roles"), width: "minmax(8rem, 1fr)", cell: (one) => one.roles.map((role) => <Tag key={role}>{word("role", role)}</Tag>) },
            { key: "used", title: t("admin.lastUsed"), width: "10rem", cell: (one) => (one.last_used_machine_us == null ? <span class="dim">{t("admin.never")}</span> : machineTime(one.last_used_machine_us)), value: (one) => one.last_used_machine_us ?? null },
            { key: "expires", title: t("admin.validUntil"), width: "10rem", cell: (one) => machineTime(one.expires_machine_us), value: (one) => one.expires_machine_us },
            { key: "by", title: t("admin.createdBy"), width: "8rem", cell: (one) => one.created_by, value: (one) => one.created_by },
            { key: "state", title: t("admin.state"), width: "6rem", cell: (one) => <Tag kind={state(one) === "open" ? "good" : "bad"}>{t(state(one) === "open" ? "admin.enabled" : state(one) === "expired" ? "admin.expired" : "admin.revoked")}</Tag>, value: (one) => state(one) },
            {
              key: "act",
              title: "",
              width: "7rem",
              cell: (one) =>
                manages && state(one) === "open" ? (
                  <button type="button" class="button small danger-quiet" data-testid={`revoke-${one.key_id}`} onClick={() => setRevoking(one)}>
                    {t("admin.revoke")}
                  </button>
                ) : null,
            },
          ]}
        />
      </div>
      {adding ? (
        <KeyDialog
          office={office}
          onDone={(made) => {
            setAdding(false);
            setToken(made);
            void keys.reload();
          }}
          onClose={() => setAdding(false)}
        />
      ) : null}
      {revoking === null ? null : (
        <ReasonDialog
          title={t("admin.revoke")}
          text={t("admin.revokeText", { name: revoking.name })}
          action={t("admin.revoke")}
          danger
          required={false}
          run={async () => {
            await office.api.delete(`/api/v1/api-keys/${encodeURIComponent(revoking.key_id)}`);
            toast(t("admin.revokedNow"));
            await keys.reload();
          }}
          onClose={() => setRevoking(null)}
        />
      )}
      {token === "" ? null : <Secret title={t("admin.newKey")} text={t("admin.keyOnce")} secret={token} onClose={() => setToken("")} />}
    </div>
  );
}

const DAYS = [30, 90, 365, 730];

function KeyDialog({ office, onDone, onClose }: { office: Office; onDone: (token: string) => void; onClose: () => void }) {
  const [name, setName] = useState("");
  const [roles, setRoles] = useState<string[]>([]);
  const [days, setDays] = useState(365);
  const [areas, setAreas] = useState<string[]>([]);
  const [unit, setUnit] = useState("");
  const [vendor, setVendor] = useState("");
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const create = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (name.trim() === "") return setProblem(t("admin.nameNeeded"));
    if (roles.length === 0) return setProblem(t("admin.rolesNeeded"));
    setBusy(true);
    setProblem("");
    try {
      const made = await office.api.post<{ token: string }>("/api/v1/api-keys", { name: name.trim(), roles, days, scope: { areas, organisations: [], hazards: [] }, vendor: needsVendor(roles) ? vendor.trim() : "", unit_id: needsUnit(roles) ? unit.trim() : "" });
      onDone(made.token);
    } catch (error) {
      setProblem(explained(error));
      setBusy(false);
    }
  };
  return (
    <Dialog title={t("admin.addKey")} onClose={onClose} wide testid="key-dialog">
      <form class="user-form" onSubmit={(event) => void create(event)}>
        <div class="stack">
          <Labelled id="key-name" label={t("admin.machine")} required help={t("admin.machineHelp")}>
            <input id="key-name" type="text" value={name} autofocus onInput={(event) => setName(event.currentTarget.value)} data-testid="key-name" />
          </Labelled>
          <fieldset class="choices">
            <legend>{t("admin.validFor")}</legend>
            {DAYS.map((n) => (
              <label key={n}>
                <input type="radio" name="days" checked={days === n} onChange={() => setDays(n)} /> {t("admin.daysN", { n })}
              </label>
            ))}
          </fieldset>
          {needsUnit(roles) ? (
            <Labelled id="key-unit" label={t("admin.unit")} required>
              <input id="key-unit" type="text" value={unit} onInput={(event) => setUnit(event.currentTarget.value)} />
            </Labelled>
          ) : null}
          {needsVendor(roles) ? (
            <Labelled id="key-vendor" label={t("admin.vendor")} required>
              <input id="key-vendor" type="text" value={vendor} onInput={(event) => setVendor(event.currentTarget.value)} />
            </Labelled>
          ) : null}
          <fieldset class="scope">
            <legend>{t("admin.scopeAreas")}</legend>
            <AreaTree areas={office.areas} codes={areas} onChange={setAreas} />
          </fieldset>
        </div>
        <div class="role-column">
          <span class="field-label">
            {t("admin.roles")} <b class="must">*</b>
          </span>
          <RoleChoice roles={roles} onChange={setRoles} without={PERSONS_ONLY} />
        </div>
        <div class="foot">
          <Failure text={problem} />
          <div class="actions">
            <button type="button" class="button" onClick={onClose}>
              {t("office.cancel")}
            </button>
            <button type="submit" class="button primary" disabled={busy} data-testid="key-create">
              {busy ? t("office.busy") : t("admin.create")}
            </button>
          </div>
        </div>
      </form>
    </Dialog>
  );
}
