"""Messages in, records out: identity, values, quality, notes, dead letters, receipts, duplicates."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from citybrain_testing.clocks import LEKIMA_US
from citybrain_testing.logged import events_of, gauge, registry_of, rows_of, series
from devices.models import load_models
from devices.registry import Datastream, RegistryData, partition_of
from ingest.dedupe import DupTail, packet_key, unpack
from ingest.letters import QUOTA_BURST, RAW_MAX, Quota
from ingest.message import Message
from ingest.pipeline import Link, Outcome, Pipeline
from stream.records import EventBody, Record, RecordKind, Source

NOW = LEKIMA_US
NOW_MS = NOW // 1000
MODELS = load_models()
LINK = Link(machine_s=100.0)


def pipeline(**options: Any) -> Pipeline:
    devices = [
        gauge("g1"),
        gauge("g2", enabled=False),
        gauge("gw", model="water-gauge-v1"),
        gauge("child", gateway="gw"),
    ]
    datastreams = [
        series(1),
        series(2, prop="battery_v", kind="number"),
        series(3, prop="door", kind="bool"),
        series(4, prop="state_text", kind="text"),
        series(5, "child"),
    ]
    return Pipeline("demo", registry_of(devices, datastreams), MODELS, **options)


def message(body: Any, tail: str = "up/telemetry", device: str = "g1", **fields: Any) -> Message:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    defaults: dict[str, Any] = {"packet_id": 9, "receive_us": NOW}
    return Message(topic=f"cb/v1/demo/{device}/{tail}", payload=payload, **(defaults | fields))


def reading(value: Any = 3.5, **fields: Any) -> dict[str, Any]:
    return {"ts": NOW_MS, "values": {"stage_m": value}} | fields


def as_records(outcome: Outcome) -> list[Record]:
    return [
        Record(position=n, at_us=NOW + n, kind=new.kind, version=1, body=new.body)
        for n, new in enumerate(outcome.records)
    ]


def rows(outcome: Outcome) -> list[dict[str, Any]]:
    return rows_of(as_records(outcome))


def events(outcome: Outcome, kind: str = "") -> list[EventBody]:
    return events_of(as_records(outcome), kind)


def send(*messages: Message, to: Pipeline | None = None, link: Link = LINK) -> Outcome:
    return (to or pipeline()).process(messages, link)


def only_reason(outcome: Outcome) -> str:
    (letter,) = events(outcome, "dead_letter")
    assert rows(outcome) == []
    return str(letter.data["reason"])


def test_a_reading_is_a_row_with_everything_that_is_known_of_it() -> None:
    (row,) = rows(send(message(reading(3.5, seq=4))))
    assert row == {
        "partition": partition_of("g1"),
        "datastream": 1,
        "phenomenon_us": NOW,
        "device_us": None,
        "receive_us": NOW,
        "result": 3.5,
        "text": None,
        "quality": 1,
        "source": 1,
        "seq": 4,
        "packet_id": 9,
    }


def test_kinds_of_values() -> None:
    outcome = send(message({"values": {"door": True, "state_text": "open", "battery_v": 12}}))
    assert [(row["result"], row["text"]) for row in rows(outcome)] == [(1.0, None), (None, "open"), (12.0, None)]


def test_out_of_range_is_flagged_and_passed_on() -> None:
    over, under = rows(send(message(reading(101.0)), message(reading(-11))))
    assert (over["result"], over["quality"], over["source"]) == (101.0, 3, Source.LIVE | Source.OVER_RANGE)
    assert (under["result"], under["quality"], under["source"]) == (-11.0, 3, Source.LIVE | Source.UNDER_RANGE)


def test_the_devices_quality_code_only_worsens() -> None:
    codes = [(3.5, 4, 4), (3.5, 1, 1), (500.0, 1, 3), (500.0, 9, 9)]
    outcomes = [rows(send(message(reading(value, q={"stage_m": code}))))[0]["quality"] for value, code, _ in codes]
    assert outcomes == [expected for _, _, expected in codes]


def test_wrong_values_are_named_and_the_good_ones_beside_them_kept() -> None:
    outcome = send(message({"ts": NOW_MS, "values": {"stage_m": "abc", "battery_v": 12.5, "door": 3, "state_text": 1}}))
    (letter,) = events(outcome, "dead_letter")
    assert letter.data["reasons"] == [
        "values.stage_m: expected number (m), got string 'abc'",
        "values.door: expected true or false, got number 3",
        "values.state_text: expected text, got number 1",
    ]
    assert [row["datastream"] for row in rows(outcome)] == [2]


def test_null_and_true_are_not_numbers() -> None:
    assert "leave a missing value out" in only_reason(send(message(reading(None))))
    assert "got bool true" in only_reason(send(message(reading(True))))


def test_unknown_keys_are_kept_and_shown() -> None:
    outcome = send(message({"ts": NOW_MS, "values": {"stage_m": 1, "stage_cm": 100}}))
    (note,) = events(outcome, "ingest_note")
    assert note.data == {
        "reason": "unregistered_keys",
        "values": {"stage_cm": 100},
        "topic": "cb/v1/demo/g1/up/telemetry",
        "ts": NOW_MS,
    }
    assert len(rows(outcome)) == 1


def test_broken_json_is_a_dead_letter_with_its_raw_bytes() -> None:
    payload = b'{"ts": 1, "values": {'
    outcome = send(message(payload))
    (letter,) = events(outcome, "dead_letter")
    assert only_reason(outcome).startswith("payload: not valid JSON")
    assert base64.b64decode(letter.data["raw"]) == payload
    assert letter.data["sha256"] == hashlib.sha256(payload).hexdigest()
    assert (letter.device_id, letter.data["size"], letter.data["topic"]) == ("g1", 21, "cb/v1/demo/g1/up/telemetry")


def test_strangers_disabled_devices_and_foreign_tenants_are_refused_with_words() -> None:
    assert only_reason(send(message(reading(), device="nobody"))) == "device 'nobody' is not registered"
    assert only_reason(send(message(reading(), device="g2"))) == "device 'g2' is registered but disabled"
    foreign = Message(topic="cb/v1/other/g1/up/telemetry", payload=b"{}", packet_id=1, receive_us=NOW)
    assert only_reason(send(foreign)) == "topic names tenant 'other', this is 'demo'"
    assert "expected cb/v1/TENANT" in only_reason(send(message(reading(), tail="up/nonsense")))
    assert "codec 'hj999': expected one of" in only_reason(send(message(b"##", tail="up/raw/hj999")))


def test_retained_telemetry_is_not_fresh_data() -> None:
    assert only_reason(send(message(reading(), retain=True))).startswith("retained message")


def test_a_gateway_speaks_only_for_children_bound_to_it() -> None:
    body = {"child": [reading(1.0, seq=7)], "g1": [reading(2.0)], "ghost": [reading(3.0)]}
    outcome = send(message(body, tail="up/gw/telemetry", device="gw"))
    assert [(row["datastream"], row["result"]) for row in rows(outcome)] == [(5, 1.0)]
    (letter,) = events(outcome, "dead_letter")
    assert letter.data["reasons"] == ["child 'g1' is not bound to gateway 'gw'", "child 'ghost' is not registered"]
    (receipt,) = outcome.replies
    assert (receipt.topic, json.loads(receipt.payload)) == ("cb/v1/demo/gw/down/ack", {"seq": 7, "child": "child"})


def test_a_wrong_clock_counts_now_and_is_sent_the_time_once() -> None:
    made = pipeline()
    outcome = send(message(reading(ts=0)), message(reading(ts=4_070_908_800_000)), to=made)
    first, second = rows(outcome)
    assert first["source"] == second["source"] == Source.LIVE | Source.CLOCK_FAULT
    assert (first["phenomenon_us"], first["device_us"]) == (NOW, 0)
    assert second["phenomenon_us"] == NOW + 1
    (reply,) = outcome.replies
    command = json.loads(reply.payload)
    assert (reply.topic, command["method"], command["params"]) == (
        "cb/v1/demo/g1/down/cmd",
        "clock_set",
        {"ts": NOW_MS},
    )
    assert [note.data["reason"] for note in events(outcome, "ingest_note")] == ["clock_set_sent"]
    assert send(message(reading(ts=0)), to=made, link=Link(machine_s=699.0)).replies == []
    assert len(send(message(reading(ts=0)), to=made, link=Link(machine_s=701.0)).replies) == 1


def test_a_backlog_after_the_devices_reconnect_is_history() -> None:
    made = pipeline()
    backlog = [reading(value, ts=NOW_MS - 3_600_000 + value * 60_000) for value in range(4)]
    online = message({"online": True}, tail="up/state")
    outcome = send(online, message(backlog), to=made)
    assert {row["source"] for row in rows(outcome)} == {Source.BACKFILL | Source.LATE}
    late = send(message(backlog), to=made, link=Link(machine_s=LINK.machine_s + 61))
    assert {row["source"] for row in rows(late)} == {Source.LIVE | Source.CLOCK_FAULT}


def test_a_backlog_that_comes_one_by_one_is_told_again_at_its_own_times_and_answered_once() -> None:
    made = pipeline()
    send(message({"online": True}, "up/state"), to=made)
    stamps = [NOW_MS - 3_600_000 + n * 60_000 for n in range(4)]
    told = [send(message(reading(float(n), ts=ts, seq=n + 1)), to=made) for n, ts in enumerate(stamps)]
    stored = [row for outcome in told for row in rows(outcome)]
    at = [row["phenomenon_us"] // 1000 for row in stored if row["source"] & Source.BACKFILL]
    assert sorted(at) == stamps
    assert [row["result"] for row in stored if row["source"] & Source.CLOCK_FAULT] == [0.0, 1.0]
    assert sorted(row["result"] for row in rows(told[2])) == [0.0, 1.0, 2.0]
    assert all(len([r for r in outcome.replies if r.topic.endswith("down/ack")]) == 1 for outcome in told)


def test_late_samples_before_the_backlog_began_are_not_told_with_it() -> None:
    made = pipeline()
    send(message({"online": True}, "up/state"), to=made)
    minutes = [60, 59, 70, 69, 68]  # before now: after two the device begins anew, further back
    told = [rows(send(message(reading(float(m), ts=NOW_MS - m * 60_000)), to=made)) for m in minutes]
    history = [row["result"] for outcome in told for row in outcome if row["source"] & Source.BACKFILL]
    assert sorted(history) == [68.0, 69.0, 70.0]


def test_what_waited_while_we_were_away_is_history_and_no_wrong_clock() -> None:
    link = Link(machine_s=1.0, gap_from_us=NOW - 1_800_000_000)
    outcome = send(message(reading(ts=NOW_MS - 1_200_000)), link=link)
    assert rows(outcome)[0]["source"] == Source.BACKFILL | Source.LATE
    assert outcome.replies == []


def test_on_a_fast_clock_the_way_to_us_is_not_taken_for_a_wrong_clock() -> None:
    late = message(reading(ts=NOW_MS - 500_000))
    assert rows(send(late))[0]["source"] == Source.LIVE | Source.CLOCK_FAULT
    assert rows(send(late, to=pipeline(delivery_slack_s=295.0)))[0]["source"] == Source.LIVE | Source.LATE


def test_receipts_follow_the_device_even_for_a_duplicate() -> None:
    made = pipeline()
    again = message([reading(1.0, seq=1), reading(2.0, seq=2)])
    first = send(again, to=made)
    second = send(_dup(again), to=made)
    assert [json.loads(reply.payload) for reply in first.replies] == [{"seq": 1}, {"seq": 2}]
    assert (second.records, second.replies) == ([], first.replies)


def _dup(original: Message) -> Message:
    return Message(
        topic=original.topic,
        payload=original.payload,
        packet_id=original.packet_id,
        receive_us=original.receive_us + 5,
        dup=True,
    )


def test_after_a_restart_the_logs_tail_knows_the_duplicates() -> None:
    original = message(reading())
    record = as_records(send(original, message(reading(4.0), packet_id=10)))[0]
    assert unpack(record)[0] == packet_key(original)
    restarted = pipeline(tail=DupTail.of_log([record]))
    assert send(_dup(original), to=restarted).records == []
    other = _dup(message(reading(99.0)))  # the same packet id, another message: never dropped
    assert len(rows(send(other, to=restarted))) == 1


def test_events_are_idempotent_by_id_and_timed_like_samples() -> None:
    outcome = send(
        message({"id": "e-1", "ts": NOW_MS - 5, "type": "waterlogging", "values": {"depth_m": 0.4}}, tail="up/event"),
        message({"ts": 0, "type": "smoke"}, tail="up/event"),
    )
    good, wrong_clock = events(outcome, "device_event")
    assert (good.id, good.phenomenon_us, good.data["type"]) == ("e-1", NOW - 5000, "waterlogging")
    assert outcome.records[0].key == "e:g1:e-1"
    assert (wrong_clock.phenomenon_us, wrong_clock.data["clock_fault"], wrong_clock.data["device_ts"]) == (NOW, True, 0)
    assert "type: expected" in only_reason(send(message({"ts": 1}, tail="up/event")))


def test_events_without_id_and_stamp_may_repeat_and_with_a_stamp_may_not() -> None:
    def keys(body: dict[str, Any]) -> set[str | None]:
        outcome = send(message(body, tail="up/event"), message(body, tail="up/event", receive_us=NOW + 7, packet_id=10))
        return {record.key for record in outcome.records}

    assert len(keys({"type": "smoke"})) == 2
    assert len(keys({"type": "smoke", "ts": NOW_MS})) == 1


def test_states_are_told_on_a_change_only() -> None:
    made = pipeline()
    states = [True, True, False, False, True]
    outcome = send(*(message({"online": online}, tail="up/state", retain=True) for online in states), to=made)
    assert [event.data["online"] for event in events(outcome, "device_state")] == [True, False, True]


def test_attributes_and_command_replies_are_events() -> None:
    outcome = send(
        message({"firmware": "1.2"}, tail="up/attr"), message({"state": "executed", "result": 1}, tail="up/cmd/c-7")
    )
    attr, reply = events(outcome)
    assert (attr.type, attr.data) == ("device_attr", {"firmware": "1.2"})
    assert (reply.type, reply.id, reply.data["state"]) == ("cmd_reply", "c-7", "executed")


def test_a_flood_of_bad_messages_keeps_hash_and_reason_only() -> None:
    bad = [message(b"x" * (RAW_MAX + 1), packet_id=n) for n in range(1, int(QUOTA_BURST) + 4)]
    letters = events(send(*bad), "dead_letter")
    assert [("raw" in letter.data, letter.data.get("over_quota", False)) for letter in letters] == (
        [(True, False)] * int(QUOTA_BURST) + [(False, True)] * 3
    )
    assert len(base64.b64decode(letters[0].data["raw"])) == RAW_MAX
    assert letters[0].data["truncated"]
    assert all(letter.data["sha256"] and letter.data["reason"] for letter in letters)


def test_the_quota_refills_with_machine_time_and_is_each_devices_own() -> None:
    quota = Quota(burst=2.0, per_s=1.0)
    assert [quota.take("a", 0.0) for _ in range(3)] == [True, True, False]
    assert quota.take("b", 0.0)
    assert [quota.take("a", 1.5) for _ in range(2)] == [True, False]
    assert quota.exceeded == 2


def test_a_new_registry_is_used_at_once() -> None:
    made = pipeline()
    stream = Datastream(datastream=9, device_id="new", property="stage_m", uom="m")
    made.registry.apply(RegistryData(revision=2, devices=[gauge("new")], datastreams=[stream]))
    assert rows(send(message(reading(), device="new"), to=made))[0]["datastream"] == 9


def test_a_large_array_is_cut_into_records_of_a_thousand_rows() -> None:
    outcome = send(message([reading(n, ts=NOW_MS + n) for n in range(2_500)]))
    assert [record.kind for record in outcome.records] == [RecordKind.OBS] * 3
    assert outcome.rows == len(rows(outcome)) == 2_500
    assert [len(unpack(record)) for record in as_records(outcome)] == [0, 0, 1]


_values = st.dictionaries(
    st.sampled_from(["stage_m", "door", "state_text", "other"]),
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5) | st.just([]),
    max_size=4,
)
_bodies = st.one_of(
    st.binary(max_size=30),
    st.fixed_dictionaries({"values": _values}, optional={"ts": st.integers(-(2**60), 2**60), "bf": st.booleans()}).map(
        lambda body: json.dumps(body).encode()
    ),
)
_tails = st.sampled_from(
    ["up/telemetry", "up/event", "up/state", "up/attr", "up/gw/telemetry", "up/cmd/1", "up/raw/x", "x"]
)


@given(bodies=st.lists(st.tuples(_bodies, _tails, st.sampled_from(["g1", "g2", "gw", "nobody"])), max_size=6))
def test_whatever_is_sent_nothing_raises_and_nothing_vanishes(bodies: list[tuple[bytes, str, str]]) -> None:
    for number, (body, tail, device) in enumerate(bodies):
        outcome = send(message(body, tail=tail, device=device, packet_id=number + 1))
        assert outcome.records, (body, tail, device)
