"""The load of `ingest` and its peers: who sends, and the generator in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

GATEWAYS, CHILDREN = 50, 100


def named(shape: str) -> list[tuple[str, list[str]]]:
    """Connections and the devices that each speaks for."""
    children = [[f"flood-{g:02d}-{n:03d}" for n in range(CHILDREN)] for g in range(GATEWAYS)]
    if shape == "direct":
        return [(name, [name]) for group in children for name in group]
    return [(f"flood-gw-{g:02d}", group) for g, group in enumerate(children)]


class Flood:
    """The load generator in a process of its own: connected at once, sending from `go` on."""

    def __init__(
        self,
        folder: Path,
        host: str,
        port: int,
        tenant: str,
        senders: list[Any],
        rate: float,
        seconds: float,
        seed: int,
    ) -> None:
        path = folder / "flood.json"
        settings = {"host": host, "port": port, "tenant": tenant, "senders": senders, "rate": rate, "seconds": seconds}
        path.write_text(json.dumps({**settings, "seed": seed, "wait": True}))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.flood", str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != "connected":
            raise RuntimeError("the load generator did not connect")

    @property
    def pid(self) -> int:
        return self._process.pid

    def go(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def end(self) -> dict[str, Any]:
        """As `wait`, but send nothing more."""
        assert self._process.stdin is not None
        self._process.stdin.write("end\n")
        self._process.stdin.flush()
        return self.wait()

    def wait(self) -> dict[str, Any]:
        """What it sent and what was acknowledged."""
        out, _ = self._process.communicate()
        result: dict[str, Any] = json.loads(out.splitlines()[-1])
        return result
