"""Acceptance: what the database says, what people put down, and two persons who sign."""

from __future__ import annotations

import asyncio

import pytest

from citybrain_testing.command import LEADER
from citybrain_testing.devices_world import ACME, REGISTRAR, DevicesWorld, devices_world, gauge
from command_center.device_care.checklists import Check, ChecklistWrong, load_checklists, parse_checklist
from command_center.device_care.model import FROM, MOVES, TICKET, Facts, TicketState, TicketVerb
from command_center.errors import Invalid
from command_center.model import Actor, Role
from devices.models import load_models

BY_HAND = {"position": (True, ""), "datum": (True, "1985国家高程 2.31 m"), "photo": (True, "sha256:ab"), "installed_by": (True, "王工")}  # fmt: skip


def story(work: object) -> None:
    async def run() -> None:
        async with devices_world(
            None, [gauge("wl-1"), gauge("cam", model="camera-v1", kind="camera", thresholds={})]
        ) as w:
            await work(w)  # type: ignore[operator]

    asyncio.run(run())


def test_two_persons_accept_a_device_and_a_later_change_takes_the_signatures_away() -> None:
    async def work(world: DevicesWorld) -> None:
        world.received("wl-1", Facts(received=12, clock_offset_us=4_000_000))
        await world.care.fill(ACME, "wl-1", BY_HAND)
        half = await world.care.sign(ACME, "wl-1")
        assert (half.accepted, half.mark_zh) == (False, "未验收")
        done = await world.care.sign(REGISTRAR, "wl-1")
        assert (done.accepted, done.mark_zh, await world.care.accepted()) == (True, "已验收", {"wl-1"})
        assert (done.vendor and done.vendor.by, done.city and done.city.by) == ("acme1", "clerk1")
        again = await world.care.fill(REGISTRAR, "wl-1", {"photo": (True, "sha256:cd")})
        assert (again.accepted, again.vendor, again.city) == (False, None, None)
        assert world.registry.devices["wl-1"].enabled, "marking only: nothing of it keeps an alarm back"

    story(work)


def test_one_person_with_both_roles_signs_for_one_side_only() -> None:
    async def work(world: DevicesWorld) -> None:
        world.received("wl-1", Facts(received=1))
        await world.care.fill(ACME, "wl-1", BY_HAND)
        await world.care.sign(ACME, "wl-1")
        promoted = Actor(username="acme1", roles=frozenset({Role.REGISTRAR}), vendor="acme")
        with pytest.raises(Invalid, match="two persons"):
            await world.care.sign(promoted, "wl-1")
        assert not (await world.care.care(LEADER, "wl-1")).acceptance.accepted

    story(work)


def test_a_clock_beyond_the_models_tolerance_is_not_in_order() -> None:
    async def work(world: DevicesWorld) -> None:
        world.received("wl-1", Facts(received=3, clock_offset_us=-301_000_000))
        items = {i.key: i for i in (await world.care.care(LEADER, "wl-1")).acceptance.items}
        assert (items["clock"].ok, items["clock"].value) == (False, "-301 s")
        await world.care.fill(ACME, "wl-1", BY_HAND)
        with pytest.raises(Invalid, match="not in order yet: clock"):
            await world.care.sign(ACME, "wl-1")

    story(work)


def test_a_camera_needs_no_thresholds() -> None:
    async def work(world: DevicesWorld) -> None:
        keys = {i.key for i in (await world.care.care(LEADER, "cam")).acceptance.items}
        assert keys == {"position", "first_data", "clock", "photo", "installed_by"}

    story(work)


def test_the_shipped_checklists_are_of_kinds_that_exist() -> None:
    kinds = {model.kind for model in load_models().values()} | {"default"}
    assert set(load_checklists()) <= kinds
    assert all(any(i.check is Check.FIRST_DATA for i in c.items) for c in load_checklists().values())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("checklist: x\nsource: s\nitems: []", "at least one"),
        ("checklist: x\nsource: s\nitems:\n- {key: a, zh: 甲, en: A}\n- {key: a, zh: 乙, en: B}", "once"),
        ("checklist: x\nsource: s\nitems:\n- {key: a, zh: 甲, en: A, check: magic}", "magic"),
        ("checklist: [", "x.yaml"),
    ],
)
def test_a_wrong_checklist_is_refused_with_its_name(text: str, why: str) -> None:
    with pytest.raises(ChecklistWrong, match=why) as caught:
        parse_checklist(text, file="x.yaml")
    assert "x.yaml" in str(caught.value)


def test_every_verb_starts_where_the_table_lets_it_and_every_state_can_end() -> None:
    for verb in TicketVerb:
        assert FROM[verb]
        assert all(TICKET.allows(state, MOVES[verb]) for state in FROM[verb])
    assert FROM[TicketVerb.START] == (TicketState.ASSIGNED,)
    assert FROM[TicketVerb.RETURN] == (TicketState.REPORTED,)
    reached = {TicketState.OPEN}
    for _ in TicketState:
        reached |= {to for state in reached for to in TICKET.moves[state]}
    assert reached == set(TicketState)
