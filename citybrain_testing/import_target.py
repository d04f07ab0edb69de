"""An import target in memory: reservoirs with every type of field, as a register keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from command_center.errors import Forbidden
from command_center.model import Actor, Role
from command_center.registers.targets import Choice, Committed, Field, Problem, Row

FIELDS = [
    Field(key="name", zh="名称", en="Name", required=True, aliases=["水库名称", "名字"]),
    Field(
        key="grade",
        zh="等级",
        en="Grade",
        type="choice",
        choices=[
            Choice(value="red", zh="红", en="Red"),
            Choice(value="blue", zh="蓝", en="Blue"),
            Choice(value="county", zh="县（区）", en="County (district)"),
        ],
    ),
    Field(
        key="uses",
        zh="用途",
        en="Uses",
        type="choices",
        choices=[
            Choice(value="supply", zh="供水", en="Supply"),
            Choice(value="flood", zh="防洪（排涝）、灌溉", en="Flood control"),
        ],
    ),
    Field(key="height_m", zh="坝高", en="Dam height", type="number", uom="m", minimum=0, maximum=400),
    Field(key="people", zh="下游人口", en="People below", type="integer", minimum=0),
    Field(key="checked", zh="检查日期", en="Checked on", type="date"),
    Field(key="fenced", zh="有围栏", en="Fenced", type="bool"),
    Field(key="owner_name", zh="责任人", en="Responsible person", personal=True),
    Field(key="phone", zh="责任人电话", en="Telephone", type="phone", personal=True, aliases=["联系电话"]),
    Field(key="gauges", zh="水位计", en="Gauges", type="refs", ref="device"),
    Field(key="area", zh="区划代码", en="Area code", type="area"),
    Field(
        key="gates",
        zh="闸门",
        en="Gates",
        type="rows",
        fields=[
            Field(key="gate", zh="闸门编号", en="Gate", required=True),
            Field(key="width_m", zh="宽度", en="Width", type="number"),
        ],
    ),
    Field(key="remark", zh="备注", en="Remark", type="long_text"),
]


class MemoryTarget:
    """Keeps rows by id; refuses vendors, names twice with `forbidden_name`, and counts what it was given."""

    kind = "reservoir"
    fields: Sequence[Field] = FIELDS

    def __init__(self, located: Literal["no", "point", "any"] = "any") -> None:
        self.located = located
        self.rows: dict[str, Row] = {}
        self.commits: list[str] = []
        self.forbidden_name = ""

    async def current(self, actor: Actor, ids: Sequence[str]) -> Mapping[str, Row]:
        if actor.has(Role.VENDOR):
            raise Forbidden(actor.username, "change the registers", "this needs the role registrar")
        return {i: self.rows[i] for i in ids if i in self.rows}

    async def check(self, actor: Actor, rows: Sequence[Row]) -> Sequence[Problem]:
        return [
            Problem(row=r.row, column="name", value=self.forbidden_name, zh="名称不可用", en="a name that is taken")
            for r in rows
            if self.forbidden_name and r.values.get("name") == self.forbidden_name
        ]

    async def commit(self, actor: Actor, rows: Sequence[Row], *, reason: str) -> Committed:
        self.commits.append(reason)
        created = changed = same = 0
        for row in rows:
            old = self.rows.get(row.entry_id)
            new = self._merged(old, row)
            if old is None:
                created += 1
            elif new == old:
                same += 1
            else:
                changed += 1
            self.rows[row.entry_id] = new
        return Committed(created=created, changed=changed, same=same)

    def _merged(self, old: Row | None, row: Row) -> Row:
        """What a sheet lacks stays; a blank cell clears."""
        values: dict[str, Any] = {**({} if old is None else old.values), **row.values}
        return Row(
            row=0,
            entry_id=row.entry_id,
            values={k: v for k, v in values.items() if v not in (None, [], "")},
            lon=row.lon if row.lon is not None or old is None else old.lon,
            lat=row.lat if row.lat is not None or old is None else old.lat,
            geometry=row.geometry if row.geometry is not None or old is None else old.geometry,
        )

    async def everything(self, actor: Actor, kind: str, clear: bool) -> Sequence[Row]:
        return list(self.rows.values())
