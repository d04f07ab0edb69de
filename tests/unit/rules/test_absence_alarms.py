"""Silence: who should speak stands in the registry; a gateway speaks for its children; never a storm."""

from __future__ import annotations

from citybrain_testing.rules_world import Member, Recorder, at, gauge
from rules.engine import EngineState, step_all
from rules.transitions import Transition


class Net:
    def __init__(self, members: list[Member]) -> None:
        self.log, self.state, self.done = Recorder(), EngineState(), 0
        self.log.registry(at(-10), 1, members)
        self.log.rules(at(-9), "device.absence")
        self.run()

    def run(self) -> list[Transition]:
        found = step_all(self.state, self.log.records[self.done :])
        self.done = len(self.log.records)
        return found

    def speak(self, from_s: int, to_s: int, *datastreams: int, every_s: int = 30) -> list[Transition]:
        for s in range(from_s, to_s, every_s):
            if datastreams:
                self.log.obs(at(s), *({"datastream": n, "value": 0.0} for n in datastreams))
            else:
                self.log.tick(at(s))
        return self.run()


def said(transitions: list[Transition]) -> list[tuple[str, str]]:
    return [(str(t.kind), t.subject.id) for t in transitions]


def test_a_device_that_falls_silent_alarms_after_three_intervals_and_clears_with_data() -> None:
    net = Net([gauge("g1", 1), gauge("g2", 2)])
    net.speak(0, 60, 1, 2)
    (raised,) = net.speak(60, 400, 2)
    assert (raised.kind, raised.subject.id, raised.colour, raised.hazard) == ("raised", "g1", "blue", "device")
    assert raised.event_time_us == at(30 + 180)
    assert raised.explanation.facts["last_heard_us"] == at(30)
    assert said(net.speak(400, 401, 1)) == [("cleared", "g1")]


def test_a_device_never_heard_of_alarms_after_the_grace() -> None:
    net = Net([gauge("g1", 1), gauge("g2", 2)])
    assert said(net.speak(0, 1780, 1)) == []
    (raised,) = net.speak(1780, 2000, 1)
    assert raised.subject.id == "g2"
    assert "登记以来" in raised.detail_zh


def test_a_bad_quality_flag_is_a_sign_of_life() -> None:
    net = Net([gauge("g1", 1)])
    for s in range(0, 3000, 60):
        net.log.obs(at(s), {"datastream": 1, "value": 0.0, "quality": 9})
    assert net.run() == []


def test_a_silent_gateway_is_one_alarm_and_not_its_children() -> None:
    children = [gauge(f"g{k}", k, gateway="gw1") for k in range(1, 8)]
    net = Net([*children, gauge("other", 50)])
    net.speak(0, 100, *range(1, 8), 50)
    net.speak(100, 130, 1, 2, 3, 50)  # not all stop in the same second
    (raised,) = net.speak(130, 2000, 50)
    assert (raised.kind, raised.subject.id, raised.explanation.facts["devices"]) == ("raised", "gw1", 7)
    assert said(net.speak(2000, 2001, *range(1, 8), 50)) == [("cleared", "gw1")]


def test_after_the_gateway_is_back_a_child_that_stays_silent_alarms_by_itself() -> None:
    net = Net([*(gauge(f"g{k}", k, gateway="gw1") for k in range(1, 4)), gauge("other", 50)])
    net.speak(0, 100, 1, 2, 3, 50)
    net.speak(100, 1000, 50)
    found = net.speak(1000, 1400, 1, 2, 50)
    assert said(found) == [("cleared", "gw1"), ("raised", "g3")]


def test_one_child_silent_while_its_gateway_speaks_is_an_alarm_of_the_child() -> None:
    net = Net([*(gauge(f"g{k}", k, gateway="gw1") for k in range(1, 4))])
    net.speak(0, 100, 1, 2, 3)
    assert said(net.speak(100, 400, 2, 3)) == [("raised", "g1")]


def test_many_silent_devices_are_one_alarm() -> None:
    members = [gauge(f"g{k:03}", k) for k in range(1, 101)]
    net = Net(members)
    net.speak(0, 100, *range(1, 101))
    assert said(net.speak(100, 3000)) == [("raised", "network")]
    assert said(net.speak(3000, 3030, *range(1, 101))) == [("cleared", "network")]


def test_our_own_downtime_is_not_the_devices_silence() -> None:
    net = Net([gauge(f"g{k}", k) for k in range(1, 6)])
    net.speak(0, 100, 1, 2, 3, 4, 5)
    net.log.resume(at(50_000), at(100), at(50_000))
    assert net.speak(50_001, 50_060) == []
    assert net.speak(50_060, 53_000, 1, 2, 3, 4, 5) == []


def test_after_our_downtime_every_device_has_at_least_one_interval() -> None:
    net = Net([gauge("g1", 1)])
    net.speak(0, 10, 1)
    net.speak(10, 175)
    net.log.resume(at(10_000), at(175), at(10_000))
    assert net.speak(10_001, 10_060, every_s=1) == []
    assert said(net.speak(10_060, 10_062, every_s=1)) == [("raised", "g1")]


def test_the_canary_is_not_watched_and_a_disabled_device_neither() -> None:
    net = Net([gauge("probe", 1, kind="canary"), gauge("off", 2, enabled=False)])
    assert net.speak(0, 10_000) == []


def test_a_device_that_is_removed_ends_its_alarm() -> None:
    net = Net([gauge("g1", 1), gauge("g2", 2)])
    net.speak(0, 10, 1, 2)
    net.speak(10, 400, 2)
    net.log.registry(at(401), 2, [], removed=["g1"])
    assert said(net.run()) == [("cleared", "g1")]
