"""Partitions ahead and retention behind, as our own job in city time on every tier (database policies use the wall clock)."""

from __future__ import annotations

import asyncio

import structlog

from devices.clock import Clock
from storage import metrics
from storage.database import Database
from storage.errors import DatabaseUnavailable
from storage.statements import load
from storage.times import to_time

log = structlog.get_logger(__name__)

AHEAD_S = 14 * 86_400.0  # partitions are made this far ahead: two of a week's length
INTERVAL_S = 3_600.0  # city time between two runs
POLL_MAX_S = 30.0  # machine time: how often the city clock is looked at
RETRY_S = 5.0

_SQL = load("maintenance")
_EXPIRING = ("clock_faults", "conflicts", "outliers", "events", "dead_letters", "refusals", "notes")


class Maintenance:
    """Hourly in city time. Two at once are harmless: both do the same.

    `retention_s` for observations, `events_retention_s` for events, dead letters, refusals, conflicts and outliers.
    Whole chunks go, so that observations stay up to a week longer than asked.
    """

    def __init__(
        self, database: Database, clock: Clock, *, retention_s: float, events_retention_s: float | None = None
    ) -> None:
        self._database = database
        self._clock = clock
        self._retention_us = int(retention_s * 1e6)
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
        bound = {"bound": to_time(now_us - self._retention_us)}
        async with self._database.transaction() as conn:
            row = await (await conn.execute(_SQL["drop_before"], bound)).fetchone()
        return int(row["dropped"]) if row is not None else 0
