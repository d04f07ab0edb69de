"""交接班 and 值班日志: what is open is taken down as it stands, two people sign, and nothing written is ever changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from citybrain_testing.command import DUTY1, DUTY2, LEADER, START_US, gas, river, underpass
from citybrain_testing.duty import CLERK, DUTY3, Desk, a_desk, actor
from command_center.duty.instructions import InstructionDraft
from command_center.duty.log import as_markdown, as_text, rows
from command_center.duty.model import LOG_ZH, AddresseeKind, Handover, HandoverState, LogEntry, LogKind
from command_center.errors import Conflict, Forbidden, IllegalTransition, Invalid, NotFound
from rules.transitions import Kind
from storage.memory.command import MemoryStore

BANNER = {"id": "broker", "kind": "broker_drop", "text_zh": "消息队列丢弃", "text_en": "broker drops"}


def run(story: Callable[[Desk], Coroutine[Any, Any, None]]) -> None:
    async def body() -> None:
        desk = await a_desk(MemoryStore(), banners=lambda: [BANNER])
        await desk.night()
        await story(desk)

    asyncio.run(body())


async def drafted(desk: Desk, **more: Any) -> Handover:
    return await desk.duty.draft_handover(DUTY1, "duty_officer", "", "duty3", substitute_reason="周岚请假", **more)


# --- what is handed over


def test_a_draft_takes_down_everything_that_is_open() -> None:
    async def story(desk: Desk) -> None:
        world = desk.world
        shelved, silent = underpass(), gas()
        await world.happen(river(), Kind.RAISED, "red", 5.0)
        await world.happen(shelved, Kind.RAISED, "yellow", 0.3)
        await world.center.shelve(DUTY1, shelved.alarm_id, 60, "抽水中")
        await world.happen(silent, Kind.RAISED, "orange", 2.0)
        await world.happen(silent, Kind.NO_DATA_ON, "orange", None, no_data=True)
        await world.drain()
        incidents, _ = await world.center.incidents(DUTY1)
        await world.center.verify(DUTY1, incidents[0].incident_id)
        issued = await world.center.issue_tasks(DUTY1, incidents[0].incident_id)
        to = [(AddresseeKind.USER, "duty1")]
        await desk.duty.instruct(LEADER, InstructionDraft(text="加强巡查", addressees=to))
        handover = await drafted(desk, remarks="关注椒江水位")
        assert handover.state is HandoverState.DRAFT
        assert handover.shift_id == "S-20190809-2000-duty_officer"
        assert handover.summary["alarm"] == 3
        gravest_first = [i.colour for i in handover.open_items if i.kind == "alarm"]
        assert gravest_first == ["red", "orange", "yellow"]
        assert handover.summary["shelved"] == 1
        assert handover.summary["no_data"] == 1
        assert handover.summary["incident"] == len(incidents) == 2
        assert handover.summary["task"] == len(issued)
        assert handover.summary["instruction"] == 1
        assert handover.summary["banner"] == 1
        assert sum(handover.summary.values()) == len(handover.open_items)
        shelf = next(i for i in handover.open_items if i.kind == "shelved")
        assert shelf.until_us == START_US + 3600 * 1_000_000
        assert "gas-1" in next(i for i in handover.open_items if i.kind == "no_data").text_zh

    run(story)


def test_the_snapshot_stays_though_the_city_goes_on() -> None:
    async def story(desk: Desk) -> None:
        episode = river()
        await desk.world.happen(episode, Kind.RAISED, "red", 5.0)
        before = await drafted(desk)
        await desk.world.happen(episode, Kind.CLEARED, "", 3.0)
        await desk.duty.sign_handover(DUTY1, before.handover_id)
        after = await desk.duty.handover(DUTY1, before.handover_id)
        assert after.open_items == before.open_items
        assert after.summary == before.summary

    run(story)


def test_a_street_hands_over_its_own_alarms_only() -> None:
    async def story(desk: Desk) -> None:
        await desk.world.happen(river(), Kind.RAISED, "red", 5.0, area="339900001")
        await desk.world.happen(underpass(), Kind.RAISED, "red", 0.7, area="339900002")
        street = actor("duty1", "339900001")
        made = await desk.duty.draft_handover(street, "duty_officer", "339900001", "duty3", substitute_reason="代班")
        assert {i.area for i in made.open_items if i.kind == "alarm"} == {"339900001"}
        with pytest.raises(Forbidden):
            await desk.duty.draft_handover(street, "duty_officer", "339900002", "duty3", substitute_reason="x")
        with pytest.raises(NotFound):
            await desk.duty.handover(actor("duty2", "339900002"), made.handover_id)
        seen, _ = await desk.duty.handovers(actor("duty2", "339900002"))
        assert seen == []

    run(story)


# --- who signs


def test_two_people_sign_each_with_his_own_login_in_this_order() -> None:
    async def story(desk: Desk) -> None:
        handover = await drafted(desk)
        for other in (DUTY3, DUTY2, LEADER):
            with pytest.raises(Forbidden, match="duty1, who hands over, signs first"):
                await desk.duty.sign_handover(other, handover.handover_id)
        out = await desk.duty.sign_handover(DUTY1, handover.handover_id, comment="设备正常")
        assert out.state is HandoverState.SIGNED_OUT
        with pytest.raises(Forbidden, match="another person with another login"):
            await desk.duty.sign_handover(DUTY1, handover.handover_id, substitute_reason="自己接")
        done = await desk.duty.sign_handover(DUTY3, handover.handover_id)
        assert done.state is HandoverState.SIGNED_IN
        assert [(s.side, s.username, s.name, s.comment) for s in done.signatures] == [
            ("out", "duty1", "林晓", "设备正常"),
            ("in", "duty3", "吴越", ""),
        ]
        with pytest.raises(IllegalTransition):
            await desk.duty.sign_handover(DUTY3, handover.handover_id)
        with pytest.raises(IllegalTransition):
            await desk.duty.withdraw_handover(DUTY1, handover.handover_id, "改主意")
        async with desk.world.store.read() as tx:
            entries = await tx.journal("handover", handover.handover_id, 9, None)
        assert [(e.action, e.actor) for e in reversed(entries)] == [
            ("draft", "duty1"),
            ("sign out", "duty1"),
            ("sign in", "duty3"),
        ]

    run(story)


def test_who_comes_is_on_the_roster_or_a_substitute_with_a_reason() -> None:
    async def story(desk: Desk) -> None:
        with pytest.raises(Invalid, match="duty2: not on the roster of duty_officer now or within the hour"):
            await desk.duty.draft_handover(DUTY1, "duty_officer", "", "duty2")
        await desk.world.later(8.5 * 3600)
        made = await desk.duty.draft_handover(DUTY1, "duty_officer", "", "duty2")
        await desk.duty.sign_handover(DUTY1, made.handover_id)
        with pytest.raises(Forbidden, match="duty2 was named; a substitute gives a reason"):
            await desk.duty.sign_handover(DUTY3, made.handover_id)
        done = await desk.duty.sign_handover(DUTY3, made.handover_id, substitute_reason="周岚堵在路上")
        assert (done.to_user, done.substitute_reason) == ("duty3", "周岚堵在路上")

    run(story)


@pytest.mark.parametrize(
    ("post", "to", "reason", "says"),
    [
        ("boss", "duty3", "x", "post 'boss': no such post"),
        ("duty_officer", "duty1", "x", "cannot hand over to yourself"),
        ("duty_officer", "nobody", "x", "no such account"),
        ("duty_officer", "duty3", " ", "not on the roster"),
    ],
)
def test_a_wrong_draft_is_refused_by_name(post: str, to: str, reason: str, says: str) -> None:
    async def story(desk: Desk) -> None:
        with pytest.raises(Invalid, match=says):
            await desk.duty.draft_handover(DUTY1, post, "", to, substitute_reason=reason)

    run(story)


def test_one_hand_over_at_a_time_and_it_can_be_withdrawn_by_who_drafted_it() -> None:
    async def story(desk: Desk) -> None:
        first = await drafted(desk)
        with pytest.raises(Conflict, match=f"{first.handover_id} of duty1 is under way"):
            await drafted(desk)
        with pytest.raises(Forbidden, match="duty1's"):
            await desk.duty.withdraw_handover(DUTY2, first.handover_id, "不对")
        with pytest.raises(Invalid, match="needs a reason"):
            await desk.duty.withdraw_handover(DUTY1, first.handover_id, " ")
        gone = await desk.duty.withdraw_handover(DUTY1, first.handover_id, "写错了")
        assert gone.state_zh == "撤回"
        assert (await drafted(desk)).handover_id == "H-20190809-002"

    run(story)


def test_remarks_are_the_leavers_and_only_until_he_signs() -> None:
    async def story(desk: Desk) -> None:
        made = await drafted(desk)
        with pytest.raises(Forbidden, match="duty1's"):
            await desk.duty.remark_handover(DUTY2, made.handover_id, "x", 1)
        with pytest.raises(Conflict, match="revision 1, not 7"):
            await desk.duty.remark_handover(DUTY1, made.handover_id, "x", 7)
        changed = await desk.duty.remark_handover(DUTY1, made.handover_id, "三号泵站待修", 1)
        assert (changed.remarks, changed.rev) == ("三号泵站待修", 2)
        await desk.duty.sign_handover(DUTY1, made.handover_id)
        with pytest.raises(Conflict, match="交班已签"):
            await desk.duty.remark_handover(DUTY1, made.handover_id, "y", 3)

    run(story)


@pytest.mark.parametrize("username", ["clerk1", "analyst1", "unit-patrol-1", "admin", "vendor1"])
def test_only_the_desk_hands_over_and_writes_the_log(username: str) -> None:
    async def story(desk: Desk) -> None:
        with pytest.raises(Forbidden):
            await desk.duty.draft_handover(actor(username), "duty_officer", "", "duty3", substitute_reason="x")
        with pytest.raises(Forbidden):
            await desk.duty.write_log(actor(username), said("雨停了"))

    run(story)


# --- the log


def said(text: str, kind: LogKind = LogKind.CALL, **more: Any) -> LogEntry:
    return LogEntry(entry_id="", at_us=0, actor="", kind=kind, kind_zh=LOG_ZH[kind], text=text, **more)


def test_entries_are_numbered_by_the_citys_day() -> None:
    async def story(desk: Desk) -> None:
        first = await desk.duty.write_log(DUTY1, said("大陈岛来电：风力 11 级"))
        second = await desk.duty.write_log(DUTY2, said("市防指 12 号通知", LogKind.PAPER))
        assert [first.entry_id, second.entry_id] == ["L-20190809-001", "L-20190809-002"]
        assert (first.actor, first.at_us, first.auto) == ("duty1", START_US, False)
        await desk.world.later(3600 + 1)  # past midnight of the city
        assert (await desk.duty.write_log(DUTY1, said("零点汇总"))).entry_id == "L-20190810-001"
        day, _ = await desk.duty.log_entries(DUTY1, day="20190809")
        assert [e.entry_id for e in day] == ["L-20190809-002", "L-20190809-001"]
        with pytest.raises(Invalid, match="expected YYYYMMDD"):
            await desk.duty.log_entries(DUTY1, day="8-9")

    run(story)


def test_a_correction_is_a_new_entry_that_names_the_old_one() -> None:
    async def story(desk: Desk) -> None:
        wrong = await desk.duty.write_log(DUTY1, said("转移 120 人"))
        right = await desk.duty.write_log(DUTY1, said("转移 210 人", corrects=wrong.entry_id))
        entries, _ = await desk.duty.log_entries(DUTY1)
        assert [e.text for e in entries] == ["转移 210 人", "转移 120 人"]
        assert right.corrects == wrong.entry_id
        for link in ({"corrects": "L-1"}, {"incident_id": "I-1"}, {"alarm_id": "x"}, {"instruction_id": "P-1"}):
            with pytest.raises(NotFound):
                await desk.duty.write_log(DUTY1, said("x", **link))
        with pytest.raises(Invalid, match="kind 'shift'"):
            await desk.duty.write_log(DUTY1, said("x", LogKind.SHIFT))
        with pytest.raises(Invalid, match="needs words"):
            await desk.duty.write_log(DUTY1, said("  "))

    run(story)


def test_an_incident_opened_and_ended_stands_in_the_log_by_itself() -> None:
    async def story(desk: Desk) -> None:
        episode = river()
        await desk.world.happen(episode, Kind.RAISED, "red", 5.0)
        [incident], _ = await desk.world.center.incidents(DUTY1)
        await desk.world.center.verify(DUTY1, incident.incident_id)
        await desk.world.happen(episode, Kind.CLEARED, "", 3.0)
        await desk.world.center.close(LEADER, incident.incident_id, "水位回落")
        entries, _ = await desk.duty.log_entries(DUTY1)
        ended, opened = [e for e in entries if e.kind is LogKind.INCIDENT]
        assert opened.text.startswith(f"事件 {incident.incident_id} 建立（待核实）")
        assert ended.text.endswith("（水位回落）")
        assert (ended.actor, ended.auto, ended.incident_id) == ("leader1", True, incident.incident_id)

    run(story)


def test_a_street_sees_and_writes_its_own_lines() -> None:
    async def story(desk: Desk) -> None:
        street = actor("duty2", "339900001")
        await desk.duty.write_log(DUTY1, said("全县"))
        mine = await desk.duty.write_log(street, said("本街道"))
        assert mine.area == "339900001"
        seen, _ = await desk.duty.log_entries(street)
        assert [e.text for e in seen] == ["本街道"]
        with pytest.raises(Forbidden):
            await desk.duty.write_log(street, said("别处", area="339900002"))

    run(story)


def test_a_day_is_exported_oldest_first_and_the_reading_leaves_a_trace() -> None:
    async def story(desk: Desk) -> None:
        first = await desk.duty.write_log(DUTY1, said("来电 | 竖线\n换行"))
        await desk.duty.write_log(DUTY1, said("更正", corrects=first.entry_id))
        entries = await desk.duty.whole_day(DUTY1, "20190809")
        assert [r[0] for r in rows(entries)] == ["L-20190809-001", "L-20190809-002"]
        text = as_text("20190809", entries)
        assert "L-20190809-001 23:00:00 【来电】来电 | 竖线" in text
        assert "更正 L-20190809-001：更正" in text
        table = as_markdown("20190809", entries).splitlines()
        assert len(table) == 2 + 2 + 2
        assert "来电 \\| 竖线 换行" in table[4]
        async with desk.world.store.read() as tx:
            [entry] = await tx.journal("duty_log", "20190809", 9, None)
        assert (entry.action, entry.actor) == ("export", "duty1")
        with pytest.raises(Invalid, match="which one"):
            await desk.duty.whole_day(CLERK, "")

    run(story)
