"""What no row and no answer can hold: characters that are none, numbers that are none or too large. Refused by name at the door,
and cut out of what a refusal repeats.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from command_center.errors import Invalid

MAX_INTEGER = 2**63 - 1


def why_not(value: Any, where: str = "") -> str | None:
    """What is wrong with a JSON value, deep inside, and where; None when it can be stored and sent again."""
    if isinstance(value, str):
        return None if storable(value) else f"{where or 'text'}: NUL and lone surrogates are no characters"
    if isinstance(value, float):
        return None if math.isfinite(value) else f"{where or 'number'}: expected a finite number"
    if isinstance(value, int):
        return None if abs(value) <= MAX_INTEGER else f"{where or 'number'}: expected a number of at most 64 bits"
    if isinstance(value, Mapping):
        inside = ((k, f"{where}.{k}" if where and storable(str(k)) else where) for k in value)
        return next((w for k, at in inside if (w := why_not(k, where) or why_not(value[k], at))), None)
    if isinstance(value, (list, tuple)):
        return next((w for n, v in enumerate(value) if (w := why_not(v, f"{where}[{n}]"))), None)
    return None


def must_be_plain(value: Any, where: str) -> None:
    """Raises Invalid."""
    if (why := why_not(value, where)) is not None:
        raise Invalid(why)


def storable(text: str) -> bool:
    if "\x00" in text:
        return False
    return text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text)


def sayable(value: Any) -> Any:
    """The value as an answer can repeat it."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if abs(value) <= MAX_INTEGER else None
    if isinstance(value, Mapping):
        return {sayable(str(k)): sayable(v) for k, v in value.items()}
    if isinstance(value, Sequence):
        return [sayable(v) for v in value]
    return value
