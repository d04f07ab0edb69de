import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import "../core/base.css";
import { Api, ApiError } from "../core/api";
import type { Session } from "../core/api";
import { explain, lang, own, switchLang, t } from "../core/i18n";
import type { ClockState } from "../core/types";
import { askKey, canUseKeys } from "../core/webauthn";
import type { KeyAnswer, KeyOptions } from "../core/webauthn";
import { destination } from "./destination";
import "./login.css";

const api = new Api();

function refused(error: unknown, withCode: boolean): string {
  if (!(error instanceof ApiError)) return explain(error);
  if (error.status === 401 && withCode) return t("login.codeWrong");
  if (error.status === 429) return t("login.tooMany");
  return error.status === 403 ? t("login.wrong") : explain(error);
}

function Login() {
  const [username, setUsername] = useState("");
  const [password, setPassword] = useState("");
  const [asked, setAsked] = useState(false); // the password was right, and the account has a second factor
  const [code, setCode] = useState("");
  const [byKey, setByKey] = useState<KeyOptions | null>(null); // a security key can answer in place of the code
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const [banner, setBanner] = useState<ClockState["banner"]>(null);
  useEffect(() => {
    // Without an answer there is nothing to log in to, and the form says so when it is sent.
    api.get<Pick<ClockState, "banner">>("/healthz").then((found) => setBanner(found.banner), () => undefined);
  }, []);

  /** Fresh options, where this browser has keys and this person has one for this address. */
  async function offerKey(): Promise<void> {
    if (!canUseKeys()) return;
    setByKey(await api.post<KeyOptions>("/api/v1/sessions/key", { username: username.trim(), password }).catch(() => null));
  }

  async function logIn(factor: { otp?: string; key?: KeyAnswer }): Promise<void> {
    setBusy(true);
    setProblem("");
    try {
      const session = await api.post<Session>("/api/v1/sessions", { username: username.trim(), password, ...factor });
      location.assign(destination(location.search, session.user.roles));
    } catch (error) {
      setBusy(false);
      if (error instanceof ApiError && error.problem.type?.endsWith("second-factor-required") === true) {
        setAsked(true);
        return offerKey();
      }
      setCode("");
      setProblem(refused(error, asked));
      if (factor.key !== undefined) await offerKey();
    }
  }

  function submit(event: Event): void {
    event.preventDefault();
    void logIn(asked ? { otp: code.replace(/\s/g, "") } : {});
  }

  async function useKey(options: KeyOptions): Promise<void> {
    setProblem("");
    try {
      await logIn({ key: await askKey(options) });
    } catch {
      setProblem(t("login.keyDeclined")); // declined, or no key was there in time
      await offerKey();
    }
  }

  return (
    <main class="login">
      {banner == null ? null : (
        <div class="banner" role="note" data-testid="banner">
          {own(banner.zh, banner.en)}
        </div>
      )}
      <form onSubmit={submit} data-testid="login-form">
        <p class="city">{t("app.city")}</p>
        <h1>{t("app.name")}</h1>
        <p class="sub">{t("app.sub")}</p>
        {asked ? (
          <>
            <p class="who">
              {username}
              <button
                type="button"
                class="link"
                data-testid="login-again"
                onClick={() => {
                  setAsked(false);
                  setByKey(null);
                  setPassword("");
                  setCode("");
                  setProblem("");
                }}
              >
                {t("login.again")}
              </button>
            </p>
            <label>
              {t("login.code")}
              <input
                name="otp"
                class="otp"
                autocomplete="one-time-code"
                autocapitalize="none"
                maxLength={24}
                required
                autofocus
                ref={(box) => box?.focus()}
                value={code}
                onInput={(event) => setCode(event.currentTarget.value)}
                data-testid="login-otp"
              />
            </label>
            <p class="hint">{t("login.codeHint")}</p>
            {byKey === null ? null : (
              <button type="button" class="by-key" disabled={busy} onClick={() => void useKey(byKey)} data-testid="login-key">
                {t("login.byKey")}
              </button>
            )}
          </>
        ) : (
          <>
            <label>
              {t("login.username")}
              <input
                name="username"
                autocomplete="username"
                autocapitalize="none"
                required
                autofocus
                value={username}
                onInput={(event) => setUsername(event.currentTarget.value)}
              />
            </label>
            <label>
              {t("login.password")}
              <input
                name="password"
                type="password"
                autocomplete="current-password"
                required
                value={password}
                onInput={(event) => setPassword(event.currentTarget.value)}
              />
            </label>
          </>
        )}
        <p class="problem" role="alert" data-testid="login-error">
          {problem}
        </p>
        <button type="submit" disabled={busy} data-testid="login-submit">
          {busy ? t("login.busy") : t("login.submit")}
        </button>
      </form>
      <button class="lang" type="button" onClick={switchLang} data-testid="lang">
        {t("lang.switch")}
      </button>
    </main>
  );
}

document.documentElement.lang = lang === "zh" ? "zh-CN" : "en";
const root = document.getElementById("app");
if (root !== null) render(<Login />, root);
