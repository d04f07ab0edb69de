"""Rows of access: the same on the memory twin and on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from citybrain_testing.command import START_US, gas, make_world, river, underpass, with_team
from citybrain_testing.command_store import command_store
from command_center.access.records import ApiKey, Approval, ApprovalState, IncidentRole, SecondFactor, SecurityKey
from command_center.access.scope import Scope
from command_center.model import Role, User
from command_center.ports import Store
from command_center.records import UserRecord
from rules.transitions import Kind

replace = msgspec.structs.replace
Story = Callable[[Store], Awaitable[None]]
Run = Callable[[Story], None]
STREET = Scope(areas=("339900001",))


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.database)])
def run(request: pytest.FixtureRequest) -> Run:
    url = request.getfixturevalue("fresh_url")() if request.param == "postgres" else None

    async def body(story: Story) -> None:
        async with command_store(url) as store:
            await story(store)

    return lambda story: asyncio.run(body(story))


def a_user(username: str = "duty1", **fields: Any) -> UserRecord:
    user = User(username=username, name="林晓", roles=[Role.OPERATOR], scope=STREET)
    return UserRecord(user=replace(user, **fields), password_hash="h", changed_us=START_US, password_us=START_US)


def an_approval(number: int = 1, **fields: Any) -> Approval:
    base = Approval(
        approval_id=f"A-{number:06d}",
        kind="threshold",
        subject=f"wg-{number}/stage_m",
        area="339900001",
        title_zh="阈值",
        title_en="Thresholds",
        payload={"on": {"red": 5.0}},
        before={},
        source="文",
        reason="",
        state=ApprovalState.PENDING,
        proposed_by="leader1",
        proposed_us=START_US,
        expires_us=START_US + 1,
    )
    return replace(base, **fields)


def test_lists_end_at_the_edge_of_a_scope(run: Run) -> None:
    async def story(store: Store) -> None:
        world = await with_team(make_world(store))
        await world.happen(river(), Kind.RAISED, "orange", 4.6, area="339900001002")
        await world.happen(gas(), Kind.RAISED, "orange", 4.0, area="339900002")
        await world.happen(underpass(), Kind.RAISED, "red", 0.7, area="339900001002")
        async with store.read() as tx:
            alarms = await tx.alarms(firing_only=True, limit=10, scope=STREET)
            assert {a.condition.last.rule_id for a in alarms} == {"flood.underpass-depth", "flood.river-stage"}
            assert len(await tx.alarms(firing_only=True, limit=10)) == 3
            assert await tx.alarms(firing_only=True, limit=10, scope=Scope(hazards=("typhoon",))) == []
            everywhere = await tx.incidents([], 10)
            inside = await tx.incidents([], 10, scope=STREET)
            assert {i.area for i in inside} == {"339900001002"}
            outside = next(i.incident_id for i in everywhere if i.area == "339900002")
            also = await tx.incidents([], 10, scope=STREET, also=[outside])
            assert {i.incident_id for i in also} == {i.incident_id for i in everywhere}
            tasks = await tx.tasks(scope=STREET)
            assert tasks
            assert {t.task.area for t in tasks} == {"339900001002"}
            assert {t.task.hazard for t in tasks} == {"flood"}
            assert len(await tx.tasks(scope=STREET, also=[outside])) == len(await tx.tasks())
            assert await tx.tasks(scope=Scope(areas=("3399000010021",))) == []
            assert {c.area for c in await tx.closures()} == {"339900"}  # of the gauge that closed the road

    run(story)


def test_a_role_in_an_incident_is_kept_with_its_end(run: Run) -> None:
    async def story(store: Store) -> None:
        world = await with_team(make_world(store))
        await world.happen(river(), Kind.RAISED, "orange", 4.6)
        async with store.write() as tx:
            await tx.put_user(a_user())
            incident_id = (await tx.incidents([], 1))[0].incident_id
            role = IncidentRole(
                role_id=f"{incident_id}-P01",
                incident_id=incident_id,
                username="duty1",
                role=Role.COMMANDER,
                from_us=START_US,
                until_us=START_US + 10,
                given_by="leader1",
            )
            await tx.insert_incident_role(role)
        async with store.write() as tx:
            assert await tx.incident_roles(username="duty1") == [role]
            assert await tx.incident_roles(incident_id=incident_id, username="other") == []
            assert await tx.end_incident_role(role.role_id, START_US + 5, "leader1")
            assert not await tx.end_incident_role(role.role_id, START_US + 6, "leader1")
            (ended,) = await tx.incident_roles(incident_id=incident_id)
            assert (ended.ended_us, ended.ended_by) == (START_US + 5, "leader1")

    run(story)


def test_a_login_is_written_down_and_nothing_else_moves_it(run: Run) -> None:
    async def story(store: Store) -> None:
        async with store.write() as tx:
            await tx.put_user(a_user())
            await tx.touch_logins({"duty1": START_US + 5, "nobody": START_US})
            await tx.touch_logins({"duty1": START_US + 3})
            await tx.put_user(replace(a_user(), changed_us=START_US + 9))
        async with store.read() as tx:
            record = await tx.user("duty1")
            assert record is not None
            assert (record.last_login_us, record.password_us, record.user.scope) == (START_US + 5, START_US, STREET)
            assert [r.user.username for r in await tx.users_changed_since(START_US + 9)] == ["duty1"]
            assert await tx.users_changed_since(START_US + 10) == []

    run(story)


def test_a_code_is_taken_once_and_a_recovery_code_is_gone_with_its_use(run: Run) -> None:
    async def story(store: Store) -> None:
        factor = SecondFactor(
            username="duty1",
            secret="sealed",
            confirmed=False,
            last_step=0,
            recovery=["a", "b"],
            changed_machine_us=START_US,
        )
        async with store.write() as tx:
            await tx.put_user(a_user())
            await tx.put_second_factor(factor)
            assert await tx.second_factors() == []
            assert not await tx.use_recovery_code("duty1", "a")  # not confirmed yet
            await tx.put_second_factor(replace(factor, confirmed=True))
            assert await tx.second_factors() == ["duty1"]
            assert await tx.use_totp_step("duty1", 7)
            assert not await tx.use_totp_step("duty1", 7)
            assert not await tx.use_totp_step("duty1", 6)
            assert await tx.use_recovery_code("duty1", "a")
            assert not await tx.use_recovery_code("duty1", "a")
            kept = await tx.second_factor("duty1")
            assert kept is not None
            assert (kept.recovery, kept.last_step) == (["b"], 7)
            assert await tx.drop_second_factor("duty1")
            assert not await tx.drop_second_factor("duty1")

    run(story)


def test_security_keys_go_with_the_second_factor_and_their_counter_never_goes_back(run: Run) -> None:
    async def story(store: Store) -> None:
        factor = SecondFactor(
            username="duty1", secret="s", confirmed=True, last_step=1, recovery=[], changed_machine_us=START_US
        )
        key = SecurityKey(
            key_id="a-_", username="duty1", name="办公室", rp_id="localhost", public_key="pQ", sign_count=3,
            created_machine_us=START_US,
        )  # fmt: skip
        later = replace(key, key_id="b", created_machine_us=START_US + 1)
        async with store.write() as tx:
            await tx.put_user(a_user())
            await tx.put_second_factor(factor)
            assert await tx.insert_security_key(later)
            assert await tx.insert_security_key(key)
            assert not await tx.insert_security_key(replace(key, name="又一把"))
            assert await tx.security_keys("duty1") == [key, later]
            assert await tx.security_keys("duty2") == []
            await tx.use_security_key("a-_", 7, START_US + 5)
            await tx.use_security_key("a-_", 6, START_US + 6)
            assert (await tx.security_keys("duty1"))[0] == replace(key, sign_count=7, last_used_machine_us=START_US + 6)
            assert not await tx.drop_security_key("duty2", "b")
            assert await tx.drop_security_key("duty1", "b")
            assert not await tx.drop_security_key("duty1", "b")
            await tx.put_second_factor(replace(factor, last_step=2))
            assert len(await tx.security_keys("duty1")) == 1, "a code that was used takes no key away"
            assert await tx.drop_second_factor("duty1")
            assert await tx.security_keys("duty1") == []

    run(story)


def test_a_key_is_revoked_once_and_remembers_its_use(run: Run) -> None:
    async def story(store: Store) -> None:
        key = ApiKey(
            key_id="K0001",
            name="上级平台",
            secret_hash="h",
            roles=[Role.UPSTREAM],
            created_by="security",
            created_machine_us=START_US,
            expires_machine_us=START_US + 10,
            scope=STREET,
        )
        async with store.write() as tx:
            await tx.insert_api_key(key)
            await tx.touch_api_keys({"K0001": START_US + 3})
            await tx.touch_api_keys({"K0001": START_US + 2})
            assert await tx.api_keys() == [replace(key, last_used_machine_us=START_US + 3)]
            assert await tx.revoke_api_key("K0001", START_US + 4, "security")
            assert not await tx.revoke_api_key("K0001", START_US + 5, "security")
            assert (await tx.api_keys())[0].revoked_machine_us == START_US + 4

    run(story)


def test_an_approval_is_decided_once_and_one_is_open_for_a_subject(run: Run) -> None:
    async def story(store: Store) -> None:
        first, second = an_approval(), an_approval(2)
        async with store.write() as tx:
            await tx.insert_approval(first)
            await tx.insert_approval(second)
            assert await tx.open_approval("threshold", first.subject) == first
            done = replace(
                first,
                state=ApprovalState.EXECUTED,
                decided_by="leader2",
                decided_us=START_US + 3,
                result={"r": 1},
                rev=2,
            )
            assert await tx.update_approval(done, rev=1, states=[ApprovalState.PENDING])
            assert not await tx.update_approval(done, rev=1, states=[ApprovalState.PENDING])
            assert await tx.approval(first.approval_id) == done
            assert await tx.open_approval("threshold", first.subject) is None
            assert await tx.approvals([], 10) == [second, done]
            assert await tx.approvals([ApprovalState.PENDING], 10) == [second]
            assert await tx.approvals([], 10, second.approval_id) == [done]
            assert await tx.approval("A-000009") is None

    run(story)
