"""Run a server without privileges, whoever we are.

PostgreSQL refuses to run as root and a broker should not. As an ordinary user nothing is needed. As root the process is put in
a user namespace in which it is `nobody` without any capability (no user is added to the machine, and its files stay root's);
where the kernel forbids namespaces, it really runs as `nobody`, who is given the data directory.

No step forks, so the pid that the supervisor started is the server's own and its signals arrive.
"""

from __future__ import annotations

import functools
import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from runtime.embedded.errors import CommandFailed, EmbeddedError

# `nobody` on Debian and everywhere else that matters. It must be a user that /etc/passwd knows: initdb looks itself up there,
# and a bare machine has no user 1000.
NOBODY = 65534
PROBE_TIMEOUT_S = 10.0
COMMAND_TIMEOUT_S = 180.0

# $1 data, $2 run directory, $3 image, $4.. the command. The mounts live and die with the process's own mount namespace.
_ENTER_IMAGE = (
    'set -e; data=$1; run=$2; image=$3; shift 3; mount --rbind "$data" "$image/citybrain/data"; '
    'mount --rbind "$run" "$image/citybrain/run"; mount --rbind /dev "$image/dev"; exec '
)
_AS_USER = 'unshare --user --map-user={id} --map-group={id} --root="$image" --wd=/ -- "$@"'
_AS_ID = 'chroot --userspec={id}:{id} --groups= "$image" "$@"'


class Confinement(StrEnum):
    """How the server loses its privileges."""

    NONE = "none"  # we are an ordinary user already
    NAMESPACE = "namespace"
    SETPRIV = "setpriv"


class NotReachable(EmbeddedError):
    """A directory above the data directory keeps the unprivileged id out."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is closed to other users and user namespaces are forbidden; put the data directory elsewhere"
        )
        self.path = path


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A root file system with the server's programs (scripts/dev-stack); data and sockets are mounted into it."""

    root: Path
    data: Path
    run: Path


@functools.cache
def namespaces_work() -> bool:
    """Whether this process may start a child in a user namespace of its own."""
    if shutil.which("unshare") is None:
        return False
    argv = ["unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}", "--", "true"]
    return subprocess.run(argv, capture_output=True, timeout=PROBE_TIMEOUT_S, check=False).returncode == 0


@functools.cache
def confinement() -> Confinement:
    """The way that is open to this process."""
    if os.geteuid() != 0:
        # A container may give us an id that /etc/passwd does not know, with which initdb refuses to run.
        return Confinement.NONE if _known(os.geteuid()) or not namespaces_work() else Confinement.NAMESPACE
    return Confinement.NAMESPACE if namespaces_work() else Confinement.SETPRIV


def _known(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def can_enter_image() -> bool:
    """Whether a server inside an `Image` can be started: root always can, a user needs namespaces."""
    return os.geteuid() == 0 or namespaces_work()


def command(argv: Sequence[str], *, image: Image | None = None, end_with_parent: str | None = None) -> list[str]:
    """`argv` wrapped so that it runs unprivileged; `end_with_parent` names the signal it gets when its parent dies.

    The signal is armed last, inside: the kernel forgets it whenever a process changes its credentials.
    """
    inner = [*(["setpriv", "--pdeathsig", end_with_parent, "--"] if end_with_parent else []), *argv]
    how = confinement()
    if image is not None:
        return _image_command(inner, image, how)
    if how is Confinement.NAMESPACE:
        return ["unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}", "--", *inner]
    if how is Confinement.SETPRIV:
        return [
            "setpriv",
            f"--reuid={NOBODY}",
            f"--regid={NOBODY}",
            "--clear-groups",
            "--inh-caps=-all",
            "--",
            *inner,
        ]
    return inner


def _image_command(inner: Sequence[str], image: Image, how: Confinement) -> list[str]:
    places = ["sh", str(image.data), str(image.run), str(image.root)]
    if how is Confinement.SETPRIV:
        script = _ENTER_IMAGE + _AS_ID.format(id=NOBODY)
        return ["unshare", "--mount", "--propagation", "private", "--", "sh", "-c", script, *places, *inner]
    script = _ENTER_IMAGE + _AS_USER.format(id=NOBODY)
    return [
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "--propagation",
        "private",
        "--",
        "sh",
        "-c",
        script,
        *places,
        *inner,
    ]


def give(path: Path, *, inside: Path) -> None:
    """Make `path` and what is in it belong to the id under which the server will run (only where ids differ).

    Directories of ours on the way, from the data directory `inside` down, become passable for that id's group alone, not for
    everybody. Raises `NotReachable` when a directory above them, which is not ours to change, keeps the id out.
    """
    if confinement() is not Confinement.SETPRIV:
        return
    way = [parent for parent in path.parents if parent == inside or parent.is_relative_to(inside)]
    for directory in way:
        os.chown(directory, -1, NOBODY)
        directory.chmod(directory.stat().st_mode | 0o010)
    for entry in (path, *path.rglob("*")):
        os.chown(entry, NOBODY, NOBODY, follow_symlinks=False)
    closed = first_closed(path)
    if closed is not None:
        raise NotReachable(closed)


def first_closed(path: Path) -> Path | None:
    """The topmost directory above `path` through which the server's id cannot pass, if it is another id than ours."""
    if confinement() is not Confinement.SETPRIV:
        return None
    return next((parent for parent in reversed(path.resolve().parents) if not _passable(parent)), None)


def _passable(directory: Path) -> bool:
    state = directory.stat()
    if state.st_uid == NOBODY:
        return bool(state.st_mode & 0o100)
    if state.st_gid == NOBODY:
        return bool(state.st_mode & 0o010)
    return bool(state.st_mode & 0o001)


def run(argv: Sequence[str], *, image: Image | None = None, env: dict[str, str] | None = None) -> str:
    """Run a short program unprivileged and give its output; raises `CommandFailed`."""
    done = subprocess.run(
        command(argv, image=image),
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_S,
        check=False,
        env={**os.environ, **(env or {})},
        cwd="/",
    )
    if done.returncode != 0:
        raise CommandFailed(argv, done.returncode, done.stdout + done.stderr)
    return done.stdout
