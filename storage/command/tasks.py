"""Tasks with their history, requests to other agencies, units with their tracks, and road closures."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from command_center.access.scope import EVERYWHERE, Scope
from command_center.model import Closure, Task, TaskHistory, TaskState, Unit, UnitStatus
from command_center.records import Request, TaskRecord, UnitRecord
from storage.batch import clean
from storage.command.rows import Part, jsonb, params, struct, within
from storage.database import Row
from storage.times import opt_time, to_time, to_us


class TaskRows(Part):
    async def task(self, task_id: str) -> TaskRecord | None:
        row = await self._one("read_task", {"task_id": task_id})
        return None if row is None else (await self._records([row]))[0]

    async def tasks(
        self,
        *,
        incident_id: str = "",
        unit_id: str = "",
        states: Sequence[TaskState] = (),
        limit: int = 1000,
        scope: Scope = EVERYWHERE,
        also: Sequence[str] = (),
    ) -> list[TaskRecord]:
        values = {
            "incident_id": incident_id,
            "unit_id": unit_id,
            "states": [s.value for s in states],
            "limit": limit,
            "also": list(also),
        }
        return await self._records(await self._all("list_tasks", values | within(scope)))

    async def _records(self, rows: Sequence[Row]) -> list[TaskRecord]:
        if not rows:
            return []
        steps: dict[str, list[TaskHistory]] = {row["task_id"]: [] for row in rows}
        for step in await self._all("histories_of", {"task_ids": list(steps)}):
            steps[step["task_id"]].append(
                TaskHistory(
                    at_us=to_us(step["at"]),
                    source=step["source"],
                    to=step["target"],
                    actor=step["actor"],
                    comment=step["comment"],
                )
            )
        return [
            TaskRecord(
                task=struct(Task, row, history=steps[row["task_id"]]),
                origin=row["origin"],
                pre_authorised=row["pre_authorised"],
                refused_units=row["refused_units"],
            )
            for row in rows
        ]

    async def insert_task(self, record: TaskRecord) -> bool:
        return await self._one("insert_task", _task_params(record)) is not None

    async def update_task(self, record: TaskRecord, *, rev: int, states: Sequence[TaskState]) -> bool:
        values = {**_task_params(record), "old_rev": rev, "states": [s.value for s in states]}
        return await self._one("update_task", values) is not None

    async def add_task_history(self, task_id: str, step: TaskHistory, device_time_us: int | None) -> None:
        values = {
            "task_id": task_id,
            "at": to_time(step.at_us),
            "source": step.source,
            "target": step.to,
            "actor": step.actor,
            "comment": clean(step.comment),
            "device_at": opt_time(device_time_us),
        }
        await self._run("add_task_history", values)

    async def insert_request(self, request: Request) -> None:
        await self._run("insert_request", params(request))

    async def request(self, request_id: str) -> Request | None:
        row = await self._one("read_request", {"request_id": request_id})
        return None if row is None else struct(Request, row)

    async def requests(self, incident_id: str = "") -> list[Request]:
        return [struct(Request, row) for row in await self._all("list_requests", {"incident_id": incident_id})]

    async def update_request(self, request: Request, *, rev: int) -> bool:
        return await self._one("update_request", params(request, old_rev=rev)) is not None


class UnitRows(Part):
    async def unit(self, unit_id: str) -> UnitRecord | None:
        row = await self._one("read_unit", {"unit_id": unit_id})
        return None if row is None else _unit(row)

    async def units(self) -> list[UnitRecord]:
        return [_unit(row) for row in await self._all("list_units")]

    async def insert_unit(self, record: UnitRecord) -> bool:
        return await self._one("insert_unit", _unit_params(record)) is not None

    async def update_unit(self, record: UnitRecord, *, rev: int, statuses: Sequence[UnitStatus]) -> bool:
        values = {**_unit_params(record), "old_rev": rev, "statuses": [s.value for s in statuses]}
        return await self._one("update_unit", values) is not None

    async def add_unit_fix(
        self, unit_id: str, at_us: int, lon: float, lat: float, heading: float | None, speed_ms: float | None
    ) -> None:
        values = {
            "unit_id": unit_id,
            "at": to_time(at_us),
            "lon": lon,
            "lat": lat,
            "heading": heading,
            "speed_ms": speed_ms,
        }
        await self._run("add_unit_fix", values)


class ClosureRows(Part):
    async def closures(self, *, open_only: bool = True) -> list[Closure]:
        return [struct(Closure, row) for row in await self._all("list_closures", {"open_only": open_only})]

    async def closure(self, closure_id: str) -> Closure | None:
        row = await self._one("read_closure", {"closure_id": closure_id})
        return None if row is None else struct(Closure, row)

    async def open_closure_of(self, source: str) -> Closure | None:
        row = await self._one("open_closure_of", {"source": source})
        return None if row is None else struct(Closure, row)

    async def put_closure(self, closure: Closure, source: str) -> None:
        await self._run("put_closure", params(closure, source=source))

    async def end_closure(self, closure_id: str, at_us: int, by: str) -> bool:
        row = await self._one("end_closure", {"closure_id": closure_id, "at": to_time(at_us), "by": by})
        return row is not None


def _task_params(record: TaskRecord) -> dict[str, object]:
    return params(
        record.task,
        origin=record.origin,
        pre_authorised=record.pre_authorised,
        refused_units=jsonb(record.refused_units),
    )


def _unit_params(record: UnitRecord) -> dict[str, object]:
    return params(record.unit, rev=record.rev, idle_status=record.idle_status.value)


def _unit(row: Row) -> UnitRecord:
    return msgspec.structs.replace(
        UnitRecord(unit=struct(Unit, row)), rev=row["rev"], idle_status=UnitStatus(row["idle_status"])
    )
