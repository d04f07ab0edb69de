"""The broker as the roles see it: ours on this machine, ours in a container beside us, or the city's own.

The first two take their accounts from our register and can be asked to save; the city's broker has accounts of its own, and
what it refuses stays in its log.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from devices.credentials import service_username
from ingest.service import BrokerAccess
from runtime.embedded.mosquitto import MosquittoBroker, ask_to_save, write_broker_files
from runtime.secrets import ServiceSecrets
from runtime.settings import Settings

AUTO = "auto"


class Broker:
    """One tenant's broker, from its settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._embedded = settings.broker == AUTO
        self._folder = Path(settings.broker_files) if settings.broker_files and not self._embedded else None
        self._place = MosquittoBroker(
            settings.data_dir, port=settings.broker_port, host=settings.broker_listen, tenant=settings.tenant
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

    def write_accounts(self, accounts: Sequence[tuple[str, str]]) -> None:
        """Hand over the accounts and let the broker read them; nothing for a broker that is not ours."""
        if self._folder is not None:
            write_broker_files(self._folder, self._settings.tenant, accounts)
        elif self._embedded:
            self._place.write_credentials(accounts)
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
