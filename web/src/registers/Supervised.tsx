/** 督办: instructions about this object, and a new one. A risk becomes a task that somebody answers for. */

import { useState } from "preact/hooks";
import { lang, t } from "../core/i18n";
import { dayHm } from "../core/time";
import { OrderDialog } from "../duty/OrderDialog";
import { useLoaded } from "../duty/data";
import type { Order } from "../duty/orders";
import { usePeople } from "../duty/people";
import { Tag } from "../office/Badge";
import { Failure } from "../office/Dialog";
import type { Office } from "../office/session";
import { toast } from "../office/toast";
import type { Entry, Kind } from "./types";

/** Who may give an instruction: command_center/authority.py INSTRUCT. */
const instructs = (office: Office): boolean => office.user.roles.includes("leader");

export function Supervised({ office, kind, entry }: { office: Office; kind: Kind; entry: Entry }) {
  const [giving, setGiving] = useState(false);
  const subject = `${kind.kind}/${entry.entry_id}`;
  const orders = useLoaded(() => office.api.get<{ items: Order[] }>(`/api/v1/instructions?subject=${encodeURIComponent(subject)}`), [office, subject]);
  const people = usePeople(office);
  return (
    <div class="stack supervised" data-testid="supervised">
      <Failure text={orders.problem} />
      {instructs(office) ? (
        <div class="actions">
          <button type="button" class="button primary small" onClick={() => setGiving(true)} data-testid="supervise">
            {t("reg.supervise")}
          </button>
        </div>
      ) : null}
      {orders.value !== null && orders.value.items.length === 0 ? <p class="dim">{t("reg.superviseNone")}</p> : null}
      <ol class="history">
        {(orders.value?.items ?? []).map((order) => (
          <li key={order.instruction_id}>
            <p>
              <a href={`/duty#/orders/${encodeURIComponent(order.instruction_id)}`}>{order.instruction_id}</a> <Tag kind={order.addressees.some((one) => one.overdue) ? "bad" : order.open ? "warn" : "good"}>{lang === "zh" ? order.state_zh : order.state}</Tag>
            </p>
            <p>{order.text}</p>
            <p class="why">
              {order.addressees.map((one) => one.name).join("、")}
              {order.due_us === null ? "" : ` · ${t("duty.due")} ${dayHm(order.due_us)}`}
            </p>
          </li>
        ))}
      </ol>
      {giving ? (
        <OrderDialog
          office={office}
          people={people}
          subject={subject}
          place={entry.area}
          about={entry.name}
          onDone={(made) => {
            setGiving(false);
            toast(t("duty.issued", { n: made.instruction_id }));
            void orders.reload();
          }}
          onClose={() => setGiving(false)}
        />
      ) : null}
    </div>
  );
}
