/** What was written, and what is shown this once: credentials of new devices, passwords of new users. */

import { useEffect, useState } from "preact/hooks";
import { own, t } from "../../core/i18n";
import { copyText, csv, saveAs } from "../../office/save";
import { toast } from "../../office/toast";
import { go } from "../route";
import type { Committed } from "../types";
import { otherKind } from "./others";
import { tablesOf } from "./preview";
import type { ExtraTable } from "./preview";
import type { Run } from "./Wizard";

export function DoneStep({ shared, result }: { shared: Run; result: Committed }) {
  const { kind, run } = shared;
  const tables = tablesOf(result.extra ?? {});
  const [kept, setKept] = useState(tables.length === 0);
  useEffect(() => {
    const warn = (event: BeforeUnloadEvent): void => {
      if (!kept) event.preventDefault();
    };
    window.addEventListener("beforeunload", warn);
    return () => window.removeEventListener("beforeunload", warn);
  }, [kept]);
  return (
    <div class="wizard-body done-step">
      <section class="card done" data-testid="import-done" data-created={result.created} data-changed={result.changed} data-skipped={result.skipped}>
        <h2>✓ {t("reg.doneTitle", { x: run.filename })}</h2>
        <ul class="counts">
          <li class="good">
            <b>{result.created}</b> {t("reg.countNew")}
          </li>
          <li class="warn">
            <b>{result.changed}</b> {t("reg.countChanged")}
          </li>
          <li>
            <b>{result.same}</b> {t("reg.countSame")}
          </li>
          <li class={result.skipped > 0 ? "bad" : ""}>
            <b>{result.skipped}</b> {t("reg.countSkipped")}
          </li>
        </ul>
        <div class="actions">
          <button type="button" class="button" onClick={() => go({ view: "import", kind: kind.kind })}>
            {t("reg.importMore")}
          </button>
          {otherKind(kind.kind) === undefined ? (
            <button type="button" class="button primary" data-testid="to-list" onClick={() => go({ kind: kind.kind })}>
              {t("reg.toList", { x: own(kind.zh, kind.en) })}
            </button>
          ) : null}
        </div>
      </section>
      {tables.map((table) => (
        <Once key={table.name} table={table} onKept={() => setKept(true)} />
      ))}
    </div>
  );
}

function Once({ table, onKept }: { table: ExtraTable; onKept: () => void }) {
  const rows = [table.columns, ...table.rows];
  const copy = (): void => {
    void copyText(rows.map((row) => row.join("\t")).join("\n")).then((done) => {
      if (done) onKept();
      toast(done ? t("reg.copied") : t("reg.copyFailed"), done ? "good" : "bad");
    });
  };
  const download = (): void => {
    saveAs(new Blob([csv(rows)], { type: "text/csv" }), `${table.name}.csv`);
    onKept();
  };
  return (
    <section class="card once" data-testid={`extra-${table.name}`}>
      <h2>{t("reg.onceTitle")}</h2>
      <p class="once-warning">{t("reg.onceText")}</p>
      <div class="actions">
        <button type="button" class="button" onClick={copy}>
          {t("reg.copy")}
        </button>
        <button type="button" class="button primary" onClick={download} data-testid="extra-download">
          ⇩ {t("reg.downloadCsv")}
        </button>
      </div>
      <div class="once-table">
        <table class="compare">
          <thead>
            <tr>
              {table.columns.map((column) => (
                <th key={column}>{column}</th>
              ))}
            </tr>
          </thead>
          <tbody>
            {table.rows.slice(0, 200).map((row, index) => (
              <tr key={index}>
                {row.map((cell, place) => (
                  <td key={place}>
                    <code>{cell}</code>
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
        {table.rows.length > 200 ? <p class="hint">{t("reg.moreInFile", { n: table.rows.length - 200 })}</p> : null}
      </div>
    </section>
  );
}
