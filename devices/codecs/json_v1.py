"""JSON payloads of `cb/v1`: telemetry, gateway telemetry, event, attributes, state, command reply.

What a device sent is turned into samples and events of one form; nothing here knows the registry. One bad element does
not take the good ones with it: each problem is a sentence that names the field, what was expected and what came.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from devices.codecs.samples import SHOWN, Decoded, Sample, shown

TS_MAX_MS = 2**53  # larger integers do not survive a JSON number
SEQ_MAX = 2**32 - 1
Q_CODES = (1, 2, 3, 4, 9)


class _Telemetry(msgspec.Struct):
    """The fast path: whatever does not fit is looked at again, field by field, to find words for it."""

    values: dict[str, Any]
    ts: int | None = None
    seq: int | None = None
    q: dict[str, int] | None = None
    bf: bool = False


class Plain(msgspec.Struct):
    """What a message of nothing but numbers with a stamp is; see `plain`. Whole numbers are floats here; bools are refused."""

    values: dict[str, float]
    ts: int
    seq: int | None = None
    q: dict[str, int] | None = None
    bf: bool = False


_plain_one = msgspec.json.Decoder(Plain)
_plain_many = msgspec.json.Decoder(dict[str, list[Plain]])
_fast = msgspec.json.Decoder(_Telemetry)
_fast_gateway = msgspec.json.Decoder(dict[str, list[_Telemetry]])
_any = msgspec.json.Decoder()


plain = _plain_one.decode
"""bytes -> Plain, of one telemetry object. Raises msgspec.DecodeError or UnicodeDecodeError for everything else, right or wrong: `telemetry` tells."""
plain_gateway = _plain_many.decode
"""bytes -> dict of lists of Plain by child; raises as `plain`, and `gateway` tells."""


def telemetry(device_id: str, payload: bytes) -> Decoded:
    """An object or an array of objects."""
    try:
        fast = _fast.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _telemetry_slow(device_id, payload)
    if not _in_order(fast):
        return _telemetry_slow(device_id, payload)
    return Decoded(samples=[_sample(device_id, fast)])


def _sample(device_id: str, fast: _Telemetry, path: str = "") -> Sample:
    return Sample(
        device_id=device_id,
        values=fast.values,
        ts_us=None if fast.ts is None else fast.ts * 1000,
        seq=fast.seq,
        q=fast.q or {},
        backfill=fast.bf,
        path=path,
    )


def _telemetry_slow(device_id: str, payload: bytes) -> Decoded:
    decoded = Decoded()
    document = _parse(payload, decoded)
    if decoded.problems:
        return decoded
    if isinstance(document, list):
        if not document:
            decoded.problems.append("payload: expected an object or a non-empty array, got an empty array")
        for index, item in enumerate(document):
            _one(device_id, item, f"[{index}]", decoded)
    else:
        _one(device_id, document, "", decoded)
    return decoded


def gateway(payload: bytes) -> Decoded:
    """`{child: [{"ts", "values"}, ...], ...}`; whether the gateway may speak for a child is not decided here."""
    try:
        fast = _fast_gateway.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _gateway_slow(payload)
    samples: list[Sample] = []
    for child, items in fast.items():
        if not items or not all(map(_in_order, items)):
            return _gateway_slow(payload)
        samples += [_sample(child, item, f"{child}[{index}]") for index, item in enumerate(items)]
    return Decoded(samples=samples) if samples else _gateway_slow(payload)


def _gateway_slow(payload: bytes) -> Decoded:
    decoded = Decoded()
    document = _parse(payload, decoded)
    if decoded.problems:
        return decoded
    if not isinstance(document, dict):
        decoded.problems.append(f"payload: expected an object of child device ids, got {shown(document)}")
        return decoded
    if not document:
        decoded.problems.append("payload: expected child device ids, got an empty object")
    for child, items in document.items():
        if isinstance(items, list):
            if not items:
                decoded.problems.append(f"{child}: expected readings, got an empty array")
            for index, item in enumerate(items):
                _one(child, item, f"{child}[{index}]", decoded)
        else:
            _one(child, items, child, decoded)
    return decoded


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceEvent:
    """What the device says happened. `data` is the object as it was sent."""

    type: str
    id: str
    ts_us: int | None
    backfill: bool
    data: dict[str, Any]


def event(payload: bytes) -> tuple[DeviceEvent | None, list[str]]:
    """`{id?, ts?, type, confidence?, values?, media?, bf?}`. The event is None where a field that it needs is wrong."""
    decoded = Decoded()
    document = _parse(payload, decoded)
    if decoded.problems:
        return None, decoded.problems
    if not isinstance(document, dict):
        return None, [f"payload: expected an object, got {shown(document)}"]
    problems: list[str] = []
    kind = document.get("type")
    if not isinstance(kind, str) or not kind:
        problems.append(f"type: expected a non-empty string, got {shown(kind)}")
    identifier = document.get("id", "")
    if not isinstance(identifier, str | int) or isinstance(identifier, bool) or len(str(identifier)) > 128:
        problems.append(f"id: expected a string of at most 128 characters, got {shown(identifier)}")
    ts_us = _ts(document.get("ts"), "", problems)
    confidence = document.get("confidence")
    if confidence is not None and not (_is_number(confidence) and 0 <= confidence <= 1):
        problems.append(f"confidence: expected a number from 0 to 1, got {shown(confidence)}")
    if "values" in document and not isinstance(document["values"], dict):
        problems.append(f"values: expected an object, got {shown(document['values'])}")
    media = document.get("media", [])
    if not isinstance(media, list) or not all(isinstance(item, str) for item in media):
        problems.append(f"media: expected an array of strings, got {shown(media)}")
    if problems:
        return None, problems
    backfill = document.get("bf") is True
    return DeviceEvent(type=str(kind), id=str(identifier), ts_us=ts_us, backfill=backfill, data=document), []


def state(payload: bytes) -> tuple[dict[str, Any] | None, list[str]]:
    """`{"online": bool, ...}`."""
    document, problems = json_object(payload)
    if document is not None and not isinstance(document.get("online"), bool):
        return None, [f"online: expected true or false, got {shown(document.get('online'))}"]
    return document, problems


COMMAND_STATES = ("received", "executed", "failed")


def command_reply(payload: bytes) -> tuple[dict[str, Any] | None, list[str]]:
    """`{"state": "received|executed|failed", "ts"?, "result"?}`."""
    document, problems = json_object(payload)
    if document is not None and document.get("state") not in COMMAND_STATES:
        return None, [f"state: expected one of {', '.join(COMMAND_STATES)}, got {shown(document.get('state'))}"]
    return document, problems


def json_object(payload: bytes) -> tuple[dict[str, Any] | None, list[str]]:
    """Any JSON object (attributes)."""
    decoded = Decoded()
    document = _parse(payload, decoded)
    if decoded.problems:
        return None, decoded.problems
    if not isinstance(document, dict):
        return None, [f"payload: expected an object, got {shown(document)}"]
    return document, []


def _parse(payload: bytes, decoded: Decoded) -> Any:
    if not payload:
        decoded.problems.append("payload: expected JSON, got nothing (0 bytes)")
        return None
    try:
        return _any.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        decoded.problems.append(f"payload: not valid JSON: {error}; it begins {payload[:SHOWN]!r}")
    except RecursionError:
        decoded.problems.append("payload: nested too deeply")
    return None


def _one(device_id: str, item: Any, path: str, decoded: Decoded) -> None:
    """One telemetry object. Without `values` there is none; a wrong `ts`, `seq`, `q` or `bf` is named and left out."""
    prefix = f"{path}." if path else ""
    if not isinstance(item, dict):
        decoded.problems.append(f"{path or 'payload'}: expected an object, got {shown(item)}")
        return
    values = item.get("values")
    if not isinstance(values, dict):
        decoded.problems.append(f"{prefix}values: expected an object of property keys, got {shown(values)}")
        return
    if not values:
        decoded.problems.append(f"{prefix}values: expected at least one property key, got an empty object")
    decoded.samples.append(
        Sample(
            device_id=device_id,
            values=values,
            # A live alarm must not die of a wrong stamp: without one the sample is timed by its arrival.
            ts_us=_ts(item.get("ts"), prefix, decoded.problems),
            seq=_seq(item.get("seq"), prefix, decoded.problems),
            q=_q(item.get("q"), prefix, decoded.problems),
            backfill=_flag(item.get("bf"), prefix, decoded.problems),
            path=path,
        )
    )


def _ts(value: Any, prefix: str, problems: list[str]) -> int | None:
    if value is None:
        return None
    if not _is_number(value) or abs(value) > TS_MAX_MS or value != int(value):
        problems.append(f"{prefix}ts: expected milliseconds since 1970 as an integer, got {shown(value)}")
        return None
    return int(value) * 1000


def _seq(value: Any, prefix: str, problems: list[str]) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= SEQ_MAX:
        problems.append(f"{prefix}seq: expected an integer from 0 to {SEQ_MAX}, got {shown(value)}")
        return None
    return value


def _q(value: Any, prefix: str, problems: list[str]) -> dict[str, int]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        problems.append(f"{prefix}q: expected an object of quality codes, got {shown(value)}")
        return {}
    good = {key: code for key, code in value.items() if code in Q_CODES and not isinstance(code, bool)}
    problems += [
        f"{prefix}q.{key}: expected a QARTOD code 1, 2, 3, 4 or 9, got {shown(code)}"
        for key, code in value.items()
        if key not in good
    ]
    return good


def _flag(value: Any, prefix: str, problems: list[str]) -> bool:
    if value is not None and not isinstance(value, bool):
        problems.append(f"{prefix}bf: expected true or false, got {shown(value)}")
        return False
    return value is True


def _in_order(fast: _Telemetry) -> bool:
    """Whether everything that the types alone do not say is in order."""
    return (
        bool(fast.values)
        and (fast.ts is None or abs(fast.ts) <= TS_MAX_MS)
        and (fast.seq is None or 0 <= fast.seq <= SEQ_MAX)
        and (not fast.q or all(code in Q_CODES for code in fast.q.values()))
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
