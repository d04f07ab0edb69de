"""Access to devices and care of them over a store in memory or PostgreSQL: what the two contract suites and the doors' tests use."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import msgspec

from citybrain_testing.command import START_US, MemoryLog, SteppedClock, make_world
from command_center.device_access import DeviceAccess, DeviceCertificate, IssuedCertificate, Secret
from command_center.device_care.model import Facts
from command_center.device_care.service import DeviceCare
from command_center.device_register import RegisterService
from command_center.model import Actor, Role
from command_center.ports import Store
from command_center.work import Env
from devices.models import load_models
from devices.registry import Device, Registry
from storage.command import PostgresStore
from storage.database import Database
from storage.memory.command import MemoryStore
from storage.memory.device_register import MemoryRegister
from storage.migrate import migrate
from storage.registry import RegistryStore

REGISTRAR = Actor(username="clerk1", roles=frozenset({Role.REGISTRAR}))
ACME = Actor(username="acme1", roles=frozenset({Role.VENDOR}), vendor="acme")
ZETA = Actor(username="zeta1", roles=frozenset({Role.VENDOR}), vendor="zeta")


def gauge(device_id: str = "wl-1", **fields: object) -> Device:
    plain = {
        "device_id": device_id,
        "model": "water-gauge-v1",
        "kind": "water_gauge",
        "name": f"水位站{device_id}",
        "lon": 121.4,
        "lat": 28.6,
        "area": "331002001",
        "vendor": "acme",
        "thresholds": {"stage_m": {"on": {"red": 5.0}, "source": "防汛预案"}},
    }
    return msgspec.convert(plain | fields, Device)


class FakeDoor:
    """The broker's side without a broker: passwords by counting, certificates without cryptography."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.given: dict[str, str] = {}
        self._drawn = 0

    async def draw(self, device_ids: Iterable[str]) -> dict[str, Secret]:
        found = {}
        for device_id in device_ids:
            self._drawn += 1
            found[device_id] = Secret(password=f"word-{self._drawn}", hashed=f"$7$101$salt$hash{self._drawn}")
        return found

    async def sign(self, device_id: str, days: int, issued_by: str) -> IssuedCertificate:
        self._drawn += 1
        record = DeviceCertificate(
            serial=f"{self._drawn:x}",
            device_id=device_id,
            issued_machine_us=1_700_000_000_000_000 + self._drawn,
            expires_machine_us=1_700_000_000_000_000 + days * 86_400_000_000,
            issued_by=issued_by,
        )
        return IssuedCertificate(certificate=record, certificate_pem="C", key_pem="K", ca_pem="CA", port=8883)

    def issued(self, passwords: Mapping[str, str]) -> None:
        self.given |= passwords

    def changed(self, device_ids: Iterable[str]) -> None:
        self.told += device_ids


@dataclass
class DevicesWorld:
    store: Store
    clock: SteppedClock
    registry: Registry
    registers: RegisterService
    access: DeviceAccess
    care: DeviceCare
    door: FakeDoor
    log: MemoryLog
    env: Env
    status: dict[str, str] = field(default_factory=dict)

    def received(self, device_id: str, facts: Facts) -> None:
        """In memory only: what the observation side has counted."""
        assert isinstance(self.store, MemoryStore)
        self.store.device_facts[device_id] = facts


@asynccontextmanager
async def devices_world(url: str | None, devices: Iterable[Device] = ()) -> AsyncIterator[DevicesWorld]:
    """A world with some devices registered; memory for None, else the schema `cmd` of the database at `url`, migrated."""
    clock = SteppedClock()
    if url is None:
        yield await _world(MemoryStore(), MemoryRegister(load_models()), clock, devices)
        return
    async with Database(url, "cmd") as database:
        await migrate(database, at_us=START_US, family="plain")
        yield await _world(PostgresStore(database), RegistryStore(database, clock, load_models()), clock, devices)


async def _world(
    store: Store, register: MemoryRegister | RegistryStore, clock: SteppedClock, devices: Iterable[Device]
) -> DevicesWorld:
    base = make_world(store, clock=clock)
    registry, door, status = Registry(), FakeDoor(), dict[str, str]()
    env = replace(base.env, registry=registry)
    registers = RegisterService(register, base.log, registry, changed=door.changed)
    listed = list(devices)
    if listed:
        await register.upsert(listed, author="seed", approver="", reason="seed")
        await registers.flush()
    care = DeviceCare(store, env, base.changes.append, registers, load_models(), lambda d: status.get(d, "online"))
    return DevicesWorld(
        store=store,
        clock=clock,
        registry=registry,
        registers=registers,
        access=DeviceAccess(store, registry, door, clock),
        care=care,
        door=door,
        log=base.log,
        env=env,
        status=status,
    )
