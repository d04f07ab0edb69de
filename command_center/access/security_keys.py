"""Security keys (WebAuthn, level 2) as a second factor where the browser has it, beside the codes of `factors.py`.

A key is added to a second factor that stands, so that the recovery codes are there for a key that is lost, and goes with it. A challenge
is random, bound to the person and to what it is for, opens once and lives two minutes in memory: after a restart one asks again. A
key belongs to the host name (RP ID) under which it was added; it answers no other page, which is what it is better at than a code.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialCreationOptions,
    PublicKeyCredentialDescriptor,
    PublicKeyCredentialRequestOptions,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from command_center.access.records import SecurityKey
from command_center.errors import Conflict, Forbidden, Invalid, NotFound
from command_center.model import Actor, JournalEntry
from command_center.ports import Store, Tx
from devices.clock import Clock

CHALLENGE_S = 120.0
MAX_CHALLENGES = 10_000  # keep newest; whoever asks for more than that begins again
MAX_KEYS = 10
NAME_CHARS = 60
RP_NAME = "City Brain 城市大脑"

replace = msgspec.structs.replace
Purpose = Literal["add", "login"]


@dataclass(frozen=True, slots=True)
class _Asked:
    challenge: bytes
    rp_id: str
    at_s: float


class SecurityKeys:
    """Adds, lists, removes keys and checks what they answer. `origin` is the page's own, as `https://host:port`."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._asked: OrderedDict[tuple[Purpose, str], _Asked] = OrderedDict()

    async def list(self, actor: Actor) -> list[SecurityKey]:
        """One's own, oldest first."""
        async with self._store.read() as tx:
            return await tx.security_keys(actor.username)

    # -- adding

    async def begin(self, actor: Actor, origin: str, *, given: bool) -> dict[str, Any]:
        """Options for `navigator.credentials.create`. `given`: this session has its second factor.

        Raises Forbidden without it, Conflict without a second factor or with ten keys, Invalid for an address without a name.
        """
        if not given:
            raise Forbidden(actor.username, "add a security key", "log in with the second factor first")
        rp_id = rp_id_of(origin)
        async with self._store.read() as tx:
            factor = await tx.second_factor(actor.username)
            keys = await tx.security_keys(actor.username)
        if factor is None or not factor.confirmed:
            raise Conflict("set up the second factor first: its recovery codes are for a key that is lost")
        if len(keys) >= MAX_KEYS:
            raise Conflict(f"{MAX_KEYS} keys stand already: remove one first")
        options = generate_registration_options(
            rp_id=rp_id,
            rp_name=RP_NAME,
            user_name=actor.username,
            user_id=hashlib.sha256(actor.username.encode()).digest(),
            exclude_credentials=[PublicKeyCredentialDescriptor(id=base64url_to_bytes(key.key_id)) for key in keys],
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.DISCOURAGED,
                user_verification=UserVerificationRequirement.PREFERRED,
            ),
        )
        self._remember("add", actor.username, options.challenge, rp_id)
        return _plain(options)

    async def add(self, actor: Actor, origin: str, name: str, credential: Mapping[str, Any]) -> SecurityKey:
        """What the browser made of the options. Raises Invalid naming what does not fit, Conflict for a key that stands."""
        name = name.strip()
        if not name or len(name) > NAME_CHARS:
            raise Invalid(f"name: 1 to {NAME_CHARS} characters, to know it again")
        asked = self._taken("add", actor.username, origin)
        try:
            made = verify_registration_response(
                credential=dict(credential),
                expected_challenge=asked.challenge,
                expected_rp_id=asked.rp_id,
                expected_origin=origin,
            )
        except (WebAuthnException, ValueError, TypeError, KeyError) as error:
            raise Invalid(f"credential: {error}") from error
        key = SecurityKey(
            key_id=bytes_to_base64url(made.credential_id),
            username=actor.username,
            name=name,
            rp_id=asked.rp_id,
            public_key=bytes_to_base64url(made.credential_public_key),
            sign_count=made.sign_count,
            created_machine_us=self._clock.machine_us(),
        )
        async with self._store.write() as tx:
            factor = await tx.second_factor(actor.username)
            if factor is None or not factor.confirmed:
                raise Conflict("the second factor was given up meanwhile")
            if not await tx.insert_security_key(key):
                raise Conflict("this key stands already")
            await self._journal(tx, actor.username, "security_key_added", {"name": name, "rp_id": key.rp_id})
        return key

    async def remove(self, actor: Actor, key_id: str, *, given: bool) -> None:
        """One's own. Raises Forbidden from a session without the second factor, NotFound."""
        if not given:
            raise Forbidden(actor.username, "remove a security key", "log in with the second factor first")
        async with self._store.write() as tx:
            known = {key.key_id: key for key in await tx.security_keys(actor.username)}
            if key_id not in known or not await tx.drop_security_key(actor.username, key_id):
                raise NotFound("security key", key_id)
            await self._journal(tx, actor.username, "security_key_removed", {"name": known[key_id].name})

    # -- login

    async def ask(self, username: str, origin: str) -> dict[str, Any]:
        """Options for `navigator.credentials.get`; the password was right. Raises NotFound where no key is for this host."""
        rp_id = rp_id_of(origin)
        async with self._store.read() as tx:
            keys = [key for key in await tx.security_keys(username) if key.rp_id == rp_id]
        if not keys:
            raise NotFound("security key for this address", rp_id)
        options = generate_authentication_options(
            rp_id=rp_id,
            allow_credentials=[PublicKeyCredentialDescriptor(id=base64url_to_bytes(key.key_id)) for key in keys],
            user_verification=UserVerificationRequirement.PREFERRED,
        )
        self._remember("login", username, options.challenge, rp_id)
        return _plain(options)

    async def check(self, username: str, origin: str, credential: Mapping[str, Any]) -> bool:
        """Whether a key of this user answered the challenge, here and now. A counter that went back is a copied key: refused,
        and journalled."""
        try:
            asked = self._taken("login", username, origin)
        except Invalid:
            return False
        async with self._store.write() as tx:
            named = str(credential.get("id", ""))
            known = {key.key_id: key for key in await tx.security_keys(username) if key.rp_id == asked.rp_id}
            key = next(
                (
                    one
                    for key_id, one in known.items()
                    if hmac.compare_digest(key_id.encode(), named.encode("utf-8", "replace"))
                ),
                None,
            )
            if key is None:
                return False
            try:
                answer = verify_authentication_response(
                    credential=dict(credential),
                    expected_challenge=asked.challenge,
                    expected_rp_id=asked.rp_id,
                    expected_origin=origin,
                    credential_public_key=base64url_to_bytes(key.public_key),
                    credential_current_sign_count=0,  # ours to judge, below: it must leave a trace
                )
            except (WebAuthnException, ValueError, TypeError, KeyError):
                return False
            count = answer.new_sign_count
            if (count or key.sign_count) and count <= key.sign_count:
                facts = {"name": key.name, "count": count, "expected_above": key.sign_count}
                await self._journal(tx, username, "security_key_copied", facts)
                return False
            await tx.use_security_key(key.key_id, count, self._clock.machine_us())
        return True

    # -- inside

    def _remember(self, purpose: Purpose, username: str, challenge: bytes, rp_id: str) -> None:
        self._asked[purpose, username] = _Asked(challenge, rp_id, self._now_s())
        self._asked.move_to_end((purpose, username))
        while len(self._asked) > MAX_CHALLENGES:
            self._asked.popitem(last=False)

    def _taken(self, purpose: Purpose, username: str, origin: str) -> _Asked:
        """The challenge that was asked, which opens once. Raises Invalid."""
        asked = self._asked.pop((purpose, username), None)
        if asked is None or self._now_s() - asked.at_s > CHALLENGE_S or asked.rp_id != rp_id_of(origin):
            raise Invalid("credential: nothing was asked here in the last two minutes; begin again")
        return asked

    def _now_s(self) -> float:
        return self._clock.machine_ns() / 1e9

    async def _journal(self, tx: Tx, username: str, action: str, after: dict[str, Any]) -> None:
        await tx.add_journal(
            JournalEntry(
                seq=0,
                at_us=self._clock.city_us(),
                machine_us=self._clock.machine_us(),
                actor=username,
                on_behalf_of="",
                entity="user",
                entity_id=username,
                action=action,
                before=None,
                after=after,
                reason="",
            )
        )


def _plain(options: PublicKeyCredentialCreationOptions | PublicKeyCredentialRequestOptions) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(options_to_json(options))
    return found


def rp_id_of(origin: str) -> str:
    """The host name of an origin, which is what keys are for. Raises Invalid for an address without a name: WebAuthn has none for
    it, and for a page without HTTPS other than localhost."""
    parts = urlsplit(origin)
    host = parts.hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return host
    if parts.scheme != "https":
        raise Invalid("security keys need HTTPS")
    if not host or ":" in host or host.replace(".", "").isdigit():
        raise Invalid(f"security keys need a host name, not the address {host or origin}")
    return host
