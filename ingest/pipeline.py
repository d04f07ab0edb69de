"""Messages in, records out: decode, identity, wrong clocks, values, dead letters. No I/O and no clock of its own.

A batch of messages becomes one observation record and the events beside it, for one append; the replies go out after its
fsync. Every message ends in exactly one of: rows or events, a dead letter, or a duplicate that was in the log already.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from devices import topics
from devices.codecs import json_v1
from devices.codecs.samples import Decoded, Sample
from devices.codecs.station import Refused, Report, Said
from devices.models import DeviceModel
from devices.registry import Device, Registry
from devices.stations import DECODERS, answer_of
from devices.topics import BadTopic, Channel, UpTopic
from ingest import acks, metrics, values
from ingest.acks import ClockSetLimit
from ingest.clock_rule import (
    BACKLOG_MIN,
    FRESH,
    RECONNECT_WINDOW_S,
    ClockLimits,
    DeviceClock,
    Situation,
    Stamp,
    Verdict,
    judge,
    limits_of,
    live,
)
from ingest.dedupe import DupTail, PacketKey, packet_key
from ingest.gaps import Gap, SeqGaps
from ingest.lane import Lane
from ingest.letters import RAW_MAX, RETAINED, Quota, dead_letter
from ingest.message import Message, Reply
from ingest.quality import QualityControl, Spike
from ingest.routes import Routes
from ingest.rows import Rows
from ingest.station_reader import StationReader
from stream import records
from stream.records import EventBody, NewRecord, Quality, Source

QUALITY_TESTS = (
    Source.USER_RANGE,
    Source.RATE_OF_CHANGE,
    Source.FLAT_LINE,
    Source.CLIMATOLOGY,
    Source.ATTENUATED,
    Source.NEIGHBOUR,
)
PLAIN_FLAGS = (Source.OVER_RANGE, Source.UNDER_RANGE, Source.LATE)
GOOD, LIVE = Quality.GOOD.value, int(Source.LIVE)
SPIKES_BURST, SPIKES_PER_S = 10.0, 0.1  # notes of one device: it may jump at each sample
TOPICS_MAX = 200_000  # that are remembered as parsed; strangers could invent more
DEFAULT_LIMITS = ClockLimits.of_seconds(tolerance_s=300, live_window_s=900, late_allowed_s=300)  # contract.md section 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What the connection to the broker says at the time of a batch, in machine and city time."""

    machine_s: float
    gap_from_us: int | None = None  # since when messages may have waited at the broker; None: none do


@dataclass(slots=True)
class Outcome:
    """What a batch of messages comes to. Append `records`, then send `replies`, then acknowledge."""

    records: list[NewRecord] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    rows: int = 0


class Reading(msgspec.Struct, frozen=True, gc=False):
    """A decoded sample with the message and the registered device that it belongs to."""

    message: Message
    sample: Sample
    device: Device
    report: Report | None = None  # of a station: what its clock is set by


@dataclass(slots=True)
class Batch:
    link: Link
    rows: Rows = field(default_factory=Rows)
    events: list[NewRecord] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    problems: dict[int, tuple[Message, str, list[str]]] = field(default_factory=dict)  # by id of the message
    received: dict[Channel, int] = field(default_factory=dict)
    gaps: dict[str, tuple[int, list[Gap]]] = field(default_factory=dict)  # by device
    apart: set[str] = field(default_factory=set)  # devices with a sample that went the long way


class Pipeline:
    """Turns batches of messages into records, against one registry. Not thread-safe."""

    def __init__(
        self,
        tenant: str,
        registry: Registry,
        models: Mapping[str, DeviceModel],
        *,
        tail: DupTail | None = None,
        quota: Quota | None = None,
        delivery_slack_s: float = 0.0,
    ) -> None:
        """`delivery_slack_s` widens every model's clock tolerance (`clock_rule.limits_of`)."""
        self.registry = registry
        self._tenant, self._models = tenant, models
        self._limits = limits_of(models, slack_s=delivery_slack_s)
        self._tail = tail or DupTail()
        self._quota = quota or Quota()
        self._clock_sets = ClockSetLimit()
        self.quality = QualityControl(registry, models)
        self._spike_notes = Quota(burst=SPIKES_BURST, per_s=SPIKES_PER_S)
        self.stations = StationReader(registry, models)
        self._topics: dict[str, UpTopic] = {}
        self._routes = Routes(registry, models)
        self._gaps = SeqGaps()
        self._clocks: dict[str, DeviceClock] = {}
        self._online: dict[str, bool] = {}
        self._reconnected_s: dict[str, float] = {}
        self._lane = Lane(registry, self._routes, self._clocks, self._limits_of)
        self._doubted: dict[
            str, list[Reading | None]
        ] = {}  # of a wrong clock, or the beginning of a backlog: the third tells

    def reconnected(self, device_id: str, machine_s: float) -> None:
        """A device has come back (its state said so, or its TCP session began): what it sends next may be a backlog."""
        self._reconnected_s[device_id] = machine_s

    def process(self, messages: Sequence[Message], link: Link) -> Outcome:
        """Everything that follows from these messages. Never raises for what a device sent."""
        batch = Batch(link)
        packets: list[PacketKey] = []
        told = 0  # of the packets, those that the tail knows
        self._lane.begin()
        for message in messages:
            if message.packet_id or message.delivery:
                key = packet_key(message)
                if message.dup:
                    # Before their fsync: the acknowledgement of a second copy comes after the first one's.
                    self._tail.add(packets[told:])
                    told = len(packets)
                    if key in self._tail:
                        metrics.DUPLICATES.inc()
                        self._receipts_again(message, batch)
                        continue
                packets.append(key)
            numbered = self._lane.take(message, batch.rows, batch.apart)
            if numbered is None:
                self._take(message, batch)
                continue
            for device_id, seq in numbered:
                self._numbered(message, device_id, seq, batch)
        self._tail.add(packets[told:])
        self._judge_readings(batch)
        for message, device_id, reasons in batch.problems.values():
            within = self._quota.take(device_id, link.machine_s)
            batch.events.append(records.event(dead_letter(message, device_id, reasons, within_quota=within)))
        for device_id, (receive_us, gaps) in batch.gaps.items():
            missing = sum(gap.missing for gap in gaps)
            metrics.SEQ_MISSING.inc(missing)
            data = {"reason": "seq_gap", "missing": missing, "after": gaps[0].after, "before": gaps[-1].before}
            self._note(device_id, receive_us, data, batch)
        metrics.ROWS.inc(len(batch.rows))
        for channel, count in [*batch.received.items(), *self._lane.received.items()]:
            metrics.RECEIVED.labels(channel.value).inc(count)
        return Outcome(
            records=self._controlled(batch, packets) + batch.events,
            replies=batch.replies,
            rows=len(batch.rows),
        )

    def _controlled(self, batch: Batch, packets: list[PacketKey]) -> list[NewRecord]:
        """The observations of a batch with what quality control says of them."""
        if not len(batch.rows):
            return []
        columns = batch.rows.columns()
        stream, at_us, source = (
            columns[name].to_numpy().astype(np.int64) for name in ("datastream", "phenomenon_us", "source")
        )
        results = columns["result"].to_numpy(zero_copy_only=False)  # NaN where there is a text
        flags, found, spikes = self.quality.control(stream, at_us, source, results)
        self._count_found(found, QUALITY_TESTS)
        plain = batch.rows.plain_rows
        if plain:
            outside = self._lane.checked(stream[:plain], results[:plain])
            self._count_found(outside | source[:plain], PLAIN_FLAGS)
            found[:plain] |= outside
            flags[:plain][(outside != 0) & (flags[:plain] == GOOD)] = Quality.SUSPECT
        if found.any():
            columns["quality"] = pa.array(values.worst(columns["quality"].to_numpy(), flags), pa.uint8())
            columns["source"] = pa.array(source | found, pa.uint16())
        for spike in spikes:
            self._note_spike(spike, batch)
        return batch.rows.records(columns, packets)

    @staticmethod
    def _count_found(found: npt.NDArray[np.int64], flags: Sequence[Source]) -> None:
        for flag in flags if found.any() else ():
            if count := int(((found & flag) != 0).sum()):
                metrics.FLAGGED.labels(str(flag.name).lower()).inc(count)

    def _note_spike(self, spike: Spike, batch: Batch) -> None:
        stream = self.registry.datastreams[spike.datastream]
        metrics.FLAGGED.labels("spike").inc()
        if not self._spike_notes.take(stream.device_id, batch.link.machine_s):
            return
        about = {"reason": "spike", "property": stream.property, "datastream": spike.datastream, "value": spike.value}
        about |= {"ts": spike.phenomenon_us // 1000, "by": round(spike.by, 6), "quality": spike.quality.value}
        self._note(stream.device_id, spike.phenomenon_us, about, batch)

    # -- one message

    def _take(self, message: Message, batch: Batch) -> None:
        try:
            topic = self._topic(message)
        except BadTopic as error:
            self._refuse(message, error.device_id, [str(error)], "topic", batch)
            return
        batch.received[topic.channel] = batch.received.get(topic.channel, 0) + 1
        if message.problems:
            self._refuse(message, topic.device_id, list(message.problems), "payload", batch)
            self._send_raw(message, topic.argument, message.denial, batch)
            return
        device = self.registry.devices.get(topic.device_id)
        refusal = self._identity_refusal(topic, device)
        if refusal:
            self._refuse(message, topic.device_id, [refusal], "identity", batch)
            return
        if message.retain and topic.channel != Channel.STATE:
            self._refuse(message, topic.device_id, [RETAINED], "retained", batch)
            return
        assert device is not None
        self._lane.learn(message.topic, topic)
        self._by_channel(message, topic, device, batch)

    def _topic(self, message: Message) -> UpTopic:
        """Parsed once: a device publishes to the same few topics. Raises BadTopic."""
        topic = self._topics.get(message.topic)
        if topic is None:
            topic = topics.parse_up(message.topic)
            if len(self._topics) >= TOPICS_MAX:
                self._topics.clear()
            self._topics[message.topic] = topic
        return topic

    def _identity_refusal(self, topic: UpTopic, device: Device | None) -> str:
        if topic.tenant != self._tenant:
            return f"topic names tenant {topic.tenant!r}, this is {self._tenant!r}"
        if device is None:
            return f"device {topic.device_id!r} is not registered"
        if not device.enabled:
            return f"device {topic.device_id!r} is registered but disabled"
        return ""

    def _by_channel(self, message: Message, topic: UpTopic, device: Device, batch: Batch) -> None:
        match topic.channel:
            case Channel.TELEMETRY:
                self._readings(message, json_v1.telemetry(device.device_id, message.payload), device, batch)
            case Channel.GATEWAY:
                self._readings(message, json_v1.gateway(message.payload), device, batch)
            case Channel.EVENT:
                self._device_event(message, device, batch)
            case Channel.STATE:
                self._state(message, device, batch)
            case Channel.ATTR:
                attributes, problems = json_v1.json_object(message.payload)
                self._plain_event(message, device, "device_attr", "", attributes, problems, batch)
            case Channel.CMD:
                reply, problems = json_v1.command_reply(message.payload)
                self._plain_event(message, device, "cmd_reply", topic.argument, reply, problems, batch)
            case Channel.RAW:
                self._raw(message, topic, device, batch)

    def _refuse(self, message: Message, device_id: str, reasons: list[str], kind: str, batch: Batch) -> None:
        """Collect the reasons of a message; it becomes one dead letter whatever their number."""
        metrics.DEAD_LETTERS.labels(kind).inc()
        known = batch.problems.setdefault(id(message), (message, device_id, []))
        known[2].extend(reasons)

    # -- station protocols

    def _raw(self, message: Message, topic: UpTopic, device: Device, batch: Batch) -> None:
        codec = topic.argument
        if not self.stations.knows(codec):
            reason = (
                f"codec {codec!r}: expected one of {', '.join(DECODERS)}, or JSON on {topics.ROOT}/.../up/telemetry"
            )
            self._refuse(message, device.device_id, [reason], "codec", batch)
            return
        if self.stations.came_back(device.device_id, codec, batch.link.machine_s):
            self.reconnected(device.device_id, batch.link.machine_s)
        pieces = self.stations.read(device, codec, message.payload, topic.more)
        if not pieces:
            # Acknowledged means stored: the packet itself, since the message that it belongs to may never be whole.
            raw = base64.b64encode(message.payload[:RAW_MAX]).decode()
            data = {"reason": "packet_waits", "codec": codec, "raw": raw}
            self._note(device.device_id, message.receive_us, data, batch)
        for piece in pieces:
            if isinstance(piece, Refused):
                self._refuse(message, device.device_id, list(piece.problems), "payload", batch)
                continue
            owner = self.stations.owner(piece, codec, device)
            if isinstance(owner, str):
                self._refuse(message, device.device_id, [owner], "identity", batch)
                self._send_raw(message, codec, piece.denial, batch)
                continue
            self._report(message, codec, piece, owner, batch)

    def _report(self, message: Message, codec: str, report: Report, owner: Device, batch: Batch) -> None:
        """One frame of a station that is who it says it is."""
        found, differs = self.stations.translated(report, owner, codec, message.receive_us)
        batch.apart.add(owner.device_id)
        batch.readings.extend(Reading(message, sample, owner, report) for sample in found.samples)
        for one in report.happened:
            about = {"type": one.type, "codec": codec, "component": one.name, "text": one.text, **one.data}
            if one.confidence is not None:
                about["confidence"] = one.confidence
            ts_us = message.receive_us if one.time_us is None else one.time_us
            identifier = f"{codec}:{one.type}:{one.id or f'{one.name}:{ts_us}'}"
            told_event = json_v1.DeviceEvent(
                type=one.type, id=identifier, ts_us=one.time_us, backfill=report.backfill, data=about
            )
            self._happened(message, told_event, identifier, owner, batch, report)
        if problems := [*report.problems, *found.problems]:
            self._refuse(message, owner.device_id, problems, "payload", batch)
        if differs:
            data = {"reason": "values_missing", "codec": codec, "keys": found.missing}
            self._note(owner.device_id, message.receive_us, data, batch)
        if report.said is Said.ATTRIBUTES:
            self._plain_event(message, owner, "device_attr", "", report.facts, [], batch)
        if report.said in (Said.ANSWER, Said.NOTICE, Said.REGISTRATION, Said.LOGIN):
            reason = "station_answer" if report.said is Said.ANSWER else "station_notice"
            told = {"reason": reason, "codec": codec, "command": report.command, "facts": report.facts}
            self._note(owner.device_id, message.receive_us, told, batch)
        self._answer(message, codec, report, owner, batch)
        if report.said is Said.CLOCK_REQUEST:
            self._send_raw(message, codec, self.stations.clock_set(codec, report, message.receive_us), batch)

    def _answer(self, message: Message, codec: str, report: Report, owner: Device, batch: Batch) -> None:
        """What the station waits for; it goes out after the fsync, like every reply."""
        self._send_raw(message, codec, answer_of(report, owner, codec), batch)

    def _send_raw(self, message: Message, codec: str, payload: bytes | None, batch: Batch) -> bool:
        """Whether there was anything to send."""
        if payload is None:
            return False
        came = self._topic(message)
        topic = self.stations.answer_topic(self._tenant, came.device_id, codec, came.more)
        if not topic:
            return False
        batch.replies.append(Reply(topic=topic, payload=payload, line=message.line))
        return True

    # -- telemetry

    def _readings(self, message: Message, decoded: Decoded, device: Device, batch: Batch) -> None:
        if decoded.problems:
            self._refuse(message, device.device_id, decoded.problems, "payload", batch)
        for sample in decoded.samples:
            owner = device
            if sample.device_id != device.device_id:
                child = self._child(sample.device_id, device)
                if isinstance(child, str):
                    self._refuse(message, device.device_id, [child], "identity", batch)
                    continue
                owner = child
            batch.apart.add(owner.device_id)
            batch.readings.append(Reading(message, sample, owner))

    def _child(self, child_id: str, gateway: Device) -> Device | str:
        """The child that a gateway speaks for, or why it may not."""
        child = self.registry.devices.get(child_id)
        if child is None:
            return f"child {child_id!r} is not registered"
        if child.gateway != gateway.device_id:
            return f"child {child_id!r} is not bound to gateway {gateway.device_id!r}"
        if not child.enabled:
            return f"child {child_id!r} is registered but disabled"
        return child

    def _judge_readings(self, batch: Batch) -> None:
        """Judge the stamps of each device together, then write the rows in the order of arrival."""
        by_device: dict[str, list[int]] = {}
        for index, reading in enumerate(batch.readings):
            by_device.setdefault(reading.device.device_id, []).append(index)
        verdicts: list[Verdict | None] = [None] * len(batch.readings)
        for device_id, indexes in by_device.items():
            if not self._live(device_id, indexes, batch.readings, verdicts):
                self._judge(device_id, indexes, batch, verdicts)
        for reading, verdict in zip(batch.readings, verdicts, strict=True):
            assert verdict is not None
            self._write(reading, verdict, batch)

    def _live(
        self, device_id: str, indexes: list[int], readings: list[Reading], verdicts: list[Verdict | None]
    ) -> bool:
        """Whether all samples of a device are plausible and about now, as nearly all are; then they are judged."""
        state = self._clocks.get(device_id, FRESH)
        limits = self._limits_of(readings[indexes[0]].device)
        for index in indexes:
            sample = readings[index].sample
            if sample.ts_us is None or sample.backfill:
                return False
            judged = live(state, sample.ts_us, readings[index].message.receive_us, limits)
            if judged is None:
                return False
            state, verdicts[index] = judged
        self._clocks[device_id] = state
        return True

    def _judge(self, device_id: str, indexes: list[int], batch: Batch, verdicts: list[Verdict | None]) -> None:
        readings = [batch.readings[index] for index in indexes]
        stamps = [
            Stamp(ts_us=r.sample.ts_us, receive_us=r.message.receive_us, backfill=r.sample.backfill) for r in readings
        ]
        device = readings[0].device
        before = self._clocks.get(device_id, FRESH)
        self._clocks[device_id], judged = judge(before, stamps, self._limits_of(device), self._situation(device, batch))
        for index, verdict in zip(indexes, judged, strict=True):
            verdicts[index] = verdict
        doubted = self._doubted.pop(device_id, [])
        self._tell_doubted(device_id, doubted[len(doubted) - before.run :], readings, judged, batch)

    def _tell_doubted(
        self,
        device_id: str,
        doubted: list[Reading | None],
        readings: list[Reading],
        judged: Sequence[Verdict],
        batch: Batch,
    ) -> None:
        """The first samples of a backlog that came message by message have counted at their arrival, as a wrong clock's do.
        Once the third shows what they are, history gets them at their own times too. `doubted`: of the run before this call."""
        state = self._clocks[device_id]
        for reading in doubted if state.revealed else ():
            if reading is None or reading.sample.ts_us is None:
                continue
            late = reading.message.receive_us - reading.sample.ts_us > self._limits_of(reading.device).late_allowed_us
            source = Source.BACKFILL | (Source.LATE if late else Source(0))
            verdict = Verdict(phenomenon_us=reading.sample.ts_us, device_us=None, source=source)
            self._write(reading, verdict, batch, again=True)
        if 0 < state.run < BACKLOG_MIN:
            now = [r if verdict.clock_fault else None for r, verdict in zip(readings, judged, strict=True)]
            self._doubted[device_id] = (doubted + now)[-state.run :]

    def _write(self, reading: Reading, verdict: Verdict, batch: Batch, *, again: bool = False) -> None:
        """Rows, refusals, receipt and gap of a sample; `again`: its rows alone."""
        sample, message, device = reading.sample, reading.message, reading.device
        if sample.crc_alternative:
            verdict = msgspec.structs.replace(verdict, source=verdict.source | Source.CRC_ALTERNATIVE)
        wrong: list[str] = []
        unknown: dict[str, Any] = {}
        routes = self._routes.of(device)
        plain = not sample.q and not sample.over
        source, packet_id = int(verdict.source), message.packet_id or None
        flagged = 0
        for key, value in sample.values.items():
            route = routes.get(key)
            if route is None:
                unknown[key] = value
                continue
            if plain and type(value) is float and route.low <= value <= route.high:
                # What nearly every value is: a number of the property's kind within its range.
                row = (route.partition, route.datastream, verdict.phenomenon_us, verdict.device_us, message.receive_us)
                batch.rows.rows.append((*row, value, None, GOOD, source, sample.seq, packet_id))
                flagged += 1
                continue
            try:
                checked = values.check(
                    key, value, route.stream, route.model, sample.q.get(key), over=key in sample.over
                )
            except values.WrongValue as error:
                wrong.append(f"{sample.path}.{error}" if sample.path else str(error))
                continue
            batch.rows.add(
                partition=route.partition,
                datastream=route.datastream,
                receive_us=message.receive_us,
                verdict=verdict,
                checked=checked,
                seq=sample.seq,
                packet_id=message.packet_id,
            )
            self._count_flags(verdict.source | checked.source)
        if flagged and source != LIVE:
            self._count_flags(verdict.source, flagged)
        if again:
            return
        if wrong:
            self._refuse(message, device.device_id, wrong, "value", batch)
        if unknown:
            self._note_unknown(reading, unknown, batch)
        if verdict.clock_fault:
            self._set_clock(device, message, verdict, batch, reading.report)
        if sample.seq is not None:
            self._numbered(message, device.device_id, sample.seq, batch)

    def _numbered(self, message: Message, device_id: str, seq: int, batch: Batch) -> None:
        """Receipt and gap of a sample with a number."""
        self._receipt(message, device_id, seq, batch)
        gap = self._gaps.seen(device_id, seq)
        if gap is not None:
            batch.gaps.setdefault(device_id, (message.receive_us, []))[1].append(gap)

    @staticmethod
    def _count_flags(source: Source, rows: int = 1) -> None:
        if source == Source.LIVE:
            return
        for flag in source & ~Source.LIVE:
            metrics.FLAGGED.labels(str(flag.name).lower()).inc(rows)

    def _note_unknown(self, reading: Reading, unknown: dict[str, Any], batch: Batch) -> None:
        """Keys without a datastream are kept and shown to the vendor: a new series is made by registration, not by a typo."""
        data: dict[str, Any] = {"reason": "unregistered_keys", "values": unknown, "topic": reading.message.topic}
        if reading.sample.ts_us is not None:
            data["ts"] = reading.sample.ts_us // 1000
        self._note(reading.device.device_id, reading.message.receive_us, data, batch)

    @staticmethod
    def _note(device_id: str, receive_us: int, data: dict[str, Any], batch: Batch) -> None:
        body = EventBody(type="ingest_note", device_id=device_id, receive_us=receive_us, data=data)
        batch.events.append(records.event(body))

    def _set_clock(
        self, device: Device, message: Message, verdict: Verdict, batch: Batch, report: Report | None = None
    ) -> None:
        target = device.gateway or device.device_id  # a child has no topic of its own: its gateway keeps its time
        if verdict.device_us is None or not self._clock_sets.allow(target, batch.link.machine_s):
            return
        sent = True
        if report is None:
            batch.replies.append(acks.clock_set(self._tenant, target, message.receive_us))
        else:
            codec = self._topic(message).argument
            frame = self.stations.clock_set(codec, report, message.receive_us)
            sent = self._send_raw(message, codec, frame, batch)
        reason = "clock_set_sent" if sent else "clock_is_wrong"
        about = {"reason": reason, "offset_us": verdict.device_us - message.receive_us}
        self._note(device.device_id, message.receive_us, about, batch)

    # -- receipts

    def _receipt(self, message: Message, device_id: str, seq: int, batch: Batch) -> None:
        sender = self._topic(message).device_id
        child = device_id if device_id != sender else ""
        batch.replies.append(acks.receipt(self._tenant, sender, seq, child=child))

    def _receipts_again(self, message: Message, batch: Batch) -> None:
        """A duplicate says that we ended between fsync and PUBACK: its receipts may not have gone out."""
        topic = self._topic(message)
        if topic.channel == Channel.TELEMETRY:
            decoded = json_v1.telemetry(topic.device_id, message.payload)
        elif topic.channel == Channel.GATEWAY:
            decoded = json_v1.gateway(message.payload)
        elif topic.channel == Channel.RAW:
            self._answers_again(message, topic, batch)
            return
        else:
            return
        for sample in decoded.samples:
            if sample.seq is not None:
                self._receipt(message, sample.device_id, sample.seq, batch)

    def _answers_again(self, message: Message, topic: UpTopic, batch: Batch) -> None:
        device = self.registry.devices.get(topic.device_id)
        if device is None or not self.stations.knows(topic.argument):
            return
        for piece in self.stations.read(device, topic.argument, message.payload, topic.more):
            owner = self.stations.owner(piece, topic.argument, device) if isinstance(piece, Report) else ""
            if isinstance(piece, Report) and not isinstance(owner, str):
                self._answer(message, topic.argument, piece, owner, batch)

    # -- events

    def _device_event(self, message: Message, device: Device, batch: Batch) -> None:
        event, problems = json_v1.event(message.payload)
        if event is None:
            self._refuse(message, device.device_id, problems, "payload", batch)
            return
        identifier = event.id or _event_hash(message, device, timed=event.ts_us is not None)
        self._happened(message, event, identifier, device, batch)

    def _happened(
        self,
        message: Message,
        event: json_v1.DeviceEvent,
        identifier: str,
        device: Device,
        batch: Batch,
        report: Report | None = None,
    ) -> None:
        """An event at its own time, or at its receipt where the device's clock is wrong."""
        stamp = Stamp(ts_us=event.ts_us, receive_us=message.receive_us, backfill=event.backfill)
        state = self._clocks.get(device.device_id, FRESH)
        _, (verdict,) = judge(state, [stamp], self._limits_of(device), self._situation(device, batch))
        data = dict(event.data)
        if verdict.device_us is not None:
            data |= {"device_ts": verdict.device_us // 1000, "clock_fault": True}
            self._set_clock(device, message, verdict, batch, report)
        if verdict.source & Source.BACKFILL:
            data["backfill"] = True
        body = EventBody(
            type="device_event",
            device_id=device.device_id,
            receive_us=message.receive_us,
            phenomenon_us=verdict.phenomenon_us,
            id=identifier,
            data=data,
        )
        batch.events.append(records.event(body, key=f"e:{device.device_id}:{identifier}"))

    def _state(self, message: Message, device: Device, batch: Batch) -> None:
        """Online and offline, on a change only: subscriptions repeat the retained state."""
        state, problems = json_v1.state(message.payload)
        if state is None:
            self._refuse(message, device.device_id, problems, "payload", batch)
            return
        online = bool(state["online"])
        if online and not message.retain:
            self.reconnected(device.device_id, batch.link.machine_s)
        if self._online.get(device.device_id) is online:
            return
        self._online[device.device_id] = online
        self._plain_event(message, device, "device_state", "", state, [], batch)

    def _plain_event(
        self,
        message: Message,
        device: Device,
        kind: str,
        identifier: str,
        data: dict[str, Any] | None,
        problems: list[str],
        batch: Batch,
    ) -> None:
        if data is None:
            self._refuse(message, device.device_id, problems, "payload", batch)
            return
        body = EventBody(type=kind, device_id=device.device_id, receive_us=message.receive_us, id=identifier, data=data)
        batch.events.append(records.event(body))

    # -- clocks

    def _limits_of(self, device: Device) -> ClockLimits:
        return self._limits.get(device.model, DEFAULT_LIMITS)

    def _situation(self, device: Device, batch: Batch) -> Situation:
        since_s = self._reconnected_s.get(device.gateway or device.device_id)
        reconnected = since_s is not None and batch.link.machine_s - since_s <= RECONNECT_WINDOW_S
        in_gap = batch.link.gap_from_us is not None
        return Situation(reconnected=reconnected or in_gap, gap_from_us=batch.link.gap_from_us)


def _event_hash(message: Message, device: Device, *, timed: bool) -> str:
    """Identity of an event without an id: device and payload; without a stamp two alike may be two, so the arrival counts."""
    text = f"{device.device_id}\0".encode() + message.payload
    if not timed:
        text += message.receive_us.to_bytes(8, "little", signed=True)
    return hashlib.blake2b(text, digest_size=8).hexdigest()
