/** 登记册: who and what is where, and who answers for it. */

import { render } from "preact";
import { useEffect, useReducer, useState } from "preact/hooks";
import { explain, lang, t } from "../core/i18n";
import { Opening, Shell } from "../office/Shell";
import { openOffice } from "../office/session";
import type { Office } from "../office/session";
import { Registers } from "./data";
import { Editor } from "./Editor";
import { othersFor } from "./import/others";
import { Wizard } from "./import/Wizard";
import { Kinds } from "./Kinds";
import { List } from "./List";
import "./registers.css";
import { go, useRoute } from "./route";
import type { Route } from "./route";
import type { Entry, Kind } from "./types";
import { Unverified } from "./Unverified";

/** The register that this clerk looked at last. */
const LAST = "citybrain.register";

function App({ office, registers }: { office: Office; registers: Registers }) {
  const route = useRoute();
  const [names, again] = useReducer((count: number) => count + 1, 0);
  const first = registers.kind(localStorage.getItem(LAST) ?? "") ?? registers.kinds.find((kind) => kind.statement === true) ?? registers.kinds[0];
  useEffect(() => {
    let asked = false; // many names come at once: one drawing for all
    return registers.listen(() => {
      if (asked) return;
      asked = true;
      requestAnimationFrame(() => {
        asked = false;
        again(undefined as never);
      });
    });
  }, [registers]);
  useEffect(() => {
    if (registers.kind(route.kind) !== undefined) localStorage.setItem(LAST, route.kind);
    if (route.kind === "" && (route.view === "list" || route.view === "new") && first !== undefined) go({ kind: first.kind }, true);
  }, [route]);
  return (
    <Shell office={office} page="registers">
      <main class="registers">
        <Kinds kinds={registers.kinds} route={route} imports={registers.kinds.some((kind) => kind.may_write) || othersFor(office.user).length > 0} />
        <Body office={office} registers={registers} route={route} names={names} />
      </main>
    </Shell>
  );
}

function Body({ office, registers, route, names }: { office: Office; registers: Registers; route: Route; names: number }) {
  if (route.view === "unverified") return <Unverified office={office} registers={registers} names={names} />;
  if (route.view === "import") return <Wizard office={office} registers={registers} route={route} />;
  const kind = registers.kind(route.kind);
  if (kind === undefined) return <p class="detail-none">{route.kind === "" ? t("reg.loading") : t("reg.noSuchKind", { x: route.kind })}</p>;
  if (route.view === "new") return <Editor key={`new/${kind.kind}`} office={office} registers={registers} kind={kind} entry={null} onSaved={() => void registers.load()} />;
  if (route.view === "edit") return <Loaded key={`${kind.kind}/${route.id}`} office={office} registers={registers} kind={kind} id={route.id} />;
  return <List key={kind.kind} office={office} registers={registers} kind={kind} id={route.id} names={names} />;
}

/** The form needs the entry as it stands now, with its revision. */
function Loaded({ office, registers, kind, id }: { office: Office; registers: Registers; kind: Kind; id: string }) {
  const [entry, setEntry] = useState<Entry | null>(null);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    registers.one(kind.kind, id).then(setEntry, (error: unknown) => setProblem(explain(error)));
  }, [id]);
  if (problem !== "") return <p class="failure">{problem}</p>;
  if (entry === null) return <p class="detail-none">{t("reg.loading")}</p>;
  return <Editor office={office} registers={registers} kind={kind} entry={entry} onSaved={() => void registers.load()} />;
}

async function main(): Promise<void> {
  document.documentElement.lang = lang === "zh" ? "zh-CN" : "en";
  document.title = `${t("office.registers")} · ${t("app.name")}`;
  const root = document.getElementById("app");
  if (root === null) return;
  const wait = (error: unknown): void => render(<Opening problem={explain(error)} />, root);
  render(<Opening problem="" />, root);
  const office = await openOffice(wait);
  const registers = new Registers(office.api);
  await registers.load().catch(wait);
  render(<App office={office} registers={registers} />, root);
}

void main();
