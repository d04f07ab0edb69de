"""The accounts of the broker: written once for many changes, kept while the database is away, denied where a connection may last."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pytest

from command_center.device_access import DeviceCertificate
from devices.credentials import acl_text
from runtime import credentials
from runtime.broker import Accounts
from runtime.credentials import CANARY_ID, BrokerCredentials, hashed
from runtime.secrets import service_secrets
from runtime.settings import Settings
from storage.errors import DatabaseUnavailable
from storage.memory.command import MemoryStore


class Register:
    def __init__(self) -> None:
        self.hashes = {"wl-1": hashed("one"), "wl-2": hashed("two")}
        self.usable_ids = {"wl-1", "wl-2", "wl-c"}
        self.down = 0
        self.asked: list[Any] = []

    async def credentials(self, device_ids: Sequence[str] | None = None) -> list[tuple[str, str]]:
        self.asked.append(device_ids)
        if self.down:
            self.down -= 1
            raise DatabaseUnavailable("away")
        return [(i, h) for i, h in self.hashes.items() if device_ids is None or i in device_ids]

    async def usable(self, device_ids: Collection[str]) -> set[str]:
        return set(device_ids) & self.usable_ids


class Broker:
    def __init__(self) -> None:
        self.written: list[set[str]] = []
        self.denied: set[str] = set()
        self.revoked: set[str] = set()
        self.seen = asyncio.Event()

    def write_accounts(self, accounts: Accounts, authority: object) -> None:
        self.written.append({name for name in accounts.hashes if name.startswith("wl")})
        self.denied, self.revoked = set(accounts.denied), set(accounts.revoked)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[BrokerCredentials, Register, Broker, MemoryStore]:
    monkeypatch.setattr(credentials, "RELOAD_EVERY_S", 0.0)
    monkeypatch.setattr(credentials, "RETRY_S", 0.0)
    settings = Settings(data_dir=tmp_path)
    settings.secrets_dir.mkdir()
    register, store = Register(), MemoryStore()
    made = BrokerCredentials(settings, service_secrets(settings.secrets_dir), register, store)  # type: ignore[arg-type]
    return made, register, Broker(), store


async def until(made: BrokerCredentials, broker: Broker, wanted: Any) -> None:
    """Run until the broker was given what is wanted."""
    running = asyncio.create_task(made.run(broker))  # type: ignore[arg-type]
    async with asyncio.timeout(30):
        while not wanted():
            await asyncio.sleep(0)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


def test_the_whole_is_read_once_and_then_only_what_changed(world: Any) -> None:
    made, register, broker, _ = world

    async def story() -> None:
        assert not made.allows("wl-1", "one"), "before the accounts are loaded nobody is let in"
        await until(made, broker, lambda: broker.written)
        register.hashes["wl-3"] = hashed("three")
        del register.hashes["wl-1"]
        made.changed(["wl-3", "wl-1"])
        await until(made, broker, lambda: len(broker.written) > 1)
        assert broker.written == [{"wl-1", "wl-2"}, {"wl-2", "wl-3"}]
        assert register.asked == [None, ["wl-1", "wl-3"]]
        assert (made.allows("wl-3", "three"), made.allows("wl-3", "two"), made.allows("wl-1", "one")) == (
            True,
            False,
            False,
        )
        assert made.knows("service.ingest")
        assert made.knows(CANARY_ID)

    asyncio.run(story())


def test_a_change_is_not_forgotten_while_the_database_is_away(world: Any) -> None:
    made, register, broker, _ = world

    async def story() -> None:
        register.down = 3
        await until(made, broker, lambda: broker.written)
        register.down = 2
        register.hashes.pop("wl-2")
        made.changed(["wl-2"])
        await until(made, broker, lambda: len(broker.written) > 1)
        assert broker.written[-1] == {"wl-1"}

    asyncio.run(story())


def test_a_revoked_certificate_is_refused_and_its_device_denied(world: Any) -> None:
    made, register, broker, store = world

    async def story() -> None:
        one = DeviceCertificate(
            serial="a1", device_id="wl-c", issued_machine_us=1, expires_machine_us=2, issued_by="admin"
        )
        async with store.write() as tx:
            await tx.put_device_certificate(one)
        await until(made, broker, lambda: broker.written)
        assert (broker.denied, broker.revoked, made.knows("wl-c")) == (set(), set(), True)
        async with store.write() as tx:
            await tx.revoke_device_certificates("wl-c", 5)
        made.changed(["wl-c"])
        await until(made, broker, lambda: len(broker.written) > 1)
        assert (broker.denied, broker.revoked, made.knows("wl-c")) == ({"wl-c"}, {"a1"}, False)
        assert "user wl-c\ntopic deny #\n" in acl_text("main", ["ingest"], broker.denied)
        register.hashes["wl-c"] = hashed("new")
        made.changed(["wl-c"])
        await until(made, broker, lambda: len(broker.written) > 2)
        assert broker.denied == set(), "a device with a new password may use its topics again"
        register.usable_ids.discard("wl-c")
        made.changed(["wl-c"])
        await until(made, broker, lambda: len(broker.written) > 3)
        assert broker.denied == {"wl-c"}, "a disabled device is denied whatever it holds"

    asyncio.run(story())
