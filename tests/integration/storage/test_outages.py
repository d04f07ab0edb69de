"""`kill -9` of the database and of the store: nothing in the log is lost, nothing is stored or counted twice."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from citybrain_testing.servers import PrivatePostgres, Tier, private_postgres
from citybrain_testing.storing import SECOND_US, T0_US, MemoryLog, StillClock, obs, told
from storage.database import Database
from storage.history import HistoryStore
from storage.migrate import migrate
from storage.writer import StoreService
from stream.reader import LogReader
from stream.records import NewRecord
from stream.writer import LogWriter

YEAR_S = 366 * 86_400.0
RECOVERY_TIMEOUT_S = 60.0
ROWS = 50  # per frame
APPEND_EVERY_S = 0.005

CHILD = """
import asyncio, sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from citybrain_testing.storing import StillClock
from storage.database import Database
from storage.writer import StoreService
from stream.reader import LogReader

async def main():
    async with Database(sys.argv[2], "demo") as database:
        reader = LogReader(Path(sys.argv[1]))
        store = StoreService(database, reader, StillClock(), retention_s=1e9, max_records=3, linger_s=0.0)
        await store.run()

asyncio.run(main())
"""


def frame(number: int) -> list[NewRecord]:
    rows = [
        {"datastream": 1 + i % 5, "phenomenon_us": T0_US + (number * ROWS + i) * SECOND_US // 100, "result": float(i)}
        for i in range(ROWS)
    ]
    return [obs(rows), told("device_event", "d", T0_US + number, id=f"e{number}", data={"type": "smoke"})]


async def assert_complete(database: Database, frames: int) -> None:
    totals = await HistoryStore(database).totals()
    assert (totals["observations"], totals["events"]) == (frames * ROWS, frames)
    assert (totals["conflicts"], totals["dead_letters"]) == (0, 0)
    async with database.transaction() as conn:
        row = await (await conn.execute("SELECT sum(received)::int AS received FROM datastream_stat")).fetchone()
    assert row == {"received": frames * ROWS}, "a counter that ran twice would show a transaction that ran twice"


@pytest.mark.database
@pytest.mark.slow
@pytest.mark.parametrize("tier", ["plain", pytest.param("timescale", marks=pytest.mark.timescale)])
def test_the_database_is_killed_while_we_write(tier: Tier) -> None:
    with private_postgres(tier=tier) as server:
        asyncio.run(_through_an_outage(server))


async def _through_an_outage(server: PrivatePostgres) -> None:
    log = MemoryLog()
    async with Database(server.fresh_database(), "demo") as database:
        await migrate(database, at_us=T0_US)
        store = StoreService(database, log, StillClock(), retention_s=YEAR_S, max_records=2, linger_s=0.0)
        running = asyncio.create_task(store.run())
        for number in range(100):
            log.append(*frame(number))
            if number == 40:
                await _until(lambda: store.position > 20)
                server.kill()
                await asyncio.sleep(0.5)
            if number == 80:
                stuck = store.position
                assert stuck < log.head()
                server.start()
        await _until(lambda: store.position == log.head())
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        await assert_complete(database, 100)


async def _until(holds: object) -> None:
    async with asyncio.timeout(RECOVERY_TIMEOUT_S):
        while not holds():  # type: ignore[operator]
            await asyncio.sleep(0.01)


@pytest.mark.database
@pytest.mark.slow
def test_the_store_is_killed_while_it_writes(plain_server: PrivatePostgres, tmp_path: Path) -> None:
    url = plain_server.fresh_database()
    rng = random.Random(7)

    async def prepare() -> None:
        async with Database(url, "demo") as database:
            await migrate(database, at_us=T0_US)

    async def finish(frames: int) -> None:
        async with Database(url, "demo") as database:
            with LogReader(tmp_path) as reader:
                await StoreService(database, reader, StillClock(), retention_s=YEAR_S).drain(reader.head())
            await assert_complete(database, frames)

    asyncio.run(prepare())
    numbers = itertools.count()
    with LogWriter(tmp_path, StillClock()) as writer, psycopg.connect(url, autocommit=True) as look:
        for _ in range(4):
            _run_and_kill(look, [sys.executable, "-c", CHILD, str(tmp_path), url], writer, numbers, rng)
        asyncio.run(finish(next(numbers)))


def _run_and_kill(
    look: psycopg.Connection[Any], argv: list[str], writer: LogWriter, numbers: Iterator[int], rng: random.Random
) -> None:
    """Start a store, append while it works, and `kill -9` it a random moment after its cursor moved."""
    before = _cursor(look)
    child = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + RECOVERY_TIMEOUT_S
        while _cursor(look) == before:
            assert time.monotonic() < deadline, "the store does not start"
            assert child.poll() is None, "the store ended by itself"
            writer.append(frame(next(numbers)))
            time.sleep(APPEND_EVERY_S)
        kill_at = time.monotonic() + rng.uniform(0.0, 0.2)
        while time.monotonic() < kill_at:
            writer.append(frame(next(numbers)))
            time.sleep(APPEND_EVERY_S)
    finally:
        child.kill()
        child.wait(RECOVERY_TIMEOUT_S)


def _cursor(look: psycopg.Connection[Any]) -> int:
    row = look.execute("SELECT max(position) FROM demo.log_cursor").fetchone()
    return int(row[0] or 0) if row else 0
