"""How devices get in: passwords and certificates issued, replaced and revoked from the register, each journalled.

A new password takes the old one's place at once: Mosquitto's password file has one line for a user, so there is no time in which
both work. A revoked device is cut from the broker within the second in which it reloads. Plain passwords and private keys exist
once, in the answer; nothing here keeps them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from command_center.authority import Action, require
from command_center.device_rights import device_for
from command_center.errors import Invalid, NotFound
from command_center.model import Actor, JournalEntry
from devices.clock import Clock
from devices.registry import Registry

ENTITY = "device_credential"
DEFAULT_CERTIFICATE_DAYS = 397  # as long as a server's; a device that is never visited asks for more
MAX_CERTIFICATE_DAYS = 1830


class DeviceCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """A client certificate whose common name is the device id. Times are machine time: certificates know no city time."""

    serial: str  # hexadecimal
    device_id: str
    issued_machine_us: int
    expires_machine_us: int
    issued_by: str
    revoked_machine_us: int | None = None


class DeviceAccessTx(Protocol):
    """What device access needs of a transaction (part of `ports.Tx`)."""

    async def put_device_hashes(self, hashes: Mapping[str, str], at_us: int) -> None:
        """Password hashes by device id; a new one takes the place of the old."""
        ...

    async def drop_device_hash(self, device_id: str) -> bool:
        """False where there was none."""
        ...

    async def device_password_since(self, device_id: str) -> int | None:
        """City time at which the present password was issued; None: there is none."""
        ...

    async def put_device_certificate(self, certificate: DeviceCertificate) -> None: ...

    async def revoke_device_certificates(self, device_id: str, machine_us: int) -> list[str]:
        """Serials of those that were in force."""
        ...

    async def device_certificates(self, device_ids: Sequence[str] | None = None) -> list[DeviceCertificate]:
        """Of some devices or all, newest first; revoked ones too."""
        ...

    async def add_journal(self, entry: JournalEntry) -> int: ...


class Secret(msgspec.Struct, frozen=True, kw_only=True):
    password: str
    hashed: str


class IssuedCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """What a device needs to come in by certificate; the key is shown this once."""

    certificate: DeviceCertificate
    certificate_pem: str
    key_pem: str
    ca_pem: str  # what the device checks the broker's certificate with
    port: int  # the broker's listener for certificates; 0: it has none


class Door(Protocol):
    """The broker's side and the sources of randomness (`runtime.credentials`)."""

    async def draw(self, device_ids: Iterable[str]) -> dict[str, Secret]:
        """A new password for each, with its hash."""
        ...

    async def sign(self, device_id: str, days: int, issued_by: str) -> IssuedCertificate: ...

    def issued(self, passwords: Mapping[str, str]) -> None:
        """After the commit: passwords that are in force now (a tenant that is not real keeps them for its simulators)."""
        ...

    def changed(self, device_ids: Iterable[str]) -> None:
        """After the commit: the broker must learn about these devices."""
        ...


class AccessState(msgspec.Struct, frozen=True, kw_only=True):
    device_id: str
    password_since_us: int | None
    certificates: list[DeviceCertificate]


class AccessStore(Protocol):
    def read(self) -> Any: ...
    def write(self) -> Any: ...


class DeviceAccess:
    """The only writer of device credentials."""

    def __init__(self, store: AccessStore, registry: Registry, door: Door, clock: Clock) -> None:
        self._store, self._registry, self._door, self._clock = store, registry, door, clock

    async def issue(self, actor: Actor, device_id: str, *, reason: str = "") -> str:
        """A new password; an old one ends now. Raises Forbidden, NotFound."""
        device_for(actor, Action.DEVICE_CREDENTIALS, self._registry, device_id)
        return (await self.issue_new(actor, [device_id], reason=reason))[device_id]

    async def issue_new(self, actor: Actor, device_ids: Sequence[str], *, reason: str) -> dict[str, str]:
        """Passwords for devices that the caller has just registered: who may register them may have their credentials."""
        require(actor, Action.DEVICE_CREDENTIALS)
        secrets = await self._door.draw(device_ids)
        async with self._store.write() as tx:
            known = [i for i in device_ids[:2] if await tx.device_password_since(i) is not None]
            await tx.put_device_hashes({i: s.hashed for i, s in secrets.items()}, self._clock.city_us())
            action = "rotate" if len(secrets) == 1 and known else "issue"
            after = {"password": True} | ({} if len(secrets) == 1 else {"device_ids": sorted(secrets)})
            await tx.add_journal(self._entry(actor, device_ids, action, {"password": bool(known)}, after, reason))
        passwords = {i: s.password for i, s in secrets.items()}
        self._door.issued(passwords)
        self._door.changed(secrets)
        return passwords

    async def has_password(self, device_id: str) -> bool:
        async with self._store.read() as tx:
            return await tx.device_password_since(device_id) is not None

    async def revoke(self, actor: Actor, device_id: str, *, reason: str) -> AccessState:
        """Password and certificates end; a live connection by password is cut, one by certificate may do nothing more.

        Raises Forbidden, NotFound (also where there is nothing to revoke), Invalid without a reason.
        """
        device_for(actor, Action.DEVICE_CREDENTIALS, self._registry, device_id)
        if not reason.strip():
            raise Invalid("reason: why the device loses its credentials")
        async with self._store.write() as tx:
            dropped = await tx.drop_device_hash(device_id)
            serials = await tx.revoke_device_certificates(device_id, self._clock.machine_us())
            if not dropped and not serials:
                raise NotFound("credential of device", device_id)
            before = {"password": dropped, "certificates": serials}
            await tx.add_journal(self._entry(actor, [device_id], "revoke", before, {"password": False}, reason))
        self._door.changed([device_id])
        return await self._state(device_id)

    async def certificate(
        self, actor: Actor, device_id: str, *, days: int = DEFAULT_CERTIFICATE_DAYS, reason: str = ""
    ) -> IssuedCertificate:
        """A certificate with the device id as common name; earlier ones of the device are revoked.

        Raises Forbidden, NotFound, Invalid.
        """
        device_for(actor, Action.DEVICE_CREDENTIALS, self._registry, device_id)
        if not 1 <= days <= MAX_CERTIFICATE_DAYS:
            raise Invalid(f"days {days}: expected 1 to {MAX_CERTIFICATE_DAYS}")
        made = await self._door.sign(device_id, days, actor.username)
        async with self._store.write() as tx:
            gone = await tx.revoke_device_certificates(device_id, self._clock.machine_us())
            await tx.put_device_certificate(made.certificate)
            before, after = {"certificates": gone}, {"certificates": [made.certificate.serial]}
            await tx.add_journal(self._entry(actor, [device_id], "certificate", before, after, reason))
        self._door.changed([device_id])
        return made

    async def state(self, actor: Actor, device_id: str) -> AccessState:
        """Since when, and with what, a device may come in. Raises Forbidden, NotFound."""
        device_for(actor, Action.DEVICE_CREDENTIALS, self._registry, device_id)
        return await self._state(device_id)

    async def _state(self, device_id: str) -> AccessState:
        async with self._store.read() as tx:
            return AccessState(
                device_id=device_id,
                password_since_us=await tx.device_password_since(device_id),
                certificates=await tx.device_certificates([device_id]),
            )

    def _entry(
        self,
        actor: Actor,
        device_ids: Sequence[str],
        action: str,
        before: dict[str, Any],
        after: dict[str, Any],
        reason: str,
    ) -> JournalEntry:
        return JournalEntry(
            seq=0,
            at_us=self._clock.city_us(),
            machine_us=self._clock.machine_us(),
            actor=actor.username,
            on_behalf_of=actor.on_behalf_of,
            entity=ENTITY,
            entity_id=device_ids[0] if len(device_ids) == 1 else f"{len(device_ids)} devices",
            action=action,
            before=before,
            after=after,
            reason=reason,
        )
