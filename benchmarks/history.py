"""How fast is a month of history answered, on either tier?

Question (warm, p95): 24 h of one datastream below 20 ms, the latest value of all below 100 ms, the hourly mean of one property over one
area for the whole span below 1 s; 5,000 datastreams at one value a minute, 30 days of them being 216 million rows.

How: DAYS days are made in the database (INSERT .. SELECT, seeded; two more writers would not be faster on two cores), with `latest` and
the marks that the writer leaves; then `RollupJob` makes all rollups and is timed. Five properties, ten areas: a property of an area has
100 series, of the whole district 1,000. Every question goes through `HistoryStore`, as the HTTP door asks it, ROUNDS times over random
series, ends and areas, after one round that warms the cache. One answer of each kind is reckoned again from the rows.

    python -m benchmarks.history [plain|timescale]       DAYS=30 (216 million rows), some 35 GB of disk
    QUICK=1 python -m benchmarks.history                 one day, fewer rounds
    DAYS=, ROUNDS=, SEED=

The last line is JSON; `*_ms` are p50, p95, p99 of the questions. `p95_to_limit` is the worst share of a limit.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import platform
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from citybrain_testing.servers import PrivatePostgres, private_postgres
from citybrain_testing.storing import StillClock
from storage.database import Database
from storage.history import HistoryStore
from storage.migrate import migrate
from storage.rollups import DAY_US, HOUR_US, MINUTE_US, RollupJob
from storage.times import to_time

STREAMS, PROPERTIES, AREAS = 5_000, 5, 10
END_US = 1_565_308_800_000_000 // DAY_US * DAY_US  # a midnight
LIMITS_MS = {"day_of_one": 20.0, "latest_of_all": 100.0, "area_by_hour": 1_000.0}
BYTES_A_ROW = 170  # heap, key and write-ahead log together, by experience

FILL_DAY = """
INSERT INTO observation (datastream, phenomenon_time, receive_time, result, quality, source)
SELECT stream, at, at + INTERVAL '1 second', 2 + sin(stream + extract(epoch FROM at) / 7000) + random() / 10,
       CASE WHEN random() < 0.02 THEN 3 ELSE 1 END, 1
  FROM generate_series(%(from_at)s::timestamptz, %(from_at)s::timestamptz + INTERVAL '23 hours 59 minutes', INTERVAL '1 minute') AS at,
       generate_series(1, %(streams)s) AS stream"""
MARK_DAY = """
INSERT INTO rollup_mark (datastream, hour)
SELECT stream, hour
  FROM generate_series(%(from_at)s::timestamptz, %(from_at)s::timestamptz + INTERVAL '23 hours', INTERVAL '1 hour') AS hour,
       generate_series(1, %(streams)s) AS stream"""
REGISTER = """
WITH revision AS (INSERT INTO registry_revision VALUES (1, %(at)s, 'bench', 'bench', true) RETURNING revision), made AS (
    INSERT INTO device (device_id, model, kind, vendor, document, removed, revision, created_at, changed_at)
    SELECT 'bench-' || n, 'm', 'k', '', '{}', false, revision, %(at)s, %(at)s FROM revision, generate_series(1, %(streams)s) AS n
    RETURNING device_id)
INSERT INTO datastream (device_id, property, uom, kind, interval_s, active)
SELECT device_id, 'p', 'm', 'number', 60, true FROM made"""
LATEST = """
INSERT INTO latest (datastream, effective_time, phenomenon_time, receive_time, result, quality, source)
SELECT datastream, phenomenon_time, phenomenon_time, receive_time, result, quality, source
  FROM observation WHERE phenomenon_time = %(at)s"""
CURSOR = "INSERT INTO log_cursor (name, position, at) VALUES ('store', 1, %(at)s)"
MEAN = """
SELECT avg(result) AS mean, count(*) AS count FROM observation
 WHERE datastream = ANY(%(series)s) AND phenomenon_time >= %(from_at)s AND phenomenon_time < %(to_at)s"""


async def measure(server: PrivatePostgres, days: int, rounds: int, seed: int) -> dict[str, Any]:
    rng = random.Random(seed)
    async with Database(server.fresh_database(), "bench", statement_timeout_s=3_600.0) as database:
        await migrate(database, at_us=END_US)
        began = time.monotonic()
        await fill(database, days, seed)
        filled_s = time.monotonic() - began
        print(f"{days} days filled in {filled_s:.0f} s", flush=True)
        began = time.monotonic()
        hours = await RollupJob(database, StillClock()).all()
        rolled_s = time.monotonic() - began
        print(f"{hours} hours of series rolled up in {rolled_s:.0f} s", flush=True)
        await run(database, "ANALYZE")
        store = HistoryStore(database)
        await proved(database, store, rng, days)
        from_us = END_US - days * DAY_US

        async def day_of_one() -> None:
            end_us = END_US - rng.randrange(max(1, (days - 1) * 1_440)) * MINUTE_US if days > 1 else END_US
            rows = await store.history(rng.randint(1, STREAMS), end_us - DAY_US, end_us)
            assert len(rows) == DAY_US // MINUTE_US

        async def latest_of_all() -> None:
            assert len(await store.latest()) == STREAMS

        async def area_by_hour() -> None:
            found = await store.area_buckets(
                series(rng.randrange(PROPERTIES), rng.randrange(AREAS)), from_us, END_US, HOUR_US
            )
            assert len(found) == days * 24

        async def district_by_hour() -> None:
            found = await store.area_buckets(series(rng.randrange(PROPERTIES), None), from_us, END_US, HOUR_US)
            assert len(found) == days * 24

        asked = (day_of_one, latest_of_all, area_by_hour, district_by_hour)
        figures = {f"{question.__name__}_ms": await timed(question, rounds) for question in asked}
        size = (await run(database, "SELECT pg_database_size(current_database()) AS bytes"))[0]["bytes"]
        return {
            "tier": await database.tier(),
            "days": days,
            "rows": days * STREAMS * 1_440,
            "database_gb": round(size / 1e9, 1),
            "filled_rows_per_s": round(days * STREAMS * 1_440 / filled_s),
            "rollup_hours_per_s": round(hours / rolled_s),
            "rollup_rows_per_s": round(hours * 60 / rolled_s),
            **figures,
            "limits_ms": LIMITS_MS,
            "p95_to_limit": round(max(figures[f"{name}_ms"]["p95"] / limit for name, limit in LIMITS_MS.items()), 3),
        }


async def fill(database: Database, days: int, seed: int) -> None:
    await run(database, REGISTER, at=to_time(END_US), streams=STREAMS)
    await run(database, "SELECT setseed(%(seed)s)", seed=seed / 1e6)
    for day in range(days, 0, -1):
        from_at = to_time(END_US - day * DAY_US)
        await run(database, "SELECT observation_ensure(%(from_at)s, %(from_at)s)", from_at=from_at)
        await run(database, FILL_DAY, from_at=from_at, streams=STREAMS)
        await run(database, MARK_DAY, from_at=from_at, streams=STREAMS)
    await run(database, LATEST, at=to_time(END_US - MINUTE_US))
    await run(database, CURSOR, at=to_time(END_US + DAY_US))


def series(prop: int, area: int | None) -> list[int]:
    """Numbers of the datastreams of a property, in an area or in all."""
    return [
        number
        for number in range(1, STREAMS + 1)
        if number % PROPERTIES == prop and (area is None or number // PROPERTIES % AREAS == area)
    ]


async def proved(database: Database, store: HistoryStore, rng: random.Random, days: int) -> None:
    """One hour of an area, reckoned from its rows. Raises RuntimeError where it differs."""
    numbers = series(rng.randrange(PROPERTIES), rng.randrange(AREAS))
    hour_us = END_US - rng.randint(1, days * 24) * HOUR_US
    (found,) = await store.area_buckets(numbers, hour_us, hour_us + HOUR_US, HOUR_US)
    bounds = {"from_at": to_time(hour_us), "to_at": to_time(hour_us + HOUR_US)}
    (wanted,) = await run(database, MEAN, series=numbers, **bounds)
    if found["count"] != wanted["count"] or not math.isclose(found["mean"], wanted["mean"], rel_tol=1e-9):
        raise RuntimeError(f"rollups say {found}, the rows {wanted}")


async def run(database: Database, statement: str, **params: Any) -> list[dict[str, Any]]:
    async with database.transaction() as conn:
        cursor = await conn.execute(statement, params)
        return list(await cursor.fetchall()) if cursor.description else []


async def timed(question: Callable[[], Awaitable[None]], rounds: int) -> dict[str, float]:
    """p50, p95, p99 (nearest rank) in milliseconds, after a round that does not count."""
    for _ in range(rounds):
        await question()
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        await question()
        took.append((time.perf_counter() - began) * 1e3)
    took.sort()
    return {f"p{p}": round(took[max(0, -(-p * rounds // 100) - 1)], 1) for p in (50, 95, 99)}


def main() -> None:
    tier = sys.argv[1] if len(sys.argv) > 1 else "plain"
    quick = bool(os.environ.get("QUICK"))
    days = int(os.environ.get("DAYS") or (1 if quick else 30))
    rounds = int(os.environ.get("ROUNDS") or (10 if quick else 100))
    seed = int(os.environ.get("SEED") or 6)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    began = time.monotonic()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}, {days} days, seed {seed}",
        flush=True,
    )
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if free < days * STREAMS * 1_440 * BYTES_A_ROW:
        sys.exit(
            f"history: {days} days need some {days * STREAMS * 1_440 * BYTES_A_ROW / 1e9:.0f} GB, {free / 1e9:.0f} are free"
        )
    with private_postgres(tier="timescale" if tier == "timescale" else "plain") as server:
        result = asyncio.run(measure(server, days, rounds, seed))
    print(json.dumps(result | {"seed": seed, "quick": quick, "seconds": round(time.monotonic() - began, 1)}))


if __name__ == "__main__":
    main()
