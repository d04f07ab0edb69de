"""Role `store`: log -> database, and what has left the log -> archive."""

from __future__ import annotations

import asyncio

from runtime.context import RoleContext
from storage.database import Database
from storage.maintenance import Maintenance
from storage.rollups import RollupJob
from storage.writer import StoreService
from stream.archiver import ArchiveService
from stream.whole import WholeLog

DAY_S = 86_400.0


async def run(context: RoleContext) -> None:
    settings = context.settings
    retention_s = settings.retention_days * DAY_S
    # A database that was restored from an older backup is filled up again from the archive.
    reader = WholeLog(settings.log_dir, settings.archive_dir)
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
                if settings.archive_days:
                    keep_s = settings.archive_days * DAY_S
                    archive = ArchiveService(settings.log_dir, settings.archive_dir, context.clock, keep_s=keep_s)
                    group.create_task(archive.run(), name="archive")
    finally:
        reader.close()
