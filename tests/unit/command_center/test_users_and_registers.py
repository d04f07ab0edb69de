"""Logins that lock, devices whose register reaches the log."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from argon2 import PasswordHasher

from citybrain_testing.command import ADMIN, SteppedClock, devices
from citybrain_testing.registering import a_register
from command_center.device_register import RegisterService, check_thresholds
from command_center.errors import Conflict, Forbidden, Invalid, NotFound
from command_center.model import Actor, Role, User
from command_center.users import LOCK_S, MAX_FAILURES, UserService, actor_of
from storage.memory.command import MemoryStore

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
DUTY = User(username="duty1", name="值班员", roles=[Role.OPERATOR])
VENDOR = Actor(username="vendor1", roles=frozenset({Role.VENDOR}), vendor="acme")


def test_a_password_opens_and_five_wrong_ones_lock_for_a_while() -> None:
    async def story() -> None:
        clock = SteppedClock()
        users = UserService(MemoryStore(), clock, hasher=CHEAP)
        await users.create(DUTY, "correct horse")
        with pytest.raises(Conflict):
            await users.create(DUTY, "correct horse")
        assert await users.verify("duty1", "correct horse") == DUTY
        assert await users.verify("nobody", "correct horse") is None
        for _ in range(MAX_FAILURES):
            assert await users.verify("duty1", "wrong horse") is None
        assert await users.verify("duty1", "correct horse") is None
        clock.step(LOCK_S + 1, city=False)
        assert await users.verify("duty1", "correct horse") == DUTY
        await users.set_password("duty1", "another horse")
        assert await users.verify("duty1", "correct horse") is None
        assert await users.verify("duty1", "another horse") == DUTY
        assert [u.username for u in await users.list()] == ["duty1"]

    asyncio.run(story())


def test_a_success_forgets_earlier_failures() -> None:
    async def story() -> None:
        users = UserService(MemoryStore(), SteppedClock(), hasher=CHEAP)
        await users.create(DUTY, "correct horse")
        for _ in range(3):
            for _ in range(MAX_FAILURES - 1):
                await users.verify("duty1", "wrong horse")
            assert await users.verify("duty1", "correct horse") == DUTY

    asyncio.run(story())


def test_a_login_without_news_does_not_wait_for_its_turn_to_write() -> None:
    async def story() -> None:
        store = MemoryStore()
        users = UserService(store, SteppedClock(), hasher=CHEAP)
        await users.create(DUTY, "correct horse")
        async with store.write(), asyncio.timeout(30):
            assert await users.verify("duty1", "correct horse") == DUTY

    asyncio.run(story())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"username": ""}, "username"),
        ({"username": "a b"}, "username"),
        ({"username": "system"}, "engine"),
        ({"roles": []}, "roles"),
        ({"roles": [Role.RESPONDER]}, "unit_id"),
        ({"roles": [Role.VENDOR]}, "vendor"),
    ],
)
def test_a_wrong_user_is_refused(change: dict[str, object], says: str) -> None:
    async def story() -> None:
        users = UserService(MemoryStore(), SteppedClock(), hasher=CHEAP)
        with pytest.raises(Invalid, match=says):
            await users.create(msgspec.structs.replace(DUTY, **change), "correct horse")
        with pytest.raises(Invalid, match="at least 8"):
            await users.create(DUTY, "short")
        with pytest.raises(NotFound):
            await users.set_password("duty1", "correct horse")
        disabled = msgspec.structs.replace(DUTY, enabled=False)
        await users.create(disabled, "correct horse")
        assert await users.verify("duty1", "correct horse") is None

    asyncio.run(story())


def test_an_actor_carries_what_the_authority_table_asks() -> None:
    actor = actor_of(User(username="unit-1", name="x", roles=[Role.RESPONDER], unit_id="unit-1"))
    assert (actor.unit_id, actor.has(Role.RESPONDER)) == ("unit-1", True)


GOOD = {"on": {"yellow": 4.0, "orange": 4.5, "red": 5.0}, "off": {"yellow": 3.8, "orange": 4.3, "red": 4.8}}


def test_a_revision_that_did_not_reach_the_log_is_appended_at_the_next_start() -> None:
    async def story() -> None:
        registers, register, log, live = a_register()
        log.broken = True
        gauge = msgspec.structs.replace(devices().devices[0], device_id="wg-new")
        with pytest.raises(ConnectionError):
            await registers.save_device(ADMIN, gauge)
        log.broken = False
        assert await RegisterService(register, log, live).flush() == 1
        assert await registers.flush() == 0
        assert "wg-new" in live.devices
        log.records.clear()

    asyncio.run(story())


def test_a_vendor_registers_its_own_and_decides_no_threshold() -> None:
    async def story() -> None:
        registers, _, _, live = a_register()
        mine = msgspec.structs.replace(
            devices().devices[0], device_id="wg-acme", vendor="acme", thresholds={"stage_m": GOOD}
        )
        await registers.save_device(VENDOR, mine)
        assert live.devices["wg-acme"].thresholds == {}
        for foreign in (
            msgspec.structs.replace(mine, device_id="wg-other", vendor="other"),
            msgspec.structs.replace(mine, device_id="wg-river"),  # somebody else's
        ):
            with pytest.raises(Forbidden):
                await registers.save_device(VENDOR, foreign)
        for change in (
            {"enabled": False},
            {"interval_s": 1e9},
            {"attributes": {"maintenance": {"author": "vera", "until_us": 2**60}}},
            {"attributes": {"video": {"device": "3" * 20, "channel": "4" * 20}}},  # would show another's picture
        ):
            with pytest.raises(Forbidden, match="an administrator"):  # the others would silence an alarm
                await registers.save_device(VENDOR, msgspec.structs.replace(mine, **change))
        with pytest.raises(Invalid, match="device_id"):
            await registers.save_device(ADMIN, msgspec.structs.replace(mine, device_id="a/b"))
        with pytest.raises(Invalid, match="latitude"):
            await registers.save_device(ADMIN, msgspec.structs.replace(mine, lon=28.0, lat=121.0))

    asyncio.run(story())


def test_an_import_brings_new_devices_with_their_thresholds_and_changes_no_other() -> None:
    async def story() -> None:
        registers, _, _, live = a_register()
        known = devices().devices[0]
        new = [
            msgspec.structs.replace(known, device_id=f"wg-{n}", thresholds={"stage_m": {**GOOD, "source": "台账"}})
            for n in range(3)
        ]
        with pytest.raises(Conflict, match=known.device_id):
            await registers.import_devices(ADMIN, [*new, known], reason="台账")
        with pytest.raises(Conflict, match="wg-0"):
            await registers.import_devices(ADMIN, [*new, new[0]], reason="台账")
        with pytest.raises(Forbidden):
            await registers.import_devices(VENDOR, new, reason="台账")
        assert "wg-0" not in live.devices
        assert await registers.import_devices(ADMIN, new, reason="台账") == live.revision
        assert live.devices["wg-2"].thresholds["stage_m"]["source"] == "台账"

    asyncio.run(story())


@pytest.mark.parametrize(
    ("thresholds", "says"),
    [
        ({}, "on: expected"),
        ({"on": {"purple": 1}}, "on.purple"),
        ({"on": {"blue": 2, "red": 1}}, "on.red"),
        ({"on": {"blue": 1}, "off": {"blue": 2}}, "off.blue"),
        ({"on": {"blue": float("nan")}}, "blue"),
        ({"on": {"blue": "high"}}, "blue"),
        ({"first": 3, "second": 2}, "first"),
        ({"first": 3}, "second"),
        ({"direction": "fall", "on": {"blue": 1, "red": 2}}, "on.red"),
        ({"direction": "down", "on": {"blue": 1}}, "direction"),
        ({"on": {"blue": float("inf")}}, "blue"),
        ({"on": {"blue": 1}, "of": {"blue": 0}}, "of: unknown"),
    ],
)
def test_thresholds_that_make_no_sense_are_refused(thresholds: dict[str, object], says: str) -> None:
    with pytest.raises(Invalid, match=says):
        check_thresholds(thresholds)


def test_good_thresholds_pass() -> None:
    check_thresholds(GOOD)
    check_thresholds({"first": 3, "second": 6, "deadband": 0.3})
    check_thresholds({"direction": "fall", "on": {"blue": 2, "red": 1}, "off": {"blue": 2.2, "red": 1.5}})
