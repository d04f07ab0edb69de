"""What `command_center.api` may ask of the command centre. `CommandCenter` (service.py) implements it.

Every method raises the errors of `command_center.errors`; `Unavailable` when the database is not reachable. Nothing here
sends anything to the outside on the caller's path: notifications leave through an outbox.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from command_center.access.records import IncidentRole
from command_center.machines import RequestState
from command_center.model import (
    Actor,
    Alarm,
    Candidate,
    Closure,
    Incident,
    JournalEntry,
    Role,
    Task,
    TaskState,
    Unit,
    UnitStatus,
)
from command_center.records import Request
from gis.roads import Route


class CommandFacade(Protocol):
    async def alarms(
        self, actor: Actor, *, state: str = "open", limit: int = 200, cursor: str = ""
    ) -> tuple[list[Alarm], str | None]: ...
    async def alarm(self, actor: Actor, alarm_id: str) -> tuple[Alarm, list[dict[str, Any]]]:
        """The alarm and its transitions (builtins of rules.transitions.Transition), oldest first."""
        ...

    async def acknowledge(self, actor: Actor, alarm_id: str, comment: str = "") -> int:
        """Append the `ack` control; returns its log position. Works while the database is down."""
        ...

    async def shelve(self, actor: Actor, alarm_id: str, minutes: float, comment: str) -> int: ...
    async def unshelve(self, actor: Actor, alarm_id: str) -> int: ...
    async def reset(self, actor: Actor, alarm_id: str, comment: str) -> int:
        """Append the `reset` control: opens a latch, and ends an alarm whose sensors are silent. One that measures follows
        its data; a road that it closed stays closed."""
        ...

    async def bulletin(self, actor: Actor, bulletin: dict[str, Any]) -> int: ...

    async def incidents(
        self, actor: Actor, *, state: str = "", limit: int = 100, cursor: str = ""
    ) -> tuple[list[Incident], str | None]: ...
    async def incident(self, actor: Actor, incident_id: str) -> tuple[Incident, list[Task], list[Alarm]]: ...
    async def verify(self, actor: Actor, incident_id: str, comment: str = "") -> Incident: ...
    async def reject(self, actor: Actor, incident_id: str, comment: str) -> Incident: ...
    async def controlled(self, actor: Actor, incident_id: str, comment: str = "") -> Incident: ...
    async def close(self, actor: Actor, incident_id: str, comment: str) -> Incident:
        """TERMINATED. Refused (IllegalTransition) while a task is open or a linked alarm is firing."""
        ...

    async def note(self, actor: Actor, incident_id: str, text: str) -> Incident: ...

    async def issue_tasks(
        self, actor: Actor, incident_id: str, task_ids: Sequence[str] | None = None, *, idempotency_key: str = ""
    ) -> list[Task]: ...
    async def tasks(
        self, actor: Actor, *, unit_id: str = "", state: str = "", incident_id: str = "", limit: int = 200
    ) -> list[Task]: ...
    async def task(self, actor: Actor, task_id: str) -> Task: ...
    async def assign(self, actor: Actor, task_id: str, unit_id: str) -> Task: ...
    async def candidates(self, actor: Actor, task_id: str) -> list[Candidate]: ...
    async def move_task(
        self,
        actor: Actor,
        task_id: str,
        to: TaskState,
        *,
        comment: str = "",
        device_time_us: int | None = None,
        position: tuple[float, float] | None = None,
        idempotency_key: str = "",
    ) -> Task: ...
    async def route(self, actor: Actor, task_id: str) -> tuple[Route | None, list[Closure]]:
        """The unit's way to its task and the closures it avoids; None when no open way leads there."""
        ...

    async def requests(self, actor: Actor, incident_id: str = "") -> list[Request]: ...
    async def answer_request(
        self, actor: Actor, request_id: str, to: RequestState, *, signed_by: str, comment: str = ""
    ) -> Request:
        """What the other agency's dispatcher said; only COMMITTED gives the task to their unit."""
        ...

    async def units(self, actor: Actor) -> list[Unit]: ...
    async def unit_position(
        self,
        actor: Actor,
        unit_id: str,
        lon: float,
        lat: float,
        *,
        heading: float | None = None,
        speed_ms: float | None = None,
        ts_us: int | None = None,
    ) -> Unit: ...
    async def unit_status(self, actor: Actor, unit_id: str, status: UnitStatus) -> Unit: ...

    async def closures(self, actor: Actor) -> list[Closure]: ...
    async def close_road(
        self,
        actor: Actor,
        edges: Sequence[str],
        reason: str,
        *,
        depth_m: float | None,
        minutes: float | None,
        evidence: str = "",
    ) -> Closure: ...
    async def reopen_road(self, actor: Actor, closure_id: str) -> None: ...

    async def incident_roles(self, actor: Actor, incident_id: str) -> list[IncidentRole]: ...
    async def give_incident_role(
        self, actor: Actor, incident_id: str, username: str, role: Role, *, hours: float
    ) -> IncidentRole:
        """Commander or scene commander of this incident for so many city hours."""
        ...

    async def end_incident_role(self, actor: Actor, incident_id: str, role_id: str) -> None: ...

    async def journal(
        self, actor: Actor, *, entity: str = "", entity_id: str = "", limit: int = 200, cursor: str = ""
    ) -> tuple[list[JournalEntry], str | None]: ...
    async def plans(self, actor: Actor) -> list[dict[str, Any]]: ...
