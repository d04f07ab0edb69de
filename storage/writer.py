"""The role `store`: follows the log and writes it to the database, each stretch in one transaction with its cursor.

Whatever dies, and whenever: either the stretch and the cursor are both in the database or neither is. The log keeps
what the database does not have yet (`LogReader.commit` is called after the database's commit), so an outage costs
freshness and nothing else.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol, TypeVar

import msgspec
import psycopg
import pyarrow as pa
import structlog

from devices.clock import Clock
from storage import metrics, packing
from storage.batch import Effects, Rows, clean, effects_of, to_json
from storage.database import Connection, Database
from storage.errors import CursorAhead, DatabaseUnavailable
from storage.rollups import WRITER, Marks
from storage.statements import load
from storage.summary import Summary
from storage.times import to_time
from stream.records import Record, RecordKind

log = structlog.get_logger(__name__)

CURSOR = WRITER
WAIT_TIMEOUT_S = 1.0  # how long one wait for new records lasts; then metrics are refreshed
SUMMARY_EVERY_S = 2.0  # machine seconds for which latest values and counters are gathered ...
SUMMARY_SMALL = 1_000  # ... unless they are of so few series that writing them costs nothing
REBUILD_RECORDS = 200  # that are read at once to gather again what was in memory
RETRY_FIRST_S = 0.2
RETRY_MAX_S = 5.0
IDLE_COMMIT_S = 1.0  # ticks alone move the durable cursor no more often than this
LONG_WAY_BATCHES = 8  # after a repeated key; each try that fails costs a copy
RAW_MAX_BYTES = 65_536  # of a record that the database refused, kept in the dead letters (contract.md section 3)

_SQL = load("writer")
_T = TypeVar("_T")


class _CursorMoved(Exception):
    """The cursor row is not where this process left it; the stretch in hand must not be written."""

    def __init__(self, position: int) -> None:
        super().__init__(f"cursor at {position}")
        self.position = position


class Reader(Protocol):
    """The part of `stream.reader.LogReader` that is used; called from one thread, except `wait_async` and `head`."""

    def head(self) -> int: ...
    def read(self, after: int, max_rows: int) -> list[Record]: ...
    async def wait_async(self, after: int, timeout_s: float) -> bool: ...
    def commit(self, cursor: str, position: int) -> None: ...
    def close(self) -> None: ...


class StoreService:
    """One per tenant. `run()` ends only when it is cancelled; a cancelled stretch is written again next time.

    `retention_s`: phenomenon times older than this, seen from the record's append time, are outliers.
    `linger_s`: machine time to gather more records before a transaction, so that a slow trickle does not become a
    transaction per frame. `summary_every_s`, `summary_small`: see `storage.summary`; an idle store writes what it has gathered.
    """

    def __init__(
        self,
        database: Database,
        reader: Reader,
        clock: Clock,
        *,
        retention_s: float,
        max_records: int = 160,
        linger_s: float = 0.05,
        cursor: str = CURSOR,
        summary_every_s: float = SUMMARY_EVERY_S,
        summary_small: int = SUMMARY_SMALL,
    ) -> None:
        self._database = database
        self._reader = reader
        self._clock = clock
        self._retention_us = int(retention_s * 1_000_000)
        self._max_records = max_records
        self._linger_s = linger_s
        self._cursor = cursor
        self._weeks: set[int] = set()  # partitions that are known to be there
        self._durable = 0  # the cursor row, as this process last saw it
        self._position = 0  # how far we have read; runs ahead of _durable over records without effect
        self._at_us = 0  # append time of the record at _position
        self._trimmable = -1
        self._saved_ns = 0
        self._summary_every_ns, self._summary_small = int(summary_every_s * 1e9), summary_small
        self._summary: Summary | None = None  # of the rows between its cursor and the rows' own
        self._summed = 0  # its cursor
        self._summed_ns = clock.machine_ns()
        self._marks = Marks()
        self._long_way = 0  # batches that do not try the short way
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store-log")  # SQLite stays on one thread

    @property
    def position(self) -> int:
        """Log position up to which the database holds everything that has an effect there."""
        return self._position

    async def run(self) -> None:
        """Follow the log. Raises CursorAhead when the database is further than the log: they do not belong together."""
        try:
            await self._until_it_works(self._resume)
            while True:
                await self._reader.wait_async(self._position, WAIT_TIMEOUT_S)
                if self._linger_s and 0 < self._reader.head() - self._position < self._max_records:
                    await asyncio.sleep(self._linger_s)
                await self._until_it_works(self.step)
        finally:
            self._pool.shutdown(cancel_futures=True)  # a read in flight ends first: the caller closes the reader next

    async def drain(self, until: int) -> None:
        """Write everything up to a position: for commands and tests that want an end. Errors as `step`."""
        await self._resume()
        while self._position < until:
            if not await self.step():
                raise RuntimeError(f"the log ends at {self._position}, before {until}")
        if self._summary is not None:
            await self._save_summary()

    async def step(self) -> bool:
        """Read one stretch and write it. False: there was nothing to read. Raises DatabaseUnavailable."""
        started_ns = self._clock.machine_ns()
        records = await self._in_thread(lambda: self._reader.read(self._position, self._max_records))
        try:
            if records:
                await self._store(records)
                metrics.COMMIT_SECONDS.observe((self._clock.machine_ns() - started_ns) / 1e9)
            elif self._summary is not None:
                await self._save_summary()
            elif self._position > self._durable:
                await self._save_idle(records)
            else:
                await self._let_trim()
        except _CursorMoved as moved:
            log.warning("store_cursor_moved", expected=self._durable, found=moved.position)
            await self._resume()  # read on from where the database really is
        self._measure()
        return bool(records)

    async def _store(self, records: Sequence[Record]) -> None:
        try:
            effects = await self._in_thread(lambda: effects_of(records, retention_us=self._retention_us))
            if effects.empty:
                await self._skip(records)
            else:
                await self._commit_with_partitions(records, effects)
        except DatabaseUnavailable:
            raise
        except (psycopg.Error, pa.ArrowException, msgspec.MsgspecError, ValueError) as error:
            await self._reject(records, error)

    async def _reject(self, records: Sequence[Record], error: Exception) -> None:
        """The database, or decoding, refuses something in this stretch: take records one by one, and dead-letter the
        one that fails alone. It stays readable there; the ones behind it are not held up."""
        metrics.FAILURES.labels("rejected").inc()
        if len(records) > 1:
            for record in records:
                await self._store([record])
            return
        record = records[0]
        log.error("record_rejected", position=record.position, kind=record.kind.name, error=str(error))
        if self._summary is not None:
            await self._save_summary()  # what is gathered again after a restart must not hold this record
        effects = Effects()
        effects.add("insert_dead_letter", _rejected(record, error))
        await self._commit(records, effects)
        metrics.REJECTED.inc()

    async def _commit_with_partitions(self, records: Sequence[Record], effects: Effects) -> None:
        try:
            await self._commit(records, effects)
        except psycopg.errors.CheckViolation:
            if not self._weeks:
                raise
            self._weeks.clear()  # retention may have dropped a partition that we had made: make it again
            await self._commit(records, effects)

    async def _commit(self, records: Sequence[Record], effects: Effects) -> None:
        last = records[-1]
        made: frozenset[int] = frozenset()
        summary, summed = self._summary, False
        async with self._database.transaction() as conn:
            await self._claim(conn)
            if effects.rows is not None:
                made = await self._ensure(conn, effects.rows)
                counts, summary = await self._write(conn, effects.rows)
                marks = self._marks.missing(effects.rows.touched)
                if len(marks):
                    await _copy(conn, "copy_marks", marks.packed())
            for statement, params in effects.by_statement.items():
                await conn.cursor().executemany(_SQL[statement], params)
            await conn.execute(_SQL["advance_cursor"], self._cursor_params(last.position, last.at_us))
            if summary is None or self._due(summary):
                summed = True
                await self._sum_up(conn, summary, last.position, last.at_us)
        # Only now is it true: nothing above may be remembered when the transaction fails.
        self._weeks |= made
        self._durable = self._position = last.position
        self._at_us = last.at_us
        self._keep_summary(None if summed else summary, summed)
        metrics.BATCHES.inc()
        if effects.rows is not None:
            self._marks.keep(marks)
            for outcome, count in counts.items():
                metrics.ROWS.labels(outcome).inc(count)
        for statement, params in effects.by_statement.items():
            metrics.EVENTS.labels(statement).inc(len(params))
        await self._let_trim()

    async def _write(self, conn: Connection, rows: Rows) -> tuple[dict[str, int], Summary | None]:
        """The short way where it goes, else the long one; what became of the rows, by outcome, and what waits to be summed up."""
        if rows.direct is None or self._long_way > 0:
            self._long_way -= rows.direct is not None
            return await self._write_long(conn, rows), None
        try:
            async with conn.transaction():
                await _copy(conn, "copy_observations", rows.direct.observations)
        except psycopg.errors.UniqueViolation:
            self._long_way = (
                LONG_WAY_BATCHES  # where one key repeats others will: a replay, or a device that sends again
            )
            return await self._write_long(conn, rows), None
        gathered = rows.direct.summary.after(self._summary)
        return {"stored": rows.count, "outlier": 0, "conflict": 0, "duplicate": 0}, gathered

    async def _write_long(self, conn: Connection, rows: Rows) -> dict[str, int]:
        """Rows that the database places; it sums them up itself, after what came before them."""
        if self._summary is not None:
            await _write_summary(conn, self._summary)
            await conn.execute(_SQL["empty_incoming"])
        return await _write_rows(conn, rows)

    # -- latest values and counters

    def _due(self, summary: Summary) -> bool:
        waited_ns = self._clock.machine_ns() - self._summed_ns
        return len(summary) <= self._summary_small or waited_ns >= self._summary_every_ns

    async def _sum_up(self, conn: Connection, summary: Summary | None, position: int, at_us: int) -> None:
        if summary is not None:
            await _write_summary(conn, summary)
        params = {"summary": self._summary_cursor, "position": position, "at": to_time(at_us)}
        await conn.execute(_SQL["advance_summary"], params)

    async def _save_summary(self) -> None:
        """What was gathered, in a transaction of its own."""
        async with self._database.transaction() as conn:
            await self._claim(conn)
            await self._sum_up(conn, self._summary, self._durable, self._at_us)
        self._keep_summary(None, True)
        await self._let_trim()

    def _keep_summary(self, summary: Summary | None, summed: bool) -> None:
        self._summary = summary
        if summed:
            self._summed, self._summed_ns = self._durable, self._clock.machine_ns()

    @property
    def _summary_cursor(self) -> str:
        return f"{self._cursor}_summary"

    async def _gather_again(self) -> None:
        """What the process before this one had in memory, from the log: rows that stand in the database and are not summed up."""
        after = self._summed
        while after < self._durable:
            until = min(REBUILD_RECORDS, self._durable - after)
            records = await self._in_thread(partial(self._reader.read, after, until))
            if not records:
                log.error("store_summary_lost", after=after, until=self._durable)
                break
            effects = await self._in_thread(partial(effects_of, records, retention_us=self._retention_us))
            if effects.rows is not None and effects.rows.direct is not None:
                self._summary = effects.rows.direct.summary.after(self._summary)
            after = records[-1].position

    async def _claim(self, conn: Connection) -> None:
        """Lock the cursor row. Raises _CursorMoved when it is not where we left it: a commit whose answer was lost,
        another writer, or a database that was restored."""
        row = await (await conn.execute(_SQL["lock_cursor"], {"name": self._cursor})).fetchone()
        found = int(row["position"]) if row is not None else 0
        if found != self._durable:
            raise _CursorMoved(found)

    async def _ensure(self, conn: Connection, rows: Rows) -> frozenset[int]:
        missing = rows.weeks - self._weeks
        for week in sorted(missing):
            await conn.execute(_SQL["ensure_partitions"], {"from_time": to_time(week), "to_time": to_time(week)})
        return frozenset(missing)

    async def _skip(self, records: Sequence[Record]) -> None:
        """Records without effect here (ticks, controls, transitions) move the durable cursor only now and then."""
        await self._save_idle(records)
        self._position, self._at_us = records[-1].position, records[-1].at_us

    async def _save_idle(self, records: Sequence[Record]) -> None:
        if self._clock.machine_ns() - self._saved_ns < IDLE_COMMIT_S * 1e9:
            return
        position = records[-1].position if records else self._position
        at_us = records[-1].at_us if records else self._at_us
        async with self._database.transaction() as conn:
            await self._claim(conn)
            await conn.execute(_SQL["advance_cursor"], self._cursor_params(position, at_us))
            await self._sum_up(conn, self._summary, position, at_us)
        self._durable = position
        self._keep_summary(None, True)
        await self._let_trim()

    async def _resume(self) -> None:
        names = {"name": self._cursor, "summary": self._summary_cursor, "at": to_time(self._clock.city_us())}
        found = []
        async with self._database.transaction() as conn:
            await conn.execute(_SQL["create_cursor"], names)
            await conn.execute(_SQL["create_summary_cursor"], names)
            for name in (self._cursor, self._summary_cursor):
                row = await (await conn.execute(_SQL["read_cursor"], {"name": name})).fetchone()
                found.append(int(row["position"]) if row is not None else 0)
        self._durable, self._summed = found
        self._position, self._summary = self._durable, None
        head = self._reader.head()
        if self._durable > head > 0:
            raise CursorAhead(self._cursor, self._durable, head)
        await self._gather_again()
        log.info("store_resumed", position=self._durable, summed=self._summed, head=head)
        await self._let_trim()

    async def _let_trim(self) -> None:
        """Tell the log what it may drop, at most once a second of machine time: it costs an fsync."""
        now_ns = self._clock.machine_ns()
        unneeded = min(self._durable, self._summed)
        if unneeded == self._trimmable or (self._trimmable >= 0 and now_ns - self._saved_ns < 1_000_000_000):
            return
        await self._in_thread(lambda: self._reader.commit(self._cursor, unneeded))
        self._trimmable, self._saved_ns = unneeded, now_ns

    async def _until_it_works(self, act: Callable[[], Any]) -> None:
        """Patience without end: the database may be away for as long as it likes."""
        delay_s = RETRY_FIRST_S
        while True:
            try:
                await act()
            except DatabaseUnavailable as error:
                metrics.CONNECTED.set(0)
                metrics.FAILURES.labels("unavailable").inc()
                log.warning("store_waits_for_database", reason=error.reason, retry_s=delay_s, position=self._position)
                self._measure()
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, RETRY_MAX_S)
            else:
                metrics.CONNECTED.set(1)
                return

    def _cursor_params(self, position: int, at_us: int) -> dict[str, Any]:
        return {"name": self._cursor, "position": position, "at": to_time(at_us), "expected": self._durable}

    def _measure(self) -> None:
        depth = max(0, self._reader.head() - self._position)
        metrics.DEPTH.set(depth)
        behind = depth and self._at_us
        metrics.AGE.set(max(0.0, (self._clock.city_us() - self._at_us) / 1e6) if behind else 0.0)

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)


async def _copy(conn: Connection, statement: str, packed: bytes) -> None:
    async with conn.cursor().copy(_SQL[statement]) as copy:
        await copy.write(packing.HEADER)
        await copy.write(packed)
        await copy.write(packing.TRAILER)


async def _write_summary(conn: Connection, summary: Summary) -> None:
    """Latest values and counters of rows that went straight into the table."""
    await conn.execute(_SQL["make_incoming"])
    await _copy(conn, "copy_incoming", summary.newest.packed())
    await conn.execute(_SQL["upsert_latest"])
    await conn.execute(_SQL["make_counted"])
    await _copy(conn, "copy_counted", summary.counts.packed())
    await conn.execute(_SQL["add_counted"])


async def _write_rows(conn: Connection, rows: Rows) -> dict[str, int]:
    """Copy a batch in and spread it over the tables; what became of the rows, by outcome."""
    await conn.execute(_SQL["make_incoming"])
    await _copy(conn, "copy_incoming", rows.incoming())
    await conn.execute(_SQL["upsert_latest"])
    await conn.execute(_SQL["count_received"])
    conflicts = repeated = outliers = 0
    if rows.clock_faults:
        await conn.execute(_SQL["remember_clock_faults"])
        conflicts += (await conn.execute(_SQL["conflict_clock_faults"])).rowcount
        repeated = (await conn.execute(_SQL["drop_repeated_clock_faults"])).rowcount
    if rows.outliers:
        outliers = (await conn.execute(_SQL["insert_outliers"])).rowcount
        if outliers < rows.outliers:
            conflicts += (await conn.execute(_SQL["insert_outlier_conflicts"])).rowcount
    stored = (await conn.execute(_SQL["insert_observations"])).rowcount
    if stored + outliers + repeated < rows.count:
        bounds = {"from_time": to_time(rows.from_us), "to_time": to_time(rows.to_us)}
        await conn.execute(_SQL["plan_by_key"])
        conflicts += (await conn.execute(_SQL["insert_conflicts"], bounds)).rowcount
    return {
        "stored": stored,
        "outlier": outliers,
        "conflict": conflicts,
        "duplicate": rows.count - stored - outliers - conflicts,
    }


def _rejected(record: Record, error: Exception) -> dict[str, Any]:
    detail = {"detail": clean(str(error)), "kind": RecordKind(record.kind).name, "version": record.version}
    return {
        "position": record.position,
        "device_id": "",
        "receive_time": to_time(record.at_us),
        "reason": "store_rejected",
        "data": to_json(detail),
        "raw": record.body[:RAW_MAX_BYTES],
        "sha256": hashlib.sha256(record.body).hexdigest(),
        "size_bytes": len(record.body),
    }
