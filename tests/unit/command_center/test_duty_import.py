"""The month's roster as a sheet: every wrong cell has a name, and importing twice changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import date, time
from typing import Any

import msgspec
import pytest

from citybrain_testing.command import DUTY1, START_US
from citybrain_testing.duty import CLERK, HOUR_US, Desk, a_desk, a_sealer, actor
from command_center.duty.targets import FIELDS, ShiftTarget, clock_of, day_of
from command_center.errors import Forbidden, Invalid
from command_center.registers.targets import ImportTarget, Row
from simulators.district import generate
from storage.memory.command import MemoryStore

Story = Callable[[Desk, ShiftTarget], Coroutine[Any, Any, None]]


def run(story: Story) -> None:
    async def body() -> None:
        desk = await a_desk(MemoryStore())
        await story(desk, ShiftTarget(desk.world.store, desk.world.env, desk.world.changes.append, a_sealer()))

    asyncio.run(body())


def sheet(*lines: dict[str, Any]) -> list[Row]:
    base = {"date": "2019-08-10", "post": "值班员", "person": "林晓", "from": "08:00", "to": "20:00"}
    return [Row(row=n, entry_id="", values=base | line) for n, line in enumerate(lines, start=2)]


def test_it_is_an_import_target_like_any_other() -> None:
    async def story(desk: Desk, target: ShiftTarget) -> None:
        one: ImportTarget = target
        assert (one.kind, one.located) == ("shift", "no")
        assert [f.zh for f in one.fields] == ["日期", "岗位", "姓名/账号", "开始", "结束", "区域", "电话"]
        assert len({a for f in FIELDS for a in f.aliases}) == sum(len(f.aliases) for f in FIELDS)

    run(story)


def test_a_sheet_becomes_shifts_and_the_same_sheet_again_changes_nothing() -> None:
    async def story(desk: Desk, target: ShiftTarget) -> None:
        rows = sheet(
            {},
            {"post": "duty_leader", "person": "leader1", "from": "20:00", "to": "08:00"},  # over midnight
            {"post": "技术保障", "person": "王工", "phone": "13912345678", "area": "339900001"},
        )
        assert await target.check(CLERK, rows) == []
        done = await target.commit(CLERK, rows, reason="八月排班")
        assert (done.created, done.changed, done.same) == (3, 0, 0)
        plan = await desk.duty.plan(CLERK, START_US, START_US + 48 * HOUR_US)
        night = next(s for s in plan.shifts if s.post == "duty_leader")
        assert (night.shift_id, night.to_us - night.from_us) == ("S-20190810-2000-duty_leader", 12 * HOUR_US)
        outside = next(s for s in plan.shifts if s.post == "tech")
        assert (outside.name, outside.username, outside.phone_mask) == ("王工", "", "139****5678")
        again = await target.commit(CLERK, rows, reason="八月排班")
        assert (again.created, again.changed, again.same) == (0, 0, 3)
        corrected = sheet({"person": "周岚"}, *({**r.values} for r in rows[1:]))
        third = await target.commit(CLERK, corrected, reason="更正")
        assert (third.created, third.changed, third.same) == (0, 1, 2)

    run(story)


def test_a_second_person_in_the_same_place_keeps_his_own_row() -> None:
    async def story(desk: Desk, target: ShiftTarget) -> None:
        rows = sheet({"person": "duty1"}, {"person": "duty2"})
        ids = target.row_ids([r.values for r in rows])
        assert ids == ["S-20190810-0800-值班员", "S-20190810-0800-值班员.2"]
        await target.commit(CLERK, rows, reason="双人值守")
        current = await target.current(CLERK, [*ids, "S-nothing"])
        assert {k: r.values["person"] for k, r in current.items()} == {ids[0]: "林晓", ids[1]: "周岚"}
        assert (await target.commit(CLERK, rows, reason="双人值守")).same == 2
        one = await desk.duty.shift(CLERK, "S-20190810-0800-duty_officer.2")
        assert one.username == "duty2"

    run(story)


def test_words_of_a_file_are_compared_in_the_words_of_the_register() -> None:
    async def story(desk: Desk, target: ShiftTarget) -> None:
        lines = [
            {
                "date": "2019/8/10",
                "post": "Duty officer",
                "person": "duty1",
                "from": "8:00",
                "to": "20点",
                "area": "339900001",
            },
            {
                "date": "2019-08-10",
                "post": "技术保障",
                "person": "王工",
                "from": 0.5,
                "to": "20:00",
                "phone": "13912345678",
            },
        ]
        ids = target.row_ids(lines)
        rows = [Row(row=n, entry_id=i, values=v) for n, (i, v) in enumerate(zip(ids, lines, strict=True), start=2)]
        await target.commit(CLERK, rows, reason="x")
        settled = {r.entry_id: r.values for r in await target.settled(rows)}
        current = {i: r.values for i, r in (await target.current(CLERK, ids)).items()}
        assert settled[ids[0]] == current[ids[0]]
        assert settled[ids[1]] == {**current[ids[1]], "phone": "13912345678"}
        assert target.row_ids([{"date": "gestern"}, {"post": "值班员"}]) == ["row-1", "row-2"]

    run(story)


def test_a_number_that_comes_back_masked_is_the_one_that_stands() -> None:
    async def story(desk: Desk, target: ShiftTarget) -> None:
        line = {"post": "技术保障", "person": "王工", "phone": "13912345678"}
        await target.commit(CLERK, sheet(line), reason="x")
        assert (await target.commit(CLERK, sheet({**line, "phone": "139****5678"}), reason="x")).same == 1
        assert (await target.commit(CLERK, sheet({**line, "phone": "13800000000"}), reason="x")).changed == 1

    run(story)


def test_what_is_exported_is_taken_back_and_changes_nothing() -> None:
    async def story(desk: Desk, target: ShiftTarget) -> None:
        await target.commit(
            CLERK, sheet({}, {"post": "技术保障", "person": "王工", "phone": "13912345678"}), reason="x"
        )
        await desk.set_user("duty2", name="林晓")  # now two people have this name: the account stands in the sheet
        out = await target.rows(CLERK)
        assert [(r.entry_id, r.values["person"], r.values["phone"]) for r in out] == [
            ("S-20190810-0800-duty_officer", "duty1", ""),
            ("S-20190810-0800-tech", "王工", "139****5678"),
        ]
        assert (await target.commit(CLERK, out, reason="x")).same == 2
        with pytest.raises(Forbidden, match="telephone"):
            await target.rows(CLERK, clear=True)
        assert (await target.rows(DUTY1, clear=True))[1].values["phone"] == "13912345678"
        assert await target.rows(actor("clerk1", "339900001")) == []

    run(story)


def test_a_row_that_names_its_shift_changes_that_one_though_its_start_moves() -> None:
    async def story(desk: Desk, target: ShiftTarget) -> None:
        await target.commit(CLERK, sheet({}), reason="x")
        moved = msgspec.structs.replace(sheet({"from": "09:00"})[0], entry_id="S-20190810-0800-duty_officer")
        done = await target.commit(CLERK, [moved], reason="晚一小时")
        assert (done.created, done.changed) == (0, 1)
        plan = await desk.duty.plan(CLERK, START_US, START_US + 48 * HOUR_US)
        assert [(s.shift_id, s.rev) for s in plan.shifts] == [("S-20190810-0800-duty_officer", 2)]

    run(story)


@pytest.mark.parametrize(
    ("line", "column", "says"),
    [
        ({"post": "船长"}, "岗位", "应为 值班员、副值班、值班长、带班领导、技术保障"),
        ({"date": "2019-02-30"}, "日期", "不是日期"),
        ({"date": None}, "日期", "不是日期"),
        ({"from": "8点半"}, "开始", "不是时间"),
        ({"to": "25:00"}, "结束", "不是时间"),
        ({"person": "李四"}, "姓名/账号", "没有这个账号，也没有填电话"),
        ({"person": "同名"}, "姓名/账号", "有多人叫这个名字，请写账号：duty2, duty3"),
        ({"person": "停用"}, "姓名/账号", "账号已停用"),
        ({"area": "台州"}, "区域", "不是行政区划代码"),
    ],
)
def test_a_wrong_cell_is_named_and_nothing_is_written(line: dict[str, Any], column: str, says: str) -> None:
    async def story(desk: Desk, target: ShiftTarget) -> None:
        await desk.set_user("duty2", name="同名")
        await desk.set_user("duty3", name="同名")
        await desk.set_user("leader2", name="停用", enabled=False)
        rows = sheet({}, line)
        [problem] = await target.check(CLERK, rows)
        assert (problem.row, problem.column) == (3, column)
        assert says in problem.zh
        with pytest.raises(Invalid, match=f"row 3, {column}"):
            await target.commit(CLERK, rows, reason="x")
        assert (await desk.duty.plan(CLERK, START_US, START_US + 48 * HOUR_US)).shifts == []

    run(story)


def test_one_person_twice_at_the_same_time_is_a_problem_of_the_second_row() -> None:
    async def story(desk: Desk, target: ShiftTarget) -> None:
        [problem] = await target.check(CLERK, sheet({}, {"from": "19:00", "to": "23:00"}))
        assert (problem.row, problem.zh) == (3, "与第 2 行时间重叠")

    run(story)


def test_a_shift_that_has_begun_is_not_rewritten_by_a_file() -> None:
    async def story(desk: Desk, target: ShiftTarget) -> None:
        rows = sheet({"date": "2019-08-09", "from": "20:00", "to": "08:00"})
        await target.commit(CLERK, rows, reason="x")
        assert (await target.commit(CLERK, rows, reason="x")).same == 1
        other = sheet({"date": "2019-08-09", "from": "20:00", "to": "08:00", "person": "周岚"})
        [problem] = await target.check(CLERK, other)
        assert "已经开始" in problem.zh

    run(story)


def test_a_clerk_imports_inside_his_area_only_and_others_not_at_all() -> None:
    async def story(desk: Desk, target: ShiftTarget) -> None:
        street = actor("clerk1", "339900001")
        problems = await target.check(street, sheet({}, {"area": "339900001"}, {"area": "339900002"}))
        assert [(p.row, p.column) for p in problems] == [(2, "区域"), (4, "区域")]
        assert (await target.commit(street, sheet({"area": "339900001"}), reason="街道排班")).created == 1
        assert await target.current(actor("clerk1", "339900002"), ["S-20190810-0800-duty_officer-339900001"]) == {}
        for act in (target.check(DUTY1, []), target.commit(DUTY1, [], reason=""), target.current(DUTY1, [])):
            with pytest.raises(Forbidden, match="plan duty"):
                await act

    run(story)


def test_the_demo_districts_roster_calls_duty1_then_duty2_then_the_leader_and_takes_turns() -> None:
    async def story(desk: Desk, target: ShiftTarget) -> None:
        lines = generate(7).roster(date(2019, 8, 9), 60)
        done = await target.commit(CLERK, sheet(*lines), reason="demo")
        assert done.created == 180
        chain = await desk.duty.chain(DUTY1, "339900")
        assert [c.username for c in chain.chain] == ["duty1", "duty2", "leader1"]
        assert chain.gaps == []
        await desk.world.later(10 * 3600, machine=False)  # 09:00 on the next day
        chain = await desk.duty.chain(DUTY1, "339900")
        assert [c.username for c in chain.chain] == ["duty2", "duty1", "leader1"]
        plan = await desk.duty.plan(CLERK, START_US, START_US + 58 * 24 * HOUR_US)
        assert (plan.gaps, plan.overlaps) == ([], [])
        later = generate(7).roster(date(2019, 8, 12), 3)  # drawn on another day: the same turns
        assert (await target.commit(CLERK, sheet(*later), reason="demo")).same == 9

    run(story)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("8:00", time(8)),
        ("08：30", time(8, 30)),
        ("20点", time(20)),
        (0.75, time(18)),
        (time(6), time(6)),
        ("24:00", time(0)),
    ],
)
def test_a_time_is_read_as_people_and_spreadsheets_write_it(said: Any, meant: time) -> None:
    assert clock_of(said) == meant


@pytest.mark.parametrize(
    "said", ["2019-08-10", "2019/8/10", "2019年8月10日", "2019.08.10", "2019-08-10 00:00:00", date(2019, 8, 10)]
)
def test_a_date_is_read_as_people_and_spreadsheets_write_it(said: Any) -> None:
    assert day_of(said) == date(2019, 8, 10)
