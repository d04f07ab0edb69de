"""`RegisterTarget`: a register of any kind as what an import fills. One transaction, the checks of the forms, rows by id.

A sheet that lacks a column leaves those values as they are; an empty cell clears them. A cell that still shows our own mask
(`138****1234`) leaves the value behind it. Importing the same file twice writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal

import msgspec

from command_center.authority import Action, require
from command_center.errors import Forbidden
from command_center.model import Actor
from command_center.ports import Tx
from command_center.registers.checks import Draft, Judged, Names
from command_center.registers.entries import Entry, has_personal, mask, organisation_of
from command_center.registers.kinds import Kind
from command_center.registers.service import EntryRegister, home_of
from command_center.registers.targets import Committed, Field, Problem, Row
from command_center.registers.values import Wrong, tidy
from command_center.registers.writing import By, WrongValues, journal_name
from command_center.work import Work, working
from gis.areas import LENGTHS

replace = msgspec.structs.replace
AREA = Field(
    key="area",
    zh="区划代码",
    en="Area code",
    type="area",
    aliases=["区划", "区域", "行政区划代码", "所属区划", "所属区域", "网格编码", "街道代码", "所在区划"],
    help_zh="不填则按坐标确定",
    help_en="found from the position when left blank",
)
SHOWN_WARNINGS = 200


class RegisterTarget:
    """Implements `targets.ImportTarget` for one kind."""

    def __init__(self, register: EntryRegister, kind: str) -> None:
        """Raises NotFound for a kind that does not exist."""
        self._register, self._engine = register, register.engine
        self._kind = register.engine.kind(kind)

    @property
    def kind(self) -> str:
        return self._kind.kind

    @property
    def fields(self) -> Sequence[Field]:
        return self._kind.fields if self._kind.group == "area" else [*self._kind.fields, AREA]

    @property
    def located(self) -> Literal["no", "point", "any"]:
        return self._kind.located

    async def current(self, actor: Actor, ids: Sequence[str]) -> Mapping[str, Row]:
        """What stands, of what the actor may see. Personal values in clear for who may read them (journalled), else masked."""
        require(actor, Action.WRITE_REGISTERS)
        clear = has_personal(self._kind) and self._may_read(actor)
        if not clear:
            async with self._register.store.read() as tx:
                found = await self._visible(tx, actor, ids)
        else:
            async with self._working(actor) as work:
                found = await self._visible(work.tx, actor, ids)
                if found:
                    read = {"entries": len(found)}
                    await work.journal(journal_name(self._kind), "*", "read_personal", None, read, "import")
        return {e.entry_id: self._row(e if clear else mask(self._kind, e)) for e in found}

    async def settled(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Rows in the words of `current`, for a comparison: references as ids, an area's level from its code."""
        drafts = [Draft(entry_id=row.entry_id, values=row.values) for row in rows]
        async with self._register.store.read() as tx:
            names = await self._engine.names(tx, self._kind, drafts, {})
        return [replace(row, values=self._settled(row, names)) for row in rows]

    def _settled(self, row: Row, names: Names) -> dict[str, Any]:
        values = dict(row.values)
        for ref in self._kind.refs():
            given = values.get(ref.key)
            if isinstance(given, str):
                values[ref.key] = _only(names.find(ref.ref, given), given)
            elif isinstance(given, list):
                values[ref.key] = list(dict.fromkeys(_only(names.find(ref.ref, one), one) for one in given))
        if self._kind.group == "area" and "level" in values and values["level"] is None:
            values["level"] = LENGTHS.get(len(row.entry_id))
        return values

    async def everything(self, actor: Actor, *, clear: bool = False) -> list[Row]:
        """All rows that the actor may see, for an export. Raises Forbidden."""
        found = await self._register.everything(actor, self.kind, clear=clear, reason="export")
        return [self._row(view) for view in found]

    async def check(self, actor: Actor, rows: Sequence[Row]) -> Sequence[Problem]:
        """What is wrong, by row and field key ("" where it is the row or its position)."""
        require(actor, Action.WRITE_REGISTERS)
        async with self._register.store.read() as tx:
            judged = await self._judge(tx, actor, rows)
        return [_problem(one.draft.row, wrong) for one in judged for wrong in one.wrong]

    async def commit(self, actor: Actor, rows: Sequence[Row], *, reason: str) -> Committed:
        """All or none. `extra.warnings` names rows that are in and ought to be looked at.

        Judged before the turn to write comes, so that thousands of rows do not keep an alarm waiting; what changed in between is
        a Conflict.
        """
        require(actor, Action.WRITE_REGISTERS)
        async with self._register.store.read() as tx:
            judged = await self._judge(tx, actor, rows)
        if wrong := [_in_row(one.draft.row, w) for one in judged for w in one.wrong]:
            raise WrongValues(wrong)
        clock = self._register.env.clock
        by = By(actor=actor, at_us=clock.city_us(), machine_us=clock.machine_us())
        made = await self._engine.make(self._kind, judged, by, reason)
        async with self._working(actor) as work:
            done = await self._engine.store(work, made)
        return replace(done, extra=_warnings(judged))

    async def _judge(self, tx: Tx, actor: Actor, rows: Sequence[Row]) -> list[Judged]:
        judged = await self._engine.judge(tx, self._kind, [self._draft(actor, row) for row in rows])
        for one in judged:
            outside = [e for e in (one.old, one.entry) if e is not None and not self._inside(actor, e)]
            if outside:
                area = outside[0].area
                zh = (
                    f"区划 {area} 不在您的管辖范围"
                    if area
                    else "没有区划代码，也不能由坐标确定：您只能登记管辖范围内的对象"
                )
                en = (
                    f"area {area} lies outside your scope"
                    if area
                    else "neither an area code nor a position that gives one"
                )
                one.refuse("", area, zh, en)
                one.entry = None
        return judged

    def _draft(self, actor: Actor, row: Row) -> Draft:
        values = dict(row.values)
        area = values.pop("area", None) if self._kind.group != "area" else None
        return Draft(
            entry_id=row.entry_id,
            values=values,
            area=tidy(area or ""),
            lon=row.lon,
            lat=row.lat,
            geometry=row.geometry,
            row=row.row,
            home=home_of(actor),
            partial=True,
        )

    def _row(self, entry: Entry) -> Row:
        values = dict(entry.values)
        if self._kind.group != "area" and entry.area:
            values["area"] = entry.area
        return Row(row=0, entry_id=entry.entry_id, values=values, lon=entry.lon, lat=entry.lat, geometry=entry.geometry)

    async def _visible(self, tx: Tx, actor: Actor, ids: Sequence[str]) -> list[Entry]:
        found = await self._engine.entries(tx, self._kind, ids)
        return [e for e in found.values() if self._inside(actor, e)]

    def _inside(self, actor: Actor, entry: Entry) -> bool:
        return inside(actor, self._kind, entry)

    def _may_read(self, actor: Actor) -> bool:
        try:
            require(actor, Action.READ_PERSONAL)
        except Forbidden:
            return False
        return True

    def _working(self, actor: Actor) -> AbstractAsyncContextManager[Work]:
        return working(self._register.store, self._register.env, self._register.emit, actor)


def _warnings(judged: Sequence[Judged]) -> dict[str, Any]:
    found = [
        {"row": one.draft.row, "entry_id": one.draft.entry_id, "key": w.key, "zh": w.zh, "en": w.en}
        for one in judged
        for w in one.warnings
    ]
    return {"warnings": found[:SHOWN_WARNINGS]} if found else {}


def _only(found: list[str], text: str) -> str:
    return found[0] if len(found) == 1 else text


def inside(actor: Actor, kind: Kind, entry: Entry) -> bool:
    """Whether an entry lies in the actor's scope."""
    return actor.scope.covers(area=entry.area, organisation=organisation_of(kind, entry))


def _problem(row: int, wrong: Wrong) -> Problem:
    column = "" if wrong.key in ("position", "geometry") else wrong.key
    return Problem(row=row, column=column, value=wrong.value, zh=wrong.zh, en=wrong.en)


def _in_row(row: int, wrong: Wrong) -> Wrong:
    return replace(wrong, key=f"row {row} {wrong.key}".strip())
