"""The physical state of the district during a scenario, without noise: what every device would read were it perfect.

Computed once on grids at the start (a few milliseconds a device), then looked up by city time. Both the devices and the
ground truth read it; nothing else does.
"""

from __future__ import annotations

import math
import zlib

import numpy as np
import numpy.typing as npt

from devices.registry import Device
from simulators.catalogue import PLANTS
from simulators.district import District
from simulators.leak import Leak, concentration_mg_m3, sensor
from simulators.placement import river_gauges
from simulators.river import DATA, Hydrograph, River
from simulators.scenario import Scenario, epoch_us
from simulators.shapes import lonlat, plane_xy
from simulators.underpass import BASINS, depth_m
from simulators.weather import EXPOSURES, OPEN, Storm, from_direction_deg, read_track

FloatArray = npt.NDArray[np.float64]

GRID_S = 60.0
GAS_GRID_S = 2.0
BEFORE_S = 3 * 3600.0  # rain that fell before the start stands in the gauges
AFTER_S = 3 * 3600.0
M2_PERIOD_S = 44_714.0  # 12.4206 h
_AIR_MEAN = {
    "pm25_1h_ug_m3": 14.0,
    "pm10_1h_ug_m3": 26.0,
    "o3_1h_ug_m3": 62.0,
    "no2_1h_ug_m3": 17.0,
    "so2_1h_ug_m3": 6.0,
    "co_1h_mg_m3": 0.6,
}


class World:
    """`series(device_id)` gives property -> (time grid in city microseconds, values)."""

    def __init__(self, scenario: Scenario, district: District) -> None:
        self.scenario = scenario
        self.district = district
        self.storm = Storm(read_track(DATA / scenario.typhoon.track), scenario.typhoon.peak_rain_mm_per_h)
        self.river = River(
            hydrograph=Hydrograph.swindale(DATA / scenario.river.hydrograph),
            anchor_record_us=epoch_us(scenario.river.record_at_start),
            anchor_city_us=scenario.start_us,
        )
        self.leak = self._leak()
        first, last = scenario.start_us - BEFORE_S * 1e6, scenario.end_us + AFTER_S * 1e6
        self.grid_us: FloatArray = np.arange(first, last, GRID_S * 1e6)
        self._series: dict[str, dict[str, tuple[FloatArray, FloatArray]]] = {
            device.device_id: self._of(device) for device in district.devices()
        }

    def value(self, device_id: str, prop: str, city_us: npt.ArrayLike) -> FloatArray:
        """The noise-free value at any city times; linear on the grid, constant outside. KeyError for a stranger."""
        times, values = self._series[device_id][prop]
        return np.asarray(np.interp(np.asarray(city_us, dtype=np.float64), times, values))

    def properties(self, device_id: str) -> list[str]:
        return list(self._series[device_id])

    def series(self, device_id: str) -> dict[str, tuple[FloatArray, FloatArray]]:
        return self._series[device_id]

    def _leak(self) -> Leak | None:
        doc = self.scenario.leak
        if doc is None:
            return None
        tank = next(tank for plant in PLANTS for tank in plant.tanks if tank.tank_id == doc.tank)
        return Leak(
            at=tank.at,
            start_us=epoch_us(doc.start),
            stop_us=epoch_us(doc.stop),
            growth_s=doc.growth_s,
            rate_kg_s=doc.rate_kg_s,
            height_m=doc.release_height_m,
        )

    def _of(self, device: Device) -> dict[str, tuple[FloatArray, FloatArray]]:
        makers = {
            "water_gauge": self._water,
            "rain_wind_station": self._weather,
            "air_station": self._air,
            "gas_detector": self._gas,
            "camera": self._camera,
        }
        return makers[device.kind](device)

    def _water(self, device: Device) -> dict[str, tuple[FloatArray, FloatArray]]:
        battery = 12.7 - 0.3 * (self.grid_us - self.grid_us[0]) / (self.grid_us[-1] - self.grid_us[0])
        series = {"battery_v": (self.grid_us, battery)}
        if device.attributes.get("property") == "depth_m":
            series["depth_m"] = (self.grid_us, self._depth(device))
        elif device.attributes.get("tidal"):
            series["stage_m"] = (self.grid_us, self._tide(device))
        else:
            gauge = next(g for g in river_gauges() if g.device_id == device.device_id)
            series["stage_m"] = (self.grid_us, self.river.stage_at(gauge, self.grid_us))
        return series

    def _depth(self, device: Device) -> FloatArray:
        number = int(device.device_id.rsplit("-", 1)[1])
        basin = BASINS[(number - 1) % len(BASINS)]
        return depth_m(basin, self.storm.rain_at(device.lon, device.lat, self.grid_us), GRID_S)

    def _tide(self, device: Device) -> FloatArray:
        """Astronomic tide (M2 alone) plus inverse barometer (0.995 cm per hPa) plus wind set-up of the shelf."""
        doc = self.scenario.tide
        phase = 2 * math.pi * (self.grid_us - epoch_us(doc.high_water)) / 1e6 / M2_PERIOD_S
        pressure = self.storm.pressure_at(device.lon, device.lat, self.grid_us)
        east, north = self.storm.wind_at(device.lon, device.lat, self.grid_us)
        onshore = np.maximum(0.0, -0.9 * east + 0.2 * north)  # the bay opens to the east
        return np.asarray(
            doc.mean_m + doc.m2_amplitude_m * np.cos(phase) + 0.00995 * (1013.0 - pressure) + 0.0011 * onshore**2
        )

    def _weather(self, device: Device) -> dict[str, tuple[FloatArray, FloatArray]]:
        site = EXPOSURES.get(device.device_id, OPEN)
        east, north = self.storm.wind_at(device.lon, device.lat, self.grid_us)
        mean = np.hypot(east, north) * site.wind
        rain = self.storm.rain_at(device.lon, device.lat, self.grid_us) * site.rain
        fallen = np.concatenate([[0.0], np.cumsum(rain * GRID_S / 3600.0)])
        values = {
            "rain_5min_mm": _window(fallen, 5),
            "rain_1h_mm": _window(fallen, 60),
            "wind_10min_ms": mean,
            "gust_3s_ms": mean * site.gust,
            "wind_dir_deg": from_direction_deg(east, north),
            "pressure_hpa": self.storm.pressure_at(device.lon, device.lat, self.grid_us),
            "temp_c": np.full_like(mean, 26.2) - 0.03 * rain,
        }
        return {key: (self.grid_us, series) for key, series in values.items()}

    def _air(self, device: Device) -> dict[str, tuple[FloatArray, FloatArray]]:
        # A stormy night washes the air: low, slowly wandering means.
        phase = zlib.crc32(device.device_id.encode()) % 628 / 100.0
        drift = 1.0 + 0.25 * np.sin(self.grid_us / 3.6e9 / 3.1 + phase)
        return {key: (self.grid_us, mean * drift) for key, mean in _AIR_MEAN.items()}

    def _gas(self, device: Device) -> dict[str, tuple[FloatArray, FloatArray]]:
        key = str(device.attributes["property"])
        leak = self.leak
        doc = self.scenario.leak
        if leak is None or doc is None or doc.property != key:
            return {key: (self.grid_us, np.zeros_like(self.grid_us))}
        times = np.arange(leak.start_us - 60e6, leak.stop_us + 300e6, GAS_GRID_S * 1e6)
        lon, lat = lonlat(*leak.at)
        east, north = self.storm.wind_at(lon, lat, times)
        read = concentration_mg_m3(leak, plane_xy(device.lon, device.lat), times, east * OPEN.wind, north * OPEN.wind)
        return {key: (times, sensor(read, GAS_GRID_S))}

    def _camera(self, device: Device) -> dict[str, tuple[FloatArray, FloatArray]]:
        series = {"fps": (self.grid_us, np.full_like(self.grid_us, 25.0))}
        if device.device_id.startswith("cam-underpass-"):
            twin = next(
                d
                for d in self.district.devices()
                if d.device_id.startswith("wg-underpass-")
                and d.attributes.get("road_edges") == device.attributes.get("road_edges")
            )
            series["water_depth_m"] = (self.grid_us, self._depth(twin))
        return series


def _window(fallen: FloatArray, minutes: int) -> FloatArray:
    """Sum over the last minutes from a cumulated series with one more element than the result."""
    lagged = np.concatenate([np.zeros(minutes), fallen])[: len(fallen)]
    return np.asarray((fallen - lagged)[1:])
