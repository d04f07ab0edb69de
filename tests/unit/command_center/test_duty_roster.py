"""Who is on duty decides who is called: the chain, its holes, shift changes, and the calls that follow them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citybrain_testing.command import ADMIN, DUTY1, DUTY2, LEADER, START_US, underpass
from citybrain_testing.duty import CLERK, DAY_US, HOUR_US, Desk, a_desk, actor
from command_center.duty import roster, shifts
from command_center.duty.model import DEFAULT_POSTS, DutyNow, LogKind, Post, Shift
from command_center.duty.shifts import ShiftDraft
from command_center.errors import Conflict, Forbidden, Invalid, NotFound
from command_center.model import EscalationState
from rules.transitions import Kind
from storage.memory.command import MemoryStore

H = HOUR_US


def run(story: Callable[[Desk], Coroutine[Any, Any, None]]) -> None:
    async def body() -> None:
        await story(await a_desk(MemoryStore()))

    asyncio.run(body())


async def names(desk: Desk, area: str = "339900", hazard: str = "") -> list[str]:
    return [c.username or c.name for c in (await desk.duty.chain(DUTY1, area, hazard)).chain]


async def calling(desk: Desk, alarm_id: str) -> EscalationState:
    found = (await desk.world.center.alarm(DUTY1, alarm_id))[0].escalation
    assert found is not None
    return found


# --- the chain


def test_posts_are_called_in_their_order() -> None:
    async def story(desk: Desk) -> None:
        await desk.night()
        chain = await desk.duty.chain(DUTY1, "339900")
        assert [(c.step, c.post, c.username) for c in chain.chain] == [
            (0, "duty_officer", "duty1"),
            (1, "deputy", "duty2"),
            (2, "duty_leader", "leader1"),
        ]
        assert chain.gaps == []
        assert not chain.last_resort

    run(story)


def test_the_street_is_called_before_the_county() -> None:
    async def story(desk: Desk) -> None:
        await desk.night()
        await desk.shift("duty3", "duty_officer", -1, 9, area="339900001")
        await desk.shift("leader2", "duty_leader", -1, 9, area="339900001")
        assert await names(desk, "339900001002") == ["duty3", "leader2", "duty1", "duty2", "leader1"]
        assert await names(desk, "339900002") == ["duty1", "duty2", "leader1"]
        # Where nobody knows the place, everybody is called, who answers for the most first.
        assert await names(desk, "") == ["duty1", "duty2", "leader1", "duty3", "leader2"]

    run(story)


def test_who_is_disabled_or_on_leave_is_passed_over_and_the_hole_has_a_name() -> None:
    async def story(desk: Desk) -> None:
        await desk.night()
        await desk.set_user("duty1", enabled=False)
        await desk.duty.add_absence(CLERK, "leader1", START_US - H, START_US + H, "病假")
        chain = await desk.duty.chain(DUTY2, "339900")
        assert [c.username for c in chain.chain] == ["duty2"]
        assert [g.post for g in chain.gaps] == ["duty_officer", "duty_leader"]
        assert "林晓 请假或停用" in chain.gaps[0].text_zh
        assert "No one on duty for duty officer from 08-09 20:00 to 08-10 08:00" in chain.gaps[0].text_en
        await desk.world.later(2 * 3600)
        assert await names(desk) == ["duty2", "leader1"]  # his leave is over

    run(story)


def test_a_post_for_one_hazard_is_called_for_that_hazard_only() -> None:
    async def story(desk: Desk) -> None:
        await desk.night()
        expert = Post(post="chemist", zh="化工专家", en="Chemist", step=0, required=False, hazards=["hazchem"])
        await desk.duty.set_posts(CLERK, [*DEFAULT_POSTS, expert], "园区专家值班")
        await desk.shift("", "chemist", -1, 9, name="外请专家", phone="13900000001")
        assert await names(desk, hazard="hazchem") == ["外请专家", "duty1", "duty2", "leader1"]
        assert await names(desk, hazard="flood") == ["duty1", "duty2", "leader1"]

    run(story)


def test_one_person_on_two_posts_is_called_once_a_round() -> None:
    async def story(desk: Desk) -> None:
        await desk.shift("duty1", "duty_officer", -1, 9)
        await desk.shift("duty1", "duty_chief", -1, 9)
        await desk.shift("leader1", "duty_leader", -1, 9)
        assert await names(desk) == ["duty1", "leader1"]

    run(story)


def test_without_anybody_the_fixed_chain_is_the_last_resort_and_says_so() -> None:
    async def story(desk: Desk) -> None:
        chain = await desk.duty.chain(DUTY1, "339900")
        assert chain.last_resort
        assert [c.username for c in chain.chain] == ["duty1", "duty2", "leader1"]
        assert [g.post for g in chain.gaps] == ["duty_officer", "duty_leader"]
        await desk.set_user("duty1", enabled=False)
        assert await names(desk) == ["duty2", "leader1"]
        for other in ("duty2", "leader1"):
            await desk.set_user(other, enabled=False)
        assert await names(desk) == ["duty1", "duty2", "leader1"]  # nobody at all: better a wrong call than none

    run(story)


def test_numbers_are_masked_sealed_at_rest_and_read_in_clear_only_by_the_desk_with_a_trace() -> None:
    async def story(desk: Desk) -> None:
        shift_id = await desk.shift("", "tech", -1, 9, name="王工", phone="13912345678")
        async with desk.world.store.read() as tx:
            stored = await tx.shift(shift_id)
            entries = await tx.journal("shift", shift_id, 9, None)
        assert stored is not None
        assert "13912345678" not in repr(stored)
        assert "13912345678" not in repr(entries)
        assert (await desk.duty.chain(DUTY1, "339900")).chain[0].phone == "139****5678"
        clear = await desk.duty.chain(DUTY1, "339900", clear=True)
        assert clear.chain[0].phone == "13912345678"
        with pytest.raises(Forbidden, match="telephone numbers"):
            await desk.duty.chain(CLERK, "339900", clear=True)
        async with desk.world.store.read() as tx:
            [read] = await tx.journal("duty", "339900", 9, None)
        assert (read.action, read.actor) == ("read_phones", "duty1")
        assert "13912345678" not in repr(read)
        plan = await desk.duty.plan(CLERK, START_US, START_US + H)
        assert plan.shifts[0].phone == ""

    run(story)


# --- calls


def test_an_alarm_goes_round_the_people_of_the_roster() -> None:
    async def story(desk: Desk) -> None:
        await desk.shift("duty3", "duty_officer", -3, 9)
        await desk.shift("leader2", "duty_leader", -3, 9)
        episode = underpass()
        await desk.world.happen(episode, Kind.RAISED, "red", 0.7)
        first = await calling(desk, episode.alarm_id)
        assert (first.step, first.to, first.to_name, first.post, first.phone) == (
            0,
            "duty3",
            "吴越",
            "duty_officer",
            "138****0003",
        )
        for step, who in enumerate(["leader2", "duty3", "leader2"], start=1):
            await desk.world.later(60.1)
            found = await calling(desk, episode.alarm_id)
            assert (found.step, found.to) == (step, who)

    run(story)


def test_a_shift_change_moves_the_unanswered_call_to_the_new_person_of_the_post() -> None:
    async def story(desk: Desk) -> None:
        await desk.shift("duty1", "duty_officer", -3, 1)
        await desk.shift("duty3", "duty_officer", 1, 9)
        await desk.shift("leader1", "duty_leader", -3, 9)
        episode = underpass()
        await desk.world.happen(episode, Kind.RAISED, "red", 0.7)
        assert (await calling(desk, episode.alarm_id)).to == "duty1"
        await desk.world.later(3600, machine=False)  # an hour of the city passes in a moment
        found = await calling(desk, episode.alarm_id)
        assert (found.step, found.to, found.post) == (0, "duty3", "duty_officer")
        [incident], _ = await desk.world.center.incidents(DUTY1)
        assert any("换班，改呼值班员吴越" in e.text_zh for e in incident.timeline)
        entries, _ = await desk.world.center.journal(LEADER, entity="alarm", entity_id=episode.alarm_id)
        assert "duty1 is not on duty any more; to duty3" in entries[0].reason
        await desk.world.later(60.1)
        assert (await calling(desk, episode.alarm_id)).to == "leader1"

    run(story)


def test_leave_entered_while_the_telephone_rings_moves_the_call_at_once() -> None:
    async def story(desk: Desk) -> None:
        await desk.night()
        episode = underpass()
        await desk.world.happen(episode, Kind.RAISED, "red", 0.7)
        assert (await calling(desk, episode.alarm_id)).to == "duty1"
        absence, touched = await desk.duty.add_absence(CLERK, "duty1", START_US, START_US + 3 * H, "突发疾病")
        assert [s.post for s in touched] == ["duty_officer"]
        assert (await calling(desk, episode.alarm_id)).to == "duty2"
        await desk.duty.remove_absence(CLERK, absence.absence_id, "已返岗")
        assert (await calling(desk, episode.alarm_id)).to == "duty2"  # who is called stays called

    run(story)


def test_an_acknowledged_alarm_is_not_called_again_by_a_shift_change() -> None:
    async def story(desk: Desk) -> None:
        await desk.night()
        episode = underpass()
        await desk.world.happen(episode, Kind.RAISED, "red", 0.7)
        await desk.world.center.acknowledge(DUTY1, episode.alarm_id)
        await desk.world.drain()
        await desk.world.later(10 * 3600)
        assert (await desk.world.center.alarm(DUTY1, episode.alarm_id))[0].escalation is None

    run(story)


# --- shift change


@pytest.mark.parametrize(
    ("left", "came", "told"),
    [
        ("林晓", "周岚", "林晓 下班，周岚 上班"),
        ("", "周岚", "周岚 上班"),
        ("林晓", "", "林晓 下班，无人接班"),
    ],
)
def test_a_shift_change_says_only_what_is(left: str, came: str, told: str) -> None:
    assert shifts._change_zh(left, came) == told


def test_a_shift_change_is_told_in_the_log_and_shown_on_the_board_once() -> None:
    async def story(desk: Desk) -> None:
        await desk.night()
        desk.world.changes.clear()
        await desk.world.later(9 * 3600 + 1, machine=False)
        entries, _ = await desk.duty.log_entries(DUTY1)
        told = [e.text for e in reversed(entries) if e.kind is LogKind.SHIFT]
        assert told == [
            "值班员：林晓 下班，周岚 上班",
            "副值班：周岚 下班，林晓 上班",
            "带班领导：陈海 下班，何川 上班",
        ]
        assert all(e.auto and e.actor == "system" for e in entries)
        [shown] = [c for c in desk.world.changes if c.channel == "duty"]
        assert [p["username"] for p in shown.data["on_duty"]] == ["duty2", "duty1", "leader2"]
        await desk.world.later(3600, machine=False)
        assert len((await desk.duty.log_entries(DUTY1))[0]) == len(entries)

    run(story)


def test_the_end_of_the_roster_is_a_gap_on_the_board() -> None:
    async def story(desk: Desk) -> None:
        await desk.night()
        await desk.world.later(34 * 3600, machine=False)
        shown = [c for c in desk.world.changes if c.channel == "duty"][-1]
        assert shown.data["last_resort"]
        assert [g["text_zh"] for g in shown.data["gaps"]] == [
            "值班员无人在岗：08-11 08:00 至 未排班",
            "带班领导无人在岗：08-11 08:00 至 未排班",
        ]

    run(story)


def test_a_restart_forgets_no_shift_change() -> None:
    async def story(desk: Desk) -> None:
        await desk.night()
        desk.world.clock.step(9 * 3600 + 60)  # the machine was off meanwhile
        again = desk.world.restarted()
        while await again.timers.run_due():
            pass
        entries, _ = await desk.duty.log_entries(DUTY1)
        assert [e.kind for e in entries] == [LogKind.SHIFT] * 3

    run(story)


def test_who_hands_over_to_nobody_is_prompted_after_fifteen_minutes_of_the_machine() -> None:
    async def story(desk: Desk) -> None:
        await desk.night()
        await desk.world.later(9 * 3600 + 1, machine=False)
        await desk.world.later(899)
        entries, _ = await desk.duty.log_entries(DUTY1)
        assert not [e for e in entries if e.kind is LogKind.HANDOVER]
        await desk.world.later(2)
        entries, _ = await desk.duty.log_entries(DUTY1)
        assert "交接班逾期：林晓 08-10 08:00 下班" in entries[0].text
        shown = [c for c in desk.world.changes if c.channel == "duty"][-1]
        assert shown.data["late_handovers"] == ["S-20190809-2000-duty_officer"]  # the leader's post needs none
        await desk.world.later(901)
        assert len((await desk.duty.log_entries(DUTY1))[0]) == len(entries)  # told once
        handover = await desk.duty.draft_handover(DUTY1, "duty_officer", "", "duty2")
        assert handover.shift_id == "S-20190809-2000-duty_officer"
        await desk.duty.sign_handover(DUTY1, handover.handover_id)
        await desk.duty.sign_handover(DUTY2, handover.handover_id)
        shown = [c for c in desk.world.changes if c.channel == "duty"][-1]
        assert shown.data["late_handovers"] == []

    run(story)


def test_who_goes_on_hands_over_to_nobody() -> None:
    async def story(desk: Desk) -> None:
        await desk.shift("duty1", "duty_officer", -3, 1)
        await desk.shift("duty1", "duty_officer", 1, 9)
        await desk.world.later(3600 + 1, machine=False)
        await desk.world.later(901)
        assert not [e for e in (await desk.duty.log_entries(DUTY1))[0] if e.kind is LogKind.HANDOVER]

    run(story)


# --- planning


def test_a_rotation_fills_a_month_and_passes_midnight() -> None:
    async def story(desk: Desk) -> None:
        start = START_US + 9 * H  # 08:00
        made = await desk.duty.generate(
            CLERK, "duty_officer", "", ["duty1", "duty2", "duty3"], start, 24 * H, start + 30 * DAY_US, "六月排班"
        )
        assert len(made) == 30
        assert [s.username for s in made[:4]] == ["duty1", "duty2", "duty3", "duty1"]
        plan = await desk.duty.plan(CLERK, start, start + 31 * DAY_US)
        assert [(g.post, g.from_us) for g in plan.gaps if g.post == "duty_officer"] == [
            ("duty_officer", start + 30 * DAY_US)
        ]
        with pytest.raises(Conflict, match="stands in this time already"):
            await desk.duty.generate(CLERK, "duty_officer", "", ["duty1"], start, 12 * H, start + DAY_US, "")
        with pytest.raises(Invalid, match="shift_hours"):
            await desk.duty.generate(CLERK, "deputy", "", ["duty1"], start, 1, start + DAY_US, "")
        with pytest.raises(Invalid, match="'nobody': no such account"):
            await desk.duty.generate(CLERK, "deputy", "", ["duty2", "nobody"], start, 12 * H, start + DAY_US, "")
        assert not [s for s in (await desk.duty.plan(CLERK, start, start + DAY_US)).shifts if s.post == "deputy"]

    run(story)


def test_overlaps_and_gaps_are_found_and_named() -> None:
    async def story(desk: Desk) -> None:
        await desk.shift("duty1", "duty_officer", 0, 10)
        await desk.shift("duty2", "duty_officer", 8, 20)
        await desk.shift("duty1", "deputy", 9, 12)
        await desk.shift("leader1", "duty_leader", 0, 24)
        plan = await desk.duty.plan(CLERK, START_US, START_US + 24 * H)
        assert [o.kind for o in plan.overlaps] == ["post", "person"]
        assert "duty_officer 同时有 duty1 和 duty2" in plan.overlaps[0].text_zh
        assert [(g.post, (g.from_us - START_US) // H) for g in plan.gaps] == [("duty_officer", 20)]

    run(story)


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"post": "boss"}, Invalid, "post 'boss': expected one of duty_officer"),
        ({"username": "nobody"}, Invalid, "no such account"),
        ({"to_us": START_US}, Invalid, "a shift ends after it begins"),
        ({"to_us": START_US + 8 * DAY_US}, Invalid, "at most 7 days"),
        ({"area": "33 99"}, Invalid, "administrative code"),
        ({"username": "", "name": "王工"}, Invalid, "telephone"),
        ({"username": "duty1", "from_us": START_US + 5}, Conflict, "stands on duty_officer already in S-20190809-2300"),
    ],
)
def test_a_wrong_shift_is_refused_by_name(changes: dict[str, Any], error: type[Exception], says: str) -> None:
    async def story(desk: Desk) -> None:
        await desk.shift("duty1", "duty_officer", 0, 8)
        base: dict[str, Any] = {
            "post": "duty_officer",
            "username": "duty2",
            "from_us": START_US,
            "to_us": START_US + 8 * H,
        }
        with pytest.raises(error, match=says):
            await desk.duty.add_shift(CLERK, ShiftDraft(**base | changes), "")

    run(story)


def test_a_shift_that_has_begun_keeps_who_stood_there() -> None:
    async def story(desk: Desk) -> None:
        shift_id = await desk.shift("duty1", "duty_officer", -1, 8)
        draft = ShiftDraft(post="duty_officer", username="duty2", from_us=START_US - H, to_us=START_US + 8 * H)
        with pytest.raises(Conflict, match="has begun"):
            await desk.duty.change_shift(CLERK, shift_id, draft, 1, "")
        with pytest.raises(Conflict, match="has begun"):
            await desk.duty.remove_shift(CLERK, shift_id, 1, "")
        cut, rest = await desk.duty.reassign_shift(CLERK, shift_id, "duty3", 1, kind="leave", reason="家中急事")
        assert (cut.username, cut.to_us) == ("duty1", START_US)
        assert (rest.username, rest.from_us, rest.to_us) == ("duty3", START_US, START_US + 8 * H)
        async with desk.world.store.read() as tx:
            [entry] = [e for e in await tx.journal("shift", shift_id, 9, None) if e.action == "leave"]
        assert entry.reason == "leave: duty1 to duty3: 家中急事"
        assert await names(desk) == ["duty3"]

    run(story)


def test_a_future_shift_is_swapped_changed_and_deleted_from_its_revision_only() -> None:
    async def story(desk: Desk) -> None:
        shift_id = await desk.shift("duty1", "duty_officer", 24, 32)
        [swapped] = await desk.duty.reassign_shift(CLERK, shift_id, "duty2", 1, kind="swap", reason="调班")
        assert (swapped.username, swapped.name, swapped.rev) == ("duty2", "周岚", 2)
        with pytest.raises(Conflict, match="revision 2, not 1"):
            await desk.duty.reassign_shift(CLERK, shift_id, "duty3", 1, kind="swap", reason="调班")
        with pytest.raises(Conflict, match="revision 2, not 1"):
            await desk.duty.remove_shift(CLERK, shift_id, 1, "")
        await desk.duty.remove_shift(CLERK, shift_id, 2, "取消")
        with pytest.raises(NotFound):
            await desk.duty.remove_shift(CLERK, shift_id, 3, "")

    run(story)


def test_a_contacts_number_is_kept_when_the_form_gives_back_what_it_showed() -> None:
    async def story(desk: Desk) -> None:
        shift_id = await desk.shift("", "tech", 1, 9, name="王工", phone="13912345678")
        for rev, phone in enumerate(("", "139****5678"), start=1):
            end_us = START_US + (9 + rev) * H
            draft = ShiftDraft(post="tech", name="王工", phone=phone, from_us=START_US + H, to_us=end_us)
            changed = await desk.duty.change_shift(CLERK, shift_id, draft, rev, "延长")
            assert (changed.to_us, changed.phone_mask) == (end_us, "139****5678")
        await desk.world.later(2 * 3600)
        assert (await desk.duty.chain(DUTY1, "339900", clear=True)).chain[0].phone == "13912345678"
        other = ShiftDraft(post="tech", name="李工", phone="139****5678", from_us=START_US, to_us=START_US + H)
        with pytest.raises(Invalid, match="telephone"):
            await desk.duty.add_shift(CLERK, other, "")

    run(story)


def test_a_district_without_a_roster_is_told_so_in_words_that_stay() -> None:
    async def story(desk: Desk) -> None:
        await desk.duty.show()
        first = desk.world.changes[-1].data["gaps"]
        assert first[0]["text_zh"] == "值班员无人在岗：未排班"
        await desk.world.later(3600)
        await desk.duty.show()
        assert desk.world.changes[-1].data["gaps"] == first  # a banner that changes each minute is noise

    run(story)


def test_a_post_with_shifts_ahead_cannot_go_and_codes_and_steps_are_given_once() -> None:
    async def story(desk: Desk) -> None:
        await desk.shift("duty1", "tech", 1, 8)
        with pytest.raises(Conflict, match="post tech still has shifts"):
            await desk.duty.set_posts(CLERK, DEFAULT_POSTS[:4], "")
        with pytest.raises(Invalid, match="step 1: given twice"):
            await desk.duty.set_posts(CLERK, [*DEFAULT_POSTS, Post(post="driver", zh="司机", en="Driver", step=1)], "")
        swapped = [Post(post=p.post, zh=p.zh, en=p.en, step=10 - p.step) for p in DEFAULT_POSTS]
        found = await desk.duty.set_posts(CLERK, swapped, "值班领导先叫应")
        assert [p.post for p in found] == ["tech", "duty_leader", "duty_chief", "deputy", "duty_officer"]
        async with desk.world.store.read() as tx:
            [entry] = await tx.journal("duty_post", "all", 9, None)
        assert entry.reason == "值班领导先叫应"

    run(story)


# --- who may


def test_a_planner_plans_inside_his_area_only() -> None:
    async def story(desk: Desk) -> None:
        street = actor("clerk1", "339900001")
        draft = ShiftDraft(post="duty_officer", username="duty1", from_us=START_US, to_us=START_US + H)
        for area in ("", "339900", "339900002"):
            with pytest.raises(Forbidden, match="outside your scope"):
                await desk.duty.add_shift(street, ShiftDraft(**{**_fields(draft), "area": area}), "")
        made = await desk.duty.add_shift(street, ShiftDraft(**{**_fields(draft), "area": "339900001"}), "")
        other = await desk.shift("duty2", "duty_officer", 0, 1, area="339900002")
        seen = await desk.duty.plan(street, START_US, START_US + H)
        assert [s.shift_id for s in seen.shifts] == [made.shift_id]
        with pytest.raises(NotFound):
            await desk.duty.shift(street, other)
        with pytest.raises(NotFound):
            await desk.duty.remove_shift(street, other, 1, "")
        with pytest.raises(Forbidden):
            await desk.duty.set_posts(street, DEFAULT_POSTS, "")
        with pytest.raises(Forbidden):
            await desk.duty.chain(street, "339900002")
        assert (await desk.duty.chain(street, "")).area == "339900001"  # where he works

    run(story)


def _fields(draft: ShiftDraft) -> dict[str, Any]:
    return {name: getattr(draft, name) for name in draft.__struct_fields__}


@pytest.mark.parametrize("username", ["duty1", "analyst1", "unit-patrol-1", "vendor1"])
def test_who_does_not_plan_cannot(username: str) -> None:
    async def story(desk: Desk) -> None:
        draft = ShiftDraft(post="duty_officer", username="duty1", from_us=START_US, to_us=START_US + H)
        with pytest.raises(Forbidden, match="plan duty"):
            await desk.duty.add_shift(actor(username), draft, "")
        with pytest.raises(Forbidden):
            await desk.duty.generate(actor(username), "deputy", "", ["duty1"], START_US, H, START_US + H, "")

    run(story)


def test_the_board_is_shown_without_a_change_of_plan_too() -> None:
    async def story(desk: Desk) -> None:
        await desk.night()
        await desk.set_user("duty1", enabled=False)
        desk.world.changes.clear()
        await desk.duty.show()
        [change] = desk.world.changes
        assert DutyNow(**{**change.data, "gaps": []}).on_duty[0] is not None
        assert change.data["gaps"][0]["post"] == "duty_officer"
        async with desk.world.store.write() as tx:
            await tx.drop_timer(shifts.SHIFT_TIMER)
        await desk.duty.show()
        async with desk.world.store.read() as tx:
            assert await tx.timer(shifts.SHIFT_TIMER) is not None

    run(story)


SHIFTS = st.lists(
    st.tuples(st.integers(0, 50), st.integers(1, 20)).map(
        lambda s: Shift(shift_id=f"{s}", post="p", username="u", from_us=s[0], to_us=s[0] + s[1])
    ),
    max_size=8,
)


@given(SHIFTS, st.integers(0, 30), st.integers(1, 40))
def test_holes_are_exactly_where_no_shift_stands(plan: list[Shift], start: int, length: int) -> None:
    end = start + length
    found = roster.holes(plan, start, end)
    inside = {t for a, b in found for t in range(a, b)}
    assert inside == {t for t in range(start, end) if not any(s.covers(t) for s in plan)}
    assert all(a < b for a, b in found)


@given(SHIFTS)
def test_every_pair_that_stands_together_is_an_overlap(plan: list[Shift]) -> None:
    unique = list({s.shift_id: s for s in plan}.values())
    pairs = {frozenset((a.shift_id, b.shift_id)) for a in unique for b in unique if a is not b and a.meets(b)}
    assert {frozenset(o.shift_ids) for o in roster.overlaps(unique)} == pairs


def test_an_administrator_may_plan_too() -> None:
    async def story(desk: Desk) -> None:
        draft = ShiftDraft(post="tech", username="duty1", from_us=START_US, to_us=START_US + H)
        assert (await desk.duty.add_shift(ADMIN, draft, "")).post == "tech"

    run(story)
