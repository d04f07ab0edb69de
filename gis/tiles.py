"""Web Mercator tiles as a grid hash: which square of the map a point lies in, and which squares a viewport covers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

# Squares of 2.1 km at 29 degrees north: a street-level screen covers a few, a province some thousands.
INDEX_ZOOM = 14
MAX_LAT = 85.0511287798066  # where the Mercator square ends


class Tile(NamedTuple):
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class TileRange:
    """A closed rectangle of tiles at INDEX_ZOOM; y grows southwards."""

    x0: int
    y0: int
    x1: int
    y1: int

    def __contains__(self, tile: object) -> bool:
        return isinstance(tile, Tile) and self.x0 <= tile.x <= self.x1 and self.y0 <= tile.y <= self.y1

    @property
    def size(self) -> int:
        return (self.x1 - self.x0 + 1) * (self.y1 - self.y0 + 1)

    def tiles(self) -> Iterator[Tile]:
        return (Tile(x, y) for x in range(self.x0, self.x1 + 1) for y in range(self.y0, self.y1 + 1))


def tile_of(lon: float, lat: float, zoom: int = INDEX_ZOOM) -> Tile:
    """The tile that holds a WGS 84 point; latitudes beyond the Mercator square fall into its edge rows.

    Source: OpenStreetMap wiki, Slippy map tilenames (the formula is the Mercator projection).

    >>> tile_of(121.45, 28.68, 8)
    Tile(x=214, y=106)
    """
    side = 1 << zoom
    phi = math.radians(max(-MAX_LAT, min(MAX_LAT, lat)))
    x = int((lon + 180.0) / 360.0 * side)
    y = int((1.0 - math.asinh(math.tan(phi)) / math.pi) / 2.0 * side)
    return Tile(max(0, min(side - 1, x)), max(0, min(side - 1, y)))


def covering(bbox: tuple[float, float, float, float], ring: int = 1) -> TileRange:
    """Tiles of (west, south, east, north) in degrees and `ring` more on each side, so that a small pan shows no hole.

    Raises ValueError where the box is not finite, not in degrees, or turned around (a box over the date line is two).
    """
    west, south, east, north = bbox
    if not all(math.isfinite(v) for v in bbox):
        raise ValueError(f"bbox {list(bbox)} has a value that is not a finite number")
    if not (-180.0 <= west <= east <= 180.0 and -90.0 <= south <= north <= 90.0):
        raise ValueError(f"bbox {list(bbox)} must be [west, south, east, north] in degrees")
    low, high = tile_of(west, north), tile_of(east, south)
    return TileRange(low.x - ring, low.y - ring, high.x + ring, high.y + ring)
