"""What every reader gives and every writer takes: columns, rows of cells, and where each row stood in the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from shapely.geometry.base import BaseGeometry

MAX_FILE_BYTES = 32 * 1024 * 1024
MAX_ROWS = 200_000
MAX_COLUMNS = 300
MAX_CELL_CHARS = 100_000  # a polygon as WKT fits
MAX_CELLS = 10_000_000


class Format(StrEnum):
    XLSX = "xlsx"
    CSV = "csv"
    GEOJSON = "geojson"
    YAML = "yaml"
    GPKG = "gpkg"
    SHP_ZIP = "shp.zip"


MEDIA_TYPES = {
    Format.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    Format.CSV: "text/csv; charset=utf-8",
    Format.GEOJSON: "application/geo+json",
    Format.YAML: "application/yaml",
    Format.GPKG: "application/geopackage+sqlite3",
    Format.SHP_ZIP: "application/zip",
}


class FileWrong(Exception):
    """A file that we cannot or will not read; says in both languages what is wrong and what was expected."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(f"{zh} / {en}")
        self.zh, self.en = zh, en


class UnknownFormat(FileWrong):
    """None of the formats that we read."""


class FileTooLarge(FileWrong):
    """Larger than we take, packed or unpacked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One table. `rows` hold text, numbers, bools, dates or None, one per column; lists and objects only from YAML and GeoJSON.

    `numbers`: the row numbers as the spreadsheet shows them (a feature's number counts from 1). `geometries`: one or None per
    row, in `crs`; empty where the file has none at all. `crs`: a code of `gis.crs` where the file says it, else "".
    """

    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]
    numbers: Sequence[int]
    geometries: Sequence[BaseGeometry | None] = ()
    crs: str = ""
    name: str = ""
    sheets: tuple[str, ...] = ()  # all tables of the file, this one among them
    notes: tuple[str, ...] = field(default=())  # what was watermarked or said about the table

    def __post_init__(self) -> None:
        if len(self.numbers) != len(self.rows) or (self.geometries and len(self.geometries) != len(self.rows)):
            raise ValueError("a sheet has one number and one geometry per row")

    @property
    def located(self) -> bool:
        return any(g is not None for g in self.geometries)


def check_size(rows: int, columns: int) -> None:
    """Raises FileTooLarge."""
    if rows > MAX_ROWS or columns > MAX_COLUMNS or rows * columns > MAX_CELLS:
        raise FileTooLarge(
            f"表格过大：{rows} 行 {columns} 列，最多 {MAX_ROWS} 行、{MAX_COLUMNS} 列、{MAX_CELLS} 个单元格",
            f"the table is too large: {rows} rows by {columns} columns; at most {MAX_ROWS} rows, {MAX_COLUMNS} columns, "
            f"{MAX_CELLS} cells",
        )


def text_of(cell: Any) -> str:
    """A cell as a person reads it: whole numbers without a point, dates as ISO 8601.

    >>> text_of(12.0), text_of(None), text_of(True)
    ('12', '', 'true')
    """
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    if hasattr(cell, "isoformat"):
        return str(cell.isoformat())
    return str(cell)


def headings(cells: Sequence[Any]) -> tuple[str, ...]:
    """Column names from a header row: trimmed, line breaks to spaces, empty ones named by letter, repeated ones numbered."""
    found: list[str] = []
    for position, cell in enumerate(cells):
        name = " ".join(text_of(cell).split()) or letter(position)
        taken, number = name, 2
        while taken in found:
            taken, number = f"{name} ({number})", number + 1
        found.append(taken[:200])
    return tuple(found)


def letter(position: int) -> str:
    """Spreadsheet letters of a column counted from 0.

    >>> letter(0), letter(27)
    ('A', 'AB')
    """
    name, rest = "", position + 1
    while rest:
        rest, digit = divmod(rest - 1, 26)
        name = chr(65 + digit) + name
    return name


def header_index(rows: Sequence[Sequence[Any]], known: frozenset[str], *, look: int = 15) -> int:
    """Which of the first rows is the header: the one with most known headings; else the first that is full of different texts.

    A title row above (one long, merged cell) has one filled cell and loses. `known`: headings in lower case without spaces.
    """
    best, best_score = 0, -1.0
    first = rows[:look]
    width = max((len(_filled(row)) for row in first), default=0)
    for index, row in enumerate(first):
        filled = _filled(row)
        if not filled:
            continue
        texts = [c for c in filled if isinstance(c, str) and not _is_number(c)]
        hits = sum(plain(text_of(c)) in known for c in filled)
        distinct = len(set(map(text_of, filled))) == len(filled)
        full = len(filled) >= max(2, width * 0.6) or width <= 1
        score = hits * 10.0 + (3.0 if full and distinct and len(texts) == len(filled) else 0.0) - index * 0.01
        if score > best_score:
            best, best_score = index, score
    return best


def plain(heading: str) -> str:
    """A heading for comparison: lower case, no spaces, brackets' content and marks of required columns dropped.

    >>> plain("名称 *"), plain("Longitude (deg)"), plain("经度（度）")
    ('名称', 'longitude', '经度')
    """
    text = heading.lower()
    for opening, closing in (("(", ")"), ("（", "）"), ("[", "]"), ("【", "】")):
        while (start := text.find(opening)) > 0 and (end := text.find(closing, start)) > 0:
            text = text[:start] + text[end + 1 :]
    return "".join(c for c in text if c.isalnum() or c == "_")


def _filled(row: Sequence[Any]) -> list[Any]:
    return [cell for cell in row if text_of(cell).strip()]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
