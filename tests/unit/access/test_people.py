"""People: who hands out rights, and who may not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from argon2 import PasswordHasher

from citybrain_testing.command import ADMIN, SteppedClock
from command_center.access.people import PeopleService
from command_center.access.scope import Scope
from command_center.authority import FORBIDDEN_TOGETHER
from command_center.errors import Conflict, Forbidden, Invalid, NotFound
from command_center.model import Actor, Role, User
from command_center.records import UserRecord
from command_center.users import UserService, check_user
from storage.memory.command import MemoryStore

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
SECURITY = Actor(username="security", roles=frozenset({Role.SECURITY}))
AUDITOR = Actor(username="auditor", roles=frozenset({Role.AUDITOR}))
DUTY = User(username="duty3", name="王值班", roles=[Role.OPERATOR], phone="13805761234")


def story(
    work: Callable[[PeopleService, UserService, list[tuple[UserRecord, str]], MemoryStore], Awaitable[None]],
) -> None:
    async def run() -> None:
        store, clock = MemoryStore(), SteppedClock()
        users = UserService(store, clock, hasher=CHEAP)
        told: list[tuple[UserRecord, str]] = []
        people = PeopleService(users, store, clock, on_change=lambda record, keep: told.append((record, keep)))
        await users.create(User(username="security", name="安全", roles=[Role.SECURITY]), "correct horse")
        await work(people, users, told, store)

    asyncio.run(run())


def test_a_person_is_created_with_a_password_that_is_shown_once_and_journalled_without_it() -> None:
    async def work(people: PeopleService, users: UserService, told: object, store: MemoryStore) -> None:
        person, word = await people.create(SECURITY, DUTY)
        assert await users.verify("duty3", word) == DUTY
        assert person.phone == "138****1234"
        async with store.read() as tx:
            entries = await tx.journal("user", "duty3", 10, None)
        assert [(e.actor, e.action) for e in entries] == [("security", "create")]
        assert word not in repr(entries)
        assert [p.username for p in await people.list(AUDITOR)] == ["duty3", "security"]
        for nobody in (ADMIN, Actor(username="duty1", roles=frozenset({Role.OPERATOR}))):
            with pytest.raises(Forbidden):
                await people.list(nobody)
        for reader in (AUDITOR, ADMIN):
            with pytest.raises(Forbidden):
                await people.create(reader, DUTY)

    story(work)


def test_nobody_changes_his_own_account() -> None:
    async def work(people: PeopleService, users: UserService, told: object, store: MemoryStore) -> None:
        for act in (
            people.change(SECURITY, "security", {"roles": [Role.ADMIN]}, reason="x"),
            people.set_enabled(SECURITY, "security", enabled=False, reason="x"),
            people.reset_password(SECURITY, "security"),
        ):
            with pytest.raises(Forbidden, match="own account"):
                await act

    story(work)


def test_a_change_is_journalled_told_to_the_sessions_and_guarded_by_its_revision() -> None:
    async def work(
        people: PeopleService, users: UserService, told: list[tuple[UserRecord, str]], store: MemoryStore
    ) -> None:
        before, _ = await people.create(SECURITY, DUTY)
        scope = {"areas": ["331002"], "organisations": [], "hazards": ["flood"]}
        after = await people.change(
            SECURITY, "duty3", {"roles": [Role.LEADER], "scope": scope}, reason="轮岗", rev=before.rev
        )
        assert (after.roles, after.scope) == (["leader"], scope)
        assert told[-1][0].user.scope == Scope(areas=("331002",), hazards=("flood",))
        with pytest.raises(Conflict):
            await people.change(SECURITY, "duty3", {"name": "x"}, reason="", rev=before.rev)
        with pytest.raises(Invalid, match="username"):
            await people.change(SECURITY, "duty3", {"username": "root"}, reason="")
        with pytest.raises(NotFound):
            await people.change(SECURITY, "nobody", {"name": "x"}, reason="")
        async with store.read() as tx:
            entry = (await tx.journal("user", "duty3", 1, None))[0]
        assert (entry.actor, entry.action, entry.reason) == ("security", "change", "轮岗")
        assert entry.before is not None
        assert entry.after is not None
        assert (entry.before["roles"], entry.after["roles"]) == (["operator"], ["leader"])
        assert entry.after["phone"] == "138****1234"

    story(work)


def test_a_disabled_person_does_not_log_in_and_an_enabled_one_does() -> None:
    async def work(
        people: PeopleService, users: UserService, told: list[tuple[UserRecord, str]], store: MemoryStore
    ) -> None:
        _, word = await people.create(SECURITY, DUTY)
        with pytest.raises(Invalid, match="reason"):
            await people.set_enabled(SECURITY, "duty3", enabled=False, reason=" ")
        await people.set_enabled(SECURITY, "duty3", enabled=False, reason="离职")
        assert told[-1][0].user.enabled is False
        assert await users.verify("duty3", word) is None
        await people.set_enabled(SECURITY, "duty3", enabled=True, reason="复职")
        assert await users.verify("duty3", word) is not None

    story(work)


def test_ones_own_password_takes_the_old_one_and_keeps_the_session_that_changed_it() -> None:
    async def work(
        people: PeopleService, users: UserService, told: list[tuple[UserRecord, str]], store: MemoryStore
    ) -> None:
        with pytest.raises(Forbidden, match="old one"):
            await people.change_password(SECURITY, "wrong horse", "another horse", sid="s1")
        with pytest.raises(Invalid, match="at least"):
            await people.change_password(SECURITY, "correct horse", "short", sid="s1")
        await people.change_password(SECURITY, "correct horse", "another horse", sid="s1")
        assert told[-1][1] == "s1"
        assert await users.verify("security", "another horse") is not None

    story(work)


def test_who_hands_out_rights_or_audits_holds_nothing_else() -> None:
    for alone in (Role.SECURITY, Role.AUDITOR, Role.VENDOR, Role.MET, Role.UPSTREAM):
        for other in set(Role) - {alone}:
            assert frozenset({alone, other}) in FORBIDDEN_TOGETHER
            with pytest.raises(Invalid, match="never held together"):
                check_user(User(username="x", name="x", roles=[alone, other], unit_id="u", vendor="v"))
    check_user(User(username="x", name="x", roles=[Role.OPERATOR, Role.REGISTRAR]))
