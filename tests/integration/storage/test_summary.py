"""Latest values and counters are written now and then, and are what they would be if every transaction wrote them."""

from __future__ import annotations

import random
from typing import Any

import pytest

from citybrain_testing.storing import SECOND_US, T0_US, MemoryLog, StillClock, obs
from storage.database import Database
from storage.times import to_time
from storage.writer import StoreService
from stream.records import TICK, NewRecord, RecordKind, Source

YEAR_S = 366 * 86_400.0
SERIES, RECORDS = 12, 60


class Killed(Exception):
    pass


def frames(seed: int) -> MemoryLog:
    """Live values, backlog, repeated keys, wrong clocks, texts, in small records."""
    rng = random.Random(seed)
    log = MemoryLog()
    for number in range(RECORDS):
        rows = []
        for _ in range(rng.randrange(1, 8)):
            stream = rng.randrange(1, SERIES + 1)
            at_us = T0_US + (number * 10 + rng.randrange(-30, 10)) * SECOND_US
            row: dict[str, Any] = {"datastream": stream, "phenomenon_us": at_us, "result": rng.randrange(100) / 4}
            row["receive_us"] = T0_US + number * 10 * SECOND_US + rng.randrange(1_000_000)
            row["quality"] = rng.choice([1, 1, 1, 3])
            row["source"] = int(rng.choice([Source.LIVE, Source.LIVE, Source.BACKFILL]))
            if stream == SERIES:
                row |= {"result": None, "text": rng.choice(["雨", "晴"])}
            if rng.random() < 0.02:
                row |= {"device_us": 5, "source": int(Source.LIVE | Source.CLOCK_FAULT)}
            rows.append(row)
        log.append(obs(rows))
        if number % 5 == 0:
            log.append(TICK)
    return log


async def tables(database: Database) -> dict[str, list[dict[str, Any]]]:
    found = {}
    async with database.transaction() as conn:
        for table, keys in (
            ("latest", "datastream"),
            ("datastream_stat", "datastream"),
            ("observation", "datastream, phenomenon_time"),
            ("observation_conflict", "datastream, phenomenon_time, receive_time, value"),
        ):
            rows = await (await conn.execute(f"SELECT * FROM {table} ORDER BY {keys}")).fetchall()  # noqa: S608
            # The clock offset is that of the newest live value of the last stretch, which is cut here and there.
            found[table] = [{key: value for key, value in row.items() if key != "clock_offset_us"} for row in rows]
    return found


async def emptied(database: Database) -> None:
    async with database.transaction() as conn:
        for table in ("latest", "datastream_stat", "observation", "observation_conflict", "observation_clock_fault"):
            await conn.execute(f"DELETE FROM {table}")  # noqa: S608
        await conn.execute("DELETE FROM log_cursor")


def service(database: Database, log: MemoryLog, **options: Any) -> StoreService:
    return StoreService(database, log, StillClock(), retention_s=YEAR_S, **options)


@pytest.mark.parametrize("seed", range(6))
def test_a_store_that_ends_anywhere_goes_on_as_if_it_had_not(in_database: Any, seed: int) -> None:
    async def work(database: Database) -> None:
        log, rng = frames(seed), random.Random(seed)
        await service(database, log, max_records=3).drain(log.head())
        expected = await tables(database)
        await emptied(database)
        waited = 0
        while True:
            store = service(database, log, max_records=rng.randrange(1, 6), summary_every_s=1e9, summary_small=0)
            await store._resume()
            for _ in range(rng.randrange(1, 9)):
                if not await store.step():
                    break
            waited += store._summary is not None
            if store.position >= log.head():
                await store.drain(log.head())
                break  # else: it is gone, with what it had in memory
        assert waited, "something was in memory when it ended"
        assert await tables(database) == expected

    in_database(work)


def test_what_waits_is_written_when_the_log_falls_quiet_and_the_log_keeps_what_it_needs(in_database: Any) -> None:
    async def work(database: Database) -> None:
        log = MemoryLog()
        log.append(obs([{"datastream": 1, "phenomenon_us": T0_US, "result": 1.0}]))
        store = service(database, log, summary_every_s=1e9, summary_small=0)
        await store._resume()
        assert await store.step()
        assert (await tables(database))["latest"] == []
        assert log.committed["store"] == 0
        assert not await store.step()
        (latest,) = (await tables(database))["latest"]
        assert (latest["result"], latest["effective_time"]) == (1.0, to_time(T0_US))
        assert store._summed == store.position == 1

    in_database(work)


def test_a_database_of_a_release_without_the_second_cursor_has_everything(in_database: Any) -> None:
    async def work(database: Database) -> None:
        log = frames(1)
        await service(database, log).drain(log.head())
        before = await tables(database)
        async with database.transaction() as conn:
            await conn.execute("DELETE FROM log_cursor WHERE name = 'store_summary'")
        store = service(database, log)
        await store.drain(log.head())
        assert await tables(database) == before

    in_database(work)


def test_a_record_that_is_refused_is_not_gathered_again(in_database: Any) -> None:
    async def work(database: Database) -> None:
        log = MemoryLog()
        for number in range(3):
            log.append(obs([{"datastream": 1, "phenomenon_us": T0_US + number * SECOND_US, "result": float(number)}]))
            if number == 1:
                log.append(NewRecord(kind=RecordKind.OBS, body=b"not Arrow"))
        first = service(database, log, max_records=1, summary_every_s=1e9, summary_small=0)
        await first._resume()
        while first.position < log.head():
            await first.step()
        assert first._summary is not None, "it ends with something in memory"
        again = service(database, log)
        await again.drain(log.head())
        found = await tables(database)
        assert (found["datastream_stat"][0]["received"], found["latest"][0]["result"]) == (3, 2.0)

    in_database(work)


def test_a_transaction_that_fails_leaves_what_waits_as_it_was(
    in_database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(database: Database) -> None:
        log = frames(2)
        await service(database, log, max_records=3).drain(log.head())
        expected = await tables(database)
        await emptied(database)
        store = service(database, log, max_records=3, summary_every_s=1e9, summary_small=0)
        await store._resume()
        ensure, failures = store._ensure, iter([False, False, True, False, True] * 20)

        async def sometimes(*args: Any) -> Any:
            if next(failures):
                raise Killed
            return await ensure(*args)

        monkeypatch.setattr(store, "_ensure", sometimes)
        while store.position < log.head():
            try:
                await store.step()
            except Killed:
                continue
        await store.drain(log.head())
        assert await tables(database) == expected

    in_database(work)
