/** What takes two persons: one proposes, another decides here, with what would change before his eyes. */

import { useState } from "preact/hooks";
import { useTick } from "../core/hooks";
import { lang, own, t, word } from "../core/i18n";
import { dayHm, span } from "../core/time";
import { useLoaded } from "../duty/data";
import { Tag } from "../office/Badge";
import { Failure, ReasonDialog } from "../office/Dialog";
import type { Office } from "../office/session";
import { toast } from "../office/toast";
import { Diff } from "./Diff";
import { ThresholdDialog } from "./ThresholdDialog";
import { isPending, mayDecide, queued, unconfirmed } from "./approvals";
import type { Approval } from "./approvals";
import { decidesApprovals, proposesThresholds } from "./rights";
import { explained, machineTime } from "./words";

export function Approvals({ office, asked, onDecided }: { office: Office; asked: string; onDecided: () => void }) {
  useTick(5_000);
  const list = useLoaded(() => office.api.get<{ items: Approval[] }>("/api/v1/approvals?limit=200"), [office]);
  const [proposing, setProposing] = useState(false);
  const now = office.clock.nowUs();
  const items = queued(list.value?.items ?? []);
  const chosen = decodeURIComponent(asked);
  const current = chosen === "" ? items[0] : items.find((one) => one.approval_id === chosen);
  const choose = (id: string): void => {
    location.hash = `#/approvals/${encodeURIComponent(id)}`;
  };
  const changed = (words: string): void => {
    toast(words);
    void list.reload();
    onDecided();
  };
  return (
    <div class="split">
      <section class="list" aria-label={t("admin.approvals")}>
        <header>
          {proposesThresholds(office.user) ? (
            <button type="button" class="button primary" data-testid="propose" onClick={() => setProposing(true)}>
              {t("admin.propose")}
            </button>
          ) : (
            <p class="dim">{t("admin.approvalsHint")}</p>
          )}
        </header>
        <Failure text={list.problem} />
        {list.value !== null && items.length === 0 ? <p class="empty">{t("admin.approvalsNone")}</p> : null}
        <ul>
          {items.map((one) => (
            <li key={one.approval_id}>
              <button
                type="button"
                class={unconfirmed(one) ? "late" : isPending(one) ? "" : "settled"}
                aria-current={one === current}
                data-testid={`approval-${one.approval_id}`}
                data-state={one.state}
                data-emergency={one.emergency}
                onClick={() => choose(one.approval_id)}
              >
                <span class="row-head">
                  <StateTag one={one} />
                  <small class="number">{one.approval_id}</small>
                </span>
                <span class="order-text">{own(one.title_zh, one.title_en)}</span>
                <small class={unconfirmed(one) ? "bad" : ""}>
                  {word("approvalKind", one.kind)} · {one.proposed_by} · {dayHm(one.proposed_us)}
                  {unconfirmed(one) && one.until_us !== null ? ` · ${t("admin.goesBack", { d: span(one.until_us - now, lang) })}` : ""}
                </small>
              </button>
            </li>
          ))}
        </ul>
      </section>
      {current === undefined ? <section class="detail" /> : <ApprovalSheet key={`${current.approval_id}/${current.rev}`} office={office} one={current} now={now} onChanged={(words) => {
        choose(current.approval_id);
        changed(words);
      }} />}
      {proposing ? (
        <ThresholdDialog
          office={office}
          onDone={(made) => {
            setProposing(false);
            choose(made.approval_id);
            changed(t(made.emergency ? "admin.appliedNow" : "admin.proposed", { n: made.approval_id }));
          }}
          onClose={() => setProposing(false)}
        />
      ) : null}
    </div>
  );
}

function StateTag({ one }: { one: Approval }) {
  if (unconfirmed(one)) return <Tag kind="bad">{t("admin.unconfirmed")}</Tag>;
  return <Tag kind={one.state === "PENDING" ? "warn" : one.state === "EXECUTED" ? "good" : "plain"}>{word("approvalState", one.state)}</Tag>;
}

function ApprovalSheet({ office, one, now, onChanged }: { office: Office; one: Approval; now: number; onChanged: (words: string) => void }) {
  const [comment, setComment] = useState("");
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const [withdrawing, setWithdrawing] = useState(false);
  const me = office.user.username;
  const path = `/api/v1/approvals/${encodeURIComponent(one.approval_id)}`;
  const decide = async (approve: boolean): Promise<void> => {
    if (!approve && comment.trim() === "") return setProblem(t("admin.rejectReason"));
    setBusy(true);
    setProblem("");
    try {
      await office.api.post(`${path}/decide`, { approve, comment: comment.trim() });
      onChanged(t(approve ? "admin.approved" : "admin.rejected"));
    } catch (error) {
      setProblem(explained(error));
    }
    setBusy(false);
  };
  return (
    <section class="detail sheet" data-testid="approval-sheet" data-approval={one.approval_id} data-state={one.state}>
      {unconfirmed(one) ? (
        <p class="late-band" role="alert" data-testid="emergency">
          {t("admin.emergencyBand", { t: one.until_us === null ? "—" : dayHm(one.until_us), d: one.until_us === null ? "—" : span(one.until_us - now, lang) })}
        </p>
      ) : null}
      <header class="sheet-head">
        <div>
          <h2>
            {own(one.title_zh, one.title_en)} <StateTag one={one} />
          </h2>
          <p class="dim">
            {one.approval_id} · {word("approvalKind", one.kind)} · {one.subject}
            {one.area === "" ? "" : ` · ${office.areas.path(one.area)}`}
          </p>
        </div>
      </header>
      <dl class="facts">
        <dt>{t("admin.proposedBy")}</dt>
        <dd>
          {one.proposed_by} · {dayHm(one.proposed_us)}
          {one.asked === "" ? null : <span class="dim"> · {t("admin.asked", { name: one.asked })}</span>}
        </dd>
        <dt>{t("admin.source")}</dt>
        <dd>{one.source || "—"}</dd>
        <dt>{t("office.reason")}</dt>
        <dd>{one.reason || "—"}</dd>
        {isPending(one) && !one.emergency ? (
          <>
            <dt>{t("admin.expires")}</dt>
            <dd>{machineTime(one.expires_us)}</dd>
          </>
        ) : null}
        {one.decided_by === "" ? null : (
          <>
            <dt>{t("admin.decidedBy")}</dt>
            <dd>
              {one.decided_by} · {one.decided_us === null ? "" : dayHm(one.decided_us)}
              {one.comment === "" ? "" : ` · ${one.comment}`}
            </dd>
          </>
        )}
      </dl>
      <h3>{t("admin.changes")}</h3>
      <Diff before={one.before} after={one.payload} past={!isPending(one) || one.emergency} />
      {mayDecide(one, me, decidesApprovals(office.user)) ? (
        <div class="decide">
          <label class="field">
            <span class="field-label">{t("admin.comment")}</span>
            <textarea rows={2} value={comment} onInput={(event) => setComment(event.currentTarget.value)} data-testid="decide-comment" />
          </label>
          <Failure text={problem} />
          <div class="actions">
            <button type="button" class="button big danger-quiet" disabled={busy} onClick={() => void decide(false)} data-testid="reject">
              {t(one.emergency ? "admin.takeBack" : "admin.reject")}
            </button>
            <button type="button" class="button big primary" disabled={busy} onClick={() => void decide(true)} data-testid="approve">
              {t(one.emergency ? "admin.confirmEmergency" : "admin.approve")}
            </button>
          </div>
        </div>
      ) : isPending(one) && one.proposed_by === me ? (
        <div class="decide">
          <p class="warning">{t("admin.ownProposal")}</p>
          <div class="actions">
            <button type="button" class="button danger-quiet" onClick={() => setWithdrawing(true)} data-testid="withdraw">
              {t("admin.withdraw")}
            </button>
          </div>
        </div>
      ) : isPending(one) ? (
        <p class="dim pad">{t("admin.notYours")}</p>
      ) : null}
      {withdrawing ? (
        <ReasonDialog
          title={t("admin.withdraw")}
          text={own(one.title_zh, one.title_en)}
          action={t("admin.withdraw")}
          required={false}
          run={async (words) => {
            await office.api.post(`${path}/withdraw`, { comment: words });
            onChanged(t("admin.withdrawn"));
          }}
          onClose={() => setWithdrawing(false)}
        />
      ) : null}
    </section>
  );
}
