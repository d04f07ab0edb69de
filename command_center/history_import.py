"""Import of history: a file with the columns of the export, a portion at a time, through the log as backfill.

The file is read while it is judged (`RowJudge`: ingest's own rules for values) and its good rows go to the log's owner; wrong rows are
named and leave the good ones alone. What history has already is not told again, so the same file twice changes nothing and a file
that was cut off is simply sent again. The rules look at every row, and alarms wait behind what is in the log before
them: no portion is appended while more than a few are still to be evaluated (`followed`).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import IO, Any, Protocol, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from command_center import metrics
from command_center.authority import Action, require
from command_center.errors import Conflict, Unavailable
from command_center.model import Actor
from command_center.observation_files import FileFormat
from command_center.observation_reading import Batch, batches
from command_center.ports import Append, Emit, Store
from command_center.work import Env, working
from devices.observation_rows import FileRow, RefusedRow
from gis.formats.sheet import FileWrong
from stream.errors import LogError
from stream.records import NewRecord, ObsBatch, observations

T = TypeVar("T")

RECORD_ROWS = 1_000  # of one record of the log (contract.md section 1)
PORTIONS_AHEAD = 4  # appended and not evaluated yet: 20,000 rows, well under a second of the rules' time
FOLLOW_S = 60.0  # then something is wrong with the rules, and nothing more is put before them


class RowJudge(Protocol):
    """Ingest's rules for values, at one register (`ingest.history.HistoryRows`)."""

    def judge(self, rows: Sequence[FileRow], now_us: int) -> tuple[ObsBatch | None, list[RefusedRow]]: ...


class Known(Protocol):
    """The store of observations (`storage.letters.LetterStore`). Raises Unavailable."""

    async def known_rows(self, batch: ObsBatch) -> npt.NDArray[np.bool_]:
        """(n,): whether history has the value already."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file that is on our disk, and what the journal says of it."""

    file: IO[bytes]
    form: FileFormat
    name: str
    size: int
    sha256: str


@dataclass(slots=True, kw_only=True)
class Counts:
    rows: int = 0
    kept: int = 0  # handed to the log
    known: int = 0  # stood in history already
    refused: int = 0


class HistoryImport:
    """One import at a time. `judge` is made in a thread, from today's register; `followed(position)` returns when the rules have
    evaluated the log up to there."""

    def __init__(
        self,
        *,
        known: Known,
        append: Append,
        store: Store,
        env: Env,
        emit: Emit,
        judge: Callable[[], RowJudge],
        followed: Callable[[int], Awaitable[None]],
    ) -> None:
        self.known, self.append, self.env, self.followed = known, append, env, followed
        self._store, self._emit, self._judge = store, emit, judge
        self._running: ImportRun | None = None

    def admit(self, actor: Actor) -> None:
        """Before a stranger's file is taken in. Raises Forbidden, Conflict."""
        require(actor, Action.IMPORT_HISTORY, area="")
        if self._running is not None:
            raise Conflict("another import of history is running: wait until it is through")

    async def begin(self, actor: Actor, upload: Upload, *, reason: str = "") -> ImportRun:
        """Look at the beginning of the file and write the journal's line; then read `lines` to their end, and `close` in any case.
        The file is closed by the run, also where none begins.

        Raises Forbidden, Conflict, FileWrong for a file that is none of ours, Unavailable: then nothing was written.
        """
        try:
            self.admit(actor)
        except BaseException:
            upload.file.close()
            raise
        run = self._running = ImportRun(self, actor, upload)
        try:
            await run.open(self._judge)
            about = {"file": upload.name, "format": upload.form.value, "bytes": upload.size, "sha256": upload.sha256}
            await self.journal(actor, "import", about, reason)
        except BaseException:
            run.close()
            raise
        return run

    def ended(self, run: ImportRun) -> None:
        if self._running is run:
            self._running = None

    async def journal(self, actor: Actor, action: str, after: dict[str, Any], reason: str = "") -> None:
        async with working(self._store, self.env, self._emit, actor) as work:
            await work.journal("observations", "", action, None, after, reason)


class ImportRun:
    """One file on its way into history. What reads the file works in one thread of its own, in order, closing included."""

    def __init__(self, desk: HistoryImport, actor: Actor, upload: Upload) -> None:
        self._desk, self._actor, self._upload = desk, actor, upload
        self._source = batches(upload.file, upload.form)
        self._judge: RowJudge | None = None
        self._first: Batch | None = None
        self._positions: list[int] = []  # of the portions that the rules may not have seen
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="history-import")
        self._closed = False
        self.counts = Counts()

    async def open(self, judge: Callable[[], RowJudge]) -> None:
        self._judge = await self._in_thread(judge)
        self._first = await self._in_thread(lambda: next(self._source))

    def close(self) -> None:
        """However it ended; twice is once. A file that is being read in this moment is closed behind that."""
        if self._closed:
            return
        self._closed = True
        self._thread.submit(self._source.close)
        self._thread.submit(self._upload.file.close)
        self._thread.shutdown(wait=False)
        self._desk.ended(self)

    async def lines(self) -> AsyncIterator[bytes]:
        """The answer: refused rows, progress, and `done` or `stopped` as the last line."""
        stopped = ""
        try:
            batch = self._first
            while batch is not None:
                for refused in await self._portion(batch):
                    yield _line("refused", refused._asdict())
                yield _line("progress", asdict(self.counts))
                batch = await self._in_thread(lambda: next(self._source, None))
        except (FileWrong, Unavailable, LogError, TimeoutError, ConnectionError) as error:
            stopped = str(error) or "the log or the rules did not answer in time"
        self.close()
        why = {"why": stopped} if stopped else {}
        try:
            about = {"file": self._upload.name, "sha256": self._upload.sha256}
            await self._desk.journal(self._actor, "imported", about | asdict(self.counts) | why)
        except Unavailable as error:
            why = why or {"why": f"all rows are in the log, and the journal's last line is not written: {error}"}
        yield _line("stopped" if why else "done", asdict(self.counts) | why)

    async def _portion(self, batch: Batch) -> list[RefusedRow]:
        """Judge a batch and hand its good rows to the log; the rows that were refused, by line."""
        rows, unread = batch
        judge, now_us = self._judge, self._desk.env.clock.city_us()
        assert judge is not None
        found, refused = await self._in_thread(lambda: judge.judge(rows, now_us))
        self.counts.rows += len(rows) + len(unread)
        self.counts.refused += len(unread) + len(refused)
        if found is not None:
            known = await self._desk.known.known_rows(found)
            self.counts.known += int(known.sum())
            if not known.all():
                fresh = ObsBatch(found.table.filter(pa.array(~known)))
                await self._keep(fresh)
                self.counts.kept += len(fresh)
        metrics.IMPORTED_ROWS.inc(len(rows))
        return sorted([*unread, *refused], key=lambda row: row.line)

    async def _keep(self, fresh: ObsBatch) -> None:
        while len(self._positions) >= PORTIONS_AHEAD:
            async with asyncio.timeout(FOLLOW_S):
                await self._desk.followed(self._positions[0])
            del self._positions[0]
        appended = await self._desk.append.append(_records(fresh))
        self._positions.append(appended[-1].position)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _records(rows: ObsBatch) -> list[NewRecord]:
    """Keyed by what they hold: a file that is sent again at once, before the store has caught up, appends nothing twice."""
    found = []
    for start in range(0, len(rows), RECORD_ROWS):
        part = rows.slice(start, min(start + RECORD_ROWS, len(rows)))
        new = observations(part)
        digest = hashlib.blake2b(new.body, digest_size=16).hexdigest()
        found.append(replace(new, key=f"im:{digest}"))
    return found


def _line(kind: str, facts: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"type": kind, **facts}) + b"\n"
