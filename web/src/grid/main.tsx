/** 网格: report once, see what came of it, make the visits that are due. For a phone in the street and for the desk that handles reports. */

import { render } from "preact";
import { useEffect, useMemo, useReducer, useState } from "preact/hooks";
import { Api, newKey } from "../core/api";
import { explain, lang, own, switchLang, t } from "../core/i18n";
import { toLogin } from "../core/session";
import { CityClock, dayHm } from "../core/time";
import type { ClockState, User } from "../core/types";
import { useLoaded } from "../duty/data";
import { Outbox, indexedEntries } from "../field/outbox";
import type { Entry } from "../field/outbox";
import { Tag } from "../office/Badge";
import { Desk } from "./Desk";
import { Visits } from "./Visits";
import { Place } from "./Place";
import type { Point } from "./Place";
import { inOrder } from "./data";
import type { EventKind, Report } from "./data";
import "../core/base.css";
import "../office/office.css";
import "../duty/duty.css";
import "../registers/registers.css";
import "./grid.css";

export interface Street {
  api: Api;
  user: User;
  clock: CityClock;
  clockState: ClockState;
  outbox: Outbox;
}

const FLUSH_MS = 5_000;
const has = (user: User, roles: readonly string[]): boolean => user.roles.some((role) => roles.includes(role));
/** command_center/authority.py READ_REPORTS, PATROL */
const atDesk = (user: User): boolean => has(user, ["operator", "leader", "analyst", "admin", "commander", "scene", "liaison", "registrar"]);
const visits = (user: User): boolean => has(user, ["operator", "leader", "grid", "registrar"]);

type Tab = "new" | "mine" | "visits" | "desk";

function App({ street, sent }: { street: Street; sent: number }) {
  const tabs: [Tab, string][] = [["new", t("grid.new")], ["mine", t("grid.mine")], ...(visits(street.user) ? [["visits", t("grid.visits")] as [Tab, string]] : []), ...(atDesk(street.user) ? [["desk", t("grid.desk")] as [Tab, string]] : [])];
  const [tab, setTab] = useState<Tab>(() => (has(street.user, ["grid", "responder"]) ? "new" : "desk"));
  const kinds = useLoaded(() => street.api.get<{ items: EventKind[] }>("/api/v1/grid/kinds"), [street], null);
  const banner = street.clockState.banner;
  const waiting = street.outbox.pending.length;
  return (
    <div class="grid-page">
      {banner == null ? null : (
        <div class="office-banner" role="note" data-testid="banner">
          {own(banner.zh, banner.en)}
        </div>
      )}
      <header>
        <div>
          <strong>{t("office.grid")}</strong>
          <small>{street.user.name || street.user.username}</small>
        </div>
        <span class="spring" />
        <span class={waiting === 0 ? "sync" : "sync waiting"} data-testid="grid-sync" data-waiting={waiting}>
          {waiting === 0 ? t("grid.allSent") : t("grid.waiting", { n: waiting })}
        </span>
        {atDesk(street.user) ? (
          <a class="button quiet" href="/wall">
            {t("office.wall")}
          </a>
        ) : null}
        <button type="button" class="button quiet" onClick={switchLang}>
          {t("lang.switch")}
        </button>
        <button type="button" class="button quiet" data-testid="logout" onClick={() => void street.api.delete("/api/v1/sessions/current").finally(toLogin)}>
          {t("login.logout")}
        </button>
      </header>
      <nav role="tablist" aria-label={t("office.grid")}>
        {tabs.map(([key, title]) => (
          <button key={key} type="button" role="tab" aria-selected={tab === key} onClick={() => setTab(key)} data-testid={`grid-tab-${key}`}>
            {title}
          </button>
        ))}
      </nav>
      {street.outbox.refusals.map((refusal) => (
        <p key={refusal.entry.key} class="failure" role="alert">
          {explain(refusal.error)}{" "}
          <button type="button" class="link" onClick={() => street.outbox.dismiss(refusal)}>
            {t("office.close")}
          </button>
        </p>
      ))}
      <main class={tab === "desk" ? "wide" : ""}>
        {tab === "new" ? <NewReport street={street} kinds={kinds.value?.items ?? []} onFiled={() => setTab("mine")} /> : null}
        {tab === "mine" ? <Mine street={street} sent={sent} /> : null}
        {tab === "visits" ? <Visits street={street} sent={sent} /> : null}
        {tab === "desk" ? <Desk street={street} kinds={kinds.value?.items ?? []} sent={sent} /> : null}
      </main>
    </div>
  );
}

function NewReport({ street, kinds, onFiled }: { street: Street; kinds: EventKind[]; onFiled: () => void }) {
  const [kind, setKind] = useState("");
  const [words, setWords] = useState("");
  const [address, setAddress] = useState("");
  const [point, setPoint] = useState<Point | null>(null);
  const [problem, setProblem] = useState("");
  const file = (event: Event): void => {
    event.preventDefault();
    if (kind === "") return setProblem(t("grid.kindNeeded"));
    if (words.trim() === "") return setProblem(t("grid.wordsNeeded"));
    if (point === null) return setProblem(t("grid.placeNeeded"));
    // Kept first, then sent: what a phone sends twice is one report by its client_id.
    void street.outbox.add("status", "/api/v1/grid/reports", { client_id: newKey(), kind, text: words.trim(), address: address.trim(), ...point }, Date.now()).then(onFiled);
  };
  return (
    <form class="report" onSubmit={file}>
      <div class="event-kinds" role="radiogroup" aria-label={t("grid.kind")}>
        {kinds.map((one) => (
          <button key={one.kind} type="button" role="radio" aria-checked={kind === one.kind} class={one.urgent ? "kind urgent" : "kind"} onClick={() => setKind(one.kind)} data-testid={`kind-${one.kind}`}>
            {own(one.zh, one.en)}
          </button>
        ))}
      </div>
      <label>
        {t("grid.words")}
        <textarea rows={3} maxLength={2000} value={words} onInput={(event) => setWords(event.currentTarget.value)} data-testid="grid-words" />
      </label>
      <label>
        {t("grid.address")}
        <input type="text" maxLength={200} value={address} onInput={(event) => setAddress(event.currentTarget.value)} />
      </label>
      <Place street={street} point={point} onPoint={setPoint} />
      <p class="failure" role="alert" data-testid="grid-problem">
        {problem}
      </p>
      <button type="submit" class="button primary big" data-testid="grid-file">
        {t("grid.file")}
      </button>
    </form>
  );
}

function Mine({ street, sent }: { street: Street; sent: number }) {
  const mine = useLoaded(() => street.api.get<{ items: Report[] }>("/api/v1/grid/reports?mine=true"), [street, sent]);
  const waiting = street.outbox.pending.filter((entry) => entry.path === "/api/v1/grid/reports");
  return (
    <ul class="cards" data-testid="grid-mine">
      {waiting.map((entry) => (
        <li key={entry.key}>
          <Tag kind="warn">{t("grid.notSent")}</Tag> {String(entry.body["text"])}
        </li>
      ))}
      {inOrder(mine.value?.items ?? []).map((report) => (
        <li key={report.report_id}>
          <b>{report.kind_zh}</b> <Tag kind={report.state === "CLOSED" ? "good" : "warn"}>{lang === "zh" ? report.state_zh : report.state}</Tag>
          <p>{report.text}</p>
          <small>
            {report.report_id} · {dayHm(report.reported_us)}
            {report.joined_to === "" ? "" : ` · → ${report.joined_to}`}
          </small>
          {report.closed_comment === "" ? null : <p class="result">{report.closed_comment}</p>}
        </li>
      ))}
      {mine.value !== null && mine.value.items.length === 0 && waiting.length === 0 ? <li class="dim">{t("grid.noneYet")}</li> : null}
      {mine.problem === "" ? null : <li class="failure">{mine.problem}</li>}
    </ul>
  );
}

function Root({ street }: { street: Omit<Street, "outbox"> }) {
  const [, draw] = useReducer((n: number) => n + 1, 0);
  const [sent, count] = useReducer((n: number) => n + 1, 0);
  const outbox = useMemo(() => new Outbox(indexedEntries(`grid-${street.user.username}`), street.api, () => draw(undefined as never), (_: Entry) => count(undefined as never)), [street]);
  useEffect(() => {
    void outbox.open().then(() => outbox.flush());
    const timer = setInterval(() => void outbox.flush(), FLUSH_MS);
    const online = (): void => void outbox.flush();
    window.addEventListener("online", online);
    return () => {
      clearInterval(timer);
      window.removeEventListener("online", online);
    };
  }, [outbox]);
  return <App street={{ ...street, outbox }} sent={sent} />;
}

async function main(): Promise<void> {
  document.documentElement.lang = lang === "zh" ? "zh-CN" : "en";
  const root = document.getElementById("app");
  if (root === null) return;
  const api = new Api(undefined, toLogin);
  for (;;) {
    try {
      const { user } = await api.me();
      const clockState = await api.get<ClockState>("/api/v1/clock");
      const street = { api, user, clockState, clock: new CityClock(clockState) };
      return render(<Root street={street} />, root);
    } catch (error) {
      render(<p class="starting">{explain(error)}</p>, root);
      await new Promise((resolve) => setTimeout(resolve, 3_000));
    }
  }
}

void main();
