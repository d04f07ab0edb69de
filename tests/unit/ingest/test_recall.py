"""Dead letters read again: the pipeline of live messages, told as history and answered by nobody."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citybrain_testing.clocks import LEKIMA_US
from citybrain_testing.logged import events_of, gauge, registry_of, rows_of, series
from citybrain_testing.stations import hj212_device, hj212_frame, local
from devices.codecs import jt808
from devices.models import load_models
from devices.registry import Datastream, Registry
from ingest.letters import RAW_MAX, RETAINED, dead_letter
from ingest.message import Message
from ingest.pipeline import Link, Pipeline
from ingest.recall import Recall, Recalled, not_replayable
from stream.records import RETOLD, Record, RecordKind, Source

THEN = LEKIMA_US
THEN_MS = THEN // 1000
HOUR_MS = 3_600_000
MODELS = load_models()
HISTORY = int(Source.BACKFILL | Source.REPLAY)


def register(*more: Any) -> Registry:
    devices = [gauge("gw", model="gateway-v1"), *more]
    streams = [series(i, d.device_id) for i, d in enumerate(more, 1)]
    return registry_of(devices, streams)


def read(registry: Registry, body: Any, tail: str = "up/telemetry", device: str = "g1", **options: Any) -> Recalled:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Recall("demo", registry, MODELS).read(f"cb/v1/demo/{device}/{tail}", payload, THEN, **options)


def rows(found: Recalled) -> list[dict[str, Any]]:
    return [] if found.rows is None else found.rows.table.to_pylist()


EVERYTHING = register(gauge("child", gateway="gw"), gauge("g1"))
CHILD = {"child": [{"ts": THEN_MS, "seq": 7, "values": {"stage_m": 4.5}}]}


def test_a_child_that_is_registered_now_gets_its_history_under_its_own_times() -> None:
    assert read(register(), CHILD, "up/gw/telemetry", "gw") == Recalled(wrong=("child 'child' is not registered",))
    found = read(register(gauge("child", gateway="gw")), CHILD, "up/gw/telemetry", "gw")
    (row,) = rows(found)
    assert (row["phenomenon_us"], row["receive_us"], row["result"], row["source"]) == (THEN, THEN, 4.5, HISTORY)
    assert (found.wrong, found.events) == ((), ())


def test_stamps_are_judged_as_they_were_against_the_receipt_of_then() -> None:
    registry = register(gauge("g1"))
    late = rows(read(registry, {"ts": THEN_MS - 299_000, "values": {"stage_m": 1.0}}))
    assert [(row["phenomenon_us"], row["source"]) for row in late] == [(THEN - 299_000_000, HISTORY)]
    wrong_clock = rows(read(registry, {"ts": 420_000, "values": {"stage_m": 1.0}}))
    assert [(row["phenomenon_us"], row["device_us"]) for row in wrong_clock] == [(THEN, 420_000_000)]
    assert wrong_clock[0]["source"] == HISTORY | Source.CLOCK_FAULT
    own_word = rows(read(registry, {"ts": THEN_MS - HOUR_MS, "bf": True, "values": {"stage_m": 1.0}}))
    assert own_word[0]["phenomenon_us"] == THEN - HOUR_MS * 1000
    no_stamp = rows(read(registry, {"values": {"stage_m": 1.0}}))
    assert no_stamp[0]["phenomenon_us"] == THEN


def test_the_tests_that_need_memory_do_not_judge_it_and_the_range_does() -> None:
    recall = Recall("demo", register(gauge("g1")), MODELS)
    flags = []
    for n, value in enumerate((1.0, 9.0, 140.0)):
        body = json.dumps({"ts": THEN_MS + n * 1000, "values": {"stage_m": value}}).encode()
        found = recall.read("cb/v1/demo/g1/up/telemetry", body, THEN + n * 1_000_000)
        flags += [(row["quality"], row["source"] & ~HISTORY) for row in rows(found)]
    assert flags == [(1, 0), (1, 0), (3, int(Source.OVER_RANGE))]  # live, eight metres in a second would be flagged


def test_what_is_good_in_a_message_is_told_and_what_is_wrong_too() -> None:
    found = read(register(gauge("g1")), {"values": {"stage_m": "high"}})
    assert (found.rows, len(found.wrong)) == (None, 1)
    two = [{"ts": THEN_MS, "values": {"stage_m": 1.0}}, {"ts": THEN_MS + 1, "values": {"stage_m": None}}]
    found = read(register(gauge("g1")), two)
    assert (len(rows(found)), len(found.wrong)) == (1, 1)
    assert "got nothing" in found.wrong[0]


def test_an_event_says_that_it_is_told_again_and_keeps_its_identity() -> None:
    registry, body = register(gauge("g1")), {"type": "smoke", "confidence": 0.9}
    (event,) = read(registry, body, "up/event").events
    assert (event.retold, event.receive_us, event.phenomenon_us, event.data["backfill"]) == (True, THEN, THEN, True)
    live = Pipeline("demo", registry, MODELS).process(
        [Message(topic="cb/v1/demo/g1/up/event", payload=json.dumps(body).encode(), packet_id=1, receive_us=THEN)],
        Link(machine_s=1.0),
    )
    first = live.records[0]
    records = [Record(position=1, at_us=THEN, kind=RecordKind(first.kind), version=1, body=first.body)]
    assert rows_of(records) == []
    assert events_of(records)[0].id == event.id


def test_a_key_that_nobody_registered_is_a_note_as_it_is_live() -> None:
    (note,) = read(register(gauge("g1")), {"values": {"stage_mm": 1}}).events
    assert (note.type, note.data["values"]) == ("ingest_note", {"stage_mm": 1})


FRAME = hj212_frame(f"DataTime={local()};a34004-Rtd=35.0,a34004-Flag=N", mn="MN-1")


def station(**fields: Any) -> Registry:
    stream = Datastream(datastream=1, device_id="dust", property="pm25_ug_m3", uom="ug/m3")
    return registry_of([hj212_device("dust", "MN-1", **fields)], [stream])


def test_a_station_that_dialled_in_as_a_stranger_is_found_by_its_number() -> None:
    sent: dict[str, Any] = {"body": FRAME, "tail": "up/raw/hj212", "device": "tcp-hj212", "by_tcp": True}
    assert "not registered" in read(register(), **sent).wrong[0]
    assert [row["result"] for row in rows(read(station(), **sent))] == [35.0]
    over_the_broker = read(station(), FRAME, "up/raw/hj212", "tcp-hj212")
    assert over_the_broker.wrong == ("device 'tcp-hj212' is not registered",)


def test_a_station_of_named_addresses_is_not_believed_where_the_address_was_not_kept() -> None:
    bound = station(allow=["10.0.0.0/8"])
    refused = read(bound, FRAME, "up/raw/hj212", "dust", by_tcp=True)
    assert refused.rows is None
    assert "10.0.0.0/8" in refused.wrong[0]
    assert len(rows(read(bound, FRAME, "up/raw/hj212", "dust"))) == 1  # over the broker its login said who came


def test_a_frame_of_a_session_is_not_believed_where_nobody_knows_whether_its_code_was_shown() -> None:
    stations = {"jt808": {"station": "013306139197"}}
    vehicle = gauge("truck", model="hazmat-vehicle-v1", kind="hazmat_vehicle", attributes={"stations": stations})
    registry = registry_of([vehicle], [series(1, "truck", "speed_km_h")])
    numbers = (0, 4), (2, 4), (28_680_000, 4), (121_440_000, 4), (32, 2), (366, 2), (198, 2)
    body = b"".join(number.to_bytes(size) for number, size in numbers) + bytes.fromhex("190809080000")
    frame = jt808.encode(jt808.LOCATION, "013306139197", 7, body)
    forged = read(registry, frame, "up/raw/jt808", "truck", by_tcp=True)
    assert (forged.rows, forged.events) == (None, ())
    assert "code" in forged.wrong[0]
    over_the_broker = read(registry, frame, "up/raw/jt808", "truck")
    assert [row["result"] for row in rows(over_the_broker)] == [36.6]


def test_a_wrong_password_is_wrong_still() -> None:
    frame = hj212_frame(f"DataTime={local()};a34004-Rtd=35.0,a34004-Flag=N", mn="MN-1", pw="000000")
    assert "wrong password" in read(station(), frame, "up/raw/hj212", "dust").wrong[0]


@given(
    payload=st.binary(max_size=200)
    | st.recursive(
        st.none()
        | st.booleans()
        | st.floats()
        | st.integers(-10, 2**62)
        | st.sampled_from(["stage_m", "child", "open"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["ts", "bf", "seq", "values", "stage_m", "child", "type", "q"]), inner)
        ),
        max_leaves=8,
    ).map(lambda value: json.dumps(value).encode()),
    tail=st.sampled_from(
        ["telemetry", "gw/telemetry", "event", "attr", "raw/hj212", "raw/senml", "raw/sl651", "raw/x", "y"]
    ),
    by_tcp=st.booleans(),
)
def test_whatever_a_letter_holds_nothing_raises_and_nothing_is_of_now(payload: bytes, tail: str, by_tcp: bool) -> None:
    found = read(EVERYTHING, payload, f"up/{tail}", "gw", by_tcp=by_tcp)
    assert all(row["source"] & RETOLD and not row["source"] & Source.LIVE for row in rows(found))
    assert all(event.retold for event in found.events)
    assert found.rows is not None or found.events or found.wrong or json.loads(payload) in ({}, [])


@pytest.mark.parametrize(
    ("topic", "payload", "reasons", "truncated", "word"),
    [
        ("", b"", ["store_rejected"], False, "database"),
        ("cb/v1/demo/g1/up/telemetry", None, ["x"], False, "quota"),
        ("cb/v1/demo/g1/up/telemetry", b"{", ["x"], True, "truncated"),
        ("cb/v1/demo/g1/up/telemetry", b"{}", [RETAINED], False, "retained"),
        ("cb/v1/demo/g1/up/state", b"{}", ["x"], False, "state"),
        ("cb/v1/demo/g1/up/cmd/7", b"{}", ["x"], False, "command"),
    ],
)
def test_what_cannot_be_put_in_again_says_why(
    topic: str, payload: bytes | None, reasons: list[str], truncated: bool, word: str
) -> None:
    assert word in not_replayable(topic, payload, reasons, truncated=truncated)
    assert not_replayable("cb/v1/demo/g1/up/telemetry", b"{}", ["x"], truncated=False) == ""


def test_a_letter_keeps_what_is_needed_to_read_it_again() -> None:
    message = Message(topic="cb/v1/demo/tcp-hj212/up/raw/hj212", payload=b"##", packet_id=0, receive_us=THEN, line=3)
    data = dead_letter(message, "tcp-hj212", ["x"], within_quota=True).data
    assert (data["tcp"], base64.b64decode(data["raw"]), data["topic"]) == (True, b"##", message.topic)
    long = Message(topic="t", payload=b"x" * (RAW_MAX + 1), packet_id=1, receive_us=THEN)
    assert dead_letter(long, "", ["x"], within_quota=True).data.get("tcp") is None
