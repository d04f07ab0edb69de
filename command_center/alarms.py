"""Log records about alarms, taken over into the database: each at most once, in the order of the log."""

from __future__ import annotations

from typing import Any

from command_center import escalation, incidents
from command_center import incident_book as book
from command_center.alarm_side import side_after_control, side_after_transition, store_side
from command_center.records import AlarmRecord, AlarmSide
from command_center.work import Work
from rules.transitions import Kind, Transition, fold
from stream.records import ControlBody


async def apply_transition(work: Work, transition: Transition) -> bool:
    """Take a transition over: condition, side, escalation, incident. False when it was there already."""
    if transition.kind is Kind.LATE_EXCEEDANCE:
        # No episode: a crossing found in a backlog is news for the desk, kept where it can be found again.
        await work.journal("alarm", transition.alarm_id, "late_exceedance", None, _brief(transition))
        return True
    if not await work.tx.add_transition(transition):
        return False
    record = await work.tx.alarm(transition.alarm_id)
    before = record.side if record else AlarmSide(alarm_id=transition.alarm_id)
    condition = fold(record.condition if record else None, transition)
    await work.tx.put_condition(condition)
    side = side_after_transition(before, transition)
    side = await escalation.follow(work, condition, side, transition)
    current = AlarmRecord(condition=condition, side=side)
    side = await incidents.follow(work, current, transition)
    await store_side(work, before, side, f"transition {transition.kind.value}", alarm=condition)
    return True


async def apply_control(work: Work, body: ControlBody) -> bool:
    """Take an ack, shelve, unshelve or link over. False when it concerns no alarm of ours or says nothing new."""
    if body.type not in ("ack", "shelve", "unshelve", "link"):
        return False
    record = await work.tx.alarm(str(body.data.get("alarm_id", "")))
    if record is None:
        return False
    side = side_after_control(record.side, body, work.at_us)
    if side == record.side:
        return False
    acked_now = side.acked is not None and record.side.acked is None
    side = await escalation.answered(work, record.condition, side)
    await store_side(
        work, record.side, side, body.type, reason=str(body.data.get("comment", "")), alarm=record.condition
    )
    if acked_now and side.incident_id:
        await book.tell(
            work,
            side.incident_id,
            "ack",
            f"{body.actor} 确认告警：{record.condition.last.title_zh}",
            f"{body.actor} acknowledged: {record.condition.last.title_en}",
            ref=side.alarm_id,
        )
    return True


def _brief(transition: Transition) -> dict[str, Any]:
    return {
        "rule_id": transition.rule_id,
        "subject": transition.subject.id,
        "colour": transition.colour,
        "value": transition.value,
        "event_time_us": transition.event_time_us,
        "title_zh": transition.title_zh,
    }
