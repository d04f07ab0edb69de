"""Time in the log: ticks, resume marks and the clock's state."""

from __future__ import annotations

import asyncio
from pathlib import Path

from citybrain_testing.clocks import LEKIMA_US, ManualClock, RunningClock
from citybrain_testing.logged import all_records
from devices.registry import Device, Registry, RegistryData, as_data
from stream.reader import LogReader
from stream.records import ControlBody, RecordKind, ResumeBody, as_control, as_resume, control
from stream.registry_cache import load_registry, save_registry
from stream.ticks import RECONNECT_S, TickService, append_clock, append_resume
from stream.writer import LogWriter


async def until(writer: LogWriter, head: int) -> None:
    async with asyncio.timeout(5):
        while writer.head < head:
            await asyncio.sleep(0.001)


async def stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


def test_a_stepped_clock_ticks_only_as_it_advances(tmp_path: Path) -> None:
    async def scene() -> None:
        clock = ManualClock()
        with LogWriter(tmp_path, clock) as writer:
            task = asyncio.create_task(TickService(writer, clock, interval_us=1_000_000).run())
            await asyncio.sleep(0.03)
            assert writer.head == 0
            for expected in (1, 2):
                clock.advance(1.0)
                await until(writer, expected)
            await asyncio.sleep(0.03)
            assert writer.head == 2
            await stopped(task)

    asyncio.run(scene())
    assert [record.kind for record in all_records(tmp_path)] == [RecordKind.TICK] * 2


def test_ticks_begin_after_the_backlog_and_follow_the_city_clock(tmp_path: Path) -> None:
    async def scene() -> None:
        clock = RunningClock(rate=600.0)
        drained = asyncio.Event()
        with LogWriter(tmp_path, clock) as writer:
            task = asyncio.create_task(TickService(writer, clock, interval_us=30_000_000, drained=drained).run())
            await asyncio.sleep(0.1)
            assert writer.head == 0
            drained.set()
            await until(writer, 3)
            await stopped(task)

    asyncio.run(scene())
    times = [record.at_us for record in all_records(tmp_path)[:3]]
    assert [at_us // 30_000_000 - times[0] // 30_000_000 for at_us in times] == [0, 1, 2]


def test_a_backlog_without_end_does_not_stop_the_ticks_for_ever(tmp_path: Path) -> None:
    async def scene() -> None:
        clock = RunningClock(rate=600.0)
        with LogWriter(tmp_path, clock) as writer:
            never = asyncio.Event()
            ticks = TickService(writer, clock, interval_us=1_000_000, drained=never, drain_timeout_s=0.01)
            task = asyncio.create_task(ticks.run())
            await until(writer, 1)
            await stopped(task)

    asyncio.run(scene())


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
