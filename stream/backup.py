"""Copying a log while its owner writes: snapshots, sealed files, the file of this hour as it stands, cursors.

The cut is a prefix of the log: the files are listed once; all but the last are sealed, and the last is copied in one step of
SQLite's backup, which reads a consistent state beside the writer. Snapshots are copied first, so that none is ahead of it.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from stream import files
from stream.errors import LogError
from stream.sqlite_file import last, open_for_reading

_SNAPSHOT_FILE = re.compile(r"([A-Za-z0-9_-]{1,64})\.[0-9]{20}")
Put = Callable[[str, Path], None]
"""(name inside the log's directory, a file to take now: it is gone afterwards)."""


class LogMoved(LogError):
    """Files that the copy needs were trimmed while it ran; try again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogCut:
    """What was copied: positions `first` to `head`, the last append time, and the names of the files."""

    first: int
    head: int
    at_us: int
    names: list[str]


def copy_log(directory: Path, scratch: Path, put: Put, *, needed: int) -> LogCut:
    """Hand over every file; `needed`: the lowest cursor of the database's snapshot. Raises LogMoved.

    `scratch` takes one file at a time. The caller's database snapshot is older than this call, so the cut reaches beyond it.
    """
    names: list[str] = []

    def hand_over(name: str, path: Path) -> None:
        put(name, path)
        names.append(name)

    for name, content in _snapshots(directory):
        hand_over(name, _scratch(scratch, content))
    first, head, at_us = 0, 0, 0
    for file in files.log_files(directory):
        copied = scratch / "log-file"
        copied.unlink(missing_ok=True)
        try:
            with closing(open_for_reading(file.path)) as source, closing(sqlite3.connect(copied)) as target:
                source.backup(target)
                end = last(target)
        except sqlite3.OperationalError as error:
            if first:
                raise LogMoved(f"{file.path.name}: {error}") from error
            continue  # the oldest ones may be trimmed while we come to them
        first = first or file.first
        if end is not None:
            head, at_us = end
        hand_over(file.path.name, copied)
    if first > needed + 1:
        raise LogMoved(f"the log begins at {first}, the database's snapshot needs it from {needed + 1}")
    for path in sorted((directory / "cursors").glob("*")):
        if not path.name.endswith(".tmp"):
            hand_over(f"cursors/{path.name}", _scratch(scratch, path.read_bytes()))
    return LogCut(first=first, head=head, at_us=at_us, names=names)


def _snapshots(directory: Path) -> Iterator[tuple[str, bytes]]:
    """The newest whole snapshot of each name, as the bytes of its file."""
    found: dict[str, list[str]] = {}
    for path in (directory / "snapshots").glob("*"):
        match = _SNAPSHOT_FILE.fullmatch(path.name)
        if match:
            found.setdefault(match[1], []).append(path.name)
    for name in sorted(found):
        whole = files.get_snapshot(directory, name)
        if whole is not None:
            yield f"snapshots/{name}.{whole[0]:020d}", files.snapshot_bytes(*whole)


def _scratch(scratch: Path, content: bytes) -> Path:
    path = scratch / "small-file"
    path.write_bytes(content)
    return path


def end_of(directory: Path) -> int:
    """The last position of a log that nobody has opened yet; 0 for an empty one."""
    for file in reversed(files.log_files(directory)):
        with closing(open_for_reading(file.path)) as connection:
            end = last(connection)
        if end is not None:
            return end[0]
    return 0
