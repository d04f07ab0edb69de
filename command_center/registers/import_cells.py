"""Cells of positions, read as people write them: degrees, degrees-minutes-seconds, two numbers in one cell, WKT, GeoJSON. Pure."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely
from shapely.geometry import mapping, shape
from shapely.geometry.base import BaseGeometry

from command_center.registers.targets import Problem
from gis.crs import is_projected, to_wgs84
from gis.formats.sheet import text_of
from gis.points import FloatArray

ECHO_CHARS = 60
DECIMALS = 7  # 1 cm
_DMS = re.compile(
    r"""(?P<sign>[+-])?\s*(?P<d>\d{1,3}(?:\.\d+)?)\s*[°度ºd:\s]\s*
        (?:(?P<m>\d{1,2}(?:\.\d+)?)\s*(?:['′分m:\s]|$)\s*)?
        (?:(?P<s>\d{1,2}(?:\.\d+)?)\s*(?:["″秒s]|''|$)?)?\s*""",
    re.VERBOSE | re.IGNORECASE,
)
_HEMISPHERE = {
    "n": 1,
    "e": 1,
    "s": -1,
    "w": -1,
    "北纬": 1,
    "东经": 1,
    "南纬": -1,
    "西经": -1,
    "北": 1,
    "东": 1,
    "南": -1,
    "西": -1,
}
_WKT = re.compile(r"\s*(SRID=\d+;)?\s*(MULTI)?(POINT|LINESTRING|POLYGON)|\s*GEOMETRYCOLLECTION", re.IGNORECASE)


class BadPosition(ValueError):
    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.zh, self.en = zh, en


def number(cell: Any) -> float:
    """A coordinate: a number, a number as text, or degrees-minutes-seconds. Raises BadPosition.

    >>> round(number("121°27′08.5″E"), 6), number("28.68"), number("北纬28度40分48秒")
    (121.452361, 28.68, 28.68)
    """
    if isinstance(cell, bool):
        raise BadPosition("应为坐标数字", "expected a coordinate")
    if isinstance(cell, (int, float)):
        return float(cell)
    raw = text_of(cell).replace("″", '"').replace("′", "'").replace("”", '"').replace("’", "'")
    text = unicodedata.normalize("NFKC", raw).strip()
    sign = 1
    lower = text.lower()
    for word, factor in _HEMISPHERE.items():
        if lower.startswith(word) or lower.endswith(word):
            sign = factor
            text = text[len(word) :] if lower.startswith(word) else text[: -len(word)]
            break
    text = text.strip().removesuffix("°").removesuffix("度").strip()
    try:
        return sign * float(text.replace(",", "") if re.fullmatch(r"\d{1,3}(,\d{3})+(\.\d+)?", text) else text)
    except ValueError:
        return sign * _dms(text)


def _dms(text: str) -> float:
    found = _DMS.fullmatch(text)
    if found is None or found["m"] is None:
        raise BadPosition("应为坐标，如 121.4523 或 121°27′08.5″", "expected a coordinate, as 121.4523 or 121°27′08.5″")
    degrees, minutes, seconds = float(found["d"]), float(found["m"]), float(found["s"] or 0.0)
    if minutes >= 60 or seconds >= 60:
        raise BadPosition("分、秒应小于 60", "minutes and seconds are below 60")
    return (degrees + minutes / 60.0 + seconds / 3600.0) * (-1 if found["sign"] == "-" else 1)


def pair(cell: Any) -> tuple[float, float]:
    """Two numbers of one cell, as they stand: `121.45,28.68`, `121.45 28.68`, or a list. Raises BadPosition."""
    if isinstance(cell, (list, tuple)) and len(cell) >= 2:
        return number(cell[0]), number(cell[1])
    text = unicodedata.normalize("NFKC", text_of(cell)).strip().strip("()[]（）")
    parts = [p for p in re.split(r"[,;、，；]\s*|\s{1,}(?=[-+\d东北EN])", text) if p]
    if len(parts) != 2:
        raise BadPosition("应为两个坐标，如 121.4523,28.6841", "expected two coordinates, as 121.4523,28.6841")
    return number(parts[0]), number(parts[1])


def geometry(cell: Any) -> BaseGeometry:
    """WKT or GeoJSON in a cell. Raises BadPosition."""
    try:
        if isinstance(cell, dict):
            found = shape(cell)
        elif (text := text_of(cell).strip()).startswith("{"):
            found = shape(json.loads(text))
        elif _WKT.match(text):
            found = shapely.from_wkt(text.partition(";")[2] if text.upper().startswith("SRID") else text)
        else:
            found = None
    except (
        AttributeError,
        KeyError,
        IndexError,
        TypeError,
        ValueError,
        RecursionError,
        shapely.errors.ShapelyError,
    ) as error:
        raise BadPosition("几何无法读取，应为 WKT 或 GeoJSON", f"not WKT or GeoJSON: {error}") from error
    if found is None:
        raise BadPosition("应为 WKT 或 GeoJSON", "expected WKT, as POINT (121.45 28.68), or GeoJSON")
    if found.is_empty:
        raise BadPosition("几何为空", "the geometry is empty")
    return shapely.force_2d(found)


def looks_like_geometry(cell: Any) -> bool:
    return isinstance(cell, dict) or bool(_WKT.match(text := text_of(cell))) or text.lstrip().startswith("{")


def echo(cell: Any) -> str:
    text = text_of(cell)
    return text if len(text) <= ECHO_CHARS else text[: ECHO_CHARS - 1] + "…"


def turned(
    east: FloatArray, north: FloatArray, rows: Sequence[int], crs: str, column: str
) -> tuple[list[tuple[float, float] | None], list[Problem]]:
    """WGS 84 positions of coordinates in `crs` (NaN: none), and a problem for each that is no place on earth."""
    with np.errstate(all="ignore"):
        lon, lat = to_wgs84(east, north, crs)
    found: list[tuple[float, float] | None] = []
    problems = []
    for i, row in enumerate(rows):
        x, y = float(lon[i]), float(lat[i])
        if np.isnan(east[i]) or np.isnan(north[i]):
            found.append(None)
        elif np.isfinite(x) and np.isfinite(y) and -180 <= x <= 180 and -90 <= y <= 90:
            found.append((round(x, DECIMALS), round(y, DECIMALS)))
        else:
            found.append(None)
            problems.append(_off_the_earth(row, column, float(east[i]), float(north[i]), crs))
    return found, problems


def _off_the_earth(row: int, column: str, x: float, y: float, crs: str) -> Problem:
    zh, en = ("投影坐标超出范围", "outside the range of these metres") if is_projected(crs) else (
        "经度应在 -180 至 180、纬度在 -90 至 90 之间（经度在前）",
        "expected a longitude of -180..180 and a latitude of -90..90, longitude first",
    )  # fmt: skip
    return Problem(row=row, column=column, value=f"{x:g},{y:g}", zh=zh, en=f"{en} ({crs})")


def as_geojson(drawn: BaseGeometry) -> dict[str, Any]:
    """GeoJSON with rounded coordinates and lists, as it comes back from JSON: equal to what stands."""
    drawn = shapely.transform(drawn, lambda c: c.round(DECIMALS))
    found: dict[str, Any] = json.loads(json.dumps(mapping(drawn)))
    return found
