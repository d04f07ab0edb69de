"""The short way of plain messages comes to what the long way comes to."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from citybrain_testing.clocks import LEKIMA_US
from citybrain_testing.logged import gauge, registry_of, series
from devices.models import load_models
from devices.registry import RegistryData
from ingest.message import Message
from ingest.pipeline import Link, Outcome, Pipeline
from stream import records
from stream.records import Record, RecordKind

NOW = LEKIMA_US
MODELS = load_models()
STREAMS = [
    series(1),
    series(2, prop="battery_v"),
    series(3, prop="door", kind="bool"),
    series(4, prop="state_text", kind="text"),
    series(5, "child"),
    series(6, "child", prop="battery_v"),
    series(7, "other"),
    series(8, "other", prop="battery_v"),
    series(9, "dark"),
    series(10, "dark", prop="battery_v"),
]
DEVICES = [
    gauge("g1"),
    gauge("gw"),
    gauge("child", gateway="gw"),
    gauge("other", gateway="gw"),
    gauge("off", enabled=False),
    gauge("dark", gateway="gw", enabled=False),
]

ODD_VALUES = (4, -7.25, 1e6, -1e6, 1e999, True, None, "3.5")
AGES_MS = (200_000, 299_000, 301_000, 400_000, 3_600_000, -100_000, -400_000, 10**12)
# What makes a plain sample less so: fields that are added or replaced, "values" and "ts" beside what they were.
TWISTS: list[dict[str, Any]] = [
    *({"values": {"stage_m": value}} for value in ODD_VALUES),
    *({"values": {"battery_v": value}} for value in (-5.0, 1e5)),
    {"values": {"door": True}},
    {"values": {"door": 1.0}},
    {"values": {"state_text": "ok"}},
    {"values": {"unknown": 1.0}},
    *({"age_ms": age} for age in AGES_MS),
    *({"seq": seq} for seq in (0, 5, 6, 9, -1, 2**33)),
    {"bf": True},
    {"bf": False},
    {"q": {"stage_m": 3}},
    {"q": {}},
    {"ts": None},
    {"values": None},
]
SENDERS = ["g1", "g1", "gw", "gw", "child", "off", "stranger"]


@st.composite
def samples(draw: st.DrawFn, at_ms: int) -> dict[str, Any]:
    values: dict[str, Any] = {"stage_m": draw(st.floats(0, 6)), "battery_v": 12.5}
    one: dict[str, Any] = {"ts": at_ms - 500, "values": values}
    for twist in draw(st.lists(st.sampled_from(TWISTS), max_size=2)) if draw(st.booleans()) else ():
        more = dict(twist)
        if "age_ms" in more:
            more["ts"] = at_ms - more.pop("age_ms")
        if isinstance(more.get("values"), dict) and one["values"]:
            more["values"] = one["values"] | more["values"]
        one |= more
    return one


@st.composite
def traffic(draw: st.DrawFn) -> list[Message]:
    """Messages of one batch, in the order of arrival."""
    made = []
    for number in range(draw(st.integers(3, 12))):
        at_us = NOW + number * 700_000
        sender = draw(st.sampled_from(SENDERS))
        if sender == "gw":
            children = draw(st.lists(st.sampled_from(["child", "other", "gw", "g1", "dark"]), max_size=2, unique=True))
            body: Any = {
                child: [draw(samples(at_us // 1000)) for _ in range(draw(st.integers(0, 2)))] for child in children
            }
        else:
            body = draw(samples(at_us // 1000))
        tail = "up/gw/telemetry" if sender == "gw" else "up/telemetry"
        kind = draw(st.integers(0, 15))
        made.append(
            Message(
                topic=f"cb/v1/demo/{sender}/{tail}",
                payload=b"[{" if kind == 0 else json.dumps(body).encode(),
                packet_id=draw(st.integers(0, 3)),
                receive_us=at_us,
                dup=kind in (1, 2),
                retain=kind == 3,
            )
        )
    return made


def long_way(monkeypatch: pytest.MonkeyPatch, pipeline: Pipeline) -> Pipeline:
    monkeypatch.setattr(pipeline._lane, "take", lambda *_: None)
    return pipeline


def fresh() -> Pipeline:
    return Pipeline("demo", registry_of(DEVICES, STREAMS), MODELS)


def told(outcome: Outcome) -> tuple[dict[int, list[Any]], list[Any], list[Any]]:
    """Rows of each series in their order, the other records, and the replies."""
    rows = defaultdict(list)
    others = []
    for new in outcome.records:
        record = Record(position=1, at_us=NOW, kind=new.kind, version=1, body=new.body)
        if new.kind is RecordKind.OBS:
            for row in records.as_batch(record).table.to_pylist():
                rows[row["datastream"]].append(row)
        else:
            others.append((new.kind, new.body, new.key))
    return dict(rows), sorted(others), sorted((reply.topic, reply.payload) for reply in outcome.replies)


@given(batches=st.lists(traffic(), min_size=1, max_size=3), reconnected=st.booleans())
def test_messages_one_by_one_come_to_the_same_rows_events_and_replies(
    batches: list[list[Message]], reconnected: bool
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        short, long = fresh(), long_way(patch, fresh())
        for pipeline in (short, long) if reconnected else ():
            for device in DEVICES:
                pipeline.reconnected(device.device_id, 99.0)
        for message in (m for batch in batches for m in batch):
            link = Link(machine_s=100.0)
            assert told(short.process([message], link)) == told(long.process([message], link))
        assert {k: v.believed_us for k, v in short._clocks.items()} == {
            k: v.believed_us for k, v in long._clocks.items()
        }


@given(batches=st.lists(traffic(), min_size=1, max_size=3))
def test_a_batch_comes_to_the_same_rows_events_and_replies(batches: list[list[Message]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        short, long = fresh(), long_way(patch, fresh())
        for number, batch in enumerate(batches):
            link = Link(machine_s=100.0 + number)
            assert told(short.process(batch, link)) == told(long.process(batch, link))


def test_a_plain_message_ends_a_run_of_late_ones_on_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    def at(receive_s: int, ts_s: int) -> Message:
        return structs.replace(plain(ts=NOW // 1000 + ts_s * 1000), receive_us=NOW + receive_s * 1_000_000)

    short, long = fresh(), long_way(monkeypatch, fresh())
    for pipeline in (short, long):
        pipeline.process([at(-9_000, -9_000)], Link(machine_s=1.0))  # which is the long way for both
        pipeline.reconnected("g1", 10.0)
    link = Link(machine_s=12.0)
    for message in (at(0, -3_600), at(1, -290), at(600, -280), at(600, -270)):
        assert told(short.process([message], link)) == told(long.process([message], link))
    assert short._clocks["g1"].run == long._clocks["g1"].run == 2


def plain(device: str = "g1", **more: Any) -> Message:
    body = {"ts": NOW // 1000, "values": {"stage_m": 3.5}} | more
    return Message(
        topic=f"cb/v1/demo/{device}/up/telemetry", payload=json.dumps(body).encode(), packet_id=1, receive_us=NOW
    )


def test_the_second_plain_message_of_a_sender_goes_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline, seen = fresh(), []
    take = pipeline._take
    monkeypatch.setattr(pipeline, "_take", lambda message, batch: (seen.append(message), take(message, batch)))
    messages = [plain(), plain(ts=NOW // 1000 + 1), plain(ts=NOW // 1000 + 2)]
    for message in messages:
        assert pipeline.process([message], Link(machine_s=1.0)).rows == 1
    assert seen == messages[:1]


def test_a_device_that_was_disabled_is_refused_at_once() -> None:
    pipeline = fresh()
    for n in range(3):
        assert pipeline.process([plain(ts=NOW // 1000 + n)], Link(machine_s=1.0)).rows == 1
    off = [gauge("g1", enabled=False), *DEVICES[1:]]
    pipeline.registry.apply(RegistryData(revision=pipeline.registry.revision + 1, devices=off, datastreams=STREAMS))
    outcome = pipeline.process([plain(ts=NOW // 1000 + 5)], Link(machine_s=1.0))
    assert outcome.rows == 0
    (letter,) = outcome.records
    assert b"registered but disabled" in letter.body
