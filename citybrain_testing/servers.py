"""Real servers for tests: a private PostgreSQL on either tier and a private Mosquitto, each started and stopped by pid.

    with private_postgres() as database:
        url = database.fresh_database()
    with private_mosquitto(accounts={"g1": "secret"}) as broker:
        broker.host, broker.port, broker.password("service.ingest")

Starting PostgreSQL takes under two seconds: keep one for a test session and take a fresh database for each test.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from devices.credentials import SALT_BYTES, SERVICE_TOPICS, hash_password, service_username
from runtime.embedded.mosquitto import MosquittoBroker
from runtime.embedded.postgres import EmbeddedPostgres

Tier = Literal["plain", "timescale"]
READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0
REPOSITORY = Path(__file__).resolve().parents[1]


class StackMissing(Exception):
    """The TimescaleDB tier was asked for, but neither the machine nor scripts/dev-stack offers one."""


def dev_stack() -> Path:
    """The folder of scripts/dev-stack, whether it is filled or not."""
    return Path(os.environ.get("CITYBRAIN_DEV_STACK") or REPOSITORY / "var" / "dev-stack")


def timescale_available() -> bool:
    """Whether `private_postgres(tier="timescale")` can work here."""
    with tempfile.TemporaryDirectory(prefix="cb-") as folder:
        return _embedded(Path(folder), "timescale").locate().timescale


def _embedded(folder: Path, tier: Tier) -> EmbeddedPostgres:
    if tier == "plain":
        return EmbeddedPostgres(folder, prefer_timescale=False)
    return EmbeddedPostgres(folder, dev_stack=dev_stack())


class _Process:
    """A child of the test's own process, its output in a file, stopped by pid."""

    def __init__(self, argv: list[str], output: Path, stop_signal: signal.Signals) -> None:
        self.output = output
        self._argv = argv
        self._stop_signal = stop_signal
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._child is not None, "not started"
        return self._child.pid

    def start(self) -> None:
        with self.output.open("ab") as stream:
            self._child = subprocess.Popen(self._argv, stdout=stream, stderr=stream, stdin=subprocess.DEVNULL, cwd="/")

    def stop(self) -> None:
        self.end(self._stop_signal)

    def kill(self) -> None:
        """`kill -9`."""
        self.end(signal.SIGKILL)

    def end(self, number: signal.Signals) -> None:
        if self._child is None:
            return
        if self._child.poll() is None:
            self._child.send_signal(number)
            try:
                self._child.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait(STOP_TIMEOUT_S)
        self._child = None


class PrivatePostgres:
    """A running PostgreSQL of the test's own."""

    def __init__(self, folder: Path, tier: Tier) -> None:
        self.embedded = _embedded(folder, tier)
        install = self.embedded.locate()
        if tier == "timescale" and not install.timescale:
            raise StackMissing("no TimescaleDB here; run: scripts/dev-stack install")
        self.tier = tier
        self.embedded.prepare()
        self._process = _Process(self.embedded.argv(), folder / "postgres.out", signal.SIGINT)
        self._databases = 0

    @property
    def url(self) -> str:
        """Conninfo of the owner (a superuser), database `citybrain`."""
        return self.embedded.url()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def output(self) -> str:
        """What the server has printed so far."""
        return self._process.output.read_text(encoding="utf-8", errors="replace")

    def fresh_database(self) -> str:
        """Conninfo of a new empty database."""
        self._databases += 1
        name = f"test_{self._databases}_{secrets.token_hex(4)}"
        self.embedded.ensure_database(name)
        return self.embedded.url(name)

    def start(self) -> None:
        self._process.start()
        self.embedded.wait_ready(READY_TIMEOUT_S)
        self.embedded.ensure_database()

    def stop(self) -> None:
        self._process.stop()

    def kill(self) -> None:
        """`kill -9` of the server; `start` brings it back with its data."""
        self._process.kill()


class PrivateMosquitto:
    """A running Mosquitto of the test's own, with a password for each account and for each of our services."""

    def __init__(self, folder: Path, *, tenant: str, accounts: Mapping[str, str], port: int) -> None:
        self.broker = MosquittoBroker(folder, port=port, tenant=tenant)
        self.broker.locate(download=False, last_resort=False)
        self.passwords = {service_username(name): secrets.token_urlsafe(12) for name in SERVICE_TOPICS} | dict(accounts)
        self._write()
        self._process = _Process(self.broker.argv(), folder / "mosquitto.out", signal.SIGTERM)

    def _write(self) -> None:
        self.broker.prepare(
            (name, hash_password(password, salt=secrets.token_bytes(SALT_BYTES)))
            for name, password in self.passwords.items()
        )

    @property
    def host(self) -> str:
        return self.broker.host

    @property
    def port(self) -> int:
        return self.broker.port

    @property
    def tenant(self) -> str:
        return self.broker.tenant

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log(self) -> str:
        """The broker's own log so far."""
        path = self.broker.log_file
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def password(self, username: str) -> str:
        return self.passwords[username]

    def add_accounts(self, accounts: Mapping[str, str]) -> None:
        """Register more devices while the broker runs (SIGHUP)."""
        self.passwords |= accounts
        self._write()
        os.kill(self.pid, signal.SIGHUP)

    def save_now(self) -> None:
        self.broker.save_now(self.pid)

    def start(self) -> None:
        self._process.start()
        self.broker.wait_ready(READY_TIMEOUT_S)

    def stop(self) -> None:
        self._process.stop()

    def kill(self) -> None:
        """`kill -9` of the broker; `start` brings it back with what it had saved."""
        self._process.kill()


def free_port() -> int:
    """A TCP port of the loopback interface that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def private_postgres(*, tier: Tier = "plain", data_dir: Path | None = None) -> Iterator[PrivatePostgres]:
    """A PostgreSQL that lives as long as the block. Call it from the main thread: it ends with the thread that started it."""
    with _folder(data_dir) as folder:
        server = PrivatePostgres(folder, tier)
        try:
            server.start()
            yield server
        finally:
            server.stop()


@contextlib.contextmanager
def private_mosquitto(
    *,
    tenant: str = "demo",
    accounts: Mapping[str, str] | None = None,
    port: int | None = None,
    data_dir: Path | None = None,
) -> Iterator[PrivateMosquitto]:
    """A Mosquitto that lives as long as the block; `accounts` are device ids and passwords."""
    with _folder(data_dir) as folder:
        server = PrivateMosquitto(folder, tenant=tenant, accounts=accounts or {}, port=port or free_port())
        try:
            server.start()
            yield server
        finally:
            server.stop()


@contextlib.contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given
        return
    folder = Path(tempfile.mkdtemp(prefix="cb-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
