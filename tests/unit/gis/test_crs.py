"""Coordinate systems: published points, round trips, edges, and the mix-ups that people make."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from gis import crs
from gis.crs import BD09, CGCS2000, GCJ02, WGS84, UnknownCrs, crs_code, detect_offset, from_wgs84, to_wgs84
from gis.points import haversine_m

DISTRICT = shapely.box(121.35, 28.60, 121.55, 28.76)
IN_CHINA = st.tuples(st.floats(73.5, 135.0), st.floats(3.5, 53.5))
EVERY_CRS = [WGS84, CGCS2000, GCJ02, BD09, "EPSG:4549", "EPSG:4528", "EPSG:4507"]


def some_points(n: int = 60, seed: int = 7) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    return draw.uniform(121.38, 121.52, n), draw.uniform(28.62, 28.74, n)


@settings(deadline=None)
@given(IN_CHINA, st.sampled_from([GCJ02, BD09]))
def test_an_offset_point_comes_back_to_less_than_a_millimetre(point: tuple[float, float], system: str) -> None:
    lon, lat = to_wgs84(*from_wgs84(*point, system), system)
    assert abs(float(lon) - point[0]) < 1e-9
    assert abs(float(lat) - point[1]) < 1e-9


@settings(deadline=None)
@given(st.floats(118.5, 121.5), st.floats(20.0, 45.0), st.sampled_from(EVERY_CRS))
def test_every_system_round_trips_within_a_centimetre(lon: float, lat: float, system: str) -> None:
    back = to_wgs84(*from_wgs84(lon, lat, system), system)
    assert float(haversine_m(lon, lat, *back)) < 0.01


@settings(deadline=None)
@given(IN_CHINA)
def test_gcj02_is_off_by_less_than_a_kilometre_and_bd09_by_less_than_two(point: tuple[float, float]) -> None:
    assert float(haversine_m(*point, *from_wgs84(*point, GCJ02))) < 1000.0
    assert float(haversine_m(*point, *from_wgs84(*point, BD09))) < 2000.0


def test_the_kernels_agree_with_the_pairs_that_open_implementations_publish() -> None:
    """googollee/eviltransform (WGS 84 to GCJ-02) and wandergis/coordtransform (to BD-09)."""
    pairs = (
        ((121.5272106, 31.1774276), (121.531541859215, 31.17530398364597)),
        ((113.912316, 22.543847), (113.9171764808363, 22.540796131694766)),
        ((116.377817, 39.911954), (116.38404722455657, 39.91334545536069)),
    )
    for here, published in pairs:
        assert np.allclose(from_wgs84(*here, GCJ02), published, atol=1e-9)
    assert np.allclose(crs.gcj02_to_bd09(116.404, 39.915), (116.41036949371029, 39.92133699351021), atol=1e-9)


def test_the_gauss_kruger_belts_have_their_meridian_at_500_km() -> None:
    for system, lon in (("EPSG:4549", 120.0), ("EPSG:4548", 117.0), ("EPSG:4508", 111.0)):
        east, north = from_wgs84(lon, 30.0, system)
        assert float(east) == pytest.approx(500_000.0, abs=1e-3)
        assert float(north) == pytest.approx(3_320_113.398, abs=0.01)
    assert float(from_wgs84(120.0, 30.0, "EPSG:4528")[0]) == pytest.approx(40_500_000.0, abs=1e-3)


def test_outside_china_nothing_is_offset_and_nan_stays_nan() -> None:
    for system in (GCJ02, BD09):
        assert [float(v) for v in from_wgs84(2.35, 48.85, system)] == [2.35, 48.85]
        assert [float(v) for v in to_wgs84(2.35, 48.85, system)] == [2.35, 48.85]
        lon, lat = to_wgs84([np.nan, 121.4], [28.6, 28.6], system)
        assert np.isnan(lon[0])
        assert np.isfinite(lon[1])
        assert np.isfinite(lat[1])
    assert np.isnan(to_wgs84(np.nan, 3_000_000.0, "EPSG:4549")).all()


def test_arrays_keep_their_shape_and_empty_ones_are_fine() -> None:
    lon, lat = to_wgs84(np.full((3, 2), 121.4), np.full((3, 2), 28.6), BD09)
    assert lon.shape == lat.shape == (3, 2)
    assert to_wgs84([], [], GCJ02)[0].shape == (0,)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("WGS84", WGS84),
        ("wgs 84", WGS84),
        ("EPSG:4326", WGS84),
        ("urn:ogc:def:crs:OGC:1.3:CRS84", WGS84),
        ("urn:ogc:def:crs:EPSG::4490", CGCS2000),
        ("CGCS2000", CGCS2000),
        ("4549", "EPSG:4549"),
        ("GCJ-02", GCJ02),
        ("火星坐标系", GCJ02),
        ("bd09", BD09),
        ("百度", BD09),
    ],
)
def test_a_system_is_known_by_the_names_that_people_use(said: str, meant: str) -> None:
    assert crs_code(said) == meant


@pytest.mark.parametrize("said", ["", "EPSG:3857", "4555", "beijing54", "x" * 500])
def test_an_unknown_system_is_refused_with_those_that_are_known(said: str) -> None:
    with pytest.raises(UnknownCrs, match="EPSG:4490"):
        crs_code(said)


@pytest.mark.parametrize("truth", [GCJ02, BD09])
@pytest.mark.parametrize("declared", [WGS84, CGCS2000])
def test_offset_points_declared_as_true_ones_are_noticed_by_known_names(truth: str, declared: str) -> None:
    lon, lat = some_points(12)
    references = {f"地点{i}": shapely.Point(lon[i], lat[i]) for i in range(12)}
    found = detect_offset(*from_wgs84(lon, lat, truth), declared, names=list(references), references=references)
    assert found.detected == truth
    assert found.offset_m is not None
    assert 300 < found.offset_m < 1500
    assert f"{found.offset_m:.0f} 米" in found.warning_zh
    assert "Check the source" in found.warning_en


@pytest.mark.parametrize("declared", [GCJ02, BD09])
def test_true_points_declared_as_offset_ones_are_noticed_too(declared: str) -> None:
    lon, lat = some_points(12)
    references = {f"地点{i}": shapely.Point(lon[i], lat[i]) for i in range(12)}
    found = detect_offset(lon, lat, declared, names=list(references), references=references)
    assert found.detected == WGS84
    assert found.offset_m is not None
    assert 300 < found.offset_m < 1500


def test_a_road_is_a_reference_like_a_point() -> None:
    roads = {f"{i}号路": shapely.LineString([(121.38, 28.62 + i / 100), (121.52, 28.62 + i / 100)]) for i in range(6)}
    lon, lat = np.full(6, 121.45), 28.62 + np.arange(6) / 100
    moved = from_wgs84(lon, lat, GCJ02)
    assert detect_offset(*moved, WGS84, names=list(roads), references=roads).detected == GCJ02
    assert detect_offset(lon, lat, WGS84, names=list(roads), references=roads).detected == WGS84


def test_points_along_the_border_speak_where_no_name_is_known() -> None:
    draw = np.random.default_rng(3)
    lon, lat = np.full(40, 121.549), draw.uniform(28.61, 28.75, 40)  # just inside the eastern border
    assert detect_offset(*from_wgs84(lon, lat, GCJ02), WGS84, boundary=DISTRICT).detected in (GCJ02, BD09)
    assert detect_offset(lon, lat, WGS84, boundary=DISTRICT).detected == WGS84


@pytest.mark.parametrize("truth", [WGS84, CGCS2000, GCJ02, BD09])
def test_what_is_declared_rightly_draws_no_warning(truth: str) -> None:
    lon, lat = some_points()
    references = {f"地点{i}": shapely.Point(lon[i], lat[i]) for i in range(20)}
    found = detect_offset(
        *from_wgs84(lon, lat, truth), truth, boundary=DISTRICT, names=list(references), references=references
    )
    assert (found.detected, found.warning_zh, found.offset_m) == (truth, "", None)


def test_two_agreeing_names_are_not_enough_to_contradict_a_clerk() -> None:
    lon, lat = some_points(2)
    references = {f"地点{i}": shapely.Point(lon[i], lat[i]) for i in range(2)}
    moved = from_wgs84(lon, lat, GCJ02)
    assert detect_offset(*moved, WGS84, names=list(references), references=references).warning_zh == ""


def test_swapped_columns_are_noticed_with_and_without_a_boundary() -> None:
    lon, lat = some_points()
    for boundary in (None, DISTRICT):
        found = detect_offset(lat, lon, WGS84, boundary=boundary)
        assert found.swapped
        assert "写反" in found.warning_zh
        assert not detect_offset(lon, lat, WGS84, boundary=boundary).swapped


def test_metres_given_as_degrees_name_the_belt_that_fits_the_district() -> None:
    lon, lat = some_points()
    for truth in ("EPSG:4549", "EPSG:4528"):
        found = detect_offset(*from_wgs84(lon, lat, truth), WGS84, boundary=DISTRICT)
        assert found.detected in (truth, "EPSG:4507" if truth == "EPSG:4549" else truth)
        assert "投影坐标（米）" in found.warning_zh
    east, north = from_wgs84(lon, lat, "EPSG:4549")
    turned = detect_offset(north, east, WGS84, boundary=DISTRICT)
    assert turned.swapped
    assert (
        "米" in detect_offset(east, north, WGS84).warning_zh
    )  # without a district it still says that these are metres


def test_degrees_given_as_metres_and_swapped_or_foreign_metres_are_noticed() -> None:
    lon, lat = some_points()
    assert detect_offset(lon, lat, "EPSG:4549", boundary=DISTRICT).detected == WGS84
    east, north = from_wgs84(lon, lat, "EPSG:4549")
    assert detect_offset(north, east, "EPSG:4549").swapped
    assert detect_offset(east, north, "EPSG:4548", boundary=DISTRICT).detected == "EPSG:4549"
    assert detect_offset(east, north, "EPSG:4549", boundary=DISTRICT).warning_zh == ""


def test_points_that_are_not_numbers_say_nothing() -> None:
    found = detect_offset([np.nan, np.inf], [28.6, 28.6], WGS84, boundary=DISTRICT)
    assert found.warning_zh == ""


def test_a_geometry_turns_vertex_by_vertex() -> None:
    ring = shapely.box(121.4, 28.6, 121.5, 28.7)
    there = crs.geometry_from_wgs84(ring, "EPSG:4549")
    assert there.bounds[0] > 100_000
    assert crs.geometry_to_wgs84(there, "EPSG:4549").hausdorff_distance(ring) < 1e-7
