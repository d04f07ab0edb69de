"""City microseconds on our side, `timestamptz` in the database; exact in both directions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.pq import Format

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

# What PostgreSQL's timestamptz and Python's datetime can both hold. A device's stamp outside is kept in the dead
# letter or refused; here it is clamped so that one absurd stamp never stops a batch.
MIN_US = -62_135_596_800_000_000  # 0001-01-01T00:00:00Z
MAX_US = 253_402_300_799_999_999  # 9999-12-31T23:59:59.999999Z


def to_time(us: int) -> datetime:
    """Aware UTC datetime of city microseconds; clamped to years 1..9999."""
    return EPOCH + timedelta(microseconds=min(max(us, MIN_US), MAX_US))


def to_us(time: datetime) -> int:
    """City microseconds of an aware datetime, exact. Raises ValueError for a naive one."""
    if time.utcoffset() is None:
        raise ValueError(f"naive time {time!r}")
    return (time - EPOCH) // _MICROSECOND


def opt_time(us: int | None) -> datetime | None:
    return None if us is None else to_time(us)


def opt_us(time: datetime | None) -> int | None:
    return None if time is None else to_us(time)


_POSTGRES_EPOCH_US = 946_684_800_000_000  # 2000-01-01T00:00:00Z, from which the binary form counts


class MicrosecondsLoader(Loader):
    """`timestamptz` in the protocol's binary form as city microseconds, without the datetime between.

    A day of one series at a value a minute is 1,440 rows with two times each: reading them as datetimes took as long as the
    server took to find the rows. `infinity` comes as MAX_US and `-infinity` as MIN_US, as everything outside the two.
    """

    format = Format.BINARY

    def load(self, data: Buffer) -> int:
        us = int.from_bytes(data, "big", signed=True) + _POSTGRES_EPOCH_US
        return min(max(us, MIN_US), MAX_US)
