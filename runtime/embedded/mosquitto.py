"""A private Mosquitto: found on the machine, else unpacked from Debian's packages without root, else `amqtt` with a warning.

One password file and one pattern ACL are written from the register; the broker reads them again on SIGHUP, at most once a
second. Settings: runtime.embedded.settings.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from devices.credentials import SERVICE_TOPICS, account_lines, acl_text, password_text
from devices.dialects import rewrite_text
from runtime.embedded import plugin, unprivileged
from runtime.embedded.debian import PackagesUnavailable, unpack_packages
from runtime.embedded.errors import NoServerFound, NotReady
from runtime.embedded.settings import TlsFile, mosquitto_conf, tls_listener

REPOSITORY = Path(__file__).resolve().parents[2]
PLACES = ("/usr/sbin", "/usr/local/sbin")
OLDEST = (2, 0)
RELOAD_EVERY_S = 1.0
POLL_S = 0.05
CONNECT_TIMEOUT_S = 2.0
VERSION_TIMEOUT_S = 10.0


class BrokerKind(StrEnum):
    """Which program serves; only `amqtt` gives no delivery guarantee (不保证送达)."""

    FOUND = "found"
    UNPACKED = "unpacked"
    AMQTT = "amqtt"


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerProgram:
    """How the broker is started; `library_path` is for a Mosquitto that is not installed but only unpacked."""

    kind: BrokerKind
    executable: Path
    version: str
    library_path: Path | None = None

    @property
    def keeps_promises(self) -> bool:
        """Whether the no-loss claim may be made with this broker."""
        return self.kind is not BrokerKind.AMQTT


class MosquittoBroker:
    """One broker in `data_dir/mosquitto`, for one tenant, on one port. All methods block; call them from a thread."""

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int,
        host: str = "127.0.0.1",
        tenant: str,
        tell_refusals: bool = True,
        tls_port: int = 0,
        build_plugin: bool = True,
    ) -> None:
        """`tell_refusals`: have the log tell of refused topics, so that ingest can count them: by our plugin where it can be
        built (and `build_plugin` holds), else by logging each message; ingest keeps that log small. `tls_port`: a second listener for devices with a certificate; give it its files (`write_tls`) before it starts."""
        self.tenant_dir = data_dir.resolve()
        self.data_dir = self.tenant_dir / "mosquitto"
        self.port = port
        self.host = host
        self.tenant = tenant
        self.tell_refusals = tell_refusals
        self.tls_port = tls_port
        self.build_plugin = build_plugin
        self.password_file = self.data_dir / "password_file"
        self.acl_file = self.data_dir / "acl_file"
        self.rules_file = self.data_dir / "rewrite_rules"
        self.conf_file = self.data_dir / "mosquitto.conf"
        self.log_file = self.data_dir / "mosquitto.log"
        self._program: BrokerProgram | None = None
        self._reloaded_at = 0.0

    def locate(
        self, *, search_installed: bool = True, download: bool = True, last_resort: bool = True
    ) -> BrokerProgram:
        """The program to use; the arguments switch off steps of the search. Raises `NoServerFound`."""
        if self._program is None:
            self._program = self._find(search_installed, download, last_resort)
        return self._program

    def _find(self, search_installed: bool, download: bool, last_resort: bool) -> BrokerProgram:
        tried: list[str] = []
        program = installed_mosquitto(tried) if search_installed else None
        program = program or self._unpacked(tried, download=download)
        if program is None and last_resort:
            program = _amqtt(tried)
        if program is None:
            raise NoServerFound(f"Mosquitto >= {OLDEST[0]}.{OLDEST[1]}", tried)
        return program

    def _unpacked(self, tried: list[str], *, download: bool) -> BrokerProgram | None:
        """From an earlier run, or fetched now into the data directory."""
        root = self.data_dir / "packages" / "root"
        executable = root / "usr" / "sbin" / "mosquitto"
        if not executable.exists():
            if not download:
                tried.append(f"{executable}: not there")
                return None
            try:
                unpack_packages(["mosquitto"], self.data_dir / "packages")
            except PackagesUnavailable as error:
                tried.append(str(error))
                return None
        libraries = next(iter(sorted(root.glob("usr/lib/*-linux-gnu*"))), root / "usr" / "lib")
        version = _version(executable, tried, library_path=libraries)
        if version is None:
            return None
        return BrokerProgram(kind=BrokerKind.UNPACKED, executable=executable, version=version, library_path=libraries)

    def prepare(self, accounts: Iterable[tuple[str, str]], *, services: Iterable[str] = tuple(SERVICE_TOPICS)) -> None:
        """Write configuration and credentials; `accounts` are (username, `$7$` hash), `services` keys of SERVICE_TOPICS."""
        self.locate()
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self.data_dir.chmod(0o700)
        store = self.data_dir / "store"
        store.mkdir(exist_ok=True, mode=0o700)
        library = self._plugin()
        rewrites = library is not None and plugin.can_rewrite(self.locate().version)
        if rewrites:
            _replace(self.rules_file, rewrite_text())
        else:
            self.rules_file.unlink(missing_ok=True)
        self.write_credentials(accounts, services=services)
        places = {
            "listener": f"{self.port} {self.host}",
            "persistence_location": f"{store}/",
            "password_file": str(self.password_file),
            "acl_file": str(self.acl_file),
            "log_dest": f"file {self.log_file}",
        }
        conf = mosquitto_conf(
            places,
            tell_refusals=self.tell_refusals,
            plugin=library,
            tenant=self.tenant,
            rewrite=self.rules_file if rewrites else None,
        )
        if self.tls_port:
            conf += tls_listener(f"{self.tls_port} {self.host}", str(self.data_dir))
        _replace(self.conf_file, conf)
        unprivileged.give(self.data_dir, inside=self.tenant_dir)

    def _plugin(self) -> Path | None:
        """What tells of refusals instead of the debug log, and rewrites topics; `amqtt` loads none."""
        if not (self.tell_refusals and self.build_plugin and self.locate().keeps_promises):
            return None
        return plugin.tell_refusals(self.data_dir / "plugins")

    @property
    def speaks_dialects(self) -> bool:
        """Whether the topics of other platforms are rewritten, since the last `prepare` (which another process may have done);
        where they are not they must not be open either: nobody would read what is sent there."""
        return self.rules_file.exists()

    def write_credentials(
        self, accounts: Iterable[tuple[str, str]], *, services: Iterable[str] = tuple(SERVICE_TOPICS)
    ) -> None:
        """Replace password and ACL file; the running broker takes them over with `reload`."""
        write_broker_files(self.data_dir, self.tenant, accounts, services=services, dialects=self.speaks_dialects)
        unprivileged.give(self.password_file, inside=self.tenant_dir)
        unprivileged.give(self.acl_file, inside=self.tenant_dir)

    def write_accounts(self, hashes: Mapping[str, str], *, denied: Iterable[str] = ()) -> None:
        """As `write_credentials`, for accounts from our own register: nothing is sorted or checked again."""
        write_account_files(self.data_dir, self.tenant, hashes, denied=denied, dialects=self.speaks_dialects)
        unprivileged.give(self.password_file, inside=self.tenant_dir)
        unprivileged.give(self.acl_file, inside=self.tenant_dir)

    def write_tls(self, files: Mapping[TlsFile, bytes]) -> None:
        """What the listener for certificates reads, at its start and on `reload`."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        write_tls_files(self.data_dir, files)
        for name in files:
            unprivileged.give(self.data_dir / name, inside=self.tenant_dir)

    def argv(self, *, end_with_parent: bool = True) -> list[str]:
        """The broker in the foreground; SIGTERM stops it and saves its store. Start it from the main thread."""
        program = self.locate()
        if program.kind is BrokerKind.AMQTT:
            module = ["-m", "runtime.embedded.amqtt_broker", str(self.conf_file)]
            inner = ["env", f"PYTHONPATH={REPOSITORY}", str(program.executable), *module]
        else:
            inner = [str(program.executable), "-c", str(self.conf_file)]
        if program.library_path is not None:
            inner = ["env", f"LD_LIBRARY_PATH={program.library_path}", *inner]
        return unprivileged.command(inner, end_with_parent="TERM" if end_with_parent else None)

    def wait_ready(self, timeout_s: float) -> None:
        """Until the port answers a connection; raises `NotReady`."""
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::", ""} else self.host
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                socket.create_connection((host, self.port), timeout=CONNECT_TIMEOUT_S).close()
            except OSError as error:
                if time.monotonic() > deadline:
                    raise NotReady(f"the broker on port {self.port}", timeout_s, str(error)) from error
                time.sleep(POLL_S)
            else:
                return

    def reload(self, pid: int) -> bool:
        """Have the credentials read again (SIGHUP). False: under a second since the last time, so call again later."""
        now = time.monotonic()
        if now - self._reloaded_at < RELOAD_EVERY_S:
            return False
        self._reloaded_at = now
        os.kill(pid, signal.SIGHUP)
        return True

    def save_now(self, pid: int) -> None:
        """Have sessions and queues written to disk now (SIGUSR1): after a new session, before the next `kill -9`."""
        os.kill(pid, signal.SIGUSR1)


def write_broker_files(
    folder: Path,
    tenant: str,
    accounts: Iterable[tuple[str, str]],
    *,
    services: Iterable[str] = tuple(SERVICE_TOPICS),
    dialects: bool = False,
) -> None:
    """Write `password_file` and `acl_file` into `folder`: ours, or the volume that a broker's container shares with us.

    There `deploy/broker-entrypoint.sh` takes the change over. `dialects`: the broker rewrites other platforms' topics.
    """
    _replace(folder / "password_file", password_text(accounts))
    _replace(folder / "acl_file", acl_text(tenant, services, dialects=dialects))


def write_account_files(
    folder: Path,
    tenant: str,
    hashes: Mapping[str, str],
    *,
    denied: Iterable[str] = (),
    services: Iterable[str] = tuple(SERVICE_TOPICS),
    dialects: bool = False,
) -> None:
    """`write_broker_files` for 100,000 accounts. The ACL first: a device that lost its account must not find its topics open."""
    acl = acl_text(tenant, services, denied, dialects=dialects)
    path = folder / "acl_file"
    if not path.exists() or path.read_text(encoding="utf-8") != acl:
        _replace(path, acl)
    _replace(folder / "password_file", "".join(account_lines(hashes)))


def write_tls_files(folder: Path, files: Mapping[TlsFile, bytes]) -> None:
    """Certificates, key and revocation list of the listener for certificates; what is there already stays."""
    for name, content in files.items():
        path = folder / name
        if not path.exists() or path.read_bytes() != content:
            _replace(path, content.decode("ascii"))


def ask_to_save(folder: Path) -> None:
    """`save_now` for a broker in a container: its entry point looks for this file every second."""
    (folder / "save-now").touch()


def installed_mosquitto(tried: list[str]) -> BrokerProgram | None:
    """Mosquitto on PATH or in the places that an ordinary user's PATH leaves out."""
    found = shutil.which("mosquitto", path=os.pathsep.join([os.environ.get("PATH", ""), *PLACES]))
    if found is None:
        tried.append("no mosquitto on PATH, " + ", ".join(PLACES))
        return None
    version = _version(Path(found), tried)
    return None if version is None else BrokerProgram(kind=BrokerKind.FOUND, executable=Path(found), version=version)


def _version(executable: Path, tried: list[str], *, library_path: Path | None = None) -> str | None:
    env = dict(os.environ)
    if library_path is not None:
        env["LD_LIBRARY_PATH"] = str(library_path)
    argv = [str(executable), "-h"]  # prints the version and ends with status 3
    done = subprocess.run(argv, capture_output=True, text=True, timeout=VERSION_TIMEOUT_S, check=False, env=env)
    found = re.search(r"version (\d+)\.(\d+)\S*", done.stdout)
    if found is None:
        tried.append(f"{executable}: does not start: {(done.stderr or done.stdout).strip()[:300]}")
        return None
    if (int(found.group(1)), int(found.group(2))) < OLDEST:
        tried.append(f"{executable}: {found.group()}, needs {OLDEST[0]}.{OLDEST[1]}")
        return None
    return found.group().removeprefix("version ")


def _amqtt(tried: list[str]) -> BrokerProgram | None:
    """From an environment of its own (scripts/bootstrap.py makes it): amqtt wants an older `websockets` than we do."""
    python = REPOSITORY / ".venv-amqtt" / "bin" / "python"
    if not python.exists():
        tried.append(f"amqtt: no {python}; python3 scripts/bootstrap.py --env amqtt makes it")
        return None
    return BrokerProgram(kind=BrokerKind.AMQTT, executable=python, version="amqtt")


def _replace(path: Path, text: str) -> None:
    """Write beside, then rename: the broker never reads half a file. Mode 0600."""
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
    fresh.replace(path)
