"""Alarms of GB/T 28181 cameras, as a video platform passes them on in JSON: one alarm in one message.

    {"channelId": "34020000001320000001", "alarmPriority": "1", "alarmMethod": 5, "alarmType": 6, "alarmTime": "2024-01-31 10:00:00",
     "alarmDescription": "...", "longitude": 121.44, "latitude": 28.68}

We speak no SIP: a platform such as wvp-GB28181-pro does, and some small program publishes what it gets of an alarm. So names are
taken as platforms spell them: in any case, with or without `_`, those of MANSCDP (`DeviceID`, `AlarmType` inside `Info`, all of it
inside `Notify`) or wvp's (`channelId` before `deviceId`; `gbId`). The channel's twenty digits are the report's station.

ALARMS gives method and type their word; what is not there is `camera_alarm` with both numbers as its name. The standard has no end
of an alarm and no confidence. Times without a zone are UTC+8.

Source: the fields and numbers as wvp-GB28181-pro has them (gb28181/bean: DeviceAlarmNotify, AlarmChannelMessage), which agree with
our notes of the standard's 2016 edition; the standard itself was not read, nor a message of a running platform: confirm against
both before relying on a word. The topic is ours, since no platform that we know publishes alarms over MQTT by itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from devices.codecs.json_message import Levels, WrongMessage, parsed
from devices.codecs.samples import shown
from devices.codecs.station import Happening, Refused, Report, Said

LOCAL = timezone(timedelta(hours=8))
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CHANNEL_DIGITS = 20
TEXT_MAX = 200
DEVICE, VIDEO, FAULT = 2, 5, 6
METHODS = range(1, 8)  # telephone, device, text message, GPS, video, fault of the device, other
TYPES = range(1, 100)  # the standard ends at 12; what is beyond has no word and is kept
PRIORITIES = range(1, 5)  # 1 is the gravest
ANY = "camera_alarm"

# Method and type -> the city's word.
ALARMS: Mapping[tuple[int, int], str] = {
    (DEVICE, 1): "video_lost",
    (DEVICE, 2): "camera_tampered",
    (DEVICE, 3): "camera_fault",  # its disk is full
    (DEVICE, 4): "camera_fault",  # too hot
    (DEVICE, 5): "camera_fault",  # too cold
    (VIDEO, 2): "motion",
    (VIDEO, 3): "object_left",
    (VIDEO, 4): "object_removed",
    (VIDEO, 5): "line_crossing",
    (VIDEO, 6): "intrusion",
    (VIDEO, 7): "wrong_way",
    (VIDEO, 8): "loitering",
    (VIDEO, 10): "crowd",
    (VIDEO, 11): "camera_fault",  # the picture is not normal
    (VIDEO, 12): "fast_moving",
    (FAULT, 1): "camera_fault",  # disk
    (FAULT, 2): "camera_fault",  # fan
}


def alarm(payload: bytes, levels: Levels) -> list[Report | Refused]:
    """One alarm. Raises WrongMessage."""
    given = _fields(parsed(payload), "payload")
    if "notify" in given:
        given = _fields(given["notify"], "Notify")
    if "cmdtype" in given and str(given["cmdtype"]).lower() != "alarm":
        raise WrongMessage(f"CmdType: expected Alarm, got {shown(given['cmdtype'])}")
    details = _fields(given["info"], "Info") if isinstance(given.get("info"), dict) else {}
    channel = _channel(given)
    method = _number(given.get("alarmmethod"), "AlarmMethod", METHODS)
    kind = _number(given.get("alarmtype") or details.get("alarmtype"), "AlarmType", TYPES)
    problems: list[str] = []
    about: dict[str, Any] = {"state": "start"}
    if (priority := _priority(given.get("alarmpriority"), problems)) is not None:
        about["priority"] = priority
    if place := _place(given, problems):
        about["values"] = place
    text = given.get("alarmdescription")
    happening = Happening(
        type=ALARMS.get((method or 0, kind or 0), ANY),
        name=f"{'-' if method is None else method}.{'-' if kind is None else kind}",
        time_us=_time_us(given.get("alarmtime"), problems),
        text=text[:TEXT_MAX] if isinstance(text, str) else "",
        confidence=None,
        data=about,
    )
    return [Report(said=Said.DATA, station=channel, raw=payload, happened=(happening,), problems=tuple(problems))]


def _fields(given: Any, where: str) -> dict[str, Any]:
    """By name in small letters without `_`. Raises WrongMessage."""
    if not isinstance(given, dict):
        raise WrongMessage(f"{where}: expected an object, got {shown(given)}")
    return {name.replace("_", "").lower(): value for name, value in given.items()}


def _channel(given: Mapping[str, Any]) -> str:
    channel = next((given[name] for name in ("channelid", "deviceid", "gbid") if given.get(name)), None)
    if not isinstance(channel, str) or not (channel.isascii() and channel.isdigit() and len(channel) == CHANNEL_DIGITS):
        raise WrongMessage(f"DeviceID: expected {CHANNEL_DIGITS} digits, got {shown(channel)}")
    return channel


def _number(value: Any, where: str, allowed: range) -> int | None:
    """A number that may be written as a text; None where there is none. Raises WrongMessage: without it the alarm has no meaning."""
    if value is None or value == "":
        return None
    number = int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 4 else value
    if isinstance(number, bool) or not isinstance(number, int) or number not in allowed:
        raise WrongMessage(f"{where}: expected a number from {allowed[0]} to {allowed[-1]}, got {shown(value)}")
    return number


def _priority(value: Any, problems: list[str]) -> int | None:
    try:
        return _number(value, "AlarmPriority", PRIORITIES)
    except WrongMessage as error:
        problems.append(str(error))
        return None


def _place(given: Mapping[str, Any], problems: list[str]) -> dict[str, float]:
    """Where the camera says that it was; 0 and 0 is what platforms write for nothing."""
    place: dict[str, float] = {}
    for name, short, most in (("longitude", "lon", 180), ("latitude", "lat", 90)):
        value = given.get(name)
        if value is None or value == "":
            return {}
        try:
            degrees = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
        except ValueError:
            degrees = math.nan
        if not abs(degrees) <= most:
            problems.append(f"{name}: expected degrees from -{most} to {most}, got {shown(value)}")
            return {}
        place[short] = degrees
    return place if any(place.values()) else {}


def _time_us(value: Any, problems: list[str]) -> int | None:
    """None where there is none, or none that could be one (which is named): an alarm must not die of a wrong stamp."""
    if value is None or value == "":
        return None
    try:
        at = datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        problems.append(f"AlarmTime: expected a time like 2024-01-31T10:00:00, got {shown(value)}")
        return None
    return (at.replace(tzinfo=at.tzinfo or LOCAL) - EPOCH) // timedelta(microseconds=1)
