"""The short form of `make bench NAME=no_loss`: MQTT, HJ 212 and SL 651 count what they were promised while everything dies."""

from __future__ import annotations

import pytest

from benchmarks.ordeal import OURS, Ordeal, Plan, Toll
from citybrain_testing.outcome import write_artifact

pytestmark = [pytest.mark.broker, pytest.mark.database, pytest.mark.slow]

PLAN = Plan(seed=3, probes=5, stations=5, kills=len(OURS), outage_s=2.0, full_disk_s=2.0)


@pytest.fixture(scope="module")
def toll(tmp_path_factory: pytest.TempPathFactory) -> Toll:
    toll = Ordeal(tmp_path_factory.mktemp("no-loss"), PLAN, say=print).run()
    write_artifact("no_loss.json", toll.figures())
    return toll


def test_everything_was_killed_while_there_was_something_to_lose(toll: Toll) -> None:
    assert {*OURS, "broker"} <= set(toll.kills)
    assert min(toll.answered.values()) > 0
    assert toll.flood["acked"] > 1_000


def test_nothing_that_was_acknowledged_is_lost(toll: Toll) -> None:
    assert toll.lost == []
    assert toll.stored == toll.acked > 0


def test_nothing_is_stored_twice_and_no_valid_frame_is_refused(toll: Toll) -> None:
    assert (toll.duplicates, toll.valid_dead_lettered) == (0, 0)


@pytest.mark.root
def test_the_disk_was_really_full(toll: Toll) -> None:
    assert toll.full_disk_refused
