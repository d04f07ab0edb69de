"""What every role is handed when it starts, and how it says that it is ready."""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from devices.clock import Clock
from runtime.clock import open_clock
from runtime.secrets import ServiceSecrets, service_secrets
from runtime.settings import Settings, load
from stream.reader import LogReader

READY_POLL_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleContext:
    settings: Settings
    clock: Clock
    secrets: ServiceSecrets
    role: str

    def ready(self) -> None:
        """Tell the supervisor that this role serves."""
        ready_path(self.settings.run_dir, self.role).write_text(str(os.getpid()))


def ready_path(run_dir: Path, role: str) -> Path:
    return run_dir / f"{role}.ready"


def open_context(data_dir: Path, role: str) -> RoleContext:
    """City time never reads before what the log holds already, in no role."""
    settings = load(data_dir / "run" / "settings.json")
    with LogReader(settings.log_dir) as reader:
        floor_us = reader.last_at_us()
    return RoleContext(
        settings=settings,
        clock=open_clock(settings.run_dir, floor_us=floor_us),
        secrets=service_secrets(settings.secrets_dir),
        role=role,
    )


async def wait_ready(run_dir: Path, role: str) -> None:
    """Return when the role's process has written its mark (the supervisor removes it before each start)."""
    path = ready_path(run_dir, role)
    while not path.exists():
        await asyncio.sleep(READY_POLL_S)


def clear_ready(run_dir: Path, role: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        ready_path(run_dir, role).unlink()
