"""What the observation side says of devices in doubt: the newest values and what was not taken lately; the same on both tiers."""

from __future__ import annotations

from typing import Any

import msgspec

from citybrain_testing.storing import SECOND_US, T0_US, MemoryLog, StillClock, event, obs
from command_center.quality import DeviceFacts
from devices.models import load_models
from devices.registry import Device, Registry
from storage.database import Database
from storage.quality import QualityFacts
from storage.registry import RegistryStore
from storage.writer import StoreService
from stream.records import EventBody, Source

DAY_US = 86_400 * SECOND_US
WRONG = int(Source.LIVE | Source.CLOCK_FAULT)


def gauge(device_id: str) -> Device:
    plain = {"model": "water-gauge-v1", "kind": "water_gauge", "name": "g", "lon": 121.4, "lat": 28.7, "vendor": "acme"}
    return msgspec.convert(plain | {"device_id": device_id, "attributes": {"properties": ["stage_m"]}}, Device)


def test_only_devices_in_doubt_are_told_with_what_it_is(in_database: Any) -> None:
    async def work(database: Database) -> None:
        clock = StillClock()
        register = RegistryStore(database, clock, load_models())
        await register.upsert([gauge(f"d{n}") for n in range(4)], author="x", reason="r")
        registry = Registry.from_data(await register.load())
        number = {f"d{n}": registry.datastreams_of(f"d{n}")[0].datastream for n in range(4)}
        log = MemoryLog()

        def report(device_id: str, seconds: int, quality: int, source: int = int(Source.LIVE)) -> None:
            at_us = T0_US + seconds * SECOND_US
            row = {"datastream": number[device_id], "phenomenon_us": at_us, "receive_us": at_us, "result": 1.0}
            stamp = {"device_us": at_us - DAY_US} if source & Source.CLOCK_FAULT else {}
            log.append(obs([row | {"quality": quality, "source": source} | stamp]), at_us=at_us)

        report("d0", 1, 3)
        report("d0", 2, 1)  # in order again
        report("d1", 1, 1)
        report("d1", 2, 3)
        report("d2", 1, 1, WRONG)
        for device_id, kind, at_us, data in (
            ("d3", "dead_letter", T0_US + 1, {"reason": "bad_json"}),
            ("d3", "refusal", T0_US + 5, {"reason": "topic", "count": 4}),
            ("d1", "dead_letter", T0_US - 2 * DAY_US, {"reason": "old"}),
            ("", "dead_letter", T0_US + 1, {"reason": "nobody"}),
            ("d0", "dead_letter", T0_US + 1, {"reason": "unknown child"}),
        ):
            log.append(event(EventBody(type=kind, device_id=device_id, receive_us=at_us, data=data)))
        mended = {"letter": log.head(), "outcome": "taken", "rows": 1, "events": 0, "actor": "admin"}
        log.append(event(EventBody(type="dead_letter_replayed", device_id="d0", receive_us=T0_US + 9, data=mended)))
        await StoreService(database, log, clock, retention_s=366 * 86_400.0).drain(log.head())
        assert await QualityFacts(database).device_facts(T0_US - DAY_US) == [
            DeviceFacts(device_id="d1", suspect=1),
            DeviceFacts(device_id="d2", clock=1),
            DeviceFacts(device_id="d3", refused=5, last_refused_us=T0_US + 5),
        ]

    in_database(work)
