/** 事件: the desk's list of reports. What is urgent first; what is probably the same is shown, and joined by a press. */

import { useState } from "preact/hooks";
import { explain, lang, t, word } from "../core/i18n";
import { dayHm } from "../core/time";
import { useLoaded } from "../duty/data";
import { Tag } from "../office/Badge";
import { Failure } from "../office/Dialog";
import { inOrder, lateOf } from "./data";
import type { EventKind, Receipt, Report } from "./data";
import type { Street } from "./main";

const handles = (street: Street): boolean => street.user.roles.some((role) => role === "operator" || role === "leader");
const answers = (street: Street): boolean => handles(street) || street.user.roles.includes("liaison");

export function Desk({ street, kinds, sent }: { street: Street; kinds: EventKind[]; sent: number }) {
  const [chosen, setChosen] = useState("");
  const reports = useLoaded(() => street.api.get<{ items: Report[] }>("/api/v1/grid/reports?limit=300"), [street, sent]);
  const items = inOrder(reports.value?.items ?? []);
  const report = items.find((one) => one.report_id === chosen);
  return (
    <div class={report === undefined ? "desk" : "desk with-card"}>
      <ul class="cards" data-testid="grid-desk">
        {reports.value !== null && items.length === 0 ? <li class="dim">{t("grid.noReports")}</li> : null}
        {reports.problem === "" ? null : <li class="failure">{reports.problem}</li>}
        {items.map((one) => {
          const late = lateOf(one, kinds, street.clock.nowUs());
          return (
            <li key={one.report_id} class={one.state === "OPEN" && one.urgent ? "urgent" : ""} aria-current={one.report_id === chosen}>
              <button type="button" class="visit-head" onClick={() => setChosen(one.report_id)} data-testid={`report-${one.report_id}`}>
                <b>{one.kind_zh}</b> <Tag kind={one.state === "OPEN" ? "warn" : "good"}>{lang === "zh" ? one.state_zh : one.state}</Tag> {one.witnesses > 0 ? <Tag>{t("grid.witnesses", { n: one.witnesses })}</Tag> : null} {late.length > 0 ? <Tag kind="bad">{t("grid.late", { who: late.join("、") })}</Tag> : null}
                <small>
                  {one.text} · {one.report_id} · {dayHm(one.reported_us)}
                </small>
              </button>
            </li>
          );
        })}
      </ul>
      {report === undefined ? null : <Sheet key={report.report_id} street={street} report={report} onChanged={() => void reports.reload()} onClose={() => setChosen("")} />}
    </div>
  );
}

function Sheet({ street, report, onChanged, onClose }: { street: Street; report: Report; onChanged: () => void; onClose: () => void }) {
  const [comment, setComment] = useState("");
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const path = `/api/v1/grid/reports/${encodeURIComponent(report.report_id)}`;
  const similar = useLoaded(() => (report.state === "OPEN" ? street.api.get<{ items: Report[] }>(`${path}/similar`) : Promise.resolve({ items: [] })), [street, report.report_id, report.rev]);
  const step = async (verb: string, body: Record<string, string>): Promise<void> => {
    setBusy(true);
    setProblem("");
    try {
      await street.api.post(`${path}/${verb}`, body);
      setComment("");
    } catch (error) {
      setProblem(explain(error));
    }
    setBusy(false);
    onChanged();
  };
  const open = report.state === "OPEN";
  return (
    <aside class="sheet" aria-label={report.report_id} data-testid="grid-sheet">
      <header>
        <h2>
          {report.kind_zh} <small>{report.report_id}</small>
        </h2>
        <button type="button" class="icon" aria-label={t("office.close")} onClick={onClose}>
          ×
        </button>
      </header>
      <p>{report.text}</p>
      <p class="dim">
        {report.address} {report.lon.toFixed(5)}, {report.lat.toFixed(5)} · {report.reported_by} · {dayHm(report.reported_us)}
      </p>
      {report.closed_comment === "" ? null : <p class="result">{report.closed_comment}</p>}
      {report.joined_to === "" ? null : (
        <p>
          {t("grid.joinedTo", { id: report.joined_to })}{" "}
          {handles(street) ? (
            <button type="button" class="button small" disabled={busy} onClick={() => void step("unjoin", {})} data-testid="grid-unjoin">
              {t("grid.unjoin")}
            </button>
          ) : null}
        </p>
      )}
      {(similar.value?.items ?? []).length === 0 ? null : (
        <section class="similar" data-testid="grid-similar">
          <h3>{t("grid.similar")}</h3>
          {(similar.value?.items ?? []).map((other) => (
            <p key={other.report_id}>
              {other.report_id} {other.text} · {dayHm(other.reported_us)}{" "}
              {handles(street) && report.witnesses === 0 ? (
                <button type="button" class="button small" disabled={busy} onClick={() => void step("join", { into: other.report_id })} data-testid="grid-join">
                  {t("grid.join")}
                </button>
              ) : null}
            </p>
          ))}
        </section>
      )}
      <h3>{t("grid.receipts")}</h3>
      {report.receipts.length === 0 ? <p class="dim">{t("grid.noRoute")}</p> : null}
      <ul class="receipts">
        {report.receipts.map((receipt: Receipt) => (
          <li key={receipt.organisation_id}>
            <b>{receipt.organisation}</b> <span class="dim">{word("authority", receipt.authority)}</span> <Tag kind={receipt.state === "DONE" ? "good" : receipt.state === "SIGNED" ? "warn" : "bad"}>{lang === "zh" ? receipt.state_zh : receipt.state}</Tag>
            {open && answers(street) && receipt.state === "SENT" ? (
              <button type="button" class="button small" disabled={busy} onClick={() => void step("sign", { organisation: receipt.organisation_id })} data-testid="grid-sign">
                {t("grid.sign")}
              </button>
            ) : null}
            {open && answers(street) && receipt.state === "SIGNED" ? (
              <button type="button" class="button small" disabled={busy || comment.trim() === ""} onClick={() => void step("result", { organisation: receipt.organisation_id, comment })} data-testid="grid-result">
                {t("grid.result")}
              </button>
            ) : null}
            {receipt.result === "" ? null : <p class="result">{receipt.result}</p>}
          </li>
        ))}
      </ul>
      {report.state === "JOINED" || !answers(street) ? null : (
        <label>
          {t("grid.comment")}
          <textarea rows={2} maxLength={2000} value={comment} onInput={(event) => setComment(event.currentTarget.value)} data-testid="grid-comment" />
        </label>
      )}
      <Failure text={problem || similar.problem} />
      {handles(street) && report.state !== "JOINED" ? (
        <button type="button" class="button" disabled={busy || comment.trim() === ""} onClick={() => void step(open ? "close" : "reopen", { comment })} data-testid="grid-close">
          {t(open ? "grid.close" : "grid.reopen")}
        </button>
      ) : null}
    </aside>
  );
}
