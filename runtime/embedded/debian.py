"""Fetch and unpack Debian packages without root: private package lists, `apt-get download`, `dpkg -x`.

Works on Debian and Ubuntu with whatever mirror the machine's apt is configured for; nothing is installed, no lock of the
system's apt is taken.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from runtime.embedded.errors import CommandFailed, EmbeddedError

APT_TIMEOUT_S = 300.0


class PackagesUnavailable(EmbeddedError):
    """The packages could not be fetched; the message says at which step and why."""


def unpack_packages(names: Sequence[str], folder: Path) -> Path:
    """Unpack `names` and those of their dependencies that the machine lacks into `folder/root`; give that path."""
    for tool in ("apt-get", "dpkg", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise PackagesUnavailable(f"no {tool} on this machine: not Debian or Ubuntu")
    try:
        return _unpack(names, folder)
    except (CommandFailed, subprocess.TimeoutExpired, OSError) as error:
        raise PackagesUnavailable(f"could not fetch {' '.join(names)} with apt-get: {error}") from error


def _unpack(names: Sequence[str], folder: Path) -> Path:
    state, archives = folder / "apt", folder / "archives"
    for needed in (state / "lists" / "partial", state / "cache" / "archives" / "partial", archives):
        needed.mkdir(parents=True, exist_ok=True)
    options = _private_apt(state)
    _run(["apt-get", *options, "update"], archives)
    plan = _run(["apt-get", *options, "install", "--print-uris", "--yes", "--no-install-recommends", *names], archives)
    # Lines like: 'http://.../mosquitto_2.0.11-1.2_amd64.deb' mosquitto_2.0.11-1.2_amd64.deb 271234 SHA256:...
    missing = set(re.findall(r"^'[^']*' ([a-z0-9][a-z0-9+.-]+)_\S+\.deb ", plan, flags=re.MULTILINE))
    _run(["apt-get", *options, "download", *sorted(missing | set(names))], archives)
    fresh, root = folder / "root.new", folder / "root"
    if fresh.exists():
        shutil.rmtree(fresh)
    fresh.mkdir()
    for package in sorted(archives.glob("*.deb")):
        _run(["dpkg-deb", "--extract", str(package), str(fresh)], archives)
    if root.exists():
        shutil.rmtree(root)
    fresh.rename(root)
    shutil.rmtree(archives)
    shutil.rmtree(state)
    return root


def _private_apt(state: Path) -> list[str]:
    """The machine's sources and keys, our own lists and cache, its dpkg status to know what is installed."""
    options = {
        "Dir::State::Lists": f"{state}/lists",
        "Dir::Cache": f"{state}/cache",
        "Dir::Cache::archives": f"{state}/cache/archives",
        "Debug::NoLocking": "true",
        "APT::Sandbox::User": "",  # as root apt would drop to _apt, which may not write here
        "APT::Update::Post-Invoke-Success::": "true",
    }
    return [word for name, value in options.items() for word in ("-o", f"{name}={value}")]


def _run(argv: Sequence[str], folder: Path) -> str:
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=APT_TIMEOUT_S, check=False)
    if done.returncode != 0:
        raise CommandFailed(argv, done.returncode, done.stdout + done.stderr)
    return done.stdout
