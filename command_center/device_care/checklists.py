"""What must be in order before a device counts as accepted: data by kind of device, not code."""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from importlib.resources import files

import msgspec
import yaml

from command_center.device_care.model import Acceptance, Facts, ItemView
from devices.models import DeviceModel
from devices.registry import Device

DEFAULT = "default"


class ChecklistWrong(ValueError):
    """A checklist document that cannot be used."""


class Check(StrEnum):
    HAND = "hand"  # somebody ticks it
    TEXT = "text"  # somebody ticks it and puts a value down: a photo's hash, a name
    FIRST_DATA = "first_data"  # seen in the database
    CLOCK = "clock"  # the newest offset is within the model's tolerance
    THRESHOLDS = "thresholds"  # each set of thresholds names its source, and there is one


AUTOMATIC = (Check.FIRST_DATA, Check.CLOCK, Check.THRESHOLDS)


class Item(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    key: str
    zh: str
    en: str
    check: Check = Check.HAND


class Checklist(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    checklist: str  # kind of device, or `default`
    source: str
    items: list[Item]


def parse_checklist(text: str, *, file: str = "<text>") -> Checklist:
    """A checklist from its YAML document. Raises ChecklistWrong naming the file and what is wrong."""
    try:
        found = msgspec.convert(yaml.safe_load(text), Checklist)
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        raise ChecklistWrong(f"{file}: {error}") from error
    keys = [item.key for item in found.items]
    if not keys or len(set(keys)) != len(keys):
        raise ChecklistWrong(f"{file}: items: expected at least one, each key once")
    return found


@cache
def load_checklists() -> dict[str, Checklist]:
    """All that come with this build, by kind. Raises ChecklistWrong."""
    found: dict[str, Checklist] = {}
    for entry in files("command_center").joinpath("device_care", "checklists").iterdir():
        if entry.name.endswith(".yaml"):
            one = parse_checklist(entry.read_text(encoding="utf-8"), file=entry.name)
            if entry.name != f"{one.checklist}.yaml":
                raise ChecklistWrong(f"{entry.name}: checklist {one.checklist!r}: expected the file's name")
            found[one.checklist] = one
    if DEFAULT not in found:
        raise ChecklistWrong(f"no checklist {DEFAULT!r}")
    return found


def checklist_of(device: Device) -> Checklist:
    lists = load_checklists()
    return lists.get(device.kind, lists[DEFAULT])


def view_items(
    checklist: Checklist, acceptance: Acceptance, device: Device, model: DeviceModel | None, facts: Facts
) -> list[ItemView]:
    """Each item as it stands: what the database says about the automatic ones, what people put down for the others."""
    return [_view(item, acceptance, device, model, facts) for item in checklist.items]


def _view(item: Item, acceptance: Acceptance, device: Device, model: DeviceModel | None, facts: Facts) -> ItemView:
    if item.check in AUTOMATIC:
        ok, value = _AUTOMATIC[item.check](device, model, facts)
        return ItemView(key=item.key, zh=item.zh, en=item.en, automatic=True, ok=ok, value=value)
    answer = acceptance.answers.get(item.key)
    if answer is None:
        return ItemView(key=item.key, zh=item.zh, en=item.en, automatic=False, ok=False, value="")
    return ItemView(
        key=item.key,
        zh=item.zh,
        en=item.en,
        automatic=False,
        ok=answer.ok and (item.check is not Check.TEXT or bool(answer.value)),
        value=answer.value,
        by=answer.by,
        at_us=answer.at_us,
    )


def _first_data(_device: Device, _model: DeviceModel | None, facts: Facts) -> tuple[bool, str]:
    return facts.received > 0, str(facts.received)


def _clock(_device: Device, model: DeviceModel | None, facts: Facts) -> tuple[bool, str]:
    """A device that sends no time of its own has no clock that could be wrong: we time it."""
    if not facts.received:
        return False, ""
    if facts.clock_offset_us is None:
        return True, "0 s"
    tolerance_s = 300.0 if model is None else model.clock_tolerance_s
    offset_s = facts.clock_offset_us / 1e6
    return abs(offset_s) <= tolerance_s, f"{offset_s:+.0f} s"


def _thresholds(device: Device, _model: DeviceModel | None, _facts: Facts) -> tuple[bool, str]:
    named = {p: str(t.get("source") or "") for p, t in device.thresholds.items()}
    return bool(named) and all(named.values()), "; ".join(f"{p}: {s}" for p, s in sorted(named.items()))


_AUTOMATIC = {Check.FIRST_DATA: _first_data, Check.CLOCK: _clock, Check.THRESHOLDS: _thresholds}


def open_items(items: list[ItemView]) -> list[str]:
    return [item.key for item in items if not item.ok]
