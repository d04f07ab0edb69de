"""Rollups: whatever was written, in whatever order and however often, every answer is that of the plain definition over all rows."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Sequence
from typing import Any

import pytest

from citybrain_testing.storing import SECOND_US, T0_US, MemoryLog, StillClock, obs
from devices.models import load_models
from devices.registry import Device
from storage.database import Database
from storage.history import Bucket, HistoryStore
from storage.maintenance import Maintenance
from storage.registry import RegistryStore
from storage.rollups import DAY_US, GRACE_US, HOUR_US, MINUTE_US, ZONE_US, RollupJob
from storage.writer import StoreService
from stream.records import Source

YEAR_S = 366 * 86_400.0
WEEK_US = 7 * DAY_US
BUCKETS = (MINUTE_US, 10 * MINUTE_US, HOUR_US, 3 * HOUR_US, DAY_US, 2 * DAY_US, 7 * SECOND_US)
FAST, SLOW, WORDS = 1, 2, 3  # datastreams


class Definition:
    """All rows in memory; the first value of a key stands."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, int], dict[str, Any]] = {}

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        for row in rows:
            self.rows.setdefault((row["datastream"], row["phenomenon_us"]), row)

    def samples(self, series: Sequence[int], from_us: int, to_us: int) -> list[dict[str, Any]]:
        return [row for (s, t), row in sorted(self.rows.items()) if s in series and from_us <= t < to_us]

    def buckets(self, series: Sequence[int], from_us: int, to_us: int, bucket_us: int) -> list[Bucket]:
        origin = -ZONE_US if bucket_us % DAY_US == 0 else 0
        grouped: dict[int, list[dict[str, Any]]] = {}
        for row in self.samples(series, from_us, to_us):
            start = (row["phenomenon_us"] - origin) // bucket_us * bucket_us + origin
            grouped.setdefault(start, []).append(row)
        return [_bucket(start, rows) for start, rows in sorted(grouped.items())]


def _bucket(start: int, rows: list[dict[str, Any]]) -> Bucket:
    values = [row["result"] for row in rows if row.get("result") is not None]
    last = max(rows, key=lambda row: row["phenomenon_us"])
    return Bucket(
        t_us=start,
        count=len(rows),
        min=min(values, default=None),
        max=max(values, default=None),
        mean=math.fsum(values) / len(values) if values else None,
        last=last.get("result"),
        last_text=last.get("text"),
        good=sum(row["quality"] == 1 for row in rows) / len(rows),
    )


def near(found: Sequence[Bucket], wanted: Sequence[Bucket]) -> None:
    assert [b.t_us for b in found] == [b.t_us for b in wanted]
    for got, want in zip(found, wanted, strict=True):
        assert (got.count, got.min, got.max, got.last, got.last_text) == (
            want.count,
            want.min,
            want.max,
            want.last,
            want.last_text,
        )
        assert got.good == pytest.approx(want.good)
        assert got.mean == (None if want.mean is None else pytest.approx(want.mean))


async def registered(database: Database) -> None:
    """Three series: one faster than a minute, one slower, one of words."""
    devices = [
        Device(
            device_id=f"g{number}",
            model="water-gauge-v1",
            kind="water_gauge",
            name="g",
            lon=121.0,
            lat=28.0,
            interval_s=interval_s,
            attributes={"properties": properties},
        )
        for number, interval_s, properties in ((1, 10.0, ["stage_m"]), (2, 60.0, ["stage_m", "battery_v"]))
    ]
    registry = RegistryStore(database, StillClock(), load_models())
    await registry.upsert(devices, author="t", reason="test")


def service(database: Database, log: MemoryLog, **options: Any) -> StoreService:
    return StoreService(database, log, StillClock(), retention_s=YEAR_S, **options)


def batch(rng: random.Random, now_us: int, late_us: int) -> list[dict[str, Any]]:
    """Rows of three series, some of them late, repeated or in conflict with one that was sent before."""
    rows = []
    for _ in range(rng.randint(1, 25)):
        stream = rng.choice((FAST, FAST, SLOW, WORDS))
        age_us = rng.choice((0, 0, 0, rng.randrange(late_us)))
        at_us = (now_us - age_us) // (5 * SECOND_US) * 5 * SECOND_US
        row: dict[str, Any] = {"datastream": stream, "phenomenon_us": at_us, "quality": rng.choice((1, 1, 1, 3, 4))}
        row |= {"source": int(Source.BACKFILL if age_us else Source.LIVE), "receive_us": now_us}
        row |= {"text": rng.choice("开关")} if stream == WORDS else {"result": round(rng.uniform(-5, 5), 3)}
        rows.append(row)
    return rows


async def same(store: HistoryStore, definition: Definition, from_us: int, to_us: int) -> None:
    for bucket_us in BUCKETS:
        for stream in (FAST, SLOW, WORDS):
            near(
                await store.bucket_list(stream, from_us, to_us, bucket_us),
                definition.buckets([stream], from_us, to_us, bucket_us),
            )
    begin, end = from_us // HOUR_US * HOUR_US, -(-to_us // HOUR_US) * HOUR_US
    for bucket_us in (HOUR_US, DAY_US):
        found = await store.area_buckets([FAST, SLOW], from_us, to_us, bucket_us)
        wanted = definition.buckets([FAST, SLOW], begin, end, bucket_us)
        assert [(b["t_us"], b["count"], b["min"], b["max"]) for b in found] == [
            (b.t_us, b.count, b.min, b.max) for b in wanted
        ]
        assert [b["mean"] for b in found] == [pytest.approx(b.mean) for b in wanted]
        assert all(1 <= b["series"] <= 2 for b in found)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_answer_is_that_of_all_rows_whenever_it_is_asked(in_database: Any, seed: int) -> None:
    rng = random.Random(seed)

    async def work(database: Database) -> None:
        await registered(database)
        log, definition = MemoryLog(), Definition()
        history, job, writer = HistoryStore(database), RollupJob(database, StillClock()), service(database, log)
        now_us, rolled = T0_US, 0
        for _ in range(60):
            now_us += rng.choice((SECOND_US, 20 * MINUTE_US, 2 * HOUR_US))
            rows = batch(rng, now_us, 3 * DAY_US)
            definition.add(rows)
            log.append(obs(rows), at_us=now_us)
            act = rng.random()
            if act < 0.2:
                writer = service(database, log)  # a new process: it remembers no mark
            if act < 0.7:
                await writer.drain(log.head())
            if rng.random() < 0.5:
                rolled += await job.once()
            if rng.random() < 0.1:
                await writer.drain(log.head())
                from_us = T0_US - rng.randrange(3 * DAY_US)
                await same(history, definition, from_us, now_us - rng.randrange(HOUR_US))
        await writer.drain(log.head())
        await same(history, definition, T0_US - 4 * DAY_US, now_us + HOUR_US)
        rolled += await job.all()
        assert rolled > 20
        await same(history, definition, T0_US - 4 * DAY_US, now_us + HOUR_US)

    in_database(work)


def test_an_hour_is_done_when_all_that_was_appended_before_its_end_is_stored(in_database: Any) -> None:
    async def work(database: Database) -> None:
        log = MemoryLog()
        hour = T0_US // HOUR_US * HOUR_US
        row = {"datastream": FAST, "quality": 1, "result": 1.0, "source": int(Source.LIVE)}
        log.append(obs([row | {"phenomenon_us": hour}]), at_us=hour + SECOND_US)
        log.append(obs([row | {"phenomenon_us": hour + SECOND_US}]), at_us=hour + HOUR_US + GRACE_US - 1)
        log.append(obs([row | {"phenomenon_us": hour + HOUR_US}]), at_us=hour + HOUR_US + GRACE_US)
        job = RollupJob(database, StillClock(now_us=T0_US + WEEK_US))
        writer = service(database, log, max_records=1)
        assert await job.once() == 0
        await writer.drain(2)
        assert await job.once() == 0, "the city's clock is a week further, but the store is not"
        await writer.drain(3)
        assert await job.once() == 1
        assert await job.once() == 0
        (bucket,) = await HistoryStore(database).bucket_list(FAST, hour, hour + HOUR_US, HOUR_US)
        assert bucket.count == 2

    in_database(work)


def test_jobs_side_by_side_and_a_writer_among_them_leave_the_same(in_database: Any) -> None:
    async def work(database: Database) -> None:
        await registered(database)
        rng = random.Random(5)
        log, definition = MemoryLog(), Definition()
        writer = service(database, log, max_records=1)
        for step in range(80):
            now_us = T0_US + step * 10 * MINUTE_US
            rows = batch(rng, now_us, 6 * HOUR_US)
            definition.add(rows)
            log.append(obs(rows), at_us=now_us)

        async def roll() -> None:
            job = RollupJob(database, StillClock())
            while writer.position < log.head():
                await job.once()
                await asyncio.sleep(0)

        await asyncio.gather(writer.drain(log.head()), roll(), roll())
        await RollupJob(database, StillClock()).all()
        await same(HistoryStore(database), definition, T0_US - DAY_US, T0_US + DAY_US)

    in_database(work)


def test_rollups_outlive_history_and_late_rows_do_not_spoil_them(in_database: Any) -> None:
    async def work(database: Database) -> None:
        await registered(database)
        log, definition = MemoryLog(), Definition()
        writer, history = service(database, log), HistoryStore(database)
        start = T0_US // WEEK_US * WEEK_US
        row = {"quality": 1, "source": int(Source.LIVE)}
        for day in range(15):
            at_us = start + day * DAY_US
            rows = [
                row | {"datastream": stream, "phenomenon_us": at_us + n * 10 * SECOND_US, "result": day + n / 10}
                for stream in (FAST, SLOW)
                for n in range(40)
            ]
            definition.add(rows)
            log.append(obs(rows), at_us=at_us + HOUR_US)
        clock = StillClock(now_us=start + 15 * DAY_US)
        keep = Maintenance(database, clock, retention_s=DAY_US / 1e6, minutes_s=YEAR_S, hours_s=YEAR_S)
        await writer.drain(log.head())
        assert (await keep.once())["partitions"] == 0, "nothing goes before it is rolled up"
        await RollupJob(database, clock).all()
        assert (await keep.once())["partitions"] == 2
        end = start + 15 * DAY_US
        for bucket_us in (HOUR_US, DAY_US):
            near(
                await history.bucket_list(SLOW, start, end, bucket_us),
                definition.buckets([SLOW], start, end, bucket_us),
            )
        near(
            await history.bucket_list(FAST, start, end, MINUTE_US),
            definition.buckets([FAST], start, end, MINUTE_US),
        )
        late = row | {"datastream": SLOW, "phenomenon_us": start + 5 * SECOND_US, "result": 999.0}
        log.append(obs([late]), at_us=end)
        await writer.drain(log.head())
        for _ in ("marked", "rolled up"):
            for bucket_us in (HOUR_US, DAY_US):
                near(
                    await history.bucket_list(SLOW, start, end, bucket_us),
                    definition.buckets([SLOW], start, end, bucket_us),
                )
            (first, *_) = await history.area_buckets([SLOW], start, end, HOUR_US)
            assert (first["count"], first["max"]) == (40, 3.9), (
                "what is left of an hour does not replace what was made of all of it, before the job or after it"
            )
            await RollupJob(database, clock).all()
        short = Maintenance(database, clock, retention_s=DAY_US / 1e6, minutes_s=DAY_US / 1e6, hours_s=DAY_US / 1e6)
        done = await short.once()
        assert (done["minute_partitions"], done["hours"] > 0) == (2, True)
        from_us, to_us = start - ZONE_US, end - ZONE_US  # whole days of the city: of less there are no hours any more
        near(
            await history.bucket_list(SLOW, from_us, to_us, DAY_US),
            definition.buckets([SLOW], from_us, to_us, DAY_US),
        )

    in_database(work)
