"""The last durable position in eight shared bytes, so that a poller costs a memory read and no SQLite call.

It is a hint: written after each commit, reset when a writer opens the log. It never runs ahead of what is durable.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

_POSITION = struct.Struct("<q")
NAME = "head"


class HeadWriter:
    def __init__(self, directory: Path, position: int) -> None:
        path = directory / NAME
        if not path.exists() or path.stat().st_size != _POSITION.size:
            path.write_bytes(_POSITION.pack(position))  # created once, never replaced: readers keep it mapped
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _POSITION.size)
        self.set(position)

    def set(self, position: int) -> None:
        _POSITION.pack_into(self._map, 0, position)

    def close(self) -> None:
        self._map.close()


class HeadReader:
    """Reads the hint; 0 while no writer has ever opened the log."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / NAME
        self._map: mmap.mmap | None = None

    def get(self) -> int:
        if self._map is None:
            self._map = self._open()
            if self._map is None:
                return 0
        position: int = _POSITION.unpack_from(self._map, 0)[0]
        return position

    def _open(self) -> mmap.mmap | None:
        try:
            with self._path.open("rb") as file:
                return mmap.mmap(file.fileno(), _POSITION.size, access=mmap.ACCESS_READ)
        except (FileNotFoundError, ValueError):  # ValueError: created a moment ago, still empty
            return None

    def close(self) -> None:
        if self._map is not None:
            self._map.close()
            self._map = None
