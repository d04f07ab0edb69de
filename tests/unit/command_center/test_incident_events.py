"""What screens are told of an incident while a storm's alarms pour in."""

from __future__ import annotations

import asyncio

from citybrain_testing.command import SteppedClock, make_world, river, underpass, with_team
from rules import transitions
from rules.transitions import Kind
from storage.memory.command import MemoryStore
from stream.records import NewRecord, RecordKind


def test_alarms_of_one_batch_show_their_incident_once_with_all_of_them() -> None:
    async def story() -> None:
        world = await with_team(make_world(MemoryStore()))
        world.changes.clear()
        for position, episode in enumerate((river(), underpass()), start=len(world.log.records) + 1):
            found = episode.goes(Kind.RAISED, "orange", 4.2, position, world.clock.city_us())
            world.log.put(NewRecord(kind=RecordKind.TRANSITION, body=transitions.encode(found), key=found.key))
        await world.drain()
        shown = [change for change in world.changes if change.channel == "incident"]
        assert len(shown) == 1
        assert len(shown[0].data["alarm_ids"]) == 2
        told = [entry["kind"] for entry in shown[0].data["timeline"]]
        assert told.count("alarm") == 2
        async with world.store.read() as tx:
            stored = await tx.incident(shown[0].id)
        assert stored is not None
        assert shown[0].rev == stored.rev

    asyncio.run(story())


class SlowMachine(SteppedClock):
    """Every look at the machine's clock finds 0.3 s gone."""

    def machine_ns(self) -> int:
        self.step(0.3, city=False)
        return super().machine_ns()


def test_a_storm_on_a_slow_machine_gives_its_turn_away_and_takes_everything_over_once() -> None:
    async def story() -> None:
        world = make_world(MemoryStore(), clock=SlowMachine())
        episodes = [underpass() for _ in range(9)]
        for number, episode in enumerate(episodes):
            episode.subject_id = f"wg-{number}"
            found = episode.goes(Kind.RAISED, "yellow", 0.2, len(world.log.records) + 1, world.clock.city_us())
            world.log.put(NewRecord(kind=RecordKind.TRANSITION, body=transitions.encode(found), key=found.key))
        turns = []
        while taken := await world.follower.step():
            turns.append(taken)
        assert len(turns) > 2
        assert sum(turns) == len(world.log.records)
        async with world.store.read() as tx:
            assert len(await tx.alarms(firing_only=True, limit=100)) == len(episodes)

    asyncio.run(story())
