/** Which sheet, which coordinate system; the points on the map before anything is written. */

import { useMemo } from "preact/hooks";
import { own, t } from "../../core/i18n";
import { Labelled } from "../../office/Labelled";
import type { Office } from "../../office/session";
import { MapPane } from "../MapPane";
import { AUTO, CRS_CHOICES, crsKey } from "./crs";
import { pointsOf } from "./preview";
import type { Run } from "./Wizard";

const crsWords = (code: string): string => {
  const key = crsKey(code);
  return key === undefined ? code : t(key);
};

export function SourceStep({ office, shared, onBack, onNext }: { office: Office; shared: Run; onBack: () => void; onNext: () => void }) {
  const { run, kind, busy, change } = shared;
  const points = useMemo(() => pointsOf(run), [run]);
  const warning = own(run.crs.warning_zh, run.crs.warning_en);
  const known = crsKey(run.crs.used) !== undefined;
  return (
    <div class="wizard-body source-step">
      <div class="stack source-side">
        {run.sheets.length > 1 ? (
          <Labelled label={t("reg.sheet")} id="sheet" help={t("reg.sheetHelp")}>
            <select id="sheet" value={run.sheet} disabled={busy} data-testid="sheet" onChange={(event) => change({ sheet: event.currentTarget.value })}>
              {run.sheets.map((sheet) => (
                <option key={sheet} value={sheet}>
                  {sheet}
                </option>
              ))}
            </select>
          </Labelled>
        ) : null}
        <p class="count">{t("reg.rowsRead", { n: run.counts.rows })}</p>
        {kind.located === "no" ? null : (
          <>
            <Labelled label={t("reg.crs")} id="crs">
              <select id="crs" value={run.crs.used} disabled={busy} data-testid="crs" onChange={(event) => change({ crs: event.currentTarget.value })}>
                {known ? null : <option value={run.crs.used}>{run.crs.used}</option>}
                {CRS_CHOICES.filter((choice) => choice.value !== AUTO).map((choice) => (
                  <option key={choice.value} value={choice.value}>
                    {t(choice.key)}
                  </option>
                ))}
              </select>
            </Labelled>
            {run.crs.declared === "" && points.length > 0 ? (
              <p class="crs-judged" data-testid="crs-judged">
                {t("reg.crsJudged", { x: crsWords(run.crs.used) })}
              </p>
            ) : warning === "" ? (
              <p class="crs-fine" data-testid="crs-fine">
                ✓ {points.length > 0 ? t("reg.crsFine") : t("reg.crsNoPoints")}
              </p>
            ) : (
              <div class="crs-warning" role="alert" data-testid="crs-warning" data-detected={run.crs.detected} data-offset={run.crs.offset_m ?? ""}>
                <h2>{t("reg.crsWarning")}</h2>
                <p>{warning}</p>
                <ul class="legend">
                  <li class="declared">{t("reg.asDeclared", { x: crsWords(run.crs.used) })}</li>
                  {points.some((point) => point.suspect !== null) ? <li class="suspect">{t("reg.asSuspected", { x: crsWords(run.crs.detected) })}</li> : null}
                </ul>
                {run.crs.detected !== run.crs.used ? (
                  <button type="button" class="button primary" disabled={busy} data-testid="crs-apply" onClick={() => change({ crs: run.crs.detected })}>
                    {t("reg.crsApply", { x: crsWords(run.crs.detected) })}
                  </button>
                ) : null}
                <p class="hint">{t("reg.crsKeep")}</p>
              </div>
            )}
          </>
        )}
        <div class="wizard-foot">
          <button type="button" class="button" onClick={onBack}>
            {t("reg.back")}
          </button>
          <button type="button" class="button primary" disabled={busy} onClick={onNext} data-testid="next">
            {busy ? t("office.busy") : t("reg.next")}
          </button>
        </div>
      </div>
      {kind.located === "no" ? null : <MapPane office={office} preview={points} />}
    </div>
  );
}
