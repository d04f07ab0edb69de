"""Files of observations, read back: the columns that `observation_files` writes, a batch of rows at a time, whatever the size.

What a cell cannot be is a refused row, named by its line, and the rows beside it go on; what the whole file cannot be (other
columns, not UTF-8, no Parquet) is a FileWrong. Lines count from 1 and the header of a CSV is one; a row of Parquet counts as a line.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Generator, Iterator
from datetime import UTC, datetime, timedelta
from typing import IO, Any

import msgspec

from command_center.observation_files import EPOCH, SCHEMA, TIMES, FileFormat
from devices.observation_rows import FileRow, RefusedRow
from gis.formats.parquet_lines import lines as parquet_lines
from gis.formats.sheet import FileWrong
from gis.formats.tables import unescape

BATCH_ROWS = 5_000
LINE_MAX = 1024**2  # bytes; a text has 1,024 characters at most
GOT_MAX = 120  # characters of a cell that an answer repeats
_MICROSECOND = timedelta(microseconds=1)
_NUMBERS = ("datastream", "quality", "source")


Batch = tuple[list[FileRow], list[RefusedRow]]


def batches(file: IO[bytes], form: FileFormat) -> Generator[Batch]:
    """At most BATCH_ROWS rows at a time; the first comes once the header is read. Raises FileWrong, also after some batches."""
    found: Batch = ([], [])
    told = 0
    for one in _csv(file) if form is FileFormat.CSV else _objects(file, form):
        found[0 if isinstance(one, FileRow) else 1].append(one)  # type: ignore[arg-type]
        told += 1
        if told == BATCH_ROWS:
            yield found
            found, told = ([], []), 0
    yield found


def _csv(file: IO[bytes]) -> Iterator[FileRow | RefusedRow]:
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    rows = csv.reader(text)
    try:
        names = next(rows, [])
        _check_columns(names)
        line = rows.line_num
        while True:
            begins, line = line + 1, line
            try:
                cells = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                yield RefusedRow(begins, "row", "a row of CSV", str(error))
                continue
            finally:
                line = rows.line_num
            if not cells:
                continue
            if len(cells) != len(names):
                yield RefusedRow(begins, "row", f"{len(names)} cells", len(cells))
                continue
            yield _row(begins, {name: _blank(cell) for name, cell in zip(names, cells, strict=True)})
    except UnicodeDecodeError as error:
        raise FileWrong("不是 UTF-8 编码", f"not UTF-8, near line {rows.line_num + 1}") from error
    finally:
        text.detach()  # the file is its owner's to close


def _blank(cell: str) -> str | None:
    return unescape(cell) if cell else None


def _objects(file: IO[bytes], form: FileFormat) -> Iterator[FileRow | RefusedRow]:
    decoder = msgspec.json.Decoder(dict[str, Any])
    source = parquet_lines(file) if form is FileFormat.PARQUET else _lines(file)
    seen = False
    for line, raw in enumerate(source, 1):
        if not raw.strip():
            continue
        if len(raw) >= LINE_MAX:
            yield RefusedRow(line, "row", f"a line of less than {LINE_MAX} bytes", len(raw))
            continue
        try:
            cells = decoder.decode(raw)
        except msgspec.DecodeError as error:
            yield RefusedRow(line, "row", "an object of JSON", str(error)[:GOT_MAX])
            continue
        if not seen:
            _check_columns(list(cells))
            seen = True
        yield _row(line, cells)


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """Lines; of one that is too long its beginning, which shows by its length."""
    while line := file.readline(LINE_MAX):
        yield line
        while line and len(line) == LINE_MAX and not line.endswith(b"\n"):
            line = file.readline(LINE_MAX)


def _check_columns(names: list[str]) -> None:
    missing = [name for name in SCHEMA.names if name not in names]
    other = [name for name in names if name not in SCHEMA.names]
    if missing or other or len(set(names)) != len(names):
        raise FileWrong(
            f"列名应为 {', '.join(SCHEMA.names)}；缺少 {', '.join(missing) or '无'}，多出 {', '.join(other)[:200] or '无'}",
            f"expected the columns {', '.join(SCHEMA.names)}; missing {', '.join(missing) or 'none'}, others {', '.join(other)[:200] or 'none'}",
        )


class _Wrong(Exception):
    def __init__(self, expected: str) -> None:
        super().__init__(expected)
        self.expected = expected


def _row(line: int, cells: dict[str, Any]) -> FileRow | RefusedRow:
    """The row, or its first cell that is not of its kind."""
    name = ""
    values: dict[str, Any] = {}
    try:
        for name in SCHEMA.names:
            values[name] = _cell(name, cells.get(name))
    except _Wrong as error:
        return RefusedRow(line, name, error.expected, shown(cells.get(name)))
    return FileRow(
        line=line,
        device_id=values["device_id"],
        property=values["property"],
        uom=values["uom"],
        phenomenon_us=values["phenomenon_time"],
        receive_us=values["receive_time"],
        device_us=values["device_time"],
        result=values["result"],
        text=values["text"],
        quality=values["quality"],
        source=values["source"],
    )


def _cell(name: str, value: Any) -> Any:
    if name in TIMES:
        return None if value is None else _time(value)
    if name in _NUMBERS:
        return None if value is None else _whole(value)
    if name == "result":
        return None if value is None else _number(value)
    if name == "text":
        if value is not None and not isinstance(value, str):
            raise _Wrong("text")
        return value
    if value is not None and not isinstance(value, str):
        raise _Wrong("text")
    return value or ""


def _time(value: Any) -> int:
    try:
        at = datetime.fromisoformat(value)
        if at.utcoffset() is None:
            raise _Wrong("a time with a zone, as 2019-08-09T12:00:00Z")
        return (at.astimezone(UTC) - EPOCH) // _MICROSECOND
    except (TypeError, ValueError, OverflowError) as error:
        raise _Wrong("a time with a zone, as 2019-08-09T12:00:00Z") from error


def _whole(value: Any) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9:
        return value
    raise _Wrong("a whole number")


def _number(value: Any) -> float:
    if isinstance(value, bool) or (isinstance(value, str) and "_" in value) or not isinstance(value, str | int | float):
        raise _Wrong("a number")
    try:
        return float(value)
    except (ValueError, OverflowError) as error:
        raise _Wrong("a number") from error


def shown(value: Any) -> Any:
    """What was there, cut short."""
    if isinstance(value, str):
        return value[:GOT_MAX]
    return value if value is None or isinstance(value, bool | int | float) else str(value)[:GOT_MAX]
