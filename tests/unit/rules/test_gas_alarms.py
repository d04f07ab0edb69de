"""Gas: one detector raises at once, a second within 60 s raises the level and proposes the incident."""

from __future__ import annotations

import math
from typing import Any

from citybrain_testing.rules_world import Recorder, at, detector
from rules.engine import EngineState, step_all
from rules.transitions import Transition
from stream.records import Source


class Park:
    def __init__(self) -> None:
        self.log, self.state, self.done = Recorder(), EngineState(), 0
        self.log.registry(at(-10), 1, [detector(f"d{k}", k) for k in (1, 2, 3)] + [detector("far", 9, group="harbour")])
        self.log.rules(at(-9), "hazchem.gas")
        assert self.run() == []

    def run(self) -> list[Transition]:
        found = step_all(self.state, self.log.records[self.done :])
        self.done = len(self.log.records)
        return found

    def read(self, seconds: float, *readings: tuple[int, float], **row: Any) -> list[Transition]:
        self.log.obs(at(seconds), *({"datastream": n, "value": v, **row} for n, v in readings))
        return self.run()

    def quiet(self, from_s: int, to_s: int) -> list[Transition]:
        return [t for s in range(from_s, to_s, 10) for t in self.read(s, (1, 0.0), (2, 0.0), (3, 0.0))]


def said(transitions: list[Transition]) -> list[tuple[str, str, str]]:
    return [(str(t.kind), t.colour, t.propose_incident) for t in transitions]


def test_one_detector_at_its_first_alarm_raises_at_once() -> None:
    (raised,) = Park().read(0, (1, 1.0))
    assert (raised.kind, raised.colour, raised.propose_incident) == ("raised", "yellow", "")
    assert (raised.subject.kind, raised.subject.id) == ("site", "park/cl2_mg_m3")
    assert raised.device_ids == ["d1"]
    assert "氯气" in raised.title_zh
    assert raised.explanation.facts["votes"] == {"d1": 1}


def test_one_detector_at_its_second_alarm_is_orange() -> None:
    assert said(Park().read(0, (1, 2.0))) == [("raised", "orange", "")]


def test_a_second_detector_raises_the_level_and_proposes_the_incident() -> None:
    park = Park()
    (raised,) = park.read(0, (1, 1.5))
    (up,) = park.read(50, (2, 1.2))
    assert said([up]) == [("level_up", "orange", "hazchem")]
    assert up.alarm_id == raised.alarm_id
    assert sorted(up.device_ids) == ["d1", "d2"]
    assert up.explanation.facts["corroborated"] is True


def test_two_detectors_in_alarm_together_corroborate_after_a_minute_too() -> None:
    park = Park()
    for s in range(0, 300, 10):
        park.read(s, (1, 1.5))
    assert said(park.read(300, (2, 1.2))) == [("level_up", "orange", "hazchem")]


def test_a_second_detector_within_a_minute_counts_when_the_first_is_over() -> None:
    park = Park()
    park.read(0, (1, 1.5))
    park.read(20, (1, 0.0))
    assert said(park.read(55, (2, 1.2))) == [("level_up", "orange", "hazchem")]


def test_a_second_detector_after_a_minute_does_not_when_the_first_is_over() -> None:
    park = Park()
    park.read(0, (1, 1.5))
    park.read(20, (1, 0.0))
    assert said(park.read(61, (2, 1.2))) == [("member", "yellow", "")]


def test_a_third_detector_joins_and_the_second_alarm_makes_it_red() -> None:
    park = Park()
    park.read(0, (1, 1.5), (2, 1.5))
    assert said(park.read(10, (3, 1.5))) == [("member", "orange", "hazchem")]
    assert said(park.read(20, (3, 2.5))) == [("level_up", "red", "hazchem")]


def test_another_site_is_another_alarm() -> None:
    park = Park()
    found = park.read(0, (1, 1.5), (9, 1.5))
    assert said(found) == [("raised", "yellow", ""), ("raised", "yellow", "")]
    assert found[0].alarm_id != found[1].alarm_id


def test_the_deadband_holds_and_the_level_falls_one_at_a_time_after_the_off_delay() -> None:
    park = Park()
    park.read(0, (1, 1.5), (2, 1.5))
    assert park.read(10, (1, 0.85), (2, 0.85)) == []
    found = park.quiet(20, 20 + 1900)
    assert said(found) == [("level_down", "yellow", ""), ("cleared", "", "")]
    assert [(t.at_us - at(20)) // 1_000_000 for t in found] == [600, 1200]


def test_a_silent_detector_in_alarm_keeps_the_alarm() -> None:
    park = Park()
    park.read(0, (1, 1.5))
    park.log.ticks(1, 3000)
    assert said(park.run()) == [("no_data_on", "yellow", "")]


def test_over_range_without_a_number_is_the_second_alarm() -> None:
    (raised,) = Park().read(0, (1, math.nan), source=int(Source.LIVE | Source.OVER_RANGE))
    assert (raised.colour, raised.flags) == ("orange", ["待核实"])


def test_a_failed_low_reading_does_not_count_down() -> None:
    park = Park()
    park.read(0, (1, 1.5))
    found = [t for s in range(10, 2000, 10) for t in park.read(s, (1, 0.0), quality=4)]
    assert found == []


def test_a_backlog_crossing_is_news_and_its_newest_value_decides() -> None:
    park = Park()
    park.read(0, (1, 0.1))
    back = int(Source.LIVE | Source.BACKFILL)
    assert said(park.read(2000, (1, 1.5), p=at(500), source=back)) == [("late_exceedance", "yellow", "")]
    park.log.ticks(2001, 2006)
    assert next((str(t.kind), t.colour) for t in park.run()) == ("raised", "yellow")


def test_a_threshold_change_acts_on_the_last_reading() -> None:
    park = Park()
    park.read(0, (1, 0.8))
    strict = {"cl2_mg_m3": {"first": 0.5, "second": 2.0, "deadband": 0.1}}
    park.log.registry(at(5), 2, [detector("d1", 1, thresholds=strict)])
    assert said(park.run()) == [("raised", "yellow", "")]
