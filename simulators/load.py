"""The load generator: N devices on connections of their own, messages on a schedule, alarms at a random phase.

Arrivals follow the schedule and not the speed of replies: a system that falls behind is not given a rest. Each device
stays at its quiet value until its moment, then reports its alarm value from that message on; the moment of that write
is kept, so that a viewer can tell how long the alarm took.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from devices import topics
from devices.topics import Channel
from simulators.devices import Broker
from simulators.mqtt_light import LightPublisher

CONNECTING_AT_ONCE = 32  # a broker hashes a password for each
LATE_S = 0.05  # a message written later than this after its due time is counted
DRAIN_S = 2.0

_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadDevice:
    """One device of the load and its two values."""

    device_id: str
    password: str
    property: str
    quiet: float
    alarm: float


@dataclass(slots=True, kw_only=True)
class LoadReport:
    """`alarm_sent_s`: device -> event-loop time of the write of its first alarm value. `slip_s`: how long after its due time
    each message was written."""

    due: int = 0
    sent: int = 0
    acked: int = 0
    late: int = 0
    failed: int = 0
    alarm_sent_s: dict[str, float] = field(default_factory=dict)
    slip_s: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A message to send: seconds after the start, which device, whether from now on in alarm."""

    at_s: float
    device: int
    alarm: bool


def schedule(devices: int, rate_msg_s: float, duration_s: float, alarms: int, settle_s: float, seed: int) -> list[Slot]:
    """Messages in time order: each device every `devices / rate` seconds at a phase of its own, never faster than 1/s.

    The first `alarms` devices (shuffled) go into alarm at a random message after `settle_s`. Raises ValueError when the
    rate asks more than one message a second of a device, or when there are more alarms than devices.
    """
    if rate_msg_s > devices:
        raise ValueError(f"{rate_msg_s} msg/s from {devices} devices is more than one message per device and second")
    if alarms > devices:
        raise ValueError(f"{alarms} alarms need as many devices, there are {devices}")
    rng = random.Random(seed)
    period_s = devices / rate_msg_s
    order = list(range(devices))
    rng.shuffle(order)
    triggers = {device: rng.uniform(settle_s, duration_s - period_s) for device in order[:alarms]}
    slots = []
    for device in range(devices):
        at_s = rng.uniform(0.0, period_s)
        while at_s < duration_s:
            slots.append(Slot(at_s=at_s, device=device, alarm=at_s >= triggers.get(device, duration_s)))
            at_s += period_s
    return sorted(slots, key=lambda slot: slot.at_s)


class LoadGenerator:
    """`connect`, then `run`. `now_us`: city time for the stamps."""

    def __init__(
        self, *, broker: Broker, tenant: str, devices: Sequence[LoadDevice], now_us: Callable[[], int]
    ) -> None:
        self._broker, self._tenant, self._devices, self._now_us = broker, tenant, devices, now_us
        self._links: list[LightPublisher] = []
        self._seq = [0] * len(devices)

    async def connect(self) -> None:
        """All connections. Raises ConnectionRefused, OSError, TimeoutError."""
        gate = asyncio.Semaphore(CONNECTING_AT_ONCE)

        async def one(device: LoadDevice) -> LightPublisher:
            async with gate:
                return await LightPublisher.open(
                    self._broker.host, self._broker.port, device.device_id, device.password, self._broker.tls
                )

        async with asyncio.TaskGroup() as group:
            opened = [group.create_task(one(device)) for device in self._devices]
        self._links = [task.result() for task in opened]

    async def run(self, slots: Sequence[Slot]) -> LoadReport:
        """Send by the schedule, then wait a little for the last PUBACKs."""
        loop = asyncio.get_running_loop()
        report = LoadReport(due=len(slots))
        start_s = loop.time()
        for slot in slots:
            wait_s = start_s + slot.at_s - loop.time()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            now_s = loop.time()
            slip_s = max(0.0, now_s - start_s - slot.at_s)
            report.slip_s.append(slip_s)
            report.late += slip_s > LATE_S
            self._send(slot, report, now_s)
        await asyncio.sleep(DRAIN_S)
        report.acked = sum(link.acked for link in self._links)
        return report

    def _send(self, slot: Slot, report: LoadReport, now_s: float) -> None:
        device = self._devices[slot.device]
        self._seq[slot.device] += 1
        value = device.alarm if slot.alarm else device.quiet
        payload = _encoder.encode(
            {"ts": self._now_us() // 1000, "seq": self._seq[slot.device], "values": {device.property: value}}
        )
        try:
            self._links[slot.device].publish(topics.up(self._tenant, device.device_id, Channel.TELEMETRY), payload)
        except ConnectionResetError:
            report.failed += 1
            return
        report.sent += 1
        if slot.alarm:
            report.alarm_sent_s.setdefault(device.device_id, now_s)

    def close(self) -> None:
        for link in self._links:
            link.close()
