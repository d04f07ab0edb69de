"""Frames of station protocols at the pipeline: read them, say whose they are, give their values the city's names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from devices.codecs.station import Decoder, Refused, Report
from devices.models import DeviceModel
from devices.registry import Device, Registry
from devices.stations import (
    DECODERS,
    Station,
    StationIndex,
    Translated,
    disbelief,
    station_of,
    translate,
)


class StationReader:
    """Decoders by device, since a divided frame is only understood with the packet before it. Bounded by the register."""

    def __init__(self, registry: Registry, models: Mapping[str, DeviceModel]) -> None:
        self._models = models
        self.index = StationIndex(registry)
        self._decoders: dict[tuple[str, str], tuple[Station, Decoder]] = {}
        self._missing: dict[tuple[str, str], tuple[str, ...]] = {}

    @staticmethod
    def knows(codec: str) -> bool:
        return codec in DECODERS

    def read(self, device: Device, codec: str, payload: bytes) -> Sequence[Report | Refused]:
        """Every frame of one message; what is cut off at its end is refused. []: a packet that waits for the others of its
        message."""
        decoder = self._decoder(device, codec)
        pieces = [*decoder.feed(payload), *decoder.finish()]
        if not pieces and not decoder.waiting:
            pieces.append(Refused(payload, (f"payload: expected a frame of {codec}, got {len(payload)} bytes",)))
        return pieces

    def owner(self, report: Report, codec: str, sender: Device) -> Device | str:
        """The device that a frame speaks about, or why the sender may not send it: the sender itself or, where it is their
        gateway, one of the devices bound to it."""
        device = self.index.device_of(codec, report.station) if report.station else sender  # "": it names none
        if device is None:
            return f"{codec} station {report.station!r} is not registered: expected attributes.stations.{codec} of a device"
        if device.device_id != sender.device_id and device.gateway != sender.device_id:
            return f"{codec} station {report.station!r} is not {sender.device_id!r} and not bound to it"
        if not device.enabled:
            return f"device {device.device_id!r} is registered but disabled"
        return disbelief(device, codec, report) or device

    def translated(self, report: Report, device: Device, codec: str, receive_us: int) -> tuple[Translated, bool]:
        """The report under the city's names; and whether what is missing differs from the report before of the same kind."""
        found = translate(report, device, codec, self._models.get(device.model), receive_us=receive_us)
        key, now = (device.device_id, report.command), tuple(found.missing)
        differs = self._missing.get(key, ()) != now
        if differs:
            self._missing[key] = now
        return found, differs

    def clock_set(self, codec: str, report: Report, now_us: int) -> bytes | None:
        """The frame that sets the station's clock; None where its protocol has none."""
        return DECODERS[codec](Station(station=report.station)).set_clock(report, now_us)

    def _decoder(self, device: Device, codec: str) -> Decoder:
        station = station_of(device, codec)
        known = self._decoders.get((device.device_id, codec))
        if known is None or known[0] != station:
            known = self._decoders[device.device_id, codec] = (station, DECODERS[codec](station))
        return known[1]
