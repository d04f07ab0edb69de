"""Columns packed into PostgreSQL's binary COPY format with NumPy: no Python object per row.

Format: https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format". A field is a 4-byte length and its
big-endian payload; null is length -1 and no payload. Rows therefore differ in size: all are laid out at full width and
the bytes of nulls are masked out. Text, which has no fixed width, is the last column and rare.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from storage.times import MAX_US, MIN_US

HEADER = b"PGCOPY\n\xff\r\n\x00" + struct.pack("!ii", 0, 0)
TRAILER = struct.pack("!h", -1)
_POSTGRES_EPOCH_US = 946_684_800_000_000  # 2000-01-01T00:00:00Z in microseconds since 1970

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: values (n,), the NumPy type of PostgreSQL's binary form, and where it is null (None: nowhere)."""

    values: Array
    form: str
    null: npt.NDArray[np.bool_] | None = None


def int2(values: Array) -> Column:
    return Column(values=values, form=">i2")


def int4(values: Array) -> Column:
    return Column(values=values, form=">i4")


def int8(values: Array, null: npt.NDArray[np.bool_] | None = None) -> Column:
    return Column(values=values, form=">i8", null=null)


def float8(values: Array, null: npt.NDArray[np.bool_] | None = None) -> Column:
    return Column(values=values, form=">f8", null=null)


def boolean(values: Array) -> Column:
    return Column(values=values, form=">i1")


def timestamptz(us: Array, null: npt.NDArray[np.bool_] | None = None) -> Column:
    """From microseconds since 1970; clamped to the years 1..9999, which Python can read back."""
    return Column(values=np.clip(us, MIN_US, MAX_US) - _POSTGRES_EPOCH_US, form=">i8", null=null)


def pack(
    columns: Sequence[Column],
    text: Sequence[str | None] | None = None,
    *,
    rows: npt.NDArray[np.intp] | None = None,
) -> bytes:
    """Rows in COPY's binary form without header and trailer. Every row ends with a text field, null where `text` is None.

    `rows`: the indexes of those that are wanted; None: all. U+0000, which PostgreSQL's text cannot hold, becomes U+FFFD.
    """
    wanted = np.arange(len(columns[0].values)) if rows is None else rows
    if text is None:
        return _fixed(columns, wanted, tail="null")[0]
    has_text = np.fromiter((text[row] is not None for row in wanted), dtype=np.bool_, count=len(wanted))
    plain, _ = _fixed(columns, wanted[~has_text], tail="null")
    worded = wanted[has_text]
    flat, ends = _fixed(columns, worded, tail="text")
    parts = [plain]
    start = 0
    for row, end in zip(worded.tolist(), ends.tolist(), strict=True):
        word = str(text[row]).replace("\x00", "�").encode("utf-8", "replace")
        parts += [flat[start:end], struct.pack("!i", len(word)), word]
        start = end
    return b"".join(parts)


def pack_fixed(columns: Sequence[Column]) -> bytes:
    """All rows without a text field at their end."""
    return _fixed(columns, np.arange(len(columns[0].values)), tail="none")[0]


def _fixed(
    columns: Sequence[Column], rows: npt.NDArray[np.intp], *, tail: Literal["null", "text", "none"]
) -> tuple[bytes, Array]:
    """The fixed-width fields of `rows` and the offset at which each row ends. A tail of "null" is written, one of "text" is
    counted and left to the caller."""
    layout: list[tuple[str, str]] = [("fields", ">i2")]
    for index, column in enumerate(columns):
        layout += [(f"length{index}", ">i4"), (f"value{index}", column.form)]
    if tail == "null":
        layout.append(("tail", ">i4"))
    form = np.dtype(layout)
    table = np.empty(len(rows), dtype=form)
    table["fields"] = len(columns) + (tail != "none")
    if tail == "null":
        table["tail"] = -1
    keep: Array | None = None
    for index, column in enumerate(columns):
        width = np.dtype(column.form).itemsize
        table[f"value{index}"] = column.values[rows]
        table[f"length{index}"] = width
        if column.null is None:
            continue
        null = column.null[rows]
        if null.any():
            keep = np.ones((len(rows), form.itemsize), dtype=np.bool_) if keep is None else keep
            table[f"length{index}"][null] = -1
            offset = form.fields[f"value{index}"][1]  # type: ignore[index]
            keep[null, offset : offset + width] = False
    if keep is None:
        return table.tobytes(), np.arange(1, len(rows) + 1) * form.itemsize
    octets = table.view(np.uint8).reshape(len(rows), form.itemsize)
    return octets[keep].tobytes(), np.cumsum(keep.sum(axis=1))
