"""How deep the water on a closed road is taken to be while its gauge goes on measuring."""

from __future__ import annotations

import msgspec
import pytest

from citybrain_testing.command import make_world
from command_center.closures import LIVE_DEPTH_MAX_AGE_US, with_live_depth
from command_center.dispatch import closed_for
from command_center.model import Closure
from storage.memory.command import MemoryStore

NOW_US = 10 * LIVE_DEPTH_MAX_AGE_US
CLOSURE = Closure(
    closure_id="C-wg-under-12",
    edges=["e1"],
    reason="",
    lon=0.0,
    lat=0.0,
    depth_m=0.5,
    since_us=0,
    expires_us=None,
    author="system",
    evidence="",
)


def depth_m(found: tuple[float, int, int] | None) -> float | None:
    world = make_world(MemoryStore(), live_depth=lambda device_id: found if device_id == "wg-under" else None)
    (shown,) = with_live_depth(world.env, [CLOSURE], NOW_US)
    return shown.depth_m


def test_a_fresh_good_reading_is_the_depth() -> None:
    assert depth_m((0.2, 1, NOW_US)) == 0.2


@pytest.mark.parametrize("quality", [3, 4, 9])
def test_a_flagged_reading_is_no_depth_and_closes_the_road_for_everybody(quality: int) -> None:
    assert depth_m((0.0, quality, NOW_US)) is None
    assert closed_for([msgspec.structs.replace(CLOSURE, depth_m=None)], 9.0) == {"e1"}


def test_an_old_reading_changes_nothing() -> None:
    assert depth_m((0.0, 1, NOW_US - LIVE_DEPTH_MAX_AGE_US - 1)) == 0.5
