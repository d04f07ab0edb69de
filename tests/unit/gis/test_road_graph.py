"""Routes and travel times: against a search written another way, and with roads closed."""

from __future__ import annotations

import heapq
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import LineString, Point

from gis.features import Feature
from gis.points import haversine_m
from gis.roads import ACCESS_SPEED_MS, RoadGraph, lonlat_line

Node = tuple[int, int]


def where(node: Node) -> tuple[float, float]:
    """Nodes stand about a kilometre apart, none of them on another's place."""
    return (121.4 + node[0] * 0.01, 28.6 + node[1] * 0.01)


def road(identifier: str, a: Node, b: Node, *, oneway: bool = False, speed_kmh: float = 36.0, **more: Any) -> Feature:
    properties = {"from": str(a), "to": str(b), "speed_kmh": speed_kmh, "oneway": oneway, **more}
    return Feature(feature_id=identifier, geometry=LineString([where(a), where(b)]), properties=properties)


nodes = st.tuples(st.integers(0, 3), st.integers(0, 3))


@st.composite
def networks(draw: st.DrawFn) -> list[Feature]:
    ends = draw(st.lists(st.tuples(nodes, nodes).filter(lambda p: p[0] != p[1]), min_size=1, max_size=24))
    return [
        road(f"r{i}", a, b, oneway=draw(st.booleans()), speed_kmh=draw(st.sampled_from([18.0, 36.0, 72.0])))
        for i, (a, b) in enumerate(ends)
    ]


def brute_force(roads: list[Feature], closed: set[str], start: str, goal: str) -> float:
    """Dijkstra forwards over a dictionary: nothing shared with the graph under test but the roads."""
    ways: dict[str, list[tuple[str, float]]] = {}
    for r in roads:
        if r.feature_id in closed:
            continue
        (x1, y1), (x2, y2) = r.geometry.coords
        seconds = float(haversine_m(x1, y1, x2, y2)) / (r.properties["speed_kmh"] / 3.6)
        ways.setdefault(r.properties["from"], []).append((r.properties["to"], seconds))
        if not r.properties["oneway"]:
            ways.setdefault(r.properties["to"], []).append((r.properties["from"], seconds))
    best = {start: 0.0}
    queue = [(0.0, start)]
    while queue:
        seconds, node = heapq.heappop(queue)
        if node == goal:
            return seconds
        for following, step in ways.get(node, []):
            if seconds + step < best.get(following, float("inf")):
                best[following] = seconds + step
                heapq.heappush(queue, (seconds + step, following))
    return float("inf")


@given(networks(), st.data())
def test_the_backward_search_finds_what_a_forward_search_finds(roads: list[Feature], data: st.DataObject) -> None:
    graph = RoadGraph.from_features(roads)
    closed = set(data.draw(st.lists(st.sampled_from([r.feature_id for r in roads]), max_size=5)))
    known = sorted({r.properties[end] for r in roads for end in ("from", "to")})
    start, goal = data.draw(st.sampled_from(known)), data.draw(st.sampled_from(known))
    expected = brute_force(roads, closed, start, goal)
    here, there = where(_node(start)), where(_node(goal))

    times = graph.travel_times_s({"unit": here}, *there, closed=closed)
    assert times["unit"] == pytest.approx(expected, rel=1e-9, abs=1e-6)

    way = graph.route(here, there, closed=closed)
    if expected == float("inf"):
        assert way is None
        return
    assert way is not None
    assert way.seconds == pytest.approx(expected, rel=1e-9, abs=1e-6)
    assert not closed.intersection(way.edge_ids), "a closed road is never driven"
    by_id = {r.feature_id: r for r in roads}
    driven = sum(
        float(haversine_m(*r.geometry.coords[0], *r.geometry.coords[1]))
        for r in (by_id[identifier] for identifier in way.edge_ids)
    )
    assert way.distance_m == pytest.approx(driven, rel=1e-9, abs=1e-6)
    assert (way.coordinates[0], way.coordinates[-1]) == (here, there)


def _node(name: str) -> Node:
    x, y = name.strip("()").split(",")
    return int(x), int(y)


def test_a_closure_sends_the_unit_around_and_two_cut_it_off() -> None:
    graph = RoadGraph.from_features(
        [road("short", (0, 0), (1, 0)), road("up", (0, 0), (0, 1)), road("over", (0, 1), (1, 0))]
    )
    here, there = where((0, 0)), where((1, 0))
    direct = graph.route(here, there)
    around = graph.route(here, there, closed=["short"])
    assert direct is not None
    assert around is not None
    assert direct.edge_ids == ("short",)
    assert around.edge_ids == ("up", "over")
    assert graph.route(here, there, closed=["short", "over"]) is None
    assert graph.travel_times_s({"u": here}, *there, closed=["short", "over"]) == {"u": float("inf")}


def test_of_parallel_roads_the_fastest_that_is_open_counts() -> None:
    graph = RoadGraph.from_features(
        [road("slow", (0, 0), (1, 0), speed_kmh=18.0), road("fast", (0, 0), (1, 0), speed_kmh=72.0)]
    )
    open_way, other = (graph.route(where((0, 0)), where((1, 0)), closed=c) for c in ([], ["fast"]))
    assert open_way is not None
    assert other is not None
    assert (open_way.edge_ids, other.edge_ids) == (("fast",), ("slow",))
    assert other.seconds == pytest.approx(4 * open_way.seconds)


def test_an_unknown_closure_changes_nothing() -> None:
    graph = RoadGraph.from_features([road("r", (0, 0), (1, 0))])
    assert graph.route(where((0, 0)), where((1, 0)), closed=["no-such-road"]) is not None


def test_the_way_from_a_yard_to_the_road_is_walked() -> None:
    graph = RoadGraph.from_features([road("r", (0, 0), (1, 0))])
    x, y = where((0, 0))
    yard = (x, y - 0.005)
    access_m = float(haversine_m(*yard, x, y))
    times = graph.travel_times_s({"on": (x, y), "yard": yard}, *where((1, 0)))
    assert times["yard"] - times["on"] == pytest.approx(access_m / ACCESS_SPEED_MS, rel=2e-3)


def test_across_the_water_there_is_no_way() -> None:
    graph = RoadGraph.from_features([road("r", (0, 0), (1, 0))])
    island = (121.6, 28.6)
    assert graph.route(island, where((1, 0))) is None
    assert graph.travel_times_s({"boat": island}, *where((1, 0))) == {"boat": float("inf")}
    assert graph.travel_times_s({"u": where((0, 0))}, *island) == {"u": float("inf")}


def test_being_there_already_takes_no_time() -> None:
    graph = RoadGraph.from_features([road("r", (0, 0), (1, 0))])
    way = graph.route(where((0, 0)), where((0, 0)))
    assert way is not None
    assert (way.seconds, way.edge_ids) == (pytest.approx(0.0, abs=1e-6), ())


@pytest.mark.parametrize(
    ("feature", "words"),
    [
        (Feature(feature_id="p", geometry=Point(121.0, 28.0)), "expected LineString"),
        (Feature(feature_id="q", geometry=LineString([(121.0, 28.0), (121.1, 28.0)])), "lacks from, to, speed_kmh"),
        (road("s", (0, 0), (1, 0), speed_kmh=0.0), "must be above 0"),
        (road("t", (0, 0), (1, 0), speed_kmh=float("nan")), "must be above 0"),
    ],
)
def test_what_is_not_a_road_is_refused_by_name(feature: Feature, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        RoadGraph.from_features([feature])


def test_no_roads_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="no roads"):
        RoadGraph.from_features([])


def test_roads_near_a_place_and_the_line_for_the_map() -> None:
    graph = RoadGraph.from_features([road("a", (0, 0), (1, 0)), road("b", (2, 2), (3, 3))])
    assert graph.roads_near(*where((0, 0)), 100.0) == ["a"]
    assert graph.road_ids == ["a", "b"]
    assert lonlat_line([(121.1234567, 28.0)])["coordinates"] == [[121.123457, 28.0]]
