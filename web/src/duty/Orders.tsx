/** 批示: issue, sign for, report, check, close. One big button for the next step of the one who reads. */

import { useState } from "preact/hooks";
import { useTick } from "../core/hooks";
import { explain, lang, own, t, word } from "../core/i18n";
import { dayHm, span } from "../core/time";
import { Tag } from "../office/Badge";
import { Failure, ReasonDialog } from "../office/Dialog";
import type { Office } from "../office/session";
import { toast } from "../office/toast";
import { OrderDialog } from "./OrderDialog";
import type { Loaded } from "./data";
import { useLoaded } from "./data";
import { STAGES, addressed, arranged, lateOne, needsText, overdueBy, stageOf, stepsOf, waitsFor } from "./orders";
import type { Addressee, Me, Order, Step } from "./orders";
import { nameOf, usePeople } from "./people";

const STEP_WORDS = { receive: "duty.receive", report: "duty.report", check: "duty.check", return: "duty.return", close: "duty.close", recall: "duty.recall" } as const;
const STEP_TEXTS = { report: "duty.reportText", return: "duty.returnText", recall: "duty.recallText" } as const;

export function Orders({ office, orders, asked }: { office: Office; orders: Loaded<Order[]>; asked: string }) {
  useTick(5_000);
  const [issuing, setIssuing] = useState(false);
  const people = usePeople(office);
  const now = office.clock.nowUs();
  const list = arranged(orders.value ?? [], office.user, now);
  const chosen = decodeURIComponent(asked);
  const brief = chosen === "" ? list[0] : list.find((one) => one.instruction_id === chosen);
  const choose = (id: string): void => {
    location.hash = `#/instructions/${encodeURIComponent(id)}`;
  };
  return (
    <div class="split">
      <section class="list" aria-label={t("duty.instructions")}>
        <header>
          {office.user.roles.includes("leader") ? (
            <button type="button" class="button primary" data-testid="issue-instruction" onClick={() => setIssuing(true)}>
              {t("duty.issue")}
            </button>
          ) : (
            <p class="dim">{t("duty.issueLeaders")}</p>
          )}
        </header>
        <Failure text={orders.problem} />
        {orders.value !== null && list.length === 0 ? <p class="empty">{t("duty.instructionsNone")}</p> : null}
        <ul>
          {list.map((order) => {
            const late = overdueBy(order, now);
            return (
              <li key={order.instruction_id}>
                <button
                  type="button"
                  class={late === null ? "" : "late"}
                  aria-current={order === brief}
                  data-testid={`instruction-${order.instruction_id}`}
                  data-state={order.state}
                  data-late={late !== null}
                  onClick={() => choose(order.instruction_id)}
                >
                  <span class="row-head">
                    {late === null ? <StateTag order={order} /> : <Tag kind="bad">{t("duty.supervised")}</Tag>}
                    {waitsFor(order, office.user) ? <Tag kind="warn">{t("duty.yourMove")}</Tag> : null}
                    {order.urgency === "normal" ? null : <Tag kind={order.urgency === "urgent" ? "bad" : "warn"}>{word("urgency", order.urgency)}</Tag>}
                    <small class="number">{order.instruction_id}</small>
                  </span>
                  <span class="order-text">{order.text}</span>
                  <small class={late === null ? "" : "bad"}>
                    {nameOf(people, order.issued_by)} → {order.addressees.map((one) => one.name || one.id).join("、")} · {dueWords(order, now)}
                  </small>
                </button>
              </li>
            );
          })}
        </ul>
      </section>
      {brief === undefined ? <section class="detail" /> : <OrderSheet key={brief.instruction_id} office={office} brief={brief} now={now} onChanged={() => {
        choose(brief.instruction_id);
        void orders.reload();
      }} />}
      {issuing ? (
        <OrderDialog
          office={office}
          people={people}
          onDone={(made) => {
            setIssuing(false);
            toast(t("duty.issued", { n: made.instruction_id }));
            choose(made.instruction_id);
            void orders.reload();
          }}
          onClose={() => setIssuing(false)}
        />
      ) : null}
    </div>
  );
}

function StateTag({ order }: { order: Order }) {
  return <Tag kind={order.state === "CLOSED" ? "good" : order.state === "RETURNED" ? "warn" : "plain"}>{word("orderState", order.state)}</Tag>;
}

function dueWords(order: Order, now: number): string {
  if (order.due_us === null) return t("duty.noDue");
  const late = overdueBy(order, now);
  if (late !== null) return t("duty.lateBy", { d: span(late, lang) });
  return order.open && order.due_us > now ? t("duty.dueIn", { t: dayHm(order.due_us), d: span(order.due_us - now, lang) }) : t("duty.dueAt", { t: dayHm(order.due_us) });
}

/** The list has no timelines: the chosen one is read whole, again whenever its revision moves. */
function OrderSheet({ office, brief, now, onChanged }: { office: Office; brief: Order; now: number; onChanged: () => void }) {
  const path = `/api/v1/instructions/${encodeURIComponent(brief.instruction_id)}`;
  const whole = useLoaded(() => office.api.get<Order>(path), [office, path, brief.rev], null);
  const people = usePeople(office);
  const [asking, setAsking] = useState<{ step: keyof typeof STEP_TEXTS; one: Addressee } | null>(null);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const order = whole.value !== null && whole.value.rev >= brief.rev ? whole.value : { ...brief, timeline: whole.value?.timeline ?? [] };
  const late = overdueBy(order, now);
  const take = async (step: Step, one: Addressee, comment: string): Promise<void> => {
    await office.api.post(`${path}/${step}`, { n: one.n, comment });
    toast(t("duty.stepDone", { s: t(STEP_WORDS[step]) }));
    onChanged();
    await whole.reload();
  };
  const press = async (step: Step, one: Addressee): Promise<void> => {
    if (needsText(step)) return setAsking({ step, one });
    setBusy(true);
    setProblem("");
    await take(step, one, "").catch((error: unknown) => setProblem(explain(error)));
    setBusy(false);
  };
  return (
    <section class="detail sheet" data-testid="instruction-sheet" data-instruction={order.instruction_id} data-state={order.state}>
      {late === null ? null : (
        <p class="late-band" role="alert" data-testid="supervised">
          {t("duty.supervisedBand", { d: span(late, lang) })}
        </p>
      )}
      <header class="sheet-head">
        <div>
          <h2>
            {t("duty.instructionNo", { n: order.instruction_id })} {order.urgency === "normal" ? null : <Tag kind={order.urgency === "urgent" ? "bad" : "warn"}>{word("urgency", order.urgency)}</Tag>}
          </h2>
          <p class="dim">
            {t("duty.issuedBy", { name: nameOf(people, order.issued_by), t: dayHm(order.issued_us) })} · {dueWords(order, now)}
            {order.area === "" ? "" : ` · ${office.areas.path(order.area)}`}
            {order.incident_id === "" ? null : (
              <>
                {" · "}
                <a href={`/desk?incident=${encodeURIComponent(order.incident_id)}`}>{order.incident_id}</a>
              </>
            )}
          </p>
        </div>
        <span class="spring" />
        <StateTag order={order} />
      </header>
      <p class="order-words">{order.text}</p>
      <Failure text={problem || whole.problem} />
      <ul class="addressees">
        {order.addressees.map((one) => (
          <li key={one.n} class={addressed(one, office.user) ? "mine" : ""} data-testid={`addressee-${one.n}`} data-state={one.state}>
            <div class="addressee-head">
              <b>{one.name || one.id}</b>
              {one.kind === "user" ? null : <small>{word("addressee", one.kind)}</small>}
              {lateOne(order, one, now) ? <Tag kind="bad">{t("duty.late")}</Tag> : null}
              {one.state === "RETURNED" || one.state === "RECALLED" ? <Tag kind="warn">{word("orderState", one.state)}</Tag> : null}
            </div>
            <Stages state={one.state} />
            {one.report === "" ? null : (
              <p class="report">
                {t("duty.reported")}：{one.report}
              </p>
            )}
            <div class="steps">
              {stepsOf(one, office.user).map((step, index) => (
                <button
                  key={step}
                  type="button"
                  class={step === "recall" || step === "return" ? "button danger-quiet" : index > 0 || others(step, one, office.user) ? "button" : "button primary big"}
                  disabled={busy}
                  data-testid={`step-${step}-${one.n}`}
                  onClick={() => void press(step, one)}
                >
                  {t(others(step, one, office.user) ? (step === "receive" ? "duty.receiveFor" : "duty.reportFor") : STEP_WORDS[step])}
                </button>
              ))}
            </div>
          </li>
        ))}
      </ul>
      <h3>{t("duty.timeline")}</h3>
      <ol class="timeline">
        {order.timeline.map((event, index) => (
          <li key={index} class={event.kind === "prompt" ? "bad" : ""}>
            <time>{dayHm(event.at_us)}</time>
            <span>{own(event.text_zh, event.text_en)}</span>
          </li>
        ))}
      </ol>
      {asking === null ? null : (
        <ReasonDialog
          title={`${t(STEP_WORDS[asking.step])} · ${asking.one.name || asking.one.id}`}
          text={t(STEP_TEXTS[asking.step])}
          action={t(STEP_WORDS[asking.step])}
          danger={asking.step === "recall"}
          label={t(asking.step === "report" ? "duty.reportLabel" : "office.reason")}
          run={(comment) => take(asking.step, asking.one, comment)}
          onClose={() => setAsking(null)}
        />
      )}
    </section>
  );
}

/** The desk writes down what somebody else said by telephone. */
const others = (step: Step, one: Addressee, user: Me): boolean => (step === "receive" || step === "report") && !addressed(one, user);

/** 下达 - 签收 - 反馈 - 核查 - 办结. */
function Stages({ state }: { state: string }) {
  const at = stageOf(state);
  return (
    <ol class="stages" aria-label={word("orderState", state)}>
      {STAGES.map((stage, index) => (
        <li key={stage} class={index < at ? "done" : index === at ? "at" : ""}>
          {word("orderState", stage)}
        </li>
      ))}
    </ol>
  );
}
