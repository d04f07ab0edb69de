"""What a single cell cannot say about an entry: references, area against position, two persons, the order of the marks. Pure.

A *wrong* stops the entry. A *warning* is shown with it for as long as it holds: the object is registered, and somebody ought to look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import msgspec

from command_center.errors import Invalid
from command_center.registers.entries import Entry, check_id, keep_masked, middle
from command_center.registers.kinds import DEVICE_KINDS, Kind
from command_center.registers.targets import Field
from command_center.registers.values import Wrong, echo, is_blank, read_values, tidy
from devices.registry import Registry
from gis.areas import AreaIndex, ancestors, level_of
from gis.points import check_lonlat

replace = msgspec.structs.replace
MANY = 5  # ids named in a message


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """An entry as somebody wants it. `partial`: values that are left out stay as they are (a sheet without that column)."""

    entry_id: str
    values: dict[str, Any]
    area: str = ""
    lon: Any = None
    lat: Any = None
    geometry: dict[str, Any] | None = None
    home: str = ""  # area of who registers it: what is new and has no position belongs there
    row: int = 0  # in the file, where it came from one
    partial: bool = False


@dataclass(slots=True)
class Names:
    """Entries that may be pointed at, by id and by name, of each kind."""

    by_id: dict[str, dict[str, str]] = field(default_factory=dict)
    by_name: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    def add(self, kind: str, entry_id: str, name: str) -> None:
        known = self.by_id.setdefault(kind, {})
        if entry_id not in known:
            self.by_name.setdefault(kind, {}).setdefault(name, []).append(entry_id)
        known[entry_id] = name

    def find(self, kind: str, text: str) -> list[str]:
        """Ids that the text means: the id itself, else every entry of this name."""
        return [text] if text in self.by_id.get(kind, {}) else self.by_name.get(kind, {}).get(text, [])


@dataclass(slots=True, kw_only=True)
class Judged:
    """A draft beside what stands, and what came of it. `entry` is None where something is wrong."""

    draft: Draft
    old: Entry | None
    entry: Entry | None = None
    wrong: list[Wrong] = field(default_factory=list)
    warnings: list[Wrong] = field(default_factory=list)

    def refuse(self, key: str, value: object, zh: str, en: str) -> None:
        self.wrong.append(Wrong(key=key, value=echo(value), zh=zh, en=en))


def device_names(registry: Registry) -> Names:
    """Devices and cameras as things that may be pointed at."""
    names = Names()
    for device in registry.devices.values():
        names.add("device", device.device_id, device.name)
        if device.kind == "camera":
            names.add("camera", device.device_id, device.name)
    return names


def judge(
    kind: Kind, drafts: Sequence[Draft], olds: Mapping[str, Entry], names: Names, index: AreaIndex
) -> list[Judged]:
    """Every draft with its entry or what is wrong with it; `olds` and results are clear. Ids twice are wrong."""
    judged = [Judged(draft=d, old=olds.get(d.entry_id)) for d in drafts]
    seen: dict[str, int] = {}
    for one in judged:
        _build(kind, one, names)
        if one.draft.entry_id in seen:
            first = seen[one.draft.entry_id]
            one.refuse("entry_id", one.draft.entry_id, f"与第 {first} 行编号相同", f"the id of row {first} again")
        seen.setdefault(one.draft.entry_id, one.draft.row)
    _place(kind, judged, index)
    for one in judged:
        if one.wrong:
            one.entry = None
        elif one.entry is not None:
            one.warnings = warnings(kind, one.entry, index)
    return judged


def _build(kind: Kind, one: Judged, names: Names) -> None:
    """The entry with its values and position; its area is found afterwards, for all at once."""
    draft, old = one.draft, one.old
    try:
        check_id(draft.entry_id)
        if kind.group == "area":
            level_of(draft.entry_id)
    except (Invalid, ValueError) as error:
        one.refuse(
            "entry_id", draft.entry_id, "编号不合规：应为 1 至 64 位文字、数字或 -_.；区划用区划代码", str(error)
        )
    raw = draft.values if old is None else keep_masked(kind, draft.values, old)
    if draft.partial and old is not None:
        raw = {**old.values, **raw}
    values, wrong = read_values(kind.fields, raw, formats=kind.formats)
    one.wrong += wrong
    _resolve(kind, values, names, one)
    for keys in kind.distinct:
        given = [values[k] for k in keys if k in values]
        if len(set(given)) < len(given):
            labels = [f for k in keys if (f := kind.field(k))]
            one.refuse(
                keys[-1],
                given[-1],
                f"{'与'.join(f.zh for f in labels)}不得为同一人",
                f"{' and '.join(f.en for f in labels)} must be two persons",
            )
    if kind.group == "area" and not any(w.key == "entry_id" for w in one.wrong):
        level = level_of(draft.entry_id)
        if values.setdefault("level", level) != level:
            one.refuse("level", values["level"], f"与代码位数不符，应为 {level}", f"the code is one of a {level}")
    lon, lat, geometry = _position(kind, one)
    base = old or Entry(kind=kind.kind, entry_id=draft.entry_id, name="")
    one.entry = replace(
        base,
        name=str(values.get("name", "")),
        values=values,
        lon=lon,
        lat=lat,
        geometry=geometry,
        area=draft.area.strip(),
    )


def _resolve(kind: Kind, values: dict[str, Any], names: Names, one: Judged) -> None:
    """References become ids: people write ids or names."""
    for ref in kind.refs():
        if ref.key not in values:
            continue
        texts = values[ref.key] if ref.type == "refs" else [values[ref.key]]
        ids = [_meant(ref, text, names, one) for text in texts]
        found = list(dict.fromkeys(i for i in ids if i))
        if ref.type == "refs":
            values[ref.key] = found
        elif found:
            values[ref.key] = found[0]


def _meant(ref: Field, text: str, names: Names, one: Judged) -> str:
    found = names.find(ref.ref, text)
    if len(found) == 1:
        return found[0]
    if not found:
        where = (
            ("设备登记册", "the register of devices")
            if ref.ref in DEVICE_KINDS
            else ("登记册", f"the register {ref.ref}")
        )
        one.refuse(
            ref.key, text, f"{ref.zh}：{where[0]}中没有，请先登记", f"{ref.en}: not in {where[1]}; register it first"
        )
        return ""
    shown = ", ".join(sorted(found)[:MANY])
    one.refuse(
        ref.key,
        text,
        f"{ref.zh}：有多个同名，请写编号：{shown}",
        f"{ref.en}: several have this name; write the id: {shown}",
    )
    return ""


def _position(kind: Kind, one: Judged) -> tuple[float | None, float | None, dict[str, Any] | None]:
    draft, old = one.draft, one.old
    lon, lat, geometry = draft.lon, draft.lat, draft.geometry
    if draft.partial and old is not None and is_blank(lon) and is_blank(lat) and geometry is None:
        return old.lon, old.lat, old.geometry
    if kind.located == "no":
        if not is_blank(lon) or geometry is not None:
            one.refuse("position", f"{lon} {lat}", f"{kind.zh}没有位置", f"a {kind.en} has no position")
        return None, None, None
    if geometry is not None:
        if kind.located != "any" and geometry.get("type") != "Point":
            one.refuse(
                "geometry", geometry.get("type"), f"{kind.zh}的位置应为点", f"the position of a {kind.en} is a point"
            )
            return None, None, None
        if kind.group == "area" and geometry.get("type") not in ("Polygon", "MultiPolygon"):
            one.refuse(
                "geometry",
                geometry.get("type"),
                "区划的范围应为面",
                "the outline of an area is a Polygon or MultiPolygon",
            )
            return None, None, None
        try:
            centre = middle(geometry)
        except ValueError as error:
            one.refuse("geometry", geometry.get("type"), "图形有误：应为 WGS 84 经纬度、不自相交的 GeoJSON", str(error))
            return None, None, None
        if is_blank(lon) and is_blank(lat):
            lon, lat = centre
        # Lists, not the tuples of a library: what is compared with what stands must look like it.
        geometry = None if geometry.get("type") == "Point" else msgspec.json.decode(msgspec.json.encode(geometry))
    if is_blank(lon) and is_blank(lat):
        if kind.position_required:
            one.refuse("position", "", "经度、纬度必填", "longitude and latitude are required")
        return None, None, None
    try:
        x, y = check_lonlat(tidy(lon) if isinstance(lon, str) else lon, tidy(lat) if isinstance(lat, str) else lat)
    except ValueError as error:
        one.refuse("position", f"{lon} {lat}", "应为十进制度的经度、纬度（经度在前）", str(error))
        return None, None, None
    return round(x, 7), round(y, 7), geometry


def _place(kind: Kind, judged: Sequence[Judged], index: AreaIndex) -> None:
    """The area of each: the code of the area itself, the given one where the position does not contradict it, else the deepest
    that contains the position."""
    if kind.group == "area":
        for one in judged:
            one.entry = one.entry and replace(one.entry, area=one.draft.entry_id)
        return
    nan = float("nan")
    entries = [one.entry for one in judged]
    found = index.deepest(
        [nan if e is None or e.lon is None else e.lon for e in entries],
        [nan if e is None or e.lat is None else e.lat for e in entries],
    )
    for one, deepest in zip(judged, found, strict=True):
        if one.entry is not None:
            one.entry = replace(one.entry, area=_area(kind, one, one.entry, deepest, index))


def _area(kind: Kind, one: Judged, entry: Entry, deepest: str, index: AreaIndex) -> str:
    given = entry.area
    if not given:
        kept = one.old is not None and (one.old.lon, one.old.lat) == (entry.lon, entry.lat)
        if one.old is not None and kept and one.old.area:
            return one.old.area
        if kind.located == "no":
            return one.draft.home if one.old is None else ""
        if not deepest and entry.lon is not None and index.has_polygons and kind.position_required:
            one.refuse(
                "position",
                f"{entry.lon} {entry.lat}",
                "不在任何已登记区划内：检查坐标与坐标系，或填写区划代码",
                "lies in no registered area: check the coordinates and their system, or give the area code",
            )
        return deepest
    try:
        level_of(given)
    except ValueError as error:
        one.refuse("area", given, "应为 2、4、6、9、12 位区划代码，网格为 12 位加 3 位", str(error))
        return given
    if len(index) and given not in index.areas:
        one.refuse("area", given, "区划登记册中没有这个代码", "this code is not in the register of areas")
    elif entry.lon is not None and entry.lat is not None and not index.agrees(given, entry.lon, entry.lat):
        there = f"{deepest} {index.name(deepest)}".strip()
        one.refuse(
            "area",
            given,
            f"与坐标不符：该位置在{there or '所有已登记区划之外'}",
            f"does not agree with the position, which lies in {there or 'no registered area'}",
        )
    return given


def warnings(kind: Kind, entry: Entry, index: AreaIndex) -> list[Wrong]:
    """What a registered entry lacks or has the wrong way round. Personal values may be sealed or masked."""
    found = [*_missing(kind, entry), *_disorder(kind, entry)]
    levels = [k for k in kind.datum_for if k in entry.values]
    if levels and "datum" not in entry.values:
        found.append(
            Wrong(
                key="datum",
                value="",
                zh="有水位而没有高程基面：不能与其他水位比较",
                en="levels without a datum: they cannot be compared with any other",
            )
        )
    if kind.group == "area" and entry.lon is not None and entry.lat is not None:
        parent = next((a for a in reversed(ancestors(entry.entry_id)) if a in index.areas), "")
        if parent and not index.agrees(parent, entry.lon, entry.lat):
            found.append(
                Wrong(
                    key="geometry",
                    value=parent,
                    zh=f"不在上级区划 {parent} {index.name(parent)} 范围内",
                    en=f"lies outside the area {parent} that its code puts it in",
                )
            )
    return found


def _missing(kind: Kind, entry: Entry) -> list[Wrong]:
    return [
        Wrong(key=f.key, value="", zh=f"未登记{f.zh}", en=f"{f.en} is not registered")
        for key in kind.expected
        if (f := kind.field(key)) is not None and is_blank(entry.values.get(key))
    ]


def _disorder(kind: Kind, entry: Entry) -> list[Wrong]:
    found = []
    for keys in kind.ordered:
        given = [(f, entry.values[k]) for k in keys if k in entry.values and (f := kind.field(k)) is not None]
        for (low, below), (high, above) in pairwise(given):
            if below > above:
                found.append(
                    Wrong(
                        key=high.key,
                        value=f"{above:g}",
                        zh=f"{high.zh} {above:g} 低于{low.zh} {below:g}：次序有误",
                        en=f"{high.en} {above:g} is below {low.en} {below:g}: the wrong way round",
                    )
                )
    return found
