"""Gaps in a device's counter: jumps are told, what is late, twice, or started anew is none."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from citybrain_testing.clocks import LEKIMA_US
from citybrain_testing.logged import events_of, gauge, registry_of, series
from devices.models import load_models
from ingest.gaps import Gap, SeqGaps
from ingest.message import Message
from ingest.pipeline import Link, Pipeline
from stream.records import Record


def test_a_jump_is_a_gap_and_nothing_else_is() -> None:
    gaps = SeqGaps()
    found = [gaps.seen("g1", seq) for seq in (7, 8, 8, 11, 10, 9, 12, 5_000, 3, 4, 0, 1)]
    assert found == [None, None, None, Gap(8, 11), None, None, None, Gap(12, 5_000), None, None, None, None]
    assert Gap(8, 11).missing == 2


def test_each_device_counts_for_itself_and_memory_is_bounded() -> None:
    gaps = SeqGaps(devices_max=2)
    for device in ("a", "b", "c"):
        assert gaps.seen(device, 5) is None
    assert gaps.seen("a", 9) is None, "forgotten, so the first number again"
    assert gaps.seen("c", 9) == Gap(5, 9)


@given(st.sets(st.integers(0, 500), min_size=1))
def test_what_came_and_what_is_missing_make_the_whole(numbers: set[int]) -> None:
    gaps, ordered = SeqGaps(), sorted(numbers)
    missing = sum(gap.missing for seq in ordered if (gap := gaps.seen("g", seq)) is not None)
    assert len(ordered) + missing == ordered[-1] - ordered[0] + 1


def test_the_vendor_is_told_once_for_a_batch() -> None:
    pipeline = Pipeline("demo", registry_of([gauge("g1")], [series(1)]), load_models())

    def sent(seq: int) -> Message:
        body = json.dumps({"ts": LEKIMA_US // 1000 + seq, "seq": seq, "values": {"stage_m": 1.5}}).encode()
        return Message(
            topic="cb/v1/demo/g1/up/telemetry", payload=body, packet_id=seq, receive_us=LEKIMA_US + seq * 1000
        )

    outcome = pipeline.process([sent(seq) for seq in (1, 2, 5, 6, 9)], Link(machine_s=1.0))
    records = [
        Record(position=n, at_us=LEKIMA_US + n, kind=new.kind, version=1, body=new.body)
        for n, new in enumerate(outcome.records)
    ]
    (note,) = events_of(records, "ingest_note")
    assert note.data == {"reason": "seq_gap", "missing": 4, "after": 2, "before": 9}
    assert outcome.rows == 5
