"""What the broker itself refuses, read from its log: no message of it ever reaches us, and a 3.1.1 device is told PUBACK.

Mosquitto tells of a foreign topic only at its debug level, where it also writes lines for every message, so this reader cuts
the file back as soon as it has read a few megabytes. Lines that Mosquitto writes between the last read and the cut (microseconds)
are lost; they are counts for a vendor, not observations.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

CUT_AT_BYTES = 8 * 1024 * 1024
READ_MAX_BYTES = 4 * 1024 * 1024
CLIENTS_MAX = 200_000  # client id -> user name; the oldest is forgotten


class RefusalReason(StrEnum):
    """Why the broker did not take it."""

    FOREIGN_TOPIC = "foreign_topic"
    TOO_LARGE = "too_large"
    NOT_AUTHORISED = "not_authorised"  # unknown name or wrong password; the broker does not say whose
    QUEUE_FULL = "queue_full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One refusal. `username` is "" where the broker knew none (a login that failed), `topic` "" where it names none."""

    reason: RefusalReason
    username: str
    topic: str = ""
    size_bytes: int = 0


# Texts of eclipse/mosquitto 2.0: src/handle_connect.c, handle_publish.c, loop.c, database.c; held by an integration test.
_STAMP = r"^(?:\S+: )?"
_CONNECTED = re.compile(_STAMP + r"New client connected from \S+ as (?P<client>.+) \(p\d.*u'(?P<user>[^']*)'\)")
_DENIED = re.compile(
    _STAMP + r"Denied PUBLISH from (?P<client>.+) \(d\d.*, '(?P<topic>.*)', \.\.\. \((?P<size>\d+) bytes\)\)"
)
_OVERSIZE = re.compile(_STAMP + r"Client (?P<client>.+) disconnected due to oversize packet")
_DROPPED = re.compile(
    _STAMP + r"Dropped too large PUBLISH from (?P<client>.+) \(d\d.*, '(?P<topic>.*)', \.\.\. \((?P<size>\d+) bytes\)\)"
)
_UNAUTHORISED = re.compile(_STAMP + r"Client (?P<client>.+) disconnected, not authorised")
_QUEUE = re.compile(_STAMP + r"Outgoing messages are being dropped for client (?P<client>.+)\.")
_MEANINGS = (
    (_DENIED, RefusalReason.FOREIGN_TOPIC),
    (_OVERSIZE, RefusalReason.TOO_LARGE),
    (_DROPPED, RefusalReason.TOO_LARGE),
    (_UNAUTHORISED, RefusalReason.NOT_AUTHORISED),
    (_QUEUE, RefusalReason.QUEUE_FULL),
)
# Before any regular expression: under load nearly every line is a PUBLISH or PUBACK that went well.
_WORDS = (b"New client", b"Denied", b"oversize", b"Dropped", b"not authorised", b"being dropped")


class RefusalReader:
    """Follows the broker's log. `poll()` blocks for milliseconds; call it from a thread, once a second or so."""

    def __init__(self, log_file: Path, *, cut_at_bytes: int = CUT_AT_BYTES) -> None:
        self._log_file = log_file
        self._cut_at_bytes = cut_at_bytes
        self._offset = 0
        self._rest = b""
        self._users: OrderedDict[str, str] = OrderedDict()

    def poll(self) -> list[Refusal]:
        """Refusals since the last call, oldest first."""
        found: list[Refusal] = []
        while chunk := self._read():
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            found += [refusal for line in lines if (refusal := self._meaning(line)) is not None]
        return found

    def _read(self) -> bytes:
        if not self._log_file.exists():
            return b""
        with self._log_file.open("r+b") as stream:
            size = stream.seek(0, 2)
            if size < self._offset:  # someone else cut it
                self._offset, self._rest = 0, b""
            stream.seek(self._offset)
            chunk = stream.read(READ_MAX_BYTES)
            self._offset += len(chunk)
            if self._offset >= self._cut_at_bytes and self._offset == stream.seek(0, 2):
                stream.truncate(0)  # Mosquitto appends, so it goes on at the new end
                self._offset = 0
        return chunk

    def _meaning(self, line: bytes) -> Refusal | None:
        if not any(word in line for word in _WORDS):
            return None
        text = line.decode("utf-8", "replace")
        connected = _CONNECTED.match(text)
        if connected is not None:
            self._remember(connected["client"], connected["user"])
            return None
        for pattern, reason in _MEANINGS:
            match = pattern.match(text)
            if match is not None:
                groups = match.groupdict()
                user = self._users.get(groups["client"], "")
                size = int(groups.get("size") or 0)
                return Refusal(reason=reason, username=user, topic=groups.get("topic") or "", size_bytes=size)
        return None

    def _remember(self, client: str, user: str) -> None:
        self._users[client] = user
        self._users.move_to_end(client)
        if len(self._users) > CLIENTS_MAX:
            self._users.popitem(last=False)
