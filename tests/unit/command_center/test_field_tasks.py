"""Tasks in the field: own only, retries, refusals, other agencies, roads under water."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from citybrain_testing.command import (
    ADMIN,
    DUTY1,
    LEADER,
    START_US,
    TEAM,
    World,
    a_unit,
    make_world,
    node,
    responder,
    river,
    underpass,
    with_team,
)
from command_center.errors import Conflict, Forbidden, IllegalTransition, Invalid, NotFound
from command_center.machines import RequestState
from command_center.model import Authority, Task, TaskState, Unit, UnitStatus
from rules.transitions import Kind
from storage.memory.command import MemoryStore
from stream.records import as_control


def run(story: Callable[[World], Coroutine[Any, Any, None]], team: tuple[Unit, ...] = TEAM) -> None:
    async def body() -> None:
        await story(await with_team(make_world(MemoryStore()), team))

    asyncio.run(body())


async def issued(world: World, capability: str = "patrol") -> Task:
    await world.happen(river(), Kind.RAISED, "orange", 4.6)
    [incident], _ = await world.center.incidents(DUTY1)
    await world.center.verify(DUTY1, incident.incident_id)
    tasks = await world.center.issue_tasks(DUTY1, incident.incident_id)
    return next(t for t in tasks if t.capability == capability)


def test_a_responder_sees_and_moves_only_its_own() -> None:
    async def story(world: World) -> None:
        task = await issued(world)
        other = responder("unit-patrol-2")
        with pytest.raises(Forbidden):
            await world.center.task(other, task.task_id)
        with pytest.raises(Forbidden):
            await world.center.move_task(other, task.task_id, TaskState.ACCEPTED)
        assert await world.center.tasks(other) == []
        [mine] = await world.center.tasks(responder(task.unit_id))
        assert mine.task_id == task.task_id
        with pytest.raises(Forbidden):
            await world.center.unit_position(other, task.unit_id, *node(0, 0))
        with pytest.raises(NotFound):
            await world.center.move_task(other, "I-none-T01", TaskState.ACCEPTED)

    run(story)


def test_one_tap_accepts_and_says_what_it_implies() -> None:
    async def story(world: World) -> None:
        task = await issued(world)
        me = responder(task.unit_id)
        taken = await world.center.move_task(me, task.task_id, TaskState.ACCEPTED)
        assert [h.to for h in taken.history][-2:] == ["DELIVERED", "ACCEPTED"]
        late = await world.center.move_task(me, task.task_id, TaskState.DELIVERED)
        assert late == taken  # a receipt that comes late says nothing new
        again = await world.center.move_task(me, task.task_id, TaskState.ACCEPTED)
        assert again == taken
        [unit] = [u for u in await world.center.units(DUTY1) if u.unit_id == task.unit_id]
        assert unit.status is UnitStatus.ACKED

    run(story)


def test_steps_that_the_machine_does_not_know_are_refused() -> None:
    async def story(world: World) -> None:
        task = await issued(world)
        me = responder(task.unit_id)
        with pytest.raises(IllegalTransition):
            await world.center.move_task(me, task.task_id, TaskState.REPORTED_DONE)
        with pytest.raises(IllegalTransition):
            await world.center.move_task(DUTY1, task.task_id, TaskState.ISSUED)
        with pytest.raises(Invalid, match="reason"):
            await world.center.move_task(me, task.task_id, TaskState.DECLINED)

    run(story)


def test_an_idempotency_key_is_one_request() -> None:
    async def story(world: World) -> None:
        task = await issued(world)
        me = responder(task.unit_id)
        first = await world.center.move_task(me, task.task_id, TaskState.ACCEPTED, idempotency_key="k")
        await world.center.move_task(me, task.task_id, TaskState.EN_ROUTE)
        second = await world.center.move_task(me, task.task_id, TaskState.ACCEPTED, idempotency_key="k")
        assert (first.state, second.state) == (TaskState.ACCEPTED, TaskState.EN_ROUTE)
        with pytest.raises(Conflict, match="'k'"):
            await world.center.move_task(me, task.task_id, TaskState.ON_SCENE, idempotency_key="k")

    run(story)


def test_a_declined_task_goes_to_the_next_best_and_the_unit_back_to_its_quarters() -> None:
    async def story(world: World) -> None:
        task = await issued(world)
        await world.center.move_task(responder(task.unit_id), task.task_id, TaskState.DECLINED, comment="车辆故障")
        now = await world.center.task(DUTY1, task.task_id)
        assert (now.unit_id, now.state) == ("unit-patrol-2", TaskState.ISSUED)
        units = {u.unit_id: u for u in await world.center.units(DUTY1)}
        assert units[task.unit_id].status is UnitStatus.IN_QTRS
        ranked = await world.center.candidates(DUTY1, task.task_id)
        [first] = [c for c in ranked if c.unit.unit_id == task.unit_id]
        assert not first.available

    run(story)


def test_without_a_free_unit_the_task_waits_is_prompted_once_and_goes_when_one_is_free() -> None:
    async def story(world: World) -> None:
        task = await issued(world)
        assert task.unit_id == ""
        await world.later(31)
        await world.later(31)
        shown, _, _ = await world.center.incident(DUTY1, task.incident_id)
        assert len([e for e in shown.timeline if e.ref == task.task_id and "暂无可派" in e.text_zh]) == 1
        await world.center.register_unit(ADMIN, a_unit("unit-new", ["patrol"], 0, 0))
        await world.later(31)
        assert (await world.center.task(DUTY1, task.task_id)).unit_id == "unit-new"

    run(story, team=())


def test_another_agencys_unit_is_asked_and_signs_before_it_goes() -> None:
    foreign = a_unit("army-1", ["patrol"], 1, 1, authority=Authority.REQUEST)

    async def story(world: World) -> None:
        task = await issued(world)
        assert task.unit_id == "unit-patrol-1"  # the foreign one is nearer and never ordered
        await world.center.assign(DUTY1, task.task_id, "army-1")
        same = await world.center.task(DUTY1, task.task_id)
        assert same.unit_id == "unit-patrol-1"
        [request] = await world.center.requests(DUTY1, task.incident_id)
        assert (request.state, request.kind) == (RequestState.REQUESTED, "request")
        await world.center.assign(DUTY1, task.task_id, "army-1")
        assert len(await world.center.requests(DUTY1, task.incident_id)) == 1
        with pytest.raises(Invalid, match="signed_by"):
            await world.center.answer_request(DUTY1, request.request_id, RequestState.SIGNED, signed_by="")
        await world.center.answer_request(DUTY1, request.request_id, RequestState.COMMITTED, signed_by="王参谋")
        now = await world.center.task(DUTY1, task.task_id)
        assert (now.unit_id, now.unit_authority) == ("army-1", "request")
        with pytest.raises(IllegalTransition):
            await world.center.answer_request(DUTY1, request.request_id, RequestState.REFUSED, signed_by="王参谋")

    run(story, team=(*TEAM, foreign))


def test_a_unit_that_may_only_be_told_is_never_given_a_task() -> None:
    told = a_unit("army-1", ["patrol"], 1, 1, authority=Authority.NOTIFY)

    async def story(world: World) -> None:
        task = await issued(world)
        await world.center.assign(DUTY1, task.task_id, "army-1")
        [request] = await world.center.requests(DUTY1, task.incident_id)
        with pytest.raises(Invalid, match="not committed"):
            await world.center.answer_request(DUTY1, request.request_id, RequestState.COMMITTED, signed_by="王参谋")
        await world.center.answer_request(DUTY1, request.request_id, RequestState.SIGNED, signed_by="王参谋")
        assert (await world.center.task(DUTY1, task.task_id)).unit_id == "unit-patrol-1"

    run(story, team=(*TEAM, told))


def test_a_reset_needs_a_reason_and_goes_to_the_log() -> None:
    async def story(world: World) -> None:
        with pytest.raises(Invalid, match="reason"):
            await world.center.reset(DUTY1, "a" * 16, " ")
        await world.center.reset(DUTY1, "a" * 16, "探头已毁")
        body = as_control(world.log.records[-1])
        assert (body.type, body.actor, body.data["alarm_id"]) == ("reset", "duty1", "a" * 16)

    run(story)


def test_the_desk_acts_on_a_units_behalf_and_the_journal_says_so() -> None:
    async def story(world: World) -> None:
        task = await issued(world)
        await world.center.move_task(DUTY1, task.task_id, TaskState.ACCEPTED, comment="电台")
        entries, _ = await world.center.journal(LEADER, entity="task", entity_id=task.task_id, limit=1)
        assert (entries[0].actor, entries[0].on_behalf_of) == ("duty1", task.unit_id)

    run(story)


def test_an_underpass_closes_deepens_and_opens_again() -> None:
    async def story(world: World) -> None:
        episode = underpass()
        await world.happen(episode, Kind.RAISED, "blue", 0.16)
        assert await world.center.closures(DUTY1) == []  # the next threshold is under 0.30 m
        await world.happen(episode, Kind.LEVEL_UP, "yellow", 0.28)
        [closure] = await world.center.closures(DUTY1)
        assert (closure.edges, closure.depth_m) == (["h-2-2"], 0.4)  # it may rise unseen up to the next threshold
        await world.happen(episode, Kind.LEVEL_UP, "red", 0.7)
        assert (await world.center.closures(DUTY1))[0].depth_m is None
        await world.happen(episode, Kind.NO_DATA_ON, "red", None, no_data=True)
        assert (await world.center.closures(DUTY1))[0].depth_m is None
        await world.happen(episode, Kind.CLEARED, "", 0.05)
        assert await world.center.closures(DUTY1) == []

    run(story)


@pytest.mark.parametrize("flag", ["人工复位", "设备停用", "规则停用"])
def test_an_alarm_that_ends_without_a_measurement_opens_no_road(flag: str) -> None:
    async def story(world: World) -> None:
        episode = underpass()
        await world.happen(episode, Kind.RAISED, "red", 0.7)
        await world.happen(episode, Kind.CLEARED, "", None, flags=[flag])
        assert len(await world.center.closures(DUTY1)) == 1

    run(story)


def test_a_camera_closes_at_once_and_only_an_alarms_end_or_a_person_opens() -> None:
    async def story(world: World) -> None:
        await world.camera_event("cam-under", "waterlogging", retold=True)  # a dead letter that was put in again
        assert await world.center.closures(DUTY1) == []
        await world.camera_event("cam-under", "waterlogging")
        await world.camera_event("cam-under", "waterlogging")
        [closure] = await world.center.closures(DUTY1)
        assert closure.depth_m is None
        await world.camera_event("cam-under", "waterlogging_cleared")
        assert len(await world.center.closures(DUTY1)) == 1
        with pytest.raises(Forbidden):
            await world.center.reopen_road(responder("unit-patrol-1"), closure.closure_id)
        await world.center.reopen_road(DUTY1, closure.closure_id)
        assert await world.center.closures(DUTY1) == []
        with pytest.raises(NotFound):
            await world.center.reopen_road(DUTY1, closure.closure_id)

    run(story)


def test_the_route_goes_round_the_water() -> None:
    async def story(world: World) -> None:
        task = await issued(world)
        unit = responder(task.unit_id)
        free, avoided = await world.center.route(unit, task.task_id)
        assert free is not None
        assert avoided == []
        closure = await world.center.close_road(
            DUTY1, [free.edge_ids[0]], "积水", depth_m=None, minutes=30, evidence="电话"
        )
        wet, avoided = await world.center.route(unit, task.task_id)
        assert wet is not None
        assert wet.seconds > free.seconds
        assert [c.closure_id for c in avoided] == [closure.closure_id]
        await world.later(31 * 60)
        assert await world.center.closures(DUTY1) == []

    run(story)


def test_a_wrong_closure_is_refused_by_field() -> None:
    async def story(world: World) -> None:
        for edges, reason, depth_m, minutes, says in (
            (["nowhere"], "x", None, None, "edges"),
            ([], "x", None, None, "edges"),
            (["h-0-0"], " ", None, None, "reason"),
            (["h-0-0"], "x", -1.0, None, "depth_m"),
            (["h-0-0"], "x", None, 0.0, "minutes"),
        ):
            with pytest.raises(Invalid, match=says):
                await world.center.close_road(DUTY1, edges, reason, depth_m=depth_m, minutes=minutes)

    run(story)


def test_positions_keep_the_newest_and_a_busy_unit_does_not_set_its_status() -> None:
    async def story(world: World) -> None:
        me = responder("unit-patrol-1")
        await world.center.unit_position(me, me.unit_id, *node(1, 1), ts_us=START_US + 10)
        old = await world.center.unit_position(me, me.unit_id, *node(0, 0), ts_us=START_US)
        assert (old.lon, old.lat) == node(1, 1)
        with pytest.raises(Invalid, match="latitude"):
            await world.center.unit_position(me, me.unit_id, 28.0, 121.0)
        assert (await world.center.unit_status(me, me.unit_id, UnitStatus.BREAK)).status is UnitStatus.BREAK
        with pytest.raises(IllegalTransition):
            await world.center.unit_status(me, me.unit_id, UnitStatus.WORKING)
        await world.center.unit_status(me, me.unit_id, UnitStatus.IN_QTRS)
        task = await issued(world)
        with pytest.raises(IllegalTransition, match="while on"):
            await world.center.unit_status(responder(task.unit_id), task.unit_id, UnitStatus.OFF)

    run(story)


def test_rejecting_recalls_and_only_a_rise_opens_anew() -> None:
    async def story(world: World) -> None:
        episode = underpass()
        await world.happen(episode, Kind.RAISED, "orange", 0.45)
        [incident], _ = await world.center.incidents(DUTY1)
        with pytest.raises(Invalid, match="reason"):
            await world.center.reject(DUTY1, incident.incident_id, "")
        rejected = await world.center.reject(DUTY1, incident.incident_id, "误报")
        assert rejected.state_zh == "不受理"
        tasks = await world.center.tasks(DUTY1, incident_id=incident.incident_id)
        assert {t.state for t in tasks} == {TaskState.RECALLED}
        assert all(u.task_id == "" for u in await world.center.units(DUTY1))
        await world.happen(episode, Kind.MEMBER, "orange", 0.46)
        assert len((await world.center.incidents(DUTY1, state="open"))[0]) == 0
        await world.happen(episode, Kind.LEVEL_UP, "red", 0.7)
        [again] = (await world.center.incidents(DUTY1, state="open"))[0]
        assert again.incident_id == "I-20190809-002"

    run(story)


def test_a_task_found_undone_takes_its_unit_back_unless_it_is_busy() -> None:
    async def story(world: World) -> None:
        task = await issued(world)
        me = responder(task.unit_id)
        for to in (TaskState.ACCEPTED, TaskState.ON_SCENE, TaskState.REPORTED_DONE):
            await world.center.move_task(me, task.task_id, to)
        back = await world.center.move_task(DUTY1, task.task_id, TaskState.IN_PROGRESS, comment="现场未处置完")
        assert back.state is TaskState.IN_PROGRESS
        [unit] = [u for u in await world.center.units(DUTY1) if u.unit_id == task.unit_id]
        assert (unit.task_id, unit.status) == (task.task_id, UnitStatus.DISPATCHED)
        await world.center.move_task(me, task.task_id, TaskState.REPORTED_DONE)
        await world.center.unit_status(me, me.unit_id, UnitStatus.OOS)
        with pytest.raises(IllegalTransition):
            await world.center.move_task(DUTY1, task.task_id, TaskState.IN_PROGRESS)

    run(story)
