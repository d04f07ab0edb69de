"""Times between us and the database: the fast way for many rows says what the slow one says."""

from __future__ import annotations

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from psycopg.adapt import Transformer
from psycopg.pq import Format

from storage.times import MAX_US, MIN_US, MicrosecondsLoader, to_us

POSTGRES_EPOCH_US = 946_684_800_000_000
INFINITY, MINUS_INFINITY = 2**63 - 1, -(2**63)


@given(st.integers(min_value=MIN_US, max_value=MAX_US))
@example(MIN_US)
@example(0)
@example(POSTGRES_EPOCH_US)
@example(MAX_US)
def test_microseconds_are_what_psycopg_reads_as_a_datetime(us: int) -> None:
    data = struct.pack("!q", us - POSTGRES_EPOCH_US)
    read = Transformer().get_loader(1184, Format.BINARY).load(data)
    assert to_us(read) == us
    assert MicrosecondsLoader(1184).load(data) == us


@pytest.mark.parametrize(("number", "us"), [(INFINITY, MAX_US), (MINUS_INFINITY, MIN_US)])
def test_what_no_datetime_holds_is_clamped(number: int, us: int) -> None:
    assert MicrosecondsLoader(1184).load(struct.pack("!q", number)) == us
