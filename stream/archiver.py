"""Copies each sealed file of the log into the archive and lets go of what is older than anybody wants."""

from __future__ import annotations

import asyncio
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import structlog

from devices.clock import Clock
from stream import files, metrics, sqlite_file
from stream.archive import ArchiveFile, archive_file, archive_files, last_at_us
from stream.errors import ArchiveBelongsElsewhere, LogError

CURSOR = "archive"
EVERY_S = 20.0  # machine seconds between two looks for sealed files
RETRY_S = 60.0  # after a failure: the disk may be full

log = structlog.get_logger()


class ArchiveService:
    """One for each log, in any one process. What is archived is what `archive_files` lists: the cursor only tells the log's writer."""

    def __init__(self, log_dir: Path, folder: Path, clock: Clock, *, keep_s: float) -> None:
        """`keep_s`: city seconds for which files are kept, by their newest record; 0: for ever."""
        self._log_dir, self._folder, self._clock, self._keep_us = log_dir, folder, clock, int(keep_s * 1e6)

    async def run(self) -> None:
        """Until cancelled. A failure is told and tried again; meanwhile the log keeps what it has, up to its bound."""
        while True:
            pause_s = EVERY_S
            try:
                if await asyncio.to_thread(self.step):
                    continue
            except (LogError, OSError) as error:
                metrics.ARCHIVE_FAILURES.inc()
                log.error("archive_failed", why=str(error), retry_s=RETRY_S)  # noqa: TRY400 - the reason says it all
                pause_s = RETRY_S
            await asyncio.sleep(pause_s)

    def step(self) -> bool:
        """Archive the oldest sealed file that is not; False: there is none. Raises LogCorrupt, ArchiveBelongsElsewhere, OSError."""
        pairs, found = archive_files(self._folder), files.log_files(self._log_dir)
        done = pairs[-1].last if pairs else 0
        if pairs:
            self._check_belongs(pairs[-1], found)
        sealed = [(file, after.first - 1) for file, after in pairwise(found)]
        waiting = [(file, last) for file, last in sealed if last > done]
        self._tell(done, waiting)
        if files.read_cursor(self._log_dir, CURSOR) < done:  # ended before it was written, or the disk did not take it
            files.commit_cursor(self._log_dir, CURSOR, done)
        if not waiting:
            self._forget()
            return False
        file, last = waiting[0]
        pair = archive_file(file, last, self._folder)
        files.commit_cursor(self._log_dir, CURSOR, pair.last)
        self._tell(pair.last, waiting[1:])
        log.info("log_file_archived", first=pair.first, last=pair.last, bytes=pair.size())
        return True

    @staticmethod
    def _check_belongs(newest: ArchiveFile, found: list[files.LogFile]) -> None:
        """A log that was set back by a restore writes other records at positions that the archive has. Append times are never repeated, so
        one record tells. Raises ArchiveBelongsElsewhere."""
        holding = [file for file in found if file.first <= newest.last]
        if not holding:
            return  # trimmed at the byte bound: the positions go on behind it
        with closing(sqlite_file.open_for_reading(holding[-1].path)) as connection:
            there = sqlite_file.select(connection, holding[-1].path, newest.last - 1, 1)
        if not there or there[0].position != newest.last or there[0].at_us != last_at_us(newest):
            raise ArchiveBelongsElsewhere(newest.folder, newest.last)

    def _tell(self, done: int, waiting: list[tuple[files.LogFile, int]]) -> None:
        metrics.ARCHIVED.set(done)
        metrics.ARCHIVE_WAITING.set(len(waiting))
        pairs = archive_files(self._folder)
        metrics.ARCHIVE_BYTES.set(sum(pair.size() for pair in pairs))
        newest_us = last_at_us(pairs[-1]) if pairs and waiting else None
        metrics.ARCHIVE_AGE_S.set(0 if newest_us is None else max(0.0, (self._clock.city_us() - newest_us) / 1e6))

    def _forget(self) -> None:
        """Delete the oldest pairs that are past `keep_s`; the newest one tells where to go on, so it stays."""
        for pair in archive_files(self._folder)[:-1] if self._keep_us else ():
            newest_us = last_at_us(pair)
            if newest_us is None or newest_us >= self._clock.city_us() - self._keep_us:
                return
            pair.delete()
            log.info("archive_file_deleted", first=pair.first, last=pair.last)
