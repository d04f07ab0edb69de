import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { explain, lang, t } from "../core/i18n";
import type { Key } from "../core/i18n";
import { Opening, Shell } from "../office/Shell";
import { Tabs } from "../office/Tabs";
import { openOffice } from "../office/session";
import type { Office } from "../office/session";
import { CityTime } from "./CityTime";
import { Handovers } from "./Handovers";
import { Log } from "./Log";
import { Orders } from "./Orders";
import { Roster } from "./Roster";
import { Today } from "./Today";
import { useLoaded } from "./data";
import { listOf } from "./people";
import { waitsFor } from "./orders";
import type { Order } from "./orders";
import "./duty.css";

const TABS: [string, Key][] = [
  ["today", "duty.today"],
  ["roster", "duty.roster"],
  ["handovers", "duty.handovers"],
  ["log", "duty.log"],
  ["instructions", "duty.instructions"],
];

const tabOf = (hash: string): string => TABS.find(([name]) => hash.startsWith(`#/${name}`))?.[0] ?? "today";

function Duty({ office }: { office: Office }) {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const follow = (): void => setHash(location.hash);
    window.addEventListener("hashchange", follow);
    return () => window.removeEventListener("hashchange", follow);
  }, []);
  const tab = tabOf(hash);
  const orders = useLoaded(() => listOf<Order>(office.api, "/api/v1/instructions"), [office]);
  const waiting = (orders.value ?? []).filter((order) => waitsFor(order, office.user)).length;
  const tabs = TABS.map(([key, title]) => ({ key, title: t(title), ...(key === "instructions" && waiting > 0 ? { count: waiting } : {}) }));
  return (
    <Shell office={office} page="duty" aside={<CityTime clock={office.clock} />}>
      <main class="duty">
        <Tabs tabs={tabs} value={tab} onChange={(key) => (location.hash = `#/${key}`)} label={t("office.duty")} />
        {tab === "today" ? <Today office={office} orders={orders.value ?? []} /> : null}
        {tab === "roster" ? <Roster office={office} /> : null}
        {tab === "handovers" ? <Handovers office={office} /> : null}
        {tab === "log" ? <Log office={office} /> : null}
        {tab === "instructions" ? <Orders office={office} orders={orders} asked={hash.split("/")[2] ?? ""} /> : null}
      </main>
    </Shell>
  );
}

document.documentElement.lang = lang === "zh" ? "zh-CN" : "en";
const root = document.getElementById("app");
if (root !== null) {
  const show = (problem: string): void => render(<Opening problem={problem} />, root);
  show("");
  void openOffice((error) => show(explain(error))).then((office) => render(<Duty office={office} />, root));
}
