"""ThingsBoard's payloads: telemetry, attributes, and what a gateway says of the devices behind it.

Telemetry is `{"k": v}`, `{"ts": ms, "values": {"k": v}}` or an array of either; a gateway's is `{"Device A": [...], ...}`, where
the name is a child's (`Report.station`). Values are numbers, bools and texts; an object, an array or null is named and left out,
and what stands beside it is kept. A `ts` that is no time, or that stands without `values`, is named too: the values are then
timed by their arrival, since a live alarm must not die of a wrong stamp.

Source: thingsboard.io/docs/reference/mqtt-api and gateway-mqtt-api.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from devices.codecs.json_message import Finding, WrongMessage, parsed, reading, stamp_us
from devices.codecs.samples import shown
from devices.codecs.station import Refused, Report, Said


def telemetry(payload: bytes) -> list[Report | Refused]:
    """The sender's own readings."""
    found = Finding()
    _items(parsed(payload), "", found)
    return [found.report("", payload)]


def gateway(payload: bytes) -> list[Report | Refused]:
    """Readings by child."""
    return [_child_report(child, items, payload) for child, items in _children(payload).items()]


def attributes(payload: bytes) -> list[Report | Refused]:
    """The sender's own attributes."""
    return [_attributes("", parsed(payload), payload)]


def gateway_attributes(payload: bytes) -> list[Report | Refused]:
    """Attributes by child."""
    return [_attributes(child, given, payload) for child, given in _children(payload).items()]


def connect(payload: bytes) -> list[Report | Refused]:
    """`{"device": NAME}`: the gateway has found a child."""
    return [_link("connect", payload)]


def disconnect(payload: bytes) -> list[Report | Refused]:
    """`{"device": NAME}`: the gateway has lost it."""
    return [_link("disconnect", payload)]


READERS: Mapping[str, Callable[[bytes], list[Report | Refused]]] = {
    reader.__name__: reader for reader in (telemetry, attributes, gateway, gateway_attributes, connect, disconnect)
}


def _children(payload: bytes) -> dict[str, Any]:
    document = parsed(payload)
    if not isinstance(document, dict) or not document:
        raise WrongMessage(f"payload: expected an object of device names, got {shown(document)}")
    if "" in document:
        raise WrongMessage("payload: expected device names, got an empty one")
    return document


def _child_report(child: str, items: Any, payload: bytes) -> Report:
    found = Finding()
    _items(items, child, found)
    return found.report(child, payload)


def _items(given: Any, path: str, found: Finding) -> None:
    if not isinstance(given, list):
        _item(given, path, found)
        return
    if not given:
        found.problems.append(f"{path or 'payload'}: expected readings, got an empty array")
    for index, item in enumerate(given):
        _item(item, f"{path}[{index}]", found)


def _item(item: Any, path: str, found: Finding) -> None:
    if not isinstance(item, dict) or not item:
        found.problems.append(f"{path or 'payload'}: expected an object of readings, got {shown(item)}")
        return
    prefix, values, time_us = f"{path}." if path else "", item, None
    if isinstance(item.get("values"), dict):
        values = item["values"]
        time_us = stamp_us(item.get("ts"), f"{prefix}ts", found.problems)
        prefix += "values."
        if not values:
            found.problems.append(f"{prefix[:-1]}: expected at least one key, got an empty object")
    elif "ts" in item:
        found.problems.append(f'{prefix}ts: stands without values: expected {{"ts": ..., "values": {{...}}}}')
        values = {key: value for key, value in item.items() if key != "ts"}
    for key, value in values.items():
        found.take(time_us, reading(key, value, prefix, found.problems))


def _attributes(child: str, given: Any, payload: bytes) -> Report:
    found = Finding()
    facts: dict[str, Any] = given if isinstance(given, dict) else {}
    if not facts:
        found.problems.append(f"{child or 'payload'}: expected an object of attributes, got {shown(given)}")
        return found.report(child, payload)
    return found.report(child, payload, said=Said.ATTRIBUTES, command="attributes", facts=facts)


def _link(command: str, payload: bytes) -> Report:
    document = parsed(payload)
    child = document.get("device") if isinstance(document, dict) else None
    if not isinstance(child, str) or not child:
        raise WrongMessage(f'payload: expected {{"device": NAME}}, got {shown(document)}')
    return Finding().report(child, payload, said=Said.NOTICE, command=command)
