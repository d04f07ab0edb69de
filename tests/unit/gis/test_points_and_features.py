"""Distances, GeoJSON and the spatial index."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import LineString, Point, Polygon

from gis.features import Feature, FeatureIndex, collection, feature_from_geojson, feature_to_geojson
from gis.points import bearing_deg, check_lonlat, haversine_m, local_xy_m
from gis.tiles import Tile, covering, tile_of

lons = st.floats(-180, 180)
lats = st.floats(-90, 90)
near_lons = st.floats(121.0, 122.0)
near_lats = st.floats(28.0, 29.0)


@given(lons, lats, lons, lats)
def test_distance_is_symmetric_and_at_most_half_the_world(a: float, b: float, c: float, d: float) -> None:
    there, back = float(haversine_m(a, b, c, d)), float(haversine_m(c, d, a, b))
    assert there == pytest.approx(back, abs=1e-3)
    assert 0.0 <= there <= math.pi * 6_371_008.8 + 1.0


@given(near_lons, near_lats, near_lons, near_lats)
def test_the_local_plane_agrees_with_the_sphere(a: float, b: float, c: float, d: float) -> None:
    x, y = local_xy_m(c, d, a, b)
    flat, round_ = math.hypot(float(x), float(y)), float(haversine_m(a, b, c, d))
    if round_ < 50_000:
        assert flat == pytest.approx(round_, rel=4e-3, abs=0.01)


def test_what_is_not_a_number_stays_not_a_number() -> None:
    assert np.isnan(haversine_m(np.nan, 0.0, 1.0, 1.0))
    assert np.isnan(bearing_deg(0.0, 0.0, np.nan, 1.0))
    assert float(bearing_deg(5.0, 5.0, 5.0, 5.0)) == 0.0


@pytest.mark.parametrize(
    ("lon", "lat", "words"),
    [
        (181, 0, "longitude"),
        (28.6, 121.4, "longitude comes first"),
        (float("nan"), 0, "longitude"),
        ("x", 1, "numbers"),
    ],
)
def test_a_wrong_position_is_named(lon: Any, lat: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_lonlat(lon, lat)


def feature(identifier: str, geometry: Any, **properties: Any) -> Feature:
    return Feature(feature_id=identifier, geometry=geometry, properties=properties)


def test_geojson_survives_the_round_trip() -> None:
    square = Polygon([(121.0, 28.0), (121.0, 28.1), (121.1, 28.1), (121.1, 28.0)])  # clockwise
    document = feature_to_geojson(feature("p1", square, name="园区"))
    ring = document["geometry"]["coordinates"][0]
    area = sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in pairwise(ring))
    assert area > 0, "exterior rings are counter-clockwise (RFC 7946)"
    again = feature_from_geojson(document)
    assert again.geometry.equals(square)
    assert again.properties == {"name": "园区"}
    assert collection([again])["features"][0]["id"] == "p1"


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"type": "Point"}, "expected a GeoJSON Feature"),
        ({"type": "Feature", "id": "a"}, "no geometry"),
        ({"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]}}, "neither a top-level id"),
        ({"type": "Feature", "id": "a", "geometry": {"type": "Blob"}}, "not GeoJSON"),
        ({"type": "Feature", "id": "a", "geometry": {"type": "Point", "coordinates": ["x", 2]}}, "not GeoJSON"),
        ({"type": "Feature", "id": "a", "geometry": {"type": "LineString", "coordinates": [[1, 2]]}}, "not GeoJSON"),
        (
            {"type": "Feature", "id": "a", "geometry": {"type": "Point", "coordinates": [13_000_000, 3]}},
            "not in degrees",
        ),
        ({"type": "Feature", "id": "a", "geometry": {"type": "Point", "coordinates": []}}, "empty"),
        (
            {"type": "Feature", "id": "a", "properties": [1], "geometry": {"type": "Point", "coordinates": [1, 2]}},
            "object",
        ),
    ],
)
def test_what_is_not_a_feature_is_refused_by_name(document: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        feature_from_geojson(document)


def test_a_coordinate_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"), np.errstate(invalid="ignore"):
        feature("x", LineString([(121.0, float("nan")), (121.1, 28.0)]))


def test_an_id_of_zero_is_an_id() -> None:
    document = {"type": "Feature", "id": 0, "geometry": {"type": "Point", "coordinates": [1, 2]}}
    assert feature_from_geojson(document).feature_id == "0"


def test_an_empty_index_answers() -> None:
    index = FeatureIndex([])
    assert (index.containing(121.0, 28.0), index.within_m(121.0, 28.0, 1e6)) == ([], [])


def test_containing_and_distance_zero_inside() -> None:
    park = feature("park", Polygon([(121.0, 28.0), (121.1, 28.0), (121.1, 28.1), (121.0, 28.1)]))
    index = FeatureIndex([park])
    assert index.containing(121.05, 28.05) == [park]
    assert index.within_m(121.05, 28.05, 10.0) == [(park, 0.0)]


@given(st.lists(st.tuples(near_lons, near_lats), max_size=20), near_lons, near_lats, st.floats(1.0, 40_000.0))
def test_what_lies_within_a_radius_is_what_measuring_each_says(
    points: list[tuple[float, float]], lon: float, lat: float, radius_m: float
) -> None:
    features = [feature(f"p{i:02d}", Point(p)) for i, p in enumerate(points)]
    found = {f.feature_id for f, _ in FeatureIndex(features).within_m(lon, lat, radius_m)}
    for f in features:
        distance_m = float(haversine_m(f.geometry.x, f.geometry.y, lon, lat))
        if distance_m < radius_m * 0.995 - 0.1:
            assert f.feature_id in found
        if distance_m > radius_m * 1.005 + 0.1:
            assert f.feature_id not in found


def test_the_distance_to_a_slanting_line_is_metric_not_in_degrees() -> None:
    line = feature("coast", LineString([(121.0, 28.0), (122.0, 29.0)]))
    ((_, distance_m),) = FeatureIndex([line]).within_m(121.6, 28.4, 50_000.0)
    xs, ys = local_xy_m([121.0, 122.0], [28.0, 29.0], 121.6, 28.4)
    exact = shapely.LineString(np.column_stack([xs, ys])).distance(shapely.Point(0, 0))
    assert distance_m == pytest.approx(exact, rel=1e-9)


# -- tiles -----------------------------------------------------------------------------------------------------------


def test_tiles_at_the_edges_of_the_world() -> None:
    assert tile_of(-180.0, 90.0, 2) == Tile(0, 0)
    assert tile_of(180.0, -90.0, 2) == Tile(3, 3)


@given(near_lons, near_lats, near_lons, near_lats, st.floats(0, 1), st.floats(0, 1))
def test_a_point_in_the_box_lies_in_its_tiles(a: float, b: float, c: float, d: float, along: float, up: float) -> None:
    west, east, south, north = min(a, c), max(a, c), min(b, d), max(b, d)
    tiles = covering((west, south, east, north), ring=0)
    lon = min(east, west + along * (east - west))
    lat = min(north, south + up * (north - south))
    assert tile_of(lon, lat) in tiles
    assert tiles.size == len(list(tiles.tiles()))


@pytest.mark.parametrize("bbox", [(2, 0, 1, 1), (0, 2, 1, 1), (0, 0, 181, 1), (0, 0, float("nan"), 1)])
def test_a_box_that_is_none_is_refused(bbox: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="bbox"):
        covering(bbox)
