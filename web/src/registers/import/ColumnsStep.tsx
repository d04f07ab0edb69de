/** Which column of the file is which field. The server proposes; what it left open is offered, and nothing is guessed in silence. */

import { lang, own, t } from "../../core/i18n";
import { Tag } from "../../office/Badge";
import { guess, judge, targetsOf } from "../matching";
import { shownValue } from "../values";
import type { Run } from "./Wizard";

export function ColumnsStep({ shared, onBack, onNext }: { shared: Run; onBack: () => void; onNext: () => void }) {
  const { run, kind, busy, change } = shared;
  const targets = targetsOf(kind);
  const found = judge(run.columns, targets);
  const taken = new Set(run.columns.map((column) => column.field ?? "").filter((field) => field !== ""));
  const sample = (field: string | null): string => {
    if (field === "entry_id") return run.changes[0]?.entry_id ?? "";
    const position = run.changes.find((item) => item.lon != null && item.lat != null);
    if (field === "lon" || field === "lat") return position?.[field]?.toFixed(6) ?? "";
    const known = kind.fields.find((candidate) => candidate.key === field);
    const value = run.changes.map((item) => item.fields.find((entry) => entry.key === field)?.after).find((after) => after !== undefined && after !== null);
    return known === undefined ? "" : shownValue(known, value, lang, (_, id) => id);
  };
  return (
    <div class="wizard-body columns-step">
      <div class="columns-notes" aria-live="polite">
        {found.missing.length > 0 ? (
          <p class="failure" data-testid="missing-columns">
            {t("reg.missingColumns")} <b>{found.missing.map((target) => own(target.zh, target.en)).join(lang === "zh" ? "、" : ", ")}</b>
          </p>
        ) : (
          <p class="crs-fine">✓ {t("reg.columnsFine")}</p>
        )}
        {found.unused.length > 0 ? (
          <p class="hint">
            {t("reg.unusedColumns", { n: found.unused.length })} {found.unused.join(lang === "zh" ? "、" : ", ")}
          </p>
        ) : null}
      </div>
      <div class="columns-table card">
        <table class="compare">
          <thead>
            <tr>
              <th>{t("reg.columnOfFile")}</th>
              <th />
              <th>{t("reg.fieldOfRegister")}</th>
              <th>{t("reg.exampleRead")}</th>
            </tr>
          </thead>
          <tbody>
            {run.columns.map((column) => {
              const field = column.field ?? "";
              const proposal = field === "" ? guess(column.source, targets, taken) : "";
              const proposed = targets.find((target) => target.key === proposal);
              return (
                <tr key={column.source} class={field === "" ? "unused" : ""}>
                  <th scope="row">{column.source}</th>
                  <td class="arrow">{field === "" ? "" : "→"}</td>
                  <td>
                    <select value={field} disabled={busy} aria-label={column.source} data-testid={`column-${column.source}`} onChange={(event) => change({ columns: { [column.source]: event.currentTarget.value === "" ? null : event.currentTarget.value } })}>
                      <option value="">{t("reg.leaveOut")}</option>
                      {targets.map((target) => (
                        <option key={target.key} value={target.key}>
                          {own(target.zh, target.en)}
                          {target.required ? " *" : ""}
                          {taken.has(target.key) && target.key !== field ? ` (${t("reg.alreadyUsed")})` : ""}
                        </option>
                      ))}
                    </select>
                  </td>
                  <td>
                    {proposed === undefined ? (
                      <span class="sample">{sample(column.field)}</span>
                    ) : (
                      <button type="button" class="link" disabled={busy} onClick={() => change({ columns: { [column.source]: proposed.key } })}>
                        {t("reg.perhaps", { x: own(proposed.zh, proposed.en) })}
                      </button>
                    )}
                    {column.how === "fuzzy" ? <Tag kind="warn">{t("reg.guessed")}</Tag> : null}
                    {found.twice.has(field) ? <Tag kind="bad">{t("reg.twice")}</Tag> : null}
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
      <div class="wizard-foot">
        <button type="button" class="button" onClick={onBack}>
          {t("reg.back")}
        </button>
        <button type="button" class="button primary" disabled={busy} onClick={onNext} data-testid="next">
          {busy ? t("office.busy") : t("reg.next")}
        </button>
      </div>
    </div>
  );
}
