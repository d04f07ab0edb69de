"""Leak zones: the table that the city loaded, the wind that blows, day or night, and who is inside; advice, and plain about what is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from shapely.geometry import Point, shape

from citybrain_testing.command import SteppedClock
from citybrain_testing.devices_world import devices_world, gauge
from citybrain_testing.registers import EAST, REGISTRAR, SEALER, draft, filled
from command_center.errors import Forbidden, Invalid, NotFound
from command_center.model import Actor, Role
from command_center.registers.service import EntryRegister
from command_center.registers.zones import Wind, ZoneService
from command_center.wind import FRESH_US, nearest_wind
from devices.registry import Registry, RegistryData
from gis.points import local_lonlat

LON, LAT = 121.2, 28.5
MINUTE_US = 60_000_000
CHLORINE = {"name": "V-101", "substance": "液氯", "un_number": "1017", "capacity_t": 50}
UNKNOWN = {"name": "T-7", "substance": "某物", "un_number": "9999"}
BARE = {"name": "T-8", "substance": "某物"}
# Made up for the test: no edition of any guidebook.
SMALL = {
    "name": "氯",
    "un_number": "1017",
    "spill": "small",
    "isolate_m": 60,
    "day_km": 0.3,
    "night_km": 1.1,
    "edition": "试验 1",
}
LARGE = {"name": "氯", "un_number": "1017", "spill": "large", "isolate_m": 300, "day_km": 2, "night_km": 5, "edition": "试验 1"}  # fmt: skip
SOUTH = Wind(device_id="rw", name="气象站", from_deg=180.0, speed_ms=6.0, at_us=0, distance_m=1_000.0)


def at(east_m: float, north_m: float) -> dict[str, float]:
    lon, lat = local_lonlat(east_m, north_m, LON, LAT)
    return {"lon": float(lon), "lat": float(lat)}


def story(
    work: Callable[[EntryRegister, ZoneService, SteppedClock, list[Wind | None]], Awaitable[None]], *tanks: Any
) -> None:
    async def run() -> None:
        async with devices_world(None) as world:
            entries = await filled(
                EntryRegister(store=world.store, env=world.env, emit=lambda change: None, sealer=SEALER)
            )
            people = {"contact_a": "k1", "contact_b": "k2", "owner": "org-water"}
            plant = {"name": "氯碱厂", "grade": "red", "tanks": list(tanks or (CHLORINE,))} | people
            await entries.create(REGISTRAR, "plant", draft("p1", lon=LON, lat=LAT, **plant), reason="new")
            for n, row in enumerate((SMALL, LARGE)):
                await entries.create(REGISTRAR, "isolation_distance", draft(f"d{n}", **row), reason="new")
            schools = {"near": at(0, 50), "north": at(0, 900), "south": at(0, -900), "far": at(0, 4_000)}
            for name, place in schools.items():
                await entries.create(REGISTRAR, "school", draft(name, **place, name=name, **people), reason="new")
            wind: list[Wind | None] = [SOUTH]
            await work(entries, ZoneService(entries, lambda lon, lat: wind[0]), world.clock, wind)

    asyncio.run(run())


def test_by_night_with_a_south_wind_who_lives_north_is_inside() -> None:
    async def work(entries: EntryRegister, zones: ZoneService, clock: SteppedClock, wind: list[Wind | None]) -> None:
        found = await zones.of_plant(REGISTRAR, "p1")
        assert (found.day, found.wind, found.unknown) == (False, SOUTH, [])
        small, large = found.zones
        assert (small.spill, small.isolate_m, small.protect_km, small.edition) == ("small", 60, 1.1, "试验 1")
        assert (large.spill, large.isolate_m, large.protect_km, large.all_around) == ("large", 300, 5, False)
        assert small.protection is not None
        assert shape(small.isolation).contains(Point(LON, LAT))
        assert not shape(small.protection).contains(Point(*at(0, -20).values()))
        assert [(one.entry_id, one.isolated, one.spills) for one in found.inside] == [
            ("near", True, ["small", "large"]),
            ("north", False, ["small", "large"]),
            ("far", False, ["large"]),
        ], "900 m south lies upwind of both"
        assert found.inside[1].distance_m == pytest.approx(900, rel=0.01)
        assert "须人确认" in found.advice_zh

    story(work)


def test_by_day_the_zone_is_shorter_and_a_calm_or_no_wind_goes_all_around() -> None:
    async def work(entries: EntryRegister, zones: ZoneService, clock: SteppedClock, wind: list[Wind | None]) -> None:
        clock.step(14 * 3600)
        assert [z.protect_km for z in (await zones.of_plant(REGISTRAR, "p1")).zones] == [0.3, 2]
        for still in (None, Wind(device_id="rw", name="x", from_deg=180.0, speed_ms=0.4, at_us=0, distance_m=1.0)):
            wind[0] = still
            found = await zones.of_plant(REGISTRAR, "p1")
            assert all(zone.all_around for zone in found.zones)
            assert {one.entry_id for one in found.inside} == {"near", "north", "south"}

    story(work)


def test_what_the_table_does_not_know_is_said_and_nothing_is_drawn() -> None:
    async def work(entries: EntryRegister, zones: ZoneService, clock: SteppedClock, wind: list[Wind | None]) -> None:
        found = await zones.of_plant(REGISTRAR, "p1")
        assert (found.zones, found.inside) == ([], [])
        assert [(u.tank, u.un_number) for u in found.unknown] == [("T-7", "9999"), ("T-8", "")]
        assert "9999" in found.unknown[0].zh
        assert "未登记" in found.unknown[1].zh

    story(work, UNKNOWN, BARE)


def test_of_two_entries_for_one_number_the_larger_distances_count() -> None:
    async def work(entries: EntryRegister, zones: ZoneService, clock: SteppedClock, wind: list[Wind | None]) -> None:
        other = SMALL | {"name": "氯（吸附）", "isolate_m": 90, "night_km": 0.9, "edition": "试验 2"}
        await entries.create(REGISTRAR, "isolation_distance", draft("d9", **other), reason="new")
        small = (await zones.of_plant(REGISTRAR, "p1")).zones[0]
        assert (small.isolate_m, small.protect_km, small.edition) == (90, 1.1, "试验 1；试验 2")

    story(work)


def test_who_has_another_area_or_role_is_told_nothing() -> None:
    async def work(entries: EntryRegister, zones: ZoneService, clock: SteppedClock, wind: list[Wind | None]) -> None:
        with pytest.raises(NotFound):
            await zones.of_plant(EAST, "p1")
        with pytest.raises(NotFound):
            await zones.of_plant(REGISTRAR, "p2")
        with pytest.raises(Forbidden):
            await zones.of_plant(Actor(username="v", roles=frozenset({Role.VENDOR}), vendor="acme"), "p1")

    story(work)


def test_a_distance_that_is_none_is_refused_at_the_door() -> None:
    async def work(entries: EntryRegister, zones: ZoneService, clock: SteppedClock, wind: list[Wind | None]) -> None:
        for wrong in ({"isolate_m": 0}, {"night_km": -1}, {"un_number": "17"}, {"spill": "huge"}):
            with pytest.raises(Invalid):
                await entries.create(REGISTRAR, "isolation_distance", draft("w", **(SMALL | wrong)), reason="x")

    story(work)


def test_the_wind_is_the_nearest_that_is_fresh_whole_and_not_failed() -> None:
    clock = SteppedClock()
    now_us = clock.city_us()
    stations = {
        "calm-but-old": (at(500, 0), {"wind_dir_deg": [90.0, 1, now_us - FRESH_US - 1], "wind_10min_ms": [3.0, 1, now_us]}),
        "failed": (at(600, 0), {"wind_dir_deg": [90.0, 4, now_us], "wind_10min_ms": [3.0, 1, now_us]}),
        "half": (at(700, 0), {"wind_dir_deg": [90.0, 1, now_us]}),
        "empty": (at(750, 0), {"wind_dir_deg": [None, 9, now_us], "wind_10min_ms": [3.0, 1, now_us]}),
        "suspect": (at(5_000, 0), {"wind_dir_deg": [370.0, 3, now_us - MINUTE_US], "wind_10min_ms": [7.0, 1, now_us]}),
        "farther": (at(9_000, 0), {"wind_dir_deg": [200.0, 1, now_us], "wind_10min_ms": [7.0, 1, now_us]}),
        "beyond": (at(31_000, 0), {"wind_dir_deg": [200.0, 1, now_us], "wind_10min_ms": [7.0, 1, now_us]}),
    }  # fmt: skip
    devices = [gauge(name, **place) for name, (place, _) in stations.items()]
    registry = Registry.from_data(RegistryData(revision=1, full=True, devices=devices, datastreams=[]))

    def latest_of(device_id: str) -> Mapping[str, list[Any]]:
        return stations[device_id][1]

    found = nearest_wind(registry, latest_of, clock, LON, LAT)
    assert found is not None
    assert (found.device_id, found.from_deg, found.speed_ms) == ("suspect", pytest.approx(10.0), 7.0)
    assert found.at_us == now_us - MINUTE_US
    assert nearest_wind(Registry(), latest_of, clock, LON, LAT) is None
