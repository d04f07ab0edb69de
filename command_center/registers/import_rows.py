"""A sheet read as rows of a target: cells by the types of their fields, positions turned to WGS 84, every bad cell named. Pure."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import msgspec
import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from command_center.access.personal import mask_name, mask_phone
from command_center.registers import import_cells as cells
from command_center.registers.import_columns import GEOMETRY, ID, LAT, LON, LONLAT, Column, id_field, sheet_of_rows
from command_center.registers.targets import Field, ImportTarget, Problem, Row
from command_center.registers.values import is_blank, read_values, tidy
from gis.crs import geometry_to_wgs84
from gis.formats.sheet import Sheet, text_of

SAME_DEG = 1e-6  # 0.1 m: a position that went through a file and back is the same
MAX_VERTICES = 100_000


@runtime_checkable
class NamesRows(Protocol):
    """A target that knows the ids of rows in a file without an id column (a shift is its day, start and post)."""

    def row_ids(self, cells: Sequence[Mapping[str, Any]]) -> list[str]: ...


@runtime_checkable
class Settles(Protocol):
    """A target that says rows in the words that `current` uses, for the comparison: names of people as their ids."""

    async def settled(self, rows: Sequence[Row]) -> Sequence[Row]: ...


@dataclass(slots=True)
class Reading:
    """Rows that passed and problems of those that did not. `positions`: what the file says, before it was turned."""

    rows: list[Row] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Layout:
    """Which column of the sheet fills which field."""

    sheet: Sheet
    target: ImportTarget
    by_field: dict[str, int]
    tables: dict[str, dict[str, list[dict[str, Any]]]] = field(default_factory=dict)  # rows field -> id -> its lines

    def heading(self, key: str) -> str:
        """The column's name in the file, for problems; the field's own key where the file has no such column."""
        index = self.by_field.get(key)
        return "" if index is None else self.sheet.columns[index]

    def cell(self, row: Sequence[Any], key: str) -> Any:
        index = self.by_field.get(key)
        return None if index is None else row[index]


def layout(sheets: Sequence[Sheet], sheet: Sheet, columns: Sequence[Column], target: ImportTarget) -> Layout:
    """Also collects the lines of `rows` fields from sheets of their own, by the id in their first fitting column."""
    by_field = {c.field: sheet.columns.index(c.source) for c in columns if c.field and c.source in sheet.columns}
    found = Layout(sheet=sheet, target=target, by_field=by_field)
    for one in target.fields:
        if (
            one.type == "rows"
            and one.key not in by_field
            and (lines := sheet_of_rows(sheets, one)) not in (None, sheet)
        ):
            assert lines is not None
            found.tables[one.key] = _lines(lines, one)
    return found


def _lines(sheet: Sheet, field: Field) -> dict[str, list[dict[str, Any]]]:
    """Lines by the id of their entry, which stands in the first column."""
    from command_center.registers.import_columns import names_of
    from gis.formats.sheet import plain

    keys = {}
    for index, heading in enumerate(sheet.columns[1:], 1):
        inner = next((f for f in field.fields if plain(heading) in names_of(f)), None)
        if inner is not None:
            keys[index] = inner.key
    found: dict[str, list[dict[str, Any]]] = {}
    for row in sheet.rows:
        line = {key: row[index] for index, key in keys.items() if row[index] is not None}
        if line and not is_blank(row[0]):
            found.setdefault(tidy(row[0]), []).append(line)
    return found


def ids(plan: Layout) -> list[str]:
    """The id of each row. A sheet without an id column gets ids from names, the same each time that it is imported."""
    key = id_field(plan.target)
    if key in plan.by_field:
        return [tidy(plan.cell(row, key) or "") for row in plan.sheet.rows]
    if isinstance(plan.target, NamesRows):
        keys = [f.key for f in plan.target.fields if f.key in plan.by_field]
        return plan.target.row_ids([{k: plan.cell(row, k) for k in keys} for row in plan.sheet.rows])
    if "name" not in plan.by_field or key != ID:
        return [""] * len(plan.sheet.rows)
    return [_id_of_name(plan, row) for row in plan.sheet.rows]


def _id_of_name(plan: Layout, row: Sequence[Any]) -> str:
    name, area = tidy(plan.cell(row, "name") or ""), tidy(plan.cell(row, "area") or "")
    if not name:
        return ""
    return f"{plan.target.kind}-{hashlib.blake2b(f'{name}|{area}'.encode(), digest_size=5).hexdigest()}"


def read_rows(plan: Layout, entry_ids: Sequence[str], current: Mapping[str, Row], positions: Positions) -> Reading:
    """Every row with its values, or what is wrong with it. `current`: what stands, for masks and for what a partial row lacks."""
    found = Reading(problems=list(positions.problems))
    bad = {p.row for p in found.problems}
    first_with: dict[str, int] = {}
    for index, (entry_id, number, raw) in enumerate(zip(entry_ids, plan.sheet.numbers, plan.sheet.rows, strict=True)):
        problems = _identity(plan, entry_id, number, first_with)
        old = current.get(entry_id)
        values, wrong = _values(plan, raw, entry_id, old, number)
        problems += wrong
        found.problems += problems
        if problems or number in bad:
            continue
        lon, lat = positions.points[index] or (None, None)
        found.rows.append(
            Row(row=number, entry_id=entry_id, values=values, lon=lon, lat=lat, geometry=positions.geometries[index])
        )
    return found


def _identity(plan: Layout, entry_id: str, number: int, first_with: dict[str, int]) -> list[Problem]:
    heading = plan.heading(id_field(plan.target))
    if not entry_id:
        en = "the row has no id, and no name to make one of"
        return [Problem(row=number, column=heading, value="", zh="缺少编号（也没有名称可用来生成）", en=en)]
    first = first_with.setdefault(entry_id, number)
    if first == number:
        return []
    return [
        Problem(
            row=number,
            column=heading,
            value=cells.echo(entry_id),
            zh=f"与第 {first} 行编号重复",
            en=f"the id of row {first} again; expected one row for each id",
        )
    ]


def _values(
    plan: Layout, raw: Sequence[Any], entry_id: str, old: Row | None, number: int
) -> tuple[dict[str, Any], list[Problem]]:
    """Values of the mapped fields. A blank cell of a mapped column stands as None: it clears what was there."""
    given: dict[str, Any] = {}
    asked: list[Field] = []
    for one in plan.target.fields:
        if one.key in plan.by_field:
            given[one.key] = _said(one, plan.cell(raw, one.key))
        elif one.key in plan.tables:
            given[one.key] = plan.tables[one.key].get(entry_id, [])
        elif not (one.required and old is None):
            continue
        asked.append(one)
    if id_field(plan.target) in {f.key for f in asked}:
        given[id_field(plan.target)] = entry_id or None
    given = _unmasked(asked, given, {} if old is None else old.values)
    values, wrong = read_values(asked, given)
    blank: dict[str, Any] = dict.fromkeys(given)
    problems = [
        Problem(row=number, column=plan.heading(w.key.partition("[")[0]) or w.key, value=w.value, zh=w.zh, en=w.en)
        for w in wrong
    ]
    return {**blank, **values}, problems


def _said(field: Field, cell: Any) -> Any:
    """A table inside a cell is JSON; a choice may be its label, whatever width its brackets have."""
    if field.type == "choice" and isinstance(cell, str):
        text = tidy(cell).casefold()
        return next((c.value for c in field.choices if text in (tidy(c.zh).casefold(), tidy(c.en).casefold())), cell)
    if field.type == "rows" and isinstance(cell, str) and cell.lstrip().startswith("["):
        try:
            return json.loads(cell)
        except ValueError:
            return cell
    return cell


def _unmasked(fields: Sequence[Field], given: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
    """A cell that still shows our own mask stands for the value behind it; what that value is, the target knows."""
    found = dict(given)
    for one in fields:
        cell, before = found.get(one.key), old.get(one.key)
        if one.personal and isinstance(cell, str) and isinstance(before, str) and cell.strip() == masked(one, before):
            found[one.key] = before if "*" not in before else None
            if found[one.key] is None:
                del found[one.key]  # what stands was shown to us masked too: leave it alone
    return found


def masked(field: Field, text: str) -> str:
    """A personal value as it is shown in a diff."""
    if "*" in text:
        return text
    if field.type == "phone":
        return mask_phone(text)
    return mask_name(text) if field.key == "name" else "****" if text else ""


# --- positions


@dataclass(slots=True)
class Positions:
    """Of each row: its point and its shape in WGS 84, and what could not be read."""

    points: list[tuple[float, float] | None]
    geometries: list[dict[str, Any] | None]
    problems: list[Problem] = field(default_factory=list)


@dataclass(slots=True)
class Raw:
    """Positions as the file gives them: NaN where there are none. `lines`: index of rows with a shape."""

    east: Any
    north: Any
    shapes: dict[int, BaseGeometry] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        return bool(np.isnan(self.east).all()) and not self.shapes


def raw_positions(plan: Layout) -> Raw:
    """Numbers of the position columns, and shapes of the geometry column or of the file itself."""
    count = len(plan.sheet.rows)
    found = Raw(np.full(count, np.nan), np.full(count, np.nan))
    if plan.target.located == "no":
        return found
    for index, (number, row) in enumerate(zip(plan.sheet.numbers, plan.sheet.rows, strict=True)):
        for key in (LON, LAT, LONLAT, GEOMETRY):
            cell = plan.cell(row, key)
            if is_blank(cell):
                continue
            try:
                _take(found, index, key, cell)
            except cells.BadPosition as bad:
                found.problems.append(
                    Problem(row=number, column=plan.heading(key), value=cells.echo(cell), zh=bad.zh, en=bad.en)
                )
        if np.isnan(found.east[index]) != np.isnan(found.north[index]) and not _named(found, number):
            missing = LAT if np.isnan(found.north[index]) else LON
            found.problems.append(_half(plan, number, missing))
        if index < len(plan.sheet.geometries) and (shape := plan.sheet.geometries[index]) is not None:
            _shape(found, index, shape)
    return found


def _named(found: Raw, number: int) -> bool:
    return bool(found.problems) and found.problems[-1].row == number


def _half(plan: Layout, number: int, missing: str) -> Problem:
    zh, en = ("纬度", "latitude") if missing == LAT else ("经度", "longitude")
    return Problem(
        row=number,
        column=plan.heading(missing),
        value="",
        zh=f"缺少{zh}：经度、纬度应同时填写",
        en=f"{en} missing; expected both",
    )


def _take(found: Raw, index: int, key: str, cell: Any) -> None:
    if key == GEOMETRY or (key == LONLAT and cells.looks_like_geometry(cell)):
        _shape(found, index, cells.geometry(cell))
    elif key == LONLAT:
        found.east[index], found.north[index] = cells.pair(cell)
    else:
        (found.east if key == LON else found.north)[index] = cells.number(cell)


def _shape(found: Raw, index: int, shape: BaseGeometry) -> None:
    if shape.geom_type == "Point":
        found.east[index], found.north[index] = shape.x, shape.y
    elif shape.geom_type == "MultiPoint" and len(shape.geoms) == 1:
        found.east[index], found.north[index] = shape.geoms[0].x, shape.geoms[0].y
    else:
        found.shapes[index] = shape


def sample(raw: Raw) -> tuple[Any, Any]:
    """One point of each row for telling the coordinate system: the row's own, or one on its shape."""
    east, north = raw.east.copy(), raw.north.copy()
    for index, shape in raw.shapes.items():
        if np.isnan(east[index]):
            point = shape.representative_point()
            east[index], north[index] = point.x, point.y
    return east, north


def turn(plan: Layout, raw: Raw, crs: str) -> Positions:
    """Everything in WGS 84; a row with a shape only gets its point from the target."""
    column = plan.heading(LON) or plan.heading(LONLAT) or plan.heading(GEOMETRY)
    points, problems = cells.turned(raw.east, raw.north, plan.sheet.numbers, crs, column)
    found = Positions(points, [None] * len(points), [*raw.problems, *problems])
    for index, shape in raw.shapes.items():
        number = plan.sheet.numbers[index]
        problem = _shape_problem(plan, shape, number)
        if problem is not None:
            found.problems.append(problem)
            continue
        drawn = geometry_to_wgs84(shape, crs)
        west, south, east, north = drawn.bounds
        if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
            found.problems.append(
                Problem(
                    row=number,
                    column=plan.heading(GEOMETRY),
                    value=shape.geom_type,
                    zh="几何超出经纬度范围，请检查坐标系",
                    en=f"the geometry leaves the earth in {crs}: check the coordinate system",
                )
            )
            continue
        found.geometries[index] = cells.as_geojson(drawn)
    return found


def _shape_problem(plan: Layout, shape: BaseGeometry, number: int) -> Problem | None:
    zh, en = "", ""
    if plan.target.located == "point":
        zh, en = "此类对象只能是点", f"expected a point, got a {shape.geom_type}"
    elif shape.geom_type == "GeometryCollection":
        zh, en = "不支持混合几何", "expected a point, line or area, got a GeometryCollection"
    elif shapely.get_num_coordinates(shape) > MAX_VERTICES:
        zh, en = f"顶点超过 {MAX_VERTICES} 个", f"more than {MAX_VERTICES} vertices"
    elif not shape.is_valid:
        zh, en = "几何自相交或无效", f"not a valid geometry: {shapely.is_valid_reason(shape)}"
    if not zh:
        return None
    return Problem(row=number, column=plan.heading(GEOMETRY), value=shape.geom_type, zh=zh, en=en)


# --- what would change


class FieldChange(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    before: Any
    after: Any


class Change(msgspec.Struct, frozen=True, kw_only=True):
    row: int
    entry_id: str
    name: str
    what: str  # new, changed
    fields: list[FieldChange]
    lon: float | None = None
    lat: float | None = None


def difference(fields: Sequence[Field], old: Row | None, new: Row) -> Change | None:
    """What a row would change, personal values masked; None where nothing."""
    changes = []
    before = {} if old is None else old.values
    for one in fields:
        if one.key not in new.values:
            continue
        was, becomes = before.get(one.key), new.values[one.key]
        if not _alike(was, becomes):
            changes.append(FieldChange(key=one.key, before=_shown(one, was), after=_shown(one, becomes)))
    changes += _moves(old, new)
    if old is not None and not changes:
        return None
    name = new.values.get("name") or before.get("name") or new.entry_id
    return Change(
        row=new.row,
        entry_id=new.entry_id,
        name=str(name),
        what="new" if old is None else "changed",
        fields=changes,
        lon=new.lon,
        lat=new.lat,
    )


def _alike(was: Any, becomes: Any) -> bool:
    """Equal, or equal but for the last digit of a number: a workbook keeps 16 digits of it."""
    if was in (None, "", [], {}) and becomes in (None, "", [], {}):
        return True
    if isinstance(was, float) and isinstance(becomes, float):
        return math.isclose(was, becomes, rel_tol=1e-12)
    if isinstance(was, list) and isinstance(becomes, list):
        return len(was) == len(becomes) and all(map(_alike, was, becomes))
    if isinstance(was, dict) and isinstance(becomes, dict):
        return all(_alike(was.get(key), becomes.get(key)) for key in was.keys() | becomes.keys())
    return bool(was == becomes)


def _moves(old: Row | None, new: Row) -> list[FieldChange]:
    """A changed position or shape. A row that says nothing about its position leaves it."""
    found = []
    was = None if old is None or old.lon is None or old.lat is None else (old.lon, old.lat)
    if new.lon is not None and new.lat is not None:
        moved = was is None or abs(was[0] - new.lon) > SAME_DEG or abs(was[1] - new.lat) > SAME_DEG
        if moved:
            found.append(FieldChange(key="position", before=was, after=(new.lon, new.lat)))
    if new.geometry is not None and (old is None or not _same_shape(old.geometry, new.geometry)):
        before = None if old is None or old.geometry is None else _summary(old.geometry)
        found.append(FieldChange(key=GEOMETRY, before=before, after=_summary(new.geometry)))
    return found


def _same_shape(a: Mapping[str, Any] | None, b: Mapping[str, Any]) -> bool:
    if a is None:
        return False
    one, other = shapely.geometry.shape(a), shapely.geometry.shape(b)
    return bool(one.geom_type == other.geom_type and one.normalize().equals_exact(other.normalize(), SAME_DEG))


def _summary(geometry: Mapping[str, Any]) -> str:
    shape = shapely.geometry.shape(geometry)
    return f"{shape.geom_type}, {shapely.get_num_coordinates(shape)} vertices"


def _shown(field: Field, value: Any) -> Any:
    if field.type == "rows" and isinstance(value, list):
        return [{f.key: _shown(f, line[f.key]) for f in field.fields if f.key in line} for line in value]
    if field.personal and value not in (None, ""):
        return masked(field, text_of(value))
    return value
