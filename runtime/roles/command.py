"""Role `command`: the live picture, the command centre, and the doors that people use."""

from __future__ import annotations

import asyncio
import contextlib
import secrets as random_secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import structlog

from command_center.api.app import build_app
from command_center.api.deps import ApiDeps
from command_center.api.layers import StaticLayers
from command_center.audit import AuditService
from command_center.deadlines import OnDuty
from command_center.device_access import DeviceAccess
from command_center.device_care.service import DeviceCare
from command_center.device_commands.sending import CommandSender
from command_center.device_commands.service import DeviceCommands
from command_center.device_register import RegisterService
from command_center.device_target import DeviceTarget
from command_center.duty.service import DutyService
from command_center.duty.targets import ShiftTarget
from command_center.errors import Unavailable
from command_center.follower import DomainFollower
from command_center.grid.service import GridService
from command_center.history_import import HistoryImport
from command_center.letters import LetterService
from command_center.outbox import Outbox, Sender, Sink, sink_for
from command_center.picture import PictureFollower, past_event
from command_center.quality import QualityService
from command_center.registers.service import EntryRegister
from command_center.registers.wiring import RegisterPlaces, rows_of, targets_of
from command_center.registers.writing import Areas
from command_center.registers.zones import ZoneService
from command_center.service import EVENT_CHANNELS, CommandCenter
from command_center.timers import TimerService
from command_center.township import Township
from command_center.video.clips import ClipFetcher, ClipService
from command_center.video.service import VideoService
from command_center.video.tickets import Tickets
from command_center.wind import nearest_wind
from devices.models import load_models
from gis.addresses import Place
from gis.hub import Hub, PastEvent
from rules.documents import activation, shipped
from runtime import clock as clocks
from runtime.access import Access, build_access
from runtime.anchors import AnchorService, anchor_service
from runtime.broker import Broker
from runtime.canary import PROPERTY, Canary, Stage
from runtime.centre import build_env
from runtime.context import RoleContext
from runtime.credentials import CANARY_ID, BrokerCredentials
from runtime.device_line import DeviceLine
from runtime.health import Health
from runtime.history import build as build_history
from runtime.importing import Importing
from runtime.importing import build as build_importing
from runtime.layers import read_layers
from runtime.letters import PipelineReader
from runtime.metrics import all_metrics
from runtime.outbox_sinks import build as build_sink
from runtime.registers import Registers
from runtime.roles.rules import position_path
from runtime.secrets import ServiceSecrets, read_json, sealer_of
from runtime.serving import Server, server
from runtime.settings import Settings
from runtime.stepping import Stepper
from runtime.tls import ensure_certificates
from runtime.up import public_hosts
from runtime.video import ClipFolder
from runtime.video import build as build_platform
from storage.command import PostgresStore
from storage.database import Database
from storage.errors import StorageError
from storage.history import HistoryStore
from storage.letters import LetterStore
from storage.quality import QualityFacts
from storage.rates import RateStore
from storage.registry import RegistryStore
from stream.errors import LogError
from stream.owner import AppendClient
from stream.reader import LogReader
from stream.records import ControlBody, control
from stream.registry_cache import load_registry

log = structlog.get_logger()

RETRY_S = 1.0
FLUSH_EVERY_S = 5.0
BANNERS = {
    "demo": {"zh": "演示 — 非真实数据，不对外发布", "en": "Demonstration: not real, nothing leaves this system"},
    "exercise": {"zh": "演练 — 非真实事件，不对外发布", "en": "Exercise: not real, nothing leaves this system"},
    "test": {"zh": "测试 — 非真实数据，不对外发布", "en": "Test: not real, nothing leaves this system"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rooms:
    """What the parts of this role share."""

    context: RoleContext
    hub: Hub
    database: Database
    store: PostgresStore
    appender: AppendClient
    picture: PictureFollower
    centre: CommandCenter
    duty: DutyService
    follower: DomainFollower
    register: RegistryStore
    registers: RegisterService
    entries: EntryRegister
    access: Access
    credentials: BrokerCredentials
    device_access: DeviceAccess
    care: DeviceCare
    letters: LetterService
    history_import: HistoryImport
    commands: DeviceCommands
    line: DeviceLine
    command_sender: CommandSender
    video: VideoService
    clips: ClipService
    clip_fetcher: ClipFetcher | None
    quality: QualityService
    zones: ZoneService
    grid: GridService
    canary: Canary
    health: Health
    anchors: AnchorService
    audit: AuditService
    importing: Importing
    sender: Sender


async def run(context: RoleContext) -> None:
    settings = context.settings
    with contextlib.ExitStack() as stack:
        picture_reader = LogReader(settings.log_dir)
        domain_reader = LogReader(settings.log_dir)
        stack.callback(picture_reader.close)
        stack.callback(domain_reader.close)
        async with (
            Database(settings.database, settings.tenant) as database,
            AppendClient(settings.append_socket) as appender,
        ):
            await _serve(_build(context, database, appender, picture_reader, domain_reader))


def _build(
    context: RoleContext,
    database: Database,
    appender: AppendClient,
    picture_reader: LogReader,
    domain_reader: LogReader,
) -> _Rooms:
    settings, clock = context.settings, context.clock
    run_id = clocks.read_state(settings.run_dir / "clock.json").run_id
    hub = Hub(epoch=random_secrets.token_hex(4))
    sealer = sealer_of(context.secrets)
    store = PostgresStore(database, sealer)
    registry, _ = load_registry(domain_reader)
    follower: DomainFollower
    canary = _canary(context, database, lambda: picture)
    anchors = anchor_service(settings, context.secrets, store, clock)
    health = Health(
        settings.run_dir,
        canary,
        last_resort_broker=settings.broker_protocol == "3.1.1",
        clock=clock,
        log_max_bytes=settings.log_max_bytes,
        more=anchors.troubles,
    )
    picture = PictureFollower(
        picture_reader,
        hub,
        load_registry(picture_reader)[0],
        picture_reader,
        clock,
        run_id=run_id,
        stored_position=lambda: follower.position or None,
        health=health.board,
    )
    layers = read_layers(settings.data_dir / "layers")
    areas = Areas()
    env = build_env(
        layers,
        clock,
        registry,
        duty_chain=_duty_chain(settings.data_dir),
        live_depth=lambda device_id: _depth(picture, device_id),
        outbox=Outbox(sealer, settings.tenant_kind),
        live_alarm=lambda alarm_id: picture.alarm_place(alarm_id),
        area_of=areas.code_at,
    )
    centre = CommandCenter(store=store, append=appender, env=env, emit=picture.on_change)
    duty = DutyService(store, env, picture.on_change, sealer, banners=lambda: picture.banners())
    follower = DomainFollower(domain_reader, store, env, picture.on_change)
    register = RegistryStore(database, clock, load_models())
    credentials = BrokerCredentials(settings, context.secrets, register, store)
    registers = RegisterService(register, appender, registry, changed=credentials.changed)
    access = build_access(settings, context.secrets, clock, store, env, picture.on_change, registers)
    care = DeviceCare(store, env, picture.on_change, registers, load_models(), picture.status_of)
    reader = PipelineReader(settings.tenant, settings.log_dir, clock, lambda: registry.revision)
    commands = DeviceCommands(store, env, picture.on_change, picture.status_of, lambda: follower.followed_us)
    line = DeviceLine(Broker(settings).access(context.secrets, service="command"))
    device_access = DeviceAccess(store, registry, credentials, clock)
    platform = build_platform(settings)
    clip_files = ClipFolder(settings.clips_dir, settings.video_clips_max_bytes)
    tickets = Tickets(context.secrets.signing_key.encode(), tenant=settings.tenant)
    entries = EntryRegister(store=store, env=env, emit=picture.on_change, sealer=sealer, areas=areas)
    devices = DeviceTarget(registers, device_access, registry)
    shifts = ShiftTarget(store, env, picture.on_change, sealer)
    importing = build_importing(
        context,
        store,
        env,
        picture.on_change,
        layers,
        sealer=sealer,
        targets={**targets_of(entries), "device": devices, "shift": shifts},
        rows_of=rows_of(entries, {"device": devices, "shift": shifts}),
        sources=[RegisterPlaces(store, Place), RegisterPlaces(store, Place, ("address",))],
    )
    return _Rooms(
        context=context,
        hub=hub,
        database=database,
        store=store,
        appender=appender,
        picture=picture,
        centre=centre,
        duty=duty,
        follower=follower,
        register=register,
        registers=registers,
        credentials=credentials,
        device_access=device_access,
        access=access,
        entries=entries,
        care=care,
        letters=LetterService(LetterStore(database), reader, appender, store, env, picture.on_change),
        history_import=build_history(context, LetterStore(database), appender, store, env, picture.on_change),
        commands=commands,
        line=line,
        command_sender=CommandSender(store, env, picture.on_change, line, settings.tenant, picture.status_of),
        video=VideoService(store, env, picture.on_change, tickets, platform),
        clips=ClipService(store, env, picture.on_change, clip_files, platform=platform is not None),
        clip_fetcher=(None if platform is None else ClipFetcher(store, env, picture.on_change, clip_files, platform)),
        quality=QualityService(store, env, entries, QualityFacts(database), picture.status_of),
        grid=GridService(store, env, picture.on_change, entries.engine.kinds),
        zones=ZoneService(entries, lambda lon, lat: nearest_wind(registry, picture.latest_of, clock, lon, lat)),
        canary=canary,
        health=health,
        anchors=anchors,
        audit=AuditService(store, env, picture.on_change, anchors),
        importing=importing,
        sender=Sender(store, clock, sealer, _sink(settings, context.secrets)),
    )


def _sink(settings: Settings, secrets: ServiceSecrets) -> Sink | None:
    """Where messages to people go. In a tenant that is not real there is no proof, and with it no way out."""
    proof = settings.real_tenant() if settings.real else None
    return sink_for(settings.tenant_kind, proof, lambda given: build_sink(settings, secrets.outbox_key, given))


async def _serve(rooms: _Rooms) -> None:
    context, settings = rooms.context, rooms.context.settings
    app = build_app(_deps(rooms))
    certificates = await asyncio.to_thread(ensure_certificates, settings.data_dir, public_hosts(settings))
    plain = server(app, host="127.0.0.1", port=settings.port)
    secure = server(
        app, host=settings.host, port=settings.https_port, cert=certificates.cert_pem, key=certificates.key_pem
    )
    registered = asyncio.Event()
    if CANARY_ID in rooms.picture.registry.devices:
        registered.set()  # from the copy beside the log: a start without the database must not wait for it
    # Services run beside the servers: one that dies ends the process, which the supervisor starts again.
    async with asyncio.TaskGroup() as group:
        group.create_task(rooms.picture.run(), name="picture")
        group.create_task(rooms.follower.run(), name="domain")
        group.create_task(_timers(rooms).run(), name="timers")
        group.create_task(rooms.access.watch.run(), name="accounts")
        group.create_task(rooms.duty.run(), name="duty-board")
        group.create_task(_load_domain(rooms), name="load-domain")
        group.create_task(rooms.importing.addresses.run(), name="addresses")
        group.create_task(_open_registers(rooms, registered), name="open-registers")
        group.create_task(rooms.credentials.run(Broker(settings)), name="broker-credentials")
        group.create_task(_fly(rooms, registered), name="canary")
        group.create_task(rooms.anchors.run(), name="anchors")
        group.create_task(rooms.sender.run(), name="outbox")
        group.create_task(rooms.line.run(), name="device-line")
        group.create_task(rooms.command_sender.run(), name="device-commands")
        group.create_task(rooms.video.run(), name="video")
        if rooms.clip_fetcher is not None:
            group.create_task(rooms.clip_fetcher.run(), name="video-clips")
        group.create_task(rooms.health.run(lambda: rooms.picture), name="health")
        serving = [
            group.create_task(plain.serve(), name="http"),
            group.create_task(secure.serve(), name="https"),
        ]
        group.create_task(_say_ready(context, [plain, secure]), name="ready")
        try:
            await asyncio.Event().wait()
        finally:
            app.state.live.drain()
            for one in (plain, secure):
                one.should_exit = True
            await asyncio.gather(*serving, return_exceptions=True)


def _timers(rooms: _Rooms) -> TimerService:
    handlers = {**rooms.access.approvals.handlers, **rooms.commands.handlers}
    return TimerService(rooms.store, rooms.centre.env, rooms.picture.on_change, handlers)


async def _say_ready(context: RoleContext, servers: Sequence[Server]) -> None:
    while not all(one.started for one in servers):
        await asyncio.sleep(0.02)
    context.ready()


async def _load_domain(rooms: _Rooms) -> None:
    """Give the picture what the database holds: at the start, and each time the database comes back."""
    loaded = False
    while True:
        try:
            if not loaded:
                rooms.picture.load_domain(*await rooms.centre.picture())
                rooms.picture.load_instructions(*await rooms.duty.open_instructions())
                loaded = True
            else:
                await rooms.database.ping()
        except (Unavailable, StorageError):
            loaded = False
        await asyncio.sleep(RETRY_S)


async def _fly(rooms: _Rooms, registered: asyncio.Event) -> None:
    """Beats of a canary that ingest does not know yet would be dead letters of our own making."""
    await registered.wait()
    await rooms.canary.run()


async def _open_registers(rooms: _Rooms, registered: asyncio.Event) -> None:
    """Append what the register changed while no log was open; activate the shipped rules of a tenant that is not real."""
    while True:
        try:
            await rooms.registers.flush()
            registered.set()
            break
        except (Unavailable, StorageError):
            await asyncio.sleep(RETRY_S)
    if not rooms.context.settings.real:
        data = activation(shipped(), author="citybrain", approver="citybrain-demo", source="rules/documents")
        versions = "-".join(sorted(str(row["version"])[:8] for row in data["activate"]))
        await rooms.appender.append(
            [control(ControlBody(id=f"rules-{versions}", type="rules", actor="seed", data=data))]
        )
    await _flush_registers(rooms)


async def _flush_registers(rooms: _Rooms) -> None:
    """A revision that a timer wrote (an emergency threshold going back), or whose append failed, reaches the log soon."""
    while True:
        await asyncio.sleep(FLUSH_EVERY_S)
        try:
            await rooms.registers.flush()
        except (Unavailable, StorageError, LogError, TimeoutError, ConnectionError) as error:
            log.warning("registry_flush_waits", reason=str(error))


def _deps(rooms: _Rooms) -> ApiDeps:
    context, settings = rooms.context, rooms.context.settings
    state = clocks.read_state(settings.run_dir / "clock.json")
    stepper = Stepper(context, rooms.picture, rooms.follower) if state.kind == "stepped" else None
    return ApiDeps(
        tenant=settings.tenant,
        run_id=state.run_id,
        clock=context.clock,
        tick_us=state.tick_us,
        facade=rooms.centre,
        duty=rooms.duty,
        hub=rooms.hub,
        picture=rooms.picture,
        signing_key=context.secrets.signing_key.encode(),
        history=HistoryStore(rooms.database),
        registers=Registers(rooms.registers, rooms.device_access),
        device_access=rooms.device_access,
        device_care=rooms.care,
        letters=rooms.letters,
        history_import=rooms.history_import,
        uploads=settings.run_dir,
        device_commands=rooms.commands,
        video=rooms.video,
        clips=rooms.clips,
        rates=RateStore(rooms.database),
        quality=rooms.quality,
        zones=rooms.zones,
        grid=rooms.grid,
        township=Township(rooms.centre, rooms.entries, rooms.duty, rooms.quality, rooms.picture.status_of),
        broker_door=rooms.credentials,
        broker_secret=context.secrets.broker_hook,
        entries=rooms.entries,
        layers=StaticLayers(settings.data_dir / "layers"),
        load_history=lambda channel, since, limit: _history(rooms.centre, channel, since, limit),
        rules=rooms.picture.active_rules,
        readiness=rooms.health.readiness,
        advance=None if stepper is None else stepper.advance,
        banner=BANNERS.get(settings.tenant_kind),
        assets=Path(__file__).resolve().parents[2] / "web" / "dist",
        ca_pem=settings.data_dir / "tls" / "ca.pem",
        metrics_token=settings.metrics_token or context.secrets.metrics_token,
        metrics_text=lambda: all_metrics(settings.run_dir, own_role="command"),
        **rooms.access.deps(),
        audit=rooms.audit,
        imports=rooms.importing.imports,
        exports=rooms.importing.exports,
        addresses=rooms.importing.addresses,
    )


async def _history(centre: CommandCenter, channel: str, since: int, limit: int) -> Sequence[PastEvent] | None:
    """Events of the database's channels after `since`, all of them or None."""
    if channel not in EVENT_CHANNELS:
        return None
    changes = await centre.events_since(channel, since, limit + 1)
    if len(changes) > limit:
        return None
    return [past_event(change) for change in changes]


def _canary(context: RoleContext, database: Database, picture: Callable[[], PictureFollower]) -> Canary:
    settings = context.settings
    ours = Broker(settings).ours
    history = HistoryStore(database)
    seen_at: dict[float, int] = {}

    async def at_picture() -> float | None:
        found = picture().latest_of(CANARY_ID).get(PROPERTY)
        if found is None:
            return None
        beat = float(found[0])
        seen_at.setdefault(beat, picture().position)
        for old in sorted(seen_at)[:-8]:
            del seen_at[old]
        return beat

    async def at_rules() -> float | None:
        path = position_path(settings.run_dir)
        position = int(path.read_text()) if path.exists() else 0
        return max((beat for beat, where in seen_at.items() if where <= position), default=None)

    async def at_database() -> float | None:
        values = await history.latest([CANARY_ID])
        return max((v.result for v in values if v.property == PROPERTY and v.result is not None), default=None)

    return Canary(
        host=settings.broker_host,
        port=settings.broker_port,
        device_id=CANARY_ID,
        # At a broker that is not ours the canary has no account: it flies with our service's.
        username=CANARY_ID if ours else settings.broker_username,
        password=context.secrets.canary if ours else settings.broker_password,
        tenant=settings.tenant,
        clock=context.clock,
        stages=[
            Stage(name="picture", seen=at_picture),
            Stage(name="rules", seen=at_rules),
            Stage(name="database", seen=at_database, away=(StorageError,)),
        ],
    )


def _duty_chain(data_dir: Path) -> list[OnDuty]:
    found = read_json(data_dir / "duty.json")
    return [] if found is None else msgspec.convert(found, list[OnDuty])


def _depth(picture: PictureFollower, device_id: str) -> tuple[float, int, int] | None:
    """The newest water depth of a gauge, with its quality flag and phenomenon time."""
    found: Mapping[str, Sequence[Any]] = picture.latest_of(device_id)
    if "depth_m" not in found:
        return None
    value, quality, t_us = found["depth_m"]
    return float(value), int(quality), int(t_us)
