"""Codes that open once, and keys of machines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pyotp
import pytest

from citybrain_testing.command import DUTY1, SteppedClock
from command_center.access.factors import RECOVERY_CODES, STEP_S, SecondFactors
from command_center.access.keys import KeyRing, KeyService, actor_of
from command_center.access.personal import Sealer
from command_center.access.scope import Scope
from command_center.authority import NEEDS_SECOND_FACTOR, require
from command_center.errors import Conflict, Forbidden, Invalid, NotFound
from command_center.model import Actor, Role
from storage.memory.command import MemoryStore

SECURITY = Actor(username="security", roles=frozenset({Role.SECURITY}))


def story(work: Callable[[SecondFactors, SteppedClock, MemoryStore], Awaitable[None]]) -> None:
    async def run() -> None:
        store, clock = MemoryStore(), SteppedClock()
        await work(SecondFactors(store, clock, Sealer({"k1": b"s" * 32}, "k1")), clock, store)

    asyncio.run(run())


def code_of(secret: str, clock: SteppedClock, steps: int = 0) -> str:
    return pyotp.TOTP(secret).at(clock.machine_us() // 1_000_000 + steps * STEP_S)


def test_a_code_opens_once() -> None:
    async def work(factors: SecondFactors, clock: SteppedClock, store: MemoryStore) -> None:
        secret, uri = await factors.begin(DUTY1)
        assert uri.startswith("otpauth://totp/City%20Brain:duty1?")
        assert not await factors.has("duty1")  # it counts once the phone has shown a code
        assert not await factors.check("duty1", code_of(secret, clock))
        with pytest.raises(Invalid, match="code"):
            await factors.confirm(DUTY1, "000000" if code_of(secret, clock) != "000000" else "000001")
        codes = await factors.confirm(DUTY1, code_of(secret, clock))
        assert len(set(codes)) == RECOVERY_CODES
        assert not await factors.check("duty1", code_of(secret, clock))  # the one that confirmed it
        clock.step(STEP_S)
        code = code_of(secret, clock)
        assert await factors.check("duty1", f" {code[:3]} {code[3:]} ")
        assert not await factors.check("duty1", code)
        with pytest.raises(Conflict):
            await factors.begin(DUTY1)

    story(work)


def test_a_phone_that_is_a_step_early_or_late_opens_and_two_steps_do_not() -> None:
    async def work(factors: SecondFactors, clock: SteppedClock, store: MemoryStore) -> None:
        secret, _ = await factors.begin(DUTY1)
        await factors.confirm(DUTY1, code_of(secret, clock, -1))
        assert not await factors.check("duty1", code_of(secret, clock, 2))
        assert await factors.check("duty1", code_of(secret, clock, 1))
        assert not await factors.check("duty1", code_of(secret, clock, 0))  # older than one that was taken
        clock.step(3 * STEP_S)
        assert not await factors.check("duty1", code_of(secret, clock, -2))

    story(work)


def test_a_recovery_code_opens_once_and_is_journalled() -> None:
    async def work(factors: SecondFactors, clock: SteppedClock, store: MemoryStore) -> None:
        secret, _ = await factors.begin(DUTY1)
        codes = await factors.confirm(DUTY1, code_of(secret, clock))
        assert await factors.check("duty1", codes[3].upper())
        assert not await factors.check("duty1", codes[3])
        async with store.read() as tx:
            actions = [e.action for e in await tx.journal("user", "duty1", 10, None)]
            kept = await tx.second_factor("duty1")
        assert actions == ["recovery_code_used", "second_factor_set_up"]
        assert kept is not None
        assert secret not in repr(kept)
        assert not set(codes) & set(kept.recovery)

    story(work)


def test_a_second_factor_is_given_up_with_it_or_by_another_person() -> None:
    async def work(factors: SecondFactors, clock: SteppedClock, store: MemoryStore) -> None:
        secret, _ = await factors.begin(DUTY1)
        await factors.confirm(DUTY1, code_of(secret, clock))
        with pytest.raises(Forbidden):
            await factors.give_up(DUTY1, given=False)
        with pytest.raises(Forbidden):
            await factors.reset(DUTY1, "duty1", "手机丢失")
        with pytest.raises(Invalid, match="reason"):
            await factors.reset(SECURITY, "duty1", "")
        with pytest.raises(NotFound):
            await factors.reset(SECURITY, "duty2", "手机丢失")
        await factors.reset(SECURITY, "duty1", "手机丢失")
        assert not await factors.has("duty1")

    story(work)


def test_a_key_opens_until_it_is_revoked() -> None:
    async def run() -> None:
        store, clock = MemoryStore(), SteppedClock()
        ring, closed = KeyRing(clock), list[str]()
        service = KeyService(store, clock, ring)
        ring.on_close(closed.append)
        key, token = await service.create(
            SECURITY, name="省平台", roles=[Role.UPSTREAM], days=30, scope=Scope(areas=("3310",))
        )
        assert token.startswith("cbk_K0001_")
        assert token.rpartition("_")[2] not in repr(await service.list(SECURITY))
        store.down = True  # without the database it opens all the same
        found = ring.read(token)
        store.down = False
        assert found is not None
        assert actor_of(found).scope.areas == ("3310",)
        assert ring.read(token[:-1] + ("x" if token[-1] != "x" else "y")) is None
        assert ring.read("cbk_K0001_") is None
        assert ring.read("cbk_") is None
        assert ring.take_uses() == {"K0001": clock.machine_us()}
        await service.revoke(SECURITY, key.key_id)
        assert ring.read(token) is None
        assert closed == ["K0001"]
        with pytest.raises(NotFound):
            await service.revoke(SECURITY, key.key_id)

    asyncio.run(run())


def test_a_key_ends_with_its_time_and_one_that_another_process_revoked_closes() -> None:
    async def run() -> None:
        store, clock = MemoryStore(), SteppedClock()
        ring = KeyRing(clock)
        service = KeyService(store, clock, ring)
        _, first = await service.create(SECURITY, name="a", roles=[Role.UPSTREAM], days=1)
        key, second = await service.create(SECURITY, name="b", roles=[Role.UPSTREAM], days=3)
        clock.step(86_401)
        assert ring.read(first) is None
        assert ring.read(second) is not None
        closed: list[str] = []
        ring.on_close(closed.append)
        async with store.write() as tx:
            await tx.revoke_api_key(key.key_id, clock.machine_us(), "security2")
            keys = await tx.api_keys()
        ring.load(keys)
        assert (ring.read(second), closed) == (None, [key.key_id])

    asyncio.run(run())


def test_a_key_never_does_what_takes_a_person() -> None:
    async def run() -> None:
        store, clock = MemoryStore(), SteppedClock()
        service = KeyService(store, clock, KeyRing(clock))
        key, _ = await service.create(SECURITY, name="x", roles=[Role.LEADER], days=1)
        actor = actor_of(key)
        for action in NEEDS_SECOND_FACTOR:
            with pytest.raises(Forbidden):
                require(actor, action)
        for roles in ([Role.SECURITY], [Role.AUDITOR], [Role.ISSUER], [], [Role.VENDOR]):
            with pytest.raises(Invalid, match=r"roles|vendor"):
                await service.create(SECURITY, name="x", roles=roles, days=1)
        with pytest.raises(Invalid, match="days"):
            await service.create(SECURITY, name="x", roles=[Role.UPSTREAM], days=0)
        with pytest.raises(Forbidden):
            await service.create(DUTY1, name="x", roles=[Role.UPSTREAM], days=1)

    asyncio.run(run())
