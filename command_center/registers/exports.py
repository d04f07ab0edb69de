"""A register as a file that its own import takes back without a difference, and blank sheets for whoever fills one in.

An export carries who made it, when, and of what kind of tenant (a sheet, a member, a comment: whatever the format has), and is
journalled. Personal data are in clear only where the register itself gives them in clear to this person.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import shapely

from command_center.authority import Action, require
from command_center.errors import NotFound
from command_center.model import Actor
from command_center.ports import Emit, Store
from command_center.registers.import_cells import DECIMALS
from command_center.registers.import_columns import GEOMETRY, ID, LAT, LON, id_field
from command_center.registers.kinds import load_kinds
from command_center.registers.targets import Field, ImportTarget, Row
from command_center.registers.values import several
from command_center.work import CHINA, Env, working
from gis.crs import WGS84
from gis.formats.limited import write_limited
from gis.formats.sheet import MEDIA_TYPES, Format, Sheet
from gis.formats.writers import Column

RowsOf = Callable[[Actor, str, bool], Awaitable[Sequence[Row]]]
"""(actor, kind, clear) -> all rows of the kind that the actor may see, in clear where asked. Raises Forbidden, NotFound."""

Write = Callable[[Sequence[Sheet], Format, Sequence[Column]], Awaitable[bytes]]

LABELLED = frozenset(
    {Format.XLSX, Format.CSV}
)  # for people: Chinese headings and choices; the others have keys and values
NESTED = frozenset({Format.YAML, Format.GEOJSON})
LISTS = ("choices", "refs")
POSITION_LABELS = {
    ID: ("编号", "Id"),
    LON: ("经度", "Longitude"),
    LAT: ("纬度", "Latitude"),
    GEOMETRY: ("几何", "Geometry"),
}
TENANTS_ZH = {"real": "正式", "demo": "演示", "exercise": "演练", "test": "测试"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    export_id: str
    content: bytes
    filename: str
    media_type: str


class ExportService:
    """`rows_of` asks the registers; `targets` know the fields."""

    def __init__(
        self,
        *,
        store: Store,
        env: Env,
        emit: Emit,
        targets: Mapping[str, ImportTarget],
        rows_of: RowsOf,
        tenant: str = "",
        tenant_kind: str = "test",
        write: Write = write_limited,
    ) -> None:
        self._store, self._env, self._emit = store, env, emit
        self._targets, self._rows_of = targets, rows_of
        self._tenant, self._tenant_kind, self._write = tenant, tenant_kind, write

    async def export(self, actor: Actor, kind: str, fmt: Format, *, clear: bool = False) -> Exported:
        """All of a register that the actor may see. Raises NotFound, Forbidden, FileWrong."""
        require(actor, Action.EXPORT)
        if clear:
            require(actor, Action.EXPORT_PERSONAL)
        target = self._target(kind)
        rows = await self._rows_of(actor, kind, clear)
        export_id = f"ex-{secrets.token_hex(6)}"
        at = self._now()
        sheets = await asyncio.to_thread(sheets_of, target, rows, fmt, self._watermark(actor, export_id, at, clear))
        content = await self._write(sheets, fmt, columns_of(target, fmt) if fmt is Format.XLSX else ())
        async with working(self._store, self._env, self._emit, actor) as work:
            facts = {"kind": kind, "format": fmt.value, "rows": len(rows), "clear": clear, "bytes": len(content)}
            await work.journal("export", export_id, "export", None, facts)
        name = f"{kind}-{at:%Y%m%d-%H%M}-{actor.username}-{export_id}.{fmt.value}"
        return Exported(export_id=export_id, content=content, filename=name, media_type=MEDIA_TYPES[fmt])

    async def template(self, actor: Actor, kind: str) -> Exported:
        """A blank workbook with notes and drop-downs. Raises NotFound, Forbidden."""
        require(actor, Action.IMPORT)
        target = self._target(kind)
        sheets = sheets_of(target, [], Format.XLSX, HOW_TO)
        content = await self._write(sheets, Format.XLSX, columns_of(target, Format.XLSX))
        return Exported(
            export_id="", content=content, filename=f"{kind}-template.xlsx", media_type=MEDIA_TYPES[Format.XLSX]
        )

    async def dictionary(self, actor: Actor) -> Exported:
        """The documented schema of all registers (数据字典) as a workbook: kinds, and every field of each. Raises Forbidden."""
        require(actor, Action.READ_REGISTERS)
        content = await self._write(dictionary_of(self._targets), Format.XLSX, ())
        media = MEDIA_TYPES[Format.XLSX]
        return Exported(export_id="", content=content, filename="data-dictionary.xlsx", media_type=media)

    def _target(self, kind: str) -> ImportTarget:
        if kind not in self._targets:
            raise NotFound("kind of register", kind)
        return self._targets[kind]

    def _now(self) -> dt.datetime:
        us = self._env.clock.city_us()
        return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=us) + CHINA

    def _watermark(self, actor: Actor, export_id: str, at: dt.datetime, clear: bool) -> tuple[str, ...]:
        kind_zh = TENANTS_ZH.get(self._tenant_kind, self._tenant_kind)
        personal_zh, personal_en = (
            ("含个人信息", "with personal data") if clear else ("个人信息已遮蔽", "personal data masked")
        )
        when = f"{at:%Y-%m-%d %H:%M:%S}"
        return (
            f"导出 {export_id}：{actor.username}，{when}（北京时间），{self._tenant} {kind_zh}数据，{personal_zh}。导出已记入日志。",
            f"Export {export_id}: {actor.username}, {when} (UTC+8), tenant {self._tenant} ({self._tenant_kind}), "
            f"{personal_en}. This export is in the journal.",
        )


BESIDE = {"device": ("设备", "Devices"), "unit": ("处置力量", "Field units"), "shift": ("排班", "Roster")}
DICTIONARY_KINDS = ("编号 id", "名称", "Name", "依据 Source", "字段数 Fields")
DICTIONARY_FIELDS = (
    "登记册 Register", "字段 Field", "名称", "Name", "类型 Type", "必填 Required", "个人信息 Personal", "单位 UoM", "最小 Min",
    "最大 Max", "取值 Values", "指向 Refers to", "说明", "Help",
)  # fmt: skip


def dictionary_of(targets: Mapping[str, ImportTarget]) -> list[Sheet]:
    """Two tables: the kinds, and their fields; a table inside a row stands under `field.column`."""
    kinds, fields = [], []
    for kind, target in targets.items():
        rows = [line for field in target.fields for line in _described(kind, field, "")]
        fields += rows
        known = load_kinds().get(kind)
        zh, en, source = (known.zh, known.en, known.source) if known else (*BESIDE.get(kind, (kind, kind)), "")
        kinds.append((kind, zh, en, source, len(rows)))
    return [
        Sheet(columns=columns, rows=rows, numbers=range(2, len(rows) + 2), name=name)
        for name, columns, rows in (
            ("登记册 Registers", DICTIONARY_KINDS, kinds),
            ("字段 Fields", DICTIONARY_FIELDS, fields),
        )
    ]


def _described(kind: str, field: Field, above: str) -> Iterator[tuple[Any, ...]]:
    key = f"{above}.{field.key}" if above else field.key
    choices = "；".join(f"{c.value}={c.zh}" for c in field.choices)
    yes = ("", "是")
    yield (
        kind, key, field.zh, field.en, field.type, yes[field.required], yes[field.personal], field.uom, field.minimum,
        field.maximum, choices, field.ref, field.help_zh, field.help_en,
    )  # fmt: skip
    for column in field.fields:
        yield from _described(kind, column, key)


HOW_TO = (
    "填写说明：一行一个对象；红色标题为必填；有下拉的列请从下拉中选择；鼠标停在标题上可看说明。",
    "坐标默认 WGS 84 十进制度，也可用度分秒；其他坐标系请在导入时选择。同一编号再次导入即为更新，未变的行不会改动。",
    "How to fill this in: one object a row; red headings are required; choose from the drop-down where there is one; point at a "
    "heading for its note. Positions are WGS 84 degrees or degrees-minutes-seconds; choose another system when importing. A row "
    "with a known id changes that object; rows that are equal change nothing.",
)


def headings(target: ImportTarget, fmt: Format) -> dict[str, str]:
    """Field key -> column heading: Chinese labels for people, keys for programs and wherever two labels are the same."""
    fields = columns_in_order(target, fmt)
    if fmt not in LABELLED:
        return {f.key: f.key for f in fields}
    labels = [f.zh for f in fields]
    return {f.key: f.zh if labels.count(f.zh) == 1 else f.key for f in fields}


def columns_in_order(target: ImportTarget, fmt: Format) -> list[Field]:
    """Id first, then the fields, then the position. A field that is a table has a sheet of its own in a workbook."""
    own = [f for f in target.fields if not (f.type == "rows" and fmt is Format.XLSX)]
    identity = id_field(target)
    first = [f for f in own if f.key == identity] or [_common(ID)]
    position = [] if target.located == "no" else [_common(LON), _common(LAT)]
    if target.located == "any" and fmt in LABELLED:
        position.append(_common(GEOMETRY))
    return [*first, *(f for f in own if f.key != identity), *position]


def _common(key: str) -> Field:
    zh, en = POSITION_LABELS[key]
    help_zh, help_en = {
        ID: (
            "留空则按名称生成；更新时须与已登记的一致",
            "made of the name when left blank; must be the registered one to change it",
        ),
        LON: ("十进制度或度分秒", "decimal degrees, or degrees-minutes-seconds"),
        LAT: ("十进制度或度分秒", "decimal degrees, or degrees-minutes-seconds"),
        GEOMETRY: ("线或面：WKT 或 GeoJSON", "line or area: WKT or GeoJSON"),
    }[key]
    return Field(key=key, zh=zh, en=en, help_zh=help_zh, help_en=help_en)


def columns_of(target: ImportTarget, fmt: Format) -> list[Column]:
    names = headings(target, fmt)
    return [_column(f, names[f.key]) for f in columns_in_order(target, fmt)]


def _column(field: Field, heading: str) -> Column:
    lines = [f"{field.zh} / {field.en}", "必填 required" if field.required else ""]
    lines.append(f"单位 {field.uom}" if field.uom else "")
    if field.minimum is not None or field.maximum is not None:
        low = "" if field.minimum is None else f"{field.minimum:g}"
        high = "" if field.maximum is None else f"{field.maximum:g}"
        lines.append(f"范围 {low} … {high}")
    lines += [field.help_zh, field.help_en, f"例 {field.example}" if field.example else ""]
    if field.type in LISTS:
        lines.append("多个用顿号分开 several: separate with 、")
    choices = (
        tuple(c.zh for c in field.choices) if field.type == "choice" else ("是", "否") if field.type == "bool" else ()
    )
    return Column(
        heading=heading,
        note="\n".join(line for line in lines if line),
        choices=choices,
        required=field.required,
        width=min(40, max(10, len(heading) * 2 + 4)),
    )


def sheets_of(target: ImportTarget, rows: Sequence[Row], fmt: Format, notes: tuple[str, ...]) -> list[Sheet]:
    """The main sheet, and in a workbook one for each field that is a table."""
    fields = columns_in_order(target, fmt)
    names = headings(target, fmt)
    labelled = fmt in LABELLED
    table = [tuple(_cell(f, row, fmt, target) for f in fields) for row in rows]
    shapes = [] if target.located == "no" or labelled else [_shape(row) for row in rows]
    main = Sheet(
        columns=tuple(names[f.key] for f in fields),
        rows=table,
        numbers=range(1, len(rows) + 1),
        geometries=shapes,
        crs=WGS84 if shapes else "",
        name=target.kind,
        notes=notes,
    )
    return [main, *([_lines(f, rows) for f in target.fields if f.type == "rows"] if fmt is Format.XLSX else [])]


def _lines(field: Field, rows: Sequence[Row]) -> Sheet:
    table = [
        (row.entry_id, *(_plain(inner, line.get(inner.key), Format.XLSX) for inner in field.fields))
        for row in rows
        for line in row.values.get(field.key) or []
    ]
    return Sheet(
        columns=("编号", *(f.zh for f in field.fields)), rows=table, numbers=range(1, len(table) + 1), name=field.zh
    )


def _cell(field: Field, row: Row, fmt: Format, target: ImportTarget) -> Any:
    if field.key == id_field(target):
        return row.entry_id
    if field.key in row.values or field.key in {f.key for f in target.fields}:
        return _plain(field, row.values.get(field.key), fmt)
    if field.key in (LON, LAT):
        value = row.lon if field.key == LON else row.lat
        return None if value is None else round(value, DECIMALS)
    return (
        None
        if row.geometry is None
        else shapely.to_wkt(shapely.geometry.shape(row.geometry), rounding_precision=DECIMALS)
    )


def _plain(field: Field, value: Any, fmt: Format) -> Any:
    """A value as the format holds it; `read_values` reads it back to the same."""
    if value is None or value == [] or value == "":
        return None
    if field.type == "choice" and fmt in LABELLED:
        return _label(field, str(value))
    if field.type in LISTS and isinstance(value, (list, tuple)):
        return _listed(field, [str(v) for v in value], fmt)
    if field.type == "bool" and fmt in LABELLED:
        return "是" if value else "否"
    if field.type == "date" and fmt is Format.XLSX:
        return dt.date.fromisoformat(str(value))
    if field.type == "rows":
        return value if fmt in NESTED else json.dumps(value, ensure_ascii=False)
    return value


def _label(field: Field, value: str) -> str:
    return next((c.zh for c in field.choices if c.value == value), value)


def _listed(field: Field, values: list[str], fmt: Format) -> Any:
    """Several values in one cell; a label that would come back as two, or as another text, stands as its value."""
    if fmt in NESTED:
        return values
    labels = [_label(field, v) for v in values] if fmt in LABELLED else values
    return "、".join(label if several(label) == [label] else v for label, v in zip(labels, values, strict=True))


def _shape(row: Row) -> Any:
    if row.geometry is not None:
        return shapely.geometry.shape(row.geometry)
    return None if row.lon is None or row.lat is None else shapely.Point(row.lon, row.lat)
