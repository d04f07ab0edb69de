"""What one step of the engine knows and collects: log time, registry, and the transitions in their final order."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from devices.registry import Device, Registry
from rules.documents import TEXT_NAMES, Document
from rules.presence import Presence
from rules.transitions import COLOURS, Explanation, Input, Kind, Subject, Transition, episode_id
from stream.records import RETOLD, ControlBody, EventBody, ObsBatch, Source

SECOND_US = 1_000_000
NEVER = 2**62  # a deadline that is not set; far above any city time, and sums with it stay inside int64
CHINA = timedelta(hours=8)
COLOUR_ZH = ("", "蓝色", "黄色", "橙色", "红色")
TO_VERIFY, CLOCK_FAULT, LATE = "待核实", "时钟异常", "迟到"
RESET, GONE, RETIRED = "人工复位", "设备停用", "规则停用"
NOT_BY_DATA = frozenset({RESET, GONE, RETIRED})  # an alarm that cleared so: nobody has measured that the danger is over
# Rows that tell the past: they complete history and never count as live evidence.
HISTORY = int(Source.BACKFILL) | RETOLD
OUT_OF_RANGE = int(Source.OVER_RANGE | Source.UNDER_RANGE)


@dataclass(slots=True, kw_only=True)
class Episode:
    """One alarm from raised to cleared; `level` is the rank of its colour."""

    alarm_id: str
    n: int
    level: int
    raised_us: int
    no_data: bool = False
    latched: bool = False


def episode_data(episode: Episode) -> list[Any]:
    return [episode.alarm_id, episode.n, episode.level, episode.raised_us, episode.no_data, episode.latched]


def episode_from(data: Sequence[Any]) -> Episode:
    alarm_id, n, level, raised_us, no_data, latched = data
    return Episode(alarm_id=alarm_id, n=n, level=level, raised_us=raised_us, no_data=no_data, latched=latched)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    device_ids: list[str]
    area: str = ""
    lon: float | None = None
    lat: float | None = None

    @classmethod
    def of(cls, device: Device) -> Place:
        return cls(device_ids=[device.device_id], area=device.area, lon=device.lon, lat=device.lat)


@dataclass(slots=True, kw_only=True)
class Step:
    """One input record being evaluated. `order` of an emit is (phase, key): timers by due time, then rows by number."""

    position: int
    at_us: int
    registry: Registry
    presence: Presence
    touched: tuple[str, ...] | None = None  # devices that a `configure` is about; None: all
    rule: Document | None = None
    version: str = ""
    evaluations: int = 0
    heard: npt.NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))  # device row per input row, -1
    late_ids: set[str] = field(default_factory=set)  # 迟到超限 told at this log time: a row sent twice is told once
    out: list[tuple[tuple[int, int, str, int], Transition]] = field(default_factory=list)

    def emit(
        self,
        order: tuple[int, int],
        *,
        kind: Kind,
        episode: Episode,
        colour_before: int,
        event_time_us: int,
        subject: Subject,
        place: Place,
        explanation: Explanation,
        texts: Mapping[str, str],
        value: float | None = None,
        uom: str = "",
        flags: Sequence[str] = (),
        propose_incident: str = "",
    ) -> None:
        """Add one transition of the rule in hand. `episode` is its state after the change, `n` included."""
        rule = self.rule
        if rule is None:
            raise RuntimeError("a transition outside a rule")
        if kind == Kind.LATE_EXCEEDANCE:
            if episode.alarm_id in self.late_ids:
                return
            self.late_ids.add(episode.alarm_id)
        colour = COLOURS[episode.level]
        # An alarm that clears says which colour it had
        shown = episode.level or colour_before
        names_zh = {**_BLANK, **texts, "colour": COLOUR_ZH[shown]}
        names_en = {**_BLANK, **texts, "colour": COLOURS[shown]}
        names_zh.update({name[:-3]: text for name, text in texts.items() if name.endswith("_zh")})
        names_en.update({name[:-3]: text for name, text in texts.items() if name.endswith("_en")})
        transition = Transition(
            alarm_id=episode.alarm_id,
            n=episode.n,
            kind=kind,
            input_position=self.position,
            ordinal=0,
            at_us=self.at_us,
            event_time_us=event_time_us,
            rule_id=rule.id,
            rule_version=self.version,
            hazard=rule.hazard,
            subject=subject,
            colour=colour,
            colour_before=COLOURS[colour_before],
            no_data=episode.no_data,
            latched=episode.latched,
            flags=list(flags),
            device_ids=place.device_ids,
            area=place.area,
            lon=place.lon,
            lat=place.lat,
            value=value if value is None or math.isfinite(value) else None,
            uom=uom,
            title_zh=rule.title.zh.format_map(names_zh),
            title_en=rule.title.en.format_map(names_en),
            detail_zh=rule.detail.zh.format_map(names_zh),
            detail_en=rule.detail.en.format_map(names_en),
            propose_incident=propose_incident if kind in _PROPOSING else "",
            explanation=explanation,
        )
        self.out.append(((*order, rule.id, len(self.out)), transition))

    def new_episode(self, subject_id: str, event_time_us: int, level: int) -> Episode:
        identifier = episode_id(self.rule.id if self.rule else "", subject_id, event_time_us, self.at_us)
        return Episode(alarm_id=identifier, n=1, level=level, raised_us=self.at_us)


# Only what gets worse proposes an incident; the way down must not open one.
_PROPOSING = (Kind.RAISED, Kind.LEVEL_UP, Kind.MEMBER, Kind.REBASED)
_BLANK = dict.fromkeys(TEXT_NAMES, "")


class Evaluator(Protocol):
    """One active rule. Every method may emit; none reads a clock."""

    problems: dict[str, str]  # device/property -> why its own thresholds were refused

    def configure(self, step: Step) -> None:
        """Registry or document changed: state stays, what changed is evaluated again from the last value.

        `step.touched` names the devices that the registry change is about: with 100,000 of them, looking at all for each
        device that is registered would hold every alarm of the city up for seconds.
        """
        ...

    def advance(self, step: Step) -> None:
        """Log time is now `step.at_us`: fire what is due."""
        ...

    def observe(self, step: Step, rows: Rows) -> None: ...
    def event(self, step: Step, body: EventBody) -> None: ...
    def control(self, step: Step, body: ControlBody) -> None: ...
    def resume(self, from_us: int, to_us: int) -> None:
        """Our own downtime: move every timer by it, and give every device one interval of grace."""
        ...

    def next_due(self) -> int:
        """A lower bound of the next log time at which `advance` has something to do."""
        ...

    def adopt(self, document: Document) -> None:
        """A new version of the same rule and template: state stays."""
        ...

    def retire(self, step: Step, flag: str) -> None:
        """The rule ends: close its open alarms with this flag."""
        ...

    def dump(self) -> dict[str, Any]: ...
    def load(self, data: dict[str, Any]) -> None: ...


class Rows:
    """NumPy columns of one observation record; `numeric` rows carry a finite or out-of-range number."""

    __slots__ = ("datastream", "phenomenon_us", "quality", "result", "source")

    def __init__(self, batch: ObsBatch) -> None:
        self.datastream = batch.numpy("datastream")
        self.phenomenon_us = batch.numpy("phenomenon_us")
        self.result = batch.numpy("result")
        self.quality = batch.numpy("quality")
        self.source = batch.numpy("source")


def seconds_us(seconds: float) -> int:
    return round(seconds * SECOND_US)


def flags_of(quality: int, source: int, *, late: bool = False) -> list[str]:
    """What an alarm says about the sample behind it. A flag informs; it never suppresses."""
    flags = []
    if quality in (3, 4) or source & OUT_OF_RANGE:
        flags.append(TO_VERIFY)
    if source & Source.CLOCK_FAULT:
        flags.append(CLOCK_FAULT)
    if late or source & (Source.LATE | HISTORY):
        flags.append(LATE)
    return flags


def clock_text(time_us: int) -> str:
    """City time as people read it in China: MM-DD HH:MM:SS, UTC+8."""
    return (datetime.fromtimestamp(0, UTC) + timedelta(microseconds=time_us) + CHINA).strftime("%m-%d %H:%M:%S")


def number_text(value: float | None) -> str:
    """A number for a text: two decimals at most, no trailing zeros; a value beyond full scale says so."""
    if value is None or math.isnan(value):
        return "-"
    if math.isinf(value):
        return "超量程" if value > 0 else "低于量程"
    return f"{value:.2f}".rstrip("0").rstrip(".")


def to_input(
    registry: Registry, datastream: int, sample: tuple[int, int, int, float, int, int], note: str = ""
) -> Input:
    """An `Input` of (position, at_us, phenomenon_us, value, quality, source). A non-finite value stands in the note."""
    position, at_us, phenomenon_us, value, quality, source = sample
    stream = registry.datastreams.get(datastream)
    finite = math.isfinite(value)
    return Input(
        position=position,
        at_us=at_us,
        datastream=datastream,
        device_id=stream.device_id if stream else "",
        property=stream.property if stream else "",
        phenomenon_us=phenomenon_us,
        value=value if finite else None,
        uom=stream.uom if stream else "",
        quality=quality,
        source=source,
        note=note if finite else f"{note} {number_text(value)}".strip(),
    )
