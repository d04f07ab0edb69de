"""Areas around a place by metres: a circle, and the square that lies downwind of it. In degrees WGS 84, for maps and for asking what is inside."""

from __future__ import annotations

import numpy as np
from shapely.geometry import Polygon

from gis.points import local_lonlat

SIDES = 72  # of a circle: its area is 0.13 % small


def circle(lon: float, lat: float, radius_m: float) -> Polygon:
    """Everything within `radius_m` (> 0) of a place, as a polygon of 72 corners that lie on the circle.

    On a plane around the place (`gis.points.local_lonlat`: under 0.1 % off within 50 km). Raises ValueError for a radius that is
    not above 0.
    """
    if not radius_m > 0:
        raise ValueError(f"radius_m {radius_m}: expected more than 0")
    angle = np.radians(np.arange(SIDES) * 360.0 / SIDES)
    return _polygon(lon, lat, radius_m * np.sin(angle), radius_m * np.cos(angle))


def downwind_square(lon: float, lat: float, wind_from_deg: float, side_m: float) -> Polygon:
    """A square of `side_m` whose upwind side has the place in its middle: ERG's protective action zone.

    `wind_from_deg`: where the wind comes from, degrees clockwise from north (the meteorological convention). Source of the form:
    Emergency Response Guidebook, table 1. Raises ValueError for a side that is not above 0 or a direction that is no number.
    """
    if not side_m > 0:
        raise ValueError(f"side_m {side_m}: expected more than 0")
    if not np.isfinite(wind_from_deg):
        raise ValueError(f"wind_from_deg {wind_from_deg}: expected a direction")
    to = np.radians(wind_from_deg + 180.0)
    ahead, aside = np.array([np.sin(to), np.cos(to)]), np.array([np.cos(to), -np.sin(to)])
    corners = np.array([-aside / 2, aside / 2, aside / 2 + ahead, -aside / 2 + ahead]) * side_m
    return _polygon(lon, lat, corners[:, 0], corners[:, 1])


def _polygon(lon: float, lat: float, east_m: np.ndarray, north_m: np.ndarray) -> Polygon:
    lons, lats = local_lonlat(east_m, north_m, lon, lat)
    return Polygon(np.column_stack([lons, lats]))
