"""Credentials at the broker: issued from the register, written as Mosquitto's files, taken over with SIGHUP.

The data directory keeps only hashes (`secrets/broker_devices.json`). Plain passwords exist once, in the answer to whoever
registered the device, and in `secrets/devices.json` of a tenant that is not real, for its simulators.
"""

from __future__ import annotations

import contextlib
import os
import secrets as random_secrets
import signal
from collections.abc import Callable, Iterable

from devices.credentials import SALT_BYTES, hash_password, password_text, service_username
from runtime.secrets import ServiceSecrets, read_json, write_json, write_private
from runtime.settings import Settings

CANARY_ID = "canary-1"


def _hashed(password: str) -> str:
    return hash_password(password, salt=random_secrets.token_bytes(SALT_BYTES))


class BrokerCredentials:
    """The accounts of one tenant at its own broker."""

    def __init__(self, settings: Settings, secrets: ServiceSecrets) -> None:
        self._settings = settings
        self._secrets = secrets
        self._hashes = settings.secrets_dir / "broker_devices.json"
        self._plain = settings.secrets_dir / "devices.json"

    def accounts(self) -> list[tuple[str, str]]:
        """(username, hash) of our services, the canary and every device with a credential."""
        hashes: dict[str, str] = read_json(self._hashes) or {}
        services = [(service_username(name), _hashed(word)) for name, word in self._secrets.broker.items()]
        return [*services, (CANARY_ID, _hashed(self._secrets.canary)), *sorted(hashes.items())]

    def issue(self, device_ids: Iterable[str]) -> dict[str, str]:
        """New passwords by device id, replacing old ones; the broker learns of them with `publish`."""
        issued = {device_id: random_secrets.token_urlsafe(16) for device_id in device_ids}
        hashes: dict[str, str] = read_json(self._hashes) or {}
        hashes.update({device_id: _hashed(word) for device_id, word in issued.items()})
        write_json(self._hashes, hashes)
        if not self._settings.real:
            write_json(self._plain, {**(read_json(self._plain) or {}), **issued})
        return issued

    def revoke(self, device_id: str) -> None:
        hashes: dict[str, str] = read_json(self._hashes) or {}
        if hashes.pop(device_id, None) is not None:
            write_json(self._hashes, hashes)

    def publish(self, password_file: Callable[[], os.PathLike[str]]) -> None:
        """Write the password file and tell the broker to read it again."""
        from pathlib import Path

        write_private(Path(password_file()), password_text(self.accounts()))
        signal_broker(self._settings, signal.SIGHUP)


def signal_broker(settings: Settings, number: signal.Signals) -> None:
    """Send a signal to the embedded broker, if it runs. SIGHUP: read the credentials again. SIGUSR1: save now."""
    path = settings.run_dir / "broker.pid"
    if path.exists():
        with contextlib.suppress(ProcessLookupError, ValueError):
            os.kill(int(path.read_text()), number)
