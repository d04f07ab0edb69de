#!/usr/bin/env python3
"""`make test`: everything on this machine that can be tested, and an account of what was left out.

As root the Debian packages that tests need are installed and the TimescaleDB tier is made (scripts/dev-stack). As an ordinary
user what is missing is listed and the run still passes; with CI=1 (or true) anything left out is a failure.

    test.py [--check] [pytest arguments]
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import bootstrap

REPOSITORY = bootstrap.REPOSITORY
BIN = REPOSITORY / ".venv" / "bin"
SBIN = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])


@dataclass(frozen=True)
class Need:
    """Something outside the project that tests with the pytest marker `marker` cannot do without."""

    marker: str
    packages: tuple[str, ...] = ()  # Debian's
    programs: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    root: bool = False

    def missing(self) -> list[str]:
        if self.root and os.geteuid() != 0:
            return ["root"]
        programs = [name for name in self.programs if shutil.which(name, path=SBIN) is None]
        return programs + [name for name in self.files if not Path(name).exists()]


STACK = (
    Path(os.environ.get("CITYBRAIN_DEV_STACK") or REPOSITORY / "var" / "dev-stack") / "root" / "citybrain" / "complete"
)
NEEDS = (
    Need(
        "broker",
        ("mosquitto", "mosquitto-clients"),
        programs=("mosquitto", "mosquitto_pub", "mosquitto_sub", "mosquitto_passwd"),
    ),
    Need(
        "browser",
        ("chromium", "fonts-wqy-microhei"),
        programs=("chromium",),
        files=("/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",),
    ),
    Need(
        "compiler",
        ("gcc", "libc6-dev", "libmosquitto-dev", "libpaho-mqtt-dev", "mosquitto-dev"),
        programs=("gcc",),
        files=(
            "/usr/include/stdio.h",
            "/usr/include/mosquitto.h",
            "/usr/include/mosquitto_plugin.h",
            "/usr/include/MQTTClient.h",
        ),
    ),
    Need("compose", ("docker-compose",), programs=("docker-compose",)),
    Need("root", root=True),
    Need("timescale", ("debootstrap",), files=(str(STACK),)),
)


def strict() -> bool:
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def main() -> None:
    arguments = sys.argv[1:]
    command = [sys.executable, str(REPOSITORY / "scripts" / "bootstrap.py"), "--test"]
    subprocess.run(command, check=True)
    if "--check" in arguments:
        sys.exit(1 if check() else 0)
    side = [sys.executable, str(REPOSITORY / "scripts" / "bootstrap.py"), "--env", "thingsboard"]
    subprocess.run(side, check=True)
    if os.geteuid() == 0:
        install_packages([name for need in NEEDS if need.missing() for name in need.packages])
        subprocess.run([sys.executable, str(REPOSITORY / "scripts" / "dev-stack"), "install"], check=False)
    left_out = {need: missing for need in NEEDS if (missing := need.missing())}
    failed = check()
    failed += run_pytest(arguments, left_out)
    for need, missing in left_out.items():
        bootstrap.say(f"left out: tests marked '{need.marker}' (missing {', '.join(missing)}; run make test as root)")
    if left_out and strict():
        failed.append("something was left out, and CI is set")
    for what in failed:
        bootstrap.say(f"FAILED: {what}")
    sys.exit(1 if failed else 0)


def check() -> list[str]:
    """Linters and types; names of those that failed."""
    checks = {
        "ruff check": [str(BIN / "ruff"), "check", "."],
        "ruff format": [str(BIN / "ruff"), "format", "--check", "."],
        "mypy": [str(BIN / "mypy")],
    }
    failed = []
    for name, argv in checks.items():
        bootstrap.say(name)
        if subprocess.run(argv, cwd=REPOSITORY, check=False).returncode != 0:
            failed.append(name)
    web = REPOSITORY / "web"
    if (web / "package.json").exists():
        npm = bootstrap.node_command()
        bootstrap.web_modules(npm)
        for name, script in {"tsc": "check", "web tests": "test"}.items():
            bootstrap.say(name)
            argv = [*npm, "run", "--silent", script]
            if subprocess.run(argv, cwd=web, env=bootstrap.npm_environment(npm), check=False).returncode != 0:
                failed.append(name)
    return failed


def run_pytest(arguments: list[str], left_out: dict[Need, list[str]]) -> list[str]:
    """All tests but those that need what is missing. Artefacts (screenshots) go to test-artifacts/."""
    markers = " and ".join(f"not {need.marker}" for need in left_out)
    argv = [str(BIN / "python"), "-m", "pytest", *(["-m", markers] if markers else []), *arguments]
    bootstrap.say("pytest " + " ".join(argv[3:]))
    env = {**os.environ, "PATH": SBIN}
    return [] if subprocess.run(argv, cwd=REPOSITORY, env=env, check=False).returncode == 0 else ["pytest"]


def install_packages(names: list[str]) -> None:
    """With apt-get, without any service being started on the machine."""
    if not names:
        return
    if shutil.which("apt-get") is None:
        bootstrap.say(f"no apt-get here: not installed: {' '.join(names)}")
        return
    bootstrap.say(f"apt-get install {' '.join(names)}")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with services_stay_down():
        for argv in (
            ["apt-get", "-qq", "update"],
            ["apt-get", "-qq", "-y", "--no-install-recommends", "install", *names],
        ):
            done = subprocess.run(
                argv,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                bootstrap.say(f"{' '.join(argv)} ended with status {done.returncode}:\n{done.stdout[-3000:]}")
                return


@contextmanager
def services_stay_down(policy: Path = Path("/usr/sbin/policy-rc.d")) -> Iterator[None]:
    """Debian starts a service as soon as it is installed, unless this script says no (101: not allowed)."""
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()


if __name__ == "__main__":
    main()
