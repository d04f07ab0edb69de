"""The models that come with the build are sound, and a wrong one names what is wrong."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from devices.models import DeviceModelWrong, load_models, parse_model
from devices.properties import ObservedProperty
from devices.registry import Device

GOOD = """
model: test-v1
kind: test
name: {zh: 测试, en: Test}
interval_s: 60
source: none
properties:
  - {key: a_m, uom: m, range: [0, 1], name: {zh: 甲, en: A}}
  - {key: b_m, uom: m, range: [0, 1], name: {zh: 乙, en: B}, optional: true}
  - {key: c_m, uom: m, range: [0, 1], name: {zh: 丙, en: C}, optional: true}
"""


def device(**fields: object) -> Device:
    plain = {"device_id": "d", "model": "test-v1", "kind": "test", "name": "n", "lon": 0.0, "lat": 0.0}
    return Device(**(plain | fields))  # type: ignore[arg-type]


def test_the_models_are_those_of_the_interfaces_page() -> None:
    page = Path(__file__).parents[3].joinpath("docs/interfaces.md").read_text(encoding="utf-8").split("## 10.")[1]
    models = load_models()
    rows = re.findall(r"^\| `(\w+)` \| `([\w-]+)` \| (.*) \|$", page, re.MULTILINE)
    assert {model for _, model, _ in rows} == models.keys()
    for kind, model_id, what in rows:
        model = models[model_id]
        assert model.kind == kind
        named = set(re.findall(r"`(\w+)`", what)) - {"confidence", "values", "depth_m"}
        offered = set(model.properties) | set(model.events)
        assert named <= offered, f"{model_id} lacks {named - offered}"


def test_every_number_has_a_range_and_every_property_two_names() -> None:
    for model in load_models().values():
        assert model.source, model.model_id
        for prop in model.properties.values():
            assert prop.name_zh
            assert prop.name_en
            if prop.kind == "number":
                assert prop.range_min is not None
                assert prop.range_max is not None
                assert prop.range_min < prop.range_max


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("uom: m,", "uom: furlong,", "'furlong' is not in"),
        ("range: [0, 1]", "range: [1, 0]", "min < max"),
        ("range: [0, 1], ", "", "needs its physical range"),
        ("key: b_m", "key: a_m", "a_m: is there twice"),
        ("key: a_m", "key: A-m", "property 'A-m'"),
        ("interval_s: 60", "interval_s: 0", "interval_s 0"),
        ("interval_s: 60", "interval_s: minute", "Expected `float`"),
        ("kind: test", "kind: test\ncolour: red", "unknown field `colour`"),
        ("source: none", "", "missing required field `source`"),
        ("model: test-v1", "model: [", "while parsing"),
    ],
)
def test_a_wrong_model_names_what_is_wrong(old: str, new: str, problem: str) -> None:
    with pytest.raises(DeviceModelWrong, match=re.escape(problem)):
        parse_model(GOOD.replace(old, new, 1), file="test-v1.yaml")


def test_a_device_gets_the_series_that_it_can_fill() -> None:
    model = parse_model(GOOD)

    def keys(**fields: object) -> list[str]:
        return [p.key for p in model.properties_of(device(**fields))]

    assert keys() == ["a_m", "b_m", "c_m"]
    assert keys(thresholds={"b_m": {}}) == ["a_m", "b_m"]
    assert keys(thresholds={"a_m": {}}) == ["a_m", "b_m", "c_m"]
    assert keys(attributes={"properties": ["c_m"]}) == ["c_m"]


def test_a_device_may_report_at_its_own_interval() -> None:
    model = parse_model(GOOD)
    assert model.interval_of(device()) == 60
    assert model.interval_of(device(interval_s=5.0)) == 5


def test_the_range_includes_its_ends_and_types_are_strict() -> None:
    prop = ObservedProperty(key="x", uom="m", kind="number", name_zh="", name_en="", range_min=-1.0, range_max=2.0)
    sides = [prop.side(value) for value in (-1.0, 2.0, math.nextafter(2.0, 3.0), -1.1, -math.inf)]
    assert sides == ["inside", "inside", "over", "under", "under"]
    with pytest.raises(ValueError, match="NaN"):
        prop.side(math.nan)
    accepted = [value for value in (1, 1.5, True, "1", None, math.nan, math.inf, [1]) if prop.accepts(value)]
    assert accepted == [1, 1.5]
    text = ObservedProperty(key="x", uom="1", kind="text", name_zh="", name_en="")
    assert text.accepts("a")
    assert not text.accepts(1)
