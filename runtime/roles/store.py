"""Role `store`: log -> database."""

from __future__ import annotations

import asyncio

from runtime.context import RoleContext
from storage.database import Database
from storage.maintenance import Maintenance
from storage.writer import StoreService
from stream.reader import LogReader

DAY_S = 86_400.0


async def run(context: RoleContext) -> None:
    settings = context.settings
    retention_s = settings.retention_days * DAY_S
    reader = LogReader(settings.log_dir)
    try:
        async with Database(settings.database, settings.tenant) as database:
            service = StoreService(database, reader, context.clock, retention_s=retention_s)
            context.ready()
            async with asyncio.TaskGroup() as group:
                group.create_task(service.run(), name="store")
                group.create_task(
                    Maintenance(database, context.clock, retention_s=retention_s).run(), name="maintenance"
                )
    finally:
        reader.close()
