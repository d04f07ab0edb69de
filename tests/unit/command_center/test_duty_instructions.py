"""批示 as supervised tasks: numbered, signed for, reported, checked, closed; and nobody can let one lie."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from citybrain_testing.command import DUTY1, DUTY2, LEADER, START_US, responder, river
from citybrain_testing.duty import CLERK, HOUR_US, LEADER2, Desk, a_desk, actor
from command_center.access.scope import Scope
from command_center.duty.instructions import InstructionDraft
from command_center.duty.machines import INSTRUCTION
from command_center.duty.model import AddresseeKind, Instruction, LogKind, Urgency
from command_center.duty.model import InstructionState as P
from command_center.errors import Forbidden, IllegalTransition, Invalid, NotFound
from command_center.model import Actor, Role
from rules.transitions import Kind
from storage.memory.command import MemoryStore

USER, UNIT, ORG = AddresseeKind.USER, AddresseeKind.UNIT, AddresseeKind.ORGANISATION


def run(story: Callable[[Desk], Coroutine[Any, Any, None]]) -> None:
    async def body() -> None:
        await story(await a_desk(MemoryStore()))

    asyncio.run(body())


async def given(desk: Desk, *to: tuple[AddresseeKind, str], **more: Any) -> Instruction:
    draft = InstructionDraft(text="立即排查低洼积水点", addressees=list(to) or [(USER, "duty1")], **more)
    return await desk.duty.instruct(LEADER, draft)


def prompts(instruction: Instruction, kind: str = "prompt") -> list[str]:
    return [e.text_zh for e in instruction.timeline if e.kind == kind]


# --- the way of an instruction


def test_an_instruction_goes_from_the_leader_to_its_close() -> None:
    async def story(desk: Desk) -> None:
        made = await given(desk, urgency=Urgency.URGENT, due_us=START_US + 2 * HOUR_US)
        assert (made.instruction_id, made.state, made.urgency_zh) == ("P-2019-001", P.ISSUED, "特急")
        duty, number = desk.duty, made.instruction_id
        assert (await duty.answer_instruction(DUTY1, number, P.RECEIVED)).state is P.RECEIVED
        assert (await duty.answer_instruction(DUTY1, number, P.IN_PROGRESS)).state is P.IN_PROGRESS
        reported = await duty.answer_instruction(DUTY1, number, P.REPORTED, comment="12 处已排查，3 处封控")
        assert reported.addressees[0].report == "12 处已排查，3 处封控"
        with pytest.raises(Invalid, match="say what is missing"):
            await duty.check_instruction(LEADER, number, P.RETURNED)
        back = await duty.check_instruction(LEADER, number, P.RETURNED, comment="缺第 9 处")
        assert back.state is P.RETURNED
        await duty.answer_instruction(DUTY1, number, P.REPORTED, comment="第 9 处已查")
        assert (await duty.check_instruction(DUTY2, number, P.CHECKED)).state is P.CHECKED
        closed = await duty.check_instruction(LEADER, number, P.CLOSED)
        assert (closed.state, closed.open, closed.state_zh) == (P.CLOSED, False, "办结")
        assert [e.kind for e in closed.timeline] == [
            *("issue", "received", "in_progress", "reported", "returned", "reported", "checked", "closed")
        ]
        async with desk.world.store.read() as tx:
            steps = [e.action for e in await tx.journal("instruction", f"{number}/1", 20, None)]
            assert await tx.due_timers(2**60, 2**60, 99) == []
        assert len(steps) == 7

    run(story)


def test_every_step_is_a_numbered_event_for_the_screens() -> None:
    async def story(desk: Desk) -> None:
        made = await given(desk)
        await desk.duty.answer_instruction(DUTY1, made.instruction_id, P.RECEIVED)
        shown = [c for c in desk.world.changes if c.channel == "instruction"]
        assert [(c.kind, c.rev, c.data["state"]) for c in shown] == [
            ("issue", 1, "ISSUED"),
            ("received", 2, "RECEIVED"),
        ]
        assert shown[0].seq < shown[1].seq
        kept = await desk.world.center.events_since("instruction", shown[0].seq)
        assert [c.seq for c in kept] == [shown[1].seq]
        seq, still_open = await desk.duty.open_instructions()
        assert seq == shown[1].seq
        assert [i.instruction_id for i in still_open] == [made.instruction_id]
        assert len(still_open[0].timeline) == 2

    run(story)


def test_each_addressee_has_his_own_state_and_the_whole_is_as_far_as_the_last() -> None:
    async def story(desk: Desk) -> None:
        made = await given(desk, (USER, "duty1"), (UNIT, "unit-patrol-1"), (ORG, "water-bureau"))
        number, duty = made.instruction_id, desk.duty
        await duty.answer_instruction(DUTY1, number, P.RECEIVED)
        await duty.answer_instruction(DUTY1, number, P.REPORTED, comment="已办")
        one = await duty.check_instruction(LEADER, number, P.CHECKED)  # only who is that far
        assert [a.state for a in one.addressees] == [P.CHECKED, P.ISSUED, P.ISSUED]
        assert one.state is P.ISSUED
        recalled = await duty.recall_instruction(LEADER, number, comment="改由市级负责")
        assert [a.state for a in recalled.addressees] == [P.CHECKED, P.RECALLED, P.RECALLED]
        assert recalled.state is P.CHECKED
        assert not (await duty.check_instruction(LEADER, number, P.CLOSED)).open

    run(story)


def test_a_step_that_the_table_does_not_have_is_refused() -> None:
    async def story(desk: Desk) -> None:
        made = await given(desk)
        with pytest.raises(IllegalTransition, match="P-2019-001/1' is ISSUED"):
            await desk.duty.answer_instruction(DUTY1, made.instruction_id, P.REPORTED, comment="已办")
        with pytest.raises(IllegalTransition):
            await desk.duty.check_instruction(LEADER, made.instruction_id, P.CLOSED)
        with pytest.raises(IllegalTransition):
            await desk.duty.check_instruction(LEADER, made.instruction_id, P.CHECKED, n=1)
        assert not INSTRUCTION.moves[P.RECALLED]

    run(story)


# --- who may


def test_only_who_is_addressed_answers_and_the_desk_for_who_telephoned() -> None:
    async def story(desk: Desk) -> None:
        made = await given(desk, (USER, "duty1"), (UNIT, "unit-patrol-1"))
        number, duty = made.instruction_id, desk.duty
        with pytest.raises(Forbidden, match="it is for 林晓 to answer"):
            await duty.answer_instruction(DUTY2, number, P.RECEIVED, n=1)
        with pytest.raises(NotFound):  # another unit does not even see it
            await duty.answer_instruction(responder("unit-patrol-2"), number, P.RECEIVED)
        own = await duty.answer_instruction(responder("unit-patrol-1"), number, P.RECEIVED)
        assert [a.n for a in own.addressees] == [2]
        by_radio = await duty.answer_instruction(DUTY2, number, P.REPORTED, n=2, comment="电台报告已到位")
        assert by_radio.addressees[1].state is P.REPORTED
        async with desk.world.store.read() as tx:
            entry, *_ = await tx.journal("instruction", f"{number}/2", 1, None)
        assert (entry.actor, entry.on_behalf_of) == ("duty2", "unit-patrol-1")

    run(story)


def test_an_organisations_people_answer_for_it() -> None:
    async def story(desk: Desk) -> None:
        made = await given(desk, (ORG, "water-bureau"))
        ours = Actor(username="analyst1", roles=frozenset({Role.ANALYST}), scope=Scope(organisations=("water-bureau",)))
        other = Actor(username="analyst1", roles=frozenset({Role.ANALYST}), scope=Scope(organisations=("fire",)))
        with pytest.raises(Forbidden, match="not among its addressees"):
            await desk.duty.answer_instruction(other, made.instruction_id, P.RECEIVED)
        assert (await desk.duty.answer_instruction(ours, made.instruction_id, P.RECEIVED)).state is P.RECEIVED

    run(story)


def test_nobody_checks_his_own_report() -> None:
    async def story(desk: Desk) -> None:
        made = await given(desk, (USER, "leader2"))
        await desk.duty.answer_instruction(LEADER2, made.instruction_id, P.RECEIVED)
        await desk.duty.answer_instruction(LEADER2, made.instruction_id, P.REPORTED, comment="已办")
        with pytest.raises(Forbidden, match="another person checks"):
            await desk.duty.check_instruction(LEADER2, made.instruction_id, P.CHECKED)
        assert (await desk.duty.check_instruction(LEADER, made.instruction_id, P.CHECKED)).state is P.CHECKED

    run(story)


def test_a_responder_and_a_street_see_what_is_theirs() -> None:
    async def story(desk: Desk) -> None:
        both = await given(desk, (UNIT, "unit-patrol-1"), (UNIT, "unit-patrol-2"), area="339900001")
        await given(desk, (USER, "duty1"), area="339900002")
        seen, _ = await desk.duty.instructions(responder("unit-patrol-1"))
        assert [i.instruction_id for i in seen] == [both.instruction_id]
        assert [a.id for a in seen[0].addressees] == ["unit-patrol-1"]
        one = await desk.duty.instruction(responder("unit-patrol-1"), both.instruction_id)
        assert {e.n for e in one.timeline} <= {0, 1}
        street = actor("duty2", "339900001")
        assert [i.instruction_id for i in (await desk.duty.instructions(street))[0]] == [both.instruction_id]
        with pytest.raises(NotFound):
            await desk.duty.instruction(street, "P-2019-002")
        with pytest.raises(NotFound):
            await desk.duty.check_instruction(street, "P-2019-002", P.CHECKED)

    run(story)


@pytest.mark.parametrize("username", ["duty1", "clerk1", "admin", "analyst1", "unit-patrol-1"])
def test_only_a_leader_instructs(username: str) -> None:
    async def story(desk: Desk) -> None:
        draft = InstructionDraft(text="x", addressees=[(USER, "duty1")])
        with pytest.raises(Forbidden, match="give an instruction"):
            await desk.duty.instruct(actor(username), draft)

    run(story)


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"text": "  "}, Invalid, "needs words"),
        ({"addressees": []}, Invalid, "addressees: 1 to 50"),
        ({"addressees": [(USER, "nobody")]}, Invalid, r"addressees\[0\]: user 'nobody'"),
        ({"addressees": [(USER, "duty1"), (UNIT, "u-9")]}, Invalid, r"addressees\[1\]: unit 'u-9'"),
        ({"addressees": [(USER, "duty1"), (USER, "duty1")]}, Invalid, "named twice"),
        ({"due_us": START_US}, Invalid, "in the past of the city"),
        ({"incident_id": "I-1"}, NotFound, "incident 'I-1'"),
    ],
)
def test_a_wrong_instruction_is_refused_by_name(changes: dict[str, Any], error: type[Exception], says: str) -> None:
    async def story(desk: Desk) -> None:
        base: dict[str, Any] = {"text": "x", "addressees": [(USER, "duty1")]}
        with pytest.raises(error, match=says):
            await desk.duty.instruct(LEADER, InstructionDraft(**base | changes))

    run(story)


# --- waiting


@pytest.mark.parametrize(
    ("urgency", "wait_s"), [(Urgency.URGENT, 300), (Urgency.PRESSING, 900), (Urgency.NORMAL, 3600)]
)
def test_who_does_not_sign_for_it_is_supervised_by_urgency_in_machine_time(urgency: Urgency, wait_s: float) -> None:
    async def story(desk: Desk) -> None:
        made = await given(desk, urgency=urgency)
        await desk.world.later(wait_s * 10, machine=False)  # an hour of a scaled clock is a moment for a person
        assert prompts(await desk.duty.instruction(LEADER, made.instruction_id)) == []
        await desk.world.later(wait_s + 1, city=False)
        told = prompts(await desk.duty.instruction(LEADER, made.instruction_id))
        assert told == [f"督办：林晓 {wait_s / 60:g} 分钟未签收批示，请 leader1 过问"]
        await desk.world.later(wait_s + 1, city=False)
        assert len(prompts(await desk.duty.instruction(LEADER, made.instruction_id))) == 2
        await desk.duty.answer_instruction(DUTY1, made.instruction_id, P.RECEIVED)
        await desk.world.later(wait_s * 3, city=False)
        assert len(prompts(await desk.duty.instruction(LEADER, made.instruction_id))) == 2

    run(story)


def test_a_reminder_halfway_and_a_supervision_when_it_is_due() -> None:
    async def story(desk: Desk) -> None:
        made = await given(desk, urgency=Urgency.URGENT, due_us=START_US + 2 * HOUR_US)
        number = made.instruction_id
        await desk.duty.answer_instruction(DUTY1, number, P.RECEIVED)
        await desk.world.later(3599, machine=False)
        assert prompts(await desk.duty.instruction(LEADER, number), "reminder") == []
        await desk.world.later(2, machine=False)
        assert (
            "办理时限已过半，08-10 01:00 前请反馈"
            in prompts(await desk.duty.instruction(LEADER, number), "reminder")[0]
        )
        await desk.world.later(3600, machine=False)
        late = await desk.duty.instruction(LEADER, number)
        assert late.addressees[0].overdue
        assert "逾期未反馈（时限 08-10 01:00）" in prompts(late)[0]
        await desk.world.later(1801, city=False)
        assert len(prompts(await desk.duty.instruction(LEADER, number))) == 2
        done = await desk.duty.answer_instruction(DUTY1, number, P.REPORTED, comment="已办")
        assert done.addressees[0].overdue  # that it was late stays a fact
        await desk.world.later(4 * 3600)
        assert len(prompts(await desk.duty.instruction(LEADER, number))) == 2

    run(story)


def test_a_restart_forgets_no_wait() -> None:
    async def story(desk: Desk) -> None:
        made = await given(desk, urgency=Urgency.URGENT)
        desk.world.clock.step(600)
        again = desk.world.restarted()
        while await again.timers.run_due():
            pass
        assert len(prompts(await desk.duty.instruction(LEADER, made.instruction_id))) == 1

    run(story)


def test_an_instruction_about_an_incident_is_told_there_and_in_the_log() -> None:
    async def story(desk: Desk) -> None:
        await desk.world.happen(river(), Kind.RAISED, "red", 5.0)
        [incident], _ = await desk.world.center.incidents(DUTY1)
        made = await given(desk, incident_id=incident.incident_id, urgency=Urgency.URGENT)
        assert made.area == incident.area
        await desk.world.later(301, city=False)
        [shown], _ = await desk.world.center.incidents(DUTY1)
        told = [e.text_zh for e in shown.timeline if e.ref == made.instruction_id]
        assert told[0] == "批示 P-2019-001：立即排查低洼积水点"
        assert told[1].startswith("督办：")
        entries, _ = await desk.duty.log_entries(DUTY1)
        [line] = [e for e in entries if e.kind is LogKind.INSTRUCTION]
        assert (line.instruction_id, line.incident_id) == (made.instruction_id, incident.incident_id)

    run(story)


def test_a_streets_leader_instructs_in_his_street_and_about_its_incidents_only() -> None:
    async def story(desk: Desk) -> None:
        await desk.world.happen(river(), Kind.RAISED, "red", 5.0)  # in the county, not in the street
        [incident], _ = await desk.world.center.incidents(DUTY1)
        street = actor("leader1", "339900001")
        to = [(USER, "duty1")]
        assert (await desk.duty.instruct(street, InstructionDraft(text="x", addressees=to))).area == "339900001"
        for elsewhere in ({"area": "339900002"}, {"incident_id": incident.incident_id, "area": "339900001"}):
            with pytest.raises(Forbidden, match="outside your scope"):
                await desk.duty.instruct(street, InstructionDraft(text="x", addressees=to, **elsewhere))
        [told], _ = await desk.world.center.incidents(DUTY1)
        assert not [e for e in told.timeline if e.kind == "instruction"]

    run(story)


def test_the_numbers_begin_anew_with_the_citys_year() -> None:
    async def story(desk: Desk) -> None:
        await given(desk)
        assert (await given(desk)).instruction_id == "P-2019-002"
        await desk.world.later(145 * 24 * 3600, machine=False)
        assert (await given(desk)).instruction_id == "P-2020-001"
        found, following = await desk.duty.instructions(CLERK, limit=2)
        assert [i.instruction_id for i in found] == ["P-2020-001", "P-2019-002"]
        rest, end = await desk.duty.instructions(CLERK, limit=2, cursor=following or "")
        assert ([i.instruction_id for i in rest], end) == (["P-2019-001"], None)

    run(story)
