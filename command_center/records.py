"""What the store keeps beside the nouns that travel: the inner side of alarms, tasks, units, timers, requests and users."""

from __future__ import annotations

from typing import Any

import msgspec

from command_center.machines import RequestState
from command_center.model import Ack, EscalationState, Task, Unit, UnitStatus, User
from rules.transitions import Condition


class AlarmSide(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The operator's side of an alarm. `rev` counts its changes and orders the `alarm_side` channel."""

    alarm_id: str
    rev: int = 0
    acked: Ack | None = None
    shelved_until_us: int | None = None  # city time
    shelved_by: str = ""
    incident_id: str = ""
    escalation: EscalationState | None = None


class AlarmRecord(msgspec.Struct, frozen=True, kw_only=True):
    condition: Condition
    side: AlarmSide


class TaskRecord(msgspec.Struct, frozen=True, kw_only=True):
    """`origin` = plan task and what it stands for; unique within the incident, so that a plan drafts nothing twice."""

    task: Task
    origin: str
    pre_authorised: bool = False
    refused_units: list[str] = []  # declined, or did not answer in time


class UnitRecord(msgspec.Struct, frozen=True, kw_only=True):
    unit: Unit
    rev: int = 0
    idle_status: UnitStatus = UnitStatus.IN_QTRS  # where a declined offer puts it back


class Timer(msgspec.Struct, frozen=True, kw_only=True):
    """A durable timer. `clock` machine: waits for a person; city: waits for something physical."""

    timer_id: str
    kind: str
    entity_id: str
    clock: str
    due_us: int
    data: dict[str, Any] = {}


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A 协调请求 or 仅通报 to another agency about a task."""

    request_id: str
    task_id: str
    incident_id: str
    unit_id: str
    kind: str  # request, notify
    state: RequestState
    asked_us: int
    changed_us: int
    asked_by: str
    signed_by: str = ""
    comment: str = ""
    rev: int = 1


class UserRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A user with what a login needs. Times are machine wall time: a login is not part of the city's story."""

    user: User
    password_hash: str
    failures: int = 0
    locked_until_us: int | None = None
    changed_us: int = 0
    last_login_us: int | None = None
    password_us: int = 0  # sessions older than this have ended
