"""Reading the log, from any process: by position, across files, while the writer rotates and trims them."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Self

from stream import files, sqlite_file
from stream.errors import LogTrimmed
from stream.files import LogFile
from stream.head import HeadReader
from stream.records import Record, RecordKind

ALL = -1  # SQLite: no limit
POLL_S = 0.005  # p50 3 ms behind the writer


class LogReader:
    """Not thread-safe: one reader per thread or task. Holds one SQLite connection at a time."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._head = HeadReader(directory)
        self._file: LogFile | None = None
        self._connection: sqlite3.Connection | None = None

    def head(self) -> int:
        """The last durable position; 0 for an empty log."""
        return self._head.get()

    def first(self) -> int:
        """The oldest position that is still there (or will be the first); 1 for an empty log."""
        found = files.log_files(self.directory)
        return found[0].first if found else 1

    def last_at_us(self) -> int:
        """Append time of the newest record; 0 for an empty log. Works without a running writer."""
        for file in reversed(files.log_files(self.directory)):
            with closing(sqlite_file.open_for_reading(file.path)) as connection:
                try:
                    newest = sqlite_file.last(connection)
                except sqlite3.OperationalError:
                    newest = None  # created, never written
            if newest is not None:
                return newest[1]
        return 0

    def read(self, after: int, max_rows: int) -> list[Record]:
        """At most `max_rows` records with positions above `after`, in order; empty at the end of the log.

        `after` 0 starts with the oldest record that is kept. Raises LogTrimmed when records between `after` and the
        log's beginning are gone, LogCorrupt for a damaged file.
        """
        records: list[Record] = []
        while len(records) < max_rows:
            if self._connection is None and not self._seek(after):
                break
            found = self._select(after, max_rows - len(records))
            if found:
                records += found
                after = found[-1].position
            elif not self._next(after):
                break
        return records

    def controls(self, after: int) -> list[Record]:
        """Every control record above `after`, without reading what lies between: for a start from a cached state."""
        found: list[Record] = []
        for file in self._files_from(after):
            with closing(sqlite_file.open_for_reading(file.path)) as connection:
                found += sqlite_file.select_keyed(connection, file.path, after, RecordKind.CONTROL, ALL)
        return found

    def tail(self, kind: RecordKind, max_rows: int) -> list[Record]:
        """The last `max_rows` records of a kind, oldest first."""
        found: list[Record] = []
        for file in reversed(files.log_files(self.directory)):
            if len(found) >= max_rows:
                break
            with closing(sqlite_file.open_for_reading(file.path)) as connection:
                found += sqlite_file.select_newest(connection, file.path, kind, max_rows - len(found))
        return found[::-1]

    def wait(self, after: int, timeout_s: float) -> bool:
        """Block until a record above `after` is durable: True; False at the timeout."""
        deadline = time.monotonic() + timeout_s
        while self.head() <= after:
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_S)
        return True

    async def wait_async(self, after: int, timeout_s: float) -> bool:
        """As `wait`, in an event loop."""
        deadline = time.monotonic() + timeout_s
        while self.head() <= after:
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(POLL_S)
        return True

    def commit(self, cursor: str, position: int) -> None:
        """`cursor` needs nothing up to and including `position` any more: trimming may pass it."""
        files.commit_cursor(self.directory, cursor, position)

    def committed(self, cursor: str) -> int:
        return files.read_cursor(self.directory, cursor)

    def put_snapshot(self, name: str, position: int, blob: bytes) -> bool:
        """False: the disk did not take it."""
        return files.put_snapshot(self.directory, name, position, blob)

    def get_snapshot(self, name: str) -> tuple[int, bytes] | None:
        return files.get_snapshot(self.directory, name)

    def close(self) -> None:
        self._leave()
        self._head.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _files_from(self, after: int) -> list[LogFile]:
        """The file that holds the record after `after`, and all later ones."""
        found = files.log_files(self.directory)
        holding = [file for file in found if file.first <= after + 1]
        return holding[-1:] + [file for file in found if file.first > after + 1]

    def _select(self, after: int, max_rows: int) -> list[Record]:
        assert self._connection is not None
        assert self._file is not None
        if after < self._file.first - 1:
            self._leave()  # the caller went back
            return [] if not self._seek(after) else self._select(max(after, self._file.first - 1), max_rows)
        return sqlite_file.select(self._connection, self._file.path, after, max_rows)

    def _seek(self, after: int) -> bool:
        """Open the file that holds the record after `after`."""
        found = files.log_files(self.directory)
        if not found:
            return False
        if 0 < after < found[0].first - 1:
            raise LogTrimmed(after, found[0].first)
        holding = [file for file in found if file.first <= after + 1]
        return self._enter(holding[-1] if holding else found[0])

    def _next(self, after: int) -> bool:
        """Move to the file that starts right after `after`.

        Positions have no gap, so a later file that starts anywhere else means that this one got more rows after we read it.
        """
        assert self._file is not None
        later = [file for file in files.log_files(self.directory) if file.first > self._file.first]
        if not later:
            return False
        if later[0].first > after + 1:
            if self._peek(after) or self._file.path.exists():
                return bool(self._peek(after))
            raise LogTrimmed(after, later[0].first)
        self._leave()
        return self._enter(later[0])

    def _peek(self, after: int) -> list[Record]:
        assert self._connection is not None
        assert self._file is not None
        return sqlite_file.select(self._connection, self._file.path, after, 1)

    def _enter(self, file: LogFile) -> bool:
        try:
            self._connection = sqlite_file.open_for_reading(file.path)
        except sqlite3.OperationalError:
            if file.path.exists():
                raise
            return False  # trimmed between listing and opening: the next read seeks again
        self._file = file
        return True

    def _leave(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = self._file = None
