"""What the broker refuses never reaches us; its log tells of it. Tail that log and count the refusals for each device.

Measured on Mosquitto 2.0.11. With `log_type debug` a foreign topic gives
`Denied PUBLISH from CLIENT (d0, q1, r0, m1, 'TOPIC', ... (N bytes))` (no other level tells of it, and a 3.1.1 client is told
PUBACK); with `log_type notice` a packet over `max_packet_size` gives `Client CLIENT disconnected due to oversize packet.` and a
login `New client connected from ADDRESS as CLIENT (p5, c1, k60, u'USER').`, which is how a client id becomes a device. A
refused login is `Client <unknown> disconnected, not authorised.` and names nobody.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import structlog

from devices.clock import Clock
from devices.registry import Registry
from ingest import metrics
from stream import records
from stream.errors import LogError
from stream.records import EventBody, NewRecord

POLL_S = 1.0
READ_MAX = 4 * 1024**2  # of one poll; a broker at debug level writes about 500 bytes per message
TRIM_BYTES = 32 * 1024**2  # the broker appends to its log for ever: what we have read is cut off beyond this
CLIENTS_MAX = 200_000
WAITING_MAX = 1_000  # refusal records that wait for a log that refuses
_CONNECTED = re.compile(rb"New client connected from \S+ as (.+?) \(p\d+, c\d+, k\d+(?:, u'(.*)')?\)\.")
_DENIED = re.compile(rb"Denied PUBLISH from (.+?) \(d\d, q\d, r\d, m\d+, '(.*)', \.\.\. \((\d+) bytes\)\)")
_OVERSIZE = re.compile(rb"Client (.+?) disconnected due to oversize packet\.")
_LOGIN = re.compile(rb"Client (.+?) disconnected, not authorised\.")
# What stands in the lines that tell us something. Looked for as plain bytes: of a megabyte a second that the broker writes
# under load nearly nothing is ours, and a pattern tried on every line was a sixth of all that ingest did.
_TELLING = (b"New client connected", b"Denied PUBLISH", b"oversize packet", b"not authorised")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One thing that the broker refused; `username` "" where the log does not say whose it was."""

    reason: str  # acl_denied, packet_too_large, login_refused
    username: str
    client_id: str
    topic: str = ""
    detail: str = ""


class RefusalParser:
    """Reads the broker's log lines and remembers who is behind a client id."""

    def __init__(self) -> None:
        self._users: OrderedDict[str, str] = OrderedDict()

    def parse(self, chunk: bytes) -> list[Refusal]:
        """Refusals in whole lines of the log."""
        found = (self._line(line) for line in _lines_with(chunk, _TELLING))
        return [refusal for refusal in found if refusal is not None]

    def _line(self, line: bytes) -> Refusal | None:
        if match := _CONNECTED.search(line):
            self._remember(_text(match[1]), _text(match[2] or b""))
        elif match := _DENIED.search(line):
            topic = _text(match[2])
            detail = f"topic {topic} is not yours: publish below cb/v1/TENANT/YOUR-DEVICE-ID/up/"
            return self._refusal("acl_denied", match[1], detail, topic)
        elif match := _OVERSIZE.search(line):
            return self._refusal("packet_too_large", match[1], "packet above the broker's max_packet_size (256 KiB)")
        elif match := _LOGIN.search(line):
            return self._refusal("login_refused", match[1], "unknown username or wrong password")
        return None

    def _refusal(self, reason: str, client: bytes, detail: str, topic: str = "") -> Refusal:
        client_id = _text(client)
        username = self._users.get(client_id, "")
        return Refusal(reason=reason, username=username, client_id=client_id, topic=topic, detail=detail)

    def _remember(self, client_id: str, username: str) -> None:
        self._users[client_id] = username
        self._users.move_to_end(client_id)
        if len(self._users) > CLIENTS_MAX:
            self._users.popitem(last=False)


def _lines_with(chunk: bytes, words: Iterable[bytes]) -> list[bytes]:
    """The lines in which any of the words stands, in their order, each once."""
    starts: set[int] = set()
    for word in words:
        at = chunk.find(word)
        while at >= 0:
            starts.add(chunk.rfind(b"\n", 0, at) + 1)
            end = chunk.find(b"\n", at)
            at = -1 if end < 0 else chunk.find(word, end)
    ends = ((start, chunk.find(b"\n", start)) for start in sorted(starts))
    return [chunk[start:] if end < 0 else chunk[start:end] for start, end in ends]


class LogTail:
    """Whole new lines of a file that grows, is cut, or is replaced. Starts at its beginning: client ids stand there."""

    def __init__(self, path: Path, *, trim_bytes: int = TRIM_BYTES) -> None:
        self._path, self._trim_bytes = path, trim_bytes
        self._offset = 0
        self._inode = 0

    def read(self) -> bytes:
        """At most READ_MAX bytes, ending with a line; b"" when there is nothing new or no file."""
        try:
            with self._path.open("r+b") as file:
                status = os.fstat(file.fileno())
                if status.st_ino != self._inode or status.st_size < self._offset:
                    self._inode, self._offset = status.st_ino, 0
                file.seek(self._offset)
                chunk = file.read(READ_MAX)
                whole = chunk[: chunk.rfind(b"\n") + 1]
                self._offset += len(whole)
                if self._offset >= self._trim_bytes and self._offset == os.fstat(file.fileno()).st_size:
                    file.truncate(0)  # the broker appends (O_APPEND): its next line starts the file anew
                    self._offset = 0
        except FileNotFoundError:
            return b""
        return whole


class RefusalService:
    """Appends one `refusal` event per device and reason for each poll that found any."""

    def __init__(
        self,
        log_file: Path,
        clock: Clock,
        registry: Registry,
        append: Callable[[list[NewRecord]], Awaitable[object]],
        *,
        poll_s: float = POLL_S,
    ) -> None:
        self._tail, self._parser = LogTail(log_file), RefusalParser()
        self._clock, self._registry, self._append, self._poll_s = clock, registry, append, poll_s

    async def run(self) -> None:
        self._parser.parse(await asyncio.to_thread(self._tail.read))  # before our start: only who is who
        waiting: list[NewRecord] = []
        while True:
            chunk = await asyncio.to_thread(self._tail.read)
            waiting = self._bounded(waiting + self.records(self._parser.parse(chunk)))
            if waiting:
                try:
                    await self._append(waiting)
                    waiting = []
                except LogError as error:
                    log.warning("refusals_wait_for_the_log", records=len(waiting), why=str(error))
            if len(chunk) < READ_MAX // 2:
                await asyncio.sleep(self._poll_s)

    @staticmethod
    def _bounded(waiting: list[NewRecord]) -> list[NewRecord]:
        """While the log refuses, the newest are kept; the counter of refusals has them all."""
        metrics.REFUSALS_DROPPED.inc(max(0, len(waiting) - WAITING_MAX))
        return waiting[-WAITING_MAX:]

    def records(self, refusals: list[Refusal]) -> list[NewRecord]:
        """One event for each (device, reason, topic); strangers are counted together under ""."""
        counts: OrderedDict[tuple[str, str, str], tuple[int, Refusal]] = OrderedDict()
        for refusal in refusals:
            metrics.REFUSALS.labels(refusal.reason).inc()
            device_id = refusal.username if refusal.username in self._registry.devices else ""
            key = (device_id, refusal.reason, refusal.topic)
            counts[key] = (counts.get(key, (0, refusal))[0] + 1, refusal)
        now_us = self._clock.city_us()
        return [records.event(_event(key[0], count, refusal, now_us)) for key, (count, refusal) in counts.items()]


def _event(device_id: str, count: int, refusal: Refusal, now_us: int) -> EventBody:
    data = {"reason": refusal.reason, "count": count, "client_id": refusal.client_id, "detail": refusal.detail}
    if refusal.topic:
        data["topic"] = refusal.topic
    return EventBody(type="refusal", device_id=device_id, receive_us=now_us, data=data)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", errors="replace")[:256]
