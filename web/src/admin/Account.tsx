/** My own account: second factor, password, where I am logged in. */

import { useState } from "preact/hooks";
import { t, word } from "../core/i18n";
import { useLoaded } from "../duty/data";
import { Tag } from "../office/Badge";
import { Failure } from "../office/Dialog";
import { Labelled } from "../office/Labelled";
import { copyText } from "../office/save";
import type { Office } from "../office/session";
import { toast } from "../office/toast";
import { explained, machineTime, microsOf } from "./words";
import { SecurityKeys } from "./SecurityKeys";

interface MySession {
  sid: string;
  current: boolean;
  issued_at: string;
  seen_at: string;
  expires_at: string;
  address: string;
  client: string;
  second_factor: boolean;
}

interface Me {
  user: { second_factor_missing?: boolean };
}

const MIN_PASSWORD = 8;

export function Account({ office }: { office: Office }) {
  const sessions = useLoaded(() => office.api.get<{ items: MySession[] }>("/api/v1/me/sessions"), [office]);
  const me = useLoaded(() => office.api.get<Me>("/api/v1/me"), [office], null);
  const current = (sessions.value?.items ?? []).find((one) => one.current);
  return (
    <div class="account">
      <section class="card pane wide" aria-label={t("admin.me")}>
        <h2>
          {office.user.name || office.user.username} <small>{office.user.username}</small>
        </h2>
        {office.user.roles.map((role) => (
          <p key={role} class="role-line">
            <b>{word("role", role)}</b> {word("roleHelp", role)}
          </p>
        ))}
      </section>
      <SecondFactor
        office={office}
        on={current?.second_factor === true}
        wanted={me.value?.user.second_factor_missing === true}
        onChanged={() => {
          void sessions.reload();
          void me.reload();
        }}
      />
      <Password office={office} onChanged={() => void sessions.reload()} />
      <section class="card pane wide" aria-label={t("admin.sessions")}>
        <header class="pane-head">
          <h2>{t("admin.sessions")}</h2>
          <button
            type="button"
            class="button"
            disabled={(sessions.value?.items ?? []).length < 2}
            data-testid="end-others"
            onClick={() => void office.api.delete("/api/v1/me/sessions").then(() => toast(t("admin.othersEnded")), (error: unknown) => toast(explained(error), "bad")).then(() => sessions.reload())}
          >
            {t("admin.endOthers")}
          </button>
        </header>
        <Failure text={sessions.problem} />
        <table class="lines-table">
          <thead>
            <tr>
              <th>{t("admin.where")}</th>
              <th>{t("admin.since")}</th>
              <th>{t("admin.seen")}</th>
              <th>{t("admin.secondFactor")}</th>
              <th />
            </tr>
          </thead>
          <tbody data-testid="sessions">
            {(sessions.value?.items ?? []).map((one) => (
              <tr key={one.sid}>
                <td title={one.client}>
                  {one.address || "—"} <small>{short(one.client)}</small> {one.current ? <Tag kind="good">{t("admin.thisOne")}</Tag> : null}
                </td>
                <td>{machineTime(microsOf(one.issued_at))}</td>
                <td>{machineTime(microsOf(one.seen_at))}</td>
                <td>{one.second_factor ? t("admin.given") : "—"}</td>
                <td class="end">
                  {one.current ? null : (
                    <button type="button" class="button small danger-quiet" onClick={() => void office.api.delete(`/api/v1/sessions/${encodeURIComponent(one.sid)}`).then(() => sessions.reload(), (error: unknown) => toast(explained(error), "bad"))}>
                      {t("admin.endSession")}
                    </button>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </div>
  );
}

/** Browser and system of a user-agent line, as a person recognises them. */
function short(agent: string): string {
  const browser = /(Edg|Firefox|Chrome|Safari)\/(\d+)/.exec(agent);
  const system = /(Windows|Android|iPhone|Macintosh|Linux)/.exec(agent)?.[1] ?? "";
  return [browser === null ? agent.slice(0, 40) : `${browser[1] === "Edg" ? "Edge" : browser[1]} ${browser[2]}`, system].filter((part) => part !== "").join(" · ");
}

interface Enrolment {
  secret: string;
  uri: string;
  qr_svg?: string;
}

function SecondFactor({ office, on, wanted, onChanged }: { office: Office; on: boolean; wanted: boolean; onChanged: () => void }) {
  const [enrolment, setEnrolment] = useState<Enrolment | null>(null);
  const [code, setCode] = useState("");
  const [codes, setCodes] = useState<string[]>([]);
  const [stands, setStands] = useState(false); // one stands, though this session was opened without it
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const run = async (work: () => Promise<void>): Promise<void> => {
    setBusy(true);
    setProblem("");
    await work().catch((error: unknown) => setProblem(explained(error)));
    setBusy(false);
  };
  const begin = (): Promise<void> =>
    run(async () => {
      setEnrolment(await office.api.post<Enrolment>("/api/v1/me/totp"));
      setCode("");
    });
  const confirm = (event: Event): void => {
    event.preventDefault();
    void run(async () => {
      const answer = await office.api.post<{ recovery_codes: string[] }>("/api/v1/me/totp/confirm", { code: code.replace(/\s/g, "") });
      setCodes(answer.recovery_codes);
      setEnrolment(null);
      setStands(true);
      onChanged();
    });
  };
  const active = on || stands;
  return (
    <section class="card pane" aria-label={t("admin.secondFactor")} data-testid="second-factor" data-on={active}>
      <header class="pane-head">
        <h2>{t("admin.secondFactor")}</h2>
        {active ? <Tag kind="good">{t("admin.on")}</Tag> : <Tag kind={wanted ? "bad" : "plain"}>{t("admin.off")}</Tag>}
      </header>
      {wanted && !active ? <p class="warning">{t("admin.factorWanted")}</p> : null}
      {codes.length > 0 ? (
        <div class="stack">
          <p class="warning">{t("admin.recoveryText")}</p>
          <ol class="recovery" data-testid="recovery">
            {codes.map((one) => (
              <li key={one}>{one.replace(/(.{4})(?=.)/g, "$1 ")}</li>
            ))}
          </ol>
          <div class="actions">
            <button type="button" class="button" onClick={() => void copyText(codes.join("\n")).then((done) => done && toast(t("admin.copied")))}>
              {t("admin.copy")}
            </button>
            <button type="button" class="button" onClick={() => window.print()}>
              {t("duty.print")}
            </button>
            <button type="button" class="button primary" data-testid="recovery-done" onClick={() => setCodes([])}>
              {t("admin.written")}
            </button>
          </div>
        </div>
      ) : enrolment !== null ? (
        <form class="enrol" onSubmit={confirm}>
          {enrolment.qr_svg === undefined ? null : <img class="qr" alt={t("admin.qr")} src={svgUrl(enrolment.qr_svg)} data-testid="qr" />}
          <div class="stack">
            <ol class="steps-list">
              <li>{t("admin.enrol1")}</li>
              <li>{t("admin.enrol2")}</li>
              <li>{t("admin.enrol3")}</li>
            </ol>
            <p class="dim">
              {t("admin.byHand")} <code data-testid="totp-secret">{enrolment.secret.replace(/(.{4})(?=.)/g, "$1 ")}</code>
            </p>
            <Labelled id="totp-code" label={t("admin.code")} required>
              <input id="totp-code" type="text" class="otp" inputMode="numeric" autocomplete="one-time-code" maxLength={8} value={code} autofocus onInput={(event) => setCode(event.currentTarget.value)} data-testid="totp-code" />
            </Labelled>
            <Failure text={problem} />
            <div class="actions">
              <button type="button" class="button" onClick={() => setEnrolment(null)}>
                {t("office.cancel")}
              </button>
              <button type="submit" class="button primary" disabled={busy || code.trim().length < 6} data-testid="totp-confirm">
                {t("admin.turnOn")}
              </button>
            </div>
          </div>
        </form>
      ) : (
        <div class="stack">
          <p class="dim">{t(active ? "admin.factorOn" : "admin.factorOff")}</p>
          {active ? <SecurityKeys office={office} /> : null}
          <Failure text={problem} />
          <div class="actions">
            {active ? (
              <button
                type="button"
                class="button danger-quiet"
                disabled={busy}
                data-testid="totp-drop"
                onClick={() =>
                  void run(async () => {
                    await office.api.delete("/api/v1/me/totp");
                    setStands(false);
                    toast(t("admin.turnedOff"));
                    onChanged();
                  })
                }
              >
                {t("admin.turnOff")}
              </button>
            ) : (
              <button type="button" class="button primary" disabled={busy} onClick={() => void begin()} data-testid="totp-begin">
                {t("admin.setUp")}
              </button>
            )}
          </div>
        </div>
      )}
    </section>
  );
}

/** The server's picture as an image: read as inert markup and written as a document of its own, so that no foreign markup becomes part of the page. */
function svgUrl(svg: string): string {
  const picture = new DOMParser().parseFromString(svg, "text/html").querySelector("svg");
  return picture === null ? "" : `data:image/svg+xml;charset=utf-8,${encodeURIComponent(new XMLSerializer().serializeToString(picture))}`;
}

function Password({ office, onChanged }: { office: Office; onChanged: () => void }) {
  const [old, setOld] = useState("");
  const [fresh, setFresh] = useState("");
  const [again, setAgain] = useState("");
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const change = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (fresh.length < MIN_PASSWORD) return setProblem(t("admin.passwordShort", { n: MIN_PASSWORD }));
    if (fresh !== again) return setProblem(t("admin.passwordDiffers"));
    setBusy(true);
    setProblem("");
    try {
      await office.api.post("/api/v1/me/password", { old, new: fresh });
      setOld("");
      setFresh("");
      setAgain("");
      toast(t("admin.passwordChanged"));
      onChanged();
    } catch (error) {
      setProblem(explained(error));
    }
    setBusy(false);
  };
  return (
    <section class="card pane" aria-label={t("admin.password")}>
      <h2>{t("admin.password")}</h2>
      <form class="stack" onSubmit={(event) => void change(event)}>
        <input type="text" class="sr" autocomplete="username" value={office.user.username} readOnly tabIndex={-1} aria-hidden="true" />
        <Labelled id="pw-old" label={t("admin.passwordOld")} required>
          <input id="pw-old" type="password" autocomplete="current-password" required value={old} onInput={(event) => setOld(event.currentTarget.value)} data-testid="pw-old" />
        </Labelled>
        <Labelled id="pw-new" label={t("admin.passwordNew")} required help={t("admin.passwordShort", { n: MIN_PASSWORD })}>
          <input id="pw-new" type="password" autocomplete="new-password" required value={fresh} onInput={(event) => setFresh(event.currentTarget.value)} data-testid="pw-new" />
        </Labelled>
        <Labelled id="pw-again" label={t("admin.passwordAgain")} required>
          <input id="pw-again" type="password" autocomplete="new-password" required value={again} onInput={(event) => setAgain(event.currentTarget.value)} data-testid="pw-again" />
        </Labelled>
        <Failure text={problem} />
        <div class="actions">
          <button type="submit" class="button primary" disabled={busy} data-testid="pw-change">
            {t("admin.passwordChange")}
          </button>
        </div>
      </form>
    </section>
  );
}
