"""Role `ingest`: broker, stations and pushes -> log. Owns the log's writer, the ticks and the socket at which the others append."""

from __future__ import annotations

import asyncio
from dataclasses import asdict

import structlog

from devices.models import load_models
from ingest.service import IngestService
from runtime.broker import Broker
from runtime.clock import read_state
from runtime.context import RoleContext
from runtime.push_door import open_sources, serve
from runtime.settings import push_address, station_doors
from storage.writer import CURSOR as STORE_CURSOR
from stream.archiver import CURSOR as ARCHIVE_CURSOR
from stream.owner import AppendServer
from stream.ticks import TickService, append_clock, append_resume
from stream.writer import LogWriter

log = structlog.get_logger()

HOUR_S = 3600.0
REQUIRED_CURSORS = (STORE_CURSOR, "rules", "command")


async def run(context: RoleContext) -> None:
    settings, clock = context.settings, context.clock
    state = read_state(settings.run_dir / "clock.json")
    broker = Broker(settings)
    writer = LogWriter(
        settings.log_dir,
        clock,
        max_bytes=settings.log_max_bytes,
        keep_s=settings.log_keep_h * HOUR_S,
        required=REQUIRED_CURSORS,
        archived=ARCHIVE_CURSOR if settings.archive_days else "",
    )
    try:
        service = IngestService(
            writer,
            clock,
            tenant=settings.tenant,
            broker=broker.access(context.secrets),
            models=load_models(),
            on_new_session=broker.save_now,
            stations=station_doors(settings),
            pushes=open_sources(settings),
        )
        await append_resume(writer, clock)
        await append_clock(writer, asdict(state))
        server = AppendServer(writer, settings.append_socket, on_control=service.on_control)
        ticks = TickService(writer, clock, interval_us=state.tick_us, drained=service.drained)
        async with asyncio.TaskGroup() as group:
            group.create_task(server.run(), name="append-server")
            group.create_task(service.run(), name="ingest")
            group.create_task(ticks.run(), name="ticks")
            if (address := push_address(settings)) is not None and service.pushes.sources:
                group.create_task(serve(service.pushes.app, address, settings.data_dir), name="push-door")
            context.ready()
    finally:
        writer.close()
