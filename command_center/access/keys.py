"""Keys of machines: `cbk_{id}_{secret}`, shown once, of which only a hash is kept.

A copy of the register stands in memory, so that a key opens while the database is down and a revoked one closes at once. A key
is no person: what takes a second factor (approving, people, keys) it may never do.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable, Sequence

import msgspec

from command_center.access.records import ApiKey
from command_center.access.scope import EVERYWHERE, Scope
from command_center.authority import Action, require
from command_center.errors import Invalid, NotFound
from command_center.model import Actor, JournalEntry, Role, User
from command_center.ports import Store, Tx
from command_center.users import check_user
from devices.clock import Clock

PREFIX = "cbk_"
MAX_DAYS = 730.0
# Roles that are a person's work: a machine neither hands out rights nor signs for anybody.
PERSONS_ONLY = frozenset({Role.SECURITY, Role.AUDITOR, Role.COMMANDER, Role.SCENE, Role.ISSUER})


class KeyRing:
    """The keys as this process knows them. `on_close(key_id)` is told of each that stops opening."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._keys: dict[str, ApiKey] = {}
        self._used: dict[str, int] = {}
        self._on_close: list[Callable[[str], None]] = []

    def load(self, keys: Iterable[ApiKey]) -> None:
        """Take over the register; keys that were revoked meanwhile close."""
        fresh = {key.key_id: key for key in keys}
        closed = [k for k, key in fresh.items() if key.revoked_machine_us is not None and self._open(k)]
        self._keys = fresh
        for key_id in closed:
            for notify in self._on_close:
                notify(key_id)

    def _open(self, key_id: str) -> bool:
        known = self._keys.get(key_id)
        return known is not None and known.revoked_machine_us is None

    def put(self, key: ApiKey) -> None:
        self.load([*(k for k in self._keys.values() if k.key_id != key.key_id), key])

    def on_close(self, notify: Callable[[str], None]) -> None:
        self._on_close.append(notify)

    def read(self, token: str) -> ApiKey | None:
        """The key of a token that opens now; its use is remembered."""
        key_id, _, secret = token.removeprefix(PREFIX).partition("_")
        key = self._keys.get(key_id)
        if key is None or not hmac.compare_digest(key.secret_hash, hash_secret(secret)):
            return None
        now_us = self._clock.machine_us()
        if key.revoked_machine_us is not None or key.expires_machine_us <= now_us:
            return None
        self._used[key_id] = now_us
        return key

    def last_used_us(self, key: ApiKey) -> int | None:
        return self._used.get(key.key_id, key.last_used_machine_us)

    def take_uses(self) -> dict[str, int]:
        """Newest use per key since the last call, to be written down."""
        found, self._used = self._used, {}
        for key_id, at_us in found.items():
            if key_id in self._keys:
                self._keys[key_id] = msgspec.structs.replace(self._keys[key_id], last_used_machine_us=at_us)
        return found


def hash_secret(secret: str) -> str:
    """256 random bits need no slow hash."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def actor_of(key: ApiKey) -> Actor:
    """Who a key acts as. It lacks a second factor for good."""
    return Actor(
        username=f"key:{key.key_id}",
        roles=frozenset(key.roles),
        unit_id=key.unit_id,
        vendor=key.vendor,
        scope=key.scope,
        lacks_second_factor=True,
    )


class KeyService:
    """Creates, lists and revokes keys: the security administrator's work."""

    def __init__(self, store: Store, clock: Clock, ring: KeyRing) -> None:
        self._store, self._clock, self.ring = store, clock, ring

    async def list(self, actor: Actor) -> list[ApiKey]:
        require(actor, Action.READ_API_KEYS)
        async with self._store.read() as tx:
            return await tx.api_keys()

    async def create(
        self,
        actor: Actor,
        *,
        name: str,
        roles: Sequence[Role],
        days: float,
        scope: Scope = EVERYWHERE,
        vendor: str = "",
        unit_id: str = "",
    ) -> tuple[ApiKey, str]:
        """The key and its token, which is shown this once. Raises Invalid, Forbidden."""
        require(actor, Action.API_KEYS)
        if not name.strip():
            raise Invalid("name: which machine is it for")
        if not 0 < days <= MAX_DAYS:
            raise Invalid(f"days: {days:g} is not in 0..{MAX_DAYS:g}")
        if persons := PERSONS_ONLY.intersection(roles):
            raise Invalid(f"roles: {', '.join(sorted(persons))} are a person's, not a machine's")
        check_user(User(username="key", name=name, roles=list(roles), unit_id=unit_id, vendor=vendor, scope=scope))
        secret, now_us = secrets.token_urlsafe(32), self._clock.machine_us()
        async with self._store.write() as tx:
            number = await tx.next_number("api_key")
            key = ApiKey(
                key_id=f"K{number:04d}",
                name=name,
                secret_hash=hash_secret(secret),
                roles=sorted(set(roles)),
                created_by=actor.username,
                created_machine_us=now_us,
                expires_machine_us=now_us + round(days * 86_400e6),
                scope=scope,
                vendor=vendor,
                unit_id=unit_id,
            )
            await tx.insert_api_key(key)
            await self._journal(tx, actor, key.key_id, "create", None, key)
        self.ring.put(key)
        return key, f"{PREFIX}{key.key_id}_{secret}"

    async def revoke(self, actor: Actor, key_id: str) -> None:
        """In effect when this returns. Raises NotFound, Forbidden."""
        require(actor, Action.API_KEYS)
        now_us = self._clock.machine_us()
        async with self._store.write() as tx:
            if not await tx.revoke_api_key(key_id, now_us, actor.username):
                raise NotFound("API key", key_id)
            await self._journal(tx, actor, key_id, "revoke", None, None)
            keys = await tx.api_keys()
        self.ring.load(keys)

    async def _journal(
        self, tx: Tx, actor: Actor, key_id: str, action: str, before: ApiKey | None, after: ApiKey | None
    ) -> None:
        await tx.add_journal(
            JournalEntry(
                seq=0,
                at_us=self._clock.city_us(),
                machine_us=self._clock.machine_us(),
                actor=actor.username,
                on_behalf_of=actor.on_behalf_of,
                entity="api_key",
                entity_id=key_id,
                action=action,
                before=None if before is None else described(before),
                after=None if after is None else described(after),
            )
        )


def described(key: ApiKey) -> dict[str, object]:
    """A key without its hash: for the journal and for lists."""
    found = msgspec.to_builtins(key)
    del found["secret_hash"]
    return dict(found)
