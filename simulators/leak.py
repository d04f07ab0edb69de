"""A leak of gas and what detectors near it read: own Gaussian plume, meandering wind, slow sensor.

Dispersion: Pasquill-Gifford class D as power laws fitted for short distances (Martin 1976: sigma = a x^b with x in km,
D: 68 x^0.894 and 33.2 x^0.725 - 1.7 below 1 km), with an initial size of the jet. Not the Briggs forms that `hazards`
uses. Below about 100 m such numbers are an order of magnitude, which is what a detector alarm is about.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

JET_SIZE_M = 1.6
DETECTOR_HEIGHT_M = 0.5
SENSOR_TAU_S = 9.0  # electrochemical cell: T90 about 20 s
MEANDER_DEG = 13.0
MEANDER_PERIOD_S = 210.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """Position in local metres; the rate grows as 1 - exp(-t / growth) and ends at `stop_us`."""

    at: tuple[float, float]
    start_us: int
    stop_us: int
    growth_s: float
    rate_kg_s: float
    height_m: float

    def rate_at(self, city_us: FloatArray) -> FloatArray:
        """kg/s."""
        since_s = (city_us - self.start_us) / 1e6
        grown = self.rate_kg_s * (1.0 - np.exp(-np.maximum(since_s, 0.0) / self.growth_s))
        return np.where((since_s >= 0) & (city_us < self.stop_us), grown, 0.0)


def concentration_mg_m3(
    leak: Leak, point: tuple[float, float], city_us: FloatArray, east_ms: FloatArray, north_ms: FloatArray
) -> FloatArray:
    """Concentration at a point near the ground, mg/m3, for the wind of each moment. Travel time is ignored: near field."""
    meander = np.radians(MEANDER_DEG) * np.sin(2 * math.pi * (city_us / 1e6) / MEANDER_PERIOD_S)
    speed = np.maximum(np.hypot(east_ms, north_ms), 0.5)
    heading = np.arctan2(north_ms, east_ms) + meander
    dx, dy = point[0] - leak.at[0], point[1] - leak.at[1]
    along = dx * np.cos(heading) + dy * np.sin(heading)
    across = -dx * np.sin(heading) + dy * np.cos(heading)
    x_km = np.maximum(along, 1.0) / 1000.0
    sigma_y = JET_SIZE_M + 68.0 * x_km**0.894
    sigma_z = JET_SIZE_M + np.maximum(33.2 * x_km**0.725 - 1.7, 0.0)
    vertical = np.exp(-((DETECTOR_HEIGHT_M - leak.height_m) ** 2) / (2 * sigma_z**2)) + np.exp(
        -((DETECTOR_HEIGHT_M + leak.height_m) ** 2) / (2 * sigma_z**2)
    )
    plume = leak.rate_at(city_us) / (2 * math.pi * speed * sigma_y * sigma_z) * np.exp(-(across**2) / (2 * sigma_y**2))
    return np.where(along > 0, plume * vertical * 1e6, 0.0)


def sensor(values: FloatArray, step_s: float, tau_s: float = SENSOR_TAU_S) -> FloatArray:
    """First-order response to a series with a constant step; same shape; starts at the first value."""
    gain = 1.0 - math.exp(-step_s / tau_s)
    out = np.empty_like(values)
    held = float(values[0])
    for i, value in enumerate(values):
        held += gain * (float(value) - held)
        out[i] = held
    return out
