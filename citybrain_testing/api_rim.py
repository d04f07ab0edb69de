"""Fakes behind the HTTP rim: a command centre, users and a picture in memory, and a clock that a test moves.

They hold the same promises as the real ones where the rim depends on them (errors by name, log positions for
acknowledgements), and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from citybrain_testing.command import make_world
from command_center.access.records import IncidentRole
from command_center.api.deps import ApiDeps
from command_center.audit import AuditService
from command_center.authority import Action, require
from command_center.errors import NotFound, Unavailable
from command_center.letters import LetterFilter
from command_center.machines import RequestState
from command_center.model import (
    Actor,
    Alarm,
    AlarmSubject,
    Authority,
    Candidate,
    Closure,
    Incident,
    IncidentState,
    JournalEntry,
    Role,
    Task,
    TaskState,
    Unit,
    UnitStatus,
    User,
)
from command_center.records import Request
from command_center.tasks import BY_UNIT
from devices.clock import ClockKind
from devices.registry import Datastream, Device, Registry, RegistryData
from gis.hub import Hub
from gis.roads import Route
from storage.memory.command import MemoryStore

CITY_US = 1_565_352_000_000_000  # 2019-08-09T12:00:00Z
WALL_US = 1_700_000_000_000_000


@dataclass(slots=True)
class HandClock:
    """A clock that stands still until a test moves it."""

    kind: ClockKind = "scaled"
    rate: float = 60.0
    city: int = CITY_US
    machine: int = 1_000_000_000_000
    wall: int = WALL_US

    def city_us(self) -> int:
        return self.city

    def machine_ns(self) -> int:
        return self.machine

    def machine_us(self) -> int:
        return self.wall

    def advance(self, seconds: float) -> None:
        """Machine seconds; city time follows at the rate."""
        self.machine += int(seconds * 1e9)
        self.wall += int(seconds * 1e6)
        self.city += int(seconds * 1e6 * self.rate)


def an_alarm(alarm_id: str = "a" * 16, **changes: Any) -> Alarm:
    alarm = Alarm(
        alarm_id=alarm_id,
        rule_id="flood.river-stage",
        rule_version="1",
        hazard="flood",
        subject=AlarmSubject(kind="datastream", id="7", name="一号水位站"),
        device_ids=["gauge-1"],
        area="339900",
        lon=121.45,
        lat=28.68,
        colour="orange",
        peak_colour="orange",
        no_data=False,
        latched=False,
        state="firing",
        title_zh="河道水位橙色",
        title_en="River stage orange",
        detail_zh="",
        detail_en="",
        value=4.2,
        uom="m",
        flags=[],
        raised_us=CITY_US,
        event_time_us=CITY_US,
        changed_us=CITY_US,
        cleared_us=None,
        n=1,
    )
    return msgspec.structs.replace(alarm, **changes)


def an_incident(incident_id: str = "I-20190809-001", **changes: Any) -> Incident:
    incident = Incident(
        incident_id=incident_id,
        kind="flood",
        title_zh="河道洪水",
        title_en="River flood",
        state=IncidentState.VERIFYING,
        state_zh="待核实",
        lon=121.45,
        lat=28.68,
        area="339900",
        colour="orange",
        opened_us=CITY_US,
        changed_us=CITY_US,
        rev=1,
        alarm_ids=["a" * 16],
    )
    return msgspec.structs.replace(incident, **changes)


def a_task(task_id: str = "I-20190809-001-T01", **changes: Any) -> Task:
    task = Task(
        task_id=task_id,
        incident_id="I-20190809-001",
        title_zh="封控涵洞",
        title_en="Close the underpass",
        detail_zh="",
        detail_en="",
        capability="traffic_control",
        state=TaskState.ISSUED,
        state_zh="已下达",
        unit_id="unit-1",
        unit_name="一队",
        unit_authority="direct",
        lon=121.45,
        lat=28.68,
        place="一号涵洞",
        due_us=None,
        issued_us=CITY_US,
        changed_us=CITY_US,
        rev=1,
    )
    return msgspec.structs.replace(task, **changes)


def a_unit(unit_id: str = "unit-1", **changes: Any) -> Unit:
    unit = Unit(
        unit_id=unit_id,
        name="一队",
        kind="flood",
        authority=Authority.DIRECT,
        capabilities=["flood_rescue"],
        status=UnitStatus.IN_QTRS,
        lon=121.45,
        lat=28.68,
    )
    return msgspec.structs.replace(unit, **changes)


def a_request() -> Request:
    return Request(
        request_id="I-20190809-001-R01",
        task_id="I-20190809-001-T01",
        incident_id="I-20190809-001",
        unit_id="army-1",
        kind="request",
        state=RequestState.REQUESTED,
        asked_us=CITY_US,
        changed_us=CITY_US,
        asked_by="duty1",
    )


class FakeFacade:
    """One alarm, one incident, two tasks of two units. `down` makes everything but controls unavailable."""

    def __init__(self) -> None:
        self.down = False
        self.position = 100
        self.calls: list[tuple[str, Any]] = []
        self._alarms = {"a" * 16: an_alarm()}
        self._incidents = {"I-20190809-001": an_incident()}
        self._tasks = {
            "I-20190809-001-T01": a_task(),
            "I-20190809-001-T02": a_task("I-20190809-001-T02", unit_id="unit-2"),
        }
        self._units = {"unit-1": a_unit(), "unit-2": a_unit("unit-2")}
        self._closures: dict[str, Closure] = {}

    def _up(self) -> None:
        if self.down:
            raise Unavailable("database is down", 7)

    def _control(self) -> int:
        self.position += 1
        return self.position

    async def alarms(
        self, actor: Actor, *, state: str = "open", limit: int = 200, cursor: str = ""
    ) -> tuple[list[Alarm], str | None]:
        self._up()
        return list(self._alarms.values())[:limit], None

    async def alarm(self, actor: Actor, alarm_id: str) -> tuple[Alarm, list[dict[str, Any]]]:
        self._up()
        if alarm_id not in self._alarms:
            raise NotFound("alarm", alarm_id)
        return self._alarms[alarm_id], [{"n": 1, "kind": "raised"}]

    async def acknowledge(self, actor: Actor, alarm_id: str, comment: str = "") -> int:
        self.calls.append(("ack", (actor.username, alarm_id, comment)))
        return self._control()

    async def shelve(self, actor: Actor, alarm_id: str, minutes: float, comment: str) -> int:
        self.calls.append(("shelve", (alarm_id, minutes)))
        return self._control()

    async def unshelve(self, actor: Actor, alarm_id: str) -> int:
        self.calls.append(("unshelve", alarm_id))
        return self._control()

    async def reset(self, actor: Actor, alarm_id: str, comment: str) -> int:
        self.calls.append(("reset", (alarm_id, comment)))
        return self._control()

    async def bulletin(self, actor: Actor, bulletin: dict[str, Any]) -> int:
        self.calls.append(("bulletin", bulletin))
        return self._control()

    async def incidents(
        self, actor: Actor, *, state: str = "", limit: int = 100, cursor: str = ""
    ) -> tuple[list[Incident], str | None]:
        self._up()
        return list(self._incidents.values()), None

    def _incident(self, incident_id: str) -> Incident:
        self._up()
        if incident_id not in self._incidents:
            raise NotFound("incident", incident_id)
        return self._incidents[incident_id]

    async def incident(self, actor: Actor, incident_id: str) -> tuple[Incident, list[Task], list[Alarm]]:
        return self._incident(incident_id), list(self._tasks.values()), list(self._alarms.values())

    async def _move_incident(self, what: str, incident_id: str, comment: str) -> Incident:
        self.calls.append((what, (incident_id, comment)))
        return self._incident(incident_id)

    async def verify(self, actor: Actor, incident_id: str, comment: str = "") -> Incident:
        return await self._move_incident("verify", incident_id, comment)

    async def reject(self, actor: Actor, incident_id: str, comment: str) -> Incident:
        return await self._move_incident("reject", incident_id, comment)

    async def controlled(self, actor: Actor, incident_id: str, comment: str = "") -> Incident:
        return await self._move_incident("controlled", incident_id, comment)

    async def close(self, actor: Actor, incident_id: str, comment: str) -> Incident:
        return await self._move_incident("close", incident_id, comment)

    async def note(self, actor: Actor, incident_id: str, text: str) -> Incident:
        return await self._move_incident("note", incident_id, text)

    async def issue_tasks(
        self, actor: Actor, incident_id: str, task_ids: Sequence[str] | None = None, *, idempotency_key: str = ""
    ) -> list[Task]:
        require(actor, Action.ISSUE_TASKS)
        self._incident(incident_id)
        self.calls.append(("issue", (task_ids, idempotency_key)))
        return list(self._tasks.values())

    async def tasks(
        self, actor: Actor, *, unit_id: str = "", state: str = "", incident_id: str = "", limit: int = 200
    ) -> list[Task]:
        self._up()
        return [t for t in self._tasks.values() if not unit_id or t.unit_id == unit_id]

    async def task(self, actor: Actor, task_id: str) -> Task:
        self._up()
        if task_id not in self._tasks:
            raise NotFound("task", task_id)
        return self._tasks[task_id]

    async def assign(self, actor: Actor, task_id: str, unit_id: str) -> Task:
        require(actor, Action.ASSIGN)
        self.calls.append(("assign", (task_id, unit_id)))
        return await self.task(actor, task_id)

    async def candidates(self, actor: Actor, task_id: str) -> list[Candidate]:
        self._up()
        unit = self._units["unit-1"]
        return [Candidate(unit=unit, eta_s=60.0, capable=True, available=True, reasons_zh=[], reasons_en=[])]

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
    ) -> Task:
        require(actor, Action.RESPOND if to in BY_UNIT else Action.CHECK_TASK)
        self.calls.append(("move", (task_id, to, device_time_us, position, idempotency_key)))
        task = await self.task(actor, task_id)
        self._tasks[task_id] = task = msgspec.structs.replace(task, state=to, rev=task.rev + 1)
        return task

    async def route(self, actor: Actor, task_id: str) -> tuple[Route | None, list[Closure]]:
        self._up()
        way = Route(seconds=60.0, distance_m=500.0, edge_ids=("r1",), coordinates=((121.4, 28.6), (121.5, 28.7)))
        return way, list(self._closures.values())

    async def requests(self, actor: Actor, incident_id: str = "") -> list[Request]:
        self._up()
        return [a_request()]

    async def answer_request(
        self, actor: Actor, request_id: str, to: RequestState, *, signed_by: str, comment: str = ""
    ) -> Request:
        self._up()
        return msgspec.structs.replace(a_request(), request_id=request_id, state=to, signed_by=signed_by)

    async def units(self, actor: Actor) -> list[Unit]:
        self._up()
        return list(self._units.values())

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
    ) -> Unit:
        self._up()
        self.calls.append(("position", (unit_id, lon, lat, ts_us)))
        return msgspec.structs.replace(self._units[unit_id], lon=lon, lat=lat)

    async def unit_status(self, actor: Actor, unit_id: str, status: UnitStatus) -> Unit:
        self._up()
        return msgspec.structs.replace(self._units[unit_id], status=status)

    async def closures(self, actor: Actor) -> list[Closure]:
        self._up()
        return list(self._closures.values())

    async def close_road(
        self,
        actor: Actor,
        edges: Sequence[str],
        reason: str,
        *,
        depth_m: float | None,
        minutes: float | None,
        evidence: str = "",
    ) -> Closure:
        self._up()
        number = len(self._closures) + 1
        closure = Closure(
            closure_id=f"C{number}",
            edges=list(edges),
            reason=reason,
            lon=121.45,
            lat=28.68,
            depth_m=depth_m,
            since_us=CITY_US,
            expires_us=None,
            author=actor.username,
        )
        self._closures[closure.closure_id] = closure
        return closure

    async def reopen_road(self, actor: Actor, closure_id: str) -> None:
        self._up()
        if self._closures.pop(closure_id, None) is None:
            raise NotFound("closure", closure_id)

    async def incident_roles(self, actor: Actor, incident_id: str) -> list[IncidentRole]:
        self._incident(incident_id)
        return []

    async def give_incident_role(
        self, actor: Actor, incident_id: str, username: str, role: Role, *, hours: float
    ) -> IncidentRole:
        self._incident(incident_id)
        raise NotFound("user", username)

    async def end_incident_role(self, actor: Actor, incident_id: str, role_id: str) -> None:
        self._incident(incident_id)
        raise NotFound("role", role_id)

    async def journal(
        self, actor: Actor, *, entity: str = "", entity_id: str = "", limit: int = 200, cursor: str = ""
    ) -> tuple[list[JournalEntry], str | None]:
        self._up()
        return [], None

    async def plans(self, actor: Actor) -> list[dict[str, Any]]:
        self._up()
        plan = {"plan_id": "plan.flood", "version": "1", "kind": "flood", "title": {"zh": "防汛", "en": "Flood"}}
        return [plan | {"jurisdiction": "demo", "source": "test", "tasks": []}]


PASSWORD = "correct horse battery"  # noqa: S105  (of nobody: the users below exist in tests only)

USERS = {
    user.username: user
    for user in (
        User(username="duty1", name="值班员一", roles=[Role.OPERATOR]),
        User(username="leader1", name="带班领导", roles=[Role.LEADER]),
        User(username="unit-1", name="一队", roles=[Role.RESPONDER], unit_id="unit-1"),
        User(username="unit-2", name="二队", roles=[Role.RESPONDER], unit_id="unit-2"),
        User(username="vendor1", name="厂商", roles=[Role.VENDOR], vendor="acme"),
        User(username="analyst1", name="分析员", roles=[Role.ANALYST]),
        User(username="admin", name="管理员", roles=[Role.ADMIN]),
        User(username="met", name="气象", roles=[Role.MET]),
        User(username="security", name="安全管理员", roles=[Role.SECURITY]),
        User(username="auditor", name="审计员", roles=[Role.AUDITOR]),
        User(username="gone", name="离职", roles=[Role.ADMIN], enabled=False),
    )
}


class FakeUsers:
    def __init__(self) -> None:
        self.down = False

    async def verify(self, username: str, password: str) -> User | None:
        if self.down:
            raise Unavailable("database is down", 7)
        return USERS.get(username) if password == PASSWORD else None

    async def wrong_code(self, username: str) -> None:
        pass


@dataclass(slots=True)
class FakePicture:
    registry: Registry
    alarms: list[Alarm] = field(default_factory=list)

    def status_of(self, device_id: str) -> str:
        return "online"

    def latest_of(self, device_id: str) -> Mapping[str, Sequence[Any]]:
        return {"stage_m": [4.2, 1, CITY_US]}

    def open_alarms(self) -> list[Alarm]:
        return list(self.alarms)


def a_registry() -> Registry:
    gauge = Device(
        device_id="gauge-1",
        model="water-gauge-v1",
        kind="water_gauge",
        name="一号水位站",
        lon=121.45,
        lat=28.68,
        area="339900001",
        vendor="acme",
    )
    other = Device(
        device_id="cam-1", model="camera-v1", kind="camera", name="一号相机", lon=121.5, lat=28.7, vendor="zeta"
    )
    streams = [
        Datastream(datastream=7, device_id="gauge-1", property="stage_m", uom="m"),
        Datastream(datastream=8, device_id="cam-1", property="fps", uom="1/s"),
    ]
    return Registry.from_data(RegistryData(revision=1, full=True, devices=[gauge, other], datastreams=streams))


class FakeHistory:
    """Answers with the columns that `storage/history.py` has: held against the document here, and there by its own tests."""

    async def observations(self, datastream: int, from_us: int, to_us: int, limit: int) -> list[dict[str, Any]]:
        times = {"phenomenon_us": from_us, "receive_us": from_us, "device_us": None}
        return [times | {"result": 1.0, "text": None, "quality": 1, "source": 1}]

    async def buckets(self, datastream: int, from_us: int, to_us: int, bucket_us: int) -> list[dict[str, Any]]:
        numbers = {"min": 1.0, "max": 1.0, "mean": 1.0, "last": 1.0, "good": 1.0}
        return [{"t_us": from_us, "count": 1, "last_text": None} | numbers]

    async def area_buckets(
        self, series: Sequence[int], from_us: int, to_us: int, bucket_us: int
    ) -> list[dict[str, Any]]:
        numbers = {"min": 1.0, "max": 1.0, "mean": 1.0, "good": 1.0}
        return [{"t_us": from_us, "count": 1, "series": len(series)} | numbers]

    async def check(self, device_id: str) -> dict[str, Any]:
        counts = {"received": 3, "flagged": 1, "clock_fault": 0, "backfilled": 0, "conflicts": 0, "dead_lettered": 0}
        lists = ("state", "attributes", "last_messages", "last_events", "dead_letters", "refusals", "notes")
        return {
            "device_id": device_id,
            **counts,
            "refused": 0,
            "last_receive_us": CITY_US,
            "clock_offset_s": None,
            "properties": [{"property": "stage_m", "datastream": 7, "received": 3}],
            **{name: [] for name in lists},
        }

    async def dead_letters(
        self, asked: LetterFilter, limit: int, cursor: str
    ) -> tuple[list[dict[str, Any]], str | None]:
        data = msgspec.to_builtins(asked)
        row = {"position": 5, "device_id": "gauge-1", "receive_us": CITY_US, "reason": "bad_json", "data": data}
        return [row | {"sha256": "", "size_bytes": 1, "raw": "ew==", "text": "{", "replayed": None}], None


class FakeRegisters:
    def children(self, actor: Actor, device_id: str) -> list[Device]:
        return []

    async def add_device(self, actor: Actor, document: Mapping[str, Any]) -> tuple[Device, str]:
        return msgspec.convert(dict(document), Device), "shown-once"

    async def import_devices(
        self, actor: Actor, documents: Sequence[Mapping[str, Any]], *, reason: str
    ) -> tuple[int, Mapping[str, str]]:
        return 2, {str(document["device_id"]): "shown-once" for document in documents}


def live_hub() -> Hub:
    """A hub with the channels of docs/interfaces.md section 8, empty."""
    hub = Hub("epoch-1")
    hub.state("obj/device", ["id", "ver", "lon_e6", "lat_e6", "name"])
    hub.state("obj/unit", ["id", "ver", "lon_e6", "lat_e6", "name"])
    hub.state("obj/closure", ["id", "ver", "lon_e6", "lat_e6", "reason"])
    hub.state("obj/typhoon", ["id", "ver", "lon_e6", "lat_e6", "name_zh"])
    hub.state("kpi/board", ["id", "ver", "value"], spatial=False)
    for name in ("alarm", "incident", "task", "instruction", "sys"):
        hub.events(name, epoch=f"{name}-run")
    return hub


def an_audit(store: MemoryStore | None = None) -> AuditService:
    """A journal in memory, empty unless given."""
    store = store or MemoryStore()
    return AuditService(store, make_world(store).center.env, lambda _: None)


def fake_deps(**changes: Any) -> ApiDeps:
    """Dependencies made of the fakes above; anything can be replaced."""
    deps = ApiDeps(
        tenant="test",
        run_id="run-1",
        clock=HandClock(),
        tick_us=3_000_000,
        facade=FakeFacade(),
        users=FakeUsers(),
        hub=live_hub(),
        picture=FakePicture(a_registry()),
        signing_key=b"k" * 32,
        history=FakeHistory(),
        registers=FakeRegisters(),
        banner={"zh": "演示", "en": "Demo"},
        metrics_token="metrics-secret",  # noqa: S106
        audit=an_audit(),
    )
    return replace(deps, **changes)
