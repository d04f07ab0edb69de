import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import "../core/base.css";
import { Api, ApiError } from "../core/api";
import type { Session } from "../core/api";
import { explain, lang, own, switchLang, t } from "../core/i18n";
import type { ClockState } from "../core/types";
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
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const [banner, setBanner] = useState<ClockState["banner"]>(null);
  useEffect(() => {
    // Without an answer there is nothing to log in to, and the form says so when it is sent.
    api.get<Pick<ClockState, "banner">>("/healthz").then((found) => setBanner(found.banner), () => undefined);
  }, []);

  async function submit(event: Event): Promise<void> {
    event.preventDefault();
    setBusy(true);
    setProblem("");
    try {
      const otp = asked ? { otp: code.replace(/\s/g, "") } : {};
      const session = await api.post<Session>("/api/v1/sessions", { username: username.trim(), password, ...otp });
      location.assign(destination(location.search, session.user.roles));
    } catch (error) {
      setBusy(false);
      if (error instanceof ApiError && error.problem.type?.endsWith("second-factor-required") === true) return setAsked(true);
      setCode("");
      setProblem(refused(error, asked));
    }
  }

  return (
    <main class="login">
      {banner == null ? null : (
        <div class="banner" role="note" data-testid="banner">
          {own(banner.zh, banner.en)}
        </div>
      )}
      <form onSubmit={(event) => void submit(event)} data-testid="login-form">
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
