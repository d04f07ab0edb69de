"""Whether the sun is up: what the day and night columns of distance tables ask for."""

from __future__ import annotations

import math

DAY_US = 86_400_000_000
UNIX_JULIAN_DAY = 2_440_587.5
RISE_DEG = -0.833  # the sun's centre at rise and set: refraction 34', half its disc 16'


def sun_elevation_deg(lon: float, lat: float, at_us: int) -> float:
    """Elevation of the sun's centre above the horizon in degrees, without refraction; within 0.05 degrees from 1950 to 2050.

    `lon`, `lat` in degrees WGS 84, `at_us` microseconds since 1970 UTC. NaN in, NaN out. Source: the low-precision formulas of
    The Astronomical Almanac, section C (mean longitude and anomaly, ecliptic longitude, sidereal time).
    """
    days = at_us / DAY_US + UNIX_JULIAN_DAY - 2_451_545.0
    mean_longitude = 280.460 + 0.9856474 * days
    anomaly = math.radians(357.528 + 0.9856003 * days)
    ecliptic = math.radians(mean_longitude + 1.915 * math.sin(anomaly) + 0.020 * math.sin(2 * anomaly))
    obliquity = math.radians(23.439 - 0.0000004 * days)
    right_ascension = math.atan2(math.cos(obliquity) * math.sin(ecliptic), math.cos(ecliptic))
    declination = math.asin(math.sin(obliquity) * math.sin(ecliptic))
    sidereal_deg = (18.697374558 + 24.06570982441908 * days) * 15.0
    hour_angle = math.radians(sidereal_deg + lon) - right_ascension
    phi = math.radians(lat)
    height = math.sin(phi) * math.sin(declination) + math.cos(phi) * math.cos(declination) * math.cos(hour_angle)
    return math.degrees(math.asin(height))


def is_day(lon: float, lat: float, at_us: int) -> bool:
    """Between sunrise and sunset."""
    return sun_elevation_deg(lon, lat, at_us) >= RISE_DEG
