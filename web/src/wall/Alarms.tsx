import { useEffect, useRef, useState } from "preact/hooks";
import { useTick, useTopics } from "../core/hooks";
import { lang, own, t, word } from "../core/i18n";
import { hms, span } from "../core/time";
import type { Alarm } from "../core/types";
import type { Desk } from "./desk";
import { Chip, Flags, Panel, number } from "./parts";

const SHOWN_MAX = 40;

export function useDesk(desk: Desk): void {
  const [, again] = useState(0);
  useEffect(() => desk.listen(() => again((count) => count + 1)), [desk]);
}

export function Alarms({ desk }: { desk: Desk }) {
  const { store } = desk.session;
  useTopics(store, ["alarms"]);
  useDesk(desk);
  useTick(1000);
  const queue = store.queue();
  const unacked = queue.filter((alarm) => alarm.acked === null).length;
  const next = desk.nextToAck();
  return (
    <Panel
      title={t("alarms.title")}
      testid="alarms"
      grow
      aside={
        <>
          {unacked > 0 ? <b class="unacked">{t("alarms.unacked", { n: unacked })}</b> : null}
          {desk.session.can.operate && unacked > 0 ? <kbd>{`${t("alarms.ackHint")} ${t("alarms.ack")}`}</kbd> : null}
        </>
      }
    >
      {desk.problem === "" ? null : (
        <p class="problem" role="alert">
          {desk.problem}
        </p>
      )}
      {queue.length === 0 ? <p class="empty">{t("alarms.none")}</p> : null}
      <ul class="alarm-list">
        {queue.slice(0, SHOWN_MAX).map((alarm) => (
          <AlarmRow key={alarm.alarm_id} alarm={alarm} desk={desk} isNext={next?.alarm_id === alarm.alarm_id} />
        ))}
      </ul>
      {queue.length > SHOWN_MAX ? <p class="empty">{t("alarms.more", { n: queue.length - SHOWN_MAX })}</p> : null}
    </Panel>
  );
}

function AlarmRow({ alarm, desk, isNext }: { alarm: Alarm; desk: Desk; isNext: boolean }) {
  const { clock, can } = desk.session;
  const selected = desk.alarmId === alarm.alarm_id;
  const sent = desk.sent.has(alarm.alarm_id);
  const waiting = alarm.acked === null;
  const element = useRef<HTMLLIElement>(null);
  useEffect(() => {
    if (selected) element.current?.scrollIntoView({ block: "nearest" });
  }, [selected]);
  const colour = alarm.colour || alarm.peak_colour;
  return (
    <li
      ref={element}
      class={`alarm e-${colour || "none"} ${waiting && alarm.state === "firing" ? "pulse" : ""} ${selected ? "selected" : ""} ${alarm.state === "cleared" ? "cleared" : ""}`}
      data-testid={`alarm-${alarm.alarm_id}`}
      data-colour={alarm.colour}
      data-acked={alarm.acked !== null}
      data-state={alarm.state}
      onClick={() => desk.selectAlarm(alarm.alarm_id)}
    >
      <Chip colour={colour} big />
      <div class="what">
        <button type="button" class="plain title" onClick={() => desk.selectAlarm(alarm.alarm_id)}>
          {own(alarm.title_zh, alarm.title_en)}
        </button>
        <div class="meta">
          <span>{hms(alarm.raised_us)}</span>
          <span>{t("alarms.age", { t: span(clock.nowUs() - alarm.raised_us, lang) })}</span>
          {alarm.value === null ? null : <b>{`${number(alarm.value)} ${alarm.uom}`}</b>}
          {alarm.shelved_until_us !== null && alarm.shelved_until_us > clock.nowUs() ? <span class="flag">{t("alarms.shelved")}</span> : null}
          {alarm.state === "cleared" ? <span class="flag">{t("alarms.cleared")}</span> : null}
          {alarm.peak_colour !== alarm.colour && alarm.state === "firing" && alarm.peak_colour !== "" ? <small>{t("alarms.peak", { c: word("colour", alarm.peak_colour) })}</small> : null}
          <Flags flags={alarm.flags} noData={alarm.no_data} stored={alarm.stored} latched={alarm.latched} />
        </div>
        {selected ? (
          <p class="detail">
            {own(alarm.detail_zh, alarm.detail_en)}
            <small>{t("alarms.rule", { r: `${alarm.rule_id} · ${alarm.rule_version}` })}</small>
          </p>
        ) : null}
        <Calling alarm={alarm} />
      </div>
      {waiting ? (
        can.operate ? (
          <button
            type="button"
            class={`ack ${isNext ? "next" : ""}`}
            data-testid={`ack-${alarm.alarm_id}`}
            disabled={sent}
            onClick={(event) => {
              event.stopPropagation();
              void desk.acknowledge(alarm);
            }}
          >
            {sent ? "…" : t("alarms.ack")}
          </button>
        ) : null
      ) : (
        <span class="acked" title={alarm.acked?.comment ?? ""}>
          ✓ {t("alarms.acked", { by: alarm.acked?.by ?? "" })}
        </span>
      )}
    </li>
  );
}

/** Who is being called because nobody acknowledged. The deadline is machine time. */
function Calling({ alarm }: { alarm: Alarm }) {
  const { escalation } = alarm;
  if (escalation === null || escalation === undefined || alarm.acked !== null) return null;
  const left = escalation.due_us === null ? 0 : escalation.due_us - Date.now() * 1000;
  return (
    <div class="calling" data-testid={`escalation-${alarm.alarm_id}`}>
      ☎ {t("alarms.calling", { to: escalation.to_name || escalation.to })}
      {left > 0 ? <small>{t("alarms.next", { s: span(left, lang) })}</small> : null}
    </div>
  );
}
