"""Archive and log as one stream: whoever is further behind than the log reaches reads on."""

from __future__ import annotations

from pathlib import Path

from stream.archive import Archive
from stream.errors import LogTrimmed
from stream.reader import LogReader
from stream.records import Record


class WholeLog(LogReader):
    """A `LogReader` whose `first` and `read` begin with the archive's oldest record. Not thread-safe."""

    def __init__(self, directory: Path, archive: Path) -> None:
        super().__init__(directory)
        self._archive = Archive(archive)

    def first(self) -> int:
        kept, archived = super().first(), self._archive.first()
        return kept if archived is None else min(kept, archived)

    def read(self, after: int, max_rows: int) -> list[Record]:
        """As `LogReader.read`. Raises LogTrimmed where neither has what follows `after`."""
        if after == 0 and self.first() < super().first():
            return self._archive.read(0, max_rows)
        try:
            return super().read(after, max_rows)
        except LogTrimmed:
            found = self._archive.read(after, max_rows)
            if not found:
                raise
            return found

    def close(self) -> None:
        self._archive.close()
        super().close()
