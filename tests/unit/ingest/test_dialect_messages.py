"""Messages of other platforms on `up/raw/...`: rows under the city's names, whose they are, what is answered, what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from citybrain_testing.clocks import LEKIMA_US
from citybrain_testing.logged import events_of, gauge, registry_of, rows_of, series
from devices.models import load_models, parse_model
from devices.registry import Device
from ingest.message import Message
from ingest.pipeline import Link, Outcome, Pipeline
from stream.records import EventBody, Record, Source

NOW_MS = LEKIMA_US // 1000
LEVELS = """
model: acme-level-v1
kind: water_gauge
name: {zh: 甲型水位计, en: Acme level}
source: a test
interval_s: 60
properties:
  - {key: stage_m, uom: m, range: [-10, 100], name: {zh: 水位, en: Stage}}
  - {key: open, uom: "1", kind: bool, name: {zh: 开, en: Open}}
codecs:
  thingsboard:
    map: {level_cm: {to: stage_m, scale: 0.01}, door: {to: open}}
    ignore: ["rssi*"]
"""


def pipeline() -> Pipeline:
    model = parse_model(LEVELS)
    gate = Device(device_id="gw", model="gateway-v1", kind="gateway", name="gw", lon=121.4, lat=28.7)
    bound = gauge("g2", gateway="gw", attributes={"stations": {"thingsboard": {"station": "Device A"}}})
    devices = [gate, gauge("g1", model="acme-level-v1"), bound, gauge("g3"), gauge("g4", gateway="gw")]
    streams = [series(n, f"g{n}") for n in range(1, 5)]
    streams.append(series(5, "g1", "open", kind="bool"))
    return Pipeline("demo", registry_of(devices, streams), {**load_models(), model.model_id: model})


def send(codec: str, document: Any, device: str = "g1", **fields: Any) -> Outcome:
    payload = document if isinstance(document, bytes) else json.dumps(document).encode()
    message = Message(
        topic=f"cb/v1/demo/{device}/up/raw/{codec}",
        payload=payload,
        **({"packet_id": 9, "receive_us": LEKIMA_US} | fields),
    )
    return pipeline().process([message], Link(machine_s=100.0))


def records(outcome: Outcome) -> list[Record]:
    return [
        Record(position=n, at_us=LEKIMA_US + n, kind=new.kind, version=1, body=new.body)
        for n, new in enumerate(outcome.records)
    ]


def rows(outcome: Outcome) -> list[tuple[int, float, int]]:
    """(datastream, result, source) of each row."""
    return [(row["datastream"], row["result"], row["source"]) for row in rows_of(records(outcome))]


def events(outcome: Outcome, kind: str) -> list[EventBody]:
    return events_of(records(outcome), kind)


def reason(outcome: Outcome) -> str:
    (letter,) = events(outcome, "dead_letter")
    return str(letter.data["reason"])


def test_a_models_map_gives_keys_and_units() -> None:
    outcome = send("thingsboard", {"ts": NOW_MS, "values": {"level_cm": 350, "door": True, "rssi_1": -70}})
    assert rows(outcome) == [(1, 3.5, Source.LIVE), (5, 1.0, Source.LIVE)]
    assert len(outcome.records) == 1, "what the model does not want is no note"


def test_the_citys_own_keys_need_no_map_and_strange_ones_are_shown() -> None:
    outcome = send("thingsboard", {"stage_m": 4.25, "csq": 17}, "g3")
    assert rows(outcome) == [(3, 4.25, Source.LIVE)]
    (note,) = events(outcome, "ingest_note")
    assert note.data["values"] == {"thingsboard:csq": 17.0}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"level_cm": "350"}, "values.stage_m: expected number (m), got string '350'"),
        ({"level_cm": True}, "values.stage_m: expected number (m), got bool true"),
        ({"door": 7}, "values.open: expected true or false, got number 7"),
        (b"\xff\xfe", "payload: not valid JSON"),
        (b"", "payload: expected a frame of thingsboard, got 0 bytes"),
    ],
)
def test_a_wrong_type_is_refused_with_words(document: Any, said: str) -> None:
    outcome = send("thingsboard", document)
    assert said in reason(outcome)
    assert rows(outcome) == []


def test_a_good_value_beside_a_bad_one_is_kept() -> None:
    outcome = send("thingsboard", {"level_cm": 350, "door": {"state": 1}})
    assert rows(outcome) == [(1, 3.5, Source.LIVE)]
    assert reason(outcome) == "door: expected a finite number, true, false or a text, got object"


def test_no_stamp_of_an_array_is_history_because_another_is_newer() -> None:
    """Both are within the live window: the one over the threshold must not hide behind a later one."""
    document = [{"ts": NOW_MS - 30_000, "values": {"stage_m": 9.5}}, {"ts": NOW_MS, "values": {"stage_m": 1.5}}]
    fast = Source.LIVE | Source.RATE_OF_CHANGE
    assert rows(send("thingsboard", document, "g3")) == [(3, 9.5, Source.LIVE), (3, 1.5, fast)]


def test_a_gateway_speaks_for_its_own_children_alone() -> None:
    item = [{"ts": NOW_MS, "values": {"stage_m": 2.5}}]
    outcome = send("thingsboard-gateway", {"Device A": item, "g4": item, "g3": item, "nobody": item}, "gw")
    assert rows(outcome) == [(2, 2.5, Source.LIVE), (4, 2.5, Source.LIVE)]
    assert "station 'g3' is not 'gw' and not bound to it" in reason(outcome)
    assert "station 'nobody' is not registered: expected attributes.stations.thingsboard" in reason(outcome)


def test_a_child_is_not_found_by_the_number_that_another_protocol_gives_it() -> None:
    outcome = send("huawei-gateway", {"devices": [{"device_id": "Device A", "services": [{"service_id": "s", "properties": {"stage_m": 1}}]}]}, "gw")  # fmt: skip
    assert "huawei-gateway station 'Device A' is not registered" in reason(outcome)


def test_a_child_in_the_topic() -> None:
    document = {"timestamp": NOW_MS, "properties": {"stage_m": 2.5}}
    assert rows(send("jetlinks-child/prod/g4", document, "gw")) == [(4, 2.5, Source.LIVE)]
    assert "is not 'gw' and not bound to it" in reason(send("jetlinks-child/prod/g3", document, "gw"))
    assert rows(send("jetlinks/prod", document, "g3")) == [(3, 2.5, Source.LIVE)]


def test_attributes_are_the_devices_own_event() -> None:
    (event,) = events(send("thingsboard-attributes", {"firmware": "1.4"}), "device_attr")
    assert (event.device_id, event.data) == ("g1", {"firmware": "1.4"})
    (event,) = events(send("thingsboard-gateway-attributes", {"Device A": {"firmware": "2"}}, "gw"), "device_attr")
    assert (event.device_id, event.data) == ("g2", {"firmware": "2"})


POST = {"id": "7", "params": {"stage_m": {"value": 3.5, "time": NOW_MS}}}


def test_the_answer_goes_to_the_sender_in_its_own_dialect() -> None:
    outcome = send("aliyun/a1Pk", POST, "g3")
    assert rows(outcome) == [(3, 3.5, Source.LIVE)]
    (reply,) = outcome.replies
    assert reply.topic == "/sys/a1Pk/g3/thing/event/property/post_reply"
    assert json.loads(reply.payload)["id"] == "7"


def test_what_is_refused_whole_is_not_answered() -> None:
    outcome = send("aliyun/a1Pk", b"{", "g3")
    assert outcome.replies == []
    assert "not valid JSON" in reason(outcome)


def test_the_answer_goes_out_again_for_a_second_copy() -> None:
    message = Message(
        topic="cb/v1/demo/g3/up/raw/aliyun/a1Pk", payload=json.dumps(POST).encode(), packet_id=9, receive_us=LEKIMA_US
    )
    pipe = pipeline()
    first = pipe.process([message], Link(machine_s=100.0))
    again = pipe.process(
        [Message(topic=message.topic, payload=message.payload, packet_id=9, receive_us=LEKIMA_US, dup=True)],
        Link(machine_s=101.0),
    )
    assert [reply.topic for reply in again.replies] == [reply.topic for reply in first.replies]
    assert again.records == []


def test_a_wrong_clock_is_told_and_nothing_is_sent_that_the_device_would_not_understand() -> None:
    outcome = send("aliyun/a1Pk", {"id": "7", "params": {"stage_m": {"value": 3.5, "time": 1000}}}, "g3")
    assert [reply.topic for reply in outcome.replies] == ["/sys/a1Pk/g3/thing/event/property/post_reply"]
    (note,) = events(outcome, "ingest_note")
    assert note.data["reason"] == "clock_is_wrong"


def test_a_backlog_after_a_silence_is_history_at_its_own_times() -> None:
    """These devices have no state topic that would say that they were cut off."""
    ago_ms = [NOW_MS - minutes * 60_000 for minutes in (40, 30, 20, 0)]
    outcome = send("thingsboard", [{"ts": ts, "values": {"stage_m": n}} for n, ts in enumerate(ago_ms)], "g3")
    late = Source.BACKFILL | Source.LATE
    assert rows(outcome) == [(3, 0.0, late), (3, 1.0, late), (3, 2.0, late), (3, 3.0, Source.LIVE)]
    assert [row["phenomenon_us"] for row in rows_of(records(outcome))] == [ts * 1000 for ts in ago_ms]


def test_a_wrong_clock_stays_a_wrong_clock_however_long_the_silences() -> None:
    pipe = pipeline()
    for n in range(6):
        now_us = LEKIMA_US + n * 120_000_000
        payload = json.dumps({"ts": now_us // 1000 - 3_600_000, "values": {"stage_m": 9.0}}).encode()
        message = Message(topic="cb/v1/demo/g3/up/raw/thingsboard", payload=payload, packet_id=n + 1, receive_us=now_us)
        (row,) = rows(pipe.process([message], Link(machine_s=100.0 + 120 * n)))
        assert row == (3, 9.0, Source.LIVE | Source.CLOCK_FAULT)
