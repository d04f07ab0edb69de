"""The command centre's store in memory: the twin of storage/command, for tests and for a first look without a database.

Values are frozen structs, so a snapshot for rollback is a copy of dicts. Transactions are serialised by a lock, as the
database side does it. The same contract suite runs on both.
"""

from __future__ import annotations

import asyncio
import copy
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from command_center.access.records import ApiKey, Approval, IncidentRole, SecondFactor, SecurityKey
from command_center.access.scope import EVERYWHERE, Scope
from command_center.device_commands.model import DeviceCommand
from command_center.errors import Unavailable
from command_center.machines import INCIDENT_OPEN
from command_center.model import (
    Change,
    Closure,
    Incident,
    IncidentState,
    JournalEntry,
    TaskHistory,
    TaskState,
    TimelineEntry,
    UnitStatus,
)
from command_center.outbox import Message
from command_center.ports import Tx
from command_center.records import AlarmRecord, AlarmSide, Request, TaskRecord, Timer, UnitRecord, UserRecord
from command_center.registers.import_ports import ImportJob
from command_center.video.model import VideoClip
from rules.transitions import Condition, Transition
from storage.memory.access import AccessRows
from storage.memory.device_access import AccessMemory, DeviceAccessMemory
from storage.memory.device_care import CareMemory, DeviceCareMemory
from storage.memory.device_commands import DeviceCommandPart
from storage.memory.duty import DutyMemory, DutyState
from storage.memory.grid import GridMemory, GridState
from storage.memory.imports import ImportMemory
from storage.memory.journal import JournalPart
from storage.memory.outbox import OutboxPart
from storage.memory.registers import MemoryRegisters, RegisterState
from storage.memory.video import VideoPart

replace = msgspec.structs.replace


@dataclass(slots=True)
class _State:
    cursors: dict[str, int] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    keys: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)
    incidents: dict[str, Incident] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)  # incident id -> group key
    timelines: list[tuple[str, TimelineEntry]] = field(default_factory=list)
    tasks: dict[str, TaskRecord] = field(default_factory=dict)
    units: dict[str, UnitRecord] = field(default_factory=dict)
    fixes: list[tuple[str, int, float, float]] = field(default_factory=list)
    conditions: dict[str, Condition] = field(default_factory=dict)
    sides: dict[str, AlarmSide] = field(default_factory=dict)
    transitions: dict[tuple[str, int], Transition] = field(default_factory=dict)
    closures: dict[str, Closure] = field(default_factory=dict)
    closure_source: dict[str, str] = field(default_factory=dict)
    closure_ended: dict[str, int] = field(default_factory=dict)
    requests: dict[str, Request] = field(default_factory=dict)
    timers: dict[str, Timer] = field(default_factory=dict)
    journal: list[JournalEntry] = field(default_factory=list)
    live: list[Change] = field(default_factory=list)
    live_count: int = 0
    users: dict[str, UserRecord] = field(default_factory=dict)
    registers: RegisterState = field(default_factory=RegisterState)
    access: AccessMemory = field(default_factory=AccessMemory)
    imports: dict[str, ImportJob] = field(default_factory=dict)
    duty: DutyState = field(default_factory=DutyState)
    care: CareMemory = field(default_factory=CareMemory)
    device_commands: dict[str, DeviceCommand] = field(default_factory=dict)
    video_clips: dict[str, VideoClip] = field(default_factory=dict)
    grid: GridState = field(default_factory=GridState)
    outbox: dict[str, Message] = field(default_factory=dict)
    incident_roles: dict[str, IncidentRole] = field(default_factory=dict)
    second_factors: dict[str, SecondFactor] = field(default_factory=dict)
    security_keys: dict[str, SecurityKey] = field(default_factory=dict)
    api_keys: dict[str, ApiKey] = field(default_factory=dict)
    approvals: dict[str, Approval] = field(default_factory=dict)

    def snapshot(self) -> _State:
        return _State(**{name: copy.copy(getattr(self, name)) for name in self.__slots__})


class MemoryStore:
    """A `command_center.ports.Store`. `down` makes every transaction raise Unavailable, as an outage does."""

    def __init__(self) -> None:
        self._state = _State()
        self._lock = asyncio.Lock()
        self.down = False
        self.device_facts = self._state.care.facts  # what the observation side has counted: a test puts it down

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Tx]:
        self._check()
        yield _MemoryTx(self._state.snapshot())

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Tx]:
        self._check()
        async with self._lock:
            draft = self._state.snapshot()
            yield _MemoryTx(draft)
            self._check()  # an outage before the commit undoes everything
            self._state = draft

    def _check(self) -> None:
        if self.down:
            raise Unavailable("the database is down")


class _MemoryTx(
    MemoryRegisters,
    DeviceAccessMemory,
    JournalPart,
    ImportMemory,
    DutyMemory,
    DeviceCareMemory,
    DeviceCommandPart,
    VideoPart,
    GridMemory,
    OutboxPart,
    AccessRows,
):
    _s: _State

    def __init__(self, state: _State) -> None:
        self._s = state
        self._registers = state.registers
        self._access = state.access
        self._imports = state.imports
        self._care = state.care
        self._grid = state.grid

    @property
    def _duty(self) -> DutyState:
        return self._s.duty

    async def cursor(self, name: str) -> int:
        return self._s.cursors.get(name, 0)

    async def set_cursor(self, name: str, position: int, at_us: int) -> None:
        self._s.cursors[name] = position

    async def next_number(self, scope: str) -> int:
        self._s.numbers[scope] = self._s.numbers.get(scope, 0) + 1
        return self._s.numbers[scope]

    async def remember(self, actor: str, key: str, fingerprint: str, at_us: int) -> str | None:
        before = self._s.keys.get((actor, key))
        self._s.keys.setdefault((actor, key), (fingerprint, at_us))
        return None if before is None else before[0]

    async def incident(self, incident_id: str) -> Incident | None:
        found = self._s.incidents.get(incident_id)
        return None if found is None else self._full(found)

    def _full(self, incident: Incident) -> Incident:
        states = Counter(
            r.task.state.value for r in self._s.tasks.values() if r.task.incident_id == incident.incident_id
        )
        linked = [a for a, s in self._s.sides.items() if s.incident_id == incident.incident_id]
        return replace(incident, task_counts=dict(sorted(states.items())), alarm_ids=sorted(linked, key=self._raised))

    def _raised(self, alarm_id: str) -> tuple[int, str]:
        return (self._s.conditions[alarm_id].raised_us, alarm_id)

    async def incidents(
        self,
        states: Sequence[IncidentState],
        limit: int,
        before: str = "",
        *,
        scope: Scope = EVERYWHERE,
        also: Sequence[str] = (),
    ) -> list[Incident]:
        found = [
            i
            for i in self._s.incidents.values()
            if (not states or i.state in states)
            and (not before or i.incident_id < before)
            and (scope.covers(area=i.area, hazard=i.kind) or i.incident_id in also)
        ]
        return [self._full(i) for i in sorted(found, key=lambda i: i.incident_id, reverse=True)[:limit]]

    async def open_incident(self, group_key: str) -> Incident | None:
        found = [i for k, i in self._s.incidents.items() if self._s.groups[k] == group_key and i.state in INCIDENT_OPEN]
        return self._full(max(found, key=lambda i: i.incident_id)) if found else None

    async def insert_incident(self, incident: Incident, group_key: str) -> None:
        self._s.incidents[incident.incident_id] = replace(incident, timeline=[], task_counts={}, alarm_ids=[])
        self._s.groups[incident.incident_id] = group_key

    async def update_incident(self, incident: Incident, *, rev: int, states: Sequence[IncidentState]) -> bool:
        current = self._s.incidents.get(incident.incident_id)
        if current is None or current.rev != rev or current.state not in states:
            return False
        self._s.incidents[incident.incident_id] = replace(incident, timeline=[], task_counts={}, alarm_ids=[])
        return True

    async def add_timeline(self, incident_id: str, entry: TimelineEntry) -> None:
        self._s.timelines.append((incident_id, entry))

    async def timeline(self, incident_id: str, limit: int) -> list[TimelineEntry]:
        return [entry for owner, entry in self._s.timelines if owner == incident_id][-limit:]

    async def task(self, task_id: str) -> TaskRecord | None:
        return self._s.tasks.get(task_id)

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
        found = [
            r
            for r in self._s.tasks.values()
            if (not incident_id or r.task.incident_id == incident_id)
            and (not unit_id or r.task.unit_id == unit_id)
            and (not states or r.task.state in states)
            and (scope.covers(area=r.task.area, hazard=r.task.hazard) or r.task.incident_id in also)
        ]
        return sorted(found, key=lambda r: r.task.task_id)[:limit]

    async def insert_task(self, record: TaskRecord) -> bool:
        same = [
            r
            for r in self._s.tasks.values()
            if r.task.incident_id == record.task.incident_id and r.origin == record.origin
        ]
        if same or record.task.task_id in self._s.tasks:
            return False
        self._s.tasks[record.task.task_id] = replace(record, task=replace(record.task, history=[]))
        return True

    async def update_task(self, record: TaskRecord, *, rev: int, states: Sequence[TaskState]) -> bool:
        current = self._s.tasks.get(record.task.task_id)
        if current is None or current.task.rev != rev or current.task.state not in states:
            return False
        kept = replace(record.task, history=current.task.history)
        self._s.tasks[record.task.task_id] = replace(record, task=kept)
        return True

    async def add_task_history(self, task_id: str, step: TaskHistory, device_time_us: int | None) -> None:
        record = self._s.tasks[task_id]
        self._s.tasks[task_id] = replace(record, task=replace(record.task, history=[*record.task.history, step]))

    async def unit(self, unit_id: str) -> UnitRecord | None:
        return self._s.units.get(unit_id)

    async def units(self) -> list[UnitRecord]:
        return [self._s.units[u] for u in sorted(self._s.units)]

    async def insert_unit(self, record: UnitRecord) -> bool:
        if record.unit.unit_id in self._s.units:
            return False
        self._s.units[record.unit.unit_id] = record
        return True

    async def update_unit(self, record: UnitRecord, *, rev: int, statuses: Sequence[UnitStatus]) -> bool:
        current = self._s.units.get(record.unit.unit_id)
        if current is None or current.rev != rev or current.unit.status not in statuses:
            return False
        self._s.units[record.unit.unit_id] = record
        return True

    async def add_unit_fix(
        self, unit_id: str, at_us: int, lon: float, lat: float, heading: float | None, speed_ms: float | None
    ) -> None:
        self._s.fixes.append((unit_id, at_us, lon, lat))

    async def alarm(self, alarm_id: str) -> AlarmRecord | None:
        condition = self._s.conditions.get(alarm_id)
        if condition is None:
            return None
        return AlarmRecord(condition=condition, side=self._s.sides.get(alarm_id, AlarmSide(alarm_id=alarm_id)))

    async def alarms(
        self, *, firing_only: bool, limit: int, before: str = "", scope: Scope = EVERYWHERE
    ) -> list[AlarmRecord]:
        raised, _, alarm_id = before.partition(":")
        keys = sorted(
            (
                self._raised(a)
                for a, c in self._s.conditions.items()
                if (c.firing or not firing_only) and scope.covers(area=c.last.area, hazard=c.last.hazard)
            ),
            reverse=True,
        )
        wanted = [key for key in keys if not before or key < (int(raised), alarm_id)][:limit]
        return [found for _, a in wanted if (found := await self.alarm(a)) is not None]

    async def alarms_of(self, incident_id: str) -> list[AlarmRecord]:
        linked = sorted((a for a, s in self._s.sides.items() if s.incident_id == incident_id), key=self._raised)
        return [found for a in linked if (found := await self.alarm(a)) is not None]

    async def put_condition(self, condition: Condition) -> None:
        self._s.conditions[condition.alarm_id] = condition

    async def put_side(self, side: AlarmSide) -> None:
        if side.alarm_id not in self._s.conditions:
            raise KeyError(side.alarm_id)
        self._s.sides[side.alarm_id] = side

    async def add_transition(self, transition: Transition) -> bool:
        key = (transition.alarm_id, transition.n)
        if key in self._s.transitions:
            return False
        self._s.transitions[key] = transition
        return True

    async def transitions(self, alarm_id: str) -> list[dict[str, Any]]:
        keys = sorted(key for key in self._s.transitions if key[0] == alarm_id)
        return [msgspec.to_builtins(self._s.transitions[key]) for key in keys]

    async def closures(self, *, open_only: bool = True) -> list[Closure]:
        ended = self._s.closure_ended if open_only else {}
        return [c for k, c in sorted(self._s.closures.items()) if k not in ended]

    async def closure(self, closure_id: str) -> Closure | None:
        return None if closure_id in self._s.closure_ended else self._s.closures.get(closure_id)

    async def open_closure_of(self, source: str) -> Closure | None:
        found = [k for k, s in self._s.closure_source.items() if s == source and k not in self._s.closure_ended]
        return self._s.closures[found[0]] if found else None

    async def put_closure(self, closure: Closure, source: str) -> None:
        self._s.closures[closure.closure_id] = closure
        if source:
            self._s.closure_source[closure.closure_id] = source

    async def end_closure(self, closure_id: str, at_us: int, by: str) -> bool:
        if closure_id in self._s.closure_ended or closure_id not in self._s.closures:
            return False
        self._s.closure_ended[closure_id] = at_us
        return True

    async def insert_request(self, request: Request) -> None:
        self._s.requests[request.request_id] = request

    async def request(self, request_id: str) -> Request | None:
        return self._s.requests.get(request_id)

    async def requests(self, incident_id: str = "") -> list[Request]:
        found = [r for r in self._s.requests.values() if not incident_id or r.incident_id == incident_id]
        return sorted(found, key=lambda r: r.request_id)

    async def update_request(self, request: Request, *, rev: int) -> bool:
        current = self._s.requests.get(request.request_id)
        if current is None or current.rev != rev:
            return False
        self._s.requests[request.request_id] = request
        return True

    async def put_timer(self, timer: Timer) -> None:
        self._s.timers[timer.timer_id] = timer

    async def drop_timer(self, timer_id: str) -> None:
        self._s.timers.pop(timer_id, None)

    async def timer(self, timer_id: str) -> Timer | None:
        return self._s.timers.get(timer_id)

    async def due_timers(self, machine_us: int, city_us: int, limit: int) -> list[Timer]:
        now = {"machine": machine_us, "city": city_us}
        due = [t for t in self._s.timers.values() if t.due_us <= now[t.clock]]
        return sorted(due, key=lambda t: (t.due_us, t.timer_id))[:limit]

    async def add_live(self, change: Change) -> int:
        self._s.live_count += 1
        self._s.live.append(replace(change, seq=self._s.live_count))
        return self._s.live_count

    async def live_since(self, channel: str, seq: int, limit: int) -> list[Change]:
        return [c for c in self._s.live if c.seq > seq and c.channel == channel][:limit]

    async def live_head(self) -> int:
        return self._s.live_count

    async def forget(self, live_before_us: int, keys_before_us: int) -> int:
        before = len(self._s.live) + len(self._s.keys)
        self._s.live = [c for c in self._s.live if c.at_us >= live_before_us]
        self._s.keys = {k: v for k, v in self._s.keys.items() if v[1] >= keys_before_us}
        return before - len(self._s.live) - len(self._s.keys)

    async def user(self, username: str) -> UserRecord | None:
        return self._s.users.get(username)

    async def users(self) -> list[UserRecord]:
        return [self._s.users[u] for u in sorted(self._s.users)]

    async def put_user(self, record: UserRecord) -> None:
        known = self._s.users.get(record.user.username)
        login_us = known.last_login_us if known else record.last_login_us  # put_user never moves it
        self._s.users[record.user.username] = replace(record, last_login_us=login_us)
