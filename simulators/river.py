"""The river: a real flood's hydrograph, scaled, delayed along the reach, and turned into stage by a rating curve.

Swindale (Cumbria), 18 to 21 November 2009, gives the share of the peak flow at each moment; see data/README.md for
source and licence. The scenario says which moment of it stands at which city time.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

DATA = Path(__file__).parent / "data"
# Share of the peak flow at which each colour begins: the level table of scenarios/lekima-night.yaml and of the gauges.
# Red must be at or under 0.65, because the steepest five hours from 0.1 reach no further (issue 2, item 10).
LEVEL_FRACTIONS = {"blue": 0.15, "yellow": 0.30, "orange": 0.45, "red": 0.60}
RATING_EXPONENT = 0.6  # Manning's wide channel: flow grows with depth to the power 5/3


@dataclass(frozen=True, slots=True, kw_only=True)
class RiverGauge:
    """A gauge's hydraulics. `lag_s`: travel time of the flood wave from the head of the reach."""

    device_id: str
    fraction: float  # of the reach's length
    lag_s: float
    bed_m: float  # elevation of the gauge zero
    peak_depth_m: float  # depth at the peak of the flood
    peak_flow_m3s: float


def stage_m(gauge: RiverGauge, share: npt.ArrayLike) -> FloatArray:
    """Stage above datum, m, where `share` of the peak flow runs; any shape; NaN stays NaN. Depth = peak * share^0.6."""
    return np.asarray(gauge.bed_m + gauge.peak_depth_m * np.asarray(share, dtype=np.float64) ** RATING_EXPONENT)


def level_table(gauge: RiverGauge) -> dict[str, float]:
    """Stage at which each colour begins at this gauge, m, rounded to the centimetre."""
    return {colour: round(float(stage_m(gauge, share)), 2) for colour, share in LEVEL_FRACTIONS.items()}


class Hydrograph:
    """Share of the peak flow over time since the start of the record."""

    def __init__(self, seconds: FloatArray, share: FloatArray, origin_us: int) -> None:
        self._seconds = seconds
        self._share = share
        self.origin_us = origin_us  # of the record, its own calendar

    @classmethod
    def swindale(cls, path: Path = DATA / "swindale_2009.csv") -> Hydrograph:
        """Read the extract. Raises ValueError if the file holds no rows."""
        with path.open(encoding="utf-8") as file:
            rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
        if not rows:
            raise ValueError(f"{path} has no rows")
        times = [datetime.strptime(row["time_utc"], "%Y-%m-%dT%H:%MZ").replace(tzinfo=UTC) for row in rows]
        seconds = np.array([(t - times[0]).total_seconds() for t in times])
        flow = np.array([float(row["flow_m3s"]) for row in rows])
        return cls(seconds, flow / flow.max(), round(times[0].timestamp() * 1e6))

    def share(self, record_s: npt.ArrayLike) -> FloatArray:
        """Share of the peak flow (0..1) at seconds since the record's start; linear between rows, constant outside."""
        return np.asarray(np.interp(np.asarray(record_s, dtype=np.float64), self._seconds, self._share))


@dataclass(frozen=True, slots=True, kw_only=True)
class River:
    """The scenario's river: record moment `anchor_record_us` stands at city time `anchor_city_us` at the reach's head."""

    hydrograph: Hydrograph
    anchor_record_us: int
    anchor_city_us: int

    def share_at(self, gauge: RiverGauge, city_us: npt.ArrayLike) -> FloatArray:
        """Share of the peak flow at the gauge. City microseconds, any shape."""
        since_s = (np.asarray(city_us, dtype=np.float64) - self.anchor_city_us) / 1e6 - gauge.lag_s
        return self.hydrograph.share((self.anchor_record_us - self.hydrograph.origin_us) / 1e6 + since_s)

    def stage_at(self, gauge: RiverGauge, city_us: npt.ArrayLike) -> FloatArray:
        return stage_m(gauge, self.share_at(gauge, city_us))
