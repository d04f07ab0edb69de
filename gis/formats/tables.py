"""Readers without GDAL: XLSX, CSV, GeoJSON and YAML. Bytes in, sheets out; no file, no network."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import math
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import openpyxl
import shapely
import yaml
from openpyxl.utils.exceptions import InvalidFileException
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from gis.crs import WGS84, UnknownCrs, crs_code
from gis.formats.archives import open_archive
from gis.formats.sheet import (
    MAX_CELL_CHARS,
    MAX_CELLS,
    MAX_ROWS,
    FileTooLarge,
    FileWrong,
    Sheet,
    check_size,
    header_index,
    headings,
    text_of,
)

Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MAX_YAML_DEPTH = 20
MAX_SHEETS = 50


def read_xlsx(content: bytes, known: frozenset[str]) -> list[Sheet]:
    """Every sheet that has a cell. The header may stand below title rows; numbers stored as text stay text; dates are dates."""
    open_archive(content).close()
    try:
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True, keep_links=False)
    except (
        zipfile.BadZipFile,
        InvalidFileException,
        KeyError,
        ValueError,
        TypeError,
        AttributeError,
        OSError,
    ) as error:
        raise FileWrong("不是可读的 XLSX 工作簿", f"not a workbook that can be read: {error}") from error
    except SyntaxError as error:  # xml.etree's ParseError is one
        raise FileWrong("XLSX 内部 XML 已损坏", f"the workbook's XML is broken: {error}") from error
    names = tuple(s.title for s in book.worksheets if s.sheet_state == "visible")[:MAX_SHEETS]
    found, budget = [], MAX_CELLS
    for name in names:
        try:
            book[name].reset_dimensions()  # a wrong <dimension> hides rows
            rows, budget = _cells(book[name].iter_rows(values_only=True), budget)
        except FileWrong:
            raise
        except (SyntaxError, KeyError, ValueError, TypeError, IndexError, OSError, zipfile.BadZipFile) as error:
            raise FileWrong(f"工作表 {name} 已损坏", f"sheet {name!r} is broken: {error}") from error
        if rows:
            found.append(table(rows, known, name=name, sheets=names))
    book.close()
    if not found:
        raise FileWrong("工作簿里没有数据", "the workbook has no cells")
    return found


def _cells(rows: Iterable[Sequence[Any]], budget: int) -> tuple[list[tuple[int, list[Any]]], int]:
    """(row number, cells) of rows that have a cell, and what is left of the budget. Trailing empty cells are dropped."""
    found: list[tuple[int, list[Any]]] = []
    for number, row in enumerate(rows, 1):
        cells = [_cell(value) for value in row]
        while cells and cells[-1] in (None, ""):
            cells.pop()
        if not cells:
            continue
        found.append((number, cells))
        budget -= len(cells)
        check_size(len(found), len(cells))
        if budget < 0:
            raise FileTooLarge(f"单元格超过 {MAX_CELLS} 个", f"more than {MAX_CELLS} cells")
    return found, budget


def _cell(value: Any) -> Any:
    """Text trimmed, dates without a midnight, error values and NaN as nothing."""
    if isinstance(value, str):
        if len(value) > MAX_CELL_CHARS:
            raise FileTooLarge(
                f"单元格超过 {MAX_CELL_CHARS} 个字符", f"a cell has {len(value)} characters; at most {MAX_CELL_CHARS}"
            )
        text = value.replace("\x00", "").strip()
        return None if text in ("", "#N/A", "#VALUE!", "#REF!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!") else text
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dt.datetime) and value.time() == dt.time(0) and value.tzinfo is None:
        return value.date()
    if isinstance(value, dt.timedelta):
        return str(value)
    return value


def table(
    rows: Sequence[tuple[int, Sequence[Any]]], known: frozenset[str], *, name: str = "", sheets: tuple[str, ...] = ()
) -> Sheet:
    """A sheet of numbered rows: the header found, what stands above it kept as notes."""
    at = header_index([cells for _, cells in rows], known)
    body = rows[at + 1 :]
    width = max(len(rows[at][1]), max((len(cells) for _, cells in body), default=0))
    header = headings([*rows[at][1], *[None] * (width - len(rows[at][1]))])
    check_size(len(body), width)
    notes = tuple(" ".join(t for t in map(text_of, cells) if t) for _, cells in rows[:at])
    filled = [(*cells, *[None] * (width - len(cells))) for _, cells in body]
    return Sheet(
        columns=header, rows=filled, numbers=[n for n, _ in body], name=name, sheets=sheets or (name,), notes=notes
    )


def decode(content: bytes) -> str:
    """UTF-8 with or without BOM, UTF-16 with BOM, else GB18030 (GBK, GB 2312). Raises FileWrong."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return content.decode("utf-16")
        except UnicodeDecodeError as error:
            raise FileWrong("文件编码无法识别", f"begins as UTF-16 but is not: {error}") from error
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise FileWrong(
        "文件编码无法识别；请另存为 UTF-8 或 GBK", "neither UTF-8 nor GB18030 (GBK): save it again as one of them"
    )


def read_csv(content: bytes, known: frozenset[str]) -> list[Sheet]:
    """Comma, semicolon or tab, found by the first lines; quoted cells may hold line breaks. Numbers stay text."""
    text = decode(content)
    if "\x00" in text:
        raise FileWrong("不是文本文件", "not a text file: it holds NUL characters")
    csv.field_size_limit(MAX_CELL_CHARS)
    try:
        rows, _ = _cells_of_csv(csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True))
    except csv.Error as error:
        raise FileWrong("CSV 格式错误（引号未闭合或单元格过长）", f"not a proper CSV: {error}") from error
    if not rows:
        raise FileWrong("文件里没有数据", "the file has no cells")
    return [table(rows, known)]


def _cells_of_csv(reader: Any) -> tuple[list[tuple[int, list[Any]]], int]:
    """As `_cells`, with the line on which each row begins as its number (as an editor shows it)."""
    found: list[tuple[int, list[Any]]] = []
    budget, begins = MAX_CELLS, 1
    for row in reader:
        cells = [unescape(_cell(value)) for value in row]
        while cells and cells[-1] is None:
            cells.pop()
        if cells:
            found.append((begins, cells))
            check_size(len(found), len(cells))
            budget -= len(cells)
            if budget < 0:
                raise FileTooLarge(f"单元格超过 {MAX_CELLS} 个", f"more than {MAX_CELLS} cells")
        begins = reader.line_num + 1
    return found, budget


def _delimiter(text: str) -> str:
    """The one that splits the first lines most evenly."""
    lines = [line for line in text[:20_000].splitlines()[:20] if line.strip()]
    counts = {d: [_outside_quotes(line, d) for line in lines] for d in (",", "\t", ";")}
    return max(counts, key=lambda d: (min(sorted(counts[d])[len(counts[d]) // 2 :], default=0), sum(counts[d])))


def _outside_quotes(line: str, delimiter: str) -> int:
    return sum(part.count(delimiter) for part in line.split('"')[::2])


FORMULA = ("=", "+", "-", "@", "\t", "\r")


def escape(text: str) -> str:
    """A cell that a spreadsheet would take for a formula gets a leading apostrophe; so does one that had such a prefix itself."""
    return (
        "'" + text if text.startswith(FORMULA) or (text.startswith("'") and text.lstrip("'")[:1] in FORMULA) else text
    )


def unescape(cell: Any) -> Any:
    """Takes back what `escape` did."""
    if isinstance(cell, str) and cell.startswith("'") and cell.lstrip("'").startswith(FORMULA):
        return cell[1:]
    return cell


def read_geojson(content: bytes) -> list[Sheet]:
    """A FeatureCollection or one Feature; `id` becomes the column `id` where properties have none. WGS 84, or what a `crs` member says."""
    try:
        document = json.loads(decode(content))
    except (json.JSONDecodeError, RecursionError) as error:
        raise FileWrong("不是有效的 JSON", f"not JSON: {error}") from error
    if isinstance(document, dict) and document.get("type") == "Feature":
        document = {"features": [document]}
    features = document.get("features") if isinstance(document, dict) else None
    if not isinstance(features, list):
        raise FileWrong("不是 GeoJSON 要素集合", "expected a GeoJSON FeatureCollection with a list `features`")
    records, geometries = [], []
    for number, feature in enumerate(features, 1):
        if not isinstance(feature, dict) or not isinstance(feature.get("properties") or {}, dict):
            raise FileWrong(f"第 {number} 个要素不是对象", f"feature {number} is not a GeoJSON Feature")
        record = dict(feature.get("properties") or {})
        if feature.get("id") is not None and "id" not in record:
            record = {"id": feature["id"], **record}
        records.append(record)
        geometries.append(geojson_geometry(feature.get("geometry"), number))
    return [_of_records(records, geometries=geometries, crs=_geojson_crs(document))]


def _geojson_crs(document: Mapping[str, Any]) -> str:
    """The old `crs` member, which surveyors' tools still write. Raises FileWrong for one that we do not know."""
    member = document.get("crs")
    name = (member.get("properties") or {}).get("name") if isinstance(member, dict) else None
    if name is None:
        return WGS84
    try:
        return crs_code(str(name))
    except UnknownCrs as error:
        raise FileWrong(f"GeoJSON 的坐标系 {name!r} 不支持", str(error)) from error


def geojson_geometry(value: Any, number: int) -> BaseGeometry | None:
    """A geometry, or None where there is none. Raises FileWrong naming the feature."""
    if value is None:
        return None
    try:
        found: BaseGeometry = shape(value)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError, shapely.errors.ShapelyError) as error:
        raise FileWrong(
            f"第 {number} 个要素的几何无效", f"feature {number}: not a GeoJSON geometry: {error}"
        ) from error
    return None if found.is_empty else found


def read_yaml(content: bytes) -> list[Sheet]:
    """A list of objects, or `{sheet name: [objects]}`. A `geometry` member is GeoJSON. Numbers count from 1 in each list."""
    try:
        document = yaml.load(decode(content), Loader=Loader)  # a safe loader, in C where there is one
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError) as error:
        where = getattr(error, "problem_mark", None)
        line = f"第 {where.line + 1} 行" if where else ""
        raise FileWrong(f"不是有效的 YAML {line}", f"not YAML: {error}") from error
    lists = {"": document} if isinstance(document, list) else document
    if not isinstance(lists, dict) or not lists:
        raise FileWrong("YAML 应为对象列表", "expected a list of objects, or objects by sheet name")
    lists = {str(k): v for k, v in lists.items() if isinstance(v, list)}
    if not lists:
        raise FileWrong("YAML 里没有列表", "no list of objects in this document")
    return [_yaml_sheet(name, records, tuple(lists)) for name, records in lists.items()]


def _yaml_sheet(name: str, records: list[Any], sheets: tuple[str, ...]) -> Sheet:
    budget = [MAX_CELLS]
    plain, geometries = [], []
    for number, record in enumerate(records, 1):
        if not isinstance(record, dict):
            raise FileWrong(f"第 {number} 项不是对象", f"item {number} is not an object of `column: value`")
        record = {str(key): _bounded(value, budget, 0) for key, value in record.items()}
        geometries.append(geojson_geometry(record.pop("geometry", None), number))
        plain.append(record)
    return _of_records(plain, geometries=geometries, crs=WGS84, name=name, sheets=sheets)


def _bounded(value: Any, budget: list[int], depth: int) -> Any:
    """The value, walked once: aliases that multiply (`&a [*b, *b]`) run into the budget instead of our memory."""
    budget[0] -= 1
    if budget[0] < 0 or depth > MAX_YAML_DEPTH:
        raise FileTooLarge("YAML 展开后过大或嵌套过深", f"more than {MAX_CELLS} values or {MAX_YAML_DEPTH} levels")
    if isinstance(value, dict):
        return {str(k): _bounded(v, budget, depth + 1) for k, v in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [_bounded(v, budget, depth + 1) for v in value]
    return value


def _of_records(
    records: Sequence[Mapping[str, Any]],
    *,
    geometries: Sequence[BaseGeometry | None],
    crs: str,
    name: str = "",
    sheets: tuple[str, ...] = (),
) -> Sheet:
    columns = tuple(dict.fromkeys(key for record in records for key in record))
    check_size(len(records), len(columns))
    if len(records) > MAX_ROWS:
        raise FileTooLarge(f"超过 {MAX_ROWS} 行", f"more than {MAX_ROWS} rows")
    rows = [tuple(_cell(record.get(c)) for c in columns) for record in records]
    located = geometries if any(g is not None for g in geometries) else ()
    return Sheet(
        columns=tuple(map(str, columns)),
        rows=rows,
        numbers=range(1, len(rows) + 1),
        geometries=located,
        crs=crs if located else "",
        name=name,
        sheets=sheets or (name,),
    )
