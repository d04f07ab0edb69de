"""Partitions ahead and retention behind, as our own job in city time on every tier (database policies use the wall clock)."""

from __future__ import annotations

import asyncio
import math

import structlog

from devices.clock import Clock
from storage import metrics
from storage.database import Database
from storage.errors import DatabaseUnavailable
from storage.statements import load
from storage.times import to_time, to_us

log = structlog.get_logger(__name__)

AHEAD_S = 14 * 86_400.0  # partitions are made this far ahead: two of a week's length
INTERVAL_S = 3_600.0  # city time between two runs
POLL_MAX_S = 30.0  # machine time: how often the city clock is looked at
RETRY_S = 5.0

WEEK_US = 7 * 86_400 * 1_000_000  # of chunks and partitions, aligned to 1970

_SQL = load("maintenance")
_ROLLUPS = load("rollups")
_EXPIRING = ("clock_faults", "conflicts", "outliers", "events", "dead_letters", "replays", "refusals", "notes")


class Maintenance:
    """Hourly in city time. Two at once are harmless: both do the same.

    `retention_s` for observations, `events_retention_s` for events, dead letters, refusals, conflicts and outliers,
    `minutes_s` and `hours_s` for rollups of minutes and hours; those of days stay. Whole chunks go, so that observations and
    minutes stay up to a week longer than asked; observations stay until their rollups are made.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        retention_s: float,
        events_retention_s: float | None = None,
        minutes_s: float = math.inf,
        hours_s: float = math.inf,
    ) -> None:
        self._database = database
        self._clock = clock
        self._retention_us = int(retention_s * 1e6)
        self._minutes_s, self._hours_s = minutes_s, hours_s
        self._events_us = int((retention_s if events_retention_s is None else events_retention_s) * 1e6)

    async def run(self) -> None:
        """Until cancelled. While the database is away it waits and tries again."""
        due_us = self._clock.city_us()
        while True:
            if self._clock.city_us() >= due_us:
                try:
                    await self.once()
                except DatabaseUnavailable as error:
                    log.warning("maintenance_waits_for_database", reason=error.reason)
                    await asyncio.sleep(RETRY_S)
                    continue
                due_us = self._clock.city_us() + int(INTERVAL_S * 1e6)
            await asyncio.sleep(POLL_MAX_S)

    async def once(self) -> dict[str, int]:
        """One run; how much was made and dropped, by name."""
        now_us = self._clock.city_us()
        done = {"partitions_made": await self._ahead(now_us), "partitions": await self._drop(now_us)}
        done |= await self._drop_rollups(now_us)
        bound = {"bound": to_time(now_us - self._events_us)}
        for what in _EXPIRING:
            async with self._database.transaction() as conn:
                done[what] = (await conn.execute(_SQL[f"expire_{what}"], bound)).rowcount
        for what, count in done.items():
            if what != "partitions_made":
                metrics.EXPIRED.labels(what).inc(count)
        log.info("maintenance_done", **done)
        return done

    async def _ahead(self, now_us: int) -> int:
        bounds = {"from_time": to_time(now_us), "to_time": to_time(now_us + int(AHEAD_S * 1e6))}
        async with self._database.transaction() as conn:
            row = await (await conn.execute(_SQL["ensure_ahead"], bounds)).fetchone()
        return int(row["made"]) if row is not None else 0

    async def _drop(self, now_us: int) -> int:
        """Chunks of observations that are old enough and rolled up; what was before is final from then on, in one transaction."""
        async with self._database.transaction() as conn:
            marked = await (await conn.execute(_ROLLUPS["oldest_mark"])).fetchone()
            bound_us = now_us - self._retention_us
            if marked is not None and marked["hour"] is not None:
                bound_us = min(bound_us, to_us(marked["hour"]))
            row = await (await conn.execute(_SQL["drop_before"], {"bound": to_time(bound_us)})).fetchone()
            await conn.execute(_ROLLUPS["raise_floor"], {"bound": to_time(bound_us // WEEK_US * WEEK_US)})
        return int(row["dropped"]) if row is not None else 0

    async def _drop_rollups(self, now_us: int) -> dict[str, int]:
        done = {}
        async with self._database.transaction() as conn:
            if math.isfinite(self._minutes_s):
                bound = {"bound": to_time(now_us - int(self._minutes_s * 1e6))}
                row = await (await conn.execute(_ROLLUPS["drop_minutes"], bound)).fetchone()
                done["minute_partitions"] = int(row["dropped"]) if row is not None else 0
            if math.isfinite(self._hours_s):
                bound = {"bound": to_time(now_us - int(self._hours_s * 1e6))}
                done["hours"] = (await conn.execute(_ROLLUPS["expire_hours"], bound)).rowcount
        return done
