"""Duty's rows: the same suite on the memory twin and on PostgreSQL; what the database alone refuses, on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import psycopg
import pytest

from citybrain_testing.command import START_US
from citybrain_testing.command_store import command_store
from citybrain_testing.duty import HOUR_US, a_desk, actor
from command_center.duty.machines import HANDOVER, INSTRUCTION
from command_center.duty.model import (
    DEFAULT_POSTS,
    Absence,
    Addressee,
    AddresseeKind,
    Handover,
    HandoverState,
    Instruction,
    InstructionEvent,
    InstructionState,
    LogEntry,
    LogKind,
    OpenItem,
    Shift,
    Signature,
    Urgency,
)
from command_center.model import Role, User
from command_center.ports import Store
from command_center.records import UserRecord
from storage.database import Database
from storage.migrate import migrate

replace = msgspec.structs.replace
Story = Callable[[Store], Awaitable[None]]
Run = Callable[[Story], None]


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.database)])
def run(request: pytest.FixtureRequest) -> Run:
    url = request.getfixturevalue("fresh_url")() if request.param == "postgres" else None

    async def body(story: Story) -> None:
        async with command_store(url) as store:
            await story(store)

    return lambda story: asyncio.run(body(story))


def a_shift(shift_id: str = "a", from_h: float = 0, to_h: float = 8, **fields: Any) -> Shift:
    base = Shift(
        shift_id=shift_id,
        post="duty_officer",
        username="duty1",
        name="林晓",
        phone="p1:k1:x",
        phone_mask="138****0001",
        from_us=START_US + round(from_h * HOUR_US),
        to_us=START_US + round(to_h * HOUR_US),
    )
    return replace(base, **fields)


def a_handover(**fields: Any) -> Handover:
    item = OpenItem(kind="alarm", ref="a" * 16, text_zh="水位", text_en="stage", colour="red", until_us=START_US)
    base = Handover(
        handover_id="H-20190809-001",
        post="duty_officer",
        area="",
        shift_id="a",
        from_user="duty1",
        to_user="duty2",
        substitute_reason="",
        state=HandoverState.DRAFT,
        state_zh="草拟",
        remarks="",
        summary={"alarm": 1},
        open_items=[item],
        signatures=[],
        created_us=START_US,
        changed_us=START_US,
        rev=1,
    )
    return replace(base, **fields)


def an_instruction(**fields: Any) -> Instruction:
    two = [
        Addressee(n=1, kind=AddresseeKind.USER, id="duty1", name="林晓", state_zh="下达", changed_us=START_US),
        Addressee(n=2, kind=AddresseeKind.UNIT, id="u1", name="一队", state_zh="下达", changed_us=START_US),
    ]
    base = Instruction(
        instruction_id="P-2019-001",
        text="封控低洼路段",
        urgency=Urgency.URGENT,
        urgency_zh="特急",
        issued_by="leader1",
        issued_us=START_US,
        due_us=START_US + HOUR_US,
        incident_id="",
        area="339900",
        state=InstructionState.ISSUED,
        state_zh="下达",
        open=True,
        changed_us=START_US,
        rev=1,
        addressees=two,
    )
    return replace(base, **fields)


def test_posts_are_replaced_as_a_whole_and_come_in_calling_order(run: Run) -> None:
    async def story(store: Store) -> None:
        async with store.write() as tx:
            assert await tx.duty_posts() == []
            await tx.put_duty_posts(list(reversed(DEFAULT_POSTS)))
        async with store.write() as tx:
            assert await tx.duty_posts() == list(DEFAULT_POSTS)
            await tx.put_duty_posts(DEFAULT_POSTS[:2])
        async with store.read() as tx:
            assert await tx.duty_posts() == list(DEFAULT_POSTS[:2])

    run(story)


def test_shifts_are_found_by_time_and_changed_from_their_revision_only(run: Run) -> None:
    async def story(store: Store) -> None:
        first, second = a_shift("a", 0, 8), a_shift("b", 8, 20, area="339900", username="", name="外请")
        async with store.write() as tx:
            assert await tx.insert_shift(second)
            assert await tx.insert_shift(first)
            assert not await tx.insert_shift(first)
        async with store.write() as tx:
            assert await tx.shift("b") == second
            assert await tx.shifts(START_US, START_US + 8 * HOUR_US) == [first]  # the end is not part of it
            assert await tx.shifts(START_US + 7 * HOUR_US, START_US + 9 * HOUR_US) == [first, second]
            assert await tx.next_shift_change(START_US - 1) == START_US
            assert await tx.next_shift_change(START_US) == START_US + 8 * HOUR_US
            assert await tx.next_shift_change(START_US + 20 * HOUR_US) is None
            assert not await tx.update_shift(replace(first, username="duty2", rev=3), rev=2)
            assert await tx.update_shift(replace(first, username="duty2", rev=2), rev=1)
            assert not await tx.delete_shift("a", rev=1)
            assert await tx.delete_shift("a", rev=2)
            assert await tx.shift("a") is None

    run(story)


def test_absences_come_and_go(run: Run) -> None:
    async def story(store: Store) -> None:
        leave = Absence(absence_id="A-1", username="duty1", from_us=START_US, to_us=START_US + HOUR_US, reason="病假")
        async with store.write() as tx:
            await tx.insert_absence(leave)
            assert await tx.absences(START_US, START_US + 1) == [leave]
            assert await tx.absences(START_US + HOUR_US, START_US + 2 * HOUR_US) == []
            assert await tx.delete_absence("A-1") == leave
            assert await tx.delete_absence("A-1") is None

    run(story)


def test_a_handover_moves_by_state_and_revision_and_keeps_its_snapshot(run: Run) -> None:
    async def story(store: Store) -> None:
        draft = a_handover()
        signature = Signature(side="out", username="duty1", name="林晓", at_us=START_US)
        signed = replace(
            draft,
            state=HandoverState.SIGNED_OUT,
            state_zh="交班已签",
            rev=2,
            signatures=[signature],
            remarks="注意水位",
        )
        async with store.write() as tx:
            await tx.insert_handover(draft)
            await tx.insert_handover(replace(draft, handover_id="H-20190809-002", shift_id=""))
            to_out = HANDOVER.sources_of(HandoverState.SIGNED_OUT)
            forged = replace(signed, open_items=[], summary={})
            assert not await tx.update_handover(signed, rev=2, states=to_out)
            assert not await tx.update_handover(signed, rev=1, states=[HandoverState.SIGNED_OUT])
            assert await tx.update_handover(forged, rev=1, states=to_out)
        async with store.read() as tx:
            assert await tx.handover("H-20190809-001") == signed
            assert await tx.handovers_of_shift("a") == [signed]
            assert await tx.handovers_of_shift("") == []
            assert [h.handover_id for h in await tx.handovers(10)] == ["H-20190809-002", "H-20190809-001"]
            assert [h.handover_id for h in await tx.handovers(10, "H-20190809-002")] == ["H-20190809-001"]

    run(story)


def test_the_log_is_read_by_day_newest_first(run: Run) -> None:
    async def story(store: Store) -> None:
        def entry(number: str, **fields: Any) -> LogEntry:
            base = LogEntry(
                entry_id=number, at_us=START_US, actor="duty1", kind=LogKind.CALL, kind_zh="来电", text="报告", area=""
            )
            return replace(base, **fields)

        one, two = entry("L-20190809-001"), entry("L-20190809-002", corrects="L-20190809-001", auto=True)
        other = entry("L-20190810-001")
        async with store.write() as tx:
            for each in (one, two, other):
                await tx.add_log_entry(each)
        async with store.read() as tx:
            assert await tx.log_entry("L-20190809-002") == two
            assert await tx.log_entries(day="20190809") == [two, one]
            assert await tx.log_entries(limit=2) == [other, two]
            assert await tx.log_entries(before="L-20190809-002") == [one]

    run(story)


def test_an_instruction_has_its_addressees_and_moves_by_state(run: Run) -> None:
    async def story(store: Store) -> None:
        event = InstructionEvent(at_us=START_US, actor="leader1", kind="issue", text_zh="批示", text_en="issued", n=0)
        async with store.write() as tx:
            await tx.insert_instruction(an_instruction())
            await tx.add_instruction_event("P-2019-001", event)
            await tx.insert_instruction(
                an_instruction(instruction_id="P-2019-002", open=False, due_us=None, subject="plant/p1")
            )
            one = replace(
                an_instruction().addressees[0], state=InstructionState.RECEIVED, state_zh="签收", received_us=START_US
            )
            to_received = INSTRUCTION.sources_of(InstructionState.RECEIVED)
            assert await tx.update_addressee("P-2019-001", one, states=to_received)
            assert not await tx.update_addressee("P-2019-001", one, states=to_received)
            after = an_instruction(state=InstructionState.RECEIVED, state_zh="签收", rev=2)
            assert not await tx.update_instruction(after, rev=2)
            assert await tx.update_instruction(after, rev=1)
        async with store.read() as tx:
            found = await tx.instruction("P-2019-001")
            assert found is not None
            assert found == replace(after, addressees=[one, an_instruction().addressees[1]], timeline=[event])
            assert [i.instruction_id for i in await tx.instructions(open_only=True, limit=9)] == ["P-2019-001"]
            both = await tx.instructions(open_only=False, limit=9)
            assert [i.instruction_id for i in both] == ["P-2019-002", "P-2019-001"]
            assert [len(i.addressees) for i in both] == [2, 2]
            assert await tx.instructions(open_only=False, limit=9, before="P-2019-001") == []
            about = await tx.instructions(open_only=False, limit=9, subject="plant/p1")
            assert [(i.instruction_id, i.subject) for i in about] == [("P-2019-002", "plant/p1")]

    run(story)


def test_a_block_that_fails_leaves_no_duty_row(run: Run) -> None:
    async def story(store: Store) -> None:
        async def crash() -> None:
            async with store.write() as tx:
                await tx.insert_shift(a_shift())
                await tx.insert_instruction(an_instruction())
                raise RuntimeError("crash")

        with pytest.raises(RuntimeError, match="crash"):
            await crash()
        async with store.read() as tx:
            assert await tx.shifts(0, START_US + 9 * HOUR_US) == []
            assert await tx.instructions(open_only=False, limit=9) == []

    run(story)


def test_the_whole_duty_of_a_night_works_on_this_store(run: Run) -> None:
    """Roster, shift change, hand-over and board through the service: the SQL of each, in the order of a night."""

    async def story(store: Store) -> None:
        desk = await a_desk(store)
        await desk.night()
        chain = await desk.duty.chain(actor("duty1"), "339900", clear=True)
        assert [(c.username, c.phone) for c in chain.chain][:2] == [("duty1", "13805760001"), ("duty2", "13805760002")]
        await desk.world.later(9.5 * 3600)
        chain = await desk.duty.chain(actor("duty1"), "339900")
        assert [c.username for c in chain.chain] == ["duty2", "duty1", "leader2"]
        handover = await desk.duty.draft_handover(actor("duty1"), "duty_officer", "", "duty2")
        await desk.duty.sign_handover(actor("duty1"), handover.handover_id)
        done = await desk.duty.sign_handover(actor("duty2"), handover.handover_id)
        assert done.state is HandoverState.SIGNED_IN
        entries, _ = await desk.duty.log_entries(actor("duty1"))
        assert [e.kind for e in entries][:2] == [LogKind.HANDOVER, LogKind.SHIFT]

    run(story)


@pytest.mark.database
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE duty_log SET text = 'x'",
        "DELETE FROM duty_log",
        "TRUNCATE duty_log",
        "UPDATE duty_handover SET open_items = '[]'",
        "UPDATE duty_handover SET summary = '{}'",
        "DELETE FROM duty_handover",
        "TRUNCATE duty_handover",
        "UPDATE instruction_timeline SET text_zh = 'x'",
        "TRUNCATE instruction_timeline",
        "UPDATE duty_shift SET to_at = from_at",
        "UPDATE instruction_addressee SET state = 'DONE'",
    ],
)
def test_the_database_itself_refuses_to_rewrite_what_stands(fresh_url: Callable[[], str], statement: str) -> None:
    url = fresh_url()

    async def work() -> None:
        async with command_store(url) as store, store.write() as tx:
            await tx.put_user(
                UserRecord(
                    user=User(username="duty1", name="林晓", roles=[Role.OPERATOR]), password_hash="-", changed_us=0
                )
            )
            await tx.insert_shift(a_shift())
            await tx.insert_handover(a_handover())
            await tx.add_log_entry(
                LogEntry(
                    entry_id="L-20190809-001",
                    at_us=START_US,
                    actor="duty1",
                    kind=LogKind.CALL,
                    kind_zh="来电",
                    text="报告",
                )
            )
            await tx.insert_instruction(an_instruction())
            event = InstructionEvent(at_us=START_US, actor="l", kind="issue", text_zh="批示", text_en="issued")
            await tx.add_instruction_event("P-2019-001", event)
        async with Database(url, "cmd") as database:
            await migrate(database, at_us=START_US, family="plain")
            async with database.dedicated() as conn:
                await conn.execute(statement)

    with pytest.raises(psycopg.Error):
        asyncio.run(work())
