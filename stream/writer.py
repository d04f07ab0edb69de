"""The log's one writer: a thread that commits what waits in groups, one SQLite file per city hour."""

from __future__ import annotations

import asyncio
import fcntl
import queue
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Collection, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import structlog

from devices.clock import Clock
from stream import files, metrics, sqlite_file
from stream.errors import LogBusy, LogClosed, LogError, LogFailed, LogFull, LogLocked
from stream.files import LogFile
from stream.head import HeadWriter
from stream.records import SCHEMA_VERSION, Appended, NewRecord
from stream.sqlite_file import Row

HOUR_US = 3_600_000_000
MAX_BYTES = 20 * 1024**3
KEEP_S = 48 * 3600.0
KEY_TAIL = 100_000  # keys a retry may come back with: hours of transitions and controls, minutes of device events
PENDING_MAX = 100_000  # records waiting for the thread; above it an append is refused, never queued without end
GROUP_RECORDS = 4_096
GROUP_BYTES = 16 * 1024**2
APPEND_TIMEOUT_S = 30.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Request:
    items: Sequence[NewRecord]
    done: Future[list[Appended]]


@dataclass(slots=True)
class _Group:
    """One transaction in the making: nothing of it is visible in the writer's state until it is durable."""

    rows: list[Row]
    keys: dict[str, Appended]
    position: int
    at_us: int


class LogWriter:
    """Appends to the log in `directory`; durable when `append` returns.

    `at = max(last_at + 1, now)` in city microseconds. Positions count up from 1 without a gap, across files and restarts.
    `required` names the cursors that trimming waits for; one that never committed holds everything. At `max_bytes` files
    that every required cursor has passed go first, whatever their age; when none is left the append raises LogFull.
    `archived` names the cursor of the archive: age alone deletes nothing that it has not passed. The bound does: an archive that
    stands still must not stop the city's data, and what it misses is counted.
    """

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        *,
        max_bytes: int = MAX_BYTES,
        keep_s: float = KEEP_S,
        key_tail: int = KEY_TAIL,
        pending_max: int = PENDING_MAX,
        required: Collection[str] = (),
        archived: str = "",
    ) -> None:
        """Open and recover. Raises LogLocked when another process writes here, LogCorrupt when the newest file is damaged."""
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._clock = clock
        self._max_bytes, self._keep_us = max_bytes, int(keep_s * 1e6)
        self._key_tail, self._pending_max = key_tail, pending_max
        self._required, self._archived = tuple(required), archived
        self._lock_file = _locked(directory)
        self._keys: OrderedDict[str, Appended] = OrderedDict()
        self._sealed: list[tuple[LogFile, int, int]] = []  # file, bytes, append time at which the next file began
        self._position = self._at_us = 0
        self._file: LogFile | None = None
        self._connection: sqlite3.Connection | None = None
        self._recover()
        self._head = HeadWriter(directory, self._position)
        self._queue: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._pending = 0
        self._guard = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="log-writer", daemon=True)
        self._thread.start()

    @property
    def head(self) -> int:
        """The last durable position; 0 for an empty log."""
        return self._position

    @property
    def last_at_us(self) -> int:
        """Append time of the last durable record; 0 for an empty log."""
        return self._at_us

    def submit(self, items: Sequence[NewRecord]) -> Future[list[Appended]]:
        """Hand in without waiting; what is submitted first is appended first. Raises LogBusy, LogClosed."""
        done: Future[list[Appended]] = Future()
        done.set_running_or_notify_cancel()  # a caller that stops waiting cannot cancel what the thread may be writing
        if not items:
            done.set_result([])
            return done
        with self._guard:
            if self._closed:
                raise LogClosed("the log's writer is closed")
            if self._pending + len(items) > self._pending_max:
                metrics.REFUSED.labels("busy").inc(len(items))
                raise LogBusy(self._pending, self._pending_max)
            self._pending += len(items)
            self._queue.put(_Request(items, done))
        return done

    def append(self, items: Sequence[NewRecord], *, timeout_s: float = APPEND_TIMEOUT_S) -> list[Appended]:
        """Make the records durable, together and in order. Thread-safe; blocks until the fsync.

        Raises LogFull, LogBusy, LogFailed, LogClosed: nothing of `items` was appended. TimeoutError: unknown, repeat by key.
        """
        return self.submit(items).result(timeout_s)

    async def append_async(self, items: Sequence[NewRecord], *, timeout_s: float = APPEND_TIMEOUT_S) -> list[Appended]:
        """As `append`, without blocking the loop. A cancelled wait does not undo the append."""
        async with asyncio.timeout(timeout_s):
            return await asyncio.shield(asyncio.wrap_future(self.submit(items)))

    def commit(self, cursor: str, position: int) -> None:
        """`cursor` needs nothing up to and including `position` any more."""
        files.commit_cursor(self.directory, cursor, position)

    def put_snapshot(self, name: str, position: int, blob: bytes) -> bool:
        """False: the disk did not take it."""
        return files.put_snapshot(self.directory, name, position, blob)

    def get_snapshot(self, name: str) -> tuple[int, bytes] | None:
        return files.get_snapshot(self.directory, name)

    def close(self) -> None:
        """Commit what was submitted, then stop. Later appends raise LogClosed."""
        with self._guard:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._thread.join()
        self._drop_connection()
        self._head.close()
        self._lock_file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- the writer's thread

    def _work(self) -> None:
        last_one = False
        try:
            while not last_one:
                requests, last_one = self._gather()
                if requests:
                    self._commit_group(requests)
                    with self._guard:
                        self._pending -= sum(len(request.items) for request in requests)
        finally:
            self._refuse_the_rest()

    def _refuse_the_rest(self) -> None:
        """However the thread ends, nobody waits for it in vain."""
        with self._guard:
            self._closed = True
        while not self._queue.empty():
            request = self._queue.get_nowait()
            if request is not None:
                _refuse([request], LogClosed("the log's writer ended before this append"))

    def _gather(self) -> tuple[list[_Request], bool]:
        """What waits now, up to one group: while one fsync runs the next group collects by itself."""
        first = self._queue.get()
        if first is None:
            return [], True
        requests, records, size = [first], len(first.items), _bytes(first.items)
        while records < GROUP_RECORDS and size < GROUP_BYTES:
            try:
                request = self._queue.get_nowait()
            except queue.Empty:
                break
            if request is None:
                return requests, True
            requests.append(request)
            records += len(request.items)
            size += _bytes(request.items)
        return requests, False

    def _commit_group(self, requests: list[_Request]) -> None:
        started_ns = self._clock.machine_ns()
        try:
            if self._connection is None and self._file is not None:
                self._take_over(sqlite_file.open_for_writing(self._file))
            group = _Group([], {}, self._position, self._at_us)
            answers = [[self._place(item, group) for item in request.items] for request in requests]
            if group.rows:
                self._write(group)
        except LogError as error:
            _refuse(requests, error)
            return
        except (sqlite3.Error, OSError) as error:
            self._drop_connection()  # after an I/O error nothing in its cache is to be trusted; the next group reads the disk
            _refuse(requests, self._named(error))
            return
        metrics.COMMIT_S.observe((self._clock.machine_ns() - started_ns) / 1e9)
        metrics.GROUP.observe(len(group.rows))
        self._publish(group)
        for request, answer in zip(requests, answers, strict=True):
            request.done.set_result(answer)

    def _place(self, item: NewRecord, group: _Group) -> Appended:
        if item.key is not None:
            before = self._keys.get(item.key) or group.keys.get(item.key)
            if before is not None:
                metrics.DUPLICATES.inc()
                return Appended(position=before.position, at_us=before.at_us, duplicate=True)
        group.position += 1
        group.at_us = max(group.at_us + 1, self._clock.city_us())
        appended = Appended(position=group.position, at_us=group.at_us)
        if item.key is not None:
            group.keys[item.key] = appended
        group.rows.append((group.position, group.at_us, int(item.kind), SCHEMA_VERSION, item.key, item.body))
        return appended

    def _write(self, group: _Group) -> None:
        at_us = group.rows[0][1]
        self._check_bound(group, at_us)
        if self._file is None or at_us // HOUR_US != self._at_us // HOUR_US:
            self._rotate(at_us)
        assert self._connection is not None
        sqlite_file.insert(self._connection, group.rows)

    def _publish(self, group: _Group) -> None:
        self._position, self._at_us = group.position, group.at_us
        for key, appended in group.keys.items():
            self._keys[key] = appended
        while len(self._keys) > self._key_tail:
            self._keys.popitem(last=False)
        self._head.set(self._position)
        metrics.HEAD.set(self._position)
        for row in group.rows:
            metrics.APPENDED.labels(str(row[2])).inc()

    # -- files

    def _recover(self) -> None:
        """Take over the newest file; a file that was created but never written keeps its first position."""
        found = files.log_files(self.directory)
        if not found:
            return
        self._file = found[-1]
        self._position = self._file.first - 1
        self._take_over(sqlite_file.open_for_writing(self._file))
        for file in reversed(found[:-1]):
            if self._at_us and len(self._keys) >= self._key_tail:
                break
            with closing(sqlite_file.open_for_reading(file.path)) as connection:
                self._take_tail(connection)
        self._keys = OrderedDict(sorted(self._keys.items(), key=lambda item: item[1].position))
        self._sealed = [(file, file.size(), self._began(after) or self._at_us) for file, after in pairwise(found)]
        metrics.HEAD.set(self._position)
        log.info("log_recovered", position=self._position, files=len(found), keys=len(self._keys))

    def _take_over(self, connection: sqlite3.Connection) -> None:
        """Go on where the file really ends: after a failed commit its last transaction may have reached the disk or not."""
        self._connection = connection
        newest = sqlite_file.last(connection)
        if newest is not None:
            self._position, self._at_us = newest
        self._take_tail(connection)

    def _take_tail(self, connection: sqlite3.Connection) -> None:
        if self._at_us == 0:
            newest = sqlite_file.last(connection)
            self._at_us = newest[1] if newest else 0
        for key, position, at_us in sqlite_file.keys(connection, self._key_tail):
            self._keys.setdefault(key, Appended(position=position, at_us=at_us))

    @staticmethod
    def _began(file: LogFile) -> int:
        """Append time of a file's first record; 0 when it has none (then nothing before it is old enough to go)."""
        with closing(sqlite_file.open_for_reading(file.path)) as connection:
            records = sqlite_file.select(connection, file.path, 0, 1)
        return records[0].at_us if records else 0

    def _rotate(self, at_us: int) -> None:
        if self._file is not None and self._file.first == self._position + 1:
            return  # still empty: it serves the new hour as well
        new = files.file_for(self.directory, self._position + 1)
        try:
            connection = sqlite_file.open_for_writing(new)
            files.sync_directory(self.directory)
        except (sqlite3.Error, OSError):
            new.delete()  # or a clock set back could put this position into the old file, and readers look here
            raise
        if self._connection is not None:
            sqlite_file.checkpoint(self._connection)
            self._connection.close()
        if self._file is not None:
            self._sealed.append((self._file, self._file.size(), at_us))
        self._file, self._connection = new, connection
        self._trim(at_us, need_bytes=0)

    def _check_bound(self, group: _Group, at_us: int) -> None:
        need_bytes = sum(len(row[5]) for row in group.rows)
        if self._used() + need_bytes <= self._max_bytes:
            return
        self._trim(at_us, need_bytes=need_bytes)
        used = self._used()
        if used + need_bytes > self._max_bytes:
            raise LogFull("no file is behind every required cursor", used_bytes=used, max_bytes=self._max_bytes)

    def _used(self) -> int:
        used = sum(size for _, size, _ in self._sealed) + (self._file.size() if self._file else 0)
        metrics.BYTES.set(used)
        return used

    def _trim(self, now_us: int, *, need_bytes: int) -> None:
        """Delete the oldest files that every required cursor has passed: those past `keep_s`, or more when bytes are short."""
        floor = min((files.read_cursor(self.directory, name) for name in self._required), default=self._position)
        archived = files.read_cursor(self.directory, self._archived) if self._archived else self._position
        while self._sealed:
            file, _, until_us = self._sealed[0]
            next_first = self._sealed[1][0].first if len(self._sealed) > 1 else self._current_first()
            old = 0 < until_us < now_us - self._keep_us
            short = need_bytes > 0 and self._used() + need_bytes > self._max_bytes
            kept = next_first - 1 <= archived
            if next_first - 1 > floor or not (short or (old and kept)):
                return
            if not kept:
                metrics.UNARCHIVED.inc()
                log.error("log_file_trimmed_before_it_was_archived", file=file.path.name, archived=archived)
            file.delete()
            self._sealed.pop(0)
            metrics.FILES_TRIMMED.inc()
            log.info("log_file_trimmed", file=file.path.name, required_floor=floor)

    def _current_first(self) -> int:
        return self._file.first if self._file else self._position + 1

    # -- failures

    def _named(self, error: sqlite3.Error | OSError) -> LogError:
        code = getattr(error, "sqlite_errorname", "") or ""
        if code.startswith("SQLITE_FULL") or getattr(error, "errno", None) == 28:  # ENOSPC
            return LogFull("no space left on the disk", used_bytes=self._used(), max_bytes=self._max_bytes)
        return LogFailed(f"append failed ({code or type(error).__name__}): {error}")

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _refuse(requests: list[_Request], error: LogError) -> None:
    records = sum(len(request.items) for request in requests)
    metrics.REFUSED.labels(type(error).__name__).inc(records)
    log.error("log_append_refused", records=records, why=str(error))
    for request in requests:
        request.done.set_exception(error)


def _bytes(items: Sequence[NewRecord]) -> int:
    return sum(len(item.body) for item in items)


def _locked(directory: Path) -> IO[str]:
    file = (directory / "lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise LogLocked(directory) from error
    return file
