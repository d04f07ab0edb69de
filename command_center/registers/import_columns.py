"""Which column of a file fills which field: guessed from labels, keys and aliases, shown to the clerk, changed by the clerk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from rapidfuzz import fuzz

from command_center.errors import Invalid
from command_center.registers.targets import Field, ImportTarget
from gis.formats.sheet import Sheet, plain

ID, LON, LAT, LONLAT, GEOMETRY = "entry_id", "lon", "lat", "lonlat", "geometry"
FUZZY = 0.78  # below this two labels are two things: 责任人 is not 责任人电话
IGNORED = 0.0

# What every kind may have beside its own fields. `lonlat`: both in one cell, as 121.45,28.68 or WKT.
_ID = Field(
    key=ID, zh="编号", en="Id", aliases=["id", "编码", "代码", "序列号", "code", "uuid", "对象编号", "统一编号"]
)
_AREA_ID = ["区划代码", "行政区划代码", "area_code", "adcode"]  # the id of an area is its code
# What one kind's sheets call the id. For the others `设备编号` is a link to a device.
_IDS_OF = {"device": ["设备编号", "设备编码", "设备id", "device_id"], "unit": ["队伍编号", "力量编号", "unit_id"]}
POSITION = (
    Field(
        key=LON,
        zh="经度",
        en="Longitude",
        aliases=["lng", "long", "x", "东经", "经度E", "东坐标", "横坐标", "easting", "x坐标"],
    ),
    Field(key=LAT, zh="纬度", en="Latitude", aliases=["y", "北纬", "纬度N", "北坐标", "纵坐标", "northing", "y坐标"]),
    Field(
        key=LONLAT,
        zh="坐标",
        en="Position",
        aliases=["经纬度", "位置坐标", "location", "coordinates", "coord", "坐标点"],
    ),
    Field(
        key=GEOMETRY, zh="几何", en="Geometry", aliases=["wkt", "geom", "the_geom", "shape", "geojson", "范围", "边界"]
    ),
)


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A column of the file. `how`: exact, fuzzy, chosen, or "" where nothing fits."""

    source: str
    field: str | None
    how: str = ""


@dataclass(frozen=True, slots=True)
class Match:
    score: float
    source: str
    key: str


def id_field(target: ImportTarget) -> str:
    """The key that carries the id: a target's own field (`device_id`) where it has one, else the common column."""
    keys = {f.key for f in target.fields}
    return next((k for k in (ID, f"{target.kind}_id") if k in keys), ID)


def all_fields(target: ImportTarget) -> list[Field]:
    """The target's fields and the common columns that it does not name itself; a field that is a table is a sheet of its own."""
    own = list(target.fields)
    taken = {f.key for f in own} | ({ID} if id_field(target) != ID else set())
    more = [*_IDS_OF.get(target.kind, []), *([] if "area" in taken else _AREA_ID)]
    identity = msgspec.structs.replace(_ID, aliases=[*_ID.aliases, *more])
    common = [identity, *(() if target.located == "no" else POSITION)]
    return own + [f for f in common if f.key not in taken]


def known_headings(target: ImportTarget) -> frozenset[str]:
    """Headings that would be recognised, plain, for finding the header row."""
    return frozenset(name for field in all_fields(target) for name in names_of(field))


def names_of(field: Field) -> list[str]:
    """Labels, key and aliases of a field, plain."""
    return list(dict.fromkeys(filter(None, (plain(n) for n in (field.zh, field.en, field.key, *field.aliases)))))


def guess(columns: Sequence[str], target: ImportTarget) -> list[Column]:
    """Each column with the field that fits best; a field is filled by one column only, the better fit first."""
    fields = all_fields(target)
    matches = sorted(_matches(columns, fields), key=lambda m: -m.score)
    by_source: dict[str, Match] = {}
    taken: set[str] = set()
    for match in matches:
        if match.source not in by_source and match.key not in taken:
            by_source[match.source] = match
            taken.add(match.key)
    return [_column(source, by_source.get(source)) for source in columns]


def _column(source: str, match: Match | None) -> Column:
    if match is None:
        return Column(source=source, field=None)
    return Column(source=source, field=match.key, how="exact" if match.score >= 1.0 else "fuzzy")


def _matches(columns: Sequence[str], fields: Sequence[Field]) -> Iterable[Match]:
    """Earlier names of a field count a hair more: its label wins over another field's alias."""
    for source in columns:
        heading = plain(source)
        for field in fields:
            score = max((_score(heading, name) - n * 1e-4 for n, name in enumerate(names_of(field))), default=0.0)
            if score >= FUZZY:
                yield Match(1.0 + score if score > 0.99 else score, source, field.key)


def _score(heading: str, name: str) -> float:
    if heading == name:
        return 1.0
    if min(len(heading), len(name)) < 2:
        return IGNORED  # x and y fit only exactly
    return fuzz.ratio(heading, name) / 100.0 * 0.99


def chosen(
    columns: Sequence[str], target: ImportTarget, wanted: Mapping[str, str | None], before: Sequence[Column]
) -> list[Column]:
    """The columns with what the clerk chose; the others as before. Raises Invalid for unknown columns or fields, or a field twice."""
    known = {f.key for f in all_fields(target)}
    wrong = [s for s in wanted if s not in columns] + [
        str(f) for f in wanted.values() if f is not None and f not in known
    ]
    if wrong:
        raise Invalid(
            f"columns: {', '.join(wrong[:5])}: expected columns of the file and fields {', '.join(sorted(known))}"
        )
    was = {c.source: c for c in before}
    asked = {f for f in wanted.values() if f}
    found = []
    for source in columns:
        if source in wanted:
            found.append(Column(source=source, field=wanted[source], how="chosen"))
            continue
        kept = was.get(source, Column(source=source, field=None))
        found.append(Column(source=source, field=None) if kept.field in asked else kept)
    fields = [c.field for c in found if c.field]
    if twice := sorted({f for f in fields if fields.count(f) > 1}):
        raise Invalid(f"columns: {', '.join(twice)} would be filled by two columns; expected one for each field")
    return found


def best_sheet(sheets: Sequence[Sheet], target: ImportTarget) -> Sheet:
    """The sheet whose headings fit most; of equals the first."""
    return max(sheets, key=lambda s: sum(c.field is not None for c in guess(s.columns, target)))


def sheet_of_rows(sheets: Sequence[Sheet], field: Field) -> Sheet | None:
    """The sheet that holds the lines of a `rows` field, by its name."""
    return next((s for s in sheets if plain(s.name) in names_of(field)), None)
