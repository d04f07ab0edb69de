"""Station numbers in the register: what may stand there, whose they are, and what happens to passwords."""

from __future__ import annotations

from typing import Any

import pytest

from citybrain_testing.logged import gauge, registry_of
from devices.documents import DeviceWrong, parse_device
from devices.models import DeviceModelWrong, load_models, parse_model
from devices.stations import (
    StationIndex,
    sealed,
    shown_attributes,
    stations_of,
    taken_numbers,
    with_known_passwords,
)

MN = "010000A8900016F000169DC0"


def document(stations: Any) -> dict[str, Any]:
    return {
        "device_id": "dust-1",
        "model": "dust-monitor-v1",
        "name": "工地一",
        "lon": 121.4,
        "lat": 28.7,
        "attributes": {"stations": stations},
    }


def bound(device_id: str, station: str) -> Any:
    return gauge(device_id, attributes={"stations": {"hj212": {"station": station}}})


def test_a_password_becomes_a_hash_the_same_each_time() -> None:
    one = parse_device(document({"hj212": {"station": MN, "password": "123456"}}))
    again = parse_device(document({"hj212": {"station": MN, "password": "123456"}}))
    assert one == again, "a second import changes nothing"
    assert "password" not in one.attributes["stations"]["hj212"]
    assert stations_of(one)["hj212"].password_hash.startswith("$7$")
    assert sealed(one) == one


@pytest.mark.parametrize(
    ("stations", "says"),
    [
        ([], "expected a mapping of protocols"),
        ({"hj213": {"station": MN}}, "attributes.stations.hj213: expected one of hj212"),
        ({"hj212": MN}, "expected a mapping with station, got str"),
        ({"hj212": {}}, "missing required field `station`"),
        ({"hj212": {"station": ""}}, "station: expected 1 to 64 ASCII characters"),
        ({"hj212": {"station": "站"}}, "station: expected 1 to 64 ASCII characters"),
        ({"hj212": {"station": MN, "password": 123456}}, "password: expected 1 to 64 characters"),
        ({"hj212": {"station": MN, "mn": "x"}}, "unknown field `mn`"),
        ({"hj212": {"station": MN, "min_interval_s": 0}}, "min_interval_s: expected seconds, more than 0"),
    ],
)
def test_what_is_wrong_with_a_binding_is_named(stations: Any, says: str) -> None:
    with pytest.raises(DeviceWrong) as wrong:
        parse_device(document(stations))
    assert says in str(wrong.value)


def test_the_index_follows_the_register() -> None:
    registry = registry_of([bound("d1", "A")], [])
    index = StationIndex(registry)
    found = index.device_of("hj212", "A")
    assert found is not None
    assert found.device_id == "d1"
    assert index.device_of("sl651", "A") is None
    registry.apply(type(registry.snapshot())(revision=2, devices=[bound("d1", "B")]))
    assert index.device_of("hj212", "A") is None
    assert index.device_of("hj212", "B") is not None


def test_a_number_belongs_to_one_device() -> None:
    registry = registry_of([bound("d1", "A")], [])
    assert taken_numbers(registry, [bound("d1", "A")]) == [], "its own"
    assert taken_numbers(registry, [bound("d1", "B"), bound("d2", "A")]) == [], "handed on in one go"
    assert taken_numbers(registry, [bound("d2", "A")]) == ["d2: hj212 station 'A' belongs to another device already"]
    assert len(taken_numbers(registry, [bound("d2", "C"), bound("d3", "C")])) == 1


def test_every_map_of_a_model_names_properties_of_it() -> None:
    mapped = {model.model_id: sorted(model.codecs) for model in load_models().values() if model.codecs}
    assert {"air-station-v1", "dust-monitor-v1", "gas-detector-v1"} <= mapped.keys()
    text = """
model: x-v1
kind: x
name: {zh: x, en: x}
interval_s: 60
source: x
properties: [{key: a, uom: m, range: [0, 1], name: {zh: a, en: a}}]
codecs: {hj212: {map: {2011/x-Rtd: {to: b}, 2011/y-Rtd: {to: a, scale: 0}}}, hj999: {}}
"""
    with pytest.raises(DeviceModelWrong) as wrong:
        parse_model(text)
    assert len(wrong.value.problems) == 3


def test_what_was_read_may_be_written_back_without_losing_the_password() -> None:
    known = parse_device(document({"hj212": {"station": MN, "password": "123456"}}))
    shown = shown_attributes(known)
    assert shown == {"stations": {"hj212": {"station": MN}}}, "no hash in an answer"
    again = parse_device({**document({}), "attributes": shown})
    assert with_known_passwords(again, known) == known
    other = parse_device(document({"hj212": {"station": "ANOTHER"}}))
    assert with_known_passwords(other, known) == other, "another station's password is not this one's"
    changed = parse_device(document({"hj212": {"station": MN, "password": "654321"}}))
    assert with_known_passwords(changed, known) == changed
    assert with_known_passwords(again, None) == again
    assert shown_attributes(gauge("plain")) == {}
