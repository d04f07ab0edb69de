"""The first content of a tenant: an administrator in a real one, the whole demonstration district in one that is not.

Everything goes through the registers that a person's import would use. Seeding twice changes nothing: users and
passwords that exist stay, devices are written only if the register differs, and of the registers only what is not there yet.
"""

from __future__ import annotations

import asyncio

import msgspec
import structlog

from command_center.duty.model import US_PER_DAY
from command_center.duty.roster import city_wall
from command_center.duty.targets import ShiftTarget
from command_center.model import SYSTEM, Change, Role, User
from command_center.records import UnitRecord
from command_center.registers.register_target import RegisterTarget
from command_center.registers.service import EntryRegister
from command_center.registers.targets import ImportTarget, Row
from command_center.registers.unit_target import UnitTarget
from command_center.users import UserService
from devices.clock import Clock
from devices.models import load_models
from devices.registry import Device, Registry, RegistryData
from runtime.centre import build_env, load_layers
from runtime.credentials import CANARY_ID, BrokerCredentials
from runtime.secrets import ServiceSecrets, password, read_json, sealer_of, write_json
from runtime.settings import Settings
from simulators.district import District, generate
from simulators.placement import AREA
from simulators.registers import register_rows
from storage.command import PostgresStore
from storage.database import Database
from storage.features import FeatureStore
from storage.registry import RegistryStore

log = structlog.get_logger()

AUTHOR = "seed"
ROSTER_DAYS = 60  # at 60x a day of the city is 24 minutes: a demo that runs for a day still has people on duty
SHIFT_BEGINS_US = US_PER_DAY // 3  # 08:00
SIDE_BY_SIDE = 3


# Three, so that nobody holds the system, the people and the audit in one hand.
ADMINISTRATORS = [
    User(username="admin", name="系统管理员", roles=[Role.ADMIN]),
    User(username="security", name="安全管理员", roles=[Role.SECURITY]),
    User(username="auditor", name="审计员", roles=[Role.AUDITOR]),
]


def canary_device(lon: float, lat: float, area: str) -> Device:
    """Our own probe, registered like any device."""
    return Device(
        device_id=CANARY_ID,
        model="canary-v1",
        kind="canary",
        name="链路金丝雀",
        lon=lon,
        lat=lat,
        area=area,
        vendor="citybrain",
    )


async def seed_admin(database: Database, settings: Settings, clock: Clock, secrets: ServiceSecrets) -> None:
    """The three administrators with generated passwords (in `secrets/logins.json`, to be handed over and removed) and the canary."""
    await _users(database, settings, clock, secrets, ADMINISTRATORS)
    await _devices(database, settings, clock, secrets, [canary_device(0.0, 0.0, "")])


async def seed_demo(database: Database, settings: Settings, clock: Clock, secrets: ServiceSecrets) -> None:
    """The generated district: layers, devices with credentials, users with passwords, registers and units."""
    district = generate(settings.seed)
    # Side by side: hashing passwords takes threads, the rest waits for the database.
    async with asyncio.TaskGroup() as group:
        users = [msgspec.convert(user, User) for user in district.users()]
        group.create_task(_users(database, settings, clock, secrets, users), name="users")
        group.create_task(_district_devices(database, settings, clock, secrets, district), name="devices")
        await _layers(database, clock, district)
        await seed_registers(database, clock, secrets, district)
    await _roster(database, clock, secrets, district)
    chain = [{"username": person["username"], "name": person["name"]} for person in district.duty_chain()]
    write_json(settings.data_dir / "duty.json", chain)


async def _roster(database: Database, clock: Clock, secrets: ServiceSecrets, district: District) -> None:
    """The demo's roster, from today's shift on, through the same import that a clerk uses; days that stand are left alone."""
    env = build_env({}, clock, Registry())
    target = ShiftTarget(PostgresStore(database, sealer_of(secrets)), env, _nobody, sealer_of(secrets))
    now_us = clock.city_us()
    shift_day = city_wall(now_us - SHIFT_BEGINS_US).date()  # before eight it is still yesterday's shift
    sheet = district.roster(shift_day, ROSTER_DAYS)
    ids = target.row_ids(sheet)
    known = await target.current(SYSTEM, ids)
    rows = [Row(row=n, entry_id=ids[n - 2], values=values) for n, values in enumerate(sheet, start=2)]
    missing = [row for row in rows if row.entry_id not in known]
    done = await target.commit(SYSTEM, missing, reason="first content of the tenant")
    if done.created:
        log.info("roster_seeded", shifts=done.created, days=ROSTER_DAYS)


async def _layers(database: Database, clock: Clock, district: District) -> None:
    layers = FeatureStore(database, clock)
    known = {info.layer for info in await layers.layers()}
    for name, features in district.features().items():
        if name not in known:
            await layers.put_layer(name, features)


async def _district_devices(
    database: Database, settings: Settings, clock: Clock, secrets: ServiceSecrets, district: District
) -> None:
    lon, lat = district.centre()
    await _devices(database, settings, clock, secrets, [*district.devices(), canary_device(lon, lat, AREA)])


async def _devices(
    database: Database, settings: Settings, clock: Clock, secrets: ServiceSecrets, devices: list[Device]
) -> None:
    register = RegistryStore(database, clock, load_models())
    known = {device.device_id for device in (await register.load()).devices}
    missing = [device for device in devices if device.device_id not in known]
    if missing:
        await register.upsert(missing, author=AUTHOR, approver="", reason="first content of the tenant")
        await BrokerCredentials(settings, secrets, register).issue([device.device_id for device in missing])
        log.info("devices_seeded", devices=len(missing))


async def _users(
    database: Database, settings: Settings, clock: Clock, secrets: ServiceSecrets, users: list[User]
) -> None:
    service = UserService(PostgresStore(database, sealer_of(secrets)), clock)
    path = settings.secrets_dir / "logins.json"
    logins: dict[str, str] = read_json(path) or {}
    known = {user.username for user in await service.list()}
    missing = [user for user in users if user.username not in known]
    logins |= {user.username: password() for user in missing}
    write_json(path, logins)  # before the accounts exist: a crash leaves no account that nobody can use
    # Hashing is dear on purpose and runs in threads: together it takes a core each. Few at a time: each waits for its turn to
    # write with a connection in its hand, and on a busy machine the others would wait too long for one.
    gate = asyncio.Semaphore(SIDE_BY_SIDE)

    async def create(user: User) -> None:
        async with gate:
            await service.create(user, logins[user.username])

    await asyncio.gather(*(create(user) for user in missing))


async def seed_registers(database: Database, clock: Clock, secrets: ServiceSecrets, district: District) -> None:
    """The district's registers and units, through the targets of an import. What somebody changed since stays changed."""
    store = PostgresStore(database, sealer_of(secrets))
    devices = RegistryData(revision=1, full=True, devices=district.devices(), datastreams=[])
    env = build_env(await load_layers(database, clock), clock, Registry.from_data(devices))
    register = EntryRegister(store=store, env=env, emit=_nobody, sealer=sealer_of(secrets))
    for kind, documents in register_rows(district).items():
        unit = kind == "unit"
        target: ImportTarget = (
            UnitTarget(store=store, env=env, emit=_nobody) if unit else RegisterTarget(register, kind)
        )
        rows = [msgspec.convert({"row": n, **document}, Row) for n, document in enumerate(documents, start=2)]
        async with store.read() as tx:
            standing = await tx.units() if unit else await tx.register_entries(kind, [row.entry_id for row in rows])
        known = {one.unit.unit_id if isinstance(one, UnitRecord) else one.entry_id for one in standing}
        missing = [row for row in rows if row.entry_id not in known]
        if missing:
            done = await target.commit(SYSTEM, missing, reason="first content of the tenant")
            log.info("register_seeded", kind=kind, entries=done.created)


def _nobody(_: Change) -> None:
    """Nobody watches while a tenant is filled."""
