"""Simulated devices against a real Mosquitto: what they send, keep, send again and write down."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiomqtt
import msgspec
import pytest

from citybrain_testing.servers import PrivateMosquitto, private_mosquitto
from simulators.devices import Broker, SimDevice, Stats, heed_cancellation
from simulators.district import generate
from simulators.ledger import Ledger, read_ledger
from simulators.load import LoadDevice, LoadGenerator, schedule
from simulators.mqtt_light import ConnectionRefused, LightPublisher
from simulators.scenario import FaultDoc, load
from simulators.sensors import Instrument
from simulators.world import World

pytestmark = pytest.mark.broker

EVERY_S = 0.05  # machine seconds between messages: a second would make the tests slow, not better
END_S = 15.0
WAIT_S = 20.0


@dataclass
class _Clock:
    """City time that runs 6000 times as fast as the machine."""

    start_us: int
    rate: float = 6_000.0
    kind: str = "scaled"
    _began_s: float | None = None

    @staticmethod
    def machine_s() -> float:
        return asyncio.get_running_loop().time()

    def city_us(self) -> int:
        now_s = self.machine_s()
        if self._began_s is None:
            self._began_s = now_s
        return self.start_us + round((now_s - self._began_s) * self.rate * 1e6)


@dataclass
class _Ingest:
    """The far side: collects records, and confirms them when told to."""

    client: aiomqtt.Client
    confirm: bool = True
    records: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    states: list[dict[str, Any]] = field(default_factory=list)
    broken: int = 0
    replies: list[dict[str, Any]] = field(default_factory=list)

    async def run(self) -> None:
        await self.client.subscribe("cb/v1/demo/+/up/#", qos=1)
        async for message in self.client.messages:
            device, channel = message.topic.value.split("/")[3], message.topic.value.split("/up/")[1]
            try:
                body = msgspec.json.decode(bytes(message.payload))  # type: ignore[arg-type]
            except msgspec.DecodeError:
                self.broken += 1
                continue
            if channel == "telemetry":
                for record in body if isinstance(body, list) else [body]:
                    self.records.append({"device": device, **record})
                    if self.confirm:
                        ack = msgspec.json.encode({"seq": record["seq"]})
                        await self.client.publish(f"cb/v1/demo/{device}/down/ack", ack, qos=1)
                        heed_cancellation()
            else:
                {"event": self.events, "state": self.states}.get(channel, self.replies).append(body)


@pytest.fixture(scope="module")
def world() -> World:
    return World(load("lekima-night"), generate())


@pytest.fixture(scope="module")
def broker(world: World) -> Any:
    accounts = {device.device_id: f"pw-{device.device_id}" for device in world.district.devices()}
    with private_mosquitto(accounts=accounts) as running:
        yield running


def a_device(
    world: World, broker: PrivateMosquitto, device_id: str, ledger: Ledger, clock: _Clock, fault: FaultDoc | None = None
) -> SimDevice:
    device = next(d for d in world.district.devices() if d.device_id == device_id)
    return SimDevice(
        instrument=Instrument(device, world, 1),
        clock=clock,  # type: ignore[arg-type]
        broker=Broker(host=broker.host, port=broker.port),
        tenant="demo",
        password=broker.password(device_id),
        ledger=ledger,
        stats=Stats(),
        start_us=world.scenario.start_us,
        fault=fault,
        message_every_s=EVERY_S,
    )


@contextlib.asynccontextmanager
async def ingest(broker: PrivateMosquitto) -> AsyncIterator[_Ingest]:
    async with aiomqtt.Client(
        broker.host, broker.port, username="service.ingest", password=broker.password("service.ingest")
    ) as client:
        far = _Ingest(client)
        task = asyncio.create_task(far.run())
        await asyncio.sleep(0.2)
        try:
            yield far
        finally:
            task.cancel()
            done, _ = await asyncio.wait({task}, timeout=END_S)
            assert done, "the far side lives on"


@contextlib.asynccontextmanager
async def alive(device: SimDevice) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(device.run())
    try:
        yield task
    finally:
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=END_S)
        if not done:
            task.print_stack()
        assert done, "a device that was told to end lives on"


async def until(what: str, look: Any) -> None:
    async with asyncio.timeout(WAIT_S):
        while not look():
            await asyncio.sleep(0.02)


def test_what_is_confirmed_stands_in_the_ledger_and_nothing_else(
    world: World, broker: PrivateMosquitto, tmp_path: Path
) -> None:
    async def scene() -> None:
        clock = _Clock(world.scenario.start_us)
        with Ledger(tmp_path / "ledger.jsonl") as ledger:
            device = a_device(world, broker, "wg-renmin", ledger, clock)
            async with ingest(broker) as far, alive(device):
                await until("30 confirmed", lambda: device.stats.confirmed >= 30)
            numbers = [record["seq"] for record in far.records]
            assert numbers == sorted(set(numbers)), "each record once, in order"
            assert far.states[0] == {"online": True}
            assert {e.seq for e in read_ledger(tmp_path / "ledger.jsonl")} <= set(numbers)
            assert all(set(record["values"]) == {"stage_m", "battery_v"} for record in far.records)

    asyncio.run(scene())


def test_without_an_ack_a_record_is_sent_again(
    world: World, broker: PrivateMosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulators.devices.RESEND_AFTER_S", 0.3)

    async def scene() -> None:
        clock = _Clock(world.scenario.start_us)
        with Ledger(tmp_path / "ledger.jsonl") as ledger:
            device = a_device(world, broker, "wg-xikou", ledger, clock)
            async with ingest(broker) as far, alive(device):
                far.confirm = False
                await until("a resend", lambda: device.stats.resent > 0)
                assert ledger.confirmed == 0
                far.confirm = True
                await until("confirmed", lambda: ledger.confirmed > 5)
            first = min(record["seq"] for record in far.records)
            copies = [record for record in far.records if record["seq"] == first]
            assert len(copies) > 1
            assert len({(c["ts"], str(c["values"])) for c in copies}) == 1, "the same record, not a new one"

    asyncio.run(scene())


def test_a_device_comes_back_after_the_broker_was_killed(world: World, tmp_path: Path) -> None:
    async def scene(broker: PrivateMosquitto) -> None:
        clock = _Clock(world.scenario.start_us, rate=600.0)
        with Ledger(tmp_path / "ledger.jsonl") as ledger:
            device = a_device(world, broker, "rw-town", ledger, clock)
            async with alive(device):
                async with ingest(broker) as far:
                    await until("confirmed", lambda: device.stats.confirmed >= 3)
                    seen = {r["seq"] for r in far.records}
                broker.kill()
                await asyncio.sleep(1.0)
                broker.start()  # here, not in a thread: it would end with that thread
                async with ingest(broker) as again:
                    before = device.stats.confirmed
                    await until("confirmed again", lambda: device.stats.confirmed >= before + 5)
                numbers = seen | {r["seq"] for r in again.records}
                assert set(range(min(numbers), max(numbers) + 1)) == numbers, "no record is missing"
            assert device.stats.reconnects >= 1

    with private_mosquitto(accounts={"rw-town": "pw"}) as broker:
        asyncio.run(scene(broker))


def test_a_wrong_clock_is_stamped_1970_until_it_is_set(world: World, broker: PrivateMosquitto, tmp_path: Path) -> None:
    fault = world.scenario.fault_of("wg-laocheng")
    assert fault is not None

    async def scene() -> None:
        clock = _Clock(world.scenario.start_us, rate=600.0)
        with Ledger(tmp_path / "ledger.jsonl") as ledger:
            device = a_device(world, broker, "wg-laocheng", ledger, clock, fault)
            async with ingest(broker) as far, alive(device):
                await until("records", lambda: len(far.records) > 1)
                assert all(record["ts"] < 86_400_000 for record in far.records)
                command = {"id": "c1", "method": "clock_set", "params": {"ts": clock.city_us() // 1000}}
                topic = "cb/v1/demo/wg-laocheng/down/cmd"
                await far.client.publish(topic, msgspec.json.encode(command), qos=1)
                await until("a right stamp", lambda: far.records[-1]["ts"] > 1_500_000_000_000)
                assert far.replies[0]["state"] == "executed"
                unknown = {"id": "c2", "method": "open_valve"}
                await far.client.publish(topic, msgspec.json.encode(unknown), qos=1)
                await until("a refusal", lambda: far.replies[-1]["state"] == "failed")

    asyncio.run(scene())


def test_an_interval_is_set_once_however_often_the_command_comes(
    world: World, broker: PrivateMosquitto, tmp_path: Path
) -> None:
    async def scene() -> None:
        clock = _Clock(world.scenario.start_us)
        with Ledger(tmp_path / "ledger.jsonl") as ledger:
            device = a_device(world, broker, "rw-town", ledger, clock)
            async with ingest(broker) as far, alive(device):
                await until("records", lambda: len(far.records) > 1)
                command = {"id": "i1", "method": "interval_set", "params": {"interval_s": 1800.0}}
                command["expires_at"] = clock.city_us() // 1000 + 3_600_000
                for _ in range(2):
                    await far.client.publish("cb/v1/demo/rw-town/down/cmd", msgspec.json.encode(command), qos=1)
                await until("two replies", lambda: len(far.replies) == 2)
                assert far.replies[0] == far.replies[1]
                assert far.replies[0]["state"] == "executed"
                assert (device.obedience.executed, device.obedience.repeated) == (1, 1)
                before = far.records[-1]["seq"]
                await until("samples at the new interval", lambda: far.records[-1]["seq"] >= before + 3)
                stamps = sorted({record["ts"] for record in far.records})[-3:]
                assert [b - a for a, b in itertools.pairwise(stamps)] == [1_800_000, 1_800_000]

    asyncio.run(scene())


def test_broken_messages_are_sent_now_and_then_and_no_record_is_lost_by_them(
    world: World, broker: PrivateMosquitto, tmp_path: Path
) -> None:
    fault = world.scenario.fault_of("air-bay")
    assert fault is not None

    async def scene() -> None:
        clock = _Clock(world.scenario.start_us)
        with Ledger(tmp_path / "ledger.jsonl") as ledger:
            device = a_device(world, broker, "air-bay", ledger, clock, fault)
            async with ingest(broker) as far, alive(device):
                await until("broken ones", lambda: far.broken >= 2 and len(far.records) > 8)
            numbers = sorted({record["seq"] for record in far.records})
            assert numbers == list(range(numbers[0], numbers[-1] + 1))

    asyncio.run(scene())


def test_a_camera_reports_water_at_each_mark_and_a_backlog_is_marked_as_such(
    world: World, broker: PrivateMosquitto, tmp_path: Path
) -> None:
    async def scene() -> None:
        clock = _Clock(world.scenario.start_us)
        with Ledger(None) as ledger:
            camera = a_device(world, broker, "cam-underpass-5", ledger, clock)
            gauge = a_device(world, broker, "wg-kuqian", ledger, clock, world.scenario.fault_of("wg-kuqian"))
            async with ingest(broker) as far, alive(camera), alive(gauge):
                await until("three marks", lambda: len(far.events) >= 3)
                await until("a backlog", lambda: any(r.get("bf") for r in far.records))
            assert [e["type"] for e in far.events[:3]] == ["waterlogging"] * 3
            depths = [e["values"]["depth_m"] for e in far.events[:3]]
            assert depths == sorted(depths)
            assert len({e["id"] for e in far.events}) == len(far.events)

    asyncio.run(scene())


def test_the_load_generator_sends_what_its_schedule_says(broker: PrivateMosquitto, world: World) -> None:
    async def scene() -> None:
        devices = [
            LoadDevice(
                device_id=d.device_id, password=broker.password(d.device_id), property="stage_m", quiet=1.0, alarm=9.0
            )
            for d in world.district.devices()[:40]
        ]
        generator = LoadGenerator(
            broker=Broker(host=broker.host, port=broker.port), tenant="demo", devices=devices, now_us=lambda: 1_000_000
        )
        async with ingest(broker) as far:
            far.confirm = False
            await generator.connect()
            slots = schedule(40, 40.0, 4.0, 10, 1.0, seed=1)
            report = await generator.run(slots)
            generator.close()
        assert report.sent == report.due == len(slots)
        assert report.acked == report.sent
        assert report.failed == 0
        assert len(report.alarm_sent_s) == 10
        assert len(far.records) == report.sent
        alarmed = {r["device"] for r in far.records if r["values"]["stage_m"] == 9.0}
        assert alarmed == set(report.alarm_sent_s)

    asyncio.run(scene())


def test_a_wrong_password_is_told_by_name(broker: PrivateMosquitto) -> None:
    async def scene() -> None:
        with pytest.raises(ConnectionRefused, match="wg-renmin"):
            await LightPublisher.open(broker.host, broker.port, "wg-renmin", "wrong")

    asyncio.run(scene())
