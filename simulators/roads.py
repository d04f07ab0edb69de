"""The demo district's road graph: drawn lines, cut by water and railway, noded where they meet, named.

A street crosses water only where a bridge is drawn for it and the railway only by an underpass or a viaduct, so the
places where traffic can be cut off are few and known: that is what an emergency picture is about.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import shapely
from shapely.geometry import LineString, Point, Polygon, box
from shapely.geometry.base import BaseGeometry
from shapely.ops import nearest_points, substring

from simulators.shapes import XY, blob, smooth, warped
from simulators.terrain import EAST_M, NORTH_M, SOUTH_M, Terrain

FRAME = box(-20_000.0, SOUTH_M, EAST_M, NORTH_M)
STUB_M = 170.0  # a dead end shorter than this is an artefact of cutting lines at banks and junctions
RAIL_CLEARANCE_M = 60.0
UNDERPASS_HALF_M = 95.0  # ramps of an underpass below a railway
BRIDGE_APPROACH_M = 25.0
SPEED_KMH = {
    "expressway": 80.0,
    "arterial": 60.0,
    "ring": 60.0,
    "secondary": 45.0,
    "street": 35.0,
    "park": 30.0,
    "village": 30.0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A road as drawn. `rail`: how it crosses the railway (`under`, `over`, or `cut` = not at all)."""

    name: str
    road_class: str
    line: LineString
    bridge: bool = False
    rail: str = "cut"
    crossing_name: str = ""  # of its underpass


@dataclass(slots=True, kw_only=True)
class Road:
    """One edge of the graph, in local metres."""

    road_id: str = ""
    tail: str = ""
    head: str = ""
    name: str
    road_class: str
    line: LineString
    bridge: str = ""
    underpass: str = ""
    overpass: bool = False
    oneway: bool = False

    @property
    def middle(self) -> XY:
        point = self.line.interpolate(0.5, normalized=True)
        return point.x, point.y


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    roads: list[Road]
    nodes: dict[str, XY] = field(default_factory=dict)

    def by_id(self, road_id: str) -> Road:
        return next(road for road in self.roads if road.road_id == road_id)

    @property
    def underpasses(self) -> list[Road]:
        return [road for road in self.roads if road.underpass]

    @property
    def bridges(self) -> list[Road]:
        return [road for road in self.roads if road.bridge]


_COAST_ROAD: list[XY] = [
    (7000, -9300), (6550, -7300), (6500, -5700), (5800, -4200), (5100, -2800), (4750, -1300), (4700, -200), (4950, 1200),
    (5500, 2900), (7000, 3950), (9200, 4450), (11500, 4800), (13500, 5250), (15200, 6100),
]  # fmt: skip
_RING: list[XY] = [
    (-2100, 5000), (250, 5100), (2300, 4250), (3150, 2300), (3500, 300), (3250, -1700), (3150, -3500), (2100, -5000),
    (-100, -5650), (-2500, -5450), (-4300, -4400), (-5350, -2700), (-5750, -600), (-5350, 950), (-5700, 2400), (-4400, 4100),
    (-2100, 5000),
]  # fmt: skip
_LINES: list[tuple[str, str, list[XY], bool, str, str]] = [
    ("滨海大道", "expressway", _COAST_ROAD, True, "cut", ""),
    ("环城路", "ring", _RING, True, "over", ""),
    ("人民路", "arterial", [(500, -8900), (650, -5700), (650, -3500), (520, -1500), (470, 700), (520, 1600), (400, 3000), (250, 5050), (600, 6600), (1500, 8900)], True, "cut", ""),
    ("228国道", "arterial", [(-7700, -9300), (-7200, -6200), (-7250, -3800), (-7750, -2400), (-7650, -600), (-7500, 1200), (-7450, 2400), (-7100, 4200), (-6100, 6000), (-5500, 8900)], True, "cut", ""),
    ("中心大道", "arterial", [(-11600, -2300), (-9700, -2300), (-7700, -2450), (-5450, -2400), (-3200, -2250), (-1450, -2200), (800, -2250), (3200, -2400), (5100, -2750), (6100, -3000)], True, "under", "中心大道下穿"),
    ("江滨路", "secondary", [(-5750, -600), (-4600, -950), (-3600, -1100), (-2400, -350), (-1100, 480), (500, 200), (2100, -750), (3300, -1000), (4900, -1050)], False, "under", "江滨路下穿"),
    ("海康路", "secondary", [(-7350, -4350), (-4500, -4250), (-1750, -4250), (900, -4300), (2900, -4250), (6000, -4300)], False, "under", "海康路下穿"),
    ("江北路", "secondary", [(-13400, 5100), (-11900, 4450), (-10300, 2750), (-9000, 2500), (-7400, 3050), (-5600, 2300), (-4600, 1450), (-3600, 750), (-2300, 1500), (-950, 1900), (700, 1550), (2200, 900), (3300, 800), (4950, 1150), (5700, 1900)], False, "under", "江北路下穿"),
    ("解放路", "arterial", [(-5500, 3150), (-3000, 3050), (-800, 3100), (1500, 2950), (2950, 2700), (5400, 2750)], False, "under", "解放路下穿"),
    ("铁路西路", "street", [(-1650, -5750), (-1480, -2300), (-1300, 400)], False, "cut", ""),
    ("铁路东路", "street", [(-1300, -5750), (-1120, -2300), (-950, 350)], False, "cut", ""),
    ("西谷路", "secondary", [(-7150, -5000), (-8900, -5000), (-10200, -5300), (-12000, -5500), (-13400, -6500)], False, "cut", ""),
    ("溪南路", "village", [(-7600, -600), (-9000, -1000), (-10600, -1600), (-11800, -1100), (-13200, 600), (-14600, 1300)], False, "cut", ""),
    ("溪口路", "village", [(-10500, 2850), (-9500, 4200), (-7800, 4700), (-7000, 4400)], False, "cut", ""),
    ("塘南路", "village", [(-7500, -7900), (-4800, -7600), (-2500, -7400), (600, -7300), (3200, -6900), (6700, -6900)], False, "over", ""),
    ("海塘路", "village", [(7350, -8700), (7100, -7300), (7250, -6000), (6750, -4700), (6200, -3500), (6050, -2700), (5550, -1900), (4850, -1500)], False, "cut", ""),
    ("湾北路", "village", [(400, 4400), (2600, 4900), (4300, 5600), (6500, 5600), (9000, 5900), (11800, 6000), (13400, 5200)], False, "cut", ""),
    ("岬角路", "village", [(13300, 5300), (14300, 4800), (15300, 5500), (15900, 6300), (15200, 6900), (14900, 5900)], False, "cut", ""),
]  # fmt: skip
_BRIDGES: tuple[tuple[str, XY], ...] = (
    ("南溪桥", (-8600, -2400)),
    ("西溪桥", (-7650, -1600)),
    ("西溪大桥", (-7450, 2400)),
    ("环城西大桥", (-5350, 700)),
    ("人民路大桥", (480, 750)),
    ("环城东大桥", (3450, -250)),
    ("椒湾大桥", (4700, -300)),
)
_EW_STREETS = ["康平路", "文昌路", "青年路", "新安路", "海城路", "望江路", "学院路", "府前路", "春晖路", "工人路"]
_NS_STREETS = [
    "东升路", "建设路", "府大道", "云西路", "轮渡路", "市府路", "商业街", "葭沚路", "枫南路", "广场路", "体育路", "育才路",
    "和平路", "劳动路", "花园路", "椒江街", "凤凰路", "纬一路", "朝阳路", "锦江路",
]  # fmt: skip


def _turned(points: Sequence[XY], centre: XY, angle: float) -> LineString:
    c, s = np.cos(angle), np.sin(angle)
    xy = np.array(points) - centre
    return LineString(np.column_stack([c * xy[:, 0] - s * xy[:, 1], s * xy[:, 0] + c * xy[:, 1]]) + centre)


def _grid(
    area: Polygon, centre: XY, angle: float, dx: float, dy: float, road_class: str, names: tuple[list[str], list[str]]
) -> list[Drawn]:
    """Streets of a turned grid clipped to an area; they reach 60 m over its edge so that they meet the roads there."""
    west, south, east, north = area.bounds
    reach = max(east - west, north - south)
    drawn = []
    count = int(reach / 2 / min(dx, dy)) + 1
    for axis in range(2):
        for k in range(-count, count + 1):
            offset = k * (dx if axis else dy)
            ends = [(centre[0] + offset, centre[1] - reach), (centre[0] + offset, centre[1] + reach)]
            if not axis:
                ends = [(centre[0] - reach, centre[1] + offset), (centre[0] + reach, centre[1] + offset)]
            line = warped(_turned(ends, centre, angle)).intersection(area.buffer(60.0))
            pool = names[axis]
            name = pool[(k + count) % len(pool)]
            drawn += [
                Drawn(name=name, road_class=road_class, line=part) for part in _lines(line) if part.length > 2 * STUB_M
            ]
    return drawn


def _lines(geometry: BaseGeometry) -> list[LineString]:
    """The LineStrings in any geometry."""
    if isinstance(geometry, LineString):
        return [] if geometry.is_empty else [geometry]
    return [line for part in getattr(geometry, "geoms", []) for line in _lines(part)]


def _draw(terrain: Terrain, rng: np.random.Generator) -> list[Drawn]:
    drawn = []
    for name, road_class, points, bridge, rail, crossing in _LINES:
        line = smooth(points, 80.0)
        drawn.append(
            Drawn(name=name, road_class=road_class, line=line, bridge=bridge, rail=rail, crossing_name=crossing)
        )
    ring = Polygon(smooth(_RING, 80.0).coords)
    dry = terrain.river_water.buffer(160.0)
    names = (_EW_STREETS, _NS_STREETS)
    banks = [part for part in ring.difference(dry).geoms if part.area > 1e6]
    south, north = sorted(banks, key=lambda part: part.centroid.y)[:2]
    new_town = south.intersection(blob((-600.0, -2_300.0), 4_100.0, 2_900.0, rng, rough=0.22))
    old_town = north.intersection(blob((-700.0, 2_700.0), 3_500.0, 1_900.0, rng, rough=0.22))
    drawn += _grid(new_town, (-1_000.0, -3_000.0), 0.05, 720.0, 610.0, "street", names)
    drawn += _grid(old_town, (-1_200.0, 3_000.0), -0.06, 560.0, 520.0, "street", names)
    east = Polygon([(3_150, -1_100), (4_800, -1_150), (5_150, -2_750), (5_850, -4_250), (2_950, -4_250)])
    drawn += _grid(east, (3_900.0, -2_500.0), 0.0, 640.0, 560.0, "street", names)
    old = Polygon([(3_250, 1_000), (4_950, 1_250), (5_350, 2_700), (2_950, 2_650)])
    drawn += _grid(old, (4_100.0, 1_900.0), 0.12, 560.0, 520.0, "street", names)
    polder = Polygon(
        [
            (-6_900, -8_700),
            (6_900, -8_700),
            (6_500, -5_800),
            (3_000, -4_500),
            (900, -5_800),
            (-2_000, -5_900),
            (-7_100, -5_000),
        ]
    )
    drawn += _grid(polder, (0.0, -7_000.0), 0.03, 1_450.0, 950.0, "village", (["塘路"], ["横塘路"]))
    west = Polygon([(-9_300, -1_200), (-7_700, -1_000), (-7_500, 900), (-9_000, 600)])
    drawn += _grid(west, (-8_400.0, -300.0), 0.1, 900.0, 800.0, "village", (["溪东路"], ["溪西路"]))
    park = Polygon([(8_250, 2_980), (9_300, 3_050), (10_500, 3_600), (11_700, 3_900), (11_700, 4_800), (8_250, 4_300)])
    drawn += _grid(
        park,
        (9_900.0, 3_700.0),
        0.16,
        520.0,
        330.0,
        "park",
        (["园区一路", "园区三路", "园区五路"], ["园区二路", "园区四路", "园区六路"]),
    )
    return drawn


def _village_roads(villages: Iterable[tuple[str, XY]], drawn: list[Drawn], terrain: Terrain) -> list[Drawn]:
    """A lane through each village and a way to the nearest drawn road on the same side of the water."""
    trunk = shapely.union_all([d.line for d in drawn])
    on_land = trunk.difference(terrain.water.buffer(50.0))
    lanes = []
    for name, (x, y) in villages:
        for dx, dy in ((330.0, 60.0), (-70.0, 300.0)):
            lane = smooth([(x - dx, y - dy), (x + 20, y - 15), (x + dx, y + dy)], 60.0)
            lanes.append(Drawn(name=f"{name}村道", road_class="village", line=lane))
        if trunk.distance(Point(x, y)) > 250.0:
            there = nearest_points(on_land, Point(x, y))[0]
            end = (there.x + (there.x - x) * 0.03, there.y + (there.y - y) * 0.03)  # a little over, so that they cross
            bend = ((x + there.x) / 2 + (there.y - y) * 0.08, (y + there.y) / 2 - (there.x - x) * 0.08)
            lanes.append(Drawn(name=f"{name}路", road_class="village", line=smooth([(x, y), bend, end], 60.0)))
    return lanes


@dataclass(frozen=True, slots=True)
class _Obstacles:
    """What roads keep away from, made once: widening the water takes longer than cutting a road by it."""

    shore: BaseGeometry
    railway: BaseGeometry
    bridged: BaseGeometry

    @classmethod
    def of(cls, terrain: Terrain) -> Self:
        spanned = shapely.union_all([terrain.river_water, terrain.tributary_water, terrain.sea])
        return cls(
            terrain.water.buffer(45.0), terrain.railway.buffer(RAIL_CLEARANCE_M), spanned.buffer(BRIDGE_APPROACH_M)
        )


def _cut(drawn: Drawn, terrain: Terrain, obstacles: _Obstacles) -> list[LineString]:
    """The parts of a drawn road that can be built."""
    line: BaseGeometry = drawn.line.intersection(FRAME)
    if not drawn.bridge:
        line = line.intersection(terrain.district).difference(obstacles.shore)
    if drawn.rail == "cut":
        line = line.difference(obstacles.railway)
    return _lines(line)


def build_network(terrain: Terrain, villages: Iterable[tuple[str, XY]], rng: np.random.Generator) -> Network:
    """Nodes where lines meet; only the largest connected part stays, without stubs."""
    drawn = _draw(terrain, rng)
    drawn += _village_roads(villages, drawn, terrain)
    obstacles = _Obstacles.of(terrain)
    pieces = [(d, part) for d in drawn for part in _cut(d, terrain, obstacles)]
    noded = _lines(shapely.set_precision(shapely.union_all([shapely.set_precision(p, 0.1) for _, p in pieces]), 0.1))
    tree = shapely.STRtree([part for _, part in pieces])
    rank = {name: i for i, name in enumerate(SPEED_KMH)}
    roads = []
    for line in noded:
        if line.length < 1.0:
            continue
        middle = line.interpolate(0.5, normalized=True)
        owners = [pieces[i][0] for i in tree.query(middle.buffer(3.0), predicate="intersects")]
        owner = min(owners, key=lambda d: rank[d.road_class])
        roads.append((owner, line))
    roads = _without_stubs(roads)
    kept = [(o, line) for o, line in roads if o.road_class != "street" or rng.random() > 0.10]
    kept = _without_stubs(_largest(kept))
    edges = [edge for owner, line in kept for edge in _split_crossings(owner, line, terrain, obstacles)]
    return _named(edges)


def _key(xy: Sequence[float]) -> XY:
    return round(xy[0], 1), round(xy[1], 1)


def _without_stubs(roads: list[tuple[Drawn, LineString]]) -> list[tuple[Drawn, LineString]]:
    while True:
        degree: dict[XY, int] = {}
        for _, line in roads:
            for end in (line.coords[0], line.coords[-1]):
                degree[_key(end)] = degree.get(_key(end), 0) + 1
        kept = [
            (owner, line)
            for owner, line in roads
            if line.length > STUB_M or (degree[_key(line.coords[0])] > 1 and degree[_key(line.coords[-1])] > 1)
        ]
        if len(kept) == len(roads):
            return kept
        roads = kept


def _largest(roads: list[tuple[Drawn, LineString]]) -> list[tuple[Drawn, LineString]]:
    parent: dict[XY, XY] = {}

    def root(node: XY) -> XY:
        while parent.setdefault(node, node) != node:
            parent[node] = node = parent[parent[node]]
        return node

    for _, line in roads:
        parent[root(_key(line.coords[0]))] = root(_key(line.coords[-1]))
    size: dict[XY, float] = {}
    for _, line in roads:
        size[root(_key(line.coords[0]))] = size.get(root(_key(line.coords[0])), 0.0) + line.length
    best = max(size, key=lambda node: size[node])
    return [(owner, line) for owner, line in roads if root(_key(line.coords[0])) == best]


def _split_crossings(owner: Drawn, line: LineString, terrain: Terrain, obstacles: _Obstacles) -> list[Road]:
    """Cut a road so that each underpass and each bridge is an edge of its own."""
    marks: list[tuple[float, float, str]] = []
    rail = line.intersection(terrain.railway)
    if not rail.is_empty:
        at = line.project(rail.centroid)
        marks.append((at - UNDERPASS_HALF_M, at + UNDERPASS_HALF_M, owner.rail))
    if owner.bridge:
        for wet in _lines(line.intersection(obstacles.bridged)):
            ends = sorted(line.project(Point(c)) for c in (wet.coords[0], wet.coords[-1]))
            marks.append((ends[0], ends[1], "bridge"))
    roads = []
    at = 0.0
    for start, stop, kind in sorted(marks):
        first, last = max(at, start), min(stop, line.length)
        if last - first < 5.0:
            continue
        if first - at > 1.0:
            roads.append(Road(name=owner.name, road_class=owner.road_class, line=substring(line, at, first)))
        crossing = Road(name=owner.name, road_class=owner.road_class, line=substring(line, first, last))
        if kind == "bridge":
            crossing.bridge = min(_BRIDGES, key=lambda b: Point(b[1]).distance(crossing.line))[0]
        elif kind == "under":
            crossing.underpass = owner.crossing_name
        else:
            crossing.overpass = True
        roads.append(crossing)
        at = last
    if line.length - at > 1.0:
        roads.append(Road(name=owner.name, road_class=owner.road_class, line=substring(line, at, line.length)))
    return roads


def _named(roads: list[Road]) -> Network:
    """Ids in reading order (west to east, south to north), the same for the same drawing."""
    roads.sort(key=lambda road: (round(road.middle[0]), round(road.middle[1])))
    names: dict[XY, str] = {}
    for number, road in enumerate(roads, start=1):
        road.road_id = f"road-{number:04d}"
        for end in (road.line.coords[0], road.line.coords[-1]):
            names.setdefault(_key(end), f"n{len(names) + 1:04d}")
        road.tail, road.head = names[_key(road.line.coords[0])], names[_key(road.line.coords[-1])]
    return Network(roads=roads, nodes={name: xy for xy, name in names.items()})
