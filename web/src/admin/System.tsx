/** Whether the system is well, as its own readiness says it. */

import { t } from "../core/i18n";
import { useLoaded } from "../duty/data";
import { Tag } from "../office/Badge";
import { Failure } from "../office/Dialog";
import type { Office } from "../office/session";
import { shown } from "./diff";

/** 503 is an answer here, not a failure: it carries what is not well. */
async function readiness(): Promise<Record<string, unknown>> {
  const response = await fetch("/readyz", { credentials: "same-origin" });
  return (await response.json()) as Record<string, unknown>;
}

export function System({ office }: { office: Office }) {
  const found = useLoaded(readiness, [office]);
  const ready = found.value?.["ready"] === true;
  const { clockState } = office;
  const parts = Object.entries(found.value ?? {}).filter(([key]) => key !== "ready");
  return (
    <div class="account">
      <section class="card pane" aria-label={t("admin.system")} data-testid="system" data-ready={ready}>
        <header class="pane-head">
          <h2>{t("admin.system")}</h2>
          {found.value === null ? null : <Tag kind={ready ? "good" : "bad"}>{t(ready ? "admin.ready" : "admin.notReady")}</Tag>}
        </header>
        <p class="dim">{t("admin.readyHint")}</p>
        <Failure text={found.problem} />
        <table class="lines-table">
          <tbody>
            {parts.map(([key, value]) => (
              <tr key={key}>
                <th scope="row">{key}</th>
                <td>{value === true ? <Tag kind="good">{t("admin.yes")}</Tag> : value === false ? <Tag kind="bad">{t("admin.no")}</Tag> : shown(value) || "—"}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
      <section class="card pane" aria-label={t("admin.tenant")}>
        <h2>{t("admin.tenant")}</h2>
        <dl class="facts">
          <dt>{t("admin.tenant")}</dt>
          <dd>{clockState.tenant}</dd>
          <dt>{t("admin.clock")}</dt>
          <dd>
            {clockState.kind} · {t("clock.rate", { r: clockState.rate })}
          </dd>
          <dt>{t("admin.run")}</dt>
          <dd>{clockState.run_id}</dd>
        </dl>
        <p class="dim">{t("admin.backupHint")}</p>
      </section>
    </div>
  );
}
