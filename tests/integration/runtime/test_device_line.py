"""The role's own way down to devices, against a real Mosquitto: what counts as taken, and what a broker that dies leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import aiomqtt
import pytest

from citybrain_testing.servers import PrivateMosquitto, private_mosquitto
from command_center.device_commands.ports import LineDown
from ingest.service import BrokerAccess
from runtime.device_line import DeviceLine

pytestmark = pytest.mark.broker

WAIT_S = 20.0
SERVICE = "service.command"


@pytest.fixture
def broker() -> Iterator[PrivateMosquitto]:
    with private_mosquitto(accounts={"g1": "one", "g2": "two"}) as server:
        yield server


def topic(device_id: str) -> str:
    return f"cb/v1/demo/{device_id}/down/cmd"


async def until(what: str, look: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not look():
            await asyncio.sleep(0.02)
    assert look(), what


@contextlib.asynccontextmanager
async def line_to(broker: PrivateMosquitto, protocol: str = "5", password: str = "") -> AsyncIterator[DeviceLine]:
    access = BrokerAccess(
        host=broker.host,
        port=broker.port,
        username=SERVICE,
        password=password or broker.password(SERVICE),
        protocol=protocol,
    )
    line = DeviceLine(access)
    task = asyncio.create_task(line.run())
    try:
        yield line
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def listening(broker: PrivateMosquitto, device_id: str) -> AsyncIterator[aiomqtt.Client]:
    async with aiomqtt.Client(
        broker.host, broker.port, username=device_id, password=broker.password(device_id), identifier=device_id
    ) as client:
        await client.subscribe(f"cb/v1/demo/{device_id}/down/#", qos=1)
        yield client


def play(story: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await story()

    asyncio.run(bounded())


def test_taken_means_that_somebody_listens(broker: PrivateMosquitto) -> None:
    async def story() -> None:
        async with line_to(broker) as line, listening(broker, "g1") as device:
            await until("connected", lambda: line.connected)
            assert await line.publish(topic("g1"), b"one", keep_s=60) == ""
            message = await anext(aiter(device.messages))
            assert (message.payload, message.qos) == (b"one", 1)
            assert "nobody listens" in await line.publish(topic("g2"), b"two", keep_s=60)
            assert "Not authorized" in await line.publish("cb/v1/other/g1/down/cmd", b"three", keep_s=60)
            many = await asyncio.gather(*(line.publish(topic("g1"), b"%d" % n, keep_s=60) for n in range(100)))
            assert set(many) == {""}

    play(story)


def test_a_broker_of_the_older_protocol_only_says_that_it_took_it(broker: PrivateMosquitto) -> None:
    async def story() -> None:
        async with line_to(broker, "3.1.1") as line:
            await until("connected", lambda: line.connected)
            assert await line.publish(topic("g2"), b"two", keep_s=60) == ""

    play(story)


def test_a_broker_that_dies_takes_nothing_and_is_found_again(broker: PrivateMosquitto) -> None:
    async def story() -> None:
        async with line_to(broker) as line:
            await until("connected", lambda: line.connected)
            broker.kill()
            with pytest.raises(LineDown):
                await line.publish(topic("g1"), b"lost", keep_s=60)
            await until("away", lambda: not line.connected)
            with pytest.raises(LineDown, match="not connected"):
                await line.publish(topic("g1"), b"lost too", keep_s=60)
            broker.start()
            async with listening(broker, "g1") as device:
                await until("back", lambda: line.connected)
                assert await line.publish(topic("g1"), b"new", keep_s=60) == ""
                assert (await anext(aiter(device.messages))).payload == b"new", "nothing of before is repeated"

    play(story)


def test_a_wrong_password_is_tried_again_and_never_connected(broker: PrivateMosquitto) -> None:
    async def story() -> None:
        async with line_to(broker, password="wrong") as line:
            await asyncio.sleep(1.0)
            assert not line.connected
            with pytest.raises(LineDown):
                await line.publish(topic("g1"), b"x", keep_s=1)

    play(story)
