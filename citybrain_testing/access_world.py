"""The whole of what people can reach, with the real command centre over memory behind the real HTTP rim: for tests of who may what.

One of each object, all in `matrix.AREA`: an alarm, its incident with tasks, a request, units, a closure, devices, a proposal, a
key, a user with a second factor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from argon2 import PasswordHasher
from fastapi import FastAPI

from citybrain_testing.api_rim import PASSWORD, FakeHistory, FakePicture, fake_deps
from citybrain_testing.command import ADMIN, LEADER, TEAM, World, devices, make_world, river
from citybrain_testing.devices_world import FakeDoor
from citybrain_testing.duty import CLERK, DAY_US
from citybrain_testing.importing import read_here, write_here
from citybrain_testing.letters import DirectReader, MemoryLetters, a_history_import
from citybrain_testing.matrix import ALARM, AREA, SHEET
from citybrain_testing.registering import FakeRegister
from citybrain_testing.registers import SEALER, a_register, put, row, square
from citybrain_testing.watching import CHANNEL, FakePlatform, MemoryClips
from command_center.access.approvals import Approvals
from command_center.access.factors import SecondFactors
from command_center.access.keys import KeyRing, KeyService
from command_center.access.people import PeopleService
from command_center.access.personal import Sealer
from command_center.access.policy import AccessPolicy, load_policy
from command_center.access.records import SecondFactor
from command_center.access.scope import Scope
from command_center.access.security_keys import SecurityKeys
from command_center.access.thresholds import ThresholdChange
from command_center.api.app import build_app, furnish
from command_center.api.sessions import Sessions
from command_center.audit import AuditService
from command_center.device_access import DeviceAccess
from command_center.device_care.rates import VendorRate
from command_center.device_care.service import DeviceCare
from command_center.device_commands.service import DeviceCommands
from command_center.device_register import RegisterService
from command_center.duty.instructions import InstructionDraft
from command_center.duty.model import AddresseeKind, LogEntry, LogKind
from command_center.duty.service import DutyService
from command_center.duty.shifts import ShiftDraft
from command_center.grid.service import GridService, ReportDraft
from command_center.letters import LetterService
from command_center.machines import RequestState
from command_center.model import Actor, Role, User
from command_center.ports import Tx
from command_center.quality import DeviceFacts, QualityService
from command_center.records import Request, UserRecord
from command_center.registers.addresses import AddressService, FixedPlaces
from command_center.registers.exports import ExportService
from command_center.registers.imports import ImportService
from command_center.registers.service import EntryRegister
from command_center.registers.wiring import rows_of, targets_of
from command_center.registers.zones import ZoneService
from command_center.township import Township
from command_center.users import UserService
from command_center.video.clips import ClipFetcher, ClipService
from command_center.video.model import Purpose
from command_center.video.service import VideoService
from command_center.video.tickets import Tickets
from devices.models import load_models
from devices.registry import RegistryData
from gis.addresses import Place
from rules.transitions import Kind
from runtime.registers import Registers
from storage.memory.command import MemoryStore

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
WORD = CHEAP.hash(PASSWORD)
PLANT_PLACE = Place(entry_id="p1", kind="plant", name="氯碱厂", lon=121.2, lat=28.5, area=AREA)
SECURITY = Actor(username="security0", roles=frozenset({Role.SECURITY}))


class Districts:
    """Static layers with one in it."""

    def names(self) -> Sequence[Mapping[str, Any]]:
        return [{"layer": "district", "title_zh": "区界", "title_en": "District", "features": 0, "etag": '"1"'}]

    def geojson(self, layer: str) -> tuple[bytes, str] | None:
        return (b'{"type":"FeatureCollection","features":[]}', '"1"') if layer == "district" else None


class OneDoubt:
    async def device_facts(self, since_us: int) -> list[DeviceFacts]:
        return [DeviceFacts(device_id="wg-river", suspect=1)]


class OneFirm:
    """Rates of one firm, whose devices all lie in `AREA`."""

    async def vendor_rates(self, from_us: int, to_us: int, *, vendor: str, areas: Sequence[str]) -> list[VendorRate]:
        if areas and not any(AREA.startswith(area) for area in areas):
            return []
        numbers = dict.fromkeys(("devices", "silent_devices", "series", "expected", "received"), 1)
        return [VendorRate(vendor="acme", **numbers, reporting_rate=1.0, online_rate=1.0)]


class ShutDoor:
    """The broker's accounts: nobody's."""

    loaded = True

    def allows(self, username: str, password: str) -> bool:
        return False

    def knows(self, username: str) -> bool:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """The services that something is put into before anybody asks."""

    world: World
    keys: KeyService
    approvals: Approvals
    access: DeviceAccess
    care: DeviceCare
    commands: DeviceCommands
    video: VideoService
    clips: ClipService
    fetcher: ClipFetcher
    duty: DutyService
    grid: GridService
    entries: EntryRegister
    imports: ImportService
    addresses: AddressService


async def _in_the_area(tx: Tx, lon: float, lat: float) -> str:
    return AREA


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessWorld:
    app: FastAPI
    world: World
    sessions: Sessions
    users: UserService
    keys: KeyService
    approvals: Approvals
    policy: AccessPolicy
    names: Mapping[str, str]  # of the objects that got a number: `@shift` and the like

    def token(self, role: Role, scope: Scope, *, second_factor: bool = False) -> str:
        """A new session of the user `me`."""
        return self.sessions.issue(me(role, scope), second_factor=second_factor)[0]


def me(role: Role, scope: Scope = Scope()) -> User:
    return User(username="me", name="某人", roles=[role], unit_id="unit-mine", vendor="acme", scope=scope)


async def access_world(tenant_kind: str = "real", *, doors: FastAPI | None = None) -> AccessWorld:
    """`doors`: an application to stand behind, in place of a new one; its last world is gone then. Building the routes takes
    longer than a walk through them."""
    world = make_world(MemoryStore(), area_of=_in_the_area)
    clock, store, env, emit = world.clock, world.store, world.env, world.changes.append
    data = _devices()
    live = env.registry
    live.apply(data)
    registers = RegisterService(FakeRegister(data), world.log, live)
    policy = load_policy(tenant_kind)
    sessions = Sessions(b"k" * 32, clock, tenant="test", policy=policy)
    users = UserService(store, clock, hasher=CHEAP)
    ring = KeyRing(clock)
    platform, files = FakePlatform(), MemoryClips()
    rooms = Rooms(
        world=world,
        keys=KeyService(store, clock, ring),
        approvals=Approvals(store, env, emit, ThresholdChange(registers)),
        access=DeviceAccess(store, live, FakeDoor(), clock),
        care=DeviceCare(
            store, env, emit, registers, load_models(), lambda d: "offline" if d == "wg-under" else "online"
        ),
        commands=DeviceCommands(store, env, emit, lambda device_id: "online", lambda: 0),
        video=VideoService(store, env, emit, Tickets(b"t" * 32, tenant="test"), platform),
        clips=ClipService(store, env, emit, files, platform=True),
        fetcher=ClipFetcher(store, env, emit, files, platform),
        duty=DutyService(store, env, emit, SEALER),
        entries=(entries := a_register(store, world=world)),
        grid=GridService(store, env, emit, entries.engine.kinds),
        imports=ImportService(
            store=store, env=env, emit=emit, sealer=SEALER, targets=targets_of(entries), read=read_here
        ),
        addresses=AddressService([FixedPlaces([PLANT_PLACE])]),
    )

    def follow(record: UserRecord, keep: str = "") -> None:
        sessions.user_changed(record.user, password_us=record.password_us, keep=keep)

    names = await _fill(rooms)
    quality = QualityService(store, env, entries, OneDoubt(), lambda device_id: "no_data")
    deps = fake_deps(
        clock=clock,
        facade=world.center,
        users=users,
        picture=FakePicture(live),
        history=FakeHistory(),
        registers=Registers(registers, rooms.access),
        layers=Districts(),
        sessions=sessions,
        key_ring=ring,
        people=PeopleService(users, store, clock, on_change=follow),
        factors=SecondFactors(store, clock, Sealer({"k1": b"s" * 32}, "k1")),
        security_keys=SecurityKeys(store, clock),
        keys=rooms.keys,
        approvals=rooms.approvals,
        audit=AuditService(store, env, emit),
        device_access=rooms.access,
        device_care=rooms.care,
        history_import=a_history_import(live, world.log, MemoryLetters(), store, env, emit),
        letters=LetterService(MemoryLetters(), DirectReader(live, "test"), world.log, store, env, emit),
        device_commands=rooms.commands,
        video=rooms.video,
        clips=rooms.clips,
        rates=OneFirm(),
        grid=rooms.grid,
        zones=ZoneService(entries, lambda lon, lat: None),
        quality=quality,
        township=Township(world.center, entries, rooms.duty, quality, lambda device_id: "no_data"),
        broker_door=ShutDoor(),
        broker_secret="hook-secret",  # noqa: S106
        entries=entries,
        duty=rooms.duty,
        imports=rooms.imports,
        exports=ExportService(
            store=store,
            env=env,
            emit=emit,
            targets=targets_of(entries),
            rows_of=rows_of(entries),
            tenant="test",
            write=write_here,
        ),
        addresses=rooms.addresses,
    )
    if doors is not None:
        furnish(doors, deps)
    return AccessWorld(
        app=doors or build_app(deps),
        world=world,
        sessions=sessions,
        users=users,
        keys=rooms.keys,
        approvals=rooms.approvals,
        policy=policy,
        names=names,
    )


def _devices() -> RegistryData:
    data = devices()
    moved = [msgspec.structs.replace(d, area=AREA, vendor="acme") for d in data.devices]
    moved = [
        msgspec.structs.replace(d, attributes={**d.attributes, "video": CHANNEL}) if d.kind == "camera" else d
        for d in moved
    ]
    return msgspec.structs.replace(data, revision=5, devices=moved)  # newer than what `make_world` has


async def _fill(rooms: Rooms) -> dict[str, str]:
    world = rooms.world
    now_us = world.clock.machine_us()
    async with world.store.write() as tx:
        for user in (
            User(username="spare", name="备员", roles=[Role.OPERATOR]),
            User(username="leader1", name="带班", roles=[Role.LEADER]),
            User(username="me", name="某人", roles=[Role.OPERATOR]),
        ):
            await tx.put_user(UserRecord(user=user, password_hash=WORD, changed_us=now_us, password_us=0))
        await tx.put_second_factor(
            SecondFactor(
                username="spare",
                secret="sealed",  # noqa: S106
                confirmed=True,
                last_step=0,
                recovery=[],
                changed_machine_us=now_us,
            )
        )
    for unit in TEAM:
        await world.center.register_unit(ADMIN, msgspec.structs.replace(unit, area=AREA))
    episode = river()
    episode.alarm_id = ALARM
    await world.happen(episode, Kind.RAISED, "orange", 4.6, area=f"{AREA}001")
    async with world.store.write() as tx:
        incident = (await tx.incidents([], 1))[0]
        task = (await tx.tasks(incident_id=incident.incident_id))[0].task
        await tx.insert_request(
            Request(
                request_id=f"{incident.incident_id}-R01",
                task_id=task.task_id,
                incident_id=incident.incident_id,
                unit_id="unit-hazmat-1",
                kind="request",
                state=RequestState.REQUESTED,
                asked_us=world.clock.city_us(),
                changed_us=world.clock.city_us(),
                asked_by="duty1",
            )
        )
    await world.center.close_road(LEADER, ["h-0-0"], "积水", depth_m=None, minutes=None)
    await world.center.give_incident_role(LEADER, incident.incident_id, "spare", Role.SCENE, hours=1)
    await rooms.keys.create(SECURITY, name="上级平台", roles=[Role.UPSTREAM], days=1)
    await rooms.approvals.propose(LEADER, "threshold", "wg-river/stage_m", {"on": {"red": 9.0}}, source="文")
    await _fill_registers(rooms)
    reports = await _fill_grid(rooms)
    films = await _fill_video(rooms, incident.incident_id)
    return {
        **films,
        **reports,
        **await _fill_care(rooms),
        **await _fill_duty(rooms),
        "@import": await _begin_import(rooms),
    }


async def _fill_registers(rooms: Rooms) -> None:
    shape = square(121.0, 28.0, 121.5, 29.0)
    await put(rooms.entries, "area", [row(AREA, name="城西街道", geometry=shape)])
    people = [row(k, n, name=f"某{n}", phone=f"1380000000{n}", area=AREA) for n, k in ((2, "k1"), (3, "k2"))]
    await put(rooms.entries, "contact", people)
    plant = row("p1", name="氯碱厂", contact_a="k1", contact_b="k2", grade="red", lon=121.2, lat=28.5)
    await put(rooms.entries, "plant", [plant])
    await put(rooms.entries, "shelter", [row("s1", name="礼堂", capacity=300, lon=121.2, lat=28.5)])
    await put(rooms.entries, "organisation", [row("org-1", name="水利局", area=AREA)])
    await put(
        rooms.entries, "report_route", [row("r1", name="积水", event="water", organisation="org-1", authority="direct")]
    )
    duty = row("d1", name="汛前走访", subject="shelter/s1", organisation="org-1", every_days=7, checklist="门锁\n照明")
    await put(rooms.entries, "patrol_duty", [duty])
    await rooms.addresses.refresh()


async def _fill_grid(rooms: Rooms) -> dict[str, str]:
    water = ReportDraft(client_id="c1", kind="water", text="立交积水", lon=121.2, lat=28.5)
    one = await rooms.grid.file(LEADER, water)
    two = await rooms.grid.file(LEADER, msgspec.structs.replace(water, client_id="c2"))
    return {"@report": one.report_id, "@witness": two.report_id}


async def _fill_video(rooms: Rooms, incident_id: str) -> dict[str, str]:
    mine = Actor(username="me", roles=frozenset({Role.OPERATOR}))
    names = {}
    for purpose in (Purpose.LIVE, Purpose.SNAPSHOT):
        viewing = await rooms.video.ask(mine, "cam-under", purpose, reason="看积水")
        names[f"@{purpose.value}"] = viewing.url.split("/")[-2]
    now_us = rooms.world.clock.city_us()
    clip = await rooms.clips.ask(mine, incident_id, "cam-under", now_us - 60_000_000, now_us, "留证")
    await rooms.fetcher.run_due()
    return {**names, "@clip": clip.clip_id}


async def _fill_care(rooms: Rooms) -> dict[str, str]:
    now_us = rooms.world.clock.city_us()
    await rooms.access.issue(ADMIN, "wg-river", reason="x")
    await rooms.care.calibrate(
        ADMIN,
        "wg-river",
        calibrated_us=now_us - DAY_US,
        calibrated_by="计量所",
        certificate="JL-0",
        due_us=now_us + DAY_US,
        offsets={},
    )
    await rooms.care.maintain(ADMIN, "wg-river", until_us=now_us + DAY_US, reason="清淤")
    command = await rooms.commands.ask(ADMIN, "wg-river", "clock_set", {}, "校时")
    ticket = await rooms.care.open_ticket(ADMIN, "wg-river", title="检修")
    return {"@ticket": ticket.ticket_id, "@command": command.command_id}


async def _fill_duty(rooms: Rooms) -> dict[str, str]:
    duty, now_us = rooms.duty, rooms.world.clock.city_us()

    async def shift(username: str, from_us: int) -> str:
        draft = ShiftDraft(
            post="duty_officer", username=username, area=AREA, from_us=from_us, to_us=from_us + DAY_US // 2
        )
        return (await duty.add_shift(CLERK, draft, "x")).shift_id

    await shift("spare", now_us)
    later = await shift("me", now_us + DAY_US)
    absence, _ = await duty.add_absence(CLERK, "leader1", now_us, now_us + DAY_US, "x")
    mine = Actor(username="me", roles=frozenset({Role.OPERATOR}))
    handover = await duty.draft_handover(mine, "duty_officer", AREA, "spare")
    await duty.write_log(
        mine, LogEntry(entry_id="", at_us=0, actor="", kind=LogKind.CALL, kind_zh="", text="来电", area=AREA)
    )
    order, own = [
        await duty.instruct(LEADER, InstructionDraft(text="排查", addressees=[(AddresseeKind.USER, name)], area=AREA))
        for name in ("spare", "me")
    ]
    return {
        "@shift": later,
        "@absence": absence.absence_id,
        "@handover": handover.handover_id,
        "@order": order.instruction_id,
        "@mine": own.instruction_id,
    }


async def _begin_import(rooms: Rooms) -> str:
    mine = Actor(username="me", roles=frozenset({Role.REGISTRAR}))
    begun = await rooms.imports.start(mine, kind="shelter", filename="x.csv", content=SHEET)
    return begun.import_id
