"""Role `store`: log -> database."""

from __future__ import annotations

import asyncio

from runtime.context import RoleContext
from storage.database import Database
from storage.maintenance import Maintenance
from storage.rollups import RollupJob
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
                group.create_task(RollupJob(database, context.clock).run(), name="rollups")
                maintenance = Maintenance(
                    database,
                    context.clock,
                    retention_s=retention_s,
                    minutes_s=settings.minute_days * DAY_S,
                    hours_s=settings.hour_days * DAY_S,
                )
                group.create_task(maintenance.run(), name="maintenance")
    finally:
        reader.close()
