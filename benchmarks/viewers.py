"""Viewers for benchmarks: many live websockets in a process of their own, each parsing what it gets like a page would.

Times are CLOCK_MONOTONIC nanoseconds, which all processes of a machine share. A process of their own, because a viewer that
waits for the load generator's loop would measure that loop.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Self

import msgspec
from websockets.asyncio.client import ClientConnection, connect

from command_center.picture_devices import SCHEMA

CONNECT_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 20.0
MAX_FRAME = 2**24
ROW_ID, ROW_TIME = SCHEMA.index("id"), SCHEMA.index("t_us")

_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One event at one viewer, at the moment when its frame was parsed. `logged_us`: city time in the transition.

    Where `obj/device` is followed, also each row of a device that came: of kind `row`, with the newest phenomenon time of its values.
    """

    viewer: int
    kind: str
    device_id: str
    parsed_ns: int
    logged_us: int
    rule_id: str = ""


class Viewers:
    """`count` viewers of `channels` as a child process: `start` returns when all have their snapshots, `stop` what they saw."""

    def __init__(self, base_url: str, token: str, *, count: int, channels: Sequence[str]) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, child = context.Pipe()
        arguments = (child, base_url, token, count, list(channels))
        self._process = context.Process(target=_main, args=arguments, name="viewers", daemon=True)
        self.bytes = 0

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    def start(self) -> None:
        """Raises RuntimeError when a viewer could not connect."""
        self._process.start()
        if not self._pipe.poll(CONNECT_TIMEOUT_S) or self._pipe.recv() != "ready":
            raise RuntimeError("the viewers did not connect")

    def stop(self) -> list[Seen]:
        self._pipe.send("stop")
        if not self._pipe.poll(STOP_TIMEOUT_S):
            raise RuntimeError("the viewers did not answer")
        rows, self.bytes = self._pipe.recv()
        self._process.join(STOP_TIMEOUT_S)
        return [
            Seen(viewer=v, kind=k, device_id=d, parsed_ns=ns, logged_us=us, rule_id=r) for v, k, d, ns, us, r in rows
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.is_alive():
            self._process.terminate()
            self._process.join(STOP_TIMEOUT_S)


def _main(pipe: Connection, base_url: str, token: str, count: int, channels: list[str]) -> None:
    asyncio.run(_view(pipe, base_url, token, count, channels))


async def _view(pipe: Connection, base_url: str, token: str, count: int, channels: list[str]) -> None:
    rows: list[tuple[int, str, str, int, int, str]] = []
    size = [0]
    sockets = await asyncio.gather(*(_open(base_url, token, channels) for _ in range(count)))
    readers = [asyncio.create_task(_read(number, one, rows, size)) for number, one in enumerate(sockets)]
    pipe.send("ready")
    while not pipe.poll():
        if any(reader.done() for reader in readers):
            break  # a viewer that lost its socket is an error: `stop` will not be answered
        await asyncio.sleep(0.1)
    else:
        pipe.recv()
        pipe.send((rows, size[0]))
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)
    await asyncio.gather(*(one.close() for one in sockets))


async def _open(base_url: str, token: str, channels: list[str]) -> ClientConnection:
    """A socket that has said hello and has the last snapshot page of every channel."""
    url = base_url.replace("http", "ws", 1) + "/api/v1/live"
    socket = await connect(url, max_size=MAX_FRAME, open_timeout=CONNECT_TIMEOUT_S, compression=None)
    client = {"name": "benchmark", "ver": "1", "kind": "console"}
    await socket.send(json.dumps([{"type": "hello", "token": token, "client": client, "lang": "zh"}]))
    await socket.send(json.dumps([{"type": "sub", "i": i, "ch": name} for i, name in enumerate(channels)]))
    waiting = set(channels)
    async with asyncio.timeout(CONNECT_TIMEOUT_S):
        while waiting:
            for message in _decode(await socket.recv()):
                if message["type"] in ("err", "bye"):
                    raise RuntimeError(f"refused: {message}")
                if message["type"] == "snap" and not message["more"]:
                    waiting.discard(message["ch"])
    return socket


async def _read(
    number: int, socket: ClientConnection, rows: list[tuple[int, str, str, int, int, str]], size: list[int]
) -> None:
    async for frame in socket:
        messages: list[dict[str, Any]] = _decode(frame)
        parsed_ns = time.monotonic_ns()
        size[0] += len(frame)
        for message in messages:
            if message["type"] == "ping":
                await socket.send('[{"type":"pong"}]')
            elif message["type"] == "delta" and message["ch"] == "obj/device":
                rows += [(number, "row", row[ROW_ID], parsed_ns, row[ROW_TIME], "") for row in message["up"]]
            elif message["type"] == "ev" and message["ch"] == "alarm":
                data = message["data"]
                device_id = data["device_ids"][0] if data["device_ids"] else ""
                rows.append((number, message["kind"], device_id, parsed_ns, message["t"], data["rule_id"]))
