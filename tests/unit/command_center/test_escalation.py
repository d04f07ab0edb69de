"""An alarm that nobody acknowledges goes from person to person; every wait for a person counts machine time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from citybrain_testing.command import DUTY1, LEADER, World, make_world, river, underpass, with_team
from command_center.model import EscalationState, TaskState
from rules.transitions import Kind
from storage.memory.command import MemoryStore
from stream.records import TICK


def run(story: Callable[[World], Coroutine[Any, Any, None]]) -> None:
    async def body() -> None:
        await story(await with_team(make_world(MemoryStore())))

    asyncio.run(body())


async def calls(world: World, alarm_id: str) -> tuple[int, str] | None:
    escalation: EscalationState | None = (await world.center.alarm(DUTY1, alarm_id))[0].escalation
    return None if escalation is None else (escalation.step, escalation.to)


def test_red_goes_to_the_next_person_after_sixty_seconds_and_round_the_chain() -> None:
    async def story(world: World) -> None:
        episode = underpass()
        await world.happen(episode, Kind.RAISED, "red", 0.7)
        assert await calls(world, episode.alarm_id) == (0, "duty1")
        await world.later(59.9)
        assert await calls(world, episode.alarm_id) == (0, "duty1")
        for step, who in enumerate(["duty2", "leader1", "duty1"], start=1):
            await world.later(60.1)
            assert await calls(world, episode.alarm_id) == (step, who)
        [incident], _ = await world.center.incidents(DUTY1)
        told = [e for e in incident.timeline if e.kind == "escalation"]
        assert len(told) == 3
        assert "60 秒未确认" in told[0].text_zh
        entries, _ = await world.center.journal(LEADER, entity="alarm", entity_id=episode.alarm_id)
        assert [e.action for e in entries].count("escalate") == 3
        await world.center.acknowledge(DUTY1, episode.alarm_id)
        await world.drain()
        assert await calls(world, episode.alarm_id) is None
        await world.later(600)
        assert await calls(world, episode.alarm_id) is None

    run(story)


def test_city_time_alone_calls_nobody() -> None:
    async def story(world: World) -> None:
        episode = underpass()
        await world.happen(episode, Kind.RAISED, "red", 0.7)
        await world.later(3600, machine=False)  # an hour of a scaled clock, a moment for the person
        assert await calls(world, episode.alarm_id) == (0, "duty1")
        await world.later(61, city=False)
        assert await calls(world, episode.alarm_id) == (1, "duty2")

    run(story)


@pytest.mark.parametrize("rise", [Kind.LEVEL_UP, Kind.REBASED])
def test_each_colour_has_its_deadline_and_a_rise_takes_the_acknowledgement_back(rise: Kind) -> None:
    async def story(world: World) -> None:
        episode = river()
        await world.happen(episode, Kind.RAISED, "yellow", 4.0)
        await world.center.acknowledge(DUTY1, episode.alarm_id)
        await world.drain()
        await world.happen(episode, rise, "orange", 4.6)
        alarm, _ = await world.center.alarm(DUTY1, episode.alarm_id)
        assert alarm.acked is None
        assert await calls(world, episode.alarm_id) == (0, "duty1")
        await world.later(179)
        assert await calls(world, episode.alarm_id) == (0, "duty1")
        await world.later(2)
        assert await calls(world, episode.alarm_id) == (1, "duty2")
        await world.happen(episode, Kind.CLEARED, "", 3.0)
        assert await calls(world, episode.alarm_id) is None

    run(story)


def test_a_shelved_alarm_is_silent_until_its_time_is_over() -> None:
    async def story(world: World) -> None:
        episode = river()
        await world.happen(episode, Kind.RAISED, "orange", 4.6)
        await world.center.shelve(DUTY1, episode.alarm_id, 30, "检修")
        await world.drain()
        await world.later(1700)
        assert await calls(world, episode.alarm_id) is None
        await world.later(200)
        alarm, _ = await world.center.alarm(DUTY1, episode.alarm_id)
        assert alarm.shelved_until_us is None
        assert await calls(world, episode.alarm_id) == (0, "duty1")

    run(story)


def test_timers_survive_a_restart_and_fire_once() -> None:
    async def story(world: World) -> None:
        episode = underpass()
        await world.happen(episode, Kind.RAISED, "red", 0.7)
        world.clock.step(61)
        again = world.restarted()
        await again.timers.run_due()
        assert await calls(again, episode.alarm_id) == (1, "duty2")
        await again.timers.run_due()
        await world.timers.run_due()
        assert await calls(again, episode.alarm_id) == (1, "duty2")

    run(story)


def test_an_incident_that_nobody_verifies_is_prompted() -> None:
    async def story(world: World) -> None:
        await world.happen(river(), Kind.RAISED, "orange", 4.6)
        await world.later(301)
        [incident], _ = await world.center.incidents(DUTY1)
        assert any("未核实" in e.text_zh for e in incident.timeline if e.kind == "prompt")
        await world.center.verify(DUTY1, incident.incident_id)
        before = len((await world.center.incident(DUTY1, incident.incident_id))[0].timeline)
        await world.later(900)
        after = (await world.center.incident(DUTY1, incident.incident_id))[0].timeline
        assert [e.kind for e in after[before:] if "未核实" in e.text_zh] == []

    run(story)


def test_a_unit_that_does_not_answer_loses_the_task_to_the_next() -> None:
    async def story(world: World) -> None:
        await world.happen(river(), Kind.RAISED, "orange", 4.6)
        [incident], _ = await world.center.incidents(DUTY1)
        await world.center.verify(DUTY1, incident.incident_id)
        issued = await world.center.issue_tasks(DUTY1, incident.incident_id)
        [patrol] = [t for t in issued if t.capability == "patrol"]
        assert patrol.unit_id == "unit-patrol-1"
        await world.later(16)
        shown, _, _ = await world.center.incident(DUTY1, incident.incident_id)
        assert any("未送达" in e.text_zh for e in shown.timeline)
        await world.later(180)
        task = await world.center.task(DUTY1, patrol.task_id)
        assert (task.unit_id, task.state) == ("unit-patrol-2", TaskState.ISSUED)
        units = {u.unit_id: u for u in await world.center.units(DUTY1)}
        assert units["unit-patrol-1"].task_id == ""

    run(story)


def test_records_that_change_nothing_cost_no_commit_each_and_the_cursor_moves_all_the_same() -> None:
    async def story(world: World) -> None:
        for _ in range(100):
            world.log.put(TICK)
        await world.drain()
        assert world.follower.position == 100
        assert world.log.committed == {}
        world.clock.step(6)
        world.log.put(TICK)
        await world.drain()
        assert world.log.committed == {"command": 101}
        assert await world.restarted().follower.step() == 0

    run(story)
