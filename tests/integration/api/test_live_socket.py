"""The live door over a real uvicorn and a real websocket client."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec
import pytest
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from citybrain_testing.api_rim import PASSWORD, FakeFacade, an_alarm, fake_deps, live_hub
from command_center.api.app import build_app
from command_center.api.deps import ApiDeps
from gis.hub import EventChannel, Hub, PastEvent, StateChannel

WITHIN_S = 10.0


class MachineClock:
    """City time stands still, machine time is real: heartbeats and flushes need it."""

    kind: Any = "scaled"
    rate = 60.0

    def city_us(self) -> int:
        return 1_565_352_000_000_000

    def machine_ns(self) -> int:
        return time.monotonic_ns()

    def machine_us(self) -> int:
        return 1_700_000_000_000_000 + time.monotonic_ns() // 1000


@dataclass(slots=True)
class Stand:
    port: int
    hub: Hub
    facade: FakeFacade

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def live(self) -> str:
        return f"ws://127.0.0.1:{self.port}/api/v1/live"

    def state(self, name: str) -> StateChannel:
        channel = self.hub.channels[name]
        assert isinstance(channel, StateChannel)
        return channel

    def events(self, name: str) -> EventChannel:
        channel = self.hub.channels[name]
        assert isinstance(channel, EventChannel)
        return channel

    def alarm(self, seq: int, **changes: Any) -> None:
        alarm = an_alarm(**changes)
        self.events("alarm").publish(
            seq=seq, kind="raised", object_id=alarm.alarm_id, rev=seq, data=alarm, t_us=alarm.raised_us
        )

    async def token(self, username: str) -> str:
        async with httpx.AsyncClient(base_url=self.http) as client:
            answer = await client.post("/api/v1/sessions", json={"username": username, "password": PASSWORD})
            assert answer.status_code == 201
            return str(answer.json()["token"])


@asynccontextmanager
async def standing(**changes: Any) -> AsyncIterator[Stand]:
    hub, facade = live_hub(), FakeFacade()
    deps: ApiDeps = fake_deps(hub=hub, facade=facade, clock=MachineClock(), **changes)
    app = build_app(deps)
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    serving = asyncio.create_task(server.serve([listener]))
    try:
        async with asyncio.timeout(WITHIN_S):
            while not server.started:
                await asyncio.sleep(0.01)
        yield Stand(listener.getsockname()[1], hub, facade)
    finally:
        app.state.live.drain()
        server.should_exit = True
        await serving
        listener.close()


class Screen:
    """A viewer: says hello, keeps every message in order, answers pings."""

    def __init__(self, socket_: ClientConnection) -> None:
        self.socket = socket_
        self.messages: list[dict[str, Any]] = []
        self._unread: deque[dict[str, Any]] = deque()

    async def say(self, **message: Any) -> None:
        await self.socket.send(msgspec.json.encode(message).decode())

    async def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The next message that fits; all others are kept in `messages`."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                while self._unread:
                    message = self._unread.popleft()
                    self.messages.append(message)
                    if wanted(message):
                        return message
                self._unread.extend(msgspec.json.decode(await self.socket.recv()))

    async def next(self, kind: str) -> dict[str, Any]:
        return await self.until(lambda m: m["type"] == kind)


@asynccontextmanager
async def screen(stand: Stand, username: str = "duty1", kind: str = "wall") -> AsyncIterator[Screen]:
    token = await stand.token(username)
    async with connect(stand.live, subprotocols=["cb.live.v1.json"], compression=None) as socket_:  # type: ignore[list-item]
        found = Screen(socket_)
        await found.say(type="hello", token=token, client={"name": "test", "ver": "1", "kind": kind}, lang="zh")
        await found.next("welcome")
        yield found


def run(body: Awaitable[None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await body

    asyncio.run(bounded())


def test_a_screen_gets_the_snapshot_and_then_each_event_within_half_a_second() -> None:
    async def body() -> None:
        async with standing() as stand:
            stand.alarm(5)
            async with screen(stand) as wall:
                assert wall.socket.subprotocol == "cb.live.v1.json"
                await wall.say(type="sub", i=1, ch="alarm")
                ok = await wall.next("ok")
                assert (ok["i"], ok["seq"], ok["recovered"]) == (1, 5, False)
                snap = await wall.next("snap")
                assert [row["alarm_id"] for row in snap["rows"]] == ["a" * 16]
                assert snap["more"] is False
                began = time.monotonic()
                stand.alarm(9, alarm_id="b" * 16, colour="red")
                event = await wall.next("ev")
                assert time.monotonic() - began < 0.5
                assert (event["ch"], event["seq"], event["kind"]) == ("alarm", 9, "raised")
                assert event["data"]["colour"] == "red"

    run(body())


def test_a_screen_that_comes_back_resumes_or_is_told_that_it_cannot() -> None:
    async def body() -> None:
        async with standing() as stand:
            stand.alarm(1)
            async with screen(stand) as wall:
                await wall.say(type="sub", i=1, ch="alarm")
                ok = await wall.next("ok")
                await wall.next("snap")
            for seq in (4, 6):
                stand.alarm(seq, alarm_id=f"{seq:016x}")
            async with screen(stand) as wall:
                await wall.say(type="sub", i=1, ch="alarm", since={"epoch": ok["epoch"], "seq": ok["seq"]})
                assert (await wall.next("ok"))["recovered"] is True
                assert [(await wall.next("ev"))["seq"], (await wall.next("ev"))["seq"]] == [4, 6]
                assert [m for m in wall.messages if m["type"] == "snap"] == []
            for seq in range(100, 1_200):
                stand.alarm(seq)
            async with screen(stand) as wall:
                await wall.say(type="sub", i=1, ch="alarm", since={"epoch": ok["epoch"], "seq": 6})
                assert (await wall.next("ok"))["recovered"] is False
                assert (await wall.next("reset"))["why"] == "gap"
                await wall.next("snap")

    run(body())


def test_history_beyond_the_ring_comes_from_where_it_is_kept() -> None:
    asked: list[tuple[str, int, int]] = []

    async def load(channel: str, since: int, limit: int) -> list[PastEvent]:
        asked.append((channel, since, limit))
        return [PastEvent(seq, "raised", "x", 1, {"task_id": "x"}, 0, owner="unit-1") for seq in range(since + 1, 31)]

    async def body() -> None:
        async with standing(load_history=load) as stand:
            stand.events("task").start_at(30)
            async with screen(stand) as wall:
                await wall.say(type="sub", i=1, ch="task", since={"epoch": "task-run", "seq": 28})
                assert (await wall.next("ok"))["recovered"] is True
                assert [(await wall.next("ev"))["seq"], (await wall.next("ev"))["seq"]] == [29, 30]
            assert asked == [("task", 28, 1_000)]

    run(body())


def test_what_a_role_may_not_see_is_refused_or_left_out() -> None:
    async def body() -> None:
        async with standing() as stand:
            tasks = stand.events("task")
            for seq, unit in ((1, "unit-1"), (2, "unit-2")):
                tasks.publish(
                    seq=seq, kind="issued", object_id=f"T{seq}", rev=1, data={"task_id": f"T{seq}"}, t_us=0, owner=unit
                )
            devices = stand.state("obj/device")
            devices.put("g1", ["mine"], t_us=0, lon=121.4, lat=28.6, owner="acme")
            devices.put("g2", ["theirs"], t_us=0, lon=121.4, lat=28.6, owner="zeta")
            async with screen(stand, "unit-1", "phone") as phone:
                await phone.say(type="sub", i=1, ch="task")
                assert [r["task_id"] for r in (await phone.next("snap"))["rows"]] == ["T1"]
                tasks.publish(
                    seq=3, kind="assigned", object_id="T1", rev=2, data={"task_id": "T1"}, t_us=0, owner="unit-2"
                )
                event = await phone.next("ev")
                assert (event["kind"], event["data"]) == ("removed", {"id": "T1"})
            async with screen(stand, "vendor1", "vendor") as vendor:
                await vendor.say(type="sub", i=1, ch="alarm")
                refused = await vendor.next("err")
                assert (refused["i"], refused["code"], refused["temp"]) == (1, 103, False)
                await vendor.say(type="sub", i=2, ch="obj/device")
                assert [row[0] for row in (await vendor.next("snap"))["rows"]] == ["g1"]

    run(body())


def test_a_page_of_another_site_cannot_ride_on_the_cookie() -> None:
    async def attempt(stand: Stand, origin: str) -> dict[str, Any]:
        cookie = {"Cookie": f"cb_session={await stand.token('duty1')}", "Origin": origin}
        async with connect(stand.live, additional_headers=cookie) as socket_:
            page = Screen(socket_)
            await page.say(type="hello", client={"kind": "wall"})
            return await page.until(lambda m: m["type"] in ("welcome", "bye"))

    async def body() -> None:
        async with standing() as stand:
            assert (await attempt(stand, stand.http))["type"] == "welcome"
            refused = await attempt(stand, "http://evil.example")
            assert (refused["type"], refused["code"]) == ("bye", 3500)

    run(body())


def test_logging_out_ends_the_live_connection() -> None:
    async def body() -> None:
        async with standing() as stand:
            token = await stand.token("duty1")
            async with connect(stand.live) as socket_:
                wall = Screen(socket_)
                await wall.say(type="hello", token=token)
                await wall.next("welcome")
                async with httpx.AsyncClient(base_url=stand.http) as client:
                    headers = {"Authorization": f"Bearer {token}"}
                    assert (await client.delete("/api/v1/sessions/current", headers=headers)).status_code == 204
                assert (await wall.next("bye"))["code"] == 3014
                with pytest.raises(ConnectionClosed) as closed:
                    await socket_.recv()
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 3014

    run(body())


def test_a_screen_that_reads_nothing_stops_nobody_and_is_sent_away_when_events_are_lost_to_it() -> None:
    async def body() -> None:
        async with standing() as stand, screen(stand) as quick, screen(stand) as stuck:
            for viewer in (quick, stuck):
                await viewer.say(type="sub", i=1, ch="alarm")
                await viewer.next("snap")
            stuck.socket.transport.pause_reading()
            filler = "x" * 20_000
            seen = 0
            for seq in range(1, 2_501):
                stand.alarm(seq, detail_zh=filler)
                if seq % 250 == 0:
                    last = seq
                    seen = (await quick.until(lambda m, last=last: m.get("seq") == last))["seq"]  # type: ignore[misc]
            assert seen == 2_500
            assert [m["seq"] for m in quick.messages if m["type"] == "ev"] == list(range(1, 2_501))
            stuck.socket.transport.resume_reading()
            assert (await stuck.next("bye"))["code"] == 3008

    run(body())


def test_fifty_screens_share_one_encoding_of_a_thousand_changes_a_second() -> None:
    """The cost of the live door alone: 50 walls, 1,000 changes/s for two seconds; every wall ends with the newest values.

    Half of the walls subscribe before there is any device: an empty snapshot is a picture like any other.
    """

    async def watch(stand: Stand, subscribed: asyncio.Barrier) -> dict[str, int]:
        async with screen(stand) as wall:
            await wall.say(type="sub", i=1, ch="obj/device")
            latest = {row[0]: row[1] for row in (await wall.next("snap"))["rows"]}
            await subscribed.wait()
            await wall.until(lambda m: m["type"] == "delta" and any(row[4] == "end" for row in m["up"]))
            for delta in (m for m in wall.messages if m["type"] == "delta"):
                latest |= {row[0]: row[1] for row in delta["up"]}
            return latest

    async def body() -> None:
        async with standing() as stand:
            devices = stand.state("obj/device")

            def change(step: int) -> None:
                for n in range(10):
                    name = f"d{(step * 10 + n) % 500}"
                    devices.put(name, [str(step)], t_us=step, lon=121.0 + n / 100, lat=28.0)

            async with asyncio.TaskGroup() as group:
                walls: list[asyncio.Task[dict[str, int]]] = []
                for known in (False, True):
                    subscribed = asyncio.Barrier(26)
                    walls += [group.create_task(watch(stand, subscribed)) for _ in range(25)]
                    await subscribed.wait()
                    if not known:
                        change(0)
                for step in range(1, 201):
                    change(step)
                    await asyncio.sleep(0.01)
                devices.put("d0", ["end"], t_us=999, lon=121.0, lat=28.0)
            expected = {name: row.ver for name, row in devices.rows.items()}
            assert len(expected) == 500
            for wall in walls:
                assert wall.result() == expected

    run(body())


def test_with_the_database_down_an_acknowledgement_works_and_other_writes_wait() -> None:
    async def body() -> None:
        async with standing() as stand:
            headers = {"Authorization": f"Bearer {await stand.token('duty1')}"}
            stand.facade.down = True
            async with httpx.AsyncClient(base_url=stand.http, headers=headers) as client:
                done = await client.post(f"/api/v1/alarms/{'a' * 16}/ack", json={"comment": "收到"})
                assert (done.status_code, done.json()) == (202, {"position": 101})
                refused = await client.post("/api/v1/incidents/I-20190809-001/verify", json={})
                assert (refused.status_code, refused.headers["retry-after"]) == (503, "7")
                assert refused.headers["content-type"] == "application/problem+json"
                assert (await client.get("/api/v1/alarms")).json() == {"items": [], "next": None}

    run(body())


def test_stopping_says_bye_with_a_spread_of_return_times() -> None:
    async def body() -> None:
        async with standing() as stand:
            viewer = screen(stand)
            wall = await viewer.__aenter__()
            leaving = asyncio.create_task(wall.next("bye"))
            await asyncio.sleep(0)
        bye = await leaving
        assert bye["code"] == 3001
        assert 0 <= bye["retry_ms"] < 20_000
        await viewer.__aexit__(None, None, None)

    run(body())
