"""One value of one property: is it of the right kind, is it physically possible, how good is it?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from devices.codecs.samples import shown
from devices.models import DeviceModel
from devices.properties import ObservedProperty
from devices.registry import Datastream
from stream.records import Quality, Source

TEXT_MAX = 1024  # characters of a text value
_WORSE = {1: 0, 2: 1, 3: 2, 4: 3, 9: 4}  # QARTOD codes in the order of how little they are worth
_WORTH = np.zeros(10, np.uint8)
_WORTH[list(_WORSE)] = list(_WORSE.values())


@dataclass(frozen=True, slots=True)
class Checked:
    """A value that goes into the log. `result` is None for text, `text` is None for numbers."""

    result: float | None
    text: str | None
    quality: int
    source: Source


class WrongValue(ValueError):
    """The value cannot be this property's; the text is written for the vendor."""


def check(
    key: str,
    value: Any,
    stream: Datastream,
    model: DeviceModel | None,
    device_code: int | None,
    *,
    over: bool = False,
) -> Checked:
    """Validate a value. Raises WrongValue.

    `over`: the device itself says that the true value lies beyond its range. Whatever number it sends with that counts as at
    least full scale.

    Out of physical range is flagged, never dropped: a gauge under water reads "over range" (design.md section 2). A quality
    code of the device makes ours worse, never better.
    """
    if stream.kind == "text":
        return _text(key, value, device_code)
    known = model.properties.get(key) if model else None
    if over and stream.kind == "number":
        return _beyond(key, value, stream, known, device_code)
    number = _number(key, value, stream)
    quality, source = Quality.GOOD.value, Source(0)
    side = known.side(number) if known and stream.kind == "number" else "inside"
    if side != "inside":
        quality = Quality.SUSPECT.value
        source = Source.OVER_RANGE if side == "over" else Source.UNDER_RANGE
    return Checked(number, None, worse(quality, device_code), source)


def _beyond(
    key: str, value: Any, stream: Datastream, known: ObservedProperty | None, device_code: int | None
) -> Checked:
    scale = known.range_max if known is not None else None
    number = None if value is None else _number(key, value, stream)
    full = max((x for x in (number, scale) if x is not None), default=None)
    if full is None:
        raise WrongValue(f"values.{key}: expected number ({stream.uom}), got nothing, and no full scale is known")
    return Checked(full, None, worse(Quality.SUSPECT.value, device_code), Source.OVER_RANGE)


def worse(ours: int, device_code: int | None) -> int:
    """The worse of two QARTOD codes."""
    if device_code is None:
        return ours
    return max(ours, int(device_code), key=_WORSE.__getitem__)


def worst(ours: npt.NDArray[np.uint8], others: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """`worse` for columns of QARTOD codes, (n,) each; ours where they are worth the same."""
    return np.where(_WORTH[others] > _WORTH[ours], others, ours)


def _number(key: str, value: Any, stream: Datastream) -> float:
    if stream.kind == "bool":
        if isinstance(value, bool) or value in (0, 1):
            return float(value)
        raise WrongValue(f"values.{key}: expected true or false, got {shown(value)}")
    if isinstance(value, bool) or not isinstance(value, int | float):
        hint = "; leave a missing value out" if value is None else ""
        raise WrongValue(f"values.{key}: expected number ({stream.uom}), got {shown(value)}{hint}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise WrongValue(f"values.{key}: expected a finite number ({stream.uom}), got {shown(value)}")
    return number


def _text(key: str, value: Any, device_code: int | None) -> Checked:
    if not isinstance(value, str):
        raise WrongValue(f"values.{key}: expected text, got {shown(value)}")
    if len(value) > TEXT_MAX:
        raise WrongValue(f"values.{key}: expected at most {TEXT_MAX} characters, got {len(value)}")
    return Checked(None, value, worse(Quality.GOOD, device_code), Source(0))
