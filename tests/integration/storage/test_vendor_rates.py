"""Reporting and online rates: what was expected by the interval, what came, and when a device was heard; on both tiers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from citybrain_testing.command import ADMIN
from citybrain_testing.devices_world import ACME, ZETA
from citybrain_testing.storing import SECOND_US, T0_US, MemoryLog, StillClock, obs
from command_center.access.scope import Scope
from command_center.device_care.rates import MAX_SPAN_US, RatesAnswer, vendor_rates
from command_center.errors import Forbidden, Invalid
from command_center.model import Actor, Role
from devices.models import load_models
from devices.registry import Device, Registry
from storage.database import Database
from storage.rates import RateStore
from storage.registry import RegistryStore
from storage.writer import StoreService
from stream.records import Source, resume

HOUR_US = 3_600 * SECOND_US
LOCAL = Actor(username="l", roles=frozenset({Role.LEADER}), scope=Scope(areas=("331002",)))
VISITOR = Actor(username="v", roles=frozenset({Role.RESPONDER}), unit_id="u")


def gauge(device_id: str, vendor: str, **fields: Any) -> Device:
    plain = {
        "model": "water-gauge-v1",
        "kind": "water_gauge",
        "name": "g",
        "lon": 121.4,
        "lat": 28.7,
        "area": "331002001",
    }
    listed = {"attributes": {"properties": ["stage_m"]}}
    return msgspec.convert(plain | listed | {"device_id": device_id, "vendor": vendor} | fields, Device)


async def filled(database: Database, *, down: Sequence[tuple[int, int]] = ()) -> StillClock:
    """An hour after T0 from one-minute gauges: a1 whole, a2 the first half, a3 never, z1 only by backfill, z2 since half past."""
    clock = StillClock()
    register = RegistryStore(database, clock, load_models())
    await register.upsert(
        [gauge("a1", "acme"), gauge("a2", "acme"), gauge("a3", "acme"), gauge("z1", "zeta", area="331003")],
        author="x",
        reason="r",
    )
    off = gauge("off", "acme", enabled=False)
    await register.upsert([off], author="x", reason="disabled devices are expected of nobody")
    clock.now_us = T0_US + HOUR_US // 2
    await register.upsert([gauge("z2", "zeta")], author="x", reason="r")
    registry = Registry.from_data(await register.load())
    number = {d: registry.datastreams_of(d)[0].datastream for d in ("a1", "a2", "a3", "z1", "z2")}
    log = MemoryLog()

    def report(
        device_id: str, minutes: range, *, source: int = int(Source.LIVE), received_us: int | None = None
    ) -> None:
        for minute in minutes:
            at_us = T0_US + minute * 60 * SECOND_US + 7
            row = {"datastream": number[device_id], "phenomenon_us": at_us, "result": 1.0, "source": source}
            log.append(obs([row | {"receive_us": received_us or at_us}]), at_us=at_us)

    report("a1", range(60))
    report("a2", range(30))
    report("z1", range(60), source=int(Source.LIVE | Source.BACKFILL), received_us=T0_US + HOUR_US - 5)
    report("z2", range(30, 60))
    for from_min, to_min in down:
        body = resume(T0_US + from_min * 60 * SECOND_US, T0_US + to_min * 60 * SECOND_US)
        log.append(body, at_us=T0_US + to_min * 60 * SECOND_US)
    report("a1", range(60, 90))  # after the hour: not counted
    clock.now_us = T0_US + 2 * HOUR_US
    await StoreService(database, log, clock, retention_s=366 * 86_400.0).drain(log.head())
    return clock


def test_each_firm_gets_what_its_devices_did(in_database: Any) -> None:
    async def work(database: Database) -> None:
        clock, store = await filled(database), RateStore(database)

        async def ask(actor: Actor, to_us: int = T0_US + HOUR_US) -> RatesAnswer:
            return await vendor_rates(actor, store, clock, T0_US, to_us)

        acme, zeta = (await ask(ADMIN)).items
        assert (acme.vendor, acme.devices, acme.series, acme.silent_devices) == ("acme", 3, 3, 1)
        assert (acme.expected, acme.received, acme.reporting_rate) == (180, 90, 0.5)
        assert acme.online_rate == pytest.approx((1.0 + 0.5 + 0.0) / 3, abs=0.03)
        assert (zeta.expected, zeta.received, zeta.reporting_rate) == (90, 90, 1.0), (
            "z2 counts from its registration on"
        )
        assert zeta.online_rate == pytest.approx(0.5, abs=0.03), "what was sent later was not heard then"
        assert [r.vendor for r in (await ask(ACME)).items] == ["acme"]
        assert [r.vendor for r in (await ask(ZETA)).items] == ["zeta"]
        (here, there) = (await ask(LOCAL)).items
        assert (here.devices, there.devices) == (3, 1), "only what stands in the actor's areas"
        assert (await ask(ADMIN)).own_downtime_excluded
        assert (await ask(ADMIN, T0_US + 9 * HOUR_US)).to_us == T0_US + 2 * HOUR_US, "nothing is expected of the future"
        with pytest.raises(Forbidden):
            await ask(VISITOR)
        with pytest.raises(Invalid, match="before to"):
            await ask(ADMIN, T0_US)
        with pytest.raises(Invalid, match="31 days"):
            await vendor_rates(ADMIN, store, clock, T0_US - MAX_SPAN_US - HOUR_US, T0_US + HOUR_US)

    in_database(work)


def test_what_we_did_not_listen_to_is_nobodys_fault(in_database: Any) -> None:
    """Down from half past to five past the hour, told in two marks that overlap: half an hour is left to be judged by."""

    async def work(database: Database) -> None:
        clock = await filled(database, down=[(30, 50), (45, 65)])
        acme, zeta = (await vendor_rates(ADMIN, RateStore(database), clock, T0_US, T0_US + HOUR_US)).items
        assert (acme.expected, acme.received) == (90, 60), "a1 and a2 were whole while we listened, a3 never spoke"
        assert acme.online_rate == pytest.approx(2 / 3, abs=0.03)
        assert acme.silent_devices == 1
        assert (zeta.expected, zeta.received) == (30, 30), (
            "z2 was registered when we were down; z1 sent in half an hour"
        )
        async with database.transaction() as conn:
            marks = await (await conn.execute("SELECT position FROM own_downtime")).fetchall()
        assert len(marks) == 2

    in_database(work)
