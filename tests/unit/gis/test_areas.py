"""Areas by code and polygon: which one a point lies in."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from gis.areas import Area, AreaIndex, ancestors, level_of

COUNTY = Area(code="339900", name="区", geometry=shapely.box(121.0, 28.0, 122.0, 29.0))
WEST = Area(code="339900001", name="城西", geometry=shapely.box(121.0, 28.0, 121.5, 29.0))
EAST = Area(code="339900002", name="城东", geometry=shapely.box(121.5, 28.0, 122.0, 29.0))
VILLAGE = Area(code="339900002001", name="村", geometry=shapely.box(121.6, 28.4, 121.7, 28.6))
INDEX = AreaIndex([VILLAGE, EAST, COUNTY, WEST])


@pytest.mark.parametrize(
    ("code", "level"),
    [
        ("33", "province"),
        ("3399", "city"),
        ("339900", "county"),
        ("339900001", "street"),
        ("339900001002", "village"),
        ("339900001002003", "grid"),
        ("33990000100200A", "grid"),
    ],
)
def test_the_length_of_a_code_is_its_level(code: str, level: str) -> None:
    assert level_of(code) == level


@pytest.mark.parametrize("code", ["", "3", "33990", "33990A", "3399000010020031", "339900001-1", "３３", "33 "])
def test_a_code_of_another_form_is_refused_by_name(code: str) -> None:
    with pytest.raises(ValueError, match="area code"):
        level_of(code)


def test_a_code_names_its_ancestors() -> None:
    assert ancestors("339900001002003") == ["33", "3399", "339900", "339900001", "339900001002"]
    assert ancestors("33") == []


def test_many_points_find_their_deepest_areas_at_once() -> None:
    lon = [121.2, 121.65, 121.9, 120.0, np.nan]
    lat = [28.5, 28.5, 28.5, 28.5, 28.5]
    assert INDEX.deepest(lon, lat) == ["339900001", "339900002001", "339900002", "", ""]


def test_a_point_on_a_shared_border_lies_always_in_the_same_area() -> None:
    assert INDEX.deepest([121.5], [28.2]) == ["339900001"]
    assert AreaIndex([WEST, EAST, COUNTY]).deepest([121.5], [28.2]) == ["339900001"]
    assert INDEX.deepest([122.0], [29.0]) == ["339900002"]  # a corner of the district belongs to it


def test_of_two_areas_that_overlap_at_one_depth_the_smaller_wins() -> None:
    small = Area(code="339900009", name="岛", geometry=shapely.box(121.4, 28.4, 121.6, 28.6))
    assert AreaIndex([WEST, EAST, small]).deepest([121.45, 121.2], [28.5, 28.5]) == ["339900009", "339900001"]


def test_an_index_of_nothing_finds_nothing() -> None:
    empty = AreaIndex([])
    assert empty.deepest([121.0, 122.0], [28.0, 28.0]) == ["", ""]
    assert not empty.has_polygons
    assert not len(empty)
    assert empty.tree() == []
    assert INDEX.deepest([], []) == []


def test_areas_of_which_only_the_code_is_known_nest_and_contain_no_point() -> None:
    index = AreaIndex([Area(code="33", name="省"), Area(code="339900", name="区")])
    assert index.deepest([121.2], [28.5]) == [""]
    assert index.agrees("339900", 0.0, 0.0)  # nothing speaks against it
    assert index.name("339900001") == "区"
    assert index.name("44") == ""


def test_a_given_code_agrees_with_a_position_inside_it_or_just_over_the_line() -> None:
    assert INDEX.agrees("339900001", 121.2, 28.5)
    assert INDEX.agrees("339900001", 121.5003, 28.5)  # 30 m
    assert not INDEX.agrees(
        "339900001", 121.51, 28.5
    )  # a kilometre: the typical mix-up of coordinate systems is 300-700 m
    assert not INDEX.agrees("339900002001", 121.9, 28.5)
    assert INDEX.agrees("339900002002", 121.9, 28.5)  # a village that nobody drew, in the right street


def test_the_tree_nests_by_code_and_leaves_out_what_is_outside_a_scope() -> None:
    (top,) = INDEX.tree()
    assert [c.area.code for c in top.children] == ["339900001", "339900002"]
    assert [c.area.code for c in top.children[1].children] == ["339900002001"]
    (street,) = INDEX.tree(["339900002"])
    assert (street.area.code, street.parent) == ("339900002", "")


def test_an_area_whose_parent_is_missing_hangs_under_the_next_ancestor() -> None:
    (top,) = AreaIndex([COUNTY, VILLAGE]).tree()
    assert [(c.area.code, c.parent) for c in top.children] == [("339900002001", "339900")]


def test_an_outline_is_a_polygon() -> None:
    with pytest.raises(ValueError, match="Polygon or MultiPolygon"):
        Area(code="33", name="省", geometry=shapely.Point(121, 28))
