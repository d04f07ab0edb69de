"""The SQLite back end of the log under one name."""

from __future__ import annotations

from stream.errors import LogBusy, LogClosed, LogCorrupt, LogError, LogFailed, LogFull, LogLocked, LogTrimmed
from stream.reader import LogReader
from stream.writer import LogWriter

__all__ = [
    "LogBusy",
    "LogClosed",
    "LogCorrupt",
    "LogError",
    "LogFailed",
    "LogFull",
    "LogLocked",
    "LogReader",
    "LogTrimmed",
    "LogWriter",
]
