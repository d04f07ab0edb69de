/** The frame of every office page: banner of what is not real, name, navigation, who I am, language. */

import type { ComponentChildren } from "preact";
import { own, switchLang, t } from "../core/i18n";
import type { Key } from "../core/i18n";
import { toLogin } from "../core/session";
import type { Office } from "./session";
import { Toasts } from "./toast";
import "../core/base.css";
import "./office.css";

const PAGES: [string, Key][] = [
  ["wall", "office.wall"],
  ["desk", "office.desk"],
  ["registers", "office.registers"],
  ["duty", "office.duty"],
  ["quality", "office.quality"],
  ["town", "office.town"],
  ["grid", "office.grid"],
  ["vendor", "office.vendor"],
  ["admin", "office.admin"],
];

export function Shell({ office, page, children, aside }: { office: Office; page: string; children: ComponentChildren; aside?: ComponentChildren }) {
  const banner = office.clockState.banner;
  return (
    <div class="office">
      {banner == null ? null : (
        <div class="office-banner" role="note" data-testid="banner">
          {own(banner.zh, banner.en)}
        </div>
      )}
      <header class="office-top">
        <div class="office-brand">
          <strong>{t("app.city")}</strong>
          <span>{t("app.name")}</span>
        </div>
        <nav aria-label={t("office.pages")}>
          {PAGES.map(([name, key]) => (
            <a key={name} href={`/${name}`} aria-current={name === page ? "page" : undefined} data-testid={`nav-${name}`}>
              {t(key)}
            </a>
          ))}
        </nav>
        <div class="office-aside">
          {aside}
          <button type="button" class="button quiet" onClick={switchLang} data-testid="lang">
            {t("lang.switch")}
          </button>
          <span class="office-user" data-testid="user">
            {office.user.name || office.user.username}
          </span>
          <button type="button" class="button quiet" data-testid="logout" onClick={() => void office.api.delete("/api/v1/sessions/current").finally(toLogin)}>
            {t("login.logout")}
          </button>
        </div>
      </header>
      {children}
      <Toasts />
    </div>
  );
}

/** Before the server has answered. */
export function Opening({ problem }: { problem: string }) {
  return (
    <main class="office-opening">
      <h1>
        {t("app.city")} {t("app.name")}
      </h1>
      <p>{problem === "" ? t("link.connecting") : problem}</p>
    </main>
  );
}
