import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { explain, lang, t } from "../core/i18n";
import type { Key } from "../core/i18n";
import type { User } from "../core/types";
import { CityTime } from "../duty/CityTime";
import { useLoaded } from "../duty/data";
import { Opening, Shell } from "../office/Shell";
import { Tabs } from "../office/Tabs";
import { openOffice } from "../office/session";
import type { Office } from "../office/session";
import { Account } from "./Account";
import { Approvals } from "./Approvals";
import { Audit } from "./Audit";
import { Keys } from "./Keys";
import { System } from "./System";
import { Users } from "./Users";
import { isPending } from "./approvals";
import type { Approval } from "./approvals";
import { seesApprovals, seesJournal, seesUsers } from "./rights";
import "../duty/duty.css";
import "./admin.css";

const TABS: [string, Key, (user: User) => boolean][] = [
  ["approvals", "admin.approvals", seesApprovals],
  ["users", "admin.users", seesUsers],
  ["keys", "admin.keys", seesUsers],
  ["audit", "admin.audit", seesJournal],
  ["system", "admin.system", () => true],
  ["account", "admin.account", () => true],
];

function Admin({ office }: { office: Office }) {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const follow = (): void => setHash(location.hash);
    window.addEventListener("hashchange", follow);
    return () => window.removeEventListener("hashchange", follow);
  }, []);
  const open = TABS.filter(([, , sees]) => sees(office.user));
  const tab = (open.find(([name]) => hash.startsWith(`#/${name}`)) ?? open[0])?.[0] ?? "account";
  const waiting = useLoaded(
    () => (seesApprovals(office.user) ? office.api.get<{ items: Approval[] }>("/api/v1/approvals?state=PENDING&limit=500") : Promise.resolve({ items: [] })),
    [office],
  );
  const count = (waiting.value?.items ?? []).filter((one) => isPending(one)).length;
  const tabs = open.map(([key, title]) => ({ key, title: t(title), ...(key === "approvals" && count > 0 ? { count } : {}) }));
  return (
    <Shell office={office} page="admin" aside={<CityTime clock={office.clock} />}>
      <main class="duty admin">
        <Tabs tabs={tabs} value={tab} onChange={(key) => (location.hash = `#/${key}`)} label={t("office.admin")} />
        {tab === "approvals" ? <Approvals office={office} asked={hash.split("/")[2] ?? ""} onDecided={() => void waiting.reload()} /> : null}
        {tab === "users" ? <Users office={office} /> : null}
        {tab === "keys" ? <Keys office={office} /> : null}
        {tab === "audit" ? <Audit office={office} /> : null}
        {tab === "system" ? <System office={office} /> : null}
        {tab === "account" ? <Account office={office} /> : null}
      </main>
    </Shell>
  );
}

document.documentElement.lang = lang === "zh" ? "zh-CN" : "en";
const root = document.getElementById("app");
if (root !== null) {
  const show = (problem: string): void => render(<Opening problem={problem} />, root);
  show("");
  void openOffice((error) => show(explain(error))).then((office) => render(<Admin office={office} />, root));
}
