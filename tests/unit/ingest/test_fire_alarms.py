"""From a frame of a building's fire alarm unit (GB/T 26875.3) to the alarm: believed, confirmed, raised, whatever its clock says."""

from __future__ import annotations

from typing import Any

import pytest

from citybrain_testing.rules_world import Recorder, at
from devices.codecs.gb26875 import CONFIRM, DATA, Frame, Gb26875Decoder, encode, open_frame, time_tag
from devices.codecs.station import Report
from devices.models import load_models
from devices.registry import Datastream, Device, Registry, RegistryData
from ingest.message import Message
from ingest.pipeline import Link, Outcome, Pipeline
from rules.engine import EngineState, step_all
from rules.transitions import Kind, Transition
from stream.records import EventBody, RecordKind, as_event

UNIT, OTHER = "000000000379", "000000000380"
UNIT_DEVICE = Device(
    device_id="fire-1",
    model="fire-alarm-unit-v1",
    kind="fire_alarm_unit",
    name="商厦消防传输装置",
    lon=121.45,
    lat=28.68,
    area="339900",
    attributes={"stations": {"gb26875": {"station": UNIT}}},
)
STREAMS = [Datastream(datastream=1, device_id="fire-1", property="unit_state", uom="1", interval_s=3600.0)]


def component(bits: int, at_us: int, *, number: int = 3, text: str = "三楼烟感") -> bytes:
    """Type 2: system type 1 at address 1, component kind 40."""
    said = text.encode("gb18030").ljust(31, b"\0")
    return bytes([2, 1, 1, 1, 40]) + number.to_bytes(4, "little") + bits.to_bytes(2, "little") + said + time_tag(at_us)


def frame(data: bytes, *, station: str = UNIT, serial: int = 7, command: int = DATA) -> bytes:
    tag = time_tag(at(0))
    return encode(
        Frame(serial=serial, source=station, destination="0" * 12, command=command, time=tag, data=data, version=0x0101)
    )


class World:
    def __init__(self) -> None:
        registry = Registry.from_data(RegistryData(revision=1, full=True, devices=[UNIT_DEVICE], datastreams=STREAMS))
        self.pipeline = Pipeline("demo", registry, load_models())
        self.log, self.state, self.done = Recorder(), EngineState(), 0
        self.log.registry(at(-10), 1, [(UNIT_DEVICE, STREAMS)])
        self.log.rules(at(-9), "fire.alarm-unit")
        self.run()
        self.outcome = Outcome()

    def run(self) -> list[Transition]:
        found = step_all(self.state, self.log.records[self.done :])
        self.done = len(self.log.records)
        return found

    def hears(self, seconds: float, payload: bytes) -> list[Transition]:
        message = Message(
            topic="cb/v1/demo/fire-1/up/raw/gb26875", payload=payload, packet_id=0, receive_us=at(seconds)
        )
        self.outcome = self.pipeline.process([message], Link(machine_s=seconds))
        for new in self.outcome.records:
            self.log.add(at(seconds), new)
        return self.run()

    def events(self, kind: str) -> list[EventBody]:
        found = [as_event(r) for r in self.log.records if r.kind is RecordKind.EVENT]
        return [body for body in found if body.type == kind]


def test_a_fire_is_confirmed_and_raises_one_alarm_that_says_what_speaks() -> None:
    world = World()
    (raised,) = world.hears(0, frame(component(0b10, at(-2))))
    assert (raised.kind, raised.colour, raised.device_ids) == (Kind.RAISED, "yellow", ["fire-1"])
    (reply,) = world.outcome.replies
    answer = open_frame(reply.payload)
    assert (answer.command, answer.serial, answer.destination) == (CONFIRM, 7, UNIT)
    (event,) = world.events("device_event")
    assert (event.data["type"], event.data["text"], event.data["component"]) == ("fire_alarm", "三楼烟感", "2/1.1-40-3")
    assert event.phenomenon_us == at(-2)


def test_the_same_frame_again_is_the_same_event_and_no_second_alarm() -> None:
    world = World()
    world.hears(0, frame(component(0b10, at(-2))))
    assert world.hears(5, frame(component(0b10, at(-2)), serial=8)) == []
    assert len({body.id for body in world.events("device_event")}) == 1


@pytest.mark.parametrize("wrong_s", [-400 * 86_400, -7_200, 86_400])
def test_a_wrong_clock_does_not_silence_a_fire(wrong_s: int) -> None:
    world = World()
    (raised,) = world.hears(0, frame(component(0b10, at(wrong_s))))
    assert raised.kind is Kind.RAISED
    (event,) = world.events("device_event")
    assert (event.phenomenon_us, event.data["clock_fault"]) == (at(0), True)


def test_a_quiet_state_of_another_component_does_not_end_a_fire() -> None:
    world = World()
    world.hears(0, frame(component(0b10, at(0))))
    assert world.hears(10, frame(component(0b00, at(10), number=4), serial=8)) == []
    assert world.hears(20, frame(component(0b00, at(20)), serial=9)) == [], "a person resets it"


def test_a_fault_is_an_event_and_no_fire() -> None:
    world = World()
    assert world.hears(0, frame(component(0b100, at(0)))) == []
    assert [body.data["type"] for body in world.events("device_event")] == ["fire_fault"]


def test_a_frame_of_another_station_is_refused_and_not_confirmed() -> None:
    world = World()
    assert world.hears(0, frame(component(0b10, at(0)), station=OTHER)) == []
    assert world.outcome.replies == []
    (letter,) = world.events("dead_letter")
    assert OTHER in letter.data["reason"]


def test_the_units_own_state_is_a_value_too() -> None:
    world = World()
    world.hears(0, frame(bytes([21, 1, 0b1000]) + time_tag(at(0))))
    rows: list[Any] = [r for r in world.log.records if r.kind is RecordKind.OBS]
    assert len(rows) == 1
    assert world.events("device_event") == []


def test_a_happening_names_each_object_of_a_frame() -> None:
    data = bytes([2, 2]) + component(0b110, at(0))[2:] + component(0b10, at(1), number=9, text="")[2:]
    (report,) = Gb26875Decoder().feed(frame(data))
    assert isinstance(report, Report)
    assert [(h.type, h.name, h.time_us) for h in report.happened] == [
        ("fire_alarm", "2/1.1-40-3", at(0)),
        ("fire_fault", "2/1.1-40-3", at(0)),
        ("fire_alarm", "2/1.1-40-9", at(1)),
    ]
