"""ThingsBoard's payloads: every form of telemetry, a gateway's children, attributes, what is refused, and anything at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.codecs.json_message import BYTES_MAX, JsonMessageDecoder
from devices.codecs.readers import READERS as BY_NAME
from devices.codecs.station import Group, Reading, Refused, Report, Said
from devices.codecs.thingsboard import READERS

TS = 1451649600512  # of the documentation's own example


def pieces(reader: str, document: Any) -> list[Report | Refused]:
    payload = document if isinstance(document, bytes) else json.dumps(document).encode()
    decoder = JsonMessageDecoder("thingsboard", BY_NAME[f"thingsboard.{reader}"])
    assert decoder.feed(payload) == []
    return decoder.finish()


def report(reader: str, document: Any) -> Report:
    (piece,) = pieces(reader, document)
    assert isinstance(piece, Report)
    return piece


def refusal(reader: str, document: Any) -> str:
    (piece,) = pieces(reader, document)
    assert isinstance(piece, Refused)
    (problem,) = piece.problems
    return problem


STAMPED = {"ts": TS, "values": {"key1": "value1", "key2": 42}}


@pytest.mark.parametrize(
    ("document", "groups"),
    [
        ({"key1": 1.5, "on": True}, [Group(None, (Reading("key1", 1.5), Reading("on", True)))]),
        (STAMPED, [Group(TS * 1000, (Reading("key1", "value1"), Reading("key2", 42.0)))]),
        ([{"key1": 1}, {"key2": 2}], [Group(None, (Reading("key1", 1.0), Reading("key2", 2.0)))]),
        (
            [{"ts": TS, "values": {"a": 1}}, {"ts": TS + 5, "values": {"a": 2}}],
            [Group(TS * 1000, (Reading("a", 1.0),)), Group((TS + 5) * 1000, (Reading("a", 2.0),))],
        ),
        ({"values": {"a": 1}}, [Group(None, (Reading("a", 1.0),))]),
        ({"values": 7}, [Group(None, (Reading("values", 7.0),))]),
    ],
)
def test_every_form_of_telemetry(document: Any, groups: list[Group]) -> None:
    found = report("telemetry", document)
    assert (list(found.groups), found.problems, found.station) == (groups, (), "")
    assert found.each_by_its_time, "an array of stamps is no history by the device's word"


@pytest.mark.parametrize(
    ("document", "problem", "kept"),
    [
        ({"a": None, "b": 1}, "a: expected a finite number, true, false or a text, got nothing", ["b"]),
        ({"a": {"x": 1}, "b": 1}, "a: expected a finite number, true, false or a text, got object", ["b"]),
        ({"ts": TS, "b": 1}, 'ts: stands without values: expected {"ts": ..., "values": {...}}', ["b"]),
        ({"ts": "x", "values": {"b": 1}}, "ts: expected milliseconds since 1970 as an integer, got string 'x'", ["b"]),
        ({"ts": True, "values": {"b": 1}}, "ts: expected milliseconds since 1970 as an integer, got bool true", ["b"]),
        ([{"b": 1}, 5], "[1]: expected an object of readings, got number 5", ["b"]),
        ({"": 1, "b": 1}, ": expected a key of 1 to 256 characters", ["b"]),
        ({"ts": TS, "values": {}}, "values: expected at least one key, got an empty object", []),
        ([], "payload: expected readings, got an empty array", []),
        ({}, "payload: expected an object of readings, got object", []),
        ("text", "payload: expected an object of readings, got string 'text'", []),
    ],
)
def test_what_is_wrong_is_named_and_what_is_right_is_kept(document: Any, problem: str, kept: list[str]) -> None:
    found = report("telemetry", document)
    assert found.problems == (problem,)
    assert [reading.name for group in found.groups for reading in group.readings] == kept


def test_a_gateway_speaks_for_each_child_by_name() -> None:
    given_ = {
        "Device A": [{"ts": TS, "values": {"temperature": 42}}, {"ts": TS + 1, "values": {"temperature": 43}}],
        "Device B": [{"ts": "?", "values": {"humidity": 80}}],
        "Device C": 5,
    }
    first, second, third = pieces("gateway", given_)
    assert isinstance(first, Report)
    assert isinstance(second, Report)
    assert isinstance(third, Report)
    assert (first.station, len(first.groups), first.problems) == ("Device A", 2, ())
    assert second.problems == ("Device B[0].ts: expected milliseconds since 1970 as an integer, got string '?'",)
    assert second.groups == (Group(None, (Reading("humidity", 80.0),)),)
    assert (third.station, third.groups) == ("Device C", ())
    assert third.problems == ("Device C: expected an object of readings, got number 5",)


def test_attributes_and_links() -> None:
    own = report("attributes", {"firmware": "1.4", "limits": {"high": 3}})
    assert (own.said, own.station, own.facts) == (Said.ATTRIBUTES, "", {"firmware": "1.4", "limits": {"high": 3}})
    child = report("gateway_attributes", {"Device A": {"firmware": "2"}})
    assert (child.said, child.station, child.facts) == (Said.ATTRIBUTES, "Device A", {"firmware": "2"})
    wrong = report("gateway_attributes", {"Device A": 3})
    assert (wrong.said, wrong.problems) == (Said.DATA, ("Device A: expected an object of attributes, got number 3",))
    link = report("connect", {"device": "Device A", "type": "default"})
    assert (link.said, link.command, link.station) == (Said.NOTICE, "connect", "Device A")
    assert report("disconnect", {"device": "Device A"}).command == "disconnect"


@pytest.mark.parametrize(
    ("reader", "document", "problem"),
    [
        ("telemetry", b'{"a": 1,', "payload: not valid JSON: Input data was truncated; it begins '{\"a\": 1,'"),
        (
            "telemetry",
            b'{"a": 1e999}',
            "payload: not valid JSON: Number out of range - at `$[...]`; it begins '{\"a\": 1e999}'",
        ),
        ("gateway", [1], "payload: expected an object of device names, got array"),
        ("gateway", {}, "payload: expected an object of device names, got object"),
        ("gateway", {"": [{"a": 1}]}, "payload: expected device names, got an empty one"),
        ("gateway_attributes", {"": {"a": 1}}, "payload: expected device names, got an empty one"),
        ("connect", {"device": ""}, 'payload: expected {"device": NAME}, got object'),
        ("disconnect", 3, 'payload: expected {"device": NAME}, got number 3'),
        ("telemetry", b'"' + b"x" * BYTES_MAX + b'"', f"payload: expected at most {BYTES_MAX} bytes"),
    ],
)
def test_what_is_refused_whole(reader: str, document: Any, problem: str) -> None:
    """Above all a gateway's readings without a name: they must not become its own."""
    assert refusal(reader, document) == problem


def test_deep_nesting_is_refused() -> None:
    assert "not valid JSON" in refusal("telemetry", b"[" * 100_000)


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["ts", "values", "device", "a", ""]), inner, max_size=4)
    ),
    max_leaves=12,
)


class TestNothingBreaksIt:
    @given(st.binary(max_size=200), st.sampled_from(sorted(READERS)))
    def test_any_bytes(self, payload: bytes, reader: str) -> None:
        assert payload == b"" or pieces(reader, payload)

    @given(_ANY, st.sampled_from(sorted(READERS)))
    def test_any_document_gives_values_of_three_kinds(self, document: Any, reader: str) -> None:
        for piece in pieces(reader, document):
            if isinstance(piece, Report):
                values = [reading.value for group in piece.groups for reading in group.readings]
                assert all(isinstance(value, bool | float | str) for value in values)
                assert piece.groups or piece.problems or piece.said is not Said.DATA
                assert reader not in ("gateway", "gateway_attributes", "connect") or piece.station
