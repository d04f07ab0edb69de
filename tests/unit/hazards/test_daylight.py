"""Sunrise and sunset as almanacs print them, to the minute or two that a table of distances needs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from hazards.daylight import is_day, sun_elevation_deg

TWO_MIN = timedelta(minutes=2, seconds=30)
# Times as commonly published for these places and days, UTC, to the minute.
KNOWN = [
    ("Shanghai, solstice", 121.47, 31.23, datetime(2019, 6, 20, 20, 50, tzinfo=UTC), datetime(2019, 6, 21, 11, 1, tzinfo=UTC)),
    ("London, winter", -0.13, 51.51, datetime(2019, 12, 21, 8, 4, tzinfo=UTC), datetime(2019, 12, 21, 15, 53, tzinfo=UTC)),
    ("Quito, equinox", -78.52, -0.22, datetime(2019, 3, 20, 11, 17, tzinfo=UTC), datetime(2019, 3, 20, 23, 24, tzinfo=UTC)),
    ("Sydney, winter", 151.21, -33.87, datetime(2019, 6, 20, 21, 0, tzinfo=UTC), datetime(2019, 6, 21, 6, 54, tzinfo=UTC)),
]  # fmt: skip


def us(at: datetime) -> int:
    return round(at.timestamp() * 1e6)


@pytest.mark.parametrize(("where", "lon", "lat", "rise", "set_"), KNOWN, ids=lambda v: v if isinstance(v, str) else "")
def test_day_begins_and_ends_when_the_almanac_says(
    where: str, lon: float, lat: float, rise: datetime, set_: datetime
) -> None:
    assert not is_day(lon, lat, us(rise - TWO_MIN))
    assert is_day(lon, lat, us(rise + TWO_MIN))
    assert is_day(lon, lat, us(set_ - TWO_MIN))
    assert not is_day(lon, lat, us(set_ + TWO_MIN))


def test_the_sun_stands_where_the_latitude_says_at_noon() -> None:
    noon = datetime(2019, 6, 21, 12, 2, tzinfo=UTC)  # the equation of time is two minutes
    assert sun_elevation_deg(0.0, 51.4769, us(noon)) == pytest.approx(90 - 51.4769 + 23.437, abs=0.05)
