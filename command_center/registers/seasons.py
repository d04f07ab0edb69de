"""When the season began for which numbers must have been checked: data by area, pure functions of city time."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from importlib.resources import files

import msgspec
import yaml

from command_center.registers.ports import SeasonStart
from command_center.registers.values import CITY_ZONE


class Season(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    prefix: str  # of area codes
    start: str  # MM-DD
    lead_days: int
    source: str

    def __post_init__(self) -> None:
        datetime.strptime(f"2000-{self.start}", "%Y-%m-%d")  # noqa: DTZ007  (a day of any year; raises ValueError)


@functools.cache
def load_seasons() -> tuple[Season, ...]:
    """The shipped seasons. Raises msgspec.ValidationError naming what is wrong."""
    text = files("command_center.registers").joinpath("seasons.yaml").read_text(encoding="utf-8")
    return tuple(msgspec.convert(yaml.safe_load(text), list[Season]))


def starts(seasons: Sequence[Season], city_us: int) -> list[SeasonStart]:
    """For each area prefix, the moment since which a check counts at this city time."""
    now = datetime.fromtimestamp(city_us / 1e6, CITY_ZONE)
    return [SeasonStart(prefix=s.prefix, since_us=_since_us(s, now)) for s in seasons]


def _since_us(season: Season, now: datetime) -> int:
    month, day = (int(part) for part in season.start.split("-"))
    for year in (now.year + 1, now.year, now.year - 1):  # with a long lead the next season may have begun to count
        since = datetime(year, month, day, tzinfo=CITY_ZONE) - timedelta(days=season.lead_days)
        if since <= now:
            return round(since.astimezone(UTC).timestamp()) * 1_000_000
    raise AssertionError("the season of the year before last has always begun")


def is_verified(verified_us: int | None, area: str, since: Sequence[SeasonStart]) -> bool:
    """Whether a check counts for this season. Never, where no season covers the area and nobody ever checked."""
    if verified_us is None:
        return False
    covering = [s for s in since if area.startswith(s.prefix)]
    return not covering or verified_us >= max(covering, key=lambda s: len(s.prefix)).since_us
