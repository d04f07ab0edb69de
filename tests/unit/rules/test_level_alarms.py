"""What a level rule says about a river gauge, step by step."""

from __future__ import annotations

import math
from typing import Any

import pytest

from citybrain_testing.rules_world import STAGE, Recorder, at, gauge
from rules.engine import EngineState, step, step_all
from rules.transitions import Kind, Transition
from stream.records import Source

LIVE = int(Source.LIVE)


class World:
    def __init__(self, **thresholds: Any) -> None:
        self.log = Recorder()
        self.state = EngineState()
        self.table = STAGE | thresholds
        self.done = 0
        self.log.registry(at(-10), 1, [gauge("g1", 1, thresholds={"stage_m": self.table}), gauge("g2", 2)])
        self.log.rules(at(-9), "flood.river-stage")
        assert self.run() == []

    def run(self) -> list[Transition]:
        found = step_all(self.state, self.log.records[self.done :])
        self.done = len(self.log.records)
        return found

    def value(self, seconds: float, value: float, **row: Any) -> list[Transition]:
        self.log.obs(at(seconds), {"datastream": 1, "value": value, **row})
        return self.run()

    def tick(self, seconds: float) -> list[Transition]:
        self.log.tick(at(seconds))
        return self.run()


def said(transitions: list[Transition]) -> list[tuple[str, str]]:
    return [(str(t.kind), t.colour) for t in transitions]


def test_a_rising_gauge_goes_through_its_colours_and_may_skip_some() -> None:
    world = World()
    assert said(world.value(0, 1.9)) == []
    (raised,) = world.value(60, 2.0)
    assert (raised.kind, raised.colour, raised.n, raised.event_time_us) == (Kind.RAISED, "blue", 1, at(60))
    assert raised.title_zh == "水位站g1水位达蓝色研判标准"
    assert raised.subject.id == "g1/stage_m"
    (up,) = world.value(120, 4.5)
    assert (up.kind, up.colour, up.colour_before, up.n, up.alarm_id) == (
        "level_up",
        "orange",
        "blue",
        2,
        raised.alarm_id,
    )
    assert up.explanation.thresholds["on"]["orange"] == 4.0
    assert up.explanation.threshold_source == "测站台账"
    assert up.explanation.registry_revision == 1
    assert up.explanation.inputs[-1].position == world.done
    assert up.rule_version == world.state.rules["flood.river-stage"].version


def test_between_off_and_on_the_level_holds_and_below_it_falls_one_at_a_time() -> None:
    world = World()
    world.value(0, 4.5)
    assert world.value(60, 3.85) == []
    assert world.value(120, 1.0) == []
    found = [t for s in range(180, 120 + 1900, 60) for t in world.value(s, 1.0)]
    assert said(found) == [("level_down", "yellow"), ("level_down", "blue"), ("cleared", "")]
    assert [t.event_time_us for t in found] == [at(120 + 600), at(120 + 1200), at(120 + 1800)]
    assert [t.n for t in found] == [2, 3, 4]


def test_an_on_delay_is_fired_by_log_time_without_a_further_sample() -> None:
    world = World(on_delay_s=30)
    assert world.value(0, 2.5) == []
    assert world.tick(29) == []
    (raised,) = world.tick(31)
    assert raised.event_time_us == at(30)
    assert raised.at_us == at(31)
    assert raised.explanation.condition_since_us == at(0)
    assert raised.explanation.on_delay_s == 30


def test_an_on_delay_is_cancelled_by_a_sample_below() -> None:
    world = World(on_delay_s=90)
    world.value(0, 2.5)
    world.value(60, 1.0)
    assert world.tick(100) == []


def test_a_sample_that_proves_the_delay_raises_before_the_log_clock_does() -> None:
    world = World(on_delay_s=30)
    world.value(5, 2.5, p=at(0))
    (raised,) = world.value(32, 2.5, p=at(31))
    assert raised.event_time_us == at(30)


@pytest.mark.parametrize("quality", [1, 2, 3, 4])
def test_no_quality_flag_suppresses_a_rise(quality: int) -> None:
    (raised,) = World().value(0, 5.5, quality=quality)
    assert raised.colour == "red"
    assert ("待核实" in raised.flags) == (quality in (3, 4))


def test_over_range_counts_as_at_least_full_scale_and_is_marked() -> None:
    world = World()
    (raised,) = world.value(0, math.nan, source=LIVE | Source.OVER_RANGE)
    assert raised.colour == "red"
    assert raised.flags == ["待核实"]
    assert raised.value is None
    assert "超量程" in raised.detail_zh


def test_a_wrong_clock_alarms_and_says_so() -> None:
    (raised,) = World().value(0, 2.5, source=LIVE | Source.CLOCK_FAULT)
    assert raised.flags == ["时钟异常"]


def test_missing_data_never_clears_and_is_an_overlay() -> None:
    world = World()
    world.value(0, 2.5)
    for s in range(60, 600, 60):
        world.value(s, math.nan, quality=9)
    found = [t for s in range(600, 7200, 60) for t in world.tick(s)]
    assert said(found) == []
    assert world.state.rules["flood.river-stage"].evaluator.episodes[0].no_data is True  # type: ignore[attr-defined]


def test_the_overlay_comes_after_three_intervals_and_goes_with_data() -> None:
    world = World()
    world.value(0, 2.5)
    assert world.tick(179) == []
    (on,) = world.tick(180)
    assert (on.kind, on.colour, on.no_data) == ("no_data_on", "blue", True)
    (off,) = world.value(300, 2.6)
    assert (off.kind, off.colour, off.no_data) == ("no_data_off", "blue", False)


def test_a_failed_or_under_range_low_value_does_not_lower() -> None:
    world = World()
    world.value(0, 2.5)
    found = [t for s in range(60, 3600, 60) for t in world.value(s, 0.0, quality=4)]
    found += [t for s in range(3600, 7200, 60) for t in world.value(s, -9.0, source=LIVE | Source.UNDER_RANGE)]
    assert found == []


def test_a_gap_freezes_the_off_delay() -> None:
    world = World()
    world.value(0, 2.5)
    world.value(60, 1.0)  # off-delay 600 s begins
    gap = [t for s in range(61, 2000) for t in world.tick(s)]
    assert said(gap) == [("no_data_on", "blue")]
    assert said(world.value(2000, 1.0)) == [("no_data_off", "blue")]
    # 180 s of the delay were allowed by max_gap before the freeze: 420 s remain.
    found = [t for s in range(2060, 2700, 60) for t in world.value(s, 1.0)]
    assert said(found) == [("cleared", "")]
    assert found[0].at_us == at(2420 + 0)


def test_a_late_row_may_raise_and_never_lowers_or_rewinds() -> None:
    world = World()
    world.value(0, 1.0)
    world.value(120, 1.0)
    (raised,) = world.value(130, 3.5, p=at(60))
    assert (raised.colour, raised.flags) == ("yellow", ["迟到"])
    world.value(180, 3.5)
    found = [t for s in range(240, 1200, 60) for t in [*world.value(s, 3.5), *world.value(s + 1, 0.0, p=at(s - 30))]]
    assert found == []


def test_a_crossing_in_a_backlog_is_news_and_not_an_alarm() -> None:
    world = World()
    world.value(0, 1.0)
    back = LIVE | Source.BACKFILL
    world.log.obs(
        at(4000),
        *(
            {"datastream": 1, "value": v, "p": at(60 * k), "source": back}
            for k, v in enumerate([2.5, 3.5, 1.0], start=1)
        ),
    )
    found = world.run()
    assert said(found) == [("late_exceedance", "blue"), ("late_exceedance", "yellow")]
    assert len({t.alarm_id for t in found}) == 2
    assert [t for s in range(4001, 4100) for t in world.tick(s)] == []


def test_a_backlog_whose_newest_value_is_over_raises_now() -> None:
    world = World()
    world.value(0, 1.0)
    back = LIVE | Source.BACKFILL
    assert said(world.value(4000, 2.5, p=at(600), source=back)) == [("late_exceedance", "blue")]
    raised, overlay = [t for s in range(4001, 4020) for t in world.tick(s)]
    assert overlay.kind == "no_data_on"  # what was stored up says nothing about now
    assert (raised.kind, raised.colour, raised.at_us) == ("raised", "blue", at(4005))
    assert "迟到" in raised.flags


def test_a_threshold_change_acts_on_the_last_value_and_keeps_the_episode() -> None:
    world = World()
    (raised,) = world.value(0, 2.5)
    lower = STAGE | {"on": {"blue": 1.0, "yellow": 2.0}, "off": {"blue": 0.9, "yellow": 1.9}, "source": "令 2019-3"}
    world.log.registry(at(10), 2, [gauge("g1", 1, thresholds={"stage_m": lower})])
    (rebased,) = world.run()
    assert (rebased.kind, rebased.colour, rebased.n, rebased.alarm_id) == ("rebased", "yellow", 2, raised.alarm_id)
    assert rebased.explanation.threshold_source == "令 2019-3"
    assert rebased.explanation.registry_revision == 2


def test_a_wrong_threshold_table_is_refused_and_shown_and_the_old_one_stays() -> None:
    world = World()
    world.value(0, 1.0)
    wrong = STAGE | {"off": {"blue": 9.0, "yellow": 2.8, "orange": 3.8, "red": 4.8}}
    world.log.registry(at(10), 2, [gauge("g1", 1, thresholds={"stage_m": wrong})])
    (shown,) = world.run()
    assert shown.rule_id == "system.rule-health"
    assert "g1/stage_m" in shown.title_zh
    assert said(world.value(60, 2.5)) == [("raised", "blue")]


def test_a_falling_rule_mirrors_the_rising_one() -> None:
    world = World(direction="fall", on={"blue": 2.0, "red": 1.0}, off={"blue": 2.2, "red": 1.2})
    assert world.value(0, 2.1) == []
    assert said(world.value(60, 1.9)) == [("raised", "blue")]
    assert said(world.value(120, 0.9)) == [("level_up", "red")]


def test_maintenance_with_author_and_expiry_excludes_a_sample_until_it_expires() -> None:
    world = World()
    entry = {"author": "leader1", "until_us": at(100), "reason": "标定"}
    world.log.registry(
        at(1), 2, [gauge("g1", 1, thresholds={"stage_m": world.table}, attributes={"maintenance": entry})]
    )
    world.run()
    assert world.value(60, 9.0) == []
    assert said(world.value(101, 9.0)) == [("raised", "red")]


def test_a_device_that_leaves_the_registry_ends_its_alarm() -> None:
    world = World()
    world.value(0, 2.5)
    world.log.registry(at(10), 2, [], removed=["g1"])
    (cleared,) = world.run()
    assert (cleared.kind, cleared.flags) == ("cleared", ["设备停用"])


def test_reset_closes_only_an_alarm_that_has_gone_silent() -> None:
    world = World()
    (raised,) = world.value(0, 2.5)
    world.log.control(at(10), "reset", {"alarm_id": raised.alarm_id})
    assert world.run() == []
    world.tick(200)
    world.log.control(at(210), "reset", {"alarm_id": raised.alarm_id})
    (cleared,) = world.run()
    assert (cleared.kind, cleared.flags) == ("cleared", ["人工复位"])


def test_our_own_downtime_moves_timers_and_raises_no_overlay() -> None:
    world = World(on_delay_s=100)
    world.value(0, 2.5)
    world.log.resume(at(5000), at(10), at(5000))
    assert world.run() == []
    assert world.tick(5080) == []
    assert said(world.tick(5092)) == [("raised", "blue")]


def test_a_failing_rule_is_stopped_and_alarmed_while_the_others_go_on() -> None:
    world = World()
    world.log.rules(at(-8), "device.absence", "wind.gust")
    world.run()
    world.state.rules["wind.gust"].evaluator.observe = None  # type: ignore[assignment, method-assign]
    found = world.value(0, 2.5)
    assert {(t.rule_id, t.kind) for t in found} == {
        ("flood.river-stage", Kind.RAISED),
        ("system.rule-health", Kind.RAISED),
    }
    assert world.state.rules["wind.gust"].error
    world.log.rules(at(1), "wind.gust")
    assert said(world.run()) == [("cleared", "")]


def test_ticks_and_acknowledgements_change_nothing() -> None:
    world = World()
    (raised,) = world.value(0, 2.5)
    world.log.control(at(1), "ack", {"alarm_id": raised.alarm_id, "comment": ""})
    assert world.run() == []
    assert step(world.state, world.log.tick(at(2))) == []
