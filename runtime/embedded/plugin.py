"""The broker's plugin, compiled where the machine can: a C compiler and Debian's `mosquitto-dev` and `libmosquitto-dev`.

It tells of refusals; without it the broker has to log every message (`log_type debug`), which costs it a third of its work. And it
rewrites the topics of devices that were built for another platform (`devices.dialects`); without it these are refused.
"""

from __future__ import annotations

import hashlib
import mmap
import shutil
import subprocess
from pathlib import Path

import structlog

SOURCES = tuple(Path(__file__).with_name(name) for name in ("tell_refusals.c", "rewrite_topics.c", "broker_plugin.h"))
REWRITES = "2.0."  # 2.1 changed who frees a topic: there nothing is rewritten until somebody has tried it
HEADERS = (Path("/usr/include/mosquitto_plugin.h"), Path("/usr/include/mosquitto.h"))
COMPILE_TIMEOUT_S = 60.0

log = structlog.get_logger()


def can_build() -> bool:
    """A compiler and the broker's headers are here."""
    return all(header.exists() for header in HEADERS) and shutil.which("gcc") is not None


def can_rewrite(version: str) -> bool:
    """Whether a broker of this version lets our plugin rewrite topics."""
    return version.startswith(REWRITES)


def tell_refusals(folder: Path) -> Path | None:
    """The compiled plugin in `folder`, made anew only when its source has changed; None where it cannot be made."""
    if not can_build():
        return None
    digest = hashlib.sha256(b"\0".join(source.read_bytes() for source in SOURCES)).hexdigest()[:16]
    library = folder / f"tell_refusals-{digest}.so"
    if library.exists():
        return library if _may_run(library) else None
    folder.mkdir(parents=True, exist_ok=True)
    made = library.with_suffix(".tmp")
    code = [str(source) for source in SOURCES if source.suffix == ".c"]
    command = ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", str(made), *code]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=COMPILE_TIMEOUT_S)
    except (OSError, subprocess.SubprocessError) as error:
        log.warning("broker_plugin_not_built", why=str(getattr(error, "stderr", "") or error))
        return None
    made.chmod(0o755)
    made.replace(library)
    return library if _may_run(library) else None


def _may_run(library: Path) -> bool:
    """Whether code from that folder may be executed: on a disk mounted `noexec` the broker would not start."""
    try:
        with library.open("rb") as file:
            mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ | mmap.PROT_EXEC, flags=mmap.MAP_PRIVATE).close()
    except PermissionError as error:
        log.warning("broker_plugin_not_used", why=f"{library}: {error}; is its disk mounted noexec?")
        return False
    return True
