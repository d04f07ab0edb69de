"""What a payload comes to, whatever it was written in: samples of a device, under the city's own property keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

SHOWN = 60  # characters of a wrong value that a reason repeats


class Sample(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One reading of one device; `path` says where it stood in the payload ("" for a single object).

    `over`: keys of which the device says that the true value lies beyond its range. `crc_alternative`: see `station.Report`.
    """

    device_id: str
    values: Mapping[str, Any]
    ts_us: int | None = None
    seq: int | None = None
    q: Mapping[str, int] = msgspec.field(default_factory=dict)
    backfill: bool = False
    path: str = ""
    over: frozenset[str] = frozenset()
    crc_alternative: bool = False


@dataclass(slots=True)
class Decoded:
    """What could be read of a payload, and what could not."""

    samples: list[Sample] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def shown(value: object) -> str:
    """A value as a reason names it: its JSON type and its beginning."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"bool {str(value).lower()}"
    if isinstance(value, int | float):
        return f"number {value}"
    if isinstance(value, str):
        return f"string {value[:SHOWN]!r}" + ("..." if len(value) > SHOWN else "")
    return "array" if isinstance(value, list) else "object"
