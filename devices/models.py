"""Device models: what a kind of device measures and reports, and how patient we are with it. Data, not code.

A model is a YAML document in `devices/models/`; adding one is adding a file. Everything that differs between makes
(ranges, intervals, tolerances) stands there and nowhere else.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec
import yaml

from devices.properties import UOMS, ObservedProperty, QualitySpec
from devices.registry import Device
from devices.stations import FAMILIES, CodecMap

_KEY = re.compile(r"[a-z][a-z0-9_]{0,62}")
_MODEL_ID = re.compile(r"[a-z][a-z0-9-]{0,62}")


class DeviceModelWrong(ValueError):
    """A model document that cannot be used; names the file and every wrong field."""

    def __init__(self, file: str, problems: list[str]) -> None:
        super().__init__(f"{file}: " + "; ".join(problems))
        self.file = file
        self.problems = problems


class EventType(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event that a device of this model reports by itself. `values` are property-like numbers that may come with it."""

    type: str
    name_zh: str
    name_en: str
    values: dict[str, str] = {}  # key -> uom
    confidence: bool = False  # the event carries a confidence 0..1


class DeviceModel(msgspec.Struct, frozen=True, kw_only=True):
    """One model. Times are in seconds; `max_gap` and `no_data_after` count reporting intervals (contract.md section 2)."""

    model_id: str
    kind: str
    name_zh: str
    name_en: str
    interval_s: float
    properties: dict[str, ObservedProperty]
    events: dict[str, EventType] = {}
    clock_tolerance_s: float = 300.0  # a live stamp further from our clock than this is a clock fault
    live_window_s: float = 900.0  # older than this is history, not the present
    late_allowed_s: float = 300.0  # how long rules wait for stragglers
    max_gap: float = 3.0  # a longer silence breaks a duration condition
    no_data_after: float = 3.0  # then the overlay NO_DATA
    gateway: bool = False  # whether it may speak for devices that are bound to it
    codecs: dict[str, CodecMap] = {}  # by station protocol: what its values are called here
    source: str = ""

    def properties_of(self, device: Device) -> list[ObservedProperty]:
        """What this very device measures: the series it gets.

        `attributes.properties` lists them where the register says so. Else every property that is not optional, and of
        the optional ones those that have thresholds; where none has, all of them. (A river gauge has no `depth_m`, a
        chlorine detector no `nh3_mg_m3`: a series that can never speak would be silent for ever.)
        """
        listed = device.attributes.get("properties")
        if listed is not None:
            return [self.properties[key] for key in listed]
        optional = [p for p in self.properties.values() if p.optional]
        used = [p for p in optional if p.key in device.thresholds] or optional
        return [p for p in self.properties.values() if not p.optional or p in used]

    def interval_of(self, device: Device) -> float:
        """Seconds between two reports of this device."""
        return self.interval_s if device.interval_s is None else device.interval_s


class _Name(msgspec.Struct, forbid_unknown_fields=True):
    zh: str
    en: str


class _Property(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    uom: str
    name: _Name
    kind: str = "number"
    range: tuple[float, float] | None = None
    description: str = ""
    optional: bool = False
    quality: QualitySpec | None = None


class _Event(msgspec.Struct, forbid_unknown_fields=True):
    type: str
    name: _Name
    values: dict[str, str] = {}
    confidence: bool = False


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    model: str
    kind: str
    name: _Name
    interval_s: float
    source: str
    properties: list[_Property]
    events: list[_Event] = []
    clock_tolerance_s: float = 300.0
    live_window_s: float = 900.0
    late_allowed_s: float = 300.0
    max_gap: float = 3.0
    no_data_after: float = 3.0
    gateway: bool = False
    codecs: dict[str, CodecMap] = {}


def parse_model(text: str, *, file: str = "<text>") -> DeviceModel:
    """A model from its YAML document. Raises DeviceModelWrong with every problem that was found."""
    try:
        document = msgspec.convert(yaml.safe_load(text), _Document)
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        raise DeviceModelWrong(file, [str(error)]) from error
    problems = list(_problems(document))
    if problems:
        raise DeviceModelWrong(file, problems)
    return DeviceModel(
        model_id=document.model,
        kind=document.kind,
        name_zh=document.name.zh,
        name_en=document.name.en,
        interval_s=document.interval_s,
        properties={p.key: _property(p) for p in document.properties},
        events={
            e.type: EventType(
                type=e.type, name_zh=e.name.zh, name_en=e.name.en, values=e.values, confidence=e.confidence
            )
            for e in document.events
        },
        clock_tolerance_s=document.clock_tolerance_s,
        live_window_s=document.live_window_s,
        late_allowed_s=document.late_allowed_s,
        max_gap=document.max_gap,
        no_data_after=document.no_data_after,
        gateway=document.gateway,
        codecs=document.codecs,
        source=document.source,
    )


def _property(entry: _Property) -> ObservedProperty:
    low, high = entry.range if entry.range is not None else (None, None)
    fields: dict[str, Any] = {"key": entry.key, "uom": entry.uom, "kind": entry.kind, "optional": entry.optional}
    fields |= {"name_zh": entry.name.zh, "name_en": entry.name.en, "description": entry.description}
    return msgspec.convert(fields | {"range_min": low, "range_max": high, "quality": entry.quality}, ObservedProperty)


def _problems(document: _Document) -> Iterable[str]:
    if not _MODEL_ID.fullmatch(document.model):
        yield f"model {document.model!r}: expected {_MODEL_ID.pattern}"
    if not _KEY.fullmatch(document.kind):
        yield f"kind {document.kind!r}: expected {_KEY.pattern}"
    for field in ("interval_s", "clock_tolerance_s", "live_window_s", "late_allowed_s", "max_gap", "no_data_after"):
        if not getattr(document, field) > 0:
            yield f"{field} {getattr(document, field)!r}: expected more than 0"
    if not document.properties:
        yield "properties: expected at least one"
    seen: set[str] = set()
    for entry in document.properties:
        yield from _property_problems(entry)
        if entry.key in seen:
            yield f"property {entry.key}: is there twice"
        seen.add(entry.key)
    for codec, mapping in document.codecs.items():
        if codec not in FAMILIES:
            yield f"codecs.{codec}: expected one of {', '.join(FAMILIES)}"
        for name, mapped in mapping.map.items():
            if mapped.to not in seen:
                yield f"codecs.{codec}.map.{name}: {mapped.to!r} is not a property of this model"
            if not (math.isfinite(mapped.scale) and math.isfinite(mapped.offset) and mapped.scale != 0):
                yield f"codecs.{codec}.map.{name}: scale must be finite and not 0, offset finite"
    for event in document.events:
        if not _KEY.fullmatch(event.type):
            yield f"event {event.type!r}: expected {_KEY.pattern}"
        for key, uom in event.values.items():
            if uom not in UOMS:
                yield f"event {event.type}, value {key}: uom {uom!r} is not in devices/properties.py UOMS"


def _property_problems(entry: _Property) -> Iterable[str]:
    if not _KEY.fullmatch(entry.key):
        yield f"property {entry.key!r}: expected {_KEY.pattern}"
    if entry.uom not in UOMS:
        yield f"property {entry.key}: uom {entry.uom!r} is not in devices/properties.py UOMS"
    if entry.kind not in ("number", "bool", "text"):
        yield f"property {entry.key}: kind {entry.kind!r}: expected number, bool or text"
    if entry.kind == "number" and entry.range is None:
        yield f"property {entry.key}: a number needs its physical range [min, max]"
    if entry.range is not None and (entry.kind != "number" or not entry.range[0] < entry.range[1]):
        yield f"property {entry.key}: range {list(entry.range)}: expected [min, max] with min < max, of a number"
    if entry.quality is not None:
        yield from (f"property {entry.key}, quality: {problem}" for problem in _quality_problems(entry, entry.quality))


def _quality_problems(entry: _Property, spec: QualitySpec) -> Iterable[str]:
    if entry.kind != "number":
        yield "expected none, the property is not a number"
    ranges = [spec.user_range] if spec.user_range else []
    for low, high in [*ranges, *(months.range for months in spec.climatology)]:
        if not low < high:
            yield f"range {[low, high]}: expected [min, max] with min < max"
    if spec.rate_per_min is not None and not spec.rate_per_min > 0:
        yield f"rate_per_min {spec.rate_per_min}: expected more than 0"
    if spec.spike is not None and not 0 < spec.spike.suspect <= spec.spike.fail:
        yield f"spike: expected 0 < suspect <= fail, got {spec.spike.suspect} and {spec.spike.fail}"
    if spec.flat is not None and not (spec.flat.eps >= 0 and 0 < spec.flat.suspect_s <= spec.flat.fail_s):
        yield "flat: expected eps of at least 0 and 0 < suspect_s <= fail_s"
    if spec.attenuated is not None and not (spec.attenuated.window_s > 0 and spec.attenuated.min_range > 0):
        yield "attenuated: expected window_s and min_range above 0"
    for months in spec.climatology:
        if not months.months or not set(months.months) <= set(range(1, 13)):
            yield f"climatology: months {months.months}: expected some of 1 to 12"


@cache
def load_models() -> dict[str, DeviceModel]:
    """All models that come with this build, by id. Raises DeviceModelWrong."""
    models: dict[str, DeviceModel] = {}
    for entry in sorted(files("devices").joinpath("models").iterdir(), key=lambda e: e.name):
        if not entry.name.endswith(".yaml"):
            continue
        model = parse_model(entry.read_text(encoding="utf-8"), file=entry.name)
        if entry.name != f"{model.model_id}.yaml":
            raise DeviceModelWrong(entry.name, [f"model {model.model_id!r}: expected the file's name"])
        models[model.model_id] = model
    return models
