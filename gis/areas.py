"""Administrative areas by code and polygon: which area a point lies in, what nests in what.

Codes nest by prefix: 2 digits province, 4 city, 6 county (GB/T 2260), 9 street or town, 12 village or community (GB/T 10114 and the
statistical codes), and three more characters for a grid of a village. The lengths are fixed, so "begins with" is "lies inside".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

Level = Literal["province", "city", "county", "street", "village", "grid"]
LENGTHS: Mapping[int, Level] = {2: "province", 4: "city", 6: "county", 9: "street", 12: "village", 15: "grid"}
_CODE = re.compile(r"(?:\d{2}|\d{4}|\d{6}|\d{9}|\d{12}|\d{12}[0-9A-Za-z]{3})", re.ASCII)
# Boundaries and positions are not surveyed together: a pump on the bank may lie this far over the line.
BORDER_M = 50.0
_METRES_PER_DEGREE = 111_195.0  # of latitude; of longitude less, so a distance in degrees times this is never too short


def level_of(code: str) -> Level:
    """The level that a code's length says.

    Raises ValueError naming what was expected.

    >>> level_of("339900001")
    'street'
    """
    if not _CODE.fullmatch(code):
        raise ValueError(
            f"area code {code!r}: expected 2, 4, 6, 9 or 12 digits, or 12 digits and 3 characters for a grid"
        )
    return LENGTHS[len(code)]


def ancestors(code: str) -> list[str]:
    """Codes of the areas that contain this one, the largest first, without itself.

    >>> ancestors("339900001")
    ['33', '3399', '339900']
    """
    return [code[:n] for n in LENGTHS if n < len(code)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """`geometry`: Polygon or MultiPolygon in WGS 84 degrees; None where only the code is known.

    Raises ValueError for a wrong code or a geometry that is no area.
    """

    code: str
    name: str
    geometry: BaseGeometry | None = None

    def __post_init__(self) -> None:
        level_of(self.code)
        if self.geometry is not None and self.geometry.geom_type not in ("Polygon", "MultiPolygon"):
            raise ValueError(f"area {self.code} has a {self.geometry.geom_type}: expected a Polygon or MultiPolygon")


@dataclass(slots=True)
class AreaNode:
    """An area with what nests in it; `parent` "" at the top."""

    area: Area
    parent: str
    children: list[AreaNode] = field(default_factory=list)


class AreaIndex:
    """Areas by code and by place. Immutable: build anew when areas change."""

    def __init__(self, areas: Iterable[Area]) -> None:
        self.areas: dict[str, Area] = {a.code: a for a in sorted(areas, key=lambda a: a.code)}
        self._drawn = [a for a in self.areas.values() if a.geometry is not None]
        shapes = [a.geometry for a in self._drawn]
        self._tree = shapely.STRtree(shapes)
        # Best first: the longest code, then the smaller polygon where two overlap, then the lower code.
        sizes = shapely.area(np.array(shapes, dtype=object)) if shapes else np.empty(0)
        order = sorted(range(len(shapes)), key=lambda i: (-len(self._drawn[i].code), sizes[i], self._drawn[i].code))
        self._rank: npt.NDArray[np.int64] = np.empty(len(shapes), dtype=np.int64)
        self._rank[order] = np.arange(len(shapes))
        self._by_rank = [self._drawn[i].code for i in order]

    def __len__(self) -> int:
        return len(self.areas)

    @property
    def has_polygons(self) -> bool:
        return bool(self._drawn)

    def deepest(self, lon: npt.ArrayLike, lat: npt.ArrayLike) -> list[str]:
        """The deepest area that contains each point; "" where none does.

        A point on a border lies in both areas; of several at one depth the smaller polygon wins, then the lower code. NaN gives "".
        Arguments: degrees, one-dimensional, same length.
        """
        x, y = np.atleast_1d(np.asarray(lon, dtype=np.float64)), np.atleast_1d(np.asarray(lat, dtype=np.float64))
        best = np.full(len(x), len(self._drawn), dtype=np.int64)
        usable = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
        if len(usable) and self._drawn:
            which, shape = self._tree.query(shapely.points(x[usable], y[usable]), predicate="intersects")
            np.minimum.at(best, usable[which], self._rank[shape])
        return [self._by_rank[i] if i < len(self._drawn) else "" for i in best]

    def agrees(self, code: str, lon: float, lat: float) -> bool:
        """Whether a point may belong to the area that somebody wrote beside it.

        Asked of the deepest area with a polygon among the code and its ancestors, with `BORDER_M` of tolerance; True where
        none of them has a polygon: nothing speaks against it.
        """
        for one in (code, *reversed(ancestors(code))):
            known = self.areas.get(one)
            if known is not None and known.geometry is not None:
                gap_m = float(shapely.distance(known.geometry, shapely.Point(lon, lat))) * _METRES_PER_DEGREE
                return gap_m <= BORDER_M
        return True

    def name(self, code: str) -> str:
        """The area's name, else that of the nearest ancestor that is known, else ""."""
        for one in (code, *reversed(ancestors(code))):
            if one in self.areas:
                return self.areas[one].name
        return ""

    def tree(self, prefixes: Sequence[str] = ()) -> list[AreaNode]:
        """Top areas with their children, by code. `prefixes` (a scope) leaves out what lies in none of them; empty: everything."""
        nodes: dict[str, AreaNode] = {}
        top: list[AreaNode] = []
        for code, area in self.areas.items():  # by code: a parent stands before its children
            if prefixes and not any(code.startswith(p) for p in prefixes):
                continue
            parent = next((nodes[a] for a in reversed(ancestors(code)) if a in nodes), None)
            nodes[code] = AreaNode(area, parent.area.code if parent else "")
            (parent.children if parent else top).append(nodes[code])
        return top
