"""One area at a glance: what lies in it and nothing beside, of each part what the asker's roles read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from citybrain_testing.command import LEADER, START_US, make_world, river, with_team
from citybrain_testing.registers import EAST, REGISTRAR, SEALER, draft, filled
from command_center.access.scope import Scope
from command_center.duty.instructions import InstructionDraft
from command_center.duty.model import AddresseeKind
from command_center.duty.service import DutyService
from command_center.errors import Forbidden, Invalid, NotFound
from command_center.model import Actor, Role
from command_center.quality import QualityService
from command_center.registers.service import EntryRegister
from command_center.township import Township
from rules.transitions import Kind
from storage.memory.command import MemoryStore

AUDITOR = Actor(username="a", roles=frozenset({Role.AUDITOR}))
VENDOR = Actor(username="v", roles=frozenset({Role.VENDOR}), vendor="acme")
WEST = Actor(username="w", roles=frozenset({Role.LEADER}), scope=Scope(areas=("339900001",)))
PEOPLE = {"owner": "org-water", "contact_a": "k1", "contact_b": "k2"}


class Nothing:
    async def device_facts(self, since_us: int) -> list[object]:
        return []


@dataclass
class Town:
    township: Township
    entries: EntryRegister
    duty: DutyService


def story(work: Callable[[Town], Awaitable[None]]) -> None:
    async def run() -> None:
        world = await with_team(make_world(MemoryStore()))
        await world.happen(river(), Kind.RAISED, "orange", 4.6)
        emit = world.changes.append
        entries = await filled(EntryRegister(store=world.store, env=world.env, emit=emit, sealer=SEALER))
        for name, lon, kind in (("西校", 121.2, "school"), ("东校", 121.6, "school")):
            await entries.create(REGISTRAR, kind, draft(name, name=name, lon=lon, lat=28.5, **PEOPLE), reason="new")
        plant = {"name": "氯碱厂", "grade": "red"} | PEOPLE
        await entries.create(REGISTRAR, "plant", draft("p1", lon=121.2, lat=28.5, **plant), reason="new")
        duty = DutyService(world.store, world.env, emit, SEALER)
        quality = QualityService(world.store, world.env, entries, Nothing(), lambda device_id: "online")  # type: ignore[arg-type]
        await work(Town(Township(world.center, entries, duty, quality, lambda device_id: "online"), entries, duty))

    asyncio.run(run())


def test_a_district_sees_all_of_it_and_a_street_its_own() -> None:
    async def work(town: Town) -> None:
        whole = await town.township.summary(LEADER, "339900")
        assert (whole.name, whole.level, whole.alarms_by_colour) == ("椒湾示范区", "county", {"orange": 1})
        assert whole.incidents_open == 1
        assert whole.at_us >= START_US
        assert {o.kind: o.count for o in whole.objects} == {"school": 2, "plant": 1}
        west = await town.township.summary(WEST, "339900001")
        objects = {o.kind: o for o in west.objects}
        assert (objects["school"].count, objects["school"].unverified) == (1, 1)
        assert objects["plant"].grades == {"red": 1}
        assert west.quality is not None
        assert west.quality.by_check["unverified"] < whole.quality.by_check["unverified"]  # type: ignore[union-attr]
        east = await town.township.summary(LEADER, "339900002")
        assert {o.kind: o.count for o in east.objects} == {"school": 1}
        assert east.devices_by_status == {}

    story(work)


def test_another_area_a_wider_one_and_one_that_is_none_look_the_same() -> None:
    async def work(town: Town) -> None:
        for actor, code in ((WEST, "339900002"), (WEST, "339900"), (LEADER, "330000"), (EAST, "339900001")):
            with pytest.raises(NotFound):
                await town.township.summary(actor, code)
        with pytest.raises(Forbidden):
            await town.township.summary(VENDOR, "339900")

    story(work)


def test_what_a_role_does_not_read_is_left_out() -> None:
    async def work(town: Town) -> None:
        found = await town.township.summary(AUDITOR, "339900")
        assert (found.alarms, found.incidents_open, found.tasks, found.quality) == (None, None, None, None)
        assert found.objects
        assert found.duty is not None

    story(work)


def test_a_risk_becomes_a_supervised_task_that_stands_at_the_object() -> None:
    async def work(town: Town) -> None:
        order = InstructionDraft(
            text="立即排查储罐阀门", addressees=[(AddresseeKind.ORGANISATION, "水利局")], subject="plant/p1"
        )
        made = await town.duty.instruct(LEADER, order)
        assert (made.subject, made.area) == ("plant/p1", "339900001"), "told in the object's own area"
        found, _ = await town.duty.instructions(LEADER, subject="plant/p1")
        assert [i.instruction_id for i in found] == [made.instruction_id]
        assert (await town.duty.instructions(LEADER, subject="plant/p2"))[0] == []
        west = await town.township.summary(WEST, "339900001")
        assert (west.instructions_open, west.instructions_overdue) == (1, 0)
        assert (await town.township.summary(LEADER, "339900002")).instructions_open == 0
        for subject, error in (("plant", Invalid), ("plant/p9", NotFound), ("/p1", Invalid)):
            with pytest.raises(error):
                await town.duty.instruct(
                    LEADER, InstructionDraft(text="x", addressees=order.addressees, subject=subject)
                )
        other = Actor(username="l2", roles=frozenset({Role.LEADER}), scope=Scope(areas=("339900002",)))
        with pytest.raises(NotFound):
            await town.duty.instruct(other, order)

    story(work)
