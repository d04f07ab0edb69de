"""Frames of station protocols, and messages of other platforms, at the pipeline: read them, say whose they are, give their values
the city's names."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from devices import dialects
from devices.codecs.json_message import JsonMessageDecoder
from devices.codecs.station import Decoder, Refused, Report
from devices.models import DeviceModel
from devices.registry import Device, Registry
from devices.stations import (
    DECODERS,
    Station,
    StationIndex,
    Translated,
    disbelief,
    family,
    station_of,
    translate,
)
from devices.topics import down_raw
from ingest.clock_rule import RECONNECT_WINDOW_S


class StationReader:
    """Decoders by device, since a divided frame is only understood with the packet before it. Bounded by the register."""

    def __init__(self, registry: Registry, models: Mapping[str, DeviceModel]) -> None:
        self._models, self._registry = models, registry
        self.index = StationIndex(registry)
        self._decoders: dict[tuple[str, str], tuple[Station, Decoder]] = {}
        self._missing: dict[tuple[str, str], tuple[str, ...]] = {}
        self._heard_s: dict[str, float] = {}

    @staticmethod
    def knows(codec: str) -> bool:
        return codec in DECODERS

    def read(
        self, device: Device, codec: str, payload: bytes, more: tuple[str, ...] = ()
    ) -> Sequence[Report | Refused]:
        """Every frame of one message; what is cut off at its end is refused. []: a packet that waits for the others of its
        message. `more`: what its topic had behind the codec."""
        decoder = self._decoder(device, codec)
        if isinstance(decoder, JsonMessageDecoder):
            decoder.levels = dialects.levels_of(codec, more)
        pieces = [*decoder.feed(payload), *decoder.finish()]
        if not pieces and not decoder.waiting:
            pieces.append(Refused(payload, (f"payload: expected a frame of {codec}, got {len(payload)} bytes",)))
        child = dialects.captured(codec, more).get(dialects.CHILD) if more else None
        if child is None:
            return pieces
        return [dataclasses.replace(piece, station=child) if isinstance(piece, Report) else piece for piece in pieces]

    def came_back(self, device_id: str, codec: str, machine_s: float) -> bool:
        """Whether a device may have been cut off before this message. On our own topics `up/state` says so; devices of other
        platforms have none, so a silence counts, and so does our own start."""
        if codec not in dialects.routes():
            return False
        last_s = self._heard_s.get(device_id)
        self._heard_s[device_id] = machine_s
        return last_s is None or machine_s - last_s > RECONNECT_WINDOW_S

    def owner(self, report: Report, codec: str, sender: Device) -> Device | str:
        """The device that a frame speaks about, or why the sender may not send it: the sender itself or, where it is their
        gateway, one of the devices bound to it."""
        name = family(codec)
        device = self.index.device_of(name, report.station) if report.station else sender  # "": it names none
        if device is None and codec in dialects.routes():
            device = self._registry.devices.get(report.station)  # a gateway may call a child by our name for it
        if device is None:
            return (
                f"{codec} station {report.station!r} is not registered: expected attributes.stations.{name} of a device"
            )
        if device.device_id != sender.device_id and device.gateway != sender.device_id:
            return f"{codec} station {report.station!r} is not {sender.device_id!r} and not bound to it"
        if not device.enabled:
            return f"device {device.device_id!r} is registered but disabled"
        return disbelief(device, name, report) or device

    def translated(self, report: Report, device: Device, codec: str, receive_us: int) -> tuple[Translated, bool]:
        """The report under the city's names; and whether what is missing differs from the report before of the same kind."""
        found = translate(report, device, family(codec), self._models.get(device.model), receive_us=receive_us)
        key, now = (device.device_id, report.command), tuple(found.missing)
        differs = self._missing.get(key, ()) != now
        if differs:
            self._missing[key] = now
        return found, differs

    def clock_set(self, codec: str, report: Report, now_us: int) -> bytes | None:
        """The frame that sets the station's clock; None where its protocol has none."""
        return DECODERS[codec](Station(station=report.station)).set_clock(report, now_us)

    @staticmethod
    def answer_topic(tenant: str, sender: str, codec: str, more: tuple[str, ...]) -> str:
        """Where a frame to the sender goes: "" where its topic does not say enough."""
        if codec in dialects.routes():
            return dialects.reply_topic(codec, sender, more)
        return down_raw(tenant, sender, codec)

    def _decoder(self, device: Device, codec: str) -> Decoder:
        station = station_of(device, family(codec))
        known = self._decoders.get((device.device_id, codec))
        if known is None or known[0] != station:
            known = self._decoders[device.device_id, codec] = (station, DECODERS[codec](station))
        return known[1]
