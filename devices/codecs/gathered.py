"""What the readers of pushed messages have in common: one message speaks of several devices, in data and in notices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from devices.codecs.json_message import Finding
from devices.codecs.samples import shown
from devices.codecs.station import Refused, Report, Said

TEXT_MAX = 200  # characters of a field that a notice repeats
NAME_DIGITS = 64


@dataclass(slots=True)
class Gathered:
    """The readings of each device, what else was said of it, and what could not be read."""

    found: dict[str, Finding] = field(default_factory=dict)
    notices: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)  # device, what about, its fields
    lost: list[str] = field(default_factory=list)

    def of(self, child: str) -> Finding:
        return self.found.setdefault(child, Finding())

    def notice(self, child: str, command: str, item: Mapping[str, Any]) -> None:
        """Something that is kept and is no reading: its plain fields."""
        self.notices.append((child, command, dict(_plain_fields(item))))

    def pieces(self, payload: bytes) -> list[Report | Refused]:
        """A report for each device and notice, and one refusal of what was lost."""
        pieces: list[Report | Refused] = [finding.report(child, payload) for child, finding in self.found.items()]
        pieces += [
            Report(said=Said.NOTICE, station=child, raw=payload, command=command, facts=facts)
            for child, command, facts in self.notices
        ]
        return [*pieces, Refused(payload, tuple(self.lost))] if self.lost else pieces


def device_name(value: Any, where: str, lost: list[str]) -> str | None:
    """A device's name at its platform, which may be a number there; None where there is none, which is named."""
    if isinstance(value, str) and value:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**NAME_DIGITS:
        return str(value)
    lost.append(f"{where}: expected a device's name, got {shown(value)}")
    return None


def _plain_fields(item: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Integers of more than 64 bits are left out: what reads the notice later may not take them."""
    for key, value in item.items():
        if isinstance(value, str):
            yield key[:TEXT_MAX], value[:TEXT_MAX]
        elif isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 2**63):
            yield key[:TEXT_MAX], value
