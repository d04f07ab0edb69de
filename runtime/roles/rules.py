"""Role `rules`: log -> step -> transitions -> log."""

from __future__ import annotations

import asyncio
from pathlib import Path

from rules.service import RulesService
from runtime.context import RoleContext
from stream.owner import AppendClient
from stream.reader import LogReader

HEARTBEAT_S = 0.5


async def run(context: RoleContext) -> None:
    settings = context.settings
    reader = LogReader(settings.log_dir)
    try:
        async with AppendClient(settings.append_socket) as client:
            service = RulesService(reader, client, context.clock)
            async with asyncio.TaskGroup() as group:
                group.create_task(service.run(), name="rules")
                group.create_task(_heartbeat(service, position_path(settings.run_dir)), name="heartbeat")
                context.ready()
    finally:
        reader.close()


def position_path(run_dir: Path) -> Path:
    """Where the role says how far it has stepped: the canary looks there."""
    return run_dir / "rules.position"


async def _heartbeat(service: RulesService, path: Path) -> None:
    while True:
        temporary = path.with_suffix(".tmp")
        temporary.write_text(str(service.position))
        temporary.replace(path)
        await asyncio.sleep(HEARTBEAT_S)
