"""A scenario document: when it starts, what drives it, what goes wrong. Validated where it is read."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import yaml

SCENARIOS = Path(__file__).parent / "scenarios"


class UnknownScenario(ValueError):
    """Neither a file nor the name of one of ours."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(f"scenario {name!r} is unknown: expected a YAML file or one of {', '.join(known)}")
        self.name, self.known = name, known


class _Doc(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Names(_Doc, frozen=True):
    zh: str
    en: str


class TyphoonDoc(_Doc, frozen=True):
    track: str
    storm_id: str
    name: Names
    bulletin_hours: list[float]
    first_number: int
    forecast_h: float
    peak_rain_mm_per_h: float


class RiverDoc(_Doc, frozen=True):
    hydrograph: str
    record_at_start: datetime
    levels: dict[str, float]


class TideDoc(_Doc, frozen=True):
    mean_m: float
    m2_amplitude_m: float
    high_water: datetime


class LeakDoc(_Doc, frozen=True):
    tank: str
    substance: str
    property: str
    start: datetime
    growth_s: float
    rate_kg_s: float
    stop: datetime
    release_height_m: float = 1.0


class FaultDoc(_Doc, frozen=True):
    device: str
    kind: str  # wrong_clock, bad_json, dropout, backlog
    clock: datetime | None = None
    every: int = 0
    from_min: float = 0.0
    to_min: float = 0.0


class ActDoc(_Doc, frozen=True):
    act: str
    within_min: float


class Scenario(_Doc, frozen=True):
    """One night. Times are UTC; minutes and hours count from `start` in city time."""

    id: str
    title: Names
    start: datetime
    duration_h: float
    rate: float
    seed: int
    typhoon: TyphoonDoc
    river: RiverDoc
    tide: TideDoc
    leak: LeakDoc | None = None
    faults: list[FaultDoc] = []
    timeline: list[ActDoc] = []

    @property
    def start_us(self) -> int:
        return epoch_us(self.start)

    @property
    def end_us(self) -> int:
        return self.start_us + round(self.duration_h * 3.6e9)

    def fault_of(self, device_id: str) -> FaultDoc | None:
        return next((fault for fault in self.faults if fault.device == device_id), None)


def epoch_us(at: datetime) -> int:
    """Microseconds since 1970. Raises ValueError for a naive time: zones are never guessed."""
    if at.tzinfo is None:
        raise ValueError(f"naive time {at!r}: expected a zone")
    return round(at.timestamp() * 1e6)


def iso(city_us: int) -> str:
    return datetime.fromtimestamp(city_us / 1e6, tz=UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def load(name: str | Path) -> Scenario:
    """By name (`lekima-night`) or by path. Raises UnknownScenario; msgspec.ValidationError names a wrong field."""
    path = Path(name)
    if not path.is_file():
        path = SCENARIOS / f"{name}.yaml"
    if not path.is_file():
        raise UnknownScenario(str(name), sorted(p.stem for p in SCENARIOS.glob("*.yaml")))
    document: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    return msgspec.convert(document, Scenario)
