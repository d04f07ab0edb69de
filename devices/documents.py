"""Device register documents: what a vendor or an import hands in, checked field by field.

Everything that is wrong is named at once, in words a vendor can act on; nothing is repaired silently.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from devices.credentials import DEVICE_ID
from devices.models import DeviceModel, load_models
from devices.registry import Device
from devices.stations import sealed, station_problems
from devices.video import video_problems

COLOURS = ("blue", "yellow", "orange", "red")  # rising order of concern
_LEVEL_FIELDS = {"on", "off", "direction", "on_delay_s", "off_delay_s", "source"}
_KNOWN = frozenset(Device.__struct_fields__)
_GAS_FIELDS = {"first", "second", "deadband", "source", "on_delay_s", "off_delay_s"}


class DeviceWrong(ValueError):
    """A device document that cannot be registered; `problems` has a line for each wrong field."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def parse_device(document: object, models: Mapping[str, DeviceModel] | None = None) -> Device:
    """A Device from its JSON or YAML document. `kind` may be left out: the model says it. Station passwords become hashes.

    Raises DeviceWrong naming every wrong field.
    """
    models = load_models() if models is None else models
    if not isinstance(document, Mapping):
        raise DeviceWrong([f"expected a mapping of fields, got {type(document).__name__}"])
    fields: dict[str, Any] = {str(key): value for key, value in document.items()}
    problems = [] if _fits(fields) else list(_shape_problems(fields))
    model = models.get(fields.get("model", "")) if isinstance(fields.get("model"), str) else None
    fields.setdefault("kind", "" if model is None else model.kind)
    device = None
    if not problems:
        try:
            device = msgspec.convert(fields, Device)
        except msgspec.ValidationError as error:  # a type deeper down, for example inside thresholds
            problems.append(str(error))
    if device is not None:
        problems += problems_of(device, models)
    if problems or device is None:
        raise DeviceWrong(problems)
    return sealed(device)


def problems_of(device: Device, models: Mapping[str, DeviceModel] | None = None) -> list[str]:
    """What is wrong with a device beyond its types; empty: it can be registered."""
    return list(_content_problems(device, load_models() if models is None else models))


def _fits(fields: Mapping[str, Any]) -> bool:
    """Whether every field is known and of its type; what does not fit is looked at again, field by field, to find words for it.

    The looking costs 0.3 ms a device: an import of 100,000 good ones must not pay it.
    """
    if fields.keys() - _KNOWN:
        return False
    try:
        msgspec.convert({"kind": "", **fields}, Device)
    except msgspec.ValidationError:
        return False
    return True


def _shape_problems(fields: Mapping[str, Any]) -> Iterator[str]:
    """Unknown, missing and wrongly typed fields, each by itself: msgspec alone stops at the first."""
    known = {field.name: field for field in msgspec.structs.fields(Device)}
    for name in fields.keys() - known.keys():
        near = difflib.get_close_matches(name, known, n=1)
        yield f"{name}: unknown field" + (f", did you mean {near[0]}?" if near else "")
    for name, field in known.items():
        if name in fields:
            try:
                msgspec.convert(fields[name], field.type)
            except msgspec.ValidationError as error:
                yield f"{name}: {error}"
        elif field.required and name != "kind":
            yield f"{name}: is missing"


def _content_problems(device: Device, models: Mapping[str, DeviceModel]) -> Iterator[str]:
    if not DEVICE_ID.fullmatch(device.device_id):
        yield f"device_id {device.device_id!r}: expected {DEVICE_ID.pattern}"
    if not device.name.strip():
        yield "name: is empty"
    if not (math.isfinite(device.lon) and -180 <= device.lon <= 180):
        yield f"lon {device.lon}: expected degrees from -180 to 180 (WGS 84)"
    if not (math.isfinite(device.lat) and -90 <= device.lat <= 90):
        yield f"lat {device.lat}: expected degrees from -90 to 90 (WGS 84)"
    if device.gateway and not DEVICE_ID.fullmatch(device.gateway):
        yield f"gateway {device.gateway!r}: expected {DEVICE_ID.pattern}"
    if device.gateway == device.device_id:
        yield "gateway: a device is not its own gateway"
    if device.interval_s is not None and not (math.isfinite(device.interval_s) and device.interval_s > 0):
        yield f"interval_s {device.interval_s}: expected seconds, more than 0"
    model = models.get(device.model)
    if model is None:
        yield f"model {device.model!r}: expected one of {', '.join(sorted(models))}"
        return
    if device.kind != model.kind:
        yield f"kind {device.kind!r}: model {device.model} is of kind {model.kind!r}"
    yield from _listed_problems(device, model)
    yield from station_problems(device)
    yield from video_problems(device)
    for prop, thresholds in device.thresholds.items():
        if prop not in model.properties:
            yield f"thresholds.{prop}: model {device.model} measures {', '.join(model.properties)}"
        for problem in threshold_problems(thresholds):
            yield f"thresholds.{prop}.{problem}"


def _listed_problems(device: Device, model: DeviceModel) -> Iterator[str]:
    listed = device.attributes.get("properties")
    if listed is None:
        return
    if not isinstance(listed, list) or not listed:
        yield f"attributes.properties: expected a list of {', '.join(model.properties)}"
        return
    for key in listed:
        if key not in model.properties:
            yield f"attributes.properties: {key!r} is not measured by {device.model}: {', '.join(model.properties)}"
    for prop in device.thresholds:
        if prop in model.properties and prop not in listed:
            yield f"thresholds.{prop}: is not among attributes.properties"


def threshold_problems(thresholds: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the thresholds of one property (docs/interfaces.md section 3): levels or gas."""
    gas = "first" in thresholds or "second" in thresholds
    known = _GAS_FIELDS if gas else _LEVEL_FIELDS
    for name in sorted(thresholds.keys() - known):
        yield f"{name}: unknown field, expected {', '.join(sorted(known))}"
    for name in ("on_delay_s", "off_delay_s", "deadband"):
        if name in thresholds and not (_is_number(thresholds[name]) and thresholds[name] >= 0):
            yield f"{name} {thresholds[name]!r}: expected a number, 0 or more"
    yield from _gas_problems(thresholds) if gas else _level_problems(thresholds)


def _gas_problems(thresholds: Mapping[str, Any]) -> Iterator[str]:
    first, second = thresholds.get("first"), thresholds.get("second")
    for name, value in (("first", first), ("second", second)):
        if not _is_number(value):
            yield f"{name} {value!r}: expected a number"
    if _is_number(first) and _is_number(second) and not 0 < float(first) < float(second):  # type: ignore[arg-type]
        yield f"second {second}: expected 0 < first < second (first is {first})"
    elif _is_number(first) and _is_number(band := thresholds.get("deadband")) and not 0 < band < first:  # type: ignore[operator]
        yield f"deadband {band}: expected 0 < deadband < first (first is {first})"


def _level_problems(thresholds: Mapping[str, Any]) -> Iterator[str]:
    direction = thresholds.get("direction", "rise")
    if direction not in ("rise", "fall"):
        yield f"direction {direction!r}: expected rise or fall"
    on, off = thresholds.get("on"), thresholds.get("off", {})
    if not isinstance(on, Mapping) or not on:
        yield f"on: expected a value for at least one of {', '.join(COLOURS)}"
        return
    if not isinstance(off, Mapping):
        yield f"off: expected values by colour, got {type(off).__name__}"
        return
    for where, levels in (("on", on), ("off", off)):
        for colour, value in levels.items():
            if colour not in COLOURS:
                yield f"{where}.{colour}: expected one of {', '.join(COLOURS)}"
            elif not _is_number(value):
                yield f"{where}.{colour} {value!r}: expected a number"
    yield from _order_problems(on, off, sign=-1.0 if direction == "fall" else 1.0)


def _order_problems(on: Mapping[str, Any], off: Mapping[str, Any], *, sign: float) -> Iterator[str]:
    """Both sides in the order of the colours, off on the safe side. What passes here the rules must be able to use: a table
    that they refuse would leave a gauge unwatched."""
    last: tuple[float, float] | None = None
    for colour in COLOURS:
        if not _is_number(on.get(colour)):
            if colour in off:
                yield f"off.{colour}: there is no on.{colour}"
            continue
        if off and colour not in off:
            yield f"off.{colour}: is missing; name every colour of on, or leave off out for a deadband of 1 %"
            return
        value = sign * float(on[colour])
        below = sign * float(off[colour]) if _is_number(off.get(colour)) else -math.inf
        if last is not None and value <= last[0]:
            yield f"on.{colour} {on[colour]}: is not beyond the level before it"
        if last is not None and below < last[1]:
            yield f"off.{colour} {off[colour]}: lies before the level before it"
        last = value, below
        if below >= value:
            yield f"off.{colour} {off[colour]}: must not lie at or beyond on.{colour} {on[colour]}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
