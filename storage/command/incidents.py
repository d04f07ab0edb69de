"""Incidents, their timelines, and alarms with the operator's side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from command_center.access.scope import EVERYWHERE, Scope
from command_center.machines import INCIDENT_OPEN
from command_center.model import Incident, IncidentState, TimelineEntry
from command_center.records import AlarmRecord, AlarmSide
from rules.transitions import Condition, Transition
from storage.command.rows import Part, jsonb, params, struct, within
from storage.database import Row
from storage.times import to_time


class IncidentRows(Part):
    async def incident(self, incident_id: str) -> Incident | None:
        row = await self._one("read_incident", {"incident_id": incident_id})
        return None if row is None else struct(Incident, row)

    async def incidents(
        self,
        states: Sequence[IncidentState],
        limit: int,
        before: str = "",
        *,
        scope: Scope = EVERYWHERE,
        also: Sequence[str] = (),
    ) -> list[Incident]:
        values = {"states": [s.value for s in states], "limit": limit, "before": before, "also": list(also)}
        rows = await self._all("list_incidents", values | within(scope))
        return [struct(Incident, row) for row in rows]

    async def open_incident(self, group_key: str) -> Incident | None:
        states = [s.value for s in INCIDENT_OPEN]
        row = await self._one("open_incident", {"group_key": group_key, "states": states})
        return None if row is None else await self.incident(row["incident_id"])

    async def insert_incident(self, incident: Incident, group_key: str) -> None:
        await self._run("insert_incident", params(incident, group_key=group_key))

    async def update_incident(self, incident: Incident, *, rev: int, states: Sequence[IncidentState]) -> bool:
        values = params(incident, old_rev=rev, states=[s.value for s in states])
        return await self._one("update_incident", values) is not None

    async def add_timeline(self, incident_id: str, entry: TimelineEntry) -> None:
        await self._run("add_timeline", params(entry, incident_id=incident_id))

    async def timeline(self, incident_id: str, limit: int) -> list[TimelineEntry]:
        rows = await self._all("last_timeline", {"incident_id": incident_id, "limit": limit})
        return [struct(TimelineEntry, row) for row in reversed(rows)]


class AlarmRows(Part):
    async def alarm(self, alarm_id: str) -> AlarmRecord | None:
        row = await self._one("read_alarm", {"alarm_id": alarm_id})
        return None if row is None else _alarm(row)

    async def alarms(
        self, *, firing_only: bool, limit: int, before: str = "", scope: Scope = EVERYWHERE
    ) -> list[AlarmRecord]:
        raised, _, alarm_id = before.partition(":")
        values = {
            "firing_only": firing_only,
            "limit": limit,
            "before_at": to_time(int(raised)) if raised else None,
            "before_id": alarm_id,
        }
        return [_alarm(row) for row in await self._all("list_alarms", values | within(scope))]

    async def alarms_of(self, incident_id: str) -> list[AlarmRecord]:
        return [_alarm(row) for row in await self._all("alarms_of_incident", {"incident_id": incident_id})]

    async def put_condition(self, condition: Condition) -> None:
        side = msgspec.to_builtins(AlarmSide(alarm_id=condition.alarm_id))
        values = {
            "alarm_id": condition.alarm_id,
            "firing": condition.firing,
            "raised_at": to_time(condition.raised_us),
            "n": condition.n,
            "condition": jsonb(msgspec.to_builtins(condition)),
            "side": jsonb(side),
        }
        await self._run("put_condition", values)

    async def put_side(self, side: AlarmSide) -> None:
        values = {
            "alarm_id": side.alarm_id,
            "rev": side.rev,
            "incident_id": side.incident_id or None,
            "side": jsonb(msgspec.to_builtins(side)),
        }
        if await self._one("put_side", values) is None:
            raise KeyError(side.alarm_id)

    async def add_transition(self, transition: Transition) -> bool:
        values = {
            "alarm_id": transition.alarm_id,
            "n": transition.n,
            "kind": transition.kind.value,
            "at": to_time(transition.at_us),
            "input_position": transition.input_position,
            "ordinal": transition.ordinal,
            "document": jsonb(msgspec.to_builtins(transition)),
        }
        return await self._one("add_transition", values) is not None

    async def transitions(self, alarm_id: str) -> list[dict[str, Any]]:
        rows = await self._all("list_transitions", {"alarm_id": alarm_id})
        return [row["document"] for row in rows]


def _alarm(row: Row) -> AlarmRecord:
    return AlarmRecord(
        condition=msgspec.convert(row["condition"], Condition), side=msgspec.convert(row["side"], AlarmSide)
    )
