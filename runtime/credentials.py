"""Credentials at the broker: issued with the register, written as Mosquitto's files, taken over with SIGHUP.

The database keeps the hashes of devices. Plain passwords exist once, in the answer to whoever registered the device, and in
`secrets/devices.json` of a tenant that is not real, for its simulators. Passwords of our own services stand in `secrets.json`.
"""

from __future__ import annotations

import asyncio
import secrets as random_secrets
from collections.abc import Iterable

from devices.credentials import SALT_BYTES, hash_password, service_username
from runtime.broker import Broker
from runtime.secrets import ServiceSecrets, read_json, write_json
from runtime.settings import Settings
from storage.registry import RegistryStore

CANARY_ID = "canary-1"
RELOAD_EVERY_S = 1.0  # a reload blocks the broker for some milliseconds per 10,000 devices


def hashed(password: str) -> str:
    return hash_password(password, salt=random_secrets.token_bytes(SALT_BYTES))


class BrokerCredentials:
    """The accounts of one tenant at its own broker."""

    def __init__(self, settings: Settings, secrets: ServiceSecrets, register: RegistryStore) -> None:
        self._settings = settings
        self._secrets = secrets
        self._register = register
        self._plain = settings.secrets_dir / "devices.json"
        self._dirty = asyncio.Event()

    async def accounts(self) -> list[tuple[str, str]]:
        """(username, hash) of our services, the canary and every device with a credential."""
        services = [(service_username(name), hashed(word)) for name, word in self._secrets.broker.items()]
        devices = [entry for entry in await self._register.credentials() if entry[0] != CANARY_ID]
        return [*services, (CANARY_ID, hashed(self._secrets.canary)), *devices]

    async def issue(self, device_ids: Iterable[str]) -> dict[str, str]:
        """New passwords by device id, replacing old ones. The broker learns of them within about a second."""
        issued = {device_id: random_secrets.token_urlsafe(16) for device_id in device_ids if device_id != CANARY_ID}
        await self._register.set_credentials({device_id: hashed(word) for device_id, word in issued.items()})
        if not self._settings.real:
            write_json(self._plain, {**(read_json(self._plain) or {}), **issued})
        self._dirty.set()
        return issued

    async def run(self, broker: Broker) -> None:
        """Hand changed accounts to the broker, at most once a second, until cancelled."""
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            broker.write_accounts(await self.accounts())
            await asyncio.sleep(RELOAD_EVERY_S)
