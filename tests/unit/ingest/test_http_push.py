"""The door for pushes, with a pipeline that the test plays: when it answers what, what it tells of refusals, and bad input of every kind."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from citybrain_testing.clocks import LEKIMA_US, ManualClock
from citybrain_testing.logged import events_of, gauge, registry_of, rows_of, series
from devices.models import load_models
from devices.registry import Device
from ingest.dedupe import DupTail, packet_key
from ingest.http_in import BODY_MAX, HttpInput
from ingest.message import Message
from ingest.pipeline import Link, Outcome, Pipeline
from ingest.push_sources import parse_sources
from stream.errors import LogFull
from stream.records import NewRecord, Record

SECRET = "abcd1234efgh"
SOURCES = """
sources:
  - {name: aep, form: ctwing, device: gw, allow: [10.1.0.0/16]}
  - {name: far, form: ctwing, device: gw, allow: [192.0.2.0/24]}
  - {name: onenet, form: onenet, device: gw}
  - {name: iotda, form: huawei, device: gw}
  - {name: bridge, form: json, device: gw}
  - {name: shut, form: json, device: gw}
"""
PEER = ("10.1.2.3", 40000)
NOW_MS = LEKIMA_US // 1000


def report(device: str = "d-1", level: Any = 2.5, stamp: int = NOW_MS) -> bytes:
    document = {"messageType": "dataReport", "deviceId": device, "timestamp": stamp, "payload": {"stage_m": level}}
    return json.dumps(document).encode()


class World:
    """The door, a pipeline behind it, and a log that is a list."""

    def __init__(self, **options: Any) -> None:
        gate = Device(device_id="gw", model="gateway-v1", kind="gateway", name="gw", lon=121.4, lat=28.7)
        bound = {
            n: gauge(f"g{n}", gateway="gw", attributes={"stations": {"ctwing": {"station": f"d-{n}"}}}) for n in (1, 2)
        }
        other = gauge("g3", attributes={"stations": {"ctwing": {"station": "d-3"}}})
        registry = registry_of([gate, *bound.values(), other], [series(n, f"g{n}") for n in (1, 2, 3)])
        self.pipeline = Pipeline("demo", registry, load_models())
        self.told: list[NewRecord] = []
        self.log: list[NewRecord] = []
        self.full = False
        secrets = dict.fromkeys(("onenet", "iotda", "bridge"), SECRET)
        self.door = HttpInput(
            tenant="demo",
            sources=parse_sources(SOURCES, secrets),
            clock=ManualClock(LEKIMA_US),
            registry=registry,
            append=self._append,
            **options,
        )
        transport = httpx.ASGITransport(app=self.door.app, client=PEER)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://city.test")

    async def _append(self, found: list[NewRecord]) -> None:
        if self.full:
            raise LogFull("full", used_bytes=1, max_bytes=1)
        self.told += found

    async def step(self) -> Outcome:
        """One batch, durable."""
        messages = await self.door.receive(100, 0)
        outcome = self.pipeline.process(messages, Link(machine_s=100.0))
        self.log += outcome.records
        self.door.acknowledge(messages)
        return outcome

    async def posted(self, name: str, body: bytes, **options: Any) -> httpx.Response:
        """The answer to a push that the pipeline takes."""
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(self.client.post(f"/push/{name}", content=body, **options))
            group.create_task(self.step())
        return asked.result()

    def rows(self) -> list[tuple[int, float]]:
        return [(row["datastream"], row["result"]) for row in rows_of(read(self.log))]

    def reasons(self) -> list[str]:
        return [event.data["reason"] for event in events_of(read(self.log), "dead_letter")]

    async def refusals(self) -> list[tuple[str, str, int]]:
        await self.door.tell_refusals()
        events = events_of(read(self.told), "refusal")
        return [(event.device_id, event.data["reason"], event.data["count"]) for event in events]


def read(found: list[NewRecord]) -> list[Record]:
    return [Record(position=n, at_us=LEKIMA_US, kind=new.kind, version=1, body=new.body) for n, new in enumerate(found)]


def in_world(act: Callable[[World], Awaitable[None]], **options: Any) -> None:
    async def run() -> None:
        world = World(**options)
        async with world.client:
            await act(world)

    asyncio.run(run())


def test_the_answer_comes_when_the_message_is_durable_and_not_before() -> None:
    async def act(world: World) -> None:
        asked = asyncio.create_task(world.client.post("/push/aep", content=report()))
        messages = await world.door.receive(100, 0)
        world.log += world.pipeline.process(messages, Link(machine_s=100.0)).records
        for _ in range(50):
            await asyncio.sleep(0)
        assert not asked.done()
        world.door.acknowledge(messages)
        assert (await asked).status_code == 200
        assert world.rows() == [(1, 2.5)]

    in_world(act)


def test_one_push_names_several_devices_and_speaks_for_its_own_alone() -> None:
    async def act(world: World) -> None:
        body = json.dumps([json.loads(report(f"d-{n}")) for n in (1, 2, 3, 9)]).encode()
        assert (await world.posted("aep", body)).status_code == 200
        assert world.rows() == [(1, 2.5), (2, 2.5)]
        (reason,) = world.reasons()
        assert "station 'd-3' is not 'gw' and not bound to it" in reason
        assert "station 'd-9' is not registered" in reason

    in_world(act)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "payload: expected a frame of ctwing, got 0 bytes"),
        (b"{", "payload: not valid JSON"),
        (b"\xff\xfe\x00", "payload: not valid JSON"),
        (b"[" * 5000, "payload: not valid JSON"),
        (b'{"messageType": "dataReport"}', "deviceId: expected a device's name, got nothing"),
        (report(level="high"), "stage_m: expected number"),
        (report(level=None), "payload.stage_m: expected a finite number"),
    ],
)
def test_what_cannot_be_used_is_dead_lettered_and_answered(body: bytes, said: str) -> None:
    """Acknowledged means stored or dead-lettered: a platform that sends it again would send the same."""

    async def act(world: World) -> None:
        assert (await world.posted("aep", body)).status_code == 200
        assert world.rows() == []
        assert said in world.reasons()[0]

    in_world(act)


def test_what_a_platform_delivers_again_is_stored_once() -> None:
    async def act(world: World) -> None:
        for _ in range(3):
            assert (await world.posted("aep", report())).status_code == 200
        assert (await world.posted("aep", report(stamp=NOW_MS + 1000))).status_code == 200
        assert world.rows() == [(1, 2.5), (1, 2.5)]
        both = [asyncio.create_task(world.client.post("/push/aep", content=report(level=7.0))) for _ in range(2)]
        for _ in range(50):
            await asyncio.sleep(0)
        await world.step()
        assert [(await one).status_code for one in both] == [200, 200]
        assert world.rows()[2:] == [(1, 7.0)]

    in_world(act)


def test_pushes_are_remembered_through_any_number_of_packets_of_the_broker() -> None:
    tail = DupTail(size=2)
    push = packet_key(Message(topic="t", payload=b"x", packet_id=0, receive_us=1, delivery=7))
    packets = [packet_key(Message(topic="t", payload=b"x", packet_id=n, receive_us=1)) for n in (1, 2, 3)]
    tail.add([push, *packets])
    assert [key in tail for key in (push, *packets)] == [True, False, True, True]


def test_our_own_json_with_an_hmac() -> None:
    async def act(world: World) -> None:
        body = json.dumps({"g1": [{"ts": NOW_MS, "values": {"stage_m": 3.5}}]}).encode()
        stamp = str(LEKIMA_US // 1_000_000)
        signed = hmac.new(SECRET.encode(), f"{stamp}.".encode() + body, "sha256").hexdigest()
        headers = {"X-Timestamp": stamp, "X-Signature": signed}
        assert (await world.posted("bridge", body, headers=headers)).status_code == 200
        assert (await world.posted("bridge", body, headers=headers)).status_code == 200
        assert world.rows() == [(1, 3.5)]
        answer = await world.client.post("/push/bridge", content=body + b" ", headers=headers)
        assert answer.status_code == 401

    in_world(act)


def test_what_is_not_believed_is_answered_counted_and_told_without_the_log_being_touched() -> None:
    async def act(world: World) -> None:
        for _ in range(2):
            answer = await world.client.post("/push/onenet", content=b'{"msg":{},"nonce":"a","msg_signature":"b"}')
            assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert "does not match" in answer.json()["detail"]
        assert (await world.client.post("/push/nobody", content=report())).status_code == 404
        assert (await world.client.post("/push/aep/", content=report())).status_code == 404
        assert (await world.client.post("/push/far", content=report())).status_code == 403
        assert sorted(await world.refusals()) == [
            ("", "push_unknown_source", 1),
            ("gw", "push_address", 1),
            ("gw", "push_signature", 2),
        ]
        assert not world.log
        assert not world.door._inbox

    in_world(act)


def test_refusals_wait_for_a_log_that_refuses() -> None:
    async def act(world: World) -> None:
        world.full = True
        await world.client.post("/push/far", content=b"")
        assert await world.refusals() == []
        await world.client.post("/push/far", content=b"")
        world.full = False
        assert await world.refusals() == [("gw", "push_address", 2)]
        assert await world.refusals() == [("gw", "push_address", 2)], "told once"

    in_world(act)


def test_a_body_above_the_bound_is_refused_by_its_length_or_when_it_has_come() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b" " * (BODY_MAX // 4)

    async def act(world: World) -> None:
        for content in (b" " * (BODY_MAX + 1), chunks()):
            answer = await world.client.post("/push/aep", content=content)
            assert (answer.status_code, "at most 262144 bytes" in answer.json()["detail"]) == (413, True)
        announced = {"Content-Length": "9" * 40}
        assert (await world.client.post("/push/aep", content=b"", headers=announced)).status_code == 413
        assert (await world.posted("aep", b" " * BODY_MAX)).status_code == 200

    in_world(act)


def test_a_packed_body_is_refused() -> None:
    async def act(world: World) -> None:
        answer = await world.client.post("/push/aep", content=b"x", headers={"Content-Encoding": "gzip"})
        assert answer.status_code == 415

    in_world(act)


@pytest.mark.parametrize("bound", [{"waiting_max": 2}, {"waiting_bytes": 2 * len(report()) + 1}])
def test_more_than_the_log_takes_is_asked_to_come_again(bound: dict[str, int]) -> None:
    async def act(world: World) -> None:
        waiting = [asyncio.create_task(world.client.post("/push/aep", content=report(f"d-{n}"))) for n in (1, 2)]
        for _ in range(50):
            await asyncio.sleep(0)
        answer = await world.client.post("/push/aep", content=report("d-1", 9.0))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        await world.step()
        assert [(await one).status_code for one in waiting] == [200, 200]
        assert (await world.posted("aep", report("d-1", 9.0))).status_code == 200
        assert await world.refusals() == [], "that is our fault and not the source's"

    in_world(act, **bound)


def test_a_log_that_takes_too_long_is_no_200_and_the_repetition_is_known() -> None:
    async def act(world: World) -> None:
        answer = await world.client.post("/push/aep", content=report())
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        await world.step()  # it was stored after all
        world.door._answer_s = 60.0
        assert (await world.posted("aep", report())).status_code == 200
        assert world.rows() == [(1, 2.5)]
        assert not world.door._answers

    in_world(act, answer_s=0.0)


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    async def act(world: World) -> None:
        receive_forever = [{"type": "http.request", "body": b"{", "more_body": True}]
        sent: list[Any] = []

        async def receive() -> Any:
            if receive_forever:
                return receive_forever.pop()
            return await asyncio.Event().wait()

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/push/aep",
            "headers": [],
            "query_string": b"",
            "client": PEER,
        }
        await world.door.app(scope, receive, send)
        assert sent[0]["status"] == 408

    in_world(act, body_s=0.0)


def test_a_source_without_its_secret_takes_nothing() -> None:
    async def act(world: World) -> None:
        answer = await world.client.post("/push/shut", content=b"{}")
        assert answer.status_code == 503
        assert "citybrain push secret shut" in answer.json()["detail"]

    in_world(act)


def test_an_address_check_is_for_the_form_that_has_one() -> None:
    async def act(world: World) -> None:
        query = {"msg": "hello", "nonce": "abcdefgh", "signature": "b3RoZXI="}
        assert (await world.client.get("/push/onenet", params=query)).status_code == 401
        query["signature"] = base64.b64encode(hashlib.md5(f"{SECRET}abcdefghhello".encode()).digest()).decode()
        answer = await world.client.get("/push/onenet", params=query)
        assert (answer.status_code, answer.text) == (200, "hello")
        assert answer.headers["content-type"].startswith("text/plain")
        refused = await world.client.get("/push/aep")
        assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
        assert (await world.client.put("/push/aep")).status_code == 405

    in_world(act)


def test_a_batch_is_bounded_by_bytes() -> None:
    async def act(world: World) -> None:
        big = report() + b" " * (BODY_MAX - len(report()))
        asked = [asyncio.create_task(world.client.post("/push/aep", content=big)) for _ in range(40)]
        while len(world.door._inbox) < 40:
            await asyncio.sleep(0)
        assert len(await world.door.receive(1000, 0)) == 32
        assert len(await world.door.receive(1000, 0)) == 8
        assert world.door._inbox_bytes == 0
        for one in asked:
            one.cancel()

    in_world(act)
