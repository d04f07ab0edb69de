"""Observations as a file that is written while it is sent: CSV, NDJSON or Parquet, in constant memory.

One row for each observation, by series and time. CSV is UTF-8 with BOM, as spreadsheets in China open it, and its cells of text that look
like formulas are escaped; NDJSON is one object a line; Parquet has a row group for each page. Times are UTC with microseconds.
"""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from devices.registry import Datastream
from gis.formats.tables import escape

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"
_TIME = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    [
        ("device_id", pa.string()),
        ("property", pa.string()),
        ("uom", pa.string()),
        ("datastream", pa.int32()),
        ("phenomenon_time", _TIME),
        ("receive_time", _TIME),
        ("device_time", _TIME),
        ("result", pa.float64()),
        ("text", pa.string()),
        ("quality", pa.uint8()),
        ("source", pa.uint16()),
    ]
)
TIMES = ("phenomenon_time", "receive_time", "device_time")
Page = Sequence[Mapping[str, Any]]


class FileFormat(StrEnum):
    CSV = "csv"
    NDJSON = "ndjson"
    PARQUET = "parquet"


MEDIA_TYPES = {
    FileFormat.CSV: "text/csv; charset=utf-8",
    FileFormat.NDJSON: "application/x-ndjson",
    FileFormat.PARQUET: "application/vnd.apache.parquet",
}


class Observed(Protocol):
    """The reader of stored observations. Raises `Unavailable` without the database."""

    async def observations(self, datastream: int, from_us: int, to_us: int, limit: int) -> Sequence[Mapping[str, Any]]:
        """One page of a series over [from, to), oldest first."""


async def pages(
    history: Observed, streams: Sequence[Datastream], from_us: int, to_us: int, page_rows: int
) -> AsyncIterator[tuple[Datastream, Page]]:
    """All rows of the series over [from, to), `page_rows` at a time. What is stored while this runs may or may not be among them."""
    for stream in streams:
        begin_us = from_us
        while True:
            rows = await history.observations(stream.datastream, begin_us, to_us, page_rows)
            if rows:
                yield stream, rows
            if len(rows) < page_rows:
                break
            begin_us = rows[-1]["phenomenon_us"] + 1


async def written(found: AsyncIterator[tuple[Datastream, Page]], form: FileFormat) -> AsyncIterator[bytes]:
    """The file in pieces."""
    if form is FileFormat.PARQUET:
        async for piece in _parquet(found):
            yield piece
        return
    if form is FileFormat.CSV:
        yield (BOM + ",".join(SCHEMA.names) + "\r\n").encode()
    line: Callable[[Page, Datastream], bytes] = _csv if form is FileFormat.CSV else _ndjson
    async for stream, rows in found:
        yield line(rows, stream)


def _rows(rows: Page, stream: Datastream) -> list[list[Any]]:
    """In the order of SCHEMA; times in microseconds."""
    head = [stream.device_id, stream.property, stream.uom, stream.datastream]
    names = ("phenomenon_us", "receive_us", "device_us", "result", "text", "quality", "source")
    return [head + [row[name] for name in names] for row in rows]


def _csv(rows: Page, stream: Datastream) -> bytes:
    out = io.StringIO(newline="")
    write = csv.writer(out, lineterminator="\r\n")
    for row in _rows(rows, stream):
        cells = [*row[:4], *(_iso(at) for at in row[4:7]), row[7], row[8], *row[9:]]
        write.writerow([escape(cell) if isinstance(cell, str) else cell for cell in cells])
    return out.getvalue().encode()


def _ndjson(rows: Page, stream: Datastream) -> bytes:
    encoder = msgspec.json.Encoder()
    told = [dict(zip(SCHEMA.names, row, strict=True)) for row in _rows(rows, stream)]
    return encoder.encode_lines([one | {name: _iso(one[name]) or None for name in TIMES} for one in told])


async def _parquet(found: AsyncIterator[tuple[Datastream, Page]]) -> AsyncIterator[bytes]:
    out = _Pieces()
    with pq.ParquetWriter(pa.PythonFile(out, mode="w"), SCHEMA, compression="zstd") as writer:
        async for stream, rows in found:
            columns = zip(*_rows(rows, stream), strict=True)
            arrays = [pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=SCHEMA))
            yield out.take()
    yield out.take()


class _Pieces(io.RawIOBase):
    """What a writer wrote since the last look."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._at = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._at += len(part)
        return len(part)

    def take(self) -> bytes:
        taken, self._parts = b"".join(self._parts), []
        return taken


def _iso(at_us: int | None) -> str:
    return "" if at_us is None else (EPOCH + timedelta(microseconds=at_us)).isoformat().replace("+00:00", "Z")
