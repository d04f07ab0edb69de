"""What takes two persons: proposed by one, decided by another with his own login, done in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from citybrain_testing.command import ADMIN, DUTY1, LEADER, MemoryLog, SteppedClock, World, devices, make_world
from citybrain_testing.registering import FakeRegister
from command_center.access.approvals import EXPIRES_H, TRANSITIONS, Approvals
from command_center.access.records import ApprovalState
from command_center.access.scope import Scope
from command_center.access.thresholds import ThresholdChange
from command_center.device_register import RegisterService
from command_center.errors import Conflict, Forbidden, IllegalTransition, Invalid, NotFound, SecondFactorNeeded
from command_center.model import Actor, Role, User
from command_center.records import UserRecord
from command_center.timers import TimerService
from devices.registry import Registry, registry_data
from storage.memory.command import MemoryStore
from stream.records import as_control

GOOD = {"on": {"yellow": 4.0, "orange": 4.5, "red": 5.0}, "off": {"yellow": 3.8, "orange": 4.3, "red": 4.8}}
LEADER2 = Actor(username="leader2", roles=frozenset({Role.LEADER}))
SUBJECT = "wg-river/stage_m"


@dataclass
class Desk:
    """A world with approvals of thresholds."""

    world: World
    clock: SteppedClock
    log: MemoryLog
    live: Registry
    register: FakeRegister
    approvals: Approvals
    timers: TimerService

    def threshold(self) -> dict[str, Any]:
        return self.live.devices["wg-river"].thresholds.get("stage_m", {})

    async def propose(self, actor: Actor = LEADER, **fields: Any) -> Any:
        given = {"source": "防指〔2026〕7号"} | fields
        return await self.approvals.propose(actor, "threshold", SUBJECT, GOOD, **given)

    async def actions(self) -> list[str]:
        async with self.world.store.read() as tx:
            return [e.action for e in reversed(await tx.journal("approval", "", 50, None))]


def story(work: Callable[[Desk], Awaitable[None]]) -> None:
    async def run() -> None:
        world = make_world(MemoryStore())
        live, register = Registry.from_data(devices()), FakeRegister(devices())
        registers = RegisterService(register, world.log, live)
        approvals = Approvals(world.store, world.env, world.changes.append, ThresholdChange(registers))
        timers = TimerService(world.store, world.env, world.changes.append, approvals.handlers)
        async with world.store.write() as tx:
            for name, roles in (("leader2", [Role.LEADER]), ("vera", [Role.ANALYST])):
                await tx.put_user(UserRecord(user=User(username=name, name=name, roles=roles), password_hash="x"))
        await work(Desk(world, world.clock, world.log, live, register, approvals, timers))

    asyncio.run(run())


def test_a_threshold_is_changed_by_two_persons_each_with_his_own_login() -> None:
    async def work(desk: Desk) -> None:
        proposed = await desk.propose()
        assert (proposed.state, proposed.before, desk.threshold()) == (ApprovalState.PENDING, {}, {})
        with pytest.raises(Forbidden, match="two persons"):
            await desk.approvals.decide(LEADER, proposed.approval_id, approve=True)
        done = await desk.approvals.decide(LEADER2, proposed.approval_id, approve=True, comment="同意")
        assert (done.state, done.decided_by, done.result) == (ApprovalState.EXECUTED, "leader2", {"revision": 2})
        body = as_control(desk.log.records[-1])
        assert (body.type, registry_data(body.data).revision) == ("registry", 2)
        assert desk.threshold() == {**GOOD, "source": "防指〔2026〕7号"}
        assert desk.register.written[-1][:2] == ("leader1", "leader2")
        with pytest.raises(IllegalTransition):
            await desk.approvals.decide(LEADER2, proposed.approval_id, approve=True)
        assert await desk.actions() == ["propose", "executed"]

    story(work)


def test_what_makes_no_sense_is_refused_when_it_is_proposed() -> None:
    async def work(desk: Desk) -> None:
        propose = desk.approvals.propose
        with pytest.raises(Invalid, match="source"):
            await desk.propose(source=" ")
        with pytest.raises(Invalid, match=r"on\.purple"):
            await propose(LEADER, "threshold", SUBJECT, {"on": {"purple": 1}}, source="x")
        with pytest.raises(NotFound):
            await propose(LEADER, "threshold", "nothing/stage_m", GOOD, source="x")
        with pytest.raises(Invalid, match="no datastream"):
            await propose(LEADER, "threshold", "wg-river/depth_m", GOOD, source="x")
        with pytest.raises(Invalid, match="kind"):
            await propose(LEADER, "siren", SUBJECT, GOOD, source="x")
        with pytest.raises(Forbidden):
            await desk.propose(DUTY1)
        for nobody in ("somebody", "vera"):
            with pytest.raises(Invalid, match="approver"):
                await desk.propose(asked=nobody)
        with pytest.raises(Invalid, match="two persons"):
            await desk.propose(asked="leader1")
        asked = await desk.propose(asked="leader2")
        assert asked.asked == "leader2"
        with pytest.raises(Conflict, match=asked.approval_id):
            await desk.propose()

    story(work)


def test_a_decision_needs_the_right_within_the_area_and_a_second_factor() -> None:
    async def work(desk: Desk) -> None:
        approval_id = (await desk.propose()).approval_id
        elsewhere = Actor(username="leader9", roles=frozenset({Role.LEADER}), scope=Scope(areas=("111111",)))
        with pytest.raises(NotFound):
            await desk.approvals.decide(elsewhere, approval_id, approve=True)
        with pytest.raises(NotFound):
            await desk.approvals.get(elsewhere, approval_id)
        assert await desk.approvals.list(elsewhere) == ([], None)
        one_factor = Actor(username="leader3", roles=frozenset({Role.LEADER}), lacks_second_factor=True)
        with pytest.raises(SecondFactorNeeded):
            await desk.approvals.decide(one_factor, approval_id, approve=True)
        analyst = Actor(username="vera", roles=frozenset({Role.ANALYST}))
        with pytest.raises(Forbidden):
            await desk.approvals.decide(analyst, approval_id, approve=True)
        with pytest.raises(Invalid, match="comment"):
            await desk.approvals.decide(LEADER2, approval_id, approve=False)
        rejected = await desk.approvals.decide(LEADER2, approval_id, approve=False, comment="偏高")
        assert (rejected.state, desk.threshold()) == (ApprovalState.REJECTED, {})

    story(work)


def test_only_who_proposed_withdraws_and_nobody_decides_after_that() -> None:
    async def work(desk: Desk) -> None:
        approval_id = (await desk.propose()).approval_id
        with pytest.raises(Forbidden):
            await desk.approvals.withdraw(LEADER2, approval_id)
        assert (await desk.approvals.withdraw(LEADER, approval_id)).state is ApprovalState.WITHDRAWN
        with pytest.raises(IllegalTransition):
            await desk.approvals.decide(LEADER2, approval_id, approve=True)
        assert (await desk.propose()).approval_id != approval_id

    story(work)


def test_a_proposal_that_nobody_decides_lapses() -> None:
    async def work(desk: Desk) -> None:
        approval_id = (await desk.propose()).approval_id
        desk.clock.step(EXPIRES_H * 3600 - 1, city=False)
        assert await desk.timers.run_due() == 0
        desk.clock.step(2, city=False)
        assert await desk.timers.run_due() == 1
        assert (await desk.approvals.get(ADMIN, approval_id)).state is ApprovalState.EXPIRED

    story(work)


def test_a_proposal_about_what_has_changed_meanwhile_is_not_carried_out() -> None:
    async def work(desk: Desk) -> None:
        approval_id = (await desk.propose()).approval_id
        device = desk.live.devices["wg-river"]
        desk.live.devices["wg-river"] = type(device)(
            **{f: getattr(device, f) for f in device.__struct_fields__ if f != "thresholds"},
            thresholds={"stage_m": {"on": {"red": 9.0}}},
        )
        with pytest.raises(Conflict, match="anew"):
            await desk.approvals.decide(LEADER2, approval_id, approve=True)

    story(work)


def test_an_emergency_change_applies_at_once_and_goes_back_unless_a_second_person_confirms() -> None:
    async def work(desk: Desk) -> None:
        with pytest.raises(Invalid, match="reason"):
            await desk.propose(emergency_h=2.0)
        with pytest.raises(Invalid, match="hours"):
            await desk.propose(emergency_h=25.0, reason="溃口")
        proposed = await desk.propose(emergency_h=2.0, reason="溃口")
        assert desk.threshold()["on"] == GOOD["on"]
        assert (proposed.state, proposed.emergency) == (ApprovalState.PENDING, True)
        desk.clock.step(2 * 3600 + 1, machine=False)  # city time: the water's, not the person's
        assert await desk.timers.run_due() == 1
        assert await desk.register.unappended()  # the next flush takes it to the log
        lapsed = await desk.approvals.get(LEADER, proposed.approval_id)
        assert (lapsed.state, lapsed.result["taken_back"]) == (ApprovalState.EXPIRED, True)
        assert desk.register.registry.devices["wg-river"].thresholds == {}

    story(work)


def test_a_confirmed_emergency_change_stays_and_a_rejected_one_goes_back_at_once() -> None:
    async def work(desk: Desk) -> None:
        first = await desk.propose(emergency_h=1.0, reason="溃口")
        with pytest.raises(Forbidden, match="two persons"):
            await desk.approvals.decide(LEADER, first.approval_id, approve=True)
        await desk.approvals.decide(LEADER2, first.approval_id, approve=True)
        desk.clock.step(3601, machine=False)
        assert await desk.timers.run_due() == 0
        assert desk.threshold()["on"] == GOOD["on"]
        higher = {"on": {"red": 6.0}, "off": {"red": 5.8}}
        second = await desk.approvals.propose(
            LEADER, "threshold", SUBJECT, higher, source="x", reason="误报", emergency_h=1.0
        )
        assert desk.threshold()["on"] == {"red": 6.0}
        await desk.approvals.decide(LEADER2, second.approval_id, approve=False, comment="不同意")
        assert desk.threshold()["on"] == GOOD["on"]

    story(work)


def test_the_table_ends_everywhere_but_at_pending() -> None:
    assert {state for state, _ in TRANSITIONS} == {ApprovalState.PENDING}
    assert set(TRANSITIONS.values()) == set(ApprovalState) - {ApprovalState.PENDING}


@pytest.mark.parametrize(("prop", "names"), [("stage_m", ("河道水位", "River stage")), ("mud", ("mud", "mud"))])
def test_a_property_is_named_as_people_do_and_by_its_key_where_no_model_says(prop: str, names: tuple[str, str]) -> None:
    live = Registry.from_data(devices())
    gauge = msgspec.structs.replace(live.devices["wg-river"], model="water-gauge-v1")
    registers = RegisterService(FakeRegister(devices()), make_world(MemoryStore()).log, live)
    assert registers.property_name(gauge, prop) == names
