"""The published JSON Schemas say what design.md section 7 says."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from referencing import Registry, Resource

FOLDER = Path(__file__).parents[3] / "devices" / "schemas"


@cache
def schemas() -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))}


def valid(name: str, document: object) -> bool:
    registry: Registry[Any] = Registry().with_resources(
        (schema["$id"], Resource.from_contents(schema)) for schema in schemas().values()
    )
    return bool(jsonschema.Draft202012Validator(schemas()[name], registry=registry).is_valid(document))


def test_each_schema_is_a_schema() -> None:
    assert set(schemas()) == {"telemetry", "event", "attr", "state", "cmd_reply", "gw_telemetry", "cmd", "ack"}
    for schema in schemas().values():
        jsonschema.Draft202012Validator.check_schema(schema)


REPORT = {"ts": 1565308800000, "seq": 1, "values": {"stage_m": 3.2, "door": True, "mode": "auto"}, "q": {"stage_m": 3}}


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("telemetry", REPORT),
        ("telemetry", [REPORT, {"values": {"a": 1}, "bf": True}]),
        ("event", {"type": "smoke", "confidence": 0.5, "media": ["ab"], "values": {"depth_m": 0.3}, "ts": 1}),
        ("attr", {"firmware": "1.0", "position": {"lon": 1, "lat": 2}}),
        ("state", {"online": False}),
        ("cmd_reply", {"state": "executed", "ts": 5, "result": {"ok": True}}),
        ("gw_telemetry", {"child-1": [REPORT]}),
        ("cmd", {"id": "c1", "method": "clock_set", "params": {"ts": 1}, "expires_at": 2}),
        ("ack", {"seq": 7}),
    ],
)
def test_good_payloads_pass(name: str, document: object) -> None:
    assert valid(name, document)


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("telemetry", {}),
        ("telemetry", {"values": {}}),
        ("telemetry", {"values": {"a": None}}),
        ("telemetry", {"values": {"a": [1]}}),
        ("telemetry", {"values": {"A b": 1}}),
        ("telemetry", {"values": {"a": 1}, "q": {"a": 5}}),
        ("telemetry", {"values": {"a": 1}, "ts": "2019"}),
        ("telemetry", {"values": {"a": 1}, "time": 1}),
        ("telemetry", []),
        ("event", {"confidence": 0.5}),
        ("event", {"type": "smoke", "confidence": 1.5}),
        ("state", {"online": "yes"}),
        ("cmd_reply", {"state": "done"}),
        ("gw_telemetry", {"a/b": [REPORT]}),
        ("cmd", {"id": "c1", "method": "clock_set", "params": {}}),
        ("ack", {"seq": -1}),
    ],
)
def test_bad_payloads_fail(name: str, document: object) -> None:
    assert not valid(name, document)
