"""The generated district's registers: rows that a real district's clerk could have written, all of them accepted."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace

import msgspec
import pytest
import shapely
from shapely.geometry import shape

from citybrain_testing.command import START_US, make_world
from citybrain_testing.registers import a_register
from command_center.model import SYSTEM
from command_center.registers.kinds import load_kinds
from command_center.registers.register_target import RegisterTarget
from command_center.registers.targets import Row
from command_center.registers.unit_target import UnitTarget
from devices.registry import Registry, RegistryData
from gis.areas import level_of
from simulators.district import generate
from simulators.registers import register_rows
from storage.memory.command import MemoryStore

ROWS = {
    kind: [msgspec.convert({"row": n, **document}, Row) for n, document in enumerate(documents, start=2)]
    for kind, documents in register_rows(generate()).items()
}


def test_the_same_district_gives_the_same_rows() -> None:
    again = register_rows(generate())
    assert msgspec.json.encode(again) == msgspec.json.encode(register_rows(generate()))
    assert set(again) <= set(load_kinds()) | {"unit"}


def test_streets_communities_and_grids_tile_their_parents() -> None:
    outlines = {row.entry_id: shape(row.geometry) for row in ROWS["area"] if row.geometry}
    assert {level_of(code) for code in outlines} == {"county", "street", "village", "grid"}
    for code, outline in outlines.items():
        children = [o for c, o in outlines.items() if len(c) > len(code) and c.startswith(code)]
        deep = len(code) + 3
        own = [o for c, o in outlines.items() if len(c) == deep and c.startswith(code)]
        if children:
            assert sum(o.area for o in own) == pytest.approx(outline.area, rel=1e-3), code
            assert shapely.union_all(own).symmetric_difference(outline).area < outline.area * 2e-3, code


def test_every_telephone_is_nobodys() -> None:
    text = msgspec.json.encode(ROWS).decode()
    numbers = set(re.findall(r'"(?:phone|phone_2|duty_phone|control_room_phone)":"([^"]+)"', text))
    assert numbers
    assert all(re.fullmatch(r"13800000\d{3}|0576-0000-\d{4}|119", n) for n in numbers)


def test_all_rows_go_in_without_a_problem_and_a_second_time_change_nothing() -> None:
    async def story() -> None:
        world = make_world(MemoryStore())
        data = RegistryData(revision=1, full=True, devices=generate().devices(), datastreams=[])
        world.env = replace(world.env, registry=Registry.from_data(data))
        register = a_register(world.store, world=world)
        units = UnitTarget(store=world.store, env=world.env, emit=world.changes.append)
        for again in (False, True):
            for kind, rows in ROWS.items():
                target = units if kind == "unit" else RegisterTarget(register, kind)
                assert list(await target.check(SYSTEM, rows)) == []
                done = await target.commit(SYSTEM, rows, reason="demo")
                assert (done.created, done.same) == ((0, len(rows)) if again else (len(rows), 0)), kind
                assert not done.extra, (kind, done.extra)  # nothing is missing in the demo's own registers
        async with world.store.read() as tx:
            plant = await tx.register_entry("plant", "plant-wanjiang")
            assert plant is not None
            assert len(plant.values["devices"]) == 10
            lines = await tx.journal("register.contact", "c-001", 5, None)
        assert [(line.action, line.at_us) for line in lines] == [("create", START_US)]

    asyncio.run(story())
