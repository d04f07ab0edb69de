"""What can go wrong with the log, named after what happened. None of these acknowledges anything."""

from __future__ import annotations

from pathlib import Path


class LogError(Exception):
    """Root of the log's expected failures."""


class LogFull(LogError):
    """The byte bound or the disk is reached and no file may be deleted: the append did not happen.

    The policy is *refuse*: the caller keeps its message unacknowledged and tries again.
    """

    def __init__(self, why: str, *, used_bytes: int, max_bytes: int) -> None:
        super().__init__(f"log is full: {why} ({used_bytes} of {max_bytes} bytes used); nothing was appended")
        self.why, self.used_bytes, self.max_bytes = why, used_bytes, max_bytes


class LogBusy(LogError):
    """Too many records wait for the writer's thread; the append was not taken."""

    def __init__(self, pending: int, pending_max: int) -> None:
        super().__init__(f"log has {pending} records waiting, at most {pending_max} are taken; nothing was appended")
        self.pending, self.pending_max = pending, pending_max


class LogFailed(LogError):
    """The disk or SQLite refused: the append did not happen, or its fate is unknown to the caller (append again by key)."""


class LogClosed(LogError):
    """The writer was closed before the append was durable."""


class LogLocked(LogError):
    def __init__(self, directory: Path) -> None:
        super().__init__(f"another process writes the log in {directory}; one writer per log")
        self.directory = directory


class LogCorrupt(LogError):
    """A file of the log cannot be read. Nothing is skipped silently: an operator decides."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"log file {path} cannot be read: {why}")
        self.path, self.why = path, why


class LogTrimmed(LogError):
    """Records that the reader still wanted are in the archive, not in the log any more."""

    def __init__(self, after: int, first: int) -> None:
        super().__init__(f"the log starts at position {first}; records after {after} were trimmed")
        self.after, self.first = after, first


class ArchiveBelongsElsewhere(LogError):
    """The archive's newest record is not the log's: it is another installation's, or the log was set back by a restore."""

    def __init__(self, folder: Path, position: int) -> None:
        super().__init__(
            f"archive {folder}: its record at position {position} is not this log's; move it away and a new one begins"
        )
        self.folder, self.position = folder, position
