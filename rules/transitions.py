"""Alarm transitions: what the rule engine says, numbered per episode, and the condition that they add up to.

`rules` owns the condition (colour, NO_DATA overlay, latch, episode); the operator's side (acknowledged, shelved,
linked) belongs to `command_center`. An episode never reopens: a new excursion is a new episode.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Any

import msgspec

COLOURS = ("", "blue", "yellow", "orange", "red")  # index = internal rank, never shown


class Kind(StrEnum):
    RAISED = "raised"
    LEVEL_UP = "level_up"
    LEVEL_DOWN = "level_down"
    CLEARED = "cleared"
    NO_DATA_ON = "no_data_on"
    NO_DATA_OFF = "no_data_off"
    REBASED = "rebased"
    MEMBER = "member"
    LATE_EXCEEDANCE = "late_exceedance"


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What an alarm is about: a datastream, a device, a site (group of detectors) or an area."""

    kind: str  # datastream, device, site, area
    id: str
    name: str


class Input(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One observation or control record that took part in a decision."""

    position: int
    at_us: int
    datastream: int | None = None
    device_id: str = ""
    property: str = ""
    phenomenon_us: int | None = None
    value: float | None = None
    uom: str = ""
    quality: int = 1
    source: int = 1
    note: str = ""


class Explanation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which observations, which thresholds, which rule version: enough to evaluate the decision again."""

    inputs: list[Input]
    thresholds: dict[str, Any]
    threshold_source: str = ""
    registry_revision: int = 0
    on_delay_s: float = 0.0
    off_delay_s: float = 0.0
    condition_since_us: int | None = None  # t0: since when the new level held
    facts: dict[str, Any] = {}  # votes, distance, closest approach, ...


class Transition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One change of an alarm's condition.

    `(input_position, ordinal)` names the record that caused it and its place among that record's outputs; `n` counts the
    episode's transitions from 1; `(alarm_id, n)` is unique in the database. `at_us` is log time, `event_time_us` when the
    condition became true in the street (t0 + on-delay).
    """

    alarm_id: str
    n: int
    kind: Kind
    input_position: int
    ordinal: int
    at_us: int
    event_time_us: int
    rule_id: str
    rule_version: str
    hazard: str  # flood, typhoon, hazchem, wind, rain, air, device
    subject: Subject
    colour: str  # after the transition; "" = none
    colour_before: str = ""
    no_data: bool = False
    latched: bool = False
    flags: list[str] = []  # 待核实, 时钟异常, 迟到, ...
    device_ids: list[str] = []
    area: str = ""
    lon: float | None = None
    lat: float | None = None
    value: float | None = None
    uom: str = ""
    title_zh: str = ""
    title_en: str = ""
    detail_zh: str = ""
    detail_en: str = ""
    propose_incident: str = ""  # hazard of the incident that the rule proposes; "" = by colour alone
    explanation: Explanation

    @property
    def key(self) -> str:
        """Idempotency key of the append."""
        return f"t:{self.input_position}:{self.ordinal}"

    @property
    def rises(self) -> bool:
        """Worse than before: raised, a level up, or thresholds that put the present value into a higher level."""
        return self.kind is not Kind.LATE_EXCEEDANCE and rank(self.colour) > rank(self.colour_before)


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """The condition side of one alarm episode: a fold of its transitions."""

    alarm_id: str
    n: int
    firing: bool
    colour: str
    peak_colour: str
    no_data: bool
    latched: bool
    raised_us: int
    event_time_us: int
    changed_us: int
    cleared_us: int | None
    last: Transition


def episode_id(rule_id: str, subject_id: str, event_time_us: int, at_us: int) -> str:
    """16 hex characters, the same in every replay of the same frames."""
    text = f"{rule_id}|{subject_id}|{event_time_us}|{at_us}"
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def rank(colour: str) -> int:
    """Internal order of the warning colours. Raises ValueError for a word that is not a colour."""
    return COLOURS.index(colour)


def fold(condition: Condition | None, transition: Transition) -> Condition:
    """The condition after a transition. A transition that was applied already (n not higher) changes nothing."""
    if condition is not None and transition.n <= condition.n:
        return condition
    # 迟到超限 is news about the past: it never fires
    cleared = transition.kind in (Kind.CLEARED, Kind.LATE_EXCEEDANCE)
    before = condition.peak_colour if condition else ""
    return Condition(
        alarm_id=transition.alarm_id,
        n=transition.n,
        firing=not cleared,
        colour=transition.colour,
        peak_colour=max(before, transition.colour, key=rank),
        no_data=transition.no_data,
        latched=transition.latched,
        raised_us=condition.raised_us if condition else transition.at_us,
        event_time_us=condition.event_time_us if condition else transition.event_time_us,
        changed_us=transition.at_us,
        cleared_us=transition.at_us if cleared else None,
        last=transition,
    )


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Transition)


def encode(transition: Transition) -> bytes:
    return _encoder.encode(transition)


def decode(body: bytes) -> Transition:
    return _decoder.decode(body)
