"""Simulated devices: each has a connection, a credential and a memory of its own, and speaks MQTT like a vendor's box.

A device keeps every numbered record until `down/ack` names its number, and sends it again when that does not come; what
was confirmed stands in the ledger. It sends at most one telemetry message per machine second (contract.md section 2):
on a fast clock that message is an array of the samples since the last one.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiomqtt
import msgspec
import structlog

from devices import topics
from devices.commands import INTERVAL_MAX_S, INTERVAL_MIN_S, PRESET_MAX
from devices.topics import Channel
from simulators.ledger import Entry, Ledger
from simulators.obedience import Act, Obedience
from simulators.scenario import FaultDoc, epoch_us
from simulators.sensors import Instrument
from simulators.simclock import SimClock

log = structlog.get_logger()

MESSAGE_EVERY_S = 1.0  # machine seconds
RESEND_AFTER_S = 8.0  # machine seconds without `down/ack`
RESEND_MAX = 200  # records a message: a backlog leaves in slices
PENDING_MAX = 4_000  # records kept; beyond it the oldest is given up and counted
CATCH_UP_MAX = 600  # samples taken at once after a jump of the clock; older moments are lost, as in a real box
BACKFILL_AFTER_US = 300_000_000  # a record this late says so itself (`bf`)
BACKOFF_S = (0.3, 0.6, 1.2, 2.5, 5.0, 8.0)
CONNECT_TIMEOUT_S = 10.0
PUBLISH_TIMEOUT_S = 10.0
KEEPALIVE_S = 20
EPOCH_SHIFT_S = 1_500_000_000  # numbers start at the city second: a device that starts again goes on upwards
WATER_LEVELS_M = (0.15, 0.27, 0.50)  # depths at which the camera reports again
WATER_GONE_M = 0.05
CLOCK_LOST_US = 40 * 60 * 1_000_000  # a dead backup cell: a set clock is lost at the next power cycle

_encoder = msgspec.json.Encoder()


def heed_cancellation() -> None:
    """Raise CancelledError if this task was asked to end.

    aiomqtt waits with `asyncio.wait_for`, which in Python 3.11 may return a result that came together with the cancellation and
    forget the latter (python/cpython#81839): the task would live on.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """Where devices connect. `tls` None: plain TCP."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None


@dataclass(slots=True, kw_only=True)
class Stats:
    """Counters over all devices of a run."""

    sent: int = 0
    confirmed: int = 0
    resent: int = 0
    dropped: int = 0
    events: int = 0
    reconnects: int = 0
    broken: int = 0
    connected: int = 0


@dataclass(slots=True)
class _Record:
    seq: int
    city_us: int
    ts_ms: int
    values: dict[str, float]
    clock_fault: bool
    sent_s: float | None = None


@dataclass(slots=True)
class _WaterView:
    level: int = 0  # how many of WATER_LEVELS_M have been reported


@dataclass(slots=True)
class SimDevice:
    """One device. `run` connects, reports and reconnects until cancelled."""

    instrument: Instrument
    clock: SimClock
    broker: Broker
    tenant: str
    password: str
    ledger: Ledger
    stats: Stats
    start_us: int
    fault: FaultDoc | None = None
    message_every_s: float = MESSAGE_EVERY_S
    _pending: OrderedDict[int, _Record] = field(default_factory=OrderedDict)
    _events: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=200))
    _water: _WaterView = field(default_factory=_WaterView)
    _next_us: int = 0
    _seq: int = 0
    _messages: int = 0
    _clock_set_us: int | None = None
    preset: int = 1  # where a camera looks
    obedience: Obedience = field(init=False)

    def __post_init__(self) -> None:
        acts: dict[str, Act] = {"clock_set": self._set_clock, "interval_set": self._set_interval}
        if self.instrument.device.kind == "camera":
            acts["preset_goto"] = self._goto_preset
        self.obedience = Obedience(acts)

    @property
    def device_id(self) -> str:
        return self.instrument.device.device_id

    async def run(self) -> None:
        failures = 0
        while True:
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    client = self._client()
                    await client.__aenter__()
                try:
                    failures = 0
                    heed_cancellation()
                    await self._session(client)
                finally:
                    # A broken goodbye must not stand in for a cancellation: the device would live on.
                    with contextlib.suppress(aiomqtt.MqttError):
                        await client.__aexit__(None, None, None)
            except (aiomqtt.MqttError, TimeoutError, OSError) as error:
                delay_s = BACKOFF_S[min(failures, len(BACKOFF_S) - 1)]
                log.debug("device_disconnected", device=self.device_id, error=str(error), retry_s=delay_s)
                failures += 1
                self.stats.reconnects += 1
                await asyncio.sleep(delay_s)

    def _client(self) -> aiomqtt.Client:
        return aiomqtt.Client(
            hostname=self.broker.host,
            port=self.broker.port,
            username=self.device_id,
            password=self.password,
            identifier=self.device_id,
            keepalive=KEEPALIVE_S,
            tls_context=self.broker.tls,
            will=aiomqtt.Will(
                topics.up(self.tenant, self.device_id, Channel.STATE), b'{"online":false}', qos=1, retain=True
            ),
        )

    async def _session(self, client: aiomqtt.Client) -> None:
        """One connection: listen and report until it breaks."""
        self.stats.connected += 1
        for record in self._pending.values():
            record.sent_s = None  # what the old connection carried may be gone
        try:
            await client.subscribe(
                f"{topics.ROOT}/{self.tenant}/{self.device_id}/down/#", qos=1, timeout=CONNECT_TIMEOUT_S
            )
            heed_cancellation()
            await self._publish(client, Channel.STATE, b'{"online":true}', retain=True)
            listener = asyncio.create_task(self._listen(client), name=f"listen {self.device_id}")
            try:
                await self._report(client, listener)
            finally:
                listener.cancel()
                await asyncio.gather(listener, return_exceptions=True)
        finally:
            self.stats.connected -= 1

    async def _publish(
        self, client: aiomqtt.Client, channel: Channel, body: bytes, *, argument: str = "", retain: bool = False
    ) -> None:
        topic = topics.up(self.tenant, self.device_id, channel, argument)
        await client.publish(topic, body, qos=1, retain=retain, timeout=PUBLISH_TIMEOUT_S)
        heed_cancellation()

    # -- down

    async def _listen(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            body = msgspec.json.decode(bytes(message.payload)) if isinstance(message.payload, bytes | bytearray) else {}
            if message.topic.value == topics.down_ack(self.tenant, self.device_id):
                self._confirmed(int(body["seq"]))
            elif message.topic.value == topics.down_cmd(self.tenant, self.device_id):
                await self._obey(client, body)

    def _confirmed(self, seq: int) -> None:
        record = self._pending.pop(seq, None)
        if record is None:
            return  # confirmed before: the ack of a message that we sent twice
        self.stats.confirmed += 1
        self.ledger.confirm(
            Entry(
                device_id=self.device_id,
                seq=seq,
                ts_ms=record.ts_ms,
                keys=list(record.values),
                clock_fault=record.clock_fault,
            )
        )

    async def _obey(self, client: aiomqtt.Client, command: dict[str, Any]) -> None:
        reply = self.obedience.obey(command, self._stamp_us(self.clock.city_us()))
        await self._publish(client, Channel.CMD, _encoder.encode(reply), argument=str(command.get("id", "unknown")))

    def _set_clock(self, params: Mapping[str, Any]) -> None:
        self._clock_set_us = self.clock.city_us()

    def _set_interval(self, params: Mapping[str, Any]) -> None:
        """Sample at another interval from the next sample on."""
        interval_s = params.get("interval_s")
        if not isinstance(interval_s, int | float) or not INTERVAL_MIN_S <= interval_s <= INTERVAL_MAX_S:
            raise ValueError(f"interval_s {interval_s!r}: expected {INTERVAL_MIN_S:g} to {INTERVAL_MAX_S:g}")
        self.instrument.set_interval(float(interval_s))
        if self._next_us:
            self._next_us = self.instrument.next_sample_us(self.clock.city_us())

    def _goto_preset(self, params: Mapping[str, Any]) -> None:
        preset = params.get("preset")
        if not isinstance(preset, int) or not 1 <= preset <= PRESET_MAX:
            raise ValueError(f"preset {preset!r}: expected 1 to {PRESET_MAX}")
        self.preset = preset

    # -- up

    async def _report(self, client: aiomqtt.Client, listener: asyncio.Task[None]) -> None:
        due_s = self.clock.machine_s()
        while True:
            now_us = self.clock.city_us()
            self._sample(now_us)
            self._look(now_us)
            if not self._cut_off(now_us):
                await self._send(client, now_us)
            due_s = max(due_s + self.message_every_s, self.clock.machine_s())
            await asyncio.wait([listener], timeout=due_s - self.clock.machine_s())
            if listener.done():
                listener.result()  # raises what broke the connection
                raise aiomqtt.MqttError("the broker closed the connection")

    def _sample(self, now_us: int) -> None:
        """Take the samples that are due; a clock that stands still makes none."""
        if not self._next_us:
            self._next_us = self.instrument.next_sample_us(now_us - 1)
            self._seq = now_us // 1_000_000 - EPOCH_SHIFT_S
        taken = 0
        while self._next_us <= now_us:
            at_us, self._next_us = self._next_us, self.instrument.next_sample_us(self._next_us)
            if self._silent(at_us):
                continue
            taken += 1
            if taken > CATCH_UP_MAX:
                self._next_us = self.instrument.next_sample_us(now_us)
                self.stats.dropped += 1
                break
            self._seq += 1
            stamp_us = self._stamp_us(at_us)
            self._pending[self._seq] = _Record(
                self._seq, at_us, stamp_us // 1000, self.instrument.read(at_us), stamp_us != at_us
            )
        while len(self._pending) > PENDING_MAX:
            self._pending.popitem(last=False)
            self.stats.dropped += 1

    def _minutes(self, city_us: int) -> float:
        return (city_us - self.start_us) / 60e6

    def _in_fault(self, kind: str, city_us: int) -> bool:
        fault = self.fault
        return fault is not None and fault.kind == kind and fault.from_min <= self._minutes(city_us) < fault.to_min

    def _silent(self, city_us: int) -> bool:
        """A dead sensor: nothing is measured."""
        return self._in_fault("dropout", city_us)

    def _cut_off(self, city_us: int) -> bool:
        """A dead link: measured, kept, sent later."""
        return self._in_fault("backlog", city_us)

    def _stamp_us(self, city_us: int) -> int:
        """The device's own idea of a time."""
        fault = self.fault
        if fault is None or fault.kind != "wrong_clock" or fault.clock is None:
            return city_us
        if self._clock_set_us is not None and city_us - self._clock_set_us < CLOCK_LOST_US:
            return city_us
        return epoch_us(fault.clock) + (city_us - self.start_us)

    async def _send(self, client: aiomqtt.Client, now_us: int) -> None:
        while self._events:
            await self._publish(client, Channel.EVENT, _encoder.encode(self._events[0]))
            self._events.popleft()
            self.stats.events += 1
        machine_s = self.clock.machine_s()
        due = [r for r in self._pending.values() if r.sent_s is None or machine_s - r.sent_s > RESEND_AFTER_S][
            :RESEND_MAX
        ]
        if not due:
            return
        self._messages += 1
        fault = self.fault
        if fault is not None and fault.kind == "bad_json" and fault.every and self._messages % fault.every == 0:
            self.stats.broken += 1
            await self._publish(client, Channel.TELEMETRY, self._payload(due, now_us)[:-7])  # cut off in mid-air
            return
        self.stats.resent += sum(record.sent_s is not None for record in due)
        for record in due:
            record.sent_s = machine_s
        self.stats.sent += len(due)
        await self._publish(client, Channel.TELEMETRY, self._payload(due, now_us))

    def _payload(self, records: list[_Record], now_us: int) -> bytes:
        items: list[dict[str, Any]] = []
        for record in records:
            item: dict[str, Any] = {"ts": record.ts_ms, "seq": record.seq, "values": record.values}
            if now_us - record.city_us > BACKFILL_AFTER_US and not record.clock_fault:
                item["bf"] = True
            items.append(item)
        return _encoder.encode(items if len(items) > 1 else items[0])

    def _look(self, now_us: int) -> None:
        """A camera above an underpass reports standing water when it passes a mark, and when it is gone."""
        depth_m = self.instrument.water_depth_m(now_us)
        if depth_m is None:
            return
        level = sum(depth_m >= mark for mark in WATER_LEVELS_M)
        if level > self._water.level:
            self._water.level = level
            self._event(now_us, "waterlogging", 0.80 + 0.06 * level, {"depth_m": round(depth_m, 2)})
        elif self._water.level and depth_m < WATER_GONE_M:
            self._water.level = 0
            self._event(now_us, "waterlogging_cleared", 0.9, {})

    def _event(self, now_us: int, kind: str, confidence: float, values: dict[str, float]) -> None:
        ts_ms = now_us // 1000
        body = {
            "id": f"{self.device_id}-{kind}-{ts_ms}",
            "ts": ts_ms,
            "type": kind,
            "confidence": round(confidence, 2),
            "values": values,
        }
        self._events.append(body)
