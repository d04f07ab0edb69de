/** The import wizard: file, sheet and coordinates, columns, check, done. Everything before the last step writes nothing. */

import { useEffect, useState } from "preact/hooks";
import { explain, own, t } from "../../core/i18n";
import type { Key } from "../../core/i18n";
import { refusalOf } from "../../office/problems";
import type { Office } from "../../office/session";
import { toast } from "../../office/toast";
import type { Registers } from "../data";
import { go } from "../route";
import type { Route } from "../route";
import type { Committed, DryRun, Kind } from "../types";
import { CheckStep } from "./CheckStep";
import { ColumnsStep } from "./ColumnsStep";
import { DoneStep } from "./DoneStep";
import { FileStep } from "./FileStep";
import { otherKind, withMatched } from "./others";
import { SourceStep } from "./SourceStep";

const STEPS = ["file", "source", "columns", "check", "done"] as const;
type Step = (typeof STEPS)[number];
const TITLES: Record<Step, Key> = { file: "reg.stepFile", source: "reg.stepSource", columns: "reg.stepColumns", check: "reg.stepCheck", done: "reg.stepDone" };

/** What the steps share: the dry run as it stands, and one way to change it. */
export interface Run {
  run: DryRun;
  kind: Kind;
  busy: boolean;
  change: (change: { columns?: Record<string, string | null>; crs?: string; sheet?: string }) => void;
}

/** A file without positions and with one sheet has nothing to ask about its source. */
export const asksSource = (run: DryRun, kind: Kind): boolean => kind.located !== "no" || run.sheets.length > 1;

export function Wizard({ office, registers, route }: { office: Office; registers: Registers; route: Route }) {
  const [run, setRun] = useState<DryRun | null>(null);
  const [result, setResult] = useState<Committed | null>(null);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");

  useEffect(() => {
    if (route.id === "" || run?.import_id === route.id) return;
    setProblem("");
    // A reload: the server still has the file and what was chosen.
    registers.dryRun(route.id).then(setRun, (error: unknown) => setProblem(explain(error)));
  }, [route.id]);

  const named = run?.kind ?? route.kind;
  const described = registers.kind(named) ?? otherKind(named);
  const kind = described === undefined || run === null ? described : withMatched(described, run);
  const step: Step = route.id === "" ? "file" : result !== null ? "done" : (STEPS.find((known) => known === route.step && known !== "done") ?? "source");
  const to = (next: Step): void => go({ view: "import", kind: run?.kind ?? route.kind, id: route.id, step: next });
  const change: Run["change"] = (wanted) => {
    if (run === null) return;
    setBusy(true);
    registers
      .rework(run.import_id, wanted)
      .then(setRun, (error: unknown) => toast([refusalOf(error).summary, ...refusalOf(error).other].join(" "), "bad"))
      .finally(() => setBusy(false));
  };
  const started = (fresh: DryRun, of: Kind): void => {
    setRun(fresh);
    setResult(null);
    go({ view: "import", kind: fresh.kind, id: fresh.import_id, step: asksSource(fresh, of) ? "source" : "columns" });
  };
  const shared: Run | null = run === null || kind === undefined || route.id === "" ? null : { run, kind, busy, change };
  return (
    <section class="wizard" aria-label={t("reg.import")} data-testid="wizard" data-step={step} data-import={route.id}>
      <header class="wizard-head">
        <h1>
          {t("reg.import")}
          {kind === undefined ? "" : ` · ${own(kind.zh, kind.en)}`}
        </h1>
        {shared === null ? null : <small>{shared.run.filename}</small>}
        <ol class="steps">
          {STEPS.map((name, index) => (
            <li key={name} class={name === step ? "now" : index < STEPS.indexOf(step) ? "past" : ""} aria-current={name === step ? "step" : undefined}>
              <b>{index + 1}</b>
              {t(TITLES[name])}
            </li>
          ))}
        </ol>
      </header>
      {problem === "" ? null : (
        <div class="wizard-lost">
          <p class="failure" role="alert">
            {problem}
          </p>
          <button type="button" class="button" onClick={() => go({ view: "import", kind: route.kind })}>
            {t("reg.importAnew")}
          </button>
        </div>
      )}
      {step === "file" ? <FileStep office={office} registers={registers} kind={route.kind} onStarted={started} /> : null}
      {shared === null ? null : step === "source" ? (
        <SourceStep office={office} shared={shared} onBack={() => go({ view: "import", kind: shared.run.kind })} onNext={() => to("columns")} />
      ) : step === "columns" ? (
        <ColumnsStep shared={shared} onBack={() => (asksSource(shared.run, shared.kind) ? to("source") : go({ view: "import", kind: shared.run.kind }))} onNext={() => to("check")} />
      ) : step === "check" ? (
        <CheckStep
          office={office}
          registers={registers}
          shared={shared}
          onBack={() => to("columns")}
          onDone={(committed) => {
            setResult(committed);
            void registers.load();
          }}
        />
      ) : result === null ? null : (
        <DoneStep shared={shared} result={result} />
      )}
      {shared === null && route.id !== "" && problem === "" ? <p class="detail-none">{t("reg.loading")}</p> : null}
    </section>
  );
}
