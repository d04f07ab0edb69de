"""The ingest process of a test, with its log, to be killed: `python -m citybrain_testing.ingest_until_killed SETTINGS.json`."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import sys
from pathlib import Path
from typing import Any

from citybrain_testing.clocks import RunningClock
from devices.models import load_models
from ingest.doors import Listener, StationDoors
from ingest.service import BrokerAccess, IngestService
from stream.writer import LogWriter


async def serve(settings: dict[str, Any]) -> None:
    clock = RunningClock(settings["city_us"])
    with LogWriter(Path(settings["directory"]), clock) as writer:
        broker = BrokerAccess(**settings["broker"])
        service = IngestService(
            writer,
            clock,
            tenant=settings["tenant"],
            broker=broker,
            models=load_models(),
            on_new_session=Path(settings["subscribed"]).touch,
            stations=StationDoors(
                listeners=tuple(Listener(**listener) for listener in settings.get("stations", [])),
                networks=(ipaddress.ip_network("127.0.0.0/8"),),
            ),
        )
        await service.run()


if __name__ == "__main__":
    asyncio.run(serve(json.loads(Path(sys.argv[1]).read_text())))
