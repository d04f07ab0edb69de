"""Land and water of the demo district 椒湾示范区, in local metres: coast, sea, islands, river, tributary, hills.

The district is fictional. Its shore follows the course of the offline base map's coast near Taizhou Bay within a few
hundred metres, so that the two do not contradict each other on a screen; everything else is drawn here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from shapely.geometry import LineString, MultiPolygon, Polygon, box
from shapely.geometry.base import BaseGeometry
from shapely.ops import substring

from simulators.shapes import XY, blob, ragged, smooth, tapered

SOUTH_M, NORTH_M, EAST_M = -9_000.0, 8_400.0, 24_000.0

# South shore from the south boundary to the river mouth, then the north shore out to the cape, south to north.
_SOUTH_SHORE: list[XY] = [
    (8200, -9600), (7900, -8900), (7450, -7300), (7700, -6000), (7150, -4700), (6650, -3500), (6500, -2600), (6050, -1900),
    (5300, -1250), (4300, -750),
]  # fmt: skip
_NORTH_SHORE: list[XY] = [
    (4300, 150), (5100, 700), (5900, 1500), (6600, 2150), (7900, 2500), (9300, 2650), (10600, 3250), (12100, 3500), (13400, 4150), (14700, 4350),
    (15700, 5200), (16500, 5950), (16350, 7000), (15900, 7900), (16300, 9000),
]  # fmt: skip
_WEST_BOUNDARY: list[XY] = [
    (-12300, 9400), (-13600, 7400), (-13100, 5200), (-15300, 3600), (-16100, 1200), (-14900, -800), (-15400, -3000),
    (-13700, -4600), (-14100, -7000), (-12600, -9600),
]  # fmt: skip
_RIVER: list[XY] = [
    (-17200, 3300), (-15400, 2500), (-14200, 3100), (-13000, 4000), (-11700, 3300), (-11000, 1700), (-9800, 900),
    (-8500, 1700), (-7300, 2300), (-6000, 1500), (-5000, 200), (-3700, -300), (-2300, 500), (-1000, 1150), (600, 700),
    (2200, -100), (3900, -350), (5400, -250), (7600, 100),
]  # fmt: skip
_TRIBUTARY: list[XY] = [
    (-14300, -6600), (-12900, -5900), (-12100, -4700), (-11000, -4400), (-10300, -3200), (-9100, -3000), (-8300, -1900),
    (-7400, -1500), (-6900, -500), (-6350, 300), (-5900, 1350),
]  # fmt: skip
_RAILWAY: list[XY] = [
    (-3400, -10200),
    (-2700, -7500),
    (-1750, -4200),
    (-1250, -1500),
    (-950, 1000),
    (-750, 3300),
    (-150, 6000),
    (700, 9600),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terrain:
    """Polygons and lines in local metres. `river` runs from the hills to the sea."""

    district: Polygon  # land and river inside the boundary, with the islands
    islands: list[Polygon]
    sea: BaseGeometry
    tidal_flat: BaseGeometry
    coast: list[LineString]
    river: LineString
    river_water: Polygon
    tributary: LineString
    tributary_water: Polygon
    reservoir: Polygon
    hills: BaseGeometry
    railway: LineString

    @property
    def water(self) -> BaseGeometry:
        """Where no road lies without a bridge."""
        return shapely.union_all([self.sea, self.river_water, self.tributary_water, self.reservoir])


def build_terrain(rng: np.random.Generator) -> Terrain:
    """Draw the land. The same generator state gives the same land."""
    south_shore = ragged(smooth(_SOUTH_SHORE, 250.0), rng, 30.0)
    north_shore = ragged(smooth(_NORTH_SHORE, 250.0), rng, 40.0)
    west = ragged(smooth(_WEST_BOUNDARY, 500.0), rng, 60.0)
    ring = [*south_shore.coords, *north_shore.coords, *west.coords]
    frame = box(-20_000.0, SOUTH_M, EAST_M, NORTH_M)
    mainland = Polygon(ring).buffer(0).intersection(frame)

    islands = [
        blob((11_600.0, -1_900.0), 620.0, 380.0, rng, rough=0.35, turn=0.5),
        blob((13_300.0, -2_900.0), 330.0, 240.0, rng, rough=0.35),
        blob((12_500.0, -4_100.0), 210.0, 300.0, rng, rough=0.35, turn=0.9),
        blob((18_600.0, 2_300.0), 480.0, 760.0, rng, rough=0.35, turn=-0.4),
    ]
    river = smooth(_RIVER, 70.0)
    river_water = tapered(
        river, [(0.0, 90.0), (0.25, 130.0), (0.5, 200.0), (0.7, 300.0), (0.82, 420.0), (0.92, 1_000.0), (1.0, 3_400.0)]
    )
    tributary = smooth(_TRIBUTARY, 60.0)
    tributary_water = tapered(tributary, [(0.0, 22.0), (0.5, 45.0), (1.0, 85.0)])

    sea_side = Polygon([*south_shore.coords, *north_shore.coords, (EAST_M, 9_600.0), (EAST_M, -9_600.0)]).buffer(0)
    # The estuary belongs to the river as far as the bar between the two heads.
    sea = sea_side.intersection(frame).difference(shapely.union_all(islands))
    river_land = river_water.intersection(mainland)
    river_land = (
        max(river_land.geoms, key=lambda part: part.area) if isinstance(river_land, MultiPolygon) else river_land
    )
    flat = mainland.buffer(550.0).intersection(sea).difference(box(3_000.0, -1_700.0, 24_000.0, 1_500.0))

    hills = shapely.union_all(
        [
            blob((-14_300.0, 6_500.0), 2_700.0, 2_300.0, rng),
            blob((-10_300.0, 6_900.0), 2_300.0, 1_700.0, rng, turn=0.3),
            blob((-7_000.0, 7_900.0), 1_500.0, 1_000.0, rng),
            blob((-15_500.0, -900.0), 2_100.0, 2_000.0, rng, turn=0.6),
            blob((-13_700.0, -8_300.0), 2_300.0, 1_700.0, rng, turn=-0.4),
            blob((-9_200.0, -7_300.0), 1_700.0, 1_000.0, rng, turn=0.5),
            blob((3_900.0, 7_500.0), 1_500.0, 800.0, rng, turn=0.2),
            blob((9_900.0, 7_000.0), 1_700.0, 720.0, rng, turn=0.15),
            blob((14_300.0, 6_700.0), 1_200.0, 820.0, rng, turn=0.3),
            blob((4_400.0, -7_700.0), 900.0, 620.0, rng, turn=0.5),
        ]
    )
    reservoir = blob((-11_200.0, -6_300.0), 620.0, 330.0, rng, rough=0.4, turn=0.7)
    railway = smooth(_RAILWAY, 120.0)
    land = mainland.difference(shapely.union_all([river_land, tributary_water, reservoir]))
    return Terrain(
        district=mainland,
        islands=islands,
        sea=sea,
        tidal_flat=flat,
        coast=[
            _inside(south_shore, frame),
            _inside(north_shore, frame),
            *(LineString(i.exterior.coords) for i in islands),
        ],
        river=substring(river, 0, river.project(shapely.Point(6_000.0, -150.0))),
        river_water=river_land,
        tributary=tributary,
        tributary_water=tributary_water.intersection(mainland),
        reservoir=reservoir,
        hills=hills.intersection(land),
        railway=_inside(railway, mainland),
    )


def _inside(line: LineString, area: BaseGeometry) -> LineString:
    cut = line.intersection(area)
    return cut if isinstance(cut, LineString) else max(cut.geoms, key=lambda part: part.length)
