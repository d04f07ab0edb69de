"""What China Mobile's OneNET pushes over HTTP: data points and changes of state of its devices, in an envelope with a signature.

The envelope is `{"msg": ..., "nonce": ..., "msg_signature": ...}`; `msg` is an object, an array of them, or the text of either. An
item with `type` 1 is a data point `{dev_id, ds_id, at, value}`, 2 a device that came or went, 7 the result of a command. Thing models
(the newer platform) push `{deviceId, messageType, notifyType, data: {params: {NAME: {value, time}}}}`. The signature is not looked at
here: who may speak is decided where the message came in (ingest/push_signatures.py).

Sources: open.iot.10086.cn/doc/book/application-develop/httppush/develop-manual.html (envelope, types, at in milliseconds); the thing
model's fields from public receivers (TypeScript and Java) that name OneNET. Not verified against the platform: the thing model, and that a
message of several points is an array. Encrypted pushes (`enc_msg`) are refused: choose plain text.
"""

from __future__ import annotations

from typing import Any

from devices.codecs.gathered import Gathered, device_name
from devices.codecs.json_message import WrongMessage, parsed, reading, stamp_us
from devices.codecs.samples import shown
from devices.codecs.station import Refused, Report

POINT, LINK, RESULT = 1, 2, 7
_NOTICES = {LINK: "status", RESULT: "command_result"}


def push(payload: bytes) -> list[Report | Refused]:
    """The devices of one push. Raises WrongMessage."""
    gathered = Gathered()
    items = _items(parsed(payload))
    for index, item in enumerate(items):
        where = f"msg[{index}]" if len(items) > 1 else "msg"
        if not isinstance(item, dict):
            gathered.lost.append(f"{where}: expected an object, got {shown(item)}")
        elif "notifyType" in item or "messageType" in item:
            _thing(item, where, gathered)
        else:
            _typed(item, where, gathered)
    return gathered.pieces(payload)


def _items(document: Any) -> list[Any]:
    if not isinstance(document, dict):
        raise WrongMessage(f"payload: expected an object with msg, got {shown(document)}")
    if "msg" not in document and "enc_msg" in document:
        raise WrongMessage("enc_msg: an encrypted push; choose plain text (明文模式) at the platform and TLS here")
    message = document.get("msg")
    if isinstance(message, str):
        message = parsed(message.encode())
    items = message if isinstance(message, list) else [message]
    if not items or not all(isinstance(item, dict) for item in items[:1]):
        raise WrongMessage(f"msg: expected an object or a non-empty array, got {shown(document.get('msg'))}")
    return items


def _typed(item: dict[str, Any], where: str, gathered: Gathered) -> None:
    child = device_name(item.get("dev_id"), f"{where}.dev_id", gathered.lost)
    if child is None:
        return
    kind = item.get("type")
    if kind in _NOTICES and not isinstance(kind, bool):
        gathered.notice(child, _NOTICES[kind], item)
        return
    if kind != POINT or isinstance(kind, bool):
        expected = ", ".join(str(one) for one in (POINT, *_NOTICES))
        gathered.lost.append(f"{where}.type: expected one of {expected}, got {shown(kind)}")
        return
    key = item.get("ds_id")
    if not isinstance(key, str) or not key:
        gathered.lost.append(f"{where}.ds_id: expected a data stream's name, got {shown(key)}")
        return
    found = gathered.of(child)
    time_us = stamp_us(item.get("at"), f"{where}.at", found.problems)
    found.take(time_us, reading(key, item.get("value"), f"{where}.", found.problems))


def _thing(item: dict[str, Any], where: str, gathered: Gathered) -> None:
    given = item.get("deviceId") or item.get("deviceName")
    child = device_name(given, f"{where}.deviceId", gathered.lost)
    if child is None:
        return
    if (item.get("messageType"), item.get("notifyType")) != ("notify", "property"):
        gathered.notice(child, str(item.get("notifyType") or item.get("messageType"))[:40], item)
        return
    data = item.get("data")
    params = data.get("params") if isinstance(data, dict) else None
    if not isinstance(params, dict) or not params:
        gathered.lost.append(f"{where}.data.params: expected an object of readings, got {shown(params)}")
        return
    found = gathered.of(child)
    for key, one in params.items():
        at = f"{where}.data.params."
        if not isinstance(one, dict) or "value" not in one:
            found.problems.append(f"{at}{key}: expected an object with value and time, got {shown(one)}")
            continue
        found.take(
            stamp_us(one.get("time"), f"{at}{key}.time", found.problems), reading(key, one["value"], at, found.problems)
        )
