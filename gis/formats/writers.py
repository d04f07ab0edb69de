"""Writers without GDAL: XLSX with helps for whoever fills it in, CSV, GeoJSON, YAML. What they write, the readers read back."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import openpyxl
import shapely
import yaml
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.comments import Comment
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.worksheet import Worksheet
from shapely.geometry import mapping

from gis.formats.sheet import Sheet
from gis.formats.tables import FORMULA, escape

VALIDATED_ROWS = 5_000  # drop-downs reach this far down in a blank sheet
INLINE_LIST_CHARS = 250  # Excel refuses a longer list inside the validation; longer ones stand in a sheet of their own
LISTS = "选项 Choices"
NOTES = "说明 About"
MAX_SHEET_NAME = 31
DECIMALS = 9  # of a degree: 0.1 mm, so that export and import give no difference


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """What a person filling in a column is told: a note on the heading, a drop-down, an example in the template."""

    heading: str
    note: str = ""
    choices: tuple[str, ...] = ()
    required: bool = False
    width: int = 16


def write_xlsx(sheets: Sequence[Sheet], columns: Sequence[Column] = ()) -> bytes:
    """Header bold and frozen, notes and drop-downs from `columns`, texts as texts (a cell that begins with = stays text)."""
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for number, sheet in enumerate(sheets):
        page: Worksheet = book.create_sheet(_sheet_name(sheet.name or f"Sheet{number + 1}"))
        _fill(page, sheet)
        if number == 0:
            _help(book, page, columns, len(sheet.rows))
    if notes := [note for sheet in sheets for note in sheet.notes]:
        about: Worksheet = book.create_sheet(NOTES)
        for row, note in enumerate(notes, 1):
            _put(about, row, 1, note)
        about.column_dimensions["A"].width = 100
        book.properties.description = "\n".join(notes)
    book.properties.creator = "City Brain"
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _sheet_name(name: str) -> str:
    return "".join("_" if c in "[]:*?/\\'" else c for c in name)[:MAX_SHEET_NAME] or "Sheet"


def _fill(page: Worksheet, sheet: Sheet) -> None:
    for position, heading in enumerate(sheet.columns, 1):
        cell = page.cell(1, position)
        cell.value, cell.data_type = heading, "s"
        cell.font = Font(bold=True)
        cell.fill = PatternFill("solid", fgColor="DDE6F0")
        cell.alignment = Alignment(wrap_text=True, vertical="top")
    for number, row in enumerate(sheet.rows, 2):
        for position, value in enumerate(row, 1):
            _put(page, number, position, value)
    page.freeze_panes = "A2"
    page.auto_filter.ref = f"A1:{get_column_letter(max(1, len(sheet.columns)))}{len(sheet.rows) + 1}"


def _put(page: Worksheet, row: int, column: int, value: Any) -> None:
    """One cell. Texts are typed as texts, so that none becomes a formula."""
    if value is None or value == "":
        return
    cell = page.cell(row, column)
    if isinstance(value, (bool, int, float, dt.date)):
        cell.value = value.replace(tzinfo=None) if isinstance(value, dt.datetime) else value
        return
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    cell.value = ILLEGAL_CHARACTERS_RE.sub("", text)[:32_767]
    cell.data_type = "s"
    if text.startswith(FORMULA):
        cell.quotePrefix = True  # the spreadsheet shows it as text when it is edited
    if text.isdigit() and len(text) > 5:
        cell.number_format = "@"  # telephone numbers and codes: not 1.38E+10


def _help(book: openpyxl.Workbook, page: Worksheet, columns: Sequence[Column], rows: int) -> None:
    longest = [c for c in columns if sum(map(len, c.choices)) + len(c.choices) > INLINE_LIST_CHARS]
    lists: Worksheet | None = book.create_sheet(LISTS) if longest else None
    for position, column in enumerate(columns, 1):
        where = get_column_letter(position)
        page.column_dimensions[where].width = column.width
        heading = page.cell(1, position)
        if column.required:
            heading.font = Font(bold=True, color="B00020")
        if column.note:
            heading.comment = Comment(column.note, "City Brain", width=320, height=120)
        if column.choices:
            rule = DataValidation(type="list", formula1=_list(lists, longest, column), allow_blank=True)
            rule.showErrorMessage = False  # several choices in one cell are allowed where the field takes them
            rule.add(f"{where}2:{where}{max(rows, VALIDATED_ROWS) + 1}")
            page.add_data_validation(rule)
    if lists is not None:
        lists.sheet_state = "hidden"


def _list(lists: Worksheet | None, longest: Sequence[Column], column: Column) -> str:
    clean = [c.replace('"', "'").replace(",", "，") for c in column.choices]
    if lists is None or column not in longest:
        return '"' + ",".join(clean) + '"'
    where = longest.index(column) + 1
    for row, choice in enumerate(column.choices, 1):
        _put(lists, row, where, choice)
    letter = get_column_letter(where)
    return f"'{LISTS}'!${letter}$1:${letter}${len(clean)}"


def write_csv(sheet: Sheet) -> bytes:
    """UTF-8 with BOM (a spreadsheet in China opens it rightly), comma, cells that look like formulas escaped.

    Notes do not stand in it: a comment line would be a row to every reader.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([escape(c) for c in sheet.columns])
    for row in sheet.rows:
        writer.writerow([_csv_cell(v) for v in row])
    return out.getvalue().encode("utf-8-sig")


def _csv_cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (dt.date, dt.datetime)):
        return value.isoformat()
    return escape(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def write_geojson(sheet: Sheet) -> bytes:
    """RFC 7946; geometries must be WGS 84. The watermark is a member of the collection."""
    shapes = sheet.geometries or [None] * len(sheet.rows)
    features = [
        {
            "type": "Feature",
            "geometry": geojson(shape),
            "properties": {c: _plain(v) for c, v in zip(sheet.columns, row, strict=True)},
        }
        for row, shape in zip(sheet.rows, shapes, strict=True)
    ]
    document: dict[str, Any] = {"type": "FeatureCollection", "name": sheet.name, "features": features}
    if sheet.notes:
        document["citybrain"] = list(sheet.notes)
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def geojson(shape: Any) -> dict[str, Any] | None:
    """A shapely geometry as GeoJSON: nine decimals, exterior rings counter-clockwise."""
    if shape is None:
        return None
    shape = shapely.transform(shape, lambda c: c.round(DECIMALS))
    if shape.geom_type in ("Polygon", "MultiPolygon"):
        shape = shapely.orient_polygons(shape)
    found: dict[str, Any] = dict(mapping(shape))
    return found


def write_yaml(sheets: Sequence[Sheet]) -> bytes:
    """A list of objects, or lists by sheet name where there are several. Empty cells are left out."""
    found: dict[str, list[dict[str, Any]]] = {}
    for sheet in sheets:
        shapes = sheet.geometries or [None] * len(sheet.rows)
        found[sheet.name or "data"] = [
            _record(sheet, row, shape) for row, shape in zip(sheet.rows, shapes, strict=True)
        ]
    comments = "".join(f"# {' '.join(note.split())}\n" for sheet in sheets for note in sheet.notes)
    document: Any = found if len(found) > 1 else next(iter(found.values()))
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return (comments + yaml.dump(document, Dumper=dumper, allow_unicode=True, sort_keys=False, width=120)).encode()


def _record(sheet: Sheet, row: Sequence[Any], shape: Any) -> dict[str, Any]:
    record = {c: _plain(v) for c, v in zip(sheet.columns, row, strict=True) if v is not None}
    if shape is not None:
        record["geometry"] = json.loads(json.dumps(geojson(shape)))  # lists for tuples
    return record


def _plain(value: Any) -> Any:
    if isinstance(value, (dt.date, dt.datetime)):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value
