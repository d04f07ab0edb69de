"""Users and their passwords: argon2 hashes, lock-out after repeated failures. Times are machine wall time.

Wrong user, wrong password and locked account look the same from outside; the journal and the metrics tell them apart.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from command_center import metrics
from command_center.authority import FORBIDDEN_TOGETHER, SYSTEM_NAME
from command_center.errors import Conflict, Invalid, NotFound
from command_center.model import Actor, JournalEntry, Role, User
from command_center.ports import Store, Tx
from command_center.records import UserRecord
from devices.clock import Clock

replace = msgspec.structs.replace

MAX_FAILURES = 5
LOCK_S = 300  # long enough to make guessing useless, short enough for a duty night
MIN_PASSWORD = 8


class Users(Protocol):
    """What the HTTP rim asks."""

    async def verify(self, username: str, password: str) -> User | None: ...
    async def get(self, username: str) -> User | None: ...
    async def list(self) -> list[User]: ...
    async def create(self, user: User, password: str) -> User: ...
    async def set_password(self, username: str, password: str) -> UserRecord: ...


class UserService:
    """Implements `Users`. `hasher` may be a cheaper one in tests."""

    def __init__(self, store: Store, clock: Clock, *, hasher: PasswordHasher | None = None) -> None:
        self._store, self._clock = store, clock
        self._hasher = hasher or PasswordHasher()
        self._decoy: str | None = None

    async def verify(self, username: str, password: str) -> User | None:
        """The user, or None. An unknown user costs the same time as a wrong password. Raises Unavailable."""
        async with self._store.read() as tx:
            record = await tx.user(username)
        right = await self._check(await self._hash_of(record), password)
        if record is None or not record.user.enabled:
            metrics.LOGINS_REFUSED.labels("unknown" if record is None else "disabled").inc()
            return None
        if record.locked_until_us is not None and self._clock.machine_us() < record.locked_until_us:
            metrics.LOGINS_REFUSED.labels("locked").inc()
            return None
        if right and not record.failures and record.locked_until_us is None:
            return record.user  # nothing to write: a login does not wait for a turn in a busy night
        async with self._store.write() as tx:
            return await self._count(tx, username, right)

    async def _count(self, tx: Tx, username: str, right: bool) -> User | None:
        record = await tx.user(username)
        if record is None:
            return None
        if right:
            if record.failures or record.locked_until_us is not None:
                await tx.put_user(replace(record, failures=0, locked_until_us=None))
            return record.user
        metrics.LOGINS_REFUSED.labels("password").inc()
        failures = record.failures + 1
        locked = failures >= MAX_FAILURES
        until_us = self._clock.machine_us() + LOCK_S * 1_000_000 if locked else record.locked_until_us
        await tx.put_user(replace(record, failures=0 if locked else failures, locked_until_us=until_us))
        if locked:
            await self._journal(tx, username, "locked", f"{MAX_FAILURES} wrong passwords")
        return None

    async def get(self, username: str) -> User | None:
        async with self._store.read() as tx:
            record = await tx.user(username)
        return record.user if record else None

    async def list(self) -> list[User]:
        async with self._store.read() as tx:
            return [record.user for record in await tx.users()]

    async def wrong_code(self, username: str) -> None:
        """A wrong second factor counts as a wrong password does: guessing one locks as guessing the other."""
        async with self._store.write() as tx:
            await self._count(tx, username, right=False)

    async def set_enabled(self, username: str, *, enabled: bool) -> UserRecord:
        """From the machine's own command line, with nobody's login. Raises NotFound."""
        async with self._store.write() as tx:
            record = await tx.user(username)
            if record is None:
                raise NotFound("user", username)
            now_us = self._clock.machine_us()
            changed = replace(record, user=replace(record.user, enabled=enabled), changed_us=now_us)
            await tx.put_user(changed)
            await self._journal(tx, username, "enable" if enabled else "disable", "")
        return changed

    async def create(self, user: User, password: str, *, by: str = SYSTEM_NAME) -> User:
        """Raises Conflict when the name is taken, Invalid for a bad name, role set or password."""
        check_user(user)
        hashed = await self._hash(password)
        async with self._store.write() as tx:
            if await tx.user(user.username) is not None:
                raise Conflict(f"user {user.username!r} exists already")
            now_us = self._clock.machine_us()
            await tx.put_user(UserRecord(user=user, password_hash=hashed, changed_us=now_us, password_us=now_us))
            await self._journal(tx, user.username, "create", ", ".join(r.value for r in user.roles), by)
        return user

    async def set_password(self, username: str, password: str, *, by: str = SYSTEM_NAME) -> UserRecord:
        """Also ends a lock; sessions older than this end. Raises NotFound, Invalid."""
        hashed = await self._hash(password)
        async with self._store.write() as tx:
            record = await tx.user(username)
            if record is None:
                raise NotFound("user", username)
            now_us = self._clock.machine_us()
            changed = replace(
                record,
                password_hash=hashed,
                failures=0,
                locked_until_us=None,
                changed_us=now_us,
                password_us=now_us,
            )
            await tx.put_user(changed)
            await self._journal(tx, username, "set_password", "", by)
        return changed

    async def _journal(self, tx: Tx, username: str, action: str, reason: str, by: str = SYSTEM_NAME) -> None:
        await tx.add_journal(
            JournalEntry(
                seq=0,
                at_us=self._clock.city_us(),
                machine_us=self._clock.machine_us(),
                actor=by,
                on_behalf_of="",
                entity="user",
                entity_id=username,
                action=action,
                before=None,
                after=None,
                reason=reason,
            )
        )

    async def _hash(self, password: str) -> str:
        if len(password) < MIN_PASSWORD:
            raise Invalid(f"password: at least {MIN_PASSWORD} characters")
        return await asyncio.to_thread(self._hasher.hash, password)  # tens of milliseconds: not on the loop

    async def _hash_of(self, record: UserRecord | None) -> str:
        if record is not None:
            return record.password_hash
        if self._decoy is None:
            self._decoy = await asyncio.to_thread(self._hasher.hash, "nobody has this password")
        return self._decoy

    async def _check(self, hashed: str, password: str) -> bool:
        try:
            return await asyncio.to_thread(self._hasher.verify, hashed, password)
        except (VerificationError, InvalidHashError):
            return False


def actor_of(user: User, *, on_behalf_of: str = "") -> Actor:
    return Actor(
        username=user.username,
        roles=frozenset(user.roles),
        unit_id=user.unit_id,
        vendor=user.vendor,
        on_behalf_of=on_behalf_of,
        scope=user.scope,
    )


def check_user(user: User) -> None:
    """Raises Invalid naming what is wrong."""
    if not user.username or len(user.username) > 64 or not user.username.replace("-", "").replace("_", "").isalnum():
        raise Invalid(f"username {user.username!r}: 1 to 64 letters, digits, - and _")
    if not user.roles:
        raise Invalid("roles: at least one")
    if user.username == SYSTEM_NAME:
        raise Invalid("username 'system' is the engine's own")
    if len(set(user.roles)) != len(user.roles):
        raise Invalid("roles: one is named twice")
    for pair in sorted(FORBIDDEN_TOGETHER, key=sorted):
        if pair <= set(user.roles):
            raise Invalid(f"roles: {' and '.join(sorted(pair))} are never held together")
    if ":" in user.phone:
        raise Invalid("phone: expected a telephone number")
    if any(not area.isalnum() for area in user.scope.areas):
        raise Invalid("scope.areas: expected administrative codes, digits and letters")
    if Role.RESPONDER in user.roles and not user.unit_id:
        raise Invalid("unit_id: a responder belongs to a unit")
    if Role.LIAISON in user.roles and not user.unit_id:
        raise Invalid("unit_id: a liaison signs for his agency's unit")
    if Role.VENDOR in user.roles and not user.vendor:
        raise Invalid("vendor: a vendor account names its vendor")
