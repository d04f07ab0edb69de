"""Closest approach and arrival of wind circles, against the worked values of reference/hazards.md A4."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from hazards.bulletins import TrackPoint
from hazards.tracks import HOUR_US, carried_on, circle_arrival_us, closest_approach, in_order, minute_track

JIAOJIANG = (121.43, 28.67)
# LEKIMA (1909), RSMC Tokyo best track (JMA, free to use with attribution): UTC, latitude, longitude.
LEKIMA = [
    ("2019-08-09T00:00", 26.4, 123.4),
    ("2019-08-09T06:00", 27.1, 122.5),
    ("2019-08-09T12:00", 27.5, 122.0),
    ("2019-08-09T18:00", 28.2, 121.3),
    ("2019-08-10T00:00", 29.1, 120.7),
    ("2019-08-10T06:00", 29.9, 120.4),
]


def us(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1e6)


def fixes(count: int = len(LEKIMA), **circles: list[float]) -> list[TrackPoint]:
    return [TrackPoint(time_us=us(t), lat=lat, lon=lon, **circles) for t, lat, lon in LEKIMA[:count]]


def test_closest_approach_of_lekima_to_jiaojiang() -> None:
    nearest = closest_approach(minute_track(fixes()), *JIAOJIANG)
    assert nearest.distance_km == pytest.approx(37.4, abs=0.1)
    assert abs(nearest.time_us - us("2019-08-09T20:00")) <= 15 * 60 * 1_000_000
    assert (nearest.lat, nearest.lon) == pytest.approx((28.50, 121.10), abs=0.02)


def test_the_order_of_the_fixes_does_not_matter_and_an_analysis_beats_a_forecast() -> None:
    track = fixes()
    wrong = TrackPoint(time_us=track[2].time_us, lon=100.0, lat=10.0, analysis=False)
    assert in_order([wrong, *reversed(track)]) == track
    assert closest_approach(minute_track([*reversed(track), wrong]), *JIAOJIANG) == closest_approach(
        minute_track(track), *JIAOJIANG
    )


def test_a_wind_circle_arrives_by_the_quadrant_in_which_the_point_lies() -> None:
    # The point lies north-west of the centre: quadrants NE, SE, SW, NW in km.
    arrives = minute_track(fixes(r10_km=[0.0, 0.0, 0.0, 140.0]))
    misses = minute_track(fixes(3, r10_km=[140.0, 140.0, 140.0, 0.0]))
    time_us = circle_arrival_us(arrives, *JIAOJIANG, 10)
    assert time_us is not None
    step = int(np.searchsorted(arrives.time_us, time_us))
    assert arrives.distance_km(*JIAOJIANG)[step] == pytest.approx(140.0, abs=0.5)
    assert circle_arrival_us(misses, *JIAOJIANG, 10) is None
    assert circle_arrival_us(arrives, *JIAOJIANG, 12) is None  # no circle of force 12 was given


def test_circles_are_held_after_the_last_fix_that_gives_them() -> None:
    track = fixes()
    track[0] = TrackPoint(time_us=track[0].time_us, lon=track[0].lon, lat=track[0].lat, r7_km=[300.0] * 4)
    radii = minute_track(track).radii_km[7]
    assert radii[-1].tolist() == [300.0] * 4


def test_one_fix_is_a_track_and_none_is_not() -> None:
    assert closest_approach(minute_track(fixes(1)), 123.4, 26.4).distance_km == pytest.approx(0.0, abs=1e-6)
    with pytest.raises(ValueError, match="at least one fix"):
        minute_track([])


def test_motion_is_carried_on_along_the_last_twelve_hours() -> None:
    *_, ahead = carried_on(fixes(3), 12.0)
    assert not ahead.analysis
    assert ahead.time_us == us("2019-08-09T12:00") + 12 * HOUR_US
    assert (ahead.lat, ahead.lon) == pytest.approx((27.5 + 1.1, 122.0 - 1.4))
    assert carried_on([*fixes(2), ahead], 12.0)[-1] == ahead  # a forecast is there already
    assert carried_on(fixes(1), 6.0)[-1].lon == 123.4


def test_a_track_across_the_date_line_goes_the_short_way() -> None:
    track = minute_track(
        [TrackPoint(time_us=0, lon=179.0, lat=20.0), TrackPoint(time_us=HOUR_US, lon=-179.0, lat=20.0)]
    )
    assert np.all(np.abs(track.lon) >= 179.0)
