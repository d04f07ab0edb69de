"""What a device makes of the truth: noise, resolution, full scale. Seeded per device, so that a run can be repeated."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from devices.registry import Device
from simulators.world import World

US = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """Standard deviation (absolute and relative), resolution, and the instrument's own limits."""

    sd: float
    relative: float = 0.0
    step: float = 0.01
    low: float = 0.0
    high: float = float("inf")


NOISE: dict[str, Noise] = {
    "stage_m": Noise(sd=0.006, low=-10.0),  # waves and the float; see hazards.md B1 on 0.05 m of hysteresis
    "depth_m": Noise(sd=0.004),
    "battery_v": Noise(sd=0.02),
    "rain_5min_mm": Noise(sd=0.0, relative=0.03, step=0.1),
    "rain_1h_mm": Noise(sd=0.0, relative=0.01, step=0.1),
    "wind_10min_ms": Noise(sd=0.15, relative=0.01, step=0.1),
    "gust_3s_ms": Noise(sd=0.25, relative=0.012, step=0.1),
    "wind_dir_deg": Noise(sd=4.0, step=1.0),
    "pressure_hpa": Noise(sd=0.12, step=0.1),
    "temp_c": Noise(sd=0.1, step=0.1, low=-40.0),
    "cl2_mg_m3": Noise(sd=0.03, relative=0.02, high=58.0),
    "nh3_mg_m3": Noise(sd=0.5, relative=0.02, step=0.1, high=70.0),
    "fps": Noise(sd=0.2, step=0.1),
}
_OTHER = Noise(sd=0.0, relative=0.05, step=0.1)


def sample_interval_s(device: Device) -> float:
    """City seconds between two samples of a device. Denser than its registered interval: a backlog shows no gap."""
    return {"gas_detector": 10.0, "water_gauge": 60.0, "rain_wind_station": 60.0, "air_station": 300.0}.get(
        device.kind, 120.0
    )


class Instrument:
    """The readings of one device."""

    def __init__(self, device: Device, world: World, seed: int) -> None:
        self.device = device
        self._world = world
        self._rng = np.random.default_rng([seed, zlib.crc32(device.device_id.encode())])
        self._properties = [p for p in world.properties(device.device_id) if p != "water_depth_m"]
        self._interval_us = round(sample_interval_s(device) * US)
        # Not all at once: a fixed phase per device spreads the samples over the interval.
        self._phase_us = zlib.crc32(device.device_id.encode()) % 1000 * self._interval_us // 1000
        if device.kind == "gas_detector":
            self._phase_us = 0  # a controller polls all detectors of a site together

    def next_sample_us(self, after_us: int) -> int:
        """The first sampling moment after a time."""
        return ((after_us - self._phase_us) // self._interval_us + 1) * self._interval_us + self._phase_us

    def set_interval(self, interval_s: float) -> None:
        """Sample every `interval_s` seconds of city time from now on, at the same phase."""
        self._interval_us = round(interval_s * 1e6)

    def read(self, city_us: int) -> dict[str, float]:
        """Values at a moment, with noise, at the instrument's resolution."""
        return {key: self._one(key, city_us) for key in self._properties}

    def water_depth_m(self, city_us: int) -> float | None:
        """What a camera at an underpass can see; None for other devices."""
        if "water_depth_m" not in self._world.properties(self.device.device_id):
            return None
        return float(self._world.value(self.device.device_id, "water_depth_m", city_us))

    def _one(self, key: str, city_us: int) -> float:
        noise = NOISE.get(key, _OTHER)
        true = float(self._world.value(self.device.device_id, key, city_us))
        read = true * (1.0 + noise.relative * self._rng.standard_normal()) + noise.sd * self._rng.standard_normal()
        if key == "wind_dir_deg":
            return float(round(read) % 360)
        if key == "depth_m" and true < 0.005:
            read = max(0.0, true)  # a dry floor reads dry
        return round(round(min(max(read, noise.low), noise.high) / noise.step) * noise.step, 3)
