"""The live picture: follows the log and tells the hub. Needs no database.

Alarms, device states and typhoons come from the log; incidents, tasks, units and closures come from the command centre after
each commit (`on_change`). Every half minute the whole picture goes into a snapshot beside the log, so that a restart shows what
was there even while the database is down.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
import structlog
from prometheus_client import Counter, Gauge

from command_center.duty.model import DutyNow, Instruction
from command_center.model import Alarm, Change, Closure, Incident, IncidentState, Task, TaskState, Unit
from command_center.picture_alarms import AlarmBoard, OpenAlarm
from command_center.picture_devices import SCHEMA as DEVICE_SCHEMA
from command_center.picture_devices import DeviceBoard, DeviceLive
from command_center.ports import Reader
from devices.clock import Clock
from devices.registry import Registry, registry_data, touched
from gis.hub import EventChannel, Hub, KeptEvent, PastEvent
from gis.sight import UNLABELLED, Label
from hazards.bulletins import Bulletin, TrackPoint
from rules import transitions
from stream.errors import LogTrimmed
from stream.records import ControlBody, Record, RecordKind, as_batch, as_control, as_event, as_resume

log = structlog.get_logger(__name__)

SNAPSHOT = "picture"
SNAPSHOT_VERSION = 2
SNAPSHOT_EVERY_S = 30.0
READ_ROWS = 64  # a frame holds up to about 1,000 observations
YIELD_S = 0.005  # catching up must not keep screens waiting
WAIT_S = 0.25  # the board's clock moves even when the log is quiet
FLUSH_EVERY_S = 0.2
FLUSH_SHARE = 0.1  # of the time at most: with thousands of devices a second, their rows are told less often; alarms never wait for it
BOARD_EVERY_S = 0.5  # at most twice a machine second
SWEEP_EVERY_S = 2.0
RING_KEPT = 300  # alarm events that survive a restart for resuming screens
UNIT_STALE_S = 90.0  # three missed 30 s reports; two are common when a cell hands over

RECORDS = Counter("citybrain_picture_records_total", "Log records that the picture took", ["kind"])
UNREADABLE = Counter("citybrain_picture_unreadable_total", "Log records that the picture could not read", ["kind"])
POSITION = Gauge("citybrain_picture_position", "Log position of the live picture")

UNIT_SCHEMA = (
    "id",
    "ver",
    "lon_e6",
    "lat_e6",
    "heading",
    "speed_cm_s",
    "status",
    "t_us",
    "stale_s",
    "name",
    "kind",
    "task_id",
)
CLOSURE_SCHEMA = ("id", "ver", "lon_e6", "lat_e6", "reason", "depth_m", "since_us", "expires_us", "edges")
TYPHOON_SCHEMA = (
    "id",
    "ver",
    "lon_e6",
    "lat_e6",
    "name_zh",
    "name_en",
    "wind_ms",
    "pressure_hpa",
    "t_us",
    "issuer",
    "number",
    "track",
)
BOARD_SCHEMA = ("id", "ver", "value")


class Snapshots(Protocol):
    """Where the picture is kept over a restart (`stream.LogReader`)."""

    def put_snapshot(self, name: str, position: int, blob: bytes) -> bool: ...
    def get_snapshot(self, name: str) -> tuple[int, bytes] | None: ...


class _Saved(msgspec.Struct, kw_only=True):
    """The picture at one position."""

    version: int
    at_us: int
    quiet_from_us: int
    devices: dict[str, DeviceLive]
    alarms: list[OpenAlarm]
    bulletins: list[Bulletin]
    ring_seq: int
    ring_floor: int
    ring: list[KeptEvent]
    domain_seq: int
    incidents: list[Incident]
    tasks: list[Task]
    units: list[Unit]
    closures: list[Closure]
    rules: dict[str, dict[str, Any]] = {}
    instructions: list[Instruction] = []
    duty: DutyNow | None = None


class PictureFollower:
    """Reads the log and keeps the hub's channels. One per tenant, in the process `command`.

    `stored_position`: log position that the database side has committed, None while the database cannot be reached.
    `health`: rows for the board by name (`broker`, ...), asked twice a second.
    """

    def __init__(
        self,
        reader: Reader,
        hub: Hub,
        registry: Registry,
        snapshots: Snapshots,
        clock: Clock,
        *,
        run_id: str,
        stored_position: Callable[[], int | None],
        health: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        self._reader, self._snapshots, self._clock = reader, snapshots, clock
        self._stored_position, self._health = stored_position, health
        self.registry = registry
        self.position = 0
        self.devices = DeviceBoard(registry, hub.state("obj/device", DEVICE_SCHEMA))
        self.alarms = AlarmBoard(hub.events("alarm", epoch=f"log-{run_id}"))
        self._units_channel = hub.state("obj/unit", UNIT_SCHEMA)
        self._closures_channel = hub.state("obj/closure", CLOSURE_SCHEMA)
        self._typhoons = hub.state("obj/typhoon", TYPHOON_SCHEMA)
        self._board = hub.state("kpi/board", BOARD_SCHEMA, spatial=False)
        self._incidents_channel = hub.events("incident", epoch=f"db-{run_id}")
        self._tasks_channel = hub.events("task", epoch=f"db-{run_id}")
        self._instructions_channel = hub.events("instruction", epoch=f"db-{run_id}")
        self._sys = hub.events("sys")
        self._banners: dict[str, tuple[str, str, str]] = {}  # kind, zh, en of what stands
        self._bulletins: dict[str, Bulletin] = {}
        self._rules: dict[str, dict[str, Any]] = {}
        self._incidents: dict[str, Incident] = {}
        self._tasks: dict[str, Task] = {}
        self._units: dict[str, Unit] = {}
        self._closures: dict[str, Closure] = {}
        self._instructions: dict[str, Instruction] = {}
        self._duty: DutyNow | None = None
        self._data_s: float | None = None  # machine time of the newest word from any device
        self._yielded_s = self._next_flush_s = self._next_board_s = self._next_sweep_s = 0.0
        self._next_save_s = self._now_s() + SNAPSHOT_EVERY_S

    def _now_s(self) -> float:
        return self._clock.machine_ns() / 1e9

    # -- following the log -----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow until cancelled. Reading goes on where the snapshot ends, or at the oldest record that is kept."""
        await self.restore()
        while True:
            if not await self.step():
                await self._reader.wait_async(self.position, WAIT_S)

    async def step(self) -> int:
        """Take what is there and tell the hub what is due; returns the number of records."""
        try:
            records = self._reader.read(self.position, READ_ROWS)
        except LogTrimmed as error:
            log.warning("picture_behind_the_log", position=self.position, error=str(error))
            self.position = 0  # begins with the oldest record that is kept
            records = self._reader.read(0, READ_ROWS)
        for record in records:
            self.take(record)
            if self._now_s() - self._yielded_s > YIELD_S:
                await asyncio.sleep(0)
                self._yielded_s = self._now_s()
        await self._due()
        return len(records)

    def take(self, record: Record) -> None:
        """One record. What cannot be read is counted and left out: the picture must go on."""
        kind = record.kind.name.lower()
        RECORDS.labels(kind=kind).inc()
        self.devices.now_us = record.at_us
        try:
            self._apply(record)
        except (msgspec.DecodeError, ValueError, KeyError) as error:
            UNREADABLE.labels(kind=kind).inc()
            log.exception("picture_unreadable_record", position=record.position, kind=kind, error=str(error))
        self.position = record.position
        POSITION.set(record.position)

    def _apply(self, record: Record) -> None:
        match record.kind:
            case RecordKind.OBS:
                batch = as_batch(record)
                self.devices.observations(batch, record.at_us)
                self._data_s = self._now_s()
            case RecordKind.EVENT:
                self.devices.event(as_event(record), record.at_us)
            case RecordKind.TRANSITION:
                condition = self.alarms.transition(transitions.decode(record.body), record.position, self._now_s())
                if condition is not None:
                    self.devices.alarm(condition)
            case RecordKind.CONTROL:
                self._control(as_control(record), record)
            case RecordKind.RESUME:
                self.devices.quiet_from_us = as_resume(record).to_us
            case RecordKind.TICK:
                pass

    def _control(self, body: ControlBody, record: Record) -> None:
        if body.type == "registry":
            data = registry_data(body.data)
            self.registry.apply(data)
            self.devices.registered(touched(data))
        elif body.type == "bulletin":
            self._bulletin(msgspec.convert(body.data["bulletin"], Bulletin), record.at_us)
        elif body.type == "rules":
            for row in body.data.get("activate", []):
                self._rules[row["rule_id"]] = {**row, "position": record.position, "at_us": record.at_us}
            for rule_id in body.data.get("retire", []):
                self._rules.pop(rule_id, None)
        else:
            self.alarms.control(body, record.position, record.at_us, self._now_s())

    def _bulletin(self, bulletin: Bulletin, at_us: int) -> None:
        """The newest issue of a storm stands on the map where its last analysed fix is."""
        known = self._bulletins.get(bulletin.storm_id)
        if known is not None and (known.issued_us, known.number) > (bulletin.issued_us, bulletin.number):
            return
        analysed = [p for p in bulletin.track if p.analysis] or bulletin.track[:1]
        if not analysed:
            return
        self._bulletins[bulletin.storm_id] = bulletin
        fix = max(analysed, key=lambda p: p.time_us)
        track = [_track_point(point) for point in bulletin.track]
        columns = [
            bulletin.name_zh,
            bulletin.name_en,
            fix.wind_ms,
            fix.pressure_hpa,
            fix.time_us,
            bulletin.issuer,
            bulletin.number,
            track,
        ]
        self._typhoons.put(bulletin.storm_id, columns, t_us=at_us, lon=fix.lon, lat=fix.lat)

    # -- what the command centre says ------------------------------------------------------------------------------

    def on_change(self, change: Change) -> None:
        """A committed change. Channels that are not shown live are left out."""
        match change.channel:
            case "incident":
                self._incident(msgspec.convert(change.data, Incident), change)
            case "task":
                self._task(msgspec.convert(change.data, Task), change)
            case "unit":
                self._unit(change.id, None if change.removed else msgspec.convert(change.data, Unit), change.at_us)
            case "closure":
                closure = None if change.removed else msgspec.convert(change.data, Closure)
                self._closure(change.id, closure, change.at_us)
            case "instruction":
                self._instruction(msgspec.convert(change.data, Instruction), change)
            case "duty":
                self._on_duty(msgspec.convert(change.data, DutyNow))
            case "alarm_side":
                self.alarms.stored_side(msgspec.convert(change.data, Alarm), change.at_us)
            case _:
                log.debug("picture_ignores_change", channel=change.channel)

    def _incident(self, incident: Incident, change: Change) -> None:
        keep = _shown(incident)
        _keep(self._incidents, incident.incident_id, incident, keep)
        self._incidents_channel.publish(
            seq=change.seq,
            kind=change.kind,
            object_id=incident.incident_id,
            rev=incident.rev,
            data=incident,
            t_us=change.at_us,
            area=incident.area,
            hazard=incident.kind,
            keep=keep,
        )

    def _task(self, task: Task, change: Change) -> None:
        keep = task.state is not TaskState.CLOSED
        _keep(self._tasks, task.task_id, task, keep)
        self._tasks_channel.publish(
            seq=change.seq,
            kind=change.kind,
            object_id=task.task_id,
            rev=task.rev,
            data=task,
            t_us=change.at_us,
            owner=task_owner(task),
            area=task.area,
            hazard=task.hazard,
            keep=keep,
        )

    def _instruction(self, instruction: Instruction, change: Change) -> None:
        _keep(self._instructions, instruction.instruction_id, instruction, instruction.open)
        self._instructions_channel.publish(
            seq=change.seq,
            kind=change.kind,
            object_id=instruction.instruction_id,
            rev=instruction.rev,
            data=instruction,
            t_us=change.at_us,
            owner=instruction_owner(instruction),
            area=instruction.area or None,
            keep=instruction.open,
        )

    def _on_duty(self, duty: DutyNow) -> None:
        """Who is on duty, for the board; a post that nobody holds is a banner until somebody does."""
        self._duty = duty
        self.banner(
            "duty_gap",
            "duty_gap",
            active=bool(duty.gaps),
            zh="；".join(g.text_zh for g in duty.gaps),
            en="; ".join(g.text_en for g in duty.gaps),
        )

    def banners(self) -> list[dict[str, str]]:
        """What stands on every screen about the system itself."""
        return [
            {"id": name, "kind": kind, "text_zh": zh, "text_en": en} for name, (kind, zh, en) in self._banners.items()
        ]

    def _unit(self, unit_id: str, unit: Unit | None, at_us: int) -> None:
        if unit is None:
            self._units.pop(unit_id, None)
            self._units_channel.remove(unit_id, t_us=at_us)
            return
        self._units[unit_id] = unit
        columns = [
            unit.heading,
            None if unit.speed_ms is None else round(unit.speed_ms * 100),
            unit.status,
            unit.fix_us,
            UNIT_STALE_S * max(1.0, self._clock.rate),  # people report by machine time, screens count city time
            unit.name,
            unit.kind,
            unit.task_id,
        ]
        self._units_channel.put(unit_id, columns, t_us=at_us, lon=unit.lon, lat=unit.lat, owner=unit_id, area=unit.area)

    def _closure(self, closure_id: str, closure: Closure | None, at_us: int) -> None:
        if closure is None:
            self._closures.pop(closure_id, None)
            self._closures_channel.remove(closure_id, t_us=at_us)
            return
        self._closures[closure_id] = closure
        columns = [closure.reason, closure.depth_m, closure.since_us, closure.expires_us, closure.edges]
        self._closures_channel.put(closure_id, columns, t_us=at_us, lon=closure.lon, lat=closure.lat, area=closure.area)

    def load_domain(
        self,
        seq: int,
        incidents: Sequence[Incident],
        tasks: Sequence[Task],
        units: Sequence[Unit],
        closures: Sequence[Closure],
    ) -> None:
        """What the database holds, read at live sequence `seq`: at the start, and when the database comes back.

        An object that is newer here already (by `rev`) stays; what the database does not have any more leaves.
        """
        for channel in (self._incidents_channel, self._tasks_channel, self._instructions_channel):
            if channel.seq < seq:
                channel.skip_to(seq)
        now_us = self._clock.city_us()
        shown = {i.incident_id: i for i in incidents if _shown(i)}
        _replace(self._incidents_channel, self._incidents, shown, incident_label)
        open_tasks = {t.task_id: t for t in tasks if t.state is not TaskState.CLOSED}
        _replace(self._tasks_channel, self._tasks, open_tasks, task_label)
        for unit in units:
            self._unit(unit.unit_id, unit, now_us)
        for closure in closures:
            self._closure(closure.closure_id, closure, now_us)
        for gone in self._units.keys() - {u.unit_id for u in units}:
            self._unit(gone, None, now_us)
        for gone in self._closures.keys() - {c.closure_id for c in closures}:
            self._closure(gone, None, now_us)

    def load_instructions(self, seq: int, instructions: Sequence[Instruction]) -> None:
        """The open instructions of the database, as `load_domain` does it for the rest."""
        if self._instructions_channel.seq < seq:
            self._instructions_channel.skip_to(seq)
        fresh = {i.instruction_id: i for i in instructions if i.open}
        _replace(self._instructions_channel, self._instructions, fresh, instruction_label)

    def banner(self, identifier: str, kind: str, *, active: bool, zh: str = "", en: str = "") -> None:
        """A line on every screen about the system itself (`child_down`, `clock_behind`, `broker_drop`); `active` False ends it."""
        wanted = (kind, zh, en) if active else None
        if self._banners.get(identifier) == wanted:
            return  # an event is news: what screens show already is none
        if wanted is None:
            del self._banners[identifier]
        else:
            self._banners[identifier] = wanted
        data = {"id": identifier, "kind": kind, "active": active, "text_zh": zh, "text_en": en}
        seq = self._sys.seq + 1
        self._sys.publish(
            seq=seq, kind=kind, object_id=identifier, rev=seq, data=data, t_us=self._clock.city_us(), keep=active
        )

    # -- what screens and the rim ask --------------------------------------------------------------------------------

    def status_of(self, device_id: str) -> str:
        return self.devices.status_of(device_id)

    def active_rules(self) -> list[dict[str, Any]]:
        """The rules as they were last activated, by rule id: document, version, author, approver, source, position."""
        return [self._rules[rule_id] for rule_id in sorted(self._rules)]

    def latest_of(self, device_id: str) -> Mapping[str, Sequence[Any]]:
        return self.devices.latest_of(device_id)

    def alarm_place(self, alarm_id: str) -> tuple[str, str] | None:
        """(area, hazard) of an alarm that is on the screens: what permission asks, also without the database."""
        known = self.alarms.alarms.get(alarm_id)
        return None if known is None else (known.condition.last.area, known.condition.last.hazard)

    def open_alarms(self) -> list[Alarm]:
        """Newest first."""
        return sorted(self.alarms.open(), key=lambda a: (-a.raised_us, a.alarm_id))

    # -- what is due now and then ------------------------------------------------------------------------------------

    async def _due(self) -> None:
        now_s = self._now_s()
        if now_s >= self._next_sweep_s:
            self._next_sweep_s = now_s + SWEEP_EVERY_S
            self.devices.sweep()
            self.alarms.forget_old(self.devices.now_us)
        if now_s >= self._next_flush_s:
            self.devices.flush()
            self._next_flush_s = now_s + max(FLUSH_EVERY_S, (self._now_s() - now_s) / FLUSH_SHARE)
        if now_s >= self._next_board_s:
            self._next_board_s = now_s + BOARD_EVERY_S
            self.alarms.check_stored(self._stored_position(), now_s, self._clock.city_us())
            self.put_board()
        if now_s >= self._next_save_s:
            await self.save()

    def put_board(self) -> None:
        """The figures of `kpi/board`. Ages are machine seconds: a person watches."""
        now_s, city_us = self._now_s(), self._clock.city_us()
        age_s = None if self._data_s is None else round(now_s - self._data_s, 1)
        rows: dict[str, Any] = {
            "clock": {"city_us": city_us, "rate": self._clock.rate, "kind": self._clock.kind},
            "link": {"age_s": age_s, "log_us": self.devices.now_us},
            "devices_online": self.devices.counts(),
            "alarms_by_colour": self.alarms.by_colour(),
            "incidents_by_state": _count(i.state for i in self._incidents.values()),
            "units_by_status": _count(u.status for u in self._units.values()),
            "unstored": self.alarms.unstored(),
            "database": {"up": self._stored_position() is not None},
            "duty": None if self._duty is None else self._duty.as_row(),
            **self._health(),
        }
        for name, value in rows.items():
            self._board.put(name, [value], t_us=city_us)

    async def save(self) -> None:
        """Write the snapshot; the next one is due in half a minute."""
        self._next_save_s = self._now_s() + SNAPSHOT_EVERY_S
        self.devices.settle()
        seq, floor, ring = self.alarms.channel.dump(RING_KEPT)
        saved = _Saved(
            version=SNAPSHOT_VERSION,
            at_us=self.devices.now_us,
            quiet_from_us=self.devices.quiet_from_us,
            devices=self.devices.live,
            alarms=list(self.alarms.alarms.values()),
            bulletins=list(self._bulletins.values()),
            ring_seq=seq,
            ring_floor=floor,
            ring=ring,
            domain_seq=self._tasks_channel.seq,
            incidents=list(self._incidents.values()),
            tasks=list(self._tasks.values()),
            units=list(self._units.values()),
            closures=list(self._closures.values()),
            rules=self._rules,
            instructions=list(self._instructions.values()),
            duty=self._duty,
        )
        blob = msgspec.msgpack.encode(saved)
        await asyncio.to_thread(self._snapshots.put_snapshot, SNAPSHOT, self.position, blob)

    async def restore(self) -> bool:
        """Take over the newest snapshot, before the first record; False when there is none that can be read."""
        found = await asyncio.to_thread(self._snapshots.get_snapshot, SNAPSHOT)
        if found is None:
            self.devices.registered()
            return False
        position, blob = found
        try:
            saved = msgspec.msgpack.decode(blob, type=_Saved)
        except msgspec.DecodeError as error:
            log.warning("picture_snapshot_unreadable", position=position, error=str(error))
            self.devices.registered()
            return False
        self._take_over(saved, position)
        return True

    def _take_over(self, saved: _Saved, position: int) -> None:
        self.position = position
        self.devices.now_us, self.devices.quiet_from_us = saved.at_us, saved.quiet_from_us
        self._rules = saved.rules
        self.devices.live = saved.devices
        self.alarms.channel.restore(saved.ring_seq, saved.ring_floor, saved.ring)
        self.alarms.restore(saved.alarms, self._now_s())
        for alarm in saved.alarms:
            self.devices.alarm(alarm.condition)
        for bulletin in saved.bulletins:
            self._bulletin(bulletin, saved.at_us)
        if not self._tasks_channel.seq:  # the database was asked first: it knows better
            self.load_domain(saved.domain_seq, saved.incidents, saved.tasks, saved.units, saved.closures)
            self.load_instructions(saved.domain_seq, saved.instructions)
        if self._duty is None and saved.duty is not None:
            self._on_duty(saved.duty)
        self.devices.registered()


def past_event(change: Change) -> PastEvent:
    """A kept change as an event for a screen that comes back, with the same owner as when it was live."""
    label = UNLABELLED
    if change.channel == "task":
        label = task_label(msgspec.convert(change.data, Task))
    elif change.channel == "incident":
        label = incident_label(msgspec.convert(change.data, Incident))
    elif change.channel == "instruction":
        label = instruction_label(msgspec.convert(change.data, Instruction))
    return PastEvent(
        seq=change.seq,
        kind=change.kind,
        id=change.id,
        rev=change.rev,
        data=change.data,
        t_us=change.at_us,
        owner=label.owner,
        area=label.area,
        hazard=label.hazard,
    )


def _track_point(point: TrackPoint) -> list[Any]:
    """`[t_us, lon_e6, lat_e6, wind_ms, analysis]`, with the wind circles (force 7, 10, 12; km by quadrant) where they are known."""
    row = [point.time_us, round(point.lon * 1e6), round(point.lat * 1e6), point.wind_ms, int(point.analysis)]
    circles = [point.r7_km, point.r10_km, point.r12_km]
    return [*row, *circles] if any(circle is not None for circle in circles) else row


def task_owner(task: Task) -> str:
    """The unit that may see a task live; a draft belongs to nobody yet."""
    return "" if task.state is TaskState.DRAFT else task.unit_id


def instruction_owner(instruction: Instruction) -> str:
    """The unit that may see an instruction live: the one that it is for, when it is for nobody else. Others ask over HTTP."""
    [first, *others] = instruction.addressees
    return first.id if first.kind == "unit" and not others else ""


def instruction_label(instruction: Instruction) -> Label:
    return Label(owner=instruction_owner(instruction), area=instruction.area or None)


def task_label(task: Task) -> Label:
    return Label(owner=task_owner(task), area=task.area, hazard=task.hazard)


def incident_label(incident: Incident) -> Label:
    return Label(area=incident.area, hazard=incident.kind)


def _shown(incident: Incident) -> bool:
    return incident.state not in (IncidentState.ARCHIVED, IncidentState.MERGED)


def _keep(objects: dict[str, Any], identifier: str, value: Any, keep: bool) -> None:
    if keep:
        objects[identifier] = value
    else:
        objects.pop(identifier, None)


def _replace(
    channel: EventChannel, known: dict[str, Any], fresh: Mapping[str, Any], label: Callable[[Any], Label]
) -> None:
    """Make the snapshot of an event channel what was just read, except for what is newer here."""
    for gone in known.keys() - fresh.keys():
        del known[gone]
        channel.objects.pop(gone, None)
    for identifier, value in fresh.items():
        if identifier in known and known[identifier].rev > value.rev:
            continue
        known[identifier] = value
        channel.load(identifier, value.rev, value, label(value))


def _count(values: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for value in values:
        found[str(value)] = found.get(str(value), 0) + 1
    return found
