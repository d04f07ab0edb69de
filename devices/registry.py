"""What the city knows about its devices: the registry, as data that travels in the log.

A `Registry` is a revision plus two indexes. It is changed only by `apply`, with the data of a `registry` control
record, so that ingest, rules and a replay hold the same registry at the same position of the log.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

PARTITIONS = 64  # fixed for life: the log's partition column is a hash over this many values


def partition_of(device_id: str) -> int:
    """The log partition (0..63) of a device; the same for all its datastreams."""
    return zlib.crc32(device_id.encode()) % PARTITIONS


class Device(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One registered device. Positions are WGS 84 degrees; thresholds are in the property's canonical uom.

    `gc=False`, here and below: documents hold no cycles, and a collector that walks over 400,000 of them stops a process for a
    second, again and again.
    """

    device_id: str
    model: str  # id of a document in devices/models/
    kind: str  # camera, water_gauge, rain_wind_station, air_station, gas_detector, canary
    name: str
    lon: float
    lat: float
    area: str = ""  # administrative code prefix
    vendor: str = ""
    group: str = ""  # site whose detectors vote together, or gateway area
    gateway: str = ""  # device_id of the gateway that may publish for it; "" = publishes itself
    interval_s: float | None = None  # reporting interval where it differs from the model's
    thresholds: dict[str, dict[str, Any]] = {}  # property -> see docs/interfaces.md section 3
    attributes: dict[str, Any] = {}  # road_edges, datum, substance, ...
    enabled: bool = True


class Datastream(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One property of one device: the series that rules watch and the database stores."""

    datastream: int
    device_id: str
    property: str
    uom: str
    kind: str = "number"  # number, bool, text
    interval_s: float = 60.0


class RegistryData(msgspec.Struct, frozen=True, kw_only=True):
    """Body of a `registry` control record: a full registry, or the devices that changed and those that left."""

    revision: int
    full: bool = False
    devices: list[Device] = []
    datastreams: list[Datastream] = []
    removed: list[str] = []


def touched(data: RegistryData) -> tuple[str, ...] | None:
    """Ids of the devices that a change is about, each once; None: all of them."""
    if data.full:
        return None
    return tuple(dict.fromkeys([*(d.device_id for d in data.devices), *data.removed]))


class Registry:
    """Devices and datastreams at one revision."""

    def __init__(self) -> None:
        self.revision = 0
        self.devices: dict[str, Device] = {}
        self.datastreams: dict[int, Datastream] = {}
        self._by_property: dict[tuple[str, str], Datastream] = {}
        self._of_device: dict[str, tuple[Datastream, ...]] = {}
        self._ordered: list[str] | None = None

    def apply(self, data: RegistryData) -> None:
        """Take over a revision. An older or equal revision changes nothing: controls may be read twice."""
        if data.revision <= self.revision:
            return
        if data.full:
            self.devices.clear()
            self.datastreams.clear()
            self._by_property.clear()
            self._of_device.clear()
        for device_id in data.removed:
            self.devices.pop(device_id, None)
            for stream in self._of_device.pop(device_id, ()):
                self.datastreams.pop(stream.datastream, None)
                self._by_property.pop((device_id, stream.property), None)
        for device in data.devices:
            self.devices[device.device_id] = device
        for stream in data.datastreams:
            self._put(stream)
        self.revision = data.revision
        self._ordered = None

    def ordered(self) -> list[str]:
        """Device ids in order; sorted once for a revision, however many pages are read of it. Not to be changed."""
        if self._ordered is None:
            self._ordered = sorted(self.devices)
        return self._ordered

    def _put(self, stream: Datastream) -> None:
        self.datastreams[stream.datastream] = stream
        self._by_property[(stream.device_id, stream.property)] = stream
        siblings = self._of_device.get(stream.device_id, ())
        self._of_device[stream.device_id] = (*(s for s in siblings if s.datastream != stream.datastream), stream)

    def datastream_of(self, device_id: str, prop: str) -> Datastream | None:
        return self._by_property.get((device_id, prop))

    def datastreams_of(self, device_id: str) -> list[Datastream]:
        return list(self._of_device.get(device_id, ()))

    def snapshot(self) -> RegistryData:
        """Everything, as the body of a full `registry` control."""
        return RegistryData(
            revision=self.revision,
            full=True,
            devices=list(self.devices.values()),
            datastreams=list(self.datastreams.values()),
        )

    @classmethod
    def from_data(cls, data: RegistryData) -> Registry:
        registry = cls()
        registry.apply(data)
        return registry


def registry_data(data: Mapping[str, Any]) -> RegistryData:
    """Validate the `data` of a `registry` control record. Raises msgspec.ValidationError naming the wrong field."""
    return msgspec.convert(data, RegistryData)


def as_data(
    revision: int, devices: Iterable[Device], datastreams: Iterable[Datastream], removed: Iterable[str] = ()
) -> dict[str, Any]:
    """The `data` of a `registry` control record for a change."""
    body = RegistryData(revision=revision, devices=list(devices), datastreams=list(datastreams), removed=list(removed))
    return msgspec.to_builtins(body)  # type: ignore[no-any-return]
