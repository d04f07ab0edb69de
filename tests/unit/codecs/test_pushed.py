"""What platforms push over HTTP: OneNET, CTWing and IoTDA, in the bodies that their documents and receivers show, and anything at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.codecs.station import Decoder, Refused, Report, Said
from devices.dialects import decoders

AT = 1466133706841  # of OneNET's own example
POINT = {"type": 1, "dev_id": 2016617, "ds_id": "datastream_id", "at": AT, "value": 42}
# Kept by public receivers of CTWing.
SMOKE = {
    "upPacketSN": -1,
    "topic": "v1/up/ad19prof",
    "timestamp": 1606982320277,
    "serviceId": "",
    "protocol": "lwm2m",
    "productId": "15014772",
    "payload": {"serviceId": "notification", "serviceData": {"TData": 30, "RSRP": 114, "IMEI": "860374051096202"}},
    "messageType": "dataReport",
    "deviceId": "acf7baaee65e431eadfb8f5fe50e8b81",
}
THROUGH = {
    "timestamp": 1650554828842,
    "payload": {"APPdata": "AQFWMS4wAAAAACMA"},
    "messageType": "dataReport",
    "deviceId": "40edca19b0124480864366de4621de99",
}
# The shape of support.huaweicloud.com/api-iothub/iot_06_v5_01202, with values.
HUAWEI = {
    "resource": "device.property",
    "event": "report",
    "event_time": "20151212T121212Z",
    "notify_data": {
        "header": {"device_id": "6aa5_gauge-1", "node_id": "gauge-1", "product_id": "6aa5"},
        "body": {"services": [{"service_id": "Level", "properties": {"stage": 1.5}, "event_time": "20151212T121210Z"}]},
    },
}


def pieces(codec: str, document: Any) -> list[Report | Refused]:
    decoder: Decoder = decoders()[codec](None)
    decoder.feed(document if isinstance(document, bytes) else json.dumps(document).encode())
    return list(decoder.finish())


def readings(codec: str, document: Any) -> dict[str, dict[str, tuple[Any, Any]]]:
    """By device and key: the value and its time in ms."""
    found: dict[str, dict[str, tuple[Any, Any]]] = {}
    for piece in pieces(codec, document):
        assert isinstance(piece, Report), piece
        assert piece.problems == ()
        for group in piece.groups:
            stamp = None if group.time_us is None else group.time_us // 1000
            found.setdefault(piece.station, {}).update({one.name: (one.value, stamp) for one in group.readings})
    return found


def refusals(codec: str, document: Any) -> list[str]:
    return [text for piece in pieces(codec, document) for text in piece.problems]


def enveloped(msg: Any) -> dict[str, Any]:
    return {"msg": msg, "msg_signature": "c2ln", "nonce": "abcdefgh"}


@pytest.mark.parametrize("msg", [POINT, [POINT], json.dumps(POINT), json.dumps([POINT])])
def test_a_data_point_of_onenet_in_each_envelope(msg: Any) -> None:
    assert readings("onenet", enveloped(msg)) == {"2016617": {"datastream_id": (42.0, AT)}}


def test_one_push_of_onenet_names_several_devices_and_what_is_no_reading_is_a_notice() -> None:
    other = POINT | {"dev_id": "77", "value": "on"}
    gone = {
        "type": 2,
        "dev_id": 77,
        "status": 0,
        "login_type": 10,
        "at": AT,
        "huge": 10**40,
        "more": {},
        "text": "x" * 999,
    }
    points, link = pieces("onenet", enveloped([POINT, other, gone]))[:2], pieces("onenet", enveloped([gone]))[0]
    assert [piece.station for piece in points] == ["2016617", "77"]
    assert isinstance(link, Report)
    assert (link.said, link.station, link.command) == (Said.NOTICE, "77", "status")
    assert link.facts == {"type": 2, "dev_id": 77, "status": 0, "login_type": 10, "at": AT, "text": "x" * 200}


def test_properties_of_onenets_thing_model() -> None:
    params = {"temp": {"value": 21.5, "time": AT}, "on": {"value": True, "time": AT + 1}}
    thing = {"deviceId": "d1", "messageType": "notify", "notifyType": "property", "data": {"id": "1", "params": params}}
    assert readings("onenet", enveloped(json.dumps(thing))) == {"d1": {"temp": (21.5, AT), "on": (True, AT + 1)}}


def test_a_report_of_ctwing() -> None:
    assert readings("ctwing", SMOKE)["acf7baaee65e431eadfb8f5fe50e8b81"]["TData"] == (30.0, 1606982320277)
    plain = SMOKE | {"payload": {"level": 2.5}, "deviceId": "d2"}
    both = readings("ctwing", [SMOKE, plain])
    assert both["d2"] == {"level": (2.5, 1606982320277)}
    assert len(both) == 2
    event = {"messageType": "eventReport", "deviceId": "d2", "timestamp": AT, "eventContent": {"level": 3}}
    assert readings("ctwing", event) == {"d2": {"level": (3.0, AT)}}


def test_bytes_that_are_passed_through_are_refused_so_that_they_are_kept() -> None:
    (reason,) = refusals("ctwing", THROUGH)
    assert reason.startswith("payload.APPdata: bytes of a product that is passed through")


def test_a_push_of_iotda() -> None:
    stamp = 1449922330000
    assert readings("huawei-push", HUAWEI) == {"6aa5_gauge-1": {"Level.stage": (1.5, stamp)}}


@pytest.mark.parametrize(
    ("codec", "document", "said"),
    [
        ("onenet", [], "payload: expected an object with msg, got array"),
        ("onenet", {}, "msg: expected an object or a non-empty array, got nothing"),
        ("onenet", enveloped([]), "msg: expected an object or a non-empty array, got array"),
        ("onenet", enveloped("{"), "payload: not valid JSON"),
        ("onenet", {"enc_msg": "x", "nonce": "abcdefgh"}, "enc_msg: an encrypted push; choose plain text"),
        ("onenet", enveloped(POINT | {"dev_id": True}), "msg.dev_id: expected a device's name, got bool true"),
        ("onenet", enveloped(POINT | {"type": 9}), "msg.type: expected one of 1, 2, 7, got number 9"),
        ("onenet", enveloped(POINT | {"ds_id": ""}), "msg.ds_id: expected a data stream's name"),
        ("onenet", enveloped([POINT, 7]), "msg[1]: expected an object, got number 7"),
        ("onenet", enveloped(POINT | {"value": {}}), "msg.datastream_id: expected a finite number"),
        ("ctwing", [], "payload: expected an object or a non-empty array of them, got array"),
        ("ctwing", SMOKE | {"deviceId": ""}, "deviceId: expected a device's name"),
        ("ctwing", SMOKE | {"messageType": 1}, "messageType: expected a text like dataReport, got number 1"),
        ("ctwing", SMOKE | {"payload": "x"}, "payload: expected an object of readings, got string 'x'"),
        ("ctwing", [SMOKE, 1], "[1]: expected an object, got number 1"),
        ("huawei-push", {"notify_data": {}}, "notify_data.body.services: expected a non-empty array, got nothing"),
    ],
)
def test_what_is_wrong_is_named(codec: str, document: Any, said: str) -> None:
    assert any(text.startswith(said) for text in refusals(codec, document)), refusals(codec, document)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["msg", "type", "dev_id", "ds_id", "at", "value", "deviceId", "messageType", "payload", "data"]
            )
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(codec=st.sampled_from(["onenet", "ctwing", "huawei-push"]), document=ANYTHING)
def test_any_document_is_read_or_refused_with_reasons(codec: str, document: Any) -> None:
    for piece in pieces(codec, document):
        assert piece.problems or isinstance(piece, Report)
        assert not isinstance(piece, Report) or piece.station, "whose a reading is must be said"


@given(codec=st.sampled_from(["onenet", "ctwing", "huawei-push"]), payload=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(codec: str, payload: bytes) -> None:
    pieces(codec, payload)
