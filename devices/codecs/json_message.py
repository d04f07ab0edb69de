"""What the codecs of other platforms' JSON have in common: one message, one document, readings under the platform's own keys."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from devices.codecs.samples import shown
from devices.codecs.station import Group, Reading, Refused, Report, Said, begins

BYTES_MAX = 256 * 1024  # what the broker lets through
KEY_MAX = 256
TS_MAX_MS = 2**53  # larger integers do not survive a JSON number

Levels = tuple[str, ...]  # of the topic that a message came by, those that no name in the platform's table stands for

_json = msgspec.json.Decoder()


class WrongMessage(ValueError):
    """A message of which nothing can be used; the text says what was expected and what came."""


Reader = Callable[[bytes, Levels], list[Report | Refused]]  # may raise WrongMessage


class JsonMessageDecoder:
    """A `Decoder` for formats in which a message is a document: bytes are gathered until `finish`.

    `levels` are those of the message that comes next. A message without bytes says something only where it has some.
    """

    waiting = False

    def __init__(self, name: str, read: Reader) -> None:
        self.name = name
        self.levels: Levels = ()
        self._read = read
        self._buffer = b""

    def feed(self, data: bytes) -> list[Report | Refused]:
        """Nothing yet: a document has no end of its own."""
        self._buffer = (self._buffer + data)[: BYTES_MAX + 1]
        return []

    def finish(self) -> list[Report | Refused]:
        """The reports of the document."""
        raw, self._buffer = self._buffer, b""
        if not raw and not self.levels:
            return []
        try:
            return self._read(raw, self.levels)
        except WrongMessage as error:
            return [Refused(raw, (str(error),))]

    def set_clock(self, report: Report, now_us: int) -> None:
        """These platforms do not set clocks."""
        return


@dataclass(slots=True)
class Finding:
    """What is found of one device while a document is walked through."""

    groups: dict[int | None, list[Reading]] = field(default_factory=dict)  # by time
    problems: list[str] = field(default_factory=list)

    def take(self, time_us: int | None, one: Reading | None) -> None:
        """None: it was refused."""
        if one is not None:
            self.groups.setdefault(time_us, []).append(one)

    def report(
        self,
        station: str,
        raw: bytes,
        *,
        said: Said = Said.DATA,
        command: str = "",
        facts: dict[str, Any] | None = None,
        answer: bytes | None = None,
    ) -> Report:
        """`command`: of a report that is no data."""
        return Report(
            said=said,
            station=station,
            raw=raw,
            groups=tuple(Group(time_us, tuple(readings)) for time_us, readings in self.groups.items()),
            each_by_its_time=True,
            command=command,
            facts=facts or {},
            answer=answer,
            problems=tuple(self.problems),
        )


def parsed(payload: bytes) -> Any:
    """The document. Raises WrongMessage."""
    if len(payload) > BYTES_MAX:
        raise WrongMessage(f"payload: expected at most {BYTES_MAX} bytes")
    try:
        return _json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        why = " ".join(str(error).split())[:120]
        raise WrongMessage(f"payload: not valid JSON: {why}; it begins {begins(payload)}") from error


def reading(key: str, value: Any, prefix: str, problems: list[str]) -> Reading | None:
    """A number, bool or text under its key; None for anything else, which is named."""
    if not key or len(key) > KEY_MAX:
        problems.append(f"{prefix}{key[:40]}: expected a key of 1 to {KEY_MAX} characters")
        return None
    if isinstance(value, bool | str):
        return Reading(key, value)
    number = _finite(value)
    if number is None:
        problems.append(f"{prefix}{key}: expected a finite number, true, false or a text, got {shown(value)}")
        return None
    return Reading(key, number)


def stamp_us(value: Any, where: str, problems: list[str]) -> int | None:
    """Microseconds from milliseconds since 1970; None where there is none, or none that could be one (which is named)."""
    if value is None:
        return None
    number = _finite(value)
    if number is None or abs(number) > TS_MAX_MS or number != int(number):
        problems.append(f"{where}: expected milliseconds since 1970 as an integer, got {shown(value)}")
        return None
    return int(number) * 1000


def _finite(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
