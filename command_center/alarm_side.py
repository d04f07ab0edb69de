"""The operator's side of alarms, and the alarm as screens see it: condition and side put together.

The folding functions are pure, so that the live picture, which works without a database, shows the same as the database
once it has caught up: both feed them the same log records.
"""

from __future__ import annotations

import msgspec

from command_center.machines import ALARM, OperatorSide
from command_center.model import Ack, Alarm, AlarmSubject
from command_center.records import AlarmSide
from command_center.work import Work
from rules.transitions import Condition, Transition
from stream.records import ControlBody

replace = msgspec.structs.replace


def operator_state(side: AlarmSide) -> OperatorSide:
    if side.shelved_until_us is not None:
        return OperatorSide.SHELVED
    return OperatorSide.ACKED if side.acked else OperatorSide.UNACKED


def alarm_of(condition: Condition, side: AlarmSide | None = None, *, stored: bool = True) -> Alarm:
    """The alarm of docs/interfaces.md section 8."""
    last = condition.last
    side = side or AlarmSide(alarm_id=condition.alarm_id)
    return Alarm(
        alarm_id=condition.alarm_id,
        rule_id=last.rule_id,
        rule_version=last.rule_version,
        hazard=last.hazard,
        subject=AlarmSubject(kind=last.subject.kind, id=last.subject.id, name=last.subject.name),
        device_ids=list(last.device_ids),
        area=last.area,
        lon=last.lon,
        lat=last.lat,
        colour=condition.colour,
        peak_colour=condition.peak_colour,
        no_data=condition.no_data,
        latched=condition.latched,
        state="firing" if condition.firing else "cleared",
        title_zh=last.title_zh,
        title_en=last.title_en,
        detail_zh=last.detail_zh,
        detail_en=last.detail_en,
        value=last.value,
        uom=last.uom,
        flags=list(last.flags),
        raised_us=condition.raised_us,
        event_time_us=condition.event_time_us,
        changed_us=condition.changed_us,
        cleared_us=condition.cleared_us,
        n=condition.n,
        acked=side.acked,
        shelved_until_us=side.shelved_until_us,
        incident_id=side.incident_id,
        stored=stored,
        escalation=side.escalation,
    )


def side_after_transition(side: AlarmSide, transition: Transition) -> AlarmSide:
    """A rise in level takes acknowledgement and shelving back: they were given to the lower colour."""
    if transition.rises and operator_state(side) is not OperatorSide.UNACKED:
        ALARM.advance(side.alarm_id, operator_state(side), OperatorSide.UNACKED)
        return replace(side, rev=side.rev + 1, acked=None, shelved_until_us=None, shelved_by="")
    return side


def side_after_control(side: AlarmSide, body: ControlBody, at_us: int) -> AlarmSide:
    """Acknowledge, shelve, unshelve, link. Anything else, or what says nothing new, changes nothing."""
    data = body.data
    if body.type == "ack":
        ack = Ack(by=body.actor, at_us=at_us, comment=str(data.get("comment", "")))
        return replace(side, rev=side.rev + 1, acked=side.acked or ack, shelved_until_us=None, shelved_by="")
    if body.type == "shelve":
        return replace(side, rev=side.rev + 1, shelved_until_us=int(data["until_us"]), shelved_by=body.actor)
    if body.type == "unshelve" and side.shelved_until_us is not None:
        return replace(side, rev=side.rev + 1, shelved_until_us=None, shelved_by="")
    if body.type == "link" and data["incident_id"] != side.incident_id:
        return replace(side, rev=side.rev + 1, incident_id=str(data["incident_id"]))
    return side


async def store_side(
    work: Work, before: AlarmSide, side: AlarmSide, action: str, *, alarm: Condition, reason: str = ""
) -> None:
    """Write the side if it changed, with its journal entry; screens get the whole alarm as stored."""
    first = before.rev == 0 and alarm.n == 1
    if side == before and not first:
        work.state("alarm_side", side.alarm_id, side.rev, alarm_of(alarm, side))
        return
    if side.rev == before.rev:
        side = replace(side, rev=side.rev + 1)
    await work.tx.put_side(side)
    await work.journal("alarm", side.alarm_id, action, None if first else before, side, reason)
    work.state("alarm_side", side.alarm_id, side.rev, alarm_of(alarm, side))
