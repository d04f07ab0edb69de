"""The tick service on a writer with its own thread: it waits for real, so it is tried here and not among the units."""

from __future__ import annotations

import asyncio
from pathlib import Path

from citybrain_testing.clocks import ManualClock, RunningClock
from citybrain_testing.logged import all_records
from stream.records import RecordKind
from stream.ticks import TickService
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
    intervals = [record.at_us // 30_000_000 for record in all_records(tmp_path)[:3]]
    # One of each interval; a busy machine may miss one (50 ms here), and then the next says more.
    assert len(intervals) == 3
    assert intervals == sorted(set(intervals))


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
