"""Metrics of several processes at one door: each role writes its own to a file, `/metrics` prints them all.

Rooms name their families apart (`citybrain_ingest_...`, `citybrain_rules_...`), so that the texts can be joined.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import structlog
from prometheus_client import REGISTRY, generate_latest

log = structlog.get_logger(__name__)

EVERY_S = 2.0
PREFIX = "citybrain_"
# Command reads dead letters again with ingest's pipeline: its figures are of messages that were counted when they came, and a
# family may stand in the joined text once.
NOT_OF = {"command": ("citybrain_ingest_", "citybrain_broker_dropped_messages", "citybrain_broker_store_bytes")}


def own_metrics(role: str) -> str:
    """This process's families of ours, in the text format."""
    blocks: list[str] = []
    keep = False
    for line in generate_latest(REGISTRY).decode().splitlines():
        if line.startswith("# HELP "):
            name = line.removeprefix("# HELP ")
            keep = name.startswith(PREFIX) and not name.startswith(NOT_OF.get(role, ()))
        if keep:
            blocks.append(line)
    return "\n".join(blocks) + "\n"


async def write_metrics(run_dir: Path, role: str) -> None:
    """Write the role's metrics every two seconds, until cancelled. A full disk makes them old and stops nobody."""
    path = run_dir / f"{role}.prom"
    failing = False
    while True:
        temporary = path.with_suffix(".prom.tmp")
        try:
            temporary.write_text(own_metrics(role))
            temporary.replace(path)
            failing = False
        except OSError as error:
            if not failing:
                log.warning("metrics_not_written", file=str(path), why=str(error))
            failing = True
        await asyncio.sleep(EVERY_S)


def reported(run_dir: Path, role: str, name: str, labels: str = "") -> float | None:
    """What a role last wrote about one of its metrics (`labels` as `{why="LogFull"}`); None: nothing yet."""
    try:
        text = (run_dir / f"{role}.prom").read_text()
    except FileNotFoundError:
        return None
    wanted = f"{name}{labels} "
    return next((float(line[len(wanted) :]) for line in text.splitlines() if line.startswith(wanted)), None)


def all_metrics(run_dir: Path, *, own_role: str) -> str:
    """Ours live, the others' as they last wrote them."""
    texts = [own_metrics(own_role)]
    texts += [path.read_text() for path in sorted(run_dir.glob("*.prom")) if path.stem != own_role]
    return "".join(texts)
