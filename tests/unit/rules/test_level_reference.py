"""The columnar level rule against a slow machine that was written from the text of the rules, not from the code."""

from __future__ import annotations

import math

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from citybrain_testing.rules_world import Recorder, at, gauge
from rules.engine import EngineState, step_all

ON = [2.0, 3.0, 4.0, 5.0]
OFF = [1.8, 2.8, 3.8, 4.8]
COLOURS = ["", "blue", "yellow", "orange", "red"]
INTERVAL = 60
GAP = 3 * INTERVAL


class Slow:
    """One gauge, live rows in order, whole seconds. Level by the book: reference/rule-engines.md 4.3 and 4.4."""

    def __init__(self, on_delay: int, off_delay: int) -> None:
        self.on_delay, self.off_delay = on_delay, off_delay
        self.level, self.last, self.value = 0, -math.inf, math.nan
        self.rising: dict[int, int] = {}  # level -> since
        self.falling: float | None = None
        self.silent = False
        self.said: list[tuple[str, str, float]] = []

    def say(self, kind: str, event: float) -> None:
        self.said.append((kind, COLOURS[self.level], event))

    def go_up(self, level: int, event: float) -> None:
        kind = "level_up" if self.level else "raised"
        self.level, self.falling = level, None
        self.rising = {k: since for k, since in self.rising.items() if k > level}
        self.say(kind, event)

    def go_down(self, target: int) -> None:
        assert self.falling is not None
        event = self.falling + self.off_delay
        self.level -= 1
        self.say("level_down" if self.level else "cleared", event)
        self.falling = event if self.level > target else None
        if self.level == 0:
            self.silent = False

    def target(self, value: float) -> int:
        up = sum(value >= on for on in ON)
        hold = sum(value > off for off in OFF[: self.level])
        return max(up, hold)

    def pass_time(self, now: int) -> None:
        """Second by second: what falls due while data is fresh enough."""
        second = self.last
        while second < now and self.last > -math.inf:
            second += 1
            if second <= self.last + GAP:
                ripe = [k for k, since in self.rising.items() if second - since >= self.on_delay]
                if ripe:
                    self.go_up(max(ripe), self.rising[max(ripe)] + self.on_delay)
                while self.falling is not None and second - self.falling >= self.off_delay:
                    self.go_down(self.target(self.value))
            if self.level and not self.silent and second >= self.last + GAP:
                self.silent = True
                self.say("no_data_on", second)

    def sample(self, now: int, value: float) -> None:
        self.pass_time(now)
        frozen = now - self.last - GAP
        if frozen > 0 and self.last > -math.inf:
            self.rising = {k: since + int(frozen) for k, since in self.rising.items()}
            self.falling = self.falling + frozen if self.falling is not None else None
        self.last, self.value = now, value
        if self.silent:
            self.silent = False
            self.say("no_data_off", now)
        target = self.target(value)
        for level in range(self.level + 1, 5):
            if target >= level:
                self.rising.setdefault(level, now)
            else:
                self.rising.pop(level, None)
        ripe = [k for k, since in self.rising.items() if now - since >= self.on_delay]
        if ripe:
            self.go_up(max(ripe), self.rising[max(ripe)] + self.on_delay)
        elif target < self.level:
            if self.falling is None:
                self.falling = now
            while self.falling is not None and now - self.falling >= self.off_delay:
                self.go_down(target)
        else:
            self.falling = None


values = st.one_of(st.sampled_from([0.0, *ON, *OFF, 1.79, 2.9, 3.9, 6.0]), st.floats(0, 6))
walk = st.lists(st.tuples(st.sampled_from([10, 30, 60, 60, 60, 170, 180, 181, 400]), values), min_size=1, max_size=40)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    walk=walk,
    on_delay=st.sampled_from([0, 30, 90, 200]),
    off_delay=st.sampled_from([0, 60, 200, 600]),
    together=st.booleans(),
)
def test_hysteresis_and_delays_match_the_slow_machine(
    walk: list[tuple[int, float]], on_delay: int, off_delay: int, together: bool
) -> None:
    table = {
        "on": dict(zip(COLOURS[1:], ON, strict=True)),
        "off": dict(zip(COLOURS[1:], OFF, strict=True)),
        "direction": "rise",
        "on_delay_s": on_delay,
        "off_delay_s": off_delay,
        "source": "t",
    }
    log = Recorder()
    # A second gauge in the same records keeps the batch path honest.
    log.registry(at(-10), 1, [gauge("g1", 1, thresholds={"stage_m": table}), gauge("g2", 2)])
    log.rules(at(-9), "flood.river-stage")
    slow = Slow(on_delay, off_delay)
    now = 0
    for wait, value in walk:
        for second in range(now + 1, now + wait):
            log.tick(at(second))
        now += wait
        slow.sample(now, value)
        other = [{"datastream": 2, "value": 0.5}] if together else []
        log.obs(at(now), {"datastream": 1, "value": value}, *other)
    found = step_all(EngineState(), log.records)
    mine = [(str(t.kind), t.colour, (t.event_time_us - at(0)) / 1e6) for t in found if t.subject.id == "g1/stage_m"]
    assert mine == slow.said
