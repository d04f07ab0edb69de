"""Where a device's values go: by key, worked out once for each revision of the registry."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import msgspec

from devices.models import DeviceModel
from devices.registry import Datastream, Device, Registry, partition_of

_LARGEST = sys.float_info.max


class Route(msgspec.Struct, frozen=True, gc=False):
    """One property of one device. A float within `low` and `high` needs no closer look; where a kind is not number, none is."""

    partition: int
    datastream: int
    low: float
    high: float
    stream: Datastream
    model: DeviceModel | None


class Routes:
    """Routes by device, made when the device first speaks. Not thread-safe."""

    def __init__(self, registry: Registry, models: Mapping[str, DeviceModel]) -> None:
        self._registry, self._models = registry, models
        self._revision = -1
        self._by_device: dict[str, dict[str, Route]] = {}

    def of(self, device: Device) -> Mapping[str, Route]:
        """By property key, at the registry's present revision."""
        if self._revision != self._registry.revision:
            self._by_device.clear()
            self._revision = self._registry.revision
        routes = self._by_device.get(device.device_id)
        if routes is None:
            routes = self._by_device[device.device_id] = self._made(device)
        return routes

    def _made(self, device: Device) -> dict[str, Route]:
        model = self._models.get(device.model)
        partition = partition_of(device.device_id)
        routes = {}
        for stream in self._registry.datastreams_of(device.device_id):
            low, high = _bounds(stream, model)
            routes[stream.property] = Route(partition, stream.datastream, low, high, stream, model)
        return routes


def _bounds(stream: Datastream, model: DeviceModel | None) -> tuple[float, float]:
    """The physical range; an empty one where a value needs a closer look whatever it is. Infinity is never inside."""
    if stream.kind != "number":
        return 1.0, 0.0
    known = model.properties.get(stream.property) if model is not None else None
    low = None if known is None else known.range_min
    high = None if known is None else known.range_max
    return -_LARGEST if low is None else low, _LARGEST if high is None else high
