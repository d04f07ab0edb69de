"""Typhoon bulletins: an official track as it was issued."""

from __future__ import annotations

import msgspec


class TrackPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One fix. Degrees WGS 84, hPa, m/s with the averaging time of its agency; circles in km by quadrant NE, SE, SW, NW."""

    time_us: int
    lon: float
    lat: float
    pressure_hpa: float | None = None
    wind_ms: float | None = None
    analysis: bool = True  # False: forecast
    r7_km: list[float] | None = None
    r10_km: list[float] | None = None
    r12_km: list[float] | None = None


class Bulletin(msgspec.Struct, frozen=True, kw_only=True):
    """One issue of one storm's track, verbatim with issuer, number and time."""

    bulletin_id: str
    storm_id: str
    number: int
    issuer: str
    issued_us: int
    name_zh: str
    name_en: str
    averaging_s: int
    track: list[TrackPoint]
    text_zh: str = ""
    text_en: str = ""
    kind: str = "typhoon"
