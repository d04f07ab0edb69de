/** 设备接入: what a firm's devices sent, what became of it and why; looked at while one connects, so it asks again all the time. */

import { render } from "preact";
import { useMemo, useState } from "preact/hooks";
import { explain, lang, t, word } from "../core/i18n";
import { dayHm, hms } from "../core/time";
import { CityTime } from "../duty/CityTime";
import { useLoaded } from "../duty/data";
import { Tag } from "../office/Badge";
import { Dialog, Failure } from "../office/Dialog";
import { Opening, Shell } from "../office/Shell";
import { Table } from "../office/Table";
import { Tabs } from "../office/Tabs";
import { openOffice } from "../office/session";
import type { Office } from "../office/session";
import { flagWord, itemWord, letterText, lightOf, noteWords, offsetWords, sample, valueOf } from "./data";
import type { Access, Care, Check, DeviceRow, Light } from "./data";
import "../duty/duty.css";
import "../quality/quality.css";
import "./vendor.css";

const LIST_MS = 30_000; // all of them each time: what one looks at closely is asked for by itself
const DETAIL_MS = 3_000; // a device is being connected: its engineer waits for the first line
const TABS = ["messages", "refused", "notes", "checklist", "access"] as const;
type Tab = (typeof TABS)[number];
const STATUS_TAG: Record<string, Light> = { online: "good", offline: "bad", no_data: "bad", unknown: "plain" };

function Vendor({ office }: { office: Office }) {
  const [chosen, setChosen] = useState(() => new URLSearchParams(location.search).get("device") ?? "");
  const [search, setSearch] = useState("");
  const loaded = useLoaded(() => office.api.all<DeviceRow>("/api/v1/devices"), [office], LIST_MS);
  const rows = useMemo(() => {
    const wanted = search.trim().toLowerCase();
    const found = loaded.value ?? [];
    return wanted === "" ? found : found.filter((row) => `${row.device_id} ${row.name} ${row.model}`.toLowerCase().includes(wanted));
  }, [loaded.value, search]);
  const device = (loaded.value ?? []).find((row) => row.device_id === chosen);
  const choose = (id: string): void => {
    setChosen(id);
    history.replaceState(null, "", `${location.pathname}?device=${encodeURIComponent(id)}`);
  };
  const online = (loaded.value ?? []).filter((row) => row.status === "online").length;
  return (
    <Shell office={office} page="vendor" aside={<CityTime clock={office.clock} />}>
      <main class="duty quality vendor">
        <div class="quality-tools">
          <h1>{office.user.vendor ? t("vendor.of", { vendor: office.user.vendor }) : t("office.vendor")}</h1>
          <span class="dim" data-testid="vendor-count">
            {loaded.value === null ? t("link.connecting") : t("vendor.count", { n: loaded.value.length, online })}
          </span>
          <span class="spring" />
          <input type="search" value={search} placeholder={t("vendor.search")} aria-label={t("vendor.search")} onInput={(event) => setSearch(event.currentTarget.value)} data-testid="vendor-search" />
        </div>
        <Failure text={loaded.problem} />
        <div class={device === undefined ? "vendor-body" : "vendor-body with-device"}>
          <Table
            label={t("office.vendor")}
            testid="vendor-devices"
            rows={rows}
            rowKey={(row) => row.device_id}
            selected={chosen}
            onSelect={(row) => choose(row.device_id)}
            empty={loaded.value === null ? t("link.connecting") : t("vendor.none")}
            columns={[
              { key: "status", title: t("vendor.status"), width: "6.5rem", cell: (row) => <Tag kind={STATUS_TAG[row.status] ?? "plain"}>{word("heard", row.status)}</Tag>, value: (row) => row.status },
              { key: "name", title: t("vendor.name"), width: "minmax(9rem, 1.3fr)", cell: (row) => row.name, hint: (row) => row.device_id, value: (row) => row.name },
              { key: "id", title: t("vendor.id"), width: "minmax(8rem, 1fr)", cell: (row) => <code>{row.device_id}</code>, value: (row) => row.device_id },
              { key: "model", title: t("vendor.model"), width: "minmax(8rem, 1fr)", cell: (row) => row.model, value: (row) => row.model },
              { key: "last", title: t("vendor.last"), width: "7rem", cell: (row) => lastWord(row), value: (row) => lastOf(row) },
            ]}
          />
          {device === undefined ? null : <Detail key={device.device_id} office={office} device={device} />}
        </div>
      </main>
    </Shell>
  );
}

const lastOf = (row: DeviceRow): number => Math.max(0, ...Object.values(row.latest).map((one) => one[2]));
const lastWord = (row: DeviceRow): string => (lastOf(row) === 0 ? "—" : hms(lastOf(row)));

function Detail({ office, device }: { office: Office; device: DeviceRow }) {
  const [tab, setTab] = useState<Tab>("messages");
  const path = `/api/v1/devices/${encodeURIComponent(device.device_id)}`;
  const loaded = useLoaded(() => office.api.get<Check>(`${path}/check`), [office, path], DETAIL_MS);
  const check = loaded.value;
  const refused = check === null ? 0 : check.dead_lettered + check.refused;
  return (
    <section class="vendor-detail" aria-label={device.name} data-testid="vendor-detail">
      <header>
        <h2>{device.name}</h2>
        <code>{device.device_id}</code>
        {check === null ? null : <Tag kind={lightOf(check)[0]}>{lightOf(check)[1]}</Tag>}
      </header>
      <Failure text={loaded.problem} />
      {check === null ? <p class="empty">{t("link.connecting")}</p> : <Figures check={check} />}
      <Tabs
        label={device.name}
        value={tab}
        onChange={(key) => setTab(key as Tab)}
        tabs={TABS.map((key) => ({ key, title: t(`vendor.${key}`), ...(key === "refused" && refused > 0 ? { count: refused } : {}) }))}
      />
      <div class="vendor-tab" role="tabpanel">
        {check === null ? null : tab === "messages" ? <Messages check={check} /> : tab === "refused" ? <Refused check={check} /> : tab === "notes" ? <Notes check={check} /> : null}
        {tab === "checklist" ? <Checklist office={office} path={path} /> : null}
        {tab === "access" ? <Door office={office} device={device} path={path} /> : null}
      </div>
    </section>
  );
}

function Figures({ check }: { check: Check }) {
  const figures: [string, number | string, boolean][] = [
    [t("vendor.received"), check.received, false],
    [t("vendor.flagged"), check.flagged, check.flagged > 0],
    [t("vendor.deadLettered"), check.dead_lettered, check.dead_lettered > 0],
    [t("vendor.brokerRefused"), check.refused, check.refused > 0],
    [t("vendor.conflicts"), check.conflicts, check.conflicts > 0],
    [t("vendor.backfilled"), check.backfilled, false],
    [t("vendor.clock"), offsetWords(check.clock_offset_s), check.clock_fault > 0],
    [t("vendor.heard"), check.last_receive_us === null ? "—" : dayHm(check.last_receive_us), check.last_receive_us === null],
  ];
  return (
    <dl class="vendor-figures" data-testid="vendor-figures">
      {figures.map(([name, value, bad]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd class={bad ? "bad" : ""}>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function Messages({ check }: { check: Check }) {
  if (check.last_messages.length === 0) return <p class="empty">{t("vendor.waiting")}</p>;
  return (
    <table data-testid="vendor-messages">
      <thead>
        <tr>
          <th>{t("vendor.receivedAt")}</th>
          <th>{t("vendor.trueAt")}</th>
          <th>{t("vendor.property")}</th>
          <th class="number">{t("vendor.value")}</th>
          <th>{t("vendor.flags")}</th>
          <th class="number">seq</th>
        </tr>
      </thead>
      <tbody>
        {check.last_messages.map((row, index) => (
          <tr key={`${row.property}/${row.phenomenon_us}/${index}`}>
            <td>{hms(row.receive_us)}</td>
            <td>{hms(row.phenomenon_us)}</td>
            <td>
              <code>{row.property}</code>
            </td>
            <td class="number">{valueOf(row)}</td>
            <td>
              {row.flags.map((flag) => (
                <Tag key={flag} kind="warn">
                  {flagWord(flag)}
                </Tag>
              ))}
            </td>
            <td class="number dim">{row.seq ?? ""}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Refused({ check }: { check: Check }) {
  if (check.dead_letters.length + check.refusals.length === 0) return <p class="empty">{t("vendor.nothingRefused")}</p>;
  return (
    <ul class="letters" data-testid="vendor-letters">
      {check.refusals.map((row, index) => (
        <li key={`r${index}`}>
          <time>{dayHm(row.receive_us)}</time> <Tag kind="bad">{t("vendor.byBroker")}</Tag> {word("refusal", row.reason)} × {row.count ?? 1}
          <p>{String(row.data["detail"] ?? "")}</p>
        </li>
      ))}
      {check.dead_letters.map((letter) => (
        <li key={letter.position}>
          <time>{dayHm(letter.receive_us)}</time> <Tag kind="warn">{t("vendor.byIngest")}</Tag> <b>{letter.reason}</b>
          <pre>{letterText(letter)}</pre>
        </li>
      ))}
    </ul>
  );
}

function Notes({ check }: { check: Check }) {
  if (check.notes.length === 0) return <p class="empty">{t("vendor.noNotes")}</p>;
  return (
    <ul class="letters" data-testid="vendor-notes">
      {check.notes.map((note, index) => (
        <li key={index}>
          <time>{dayHm(note.receive_us)}</time> {noteWords(note)}
        </li>
      ))}
    </ul>
  );
}

function Checklist({ office, path }: { office: Office; path: string }) {
  const loaded = useLoaded(() => office.api.get<Care>(`${path}/care`), [office, path], LIST_MS);
  const found = loaded.value?.acceptance;
  return (
    <>
      <Failure text={loaded.problem} />
      {found === undefined ? null : (
        <>
          <p>
            <Tag kind={found.accepted ? "good" : "warn"}>{found.accepted ? t("vendor.accepted") : t("vendor.notAccepted")}</Tag> <span class="dim">{t("vendor.acceptanceHelp")}</span>
          </p>
          <ul class="checklist" data-testid="vendor-checklist">
            {found.items.map((item) => (
              <li key={item.key} class={item.ok ? "ok" : "open"}>
                <i aria-label={item.ok ? t("vendor.done") : t("vendor.open")}>{item.ok ? "✓" : "○"}</i> {itemWord(item)} <span class="dim">{item.automatic ? t("vendor.automatic") : item.value}</span>
              </li>
            ))}
          </ul>
        </>
      )}
    </>
  );
}

function Door({ office, device, path }: { office: Office; device: DeviceRow; path: string }) {
  const loaded = useLoaded(() => office.api.get<Access>(`${path}/credentials`), [office, path], LIST_MS);
  const [asking, setAsking] = useState(false);
  const [secret, setSecret] = useState("");
  const stations = Object.entries(device.attributes.stations ?? {});
  return (
    <>
      <Failure text={loaded.problem} />
      <dl class="facts">
        <dt>{t("vendor.user")}</dt>
        <dd>
          <code>{device.device_id}</code>
        </dd>
        <dt>{t("vendor.passwordSince")}</dt>
        <dd>{loaded.value?.password_since_us == null ? t("vendor.noPassword") : dayHm(loaded.value.password_since_us)}</dd>
        {stations.map(([codec, entry]) => (
          <>
            <dt>{codec}</dt>
            <dd>
              <code>{entry.station}</code>
            </dd>
          </>
        ))}
      </dl>
      <p>
        <button type="button" class="button" onClick={() => setAsking(true)} data-testid="vendor-rotate">
          {t("vendor.rotate")}
        </button>
      </p>
      <h3>{t("vendor.try")}</h3>
      <pre data-testid="vendor-sample">{sample(location.hostname, "PORT", office.clockState.tenant, device)}</pre>
      {asking ? <Rotate office={office} path={path} onDone={setSecret} onClose={() => setAsking(false)} secret={secret} /> : null}
    </>
  );
}

function Rotate({ office, path, secret, onDone, onClose }: { office: Office; path: string; secret: string; onDone: (secret: string) => void; onClose: () => void }) {
  const [reason, setReason] = useState("");
  const [failure, setFailure] = useState("");
  const send = async (event: Event): Promise<void> => {
    event.preventDefault();
    try {
      onDone((await office.api.post<{ credential: string }>(`${path}/credentials`, { reason })).credential);
    } catch (error) {
      setFailure(explain(error));
    }
  };
  const close = (): void => {
    onDone("");
    onClose();
  };
  return (
    <Dialog
      title={t("vendor.rotate")}
      onClose={close}
      testid="rotate-dialog"
      foot={
        secret === "" ? (
          <button type="submit" form="rotate-form" class="button primary" disabled={reason.trim() === ""} data-testid="rotate-send">
            {t("vendor.rotateNow")}
          </button>
        ) : (
          <button type="button" class="button primary" onClick={close}>
            {t("vendor.kept")}
          </button>
        )
      }
    >
      {secret === "" ? (
        <form id="rotate-form" class="stack" onSubmit={(event) => void send(event)}>
          <p>{t("vendor.rotateHelp")}</p>
          <label>
            {t("vendor.reason")}
            <input type="text" value={reason} maxLength={200} onInput={(event) => setReason(event.currentTarget.value)} data-testid="rotate-reason" />
          </label>
          <Failure text={failure} />
        </form>
      ) : (
        <div class="stack">
          <p>{t("vendor.once")}</p>
          <pre data-testid="rotate-secret">{secret}</pre>
        </div>
      )}
    </Dialog>
  );
}

document.documentElement.lang = lang === "zh" ? "zh-CN" : "en";
const root = document.getElementById("app");
if (root !== null) {
  const show = (problem: string): void => render(<Opening problem={problem} />, root);
  show("");
  void openOffice((error) => show(explain(error))).then((office) => render(<Vendor office={office} />, root));
}
