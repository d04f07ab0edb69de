"""The document of those who may push: what it becomes, what is refused, and what tells one message from another."""

from __future__ import annotations

import ipaddress

import pytest

from ingest.push_signatures import Signed
from ingest.push_sources import PushSource, SourcesWrong, codecs, parse_sources

GOOD = """
sources:
  - {name: aep, form: ctwing, device: gw-aep, allow: [203.0.113.0/24]}
  - {name: onenet, form: onenet, device: gw-onenet}
  - {name: iotda, form: huawei, device: gw-iotda}
  - {name: bridge, form: json, device: gw-json, signature: token, codec: thingsboard-gateway}
"""


def sources() -> dict[str, PushSource]:
    secrets = {"onenet": "12345678", "iotda": "12345678"}
    return {source.name: source for source in parse_sources(GOOD, secrets)}


def test_a_form_says_signature_and_codec_and_a_source_may_say_otherwise() -> None:
    told = {name: (source.signature, source.codec, source.open) for name, source in sources().items()}
    assert told == {
        "aep": ("none", "ctwing", True),
        "onenet": ("onenet", "onenet", True),
        "iotda": ("huawei", "huawei-push", True),
        "bridge": ("token", "thingsboard-gateway", False),
    }
    assert sources()["aep"].topic("demo") == "cb/v1/demo/gw-aep/up/raw/ctwing"
    (plain,) = parse_sources("sources: [{name: a, form: json, device: gw}]", {})
    assert plain.topic("demo") == "cb/v1/demo/gw/up/gw/telemetry"


def test_an_address_is_let_in_by_the_networks_of_the_source() -> None:
    inside, outside = ipaddress.ip_address("203.0.113.7"), ipaddress.ip_address("203.0.114.7")
    assert [sources()["aep"].admits(one) for one in (inside, outside)] == [True, False]
    assert sources()["iotda"].admits(outside)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("name: aep", "name: AEP", "source 'AEP': name: expected"),
        ("name: aep", "name: onenet", "source 'onenet': stands twice"),
        ("form: ctwing", "form: aep", "form 'aep': expected one of onenet, ctwing, huawei, json"),
        ("device: gw-aep", "device: gw/aep", "device 'gw/aep': expected a device id"),
        (", allow: [203.0.113.0/24]", "", "allow: expected the addresses that it comes from"),
        ("203.0.113.0/24", "203.0.113.1/24", "allow: expected networks like"),
        ("203.0.113.0/24", "0.0.0.0/0", "expected a network, not every address"),
        (
            "signature: token",
            "signature: rot13",
            "signature 'rot13': expected one of onenet, huawei, hmac, token, none",
        ),
        ("codec: thingsboard-gateway", "codec: onvif-json", "codec 'onvif-json': expected one of json"),
        ("codec: thingsboard-gateway", "codec: jt808", "codec 'jt808': expected one of json"),
        ("codec: thingsboard-gateway", "secret: x", "unknown field `secret`"),
        (GOOD, "sources: []", "sources: expected 1 to 200, got 0"),
        (GOOD, "sources: 7", "Expected `array`"),
        (GOOD, "sources: [", "while parsing"),
        (GOOD, "", "Expected `object`"),
    ],
)
def test_a_wrong_document_is_refused_with_words(old: str, new: str, problem: str) -> None:
    with pytest.raises(SourcesWrong, match=r"city\.yaml") as caught:
        parse_sources(GOOD.replace(old, new), {}, file="city.yaml")
    assert problem in str(caught.value)


def test_what_needs_the_levels_of_a_topic_or_a_session_cannot_be_pushed() -> None:
    assert {"json", "onenet", "ctwing", "huawei-push", "senml", "thingsboard-gateway"} <= set(codecs())
    assert not {"aliyun", "jetlinks-child", "onvif-json", "jt808"} & set(codecs())


def test_a_message_that_carries_its_own_time_is_one_however_it_was_signed() -> None:
    iotda, aep = sources()["iotda"], sources()["aep"]
    body = b'{"event_time": "20151212T121212Z"}'
    first, again = Signed(stamp="1/a", alone="x"), Signed(stamp="2/b", alone="y")
    assert iotda.delivery(first, body) == iotda.delivery(again, body) != 0
    assert iotda.delivery(first, body) != iotda.delivery(first, body + b" ")
    assert aep.delivery(Signed(), b'{"timestamp": 1}') != aep.delivery(Signed(), b'{"timestamp": 2}')


def test_without_a_time_of_its_own_the_request_tells_and_else_nothing_does() -> None:
    """The same value a minute later is no repetition."""
    (bridge,) = parse_sources("sources: [{name: a, form: json, device: gw}]", {})
    body = b'{"g1": [{"values": {"stage_m": 2}}]}'
    assert bridge.delivery(Signed(stamp="1"), body) == bridge.delivery(Signed(stamp="1"), body) != 0
    assert bridge.delivery(Signed(stamp="1"), body) != bridge.delivery(Signed(stamp="2"), body)
    assert bridge.delivery(Signed(), body) == 0
    assert sources()["aep"].delivery(Signed(), b"{}") == 0
