"""Camera events of ONVIF, Frigate and GB/T 28181 in the pipeline: whose they are, what the record says, and that a rule hears them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from citybrain_testing.rules_world import Recorder, at
from devices.models import load_models
from devices.registry import Device, Registry, RegistryData
from ingest.message import Message
from ingest.pipeline import Link, Outcome, Pipeline
from rules.engine import EngineState, step_all
from rules.transitions import Kind, Transition
from stream.records import EventBody, RecordKind, as_event

CHANNEL = "34020000001320000001"


def device(device_id: str, model: str = "camera-v1", **fields: Any) -> Device:
    kind = load_models()[model].kind
    return Device(device_id=device_id, model=model, kind=kind, name=device_id, lon=121.45, lat=28.68, area="339900", **fields)  # fmt: skip


def known_as(**stations: str) -> dict[str, Any]:
    return {"stations": {platform: {"station": station} for platform, station in stations.items()}}


DEVICES = [
    device("nvr", "gateway-v1"),
    device("cam-1"),
    device("cam-2", gateway="nvr", attributes=known_as(frigate="front_door", onvif="东门", gb28181=CHANNEL)),
    device("cam-3"),
]


class World:
    """Pipeline, log and rules."""

    def __init__(self, *rules: str) -> None:
        self.pipeline = Pipeline(
            "demo", Registry.from_data(RegistryData(revision=1, full=True, devices=DEVICES)), load_models()
        )
        self.log, self.state, self.done = Recorder(), EngineState(), 0
        self.log.registry(at(-10), 1, [(one, []) for one in DEVICES])
        for rule in rules:
            self.log.rules(at(-9), rule)
        self.run()

    def run(self) -> list[Transition]:
        found = step_all(self.state, self.log.records[self.done :])
        self.done = len(self.log.records)
        return found

    def hears(self, seconds: float, sender: str, tail: str, document: Any) -> list[Transition]:
        payload = document if isinstance(document, bytes) else json.dumps(document).encode()
        message = Message(
            topic=f"cb/v1/demo/{sender}/up/raw/{tail}", payload=payload, packet_id=0, receive_us=at(seconds)
        )
        outcome: Outcome = self.pipeline.process([message], Link(machine_s=seconds))
        assert outcome.replies == []
        for new in outcome.records:
            self.log.add(at(seconds), new)
        return self.run()

    def events(self, kind: str = "device_event") -> list[EventBody]:
        found = [as_event(record) for record in self.log.records if record.kind is RecordKind.EVENT]
        return [body for body in found if body.type == kind]

    def reason(self) -> str:
        (letter,) = self.events("dead_letter")
        return str(letter.data["reason"])


def utc(seconds: float) -> str:
    return datetime.fromtimestamp(at(seconds) / 1e6, UTC).isoformat().replace("+00:00", "Z")


def inside(seconds: float, value: str = "true", rule: str = "Yard") -> dict[str, Any]:
    return {"UtcTime": utc(seconds), "Source": {"VideoSource": "1", "Rule": rule}, "Data": {"IsInside": value}}


FIELD = "RuleEngine/FieldDetector/ObjectsInside/&1"


def frigate(phase: str, seconds: float, **fields: Any) -> dict[str, Any]:
    after = {
        "id": "1.5-a",
        "camera": "front_door",
        "label": "smoke",
        "top_score": 0.75,
        "start_time": at(seconds) / 1e6,
    }
    return {"type": phase, "before": after, "after": {**after, **fields}}


def test_a_camera_speaks_for_itself() -> None:
    world = World()
    world.hears(0, "cam-1", f"onvif-json/{FIELD}/Yard", inside(-2))
    (event,) = world.events()
    assert (event.device_id, event.phenomenon_us, event.receive_us) == ("cam-1", at(-2), at(0))
    assert event.data == {
        "type": "intrusion",
        "codec": "onvif-json",
        "component": f"{FIELD}/Yard",
        "text": "Yard",
        "state": "start",
        "facts": {"IsInside": "true"},
    }


def test_the_prefix_may_be_our_own_topic() -> None:
    world = World()
    world.hears(0, "cam-1", f"onvif-ej/{FIELD}/Yard", inside(-2))
    world.hears(0, "nvr", "frigate/events", frigate("new", -2))
    assert [event.device_id for event in world.events()] == ["cam-1", "cam-2"]


def test_a_level_or_a_field_names_the_camera_behind_a_gateway() -> None:
    world = World()
    world.hears(0, "nvr", f"onvif-json-child/东门/{FIELD}/Yard", inside(-3))
    world.hears(1, "nvr", "frigate", frigate("new", -2))
    world.hears(2, "nvr", "gb28181-alarm", {"channelId": CHANNEL, "alarmMethod": 5, "alarmType": 10})
    found = [(event.device_id, event.data["type"], event.phenomenon_us) for event in world.events()]
    assert found == [("cam-2", "intrusion", at(-3)), ("cam-2", "smoke", at(-2)), ("cam-2", "crowd", at(2))]
    assert world.events()[1].data["confidence"] == 0.75
    assert "confidence" not in world.events()[2].data


def test_a_gateway_speaks_for_no_camera_that_is_not_bound_to_it() -> None:
    world = World()
    world.hears(0, "nvr", "frigate", frigate("new", 0, camera="cam-3"))
    assert world.reason() == "frigate station 'cam-3' is not 'nvr' and not bound to it"
    world = World()
    world.hears(0, "nvr", "frigate", frigate("new", 0, camera="back_door"))
    assert "station 'back_door' is not registered: expected attributes.stations.frigate" in world.reason()
    assert world.events() == []


def test_the_same_message_again_is_the_same_event() -> None:
    world = World()
    for _ in range(2):
        world.hears(0, "nvr", "frigate", frigate("new", -2))
        world.hears(0, "cam-1", f"onvif-json/{FIELD}/Yard", inside(-2))
    assert len({event.id for event in world.events()}) == 2


def test_a_rule_named_waterlogging_raises_to_be_verified_and_its_end_clears_nothing() -> None:
    world = World("flood.camera-waterlogging")
    (raised,) = world.hears(0, "cam-1", f"onvif-json/{FIELD}/waterlogging", inside(0, rule="waterlogging"))
    assert (raised.kind, raised.colour, raised.device_ids) == (Kind.RAISED, "blue", ["cam-1"])
    assert world.hears(60, "cam-1", f"onvif-json/{FIELD}/waterlogging", inside(60, "false", "waterlogging")) == []
    assert [event.data["type"] for event in world.events()] == ["waterlogging", "waterlogging_ended"]


def test_a_wrong_clock_does_not_silence_a_camera() -> None:
    world = World()
    world.hears(0, "cam-1", f"onvif-json/{FIELD}/Yard", inside(-400 * 86_400))
    (event,) = world.events()
    assert (event.phenomenon_us, event.data["clock_fault"]) == (at(0), True)


def test_what_is_out_of_form_is_a_dead_letter_with_a_reason() -> None:
    for tail, document in (("onvif-json", {}), ("frigate", {"type": "new"}), ("gb28181-alarm", {"alarmMethod": 5})):
        world = World()
        world.hears(0, "cam-1", tail, document)
        assert "expected" in world.reason()
        assert world.events() == []


def test_a_sign_of_life_leaves_no_record() -> None:
    world = World()
    before = len(world.log.records)
    world.hears(0, "nvr", "frigate", frigate("update", 0))
    world.hears(1, "nvr", "frigate/stats", b"{}")
    world.hears(2, "cam-1", f"onvif-json/{FIELD}/Yard", inside(0, "false") | {"PropertyOperation": "Initialized"})
    assert len(world.log.records) == before
