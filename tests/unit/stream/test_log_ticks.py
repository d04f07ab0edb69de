"""Time in the log: resume marks, the clock's state and the registry, each a record at its position."""

from __future__ import annotations

import asyncio
from pathlib import Path

from citybrain_testing.clocks import LEKIMA_US, ManualClock
from citybrain_testing.logged import all_records
from devices.registry import Device, Registry, RegistryData, as_data
from stream.reader import LogReader
from stream.records import ControlBody, ResumeBody, as_control, as_resume, control
from stream.registry_cache import load_registry, save_registry
from stream.ticks import RECONNECT_S, append_clock, append_resume
from stream.writer import LogWriter


def test_a_restart_marks_our_own_downtime_and_a_first_start_does_not(tmp_path: Path) -> None:
    async def scene() -> None:
        clock = ManualClock()
        with LogWriter(tmp_path, clock) as writer:
            assert await append_resume(writer, clock) is None
            state = {"city_us": LEKIMA_US, "rate": 60.0, "kind": "scaled", "run_id": "r1", "tick_us": 3_000_000}
            await append_clock(writer, state)
            assert (await append_clock(writer, state)).duplicate
        clock.advance(90.0)
        with LogWriter(tmp_path, clock) as writer:
            await append_resume(writer, clock)

    asyncio.run(scene())
    first, second = all_records(tmp_path)
    assert as_control(first).data["rate"] == 60.0
    assert as_resume(second) == ResumeBody(from_us=LEKIMA_US, to_us=LEKIMA_US + 90_000_000)


def test_reconnecting_on_a_fast_clock_is_our_downtime_as_well(tmp_path: Path) -> None:
    async def scene() -> None:
        clock = ManualClock()
        clock.rate = 60.0
        with LogWriter(tmp_path, clock) as writer:
            await append_clock(
                writer, {"city_us": LEKIMA_US, "rate": 60.0, "kind": "scaled", "run_id": "r1", "tick_us": 3_000_000}
            )
        clock.advance(90.0)
        with LogWriter(tmp_path, clock) as writer:
            await append_resume(writer, clock)

    asyncio.run(scene())
    resume = as_resume(all_records(tmp_path)[1])
    assert resume.to_us - LEKIMA_US == 90_000_000 + RECONNECT_S * 59 * 1e6


def test_the_registry_is_its_snapshot_and_the_controls_after_it(tmp_path: Path) -> None:
    def device(name: str) -> Device:
        return Device(device_id=name, model="m", kind="camera", name=name, lon=121.0, lat=28.0)

    with LogWriter(tmp_path, ManualClock()) as writer, LogReader(tmp_path) as reader:
        assert load_registry(reader)[0].revision == 0
        registry = Registry.from_data(RegistryData(revision=1, full=True, devices=[device("a")]))
        save_registry(writer, registry, 0)
        for revision, name in ((2, "b"), (3, "c")):
            data = as_data(revision, [device(name)], [])
            writer.append([control(ControlBody(id=f"registry-{revision}", type="registry", actor="admin", data=data))])
        loaded, position = load_registry(reader)
    assert (loaded.revision, sorted(loaded.devices), position) == (3, ["a", "b", "c"], 2)
