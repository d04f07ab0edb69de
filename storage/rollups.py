"""Rollups: whole minutes, hours and city days of each series, made from history and always told apart from what they do not hold yet.

The writer marks each hour of a series that gets rows, in the transaction that writes them (`Marks`); the job turns marks into rollups once
the hour is over, and takes the marks away in the transaction that writes those (`RollupJob`). It reckons an hour anew from all its rows
and never adds to one: late rows, repeats and conflicts come out right, and a job that dies has done nothing. A reader takes marked hours
from history (storage/sql/history), so no answer is ever older than the rows.

Why a mark is not written for every batch: the first row of an hour marks it, and while the hour is open the mark stays, since the job
takes an hour only when everything that was appended before its end and GRACE_US is in the database. That is known by the writer's own
cursor and not by a clock. A row that comes later than that always marks.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import structlog

from devices.clock import Clock
from storage import metrics, packing
from storage.database import Database
from storage.errors import DatabaseUnavailable
from storage.statements import load
from storage.times import to_time, to_us

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
ZONE_US = 8 * HOUR_US  # all China: a city's day begins at 16:00 UTC
GRACE_US = 600_000_000  # after its end, an hour may still get what was under way
SERIES_AT_ONCE = 2_000
PAUSE_S = 5.0  # machine time between two looks for work
RETRY_S = 5.0
WRITER = "store"  # whose cursor says what is in the database

_SQL = load("rollups")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Touched:
    """Where a batch puts rows: `datastream` (n,) int64, `hour` (n,) int64 hours since 1970, `at_us` (n,) int64 append time of each row."""

    datastream: npt.NDArray[Any]
    hour: npt.NDArray[Any]
    at_us: npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Distinct (datastream, hour), each (m,) int64, in the order of the first."""

    datastream: npt.NDArray[Any]
    hour: npt.NDArray[Any]

    def __len__(self) -> int:
        return len(self.datastream)

    def packed(self) -> bytes:
        """For COPY into `rollup_mark`."""
        return packing.pack_fixed([packing.int4(self.datastream), packing.timestamptz(self.hour * HOUR_US)])


class Marks:
    """What one writer remembers of the marks that it has written. Forgetting costs a superfluous mark and nothing else."""

    def __init__(self) -> None:
        self._hour = np.full(1, -1, np.int64)  # by datastream: the hour that was marked last

    def missing(self, touched: Touched) -> Pairs:
        """The marks that a batch needs and that do not stand for certain."""
        known = self._hour[np.minimum(touched.datastream, len(self._hour) - 1)]
        known = np.where(touched.datastream < len(self._hour), known, -1)
        still_open = touched.at_us < (touched.hour + 1) * HOUR_US + GRACE_US
        need = ~(still_open & (known == touched.hour))
        if not need.any():
            return Pairs(datastream=np.empty(0, np.int64), hour=np.empty(0, np.int64))
        pairs = np.unique((touched.datastream[need] << 32) | touched.hour[need])
        return Pairs(datastream=pairs >> 32, hour=pairs & 0xFFFFFFFF)

    def keep(self, pairs: Pairs) -> None:
        """They are committed."""
        if not len(pairs):
            return
        top = int(pairs.datastream[-1])
        if top >= len(self._hour):
            grown = np.full(max(top + 1, 2 * len(self._hour)), -1, np.int64)
            grown[: len(self._hour)] = self._hour
            self._hour = grown
        self._hour[pairs.datastream] = pairs.hour  # of several the newest: they are in order


class RollupJob:
    """One per tenant; of two at once one waits. `run()` ends only when it is cancelled."""

    def __init__(self, database: Database, clock: Clock, *, writer: str = WRITER) -> None:
        self._database, self._clock, self._writer = database, clock, writer

    async def run(self) -> None:
        while True:
            try:
                done = await self.once()
                await self._measure()
            except DatabaseUnavailable as error:
                log.warning("rollups_wait_for_database", reason=error.reason)
                await asyncio.sleep(RETRY_S)
                continue
            await asyncio.sleep(0.0 if done else PAUSE_S)

    async def all(self) -> int:
        """Until nothing is due; how many (series, hour) were reckoned."""
        total = 0
        while done := await self.once():
            total += done
        return total

    async def once(self) -> int:
        """The oldest hour that is over, at most SERIES_AT_ONCE of its series, in one transaction. 0: nothing is due.
        Raises DatabaseUnavailable."""
        async with self._database.transaction() as conn:
            await conn.execute(_SQL["one_moment"])
            await conn.execute(_SQL["one_at_once"])
            stored = await (await conn.execute(_SQL["stored_until"], {"name": self._writer})).fetchone()
            if stored is None:
                return 0
            closed = stored["at"] - timedelta(microseconds=HOUR_US + GRACE_US)
            due = await (await conn.execute(_SQL["due_hour"], {"closed": closed})).fetchone()
            if due is None or due["hour"] is None:
                return 0
            hour = due["hour"]
            page = {"hour": hour, "limit": SERIES_AT_ONCE}
            series = [row["datastream"] for row in await (await conn.execute(_SQL["due_series"], page)).fetchall()]
            about: dict[str, Any] = {"hour": hour, "series": series}
            floor = await (await conn.execute(_SQL["floor"])).fetchone()
            if floor is not None and hour < floor["bound"]:
                # What is left of such an hour is not all of it: the rollup that was made of all of it stands.
                metrics.ROLLUPS_LATE.inc(len(series))
            else:
                day = _day(to_us(hour))
                await conn.execute(_SQL["ensure_minutes"], about)
                await conn.execute(_SQL["roll_minutes"], about)
                await conn.execute(_SQL["roll_hour"], about)
                await conn.execute(_SQL["roll_day"], about | {"day": to_time(day)})
            await conn.execute(_SQL["remove_marks"], about)
        metrics.ROLLUPS.inc(len(series))
        return len(series)

    async def _measure(self) -> None:
        async with self._database.transaction() as conn:
            row = await (await conn.execute(_SQL["oldest_mark"])).fetchone()
        assert row is not None
        metrics.ROLLUP_MARKS.set(row["marks"])
        age_us = 0 if row["hour"] is None else self._clock.city_us() - to_us(row["hour"]) - HOUR_US - GRACE_US
        metrics.ROLLUP_AGE.set(max(0.0, age_us / 1e6))


def _day(at_us: int) -> int:
    """The beginning of the city's day."""
    return (at_us + ZONE_US) // DAY_US * DAY_US - ZONE_US
