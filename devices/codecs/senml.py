"""SenML (RFC 8428) in JSON and CBOR: records with base fields, resolved.

A record's name is its base name and its own name together. Here the base name tells whose the record is ("" where there is
none: the sender's own), and the own name is the reading's, so that one pack of a gateway may speak for many devices:
`[{"bn": "urn:dev:mac:0024befffe804ff1:", "n": "level", "u": "m", "v": 5.31}]`.

Base fields hold until a later record replaces them; a base value is added to a value. A time below 2^28 seconds is relative to
now, which this module does not know: such a group says how far it lies from the receipt (`Group.offset_us`). A field that ends
in "_" must be understood (RFC 8428 section 4.4), so a pack that has one is refused whole. `s` (sum) becomes a reading `NAME.sum`.

What is refused: no array, more than `RECORDS_MAX` records, a version above 10, a wrong type. Of a good pack a single record that
holds nothing or data (`vd`) is named and left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import cbor2
import msgspec

from devices.codecs.station import Group, Reading, Refused, Report, Said, begins

VERSION = 10
RELATIVE_BELOW_S = 2**28
RECORDS_MAX = 10_000
BYTES_MAX = 256 * 1024  # what the broker lets through
NAME_MAX = 256
TIME_MAX_S = 2**53 / 1e6
LABELS: Mapping[int, str] = {
    -1: "bver",
    -2: "bn",
    -3: "bt",
    -4: "bu",
    -5: "bv",
    -6: "bs",
    0: "n",
    1: "u",
    2: "v",
    3: "vs",
    4: "vb",
    5: "s",
    6: "t",
    7: "ut",
    8: "vd",
}
_NUMBERS = ("bt", "bv", "bs", "v", "s", "t", "ut")
_TEXTS = ("bn", "bu", "n", "u", "vs")
_BASES = ("bn", "bt", "bu", "bv", "bs")

_json = msgspec.json.Decoder()


class WrongPack(ValueError):
    """A pack that cannot be read; the text names the record, what was expected and what came."""


class SenmlDecoder:
    """One message: bytes are gathered until `finish`. `cbor`: the binary form."""

    waiting = False  # a pack is whole

    def __init__(self, *, cbor: bool = False) -> None:
        self.name = "senml-cbor" if cbor else "senml"
        self._cbor = cbor
        self._buffer = b""

    def feed(self, data: bytes) -> list[Report | Refused]:
        """Nothing yet: a pack has no end of its own."""
        self._buffer = (self._buffer + data)[: BYTES_MAX + 1]
        return []

    def finish(self) -> list[Report | Refused]:
        """A report for each base name of the pack."""
        raw, self._buffer = self._buffer, b""
        if not raw:
            return []
        try:
            records = _records(_parsed(raw, cbor=self._cbor))
        except WrongPack as error:
            return [Refused(raw, (str(error),))]
        return list(_reports(records, raw))

    def set_clock(self, report: Report, now_us: int) -> None:
        """SenML goes one way."""
        return


def _parsed(raw: bytes, *, cbor: bool) -> Any:
    if len(raw) > BYTES_MAX:
        raise WrongPack(f"pack: expected at most {BYTES_MAX} bytes")
    try:
        return cbor2.loads(raw) if cbor else _json.decode(raw)
    except (
        msgspec.DecodeError,
        cbor2.CBORError,
        UnicodeDecodeError,
        RecursionError,
        ValueError,
        OverflowError,
        TypeError,
    ) as error:
        form = "CBOR" if cbor else "JSON"
        why = " ".join(str(error).split())[:120]
        raise WrongPack(f"pack: not valid {form}: {why}; it begins {begins(raw)}") from error


def _records(document: Any) -> list[dict[str, Any]]:
    """Every record with the labels of the JSON form and checked types. Raises WrongPack."""
    if not isinstance(document, list) or not document:
        raise WrongPack(f"pack: expected a non-empty array of records, got {type(document).__name__}")
    if len(document) > RECORDS_MAX:
        raise WrongPack(f"pack: expected at most {RECORDS_MAX} records, got {len(document)}")
    return [_record(item, f"[{index}]") for index, item in enumerate(document)]


def _record(item: Any, where: str) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise WrongPack(f"{where}: expected a record, got {type(item).__name__}")
    record: dict[str, Any] = {}
    for key, value in item.items():
        label = LABELS.get(key) if isinstance(key, int) and not isinstance(key, bool) else key
        if not isinstance(label, str):
            continue  # an extension that need not be understood
        if label.endswith("_"):
            raise WrongPack(f"{where}.{label[:40]}: must be understood and is not known here")
        record[label] = value
    for label in _NUMBERS:
        if label in record and not _is_number(record[label]):
            raise WrongPack(f"{where}.{label}: expected a finite number, got {_shown(record[label])}")
    for label in _TEXTS:
        if label in record and not (isinstance(record[label], str) and len(record[label]) <= NAME_MAX):
            raise WrongPack(
                f"{where}.{label}: expected a text of at most {NAME_MAX} characters, got {_shown(record[label])}"
            )
    if "vb" in record and not isinstance(record["vb"], bool):
        raise WrongPack(f"{where}.vb: expected true or false, got {_shown(record['vb'])}")
    version = record.get("bver", VERSION)
    if not isinstance(version, int) or isinstance(version, bool) or not 0 < version <= VERSION:
        raise WrongPack(f"{where}.bver: expected a version up to {VERSION}, got {_shown(version)}")
    return record


def _reports(records: list[dict[str, Any]], raw: bytes) -> list[Report]:
    base: dict[str, Any] = {}
    groups: dict[str, dict[tuple[int | None, int], list[Reading]]] = {}
    problems: dict[str, list[str]] = {}
    for index, record in enumerate(records):
        base |= {label: record[label] for label in _BASES if label in record}
        station = str(base.get("bn", ""))
        readings = _readings(record, base)
        if isinstance(readings, str):
            problems.setdefault(station, []).append(f"[{index}]: {readings}")
            groups.setdefault(station, {})
            continue
        groups.setdefault(station, {}).setdefault(_time(record, base), []).extend(readings)
    return [
        Report(
            said=Said.DATA,
            station=station,
            raw=raw,
            groups=tuple(
                Group(time_us, tuple(readings), offset_us=offset_us)
                for (time_us, offset_us), readings in by_time.items()
                if readings
            ),
            problems=tuple(problems.get(station, ())),
        )
        for station, by_time in groups.items()
    ]


def _readings(record: Mapping[str, Any], base: Mapping[str, Any]) -> list[Reading] | str:
    """What a record says, or why it says nothing; a record of base fields alone says nothing and is right."""
    name, unit = str(record.get("n", "")), str(record.get("u", base.get("bu", "")))
    held = [label for label in ("v", "vs", "vb", "vd") if label in record]
    if len(held) > 1:
        return f"expected one of v, vs, vb, vd, got {', '.join(held)}"
    readings: list[Reading] = []
    if held == ["vd"]:
        return "vd: data are not stored here"
    if held == ["vs"]:
        readings.append(Reading(name, str(record["vs"]), unit=unit))
    elif held == ["vb"]:
        readings.append(Reading(name, float(record["vb"]), unit=unit))
    elif held == ["v"] or ("bv" in base and "n" in record and "s" not in record):
        readings.append(Reading(name, float(record.get("v", 0)) + float(base.get("bv", 0)), unit=unit))
    if "s" in record:
        readings.append(Reading(f"{name}.sum", float(record["s"]) + float(base.get("bs", 0)), unit=unit))
    if not readings and any(label not in (*_BASES, "bver") for label in record):
        return f"{name or 'record'}: expected v, vs, vb or s"
    if readings and not name and not base.get("bn"):
        return "expected a name (n, or bn)"
    return readings


def _time(record: Mapping[str, Any], base: Mapping[str, Any]) -> tuple[int | None, int]:
    """(time in microseconds, 0), or (None, microseconds from now) where it is relative."""
    seconds = float(base.get("bt", 0)) + float(record.get("t", 0))
    if abs(seconds) > TIME_MAX_S:
        return None, 0
    us = round(seconds * 1e6)
    return (None, us) if seconds < RELATIVE_BELOW_S else (us, 0)


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _shown(value: object) -> str:
    return f"{type(value).__name__} {str(value)[:40]!r}"
