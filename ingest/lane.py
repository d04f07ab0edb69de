"""The way of the message that nearly every message is: numbers of a device, about now, from a sender that may speak for it.

A message is taken whole or not at all: what is not plain in every part goes the long way through `ingest.pipeline`, which comes to the same rows
(a test sends the same messages both ways). From here on rows are columns; no object is made for a row.

The rows of a device stay in the order of its messages: the long way judges a batch's stamps at its end, so once a message about a device went
there, the later ones of the batch follow it (`apart`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from devices.codecs import json_v1
from devices.codecs.json_v1 import SEQ_MAX, Plain
from devices.registry import Device, Registry, partition_of
from devices.topics import Channel, UpTopic
from ingest.clock_rule import ClockLimits, DeviceClock
from ingest.message import Message
from ingest.routes import Routes
from ingest.rows import Head, Rows
from stream.records import Source

FORMS_MAX = 32  # sets of keys of one device that are remembered
_LIVE, _LATE = int(Source.LIVE), int(Source.LIVE | Source.LATE)
_NONE: tuple[int, ...] = ()

Numbered = Sequence[tuple[str, int]]  # devices, and the numbers that they gave their samples


class Way(msgspec.Struct, frozen=True, gc=False):
    """A device at one revision of the registry. `forms`: its datastreams in the order of a message's keys; () where a key is unknown
    or is not a number's."""

    device: Device
    partition: int
    tolerance_us: int
    late_allowed_us: int
    forms: dict[tuple[str, ...], tuple[int, ...]]


class Sender(msgspec.Struct, frozen=True, gc=False):
    """A topic at one revision of the registry. `ways`: of the devices that were spoken for there."""

    device_id: str
    gateway: bool
    ways: dict[str, Way]


class Lane:
    """Plain messages to rows. Not thread-safe."""

    def __init__(
        self,
        registry: Registry,
        routes: Routes,
        clocks: dict[str, DeviceClock],
        limits_of: Callable[[Device], ClockLimits],
    ) -> None:
        """`clocks`, by device, are the pipeline's own: both ways keep them."""
        self._registry, self._routes, self._clocks, self._limits_of = registry, routes, clocks, limits_of
        self._revision = -1
        self._senders: dict[str, Sender] = {}
        self._received = [0, 0]
        self._low = np.zeros(1)  # physical range by datastream, of those in a form
        self._high = np.zeros(1)

    def learn(self, text: str, topic: UpTopic) -> None:
        """A message has shown that a device may send at this topic."""
        if topic.channel in (Channel.TELEMETRY, Channel.GATEWAY) and self._revision == self._registry.revision:
            self._senders.setdefault(text, Sender(topic.device_id, topic.channel == Channel.GATEWAY, {}))

    def begin(self) -> None:
        """A batch begins: nobody is known any more where the registry has changed."""
        self._received[:] = 0, 0
        if self._revision != self._registry.revision:
            self._senders.clear()
            self._revision = self._registry.revision

    @property
    def received(self) -> dict[Channel, int]:
        """How many messages of the batch were taken."""
        return dict(zip((Channel.TELEMETRY, Channel.GATEWAY), self._received, strict=True))

    def take(self, message: Message, rows: Rows, apart: set[str]) -> Numbered | None:
        """Rows of a plain message, and the samples of it that have a number; None: it goes the long way, and left nothing here."""
        sender = self._senders.get(message.topic)
        if sender is None or message.dup or message.retain or message.problems:
            return None
        try:
            found: Mapping[str, Sequence[Plain]] = (
                json_v1.plain_gateway(message.payload)
                if sender.gateway
                else {sender.device_id: (json_v1.plain(message.payload),)}
            )
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        receive_us, packet_id = message.receive_us, message.packet_id
        taken: list[tuple[str, Plain, Head, tuple[int, ...]]] = []
        for device_id, samples in found.items():
            way = sender.ways.get(device_id) or self._find(sender, device_id)
            if way is None or not samples or device_id in apart:
                return None
            for one in samples:
                keys = tuple(one.values)
                streams = way.forms.get(keys)
                if streams is None:
                    streams = self._form(way, keys)
                ts_us = one.ts * 1000
                age_us = receive_us - ts_us
                if not streams or one.bf or one.q or not -way.tolerance_us <= age_us <= way.tolerance_us:
                    return None
                if one.seq is not None and not 0 <= one.seq <= SEQ_MAX:
                    return None
                source = _LATE if age_us > way.late_allowed_us else _LIVE
                head = (way.partition, ts_us, receive_us, source, one.seq, packet_id, len(streams))
                taken.append((device_id, one, head, streams))
        if not taken:
            return None
        self._received[sender.gateway] += 1
        numbered: list[tuple[str, int]] = []
        for device_id, one, head, streams in taken:
            rows.plain(head, streams, one.values.values())
            # What `clock_rule.live` does: a plausible stamp ends a run, and is what a backlog is held against.
            clock = self._clocks.get(device_id)
            if clock is None:
                clock = self._clocks[device_id] = DeviceClock()
            clock.run = 0
            if head[1] > clock.believed_us:
                clock.believed_us = head[1]
            if one.seq is not None:
                numbered.append((device_id, one.seq))
        return numbered

    def checked(self, streams: npt.NDArray[np.int64], results: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """For rows that came this way, (n,) each: OVER_RANGE or UNDER_RANGE where a value lies outside of its physical range, else 0; (n,) int64.
        Such a value is flagged and never dropped: a gauge under water reads "over range"."""
        over, under = results > self._high[streams], results < self._low[streams]
        return over * np.int64(Source.OVER_RANGE) | under * np.int64(Source.UNDER_RANGE)

    def _find(self, sender: Sender, device_id: str) -> Way | None:
        """The way of a device that this sender may speak for."""
        device = self._registry.devices.get(device_id)
        if device is None or not device.enabled:
            return None
        if device_id != sender.device_id and device.gateway != sender.device_id:
            return None
        limits = self._limits_of(device)
        way = sender.ways[device_id] = Way(
            device, partition_of(device_id), limits.tolerance_us, limits.late_allowed_us, {}
        )
        return way

    def _form(self, way: Way, keys: tuple[str, ...]) -> tuple[int, ...]:
        routes = self._routes.of(way.device)
        numbers = [routes[key] for key in keys if key in routes and routes[key].stream.kind == "number"]
        streams = tuple(route.datastream for route in numbers) if len(numbers) == len(keys) else _NONE
        for route in numbers if streams else ():
            self._bound(route.datastream, route.low, route.high)
        if len(way.forms) < FORMS_MAX:
            way.forms[keys] = streams
        return streams

    def _bound(self, datastream: int, low: float, high: float) -> None:
        if datastream >= len(self._low):
            more = np.zeros(max(datastream + 1, 2 * len(self._low)) - len(self._low))
            self._low, self._high = np.append(self._low, more), np.append(self._high, more)
        self._low[datastream], self._high[datastream] = low, high
