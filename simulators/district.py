"""The demo district 椒湾示范区 as data: layers, devices, units, users, duty chain. Pure: one seed, one district.

`runtime` loads it through the public registers; nothing here knows a database or a broker. Unit, user and duty
documents are plain dicts in the shapes of docs/interfaces.md sections 7 and 8.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import shapely
import shapely.affinity
from shapely.geometry import LineString, Point, box
from shapely.geometry.base import BaseGeometry

from devices.registry import Device
from gis.features import Feature, collection
from simulators.catalogue import PLANTS, SHELTERS, STATIONS, UNITS, VILLAGES
from simulators.placement import AREA, VENDORS, place_devices
from simulators.roads import SPEED_KMH, Network, Road, build_network
from simulators.shapes import XY, blob, lonlat, to_lonlat
from simulators.terrain import Terrain, build_terrain

LEAST_M2 = 4_000.0  # smaller scraps of a cut polygon are not drawn
SEED = 20190809  # the night of Lekima's landfall
NAME_ZH, NAME_EN = "椒湾示范区", "Jiaowan demonstration district"
_PLACES: tuple[tuple[str, str, XY, str], ...] = (
    ("椒湾新城", "Jiaowan New Town", (-600.0, -3_000.0), "town"),
    ("江北老城", "Jiangbei Old Town", (-1_200.0, 2_500.0), "town"),
    ("湾北化工园区", "Wanbei Chemical Park", (9_900.0, 3_500.0), "park"),
    ("岬门", "Jiamen Cape", (15_300.0, 6_400.0), "cape"),
    ("椒湾", "Jiaowan Bay", (9_800.0, 400.0), "water"),
    ("椒湾江", "Jiaowan River", (-9_100.0, 1_350.0), "water"),
    ("区应急指挥中心", "Emergency command centre", (250.0, -3_150.0), "command"),
    ("高铁椒湾站", "Jiaowan railway station", (-1_700.0, -4_650.0), "railway_station"),
)


SCENARIO_DAY = date(2019, 8, 9)  # `lekima-night` begins in the evening of this day


@dataclass(frozen=True, slots=True, kw_only=True)
class District:
    """What `generate` drew. The geometry members are in local metres; `layers()` gives degrees."""

    seed: int
    terrain: Terrain
    network: Network
    fleet: tuple[Device, ...]
    map_layers: Mapping[str, tuple[Feature, ...]]

    def features(self) -> Mapping[str, tuple[Feature, ...]]:
        """Layer name -> features in degrees."""
        return self.map_layers

    def layers(self) -> dict[str, dict[str, Any]]:
        """Layer name -> GeoJSON FeatureCollection (docs/interfaces.md section 10, plus `landuse` and `railway`)."""
        return {name: collection(features) for name, features in self.map_layers.items()}

    def devices(self) -> list[Device]:
        return list(self.fleet)

    def units(self) -> list[dict[str, Any]]:
        """Field units at their quarters, in the shape of `command_center.model.Unit`."""
        homes = {station.station_id: station for station in STATIONS}
        taken: dict[str, int] = {}
        units: list[dict[str, Any]] = []
        for spec in UNITS:
            slot = taken[spec.station] = taken.get(spec.station, -1) + 1
            x, y = homes[spec.station].at
            lon, lat = lonlat(x + 45.0 * (slot % 3), y - 45.0 * (slot // 3))
            units.append(
                {
                    "unit_id": spec.unit_id,
                    "name": spec.name,
                    "kind": spec.kind,
                    "authority": spec.authority,
                    "capabilities": list(spec.capabilities),
                    "status": "IN_QTRS",
                    "lon": lon,
                    "lat": lat,
                    "wading_depth_m": spec.wading_depth_m,
                    "area": AREA,
                    "phone": spec.phone or f"0576-0000-{2000 + len(units)}",
                }
            )
        return units

    def users(self) -> list[dict[str, Any]]:
        """Demo users, in the shape of `command_center.model.User`; runtime draws their passwords."""
        people = [
            {"username": "duty1", "name": "值班员 林晓", "roles": ["operator"], "phone": "0576-0000-3001"},
            {"username": "duty2", "name": "值班员 周岚", "roles": ["operator"], "phone": "0576-0000-3002"},
            {"username": "leader1", "name": "带班领导 陈海", "roles": ["leader"], "phone": "0576-0000-3003"},
            {"username": "vendor1", "name": VENDORS["haichuan"], "roles": ["vendor"], "vendor": "haichuan"},
            {"username": "clerk1", "name": "登记员 周敏", "roles": ["registrar"]},
            {"username": "analyst1", "name": "分析员 沈舟", "roles": ["analyst"]},
            {"username": "leader2", "name": "带班领导 何静", "roles": ["leader"], "phone": "0576-0000-3004"},
            {"username": "admin", "name": "系统管理员", "roles": ["admin"]},
            {"username": "security", "name": "安全管理员", "roles": ["security"]},
            {"username": "auditor", "name": "审计员", "roles": ["auditor"]},
            {"username": "grid1", "name": "网格员 吴芳", "roles": ["grid"]},
            {"username": "met", "name": "气象局数据接口", "roles": ["met"]},
        ]
        crews = [
            {"username": spec.unit_id, "name": spec.name, "roles": ["responder"], "unit_id": spec.unit_id}
            for spec in UNITS
        ]
        return [{**user, "area": AREA} for user in people + crews]

    def duty_chain(self) -> list[dict[str, Any]]:
        """Who is called, in order, about an alarm that nobody acknowledges."""
        return [
            {"step": 1, "username": "duty1", "name": "值班员 林晓", "wait_s": 60},
            {"step": 2, "username": "duty2", "name": "值班员 周岚", "wait_s": 60},
            {"step": 3, "username": "leader1", "name": "带班领导 陈海", "wait_s": 120},
        ]

    def roster(self, first: date, days: int) -> list[dict[str, str]]:
        """Sheet of shifts, 08:00 to 08:00: the two officers take turns as first and second, the leader stands by each day.

        Whose turn it is depends on the date alone, so that a sheet drawn later goes on where this one ends; the scenario's
        night begins with duty1. Columns as a clerk's file has them.
        """
        people = ("duty1", "duty2")
        rows = []
        for n in range(days):
            day = first + timedelta(days=n)
            turn = (day - SCENARIO_DAY).days % 2
            posts = {"值班员": people[turn], "副值班": people[1 - turn], "带班领导": "leader1"}
            for post, person in posts.items():
                rows.append({"date": day.isoformat(), "post": post, "person": person, "from": "08:00", "to": "08:00"})
        return rows

    def plants(self) -> list[dict[str, Any]]:
        """Plants with the phone of their control room: the first call at a gas alarm."""
        return [
            {
                "plant_id": plant.plant_id,
                "name": plant.name,
                "name_en": plant.name_en,
                "control_room_phone": plant.phone,
                "lon": lonlat(*plant.centre)[0],
                "lat": lonlat(*plant.centre)[1],
                "tanks": [
                    {"tank_id": t.tank_id, "name": t.name, "substance": t.substance, "tonnes": t.tonnes}
                    for t in plant.tanks
                ],
            }
            for plant in PLANTS
        ]

    def centre(self) -> XY:
        """Where a wall's map opens, lon and lat."""
        return lonlat(1_500.0, -300.0)


@functools.lru_cache(maxsize=4)
def generate(seed: int = SEED) -> District:
    """Draw the district; about a second. The same seed gives the same district on any machine."""
    rng = np.random.default_rng(seed)
    terrain = build_terrain(rng)
    network = build_network(terrain, [(name.removesuffix("村"), at) for name, _, at, _ in VILLAGES], rng)
    fleet = place_devices(terrain, network)
    return District(
        seed=seed,
        terrain=terrain,
        network=network,
        fleet=tuple(fleet),
        map_layers=_map_layers(terrain, network, rng),
    )


def _feature(feature_id: str, geometry: BaseGeometry, **properties: Any) -> Feature:
    return Feature(feature_id=feature_id, geometry=to_lonlat(geometry.simplify(2.0)), properties=properties)


def _point(feature_id: str, at: XY, **properties: Any) -> Feature:
    return Feature(feature_id=feature_id, geometry=Point(*lonlat(*at)), properties=properties)


def _polygons(prefix: str, geometry: BaseGeometry, least_m2: float, **properties: Any) -> list[Feature]:
    parts = [part for part in getattr(geometry, "geoms", [geometry]) if part.geom_type == "Polygon"]
    return [
        _feature(f"{prefix}-{n}", part, **properties)
        for n, part in enumerate((p for p in parts if p.area >= least_m2), start=1)
    ]


def _map_layers(terrain: Terrain, network: Network, rng: np.random.Generator) -> dict[str, tuple[Feature, ...]]:
    layers: dict[str, list[Feature]] = {
        "district": [
            _feature(
                "district-339900",
                shapely.union_all([terrain.district, *terrain.islands]),
                code=AREA,
                name_zh=NAME_ZH,
                name_en=NAME_EN,
            )
        ],
        "sea": _polygons("sea", terrain.sea, LEAST_M2, **{"class": "sea", "name_zh": "椒湾", "name_en": "Jiaowan Bay"}),
        "coast": [_feature(f"coast-{n}", line, **{"class": "coast"}) for n, line in enumerate(terrain.coast, start=1)],
        "river": _river(terrain),
        "landuse": _landuse(terrain, network, rng),
        "railway": [
            _feature(
                "railway-1", terrain.railway, name_zh="沿海铁路", name_en="Coastal railway", **{"class": "railway"}
            )
        ],
        "roads": [_road(road) for road in network.roads],
        "bridges": [_crossing(road, road.bridge, n, "bridge") for n, road in enumerate(network.bridges, start=1)],
        "underpasses": [
            _crossing(
                road, road.underpass, n, "underpass", device_id=f"wg-underpass-{n}", camera_id=f"cam-underpass-{n}"
            )
            for n, road in enumerate(network.underpasses, start=1)
        ],
        "villages": _villages(rng),
        "chem_park": _chem_park(),
        "shelters": [
            _point(f"shelter-{n}", at, name_zh=name, capacity=capacity)
            for n, (name, at, capacity) in enumerate(SHELTERS, start=1)
        ],
        "stations": [
            _point(s.station_id, s.at, name_zh=s.name, units=[u.unit_id for u in UNITS if u.station == s.station_id])
            for s in STATIONS
        ],
        "places": [
            _point(f"place-{n}", at, name_zh=zh, name_en=en, **{"class": kind})
            for n, (zh, en, at, kind) in enumerate(_PLACES, start=1)
        ],
    }
    return {name: tuple(features) for name, features in layers.items()}


def _river(terrain: Terrain) -> list[Feature]:
    return [
        _feature("river-main", terrain.river_water, name_zh="椒湾江", name_en="Jiaowan River", **{"class": "river"}),
        *_polygons(
            "river-nanxi", terrain.tributary_water, LEAST_M2, name_zh="南溪", name_en="Nanxi", **{"class": "tributary"}
        ),
        _feature(
            "reservoir-1", terrain.reservoir, name_zh="库前水库", name_en="Kuqian reservoir", **{"class": "reservoir"}
        ),
        _feature("river-main-axis", terrain.river, name_zh="椒湾江", **{"class": "centreline"}),
        _feature("river-nanxi-axis", terrain.tributary, name_zh="南溪", **{"class": "centreline"}),
    ]


def _landuse(terrain: Terrain, network: Network, rng: np.random.Generator) -> list[Feature]:
    """Land, hills, tidal flats, and town blocks between streets: fills below the roads."""
    land = shapely.union_all([terrain.district, *terrain.islands])
    blocks = _blocks(terrain, network)
    return [
        *_polygons("land", land, LEAST_M2, **{"class": "land"}),
        *_polygons("flat", terrain.tidal_flat, LEAST_M2, **{"class": "tidal_flat"}),
        *_polygons("hill", terrain.hills, 50_000.0, **{"class": "hill"}),
        *[
            _feature(f"block-{n}", block, **{"class": "block", "use": use})
            for n, (block, use) in enumerate(
                ((b, "green" if rng.random() < 0.06 else "built") for b in blocks), start=1
            )
        ],
    ]


def _blocks(terrain: Terrain, network: Network) -> list[BaseGeometry]:
    """City blocks: faces of the street network of a town's size, set back from the kerb."""
    faces = shapely.polygonize([road.line for road in network.roads if road.road_class != "village"])
    dry = terrain.water.buffer(40.0)
    blocks = [face.buffer(-22.0).difference(dry) for face in faces.geoms if 15_000.0 < face.area < 900_000.0]
    return sorted(
        (part for block in blocks for part in getattr(block, "geoms", [block]) if part.area > 8_000.0),
        key=lambda part: (round(part.centroid.x), round(part.centroid.y)),
    )


def _road(road: Road) -> Feature:
    properties: dict[str, Any] = {
        "from": road.tail,
        "to": road.head,
        "speed_kmh": SPEED_KMH[road.road_class],
        "class": road.road_class,
        "name_zh": road.name,
    }
    for name, value in (
        ("oneway", road.oneway),
        ("bridge", bool(road.bridge)),
        ("underpass", bool(road.underpass)),
        ("overpass", road.overpass),
    ):
        if value:
            properties[name] = True
    # Not simplified: the graph joins edges by their end points.
    return Feature(feature_id=road.road_id, geometry=to_lonlat(_tidy(road.line)), properties=properties)


def _tidy(line: LineString) -> LineString:
    simple = line.simplify(1.5)
    return simple if isinstance(simple, LineString) and len(simple.coords) >= 2 else line


def _crossing(road: Road, name: str, number: int, kind: str, **more: Any) -> Feature:
    return _point(f"{kind}-{number}", road.middle, name_zh=name, road_id=road.road_id, **{"class": kind}, **more)


def _villages(rng: np.random.Generator) -> list[Feature]:
    features = []
    for number, (zh, en, at, people) in enumerate(VILLAGES, start=1):
        size = 120.0 + people * 0.13
        outline = blob(at, size * 1.25, size, rng, rough=0.3, turn=float(rng.uniform(0, 3)))
        features.append(
            _feature(f"village-{number}", outline, name_zh=zh, name_en=en, population=people, **{"class": "village"})
        )
    return features


def _chem_park() -> list[Feature]:
    fence = shapely.Polygon(
        [(8_200, 2_950), (9_300, 3_020), (10_500, 3_570), (11_750, 3_880), (11_750, 4_620), (8_200, 4_170)]
    )
    features = [
        _feature("chem-park", fence, name_zh="湾北化工园区", name_en="Wanbei Chemical Park", **{"class": "park"})
    ]
    for plant in PLANTS:
        (x, y), (w, h) = plant.centre, plant.size_m
        yard = shapely.affinity.rotate(box(x - w / 2, y - h / 2, x + w / 2, y + h / 2), 9.0)
        features.append(
            _feature(
                plant.plant_id,
                yard,
                name_zh=plant.name,
                name_en=plant.name_en,
                control_room_phone=plant.phone,
                **{"class": "plant"},
            )
        )
        features += [
            _point(
                tank.tank_id,
                tank.at,
                name_zh=tank.name,
                substance=tank.substance,
                tonnes=tank.tonnes,
                plant_id=plant.plant_id,
                **{"class": "tank"},
            )
            for tank in plant.tanks
        ]
    return features
