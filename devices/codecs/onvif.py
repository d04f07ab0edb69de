"""Events of ONVIF cameras over MQTT (Profile M, payload `onvif-ej`): what happened in front of a camera.

    PREFIX/onvif-ej/RuleEngine/FieldDetector/ObjectsInside/&1/2/MyFence
    {"UtcTime": "2008-10-10T12:24:57.321Z", "Source": {"VideoSource": "1", "Rule": "MyFence"}, "Data": {"IsInside": "true"}}

The reader gets the levels behind `onvif-ej`: the ONVIF topic without `tns1:`, then behind `&` the values of the source. Without
levels the message has to name its topic itself (`Topic`). Two forms of `Source` and `Data` are read: names with values, as the
specification has it, and `{"SimpleItem": [{"Name": ..., "Value": ...}]}`, which firmware in the field sends. Values may be texts
("true", "active", "1") or JSON's own.

A topic of EVENTS with a state happens when that is true, and TYPE_ended (devices/codecs/seen.py) when it is false; a first report
of `false` (`Initialized`) is no end. A message without bytes says that a property is gone: an end, too. A topic without a state
happens each time. What a topic that is not listed says is a notice, unless its rule is named after a type. `ObjectsInside` is
what cameras report an intrusion by.

Source: onvif/specs, doc/Core.xml (topic structure, JSON payload, property events: retained, deleted by an empty one) and
doc/Analytics.xml (rules). The form with SimpleItem and `tns1:` kept in topics: from programs that receive cameras in the field.
Not verified against a camera: the topics under VideoSource and Device/HardwareFailure, from general knowledge of the standard,
and whether any camera states a likelihood beside a rule's event. Not read: metadata streams, images.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from devices.codecs.json_message import Levels, WrongMessage, parsed
from devices.codecs.samples import shown
from devices.codecs.seen import ended, type_of_class, type_of_rule
from devices.codecs.station import Happening, Refused, Report, Said

ITEMS_MAX = 64  # of Source or Data
TEXT_MAX = 200  # characters of a text that an event repeats
STANDARD = ("tns1:", "tns:")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Topic -> the city's word, and the item of Data that says whether it is so ("": it happens each time).
EVENTS: Mapping[str, tuple[str, str]] = {
    "RuleEngine/FieldDetector/ObjectsInside": ("intrusion", "IsInside"),
    "RuleEngine/LineDetector/Crossed": ("line_crossing", ""),
    "RuleEngine/LoiteringDetector/ObjectIsLoitering": ("loitering", ""),
    "RuleEngine/CellMotionDetector/Motion": ("motion", "IsMotion"),
    "RuleEngine/MotionRegionDetector/Motion": ("motion", "State"),
    "VideoSource/MotionAlarm": ("motion", "State"),
    "VideoSource/SignalLoss": ("video_lost", "State"),
    "VideoSource/GlobalSceneChange/AnalyticsService": ("camera_tampered", "State"),
    "VideoSource/GlobalSceneChange/ImagingService": ("camera_tampered", "State"),
    "VideoSource/GlobalSceneChange/RecordingService": ("camera_tampered", "State"),
    "Device/HardwareFailure/StorageFailure": ("camera_fault", "Failed"),
    "Device/HardwareFailure/FanFailure": ("camera_fault", "Failed"),
    "Device/HardwareFailure/PowerSupplyFailure": ("camera_fault", "Failed"),
    "Device/HardwareFailure/TemperatureCritical": ("camera_fault", "Critical"),
}
CLASSES = "RuleEngine/ObjectDetection/Object"  # Data.ClassTypes: what is seen now
STATES = ("State", "IsInside", "IsMotion", "LogicalState", "AlarmActive", "Active")  # of topics that are not listed
OPERATIONS = ("Initialized", "Changed", "Deleted")
TRUE, FALSE = ("true", "1", "active", "on", "yes"), ("false", "0", "inactive", "off", "no")


def event(payload: bytes, levels: Levels) -> list[Report | Refused]:
    """One event, or the end of one; a state that is only repeated is a sign of life. Raises WrongMessage."""
    document = parsed(payload) if payload else {}
    if not isinstance(document, dict):
        raise WrongMessage(f"payload: expected an object, got {shown(document)}")
    topic, about = _topic(levels or tuple(_text(document.get("Topic")).split("/")))
    if not topic:
        raise WrongMessage("topic: expected the ONVIF topic behind the codec, or Topic in the message")
    source, data = _items(document.get("Source"), "Source"), _items(document.get("Data"), "Data")
    operation = document.get("PropertyOperation") if payload else "Deleted"
    if operation is not None and operation not in OPERATIONS:
        raise WrongMessage(f"PropertyOperation: expected one of {', '.join(OPERATIONS)}, got {shown(operation)}")
    problems: list[str] = []
    time_us = _time_us(document.get("UtcTime"), problems)
    rule = _text(source.get("Rule", source.get("RuleName", about[-1] if about else "")))
    facts = {name[:TEXT_MAX]: _text(value) for name, value in data.items()}
    happens = _happens(topic, rule, data, operation)
    if happens is None:
        notice = Report(said=Said.NOTICE, station="", raw=payload, command=topic, facts=facts, problems=tuple(problems))
        return [notice]
    where = f"{topic}/&{'/'.join([_text(value) for value in source.values()] or about)}"[:TEXT_MAX]
    happened = tuple(
        Happening(
            type=kind,
            name=where,
            time_us=time_us,
            text=text[:TEXT_MAX],
            confidence=_confidence(data),
            data={"state": state, "facts": facts},
        )
        for kind, state, text in happens
    )
    said = Said.DATA if happened else Said.HEARTBEAT
    return [Report(said=said, station="", raw=payload, happened=happened, problems=tuple(problems))]


def _topic(levels: Levels) -> tuple[str, list[str]]:
    """The ONVIF topic without the standard's prefix, and the values of the source behind `&`."""
    local: list[str] = []
    for index, level in enumerate(levels):
        name, mark, first = level.partition("&")
        if name:
            local.append(next((name.removeprefix(prefix) for prefix in STANDARD if name.startswith(prefix)), name))
        if mark:
            return "/".join(local)[:TEXT_MAX], [value for value in (first, *levels[index + 1 :]) if value]
    return "/".join(local)[:TEXT_MAX], []


def _items(given: Any, part: str) -> dict[str, Any]:
    """By name, in either form. Raises WrongMessage."""
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise WrongMessage(f"{part}: expected an object of names, got {shown(given)}")
    items = {name: value for name, value in given.items() if name != "SimpleItem"}
    simple = given.get("SimpleItem", [])
    for index, item in enumerate(
        [simple] if isinstance(simple, dict) else simple if isinstance(simple, list) else [simple]
    ):
        name = item.get("Name") if isinstance(item, dict) else None
        if not isinstance(name, str) or not name:
            raise WrongMessage(f'{part}.SimpleItem[{index}]: expected {{"Name": ..., "Value": ...}}, got {shown(item)}')
        items[name] = item.get("Value")
    if len(items) > ITEMS_MAX:
        raise WrongMessage(f"{part}: expected at most {ITEMS_MAX} names, got {len(items)}")
    return items


def _happens(
    topic: str, rule: str, data: Mapping[str, Any], operation: str | None
) -> list[tuple[str, str, str]] | None:
    """(type, state, text) of what happens; None: nothing here knows what the topic says. Raises WrongMessage."""
    named = type_of_rule(rule)
    if topic == CLASSES:
        return _classes(data.get("ClassTypes"), named)
    kind, item = EVENTS.get(topic, ("", ""))
    listed = bool(kind)
    if not listed:
        if not named:
            return None
        item = next((name for name in STATES if name in data), "")
    kind = named or kind
    if operation == "Deleted":
        return [(ended(kind), "end", rule)] if item or not listed else []
    if not item:
        return [(kind, "", rule)]
    if _is_true(data.get(item), item):
        return [(kind, "start", rule)]
    return [] if operation == "Initialized" else [(ended(kind), "end", rule)]


def _classes(given: Any, named: str) -> list[tuple[str, str, str]]:
    """Each type once, with the classes that it stands for. Nothing seen is no event: of what it is the end, the message does not say."""
    names = given.split() if isinstance(given, str) else given if isinstance(given, list) else None
    if given is None:
        names = []
    if names is None or not all(isinstance(name, str) for name in names) or len(names) > ITEMS_MAX:
        raise WrongMessage(f"Data.ClassTypes: expected at most {ITEMS_MAX} class names, got {shown(given)}")
    by_type: dict[str, list[str]] = {}
    for name in names:
        by_type.setdefault(named or type_of_class(name), []).append(name)
    return [(kind, "", " ".join(classes)) for kind, classes in by_type.items()]


def _is_true(value: Any, item: str) -> bool:
    said = _text(value).strip().lower()
    if said not in TRUE and said not in FALSE:
        raise WrongMessage(f"Data.{item}: expected true or false, got {shown(value)}")
    return said in TRUE


def _confidence(data: Mapping[str, Any]) -> float | None:
    """What the event itself states, 0 to 1; most state nothing."""
    for name in ("Likelihood", "Confidence"):
        try:
            stated = float(_text(data.get(name)))
        except ValueError:
            continue
        if 0 <= stated <= 1:
            return stated
    return None


def _time_us(value: Any, problems: list[str]) -> int | None:
    """UtcTime, in UTC where it names no zone; None where it is none (which is named): an event must not die of a wrong stamp."""
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(_text(value))
    except ValueError:
        problems.append(f"UtcTime: expected a time like 2008-10-10T12:24:57.321Z, got {shown(value)}")
        return None
    return (at.replace(tzinfo=at.tzinfo or UTC) - EPOCH) // timedelta(microseconds=1)


def _text(value: Any) -> str:
    """A value as a text: as it came, or what it is where it is no single value."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)[:TEXT_MAX]
    return shown(value)
