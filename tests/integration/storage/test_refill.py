"""A database that is behind the log, as after the restore of an old backup, is filled up from the archive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from citybrain_testing.clocks import ManualClock
from citybrain_testing.storing import SECOND_US, T0_US, StillClock, obs
from storage.database import Database
from storage.history import HistoryStore
from storage.writer import StoreService
from stream.archiver import CURSOR, ArchiveService
from stream.reader import LogReader
from stream.whole import WholeLog
from stream.writer import LogWriter

HOUR_S = 3600.0
HOURS, ROWS = 6, 50


def test_an_empty_database_gets_what_the_log_has_no_more(in_database: Any, tmp_path: Path) -> None:
    clock, archive = ManualClock(), tmp_path / "archive"

    def hour(number: int) -> None:
        with LogWriter(tmp_path / "log", clock, keep_s=HOUR_S, archived=CURSOR) as writer:
            first = T0_US + number * 3600 * SECOND_US
            rows = [
                {"datastream": 1, "phenomenon_us": first + k * SECOND_US, "result": number + k / 100}
                for k in range(ROWS)
            ]
            writer.append([obs(rows)])
        clock.advance(HOUR_S)
        ArchiveService(tmp_path / "log", archive, clock, keep_s=0.0).step()

    for number in range(HOURS):
        hour(number)
    with LogReader(tmp_path / "log") as log:
        assert log.first() > 1

    async def work(database: Database) -> None:
        with WholeLog(tmp_path / "log", archive) as whole:
            store = StoreService(database, whole, StillClock(), retention_s=400 * 86_400.0, max_records=4)
            await store.drain(HOURS)
        rows = await HistoryStore(database).history(1, T0_US, T0_US + HOURS * 3600 * SECOND_US)
        assert [row.result for row in rows] == [number + k / 100 for number in range(HOURS) for k in range(ROWS)]

    in_database(work)
