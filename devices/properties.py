"""Observed properties: what a series measures, in which unit of measurement, and what is physically possible.

Adding a quantity is adding a row to a device model's YAML document, not a branch; the units that may stand there are the
table below (UCUM codes, https://ucum.org/ucum, section 4).
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec

PropertyKind = Literal["number", "bool", "text"]

# UCUM code -> (Chinese, English) as shown on screens.
UOMS: dict[str, tuple[str, str]] = {
    "1": ("", ""),
    "1/s": ("帧/秒", "1/s"),
    "m": ("米", "m"),
    "mm": ("毫米", "mm"),
    "m/s": ("米/秒", "m/s"),
    "km/h": ("千米/小时", "km/h"),
    "deg": ("度", "°"),
    "hPa": ("百帕", "hPa"),
    "Cel": ("℃", "°C"),
    "V": ("伏", "V"),
    "dBm": ("分贝毫瓦", "dBm"),
    "dB": ("分贝", "dB"),
    "ug/m3": ("微克/立方米", "µg/m³"),
    "mg/m3": ("毫克/立方米", "mg/m³"),
}


class SpikeSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A value stands out of those before and behind it by more than this, in the property's unit."""

    suspect: float
    fail: float = math.inf


class FlatSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All values of so many seconds lie within `eps`. `not_at`: a value at which a series may rest for ever (a gas at 0)."""

    eps: float
    suspect_s: float
    fail_s: float = math.inf
    not_at: float | None = None


class AttenuatedSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The values of a window of so many seconds differ by less than `min_range`."""

    window_s: float
    min_range: float


class MonthsSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is ordinary in some months (1 to 12), both ends included."""

    months: list[int]
    range: tuple[float, float]


class QualitySpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The tests of quality control that a property gets (ingest/quality.py), in the property's unit; what is left out is not tested.

    `rate_per_min`: a faster change is suspect. `user_range`: what can be, within what the instrument can show.
    """

    user_range: tuple[float, float] | None = None
    rate_per_min: float | None = None
    spike: SpikeSpec | None = None
    flat: FlatSpec | None = None
    attenuated: AttenuatedSpec | None = None
    climatology: list[MonthsSpec] = []


class ObservedProperty(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One property of a device model.

    `range_min` and `range_max` are the instrument's physical range in `uom`, both included; None where the kind is not
    number. A value outside is kept and flagged, and counts as at least full scale (design.md section 2).
    `optional`: a device of this model may be built without it; see `devices.models.properties_of`.
    """

    key: str
    uom: str
    kind: PropertyKind
    name_zh: str
    name_en: str
    range_min: float | None = None
    range_max: float | None = None
    description: str = ""
    optional: bool = False
    quality: QualitySpec | None = None

    def side(self, value: float) -> Literal["under", "inside", "over"]:
        """Where a number lies to the physical range. NaN is neither: the caller refuses it before it comes here."""
        if math.isnan(value):
            raise ValueError(f"{self.key}: NaN is not a measurement")
        if self.range_min is not None and value < self.range_min:
            return "under"
        if self.range_max is not None and value > self.range_max:
            return "over"
        return "inside"

    def accepts(self, value: object) -> bool:
        """Whether a JSON value has this property's type: number (not bool, finite), bool, or text."""
        if self.kind == "bool":
            return isinstance(value, bool)
        if self.kind == "text":
            return isinstance(value, str)
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
