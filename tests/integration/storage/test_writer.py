"""What stands in the log stands in the database, once, on every tier."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import numpy as np
import pytest

from citybrain_testing.storing import SECOND_US, T0_US, MemoryLog, StillClock, obs, told
from command_center.letters import LetterFilter
from devices.models import load_models
from devices.registry import Device
from storage.database import Database
from storage.errors import CursorAhead
from storage.history import HistoryStore
from storage.registry import RegistryStore
from storage.writer import StoreService
from stream.records import TICK, NewRecord, RecordKind, Source

YEAR_S = 366 * 86_400.0
DAY_US = 86_400 * SECOND_US


def service(database: Database, log: MemoryLog, **options: Any) -> StoreService:
    return StoreService(database, log, StillClock(), retention_s=YEAR_S, **options)


def sample(stream: int, second: int, result: float, **more: Any) -> dict[str, Any]:
    return {"datastream": stream, "phenomenon_us": T0_US + second * SECOND_US, "result": result} | more


async def gauge(database: Database, device_id: str = "g1") -> None:
    device = Device(device_id=device_id, model="water-gauge-v1", kind="water_gauge", name="g", lon=121.4, lat=28.7)
    await RegistryStore(database, StillClock(), load_models()).upsert([device], author="t", reason="test")


def test_a_frame_is_stored_once_however_often_it_is_read(in_database: Any) -> None:
    async def work(database: Database) -> None:
        log = MemoryLog()
        log.append(obs([sample(1, s, s / 10) for s in range(100)] + [sample(2, 5, 7.0)]))
        history = HistoryStore(database)
        await service(database, log).drain(1)
        again = service(database, log, cursor="another")  # the same frames through a reader that starts anew
        await again.drain(1)
        assert await history.totals() == {
            "observations": 101, "outliers": 0, "conflicts": 0, "events": 0, "dead_letters": 0, "refusals": 0,
        }  # fmt: skip
        rows = await history.history(1, T0_US, T0_US + 1000 * SECOND_US)
        assert [row.result for row in rows] == [s / 10 for s in range(100)]
        assert rows[3].phenomenon_us == T0_US + 3 * SECOND_US
        assert log.committed == {"store": 0, "another": 0} or set(log.committed) == {"store", "another"}

    in_database(work)


def test_a_second_value_for_a_key_is_a_recorded_conflict_and_the_first_stays(in_database: Any) -> None:
    async def work(database: Database) -> None:
        log = MemoryLog()
        log.append(obs([sample(1, 0, 1.0), sample(1, 0, 2.0), sample(1, 0, 1.0)]))
        log.append(obs([sample(1, 0, 3.0, receive_us=T0_US + 9 * SECOND_US)]))
        await service(database, log, max_records=1).drain(2)
        history = HistoryStore(database)
        assert [row.result for row in await history.history(1, T0_US, T0_US + SECOND_US)] == [1.0]
        assert (await history.totals())["conflicts"] == 2

    in_database(work)


SAME = {
    "observation": "phenomenon_time, receive_time, device_time, result, result_text, quality, source, seq",
    "latest": "effective_time, phenomenon_time, receive_time, device_time, result, result_text, quality, source",
    "datastream_stat": "received, flagged, clock_fault, backfilled, last_receive_time, clock_offset_us",
    "observation_conflict": "phenomenon_time, receive_time, value",
}


def test_the_short_way_and_the_long_way_give_the_same_tables(in_database: Any) -> None:
    """Streams 1 to 5 go straight into the table, 101 to 105 hold the same and go through `incoming`."""
    rng = np.random.default_rng(20190809)
    options = (Source.LIVE, Source.BACKFILL, Source.LIVE | Source.OVER_RANGE, Source(0))

    def random_sample(second: int) -> dict[str, Any]:
        late = int(rng.integers(-5, 60))
        wild = rng.random() < 0.2
        return sample(
            int(rng.integers(1, 6)),
            second,
            float(rng.normal()),
            receive_us=T0_US + (second + late) * SECOND_US,
            device_us=T0_US + int(rng.integers(0, 99)) * SECOND_US if wild else None,
            quality=int(rng.choice([1, 2, 3, 4])),
            source=int(rng.choice([int(option) for option in options])),
            seq=int(rng.integers(0, 1000)) if rng.random() < 0.5 else None,
            text="水" if rng.random() < 0.1 else None,
        )

    async def work(database: Database) -> None:
        short, long = MemoryLog(), MemoryLog()
        seconds = iter(rng.permutation(400).tolist())
        for frame in range(8):
            rows = [random_sample(next(seconds)) for _ in range(40)]
            if frame == 5:
                rows.append(rows[0] | {"result": 99.0})  # a repeated key: even the short way goes the long one
            short.append(obs(rows))
            long.append(obs([row | {"datastream": row["datastream"] + 100} for row in rows]))
        first = service(database, short, max_records=1)
        await first.drain(8)
        assert first._long_way > 0, "the short way was tried, and turned back at frame 5"
        other = service(database, long, max_records=1, cursor="long")
        other._long_way = 1_000
        await other.drain(8)
        async with database.transaction() as conn:
            for table, columns in SAME.items():
                query = f"SELECT datastream, {columns} FROM {table} ORDER BY 1, 2, 3, 4"  # noqa: S608
                rows = await (await conn.execute(query)).fetchall()
                ways: list[list[dict[str, Any]]] = [[], []]
                for row in rows:
                    ways[row["datastream"] > 100].append(row | {"datastream": row["datastream"] % 100})
                assert ways[0] == ways[1], table
                assert ways[0], table

    in_database(work)


def test_absurd_times_stay_out_of_the_partitioned_table_but_are_kept(in_database: Any) -> None:
    async def work(database: Database) -> None:
        log = MemoryLog()
        backfill = int(Source.BACKFILL)
        times = [0, 4_070_908_800_000_000, -(2**63), 2**63 - 1, T0_US + 2 * DAY_US, T0_US - 2 * 366 * DAY_US]
        rows = [
            {"datastream": 1, "phenomenon_us": t, "receive_us": T0_US, "result": 1.0, "source": backfill} for t in times
        ]
        log.append(obs([*rows, sample(1, 0, 5.0)]))
        await service(database, log).drain(1)
        totals = await HistoryStore(database).totals()
        assert (totals["observations"], totals["outliers"]) == (1, 6)

    in_database(work)


def test_latest_is_guarded_by_time_and_a_wrong_clock_becomes_latest_at_its_receive_time(in_database: Any) -> None:
    async def work(database: Database) -> None:
        await gauge(database)
        log = MemoryLog()
        history = HistoryStore(database)

        async def newest(*rows: dict[str, Any]) -> tuple[float | None, int]:
            log.append(obs(list(rows)))
            await service(database, log).drain(log.head())
            (found,) = await history.latest(["g1"])
            return found.result, (found.phenomenon_us - T0_US) // SECOND_US

        assert await newest(sample(1, 10, 1.0), sample(1, 20, 2.0), sample(1, 15, 1.5)) == (2.0, 20)
        assert await newest(sample(1, 12, 9.0, source=int(Source.BACKFILL))) == (2.0, 20)
        wrong = int(Source.LIVE | Source.CLOCK_FAULT)
        assert await newest(sample(1, 30, 3.0, device_us=0, source=wrong, quality=3)) == (3.0, 30)
        future = {"receive_us": T0_US + 31 * SECOND_US, "source": int(Source.BACKFILL)}
        assert await newest(sample(1, 5000, 8.0, **future)) == (3.0, 30)
        ahead = {"receive_us": T0_US + 40 * SECOND_US}  # 200 s ahead is within the tolerance: it counts at its receipt
        assert await newest(sample(1, 240, 4.0, **ahead)) == (4.0, 240)
        assert await newest(sample(1, 50, 5.0)) == (5.0, 50)

    in_database(work)


def test_samples_of_a_wrong_clock_are_unique_by_what_the_device_said(in_database: Any) -> None:
    async def work(database: Database) -> None:
        await gauge(database)
        log = MemoryLog()
        wrong = {"source": int(Source.LIVE | Source.CLOCK_FAULT), "device_us": 1_000_000}
        log.append(obs([sample(1, 10, 1.0, **wrong)]))
        log.append(obs([sample(1, 20, 1.0, **wrong)]))  # the same message, redelivered
        log.append(obs([sample(1, 30, 2.0, **wrong)]))  # a stuck clock: another value under the same stamp
        log.append(obs([sample(1, 40, 3.0, **(wrong | {"device_us": 2_000_000}))]))
        await service(database, log, max_records=2).drain(4)
        history = HistoryStore(database)
        rows = await history.history(1, T0_US, T0_US + 100 * SECOND_US)
        assert [(row.result, row.device_us) for row in rows] == [(1.0, 1_000_000), (3.0, 2_000_000)]
        assert (await history.totals())["conflicts"] == 1
        (latest,) = await history.latest()
        assert latest.result == 3.0

    in_database(work)


def test_text_bool_and_nulls_survive_the_binary_copy(in_database: Any) -> None:
    async def work(database: Database) -> None:
        log = MemoryLog()
        rows = [
            sample(1, 0, 1.0, seq=2**32 - 1, device_us=T0_US - 5),
            {"datastream": 1, "phenomenon_us": T0_US + SECOND_US, "text": "阀门\x00开", "quality": 9},
            {"datastream": 1, "phenomenon_us": T0_US + 2 * SECOND_US, "text": ""},
            sample(1, 3, -0.0, source=2**15),
        ]
        log.append(obs(rows))
        await service(database, log).drain(1)
        found = await HistoryStore(database).history(1, T0_US, T0_US + 10 * SECOND_US)
        assert [(r.result, r.text, r.quality, r.device_us) for r in found] == [
            (1.0, None, 1, T0_US - 5),
            (None, "阀门�开", 9, None),
            (None, "", 1, None),
            (-0.0, None, 1, None),
        ]

    in_database(work)


def test_events_states_dead_letters_and_refusals_reach_the_vendor(in_database: Any) -> None:
    async def work(database: Database) -> None:
        await gauge(database, "cam1")
        log = MemoryLog()
        smoke = {"id": "e1", "type": "smoke", "confidence": 0.9}
        log.append(
            told("device_event", "cam1", T0_US, id="e1", phenomenon_us=T0_US, data=smoke),
            told("device_event", "cam1", T0_US + 1, id="e1", phenomenon_us=T0_US, data=smoke),
            told("device_event", "cam1", T0_US, data={"type": "crowd"}),
            told("device_state", "cam1", T0_US, data={"online": True}),
            told("device_state", "cam1", T0_US + 5, data={"online": False}),
            told("device_state", "cam1", T0_US + 3, data={"online": True}),
            told("device_attr", "cam1", T0_US, data={"firmware": "1.2", "bad": "a\x00b"}),
            told(
                "dead_letter",
                "cam1",
                T0_US,
                data={"reason": "bad_json", "raw": "eyJ0cyI6", "sha256": "ab", "size": 10_000_000},
            ),
            told("dead_letter", "cam1", T0_US, data={"reason": "bad_identity", "raw": "not base64!"}),
            told("refusal", "cam1", T0_US, data={"reason": "too_large", "count": 3}),
            told("ingest_note", "cam1", T0_US, data={"reason": "unregistered_key", "keys": ["foo"]}),
        )
        await service(database, log).drain(log.head())
        check = await HistoryStore(database).check("cam1")
        assert (check["dead_lettered"], check["refused"], check["received"]) == (2, 3, 0)
        assert [event["event_type"] for event in check["last_events"]].count("smoke") == 1
        assert check["state"][0]["online"] is False
        assert {a["key"]: a["value"] for a in check["attributes"]} == {"firmware": "1.2", "bad": "a�b"}
        assert [letter["reason"] for letter in check["dead_letters"]] == ["bad_identity", "bad_json"]
        assert check["dead_letters"][1]["text"] == '{"ts":'
        assert check["dead_letters"][1]["size_bytes"] == 10_000_000
        assert check["refusals"][0]["count"] == 3
        assert check["notes"][0]["data"]["keys"] == ["foo"]
        msgspec.json.encode(check)

    in_database(work)


def test_dead_letters_come_in_pages_newest_first(in_database: Any) -> None:
    async def work(database: Database) -> None:
        log = MemoryLog()
        log.append(*[told("dead_letter", f"d{i % 2}", T0_US + i, data={"reason": f"r{i}"}) for i in range(7)])
        await service(database, log).drain(7)
        history, both = HistoryStore(database), LetterFilter(device_ids=("d0", "d1"))
        first, following = await history.dead_letters(both, 4, "")
        second, end = await history.dead_letters(both, 4, following or "")
        assert [letter["reason"] for letter in first + second] == [f"r{i}" for i in range(6, -1, -1)]
        assert end is None
        only, _ = await history.dead_letters(LetterFilter(device_ids=("d1",)), 10, "")
        assert [letter["reason"] for letter in only] == ["r5", "r3", "r1"]

    in_database(work)


def test_a_record_that_cannot_be_stored_is_a_dead_letter_and_holds_up_nobody(in_database: Any) -> None:
    async def work(database: Database) -> None:
        log = MemoryLog()
        log.append(obs([sample(1, 0, 1.0)]), NewRecord(kind=RecordKind.OBS, body=b"not arrow"))
        log.append(NewRecord(kind=RecordKind.EVENT, body=b"{"), obs([sample(1, 1, 1.0, quality=7)]))
        log.append(obs([sample(1, 2, 2.0)]))
        await service(database, log).drain(5)
        history = HistoryStore(database)
        assert (await history.totals())["observations"] == 2
        letters, _ = await history.dead_letters(LetterFilter(), 10, "")
        assert [(letter["position"], letter["reason"]) for letter in letters] == [
            (4, "store_rejected"),
            (3, "store_rejected"),
            (2, "store_rejected"),
        ]

    in_database(work)


def test_ticks_alone_move_the_cursor_without_a_row(in_database: Any) -> None:
    async def work(database: Database) -> None:
        log = MemoryLog()
        log.append(*[TICK] * 10, obs([sample(1, 0, 1.0)]), TICK)
        store = service(database, log)
        await store.drain(12)
        assert store.position == 12
        fresh = service(database, log)
        await fresh.drain(12)
        assert (await HistoryStore(database).totals())["observations"] == 1

    in_database(work)


def test_a_database_that_is_further_than_the_log_is_refused(in_database: Any) -> None:
    async def work(database: Database) -> None:
        log = MemoryLog()
        log.append(*[obs([sample(1, s, 1.0)]) for s in range(3)])
        await service(database, log).drain(3)
        shorter = MemoryLog(records=log.records[:2])
        with pytest.raises(CursorAhead, match="stands at 3, but the log ends at 2"):
            await service(database, shorter).drain(2)

    in_database(work)


def test_two_writers_of_one_cursor_do_not_lose_or_double_anything(in_database: Any) -> None:
    async def work(database: Database) -> None:
        log = MemoryLog()
        log.append(*[obs([sample(1, s, float(s))]) for s in range(60)])
        await asyncio.gather(*(service(database, log, max_records=n).drain(60) for n in (1, 3)))
        rows = await HistoryStore(database).history(1, T0_US, T0_US + 100 * SECOND_US)
        assert [row.result for row in rows] == [float(s) for s in range(60)]

    in_database(work)
