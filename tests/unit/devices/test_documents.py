"""A register document is refused with every wrong field named."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.documents import DeviceWrong, parse_device, threshold_problems
from devices.registry import Device

GOOD: dict[str, Any] = {
    "device_id": "wg-1",
    "model": "water-gauge-v1",
    "name": "城关水位站",
    "lon": 121.45,
    "lat": 28.68,
    "thresholds": {
        "stage_m": {
            "on": {"blue": 3.0, "red": 5},
            "off": {"blue": 2.8, "red": 4.5},
            "direction": "rise",
            "source": "防汛",
        }
    },
}


def test_a_good_document_becomes_a_device_whose_kind_comes_from_the_model() -> None:
    device = parse_device(GOOD)
    assert device.kind == "water_gauge"
    assert parse_device(msgspec.to_builtins(device)) == device


def test_every_wrong_field_is_named_at_once() -> None:
    with pytest.raises(DeviceWrong) as caught:
        parse_device({"device_id": 7, "model": "water-gauge-v1", "lon": "east", "lat": 1.0, "naem": "x"})
    text = "\n".join(caught.value.problems)
    for part in ("naem: unknown field, did you mean name?", "device_id: Expected `str`", "lon: ", "name: is missing"):
        assert part in text


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"device_id": "a/b"}, "device_id 'a/b'"),
        ({"device_id": "x" * 65}, "device_id"),
        ({"lon": 200.0}, "lon 200.0"),
        ({"lat": float("nan")}, "lat nan"),
        ({"name": "  "}, "name: is empty"),
        ({"model": "water-gauge-v9"}, "expected one of air-station-v1"),
        ({"kind": "camera"}, "is of kind 'water_gauge'"),
        ({"interval_s": 0}, "interval_s 0"),
        ({"gateway": "wg-1"}, "not its own gateway"),
        ({"attributes": {"properties": ["depth_m"]}}, "thresholds.stage_m: is not among"),
        ({"attributes": {"properties": ["foo"]}, "thresholds": {}}, "'foo' is not measured"),
        ({"thresholds": {"stage": {"on": {"red": 1}}}}, "thresholds.stage: model water-gauge-v1 measures"),
        ({"thresholds": {"stage_m": 5}}, "thresholds"),
        ({"thresholds": {"stage_m": {"on": {"blue": 2, "red": 1}}}}, "on.red 1: is not beyond"),
        ({"thresholds": {"stage_m": {"on": {"blue": 2}, "off": {"blue": 3}}}}, "off.blue 3: must not lie at or beyond"),
        ({"thresholds": {"stage_m": {"on": {"blue": 2, "red": 3}, "off": {"blue": 1}}}}, "off.red: is missing"),
        ({"thresholds": {"stage_m": {"first": 2, "second": 3, "deadband": 2}}}, "deadband 2: expected"),
        ({"thresholds": {"stage_m": {"on": {"green": 2}}}}, "on.green: expected one of"),
        ({"thresholds": {"stage_m": {"on": {}}}}, "on: expected a value"),
        ({"thresholds": {"stage_m": {"on": {"red": 1}, "direction": "up"}}}, "direction 'up'"),
        ({"thresholds": {"stage_m": {"on": {"red": True}}}}, "on.red True: expected a number"),
        ({"thresholds": {"stage_m": {"first": 2, "second": 1}}}, "expected 0 < first < second"),
        ({"thresholds": {"stage_m": {"first": 2}}}, "second None: expected a number"),
        ({"thresholds": {"stage_m": {"on": {"red": 1}, "on_delay_s": -1}}}, "on_delay_s -1"),
        ({"thresholds": {"stage_m": {"on": {"red": 1}, "colour": 1}}}, "colour: unknown field"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(DeviceWrong) as caught:
        parse_device(copy.deepcopy(GOOD) | change)
    assert any(problem in line for line in caught.value.problems), caught.value.problems


def test_levels_that_fall_are_ordered_downwards() -> None:
    falling = {"on": {"blue": 2.0, "red": 1.0}, "off": {"blue": 2.5, "red": 1.5}, "direction": "fall"}
    assert list(threshold_problems(falling)) == []
    assert list(threshold_problems(falling | {"direction": "rise"})) != []


@pytest.mark.parametrize("document", [None, [], "x", 5])
def test_what_is_not_a_document_is_refused(document: object) -> None:
    with pytest.raises(DeviceWrong, match="expected a mapping"):
        parse_device(document)


words = st.text(alphabet="ab_-/", max_size=3)
scalars = st.sampled_from([None, True, 0, -1, 1.5, float("nan"), float("inf"), 10**30, "", "red", "stage_m"])
json_values = scalars | words | st.lists(scalars, max_size=2) | st.dictionaries(words, scalars, max_size=2)
level_fields = st.sampled_from(["on", "off", "direction", "first", "second", "on_delay_s", "source"])
levels = st.dictionaries(level_fields, json_values | st.dictionaries(st.just("red"), scalars, max_size=1), max_size=3)
fields = st.sampled_from([*Device.__struct_fields__, "unknown"])


@given(change=st.dictionaries(fields, json_values, max_size=3), stage=levels)
@settings(deadline=None, max_examples=200)
def test_no_document_does_anything_but_parse_or_name_its_problems(
    change: dict[str, Any], stage: dict[str, Any]
) -> None:
    problems: list[str] | None = None
    try:
        parse_device(GOOD | {"thresholds": {"stage_m": stage}} | change)
    except DeviceWrong as error:
        problems = error.problems
    assert problems != []
