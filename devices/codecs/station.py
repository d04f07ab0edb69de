"""What the protocols of measuring stations have in common once their bytes are read: reports of timed readings.

A codec of a station protocol (HJ 212, SL 651, ...) is a `Decoder`: bytes in, as they come, `Report`s and `Refused` out. It
knows the wire and nothing else: neither who may speak for a station, nor what the city calls a quantity. Pure: no I/O, no
clock, no registry. Values keep the protocol's own names and units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

SHOWN_BYTES = 40  # of a frame that a reason repeats


class Said(StrEnum):
    """What a frame is for."""

    DATA = "data"
    HEARTBEAT = "heartbeat"
    CLOCK_REQUEST = "clock_request"  # the station asks for the time
    ANSWER = "answer"  # to something that we sent
    ATTRIBUTES = "attributes"  # what the device says of itself: firmware, position
    REGISTRATION = "registration"  # asks for the code of its sessions
    LOGIN = "login"  # shows its code; the frames behind it have none
    NOTICE = "notice"  # anything else that is worth keeping


@dataclass(frozen=True, slots=True)
class Reading:
    """One value under the protocol's own name ("2061/a34004-Avg", "39").

    `value` is None where the station itself says that it has none. `quality` is a QARTOD code (1, 2, 3, 4, 9) or None where
    the station says nothing. `over`: the station says that the true value is beyond its range, upwards. `unit`: as the frame
    itself states it; "" where the protocol fixes it.
    """

    name: str
    value: float | str | None
    quality: int | None = None
    over: bool = False
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Readings of one time: the instant of a sample, the END of a period (microseconds since 1970 UTC).

    Without a time (None) they were true at their receipt, or `offset_us` from it (negative: before).
    """

    time_us: int | None
    readings: tuple[Reading, ...]
    offset_us: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """Something that the station says happened: `type` is the city's word for it ("fire_alarm"), `name` what it is about in the
    protocol's words, `text` what the station calls that. Without a time (None): at its receipt.

    `confidence` is 0 to 1, None where the protocol states none. `id` tells this happening from others of its type where the
    protocol names it; else name and time do. `data` is what else the event should carry.
    """

    type: str
    name: str
    time_us: int | None
    text: str = ""
    confidence: float | None = 1.0
    id: str = ""
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One frame that holds: start, length, checksum and grammar.

    `answer` is the frame that the station waits for: to be sent once the report is on disk, not before; `denial` the one for a
    report that is not believed, where the protocol lets a station go on with that. `problems` name
    parts that could not be read beside parts that could. `crc_alternative`: the checksum is one that the standard does not
    say but that stations in the field compute. `command` is what `facts` are about (a command number, a function code);
    `category` is the station's own kind (HJ 212 ST, SL 651 class). `each_by_its_time`: of several times each is judged by itself;
    else the newest speaks about now and the older ones are history by the station's own word.
    """

    said: Said
    station: str
    raw: bytes
    password: str | None = None
    groups: tuple[Group, ...] = ()
    happened: tuple[Happening, ...] = ()
    backfill: bool = False
    each_by_its_time: bool = False
    crc_alternative: bool = False
    command: str = ""
    category: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    answer: bytes | None = None
    denial: bytes | None = None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """Bytes that are no frame, and why. `station` where the bytes seem to name one: not to be believed."""

    raw: bytes
    problems: tuple[str, ...]
    station: str = ""


class Decoder(Protocol):
    """Cuts a stream of bytes into frames and reads them. One for each connection; bounded memory whatever comes."""

    @property
    def waiting(self) -> bool:
        """Whether packets of a message that is not whole yet are kept: bytes that gave no piece are not lost then."""

    def feed(self, data: bytes) -> Sequence[Report | Refused]:
        """Everything that the bytes so far complete, in their order."""

    def finish(self) -> Sequence[Report | Refused]:
        """The connection or the message has ended: what is left cannot become a frame any more."""

    def set_clock(self, report: Report, now_us: int) -> bytes | None:
        """The frame that sets the clock of the station that `report` came from; None where the protocol has none."""


def begins(raw: bytes) -> str:
    """The beginning of a frame as a reason shows it."""
    return repr(raw[:SHOWN_BYTES])[1:] + ("..." if len(raw) > SHOWN_BYTES else "")
