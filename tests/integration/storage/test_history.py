"""Latest, rows and buckets: each tier gives what a plain reading of the definition gives."""

from __future__ import annotations

import math
import random
from typing import Any

import msgspec
import pytest

from citybrain_testing.storing import SECOND_US, T0_US, MemoryLog, StillClock, obs
from command_center.api import shapes
from devices.models import load_models
from devices.registry import Device
from storage.database import Database
from storage.history import Bucket, HistoryStore
from storage.registry import RegistryStore
from storage.writer import StoreService
from stream.records import Source

YEAR_S = 366 * 86_400.0
SEED = 20190809
DAY_US = 86_400 * SECOND_US


class Reference:
    """The definition, in memory: first value of a key stands; buckets start at whole multiples since 1970, days at the city's midnight."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows: dict[int, dict[int, dict[str, Any]]] = {}
        for row in rows:
            self.rows.setdefault(row["datastream"], {}).setdefault(row["phenomenon_us"], row)

    def history(self, stream: int, from_us: int, to_us: int) -> list[tuple[int, float, int]]:
        found = sorted(self.rows.get(stream, {}).items())
        return [(t, row["result"], row["quality"]) for t, row in found if from_us <= t < to_us]

    def buckets(self, stream: int, from_us: int, to_us: int, bucket_us: int) -> list[Bucket]:
        grouped: dict[int, list[tuple[int, float, int]]] = {}
        for sample in self.history(stream, from_us, to_us):
            origin = 0 if bucket_us % DAY_US else -8 * 3_600 * SECOND_US  # days are the city's
            grouped.setdefault((sample[0] - origin) // bucket_us * bucket_us + origin, []).append(sample)
        return [
            Bucket(
                t_us=start,
                count=len(samples),
                min=min(v for _, v, _ in samples),
                max=max(v for _, v, _ in samples),
                mean=math.fsum(v for _, v, _ in samples) / len(samples),
                last=samples[-1][1],
                last_text=None,
                good=sum(q == 1 for _, _, q in samples) / len(samples),
            )
            for start, samples in sorted(grouped.items())
        ]

    def latest(self) -> dict[int, float]:
        return {stream: max(rows.items())[1]["result"] for stream, rows in self.rows.items()}


def random_rows(rng: random.Random, count: int) -> list[dict[str, Any]]:
    return [
        {
            "datastream": rng.randint(1, 3),
            "phenomenon_us": T0_US - rng.randrange(20 * DAY_US) // rng.choice([1, 7, 20_000]),
            "result": round(rng.uniform(-5, 5), 3),
            "quality": rng.choice([1, 1, 1, 2, 3, 4]),
            "receive_us": T0_US + i,
        }
        for i, _ in enumerate(range(count))
    ]


async def stored(database: Database, rows: list[dict[str, Any]], rng: random.Random) -> HistoryStore:
    log = MemoryLog()
    at = 0
    while at < len(rows):
        size = rng.randint(1, 200)
        log.append(obs(rows[at : at + size]))
        at += size
    store = StoreService(database, log, StillClock(), retention_s=YEAR_S, max_records=rng.randint(1, 9))
    await store.drain(log.head())
    return HistoryStore(database)


def test_history_buckets_and_latest_are_the_same_on_every_tier(in_database: Any) -> None:
    async def work(database: Database) -> None:
        rng = random.Random(SEED)
        models = load_models()
        device = Device(device_id="w", model="water-gauge-v1", kind="water_gauge", name="w", lon=1.0, lat=2.0)
        change = await RegistryStore(database, StillClock(), models).upsert([device], author="t", reason="t")
        assert [s.datastream for s in change.datastreams] == [1, 2, 3]
        rows = random_rows(rng, 1500)
        history, reference = await stored(database, rows, rng), Reference(rows)
        assert {value.datastream: value.result for value in await history.latest()} == reference.latest()
        for stream in (1, 2, 3, 4):
            for _ in range(8):
                from_us = T0_US - rng.randrange(21 * DAY_US)
                to_us = from_us + rng.randrange(1, 21 * DAY_US)
                found = await history.history(stream, from_us, to_us)
                assert [(s.phenomenon_us, s.result, s.quality) for s in found] == reference.history(
                    stream, from_us, to_us
                ), f"seed {SEED}"
                bucket_us = rng.choice([SECOND_US, 60 * SECOND_US, 3600 * SECOND_US, DAY_US, 7 * DAY_US, 1_234_567])
                buckets = await history.bucket_list(stream, from_us, to_us, bucket_us)
                expected = reference.buckets(stream, from_us, to_us, bucket_us)
                assert [rounded(b) for b in buckets] == [rounded(b) for b in expected[:10_000]], f"seed {SEED}"

    in_database(work)


def as_documented(row: dict[str, Any], shape: type) -> None:
    """The columns are those of the OpenAPI document, no more and no fewer."""
    assert set(row) == {field.encode_name for field in msgspec.structs.fields(shape)}
    msgspec.convert(row, shape)


def rounded(bucket: Bucket) -> Bucket:
    """The sum's order differs between machines; everything else is exact."""
    return msgspec.structs.replace(bucket, mean=round(bucket.mean or 0.0, 9))


def test_a_bucket_of_text_has_a_last_word_and_no_numbers(in_database: Any) -> None:
    async def work(database: Database) -> None:
        rows = [
            {"datastream": 1, "phenomenon_us": T0_US, "text": "open"},
            {"datastream": 1, "phenomenon_us": T0_US + 1, "text": "shut"},
        ]
        history = await stored(database, rows, random.Random(1))
        (bucket,) = await history.buckets(1, T0_US, T0_US + SECOND_US, SECOND_US)
        as_documented(bucket, shapes.ObservationBucket)
        assert bucket == {
            "t_us": T0_US, "count": 2, "min": None, "max": None, "mean": None, "last": None, "last_text": "shut",
            "good": 1.0,
        }  # fmt: skip
        with pytest.raises(ValueError, match="bucket_us 0"):
            await history.buckets(1, 0, 1, 0)

    in_database(work)


def test_pages_of_history_join_without_a_gap(in_database: Any) -> None:
    async def work(database: Database) -> None:
        rows = [{"datastream": 1, "phenomenon_us": T0_US + i, "result": float(i)} for i in range(25)]
        history = await stored(database, rows, random.Random(1))
        found: list[float] = []
        from_us = T0_US
        as_documented((await history.observations(1, from_us, T0_US + 1000, 1))[0], shapes.Observation)
        while page := await history.observations(1, from_us, T0_US + 1000, 10):
            found += [row["result"] for row in page]
            from_us = page[-1]["phenomenon_us"] + 1
        assert found == [float(i) for i in range(25)]

    in_database(work)


def test_a_check_tells_the_vendor_what_arrived_and_how_wrong_the_clock_is(in_database: Any) -> None:
    async def work(database: Database) -> None:
        device = Device(
            device_id="w", model="water-gauge-v1", kind="water_gauge", name="w", lon=1.0, lat=2.0,
            attributes={"properties": ["stage_m", "battery_v"]},
        )  # fmt: skip
        await RegistryStore(database, StillClock(), load_models()).upsert([device], author="t", reason="t")
        wrong = int(Source.LIVE | Source.CLOCK_FAULT)
        live = int(Source.LIVE)
        rows: list[dict[str, Any]] = [
            {"datastream": 1, "phenomenon_us": T0_US, "result": 1.0, "receive_us": T0_US + 2 * SECOND_US, "source": live},
            {
                "datastream": 1, "phenomenon_us": T0_US + 9 * SECOND_US, "device_us": T0_US - 3600 * SECOND_US,
                "receive_us": T0_US + 9 * SECOND_US, "result": 120.0, "quality": 3, "seq": 7,
                "source": wrong | int(Source.OVER_RANGE),
            },
            {"datastream": 2, "phenomenon_us": T0_US - DAY_US, "result": 12.0, "source": int(Source.BACKFILL)},
        ]  # fmt: skip
        history = await stored(database, rows, random.Random(1))
        check = await history.check("w")
        counted = {key: check[key] for key in ("received", "flagged", "clock_fault", "backfilled", "conflicts")}
        assert counted == {"received": 3, "flagged": 1, "clock_fault": 1, "backfilled": 1, "conflicts": 0}
        assert check["clock_offset_s"] == -3609.0
        assert check["last_receive_us"] == T0_US + 9 * SECOND_US
        assert check["last_messages"][0]["flags"] == ["suspect", "clock_fault", "over_range"]
        assert check["last_messages"][0]["seq"] == 7
        as_documented(check, shapes.DeviceCheck)
        stranger = await history.check("nobody")
        assert (stranger["received"], stranger["clock_offset_s"], stranger["last_messages"]) == (0, None, [])

    in_database(work)
