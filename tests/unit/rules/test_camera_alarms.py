"""Camera events: colour by confidence or depth, latched until the all-clear or an operator's reset."""

from __future__ import annotations

from typing import Any

from citybrain_testing.rules_world import Recorder, at, camera
from rules.engine import EngineState, step_all
from rules.transitions import Transition


class Street:
    def __init__(self) -> None:
        self.log, self.state, self.done = Recorder(), EngineState(), 0
        self.log.registry(at(-10), 1, [camera("c1", 1)])
        self.log.rules(at(-9), "flood.camera-waterlogging")
        assert self.run() == []

    def run(self) -> list[Transition]:
        found = step_all(self.state, self.log.records[self.done :])
        self.done = len(self.log.records)
        return found

    def says(self, seconds: float, kind: str, *, age_s: float = 0, **data: Any) -> list[Transition]:
        self.log.event(at(seconds), "c1", {"type": kind, **data}, phenomenon_us=at(seconds - age_s))
        return self.run()

    def alive(self, from_s: int, to_s: int) -> list[Transition]:
        for s in range(from_s, to_s, 60):
            self.log.obs(at(s), {"datastream": 1, "value": 25.0})
        return self.run()


def said(transitions: list[Transition]) -> list[tuple[str, str, bool]]:
    return [(str(t.kind), t.colour, t.latched) for t in transitions]


def test_confidence_chooses_the_colour_and_a_camera_alone_is_never_red() -> None:
    street = Street()
    (raised,) = street.says(0, "waterlogging", confidence=0.7)
    assert said([raised]) == [("raised", "yellow", True)]
    assert raised.flags == ["待核实"]
    assert said(street.says(10, "waterlogging", confidence=0.99, values={"depth_m": 0.9})) == [
        ("level_up", "orange", True)
    ]


def test_a_depth_is_enough_whatever_the_confidence_and_nothing_at_all_is_blue() -> None:
    assert said(Street().says(0, "waterlogging", confidence=0.1, values={"depth_m": 0.3})) == [
        ("raised", "orange", True)
    ]
    assert said(Street().says(0, "waterlogging")) == [("raised", "blue", True)]


def test_the_latch_holds_without_an_all_clear() -> None:
    street = Street()
    street.says(0, "waterlogging", confidence=0.7)
    assert street.alive(60, 7200) == []


def test_the_all_clear_ends_it_after_the_off_delay_unless_water_comes_back() -> None:
    street = Street()
    street.says(0, "waterlogging", confidence=0.7)
    street.says(60, "waterlogging_cleared")
    street.says(120, "waterlogging", confidence=0.7)
    assert street.alive(121, 900) == []
    street.says(901, "waterlogging_cleared")
    assert said(street.alive(960, 1300)) == [("cleared", "", False)]


def test_an_all_clear_older_than_the_last_event_is_ignored() -> None:
    street = Street()
    street.says(100, "waterlogging", confidence=0.7)
    street.says(110, "waterlogging_cleared", age_s=60)
    assert street.alive(120, 2000) == []


def test_an_operator_opens_the_latch() -> None:
    street = Street()
    (raised,) = street.says(0, "waterlogging", confidence=0.7)
    street.log.control(at(10), "reset", {"alarm_id": raised.alarm_id})
    (cleared,) = street.run()
    assert (cleared.kind, cleared.flags) == ("cleared", ["人工复位"])


def test_a_silent_camera_keeps_its_alarm_and_shows_it() -> None:
    street = Street()
    street.says(0, "waterlogging", confidence=0.7)
    street.log.ticks(1, 400)
    assert said(street.run()) == [("no_data_on", "yellow", True)]
    assert said(street.alive(410, 420)) == [("no_data_off", "yellow", True)]


def test_other_events_and_other_devices_say_nothing() -> None:
    street = Street()
    assert street.says(0, "smoke", confidence=1.0) == []
    street.log.event(at(1), "stranger", {"type": "waterlogging"})
    assert street.run() == []


def test_a_wrong_clock_alarms_and_says_so() -> None:
    (raised,) = Street().says(0, "waterlogging", confidence=0.7, clock_fault=True)
    assert raised.flags == ["待核实", "时钟异常"]


def test_an_event_from_a_backlog_is_the_newest_word_or_just_news() -> None:
    street = Street()
    (raised,) = street.says(5000, "waterlogging", age_s=3000, confidence=0.7, backfill=True)
    assert (raised.kind, raised.flags) == ("raised", ["待核实", "迟到"])
    (news,) = street.says(5010, "waterlogging", age_s=4900, confidence=0.95, backfill=True)
    assert (news.kind, news.colour) == ("late_exceedance", "orange")
    assert news.alarm_id != raised.alarm_id
