/** People: who there is, what they may do, where; logged in or locked out; password and second factor. */

import { useState } from "preact/hooks";
import { t, word } from "../core/i18n";
import { useLoaded } from "../duty/data";
import { Tag } from "../office/Badge";
import { Failure, ReasonDialog } from "../office/Dialog";
import { Table } from "../office/Table";
import type { Column } from "../office/Table";
import type { Office } from "../office/session";
import { toast } from "../office/toast";
import { Secret } from "./Secret";
import { UserDialog } from "./UserDialog";
import { managesUsers } from "./rights";
import { explained, machineTime } from "./words";

export interface Scope {
  areas: string[];
  organisations: string[];
  hazards: string[];
}

export interface Person {
  username: string;
  name: string;
  roles: string[];
  unit_id: string;
  vendor: string;
  phone: string;
  area: string;
  scope: Scope;
  enabled: boolean;
  second_factor: boolean;
  last_login_us: number | null;
  locked_until_us: number | null;
  rev: number;
}

const locked = (person: Person): boolean => (person.locked_until_us ?? 0) > Date.now() * 1000;

export function Users({ office }: { office: Office }) {
  const users = useLoaded(() => office.api.all<Person>("/api/v1/users"), [office]);
  const [query, setQuery] = useState("");
  const [role, setRole] = useState("");
  const [chosen, setChosen] = useState("");
  const [editing, setEditing] = useState<Person | "new" | null>(null);
  const [secret, setSecret] = useState<{ username: string; password: string } | null>(null);
  const manages = managesUsers(office.user);
  const wanted = query.trim().toLowerCase();
  const rows = (users.value ?? []).filter((one) => (role === "" || one.roles.includes(role)) && (wanted === "" || one.name.toLowerCase().includes(wanted) || one.username.toLowerCase().includes(wanted)));
  const current = rows.find((one) => one.username === chosen);
  const roles = [...new Set((users.value ?? []).flatMap((one) => one.roles))].sort();
  return (
    <div class="users">
      <header class="log-tools">
        <input type="search" class="search" value={query} placeholder={t("admin.search")} aria-label={t("admin.search")} onInput={(event) => setQuery(event.currentTarget.value)} data-testid="user-search" />
        <select class="kind" value={role} aria-label={t("admin.roles")} onChange={(event) => setRole(event.currentTarget.value)}>
          <option value="">{t("admin.allRoles")}</option>
          {roles.map((code) => (
            <option key={code} value={code}>
              {word("role", code)}
            </option>
          ))}
        </select>
        <span class="dim">{t("admin.usersCount", { n: rows.length })}</span>
        <span class="spring" />
        {manages ? (
          <button type="button" class="button primary" data-testid="add-user" onClick={() => setEditing("new")}>
            {t("admin.addUser")}
          </button>
        ) : (
          <span class="dim">{t("admin.readonly")}</span>
        )}
      </header>
      <Failure text={users.problem} />
      <div class={current === undefined ? "users-body" : "users-body with-card"}>
        <Table label={t("admin.users")} columns={COLUMNS(office)} rows={rows} rowKey={(one) => one.username} selected={chosen} onSelect={(one) => setChosen(one.username)} onOpen={(one) => (manages ? setEditing(one) : setChosen(one.username))} testid="users" first={{ key: "name", down: false }} />
        {current === undefined ? null : (
          <UserCard
            key={`${current.username}/${current.rev}`}
            office={office}
            person={current}
            manages={manages && current.username !== office.user.username}
            onEdit={() => setEditing(current)}
            onSecret={setSecret}
            onChanged={(words) => {
              toast(words);
              void users.reload();
            }}
          />
        )}
      </div>
      {editing === null ? null : (
        <UserDialog
          office={office}
          person={editing === "new" ? null : editing}
          onDone={(person, password) => {
            setEditing(null);
            setChosen(person.username);
            if (password === "") toast(t("admin.saved"));
            else setSecret({ username: person.username, password });
            void users.reload();
          }}
          onClose={() => setEditing(null)}
        />
      )}
      {secret === null ? null : <Secret title={t("admin.passwordOf", { name: secret.username })} text={t("admin.passwordOnce")} secret={secret.password} onClose={() => setSecret(null)} />}
    </div>
  );
}

const COLUMNS = (office: Office): Column<Person>[] => [
  { key: "name", title: t("admin.name"), width: "minmax(7rem, 1fr)", cell: (one) => <b>{one.name}</b>, value: (one) => one.name },
  { key: "username", title: t("login.username"), width: "minmax(7rem, 1fr)", cell: (one) => one.username, value: (one) => one.username },
  {
    key: "roles",
    title: t("admin.roles"),
    width: "minmax(9rem, 1.6fr)",
    cell: (one) => one.roles.map((role) => <Tag key={role}>{word("role", role)}</Tag>),
    hint: (one) => one.roles.map((role) => word("role", role)).join("、"),
    value: (one) => one.roles.join(),
  },
  { key: "scope", title: t("admin.scope"), width: "minmax(7rem, 1.4fr)", cell: (one) => scopeWords(office, one), hint: (one) => scopeWords(office, one) },
  { key: "factor", title: t("admin.secondFactor"), width: "7rem", cell: (one) => (one.second_factor ? <Tag kind="good">{t("admin.on")}</Tag> : <span class="dim">{t("admin.off")}</span>), value: (one) => Number(one.second_factor) },
  { key: "login", title: t("admin.lastLogin"), width: "9.5rem", cell: (one) => (one.last_login_us === null ? <span class="dim">{t("admin.never")}</span> : machineTime(one.last_login_us)), value: (one) => one.last_login_us },
  {
    key: "state",
    title: t("admin.state"),
    width: "6rem",
    cell: (one) => (!one.enabled ? <Tag kind="bad">{t("admin.disabled")}</Tag> : locked(one) ? <Tag kind="warn">{t("admin.locked")}</Tag> : <Tag kind="good">{t("admin.enabled")}</Tag>),
    value: (one) => (one.enabled ? Number(locked(one)) : 2),
  },
];

export function scopeWords(office: Office, person: Person): string {
  const { areas, organisations, hazards } = person.scope;
  const parts = [areas.map((code) => office.areas.name(code)).join("、"), hazards.map((code) => word("hazard", code)).join("、"), organisations.join("、")].filter((part) => part !== "");
  return parts.length === 0 ? t("admin.everywhere") : parts.join(" · ");
}

type Act = "password" | "disable" | "enable" | "logout" | "factor";

function UserCard({ office, person, manages, onEdit, onSecret, onChanged }: { office: Office; person: Person; manages: boolean; onEdit: () => void; onSecret: (secret: { username: string; password: string }) => void; onChanged: (words: string) => void }) {
  const [asking, setAsking] = useState<Act | null>(null);
  const path = `/api/v1/users/${encodeURIComponent(person.username)}`;
  const acts: Record<Act, (reason: string) => Promise<void>> = {
    password: async () => {
      onSecret(await office.api.post(`${path}/password`));
      onChanged(t("admin.passwordReset"));
    },
    disable: async (reason) => {
      await office.api.post(`${path}/disable`, { comment: reason });
      onChanged(t("admin.isDisabled"));
    },
    enable: async (reason) => {
      await office.api.post(`${path}/enable`, { comment: reason });
      onChanged(t("admin.isEnabled"));
    },
    logout: async () => {
      await office.api.delete(`${path}/sessions`);
      onChanged(t("admin.loggedOut"));
    },
    factor: async (reason) => {
      await office.api.post(`${path}/totp/reset`, { comment: reason });
      onChanged(t("admin.factorReset"));
    },
  };
  const title = { password: t("admin.resetPassword"), disable: t("admin.disable"), enable: t("admin.enable"), logout: t("admin.logoutAll"), factor: t("admin.resetFactor") };
  const text = { password: t("admin.resetPasswordText", { name: person.name }), disable: t("admin.disableText", { name: person.name }), enable: t("admin.enableText", { name: person.name }), logout: t("admin.logoutText", { name: person.name }), factor: t("admin.resetFactorText", { name: person.name }) };
  return (
    <aside class="user-card" aria-label={person.name} data-testid="user-card" data-username={person.username}>
      <h2>{person.name}</h2>
      <p class="dim">{person.username}</p>
      {person.roles.map((role) => (
        <p key={role} class="role-line">
          <b>{word("role", role)}</b> {word("roleHelp", role)}
        </p>
      ))}
      <dl class="facts">
        <dt>{t("admin.scope")}</dt>
        <dd>{scopeWords(office, person)}</dd>
        {person.unit_id === "" ? null : (
          <>
            <dt>{t("admin.unit")}</dt>
            <dd>{person.unit_id}</dd>
          </>
        )}
        {person.vendor === "" ? null : (
          <>
            <dt>{t("admin.vendor")}</dt>
            <dd>{person.vendor}</dd>
          </>
        )}
        <dt>{t("admin.phone")}</dt>
        <dd>{person.phone || "—"}</dd>
        <dt>{t("admin.secondFactor")}</dt>
        <dd>{person.second_factor ? <Tag kind="good">{t("admin.on")}</Tag> : <Tag>{t("admin.off")}</Tag>}</dd>
        <dt>{t("admin.lastLogin")}</dt>
        <dd>{machineTime(person.last_login_us)}</dd>
        {locked(person) ? (
          <>
            <dt>{t("admin.locked")}</dt>
            <dd>{t("admin.lockedUntil", { t: machineTime(person.locked_until_us) })}</dd>
          </>
        ) : null}
      </dl>
      {manages ? (
        <div class="card-actions">
          <button type="button" class="button primary" onClick={onEdit} data-testid="edit-user">
            {t("admin.edit")}
          </button>
          <button type="button" class="button" onClick={() => setAsking("password")} data-testid="reset-password">
            {title.password}
          </button>
          <button type="button" class="button" onClick={() => setAsking("logout")}>
            {title.logout}
          </button>
          {person.second_factor ? (
            <button type="button" class="button" onClick={() => setAsking("factor")}>
              {title.factor}
            </button>
          ) : null}
          <button type="button" class={person.enabled ? "button danger-quiet" : "button"} onClick={() => setAsking(person.enabled ? "disable" : "enable")} data-testid={person.enabled ? "disable-user" : "enable-user"}>
            {person.enabled ? title.disable : title.enable}
          </button>
        </div>
      ) : (
        <p class="dim">{person.username === office.user.username ? t("admin.notYourself") : t("admin.readonly")}</p>
      )}
      {asking === null ? null : (
        <ReasonDialog
          title={title[asking]}
          text={text[asking]}
          action={title[asking]}
          danger={asking === "disable"}
          required={asking === "disable" || asking === "enable" || asking === "factor"}
          run={(reason) => acts[asking](reason).catch((error: unknown) => Promise.reject(error instanceof Error && explained(error) === t("admin.secondFactorNeeded") ? new Error(explained(error)) : error))}
          onClose={() => setAsking(null)}
        />
      )}
    </aside>
  );
}

