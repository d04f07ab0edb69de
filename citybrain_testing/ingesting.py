"""The real ingest on a real broker, in the test's own process: what devices publish ends in a log that the test can read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from citybrain_testing.clocks import LEKIMA_US, RunningClock
from citybrain_testing.logged import all_records, events_of, rows_of
from citybrain_testing.servers import PrivateMosquitto
from devices.models import load_models
from devices.registry import Registry
from ingest.service import BrokerAccess, IngestService
from stream.reader import LogReader
from stream.registry_cache import save_registry
from stream.writer import LogWriter

WAIT_S = 20.0


class Bench:
    """A log, an ingest service on it, and its city clock."""

    def __init__(self, folder: Path, broker: PrivateMosquitto, registry: Registry, city_us: int) -> None:
        self.broker, self.clock = broker, RunningClock(city_us)
        self.writer = LogWriter(folder / "log", self.clock, required=("store",))
        with LogReader(folder / "log") as reader:
            save_registry(reader, registry, 0)
        self.service = IngestService(
            self.writer,
            self.clock,
            tenant=broker.tenant,
            broker=BrokerAccess(
                host=broker.host,
                port=broker.port,
                username="service.ingest",
                password=broker.password("service.ingest"),
                client_id=f"ingest-{folder.name}",
                log_file=broker.broker.log_file,
            ),
            models=load_models(),
        )

    async def until(self, what: Callable[[list[Any]], bool]) -> list[Any]:
        """Every record of the log once `what` holds of them."""
        found: list[Any] = []
        try:
            async with asyncio.timeout(WAIT_S):
                while not what(found := all_records(self.writer.directory)):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"{rows_of(found)} {[(e.type, e.data) for e in events_of(found)]}") from None
        return found


@asynccontextmanager
async def ingesting(
    folder: Path, broker: PrivateMosquitto, registry: Registry, *, city_us: int = LEKIMA_US
) -> AsyncIterator[Bench]:
    """From the subscription on."""
    bench = Bench(folder, broker, registry, city_us)
    try:
        async with asyncio.TaskGroup() as group:
            running = group.create_task(bench.service.run())
            async with asyncio.timeout(WAIT_S):
                await bench.service.input.subscribed.wait()
            yield bench
            running.cancel()
    finally:
        bench.writer.close()
