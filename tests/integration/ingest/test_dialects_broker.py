"""Devices of other platforms, unchanged, against a real Mosquitto with our plugin and the real ingest: their rows, whose they are,
and what they hear back."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from citybrain_testing.ingesting import ingesting
from citybrain_testing.logged import all_records, events_of, gauge, registry_of, rows_of, series
from citybrain_testing.servers import PrivateMosquitto, private_mosquitto
from citybrain_testing.thingsboard import ThingsBoardDevice
from devices.registry import Device, Registry

pytestmark = [pytest.mark.broker, pytest.mark.compiler]
WAIT_S = 20.0
WORDS = {"tb-gate": "pw-tb", "g1": "pw-g1", "g2": "pw-g2", "cam-1": "pw-c1", "nvr": "pw-nvr"}


@pytest.fixture(scope="module")
def broker() -> Iterator[PrivateMosquitto]:
    with private_mosquitto(accounts=WORDS) as server:
        yield server


def register() -> Registry:
    gate = Device(device_id="tb-gate", model="gateway-v1", kind="gateway", name="g", lon=121.4, lat=28.7)
    named = gauge("g3", gateway="tb-gate", attributes={"stations": {"thingsboard": {"station": "三号水位"}}})
    devices = [gate, gauge("g1"), gauge("g2"), named, gauge("g4", gateway="tb-gate")]
    streams = [series(n, f"g{n}") for n in range(1, 5)]
    streams += [series(5, "tb-gate", "battery_v"), series(6, "g1", "battery_v")]
    return registry_of(devices, streams)


@asynccontextmanager
async def thingsboard(broker: PrivateMosquitto, username: str) -> AsyncIterator[Callable[[str, Any], Any]]:
    device = await asyncio.to_thread(ThingsBoardDevice, broker.host, broker.port, username, WORDS[username])

    async def do(what: str, given: Any) -> str:
        return await asyncio.to_thread(device.do, what, given)

    try:
        assert device.greeting == "connected"
        yield do
    finally:
        await asyncio.to_thread(device.end)


def test_thingsboards_own_client_is_stored_and_stays_connected(tmp_path: Path, broker: PrivateMosquitto) -> None:
    async def scene() -> None:
        async with ingesting(tmp_path, broker, register()) as bench, thingsboard(broker, "tb-gate") as do:
            now = bench.clock.city_us() // 1000
            assert await do("telemetry", {"battery_v": 12.5}) == "ok"
            assert await do("telemetry", {"ts": now, "values": {"battery_v": 12.75, "csq": 17}}) == "ok"
            assert await do("attributes", {"firmware": "1.4.2"}) == "ok"
            assert await do("connect", "三号水位") == "ok"
            assert await do("gateway", ["三号水位", {"ts": now, "values": {"stage_m": 3.25}}]) == "ok"
            assert await do("gateway", ["g4", [{"ts": now, "values": {"stage_m": 4.5}}]]) == "ok"
            assert await do("gateway", ["g1", {"ts": now, "values": {"stage_m": 9.9}}]) == "ok"
            assert await do("stay", 1) == "ok", "its subscriptions have not cost it the connection"
            found = await bench.until(lambda r: len(rows_of(r)) == 4 and bool(events_of(r, "dead_letter")))
        rows = {(row["datastream"], row["result"]) for row in rows_of(found)}
        assert rows == {(5, 12.5), (5, 12.75), (3, 3.25), (4, 4.5)}
        (letter,) = events_of(found, "dead_letter")
        assert letter.data["reason"] == "thingsboard-gateway station 'g1' is not 'tb-gate' and not bound to it"
        assert [(e.device_id, e.data) for e in events_of(found, "device_attr")] == [("tb-gate", {"firmware": "1.4.2"})]
        notes = {e.device_id: (e.data.get("command"), e.data.get("values")) for e in events_of(found, "ingest_note")}
        assert notes == {"tb-gate": (None, {"thingsboard:csq": 17.0}), "g3": ("connect", None)}

    asyncio.run(scene())


ALIYUN = {
    "id": "123",
    "version": "1.0",
    "params": {"stage_m": {"value": 3.5, "time": 0}, "battery_v": 12.5},
    "method": "thing.event.property.post",
}


def test_other_platforms_devices_are_stored_under_their_login_and_answered(
    tmp_path: Path, broker: PrivateMosquitto
) -> None:
    """Their topics name a device; what counts is who has logged in."""

    async def scene() -> None:
        async with (
            ingesting(tmp_path, broker, register()) as bench,
            _client(broker, "g1") as one,
            _client(broker, "g2") as two,
        ):
            now = bench.clock.city_us() // 1000
            reply = "/sys/a1Pk/g1/thing/event/property/post_reply"
            await one.subscribe(reply, qos=1)
            await two.subscribe("/sys/+/+/thing/event/property/post_reply", qos=1)  # sees nothing of another's
            post = json.loads(json.dumps(ALIYUN))
            post["params"]["stage_m"]["time"] = now
            await one.publish("/sys/a1Pk/g1/thing/event/property/post", json.dumps(post), qos=1)
            async with asyncio.timeout(WAIT_S):
                answer = await anext(aiter(one.messages))
            assert json.loads(answer.payload) == {
                "id": "123", "code": 200, "data": {}, "message": "success", "method": "thing.event.property.post", "version": "1.0",
            }  # fmt: skip
            stored = {(row["datastream"], row["result"]) for row in rows_of(all_records(bench.writer.directory))}
            assert stored == {(1, 3.5), (6, 12.5)}, "the answer comes after the fsync"
            await one.publish("/sys/a1Pk/g2/thing/event/property/post", json.dumps(post), qos=1)  # another's
            await two.publish(
                "/prod/g2/properties/report", json.dumps({"timestamp": now, "properties": {"stage_m": 2.25}}), qos=1
            )
            at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now / 1000))
            services = {"services": [{"service_id": "level", "properties": {"stage_m": 7.5}, "event_time": at}]}
            await two.publish("$oc/devices/g2/sys/properties/report", json.dumps(services), qos=1)
            found = await bench.until(lambda r: bool(events_of(r, "ingest_note")) and bool(events_of(r, "refusal")))
            assert len(two.messages) == 0
        assert [(row["datastream"], row["result"]) for row in rows_of(found)][2:] == [(2, 2.25)]
        (note,) = events_of(found, "ingest_note")
        assert (note.device_id, note.data["values"]) == ("g2", {"huawei:level.stage_m": 7.5})
        refused = [(e.device_id, e.data["topic"]) for e in events_of(found, "refusal")]
        assert refused == [("g1", "/sys/a1Pk/g2/thing/event/property/post")]

    asyncio.run(scene())


def camera(device_id: str, **fields: Any) -> Device:
    return Device(device_id=device_id, model="camera-v1", kind="camera", name=device_id, lon=121.4, lat=28.7, **fields)


def test_cameras_speak_in_their_own_topics(tmp_path: Path, broker: PrivateMosquitto) -> None:
    """An ONVIF camera with its id as TopicPrefix, its property retained as the specification asks, and a Frigate with its own topics."""
    nvr = Device(device_id="nvr", model="gateway-v1", kind="gateway", name="nvr", lon=121.4, lat=28.7)
    door = camera("cam-2", gateway="nvr", attributes={"stations": {"frigate": {"station": "front_door"}}})
    known = registry_of([nvr, camera("cam-1"), door], [])

    async def scene() -> None:
        async with (
            ingesting(tmp_path, broker, known) as bench,
            _client(broker, "cam-1") as one,
            _client(broker, "nvr") as two,
        ):
            now = bench.clock.city_us() / 1e6
            topic = "cam-1/onvif-ej/RuleEngine/FieldDetector/ObjectsInside/&1/2/Yard"
            said = {"UtcTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)), "Data": {"IsInside": "true"}}
            await one.publish(topic, json.dumps(said | {"Source": {"Rule": "Yard"}}), qos=1, retain=True)
            await one.publish(topic, b"", qos=1, retain=True)  # the property is gone
            after = {"id": "1.5-a", "camera": "front_door", "start_time": now, "severity": "alert"}
            after |= {"data": {"objects": ["smoke"], "zones": ["gate"], "audio": []}}
            await two.publish("frigate/reviews", json.dumps({"type": "new", "before": after, "after": after}), qos=0)
            await two.publish("frigate/front_door/smoke", "1", qos=0)
            found = await bench.until(
                lambda r: len(events_of(r, "device_event")) == 3 and bool(events_of(r, "refusal"))
            )
        told = {(e.device_id, e.data["type"], e.data["text"]) for e in events_of(found, "device_event")}
        assert told == {
            ("cam-1", "intrusion", "Yard"),
            ("cam-1", "intrusion_ended", "Yard"),
            ("cam-2", "smoke", "gate"),
        }
        assert events_of(found, "dead_letter") == []
        assert [(e.device_id, e.data["topic"]) for e in events_of(found, "refusal")] == [
            ("nvr", "frigate/front_door/smoke")
        ]

    asyncio.run(scene())


def _client(broker: PrivateMosquitto, name: str) -> aiomqtt.Client:
    return aiomqtt.Client(broker.host, broker.port, username=name, password=WORDS[name], identifier=name)
