"""What has left the log, as Parquet: one pair of files for each file of the log (a city hour), readable by any analyst's tool and, record by
record, by us.

`{first:020d}-{last:020d}.observations.parquet` holds the rows of all observation records in the log's order, with the position of their record
before the columns of OBS_SCHEMA. `....records.parquet` holds every record: position, append time, kind, version, how many of those rows are its
own, and the body of the others. It is renamed into place last, so a pair is there when it is. What ingest sent along with a
record for itself (packet ids) stays behind: it only matters in the log's tail.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stream import files, sqlite_file
from stream.errors import LogCorrupt, LogTrimmed
from stream.files import LogFile
from stream.records import OBS_SCHEMA, SCHEMA_VERSION, ObsBatch, Record, RecordKind, as_batch

RECORDS_SCHEMA = pa.schema(
    [
        pa.field("position", pa.int64(), nullable=False),
        pa.field("at_us", pa.int64(), nullable=False),
        pa.field("kind", pa.uint8(), nullable=False),
        pa.field("version", pa.uint16(), nullable=False),
        pa.field("rows", pa.uint32(), nullable=False),
        pa.field("body", pa.binary()),
    ]
)
ROWS_SCHEMA = pa.schema([pa.field("position", pa.int64(), nullable=False), *OBS_SCHEMA])
AT_ONCE = 1_000  # records that are read of the log in one step
GROUP_ROWS = 131_072  # of a row group, about
BATCH_ROWS = 65_536
_NAME = re.compile(r"(\d{20})-(\d{20})\.records\.parquet")
_WRITING = ".tmp"


@dataclass(frozen=True, slots=True, order=True)
class ArchiveFile:
    """One pair: positions `first` to `last`."""

    first: int
    last: int
    folder: Path

    @property
    def records(self) -> Path:
        return self.folder / f"{self.first:020d}-{self.last:020d}.records.parquet"

    @property
    def observations(self) -> Path:
        return self.folder / f"{self.first:020d}-{self.last:020d}.observations.parquet"

    def size(self) -> int:
        """Bytes of both."""
        return self.records.stat().st_size + self.observations.stat().st_size

    def delete(self) -> None:
        """The records first: without them the pair is not there."""
        self.records.unlink(missing_ok=True)
        self.observations.unlink(missing_ok=True)


def archive_files(folder: Path) -> list[ArchiveFile]:
    """Whole pairs, oldest first. A folder that is not there has none."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    found = [match for name in names if (match := _NAME.fullmatch(name))]
    pairs = [ArchiveFile(int(match[1]), int(match[2]), folder) for match in found]
    return sorted(pair for pair in pairs if pair.observations.exists())


def last_at_us(pair: ArchiveFile) -> int | None:
    """Append time of its newest record, from the file's footer; None where it has none."""
    metadata = pq.read_metadata(pair.records)
    column = RECORDS_SCHEMA.names.index("at_us")
    newest = [metadata.row_group(n).column(column).statistics.max for n in range(metadata.num_row_groups)]
    return int(max(newest)) if newest else None


def archive_file(source: LogFile, last: int, folder: Path) -> ArchiveFile:
    """Copy a sealed file of the log, up to position `last`; durable on return. What a crash left of an earlier try is replaced.

    Raises LogCorrupt where the file does not hold all of its positions, OSError where the disk does not take it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pair = ArchiveFile(source.first, last, folder)
    rows_path, records_path = _beside(pair.observations), _beside(pair.records)
    try:
        with (
            closing(sqlite_file.open_for_reading(source.path)) as connection,
            pq.ParquetWriter(rows_path, ROWS_SCHEMA, compression="zstd") as rows,
            pq.ParquetWriter(records_path, RECORDS_SCHEMA, compression="zstd") as records,
        ):
            _copy(connection, source, last, rows, records)
        for written, name in ((rows_path, pair.observations), (records_path, pair.records)):
            _sync(written)
            written.replace(name)
        files.sync_directory(folder)
    finally:
        rows_path.unlink(missing_ok=True)
        records_path.unlink(missing_ok=True)
    return pair


def _copy(
    connection: sqlite3.Connection, source: LogFile, last: int, rows: pq.ParquetWriter, records: pq.ParquetWriter
) -> None:
    after, waiting, held = source.first - 1, [], 0
    while after < last:
        found = sqlite_file.select(connection, source.path, after, AT_ONCE)
        if not found or found[0].position != after + 1:
            raise LogCorrupt(source.path, f"position {after + 1} is missing, the file should reach {last}")
        found = [record for record in found if record.position <= last]
        columns: dict[str, list[Any]] = {name: [] for name in RECORDS_SCHEMA.names}
        for record in found:
            table = _table(record)
            if table is not None:
                waiting.append(table)
                held += table.num_rows
            body = record.body if table is None else None
            count = 0 if table is None else table.num_rows
            values = (record.position, record.at_us, int(record.kind), record.version, count, body)
            for name, value in zip(RECORDS_SCHEMA.names, values, strict=True):
                columns[name].append(value)
        records.write_table(pa.table(columns, schema=RECORDS_SCHEMA))
        if held >= GROUP_ROWS:
            rows.write_table(pa.Table.from_batches(waiting, schema=ROWS_SCHEMA), row_group_size=GROUP_ROWS)
            waiting, held = [], 0
        after = found[-1].position
    if waiting:
        rows.write_table(pa.Table.from_batches(waiting, schema=ROWS_SCHEMA), row_group_size=GROUP_ROWS)


def _table(record: Record) -> pa.RecordBatch | None:
    """The rows of an observation record; None for other kinds, and for one that this build cannot read: it is kept as it is."""
    if record.kind is not RecordKind.OBS or record.version != SCHEMA_VERSION:
        return None
    try:
        table = as_batch(record).table
    except (pa.ArrowException, IndexError):
        return None
    if table.schema.names != OBS_SCHEMA.names or not table.num_rows:
        return None
    position = pa.array(np.full(table.num_rows, record.position), pa.int64())
    return pa.RecordBatch.from_arrays([position, *table.columns], schema=ROWS_SCHEMA)


def _beside(path: Path) -> Path:
    return path.with_name(path.name + _WRITING)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


class Archive:
    """Reads the archive as a log. Not thread-safe. Reading on where the last call ended is cheap, going elsewhere opens a file anew."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: Iterator[Record] | None = None
        self._after = 0  # what the open iterator gives comes behind this

    def first(self) -> int | None:
        """The oldest position; None: nothing is archived."""
        found = archive_files(self._folder)
        return found[0].first if found else None

    def read(self, after: int, max_rows: int) -> list[Record]:
        """As `LogReader.read`: at most `max_rows` records above `after`, in order; [] behind the newest one. Raises LogTrimmed where
        records between `after` and the next file are gone."""
        records: list[Record] = []
        if after != self._after:
            self._open = None
        while len(records) < max_rows:
            if self._open is None:
                self._open = self._seek(after)
                if self._open is None:
                    break
            record = next(self._open, None)
            if record is None:
                self._open = None
                continue
            records.append(record)
            after = record.position
        self._after = after
        return records

    def close(self) -> None:
        self._open = None

    def _seek(self, after: int) -> Iterator[Record] | None:
        behind = [pair for pair in archive_files(self._folder) if pair.last > after]
        if not behind:
            return None
        if 0 < after < behind[0].first - 1:
            raise LogTrimmed(after, behind[0].first)
        return _records_of(behind[0], after)


def _records_of(pair: ArchiveFile, after: int) -> Iterator[Record]:
    """Records of one pair above `after`. Raises LogCorrupt where the files do not fit together."""
    try:
        with pq.ParquetFile(pair.records) as records, pq.ParquetFile(pair.observations) as observations:
            rows = _Rows(observations, pair.observations)
            for batch in records.iter_batches(batch_size=AT_ONCE):
                columns = [batch.column(name).to_pylist() for name in RECORDS_SCHEMA.names]
                for position, at_us, kind, version, count, body in zip(*columns, strict=True):
                    if position <= after:
                        rows.skip(count)
                        continue
                    known = RecordKind(kind)
                    whole = rows.next(count).encode() if body is None else body
                    yield Record(position=position, at_us=at_us, kind=known, version=version, body=whole)
    except (pa.ArrowException, OSError) as error:
        raise LogCorrupt(pair.records, str(error)) from error


class _Rows:
    """The rows of one file from the first to the last; skipping costs nothing until rows are wanted."""

    def __init__(self, source: pq.ParquetFile, path: Path) -> None:
        self._source, self._path = source, path
        self._skipped = 0
        self._batches: Iterator[pa.RecordBatch] | None = None
        self._held = pa.table({field.name: [] for field in ROWS_SCHEMA}, schema=ROWS_SCHEMA)

    def skip(self, count: int) -> None:
        if self._batches is None:
            self._skipped += count
        else:
            self.next(count)

    def next(self, count: int) -> ObsBatch:
        if self._batches is None:
            self._batches = self._from(self._skipped)
        while self._held.num_rows < count:
            batch = next(self._batches, None)
            if batch is None:
                raise LogCorrupt(self._path, f"{count - self._held.num_rows} rows are missing at its end")
            self._held = pa.concat_tables([self._held, pa.Table.from_batches([batch], schema=ROWS_SCHEMA)])
        taken = self._held.slice(0, count).drop_columns(["position"]).cast(OBS_SCHEMA).combine_chunks()
        self._held = self._held.slice(count)
        return ObsBatch(taken.to_batches()[0])

    def _from(self, skip: int) -> Iterator[pa.RecordBatch]:
        """Batches behind the first `skip` rows; whole row groups are passed over unread."""
        groups = list(range(self._source.metadata.num_row_groups))
        while groups and self._source.metadata.row_group(groups[0]).num_rows <= skip:
            skip -= self._source.metadata.row_group(groups.pop(0)).num_rows
        for batch in self._source.iter_batches(batch_size=BATCH_ROWS, row_groups=groups, use_threads=False):
            yield batch.slice(skip)
            skip = max(0, skip - batch.num_rows)
