"""The programs of docs/samples as a vendor would run them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from citybrain_testing.servers import REPOSITORY

FOLDER = REPOSITORY / "docs" / "samples"
LANGUAGES = ("python", "c", "shell")
COMPILE_S = 60.0


def command(language: str, folder: Path) -> list[str]:
    """How to start the sample; C is compiled into `folder` as its own head says."""
    match language:
        case "python":
            return [sys.executable, str(FOLDER / "gauge.py")]
        case "shell":
            return ["sh", str(FOLDER / "gauge.sh")]
    program = folder / "gauge"
    argv = ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(program), str(FOLDER / "gauge.c"), "-lpaho-mqtt3cs"]
    subprocess.run(argv, check=True, timeout=COMPILE_S)
    return [str(program)]


def start(language: str, folder: Path, settings: Mapping[str, str]) -> subprocess.Popen[str]:
    """The sample in `folder`, waiting for readings on its standard input."""
    return subprocess.Popen(
        command(language, folder),
        cwd=folder,
        env={**os.environ, **settings},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
