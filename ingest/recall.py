"""Dead letters read again after a mend: the pipeline of live messages, told as history.

A letter is read with the register and the codecs of today and with its own time of receipt, so its stamps are judged as they were
then. What it says is the past now: rows and events are marked (`RETOLD`), nothing is answered, no clock is set, and what is still
wrong is told to the caller instead of becoming a second dead letter. The pipeline is one of its own, since what is known of
a device's clock, of its counters and of the halves of its messages belongs to the live one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from devices import topics
from devices.codecs.station import Report
from devices.models import DeviceModel
from devices.registry import Device, Registry
from devices.stations import DECODERS, NOBODY, SESSIONS, family, station_of
from devices.topics import BadTopic, Channel, UpTopic
from ingest.clock_rule import Situation, Verdict
from ingest.lane import Lane
from ingest.letters import RAW_MAX, RETAINED
from ingest.message import Message
from ingest.pipeline import Batch, Link, Pipeline, Reading
from stream.records import EventBody, ObsBatch, Record, RecordKind, Source, as_batch, as_event

_MOMENTARY = {
    Channel.STATE: "a state speaks of its own moment: what is true now the device has said since",
    Channel.CMD: "a reply to a command speaks of its own moment: whoever waited for it waits no more",
}
_KEPT = frozenset({"device_event", "device_attr"})
_LINK = Link(machine_s=0.0)
_HISTORY = Source.BACKFILL | Source.REPLAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled:
    """What a letter says today: rows and events as history, and what is still wrong with it."""

    rows: ObsBatch | None = None
    events: tuple[EventBody, ...] = ()
    wrong: tuple[str, ...] = ()


def not_replayable(topic: str, payload: bytes | None, reasons: Sequence[str], *, truncated: bool) -> str:
    """Why a letter cannot be put in again at all; "" where it can be tried."""
    if not topic:
        return "a record that the database refused, not a message of a device"
    if payload is None:
        return "over the device's quota of dead letters: only the hash of its bytes was kept"
    if truncated:
        return f"truncated: only its first {RAW_MAX // 1024} KiB were kept"
    if RETAINED in reasons:
        return "a retained message: nobody knows when it was said"
    try:
        return _MOMENTARY.get(topics.parse_up(topic).channel, "")
    except BadTopic:
        return ""


class Recall:
    """Reads letters, in the order of their receipt, against one registry. Not thread-safe."""

    def __init__(
        self, tenant: str, registry: Registry, models: Mapping[str, DeviceModel], *, delivery_slack_s: float = 0.0
    ) -> None:
        """As `Pipeline`."""
        self._tenant = tenant
        self._pipeline = _Recalling(tenant, registry, models, delivery_slack_s=delivery_slack_s)

    def read(self, topic: str, payload: bytes, receive_us: int, *, by_tcp: bool = False) -> Recalled:
        """Never raises for what a device sent."""
        self._pipeline.by_tcp = by_tcp
        topic = self._addressed(topic, payload) if by_tcp else topic
        message = Message(topic=topic, payload=payload, packet_id=0, receive_us=receive_us)
        outcome = self._pipeline.process([message], _LINK)
        batches: list[ObsBatch] = []
        events: list[EventBody] = []
        wrong: list[str] = []
        for new in outcome.records:
            record = Record(position=0, at_us=0, kind=new.kind, version=1, body=new.body)
            if new.kind is RecordKind.OBS:
                batches.append(as_batch(record))
                continue
            body = as_event(record)
            reason = body.data.get("reason")
            if body.type == "dead_letter":
                wrong += body.data["reasons"]
            elif body.type in _KEPT or reason == "unregistered_keys":
                events.append(_told_again(body))
            elif reason == "packet_waits":
                wrong.append("one packet of a message; the others were not among the letters before it")
        return Recalled(rows=ObsBatch.joined(batches), events=tuple(events), wrong=tuple(wrong))

    def _addressed(self, topic: str, payload: bytes) -> str:
        """The topic of a frame that came over TCP, where the name of its sender is what it says of itself: whoever was a stranger
        then may be registered now."""
        try:
            codec = topics.parse_up(topic).argument
        except BadTopic:
            return topic
        if codec not in DECODERS:
            return topic
        decoder = DECODERS[codec](NOBODY)
        for piece in (*decoder.feed(payload), *decoder.finish()):
            if isinstance(piece, Report):
                device = self._pipeline.stations.index.device_of(codec, piece.station)
                if device is not None:
                    return topics.up(self._tenant, device.device_id, Channel.RAW, codec)
        return topic


class _NoLane(Lane):
    """Nobody is known there: every letter goes the long way, where verdicts are told as history."""

    def learn(self, text: str, topic: UpTopic) -> None: ...


class _Recalling(Pipeline):
    """The pipeline where every sample is history and nobody waits for an answer."""

    by_tcp = False

    def __init__(
        self, tenant: str, registry: Registry, models: Mapping[str, DeviceModel], *, delivery_slack_s: float
    ) -> None:
        super().__init__(tenant, registry, models, delivery_slack_s=delivery_slack_s)
        self._lane = _NoLane(registry, self._routes, self._clocks, self._limits_of)

    def _write(self, reading: Reading, verdict: Verdict, batch: Batch, *, again: bool = False) -> None:
        source = (verdict.source & ~Source.LIVE) | _HISTORY
        super()._write(reading, msgspec.structs.replace(verdict, source=source), batch, again=again)

    def _report(self, message: Message, codec: str, report: Report, owner: Device, batch: Batch) -> None:
        """What its session knew was not kept: where a letter came from, and whether a code had been shown."""
        if self.by_tcp and codec in SESSIONS:
            reason = f"{codec} station {report.station!r}: expected its code first, and a letter does not say whether it was shown"
            self._refuse(message, owner.device_id, [reason], "identity", batch)
            return
        if self.by_tcp and (allowed := station_of(owner, family(codec)).allow):
            reason = f"{codec} station {report.station!r}: expected from {', '.join(allowed)}, and a letter does not say where from"
            self._refuse(message, owner.device_id, [reason], "identity", batch)
            return
        super()._report(message, codec, report, owner, batch)

    def _situation(self, device: Device, batch: Batch) -> Situation:
        """Nothing remembers whether the device had just come back: what has the form of a backlog is taken for one."""
        return Situation(reconnected=True)

    def _set_clock(
        self, device: Device, message: Message, verdict: Verdict, batch: Batch, report: Report | None = None
    ) -> None:
        """The clock of then is not to be set now."""


def _told_again(body: EventBody) -> EventBody:
    data = body.data | {"backfill": True} if body.type == "device_event" else body.data
    return msgspec.structs.replace(body, data=data, retold=True)
