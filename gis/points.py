"""Distances and bearings on the sphere; vectorised, WGS 84 degrees in, metres and degrees out."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

EARTH_RADIUS_M = 6_371_008.8  # mean radius of WGS 84 (2a + b) / 3

FloatArray = npt.NDArray[np.float64]


def haversine_m(lon1: npt.ArrayLike, lat1: npt.ArrayLike, lon2: npt.ArrayLike, lat2: npt.ArrayLike) -> FloatArray:
    """Great-circle distance on a sphere of radius 6 371 008.8 m.

    Arguments: degrees, any broadcastable shapes. Result: metres, float64, broadcast shape; NaN where an input is NaN.
    Error against the WGS 84 geodesic: -0.45 % to +0.57 % at any distance.
    Source: Sinnott, R. W. (1984), Virtues of the Haversine, Sky and Telescope 68(2).

    >>> round(float(haversine_m(0.0, 0.0, 0.0, 1.0)))
    111195
    """
    lam1, phi1, lam2, phi2 = (np.radians(np.asarray(a, dtype=np.float64)) for a in (lon1, lat1, lon2, lat2))
    h = np.sin((phi2 - phi1) / 2) ** 2 + np.cos(phi1) * np.cos(phi2) * np.sin((lam2 - lam1) / 2) ** 2
    return np.asarray(2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(np.clip(h, 0.0, 1.0))))


def bearing_deg(lon1: npt.ArrayLike, lat1: npt.ArrayLike, lon2: npt.ArrayLike, lat2: npt.ArrayLike) -> FloatArray:
    """Initial great-circle bearing from point 1 to point 2, degrees clockwise from north in [0, 360).

    Coincident points give 0. NaN where an input is NaN.

    >>> round(float(bearing_deg(0.0, 0.0, 1.0, 0.0)))
    90
    """
    lam1, phi1, lam2, phi2 = (np.radians(np.asarray(a, dtype=np.float64)) for a in (lon1, lat1, lon2, lat2))
    dlam = lam2 - lam1
    east = np.sin(dlam) * np.cos(phi2)
    north = np.cos(phi1) * np.sin(phi2) - np.sin(phi1) * np.cos(phi2) * np.cos(dlam)
    return np.asarray(np.degrees(np.arctan2(east, north)) % 360.0)


def local_xy_m(lon: npt.ArrayLike, lat: npt.ArrayLike, lon0: float, lat0: float) -> tuple[FloatArray, FloatArray]:
    """East and north metres from (lon0, lat0) on an equirectangular plane.

    Error of a distance under 0.1 % within 50 km of the origin below 60 degrees latitude. NaN passes through.
    """
    lon_rad = np.radians(np.asarray(lon, dtype=np.float64) - lon0)
    lat_rad = np.radians(np.asarray(lat, dtype=np.float64) - lat0)
    return np.asarray(EARTH_RADIUS_M * np.cos(np.radians(lat0)) * lon_rad), np.asarray(EARTH_RADIUS_M * lat_rad)


def local_lonlat(x_m: npt.ArrayLike, y_m: npt.ArrayLike, lon0: float, lat0: float) -> tuple[FloatArray, FloatArray]:
    """Longitude and latitude of east and north metres from (lon0, lat0): the inverse of `local_xy_m`. NaN passes through."""
    east, north = np.asarray(x_m, dtype=np.float64), np.asarray(y_m, dtype=np.float64)
    scale = EARTH_RADIUS_M * np.cos(np.radians(lat0))
    return np.asarray(lon0 + np.degrees(east / scale)), np.asarray(lat0 + np.degrees(north / EARTH_RADIUS_M))


def check_lonlat(lon: Any, lat: Any) -> tuple[float, float]:
    """Longitude and latitude as floats. Raises ValueError that names what is wrong (order, range, NaN, type)."""
    try:
        x, y = float(lon), float(lat)
    except (TypeError, ValueError) as error:
        raise ValueError(f"position must be two numbers, got lon={lon!r} lat={lat!r}") from error
    if not (-180.0 <= x <= 180.0):
        raise ValueError(f"longitude {x} is outside -180..180 degrees")
    if not (-90.0 <= y <= 90.0):
        raise ValueError(f"latitude {y} is outside -90..90 degrees; longitude comes first")
    return x, y
