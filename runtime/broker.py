"""The broker as the roles see it: ours on this machine, ours in a container beside us, or the city's own.

The first two take their accounts from our register and can be asked to save; the city's broker has accounts of its own, and
what it refuses stays in its log.
"""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path

from command_center.device_access import DeviceCertificate
from devices.credentials import service_username
from ingest.service import BrokerAccess
from runtime.device_certificates import DeviceAuthority
from runtime.embedded.mosquitto import MosquittoBroker, ask_to_save, write_account_files, write_tls_files
from runtime.embedded.settings import TlsFile
from runtime.secrets import ServiceSecrets
from runtime.settings import Settings

AUTO = "auto"


@dataclass(slots=True)
class Accounts:
    """Who may come in: hashes by username; devices that a certificate may still hold a connection for, but that may do nothing
    there; and the certificates that are to be refused."""

    hashes: dict[str, str] = field(default_factory=dict)
    denied: set[str] = field(default_factory=set)
    revoked: dict[str, DeviceCertificate] = field(default_factory=dict)  # by serial
    certified: set[str] = field(default_factory=set)  # devices that may come in by certificate


class Broker:
    """One tenant's broker, from its settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._embedded = settings.broker == AUTO
        self._folder = Path(settings.broker_files) if settings.broker_files and not self._embedded else None
        self._place = MosquittoBroker(
            settings.data_dir,
            port=settings.broker_port,
            host=settings.broker_listen,
            tenant=settings.tenant,
            tls_port=settings.broker_tls_port,
        )

    @property
    def ours(self) -> bool:
        """Whether its accounts come from our register."""
        return self._embedded or self._folder is not None

    @property
    def log_file(self) -> Path | None:
        if self._embedded:
            return self._place.log_file
        return Path(self._settings.broker_log) if self._settings.broker_log else None

    def access(self, secrets: ServiceSecrets, *, service: str = "ingest") -> BrokerAccess:
        """How one of our services connects."""
        settings = self._settings
        return BrokerAccess(
            host=settings.broker_host,
            port=settings.broker_port,
            username=service_username(service) if self.ours else settings.broker_username,
            password=secrets.broker[service] if self.ours else settings.broker_password,
            protocol="3.1.1" if settings.broker_protocol == "3.1.1" else "5",
            log_file=self.log_file,
        )

    def write_accounts(self, accounts: Accounts, authority: DeviceAuthority) -> None:
        """Hand over the accounts and let the broker read them; nothing for a broker that is not ours. Blocks."""
        if self._folder is not None:
            write_tls_files(self._folder, tls_files(self._settings, accounts, authority))
            write_account_files(self._folder, self._settings.tenant, accounts.hashes, denied=accounts.denied)
        elif self._embedded:
            if self._settings.broker_tls_port:
                self._place.write_tls(tls_files(self._settings, accounts, authority))
            self._place.write_accounts(accounts.hashes, denied=accounts.denied)
            self._signal(signal.SIGHUP)

    def save_now(self) -> None:
        """Have sessions and queues on disk: without it, `kill -9` of the broker loses the queue of a session new to it."""
        if self._folder is not None:
            ask_to_save(self._folder)
        elif self._embedded:
            self._signal(signal.SIGUSR1)

    def _signal(self, number: signal.Signals) -> None:
        path = self._settings.run_dir / "broker.pid"
        if path.exists():
            with contextlib.suppress(ProcessLookupError, ValueError):
                os.kill(int(path.read_text()), number)


def tls_files(settings: Settings, accounts: Accounts, authority: DeviceAuthority) -> dict[TlsFile, bytes]:
    """What the broker's listener for certificates reads: our authority of devices, the revoked, and the broker's own
    certificate, which is the one of our HTTPS door."""
    folder = settings.data_dir / "tls"
    revoked = authority.revocation_list(accounts.revoked.values())
    return {
        TlsFile.DEVICES: authority.ca_pem.read_bytes(),
        TlsFile.REVOKED: revoked,
        TlsFile.CERTIFICATE: (folder / "server.pem").read_bytes(),
        TlsFile.KEY: (folder / "server.key").read_bytes(),
    }
