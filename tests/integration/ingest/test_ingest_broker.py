"""Ingest against a real Mosquitto: what a device publishes ends in the log, and is acknowledged after that."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from citybrain_testing.clocks import LEKIMA_US, RunningClock
from citybrain_testing.logged import all_records, events_of, gauge, registry_of, rows_of, series
from citybrain_testing.servers import PrivateMosquitto, private_mosquitto
from devices.models import load_models
from ingest.service import BrokerAccess, IngestService
from stream.reader import LogReader
from stream.registry_cache import save_registry
from stream.writer import MAX_BYTES, LogWriter

pytestmark = pytest.mark.broker
WAIT_S = 10.0
DEVICES = {"g1": "pw-g1", "g2": "pw-g2"}


@pytest.fixture(scope="module")
def broker() -> Iterator[PrivateMosquitto]:
    with private_mosquitto(accounts=DEVICES) as server:
        yield server


class Bench:
    """A log with two gauges, an ingest service on it, and a device's hands."""

    def __init__(self, folder: Path, broker: PrivateMosquitto, **access: Any) -> None:
        self.broker, self.clock = broker, RunningClock()
        self.writer = LogWriter(
            folder / "log", self.clock, max_bytes=access.pop("max_bytes", MAX_BYTES), required=("store",)
        )
        registry = registry_of([gauge("g1"), gauge("g2")], [series(1, "g1"), series(2, "g2")])
        with LogReader(folder / "log") as reader:
            save_registry(reader, registry, 0)
        self.sessions = 0
        self.service = IngestService(
            self.writer,
            self.clock,
            tenant=broker.tenant,
            broker=BrokerAccess(
                host=broker.host,
                port=broker.port,
                username="service.ingest",
                password=broker.password("service.ingest"),
                client_id=f"ingest-{folder.name}",
                log_file=broker.broker.log_file,
                **access,
            ),
            models=load_models(),
            on_new_session=self._count,
        )

    def _count(self) -> None:
        self.sessions += 1

    def device(self, name: str, **options: Any) -> aiomqtt.Client:
        return aiomqtt.Client(
            self.broker.host, self.broker.port, username=name, password=DEVICES[name], identifier=name, **options
        )

    def topic(self, name: str, tail: str = "up/telemetry") -> str:
        return f"cb/v1/{self.broker.tenant}/{name}/{tail}"

    def ts(self, seconds: float = 0.0) -> int:
        return self.clock.city_us() // 1000 + int(seconds * 1000)

    async def until(self, what: Callable[[list[Any]], bool]) -> list[Any]:
        async with asyncio.timeout(WAIT_S):
            while not what(found := all_records(self.writer.directory)):
                await asyncio.sleep(0.02)
        return found


@asynccontextmanager
async def ingesting(folder: Path, broker: PrivateMosquitto, **access: Any) -> AsyncIterator[Bench]:
    bench = Bench(folder, broker, **access)
    try:
        async with asyncio.TaskGroup() as group:
            running = group.create_task(bench.service.run())
            async with asyncio.timeout(WAIT_S):
                await bench.service.input.subscribed.wait()
            yield bench
            running.cancel()
    finally:
        bench.writer.close()


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(test())  # type: ignore[arg-type]


def test_a_gauge_reading_reaches_the_log_and_its_receipt_the_gauge(tmp_path: Path, broker: PrivateMosquitto) -> None:
    async def scene() -> None:
        async with ingesting(tmp_path, broker) as bench, bench.device("g1") as device:
            await device.subscribe(bench.topic("g1", "down/#"), qos=1)
            await device.publish(
                bench.topic("g1"), json.dumps({"ts": bench.ts(), "seq": 7, "values": {"stage_m": 3.5}}), qos=1
            )
            async with asyncio.timeout(WAIT_S):
                receipt = await anext(aiter(device.messages))
            assert json.loads(receipt.payload) == {"seq": 7}  # type: ignore[arg-type]
            (row,) = rows_of(all_records(bench.writer.directory))  # the receipt comes after the fsync
            assert (row["datastream"], row["result"], row["quality"], row["seq"]) == (1, 3.5, 1, 7)
            assert bench.sessions == 1

    run(scene)


def test_every_kind_of_bad_input_ends_where_a_vendor_finds_it(tmp_path: Path, broker: PrivateMosquitto) -> None:
    async def scene() -> None:
        async with ingesting(tmp_path, broker) as bench, bench.device("g1") as device:
            send = bench.topic("g1")
            await device.publish(send, b'{"ts": 1,', qos=1)
            await device.publish(send, json.dumps({"ts": bench.ts(), "values": {"stage_m": "abc"}}), qos=1)
            await device.publish(send, json.dumps({"ts": bench.ts(), "values": {"stage_m": 5000}}), qos=1)
            await device.publish(send, json.dumps({"ts": 0, "values": {"stage_m": 9.5}}), qos=1)
            await device.publish(send, json.dumps({"ts": 4_070_908_800_000, "values": {"stage_m": 9.6}}), qos=1)
            await device.publish(bench.topic("g2"), json.dumps({"values": {"stage_m": 1}}), qos=1)  # wrong identity
            found = await bench.until(lambda r: len(rows_of(r)) == 3 and len(events_of(r, "refusal")) >= 1)
        reasons = [letter.data["reason"] for letter in events_of(found, "dead_letter")]
        assert reasons[0].startswith("payload: not valid JSON")
        assert reasons[1] == "values.stage_m: expected number (m), got string 'abc'"
        over, early, late = rows_of(found)
        assert (over["result"], over["quality"], over["source"] & 32) == (5000, 3, 32)
        for row in (early, late):
            assert row["source"] == 1 | 16  # live, clock fault
            assert abs(row["phenomenon_us"] - LEKIMA_US) < 60_000_000
        assert (early["device_us"], late["device_us"]) == (0, 4_070_908_800_000_000)
        (refusal,) = events_of(found, "refusal")
        assert (refusal.device_id, refusal.data["reason"], refusal.data["count"]) == ("g1", "acl_denied", 1)
        assert refusal.data["topic"] == "cb/v1/demo/g2/up/telemetry"

    run(scene)


def test_ten_megabytes_are_refused_by_the_broker_and_counted(tmp_path: Path, broker: PrivateMosquitto) -> None:
    async def scene() -> None:
        async with ingesting(tmp_path, broker) as bench:
            client = paho.Client(CallbackAPIVersion.VERSION2, "g1-big", protocol=MQTTProtocolVersion.MQTTv311)
            client.username_pw_set("g1", DEVICES["g1"])
            client.connect(broker.host, broker.port)
            client.loop_start()
            try:
                await asyncio.to_thread(_until_connected, client)
                client.publish(bench.topic("g1"), b"x" * 10_000_000, qos=1)
                found = await bench.until(lambda r: bool(events_of(r, "refusal")))
            finally:
                client.disconnect()
                client.loop_stop()
        refusal = events_of(found, "refusal")[0]
        assert (refusal.device_id, refusal.data["reason"]) == ("g1", "packet_too_large")
        assert rows_of(found) == []

    run(scene)


def _until_connected(client: paho.Client) -> None:
    deadline = time.monotonic() + WAIT_S
    while not client.is_connected() and time.monotonic() < deadline:
        time.sleep(0.02)


def test_the_last_will_of_a_device_becomes_one_event(tmp_path: Path, broker: PrivateMosquitto) -> None:
    async def scene() -> None:
        async with ingesting(tmp_path, broker) as bench:
            state = bench.topic("g2", "up/state")
            client = paho.Client(CallbackAPIVersion.VERSION2, "g2", protocol=MQTTProtocolVersion.MQTTv5)
            client.username_pw_set("g2", DEVICES["g2"])
            client.will_set(state, b'{"online":false}', qos=1, retain=True)
            client.connect(broker.host, broker.port)
            client.loop_start()
            await asyncio.to_thread(_until_connected, client)
            client.publish(state, b'{"online":true}', qos=1, retain=True)
            await bench.until(lambda r: len(events_of(r, "device_state")) == 1)
            client.loop_stop()
            client.socket().close()  # type: ignore[union-attr]  # gone without a goodbye
            found = await bench.until(lambda r: len(events_of(r, "device_state")) == 2)
        assert [event.data["online"] for event in events_of(found, "device_state")] == [True, False]

    run(scene)


def test_what_came_while_we_were_away_is_read_once_and_in_order(tmp_path: Path, broker: PrivateMosquitto) -> None:
    async def scene() -> None:
        async with ingesting(tmp_path, broker) as bench, bench.device("g1") as device:
            await device.publish(bench.topic("g1"), json.dumps({"ts": bench.ts(), "values": {"stage_m": 0}}), qos=1)
            await bench.until(lambda r: len(rows_of(r)) == 1)
        async with _plain_device(broker) as device:
            for number in range(1, 301):
                payload = json.dumps({"ts": LEKIMA_US // 1000 + number, "values": {"stage_m": number}})
                await device.publish(f"cb/v1/{broker.tenant}/g1/up/telemetry", payload, qos=1)
        async with ingesting(tmp_path, broker) as bench:
            found = await bench.until(lambda r: len(rows_of(r)) >= 301)
            async with asyncio.timeout(WAIT_S):
                await bench.service.drained.wait()
            assert bench.sessions == 0  # the session was there
        assert [row["result"] for row in rows_of(found)] == list(range(301))

    run(scene)


def _plain_device(broker: PrivateMosquitto) -> aiomqtt.Client:
    return aiomqtt.Client(broker.host, broker.port, username="g1", password=DEVICES["g1"], identifier="g1")


def test_a_broker_of_311_only_is_served_by_parameter(tmp_path: Path, broker: PrivateMosquitto) -> None:
    async def scene() -> None:
        async with ingesting(tmp_path, broker, protocol="3.1.1") as bench, bench.device("g1") as device:
            await device.publish(bench.topic("g1"), json.dumps({"ts": bench.ts(), "values": {"stage_m": 2}}), qos=1)
            await bench.until(lambda r: len(rows_of(r)) == 1)
            assert bench.sessions == 1

    run(scene)


def test_a_full_log_acknowledges_nothing_and_goes_on_when_there_is_room(
    tmp_path: Path, broker: PrivateMosquitto
) -> None:
    async def scene() -> None:
        async with (
            ingesting(tmp_path, broker, max_bytes=150_000, receive_maximum=50) as bench,
            bench.device("g1") as device,
        ):
            await device.subscribe(bench.topic("g1", "down/#"), qos=1)
            receipts = asyncio.create_task(_receipts(device, 400))
            for number in range(400):
                payload = {"ts": bench.ts(), "seq": number, "values": {"stage_m": number, "padding": "x" * 1000}}
                await device.publish(bench.topic("g1"), json.dumps(payload), qos=1)
            await asyncio.sleep(0.5)
            refused_at = bench.writer.head
            logged = {row["seq"] for row in rows_of(all_records(bench.writer.directory))}
            assert 0 < len(logged) < 400
            assert not receipts.done()
            bench.writer._max_bytes = MAX_BYTES  # somebody made room
            assert await receipts >= logged
            rows = rows_of(all_records(bench.writer.directory))
            assert bench.writer.head > refused_at
            assert [row["seq"] for row in rows] == list(range(400))

    run(scene)


async def _receipts(device: aiomqtt.Client, count: int) -> set[int]:
    found: set[int] = set()
    async with asyncio.timeout(WAIT_S):
        async for message in device.messages:
            found.add(json.loads(message.payload)["seq"])  # type: ignore[arg-type]
            if len(found) == count:
                break
    return found


def test_a_killed_broker_is_found_again_and_saves_as_soon_as_the_session_is_new(tmp_path: Path) -> None:
    async def scene(server: PrivateMosquitto) -> None:
        async with ingesting(tmp_path, server) as bench:
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            async with asyncio.timeout(WAIT_S):
                while bench.sessions < 2:  # nothing had been saved: told, the supervisor would have sent SIGUSR1
                    await asyncio.sleep(0.02)
            server.save_now()
            await asyncio.sleep(0.3)
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            async with asyncio.timeout(WAIT_S):
                while bench.service.input.generation < 3:
                    await asyncio.sleep(0.02)
                await bench.service.input.subscribed.wait()
            assert bench.sessions == 2  # this time the session had been saved
            async with bench.device("g1") as device:
                await device.publish(bench.topic("g1"), json.dumps({"ts": bench.ts(), "values": {"stage_m": 1}}), qos=1)
                await bench.until(lambda r: len(rows_of(r)) == 1)

    with private_mosquitto(accounts=DEVICES) as server:
        asyncio.run(scene(server))
