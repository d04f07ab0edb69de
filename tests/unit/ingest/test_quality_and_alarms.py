"""From a device's message through quality control to the alarm: a flag informs and never silences (design.md section 2)."""

from __future__ import annotations

import json
from typing import Any

from citybrain_testing.rules_world import Recorder, at, gauge
from devices.models import load_models
from devices.registry import Registry, RegistryData
from ingest.message import Message
from ingest.pipeline import Link, Pipeline
from rules.context import TO_VERIFY
from rules.engine import EngineState, step_all
from rules.transitions import Kind, Transition
from stream.records import Quality, RecordKind, Source, as_batch


class World:
    """One gauge, the pipeline before the log and the rules behind it."""

    def __init__(self) -> None:
        device, streams = gauge("g1", 1)
        registry = Registry.from_data(RegistryData(revision=1, full=True, devices=[device], datastreams=streams))
        self.pipeline = Pipeline("demo", registry, load_models())
        self.log, self.state, self.done = Recorder(), EngineState(), 0
        self.log.registry(at(-10), 1, [(device, streams)])
        self.log.rules(at(-9), "flood.river-stage")
        self.run()
        self.rows: list[dict[str, Any]] = []
        self.notes: list[dict[str, Any]] = []

    def run(self) -> list[Transition]:
        found = step_all(self.state, self.log.records[self.done :])
        self.done = len(self.log.records)
        return found

    def says(self, seconds: float, stage_m: float) -> list[Transition]:
        body = json.dumps({"ts": at(seconds) // 1000, "values": {"stage_m": stage_m}}).encode()
        message = Message(topic="cb/v1/demo/g1/up/telemetry", payload=body, packet_id=0, receive_us=at(seconds))
        for new in self.pipeline.process([message], Link(machine_s=seconds)).records:
            record = self.log.add(at(seconds), new)
            if new.kind is RecordKind.OBS:
                batch = as_batch(record)
                names = ("result", "quality", "source")
                self.rows += [dict(zip(names, row, strict=True)) for row in zip(*(batch.numpy(n).tolist() for n in names), strict=True)]  # fmt: skip
            else:
                self.notes.append(json.loads(new.body))
        return self.run()


def test_a_jump_over_the_threshold_is_flagged_and_raises_at_once_marked_to_verify() -> None:
    world = World()
    world.says(0, 1.5)
    (raised,) = world.says(60, 4.5)
    assert (raised.kind, raised.colour) == (Kind.RAISED, "orange")
    assert TO_VERIFY in raised.flags
    assert (world.rows[-1]["quality"], world.rows[-1]["source"] & Source.RATE_OF_CHANGE) == (
        Quality.SUSPECT,
        Source.RATE_OF_CHANGE,
    )


def test_an_ordinary_rise_raises_without_a_mark() -> None:
    world = World()
    world.says(0, 1.9)
    (raised,) = world.says(60, 2.1)
    assert (raised.kind, raised.flags) == (Kind.RAISED, [])


def test_a_spike_raises_as_well_and_is_told_to_the_vendor_once_it_is_over() -> None:
    world = World()
    world.says(0, 1.5)
    world.says(60, 1.5)
    (raised,) = world.says(120, 3.2)
    assert raised.kind is Kind.RAISED
    assert world.notes == []
    world.says(180, 1.5)
    (note,) = [note["data"] for note in world.notes if note["data"]["reason"] == "spike"]
    assert (note["property"], note["value"], note["ts"]) == ("stage_m", 3.2, at(120) // 1000)


def test_a_level_that_stands_still_above_the_threshold_goes_on_alarming() -> None:
    world = World()
    world.says(0, 3.9)
    (raised,) = world.says(60, 4.0)
    assert raised.colour == "orange"
    later: list[Transition] = []
    for minute in range(2, 8 * 60):
        later += world.says(minute * 60, 4.0)
    assert world.rows[-1]["source"] & Source.FLAT_LINE
    assert [t for t in later if t.kind is Kind.CLEARED] == []
