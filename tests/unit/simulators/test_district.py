"""The generated district: the same for the same seed, and fit for the rooms that load it."""

from __future__ import annotations

import json
from collections import Counter

import pytest
import shapely
from msgspec import convert

from command_center.model import Unit, User
from devices.models import load_models
from gis.features import feature_from_geojson
from gis.roads import RoadGraph
from simulators.catalogue import PLANTS, VILLAGES
from simulators.district import District, generate
from simulators.placement import INTERVAL_S
from simulators.shapes import lonlat, plane_xy

LAYERS = {
    "district", "coast", "sea", "river", "roads", "bridges", "underpasses", "villages", "chem_park", "shelters",
    "stations", "places",
}  # fmt: skip


@pytest.fixture(scope="module")
def district() -> District:
    return generate()


@pytest.fixture(scope="module")
def graph(district: District) -> RoadGraph:
    return RoadGraph.from_features(district.features()["roads"])


def test_the_same_seed_draws_the_same_district(district: District) -> None:
    generate.cache_clear()
    again = generate(district.seed)
    assert json.dumps(again.layers()) == json.dumps(district.layers())
    assert again.devices() == district.devices()


def test_another_seed_draws_another_coast(district: District) -> None:
    other = generate(7)
    assert other.layers()["coast"] != district.layers()["coast"]
    assert len(other.network.underpasses) == len(district.network.underpasses)


def test_every_layer_that_other_rooms_name_is_there_and_is_valid_geojson(district: District) -> None:
    layers = district.layers()
    assert set(layers) >= LAYERS
    for name, layer in layers.items():
        ids = [feature["id"] for feature in layer["features"]]
        assert ids, name
        assert len(ids) == len(set(ids)), name
        for feature in layer["features"]:
            assert feature_from_geojson(feature).geometry.is_valid, feature["id"]


def test_the_district_has_what_the_story_needs(district: District) -> None:
    layers = district.layers()
    assert 400 <= len(layers["roads"]["features"]) <= 1200
    assert 3 <= len(layers["bridges"]["features"]) <= 8
    assert 4 <= len(layers["underpasses"]["features"]) <= 6
    assert len(layers["villages"]["features"]) == 15
    assert all(f["properties"]["capacity"] > 0 for f in layers["shelters"]["features"])
    kinds = Counter(device.kind for device in district.devices())
    assert kinds["rain_wind_station"] == 6
    assert kinds["gas_detector"] >= 12
    assert kinds["camera"] >= 20
    assert 60 <= sum(kinds.values()) <= 120


def test_every_village_station_and_tank_is_reached_by_road(district: District, graph: RoadGraph) -> None:
    command = lonlat(250.0, -3_150.0)
    goals = {name: lonlat(*at) for name, _, at, _ in VILLAGES}
    goals |= {tank.tank_id: lonlat(*tank.at) for plant in PLANTS for tank in plant.tanks}
    goals |= {unit["unit_id"]: (unit["lon"], unit["lat"]) for unit in district.units()}
    times = graph.travel_times_s(goals, *command)
    late = {name: seconds for name, seconds in times.items() if not seconds < 3600}
    assert not late


def test_the_hazmat_teams_drive_through_an_underpass_and_have_a_way_around_it(
    district: District, graph: RoadGraph
) -> None:
    tank = lonlat(*PLANTS[0].tanks[1].at)
    crossed = {road.road_id for road in district.network.underpasses}
    for unit in district.units():
        if unit["kind"] != "hazmat":
            continue
        start = (unit["lon"], unit["lat"])
        direct = graph.route(start, tank)
        assert direct is not None
        flooded = crossed & set(direct.edge_ids)
        assert flooded, unit["unit_id"]
        around = graph.route(start, tank, flooded)
        assert around is not None
        assert not flooded & set(around.edge_ids)
        assert direct.seconds < around.seconds < direct.seconds + 1_200


def test_roads_stay_on_land_unless_they_are_bridges(district: District) -> None:
    water = district.terrain.water.buffer(-15.0)
    wet = [r.road_id for r in district.network.roads if not r.bridge and r.line.intersection(water).length > 20.0]
    assert wet == []


def test_devices_carry_what_the_rules_read(district: District) -> None:
    models = load_models()
    roads = {road.road_id for road in district.network.roads}
    for device in district.devices():
        model = models[device.model]
        known = set(model.properties)
        assert set(device.thresholds) <= known, device.device_id
        assert device.interval_s == INTERVAL_S[device.kind]
        assert set(device.attributes.get("road_edges", [])) <= roads
        for threshold in device.thresholds.values():
            assert threshold["source"]
            if "on" in threshold:
                ladder = [threshold["on"][colour] for colour in ("blue", "yellow", "orange", "red")]
                assert ladder == sorted(ladder)
                assert all(threshold["off"][c] < threshold["on"][c] for c in threshold["on"])
            else:
                assert threshold["first"] < threshold["second"]


def test_every_underpass_has_a_gauge_and_a_camera_that_watch_its_road(district: District) -> None:
    watched = Counter(
        (device.kind, edge) for device in district.devices() for edge in device.attributes.get("road_edges", [])
    )
    for road in district.network.underpasses:
        assert watched["water_gauge", road.road_id] == 1
        assert watched["camera", road.road_id] == 1


def test_units_and_users_have_the_shape_of_the_registers(district: District) -> None:
    units = [convert(unit, Unit) for unit in district.units()]
    users = [convert(user, User) for user in district.users()]
    assert {unit.unit_id for unit in units} <= {user.username for user in users}
    assert Counter(str(unit.authority) for unit in units)["direct"] >= 9
    assert {"request", "notify"} <= {str(unit.authority) for unit in units}
    assert any(unit.wading_depth_m > 0.5 for unit in units)
    assert {step["username"] for step in district.duty_chain()} <= {user.username for user in users}


def test_land_lies_outside_the_sea(district: District) -> None:
    sea = shapely.union_all([f.geometry for f in district.features()["sea"]])
    for device in district.devices():
        if device.device_id != "wg-tide" and not device.device_id.startswith("cam-bridge"):
            assert not sea.contains(shapely.Point(device.lon, device.lat)), device.device_id


def test_the_plane_and_degrees_agree() -> None:
    for x, y in ((0.0, 0.0), (-16_000.0, 8_000.0), (20_000.0, -9_000.0)):
        back = plane_xy(*lonlat(x, y))
        assert back == pytest.approx((x, y), abs=0.12)
