"""Sessions: listed, ended, idle, and in step with what the register says of a person."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from citybrain_testing.api_rim import HandClock
from command_center.access.keys import KeyRing
from command_center.access.policy import AccessPolicy, load_policy
from command_center.access.scope import Scope
from command_center.access.watch import AccountWatch
from command_center.api.sessions import MAX_OF_USER, Sessions
from command_center.model import Role, User
from command_center.users import UserService
from storage.memory.command import MemoryStore

DUTY = User(username="duty1", name="林晓", roles=[Role.OPERATOR])
replace = msgspec.structs.replace


def book(clock: HandClock, file: Path | None = None, **policy: Any) -> Sessions:
    return Sessions(b"k" * 32, clock, tenant="test", policy=AccessPolicy(**policy), file=file)


def test_an_idle_session_ends_and_a_used_one_lives_to_the_end_of_the_shift() -> None:
    clock = HandClock()
    sessions = book(clock)
    idle, _ = sessions.issue(DUTY)
    used, _ = sessions.issue(DUTY)
    for _ in range(3):
        clock.advance(20 * 60)
        assert sessions.use(used) is not None
    assert sessions.read(idle) is None
    for _ in range(40):
        clock.advance(20 * 60)
        sessions.use(used)
    assert sessions.read(used) is None


def test_a_crew_and_a_machine_may_be_silent_for_longer() -> None:
    policy = load_policy("real").sessions
    assert policy.idle_s([Role.OPERATOR]) == 1800
    assert policy.idle_s([Role.RESPONDER]) == policy.idle_s([Role.MET]) == 12 * 3600
    assert policy.live_is_use([Role.OPERATOR])
    assert not policy.live_is_use([Role.SECURITY])


def test_sessions_survive_a_restart_and_the_file_is_ours_alone(tmp_path: Path) -> None:
    clock, path = HandClock(), tmp_path / "sessions.json"
    first = book(clock, path)
    token, session = first.issue(replace(DUTY, scope=Scope(areas=("331002",))), address="10.0.0.1", client="Chrome")
    gone, ended = first.issue(DUTY)
    first.end(ended.sid)
    assert path.stat().st_mode & 0o077 == 0
    again = book(clock, path)
    found = again.read(token)
    assert found == session
    assert found is not None
    assert found.actor.scope.areas == ("331002",)
    assert again.read(gone) is None
    (entry,) = again.of_user("duty1")
    assert (entry.address, entry.client) == ("10.0.0.1", "Chrome")
    path.write_text("[{]")
    assert book(clock, path).read(token) is None  # unreadable: everybody logs in again


def test_a_disabled_users_sessions_end_at_once_and_listeners_hear_of_each() -> None:
    sessions, heard = book(HandClock()), list[str]()
    token, session = sessions.issue(DUTY)
    other, _ = sessions.issue(replace(DUTY, username="duty2"))
    sessions.on_revoke(heard.append)
    sessions.user_changed(replace(DUTY, enabled=False))
    assert sessions.read(token) is None
    assert heard == [session.sid]
    assert sessions.read(other) is not None


def test_changed_roles_and_scope_count_from_the_next_request_on() -> None:
    sessions, heard = book(HandClock()), list[str]()
    token, session = sessions.issue(DUTY)
    sessions.on_revoke(heard.append)
    sessions.user_changed(DUTY)
    assert heard == []  # nothing new: nobody's screen blinks
    sessions.user_changed(replace(DUTY, roles=[Role.ANALYST], scope=Scope(areas=("331002",))))
    found = sessions.read(token)
    assert found is not None
    assert (found.actor.roles, found.actor.scope.areas) == (frozenset({Role.ANALYST}), ("331002",))
    assert heard == [session.sid]  # live connections begin anew


def test_a_new_password_ends_the_other_sessions_and_keeps_the_one_that_set_it() -> None:
    clock = HandClock()
    sessions = book(clock)
    mine, session = sessions.issue(DUTY)
    other, _ = sessions.issue(DUTY)
    clock.advance(5)
    changed_us = clock.machine_us()
    sessions.user_changed(DUTY, password_us=changed_us, keep=session.sid)
    sessions.user_changed(DUTY, password_us=changed_us)  # the watch sees the same change again
    assert sessions.read(mine) is not None
    assert sessions.read(other) is None
    later, _ = sessions.issue(DUTY)
    sessions.user_changed(DUTY, password_us=changed_us)
    assert sessions.read(later) is not None


def test_a_script_that_logs_in_without_end_ends_its_own_oldest_sessions() -> None:
    sessions = book(HandClock())
    tokens = [sessions.issue(DUTY)[0] for _ in range(MAX_OF_USER + 5)]
    assert len(sessions.of_user("duty1")) == MAX_OF_USER
    assert sessions.read(tokens[4]) is None
    assert sessions.read(tokens[5]) is not None


def test_who_needs_a_second_factor_lacks_it_until_it_is_given() -> None:
    sessions = book(HandClock(), second_factor=frozenset({Role.SECURITY}))
    guard = replace(DUTY, username="security", roles=[Role.SECURITY])
    token, session = sessions.issue(guard)
    assert session.actor.lacks_second_factor
    sessions.given_second_factor(session.sid)
    found = sessions.read(token)
    assert found is not None
    assert not found.actor.lacks_second_factor
    assert not sessions.issue(DUTY)[1].actor.lacks_second_factor


def test_the_policy_is_data_and_a_kind_that_it_does_not_name_is_a_real_one() -> None:
    assert Role.LEADER in load_policy("real").second_factor
    assert load_policy("demo").second_factor == frozenset()
    assert load_policy("somewhere").second_factor == load_policy("real").second_factor
    for text, says in (
        ("source: x\nsecond_factor: {demo: []}\nsessions: {}", "real"),
        ("source: x\nsecond_factor: {real: [king]}\nsessions: {}", "king"),
        ("source: x\nsecond_factor: {real: []}\nsessions: {idle_min: 0}", "idle_min"),
        ("source: [", "policy"),
    ):
        with pytest.raises(ValueError, match=says):
            load_policy("real", text)


def test_what_another_process_changes_reaches_the_sessions_with_the_next_look() -> None:
    async def story() -> None:
        clock, store = HandClock(), MemoryStore()
        sessions, users = book(clock), UserService(store, clock)
        await users.create(DUTY, "correct horse")
        token, _ = sessions.issue(DUTY)
        watch = AccountWatch(
            store,
            clock,
            KeyRing(clock),
            on_user=lambda r: sessions.user_changed(r.user, password_us=r.password_us),
            take_logins=sessions.take_logins,
        )
        await watch.step()
        assert sessions.read(token) is not None
        async with store.read() as tx:
            record = await tx.user("duty1")
        assert record is not None
        assert record.last_login_us == clock.machine_us()
        clock.advance(2)
        await users.set_enabled("duty1", enabled=False)  # `citybrain users disable`
        await watch.step()
        assert sessions.read(token) is None

    asyncio.run(story())
