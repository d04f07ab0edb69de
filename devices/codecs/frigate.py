"""Frigate's reviews and tracked objects over MQTT: what an NVR says that its cameras see.

    frigate/reviews   {"type": "new|update|end", "before": {...}, "after": {"id", "camera", "start_time", "end_time", "severity":
                      "alert|detection", "data": {"objects": ["person"], "audio": [], "zones": [], ...}}}
    frigate/events    the same around one object: {"id", "camera", "label", "top_score", "false_positive", "start_time", ...}

Times are seconds since 1970 with fractions. The camera is the report's station. A label becomes a type by devices/codecs/seen.py, a
sound is `sound_heard`.

Each label of a review happens once, and once more when the review becomes an alert; each object happens once, as soon as it is no
false positive. Frigate repeats itself in updates, several a second: what `before` has said already is not said again, so that an
update without news is a sign of life and no record. Every message stands by itself, nothing is remembered between two. The end is
TYPE_ended. Reviews have no score, objects have one; who lets both through hears of an object twice.

Left out on purpose: `sub_label` (names of faces) and licence plates. Without news for the city: statistics, counts, pictures and
switches, which a Frigate with our topics as its `topic_prefix` sends too (a level other than `reviews` and `events`), and texts of
a language model (`type` genai).

Source: docs.frigate.video/integrations/mqtt (both payloads, 0.14 to 0.17). Seen in other programs and not in that page: labels
with `-verified` behind them, and `type` genai. Not verified against a running Frigate.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from devices.codecs.json_message import Levels, WrongMessage, parsed
from devices.codecs.samples import shown
from devices.codecs.seen import ended, type_of_class
from devices.codecs.station import Happening, Refused, Report, Said

TOPICS: tuple[Levels, ...] = ((), ("reviews",), ("events",))  # levels behind the codec whose messages are read
PHASES = ("new", "update", "end")
TEXTS = ("genai",)  # phases that describe and change nothing
SEVERITIES = ("alert", "detection")
NAME_MAX, LABELS_MAX, ZONES_MAX = 128, 50, 50
SECONDS_MAX = 2**33
SOUND = "sound_heard"


@dataclass(frozen=True, slots=True)
class _Seen:
    """One label of a review, or an object. `key` tells it from the others and from itself in a graver state."""

    key: str
    type: str
    label: str


def activity(payload: bytes, levels: Levels) -> list[Report | Refused]:
    """A review or an object: which of both, its fields tell. Raises WrongMessage."""
    if levels not in TOPICS:
        return [Report(said=Said.HEARTBEAT, station="", raw=payload)]
    document = parsed(payload)
    if not isinstance(document, dict):
        raise WrongMessage(f"payload: expected an object, got {shown(document)}")
    phase, after = document.get("type"), document.get("after")
    if phase in TEXTS:
        return [Report(said=Said.HEARTBEAT, station="", raw=payload)]
    if phase not in PHASES:
        raise WrongMessage(f"type: expected one of {', '.join(PHASES)}, got {shown(phase)}")
    if not isinstance(after, dict):
        raise WrongMessage(f"after: expected an object, got {shown(after)}")
    camera = _name(after, "camera")
    seen = _seen(after)
    if phase == "update":
        known = _known(document.get("before"))
        seen = [one for one in seen if one.key not in known]
    problems: list[str] = []
    happened = tuple(_happening(one, after, phase, problems) for one in seen)
    if phase == "end":  # an alert's labels are known as detections too: one end for each type
        happened = tuple({one.type: one for one in happened}.values())
    said = Said.DATA if happened else Said.HEARTBEAT
    return [Report(said=said, station=camera, raw=payload, happened=happened, problems=tuple(problems))]


def _seen(state: Mapping[str, Any]) -> list[_Seen]:
    """What a state says, in its order. Raises WrongMessage."""
    number = _name(state, "id")
    if "label" in state:
        label = _label(state["label"], "label")
        if state.get("false_positive") is True:
            return []
        return [_Seen(f"{number}:{label}", type_of_class(label), label)]
    severity = state.get("severity")
    if severity not in SEVERITIES:
        raise WrongMessage(
            f"after: expected label, or severity as one of {', '.join(SEVERITIES)}, got {shown(severity)}"
        )
    data = state.get("data")
    if not isinstance(data, dict):
        raise WrongMessage(f"data: expected an object, got {shown(data)}")
    grave = f":{severity}" if severity == "alert" else ""
    found: dict[str, _Seen] = {}
    for part in ("objects", "audio"):
        for label in _labels(data.get(part, []), f"data.{part}"):
            kind = SOUND if part == "audio" else type_of_class(label)
            found.setdefault(label, _Seen(f"{number}:{label}{grave}", kind, label))
    return list(found.values())


def _known(before: Any) -> set[str]:
    """What was said already; nothing where that cannot be read: then it is said again, under the same name."""
    try:
        return {one.key for one in _seen(before)} if isinstance(before, dict) else set()
    except WrongMessage:
        return set()


def _happening(one: _Seen, state: Mapping[str, Any], phase: str, problems: list[str]) -> Happening:
    over = phase == "end"
    # An update does not say since when; an object's frame does, a review's news are those of now.
    when = "end_time" if over else "start_time" if phase == "new" else "frame_time"
    about: dict[str, Any] = {"state": "end" if over else "start", "zones": list(_zones(state, problems))}
    if "severity" in state:
        about["severity"] = state["severity"]
    return Happening(
        type=ended(one.type) if over else one.type,
        name=one.label,
        time_us=_time_us(state.get(when), when, problems),
        text=", ".join(about["zones"]),
        confidence=_score(state.get("top_score", state.get("score")), problems),
        id=one.key,
        data=about,
    )


def _labels(given: Any, where: str) -> Iterator[str]:
    if not isinstance(given, list) or len(given) > LABELS_MAX:
        raise WrongMessage(f"{where}: expected an array of at most {LABELS_MAX} labels, got {shown(given)}")
    for index, label in enumerate(given):
        yield _label(label, f"{where}[{index}]")


def _label(given: Any, where: str) -> str:
    if not isinstance(given, str) or not 0 < len(given) <= NAME_MAX:
        raise WrongMessage(f"{where}: expected a text of 1 to {NAME_MAX} characters, got {shown(given)}")
    return given.removesuffix("-verified")


def _name(state: Mapping[str, Any], field: str) -> str:
    given = state.get(field)
    if not isinstance(given, str) or not 0 < len(given) <= NAME_MAX:
        raise WrongMessage(f"{field}: expected a text of 1 to {NAME_MAX} characters, got {shown(given)}")
    return given


def _zones(state: Mapping[str, Any], problems: list[str]) -> Iterator[str]:
    data = state.get("data")
    given = state.get("entered_zones", data.get("zones", []) if isinstance(data, dict) else [])
    if not isinstance(given, list) or not all(isinstance(zone, str) for zone in given):
        problems.append(f"zones: expected an array of names, got {shown(given)}")
        return
    yield from (zone[:NAME_MAX] for zone in given[:ZONES_MAX])


def _time_us(value: Any, where: str, problems: list[str]) -> int | None:
    """None where there is none, or none that could be one (which is named)."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < SECONDS_MAX:
        problems.append(f"{where}: expected seconds since 1970, got {shown(value)}")
        return None
    return round(value * 1_000_000)


def _score(value: Any, problems: list[str]) -> float | None:
    """Of an object; reviews have none, and sounds may have none."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and 0 <= value <= 1):
        problems.append(f"top_score: expected a number from 0 to 1, got {shown(value)}")
        return None
    return float(value)
