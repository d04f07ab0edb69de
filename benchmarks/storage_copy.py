"""How many observations a second does the store put into the database, and what does a replay cost?

Question: does the store keep up with the end-to-end rate of 100,000 observations/s (design.md section 5), with indexes, latest
values and counters in the same transaction? Expected: COPY to a temporary table and INSERT .. ON CONFLICT alone were measured
at 220,000 rows/s; latest, counters and decoding should leave more than half.

Shape: frames of 1,000 rows, 10,000 series, one value per series and minute, live; 48 frames to a transaction. Then the same
frames once more under another cursor (nothing new: all duplicates). Rates per machine second depend on whatever else the
machine does, so CPU seconds are given too: of this process, and of the server with all its children.
Not measured: reading the log from disk (frames are in memory), other tiers than the one named.

    python -m benchmarks.storage_copy [plain|timescale]        QUICK=1 for a fifth of the rows
The last line is one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from pathlib import Path

import numpy as np
import structlog

from citybrain_testing.servers import PrivatePostgres, private_postgres
from citybrain_testing.storing import T0_US, MemoryLog, StillClock
from storage.database import Database
from storage.history import HistoryStore
from storage.migrate import migrate
from storage.writer import StoreService
from stream.records import ObsBatch, observations

SEED = 7
SERIES, FRAME_ROWS = 10_000, 1_000
MINUTE_US = 60_000_000
LIMIT_ROWS_PER_S = 100_000  # what ingest can bring end to end
YEAR_S = 366 * 86_400.0


def frames(count: int) -> MemoryLog:
    """Frames in the order in which devices would send them."""
    rng = np.random.default_rng(SEED)
    log = MemoryLog()
    for number in range(count):
        start = number * FRAME_ROWS
        index = np.arange(start, start + FRAME_ROWS)
        at_us = T0_US + index // SERIES * MINUTE_US + index % SERIES * 6_000
        columns = {
            "partition": (index % 64).astype(np.uint8),
            "datastream": (index % SERIES + 1).astype(np.uint32),
            "phenomenon_us": at_us,
            "receive_us": at_us + rng.integers(1_000, 50_000, FRAME_ROWS),
            "result": rng.normal(3.0, 1.0, FRAME_ROWS),
            "quality": np.ones(FRAME_ROWS, np.uint8),
            "source": np.ones(FRAME_ROWS, np.uint16),
            "seq": (index // SERIES).astype(np.uint32),
        }
        log.append(observations(ObsBatch.from_columns(columns)), at_us=int(at_us[-1]) + 60_000)
    return log


async def measure(server: PrivatePostgres, count: int) -> dict[str, object]:
    log = frames(count)
    rows = count * FRAME_ROWS
    async with Database(server.fresh_database(), "bench") as database:
        await migrate(database, at_us=T0_US)
        tier = await database.tier()
        cpu_before = time.process_time(), server_cpu_s(server.pid)
        first_s, commits = await timed(database, log, "first")
        cpu_after = time.process_time(), server_cpu_s(server.pid)
        replay_s, _ = await timed(database, log, "replay")
        totals = await HistoryStore(database).totals()
        size = totals["observations"]
    commits.sort()
    return {
        "tier": tier,
        "rows": rows,
        "rows_per_s": round(rows / first_s),
        "limit_rows_per_s": LIMIT_ROWS_PER_S,
        "to_limit": round(rows / first_s / LIMIT_ROWS_PER_S, 2),
        "replay_rows_per_s": round(rows / replay_s),
        "stored": size,
        "duplicates": size - rows,
        "conflicts": totals["conflicts"],
        "store_cpu_us_per_row": round((cpu_after[0] - cpu_before[0]) / rows * 1e6, 2),
        "database_cpu_us_per_row": round((cpu_after[1] - cpu_before[1]) / rows * 1e6, 2),
        "commit_p50_ms": round(commits[len(commits) // 2] * 1000, 1),
        "commit_max_ms": round(commits[-1] * 1000, 1),
        "load_1min": round(os.getloadavg()[0], 1),
        "cpus": os.cpu_count(),
    }


def server_cpu_s(pid: int) -> float:
    """CPU seconds of a process and of everything below it that lives (a pool keeps its backends alive)."""
    times: dict[int, tuple[int, float]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8").rsplit(")", 1)[1].split()
        except OSError:
            continue  # ended between the listing and the reading
        ticks = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        times[int(stat.parent.name)] = (int(fields[1]), ticks)
    below = {pid}
    while grown := {child for child, (parent, _) in times.items() if parent in below} - below:
        below |= grown
    return sum(times[process][1] for process in below if process in times)


async def timed(database: Database, log: MemoryLog, cursor: str) -> tuple[float, list[float]]:
    store = StoreService(database, log, StillClock(), retention_s=YEAR_S, cursor=cursor)
    await store.drain(0)
    started = time.perf_counter()
    commits = []
    while store.position < log.head():
        before = time.perf_counter()
        await store.step()
        commits.append(time.perf_counter() - before)
    return time.perf_counter() - started, commits


def main() -> None:
    tier = sys.argv[1] if len(sys.argv) > 1 else "plain"
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    count = 200 if os.environ.get("QUICK") else 1_000
    with private_postgres(tier="timescale" if tier == "timescale" else "plain") as server:
        print(json.dumps(asyncio.run(measure(server, count))))


if __name__ == "__main__":
    main()
