"""What a stretch of the log means, without a database."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citybrain_testing.storing import T0_US, MemoryLog, obs, told
from storage import packing
from storage.batch import AHEAD_US, WEEK_US, clean, effects_of, event_id, to_json
from storage.summary import newest_of
from storage.times import MAX_US, MIN_US, opt_time, opt_us, to_time, to_us
from stream.records import TICK, EventBody

YEAR_US = 366 * 86_400 * 1_000_000


def unpack(data: bytes, forms: list[str]) -> list[list[Any]]:
    """A plain reader of COPY's binary rows, written from the format's description."""
    rows, at = [], 0
    while at < len(data):
        (fields,) = struct.unpack_from("!h", data, at)
        at += 2
        row: list[Any] = []
        for index in range(fields):
            (length,) = struct.unpack_from("!i", data, at)
            at += 4
            if length < 0:
                row.append(None)
                continue
            payload = data[at : at + length]
            at += length
            row.append(payload.decode() if index >= len(forms) else struct.unpack(forms[index], payload)[0])
        rows.append(row)
    return rows


cells = st.tuples(
    st.integers(-(2**31), 2**31 - 1),
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | st.floats(allow_nan=False),
    st.booleans(),
    st.none() | st.sampled_from(["", "a", "水位"]),
)


@given(rows=st.lists(cells, max_size=8))
@settings(deadline=None)
def test_packed_rows_are_read_back_by_the_formats_description(rows: list[tuple[Any, ...]]) -> None:
    ints, longs, floats, bools, texts = (list(column) for column in zip(*rows, strict=True)) if rows else [[]] * 5
    packed = packing.pack(
        [
            packing.int4(np.array(ints, dtype=np.int64)),
            packing.int8(
                np.array([v or 0 for v in longs], dtype=np.int64), np.array([v is None for v in longs], dtype=np.bool_)
            ),
            packing.float8(
                np.array([v or 0 for v in floats], dtype=np.float64),
                np.array([v is None for v in floats], dtype=np.bool_),
            ),
            packing.boolean(np.array(bools, dtype=np.bool_)),
        ],
        texts if any(text is not None for text in texts) else None,
    )
    found = unpack(packed, ["!i", "!q", "!d", "!?"])
    key = repr
    assert sorted(found, key=key) == sorted(([*row] for row in rows), key=key)


def test_times_are_exact_and_clamped() -> None:
    for us in (0, -1, T0_US, MIN_US, MAX_US, 4_102_444_800_000_001):
        assert to_us(to_time(us)) == us
    assert to_us(to_time(2**63 - 1)) == MAX_US
    assert to_us(to_time(-(2**63))) == MIN_US
    assert opt_time(None) is opt_us(None) is None
    with pytest.raises(ValueError, match="naive"):
        to_us(to_time(0).replace(tzinfo=None))
    column = packing.timestamptz(np.array([-(2**63), 2**63 - 1]))
    assert column.values.tolist() == [MIN_US - 946_684_800_000_000, MAX_US - 946_684_800_000_000]


rows_of_series = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.booleans()), max_size=20)


@given(rows=rows_of_series)
def test_the_newest_row_of_each_series_is_marked_once(rows: list[tuple[int, int, bool]]) -> None:
    expected: dict[int, int] = {}
    for index, (stream, time, eligible) in enumerate(rows):
        if eligible and (stream not in expected or time > rows[expected[stream]][1]):
            expected[stream] = index
    streams, times, eligibles = (np.array([row[k] for row in rows]) for k in range(3))
    mark = newest_of(streams.astype(np.int64), times.astype(np.int64), eligibles.astype(np.bool_))
    assert np.flatnonzero(mark).tolist() == sorted(expected.values())


def test_outliers_are_judged_by_the_records_own_time() -> None:
    log = MemoryLog()
    inside = [T0_US - YEAR_US + 1000, T0_US + AHEAD_US]
    outside = [T0_US - YEAR_US - 1, T0_US + AHEAD_US + 1000, 0]
    log.append(obs([{"datastream": 1, "phenomenon_us": t, "result": 1.0} for t in inside + outside]))
    rows = effects_of(log.records, retention_us=YEAR_US).rows
    assert rows is not None
    assert (rows.count, rows.outliers, rows.from_us, rows.to_us) == (5, 3, inside[0], inside[1])
    assert rows.weeks == {t // WEEK_US * WEEK_US for t in inside}


def test_ticks_have_no_effect() -> None:
    log = MemoryLog()
    log.append(TICK, TICK)
    assert effects_of(log.records, retention_us=YEAR_US).empty


def test_an_event_without_an_id_is_known_by_its_payload() -> None:
    def body(device_id: str, **data: Any) -> EventBody:
        return EventBody(type="device_event", device_id=device_id, receive_us=1, data=data)

    assert event_id(body("a", x=1, y=2)) == event_id(body("a", y=2, x=1))
    assert event_id(body("a", x=1)) != event_id(body("b", x=1))
    assert event_id(body("a", id="e7")) == "e7"
    reply = EventBody(type="cmd_reply", device_id="a", receive_us=1, id="c1", data={"state": "executed"})
    assert event_id(reply) == "executed:c1"


def test_what_postgresql_cannot_hold_is_replaced() -> None:
    assert clean("a\x00b\ud800") == "a�b?"
    assert to_json({"k\x00": ["v\x00", {"n": 1}]}) == '{"k�":["v�",{"n":1}]}'
    assert to_json("plain") == '"plain"'


def test_unknown_kinds_of_event_are_kept_as_notes() -> None:
    log = MemoryLog()
    log.append(told("brand_new", "d1", T0_US, data={"reason": "why"}))
    effects = effects_of(log.records, retention_us=YEAR_US)
    assert [row["reason"] for row in effects.by_statement["insert_note"]] == ["why"]
