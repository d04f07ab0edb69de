"""Coordinate systems at our doors: what comes in becomes WGS 84, what goes out may leave as something else.

Inside everything is WGS 84. CGCS2000 in degrees (EPSG:4490) is taken as WGS 84: the two frames differ by centimetres, less than any
position that we receive. Gauss-Kruger metres (EPSG:4491-4554) go through pyproj. GCJ-02 (the offset of maps published in China) and
BD-09 (Baidu's further offset) are kernels of our own.

GCJ-02 is not published; the formulas are those that the open-source world found (googollee/eviltransform and
wandergis/coordtransform, both MIT; ellipsoid of Krasovsky 1940), BD-09 those of Baidu's early client. They agree with the real
transformation to a few metres; our inverse undoes our forward to less than 1e-9 degrees (0.1 mm), which the tests hold.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyproj
import shapely
from shapely.geometry.base import BaseGeometry

from gis.points import FloatArray, haversine_m, local_xy_m

WGS84 = "EPSG:4326"
CGCS2000 = "EPSG:4490"
GCJ02 = "GCJ-02"
BD09 = "BD-09"
GAUSS_KRUGER = range(4491, 4555)  # 6-degree 4491-4512, 3-degree 4513-4554; 4549 is the 3-degree belt of 120 E
BY_MERIDIAN_3DEG = range(4534, 4555)  # without a zone number before the easting: 75 E, 78 E ... 135 E

_NAMES = {
    "wgs84": WGS84, "wgs1984": WGS84, "epsg4326": WGS84, "4326": WGS84, "gps": WGS84, "epsg4979": WGS84, "crs84": WGS84,
    "cgcs2000": CGCS2000, "epsg4490": CGCS2000, "4490": CGCS2000, "国家大地2000": CGCS2000, "国家2000": CGCS2000,
    "gcj02": GCJ02, "gcj": GCJ02, "火星坐标": GCJ02, "高德": GCJ02, "腾讯": GCJ02, "amap": GCJ02,
    "bd09": BD09, "bd09ll": BD09, "百度": BD09, "baidu": BD09,
}  # fmt: skip

# The rectangle outside of which the offset is not applied; it contains pieces of China's neighbours too.
CHINA_LON, CHINA_LAT = (72.004, 137.8347), (0.8293, 55.8271)

_A_M, _EE = 6_378_245.0, 0.006_693_421_622_965_943_23  # Krasovsky 1940
_BD_PI = np.pi * 3000.0 / 180.0
_INVERSE_TOLERANCE_DEG = 1e-11
_INVERSE_STEPS = 20  # each step gains two to three digits; five are enough


class UnknownCrs(ValueError):
    """A coordinate system that we do not know; the text names those that we do."""


def crs_code(name: str) -> str:
    """The one code that we use for a name as people write it. Raises UnknownCrs.

    >>> crs_code("wgs 84"), crs_code("4549"), crs_code("GCJ02"), crs_code("百度")
    ('EPSG:4326', 'EPSG:4549', 'GCJ-02', 'BD-09')
    """
    plain = re.sub(r"[\s\-_:/.坐标系]", "", name.strip().lower().removeprefix("urn:ogc:def:crs:"))
    plain = re.sub(r"^(epsg|ogc)[\d]*(?=crs84$)", "", plain)
    found = _NAMES.get(plain) or _NAMES.get(plain + "坐标")
    if found is None and (match := re.fullmatch(r"(?:epsg)?(\d{4})", plain)) and int(match[1]) in GAUSS_KRUGER:
        found = f"EPSG:{match[1]}"
    if found is None:
        raise UnknownCrs(
            f"coordinate system {name!r}: expected WGS 84 (EPSG:4326), CGCS2000 (EPSG:4490), CGCS2000 Gauss-Kruger "
            f"(EPSG:{GAUSS_KRUGER[0]}-{GAUSS_KRUGER[-1]}, as 4549 for 120 E), GCJ-02 or BD-09"
        )
    return found


def is_projected(crs: str) -> bool:
    """Metres, not degrees."""
    return crs.startswith("EPSG:") and int(crs[5:]) in GAUSS_KRUGER


def inside_offset_area(lon: npt.ArrayLike, lat: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Whether GCJ-02 moves the point: inside the customary rectangle around China. False for NaN."""
    x, y = np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64)
    return np.asarray((x >= CHINA_LON[0]) & (x <= CHINA_LON[1]) & (y >= CHINA_LAT[0]) & (y <= CHINA_LAT[1]))


def wgs84_to_gcj02(lon: npt.ArrayLike, lat: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """GCJ-02 degrees of WGS 84 degrees. Arrays of any shape; outside the rectangle around China unchanged; NaN stays NaN.

    Against published pairs of the real transformation: within a few metres. Source: see the module.

    >>> [round(float(v), 6) for v in wgs84_to_gcj02(116.404, 39.915)]
    [116.410244, 39.916404]
    """
    x, y = np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64)
    dx, dy = _offset(x, y)
    inside = inside_offset_area(x, y)
    return np.where(inside, x + dx, x), np.where(inside, y + dy, y)


def gcj02_to_wgs84(lon: npt.ArrayLike, lat: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """The inverse of `wgs84_to_gcj02` by iteration, to less than 1e-9 degrees. Outside the rectangle unchanged; NaN stays NaN.

    Within 800 m of the rectangle's edge (far outside China's land) the two sides overlap and the inverse is not unique.
    """
    return _inverse(_moved, lon, lat)


def gcj02_to_bd09(lon: npt.ArrayLike, lat: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Baidu's BD-09 degrees of GCJ-02 degrees. Same domain and NaN rule as `wgs84_to_gcj02`."""
    x, y = np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64)
    u, v = _baidu(x, y)
    inside = inside_offset_area(x, y)
    return np.where(inside, u, x), np.where(inside, v, y)


def bd09_to_gcj02(lon: npt.ArrayLike, lat: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """The inverse of `gcj02_to_bd09` by iteration, to less than 1e-9 degrees."""
    return _inverse(_baidu, lon, lat)


def to_wgs84(x: npt.ArrayLike, y: npt.ArrayLike, crs: str) -> tuple[FloatArray, FloatArray]:
    """WGS 84 lon, lat of coordinates in `crs` (east first: lon, lat or easting, northing). Raises UnknownCrs.

    Gauss-Kruger: within 1 cm of the published test points for 3 degrees around the meridian; what the projection cannot undo is NaN.
    """
    east, north = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    crs = crs_code(crs)
    if crs in (WGS84, CGCS2000):
        return east, north
    if crs == GCJ02:
        return gcj02_to_wgs84(east, north)
    if crs == BD09:
        return gcj02_to_wgs84(*bd09_to_gcj02(east, north))
    lon, lat = _transformer(crs, CGCS2000).transform(east, north)
    return _finite(lon, lat)


def from_wgs84(lon: npt.ArrayLike, lat: npt.ArrayLike, crs: str) -> tuple[FloatArray, FloatArray]:
    """Coordinates in `crs`, east first, of WGS 84 lon, lat. Raises UnknownCrs."""
    x, y = np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64)
    crs = crs_code(crs)
    if crs in (WGS84, CGCS2000):
        return x, y
    if crs == GCJ02:
        return wgs84_to_gcj02(x, y)
    if crs == BD09:
        return gcj02_to_bd09(*wgs84_to_gcj02(x, y))
    east, north = _transformer(CGCS2000, crs).transform(x, y)
    return _finite(east, north)


def geometry_to_wgs84(geometry: BaseGeometry, crs: str) -> BaseGeometry:
    """Every vertex through `to_wgs84`; a height is dropped."""
    return shapely.transform(shapely.force_2d(geometry), lambda c: np.column_stack(to_wgs84(c[:, 0], c[:, 1], crs)))


def geometry_from_wgs84(geometry: BaseGeometry, crs: str) -> BaseGeometry:
    return shapely.transform(geometry, lambda c: np.column_stack(from_wgs84(c[:, 0], c[:, 1], crs)))


def _offset(lon: FloatArray, lat: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Degrees that GCJ-02 adds."""
    x, y = lon - 105.0, lat - 35.0
    waves = (20.0 * np.sin(6.0 * x * np.pi) + 20.0 * np.sin(2.0 * x * np.pi)) * 2.0 / 3.0
    north = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * np.sqrt(np.abs(x)) + waves
    north += (20.0 * np.sin(y * np.pi) + 40.0 * np.sin(y / 3.0 * np.pi)) * 2.0 / 3.0
    north += (160.0 * np.sin(y / 12.0 * np.pi) + 320.0 * np.sin(y * np.pi / 30.0)) * 2.0 / 3.0
    east = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * np.sqrt(np.abs(x)) + waves
    east += (20.0 * np.sin(x * np.pi) + 40.0 * np.sin(x / 3.0 * np.pi)) * 2.0 / 3.0
    east += (150.0 * np.sin(x / 12.0 * np.pi) + 300.0 * np.sin(x / 30.0 * np.pi)) * 2.0 / 3.0
    phi = np.radians(lat)
    magic = 1.0 - _EE * np.sin(phi) ** 2
    root = np.sqrt(magic)
    dlat = np.degrees(north / (_A_M * (1.0 - _EE) / (magic * root)))
    dlon = np.degrees(east / (_A_M / root * np.cos(phi)))
    return dlon, dlat


def _moved(lon: FloatArray, lat: FloatArray) -> tuple[FloatArray, FloatArray]:
    dx, dy = _offset(lon, lat)
    return lon + dx, lat + dy


def _baidu(lon: FloatArray, lat: FloatArray) -> tuple[FloatArray, FloatArray]:
    radius = np.hypot(lon, lat) + 0.00002 * np.sin(lat * _BD_PI)
    angle = np.arctan2(lat, lon) + 0.000003 * np.cos(lon * _BD_PI)
    return radius * np.cos(angle) + 0.0065, radius * np.sin(angle) + 0.006


def _inverse(
    forward: Callable[[FloatArray, FloatArray], tuple[FloatArray, FloatArray]], lon: npt.ArrayLike, lat: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Fixed-point iteration: the offset changes by less than 2 % of a step, so each step gains nearly two digits."""
    goal_x, goal_y = np.broadcast_arrays(np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64))
    inside = inside_offset_area(goal_x, goal_y)
    # Outside nothing is computed: a projected metre or a latitude of 4e6 would overflow on its way to being ignored.
    want_x, want_y = np.where(inside, goal_x, 105.5), np.where(inside, goal_y, 35.5)
    x, y = want_x.copy(), want_y.copy()
    for _ in range(_INVERSE_STEPS):
        got_x, got_y = forward(x, y)
        step_x, step_y = want_x - got_x, want_y - got_y
        x, y = x + step_x, y + step_y
        if max(np.max(np.abs(step_x), initial=0.0), np.max(np.abs(step_y), initial=0.0)) < _INVERSE_TOLERANCE_DEG:
            break
    return np.where(inside, x, goal_x), np.where(inside, y, goal_y)


@functools.lru_cache(maxsize=256)
def _transformer(source: str, target: str) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(source, target, always_xy=True)


def _finite(x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    bad = ~(np.isfinite(a) & np.isfinite(b))
    return np.where(bad, np.nan, a), np.where(bad, np.nan, b)


# --- is it what it was said to be?

ENOUGH_NAMES = 3  # objects of the same name that must agree before we contradict a clerk
AGREES_M = 150.0  # two registers rarely place one object more exactly than this: gate, roof, centre
DIFFERS_M = 200.0  # the offset of GCJ-02 is 300-700 m, BD-09 adds about as much
MIN_FLIPPED = 3  # points near the border that come inside only as another system


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """What the coordinates look like. `detected` equals `declared` where nothing speaks against it.

    `offset_m`: median distance between the two readings; None where they are the same or cannot be compared. `swapped`: lon and lat
    stand in each other's place. `evidence`: how many names or border points spoke.
    """

    declared: str
    detected: str
    swapped: bool = False
    offset_m: float | None = None
    warning_zh: str = ""
    warning_en: str = ""
    evidence: int = 0


def detect_offset(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    declared: str,
    *,
    boundary: BaseGeometry | None = None,
    names: Sequence[str] = (),
    references: Mapping[str, BaseGeometry] | None = None,
) -> Detection:
    """Whether coordinates declared as `declared` are more plausible as something else.

    `boundary`: the district in WGS 84. `names`: of the points, in their order; `references`: registered objects and roads by name, WGS 84.
    Points whose name is registered speak first (median distance under each reading), then the share of points inside the boundary.
    Weak evidence changes nothing: a set far from the border and without known names is taken as declared.
    """
    declared = crs_code(declared)
    east, north = (np.atleast_1d(np.asarray(v, dtype=np.float64)) for v in (x, y))
    known = np.isfinite(east) & np.isfinite(north)
    if not known.any():
        return Detection(declared=declared, detected=declared)
    named = [names[i] if i < len(names) else "" for i in np.flatnonzero(known).tolist()]
    east, north = east[known], north[known]
    shape = _wrong_shape(east, north, declared, boundary)
    if shape is not None:
        return shape
    if is_projected(declared):
        return Detection(declared=declared, detected=declared)
    readings = {crs: to_wgs84(east, north, crs) for crs in (declared, WGS84, GCJ02, BD09)}
    if declared == CGCS2000:
        del readings[WGS84]
    found = _by_names(readings, declared, named, references or {}) or _by_boundary(readings, declared, boundary)
    if found is None:
        return Detection(declared=declared, detected=declared)
    crs, evidence = found
    offset_m = float(np.median(haversine_m(*readings[declared], *readings[crs])))
    return _mix_up(declared, crs, offset_m, evidence)


def _mix_up(declared: str, detected: str, offset_m: float, evidence: int) -> Detection:
    zh = (
        f"坐标声明为 {label(declared)[0]}，但更像 {label(detected)[0]}：相差约 {offset_m:.0f} 米（{evidence} 处依据）。"
        "请核对来源后选择正确的坐标系。"
    )
    en = (
        f"declared as {label(declared)[1]}, but looks like {label(detected)[1]}: about {offset_m:.0f} m apart "
        f"({evidence} points of evidence). Check the source and choose the right system."
    )
    return Detection(
        declared=declared, detected=detected, offset_m=offset_m, warning_zh=zh, warning_en=en, evidence=evidence
    )


def label(crs: str) -> tuple[str, str]:
    """Chinese and English name of a code."""
    if is_projected(crs):
        return f"CGCS2000 高斯-克吕格（{crs}）", f"CGCS2000 Gauss-Kruger ({crs})"
    return {
        WGS84: ("WGS 84（GPS）", "WGS 84 (GPS)"),
        CGCS2000: ("CGCS2000 经纬度", "CGCS2000 degrees"),
        GCJ02: ("GCJ-02（高德、腾讯）", "GCJ-02 (Amap, Tencent)"),
        BD09: ("BD-09（百度）", "BD-09 (Baidu)"),
    }[crs]


def _wrong_shape(east: FloatArray, north: FloatArray, declared: str, boundary: BaseGeometry | None) -> Detection | None:
    """Metres given as degrees, degrees given as metres, and the two columns swapped."""
    degrees = (np.abs(east) <= 180) & (np.abs(north) <= 180)
    share = float(np.mean(degrees))
    if share < 0.5 and not is_projected(declared):
        return _metres_as_degrees(east, north, declared, boundary)
    if share > 0.5 and is_projected(declared):
        swapped = _looks_swapped(east[degrees], north[degrees], boundary)
        return _told(
            declared,
            WGS84,
            swapped,
            f"坐标声明为 {label(declared)[0]}（米），但数值是经纬度（度）",
            f"declared as {label(declared)[1]} (metres), but the numbers are degrees",
        )
    if is_projected(declared):
        return _wrong_metres(east, north, declared, boundary)
    if _looks_swapped(east, north, boundary):
        return _told(declared, declared, True, "经度与纬度写反了", "longitude and latitude are swapped")
    return None


def _told(declared: str, detected: str, swapped: bool, zh: str, en: str) -> Detection:
    return Detection(declared=declared, detected=detected, swapped=swapped, warning_zh=zh + "。", warning_en=en + ".")


def _looks_swapped(lon: FloatArray, lat: FloatArray, boundary: BaseGeometry | None) -> bool:
    if float(np.mean(np.abs(lat) > 90)) > 0.5:
        return True
    if boundary is None:
        # China: longitude 73-135, latitude 3-54. A point elsewhere whose mirror image lies in China is a swapped one.
        return float(np.mean(inside_offset_area(lat, lon) & ~inside_offset_area(lon, lat))) > 0.5
    area = boundary.buffer(0.1)
    return float(_inside(area, lat, lon).mean()) > 0.5 > float(_inside(area, lon, lat).mean())


def _metres_as_degrees(east: FloatArray, north: FloatArray, declared: str, boundary: BaseGeometry | None) -> Detection:
    best, swapped = _best_belt(east, north, boundary)
    guess_zh = f"，很可能是 {label(best)[0]}" if best else ""
    guess_en = f", most likely {label(best)[1]}" if best else ""
    turned_zh, turned_en = ("，且东、北两列写反了", ", with easting and northing swapped") if swapped else ("", "")
    return _told(
        declared,
        best or declared,
        swapped,
        f"坐标声明为 {label(declared)[0]}（度），但数值是投影坐标（米）{guess_zh}{turned_zh}",
        f"declared as {label(declared)[1]} (degrees), but the numbers are projected metres{guess_en}{turned_en}",
    )


def _wrong_metres(
    east: FloatArray, north: FloatArray, declared: str, boundary: BaseGeometry | None
) -> Detection | None:
    """Easting and northing swapped (surveyors call the northing X), or another belt than the declared one."""
    backwards = (east > 1_500_000) & (east < 7_000_000) & ((north < 1_500_000) | (north > 10_000_000))
    if float(np.mean(backwards)) > 0.5:
        return _told(declared, declared, True, "东坐标与北坐标写反了", "easting and northing are swapped")
    if boundary is None or float(_inside(boundary.buffer(0.05), *to_wgs84(east, north, declared)).mean()) > 0.5:
        return None
    best, _ = _best_belt(east, north, boundary)
    if not best or best == declared:
        return None
    return _told(
        declared,
        best,
        False,
        f"坐标声明为 {label(declared)[0]}，但只有按 {label(best)[0]} 才落在本辖区内",
        f"declared as {label(declared)[1]}, but only as {label(best)[1]} do the points lie in the district",
    )


def _best_belt(east: FloatArray, north: FloatArray, boundary: BaseGeometry | None) -> tuple[str, bool]:
    """The belt that puts the points into the district, and whether with the columns swapped; "" where none does."""
    best, best_share, swapped = "", 0.5, False
    if boundary is None:
        return best, swapped
    near = boundary.buffer(0.05)
    for crs in _belts(boundary.centroid.x):
        for turned, (a, b) in ((False, (east, north)), (True, (north, east))):
            share = float(_inside(near, *to_wgs84(a, b, crs)).mean())
            if share > best_share:
                best, best_share, swapped = crs, share, turned
    return best, swapped


def _belts(lon: float) -> list[str]:
    """Gauss-Kruger belts around a longitude, nearest first: by meridian and by zone number, 3 and 6 degrees."""
    three = min(max(round((lon - 75.0) / 3.0), 0), 20)
    six = min(max(round((lon - 75.0) / 6.0), 0), 10)
    found = [4534 + three, 4513 + three, 4502 + six, 4491 + six]
    found += [4534 + n for n in (three - 1, three + 1) if 0 <= n <= 20]
    return [f"EPSG:{number}" for number in found]


def _inside(area: BaseGeometry, lon: FloatArray, lat: FloatArray) -> npt.NDArray[np.bool_]:
    return np.asarray(shapely.contains_xy(area, lon, lat), dtype=np.bool_)


def _by_names(
    readings: Mapping[str, tuple[FloatArray, FloatArray]],
    declared: str,
    names: Sequence[str],
    references: Mapping[str, BaseGeometry],
) -> tuple[str, int] | None:
    matched = [i for i, name in enumerate(names) if name in references]
    if len(matched) < ENOUGH_NAMES:
        return None
    medians = {
        crs: float(np.median([_distance_m(lon[i], lat[i], references[names[i]]) for i in matched]))
        for crs, (lon, lat) in readings.items()
    }
    best = min(medians, key=lambda crs: medians[crs])
    speaks = medians[best] <= AGREES_M and medians[declared] >= DIFFERS_M
    return (best, len(matched)) if best != declared and speaks else None


def _distance_m(lon: float, lat: float, place: BaseGeometry) -> float:
    plane = shapely.transform(place, lambda c: np.column_stack(local_xy_m(c[:, 0], c[:, 1], lon, lat)))
    return float(plane.distance(shapely.Point(0.0, 0.0)))


def _by_boundary(
    readings: Mapping[str, tuple[FloatArray, FloatArray]], declared: str, boundary: BaseGeometry | None
) -> tuple[str, int] | None:
    if boundary is None:
        return None
    shapely.prepare(boundary)
    counts = {crs: int(_inside(boundary, lon, lat).sum()) for crs, (lon, lat) in readings.items()}
    best = max(counts, key=lambda crs: counts[crs])
    gained = counts[best] - counts[declared]
    enough = max(MIN_FLIPPED, len(readings[declared][0]) // 50)
    return (best, gained) if best != declared and gained >= enough else None
