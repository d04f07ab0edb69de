"""Lekima's night, bulletin by bulletin: advice that rises as the storm comes and ends once it has left."""

from __future__ import annotations

from datetime import UTC, datetime

from citybrain_testing.rules_world import Recorder, builtins, gauge
from hazards.bulletins import Bulletin, TrackPoint
from rules.engine import EngineState, step_all
from rules.transitions import Transition

# LEKIMA (1909), RSMC Tokyo best track (JMA, free to use with attribution): UTC, latitude, longitude.
LEKIMA = [
    ("2019-08-07T00:00", 20.4, 128.1),
    ("2019-08-07T12:00", 21.6, 127.0),
    ("2019-08-08T00:00", 22.7, 126.0),
    ("2019-08-08T12:00", 24.3, 125.0),
    ("2019-08-09T00:00", 26.4, 123.4),
    ("2019-08-09T06:00", 27.1, 122.5),
    ("2019-08-09T12:00", 27.5, 122.0),
    ("2019-08-09T18:00", 28.2, 121.3),
    ("2019-08-10T00:00", 29.1, 120.7),
    ("2019-08-10T06:00", 29.9, 120.4),
    ("2019-08-10T12:00", 30.8, 120.4),
    ("2019-08-10T18:00", 32.3, 120.3),
    ("2019-08-11T00:00", 33.6, 120.1),
    ("2019-08-11T06:00", 35.0, 120.0),
]


def us(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1e6)


def issue(number: int, *, forecast: bool = True, storm: str = "201909") -> Bulletin:
    points = LEKIMA if forecast else LEKIMA[: number + 1]
    return Bulletin(
        bulletin_id=f"{storm}-{number}",
        storm_id=storm,
        number=number,
        issuer="RSMC Tokyo",
        issued_us=us(LEKIMA[number][0]),
        name_zh="利奇马",
        name_en="Lekima",
        averaging_s=600,
        track=[
            TrackPoint(time_us=us(t), lat=lat, lon=lon, analysis=k <= number, r7_km=[300.0] * 4)
            for k, (t, lat, lon) in enumerate(points)
        ],
    )


class Coast:
    def __init__(self) -> None:
        self.log, self.state, self.done = Recorder(), EngineState(), 0
        start = us("2019-08-06T00:00")
        self.log.registry(start, 1, [gauge("g1", 1, lon=121.43, lat=28.67)])
        self.log.rules(start + 1, "typhoon.approach")
        self.run()

    def run(self) -> list[Transition]:
        found = step_all(self.state, self.log.records[self.done :])
        self.done = len(self.log.records)
        return found

    def hears(self, bulletin: Bulletin, *, after_s: int = 0) -> list[Transition]:
        self.log.control(bulletin.issued_us + after_s * 1_000_000, "bulletin", {"bulletin": builtins(bulletin)})
        return self.run()


def said(transitions: list[Transition]) -> list[tuple[str, str]]:
    return [(str(t.kind), t.colour) for t in transitions]


def test_the_night_rises_through_the_colours_and_ends() -> None:
    coast = Coast()
    found = [t for number in range(len(LEKIMA)) for t in coast.hears(issue(number))]
    assert said(found) == [
        ("raised", "blue"),
        ("level_up", "yellow"),
        ("level_up", "orange"),
        ("level_up", "red"),
        ("level_down", "orange"),
        ("level_down", "yellow"),
        ("level_down", "blue"),
        ("cleared", ""),
    ]
    assert len({t.alarm_id for t in found}) == 1
    red = found[3]
    assert red.title_zh == "台风利奇马研判：椒湾示范区达红色标准（官方预警以气象部门发布为准）"
    assert abs(red.explanation.facts["nearest_km"] - 37.4) < 0.2
    # The hour struck before the next bulletin was read: number 5 was enough.
    assert red.explanation.inputs[0].note == "RSMC Tokyo Lekima 5"
    assert red.propose_incident == "typhoon"
    assert found[0].propose_incident == ""
    assert (red.subject.kind, red.subject.id) == ("area", "339900")


def test_time_alone_brings_it_nearer_between_bulletins() -> None:
    coast = Coast()
    coast.hears(issue(4))
    for hour in range(1, 24):
        coast.log.tick(us("2019-08-09T00:00") + hour * 3_600_000_000)
    assert said(coast.run()) == [("level_up", "red")]


def test_a_track_without_forecast_is_carried_on() -> None:
    coast = Coast()
    found = [t for number in range(2, 6) for t in coast.hears(issue(number, forecast=False))]
    assert found[-1].colour in ("orange", "red")
    assert found[-1].explanation.facts["extrapolated"] is True


def test_an_older_bulletin_changes_nothing() -> None:
    coast = Coast()
    for number in range(5, 13):
        coast.hears(issue(number))
    late = issue(5)
    coast.log.control(us("2019-08-11T00:10"), "bulletin", {"bulletin": builtins(late)})
    assert coast.run() == []


def test_a_bulletin_that_cannot_be_read_is_refused_and_shown() -> None:
    coast = Coast()
    coast.log.control(us("2019-08-09T00:00"), "bulletin", {"bulletin": {"storm_id": "x"}})
    (shown,) = coast.run()
    assert shown.rule_id == "system.rule-health"
    assert coast.state.refused_controls == 1
    assert coast.state.rules["typhoon.approach"].error == ""


def test_two_storms_are_two_alarms() -> None:
    coast = Coast()
    first = coast.hears(issue(4))
    second = coast.hears(issue(4, storm="201910"), after_s=1)
    assert first[0].alarm_id != second[0].alarm_id
