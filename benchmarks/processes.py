"""CPU seconds of a process and all that it started, from /proc (Linux)."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pids: Mapping[str, int]) -> dict[str, float]:
    """name -> user and system seconds so far of the pid and its living and reaped descendants (PostgreSQL has many)."""
    children: dict[int, list[int]] = defaultdict(list)
    used: dict[int, float] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text()
        except OSError:
            continue  # ended between listing and reading
        fields = text.rsplit(")", 1)[1].split()
        pid = int(path.parent.name)
        children[int(fields[1])].append(pid)
        used[pid] = sum(int(field) for field in fields[11:15]) / TICKS
    named = set(pids.values())

    def total(pid: int, root: int) -> float:
        below = sum(
            total(child, root) for child in children[pid] if child not in named
        )  # a named child counts for itself
        return used.get(pid, 0.0) + below

    return {name: total(pid, pid) for name, pid in pids.items()}


def difference(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    return {name: round(after[name] - before.get(name, 0.0), 2) for name in after}
