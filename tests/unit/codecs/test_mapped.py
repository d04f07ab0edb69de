"""Platforms' payloads by table: the documentation's own examples, what is answered, what is refused, and anything at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.codecs.station import Group, Reading, Refused, Report
from devices.dialects import decoders, families, routes

TABLE = {codec: route for codec, route in routes().items() if route.layout is not None}

# help.aliyun.com device-properties-events-and-services; here with an answer wanted (sys.ack is 0 there)
ALIYUN = {
    "id": "123",
    "version": "1.0",
    "sys": {"ack": 1},
    "params": {"Power": {"value": "on", "time": 1524448722000}, "WF": {"value": 23.6, "time": 1524448722000}},
    "method": "thing.event.property.post",
}
JETLINKS = {"timestamp": 1601196762389, "messageId": "m-1", "deviceId": "other", "properties": {"temp": 36.8}}
# 1449922332 is 2015-12-12 12:12:12 UTC
HUAWEI = {
    "services": [
        {"service_id": "Temperature", "properties": {"value": 57}, "event_time": "20151212T121212Z"},
        {"service_id": "Battery", "properties": {"level": 80}, "event_time": "2015-12-12T12:12:13.500Z"},
    ]
}
HUAWEI_GATEWAY = {
    "devices": [{"device_id": "sub-1", **HUAWEI}, {"device_id": "sub-2", "services": HUAWEI["services"][:1]}]
}
AT_US = 1449922332_000_000


def pieces(codec: str, document: Any) -> list[Report | Refused]:
    decoder = decoders()[codec](None)
    decoder.feed(document if isinstance(document, bytes) else json.dumps(document).encode())
    return list(decoder.finish())


def report(codec: str, document: Any) -> Report:
    (piece,) = pieces(codec, document)
    assert isinstance(piece, Report)
    return piece


def test_aliyuns_example_and_its_answer() -> None:
    found = report("aliyun", ALIYUN)
    assert found.groups == (Group(1524448722_000_000, (Reading("Power", "on"), Reading("WF", 23.6))),)
    assert found.answer is not None
    assert json.loads(found.answer) == {
        "code": 200, "data": {}, "message": "success", "method": "thing.event.property.post", "version": "1.0", "id": "123",
    }  # fmt: skip


def test_aliyun_is_not_answered_where_the_device_wants_no_answer() -> None:
    assert report("aliyun", ALIYUN | {"sys": {"ack": 0}}).answer is None


def test_plain_values_and_stamped_ones_stand_beside_each_other() -> None:
    found = report("aliyun", {"params": {"a": 1, "b": {"value": 2, "time": 1000}, "c": {"value": 3}}})
    assert found.groups == (Group(None, (Reading("a", 1.0), Reading("c", 3.0))), Group(1_000_000, (Reading("b", 2.0),)))


def test_a_strange_id_is_not_echoed() -> None:
    for strange in ({"x": 1}, "x" * 200, None, True):
        answer = report("aliyun", ALIYUN | {"id": strange}).answer
        assert answer is not None
        assert "id" not in json.loads(answer)


def test_jetlinks_example_and_a_device_id_in_the_payload_counts_for_nothing() -> None:
    found = report("jetlinks", JETLINKS)
    assert (found.station, found.groups) == ("", (Group(1601196762389_000, (Reading("temp", 36.8),)),))


def test_huaweis_services_have_their_own_times() -> None:
    found = report("huawei", HUAWEI)
    assert found.groups == (
        Group(AT_US, (Reading("Temperature.value", 57.0),)),
        Group(AT_US + 1_500_000, (Reading("Battery.level", 80.0),)),
    )
    assert found.answer is None


def test_huaweis_gateway_speaks_for_each_device() -> None:
    found = pieces("huawei-gateway", HUAWEI_GATEWAY)
    assert [(p.station, len(p.groups)) for p in found if isinstance(p, Report)] == [("sub-1", 2), ("sub-2", 1)]


@pytest.mark.parametrize(
    ("codec", "document", "problem"),
    [
        ("aliyun", {"id": "1"}, "params: expected an object of readings, got nothing"),
        ("aliyun", {"params": []}, "params: expected an object of readings, got array"),
        ("aliyun", {"params": {"a": {"time": 1}}}, "params.a: expected a finite number, true, false or a text, got nothing"),
        ("aliyun", {"params": {"a": {"value": 1, "time": "x"}}}, "params.a.time: expected milliseconds since 1970 as an integer, got string 'x'"),
        ("jetlinks", {"properties": {"a": [1]}}, "properties.a: expected a finite number, true, false or a text, got array"),
        ("huawei", {"services": [{"properties": {"a": 1}}]}, "services[0].service_id: expected a text, got nothing"),
        ("huawei", {"services": [{"service_id": "s", "properties": {"a": 1}, "event_time": "20151399T000000Z"}]},
         "services[0].event_time: expected a time like 20151212T121212Z, got string '20151399T000000Z'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(codec: str, document: Any, problem: str) -> None:
    assert report(codec, document).problems == (problem,)


@pytest.mark.parametrize(
    ("codec", "document", "problem"),
    [
        ("aliyun", [1], "payload: expected an object, got array"),
        ("huawei", {}, "services: expected a non-empty array, got nothing"),
        ("huawei", {"services": [7]}, "services[0]: expected an object, got number 7"),
        ("huawei-gateway", {"devices": [{"services": HUAWEI["services"][:1]}]},
         "devices[0].services[0].device_id: expected a device's name, got nothing"),
    ],
)  # fmt: skip
def test_what_names_nobody_is_refused_whole(codec: str, document: Any, problem: str) -> None:
    (piece,) = pieces(codec, document)
    assert isinstance(piece, Refused)
    assert piece.problems == (problem,)


def test_one_bad_device_does_not_take_the_others_with_it() -> None:
    good, bad = pieces("huawei-gateway", {"devices": [HUAWEI_GATEWAY["devices"][0], {"device_id": "x"}]})
    assert isinstance(good, Report)
    assert isinstance(bad, Refused)
    assert len(good.groups) == 2
    assert bad.problems == ("devices[1].services: expected a non-empty array, got nothing",)


_KEYS = st.sampled_from(
    ["params", "properties", "services", "devices", "device_id", "service_id", "event_time", "timestamp", "value", "time", "sys", "ack", "id"]
)  # fmt: skip
_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=5),
    max_leaves=20,
)


class TestNothingBreaksIt:
    @given(st.binary(max_size=200), st.sampled_from(sorted(TABLE)))
    def test_any_bytes(self, payload: bytes, codec: str) -> None:
        assert payload == b"" or pieces(codec, payload)

    @given(st.dictionaries(_KEYS, _ANY, max_size=5), st.sampled_from(sorted(TABLE)))
    def test_any_document(self, document: Any, codec: str) -> None:
        found = pieces(codec, document)
        assert found
        for piece in found:
            if isinstance(piece, Report):
                assert piece.groups or piece.problems
                assert families()[codec] != "huawei" or "gateway" not in codec or piece.station
