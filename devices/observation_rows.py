"""A row of a file of observations, between who reads files and who judges values."""

from __future__ import annotations

from typing import Any, NamedTuple


class FileRow(NamedTuple):
    """A row whose cells are of their kinds; nothing is known yet of whether they can be. Times in microseconds."""

    line: int
    device_id: str
    property: str
    uom: str
    phenomenon_us: int | None
    receive_us: int | None
    device_us: int | None
    result: float | None
    text: str | None
    quality: int | None
    source: int | None


class RefusedRow(NamedTuple):
    """Why a row is not taken."""

    line: int
    field: str
    expected: str
    got: Any
