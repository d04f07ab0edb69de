"""`UnitTarget`: field units from a sheet. A unit's status, position and task are its own: an import changes its master data only."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from command_center import units
from command_center.authority import Action, require
from command_center.model import Actor, Authority, Unit, UnitStatus
from command_center.ports import Emit, Store, Tx
from command_center.registers.register_target import AREA
from command_center.registers.targets import Choice, Committed, Field, Problem, Row
from command_center.registers.values import Wrong, read_values
from command_center.registers.writing import Areas, WrongValues
from command_center.work import Env, Work, working
from gis.areas import AreaIndex

UNIT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")  # also the login of its responders
DEFAULT_WADING_M = 0.30  # as `Unit` has it
CAPABILITIES = {
    "flood_rescue": ("水域救援", "Flood rescue"),
    "pumping": ("排涝", "Pumping"),
    "traffic_control": ("交通管制", "Traffic control"),
    "hazmat": ("危化处置", "Hazmat"),
    "medical": ("医疗救护", "Medical"),
    "evacuation": ("人员转移", "Evacuation"),
    "patrol": ("巡查", "Patrol"),
}
KINDS = {
    "fire": ("消防救援", "Fire and rescue"),
    "hazmat": ("危化处置", "Hazardous substances"),
    "flood": ("防汛抢险", "Flood"),
    "medical": ("医疗急救", "Medical"),
    "police": ("公安交警", "Police"),
    "patrol": ("巡查", "Patrol"),
}
AUTHORITY = {
    "direct": ("直接调度", "May be ordered"),
    "request": ("协调请求", "May be asked"),
    "notify": ("仅通报", "Is only told"),
}


def _choices(table: Mapping[str, tuple[str, str]]) -> list[Choice]:
    return [Choice(value=value, zh=zh, en=en) for value, (zh, en) in table.items()]


FIELDS = [
    Field(key="name", zh="队伍名称", en="Name", required=True, aliases=["名称", "队名", "单元名称"]),
    Field(
        key="kind",
        zh="类别",
        en="Kind",
        type="choice",
        required=True,
        choices=_choices(KINDS),
        aliases=["队伍类别", "类型"],
    ),
    Field(
        key="authority",
        zh="调度权限",
        en="Authority",
        type="choice",
        required=True,
        choices=_choices(AUTHORITY),
        aliases=["权限", "调度方式"],
    ),
    Field(
        key="capabilities",
        zh="能力",
        en="Capabilities",
        type="choices",
        required=True,
        choices=_choices(CAPABILITIES),
        aliases=["救援能力", "专长"],
    ),
    Field(
        key="wading_depth_m",
        zh="涉水深度",
        en="Wading depth",
        type="number",
        uom="m",
        minimum=0,
        maximum=5,
        aliases=["最大涉水深度", "涉水能力"],
        help_zh="不填按 0.30 m",
        help_en="0.30 m when left blank",
    ),
    Field(
        key="phone",
        zh="电话",
        en="Telephone",
        type="phone",
        aliases=["联系电话", "值班电话"],
        help_zh="队伍公务电话",
        help_en="the public service number of the unit",
    ),
    AREA,
]


class UnitTarget:
    """Implements `targets.ImportTarget` for field units."""

    kind = "unit"
    fields: Sequence[Field] = FIELDS
    located: Literal["no", "point", "any"] = "point"

    def __init__(self, *, store: Store, env: Env, emit: Emit, areas: Areas | None = None) -> None:
        self._store, self._env, self._emit = store, env, emit
        self._areas = areas or Areas()

    async def current(self, actor: Actor, ids: Sequence[str]) -> Mapping[str, Row]:
        require(actor, Action.WRITE_REGISTERS)
        async with self._store.read() as tx:
            known = await self._known(tx)
        wanted = set(ids)
        return {i: _row(u) for i, u in known.items() if i in wanted and actor.scope.covers(area=u.area)}

    async def settled(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Rows in the words of `current`: a blank wading depth is the default one."""
        blank = {"wading_depth_m": DEFAULT_WADING_M}
        return [
            msgspec.structs.replace(row, values={**row.values, **blank})
            if "wading_depth_m" in row.values and row.values["wading_depth_m"] is None
            else row
            for row in rows
        ]

    async def everything(self, actor: Actor) -> list[Row]:
        """All rows that the actor may see, for an export. Raises Forbidden."""
        require(actor, Action.READ_REGISTERS)
        async with self._store.read() as tx:
            known = await self._known(tx)
        return [_row(unit) for unit in known.values() if actor.scope.covers(area=unit.area)]

    async def check(self, actor: Actor, rows: Sequence[Row]) -> Sequence[Problem]:
        require(actor, Action.WRITE_REGISTERS)
        async with self._store.read() as tx:
            found = await self._read(tx, actor, rows)
        return [
            Problem(row=row.row, column=w.key, value=w.value, zh=w.zh, en=w.en)
            for row, _, wrong in found
            for w in wrong
        ]

    async def commit(self, actor: Actor, rows: Sequence[Row], *, reason: str) -> Committed:
        require(actor, Action.WRITE_REGISTERS)
        async with working(self._store, self._env, self._emit, actor) as work:
            return await self.put(work, rows, reason=reason)

    async def put(self, work: Work, rows: Sequence[Row], *, reason: str) -> Committed:
        """As `commit`, inside somebody's transaction."""
        known = await self._known(work.tx)
        found = await self._read(work.tx, work.actor, rows)
        if problems := [
            msgspec.structs.replace(w, key=f"row {row.row} {w.key}".strip()) for row, _, wrong in found for w in wrong
        ]:
            raise WrongValues(problems)
        created = changed = 0
        for _, unit, _ in found:
            if unit is None:
                continue
            old = known.get(unit.unit_id)
            if old is not None and _master(old) == _master(unit):
                continue
            await units.register(work, unit, reason)
            created, changed = created + (old is None), changed + (old is not None)
        return Committed(created=created, changed=changed, same=len(found) - created - changed)

    async def _known(self, tx: Tx) -> dict[str, Unit]:
        return {record.unit.unit_id: record.unit for record in await tx.units()}

    async def _read(self, tx: Tx, actor: Actor, rows: Sequence[Row]) -> list[tuple[Row, Unit | None, list[Wrong]]]:
        known, index = await self._known(tx), await self._areas.index(tx)
        seen: set[str] = set()
        found = []
        for row in rows:
            unit, wrong = _unit(row, known.get(row.entry_id), index)
            if row.entry_id in seen:
                wrong.append(Wrong(key="entry_id", value=row.entry_id, zh="编号重复", en="the id of another row"))
            seen.add(row.entry_id)
            for one in (known.get(row.entry_id), unit):
                if one is not None and not actor.scope.covers(area=one.area):
                    area = one.area or "?"
                    wrong.append(Wrong(key="", value=area, zh="不在您的管辖范围", en="lies outside your scope"))
                    break
            found.append((row, None if wrong else unit, wrong))
        return found


def _unit(row: Row, old: Unit | None, index: AreaIndex) -> tuple[Unit | None, list[Wrong]]:
    """The unit that a row means, and what is wrong with the row. Values that the sheet lacks stay as they are."""
    before: dict[str, Any] = {} if old is None else _row(old).values
    values, wrong = read_values(FIELDS, {**before, **row.values})
    if not UNIT_ID.fullmatch(row.entry_id):
        wrong.append(
            Wrong(
                key="entry_id",
                value=row.entry_id,
                zh="编号应为 1 至 64 位字母、数字、-、_",
                en="expected 1 to 64 letters, digits, - and _",
            )
        )
    lon, lat = row.lon, row.lat
    if (lon is None or lat is None) and old is not None:
        lon, lat = old.lon, old.lat
    if lon is None or lat is None:
        wrong.append(
            Wrong(key="", value="", zh="经度、纬度必填：队伍驻地", en="longitude and latitude of its quarters")
        )
    if wrong or lon is None or lat is None:
        return None, wrong
    area = str(values.get("area", "")) or index.deepest([lon], [lat])[0]
    if area and len(index) and area not in index.areas:
        return None, [Wrong(key="area", value=area, zh="区划登记册中没有这个代码", en="not in the register of areas")]
    return Unit(
        unit_id=row.entry_id,
        name=values["name"],
        kind=values["kind"],
        authority=Authority(values["authority"]),
        capabilities=values["capabilities"],
        status=UnitStatus.IN_QTRS,
        lon=lon,
        lat=lat,
        wading_depth_m=values.get("wading_depth_m", DEFAULT_WADING_M),
        area=area,
        phone=values.get("phone", ""),
    ), wrong


def _row(unit: Unit) -> Row:
    values = {
        "name": unit.name,
        "kind": unit.kind,
        "authority": unit.authority.value,
        "capabilities": list(unit.capabilities),
        "wading_depth_m": unit.wading_depth_m,
        "phone": unit.phone,
        "area": unit.area,
    }
    return Row(row=0, entry_id=unit.unit_id, values={k: v for k, v in values.items() if v}, lon=unit.lon, lat=unit.lat)


def _master(unit: Unit) -> tuple[object, ...]:
    """What the register says of a unit, without what it is doing."""
    return (unit.name, unit.kind, unit.authority, unit.capabilities, unit.wading_depth_m, unit.area, unit.phone)
