"""ONVIF events over MQTT: the specification's examples, the form with SimpleItem, ends, what is refused, and anything at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.codecs.json_message import JsonMessageDecoder
from devices.codecs.onvif import EVENTS, event
from devices.codecs.seen import TYPES, ended, type_of_class, type_of_rule
from devices.codecs.station import Refused, Report, Said
from devices.models import load_models

# onvif/specs doc/Core.xml, JSON Event Payload, first example; 2008-10-10 12:24:57.321 UTC
CROSSED = "RuleEngine/LineDetector/Crossed/&1/2/MyImportantFence1"
CROSSING = {
    "UtcTime": "2008-10-10T12:24:57.321Z",
    "Source": {"VideoSource": "1", "AnalyticsConfiguration": "2", "Rule": "MyImportantFence1"},
    "Data": {"ObjectId": "15"},
}
AT_US = 1_223_641_497_321_000
INSIDE = "RuleEngine/FieldDetector/ObjectsInside/&1/2/Yard"
IN_ITEMS = {
    "UtcTime": "2008-10-10T12:24:57.321Z",
    "Source": {"SimpleItem": [{"Name": "VideoSource", "Value": "1"}, {"Name": "Rule", "Value": "Yard"}]},
    "Data": {"SimpleItem": {"Name": "IsInside", "Value": "true"}},
}


def pieces(topic: str, document: Any) -> list[Report | Refused]:
    decoder = JsonMessageDecoder("onvif-json", event)
    decoder.levels = tuple(topic.split("/")) if topic else ()
    decoder.feed(document if isinstance(document, bytes) else json.dumps(document).encode())
    return decoder.finish()


def report(topic: str, document: Any) -> Report:
    (piece,) = pieces(topic, document)
    assert isinstance(piece, Report)
    return piece


def refusal(topic: str, document: Any) -> str:
    (piece,) = pieces(topic, document)
    assert isinstance(piece, Refused)
    (problem,) = piece.problems
    return problem


def happened(topic: str, document: Any) -> list[tuple[str, str, str]]:
    """(type, state, text) of each."""
    return [(one.type, one.data["state"], one.text) for one in report(topic, document).happened]


def stated(value: Any, *, item: str = "IsInside", rule: str = "Yard", **more: Any) -> dict[str, Any]:
    return {"Source": {"Rule": rule}, "Data": {item: value}, **more}


def test_the_specifications_first_example() -> None:
    (one,) = report(CROSSED, CROSSING).happened
    assert (one.type, one.name, one.text) == ("line_crossing", CROSSED, "MyImportantFence1")
    assert (one.time_us, one.confidence, one.data) == (AT_US, None, {"state": "", "facts": {"ObjectId": "15"}})


def test_the_form_with_simple_items_says_the_same() -> None:
    (one,) = report(INSIDE, IN_ITEMS).happened
    assert (one.type, one.text, one.time_us, one.data["state"]) == ("intrusion", "Yard", AT_US, "start")
    assert one.name == "RuleEngine/FieldDetector/ObjectsInside/&1/Yard"


@pytest.mark.parametrize("topic", ["RuleEngine/tns1:FieldDetector/ObjectsInside&/1", "tns1:RuleEngine/FieldDetector/ObjectsInside"])  # fmt: skip
def test_a_prefix_that_stayed_and_a_source_in_the_abnf_s_place(topic: str) -> None:
    assert happened(topic, stated("true")) == [("intrusion", "start", "Yard")]


def test_a_message_may_name_its_topic_itself() -> None:
    named = {"Topic": "tns1:RuleEngine/FieldDetector/ObjectsInside", **stated("true")}
    assert happened("", named) == [("intrusion", "start", "Yard")]


@pytest.mark.parametrize("value", ["true", True, "1", 1, "active", "On"])
def test_what_is_true(value: Any) -> None:
    assert happened(INSIDE, stated(value)) == [("intrusion", "start", "Yard")]


@pytest.mark.parametrize("value", ["false", False, "0", 0, "inactive"])
def test_what_is_false_is_an_end_and_no_all_clear(value: Any) -> None:
    assert happened(INSIDE, stated(value)) == [("intrusion_ended", "end", "Yard")]
    assert happened(INSIDE, stated(value, PropertyOperation="Changed")) == [("intrusion_ended", "end", "Yard")]


def test_a_first_report_of_nothing_is_no_end() -> None:
    got = report(INSIDE, stated("false", PropertyOperation="Initialized"))
    assert (got.said, got.happened) == (Said.HEARTBEAT, ())
    assert happened(INSIDE, stated("true", PropertyOperation="Initialized")) == [("intrusion", "start", "Yard")]


def test_a_property_that_is_gone_has_ended() -> None:
    assert happened(INSIDE, b"") == [("intrusion_ended", "end", "Yard")]
    assert happened(INSIDE, stated("true", PropertyOperation="Deleted")) == [("intrusion_ended", "end", "Yard")]
    assert happened(CROSSED, b"") == []


@pytest.mark.parametrize(
    ("rule", "kind"),
    [("smoke", "smoke"), ("Fire-2", "fire"), ("crowd 12", "crowd"), ("waterlogging", "waterlogging"), ("smoker", "")],
)
def test_a_rule_that_is_named_after_a_type_is_of_that_type(rule: str, kind: str) -> None:
    assert type_of_rule(rule) == kind
    if kind:
        assert happened(INSIDE, stated("true", rule=rule)) == [(kind, "start", rule)]
        vendors = "RuleEngine/acme:Analytics/Alarm/&1/x"
        assert happened(vendors, stated("false", item="State", rule=rule)) == [(ended(kind), "end", rule)]
        assert happened(vendors, {"Source": {"Rule": rule}}) == [(kind, "", rule)]


def test_classes_become_types_each_once() -> None:
    topic = "RuleEngine/ObjectDetection/Object/&1/seen-here"
    seen = {"Data": {"ClassTypes": "Person Vehicle Car Drone"}}
    assert happened(topic, seen) == [
        ("person", "", "Person"), ("vehicle", "", "Vehicle Car"), ("object_seen", "", "Drone"),
    ]  # fmt: skip
    assert happened(topic, {"Data": {"ClassTypes": ["smoke"]}}) == [("smoke", "", "smoke")]
    assert happened(topic, {"Data": {"ClassTypes": ""}}) == []


def test_a_topic_that_is_not_listed_is_a_notice() -> None:
    got = report("RuleEngine/CountAggregation/Counter/&1/Door", {"Data": {"Count": 7}})
    assert (got.said, got.command, got.facts) == (Said.NOTICE, "RuleEngine/CountAggregation/Counter", {"Count": "7"})


@pytest.mark.parametrize(
    ("stated_", "confidence"), [("0.83", 0.83), (0.5, 0.5), (83, None), ("high", None), (None, None)]
)
def test_a_likelihood_is_taken_where_it_is_one(stated_: Any, confidence: float | None) -> None:
    document = {"Data": {"IsInside": "true", "Likelihood": stated_}}
    assert report(INSIDE, document).happened[0].confidence == confidence


def test_a_time_that_is_none_is_named_and_costs_no_event() -> None:
    got = report(INSIDE, stated("true", UtcTime="yesterday"))
    assert (got.happened[0].time_us, len(got.happened)) == (None, 1)
    assert got.problems == ("UtcTime: expected a time like 2008-10-10T12:24:57.321Z, got string 'yesterday'",)
    assert report(INSIDE, stated("true", UtcTime="2008-10-10T12:24:57.321")).happened[0].time_us == AT_US
    assert report(INSIDE, stated("true", UtcTime="2008-10-10T20:24:57.321+08:00")).happened[0].time_us == AT_US


@pytest.mark.parametrize(
    ("topic", "document", "problem"),
    [
        ("", CROSSING, "topic: expected the ONVIF topic behind the codec, or Topic in the message"),
        ("&1/2", CROSSING, "topic: expected the ONVIF topic behind the codec, or Topic in the message"),
        (CROSSED, [1], "payload: expected an object, got array"),
        (CROSSED, b"<xml/>", "payload: not valid JSON: JSON is malformed: invalid character (byte 0); it begins '<xml/>'"),
        (INSIDE, stated("perhaps"), "Data.IsInside: expected true or false, got string 'perhaps'"),
        (INSIDE, {"Data": {}}, "Data.IsInside: expected true or false, got nothing"),
        (INSIDE, {"Data": 7}, "Data: expected an object of names, got number 7"),
        (INSIDE, {"Source": {"SimpleItem": [7]}}, 'Source.SimpleItem[0]: expected {"Name": ..., "Value": ...}, got number 7'),
        (INSIDE, {"Data": {str(n): n for n in range(65)}}, "Data: expected at most 64 names, got 65"),
        (INSIDE, stated("true", PropertyOperation="Gone"), "PropertyOperation: expected one of Initialized, Changed, Deleted, got string 'Gone'"),
        ("RuleEngine/ObjectDetection/Object", {"Data": {"ClassTypes": [7]}}, "Data.ClassTypes: expected at most 64 class names, got array"),
    ],
)  # fmt: skip
def test_what_is_refused(topic: str, document: Any, problem: str) -> None:
    assert refusal(topic, document) == problem


def test_every_word_is_an_event_of_the_model() -> None:
    known = load_models()["camera-v1"].events.keys()
    assert known >= TYPES
    assert {kind for kind, _ in EVENTS.values()} <= TYPES
    assert type_of_class(" Flames") == "fire"


_VALUE = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["true", "false", "Person", "smoke", ""])
)
_ANY = st.recursive(
    _VALUE | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["UtcTime", "Source", "Data", "SimpleItem", "Name", "Value", "IsInside", "State", "Rule", "ClassTypes", "PropertyOperation", "Topic", "Likelihood"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=16,
)  # fmt: skip
_TOPICS = st.sampled_from([*EVENTS, "RuleEngine/ObjectDetection/Object", "a/&/b", "&", "", INSIDE]) | st.text(
    max_size=20
)


class TestNothingBreaksIt:
    @given(_TOPICS, st.binary(max_size=200))
    def test_any_bytes(self, topic: str, payload: bytes) -> None:
        assert (payload == b"" and not topic) or pieces(topic, payload)

    @given(_TOPICS, _ANY)
    def test_any_document_is_a_report_or_a_reason(self, topic: str, document: Any) -> None:
        (piece,) = pieces(topic, document)
        if isinstance(piece, Refused):
            assert piece.problems[0]
            return
        for one in piece.happened:
            assert one.type.removesuffix("_ended") in TYPES
            assert one.confidence is None or 0 <= one.confidence <= 1
            assert len(one.name) <= 200
