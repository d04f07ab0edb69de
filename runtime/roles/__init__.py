"""The roles: each a process of its own, started by the supervisor as `citybrain worker ROLE`."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from runtime.context import RoleContext, open_context
from runtime.logs import configure
from runtime.metrics import write_metrics

log = structlog.get_logger()

ROLES = ("ingest", "rules", "store", "command")
Run = Callable[[RoleContext], Awaitable[None]]


def run_role(role: str, data_dir: Path) -> int:
    """Run one role until SIGTERM. Exit status 0 after an orderly stop, 2 for an unknown role; a failure ends with its traceback."""
    if role not in ROLES:
        log.error("unknown_role", role=role, expected=ROLES)
        return 2
    context = open_context(data_dir, role)
    configure(context.settings.log_level, role=role)
    run: Run = importlib.import_module(f"runtime.roles.{role}").run
    # What was imported lives as long as we do: the collector need not walk it in the middle of an alarm.
    gc.collect()
    gc.freeze()
    asyncio.run(_until_stopped(context, run))
    return 0


async def _until_stopped(context: RoleContext, run: Run) -> None:
    # Ours stand before any server is started: uvicorn re-raises SIGTERM, which would end us before the drain.
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, lambda: None)  # Ctrl-C is the supervisor's business
    work = asyncio.ensure_future(run(context))
    metrics = asyncio.create_task(write_metrics(context.settings.run_dir, context.role), name="metrics")
    stopped = asyncio.create_task(stop.wait(), name="stop-signal")
    try:
        await asyncio.wait({work, stopped, metrics}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (work, stopped, metrics):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work
        await asyncio.gather(stopped, metrics, return_exceptions=True)
    log.info("role_stopped")
