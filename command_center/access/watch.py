"""Keeps sessions and keys in step with the register: whatever changes a user (a door, the command line on this machine, another
process), its sessions follow within a second. Writes down, off the login's way, who logged in and which key was used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from command_center.access.keys import KeyRing
from command_center.errors import Unavailable
from command_center.ports import Store
from command_center.records import UserRecord
from devices.clock import Clock

log = structlog.get_logger(__name__)

POLL_S = 1.0
RETRY_S = 2.0
OVERLAP_US = 5_000_000  # a transaction commits after the time that it wrote
WRITE_EVERY_S = 15.0


class AccountWatch:
    """`on_user(record)` may be told the same twice. Polls; without the database everything stays as it is known."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        ring: KeyRing,
        *,
        on_user: Callable[[UserRecord], None],
        take_logins: Callable[[], dict[str, int]],
    ) -> None:
        self._store, self._clock, self._ring = store, clock, ring
        self._on_user, self._take_logins = on_user, take_logins
        self._since_us = 0
        self._next_write_s = 0.0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.step()
                await asyncio.sleep(POLL_S)
            except Unavailable as error:
                log.warning("accounts_wait_for_database", reason=str(error))
                await asyncio.sleep(RETRY_S)

    async def step(self) -> None:
        """Look once. Raises Unavailable."""
        async with self._store.read() as tx:
            changed: Sequence[UserRecord] = await tx.users_changed_since(self._since_us - OVERLAP_US)
            self._ring.load(await tx.api_keys())
        for record in changed:
            self._on_user(record)
        self._since_us = max([self._since_us, *(record.changed_us for record in changed)])
        await self._write()

    async def _write(self) -> None:
        now_s = self._clock.machine_ns() / 1e9
        if now_s < self._next_write_s:
            return
        self._next_write_s = now_s + WRITE_EVERY_S
        logins, uses = self._take_logins(), self._ring.take_uses()
        if logins or uses:
            async with self._store.write() as tx:
                await tx.touch_logins(logins)
                await tx.touch_api_keys(uses)
