"""Access and care of devices: the same stories on the memory twin and on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from citybrain_testing.command import ADMIN, DUTY1, LEADER
from citybrain_testing.devices_world import ACME, REGISTRAR, ZETA, DevicesWorld, devices_world, gauge
from command_center.access.scope import Scope
from command_center.device_care.model import Origin, TicketState, TicketVerb
from command_center.device_care.service import DAY_US, MAX_MAINTENANCE_US
from command_center.errors import Conflict, Forbidden, IllegalTransition, Invalid, NotFound
from command_center.model import Actor, Role

Story = Callable[[DevicesWorld], Awaitable[None]]
Run = Callable[[Story], None]
DEVICES = [gauge("wl-1"), gauge("wl-2"), gauge("wl-z", vendor="zeta", area="331003")]
ELSEWHERE = Actor(username="admin3", roles=frozenset({Role.ADMIN}), scope=Scope(areas=("3310030",)))


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.database)])
def run(request: pytest.FixtureRequest) -> Run:
    url = request.getfixturevalue("fresh_url")() if request.param == "postgres" else None

    async def body(story: Story) -> None:
        async with devices_world(url, DEVICES) as world:
            await story(world)

    return lambda story: asyncio.run(body(story))


async def journal(world: DevicesWorld, entity: str, entity_id: str) -> list[str]:
    """What was done, newest first; what the register itself writes (PostgreSQL's does) left out."""
    async with world.store.read() as tx:
        found = [entry.action for entry in await tx.journal(entity, entity_id, 50, None)]
    return [action for action in found if action not in ("register", "change")]


def test_a_password_is_issued_replaced_and_revoked_and_each_is_journalled(run: Run) -> None:
    async def story(world: DevicesWorld) -> None:
        first = await world.access.issue(ACME, "wl-1")
        second = await world.access.issue(ACME, "wl-1", reason="lost the note")
        assert first != second
        assert (await world.access.state(ADMIN, "wl-1")).password_since_us == world.clock.city_us()
        with pytest.raises(Invalid, match="reason"):
            await world.access.revoke(ACME, "wl-1", reason=" ")
        gone = await world.access.revoke(ACME, "wl-1", reason="stolen")
        assert (gone.password_since_us, gone.certificates) == (None, [])
        with pytest.raises(NotFound, match="credential"):
            await world.access.revoke(ACME, "wl-1", reason="again")
        assert world.door.told == ["wl-1"] * 3, "the broker learns of each"
        assert await journal(world, "device_credential", "wl-1") == ["revoke", "rotate", "issue"]

    run(story)


def test_a_new_certificate_ends_the_one_before_and_a_revocation_ends_both_ways_in(run: Run) -> None:
    async def story(world: DevicesWorld) -> None:
        await world.access.issue(ADMIN, "wl-1")
        one = await world.access.certificate(ACME, "wl-1", days=30)
        two = await world.access.certificate(ACME, "wl-1")
        held = (await world.access.state(ACME, "wl-1")).certificates
        assert [(c.serial, c.revoked_machine_us is None) for c in held] == [
            (two.certificate.serial, True),
            (one.certificate.serial, False),
        ]
        gone = await world.access.revoke(ADMIN, "wl-1", reason="stolen")
        assert all(c.revoked_machine_us is not None for c in gone.certificates)
        for days in (0, 5000):
            with pytest.raises(Invalid, match="days"):
                await world.access.certificate(ADMIN, "wl-1", days=days)

    run(story)


def test_a_foreign_firm_another_area_and_another_role_get_nothing(run: Run) -> None:
    async def story(world: DevicesWorld) -> None:
        with pytest.raises(NotFound):
            await world.access.issue(ZETA, "wl-1")
        with pytest.raises(NotFound):
            await world.care.care(ZETA, "wl-1")
        with pytest.raises(NotFound, match="outside your area"):
            await world.access.issue(ELSEWHERE, "wl-1")
        for actor in (DUTY1, LEADER, REGISTRAR):
            with pytest.raises(Forbidden, match="credentials"):
                await world.access.issue(actor, "wl-1")
        with pytest.raises(NotFound):
            await world.access.issue(ADMIN, "nobody")
        assert world.door.given == {}

    run(story)


def test_many_new_devices_get_their_passwords_under_one_entry(run: Run) -> None:
    async def story(world: DevicesWorld) -> None:
        words = await world.access.issue_new(ADMIN, ["wl-1", "wl-2"], reason="import")
        assert sorted(words) == ["wl-1", "wl-2"]
        async with world.store.read() as tx:
            (entry,) = await tx.journal("device_credential", "", 10, None)
        assert (entry.entity_id, entry.after) == ("2 devices", {"password": True, "device_ids": ["wl-1", "wl-2"]})

    run(story)


def test_calibrations_keep_their_history_and_the_overdue_come_first(run: Run) -> None:
    async def story(world: DevicesWorld) -> None:
        now = world.clock.city_us()

        async def calibrate(device_id: str, ago_days: int, due_days: int | None, **offsets: float) -> None:
            await world.care.calibrate(
                ACME if device_id != "wl-z" else ZETA,
                device_id,
                calibrated_us=now - ago_days * DAY_US,
                calibrated_by="省计量院",
                certificate=f"JL-{ago_days}",
                due_us=None if due_days is None else now + due_days * DAY_US,
                offsets=offsets,
            )

        await calibrate("wl-1", 400, -35, stage_m=0.02)
        await calibrate("wl-1", 10, 355, stage_m=-0.01)
        await calibrate("wl-2", 370, -5)
        await calibrate("wl-z", 100, 20)
        care = await world.care.care(DUTY1, "wl-1")
        assert [c.offsets for c in care.calibrations] == [{"stage_m": -0.01}, {"stage_m": 0.02}]
        assert care.calibration_due_us == now + 355 * DAY_US
        assert [c.device_id for c in await world.care.due(REGISTRAR, 30)] == ["wl-2", "wl-z"]
        assert [c.device_id for c in await world.care.due(ACME, 400)] == ["wl-2", "wl-1"]
        with pytest.raises(Invalid, match=r"offsets\.ph: wl-1 measures battery_v, stage_m"):
            await calibrate("wl-1", 1, 30, ph=1.0)
        with pytest.raises(Invalid, match="due"):
            await calibrate("wl-1", 1, -2)
        with pytest.raises(Invalid, match="future"):
            await calibrate("wl-1", -1, 30)
        assert await journal(world, "device", "wl-1") == ["calibrate", "calibrate"]

    run(story)


def test_a_ticket_goes_from_the_desk_to_the_vendor_and_back_to_somebody_who_checks(run: Run) -> None:
    async def story(world: DevicesWorld) -> None:
        move = world.care.move_ticket
        ticket = await world.care.open_ticket(DUTY1, "wl-1", title="水位跳变")
        assert (ticket.ticket_id, ticket.vendor, ticket.state_zh) == ("WX-20190809-0001", "acme", "待派单")
        name = ticket.ticket_id
        with pytest.raises(Forbidden, match="assign"):
            await move(ACME, name, TicketVerb.ASSIGN)
        assert (await move(DUTY1, name, TicketVerb.ASSIGN)).assignee == "acme"
        with pytest.raises(NotFound):
            await move(ZETA, name, TicketVerb.START)
        await move(ACME, name, TicketVerb.START)
        with pytest.raises(Invalid, match="comment"):
            await move(ACME, name, TicketVerb.REPORT)
        await move(ACME, name, TicketVerb.REPORT, comment="更换浮子")
        with pytest.raises(IllegalTransition):
            await move(ACME, name, TicketVerb.START)
        await move(DUTY1, name, TicketVerb.RETURN, comment="仍跳变")
        await move(ADMIN, name, TicketVerb.REPORT, comment="更换传感器")
        with pytest.raises(Invalid, match="somebody else checks"):
            await move(ADMIN, name, TicketVerb.CHECK)
        await move(DUTY1, name, TicketVerb.CHECK)
        closed = await move(LEADER, name, TicketVerb.CLOSE)
        assert [(s.source, s.to, s.actor) for s in closed.history] == [
            ("", "OPEN", "duty1"),
            ("OPEN", "ASSIGNED", "duty1"),
            ("ASSIGNED", "IN_PROGRESS", "acme1"),
            ("IN_PROGRESS", "REPORTED", "acme1"),
            ("REPORTED", "IN_PROGRESS", "duty1"),
            ("IN_PROGRESS", "REPORTED", "admin"),
            ("REPORTED", "CHECKED", "duty1"),
            ("CHECKED", "CLOSED", "leader1"),
        ]
        with pytest.raises(IllegalTransition):
            await move(DUTY1, name, TicketVerb.REJECT, comment="?")
        assert len(await journal(world, "device_ticket", name)) == 8

    run(story)


def test_two_at_one_ticket_do_not_both_win(run: Run) -> None:
    async def story(world: DevicesWorld) -> None:
        ticket = await world.care.open_ticket(DUTY1, "wl-1", title="x")
        async with world.store.write() as tx:
            assert not await tx.update_ticket(ticket, rev=ticket.rev + 1, states=[TicketState.OPEN])
            assert not await tx.update_ticket(ticket, rev=ticket.rev, states=[TicketState.CHECKED])
            assert await tx.update_ticket(ticket, rev=ticket.rev, states=[TicketState.OPEN])

    run(story)


def test_silent_devices_are_proposed_until_somebody_mends_them(run: Run) -> None:
    async def story(world: DevicesWorld) -> None:
        world.status |= {"wl-1": "no_data", "wl-z": "offline"}
        assert [p.device_id for p in await world.care.proposals(DUTY1)] == ["wl-1", "wl-z"]
        assert [p.device_id for p in await world.care.proposals(ACME)] == ["wl-1"]
        await world.care.open_ticket(DUTY1, "wl-1", title="断数", origin=Origin.NO_DATA)
        with pytest.raises(Conflict, match="already"):
            await world.care.open_ticket(LEADER, "wl-1", title="断数", origin=Origin.NO_DATA)
        with pytest.raises(Invalid, match="not silent"):
            await world.care.open_ticket(LEADER, "wl-2", title="断数", origin=Origin.NO_DATA)
        assert [p.device_id for p in await world.care.proposals(DUTY1)] == ["wl-z"]
        pages, cursor = [], ""
        for _ in range(3):
            await world.care.open_ticket(DUTY1, "wl-2", title="x")
        await world.care.open_ticket(DUTY1, "wl-z", title="x")
        while True:
            items, following = await world.care.tickets(ACME, limit=2, cursor=cursor)
            pages.append([t.device_id for t in items])
            if following is None:
                break
            cursor = following
        assert pages == [["wl-2", "wl-2"], ["wl-2", "wl-1"]], "a vendor reads its own firm's, page by page"
        assert [t.device_id for t in (await world.care.tickets(ELSEWHERE))[0]] == []

    run(story)


def test_a_maintenance_window_has_an_author_and_an_end_and_reaches_the_rules(run: Run) -> None:
    async def story(world: DevicesWorld) -> None:
        now = world.clock.city_us()
        for actor in (ACME, DUTY1, REGISTRAR):
            with pytest.raises(Forbidden, match="maintenance"):
                await world.care.maintain(actor, "wl-1", until_us=now + 1, reason="x")
        for until in (now, now + MAX_MAINTENANCE_US + 1):
            with pytest.raises(Invalid, match="until"):
                await world.care.maintain(LEADER, "wl-1", until_us=until, reason="x")
        with pytest.raises(Invalid, match="reason"):
            await world.care.maintain(LEADER, "wl-1", until_us=now + 60, reason="")
        appended = len(world.log.records)
        await world.care.maintain(LEADER, "wl-1", until_us=now + 3_600_000_000, reason="清淤")
        assert len(world.log.records) == appended + 1
        entry = world.registry.devices["wl-1"].attributes["maintenance"]
        assert (entry["author"], entry["until_us"]) == ("leader1", now + 3_600_000_000)
        window = (await world.care.care(ACME, "wl-1")).maintenance
        assert window is not None
        assert window.reason == "清淤"
        world.clock.step(3601)
        assert (await world.care.care(ACME, "wl-1")).maintenance is None, "it ends by itself"
        await world.care.end_maintenance(LEADER, "wl-1")
        assert "maintenance" not in world.registry.devices["wl-1"].attributes
        with pytest.raises(NotFound):
            await world.care.end_maintenance(LEADER, "wl-1")
        assert await journal(world, "device", "wl-1") == ["maintenance ended", "maintenance"]

    run(story)


def test_nothing_is_accepted_before_data_came_and_every_item_is_in_order(run: Run) -> None:
    async def story(world: DevicesWorld) -> None:
        view = (await world.care.care(ACME, "wl-1")).acceptance
        assert (view.mark_zh, view.checklist) == ("未验收", "water_gauge")
        items = {item.key: item for item in view.items}
        assert (items["thresholds"].ok, items["thresholds"].value) == (True, "stage_m: 防汛预案")
        assert not items["first_data"].ok
        with pytest.raises(Invalid, match="expected a value"):
            await world.care.fill(ACME, "wl-1", {"photo": (True, "")})
        with pytest.raises(Invalid, match="first_data: expected one of"):
            await world.care.fill(ACME, "wl-1", {"first_data": (True, "")})
        with pytest.raises(Forbidden):
            await world.care.fill(DUTY1, "wl-1", {"position": (True, "")})
        await world.care.fill(ACME, "wl-1", {"position": (True, "")})
        with pytest.raises(Invalid, match="datum, first_data, clock, photo, installed_by"):
            await world.care.sign(ACME, "wl-1")
        assert await world.care.accepted() == set()

    run(story)


def test_a_checklist_that_somebody_else_changed_meanwhile_is_not_overwritten(run: Run) -> None:
    async def story(world: DevicesWorld) -> None:
        await world.care.fill(ACME, "wl-1", {"position": (True, "")})
        view = await world.care.fill(REGISTRAR, "wl-1", {"photo": (True, "sha256:1")})
        async with world.store.write() as tx:
            found = await tx.acceptance("wl-1")
            assert found is not None
            assert (found.rev, set(found.answers)) == (view.rev, {"position", "photo"})
            assert not await tx.put_acceptance(found, rev=view.rev - 1)
            assert await tx.put_acceptance(found, rev=view.rev)

    run(story)
