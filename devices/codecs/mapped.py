"""Messages of platforms that put readings into JSON in their own layout, described by a table: where the readings stand, whose they
are, when they were true, and what the device wants to hear back.

A `Layout` names fields by path ("sys.ack" is `ack` in `sys`). `each` lists arrays that are gone through, one inside the other;
`child`, `prefix` and `time` are looked for in the innermost object that has them. The table itself is data of the city
(devices/mappings/*.yaml): a platform more is a file more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec

from devices.codecs.json_message import Finding, WrongMessage, parsed, reading, stamp_us
from devices.codecs.samples import shown
from devices.codecs.station import Refused, Report

ECHO_MAX = 128  # characters of a message id that an answer repeats
_ISO = re.compile(r"\d{8}T\d{6}Z|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ABSENT = object()


class Stamped(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a reading looks that is an object with a time of its own; a plain value beside it is allowed."""

    value: str
    time: str


class Layout(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Where things stand in a message. "" for a field: the platform has none.

    `form` of the time: `ms` since 1970, or `iso` ("20151212T121212Z" or "2021-08-13T10:10:10.555Z").
    """

    values: str
    each: list[str] = []
    child: str = ""
    prefix: str = ""
    time: str = ""
    form: Literal["ms", "iso"] = "ms"
    reading: Stamped | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What goes back once the message is on disk: `body` with `echo` (field of the answer: path in the message) added; nothing
    where the message has one of `unless` (path: value)."""

    body: dict[str, Any]
    echo: dict[str, str] = {}
    unless: dict[str, Any] = {}


def read(payload: bytes, layout: Layout, answer: Answer | None = None) -> list[Report | Refused]:
    """A report for each device that the message speaks of ("" is the sender). Raises WrongMessage."""
    document = parsed(payload)
    if not isinstance(document, dict):
        raise WrongMessage(f"payload: expected an object, got {shown(document)}")
    found: dict[str, Finding] = {}
    lost: list[str] = []
    for chain, path in _objects([document], layout.each, "", lost):
        child = _child(chain, layout, path, lost)
        if child is not None:
            _take(chain, layout, path, found.setdefault(child, Finding()))
    reply = _answered(document, answer) if answer is not None else None
    reports: list[Report | Refused] = []
    for child, finding in found.items():
        reports.append(finding.report(child, payload, answer=reply))
        reply = None  # one message, one answer
    return [*reports, Refused(payload, tuple(lost))] if lost else reports


def _objects(chain: list[Any], each: Sequence[str], path: str, lost: list[str]) -> Iterator[tuple[list[Any], str]]:
    """Every innermost object with those around it, outermost first, and its path."""
    if not each:
        yield chain, path
        return
    where = f"{path}.{each[0]}" if path else each[0]
    items = _at(chain[-1], each[0])
    if not isinstance(items, list) or not items:
        lost.append(f"{where}: expected a non-empty array, got {_shown(items)}")
        return
    for index, item in enumerate(items):
        if isinstance(item, dict):
            yield from _objects([*chain, item], each[1:], f"{where}[{index}]", lost)
        else:
            lost.append(f"{where}[{index}]: expected an object, got {shown(item)}")


def _child(chain: list[Any], layout: Layout, path: str, lost: list[str]) -> str | None:
    """Whose the readings are; None: the message should say it and does not."""
    if not layout.child:
        return ""
    child = _innermost(chain, layout.child)
    if isinstance(child, str) and child:
        return child
    lost.append(f"{_joined(path, layout.child)}: expected a device's name, got {_shown(child)}")
    return None


def _take(chain: list[Any], layout: Layout, path: str, found: Finding) -> None:
    values = _at(chain[-1], layout.values)
    where = _joined(path, layout.values)
    if not isinstance(values, dict) or not values:
        found.problems.append(f"{where}: expected an object of readings, got {_shown(values)}")
        return
    prefix = ""
    if layout.prefix:
        given = _innermost(chain, layout.prefix)
        if not isinstance(given, str) or not given:
            found.problems.append(f"{_joined(path, layout.prefix)}: expected a text, got {_shown(given)}")
            return
        prefix = f"{given}."
    common = (
        _time_us(_innermost(chain, layout.time), layout, _joined(path, layout.time), found) if layout.time else None
    )
    for key, value in values.items():
        time_us, name = common, f"{prefix}{key}"
        stamped = layout.reading
        if stamped is not None and isinstance(value, dict):
            time_us = _time_us(value.get(stamped.time), layout, f"{where}.{key}.{stamped.time}", found)
            value = value.get(stamped.value)
        found.take(time_us, reading(name, value, f"{where}.", found.problems))


def _time_us(value: Any, layout: Layout, where: str, found: Finding) -> int | None:
    """None where there is no time, or a wrong one (which is named): the readings are timed by their arrival."""
    if value is None or value is _ABSENT:
        return None
    if layout.form == "ms":
        return stamp_us(value, where, found.problems)
    if isinstance(value, str) and _ISO.fullmatch(value):
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            pass
        else:
            return (at - _EPOCH) // timedelta(microseconds=1)
    found.problems.append(f"{where}: expected a time like 20151212T121212Z, got {shown(value)}")
    return None


def _answered(document: dict[str, Any], answer: Answer) -> bytes | None:
    if any(_at(document, path) == value for path, value in answer.unless.items()):
        return None
    body = dict(answer.body)
    for name, path in answer.echo.items():
        value = _at(document, path)
        echoed = (isinstance(value, int) and not isinstance(value, bool)) or isinstance(value, str)
        if echoed and len(str(value)) <= ECHO_MAX:
            body[name] = value
    return msgspec.json.encode(body)


def _innermost(chain: list[Any], path: str) -> Any:
    for item in reversed(chain):
        if (value := _at(item, path)) is not _ABSENT:
            return value
    return _ABSENT


def _at(document: Any, path: str) -> Any:
    for name in path.split("."):
        if not isinstance(document, dict) or name not in document:
            return _ABSENT
        document = document[name]
    return document


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _shown(value: Any) -> str:
    return "nothing" if value is _ABSENT else shown(value)
