"""A typhoon's track against a point: closest approach, arrival of the wind circles, motion carried on.

Kernels of reference/hazards.md A4: positions interpolated linearly in longitude and latitude at one-minute steps
(enough for fixes up to six hours apart; over six-hourly fixes allow 25 km), distances on the sphere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from gis.points import bearing_deg, haversine_m
from hazards.bulletins import TrackPoint

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
# Motion over the last 12 h carries on best (reference/hazards.md A4, baseline forecast).
PERSISTENCE_BASE_US = 12 * HOUR_US

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Approach:
    """The nearest point of a track: distance in km, when, and where the centre is then."""

    distance_km: float
    time_us: int
    lon: float
    lat: float


@dataclass(frozen=True, slots=True)
class MinuteTrack:
    """A track at one-minute steps. `radii_km` by force (7, 10, 12): (n, 4) by quadrant NE, SE, SW, NW; NaN = not given."""

    time_us: I64
    lon: F64
    lat: F64
    radii_km: dict[int, F64]

    def distance_km(self, lon: float, lat: float) -> F64:
        """Distance of the centre from a point at every step, km."""
        return haversine_m(self.lon, self.lat, lon, lat) / 1000.0


def in_order(points: Sequence[TrackPoint]) -> list[TrackPoint]:
    """Fixes by time, one per time; of an analysis and a forecast for one time the analysis holds."""
    by_time: dict[int, TrackPoint] = {}
    for point in points:
        known = by_time.get(point.time_us)
        if known is None or (point.analysis and not known.analysis):
            by_time[point.time_us] = point
    return [by_time[time_us] for time_us in sorted(by_time)]


def minute_track(points: Sequence[TrackPoint]) -> MinuteTrack:
    """Interpolate fixes to one-minute steps, both ends included. Raises ValueError without any fix.

    A radius is interpolated between fixes that give it and held after the last one that does: a forecast without circles
    does not make a storm small.
    """
    fixes = in_order(points)
    if not fixes:
        raise ValueError("a track needs at least one fix")
    times = np.array([fix.time_us for fix in fixes], np.int64)
    steps = np.append(np.arange(times[0], times[-1], MINUTE_US, dtype=np.int64), times[-1])
    # Offsets from the first fix: float64 holds them exactly, and interpolation is the same for any epoch.
    at, known = (steps - times[0]).astype(np.float64), (times - times[0]).astype(np.float64)
    lon = np.interp(at, known, np.unwrap([fix.lon for fix in fixes], period=360.0))
    lat = np.interp(at, known, [fix.lat for fix in fixes])
    radii = {
        7: _radii(at, known, [fix.r7_km for fix in fixes]),
        10: _radii(at, known, [fix.r10_km for fix in fixes]),
        12: _radii(at, known, [fix.r12_km for fix in fixes]),
    }
    return MinuteTrack(steps, (lon + 180.0) % 360.0 - 180.0, lat, radii)


def closest_approach(track: MinuteTrack, lon: float, lat: float) -> Approach:
    """The step with the smallest distance; the earliest of equals."""
    distance = track.distance_km(lon, lat)
    k = int(np.argmin(distance))
    return Approach(
        distance_km=float(distance[k]), time_us=int(track.time_us[k]), lon=float(track.lon[k]), lat=float(track.lat[k])
    )


def circle_arrival_us(track: MinuteTrack, lon: float, lat: float, force: int) -> int | None:
    """First step at which the point is inside the wind circle of force 7, 10 or 12; None if that never happens.

    The radius is that of the quadrant in which the point lies as seen from the centre. NaN radii never arrive.
    """
    quadrant = (bearing_deg(track.lon, track.lat, lon, lat) // 90.0).astype(np.intp) % 4
    radius = track.radii_km[force][np.arange(len(track.time_us)), quadrant]
    inside = np.flatnonzero(track.distance_km(lon, lat) <= radius)
    return int(track.time_us[inside[0]]) if len(inside) else None


def carried_on(points: Sequence[TrackPoint], hours: float) -> list[TrackPoint]:
    """The track with, where it has no forecast, one more fix: the motion of its last 12 h carried on for `hours`.

    Linear in degrees. With one fix only the storm stands still. Mean error of such a forecast 93 km at 12 h and 208 km at
    24 h (reference/hazards.md A4): for advice only.
    """
    fixes = in_order(points)
    if not fixes or any(not fix.analysis for fix in fixes) or hours <= 0:
        return fixes
    last = fixes[-1]
    base = [fix for fix in fixes[:-1] if last.time_us - fix.time_us <= PERSISTENCE_BASE_US] or fixes[-2:-1]
    ahead_us = round(hours * HOUR_US)
    share = ahead_us / (last.time_us - base[0].time_us) if base else 0.0
    lon = last.lon + (last.lon - base[0].lon) * share if base else last.lon
    lat = last.lat + (last.lat - base[0].lat) * share if base else last.lat
    ahead = msgspec.structs.replace(
        last, time_us=last.time_us + ahead_us, lon=lon, lat=min(90.0, max(-90.0, lat)), analysis=False
    )
    return [*fixes, ahead]


def _radii(at: F64, known: F64, radii: Sequence[list[float] | None]) -> F64:
    given = [k for k, quadrants in enumerate(radii) if quadrants is not None and len(quadrants) == 4]
    if not given:
        return np.full((len(at), 4), np.nan)
    table = np.array([radii[k] for k in given], np.float64)
    columns = [np.interp(at, known[given], table[:, q], left=np.nan) for q in range(4)]
    return np.column_stack(columns)
