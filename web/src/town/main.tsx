/** 乡镇驾驶舱: one area at a glance, for the people who answer for it. Asks again every quarter of a minute. */

import type { ComponentChildren } from "preact";
import { render } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { explain, lang, own, t, word } from "../core/i18n";
import { dayHm, hm } from "../core/time";
import { CityTime } from "../duty/CityTime";
import { useLoaded } from "../duty/data";
import { Grade, Tag } from "../office/Badge";
import { AreaPicker } from "../office/Combo";
import { Failure } from "../office/Dialog";
import { Opening, Shell } from "../office/Shell";
import { openOffice } from "../office/session";
import type { Office } from "../office/session";
import { MapPane } from "../registers/MapPane";
import { COLOURS, firstArea, marksOf, silentOf, sum } from "./data";
import type { AreaSummary } from "./data";
import "../duty/duty.css";
import "../registers/registers.css";
import "./town.css";

function Town({ office }: { office: Office }) {
  const [code, setCode] = useState(() => firstArea(new URLSearchParams(location.search).get("area") ?? "", office.user, office.areas));
  useEffect(() => {
    if (code !== "") history.replaceState(null, "", `${location.pathname}?area=${encodeURIComponent(code)}`);
  }, [code]);
  const loaded = useLoaded(() => (code === "" ? Promise.resolve(null) : office.api.get<AreaSummary>(`/api/v1/areas/${encodeURIComponent(code)}/summary`)), [office, code]);
  const found = loaded.value?.code === code ? loaded.value : null;
  const marks = useMemo(() => (found === null ? [] : marksOf(found)), [found]);
  return (
    <Shell office={office} page="town" aside={<CityTime clock={office.clock} />}>
      <main class="duty town">
        <header class="town-top">
          <h1 data-testid="town-name">{found?.name ?? (office.areas.name(code) || t("office.town"))}</h1>
          <span class="dim">{code === "" ? "" : office.areas.path(code)}</span>
          <span class="spring" />
          <div class="town-area">
            <AreaPicker areas={office.areas} value={code} onChange={setCode} testid="town-area" placeholder={t("town.choose")} />
          </div>
        </header>
        <Failure text={loaded.problem} />
        {found === null ? (
          <p class="empty">{code === "" ? t("town.none") : t("link.connecting")}</p>
        ) : (
          <>
            <Figures found={found} />
            <div class="town-body">
              <div class="town-column">
                <Alarms found={found} />
                <Incidents found={found} />
              </div>
              <MapPane office={office} entries={marks} area={code} />
              <div class="town-column">
                <Duty found={found} />
                <Orders found={found} />
                <Objects found={found} />
              </div>
            </div>
          </>
        )}
      </main>
    </Shell>
  );
}

function Figures({ found }: { found: AreaSummary }) {
  const alarms = sum(found.alarms_by_colour);
  const silent = silentOf(found);
  return (
    <section class="quality-top" aria-label={found.name}>
      {alarms === null ? null : (
        <Figure label={t("town.alarms")} value={alarms} bad={alarms > 0} testid="town-alarms">
          {COLOURS.filter((colour) => (found.alarms_by_colour?.[colour] ?? 0) > 0).map((colour) => (
            <span key={colour} class="count">
              <Grade colour={colour} /> {found.alarms_by_colour?.[colour]}
            </span>
          ))}
        </Figure>
      )}
      {found.incidents_open === null ? null : <Figure label={t("town.incidents")} value={found.incidents_open} bad={found.incidents_open > 0} testid="town-incidents" />}
      {found.tasks_by_state === null ? null : <Figure label={t("town.tasks")} value={sum(found.tasks_by_state) ?? 0} testid="town-tasks" />}
      {found.instructions_open === null ? null : (
        <Figure label={t("town.orders")} value={found.instructions_open} bad={(found.instructions_overdue ?? 0) > 0} testid="town-orders">
          {(found.instructions_overdue ?? 0) > 0 ? <Tag kind="bad">{t("town.overdue", { n: found.instructions_overdue ?? 0 })}</Tag> : null}
        </Figure>
      )}
      {silent === null ? null : <Figure label={t("town.silent", { all: sum(found.devices_by_status) ?? 0 })} value={silent} bad={silent > 0} testid="town-silent" />}
      {found.quality === null ? null : (
        <a class="figure" href="/quality" data-testid="town-quality">
          <b>{found.quality.total}</b>
          <span>{t("town.quality")}</span>
        </a>
      )}
    </section>
  );
}

function Figure({ label, value, bad = false, children, testid }: { label: string; value: number; bad?: boolean; children?: ComponentChildren; testid: string }) {
  return (
    <div class="figure" data-testid={testid}>
      <b class={bad ? "bad" : ""}>{value}</b>
      <span>{label}</span>
      {children === undefined || children === null ? null : <span class="parts">{children}</span>}
    </div>
  );
}

function Panel({ title, testid, children, empty }: { title: string; testid: string; children: ComponentChildren; empty: boolean }) {
  return (
    <section class="panel" aria-label={title} data-testid={testid}>
      <h2>{title}</h2>
      {empty ? <p class="dim">{t("town.nothing")}</p> : children}
    </section>
  );
}

function Alarms({ found }: { found: AreaSummary }) {
  if (found.alarms === null) return null;
  return (
    <Panel title={t("town.alarms")} testid="town-alarm-list" empty={found.alarms.length === 0}>
      <ul>
        {found.alarms.map((alarm) => (
          <li key={alarm.alarm_id}>
            <Grade colour={alarm.colour} /> <b>{own(alarm.title_zh, alarm.title_en)}</b>
            <small>
              {hm(alarm.raised_us)} {own(alarm.detail_zh, alarm.detail_en)}
            </small>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function Incidents({ found }: { found: AreaSummary }) {
  if (found.incidents === null) return null;
  return (
    <Panel title={t("town.incidents")} testid="town-incident-list" empty={found.incidents.length === 0}>
      <ul>
        {found.incidents.map((incident) => (
          <li key={incident.incident_id}>
            <Grade colour={incident.colour} /> <b>{own(incident.title_zh, incident.title_en)}</b> <Tag>{lang === "zh" ? incident.state_zh : incident.state}</Tag>
            <small>
              {incident.incident_id} · {hm(incident.opened_us)}
            </small>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function Duty({ found }: { found: AreaSummary }) {
  if (found.duty === null) return null;
  return (
    <Panel title={t("town.duty")} testid="town-duty" empty={found.duty.chain.length === 0}>
      <ol>
        {found.duty.chain.map((one) => (
          <li key={`${one.post}/${one.username}/${one.name}`}>
            <b>{one.name}</b> <span class="dim">{one.post_zh ?? one.post}</span> <span class="phone">{one.phone}</span>
          </li>
        ))}
      </ol>
      {found.duty.last_resort ? <Tag kind="bad">{t("town.lastResort")}</Tag> : null}
    </Panel>
  );
}

function Orders({ found }: { found: AreaSummary }) {
  if (found.instructions === null) return null;
  return (
    <Panel title={t("town.orders")} testid="town-order-list" empty={found.instructions.length === 0}>
      <ul>
        {found.instructions.map((order) => (
          <li key={order.instruction_id}>
            <a href={`/duty#/orders/${encodeURIComponent(order.instruction_id)}`}>{order.instruction_id}</a> <Tag kind={order.addressees.some((one) => one.overdue) ? "bad" : "warn"}>{lang === "zh" ? order.state_zh : order.state}</Tag>
            <small>
              {order.text}
              {order.due_us === null ? "" : ` · ${dayHm(order.due_us)}`}
            </small>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function Objects({ found }: { found: AreaSummary }) {
  return (
    <Panel title={t("town.objects")} testid="town-objects" empty={found.objects.length === 0}>
      <table>
        <tbody>
          {found.objects.map((kind) => (
            <tr key={kind.kind}>
              <td>
                <a href={`/registers?kind=${encodeURIComponent(kind.kind)}`}>{own(kind.zh, kind.en)}</a>
              </td>
              <td class="number">{kind.count}</td>
              <td>
                {COLOURS.filter((colour) => (kind.grades[colour] ?? 0) > 0).map((colour) => (
                  <span key={colour} class="count">
                    <i class={`dot g-${colour}`} title={word("colour", colour)} /> {kind.grades[colour]}
                  </span>
                ))}
              </td>
              <td class="dim">{kind.unverified === 0 ? "" : t("town.unverified", { n: kind.unverified })}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Panel>
  );
}

document.documentElement.lang = lang === "zh" ? "zh-CN" : "en";
const root = document.getElementById("app");
if (root !== null) {
  const show = (problem: string): void => render(<Opening problem={problem} />, root);
  show("");
  void openOffice((error) => show(explain(error))).then((office) => render(<Town office={office} />, root));
}
