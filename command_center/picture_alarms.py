"""The alarms' part of the live picture: transitions and operator controls of the log, folded and sent as events.

The same folds as the database side uses (`command_center.alarm_side`), on the same records, so both show the same once the
database has caught up. Until then an alarm is marked 未入库 (`stored: false`).
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from command_center.alarm_side import alarm_of, side_after_control, side_after_transition
from command_center.model import Alarm
from command_center.records import AlarmSide
from gis.hub import EventChannel
from gis.sight import Label
from rules.transitions import COLOURS, Condition, Kind, Transition, fold
from stream.records import ControlBody

CONTROLS = frozenset({"ack", "shelve", "unshelve", "link"})
KEEP_CLEARED_US = 24 * 3600 * 1_000_000  # a cleared alarm that nobody acknowledged leaves the list after a day
UNSTORED_AFTER_S = 3.0  # the database side reads the log too: behind for longer means down


class OpenAlarm(msgspec.Struct, kw_only=True):
    """An alarm on the screens. `position` is the newest log record about it, `since_s` when that was read."""

    condition: Condition
    side: AlarmSide
    position: int
    since_s: float = 0.0
    stored: bool = True

    @property
    def open(self) -> bool:
        """Firing, or cleared and never acknowledged: the desk must look at it."""
        return self.condition.firing or self.side.acked is None

    def alarm(self) -> Alarm:
        return alarm_of(self.condition, self.side, stored=self.stored)


class AlarmBoard:
    """Open alarms; `channel` is `alarm`, its sequence the log position."""

    def __init__(self, channel: EventChannel) -> None:
        self.channel = channel
        self.alarms: dict[str, OpenAlarm] = {}
        self.behind = False  # the database side is not following

    def transition(self, transition: Transition, position: int, now_s: float) -> Condition | None:
        """Fold and send. None for what is no episode (迟到超限) or was applied already."""
        if transition.kind is Kind.LATE_EXCEEDANCE:
            self._late(transition, position)
            return None
        known = self.alarms.get(transition.alarm_id)
        condition = fold(known.condition if known else None, transition)
        if known is not None and condition is known.condition:
            return None
        side = known.side if known else AlarmSide(alarm_id=transition.alarm_id)
        side = side_after_transition(side, transition)
        self._set(condition, side, position, now_s)
        self._send(transition.alarm_id, transition.kind.value, position, transition.at_us)
        return condition

    def control(self, body: ControlBody, position: int, at_us: int, now_s: float) -> None:
        """Acknowledge, shelve, unshelve, link. About an alarm that is not open it changes nothing."""
        if body.type not in CONTROLS:
            return
        known = self.alarms.get(str(body.data.get("alarm_id", "")))
        if known is None:
            return
        side = side_after_control(known.side, body, at_us)
        if side is known.side:
            return
        self._set(known.condition, side, position, now_s)
        self._send(side.alarm_id, body.type, position, at_us)

    def stored_side(self, alarm: Alarm, at_us: int) -> None:
        """What only the database side knows: who is being called, and a link that it made."""
        known = self.alarms.get(alarm.alarm_id)
        if known is None:
            return
        incident_id = alarm.incident_id or known.side.incident_id
        side = msgspec.structs.replace(known.side, escalation=alarm.escalation, incident_id=incident_id)
        if side == known.side:
            return
        kind = "link" if incident_id != known.side.incident_id else "escalation"
        known.side = side
        self._send(alarm.alarm_id, kind, self.channel.seq, at_us)

    def check_stored(self, stored_position: int | None, now_s: float, at_us: int) -> None:
        """Mark 未入库 what the database side has not got after three seconds, and take the mark back when it has."""
        self.behind = False
        for alarm_id, known in list(self.alarms.items()):
            stored = stored_position is not None and stored_position >= known.position
            late = not stored and now_s - known.since_s >= UNSTORED_AFTER_S
            self.behind = self.behind or late
            if known.stored and late:
                known.stored = False
                self._send(alarm_id, "unstored", self.channel.seq, at_us)
            elif stored and not known.stored:
                known.stored = True
                self._send(alarm_id, "stored", self.channel.seq, at_us)

    def forget_old(self, now_us: int) -> None:
        for alarm_id, known in list(self.alarms.items()):
            cleared_us = known.condition.cleared_us
            if cleared_us is not None and now_us - cleared_us > KEEP_CLEARED_US:
                del self.alarms[alarm_id]
                self.channel.objects.pop(alarm_id, None)

    def _set(self, condition: Condition, side: AlarmSide, position: int, now_s: float) -> None:
        stored = not self.behind
        self.alarms[condition.alarm_id] = OpenAlarm(
            condition=condition, side=side, position=position, since_s=now_s, stored=stored
        )

    def _send(self, alarm_id: str, kind: str, position: int, at_us: int) -> None:
        known = self.alarms[alarm_id]
        alarm = known.alarm()
        self.channel.publish(
            seq=position,
            kind=kind,
            object_id=alarm_id,
            rev=position,
            data=alarm,
            t_us=at_us,
            area=alarm.area,
            hazard=alarm.hazard,
            keep=known.open,
        )
        if not known.open and known.stored:
            del self.alarms[alarm_id]

    def _late(self, transition: Transition, position: int) -> None:
        condition = fold(None, transition)
        alarm = msgspec.structs.replace(alarm_of(condition), state="cleared", cleared_us=transition.at_us)
        self.channel.publish(
            seq=position,
            kind=transition.kind.value,
            object_id=transition.alarm_id,
            rev=position,
            data=alarm,
            t_us=transition.at_us,
            area=alarm.area,
            hazard=alarm.hazard,
            keep=False,
        )

    def restore(self, alarms: list[OpenAlarm], now_s: float) -> None:
        """Take over a snapshot."""
        for alarm in alarms:
            alarm.since_s = now_s
            self.alarms[alarm.condition.alarm_id] = alarm
            if alarm.open:
                last = alarm.condition.last
                label = Label(area=last.area, hazard=last.hazard)
                self.channel.load(alarm.condition.alarm_id, alarm.position, alarm.alarm(), label)

    def open(self) -> Iterator[Alarm]:
        return (known.alarm() for known in self.alarms.values() if known.open)

    def by_colour(self) -> dict[str, int]:
        """Firing alarms per colour; those without one (device faults) are under `none`."""
        found = {colour or "none": 0 for colour in COLOURS}
        for known in self.alarms.values():
            if known.condition.firing:
                found[known.condition.colour or "none"] += 1
        return found

    def unstored(self) -> int:
        return sum(not known.stored for known in self.alarms.values())
