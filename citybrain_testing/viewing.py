"""A screen without pixels: subscribes to the live feed, notes what came and when, and resumes after a lost link."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection

RETRY_S = 0.5
RECEIVE_S = 0.25
EVENT_CHANNELS = ("alarm", "incident", "task")
SNAPSHOTS = (*EVENT_CHANNELS, "instruction")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One event, or one row of a snapshot (`kind` is then "snapshot")."""

    at_s: float  # time.monotonic()
    channel: str
    kind: str
    id: str
    rev: int
    data: dict[str, Any]


@dataclass(slots=True)
class _Sub:
    epoch: str = ""
    seq: int = 0


@dataclass
class Viewer:
    """`dial` opens a socket that has said hello. Use as a context; `seen` grows while it runs (read it with `events()`)."""

    dial: Callable[[], AbstractContextManager[ClientConnection]]
    channels: Sequence[str] = EVENT_CHANNELS
    connections: int = 0
    recovered: int = 0
    resets: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._seen: list[Seen] = []
        self._subs = {channel: _Sub() for channel in self.channels}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="viewer", daemon=True)

    def __enter__(self) -> Viewer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=10.0)

    def events(self, channel: str = "", since: int = 0) -> list[Seen]:
        """What came so far, in order."""
        found = self._seen[since:]
        return found if not channel else [seen for seen in found if seen.channel == channel]

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with self.dial() as socket:
                    self.connections += 1
                    self._converse(socket)
            except (OSError, WebSocketException, TimeoutError) as error:
                self.errors.append(f"{type(error).__name__}: {error}")
                self._stop.wait(RETRY_S)

    def _converse(self, socket: ClientConnection) -> None:
        numbers = {}
        for number, (channel, sub) in enumerate(self._subs.items(), start=1):
            numbers[number] = channel
            since = {"since": {"epoch": sub.epoch, "seq": sub.seq}} if sub.epoch else {}
            socket.send(json.dumps([{"type": "sub", "i": number, "ch": channel, **since}]))
        while not self._stop.is_set():
            try:
                frame = socket.recv(timeout=RECEIVE_S)
            except TimeoutError:
                continue
            for message in json.loads(frame):
                self._take(socket, message, numbers)

    def _take(self, socket: ClientConnection, message: dict[str, Any], numbers: dict[int, str]) -> None:
        kind = message["type"]
        if kind == "ping":
            socket.send(json.dumps([{"type": "pong", "t": message.get("t")}]))
        elif kind == "ok":
            sub = self._subs[numbers[message["i"]]]
            self.recovered += bool(message["recovered"])
            sub.epoch = message["epoch"]
            if not message["recovered"]:
                sub.seq = message["seq"]
        elif kind == "reset":
            self.resets.append(message["why"])
        elif kind == "snap" and message["ch"] in SNAPSHOTS:
            for row in message["rows"]:
                self._note(message["ch"], "snapshot", row)
        elif kind == "ev":
            sub = self._subs[message["ch"]]
            if message["seq"] >= sub.seq:
                sub.seq = message["seq"]
                self._note(message["ch"], message["kind"], message["data"])
        elif kind == "delta":
            self._subs[message["ch"]].seq = max(self._subs[message["ch"]].seq, message["seq"])
        elif kind == "err":
            self.errors.append(f"err {message}")

    def _note(self, channel: str, kind: str, data: dict[str, Any]) -> None:
        # Rows of a snapshot may be wrapped as events are.
        inner = data.get("data", data)
        identifier = str(inner.get(f"{channel}_id", inner.get("id", "")))
        revision = int(inner.get("rev", inner.get("n", 0)) or 0)
        self._seen.append(
            Seen(at_s=time.monotonic(), channel=channel, kind=kind, id=identifier, rev=revision, data=inner)
        )
