"""`citybrain up`: broker, database and the four roles under one supervisor, from an empty directory to a served page."""

from __future__ import annotations

import asyncio
import contextlib
import secrets as random_secrets
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import httpx
import structlog
from psycopg.conninfo import make_conninfo

from devices.clock import ClockKind
from devices.models import load_models
from runtime import clock as clocks
from runtime.broker import AUTO, Accounts, Broker, tls_files
from runtime.context import clear_ready, wait_ready
from runtime.credentials import BrokerCredentials
from runtime.device_certificates import DeviceAuthority
from runtime.embedded.mosquitto import BrokerKind, MosquittoBroker
from runtime.embedded.postgres import EmbeddedPostgres
from runtime.layers import export_layers
from runtime.secrets import read_json, sealer_of, service_secrets, write_json
from runtime.seed import seed_admin, seed_demo
from runtime.settings import Settings, WrongSetting, save
from runtime.supervisor import ChildSpec, Supervisor
from runtime.tls import Certificates, ensure_certificates
from storage.command import PostgresStore
from storage.command.outbox import OtherKind, keep_kind
from storage.database import Database
from storage.migrate import migrate
from storage.registry import RegistryStore
from stream.reader import LogReader

log = structlog.get_logger()

ROLES = ("ingest", "rules", "store", "command")
READY_TIMEOUT_S = 90.0
OUTGOING_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")
FIRST_PORT, LAST_PORT = 20_000, 32_768
PORT_TRIES = 50
STAGE = {"database": 0, "broker": 1, "ingest": 2, "rules": 3, "store": 3, "command": 4, "simulator": 5}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """What the terminal (or a program, as JSON) is told when the wall can be opened."""

    http: str
    https: str
    wall: str
    data_dir: str
    tenant: str
    broker_host: str
    broker_port: int
    logins: str  # file with the generated logins
    seconds: float


def free_port() -> int:
    """A port that nobody listens on, below those that the kernel hands to outgoing connections: it is kept for the next start,
    and by then any of the others may be somebody's end of a connection."""
    first_outgoing = int(OUTGOING_PORTS.read_text().split()[0]) if OUTGOING_PORTS.exists() else LAST_PORT
    span = range(FIRST_PORT, max(FIRST_PORT + 1, min(first_outgoing, LAST_PORT)))
    for _ in range(PORT_TRIES):
        port = random_secrets.choice(span)
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _kept_port(data_dir: Path, name: str) -> int:
    """A free port, kept for the next start so that devices find the broker again."""
    path = data_dir / "run" / "ports.json"
    ports: dict[str, int] = read_json(path) or {}
    if name not in ports:
        ports[name] = free_port()
        write_json(path, ports)
    return ports[name]


def prepare_directories(settings: Settings) -> None:
    """Make the data directory; ours alone, since it holds keys."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    settings.data_dir.chmod(0o700)
    for directory in (settings.secrets_dir, settings.log_dir, settings.run_dir, settings.data_dir / "logs"):
        directory.mkdir(exist_ok=True)
        directory.chmod(0o700)


def refuse_other_tenant(settings: Settings) -> None:
    """A data directory belongs to one tenant of one kind for life: a demonstration's log, keys and accounts never become a real
    district's. Raises WrongSetting."""
    known: dict[str, Any] = read_json(settings.run_dir / "settings.json") or {}
    for name in ("tenant", "tenant_kind"):
        was, wanted = known.get(name), getattr(settings, name)
        if was not in (None, wanted):
            raise WrongSetting(
                f"{settings.data_dir} belongs to {name} {was!r}, not {wanted!r}: every tenant has a directory of its own"
            )


def _run_id(data_dir: Path) -> str:
    path = data_dir / "run" / "run_id"
    if not path.exists():
        path.write_text(random_secrets.token_hex(8))
    return path.read_text()


def start_clock(settings: Settings, *, held: bool = False) -> None:
    """Write the clock of this run: a scaled or stepped one resumes at the log's last append.

    `held`: a scaled one stands still, until it is started again without. A scenario must not run away from a machine that
    takes its time to fill a database.
    """
    kind = settings.clock
    floor_us = LogReader(settings.log_dir).last_at_us()
    if kind == "real":
        city_us = time.time_ns() // 1000
    elif floor_us:
        city_us = floor_us
    else:
        city_us = int(datetime.fromisoformat(settings.start).timestamp() * 1_000_000)
    state = clocks.new_state(
        cast(ClockKind, kind),
        city_us=city_us,
        rate=(0.0 if held else settings.speed) if kind == "scaled" else 1.0,
        run_id=_run_id(settings.data_dir),
    )
    if kind == "stepped":
        clocks.SteppedClock(settings.run_dir / "clock.step", start_us=city_us)
    clocks.write_state(state, settings.run_dir / "clock.json")


class Up:
    """Builds the children from settings and runs them until a signal."""

    def __init__(self, settings: Settings, *, progress: Callable[[str], None]) -> None:
        refuse_other_tenant(settings)
        prepare_directories(settings)
        self._progress = progress
        self._embedded_database: EmbeddedPostgres | None = None
        self._embedded_broker: MosquittoBroker | None = None
        self._broker_pid = 0
        self.settings = self._resolve(settings)
        self.certificates: Certificates | None = None
        self.secrets = service_secrets(settings.secrets_dir)
        self.supervisor: Supervisor

    def _resolve(self, settings: Settings) -> Settings:
        """Turn every `auto` into what the children need to know."""
        if settings.database == "auto":
            stack = Path(settings.dev_stack) if settings.dev_stack else None
            self._embedded_database = EmbeddedPostgres(settings.data_dir, dev_stack=stack)
        elif settings.database_password:
            url = make_conninfo(settings.database, password=settings.database_password)
            settings = replace(settings, database=url)
        if settings.broker != AUTO:
            settings = replace(settings, **broker_address(settings.broker))
        elif not settings.broker_port:
            settings = replace(settings, broker_port=_kept_port(settings.data_dir, "broker"))
        if not settings.port:
            settings = replace(settings, port=_kept_port(settings.data_dir, "http"))
        if not settings.https_port:
            settings = replace(settings, https_port=_kept_port(settings.data_dir, "https"))
        return settings

    async def run(self, on_ready: Callable[[Ready], None]) -> None:
        """Start, tell `on_ready` once, run until SIGINT or SIGTERM, stop in order."""
        began = time.monotonic()
        settings = self.settings
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        supervisor = self.supervisor = Supervisor(
            settings.run_dir, stop_deadline_s=settings.stop_deadline_s, logs_dir=settings.data_dir / "logs"
        )
        supervisor.lock()
        start_clock(settings, held=True)
        self.certificates = ensure_certificates(settings.data_dir, public_hosts(settings))
        await asyncio.to_thread(self._prepare)
        supervisor.add(self._children())
        stopped = asyncio.create_task(stop.wait(), name="stop-signal")
        work = asyncio.create_task(self._serve(supervisor, on_ready, began), name="serve")
        try:
            await asyncio.wait({stopped, work}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            work.cancel()
            stopped.cancel()
            await asyncio.gather(work, stopped, return_exceptions=True)
            self._progress("stopping")
            await supervisor.stop()
            supervisor.unlock()

    def _prepare(self) -> None:
        settings = self.settings
        if self._embedded_database is not None:
            self._embedded_database.locate()
            self._embedded_database.prepare()
            self.settings = replace(settings, database=self._embedded_database.url())
        if settings.broker == "auto":
            broker = MosquittoBroker(
                settings.data_dir,
                port=settings.broker_port,
                host=settings.broker_listen,
                tenant=settings.tenant,
                tls_port=settings.broker_tls_port,
            )
            if broker.locate().kind is BrokerKind.AMQTT:
                self.settings = replace(self.settings, broker_protocol="3.1.1")
            self._embedded_broker = broker
        save(self.settings, settings.run_dir / "settings.json")

    def _children(self) -> list[ChildSpec]:
        children: list[ChildSpec] = []
        if self._embedded_database is not None:
            database = self._embedded_database
            children.append(
                ChildSpec(
                    name="database",
                    argv=database.argv,
                    stage=STAGE["database"],
                    ready=lambda: asyncio.to_thread(database.wait_ready, 60.0),
                    after=self._after_database,
                    stop_signal=signal.SIGINT,  # PostgreSQL's fast shutdown
                )
            )
        if self._embedded_broker is not None:
            broker = self._embedded_broker
            children.append(
                ChildSpec(
                    name="broker",
                    argv=broker.argv,
                    stage=STAGE["broker"],
                    ready=lambda: asyncio.to_thread(broker.wait_ready, 30.0),
                    on_start=self._broker_started,
                )
            )
        children += [self._role(role) for role in ROLES]
        return children

    def _broker_started(self, pid: int) -> None:
        (self.settings.run_dir / "broker.pid").write_text(str(pid))

    async def _after_database(self) -> None:
        database = self._embedded_database
        if database is not None:
            await asyncio.to_thread(database.ensure_database)
        await self._prepare_database()

    async def _prepare_database(self) -> None:
        """Migrate, and fill a tenant that is not real with its district, before any role starts."""
        async with Database(self.settings.database, self.settings.tenant) as database:
            clock = clocks.open_clock(self.settings.run_dir)
            await migrate(database, at_us=clock.city_us())
            try:
                await keep_kind(database, self.settings.tenant_kind)
            except OtherKind as error:
                raise WrongSetting(str(error)) from error
            if self.settings.simulate:
                self._progress("district")
                await seed_demo(database, self.settings, clock, self.secrets)
            else:
                await seed_admin(database, self.settings, clock, self.secrets)
            await export_layers(database, clock, self.settings.data_dir / "layers")
            register = RegistryStore(database, clock, load_models())
            store = PostgresStore(database, sealer_of(self.secrets))
            if sealed := await store.seal_users():
                log.info("numbers_sealed", users=sealed)
            credentials = BrokerCredentials(self.settings, self.secrets, register, store)
            accounts = await credentials.accounts()
            if self._embedded_broker is not None:
                await asyncio.to_thread(self._prepare_broker, self._embedded_broker, accounts, credentials.authority)
            else:
                await asyncio.to_thread(Broker(self.settings).write_accounts, accounts, credentials.authority)
        start_clock(self.settings)

    def _prepare_broker(self, broker: MosquittoBroker, accounts: Accounts, authority: DeviceAuthority) -> None:
        """What the embedded broker starts with; it does not run yet, so nobody is told."""
        if broker.tls_port:
            broker.write_tls(tls_files(self.settings, accounts, authority))
        broker.prepare(accounts.hashes.items())
        broker.write_accounts(accounts.hashes, denied=accounts.denied)

    def _role(self, role: str) -> ChildSpec:
        settings = self.settings

        def argv() -> list[str]:
            clear_ready(settings.run_dir, role)
            return [sys.executable, "-m", "runtime", "worker", role, "--data-dir", str(settings.data_dir)]

        return ChildSpec(
            name=role,
            argv=argv,
            stage=STAGE[role],
            beside_previous=role in ("store", "command"),  # with `rules`: each only needs the log's owner
            ready=lambda: wait_ready(settings.run_dir, role),
            ready_timeout_s=READY_TIMEOUT_S,
        )

    def _simulator(self) -> ChildSpec:
        settings = self.settings
        argv = [sys.executable, "-m", "runtime", "simulate", settings.simulate, "--data-dir", str(settings.data_dir)]
        return ChildSpec(name="simulator", argv=lambda: argv, stage=STAGE["simulator"], restart=False)

    async def _serve(self, supervisor: Supervisor, on_ready: Callable[[Ready], None], began: float) -> None:
        if self._embedded_database is None:
            await self._prepare_database()
        await supervisor.start(self._progress)
        async with asyncio.TaskGroup() as group:
            group.create_task(supervisor.watch(), name="watch")
            if self.settings.simulate and self.settings.simulator:
                group.create_task(supervisor.start_more(self._simulator()), name="simulator")
            self._progress("canary")
            await self._wait_canary()
            on_ready(self._ready(time.monotonic() - began))

    async def _wait_canary(self) -> None:
        """Wait until /readyz is green: the canary has flown once from broker to screen."""
        end = time.monotonic() + READY_TIMEOUT_S
        async with httpx.AsyncClient(timeout=2.0) as client:
            while time.monotonic() < end:
                try:
                    answer = await client.get(f"http://127.0.0.1:{self.settings.port}/readyz")
                    if answer.status_code == 200:
                        return
                except httpx.HTTPError:
                    pass
                await asyncio.sleep(0.25)
        log.warning("not_ready_in_time", seconds=READY_TIMEOUT_S)

    def _ready(self, seconds: float) -> Ready:
        settings = self.settings
        http = f"http://127.0.0.1:{settings.port}"
        return Ready(
            http=http,
            https=f"https://{public_hosts(settings)[0]}:{settings.https_port}",
            wall=f"{http}/wall",
            data_dir=str(settings.data_dir),
            tenant=settings.tenant,
            broker_host="127.0.0.1",
            broker_port=settings.broker_port,
            logins=str(settings.secrets_dir / "logins.json"),
            seconds=round(seconds, 1),
        )


def broker_address(url: str) -> dict[str, Any]:
    """Host and port of `mqtt://host[:port]`. Raises WrongSetting."""
    parts = urlsplit(url)
    if parts.scheme != "mqtt" or not parts.hostname:
        raise WrongSetting(f"broker={url!r}: expected auto or mqtt://host:port")
    return {"broker_host": parts.hostname, "broker_port": parts.port or 1883}


def public_hosts(settings: Settings) -> list[str]:
    named = [h.strip() for h in settings.public_hosts.split(",") if h.strip()]
    return [*named, "localhost", "127.0.0.1"] if named else ["127.0.0.1", "localhost"]
