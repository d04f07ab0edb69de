"""Around a leaking tank: the isolation circle and the downwind zone of the table that the city has loaded, and who is inside.

Advice that a person confirms, never an order (design.md section 2 "Who decides"). Distances come from the register
`isolation_distance` with their edition; without an entry for a substance it says so and draws nothing. Of several entries for one
UN number and spill the largest distances count (ERG: an unknown name takes the largest of its number).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec
from shapely.geometry import MultiPolygon, Point, Polygon, mapping, shape
from shapely.geometry.base import BaseGeometry
from shapely.ops import unary_union

from command_center.authority import Action, require
from command_center.errors import Invalid
from command_center.model import Actor
from command_center.registers.service import EntryRegister, EntryView
from gis.points import haversine_m
from gis.zones import circle, downwind_square
from hazards.daylight import is_day

PLANT, TABLE = "plant", "isolation_distance"
# Kinds whose entries hold people: what a zone is asked about.
RECEPTORS = ("school", "hospital", "shelter", "flood_village", "construction_site", "harbour", "plant")
CALM_MS = 1.5  # under this the wind has no direction worth drawing: the zone lies all around
SMALL_SPILL_L = 208.0  # ERG: one drum; more is a large spill
ADVICE_ZH = "建议，须人确认。距离为最初约 30 分钟的参考值，以现场监测和指挥部决定为准"
ADVICE_EN = "advice that a person confirms: distances for about the first 30 minutes; measurements on the spot and the command stand above"


class Wind(msgspec.Struct, frozen=True, kw_only=True):
    """The nearest fresh measurement. `from_deg`: where it blows from."""

    device_id: str
    name: str
    from_deg: float
    speed_ms: float
    at_us: int
    distance_m: float


class LeakZone(msgspec.Struct, frozen=True, kw_only=True):
    """Of one tank and size of spill. `isolation` and `protection` are GeoJSON polygons in WGS 84; the second is None where no
    protective distance is given."""

    tank: str
    substance: str
    un_number: str
    spill: Literal["small", "large"]
    isolate_m: float
    protect_km: float
    all_around: bool  # calm, or no fresh wind: a circle in place of the downwind square
    isolation: dict[str, Any]
    protection: dict[str, Any] | None
    edition: str


class Unknown(msgspec.Struct, frozen=True, kw_only=True):
    """A tank for which nothing can be drawn, and why."""

    tank: str
    substance: str
    un_number: str
    zh: str
    en: str


class Inside(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody or something inside a zone: the nearest first."""

    kind: str
    kind_zh: str
    entry_id: str
    name: str
    lon: float
    lat: float
    distance_m: float
    isolated: bool  # inside an isolation circle
    spills: list[str]  # in the zones of which sizes


class LeakZones(msgspec.Struct, frozen=True, kw_only=True):
    entry_id: str
    name: str
    lon: float
    lat: float
    at_us: int
    day: bool
    wind: Wind | None
    zones: list[LeakZone]
    unknown: list[Unknown]
    inside: list[Inside]
    advice_zh: str = ADVICE_ZH
    advice_en: str = ADVICE_EN


# The freshest wind near a place, from the live picture; None where nothing fresh blows near.
WindAt = Callable[[float, float], Wind | None]


class ZoneService:
    def __init__(self, entries: EntryRegister, wind_at: WindAt) -> None:
        self._entries, self._wind_at = entries, wind_at

    async def of_plant(self, actor: Actor, entry_id: str) -> LeakZones:
        """Zones of all its tanks, now. Raises Forbidden, NotFound, Invalid for a plant without a position.

        Who is inside is told in the actor's own scope only.
        """
        require(actor, Action.READ_REGISTERS)
        plant = await self._entries.get(actor, PLANT, entry_id)
        place = _place(plant)
        if place is None:
            raise Invalid(f"{entry_id}: expected a position; the register has none")
        lon, lat = place
        at_us = self._entries.env.clock.city_us()
        day, wind = is_day(lon, lat, at_us), self._wind_at(lon, lat)
        table = await self._entries.everything(actor, TABLE)
        zones: list[LeakZone] = []
        unknown: list[Unknown] = []
        for tank in plant.values.get("tanks") or []:
            made = [_zone(tank, spill, rows, lon, lat, day, wind) for spill, rows in _spills(tank, table)]
            zones += made
            if not made:
                unknown.append(_unknown(tank))
        return LeakZones(
            entry_id=plant.entry_id,
            name=str(plant.values.get("name", "")),
            lon=lon,
            lat=lat,
            at_us=at_us,
            day=day,
            wind=wind,
            zones=zones,
            unknown=unknown,
            inside=await self._inside(actor, plant, zones, lon, lat) if zones else [],
        )

    async def _inside(
        self, actor: Actor, plant: EntryView, zones: Sequence[LeakZone], lon: float, lat: float
    ) -> list[Inside]:
        whole = [(zone, _area(zone)) for zone in zones]
        circles = unary_union([shape(zone.isolation) for zone in zones])
        found: list[Inside] = []
        for kind in RECEPTORS:
            for entry in await self._entries.everything(actor, kind):
                if (entry.kind, entry.entry_id) == (plant.kind, plant.entry_id) or (at := _shape(entry)) is None:
                    continue
                spills = sorted({zone.spill for zone, area in whole if area.intersects(at)}, reverse=True)
                if not spills:
                    continue
                centre = at.representative_point()
                found.append(
                    Inside(
                        kind=kind,
                        kind_zh=self._entries.engine.kinds[kind].zh,
                        entry_id=entry.entry_id,
                        name=str(entry.values.get("name", entry.entry_id)),
                        lon=centre.x,
                        lat=centre.y,
                        distance_m=round(float(haversine_m(lon, lat, centre.x, centre.y)), 1),
                        isolated=bool(circles.intersects(at)),
                        spills=list(spills),
                    )
                )
        return sorted(found, key=lambda one: (one.distance_m, one.kind, one.entry_id))


def _spills(
    tank: dict[str, Any], table: Sequence[EntryView]
) -> list[tuple[Literal["small", "large"], list[EntryView]]]:
    """The sizes of spill that the tank can make and the table knows."""
    number = str(tank.get("un_number") or "")
    found: list[tuple[Literal["small", "large"], list[EntryView]]] = []
    for spill in ("small", "large"):
        rows = [e for e in table if e.values.get("un_number") == number and e.values.get("spill") == spill]
        if number and rows:
            found.append((spill, rows))
    return found


def _zone(
    tank: dict[str, Any],
    spill: Literal["small", "large"],
    rows: Sequence[EntryView],
    lon: float,
    lat: float,
    day: bool,
    wind: Wind | None,
) -> LeakZone:
    isolate_m = max(float(row.values["isolate_m"]) for row in rows)
    protect_km = max(float(row.values["day_km" if day else "night_km"]) for row in rows)
    inner = circle(lon, lat, isolate_m)
    blows = wind is not None and wind.speed_ms >= CALM_MS
    outer: Polygon | MultiPolygon | None = None
    if protect_km > 0 and blows and wind is not None:
        outer = downwind_square(lon, lat, wind.from_deg, protect_km * 1000)
    elif protect_km > 0:
        outer = circle(lon, lat, protect_km * 1000)
    return LeakZone(
        tank=str(tank.get("name", "")),
        substance=str(tank.get("substance", "")),
        un_number=str(tank.get("un_number", "")),
        spill=spill,
        isolate_m=isolate_m,
        protect_km=protect_km,
        all_around=not blows,
        isolation=_geojson(inner),
        protection=None if outer is None else _geojson(outer),
        edition="；".join(sorted({str(row.values.get("edition", "")) for row in rows})),
    )


def _unknown(tank: dict[str, Any]) -> Unknown:
    number = str(tank.get("un_number") or "")
    zh, en = (
        (f"隔离距离表中没有 UN {number}，请装载", f"the table of distances has no UN {number}: load it")
        if number
        else ("未登记联合国编号", "no UN number is registered")
    )
    return Unknown(
        tank=str(tank.get("name", "")), substance=str(tank.get("substance", "")), un_number=number, zh=zh, en=en
    )


def _place(entry: EntryView) -> tuple[float, float] | None:
    if entry.lon is not None and entry.lat is not None:
        return entry.lon, entry.lat
    if entry.geometry is None:
        return None
    centre = shape(entry.geometry).representative_point()
    return centre.x, centre.y


def _shape(entry: EntryView) -> BaseGeometry | None:
    if entry.geometry is not None:
        return shape(entry.geometry)
    return None if entry.lon is None or entry.lat is None else Point(entry.lon, entry.lat)


def _area(zone: LeakZone) -> BaseGeometry:
    parts = [shape(zone.isolation), *([] if zone.protection is None else [shape(zone.protection)])]
    return unary_union(parts)


def _geojson(polygon: Polygon) -> dict[str, Any]:
    """Seven decimals are a centimetre."""
    plain: dict[str, Any] = msgspec.to_builtins(mapping(polygon))
    plain["coordinates"] = [[[round(x, 7), round(y, 7)] for x, y in ring] for ring in plain["coordinates"]]
    return plain
