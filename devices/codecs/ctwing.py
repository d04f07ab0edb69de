"""What China Telecom's CTWing (AEP) pushes over HTTP to subscribers: reports of its devices, one message or an array of them.

`{"messageType": "dataReport", "deviceId": ..., "timestamp": ms, "payload": {...}}`: the payload holds the readings themselves, or
`serviceData` with them. A product that is passed through as it is (透传) has `payload.APPdata` in base64 instead: those bytes are the
device's own protocol, and are refused, so that they lie in the dead letters and can be read again once somebody has a codec for them.
An `eventReport` has its readings in `eventContent`. Everything else (a device came or went, a command was answered) is a notice.

Sources: bodies that public receivers of CTWing keep as examples (dataReport of both kinds, deviceOnlineOfflineReport, commandResponse).
Not verified against the platform or its document (www.ctwing.cn/dyts/103): eventReport, arrays, and that names are unique in a product.
"""

from __future__ import annotations

from typing import Any

from devices.codecs.gathered import Gathered, device_name
from devices.codecs.json_message import WrongMessage, parsed, reading, stamp_us
from devices.codecs.samples import shown
from devices.codecs.station import Refused, Report

_READINGS = {"dataReport": "payload", "eventReport": "eventContent"}
RAW = "APPdata"


def push(payload: bytes) -> list[Report | Refused]:
    """The devices of one push. Raises WrongMessage."""
    document = parsed(payload)
    items = document if isinstance(document, list) else [document]
    if not items or not isinstance(items[0], dict):
        raise WrongMessage(f"payload: expected an object or a non-empty array of them, got {shown(document)}")
    gathered = Gathered()
    for index, item in enumerate(items):
        path = f"[{index}]." if isinstance(document, list) else ""
        if isinstance(item, dict):
            _message(item, path, gathered)
        else:
            gathered.lost.append(f"[{index}]: expected an object, got {shown(item)}")
    return gathered.pieces(payload)


def _message(item: dict[str, Any], path: str, gathered: Gathered) -> None:
    child = device_name(item.get("deviceId"), f"{path}deviceId", gathered.lost)
    kind = item.get("messageType")
    if not isinstance(kind, str) or not kind:
        gathered.lost.append(f"{path}messageType: expected a text like dataReport, got {shown(kind)}")
        return
    if child is None:
        return
    if kind not in _READINGS:
        gathered.notice(child, kind[:40], item)
        return
    values, where = item.get(_READINGS[kind]), f"{path}{_READINGS[kind]}"
    if isinstance(values, dict) and isinstance(values.get("serviceData"), dict):
        values, where = values["serviceData"], f"{where}.serviceData"
    if not isinstance(values, dict) or not values:
        gathered.lost.append(f"{where}: expected an object of readings, got {shown(values)}")
        return
    if RAW in values:
        gathered.lost.append(
            f"{where}.{RAW}: bytes of a product that is passed through (透传); expected named readings"
        )
        return
    found = gathered.of(child)
    time_us = stamp_us(item.get("timestamp"), f"{path}timestamp", found.problems)
    for key, value in values.items():
        found.take(time_us, reading(key, value, f"{where}.", found.problems))
