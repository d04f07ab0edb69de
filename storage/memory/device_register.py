"""The register of devices in memory: the twin of storage/registry.py, for tests and for a first look without a database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from command_center.errors import Invalid
from command_center.ports import Tx
from devices.documents import problems_of
from devices.models import DeviceModel
from devices.registry import Datastream, Device, Registry, RegistryData


class MemoryRegister:
    """A `command_center.ports.DeviceRegister`."""

    def __init__(self, models: Mapping[str, DeviceModel]) -> None:
        self._models = models
        self._registry = Registry()
        self._numbers: dict[tuple[str, str], int] = {}
        self._waiting: list[RegistryData] = []

    async def load(self) -> RegistryData:
        return self._registry.snapshot()

    async def upsert(self, devices: Sequence[Device], *, author: str, approver: str = "", reason: str) -> RegistryData:
        wrong = [f"{d.device_id}: {problem}" for d in devices for problem in problems_of(d, self._models)]
        if wrong:
            raise Invalid("; ".join(wrong))
        streams = [stream for device in devices for stream in self._streams(device)]
        return self._took(
            RegistryData(revision=self._registry.revision + 1, devices=list(devices), datastreams=streams)
        )

    async def device_within(self, tx: Tx, device_id: str) -> Device | None:
        return self._registry.devices.get(device_id)

    async def upsert_within(
        self, tx: Tx, devices: Sequence[Device], *, author: str, approver: str = "", reason: str
    ) -> RegistryData:
        """Not undone with `tx`: the suite of storage.registry says what is transactional."""
        return await self.upsert(devices, author=author, approver=approver, reason=reason)

    def _streams(self, device: Device) -> list[Datastream]:
        model = self._models[device.model]
        return [
            Datastream(
                datastream=self._numbers.setdefault((device.device_id, prop.key), len(self._numbers) + 1),
                device_id=device.device_id,
                property=prop.key,
                uom=prop.uom,
                kind=prop.kind,
                interval_s=model.interval_of(device),
            )
            for prop in model.properties_of(device)
        ]

    async def remove(self, device_ids: Sequence[str], *, author: str, reason: str) -> RegistryData:
        return self._took(RegistryData(revision=self._registry.revision + 1, removed=list(device_ids)))

    def _took(self, change: RegistryData) -> RegistryData:
        self._registry.apply(change)
        self._waiting.append(change)
        return change

    async def unappended(self) -> list[RegistryData]:
        return list(self._waiting)

    async def mark_appended(self, revision: int) -> None:
        self._waiting = [change for change in self._waiting if change.revision > revision]
