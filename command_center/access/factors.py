"""The second factor: time-based codes (RFC 6238, SHA-1, 6 digits, 30 s, a window of one step either way) and recovery codes.

A code opens once: the step of the last one taken is kept, in the statement that takes it. The secret is sealed at rest;
recovery codes are random enough (59 bits) to be kept as plain hashes. Times are machine wall time: a phone knows no other.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

import msgspec
import pyotp

from command_center.access.personal import Sealer
from command_center.access.records import SecondFactor
from command_center.authority import Action, require
from command_center.errors import Conflict, Forbidden, Invalid, NotFound
from command_center.model import Actor, JournalEntry
from command_center.ports import Store, Tx
from devices.clock import Clock

STEP_S = 30
WINDOW = 1
RECOVERY_CODES = 10
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # no look-alikes: people copy them from paper
ISSUER = "City Brain"

replace = msgspec.structs.replace


class SecondFactors:
    """Sets up, checks and gives up second factors."""

    def __init__(self, store: Store, clock: Clock, sealer: Sealer, *, issuer: str = ISSUER) -> None:
        self._store, self._clock, self._sealer, self._issuer = store, clock, sealer, issuer

    async def has(self, username: str) -> bool:
        """Whether a login of this user takes a code."""
        async with self._store.read() as tx:
            factor = await tx.second_factor(username)
        return factor is not None and factor.confirmed

    async def begin(self, actor: Actor) -> tuple[str, str]:
        """A new secret and its `otpauth` URI, shown once; it counts after `confirm`. Raises Conflict when one stands."""
        secret = pyotp.random_base32()
        async with self._store.write() as tx:
            known = await tx.second_factor(actor.username)
            if known is not None and known.confirmed:
                raise Conflict("a second factor stands already: give it up first")
            sealed = self._sealer.seal(secret, _place(actor.username))
            factor = SecondFactor(
                username=actor.username,
                secret=sealed,
                confirmed=False,
                last_step=0,
                recovery=[],
                changed_machine_us=self._clock.machine_us(),
            )
            await tx.put_second_factor(factor)
        return secret, pyotp.TOTP(secret).provisioning_uri(name=actor.username, issuer_name=self._issuer)

    async def confirm(self, actor: Actor, code: str) -> list[str]:
        """The first code of the phone: from now on logins take one. Returns the recovery codes, shown once. Raises Invalid,
        NotFound."""
        words = [_recovery_code() for _ in range(RECOVERY_CODES)]
        async with self._store.write() as tx:
            known = await tx.second_factor(actor.username)
            if known is None:
                raise NotFound("second factor", actor.username)
            if known.confirmed:
                raise Conflict("the second factor is confirmed already")
            step = self._step_of(known, code)
            if step is None:
                raise Invalid("code: it does not fit; is the phone's clock right?")
            hashes = [_hashed(actor.username, word) for word in words]
            now_us = self._clock.machine_us()
            await tx.put_second_factor(
                replace(known, confirmed=True, last_step=step, recovery=hashes, changed_machine_us=now_us)
            )
            await self._journal(tx, actor, actor.username, "second_factor_set_up", "")
        return words

    async def check(self, username: str, code: str) -> bool:
        """Whether the code, or a recovery code, opens now; it does not open again. False for a user without a second factor."""
        code = code.strip().replace(" ", "").replace("-", "").lower()
        async with self._store.write() as tx:
            known = await tx.second_factor(username)
            if known is None or not known.confirmed:
                return False
            step = self._step_of(known, code)
            if step is not None:
                return await tx.use_totp_step(username, step)
            if not await tx.use_recovery_code(username, _hashed(username, code)):
                return False
            await self._journal(tx, Actor(username=username), username, "recovery_code_used", "")
            return True

    async def give_up(self, actor: Actor, *, given: bool) -> None:
        """One's own; only from a session that was opened with it (`given`). Raises Forbidden, NotFound."""
        if not given:
            raise Forbidden(
                actor.username, "give up the second factor", "log in with it first, or ask a security administrator"
            )
        await self._drop(actor, actor.username, "")

    async def reset(self, actor: Actor, username: str, reason: str) -> None:
        """A lost phone: a security administrator takes somebody else's away. Raises Forbidden, NotFound, Invalid."""
        require(actor, Action.USERS)
        if username == actor.username:
            raise Forbidden(actor.username, Action.USERS.value, "somebody else resets one's own second factor")
        if not reason.strip():
            raise Invalid("reason: why the second factor is taken away")
        await self._drop(actor, username, reason)

    async def _drop(self, actor: Actor, username: str, reason: str) -> None:
        async with self._store.write() as tx:
            if not await tx.drop_second_factor(username):
                raise NotFound("second factor", username)
            await self._journal(tx, actor, username, "second_factor_removed", reason)

    def _step_of(self, factor: SecondFactor, code: str) -> int | None:
        """The time step that the code is of, within the window; None where it is of none."""
        totp = pyotp.TOTP(self._sealer.unseal(factor.secret, _place(factor.username)))
        now = self._clock.machine_us() // 1_000_000 // STEP_S
        fits = [s for s in range(now - WINDOW, now + WINDOW + 1) if hmac.compare_digest(totp.generate_otp(s), code)]
        return fits[0] if fits else None

    async def _journal(self, tx: Tx, actor: Actor, username: str, action: str, reason: str) -> None:
        await tx.add_journal(
            JournalEntry(
                seq=0,
                at_us=self._clock.city_us(),
                machine_us=self._clock.machine_us(),
                actor=actor.username,
                on_behalf_of=actor.on_behalf_of,
                entity="user",
                entity_id=username,
                action=action,
                before=None,
                after=None,
                reason=reason,
            )
        )


def _place(username: str) -> str:
    return f"user/{username}/totp"


def _recovery_code() -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(12))


def _hashed(username: str, code: str) -> str:
    return hashlib.sha256(f"{username}:{code}".encode("utf-8", "replace")).hexdigest()
