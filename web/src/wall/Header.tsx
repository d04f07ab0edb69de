import { useTopics, useTick } from "../core/hooks";
import { lang, own, switchLang, t, word } from "../core/i18n";
import type { LinkInfo } from "../core/live";
import type { Session } from "../core/session";
import { toLogin } from "../core/session";
import type { Sound } from "../core/sound";
import { hms, longDate } from "../core/time";
import type { Colour } from "../core/types";
import { Chip } from "./parts";

export const STALE_S = 15;
export const STOPPED_S = 60;

/** Machine seconds since the field was last heard, here or at the server, whichever is worse. */
export function dataAgeS(session: Session): number {
  const value = session.store.board.get("link")?.["value"] as number | { age_s?: number } | undefined;
  const server = typeof value === "number" ? value : (value?.age_s ?? 0);
  return Math.max((performance.now() - session.live.info().lastDataMs) / 1000, server);
}

export function Banner({ session }: { session: Session }) {
  const banner = session.clockState.banner;
  if (banner === undefined || banner === null) return null;
  const words = own(banner.zh, banner.en);
  return (
    <div class="banner" role="note" data-testid="banner" aria-label={words}>
      {Array.from({ length: 7 }, (_, index) => (
        <span key={index} aria-hidden={index > 0}>
          {words}
        </span>
      ))}
    </div>
  );
}

export function StopBand({ session, link }: { session: Session; link: LinkInfo }) {
  useTick(500);
  const age = dataAgeS(session);
  const away = link.state === "waiting" || link.state === "stopped";
  if (!away && age <= STOPPED_S) return null;
  const retry = link.retryAtMs === null ? "" : ` · ${t("link.retry", { s: Math.max(0, Math.ceil((link.retryAtMs - performance.now()) / 1000)) })}`;
  return (
    <div class="stop-band" role="alert" data-testid="stop-band">
      <strong>{t("link.band")}</strong>
      <span>{t("link.bandDetail", { s: Math.floor(age) })}</span>
      {away ? <span class="why">{`${link.state === "stopped" ? t("link.refused") : t("link.bandOffline")}${retry}`}</span> : null}
    </div>
  );
}

export function Header({ session, link, sound }: { session: Session; link: LinkInfo; sound: Sound }) {
  return (
    <header class="top">
      <div class="brand">
        <strong>{t("app.city")}</strong>
        <span>{t("app.name")}</span>
      </div>
      <Counts session={session} />
      <div class="top-right">
        <Systems session={session} />
        <Link session={session} link={link} />
        <button type="button" class={`ghost sound-${sound.state}`} onClick={() => sound.toggle()} data-testid="sound" data-state={sound.state} aria-pressed={sound.state === "on"}>
          {sound.state === "on" ? "♪ " : "♪̸ "}
          {t(sound.state === "on" ? "sound.on" : sound.state === "off" ? "sound.off" : "sound.blocked")}
        </button>
        <button type="button" class="ghost" onClick={switchLang} data-testid="lang">
          {t("lang.switch")}
        </button>
        <button type="button" class="ghost" data-testid="user" title={t("login.logout")} onClick={() => void session.api.delete("/api/v1/sessions/current").finally(toLogin)}>
          {session.user.name || session.user.username}
        </button>
        <Clock session={session} />
      </div>
    </header>
  );
}

const COLOURS: Colour[] = ["red", "orange", "yellow", "blue"];

function Counts({ session }: { session: Session }) {
  useTopics(session.store, ["alarms"]);
  const firing = [...session.store.alarms.values()].filter((alarm) => alarm.state === "firing");
  const highest = session.store.highest();
  return (
    <div class={`counts h-${highest || "none"}`} data-testid="highest" data-colour={highest}>
      <span class="caption">{t("colour.highest")}</span>
      {highest === "" ? <span class="none">{t("colour.none")}</span> : <Chip colour={highest} big />}
      <ul>
        {COLOURS.map((colour) => {
          const count = firing.filter((alarm) => alarm.colour === colour).length;
          return (
            <li key={colour} class={count === 0 ? "zero" : `t-${colour}`}>
              <i class={`swatch c-${colour}`} />
              {word("colour", colour)} <b>{count}</b>
            </li>
          );
        })}
      </ul>
    </div>
  );
}

/** Parts of the system that are not well; silent while all is. */
function Systems({ session }: { session: Session }) {
  useTopics(session.store, ["board", "devices", "notes"]);
  const { store } = session;
  const rows = [...store.devices.values()].filter((row) => row.kind !== "canary");
  const online = rows.filter((row) => row.status === "online").length;
  const silent = rows.filter((row) => row.status === "no_data" || row.status === "offline").length;
  const unstored = countOf(store.board.get("unstored")?.["value"]);
  return (
    <div class="systems">
      <span data-testid="devices-online">
        {t("devices.online")} <b>{online}</b>
        <small>/{rows.length}</small>
      </span>
      {silent > 0 ? (
        <span class="amiss">
          {t("devices.nodata")} <b>{silent}</b>
        </span>
      ) : null}
      {unstored > 0 ? (
        <span class="amiss" data-testid="unstored">
          {t("unstored")} <b>{unstored}</b>
        </span>
      ) : null}
    </div>
  );
}

function countOf(value: unknown): number {
  if (typeof value === "number") return value;
  if (value !== null && typeof value === "object") return Number((value as { count?: number }).count ?? 0);
  return 0;
}

function Link({ session, link }: { session: Session; link: LinkInfo }) {
  useTick(1000);
  const age = Math.max(0, Math.floor(dataAgeS(session)));
  const level = link.state !== "open" ? "bad" : age > STOPPED_S ? "bad" : age > STALE_S ? "stale" : "good";
  return (
    <div class={`link ${level}`} data-testid="link" data-state={link.state} data-age={age} data-level={level}>
      <i />
      <span>{level === "stale" ? t("link.stale") : word("link", link.state)}</span>
      <small>{t("link.age", { s: age })}</small>
    </div>
  );
}

function Clock({ session }: { session: Session }) {
  useTick(session.clock.rate > 1 ? 100 : 250);
  const now = session.clock.nowUs();
  const { rate, kind } = session.clock;
  return (
    <div class="clock" data-testid="clock" data-city-us={Math.floor(now)}>
      <time>{hms(now)}</time>
      <div>
        <span>{longDate(now, lang)}</span>
        {kind === "stepped" ? <b>{t("clock.stepped")}</b> : rate !== 1 ? <b>{t("clock.rate", { r: rate })}</b> : null}
      </div>
    </div>
  );
}
