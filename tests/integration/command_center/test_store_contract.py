"""What every store must do: the same suite on the memory twin and on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from citybrain_testing.command import START_US, a_unit, node, river
from citybrain_testing.command_store import command_store
from command_center import chain
from command_center.machines import RequestState
from command_center.model import (
    Change,
    Closure,
    Incident,
    IncidentState,
    JournalEntry,
    Role,
    Task,
    TaskHistory,
    TaskState,
    TimelineEntry,
    UnitStatus,
    User,
)
from command_center.ports import Store, Tx
from command_center.records import AlarmSide, Request, TaskRecord, Timer, UnitRecord, UserRecord
from rules.transitions import Kind, fold

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


def an_incident(number: int = 1, **fields: Any) -> Incident:
    base = Incident(
        incident_id=f"I-20190809-{number:03d}",
        kind="flood",
        title_zh="洪涝",
        title_en="Flood",
        state=IncidentState.VERIFYING,
        state_zh="待核实",
        lon=121.4,
        lat=None,
        area="339900",
        colour="orange",
        opened_us=START_US + 1,
        changed_us=START_US + 1,
        rev=1,
    )
    return replace(base, **fields)


def a_task(number: int = 1, origin: str = "a:", **fields: Any) -> TaskRecord:
    task = Task(
        task_id=f"I-20190809-001-T{number:02d}",
        incident_id="I-20190809-001",
        title_zh="巡查",
        title_en="Patrol",
        detail_zh="",
        detail_en="",
        capability="patrol",
        state=TaskState.DRAFT,
        state_zh="草拟",
        unit_id="",
        unit_name="",
        unit_authority="",
        lon=121.4,
        lat=28.6,
        place="东村",
        due_us=START_US + 60,
        issued_us=None,
        changed_us=START_US,
        rev=1,
    )
    return TaskRecord(task=replace(task, **fields), origin=origin, refused_units=["u9"])


async def seeded(tx: Tx) -> None:
    await tx.insert_incident(an_incident(), "flood:339900")
    await tx.insert_task(a_task())


def test_a_failed_block_leaves_nothing(run: Run) -> None:
    async def story(store: Store) -> None:
        async def crash() -> None:
            async with store.write() as tx:
                await seeded(tx)
                await tx.set_cursor("command", 7, START_US)
                await tx.add_live(Change(channel="task", seq=0, at_us=1, kind="k", id="i", rev=1, data={}))
                raise RuntimeError("crash")

        with pytest.raises(RuntimeError, match="crash"):
            await crash()
        async with store.read() as tx:
            assert await tx.incidents([], 10) == []
            assert await tx.cursor("command") == 0
            assert await tx.live_since("task", 0, 10) == []

    run(story)


def test_cursor_numbers_and_keys(run: Run) -> None:
    async def story(store: Store) -> None:
        async with store.write() as tx:
            assert await tx.cursor("command") == 0
            await tx.set_cursor("command", 5, START_US)
            await tx.set_cursor("command", 9, START_US)
            assert [await tx.next_number("a") for _ in range(3)] == [1, 2, 3]
            assert await tx.next_number("b") == 1
            assert await tx.remember("duty1", "k", "f1", START_US) is None
        async with store.write() as tx:
            assert await tx.remember("duty1", "k", "f2", START_US) == "f1"
            assert await tx.remember("duty2", "k", "f2", START_US) is None
            assert await tx.cursor("command") == 9

    run(story)


def test_an_incident_is_changed_only_from_the_revision_and_state_that_one_saw(run: Run) -> None:
    async def story(store: Store) -> None:
        async with store.write() as tx:
            await seeded(tx)
        async with store.write() as tx:
            opened = an_incident(state=IncidentState.OPEN, state_zh="立案", rev=2)
            assert not await tx.update_incident(opened, rev=2, states=[IncidentState.VERIFYING])
            assert not await tx.update_incident(opened, rev=1, states=[IncidentState.OPEN])
            assert await tx.update_incident(opened, rev=1, states=[IncidentState.VERIFYING])
            assert not await tx.update_incident(opened, rev=1, states=[IncidentState.VERIFYING])
            found = await tx.incident("I-20190809-001")
            assert found == replace(opened, task_counts={"DRAFT": 1})
            assert await tx.incident("I-none") is None

    run(story)


def test_lists_of_incidents_page_newest_first(run: Run) -> None:
    async def story(store: Store) -> None:
        async with store.write() as tx:
            for number in (1, 2, 3):
                await tx.insert_incident(an_incident(number), f"g{number}")
            ended = an_incident(2, state=IncidentState.TERMINATED, rev=2)
            await tx.update_incident(ended, rev=1, states=[IncidentState.VERIFYING])
        async with store.read() as tx:
            ids = [i.incident_id[-3:] for i in await tx.incidents([], 10)]
            assert ids == ["003", "002", "001"]
            page = await tx.incidents([IncidentState.VERIFYING], 10, "I-20190809-003")
            assert [i.incident_id[-3:] for i in page] == ["001"]
            assert await tx.open_incident("g2") is None
            open_one = await tx.open_incident("g3")
            assert open_one is not None
            assert open_one.incident_id.endswith("003")

    run(story)


def test_the_timeline_keeps_its_order(run: Run) -> None:
    async def story(store: Store) -> None:
        async with store.write() as tx:
            await seeded(tx)
            for n in range(5):
                entry = TimelineEntry(at_us=START_US, actor="x", kind="note", text_zh=f"{n}\x00", text_en="", ref="")
                await tx.add_timeline("I-20190809-001", entry)
            last = await tx.timeline("I-20190809-001", 3)
            assert [e.text_zh[0] for e in last] == ["2", "3", "4"]

    run(story)


def test_tasks_are_drafted_once_and_moved_from_what_one_saw(run: Run) -> None:
    async def story(store: Store) -> None:
        async with store.write() as tx:
            await seeded(tx)
            assert not await tx.insert_task(a_task(2, origin="a:"))
            assert await tx.insert_task(a_task(2, origin="b:"))
            step = TaskHistory(at_us=START_US, source="DRAFT", to="ISSUED", actor="duty1", comment="好")
            await tx.add_task_history("I-20190809-001-T01", step, START_US - 5)
            issued = a_task(1, state=TaskState.ISSUED, rev=2, unit_id="u1", eta_s=12.5, issued_us=START_US)
            assert not await tx.update_task(issued, rev=9, states=[TaskState.DRAFT])
            assert not await tx.update_task(issued, rev=1, states=[TaskState.ISSUED])
            assert await tx.update_task(issued, rev=1, states=[TaskState.DRAFT])
            found = await tx.task("I-20190809-001-T01")
            assert found == replace(issued, task=replace(issued.task, history=[step]))
            assert [r.task.task_id[-2:] for r in await tx.tasks(unit_id="u1")] == ["01"]
            drafts = await tx.tasks(incident_id="I-20190809-001", states=[TaskState.DRAFT])
            assert [r.task.task_id[-2:] for r in drafts] == ["02"]

    run(story)


def test_units_move_from_what_one_saw(run: Run) -> None:
    async def story(store: Store) -> None:
        record = UnitRecord(unit=a_unit("u1", ["patrol", "medical"], 0, 0, fix_us=START_US + 3), rev=1)
        async with store.write() as tx:
            assert await tx.insert_unit(record)
            assert not await tx.insert_unit(record)
            moved = replace(record, rev=2, unit=replace(record.unit, status=UnitStatus.DISPATCHED, task_id="T"))
            assert not await tx.update_unit(moved, rev=1, statuses=[UnitStatus.OFF])
            assert await tx.update_unit(moved, rev=1, statuses=[UnitStatus.IN_QTRS])
            assert not await tx.update_unit(moved, rev=1, statuses=[UnitStatus.DISPATCHED])
            assert await tx.unit("u1") == moved
            assert await tx.units() == [moved]
            for _ in range(2):
                await tx.add_unit_fix("u1", START_US, *node(0, 0), None, 1.5)

    run(story)


def test_alarms_transitions_and_sides(run: Run) -> None:
    async def story(store: Store) -> None:
        async with store.write() as tx:
            await seeded(tx)
            conditions = []
            for n in range(3):
                transition = river().goes(Kind.RAISED, "orange", 4.6, n + 1, START_US + n)
                assert await tx.add_transition(transition)
                assert not await tx.add_transition(transition)
                conditions.append(fold(None, transition))
                await tx.put_condition(conditions[-1])
            one = conditions[0].alarm_id
            side = AlarmSide(alarm_id=one, rev=1, incident_id="I-20190809-001")
            await tx.put_side(side)
            record = await tx.alarm(one)
            assert record is not None
            assert (record.condition, record.side) == (conditions[0], side)
            assert [a.condition.alarm_id for a in await tx.alarms_of("I-20190809-001")] == [one]
            incident = await tx.incident("I-20190809-001")
            assert incident is not None
            assert incident.alarm_ids == [one]
            first = await tx.alarms(firing_only=True, limit=2)
            assert [a.condition.raised_us - START_US for a in first] == [2, 1]
            last = first[-1].condition
            rest = await tx.alarms(firing_only=True, limit=2, before=f"{last.raised_us}:{last.alarm_id}")
            assert [a.condition.alarm_id for a in rest] == [one]
            [told] = await tx.transitions(one)
            assert told["kind"] == "raised"
            with pytest.raises(KeyError):
                await tx.put_side(AlarmSide(alarm_id="0" * 16, rev=1))

    run(story)


def test_closures_of_one_source_follow_each_other(run: Run) -> None:
    async def story(store: Store) -> None:
        closure = Closure(
            closure_id="C-1",
            edges=["h-0-0"],
            reason="积水",
            lon=121.4,
            lat=28.6,
            depth_m=None,
            since_us=START_US,
            expires_us=None,
            author="system",
        )
        async with store.write() as tx:
            await tx.put_closure(closure, "device:a")
            await tx.put_closure(replace(closure, depth_m=0.4), "device:a")
            assert await tx.open_closure_of("device:a") == replace(closure, depth_m=0.4)
            assert await tx.end_closure("C-1", START_US, "duty1")
            assert not await tx.end_closure("C-1", START_US, "duty1")
            assert await tx.open_closure_of("device:a") is None
            assert await tx.closure("C-1") is None
            assert await tx.closures() == []
            assert len(await tx.closures(open_only=False)) == 1
            await tx.put_closure(replace(closure, closure_id="C-2"), "device:a")
            assert [c.closure_id for c in await tx.closures()] == ["C-2"]

    run(story)


def test_requests_timers_and_users_come_back_as_they_went(run: Run) -> None:
    async def story(store: Store) -> None:
        request = Request(
            request_id="R1",
            task_id="I-20190809-001-T01",
            incident_id="I-20190809-001",
            unit_id="u1",
            kind="request",
            state=RequestState.REQUESTED,
            asked_us=START_US,
            changed_us=START_US,
            asked_by="duty1",
        )
        timers = [
            Timer(timer_id="b", kind="task", entity_id="x", clock="machine", due_us=100, data={"told": True}),
            Timer(timer_id="a", kind="task", entity_id="x", clock="machine", due_us=100),
            Timer(timer_id="c", kind="task", entity_id="x", clock="city", due_us=50),
        ]
        user = UserRecord(
            user=User(username="duty1", name="值班员", roles=[Role.OPERATOR]),
            password_hash="h",
            failures=2,
            changed_us=7,
        )
        async with store.write() as tx:
            await seeded(tx)
            await tx.insert_unit(UnitRecord(unit=a_unit("u1", ["patrol"], 0, 0), rev=1))
            await tx.insert_request(request)
            signed = replace(request, state=RequestState.SIGNED, rev=2, signed_by="王")
            assert await tx.update_request(signed, rev=1)
            assert not await tx.update_request(signed, rev=1)
            assert await tx.requests("I-20190809-001") == [signed]
            assert await tx.request("R2") is None
            for timer in timers:
                await tx.put_timer(timer)
            assert [t.timer_id for t in await tx.due_timers(100, 0, 10)] == ["a", "b"]
            assert [t.timer_id for t in await tx.due_timers(99, 50, 10)] == ["c"]
            assert await tx.timer("b") == timers[0]
            await tx.drop_timer("b")
            assert await tx.timer("b") is None
            await tx.put_user(user)
            await tx.put_user(replace(user, failures=0, locked_until_us=9))
            assert await tx.user("duty1") == replace(user, failures=0, locked_until_us=9)
            assert await tx.user("duty2") is None
            assert len(await tx.users()) == 1

    run(story)


def test_journal_and_live_events_are_numbered_in_order(run: Run) -> None:
    async def story(store: Store) -> None:
        entry = JournalEntry(
            seq=0,
            at_us=START_US,
            machine_us=START_US + 1,
            actor="duty1",
            on_behalf_of="",
            entity="incident",
            entity_id="I-1",
            action="verify",
            before=None,
            after={"state": "OPEN", "n": [1, None]},
            reason="电话",
        )
        change = Change(channel="task", seq=0, at_us=START_US, kind="draft", id="T", rev=1, data={"a": [1]})
        async with store.write() as tx:
            numbers = [await tx.add_journal(replace(entry, entity_id=f"I-{n}")) for n in range(3)]
            assert numbers == sorted(set(numbers))
            [newest, _] = await tx.journal("incident", "", 2, None)
            assert newest == replace(
                entry, entity_id="I-2", seq=numbers[2], prev_hash=newest.prev_hash, hash=newest.hash
            )
            assert chain.verify(await tx.journal_walk(0, 9)) == []
            assert [e.seq for e in await tx.journal("", "", 9, numbers[1])] == [numbers[0]]
            assert [e.entity_id for e in await tx.journal("incident", "I-1", 9, None)] == ["I-1"]
            seqs = [await tx.add_live(replace(change, channel=c)) for c in ("task", "incident", "task")]
            assert seqs == sorted(set(seqs))
            assert await tx.live_head() == seqs[2]
            missed = await tx.live_since("task", seqs[0], 10)
            assert missed == [replace(change, seq=seqs[2])]

    run(story)


def test_writers_take_turns(run: Run) -> None:
    async def story(store: Store) -> None:
        async def count() -> None:
            async with store.write() as tx:
                before = await tx.cursor("c")
                await asyncio.sleep(0)
                await tx.set_cursor("c", before + 1, START_US)

        await asyncio.gather(*(count() for _ in range(6)))
        async with store.read() as tx:
            assert await tx.cursor("c") == 6

    run(story)


def test_forgetting_drops_old_rows_and_never_a_number(run: Run) -> None:
    async def story(store: Store) -> None:
        change = Change(channel="task", seq=0, at_us=START_US, kind="draft", id="T", rev=1, data={})
        async with store.write() as tx:
            assert await tx.live_head() == 0
            head = [await tx.add_live(change) for _ in range(3)][-1]
            await tx.remember("duty1", "k", "f", START_US)
            assert await tx.forget(START_US, START_US) == 0
            assert await tx.forget(START_US + 1, START_US + 1) == 4
            assert await tx.live_head() == head
            assert await tx.remember("duty1", "k", "g", START_US) is None
            assert await tx.add_live(change) == head + 1

    run(story)
