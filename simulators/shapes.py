"""Organic shapes in local metres: smooth lines, ragged coasts, blobs; and the plane that they are drawn on.

Everything is deterministic: randomness comes from the generator that the caller hands in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import shapely
import shapely.ops
from shapely.geometry import LineString, Polygon
from shapely.geometry.base import BaseGeometry

from gis.points import EARTH_RADIUS_M

LON0, LAT0 = 121.45, 28.68  # origin of the plane: the demo district is fictional, near Taizhou Bay
_PER_DEGREE = math.pi / 180.0 * EARTH_RADIUS_M

XY = tuple[float, float]
Points = npt.NDArray[np.float64]


def lonlat(x_m: float, y_m: float) -> XY:
    """Degrees WGS 84 of a point of the plane (equirectangular; inverse of gis.points.local_xy_m), rounded to 0.1 m."""
    lat = LAT0 + y_m / _PER_DEGREE
    lon = LON0 + x_m / (_PER_DEGREE * math.cos(math.radians(LAT0)))
    return round(lon, 6), round(lat, 6)


def plane_xy(lon: float, lat: float) -> XY:
    """Metres east and north of the district's origin."""
    return (lon - LON0) * _PER_DEGREE * math.cos(math.radians(LAT0)), (lat - LAT0) * _PER_DEGREE


def to_lonlat(geometry: BaseGeometry) -> BaseGeometry:
    """The geometry in degrees."""

    def convert(xy: Points) -> Points:
        return np.array([lonlat(float(x), float(y)) for x, y in xy])

    return shapely.transform(geometry, convert)


def smooth(points: Sequence[XY], step_m: float = 60.0) -> LineString:
    """A Catmull-Rom curve through the points, with a vertex about every `step_m`; closed when the last is the first."""
    closed = points[0] == points[-1]
    before, after = (points[-2], points[1]) if closed else (points[0], points[-1])
    control = np.array([before, *points, after], dtype=np.float64)
    drawn: list[Points] = []
    for i in range(1, len(control) - 2):
        p0, p1, p2, p3 = control[i - 1 : i + 3]
        count = max(2, math.ceil(float(np.hypot(*(p2 - p1))) / step_m))
        t = np.linspace(0.0, 1.0, count, endpoint=False)[:, None]
        drawn.append(
            0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
        )
    return LineString(np.vstack([*drawn, control[-2:-1]]))


def ragged(line: LineString, rng: np.random.Generator, amplitude_m: float, depth: int = 3) -> LineString:
    """Midpoint displacement of a line, halving the amplitude at each depth: what a natural shore looks like."""
    points = np.array(line.coords)
    for _ in range(depth):
        middle = (points[:-1] + points[1:]) / 2
        step = points[1:] - points[:-1]
        length = np.maximum(np.hypot(step[:, 0], step[:, 1]), 1e-9)
        normal = np.column_stack([-step[:, 1], step[:, 0]]) / length[:, None]
        reach = np.minimum(amplitude_m, length * 0.22)
        middle = middle + normal * (rng.uniform(-1, 1, len(middle)) * reach)[:, None]
        woven = np.empty((len(points) + len(middle), 2))
        woven[0::2], woven[1::2] = points, middle
        points, amplitude_m = woven, amplitude_m / 2
    return LineString(points)


def blob(
    centre: XY, rx_m: float, ry_m: float, rng: np.random.Generator, *, rough: float = 0.16, turn: float = 0.0
) -> Polygon:
    """A closed, lumpy ellipse of about the given radii."""
    angle = np.linspace(0.0, 2 * math.pi, 96, endpoint=False)
    radius = np.ones_like(angle)
    for k in range(2, 8):
        radius += rough / k**0.7 * rng.uniform(-1, 1) * np.cos(k * angle + rng.uniform(0, 2 * math.pi))
    x, y = rx_m * radius * np.cos(angle), ry_m * radius * np.sin(angle)
    c, s = math.cos(turn), math.sin(turn)
    return Polygon(np.column_stack([centre[0] + c * x - s * y, centre[1] + s * x + c * y])).buffer(0)


def tapered(line: LineString, widths: Sequence[tuple[float, float]]) -> Polygon:
    """The band around a line whose width changes along it: `widths` are (fraction of the length, full width in m)."""
    points = np.array(line.coords)
    step = np.gradient(points, axis=0)
    normal = np.column_stack([-step[:, 1], step[:, 0]]) / np.hypot(step[:, 0], step[:, 1])[:, None]
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    half = np.interp(along / along[-1], [f for f, _ in widths], [w for _, w in widths]) / 2
    left, right = points + normal * half[:, None], points - normal * half[:, None]
    # Tight bends make the offset lines cross; the union of its quadrilaterals has no such fault.
    quads = [Polygon([left[i], left[i + 1], right[i + 1], right[i]]).buffer(1.0) for i in range(len(points) - 1)]
    joined = shapely.union_all(quads).buffer(8.0).buffer(-8.0)
    return joined if isinstance(joined, Polygon) else max(joined.geoms, key=lambda part: part.area)


def warp(xy: Points) -> Points:
    """A smooth displacement of up to about 150 m, so that a drawn grid becomes grown streets. Same for every line."""
    x, y = xy[:, 0] / 1000.0, xy[:, 1] / 1000.0
    dx = 95.0 * np.sin(0.9 * y + 0.35 * x + 0.4) + 45.0 * np.sin(2.1 * y - 0.8 * x)
    dy = 90.0 * np.sin(0.8 * x - 0.30 * y + 1.1) + 40.0 * np.sin(1.9 * x + 0.7 * y)
    return np.column_stack([xy[:, 0] + dx, xy[:, 1] + dy])


def warped(line: LineString) -> LineString:
    return LineString(warp(np.array(line.segmentize(50.0).coords)))
