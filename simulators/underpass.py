"""Water in an underpass: rain on its catchment, less what drains and pumps take, in a basin with sloping ramps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Basin:
    """`gather`: catchment area over floor area. `drain_mm_per_h`: rain that drains and pumps can take away."""

    gather: float
    drain_mm_per_h: float
    full_m: float = 2.4  # above this the water leaves over the ramps


# One for each underpass, south to north as the network numbers them; the fourth, on the way that must stay open, is well drained.
BASINS: tuple[Basin, ...] = (
    Basin(gather=16.0, drain_mm_per_h=27.0),
    Basin(gather=30.0, drain_mm_per_h=19.0),
    Basin(gather=20.0, drain_mm_per_h=24.0),
    Basin(gather=14.0, drain_mm_per_h=80.0),
    Basin(gather=32.0, drain_mm_per_h=16.0),
)


def depth_m(basin: Basin, rain_mm_per_h: FloatArray, step_s: float) -> FloatArray:
    """Depth at the lowest point after each step, m; starts dry. `rain_mm_per_h`: shape (n,), one value a step.

    The floor is flat and the ramps slope, so the water's surface grows with its depth: volume per floor area
    v = d + 1.5 d^2, solved for d.
    """
    volume = np.empty_like(rain_mm_per_h)
    held = 0.0
    for i, rain in enumerate(rain_mm_per_h):
        held = max(0.0, held + (float(rain) - basin.drain_mm_per_h) / 1000.0 * basin.gather * step_s / 3600.0)
        held = min(held, basin.full_m + 1.5 * basin.full_m**2)
        volume[i] = held
    return np.asarray((np.sqrt(1.0 + 6.0 * volume) - 1.0) / 3.0)
