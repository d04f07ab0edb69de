"""How long does a month's question "what did each firm's devices report" take over one day of a thousand devices?

A day of 1,000 one-minute gauges of 20 firms (1.44 million values) is stored through the real writer, then counted by the one query.

    python -m benchmarks.vendor_rates [plain|timescale]
    QUICK=1 python -m benchmarks.vendor_rates        100 devices

Expected before measuring: one pass over the values with a hash aggregate, about a microsecond each, so 2 s. The last line is JSON.
Not measured: a month (31 times as many rows), columnstore, other queries at the same time.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import statistics
import sys
import time

import numpy as np
import structlog

from benchmarks.processes import cpu_seconds, difference
from citybrain_testing.servers import PrivatePostgres, private_postgres
from citybrain_testing.storing import T0_US, MemoryLog, StillClock
from devices.models import load_models
from devices.registry import Device
from storage.database import Database
from storage.migrate import migrate
from storage.rates import RateStore
from storage.registry import RegistryStore
from storage.writer import StoreService
from stream.records import ObsBatch, observations

MINUTE_US, MINUTES = 60_000_000, 1_440
SEED, RUNS, VENDORS = 7, 5, 20
YEAR_S = 366 * 86_400.0


def day(devices: int, numbers: list[int]) -> MemoryLog:
    """A frame a minute: every device reports, but for one in a hundred times."""
    rng = np.random.default_rng(SEED)
    log = MemoryLog()
    series = np.array(numbers, np.uint32)
    for minute in range(MINUTES):
        came = np.flatnonzero(rng.random(devices) > 0.01)
        at_us = np.full(len(came), T0_US + minute * MINUTE_US) + came * 50
        columns = {
            "partition": (came % 64).astype(np.uint8),
            "datastream": series[came],
            "phenomenon_us": at_us,
            "receive_us": at_us + 5_000,
            "result": rng.normal(3.0, 1.0, len(came)),
            "quality": np.ones(len(came), np.uint8),
            "source": np.ones(len(came), np.uint16),
        }
        log.append(observations(ObsBatch.from_columns(columns)), at_us=int(at_us[-1]) + 60_000)
    return log


async def measure(server: PrivatePostgres, devices: int) -> dict[str, object]:
    async with Database(server.fresh_database(), "bench") as database:
        await migrate(database, at_us=T0_US)
        register = RegistryStore(database, StillClock(), load_models())
        listed = [
            Device(
                device_id=f"g{k}",
                model="water-gauge-v1",
                kind="water_gauge",
                name="g",
                lon=121.4,
                lat=28.6,
                vendor=f"firm-{k % VENDORS}",
                attributes={"properties": ["stage_m"]},
            )
            for k in range(devices)
        ]
        written = await register.upsert(listed, author="bench", reason="bench")
        log = day(devices, [s.datastream for s in written.datastreams])
        await StoreService(database, log, StillClock(), retention_s=YEAR_S).drain(log.head())
        times = []
        used = cpu_seconds({"database": server.pid})
        for _ in range(RUNS):
            began = time.perf_counter()
            rates = await RateStore(database).vendor_rates(T0_US, T0_US + MINUTES * MINUTE_US, vendor="", areas=())
            times.append(time.perf_counter() - began)
        cpu_s = difference(used, cpu_seconds({"database": server.pid}))["database"] / RUNS
        tier = await database.tier()
    return {
        "tier": tier,
        "devices": devices,
        "values": sum(r.received for r in rates),
        "vendors": len(rates),
        "reporting_rate": rates[0].reporting_rate,
        "online_rate": rates[0].online_rate,
        "query_s": {"p50": round(statistics.median(times), 2), "max": round(max(times), 2)},
        "query_cpu_s": round(cpu_s, 2),
        "load_1min": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    tier = sys.argv[1] if len(sys.argv) > 1 else "plain"
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    devices = 100 if os.environ.get("QUICK") else 1_000
    with private_postgres(tier="timescale" if tier == "timescale" else "plain") as server:
        print(json.dumps(asyncio.run(measure(server, devices))))


if __name__ == "__main__":
    main()
