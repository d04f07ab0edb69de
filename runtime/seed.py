"""The first content of a tenant: an administrator in a real one, the whole demonstration district in one that is not.

Everything goes through the registers that a person's import would use. Seeding twice changes nothing: users and
passwords that exist stay, devices are written only if the register differs.
"""

from __future__ import annotations

import asyncio

import msgspec
import structlog

from command_center.model import SYSTEM, Role, Unit, User
from command_center.users import UserService
from devices.clock import Clock
from devices.models import load_models
from devices.registry import Device
from runtime.centre import build_centre
from runtime.credentials import CANARY_ID, BrokerCredentials
from runtime.secrets import ServiceSecrets, password, read_json, write_json
from runtime.settings import Settings
from simulators.district import District, generate
from simulators.placement import AREA
from storage.command import PostgresStore
from storage.database import Database
from storage.features import FeatureStore
from storage.registry import RegistryStore

log = structlog.get_logger()

AUTHOR = "seed"
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
    await _users(database, settings, clock, ADMINISTRATORS)
    await _devices(database, settings, clock, secrets, [canary_device(0.0, 0.0, "")])


async def seed_demo(database: Database, settings: Settings, clock: Clock, secrets: ServiceSecrets) -> None:
    """The generated district: layers, devices with credentials, users with passwords, units."""
    district = generate(settings.seed)
    # Side by side: hashing passwords takes threads, the rest waits for the database.
    async with asyncio.TaskGroup() as group:
        users = [msgspec.convert(user, User) for user in district.users()]
        group.create_task(_users(database, settings, clock, users), name="users")
        group.create_task(_district_devices(database, settings, clock, secrets, district), name="devices")
        await _layers(database, clock, district)
        await _units(database, clock, district)  # they stand on the roads of the layers
    chain = [{"username": person["username"], "name": person["name"]} for person in district.duty_chain()]
    write_json(settings.data_dir / "duty.json", chain)


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


async def _users(database: Database, settings: Settings, clock: Clock, users: list[User]) -> None:
    service = UserService(PostgresStore(database), clock)
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


async def _units(database: Database, clock: Clock, district: District) -> None:
    centre = await build_centre(database, clock)
    for document in district.units():
        await centre.register_unit(SYSTEM, msgspec.convert(document, Unit))
