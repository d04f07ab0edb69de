"""Circle and downwind square, measured with other formulas than those that drew them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import Point, Polygon

from gis.points import bearing_deg, haversine_m, local_lonlat, local_xy_m
from gis.zones import circle, downwind_square

LON, LAT = 121.45, 28.68
DIRECTIONS = st.floats(0, 360)
METRES = st.floats(10, 20_000)


def corners(shape: Polygon) -> np.ndarray:
    return np.asarray(shape.exterior.coords)[:-1]


@given(METRES, st.floats(-179, 179), st.floats(-60, 60))
def test_every_corner_of_a_circle_is_at_its_radius(radius_m: float, lon: float, lat: float) -> None:
    at = corners(circle(lon, lat, radius_m))
    assert haversine_m(lon, lat, at[:, 0], at[:, 1]) == pytest.approx(np.full(len(at), radius_m), rel=0.01)


@given(DIRECTIONS, METRES)
def test_the_square_lies_downwind_with_the_place_on_its_upwind_side(wind_from_deg: float, side_m: float) -> None:
    shape = downwind_square(LON, LAT, wind_from_deg, side_m)
    at = corners(shape)
    away = haversine_m(LON, LAT, at[:, 0], at[:, 1])
    assert sorted(away) == pytest.approx([side_m / 2] * 2 + [side_m * 5**0.5 / 2] * 2, rel=0.01)
    middle = shape.centroid
    turned = (float(bearing_deg(LON, LAT, middle.x, middle.y)) - wind_from_deg) % 360
    assert turned == pytest.approx(180, abs=0.5)
    assert float(haversine_m(LON, LAT, middle.x, middle.y)) == pytest.approx(side_m / 2, rel=0.01)


def test_a_south_wind_drives_it_north() -> None:
    shape = downwind_square(LON, LAT, 180.0, 1_000.0)
    assert shape.contains(Point(LON, LAT + 0.005))
    assert not shape.intersects(Point(LON, LAT - 0.001))


@given(METRES, METRES)
def test_metres_there_and_back(x_m: float, y_m: float) -> None:
    lon, lat = local_lonlat(x_m, y_m, LON, LAT)
    back = local_xy_m(lon, lat, LON, LAT)
    assert (float(back[0]), float(back[1])) == pytest.approx((x_m, y_m), abs=1e-3)


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan")])
def test_no_size_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="more than 0"):
        circle(LON, LAT, bad)
    with pytest.raises(ValueError, match="more than 0"):
        downwind_square(LON, LAT, 0.0, bad)
    with pytest.raises(ValueError, match="direction"):
        downwind_square(LON, LAT, float("nan"), 1.0)
