import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import "../core/base.css";
import { Api, ApiError } from "../core/api";
import { explain, lang, own, switchLang, t } from "../core/i18n";
import type { ClockState } from "../core/types";
import "./login.css";

const api = new Api();

/** Only a path of ours: a foreign address in `next` must not receive a fresh login. */
function destination(roles: string[]): string {
  const next = new URLSearchParams(location.search).get("next");
  if (next !== null && /^\/(wall|desk|field|registers|duty|admin)(\?|#|$)/.test(next)) return next;
  return roles.includes("responder") ? "/field" : "/wall";
}

function Login() {
  const [username, setUsername] = useState("");
  const [password, setPassword] = useState("");
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
      const session = await api.login(username.trim(), password);
      location.assign(destination(session.user.roles));
    } catch (error) {
      setProblem(error instanceof ApiError && error.status === 403 ? t("login.wrong") : explain(error));
      setBusy(false);
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
