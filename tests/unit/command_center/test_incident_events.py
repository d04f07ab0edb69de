"""What screens are told of an incident while a storm's alarms pour in."""

from __future__ import annotations

import asyncio

from citybrain_testing.command import make_world, river, underpass, with_team
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
