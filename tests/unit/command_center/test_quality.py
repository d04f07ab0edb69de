"""The loop of data quality: found by what is wrong, fed back by a ticket, mended and checked, and gone when nothing finds it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from citybrain_testing.command import LEADER
from citybrain_testing.devices_world import ACME, REGISTRAR, DevicesWorld, devices_world, gauge
from citybrain_testing.registers import SEALER, draft, filled
from command_center.access.scope import Scope
from command_center.device_care.model import TicketVerb
from command_center.errors import Forbidden, Invalid
from command_center.model import Actor, Role
from command_center.quality import DAY_US, Check, DeviceFacts, QualityService, Stage
from command_center.registers.service import EntryRegister

STREET = Actor(username="s", roles=frozenset({Role.LEADER}), scope=Scope(areas=("331002002",)))
VISITOR = Actor(username="v", roles=frozenset({Role.RESPONDER}), unit_id="u")
WEST = {"lon": 121.2, "lat": 28.5}


@dataclass
class Said:
    """What the database of observations would say."""

    facts: list[DeviceFacts] = field(default_factory=list)
    asked_since_us: int = 0

    async def device_facts(self, since_us: int) -> list[DeviceFacts]:
        self.asked_since_us = since_us
        return self.facts


def story(work: Callable[[DevicesWorld, QualityService, Said, EntryRegister], Awaitable[None]]) -> None:
    async def run() -> None:
        devices = [gauge("wl-1"), gauge("wl-2", vendor="zeta", area="331002002"), gauge("off", enabled=False)]
        async with devices_world(None, devices) as world:
            entries = EntryRegister(store=world.store, env=world.env, emit=lambda change: None, sealer=SEALER)
            said = Said()
            quality = QualityService(world.store, world.env, entries, said, lambda d: world.status.get(d, "online"))
            await work(world, quality, said, entries)

    asyncio.run(run())


def test_a_device_that_is_fine_is_no_problem_and_each_check_finds_its_own() -> None:
    async def work(world: DevicesWorld, quality: QualityService, said: Said, entries: EntryRegister) -> None:
        assert (await quality.board(LEADER)).items == []
        world.status |= {"wl-1": "no_data", "off": "no_data"}
        said.facts = [DeviceFacts(device_id="wl-2", suspect=2, clock=1, refused=7, last_refused_us=5)]
        await world.care.calibrate(
            REGISTRAR, "wl-1", calibrated_us=world.clock.city_us() - 400 * DAY_US, calibrated_by="计量院",
            certificate="C-1", due_us=world.clock.city_us() - DAY_US, offsets={}, comment="",
        )  # fmt: skip
        board = await quality.board(LEADER)
        assert [(p.check, p.subject_id, p.stage) for p in board.items] == [
            (Check.SILENT, "wl-1", Stage.FOUND),
            (Check.CLOCK, "wl-2", Stage.FOUND),
            (Check.SUSPECT, "wl-2", Stage.FOUND),
            (Check.REFUSED, "wl-2", Stage.FOUND),
            (Check.CALIBRATION, "wl-1", Stage.FOUND),
        ], "a disabled device is expected of nobody"
        assert board.by_whose == {"zeta": 3, "acme": 2}
        assert said.asked_since_us == world.clock.city_us() - DAY_US
        assert board.items[3].since_us == 5
        assert "7 条" in board.items[3].zh

    story(work)


def test_a_problem_is_fed_back_mended_checked_and_gone() -> None:
    async def work(world: DevicesWorld, quality: QualityService, said: Said, entries: EntryRegister) -> None:
        world.status["wl-1"] = "no_data"

        async def stage() -> tuple[str, ...]:
            return tuple(f"{p.stage}/{p.ticket_state_zh}" for p in (await quality.board(LEADER)).items)

        assert await stage() == ("found/",)
        due_us = world.clock.city_us() + DAY_US
        ticket = await world.care.open_ticket(REGISTRAR, "wl-1", title="断数", due_us=due_us)
        assert [s.split("/")[0] for s in await stage()] == ["fed_back"]
        await world.care.move_ticket(REGISTRAR, ticket.ticket_id, TicketVerb.ASSIGN)
        await world.care.move_ticket(ACME, ticket.ticket_id, TicketVerb.START)
        assert not (await quality.board(LEADER)).items[0].overdue
        world.clock.step(2 * 86_400)
        late = await quality.board(LEADER)
        assert late.items[0].overdue
        assert late.overdue == 1
        await world.care.move_ticket(ACME, ticket.ticket_id, TicketVerb.REPORT, comment="换电池")
        assert [s.split("/")[0] for s in await stage()] == ["mended"], "said to be mended, and still silent"
        world.status["wl-1"] = "online"
        assert await stage() == (), "nothing finds it any more"
        await world.care.move_ticket(REGISTRAR, ticket.ticket_id, TicketVerb.CHECK)
        await world.care.move_ticket(REGISTRAR, ticket.ticket_id, TicketVerb.CLOSE)
        assert (await quality.board(LEADER)).closed == 1
        world.status["wl-1"] = "no_data"
        assert [s.split("/")[0] for s in await stage()] == ["found"], "the same again is found anew"
        world.clock.step(31 * 86_400)
        assert (await quality.board(LEADER)).closed == 0

    story(work)


def test_entries_that_lack_something_or_were_not_checked_are_found_until_somebody_does_it() -> None:
    async def work(world: DevicesWorld, quality: QualityService, said: Said, entries: EntryRegister) -> None:
        await filled(entries)
        site = {"name": "江滨小学", "owner": "org-water", "contact_a": "k1"}
        await entries.create(REGISTRAR, "school", draft("s1", **WEST, **site), reason="new")
        board = await quality.board(LEADER, check="entry")
        (lacking,) = (p for p in board.items if p.subject == "school")
        assert (lacking.subject_id, lacking.name, lacking.whose, lacking.area) == (
            "s1",
            "江滨小学",
            "水利局",
            "339900001",
        )
        assert "责任人B" in lacking.zh
        assert "138" not in str(board.items), "no number of anybody"
        unverified = (await quality.board(LEADER, check="unverified")).total
        await entries.verify(REGISTRAR, "school", "s1", comment="已致电")
        assert (await quality.board(LEADER, check="unverified")).total == unverified - 1
        assert {p.subject for p in (await quality.board(LEADER)).items} >= {"school", "contact"}
        assert not [p for p in (await quality.board(ACME)).items if p.subject != "device"], "a firm reads no registers"

    story(work)


def test_everybody_sees_what_is_his_and_the_counts_are_of_that() -> None:
    async def work(world: DevicesWorld, quality: QualityService, said: Said, entries: EntryRegister) -> None:
        world.status |= {"wl-1": "no_data", "wl-2": "offline"}
        assert [p.subject_id for p in (await quality.board(ACME)).items] == ["wl-1"]
        street = await quality.board(STREET)
        assert ([p.subject_id for p in street.items], street.total, street.by_whose) == (["wl-2"], 1, {"zeta": 1})
        assert [p.subject_id for p in (await quality.board(LEADER, whose="zeta")).items] == ["wl-2"]
        assert [p.subject_id for p in (await quality.board(LEADER, area="331002001")).items] == ["wl-1"]
        assert (await quality.board(LEADER, stage="mended")).items == []
        first = await quality.board(LEADER, limit=1)
        second = await quality.board(LEADER, limit=1, cursor=first.next or "")
        assert ([p.subject_id for p in (*first.items, *second.items)], second.next) == (["wl-1", "wl-2"], None)
        assert first.total == second.total == 2
        with pytest.raises(Forbidden):
            await quality.board(VISITOR)
        for wrong in ({"check": "nonsense"}, {"stage": "x"}, {"area": "33%"}, {"limit": 0}):
            with pytest.raises(Invalid):
                await quality.board(LEADER, **wrong)  # type: ignore[arg-type]

    story(work)
