"""A register of devices in memory: what storage.registry does, in a list."""

from __future__ import annotations

from collections.abc import Sequence

from citybrain_testing.command import MemoryLog, SteppedClock, devices
from command_center.device_register import RegisterService
from command_center.ports import Tx
from devices.registry import Device, Registry, RegistryData


class FakeRegister:
    """A `command_center.ports.DeviceRegister`. Not transactional: the suite of storage.registry says what is."""

    def __init__(self, data: RegistryData) -> None:
        self.registry = Registry.from_data(data)
        self.waiting: list[RegistryData] = []
        self.written: list[tuple[str, str, str]] = []  # author, approver, reason

    async def load(self) -> RegistryData:
        return self.registry.snapshot()

    async def upsert(self, devices: Sequence[Device], *, author: str, approver: str = "", reason: str) -> RegistryData:
        change = RegistryData(revision=self.registry.revision + 1, devices=list(devices))
        self.registry.apply(change)
        self.waiting.append(change)
        self.written.append((author, approver, reason))
        return change

    async def device_within(self, tx: Tx, device_id: str) -> Device | None:
        return self.registry.devices.get(device_id)

    async def upsert_within(
        self, tx: Tx, devices: Sequence[Device], *, author: str, approver: str = "", reason: str
    ) -> RegistryData:
        return await self.upsert(devices, author=author, approver=approver, reason=reason)

    async def remove(self, device_ids: Sequence[str], *, author: str, reason: str) -> RegistryData:
        change = RegistryData(revision=self.registry.revision + 1, removed=list(device_ids))
        self.registry.apply(change)
        self.waiting.append(change)
        return change

    async def unappended(self) -> list[RegistryData]:
        return list(self.waiting)

    async def mark_appended(self, revision: int) -> None:
        self.waiting = [c for c in self.waiting if c.revision > revision]


def a_register() -> tuple[RegisterService, FakeRegister, MemoryLog, Registry]:
    """A service over the devices of `citybrain_testing.command`, with a log and the live copy."""
    register, log, live = FakeRegister(devices()), MemoryLog(SteppedClock()), Registry.from_data(devices())
    return RegisterService(register, log, live), register, log, live
