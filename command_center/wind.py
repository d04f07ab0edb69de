"""The freshest measured wind near a place, from the live picture: it works while the database is away."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from command_center.registers.zones import Wind
from devices.clock import Clock
from devices.registry import Registry
from gis.points import haversine_m

DIRECTION, SPEED = "wind_dir_deg", "wind_10min_ms"
NEAR_M = 30_000.0
FRESH_US = 30 * 60_000_000
FAILED = 4  # QARTOD: a value that failed its checks points nowhere

LatestOf = Callable[[str], Mapping[str, Sequence[Any]]]


def nearest_wind(registry: Registry, latest_of: LatestOf, clock: Clock, lon: float, lat: float) -> Wind | None:
    """Of the stations within 30 km whose direction and speed are at most 30 minutes old and did not fail, the nearest.

    `latest_of` gives `[value, quality, time_us]` by property. None where there is none.
    """
    now_us = clock.city_us()
    found: list[Wind] = []
    for device in registry.devices.values():
        latest = latest_of(device.device_id)
        if not device.enabled or DIRECTION not in latest or SPEED not in latest:
            continue
        (direction, quality_d, at_d), (speed, quality_s, at_s) = latest[DIRECTION][:3], latest[SPEED][:3]
        fresh = now_us - min(at_d, at_s) <= FRESH_US
        if not (fresh and _number(direction) and _number(speed)) or FAILED in (quality_d, quality_s):
            continue
        away_m = float(haversine_m(lon, lat, device.lon, device.lat))
        if away_m <= NEAR_M:
            found.append(
                Wind(
                    device_id=device.device_id,
                    name=device.name,
                    from_deg=float(direction) % 360.0,
                    speed_ms=float(speed),
                    at_us=min(at_d, at_s),
                    distance_m=round(away_m, 1),
                )
            )
    return min(found, key=lambda wind: (wind.distance_m, wind.device_id), default=None)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
