from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import clock as clocks

LEKIMA_US = 1_565_362_800_000_000


def test_all_processes_read_the_same_scaled_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocks.time, "monotonic_ns", lambda: 1_000_000_000)
    clocks.write_state(clocks.new_state("scaled", city_us=LEKIMA_US, rate=60.0, run_id="r"), tmp_path / "clock.json")
    here, there = clocks.open_clock(tmp_path), clocks.open_clock(tmp_path)
    monkeypatch.setattr(clocks.time, "monotonic_ns", lambda: 3_000_000_000)
    assert here.city_us() == there.city_us() == LEKIMA_US + 120_000_000


@given(st.floats(min_value=0.1, max_value=1000.0))
def test_ticks_come_at_most_every_city_second_and_every_50_ms(rate: float) -> None:
    tick_us = clocks.tick_interval_us(rate)
    assert tick_us >= 1_000_000
    assert tick_us / rate >= 49_999


def test_a_stepped_clock_stands_until_it_is_set_and_never_goes_back(tmp_path: Path) -> None:
    owner = clocks.SteppedClock(tmp_path / "clock.step", start_us=LEKIMA_US)
    clocks.write_state(clocks.new_state("stepped", city_us=LEKIMA_US, rate=1.0, run_id="r"), tmp_path / "clock.json")
    reader = clocks.open_clock(tmp_path)
    assert reader.city_us() == LEKIMA_US
    owner.set_us(LEKIMA_US + 5)
    assert reader.city_us() == LEKIMA_US + 5
    with pytest.raises(ValueError, match="does not go back"):
        owner.set_us(LEKIMA_US)


def test_a_wall_clock_that_fell_behind_the_log_goes_on_from_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monotonic_ns = 0
    monkeypatch.setattr(clocks.time, "monotonic_ns", lambda: monotonic_ns)
    monkeypatch.setattr(clocks.time, "time_ns", lambda: (LEKIMA_US - 60_000_000) * 1000)
    clock = clocks.RealClock(floor_us=LEKIMA_US)
    monotonic_ns = 2_000_000_000
    assert clock.behind
    assert clock.city_us() == LEKIMA_US + 2_000_000


def test_a_wall_clock_a_little_behind_the_log_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocks.time, "time_ns", lambda: (LEKIMA_US - 4_000_000) * 1000)
    clock = clocks.RealClock(floor_us=LEKIMA_US)
    assert not clock.behind
    assert clock.city_us() == LEKIMA_US - 4_000_000


def test_a_wall_clock_that_is_set_back_while_we_run_stops_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    wall_us, monotonic_ns = LEKIMA_US, 0
    monkeypatch.setattr(clocks.time, "monotonic_ns", lambda: monotonic_ns)
    monkeypatch.setattr(clocks.time, "time_ns", lambda: wall_us * 1000)
    clock = clocks.RealClock()
    assert clock.city_us() == LEKIMA_US
    wall_us, monotonic_ns = LEKIMA_US - 3_600_000_000, 10_000_000_000
    assert clock.behind
    assert clock.city_us() == clock.machine_us() == LEKIMA_US + 10_000_000
    wall_us, monotonic_ns = LEKIMA_US + 20_000_000, 20_000_000_000  # somebody has set it right
    assert not clock.behind
    assert clock.city_us() == LEKIMA_US + 20_000_000
