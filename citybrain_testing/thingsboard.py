"""A device of another platform for tests: ThingsBoard's own client, driven from here."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from citybrain_testing.servers import REPOSITORY

THINGSBOARD = REPOSITORY / ".venv-thingsboard" / "bin" / "python"
WAIT_S = 20.0


class ThingsBoardDevice:
    """tb-mqtt-client in a process of its own (`thingsboard_device.py`)."""

    def __init__(self, host: str, port: int, username: str, password: str) -> None:
        assert THINGSBOARD.exists(), "python3 scripts/bootstrap.py --env thingsboard makes it"
        program = Path(__file__).with_name("thingsboard_device.py")
        argv = [str(THINGSBOARD), str(program), host, str(port), username, password]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.greeting = self._line()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def do(self, what: str, given: Any) -> str:
        """`ok`, or what went wrong."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": what, "with": given}) + "\n")
        self._process.stdin.flush()
        return self._line()

    def end(self) -> None:
        try:
            self._process.communicate(timeout=WAIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
