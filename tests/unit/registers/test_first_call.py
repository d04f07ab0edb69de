"""The first call at a gas alarm goes to the control room that the register names for these detectors."""

from __future__ import annotations

import asyncio

from citybrain_testing.command import World, gas, make_world
from citybrain_testing.registers import REGISTRAR, a_register, draft, filled
from rules.transitions import Kind
from storage.memory.command import MemoryStore

PLANT = {"name": "湾江氯碱厂", "contact_a": "k1", "site": "park-a", "control_room_phone": "0576-0000-1109"}


async def first_call(world: World) -> str:
    await world.happen(gas(), Kind.RAISED, "orange", 3.2)
    async with world.store.read() as tx:
        (incident,) = await tx.incidents([], 1)
        timeline = await tx.timeline(incident.incident_id, 50)
    return next(entry.text_zh for entry in timeline if entry.kind == "call")


def test_a_registered_plants_number_is_called() -> None:
    async def story() -> None:
        world = make_world(MemoryStore())
        register = await filled(a_register(world.store, world=world))
        await register.create(REGISTRAR, "plant", draft("p1", lon=121.2, lat=28.5, **PLANT), reason="一源一档")
        assert (await first_call(world)).endswith("：湾江氯碱厂 0576-0000-1109")

    asyncio.run(story())


def test_without_a_number_in_any_register_the_timeline_says_so() -> None:
    assert asyncio.run(first_call(make_world(MemoryStore()))).endswith("登记册中没有电话")
