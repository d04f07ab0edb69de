"""People and what they may: the security administrator's work, and everybody's own account.

Who hands out rights has none of their own to hand to themselves: nobody changes his own roles, scope or state, and the roles
`security` and `auditor` are held alone (`authority.FORBIDDEN_TOGETHER`). People are disabled, never removed: the journal names them.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from command_center.access.personal import mask_phone
from command_center.authority import Action, require
from command_center.errors import Conflict, Forbidden, Invalid, NotFound
from command_center.model import Actor, JournalEntry, User
from command_center.ports import Store, Tx
from command_center.records import UserRecord
from command_center.users import MIN_PASSWORD, UserService, check_user
from devices.clock import Clock

replace = msgspec.structs.replace
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
NO_PASSWORD = "!"  # noqa: S105  (no hash: nothing matches it)
# What `change` may change: name, roles, where and for whom somebody acts.
FIELDS = ("name", "roles", "unit_id", "vendor", "phone", "area", "scope")


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """A user as the security administrator sees him: no hash, the telephone number masked."""

    username: str
    name: str
    roles: list[str]
    unit_id: str
    vendor: str
    phone: str
    area: str
    scope: dict[str, list[str]]
    enabled: bool
    second_factor: bool
    last_login_us: int | None
    locked_until_us: int | None
    rev: int  # machine us of the last change


class PeopleService:
    """`on_change(record)` is told after each commit, so that sessions follow at once."""

    def __init__(
        self, users: UserService, store: Store, clock: Clock, *, on_change: Callable[[UserRecord, str], None]
    ) -> None:
        self._users, self._store, self._clock, self._on_change = users, store, clock, on_change

    async def list(self, actor: Actor) -> list[Person]:
        require(actor, Action.READ_USERS)
        async with self._store.read() as tx:
            with_factor = set(await tx.second_factors())
            return [_person(record, record.user.username in with_factor) for record in await tx.users()]

    async def get(self, actor: Actor, username: str) -> Person:
        require(actor, Action.READ_USERS)
        async with self._store.read() as tx:
            record, factor = await _record(tx, username), await tx.second_factor(username)
        return _person(record, factor is not None and factor.confirmed)

    async def create(self, actor: Actor, user: User, word: str = "") -> tuple[Person, str]:
        """A new user and the password, generated unless given, shown once. Raises Invalid, Conflict, Forbidden."""
        require(actor, Action.USERS)
        word = word or generated_password()
        await self._users.create(user, word, by=actor.username)
        return await self._one(user.username), word

    async def change(
        self, actor: Actor, username: str, changes: Mapping[str, Any], *, reason: str, rev: int | None = None
    ) -> Person:
        """Change some of FIELDS. Raises Invalid, NotFound, Conflict (somebody was faster), Forbidden (oneself)."""
        self._must_be_another(actor, username)
        async with self._store.write() as tx:
            before = await _record(tx, username)
            if rev is not None and before.changed_us != rev:
                raise Conflict(f"user {username} was changed by somebody else meanwhile; reload it")
            unknown = sorted(set(changes) - set(FIELDS))
            if unknown:
                raise Invalid(f"{', '.join(unknown)}: expected some of {', '.join(FIELDS)}")
            try:
                after = msgspec.convert({**msgspec.to_builtins(before.user), **msgspec.to_builtins(changes)}, User)
            except msgspec.ValidationError as error:
                raise Invalid(str(error)) from error
            check_user(after)
            changed = await self._put(tx, actor, before, replace(before, user=after), "change", reason)
        self._on_change(changed, "")
        return await self._one(username)

    async def set_enabled(self, actor: Actor, username: str, *, enabled: bool, reason: str) -> Person:
        """A disabled user's sessions end at once. Raises NotFound, Forbidden (oneself), Invalid (no reason)."""
        self._must_be_another(actor, username)
        if not enabled and not reason.strip():
            raise Invalid("reason: why the account is disabled")
        async with self._store.write() as tx:
            before = await _record(tx, username)
            user = replace(before.user, enabled=enabled)
            action = "enable" if enabled else "disable"
            changed = await self._put(tx, actor, before, replace(before, user=user), action, reason)
        self._on_change(changed, "")
        return await self._one(username)

    async def reset_password(self, actor: Actor, username: str) -> str:
        """A new generated password, shown once; the user's sessions end. Raises NotFound, Forbidden (oneself)."""
        self._must_be_another(actor, username)
        word = generated_password()
        self._on_change(await self._users.set_password(username, word, by=actor.username), "")
        return word

    async def arrive(self, user: User) -> User:
        """Somebody whom the identity provider sent: made or brought up to date by what his groups say now. Raises Forbidden for
        an account that was disabled here, Invalid for groups whose roles are never held together."""
        check_user(user)
        actor = Actor(username="oidc")
        async with self._store.write() as tx:
            before = await tx.user(user.username)
            if before is not None and not before.user.enabled:
                raise Forbidden(user.username, "log in", "the account is disabled")
            if before is None:
                before = UserRecord(user=replace(user, enabled=False), password_hash=NO_PASSWORD)
            after = replace(user, phone=before.user.phone, area=before.user.area)
            if after == before.user:
                return after
            changed = await self._put(
                tx, actor, before, replace(before, user=after), "arrive", "by the identity provider"
            )
        self._on_change(changed, "")
        return after

    async def end_sessions(self, actor: Actor, username: str) -> None:
        """Log somebody out everywhere. Raises NotFound, Forbidden."""
        require(actor, Action.USERS)
        async with self._store.write() as tx:
            before = await _record(tx, username)
            changed = await self._put(
                tx, actor, before, replace(before, password_us=self._clock.machine_us()), "end_sessions", ""
            )
        self._on_change(changed, "")

    async def change_password(self, actor: Actor, old: str, new: str, *, sid: str) -> None:
        """One's own. The other sessions end, this one (`sid`) stays. Raises Forbidden, Invalid."""
        require(actor, Action.OWN_ACCOUNT)
        if len(new) < MIN_PASSWORD or new == old:
            raise Invalid(f"new: at least {MIN_PASSWORD} characters, and not the old one")
        if await self._users.verify(actor.username, old) is None:
            raise Forbidden(actor.username, "change the password", "the old one is wrong")
        self._on_change(await self._users.set_password(actor.username, new, by=actor.username), sid)

    def _must_be_another(self, actor: Actor, username: str) -> None:
        require(actor, Action.USERS)
        if actor.username == username:
            raise Forbidden(
                actor.username, Action.USERS.value, "nobody changes his own account; another administrator does"
            )

    async def _put(
        self, tx: Tx, actor: Actor, before: UserRecord, after: UserRecord, action: str, reason: str
    ) -> UserRecord:
        machine_us = max(self._clock.machine_us(), before.changed_us + 1)  # it is the revision too
        after = replace(after, changed_us=machine_us)
        await tx.put_user(after)
        await tx.add_journal(
            JournalEntry(
                seq=0,
                at_us=self._clock.city_us(),
                machine_us=self._clock.machine_us(),
                actor=actor.username,
                on_behalf_of=actor.on_behalf_of,
                entity="user",
                entity_id=after.user.username,
                action=action,
                before=_journalled(before.user),
                after=_journalled(after.user),
                reason=reason,
            )
        )
        return after

    async def _one(self, username: str) -> Person:
        async with self._store.read() as tx:
            factor = await tx.second_factor(username)
            return _person(await _record(tx, username), factor is not None and factor.confirmed)


async def _record(tx: Tx, username: str) -> UserRecord:
    record = await tx.user(username)
    if record is None:
        raise NotFound("user", username)
    return record


def _journalled(user: User) -> dict[str, Any]:
    """Without the telephone number: the journal is kept for ever and read by many."""
    found: dict[str, Any] = msgspec.to_builtins(user)
    found["phone"] = mask_phone(user.phone)
    return found


def _person(record: UserRecord, second_factor: bool) -> Person:
    user = record.user
    return Person(
        username=user.username,
        name=user.name,
        roles=sorted(role.value for role in user.roles),
        unit_id=user.unit_id,
        vendor=user.vendor,
        phone=mask_phone(user.phone),
        area=user.area,
        scope={
            "areas": list(user.scope.areas),
            "organisations": list(user.scope.organisations),
            "hazards": list(user.scope.hazards),
        },
        enabled=user.enabled,
        second_factor=second_factor,
        last_login_us=record.last_login_us,
        locked_until_us=record.locked_until_us,
        rev=record.changed_us,
    )


def generated_password(length: int = 14) -> str:
    """About 69 bits; no look-alikes, since it is told or written down once."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))
