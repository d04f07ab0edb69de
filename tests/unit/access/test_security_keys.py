"""Security keys as a second factor: added to one that stands, answering for their host only, once, and never by a copy."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pyotp
import pytest

from citybrain_testing.authenticator import SoftKey
from citybrain_testing.command import SteppedClock
from command_center.access.factors import SecondFactors
from command_center.access.personal import Sealer
from command_center.access.security_keys import CHALLENGE_S, MAX_KEYS, SecurityKeys, rp_id_of
from command_center.errors import Conflict, Forbidden, Invalid, NotFound
from command_center.model import Actor, Role, User
from command_center.users import UserService
from storage.memory.command import MemoryStore

HERE = "https://brain.example.cn:8443"
HOST = "brain.example.cn"
ME = Actor(username="duty1", roles=frozenset({Role.OPERATOR}))
OTHER = Actor(username="duty2", roles=frozenset({Role.OPERATOR}))


class Desk:
    """A person with a confirmed second factor, and one without."""

    def __init__(self) -> None:
        self.store, self.clock = MemoryStore(), SteppedClock()
        self.factors = SecondFactors(self.store, self.clock, Sealer({"k1": b"s" * 32}, "k1"))
        self.keys = SecurityKeys(self.store, self.clock)

    async def open(self) -> None:
        users = UserService(self.store, self.clock)
        for actor in (ME, OTHER):
            await users.create(User(username=actor.username, name="某", roles=[Role.OPERATOR]), "correct horse battery")
        secret, _ = await self.factors.begin(ME)
        await self.factors.confirm(ME, pyotp.TOTP(secret).at(self.clock.machine_us() // 1_000_000))

    async def with_key(self, name: str = "办公室") -> SoftKey:
        key = SoftKey(HOST)
        options = await self.keys.begin(ME, HERE, given=True)
        await self.keys.add(ME, HERE, name, key.create(options, HERE))
        return key

    async def answered(self, key: SoftKey, origin: str = HERE, username: str = "duty1") -> bool:
        """`origin` is the page that the key's browser saw; the server knows which page is its own."""
        return await self.keys.check(username, HERE, key.get(await self.keys.ask(username, HERE), origin))

    async def journal(self) -> list[str]:
        async with self.store.read() as tx:
            return [entry.action for entry in await tx.journal("user", "duty1", 50, None)]


def story(work: Callable[[Desk], Awaitable[None]]) -> None:
    async def run() -> None:
        desk = Desk()
        await desk.open()
        await work(desk)

    asyncio.run(run())


def test_a_key_is_added_answers_and_is_removed_and_each_is_journalled() -> None:
    async def work(desk: Desk) -> None:
        key = await desk.with_key()
        (row,) = await desk.keys.list(ME)
        assert (row.name, row.rp_id, row.sign_count, row.last_used_machine_us) == ("办公室", HOST, 0, None)
        assert await desk.answered(key)
        assert await desk.answered(key)
        (row,) = await desk.keys.list(ME)
        assert (row.sign_count, row.last_used_machine_us) == (2, desk.clock.machine_us())
        await desk.keys.remove(ME, row.key_id, given=True)
        with pytest.raises(NotFound):
            await desk.keys.ask("duty1", HERE)
        assert {"security_key_added", "security_key_removed"} <= set(await desk.journal())

    story(work)


def test_an_answer_opens_once_and_not_for_long() -> None:
    async def work(desk: Desk) -> None:
        key = await desk.with_key()
        answer = key.get(await desk.keys.ask("duty1", HERE), HERE)
        assert await desk.keys.check("duty1", HERE, answer)
        assert not await desk.keys.check("duty1", HERE, answer), "the challenge is gone"
        options = await desk.keys.ask("duty1", HERE)
        desk.clock.step(CHALLENGE_S + 1)
        assert not await desk.keys.check("duty1", HERE, key.get(options, HERE))
        old = await desk.keys.ask("duty1", HERE)
        await desk.keys.ask("duty1", HERE)
        assert not await desk.keys.check("duty1", HERE, key.get(old, HERE)), "asked again: the first is void"

    story(work)


def test_a_copied_key_is_refused_and_leaves_a_trace() -> None:
    async def work(desk: Desk) -> None:
        key = await desk.with_key()
        assert await desk.answered(key)
        assert await desk.answered(key)
        key.count = 0  # a copy that was made before
        assert not await desk.answered(key)
        assert "security_key_copied" in await desk.journal()
        (row,) = await desk.keys.list(ME)
        assert row.sign_count == 2
        key.count = 2
        assert await desk.answered(key), "the true one goes on"

    story(work)


def test_a_key_without_a_counter_is_taken_as_it_is() -> None:
    async def work(desk: Desk) -> None:
        key = await desk.with_key()
        for _ in range(2):
            key.count = -1  # it signs 0 each time, as keys in phones do
            assert await desk.answered(key)

    story(work)


def test_another_page_another_person_and_another_key_open_nothing() -> None:
    async def work(desk: Desk) -> None:
        key = await desk.with_key()
        assert not await desk.answered(key, origin="https://brain.example.cn.evil.test")
        assert not await desk.answered(key, origin="https://brain.example.cn"), "another port is another page"
        assert not await desk.answered(SoftKey(HOST))
        assert not await desk.answered(SoftKey("evil.test", key.credential_id, key.private))
        forged = SoftKey(HOST, key.credential_id)
        assert not await desk.answered(forged), "another private key under the same name"
        options = await desk.keys.ask("duty1", HERE)
        assert not await desk.keys.check("duty2", HERE, key.get(options, HERE))
        with pytest.raises(NotFound):
            await desk.keys.ask("duty1", "https://other.example.cn")
        assert await desk.answered(key)

    story(work)


@pytest.mark.parametrize(
    "bad", [{}, {"id": 3}, {"id": "x", "response": None}, {"id": "\ud800", "rawId": [], "response": {}}]
)
def test_what_is_no_answer_is_refused_without_harm(bad: dict[str, Any]) -> None:
    async def work(desk: Desk) -> None:
        key = await desk.with_key()
        await desk.keys.ask("duty1", HERE)
        assert not await desk.keys.check("duty1", HERE, bad)
        await desk.keys.ask("duty1", HERE)
        assert not await desk.keys.check("duty1", HERE, bad | {"id": (await desk.keys.list(ME))[0].key_id})
        await desk.keys.begin(ME, HERE, given=True)
        with pytest.raises(Invalid, match="credential"):
            await desk.keys.add(ME, HERE, "x", bad)
        assert await desk.answered(key)

    story(work)


def test_a_key_needs_a_second_factor_that_stands_and_was_given() -> None:
    async def work(desk: Desk) -> None:
        with pytest.raises(Forbidden):
            await desk.keys.begin(ME, HERE, given=False)
        with pytest.raises(Conflict, match="set up"):
            await desk.keys.begin(OTHER, HERE, given=True)
        with pytest.raises(Invalid, match="begin again"):
            await desk.keys.add(ME, HERE, "x", {})
        key = await desk.with_key()
        row = (await desk.keys.list(ME))[0]
        with pytest.raises(Forbidden):
            await desk.keys.remove(ME, row.key_id, given=False)
        with pytest.raises(NotFound):
            await desk.keys.remove(OTHER, row.key_id, given=True)
        options = await desk.keys.begin(ME, HERE, given=True)
        assert [one["id"] for one in options["excludeCredentials"]] == [row.key_id]
        with pytest.raises(Conflict, match="stands already"):
            await desk.keys.add(ME, HERE, "again", key.create(options, HERE))
        await desk.factors.give_up(ME, given=True)
        assert await desk.keys.list(ME) == [], "keys go with the second factor"

    story(work)


def test_ten_keys_are_enough_and_a_name_is_needed() -> None:
    async def work(desk: Desk) -> None:
        for n in range(MAX_KEYS):
            await desk.with_key(f"{n}")
        with pytest.raises(Conflict, match="10 keys"):
            await desk.keys.begin(ME, HERE, given=True)
        for name in ("", " ", "x" * 61):
            with pytest.raises(Invalid, match="name"):
                await desk.keys.add(ME, HERE, name, {})

    story(work)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (HERE, HOST),
        ("http://localhost:8000", "localhost"),
        ("https://localhost", "localhost"),
        ("https://a.localhost", "a.localhost"),
    ],
)
def test_a_key_is_for_a_host_name(origin: str, host: str) -> None:
    assert rp_id_of(origin) == host


@pytest.mark.parametrize(
    "origin", ["http://brain.example.cn", "https://10.1.2.3", "https://[fd00::1]:8443", "https://", "x", ""]
)
def test_an_address_or_a_page_without_https_has_none(origin: str) -> None:
    with pytest.raises(Invalid, match="security keys need"):
        rp_id_of(origin)
