"""A road graph in memory: travel time from many units to one place, with closures applied as edge masks.

Edges are directed and stand in CSR arrays, so a closure is a mask and takes effect at the next search. The search runs
backwards from the incident: one pass gives the time from every node at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

from gis.features import Feature
from gis.points import haversine_m, local_xy_m

NO_NODE = -9999  # scipy's mark for "no predecessor"
# Where the crow must walk: from a fix to the nearest road node, by foot or across a yard.
ACCESS_SPEED_MS = 5.0 / 3.6
MAX_ACCESS_M = 2_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A way through the graph. `edge_ids` are the road ids in driving order; `coordinates` lon, lat pairs."""

    seconds: float
    distance_m: float
    edge_ids: tuple[str, ...]
    coordinates: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Edge:
    road_id: str
    tail: int
    head: int
    length_m: float
    seconds: float
    coordinates: tuple[tuple[float, float], ...]


class RoadGraph:
    """Roads as a directed graph. Build it with `from_features`; it never changes, closures are given to each search."""

    def __init__(self, nodes: npt.NDArray[np.float64], edges: Sequence[_Edge]) -> None:
        self.nodes = nodes
        self._edges = list(edges)
        self._tail = np.array([e.tail for e in edges], dtype=np.int32)
        self._head = np.array([e.head for e in edges], dtype=np.int32)
        self._seconds = np.array([e.seconds for e in edges], dtype=np.float64)
        self._road_edges: dict[str, list[int]] = {}
        for index, edge in enumerate(self._edges):
            self._road_edges.setdefault(edge.road_id, []).append(index)
        self._between: dict[tuple[int, int], list[_Edge]] = {}
        for edge in self._edges:
            self._between.setdefault((edge.tail, edge.head), []).append(edge)
        self._origin = (float(nodes[:, 0].mean()), float(nodes[:, 1].mean())) if len(nodes) else (0.0, 0.0)
        self._tree = cKDTree(np.column_stack(local_xy_m(nodes[:, 0], nodes[:, 1], *self._origin)))

    @classmethod
    def empty(cls) -> RoadGraph:
        """A district that has not loaded its roads yet: no place can be reached, and every search says so."""
        return cls(np.empty((0, 2)), [])

    @classmethod
    def from_features(cls, features: Iterable[Feature]) -> RoadGraph:
        """LineString features with properties `from`, `to` (node names), `speed_kmh`, optional `oneway`.

        The feature id is the road id that closures name. Raises ValueError for a feature that is not such a road, or if
        there is none.
        """
        names: dict[str, int] = {}
        points: list[tuple[float, float]] = []
        edges: list[_Edge] = []

        def node(name: str, point: tuple[float, float]) -> int:
            if name not in names:
                names[name] = len(points)
                points.append(point)
            return names[name]

        for feature in features:
            line, speed_ms = _checked(feature)
            tail = node(str(feature.properties["from"]), line[0])
            head = node(str(feature.properties["to"]), line[-1])
            xs, ys = np.array(line).T
            length_m = float(haversine_m(xs[:-1], ys[:-1], xs[1:], ys[1:]).sum())
            seconds = length_m / speed_ms
            edges.append(
                _Edge(
                    road_id=feature.feature_id,
                    tail=tail,
                    head=head,
                    length_m=length_m,
                    seconds=seconds,
                    coordinates=tuple(line),
                )
            )
            if not feature.properties.get("oneway"):
                edges.append(
                    _Edge(
                        road_id=feature.feature_id,
                        tail=head,
                        head=tail,
                        length_m=length_m,
                        seconds=seconds,
                        coordinates=tuple(line[::-1]),
                    )
                )
        if not edges:
            raise ValueError("no roads: the graph would be empty")
        return cls(np.array(points), edges)

    @property
    def road_ids(self) -> list[str]:
        return list(self._road_edges)

    def middle_of(self, road_id: str) -> tuple[float, float] | None:
        """The middle vertex of a road (lon, lat): where its sign stands on a map. None for an unknown road."""
        found = self._road_edges.get(road_id)
        if not found:
            return None
        coordinates = self._edges[found[0]].coordinates
        if len(coordinates) == 2:
            (x1, y1), (x2, y2) = coordinates
            return (x1 + x2) / 2, (y1 + y2) / 2
        return coordinates[len(coordinates) // 2]

    def nearest_node(self, lon: float, lat: float) -> tuple[int, float]:
        """Index of the nearest node and the distance to it in metres (infinite in an empty graph)."""
        x, y = local_xy_m(lon, lat, *self._origin)
        distance_m, index = self._tree.query([float(x), float(y)])
        return int(index), float(distance_m)

    def roads_near(self, lon: float, lat: float, radius_m: float) -> list[str]:
        """Ids of roads with an end within the radius, sorted."""
        x, y = local_xy_m(lon, lat, *self._origin)
        near = set(self._tree.query_ball_point([float(x), float(y)], radius_m))
        return sorted({e.road_id for e in self._edges if e.tail in near or e.head in near})

    def _matrix(self, closed: Iterable[str]) -> sp.csr_matrix:
        open_edge = np.ones(len(self._edges), dtype=bool)
        for road_id in closed:
            open_edge[self._road_edges.get(road_id, [])] = False
        # Reversed, so that one search from the destination reaches every start.
        rows, columns, seconds = self._head[open_edge], self._tail[open_edge], self._seconds[open_edge]
        order = np.lexsort((seconds, columns, rows))
        rows, columns, seconds = rows[order], columns[order], seconds[order]
        first = np.ones(len(rows), dtype=bool)  # of parallel roads only the fastest counts; csr would add them up
        first[1:] = (rows[1:] != rows[:-1]) | (columns[1:] != columns[:-1])
        size = len(self.nodes)
        return sp.csr_matrix((seconds[first], (rows[first], columns[first])), shape=(size, size))

    def travel_times_s(
        self, starts: Mapping[str, tuple[float, float]], lon: float, lat: float, closed: Iterable[str] = ()
    ) -> dict[str, float]:
        """Seconds from each start to (lon, lat), closed roads left out; `inf` where no open way leads there.

        Access from a fix to the nearest node is walked at 5 km/h; a start or destination more than 2 km from any node
        has no way (`inf`), because a straight line over water is not a road.
        """
        goal, goal_access_m = self.nearest_node(lon, lat)
        if goal_access_m > MAX_ACCESS_M:
            return dict.fromkeys(starts, float("inf"))
        seconds = dijkstra(self._matrix(closed), indices=goal)
        result = {}
        for name, (x, y) in starts.items():
            node, access_m = self.nearest_node(x, y)
            reach = access_m <= MAX_ACCESS_M
            result[name] = (
                float(seconds[node] + (access_m + goal_access_m) / ACCESS_SPEED_MS) if reach else float("inf")
            )
        return result

    def route(self, start: tuple[float, float], goal: tuple[float, float], closed: Iterable[str] = ()) -> Route | None:
        """The fastest way, or None when closures or missing roads cut it off."""
        shut = set(closed)
        source, source_access_m = self.nearest_node(*start)
        target, target_access_m = self.nearest_node(*goal)
        if max(source_access_m, target_access_m) > MAX_ACCESS_M:
            return None
        seconds, towards = dijkstra(self._matrix(shut), indices=target, return_predecessors=True)
        if not np.isfinite(seconds[source]):
            return None
        edges = []
        node = source
        while node != target:
            step = int(towards[node])
            edges.append(self._fastest(node, step, shut))
            node = step
        coordinates = [start]
        for edge in edges:
            coordinates.extend(edge.coordinates)
        coordinates.append(goal)
        access_m = source_access_m + target_access_m
        return Route(
            seconds=float(seconds[source]) + access_m / ACCESS_SPEED_MS,
            distance_m=sum(e.length_m for e in edges) + access_m,
            edge_ids=tuple(e.road_id for e in edges),
            coordinates=tuple(_without_repeats(coordinates)),
        )

    def _fastest(self, tail: int, head: int, shut: set[str]) -> _Edge:
        between = [e for e in self._between[tail, head] if e.road_id not in shut]
        return min(between, key=lambda e: (e.seconds, e.road_id))


def _checked(feature: Feature) -> tuple[list[tuple[float, float]], float]:
    """Coordinates and speed in m/s of a road. Raises ValueError naming what is wrong."""
    name = f"road {feature.feature_id!r}"
    if feature.geometry.geom_type != "LineString":
        raise ValueError(f"{name} is a {feature.geometry.geom_type}, expected LineString")
    missing = [key for key in ("from", "to", "speed_kmh") if feature.properties.get(key) in (None, "")]
    if missing:
        raise ValueError(f"{name} lacks {', '.join(missing)}")
    try:
        speed_kmh = float(feature.properties["speed_kmh"])
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: speed_kmh {feature.properties['speed_kmh']!r} is not a number") from error
    if not 0.0 < speed_kmh < float("inf"):
        raise ValueError(f"{name}: speed_kmh {speed_kmh} must be above 0")
    return [(float(x), float(y)) for x, y, *_ in feature.geometry.coords], speed_kmh / 3.6


def _without_repeats(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    kept: list[tuple[float, float]] = []
    for point in points:
        if not kept or kept[-1] != point:
            kept.append(point)
    return kept


def lonlat_line(coordinates: Iterable[tuple[float, float]]) -> dict[str, Any]:
    """GeoJSON LineString of a route."""
    return {"type": "LineString", "coordinates": [[round(x, 6), round(y, 6)] for x, y in coordinates]}
