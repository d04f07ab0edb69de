"""Rule documents: what a rule watches, its default thresholds and its texts, as data with source and version.

A document is immutable; its version is the hash of its content. A file does not activate itself: activation is a
`rules` control record that carries the document, so that a replay evaluates what was in force then.
"""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import yaml

from rules.transitions import COLOURS

SHIPPED = Path(__file__).parent / "documents"
TEMPLATES = ("level", "gas", "event", "typhoon", "absence")
HAZARDS = ("flood", "typhoon", "hazchem", "fire", "wind", "rain", "air", "device")
ALARM_COLOURS = COLOURS[1:]
# What a text may name in braces. A misspelt name would otherwise be found at the moment of the alarm.
TEXT_NAMES = frozenset(
    [
        "subject",
        "device",
        "property",
        "value",
        "uom",
        "colour",
        "threshold",
        "since",
        "count",
        "devices",
        "substance",
        "confidence",
        "depth",
        "storm",
        "issuer",
        "number",
        "distance",
        "nearest_time",
        "arrival",
    ]
)


class Text(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text in both languages, with names in braces (TEXT_NAMES)."""

    zh: str
    en: str


class Select(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which series a rule watches: a property, of these device kinds (all kinds if empty)."""

    property: str
    kinds: list[str] = []


class Level(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Defaults of a `level` rule; a device's own thresholds for the property replace them as a whole.

    `on` and `off` by colour in the property's uom; without `on` only devices with thresholds of their own are watched.
    """

    on: dict[str, float] = {}
    off: dict[str, float] = {}
    direction: str = "rise"
    on_delay_s: float = 0.0
    off_delay_s: float = 1800.0
    max_gap_intervals: float = 3.0
    no_data_after_intervals: float = 3.0
    late_allowed_s: float = 300.0


class Substance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """First and second detector alarm in the property's uom; `deadband` below a threshold the alarm contact opens."""

    zh: str
    en: str
    first: float
    second: float
    deadband: float


class Gas(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    substances: dict[str, Substance]  # by property key
    first: str = "yellow"  # colour of 一级 of one detector
    second: str = "orange"  # colour of 二级 of one detector
    corroborate_within_s: float = 60.0
    off_delay_s: float = 600.0
    no_data_after_intervals: float = 3.0
    late_allowed_s: float = 300.0


class Confidence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    colour: str
    min_confidence: float = 0.0
    min_depth_m: float | None = None  # when given, this depth is enough whatever the confidence


class CameraEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    raised_by: str
    cleared_by: str
    levels: list[Confidence]
    kinds: list[str] = msgspec.field(default_factory=lambda: ["camera"])
    off_delay_s: float = 300.0
    no_data_after_intervals: float = 3.0


class Ring(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    colour: str
    within_km: float
    within_h: float


class Typhoon(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    rings: list[Ring]
    # A level is kept until the storm is outside the ring by this factor: bulletins move by tens of km.
    release_factor: float = 1.2
    persistence_h: float = 24.0  # a track without forecast is carried on along its last 12 h
    area_digits: int = 6  # devices are grouped by this many digits of their area code; their centre is the point
    area_names: dict[str, Text] = {}


class Absence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    colour: str = "blue"
    after_intervals: float = 3.0
    grace_s: float = 1800.0  # after registration or activation, before a device that was never heard of counts
    except_kinds: list[str] = msgspec.field(default_factory=lambda: ["canary"])
    storm_devices: int = 20  # more silent devices than this and than the share: one alarm for all of them
    storm_share: float = 0.3


class Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule. Exactly the section named by `template` is given."""

    id: str
    template: str
    hazard: str
    source: str
    title: Text
    detail: Text
    jurisdiction: str = "CN"
    propose_incident: str = ""
    select: Select | None = None
    level: Level | None = None
    gas: Gas | None = None
    event: CameraEvent | None = None
    typhoon: Typhoon | None = None
    absence: Absence | None = None

    @property
    def version(self) -> str:
        return version_of(msgspec.to_builtins(self))


class DocumentWrong(ValueError):
    """A rule document that cannot be used. Names the file, the line where known, and the reason."""

    def __init__(self, where: str, line: int | None, reason: str) -> None:
        super().__init__(f"{where}:{line}: {reason}" if line else f"{where}: {reason}")
        self.where, self.line, self.reason = where, line, reason


class _Loader(yaml.SafeLoader):
    """YAML 1.2 booleans only: in YAML 1.1 the keys `on` and `off` of a threshold table would be true and false."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))


def version_of(document: Mapping[str, Any]) -> str:
    """Content hash of a document as builtins, with every default written out: 12 hex characters."""
    canonical = msgspec.json.encode(document, order="sorted")
    return hashlib.blake2b(canonical, digest_size=6).hexdigest()


def parse(data: Any, where: str = "document") -> Document:
    """Validate a document as builtins. Raises DocumentWrong."""
    try:
        document = msgspec.convert(data, Document)
        _validate(document)
    except (msgspec.ValidationError, ValueError) as error:
        raise DocumentWrong(where, None, str(error)) from error
    return document


def read(path: Path) -> Document:
    """Read and validate one YAML file. Raises DocumentWrong with the line of what is wrong where it can be found."""
    text = path.read_text(encoding="utf-8")
    try:
        data = yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise DocumentWrong(str(path), line, error.problem or "not YAML") from error
    try:
        return parse(data, str(path))
    except DocumentWrong as error:
        raise DocumentWrong(str(path), _line_of(text, error.reason), error.reason) from error


def shipped() -> list[Document]:
    """The documents that come with the system, by id. They act only once a `rules` control activates them."""
    return sorted((read(path) for path in SHIPPED.glob("*.yaml")), key=lambda document: document.id)


def activation(documents: Iterable[Document], *, author: str, approver: str, source: str) -> dict[str, Any]:
    """The `data` of a `rules` control record that activates these documents. Author and approver must differ."""
    if not author or not approver or author == approver:
        raise ValueError(f"activation needs an author and another person as approver, got {author!r} and {approver!r}")
    activate = [
        {
            "rule_id": document.id,
            "version": document.version,
            "document": msgspec.to_builtins(document),
            "author": author,
            "approver": approver,
            "source": source,
        }
        for document in documents
    ]
    return {"activate": activate, "retire": []}


def level_table(on: Mapping[str, float], off: Mapping[str, float], direction: str) -> None:
    """Check a table of thresholds: known colours, both sides given, ordered, with a deadband. Raises ValueError.

    For `rise`: on[blue] < on[yellow] < ..., off below on and not falling with the level; for `fall` mirrored.
    """
    if direction not in ("rise", "fall"):
        raise ValueError(f"direction: must be rise or fall, got {direction!r}")
    sign = 1.0 if direction == "rise" else -1.0
    for side, table in (("on", on), ("off", off)):
        for colour in table:
            if colour not in ALARM_COLOURS:
                raise ValueError(f"{side}: {colour!r} is not one of {', '.join(ALARM_COLOURS)}")
    if set(on) != set(off):
        raise ValueError(f"on and off must name the same colours, got {sorted(on)} and {sorted(off)}")
    used = [colour for colour in ALARM_COLOURS if colour in on]
    for colour in used:
        # NaN fails the comparison, and infinity is no threshold
        if not (abs(on[colour]) < float("inf") and sign * off[colour] < sign * on[colour]):
            raise ValueError(f"{colour}: off {off[colour]} must be on the safe side of on {on[colour]} ({direction})")
    for lower, upper in pairwise(used):
        if not sign * on[lower] < sign * on[upper]:
            raise ValueError(f"on: {lower} {on[lower]} and {upper} {on[upper]} are not in order ({direction})")
        if not sign * off[lower] <= sign * off[upper]:
            raise ValueError(f"off: {lower} {off[lower]} and {upper} {off[upper]} are not in order ({direction})")


def _validate(document: Document) -> None:
    if document.template not in TEMPLATES:
        raise ValueError(f"template: {document.template!r} is not one of {', '.join(TEMPLATES)}")
    if document.hazard not in HAZARDS:
        raise ValueError(f"hazard: {document.hazard!r} is not one of {', '.join(HAZARDS)}")
    if not document.source:
        raise ValueError("source: a rule names where its criterion comes from")
    for name in TEMPLATES:
        if (getattr(document, name) is not None) != (name == document.template):
            raise ValueError(
                f"{name}: a document of template {document.template} has just the section {document.template}"
            )
    for text in (document.title.zh, document.title.en, document.detail.zh, document.detail.en):
        _check_text(text)
    if document.level is not None:
        if document.select is None:
            raise ValueError("select: a level rule names the property that it watches")
        level_table(document.level.on, document.level.off, document.level.direction)
        _not_negative(document.level, "on_delay_s", "off_delay_s")
        _positive(document.level, "max_gap_intervals", "no_data_after_intervals")
    if document.gas is not None:
        _check_gas(document.gas)
    if document.event is not None:
        if not document.event.levels:
            raise ValueError("levels: an event rule needs at least one colour")
        _colours(level.colour for level in document.event.levels)
        _not_negative(document.event, "off_delay_s")
    if document.typhoon is not None:
        if not document.typhoon.rings:
            raise ValueError("rings: a typhoon rule needs at least one ring")
        _colours(ring.colour for ring in document.typhoon.rings)
        if document.typhoon.release_factor < 1.0:
            raise ValueError("release_factor: must be at least 1")
    if document.absence is not None:
        _colours([document.absence.colour])
        _positive(document.absence, "after_intervals")


def _check_gas(gas: Gas) -> None:
    _colours([gas.first, gas.second])
    if COLOURS.index(gas.first) > COLOURS.index(gas.second):
        raise ValueError(f"second: {gas.second} must not be below first {gas.first}")
    _not_negative(gas, "off_delay_s", "corroborate_within_s")
    for key, substance in gas.substances.items():
        if not (0 < substance.deadband < substance.first < substance.second):
            raise ValueError(f"{key}: must hold 0 < deadband < first < second")


def _check_text(text: str) -> None:
    for _, name, _, _ in string.Formatter().parse(text):
        if name is not None and name not in TEXT_NAMES:
            raise ValueError(f"{name}: text names {{{name}}}, known names are {', '.join(sorted(TEXT_NAMES))}")


def _colours(colours: Iterable[str]) -> None:
    for colour in colours:
        if colour not in ALARM_COLOURS:
            raise ValueError(f"colour: {colour!r} is not one of {', '.join(ALARM_COLOURS)}")


def _not_negative(section: msgspec.Struct, *names: str) -> None:
    for name in names:
        if not getattr(section, name) >= 0:
            raise ValueError(f"{name}: must be 0 or more, got {getattr(section, name)}")


def _positive(section: msgspec.Struct, *names: str) -> None:
    for name in names:
        if not getattr(section, name) > 0:
            raise ValueError(f"{name}: must be more than 0, got {getattr(section, name)}")


def _line_of(text: str, reason: str) -> int | None:
    """The line of the key that a reason speaks of: its first word, or the last key of msgspec's path (`$.a.b`)."""
    words = [reason.split(":")[0].strip()]
    if "`$." in reason:
        words = [reason.rsplit("`$.", 1)[1].split("`")[0].split(".")[-1].split("[")[0]]
    elif "unknown field `" in reason:
        words = [reason.rsplit("unknown field `", 1)[1].split("`")[0]]
    for number, line in enumerate(text.splitlines(), start=1):
        for word in words:
            if line.strip().removeprefix("- ").startswith(f"{word}:"):
                return number
    return None
