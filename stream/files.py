"""The directory of a log: names of its files, cursors and snapshots beside them.

`{first position:020d}.sqlite` one per city hour; `head` eight bytes, the last durable position (a hint for pollers);
`lock` held by the one writer; `cursors/NAME` a number; `snapshots/NAME.{position:020d}` a checksummed blob.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import structlog

from stream import metrics

log = structlog.get_logger()

SUFFIX = ".sqlite"
SNAPSHOTS_KEPT = 2  # the last one may be torn by a power cut that lied about fsync; the one before is whole
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SNAPSHOT = struct.Struct("<8sqIQ")  # magic, position, CRC-32 of the blob, its length
_MAGIC = b"CBSNAP01"


@dataclass(frozen=True, slots=True, order=True)
class LogFile:
    """One SQLite file; `first` is the position of its first record (which may not have been written yet)."""

    first: int
    path: Path

    def size(self) -> int:
        """Bytes on disk with write-ahead log; 0 when it is gone."""
        return sum(_size(path) for path in self._parts())

    def delete(self) -> None:
        """The database first: what a crash leaves then is a stray WAL that nobody reads."""
        for path in self._parts():
            path.unlink(missing_ok=True)

    def _parts(self) -> tuple[Path, ...]:
        return (self.path, Path(f"{self.path}-wal"), Path(f"{self.path}-shm"))


def file_for(directory: Path, first: int) -> LogFile:
    return LogFile(first, directory / f"{first:020d}{SUFFIX}")


def log_files(directory: Path) -> list[LogFile]:
    """The log's files, oldest first. A directory that is not there has none."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    stems = (name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX))
    return sorted(file_for(directory, int(stem)) for stem in stems if stem.isdigit())


def commit_cursor(directory: Path, cursor: str, position: int) -> bool:
    """Remember that `cursor` needs nothing up to and including `position`. Losing the last value only keeps more. False: the disk did
    not take it, the value before stands."""
    return _kept(directory / "cursors" / _checked(cursor), str(position).encode(), durable=False)


def read_cursor(directory: Path, cursor: str) -> int:
    """The committed position of a cursor; 0 when it never committed."""
    try:
        return int((directory / "cursors" / _checked(cursor)).read_text())
    except FileNotFoundError:
        return 0


def put_snapshot(directory: Path, name: str, position: int, blob: bytes) -> bool:
    """Store a state reached at `position`: fsynced, renamed into place; the last two are kept. False: the disk did not take it, those
    before stand, and nothing may be trimmed that only this one would have made unneeded."""
    path = directory / "snapshots" / f"{_checked(name)}.{position:020d}"
    if not _kept(path, snapshot_bytes(position, blob), durable=True):
        return False
    for old in _snapshots(directory, name)[SNAPSHOTS_KEPT:]:
        old.unlink(missing_ok=True)
    return True


def snapshot_bytes(position: int, blob: bytes) -> bytes:
    """A snapshot as its file holds it."""
    return _SNAPSHOT.pack(_MAGIC, position, zlib.crc32(blob), len(blob)) + blob


def get_snapshot(directory: Path, name: str) -> tuple[int, bytes] | None:
    """The newest whole snapshot as (position, blob). A torn or damaged one is passed over for the one before."""
    for path in _snapshots(directory, name):
        found = _read_snapshot(path)
        if found is not None:
            return found
    return None


def _read_snapshot(path: Path) -> tuple[int, bytes] | None:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    if len(data) < _SNAPSHOT.size:
        return None
    magic, position, crc, length = _SNAPSHOT.unpack_from(data)
    blob = data[_SNAPSHOT.size :]
    if magic != _MAGIC or len(blob) != length or zlib.crc32(blob) != crc:
        return None
    return position, blob


def _snapshots(directory: Path, name: str) -> list[Path]:
    """Newest first."""
    pattern = re.compile(re.escape(_checked(name)) + r"\.[0-9]{20}")
    folder = directory / "snapshots"
    try:
        names = [entry for entry in os.listdir(folder) if pattern.fullmatch(entry)]
    except FileNotFoundError:
        return []
    return [folder / entry for entry in sorted(names, reverse=True)]


def _kept(path: Path, data: bytes, *, durable: bool) -> bool:
    """What stands beside the log only saves time or space, so nobody ends because a full disk does not take it: it is told and counted."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, data, durable=durable)
    except OSError as error:
        metrics.NOT_KEPT.labels(path.parent.name).inc()
        log.warning("log_side_file_not_written", file=str(path), why=str(error))
        return False
    return True


def _replace(path: Path, data: bytes, *, durable: bool) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)  # half of it on a full disk would keep the disk full
        raise
    if durable:
        sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make new names in a directory durable."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"cursor or snapshot name {name!r}: expected letters, digits, _ and -, at most 64")
    return name


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
