"""What the command centre needs from the outside, as Protocols. `storage/command` is the PostgreSQL side, `storage/memory` its twin.

A `Store` gives transactions. Write transactions are serialised, so that `live_event` sequence numbers are in commit order.
A method that cannot reach the database raises `Unavailable`; the caller may try again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from command_center.access.ports import AccessTx
from command_center.access.scope import EVERYWHERE, Scope
from command_center.device_access import DeviceAccessTx
from command_center.device_care.ports import CareTx
from command_center.device_commands.ports import DeviceCommandTx
from command_center.duty.ports import DutyRows
from command_center.grid.ports import GridTx
from command_center.journal import JournalTx
from command_center.model import (
    Change,
    Closure,
    Incident,
    IncidentState,
    TaskHistory,
    TaskState,
    TimelineEntry,
    UnitStatus,
)
from command_center.outbox import OutboxTx
from command_center.records import AlarmRecord, AlarmSide, Request, TaskRecord, Timer, UnitRecord, UserRecord
from command_center.registers.import_ports import ImportTx
from command_center.registers.ports import RegisterTx
from command_center.video.ports import VideoTx
from devices.registry import Device, RegistryData
from rules.transitions import Condition, Transition
from stream.records import Appended, NewRecord, Record


class Append(Protocol):
    """The door to the log (`stream.AppendClient`)."""

    async def append(self, items: Sequence[NewRecord]) -> list[Appended]: ...


class Reader(Protocol):
    """The log, read by position (`stream.LogReader`)."""

    def read(self, after: int, max_rows: int) -> list[Record]: ...
    async def wait_async(self, after: int, timeout_s: float) -> bool: ...
    def commit(self, cursor: str, position: int) -> None: ...


Emit = Callable[[Change], None]
LiveDepth = Callable[[str], tuple[float, int, int] | None]
"""device id -> (water depth in metres, quality flag, phenomenon time in city us) as last measured, or None."""

LiveAlarm = Callable[[str], tuple[str, str] | None]
"""alarm id -> (area, hazard) of an alarm that is on the screens, or None."""

AreaOf = Callable[["Tx", float, float], Awaitable[str]]
"""Transaction, lon, lat (WGS 84 degrees) -> administrative code of the smallest registered area, "" outside all of them."""


class Tx(
    RegisterTx,
    AccessTx,
    DeviceAccessTx,
    JournalTx,
    ImportTx,
    DutyRows,
    CareTx,
    DeviceCommandTx,
    VideoTx,
    GridTx,
    OutboxTx,
    Protocol,
):
    """One transaction. Rows come back as they are in it; an update with a stale `rev` or state changes nothing and says so."""

    # the log and retries
    async def cursor(self, name: str) -> int: ...
    async def set_cursor(self, name: str, position: int, at_us: int) -> None: ...
    async def next_number(self, scope: str) -> int: ...
    async def remember(self, actor: str, key: str, fingerprint: str, at_us: int) -> str | None:
        """Keep an idempotency key. Returns the fingerprint that it came with before, None when it is new."""
        ...

    # incidents
    async def incident(self, incident_id: str) -> Incident | None:
        """Without timeline; `task_counts` and `alarm_ids` filled."""
        ...

    async def incidents(
        self,
        states: Sequence[IncidentState],
        limit: int,
        before: str = "",
        *,
        scope: Scope = EVERYWHERE,
        also: Sequence[str] = (),
    ) -> list[Incident]:
        """Newest id first, ids below `before`; empty `states` = all. Those inside `scope`, and those named in `also`."""
        ...

    async def open_incident(self, group_key: str) -> Incident | None: ...
    async def insert_incident(self, incident: Incident, group_key: str) -> None: ...
    async def update_incident(self, incident: Incident, *, rev: int, states: Sequence[IncidentState]) -> bool: ...
    async def add_timeline(self, incident_id: str, entry: TimelineEntry) -> None: ...
    async def timeline(self, incident_id: str, limit: int) -> list[TimelineEntry]:
        """The last `limit` entries, oldest first."""
        ...

    # tasks
    async def task(self, task_id: str) -> TaskRecord | None: ...
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
        """Those inside `scope`, and those of the incidents named in `also`."""
        ...

    async def insert_task(self, record: TaskRecord) -> bool:
        """False when the incident has a task of this origin already."""
        ...

    async def update_task(self, record: TaskRecord, *, rev: int, states: Sequence[TaskState]) -> bool: ...
    async def add_task_history(self, task_id: str, step: TaskHistory, device_time_us: int | None) -> None: ...

    # units
    async def unit(self, unit_id: str) -> UnitRecord | None: ...
    async def units(self) -> list[UnitRecord]: ...
    async def insert_unit(self, record: UnitRecord) -> bool: ...
    async def update_unit(self, record: UnitRecord, *, rev: int, statuses: Sequence[UnitStatus]) -> bool: ...
    async def add_unit_fix(
        self, unit_id: str, at_us: int, lon: float, lat: float, heading: float | None, speed_ms: float | None
    ) -> None: ...

    # alarms
    async def alarm(self, alarm_id: str) -> AlarmRecord | None: ...
    async def alarms(
        self, *, firing_only: bool, limit: int, before: str = "", scope: Scope = EVERYWHERE
    ) -> list[AlarmRecord]:
        """Newest first by (raised, id); `before` = "raised_us:alarm_id" of the last one seen."""
        ...

    async def alarms_of(self, incident_id: str) -> list[AlarmRecord]: ...
    async def put_condition(self, condition: Condition) -> None: ...
    async def put_side(self, side: AlarmSide) -> None: ...
    async def add_transition(self, transition: Transition) -> bool:
        """False when (alarm_id, n) stands already."""
        ...

    async def transitions(self, alarm_id: str) -> list[dict[str, Any]]: ...

    # roads
    async def closures(self, *, open_only: bool = True) -> list[Closure]: ...
    async def closure(self, closure_id: str) -> Closure | None: ...
    async def open_closure_of(self, source: str) -> Closure | None: ...
    async def put_closure(self, closure: Closure, source: str) -> None: ...
    async def end_closure(self, closure_id: str, at_us: int, by: str) -> bool: ...

    # requests to other agencies
    async def insert_request(self, request: Request) -> None: ...
    async def request(self, request_id: str) -> Request | None: ...
    async def requests(self, incident_id: str = "") -> list[Request]: ...
    async def update_request(self, request: Request, *, rev: int) -> bool: ...

    # timers
    async def put_timer(self, timer: Timer) -> None: ...
    async def drop_timer(self, timer_id: str) -> None: ...
    async def timer(self, timer_id: str) -> Timer | None: ...
    async def due_timers(self, machine_us: int, city_us: int, limit: int) -> list[Timer]: ...

    # live events (the journal: JournalTx)
    async def add_live(self, change: Change) -> int: ...
    async def live_since(self, channel: str, seq: int, limit: int) -> list[Change]: ...
    async def live_head(self) -> int: ...
    async def forget(self, live_before_us: int, keys_before_us: int) -> int:
        """Drop live events and idempotency keys older than these city times; returns how many rows went."""
        ...

    # users
    async def user(self, username: str) -> UserRecord | None: ...
    async def users(self) -> list[UserRecord]: ...
    async def put_user(self, record: UserRecord) -> None: ...


class Store(Protocol):
    def read(self) -> AbstractAsyncContextManager[Tx]: ...
    def write(self) -> AbstractAsyncContextManager[Tx]:
        """Commits when the block ends, rolls back when it raises. One at a time."""
        ...


class DeviceRegister(Protocol):
    """The database's register of devices (`storage.registry`): revisions are numbered and remembered until appended."""

    async def load(self) -> RegistryData: ...
    async def upsert(self, devices: Sequence[Device], *, author: str, approver: str, reason: str) -> RegistryData:
        """Write the devices under a new revision, give new datastreams their numbers; returns the change."""
        ...

    async def device_within(self, tx: Tx, device_id: str) -> Device | None:
        """As it stands inside `tx`; nobody changes the register until that ends."""
        ...

    async def upsert_within(
        self, tx: Tx, devices: Sequence[Device], *, author: str, approver: str = "", reason: str
    ) -> RegistryData:
        """As `upsert`, inside the transaction `tx`: both or neither."""
        ...

    async def remove(self, device_ids: Sequence[str], *, author: str, reason: str) -> RegistryData: ...
    async def unappended(self) -> list[RegistryData]: ...
    async def mark_appended(self, revision: int) -> None: ...
