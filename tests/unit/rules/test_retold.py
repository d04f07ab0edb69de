"""What a person puts in (dead letters replayed, history imported) is news of the past: never a sign of life, never a live alarm."""

from __future__ import annotations

from typing import Any

import pytest

from citybrain_testing.rules_world import Member, Recorder, at, camera, detector, gauge
from rules.engine import EngineState, step_all
from rules.transitions import Transition
from stream.records import EventBody, Source, event

HOUR_S = 3600
PUT_IN = [int(Source.BACKFILL | Source.REPLAY), int(Source.BACKFILL | Source.IMPORT)]


class Town:
    def __init__(self, member: Member, rule: str) -> None:
        self.log, self.state, self.done = Recorder(), EngineState(), 0
        self.log.registry(at(-10), 1, [member, gauge("other", 90)])
        self.log.rules(at(-9), rule)
        self.run()

    def run(self) -> list[Transition]:
        found = step_all(self.state, self.log.records[self.done :])
        self.done = len(self.log.records)
        return found

    def value(self, seconds: float, value: float, **row: Any) -> list[Transition]:
        self.log.obs(at(seconds), {"datastream": 1, "value": value, **row})
        return self.run()

    def pass_time(self, from_s: int, to_s: int) -> list[Transition]:
        """The other gauge speaks, and timers run out."""
        for s in range(from_s, to_s, 30):
            self.log.obs(at(s), {"datastream": 90, "value": 0.0})
        return self.run()


def said(transitions: list[Transition]) -> list[str]:
    return [str(t.kind) for t in transitions]


@pytest.mark.parametrize("source", PUT_IN)
def test_an_old_crossing_that_is_the_newest_value_is_news_and_raises_nothing(source: int) -> None:
    town = Town(gauge("g1", 1), "flood.river-stage")
    (late,) = town.value(0, 4.5, p=at(-24 * HOUR_S), source=source)
    assert (late.kind, late.colour, late.event_time_us) == ("late_exceedance", "orange", at(-24 * HOUR_S))
    assert "迟到" in late.flags
    assert said(town.pass_time(30, 2 * HOUR_S)) == []
    assert said(town.value(2 * HOUR_S, 4.5)) == ["raised"]  # live, it is an alarm


def test_a_crossing_of_a_minute_ago_rises_as_that_of_any_backlog() -> None:
    town = Town(gauge("g1", 1), "flood.river-stage")
    assert said(town.value(0, 4.5, p=at(-60), source=PUT_IN[0])) == ["late_exceedance"]
    assert said(town.pass_time(30, 600)) == ["raised", "no_data_on"]  # and nobody knows what is now


@pytest.mark.parametrize("source", PUT_IN)
def test_an_old_value_below_the_threshold_ends_no_alarm(source: int) -> None:
    town = Town(gauge("g1", 1), "flood.river-stage")
    assert said(town.value(0, 4.5)) == ["raised"]
    for s in range(60, 3 * HOUR_S, 60):
        assert said(town.value(s, 0.5, p=at(s - 24 * HOUR_S), source=source)) in ([], ["no_data_on"])


def test_gas_of_yesterday_is_news_and_raises_nothing() -> None:
    town = Town(detector("d1", 1), "hazchem.gas")
    assert said(town.value(0, 2.5, p=at(-24 * HOUR_S), source=PUT_IN[0])) == ["late_exceedance"]
    assert said(town.pass_time(30, HOUR_S)) == []


def test_what_is_put_in_for_a_silent_device_does_not_make_it_speak() -> None:
    town = Town(gauge("g1", 1), "device.absence")
    town.value(0, 0.0)
    assert [t.subject.id for t in town.pass_time(30, 400)] == ["g1"]
    assert said(town.value(400, 0.0, p=at(-HOUR_S), source=PUT_IN[0])) == []
    assert said(town.value(401, 0.0)) == ["cleared"]


def told_again(town: Town, seconds: float, kind: str, *, age_s: float) -> list[Transition]:
    then = at(seconds - age_s)
    data = {"type": kind, "confidence": 0.7}
    body = EventBody(
        type="device_event", device_id="c1", receive_us=then, phenomenon_us=then, id=kind, data=data, retold=True
    )
    town.log.add(at(seconds), event(body))
    return town.run()


def test_an_old_event_is_news_and_an_old_all_clear_ends_nothing() -> None:
    town = Town(camera("c1", 1), "flood.camera-waterlogging")
    assert said(told_again(town, 0, "waterlogging", age_s=24 * HOUR_S)) == ["late_exceedance"]
    town.log.event(at(10), "c1", {"type": "waterlogging", "confidence": 0.7})
    assert said(town.run()) == ["raised"]
    assert said(told_again(town, 20, "waterlogging_cleared", age_s=HOUR_S)) == []
    assert said(town.pass_time(30, HOUR_S)) in ([], ["no_data_on"])
