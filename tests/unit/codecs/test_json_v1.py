"""JSON payloads of cb/v1, and the words for what is wrong with them."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.codecs import json_v1
from devices.codecs.samples import Sample
from devices.topics import BadTopic, Channel, UpTopic, parse_up, up


def test_one_object_becomes_one_sample() -> None:
    payload = b'{"ts":1565308800000,"seq":4,"values":{"stage_m":3.5,"door":true},"q":{"stage_m":3},"bf":true}'
    decoded = json_v1.telemetry("g1", payload)
    values = {"stage_m": 3.5, "door": True}
    sample = Sample(device_id="g1", values=values, ts_us=1_565_308_800_000_000, seq=4, q={"stage_m": 3}, backfill=True)
    assert (decoded.samples, decoded.problems) == ([sample], [])


def test_an_array_keeps_its_good_elements_and_names_the_bad_ones() -> None:
    payload = b'[{"ts":1,"values":{"a":1}},{"ts":2},{"ts":"x","values":{"a":2}},7]'
    decoded = json_v1.telemetry("g1", payload)
    assert [(sample.ts_us, sample.values, sample.path) for sample in decoded.samples] == [
        (1000, {"a": 1}, "[0]"),
        (None, {"a": 2}, "[2]"),  # a wrong stamp does not silence the value
    ]
    assert decoded.problems == [
        "[1].values: expected an object of property keys, got nothing",
        "[2].ts: expected milliseconds since 1970 as an integer, got string 'x'",
        "[3]: expected an object, got number 7",
    ]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "payload: expected JSON, got nothing (0 bytes)"),
        (b'{"ts":1,', "payload: not valid JSON: Input data was truncated; it begins b'{\"ts\":1,'"),
        (b'{"values":{"a":NaN}}', "payload: not valid JSON"),
        (b'"hello"', "payload: expected an object, got string 'hello'"),
        (b"[]", "payload: expected an object or a non-empty array, got an empty array"),
        (b'{"values":{}}', "values: expected at least one property key, got an empty object"),
        (b'{"values":[1]}', "values: expected an object of property keys, got array"),
        (b'{"values":{"a":1},"seq":-1}', "seq: expected an integer from 0 to 4294967295, got number -1"),
        (b'{"values":{"a":1},"seq":true}', "seq: expected an integer from 0 to 4294967295, got bool true"),
        (b'{"values":{"a":1},"q":{"a":7}}', "q.a: expected a QARTOD code 1, 2, 3, 4 or 9, got number 7"),
        (b'{"values":{"a":1},"q":3}', "q: expected an object of quality codes, got number 3"),
        (b'{"values":{"a":1},"bf":"yes"}', "bf: expected true or false, got string 'yes'"),
        (b'{"values":{"a":1},"ts":1e30}', "ts: expected milliseconds since 1970 as an integer, got number 1e+30"),
        (b"\xff\xfe", "payload: not valid JSON"),
    ],
)
def test_reasons_name_the_field_what_was_expected_and_what_came(payload: bytes, reason: str) -> None:
    (problem,) = json_v1.telemetry("g1", payload).problems
    assert problem.startswith(reason)


def test_a_whole_number_with_a_decimal_point_is_a_stamp() -> None:
    assert json_v1.telemetry("g1", b'{"ts":1565308800000.0,"values":{"a":1}}').samples[0].ts_us == 1_565_308_800_000_000


def test_a_gateway_speaks_for_its_children() -> None:
    decoded = json_v1.gateway(b'{"c1":[{"ts":5,"values":{"a":1}}],"c2":{"values":{"b":2}},"c3":4}')
    assert [(s.device_id, s.path, s.values) for s in decoded.samples] == [
        ("c1", "c1[0]", {"a": 1}),
        ("c2", "c2", {"b": 2}),
    ]
    assert decoded.problems == ["c3: expected an object, got number 4"]
    assert json_v1.gateway(b"[]").problems == ["payload: expected an object of child device ids, got array"]


def test_an_event_needs_a_type() -> None:
    event, problems = json_v1.event(b'{"id":"e1","ts":5,"type":"waterlogging","confidence":0.9,"media":["ab"]}')
    assert event is not None
    assert (event.id, event.ts_us, event.type, event.data["confidence"]) == ("e1", 5000, "waterlogging", 0.9)
    assert problems == []
    nothing, problems = json_v1.event(b'{"confidence":2,"values":1,"media":"x","ts":"now","id":[]}')
    assert nothing is None
    assert [problem.partition(":")[0] for problem in problems] == ["type", "id", "ts", "confidence", "values", "media"]


def test_states_and_replies_are_checked() -> None:
    assert json_v1.state(b'{"online":true,"rssi":-70}') == ({"online": True, "rssi": -70}, [])
    assert json_v1.state(b'{"online":1}') == (None, ["online: expected true or false, got number 1"])
    assert json_v1.command_reply(b'{"state":"executed"}') == ({"state": "executed"}, [])
    reply, problems = json_v1.command_reply(b'{"state":"done"}')
    assert reply is None
    assert problems == ["state: expected one of received, executed, failed, got string 'done'"]


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["ts", "seq", "values", "q", "bf", "x"]), inner)
    ),
    max_leaves=12,
)


@given(document=_json)
def test_no_document_raises_and_every_refused_part_has_a_reason(document: object) -> None:
    payload = msgspec.json.encode(document)
    for decoded in (json_v1.telemetry("g1", payload), json_v1.gateway(payload)):
        assert decoded.samples or decoded.problems
    for read in (json_v1.event, json_v1.state, json_v1.command_reply):
        found, problems = read(payload)
        assert (found is None) == bool(problems)


@given(payload=st.binary(max_size=64))
def test_no_bytes_raise(payload: bytes) -> None:
    decoded = json_v1.telemetry("g1", payload)
    assert decoded.samples or decoded.problems


def test_topics_are_read_and_written_the_same_way() -> None:
    for channel, argument in [
        (Channel.TELEMETRY, ""),
        (Channel.GATEWAY, ""),
        (Channel.CMD, "c-7"),
        (Channel.RAW, "hj212"),
    ]:
        topic = up("demo", "g-1", channel, argument)
        assert parse_up(topic) == UpTopic(tenant="demo", device_id="g-1", channel=channel, argument=argument)


@pytest.mark.parametrize(
    "topic",
    [
        "a",
        "cb/v1/demo/g1/down/cmd",
        "cb/v1/demo/g1/up/foo",
        "cb/v1/demo/g 1/up/event",
        "cb/v1/demo/g1/up/cmd",
        "cb/v2/d/g/up/attr",
    ],
)
def test_other_topics_are_refused(topic: str) -> None:
    with pytest.raises(BadTopic, match="expected"):
        parse_up(topic)


_VALUES = st.dictionaries(
    st.sampled_from(["a", "b"]),
    st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | st.text(max_size=3),
    max_size=2,
)
_ITEMS = st.fixed_dictionaries(
    {"values": _VALUES},
    optional={
        "ts": st.integers(-(2**54), 2**54),
        "seq": st.integers(-1, 2**33),
        "bf": st.booleans() | st.none(),
        "q": st.dictionaries(st.sampled_from(["a", "b"]), st.integers(0, 9), max_size=2),
    },
)


@given(st.dictionaries(st.sampled_from(["c1", "c2"]), st.lists(_ITEMS, max_size=3) | _ITEMS, max_size=2))
def test_the_fast_way_through_a_gateways_payload_says_what_the_slow_one_says(document: dict[str, object]) -> None:
    payload = json.dumps(document).encode()
    fast, slow = json_v1.gateway(payload), json_v1._gateway_slow(payload)
    assert fast == slow


@given(st.lists(_ITEMS, max_size=3) | _ITEMS)
def test_the_fast_way_through_telemetry_says_what_the_slow_one_says(document: object) -> None:
    payload = json.dumps(document).encode()
    assert json_v1.telemetry("g1", payload) == json_v1._telemetry_slow("g1", payload)
