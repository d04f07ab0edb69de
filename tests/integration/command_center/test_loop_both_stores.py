"""The whole loop, on the memory store and on PostgreSQL: alarm, incident, tasks, units, end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from citybrain_testing.command import (
    DUTY1,
    DUTY2,
    LEADER,
    World,
    gas,
    make_world,
    responder,
    river,
    underpass,
    with_team,
)
from citybrain_testing.command_store import command_store
from command_center.errors import Conflict, Forbidden, IllegalTransition
from command_center.model import IncidentState, TaskState, UnitStatus
from rules.transitions import Kind

Story = Callable[[World], Coroutine[Any, Any, None]]
Run = Callable[[Story], None]


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.database)])
def run(request: pytest.FixtureRequest) -> Run:
    url = request.getfixturevalue("fresh_url")() if request.param == "postgres" else None

    async def body(story: Story) -> None:
        async with command_store(url) as store:
            await story(await with_team(make_world(store)))

    return lambda story: asyncio.run(body(story))


def test_an_orange_alarm_opens_one_incident_to_be_verified_with_drafts_of_the_plan(run: Run) -> None:
    async def story(world: World) -> None:
        episode = river()
        await world.happen(episode, Kind.RAISED, "yellow", 4.1)
        assert (await world.center.incidents(DUTY1))[0] == []
        await world.happen(episode, Kind.LEVEL_UP, "orange", 4.6)
        [incident], _ = await world.center.incidents(DUTY1)
        assert incident.incident_id == "I-20190809-001"
        assert incident.state is IncidentState.VERIFYING
        assert incident.state_zh == "待核实"
        assert incident.plan_id == "plan.flood"
        assert incident.alarm_ids == [episode.alarm_id]
        assert incident.task_counts == {"DRAFT": 2}
        with pytest.raises(IllegalTransition):
            await world.center.issue_tasks(DUTY1, incident.incident_id)

    run(story)


def test_from_alarm_to_the_end(run: Run) -> None:
    async def story(world: World) -> None:
        center = world.center
        episode = river()
        await world.happen(episode, Kind.RAISED, "orange", 4.6)
        await center.acknowledge(DUTY1, episode.alarm_id, "已看到")
        await world.drain()
        alarm, history = await center.alarm(DUTY1, episode.alarm_id)
        assert alarm.acked is not None
        assert alarm.acked.by == "duty1"
        assert alarm.escalation is None
        assert len(history) == 1
        [incident], _ = await center.incidents(DUTY1)
        await center.verify(DUTY1, incident.incident_id, "电话核实")
        issued = await center.issue_tasks(DUTY1, incident.incident_id, idempotency_key="k1")
        again = await center.issue_tasks(DUTY1, incident.incident_id, idempotency_key="k1")
        assert issued == again
        by_capability = {t.capability: t for t in issued}
        assert by_capability["patrol"].unit_id == "unit-patrol-1"  # the nearer of two
        assert by_capability["flood_rescue"].unit_id == "unit-flood-1"
        with pytest.raises(IllegalTransition):
            await center.close(DUTY1, incident.incident_id, "太早")
        for task in issued:
            me = responder(task.unit_id)
            for to in (
                TaskState.DELIVERED,
                TaskState.ACCEPTED,
                TaskState.EN_ROUTE,
                TaskState.ON_SCENE,
                TaskState.REPORTED_DONE,
            ):
                moved = await center.move_task(me, task.task_id, to, device_time_us=world.clock.city_us())
                assert moved.state is to
                world.clock.step(10)
            for to in (TaskState.VERIFIED, TaskState.CLOSED):
                with pytest.raises(Forbidden):
                    await center.move_task(me, task.task_id, to)
                await center.move_task(DUTY1, task.task_id, to)
            [unit] = [u for u in await center.units(DUTY1) if u.unit_id == task.unit_id]
            assert unit.status is UnitStatus.RETURNING
            assert unit.task_id == ""
        with pytest.raises(IllegalTransition, match="firing"):
            await center.close(DUTY1, incident.incident_id, "告警未解除")
        await center.controlled(DUTY1, incident.incident_id)
        await world.happen(episode, Kind.CLEARED, "", 3.0)
        ended = await center.close(DUTY1, incident.incident_id, "水位回落")
        assert ended.state is IncidentState.TERMINATED
        kinds = [entry.kind for entry in ended.timeline]
        assert kinds[0] == "opened"
        assert "ack" in kinds
        entries, _ = await center.journal(LEADER, entity="incident")
        assert [e.action for e in entries] == ["close", "controlled", "verify", "open"]
        seqs = [c.seq for c in world.changes if c.channel in ("incident", "task")]
        assert seqs == sorted(seqs)
        assert len(seqs) == len(set(seqs))
        tail = await center.events_since("task", 0)
        assert [c.seq for c in tail] == [c.seq for c in world.changes if c.channel == "task"]

    run(story)


def test_two_operators_verify_at_once_and_one_wins(run: Run) -> None:
    async def story(world: World) -> None:
        await world.happen(river(), Kind.RAISED, "red", 5.5)
        [incident], _ = await world.center.incidents(DUTY1)
        results = await asyncio.gather(
            world.center.verify(DUTY1, incident.incident_id),
            world.center.verify(DUTY2, incident.incident_id),
            return_exceptions=True,
        )
        assert sorted(isinstance(r, IllegalTransition | Conflict) for r in results) == [False, True]

    run(story)


def test_a_second_alarm_joins_and_a_rise_is_told(run: Run) -> None:
    async def story(world: World) -> None:
        one, two = river(), underpass()
        await world.happen(one, Kind.RAISED, "orange", 4.6)
        await world.happen(two, Kind.RAISED, "orange", 0.45)
        [incident], _ = await world.center.incidents(DUTY1)
        assert sorted(incident.alarm_ids) == sorted([one.alarm_id, two.alarm_id])
        await world.happen(two, Kind.LEVEL_UP, "red", 0.7)
        shown, tasks, alarms = await world.center.incident(DUTY1, incident.incident_id)
        assert shown.colour == "red"
        assert any("告警升级" in e.text_zh for e in shown.timeline)
        assert len(alarms) == 2
        automatic = [t for t in tasks if t.state is TaskState.ISSUED]
        assert [t.capability for t in automatic] == ["traffic_control"]  # pre-authorised by the plan

    run(story)


def test_gas_calls_the_plants_control_room_first(run: Run) -> None:
    async def story(world: World) -> None:
        episode = gas()
        await world.happen(episode, Kind.RAISED, "yellow", 3.0)
        assert (await world.center.incidents(DUTY1))[0] == []
        await world.happen(episode, Kind.MEMBER, "yellow", 3.5, propose_incident="hazchem")
        [incident], _ = await world.center.incidents(DUTY1)
        assert incident.kind == "hazchem"
        calls = [e for e in incident.timeline if e.kind == "call"]
        assert calls[0].ref == "plant_control_room"

    run(story)


def test_killed_anywhere_the_follower_does_nothing_twice(run: Run) -> None:
    async def story(world: World) -> None:
        one, two = river(), underpass()
        await world.happen(one, Kind.RAISED, "orange", 4.6)
        await world.happen(two, Kind.RAISED, "red", 0.7)
        before = await world.center.incidents(DUTY1)
        again = world.restarted()
        await again.drain()
        assert await again.center.incidents(DUTY1) == before
        async with world.store.write() as tx:
            await tx.set_cursor("command", 0, world.clock.city_us())  # read it all once more
        again = world.restarted()
        await again.drain()
        assert await again.center.incidents(DUTY1) == before

    run(story)
