"""The rules process on the real log: killed with -9 at any moment, it says everything once."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from citybrain_testing.rules_world import Recorder, at, detector, gauge
from rules.engine import EngineState, step_all
from rules.explain import explain
from rules.transitions import Transition, decode
from stream.owner import AppendServer
from stream.reader import LogReader
from stream.records import NewRecord, RecordKind
from stream.writer import LogWriter

WAIT_S = 60.0  # a loaded machine; the work itself takes a second

# The rules process, as small as it can be: reader, append socket, service.
CHILD = """
import asyncio, sys, time
from pathlib import Path
from rules.service import RulesService
from stream.owner import AppendClient
from stream.reader import LogReader

class Clock:
    kind, rate = "real", 1.0
    def city_us(self): return time.time_ns() // 1000
    def machine_ns(self): return time.monotonic_ns()
    def machine_us(self): return time.time_ns() // 1000

async def main():
    reader = LogReader(Path(sys.argv[1]))
    async with AppendClient(Path(sys.argv[2])) as client:
        await RulesService(reader, client, Clock(), snapshot_every_s=0.05).run()

asyncio.run(main())
"""


class NightClock:
    """City time that each append moves by a second."""

    kind, rate = "stepped", 0.0

    def __init__(self) -> None:
        self.now_us = at(0)

    def city_us(self) -> int:
        self.now_us += 1_000_000
        return self.now_us

    def machine_ns(self) -> int:
        return time.monotonic_ns()

    def machine_us(self) -> int:
        return time.monotonic_ns() // 1000


def story() -> list[NewRecord]:
    log = Recorder()
    log.registry(at(0), 1, [gauge(f"g{k}", k) for k in range(1, 6)] + [detector(f"d{k}", 10 + k) for k in (1, 2)])
    log.rules(at(0), "flood.river-stage", "hazchem.gas", "device.absence")
    for minute in range(60):
        wave = 1.5 + 3.0 * (minute % 20) / 20
        log.obs(at(minute), *({"datastream": n, "value": wave, "p": at(minute)} for n in (1, 2, 3, 4, 5, 11, 12)))
        log.tick(at(minute))
    return [NewRecord(kind=record.kind, body=record.body) for record in log.records]


async def transitions_when_quiet(reader: LogReader, expected: int) -> list[Transition]:
    """The log's transitions, once there are as many as expected (or the wait is over)."""
    deadline = time.monotonic() + WAIT_S
    while True:
        found = [decode(r.body) for r in reader.read(0, 1_000_000) if r.kind == RecordKind.TRANSITION]
        if len(found) >= expected or time.monotonic() > deadline:
            return found
        await asyncio.sleep(0.05)


def start(log: Path, socket: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", CHILD, str(log), str(socket)], cwd=Path(__file__).parents[3])


async def told(directory: Path, socket: Path) -> tuple[list[Transition], list[Transition]]:
    writer = LogWriter(directory, NightClock(), required=("rules",))
    server = asyncio.create_task(AppendServer(writer, socket).run())
    child = start(directory, socket)
    try:
        records = story()
        for number in range(0, len(records), 4):
            await writer.append_async(records[number : number + 4])
            await asyncio.sleep(0.1)
            if number % 32 == 28:  # some die while they start, some in the middle of their work
                os.kill(child.pid, signal.SIGKILL)
                child.wait()
                child = start(directory, socket)
        with LogReader(directory) as reader:
            inputs = [r for r in reader.read(0, 1_000_000) if r.kind != RecordKind.TRANSITION]
            expected = step_all(EngineState(), inputs)
            found = await transitions_when_quiet(reader, len(expected))
            alarm = [t for t in found if t.alarm_id == found[0].alarm_id]
            assert explain(alarm, reader).proven
        return found, expected
    finally:
        child.kill()
        child.wait()
        server.cancel()
        await asyncio.wait([server])
        writer.close()


def test_killed_again_and_again_the_log_holds_every_transition_once(tmp_path: Path) -> None:
    found, expected = asyncio.run(told(tmp_path / "log", tmp_path / "append.sock"))
    assert len(expected) > 15
    assert found == expected
