"""Credentials at the broker: issued with the register, written as Mosquitto's files, taken over with SIGHUP.

The database keeps the hashes of devices. Plain passwords exist once, in the answer to whoever registered the device, and in
`secrets/devices.json` of a tenant that is not real, for its simulators. Passwords of our own services stand in `secrets.json`.

This process holds every account in memory: 100,000 lines are 20 MB, nothing is hashed twice, and the database is asked only
about the devices that changed. The same lines answer other brokers' questions (`allows`), with or without the database.
"""

from __future__ import annotations

import asyncio
import secrets as random_secrets
from collections.abc import Iterable, Mapping

import structlog

from command_center.device_access import IssuedCertificate, Secret
from command_center.errors import Unavailable
from command_center.ports import Store
from devices.credentials import SALT_BYTES, hash_password, service_username, verify_password
from runtime.broker import Accounts, Broker
from runtime.device_certificates import DeviceAuthority
from runtime.secrets import ServiceSecrets, read_json, write_json
from runtime.settings import Settings
from storage.errors import StorageError
from storage.registry import RegistryStore

log = structlog.get_logger()

CANARY_ID = "canary-1"
RELOAD_EVERY_S = 1.0  # a reload blocks the broker while it reads its files and checks every connection again
RETRY_S = 1.0


def hashed(password: str) -> str:
    return hash_password(password, salt=random_secrets.token_bytes(SALT_BYTES))


class BrokerCredentials:
    """The accounts of one tenant at its own broker. Implements `command_center.device_access.Door`.

    `store` gives the certificates; without one (seeding) there are none.
    """

    def __init__(
        self, settings: Settings, secrets: ServiceSecrets, register: RegistryStore, store: Store | None = None
    ) -> None:
        self._settings, self._secrets, self._register, self._store = settings, secrets, register, store
        self._plain = settings.secrets_dir / "devices.json"
        self._authority = DeviceAuthority(settings.data_dir / "tls")
        self._held: Accounts | None = None
        self._changed: set[str] = set()
        self._dirty = asyncio.Event()

    # -- for the register

    async def draw(self, device_ids: Iterable[str]) -> dict[str, Secret]:
        """New passwords with their hashes; the canary keeps its own."""
        wanted = [device_id for device_id in device_ids if device_id != CANARY_ID]
        return await asyncio.to_thread(_draw, wanted)

    async def sign(self, device_id: str, days: int, issued_by: str) -> IssuedCertificate:
        record, pem, key = await asyncio.to_thread(self._authority.issue, device_id, days, issued_by=issued_by)
        ours = self._settings.data_dir / "tls" / "ca.pem"
        return IssuedCertificate(
            certificate=record,
            certificate_pem=pem.decode(),
            key_pem=key.decode(),
            ca_pem=ours.read_text() if ours.exists() else "",
            port=self._settings.broker_tls_port,
        )

    def issued(self, passwords: Mapping[str, str]) -> None:
        if not self._settings.real:
            write_json(self._plain, {**(read_json(self._plain) or {}), **passwords})

    def changed(self, device_ids: Iterable[str]) -> None:
        """The broker learns of these devices within about a second."""
        self._changed.update(device_ids)
        self._dirty.set()

    async def issue(self, device_ids: Iterable[str]) -> dict[str, str]:
        """For seeding: new passwords by device id, past the journal."""
        drawn = await self.draw(device_ids)
        await self._register.set_credentials({device_id: secret.hashed for device_id, secret in drawn.items()})
        words = {device_id: secret.password for device_id, secret in drawn.items()}
        self.issued(words)
        self.changed(words)
        return words

    # -- for the broker

    @property
    def authority(self) -> DeviceAuthority:
        return self._authority

    async def accounts(self) -> Accounts:
        """Everything from the database, and our services and the canary from their secrets."""
        held = Accounts(dict(await asyncio.to_thread(self._own)))
        held.hashes.update(entry for entry in await self._register.credentials() if entry[0] != CANARY_ID)
        await self._certificates(held, None)
        return held

    def _own(self) -> list[tuple[str, str]]:
        services = [(service_username(name), hashed(word)) for name, word in self._secrets.broker.items()]
        return [*services, (CANARY_ID, hashed(self._secrets.canary))]

    async def _certificates(self, held: Accounts, device_ids: list[str] | None) -> None:
        """A device all of whose certificates are revoked, or that is disabled or gone, is denied: TLS asks nobody again while
        a connection lasts."""
        if self._store is None:
            return
        async with self._store.read() as tx:
            known = await tx.device_certificates(device_ids)
        usable = await self._register.usable({c.device_id for c in known})
        in_force = {c.device_id for c in known if c.revoked_machine_us is None}
        for one in known:
            if one.revoked_machine_us is not None:
                held.revoked[one.serial] = one
            for members, belongs in (
                (held.certified, one.device_id in usable and one.device_id in in_force),
                (held.denied, one.device_id not in usable or not {one.device_id} & (in_force | held.hashes.keys())),
            ):
                members.add(one.device_id) if belongs else members.discard(one.device_id)

    async def run(self, broker: Broker) -> None:
        """Hand changed accounts to the broker, at most once a second, until cancelled. Waits out a database that is away."""
        self._dirty.set()  # what changed while no process held the accounts must reach the broker too
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            changed, self._changed = self._changed, set()
            try:
                held = await self._refresh(sorted(changed))
            except (StorageError, Unavailable) as error:
                log.warning("broker_accounts_wait_for_the_database", why=str(error), devices=len(changed))
                self._changed |= changed
                self._dirty.set()
                await asyncio.sleep(RETRY_S)
                continue
            await asyncio.to_thread(broker.write_accounts, held, self._authority)
            log.info("broker_accounts_written", accounts=len(held.hashes), changed=len(changed))
            await asyncio.sleep(RELOAD_EVERY_S)

    async def _refresh(self, changed: list[str]) -> Accounts:
        if self._held is None:
            self._held = await self.accounts()
            return self._held
        present = dict(await self._register.credentials(changed))
        for device_id in changed:
            if device_id == CANARY_ID:
                continue
            self._held.hashes.pop(device_id, None)
            if device_id in present:
                self._held.hashes[device_id] = present[device_id]
        await self._certificates(self._held, changed)
        return self._held

    # -- for other brokers

    @property
    def loaded(self) -> bool:
        return self._held is not None

    def allows(self, username: str, password: str) -> bool:
        """Whether this is the password of a device or service that may connect. Before the accounts are loaded: nobody."""
        hashed_word = None if self._held is None else self._held.hashes.get(username)
        return hashed_word is not None and verify_password(password, hashed_word)

    def knows(self, username: str) -> bool:
        """Whether this username may do anything at the broker."""
        return self._held is not None and (username in self._held.hashes or username in self._held.certified)


def _draw(device_ids: list[str]) -> dict[str, Secret]:
    words = {device_id: random_secrets.token_urlsafe(16) for device_id in device_ids}
    return {device_id: Secret(password=word, hashed=hashed(word)) for device_id, word in words.items()}
