"""Dead letters in the database: found by what they were, marked once they were put in again, and what stands in history already."""

from __future__ import annotations

from typing import Any

from citybrain_testing.storing import SECOND_US, T0_US, MemoryLog, StillClock, obs, told
from command_center.letters import LetterFilter
from storage.database import Database
from storage.history import HistoryStore
from storage.letters import LetterStore
from storage.maintenance import Maintenance
from storage.writer import StoreService
from stream.records import ObsBatch, Source, as_batch

YEAR_S = 366 * 86_400.0
RAW = "eyJ0cyI6"


def service(database: Database, log: MemoryLog) -> StoreService:
    return StoreService(database, log, StillClock(), retention_s=YEAR_S, linger_s=0)


def refused(second: int, device_id: str, topic: str, *reasons: str, **data: Any) -> Any:
    about = {"reason": "; ".join(reasons), "reasons": list(reasons), "topic": topic, "raw": RAW, **data}
    return told("dead_letter", device_id, T0_US + second * SECOND_US, data=about)


def mark(letter: int, outcome: str = "taken") -> Any:
    data = {"letter": letter, "outcome": outcome, "rows": 1, "events": 0, "actor": "admin"}
    return told("dead_letter_replayed", "g1", T0_US + 9 * SECOND_US, data=data, retold=True)


def four() -> MemoryLog:
    log = MemoryLog()
    log.append(
        refused(1, "gw", "cb/v1/demo/gw/up/gw/telemetry", "child 'c' is not registered"),
        refused(2, "g1", "cb/v1/demo/g1/up/raw/hj212", "payload: wrong CRC", tcp=True),
        refused(3, "g1", "cb/v1/demo/g1/up/telemetry", 'values.x: expected number, got "a"', truncated=True),
        told("dead_letter", "g1", T0_US + 4 * SECOND_US, data={"reason": "store_rejected"}),
    )
    return log


def test_letters_are_found_by_device_reason_codec_and_time_oldest_first(in_database: Any) -> None:
    async def work(database: Database) -> None:
        log = four()
        await service(database, log).drain(log.head())
        letters, history = LetterStore(database), HistoryStore(database)

        async def positions(**asked: Any) -> list[int]:
            asked_for = LetterFilter(**asked)
            found = [letter.position for letter in await letters.letters(asked_for, 0, 10)]
            shown, _ = await history.dead_letters(asked_for, 10, "")
            assert [row["position"] for row in shown] == found[::-1], "both lists show the same"
            return found

        assert await positions() == [1, 2, 3, 4]
        assert await positions(device_ids=("g1",)) == [2, 3, 4]
        assert await positions(reason="NOT registered") == [1]
        assert await positions(codec="hj212") == [2]
        assert await positions(from_us=T0_US + 2 * SECOND_US, to_us=T0_US + 3 * SECOND_US) == [2]
        assert await positions(reason="100%") == []
        assert [one.position for one in await letters.letters(LetterFilter(), 2, 1)] == [3]
        first, second, third, fourth = await letters.letters(LetterFilter(), 0, 10)
        assert (first.payload, first.receive_us) == (b'{"ts":', T0_US + SECOND_US)
        assert first.reasons == ("child 'c' is not registered",)
        assert (first.by_tcp, second.by_tcp, third.truncated) == (False, True, True)
        assert (fourth.topic, fourth.payload) == ("", None)

    in_database(work)


def test_a_mark_says_what_came_of_a_letter_and_leaves_when_the_letter_is_gone(in_database: Any) -> None:
    async def work(database: Database) -> None:
        log = four()
        log.append(mark(1, "partly"), mark(1), mark(2, "partly"))
        writer = service(database, log)
        await writer.drain(log.head())
        letters, history = LetterStore(database), HistoryStore(database)
        assert [one.taken for one in await letters.letters(LetterFilter(), 0, 10)] == [True, False, False, False]
        shown, _ = await history.dead_letters(LetterFilter(), 10, "")
        assert [row["replayed"] for row in shown] == [None, None, "partly", "taken"]
        later = StillClock(T0_US + 400 * 86_400 * SECOND_US)
        await Maintenance(database, later, retention_s=YEAR_S).once()
        assert (await history.totals())["dead_letters"] == 0
        async with database.transaction() as conn:
            left = await (await conn.execute("SELECT count(*) AS n FROM dead_letter_replay")).fetchone()
        assert left is not None
        assert left["n"] == 0

    in_database(work)


def batch(*rows: dict[str, Any]) -> ObsBatch:
    log = MemoryLog()
    log.append(obs(rows))
    return as_batch(log.records[0])


def test_what_stands_in_history_is_known_by_its_value(in_database: Any) -> None:
    async def work(database: Database) -> None:
        fault = int(Source.LIVE | Source.CLOCK_FAULT)
        log = MemoryLog()
        log.append(
            obs(
                [
                    {"datastream": 1, "phenomenon_us": T0_US, "result": 1.0},
                    {"datastream": 2, "phenomenon_us": T0_US, "text": "open"},
                    {"datastream": 3, "phenomenon_us": T0_US, "device_us": 42, "result": 5.0, "source": fault},
                    {"datastream": 1, "phenomenon_us": T0_US - 400 * 86_400 * SECOND_US, "result": 9.0},
                    {"datastream": 2, "phenomenon_us": T0_US + 1, "text": "a\x00b"},
                ]
            ),
            told("device_event", "cam", T0_US, id="e1", data={"type": "smoke"}),
        )
        await service(database, log).drain(log.head())
        letters = LetterStore(database)
        asked = batch(
            {"datastream": 1, "phenomenon_us": T0_US, "result": 1.0},
            {"datastream": 1, "phenomenon_us": T0_US, "result": 2.0},  # another value: a conflict, which is told
            {"datastream": 2, "phenomenon_us": T0_US, "text": "open"},
            {"datastream": 2, "phenomenon_us": T0_US, "text": "shut"},
            {"datastream": 3, "phenomenon_us": T0_US + 7, "device_us": 42, "result": 5.0, "source": fault},
            {"datastream": 1, "phenomenon_us": T0_US - 400 * 86_400 * SECOND_US, "result": 9.0},
            {"datastream": 9, "phenomenon_us": T0_US, "result": 1.0},
            {"datastream": 2, "phenomenon_us": T0_US + 1, "text": "a\x00b"},
        )
        assert (await letters.known_rows(asked)).tolist() == [True, False, True, False, True, True, False, True]
        assert await letters.known_events([("cam", "e1"), ("cam", "e2"), ("other", "e1")]) == {("cam", "e1")}
        assert await letters.known_events([]) == set()

    in_database(work)
