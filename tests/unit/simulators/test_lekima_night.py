"""The scenario's timeline, held against its own file; and the physics behind it, against published figures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gis.points import haversine_m
from simulators.district import generate
from simulators.leak import Leak, concentration_mg_m3, sensor
from simulators.placement import river_gauges
from simulators.river import DATA, LEVEL_FRACTIONS, Hydrograph
from simulators.scenario import SCENARIOS, UnknownScenario, epoch_us, load
from simulators.truth import Danger, dangers, read_truth, spells, write_truth
from simulators.underpass import Basin, depth_m
from simulators.weather import Storm, read_track
from simulators.world import World

MINUTE_US = 60_000_000


@pytest.fixture(scope="module")
def world() -> World:
    return World(load("lekima-night"), generate())


@pytest.fixture(scope="module")
def truth(world: World) -> list[Danger]:
    return dangers(world)


def minutes(world: World, at_us: int) -> float:
    return (at_us - world.scenario.start_us) / MINUTE_US


def first(world: World, truth: list[Danger], hazard: str, colour: str, prefix: str = "") -> float:
    """Minutes after the start at which a danger of the hazard first reached a colour."""
    return min(
        minutes(world, at_us)
        for danger in truth
        if danger.hazard == hazard and danger.subject.startswith(prefix)
        for name, at_us in danger.levels
        if name == colour
    )


def test_the_file_states_start_time_shift_and_level_table() -> None:
    night = load("lekima-night")
    assert night.river.levels == LEVEL_FRACTIONS
    assert night.river.levels["red"] <= 0.65
    assert night.timeline
    with pytest.raises(UnknownScenario, match="lekima-night"):
        load("no-such-night")


def test_the_river_starts_near_a_tenth_of_the_peak_and_reaches_red_within_five_hours(world: World) -> None:
    gauge = river_gauges()[-3]
    at_start = float(
        world.river.hydrograph.share((world.river.anchor_record_us - world.river.hydrograph.origin_us) / 1e6)
    )
    assert 0.07 <= at_start <= 0.12
    five_hours = world.scenario.start_us + 5 * 3_600_000_000
    assert float(world.river.share_at(gauge, five_hours)) > LEVEL_FRACTIONS["red"]


def test_swindale_rises_by_sixty_per_cent_of_its_peak_in_its_steepest_five_hours() -> None:
    hydrograph = Hydrograph.swindale()
    grid = np.arange(0, 260 * 900.0, 900.0)
    rise = hydrograph.share(grid + 5 * 3600.0) - hydrograph.share(grid)
    assert 0.6 <= rise.max() <= 0.75


def test_the_timeline_of_the_scenario_file_holds(world: World, truth: list[Danger]) -> None:
    landfall = epoch_us(world.scenario.start.replace(hour=17, minute=45))
    gas = next(d for d in truth if d.hazard == "hazchem")
    acts = {
        "typhoon bulletin": world.scenario.typhoon.bulletin_hours[0] * 60,
        "river blue": first(world, truth, "flood", "blue", "wg-"),
        "underpass orange": first(world, truth, "flood", "orange", "wg-underpass"),
        "chlorine first alarm": minutes(world, gas.levels[0][1]),
        "chlorine second detector": minutes(world, gas.levels[1][1]),
        "river red": first(world, truth, "flood", "red", "wg-"),
        "landfall": minutes(world, landfall),
    }
    assert set(acts) == {act.act for act in world.scenario.timeline}
    late = {act.act: acts[act.act] for act in world.scenario.timeline if acts[act.act] > act.within_min}
    assert late == {}
    assert all(0 <= at <= 300 for at in acts.values()), "five machine minutes at 60x"


def test_a_flood_alarm_rises_through_all_four_colours_in_order(world: World, truth: list[Danger]) -> None:
    for gauge in river_gauges():
        danger = next(d for d in truth if d.subject == gauge.device_id)
        assert [colour for colour, _ in danger.levels] == ["blue", "yellow", "orange", "red"]
        assert minutes(world, danger.levels[-1][1]) <= 270


def test_a_slow_rise_explains_an_alarm_that_noise_raised_early(world: World, truth: list[Danger]) -> None:
    """The valley's gusts creep up to the lowest criterion for half an hour: a station's noise is over it well before."""
    gust = next(d for d in truth if d.hazard == "wind" and d.subject == "rw-valley")
    assert gust.near_us is not None
    assert 15 < (gust.from_us - gust.near_us) / MINUTE_US < 60
    station = next(d for d in world.district.devices() if d.device_id == "rw-valley")
    lowest = station.thresholds["gust_3s_ms"]["on"]["blue"]
    assert 0.955 * lowest < float(world.value("rw-valley", "gust_3s_ms", np.array([gust.near_us]))[0]) < lowest
    assert gust.explains(gust.near_us, 0)
    assert gust.explains(gust.to_us, 0)
    assert not gust.explains(gust.near_us - 1, 0)
    assert not gust.explains(gust.to_us + 1, 0)


def test_upstream_gauges_rise_before_downstream_ones(truth: list[Danger]) -> None:
    main = [g for g in river_gauges() if g.device_id not in ("wg-kuqian", "wg-nanxi")]
    onsets = [next(d for d in truth if d.subject == g.device_id).from_us for g in main]
    assert onsets == sorted(onsets)


def test_the_second_detector_follows_the_first_within_a_minute(world: World, truth: list[Danger]) -> None:
    gas = next(d for d in truth if d.hazard == "hazchem")
    gap_s = (gas.levels[1][1] - gas.levels[0][1]) / 1e6
    assert 10 <= gap_s <= 50
    assert len(gas.devices) >= 2


def test_the_underpass_on_the_way_to_the_park_is_flooded_when_the_leak_starts(world: World) -> None:
    assert world.leak is not None
    assert float(world.value("wg-underpass-5", "depth_m", world.leak.start_us)) > 0.27
    assert float(world.value("wg-underpass-4", "depth_m", world.leak.start_us)) < 0.05


def test_ammonia_and_air_stay_quiet(world: World, truth: list[Danger]) -> None:
    assert not [d for d in truth if "nh3" in d.subject or d.subject.startswith("air-")]
    assert float(world.value("gd-nh3-1-1", "nh3_mg_m3", world.scenario.start_us)) == 0.0


def test_dangers_and_truth_file_are_the_same(world: World, truth: list[Danger], tmp_path: object) -> None:
    from pathlib import Path

    path = Path(str(tmp_path)) / "truth.json"
    assert write_truth(world, path) == truth
    assert read_truth(path) == truth
    assert 20 <= len([d for d in truth if not d.marginal]) <= 60


def test_lekima_passes_the_district_where_the_reference_says() -> None:
    storm = Storm(read_track(DATA / "lekima_2019_jma.csv"), 76.0)
    times = np.arange(epoch_us(load("lekima-night").start), epoch_us(load("lekima-night").start) + 12 * 3.6e9, 60e6)
    lon, lat, _, _ = storm.at(times)
    km = haversine_m(lon, lat, 121.43, 28.67) / 1000.0
    assert km.min() == pytest.approx(37.4, abs=1.5)  # reference/hazards.md A4
    assert (times[km.argmin()] - times[0]) / 3.6e9 == pytest.approx(7.0, abs=0.2)  # 20:00 UTC


def test_the_wind_blows_round_the_storm_and_dies_away_from_it() -> None:
    storm = Storm(read_track(DATA / "lekima_2019_jma.csv"), 76.0)
    at_us = epoch_us(load("lekima-night").start)
    lon, lat, _, vmax = (float(v) for v in storm.at(at_us))
    near = [float(np.hypot(*storm.wind_at(lon, lat + d, at_us))) for d in (0.35, 0.8, 2.0, 4.0)]
    assert near == sorted(near, reverse=True)
    assert 0.6 * vmax < near[0] < 1.3 * vmax
    east, north = (float(v) for v in storm.wind_at(lon, lat + 1.0, at_us))
    assert east < 0, "north of a northern storm the wind comes from the east"
    assert abs(north) < abs(east)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 150), min_size=5, max_size=120), st.floats(5, 40), st.floats(0, 60))
def test_an_underpass_never_holds_less_than_nothing_nor_more_than_it_can(
    rain: list[float], gather: float, drain: float
) -> None:
    basin = Basin(gather=gather, drain_mm_per_h=drain)
    depth = depth_m(basin, np.array(rain), 60.0)
    assert depth.min() >= 0.0
    assert depth.max() <= basin.full_m + 1e-9
    assert depth_m(basin, np.zeros(10), 60.0).max() == 0.0


def test_more_rain_is_never_less_water() -> None:
    basin = Basin(gather=20.0, drain_mm_per_h=15.0)
    light, heavy = np.full(200, 25.0), np.full(200, 40.0)
    assert (depth_m(basin, heavy, 60.0) >= depth_m(basin, light, 60.0)).all()


def test_the_plume_is_downwind_only_and_thins_with_distance() -> None:
    leak = Leak(at=(0.0, 0.0), start_us=0, stop_us=3_600_000_000, growth_s=1.0, rate_kg_s=0.1, height_m=1.0)
    times = np.arange(600e6, 1_020e6, 10e6)
    calm = np.full_like(times, 5.0), np.zeros_like(times)
    means = [concentration_mg_m3(leak, (x, 0.0), times, *calm).mean() for x in (30.0, 100.0, 300.0)]
    assert means == sorted(means, reverse=True)
    assert concentration_mg_m3(leak, (-30.0, 0.0), times, *calm).max() == 0.0


def test_a_sensor_reaches_nine_tenths_of_a_step_in_about_twenty_seconds() -> None:
    response = sensor(np.concatenate([[0.0], np.ones(60)]), 1.0)
    assert 18 <= int(np.argmax(response >= 0.9)) <= 24


@given(st.lists(st.booleans(), min_size=2, max_size=60))
def test_spells_cover_exactly_the_true_steps(over: list[bool]) -> None:
    times = np.arange(len(over)) * 1e6
    found = spells(times, np.array(over))
    covered = [any(a <= t < b for a, b in found) for t in times]
    assert covered == over


def test_every_scenario_file_loads() -> None:
    for path in SCENARIOS.glob("*.yaml"):
        assert load(path).id == path.stem


def test_every_data_extract_names_its_source_and_licence() -> None:
    for path in DATA.glob("*.csv"):
        head = "".join(
            line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.startswith("#")
        )
        assert "Source:" in head, path.name
        assert "attribution" in head or "Open Government Licence" in head, path.name
