"""The supervisor with real processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.supervisor import ChildSpec, DataDirectoryBusy, FirstStartFailed, Supervisor, start_time

SLEEPER = [sys.executable, "-c", "import time\nwhile True: time.sleep(1)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf', flush=True)\nwhile True: time.sleep(1)",
]
WAIT_S = 10.0


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    (tmp_path / "run").mkdir()
    made = Supervisor(tmp_path / "run", stop_deadline_s=3.0, logs_dir=tmp_path / "logs")
    made.lock()
    yield made
    made.unlock()


async def until(condition: object) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.02)


def test_a_killed_child_comes_back_with_another_pid(supervisor: Supervisor) -> None:
    async def scene() -> tuple[int, int]:
        supervisor.add([ChildSpec(name="a", argv=lambda: SLEEPER, stage=1)])
        await supervisor.start(lambda _: None)
        watch = asyncio.create_task(supervisor.watch())
        first = supervisor.status["a"].pid
        os.kill(first, signal.SIGKILL)
        await until(lambda: supervisor.status["a"].restarts == 1 and supervisor.status["a"].state == "up")
        second = supervisor.status["a"].pid
        await supervisor.stop()
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        return first, second

    first, second = asyncio.run(scene())
    assert first != second
    assert start_time(second) is None


def test_a_child_that_does_not_listen_is_killed_within_the_deadline(supervisor: Supervisor, tmp_path: Path) -> None:
    async def scene() -> int:
        supervisor.add([ChildSpec(name="deaf", argv=lambda: STUBBORN, stage=1)])
        await supervisor.start(lambda _: None)
        await until(lambda: "deaf" in (tmp_path / "logs" / "deaf.log").read_text())
        pid = supervisor.status["deaf"].pid
        async with asyncio.timeout(WAIT_S):
            await supervisor.stop()
        return pid

    assert start_time(asyncio.run(scene())) is None


def test_a_first_start_that_never_comes_up_ends_with_the_childs_last_words(supervisor: Supervisor) -> None:
    argv = [sys.executable, "-c", "raise SystemExit('the port is taken')"]

    async def ready() -> None:
        await asyncio.Event().wait()

    async def scene() -> None:
        supervisor.add([ChildSpec(name="a", argv=lambda: argv, stage=1, ready=ready)])
        await supervisor.start(lambda _: None)

    with pytest.raises(FirstStartFailed, match="the port is taken"):
        asyncio.run(scene())


def test_children_beside_one_another_wait_for_all_of_them_and_the_next_for_the_group(supervisor: Supervisor) -> None:
    async def scene() -> list[str]:
        order: list[str] = []
        second_is_there = asyncio.Event()

        def child(name: str, **more: object) -> ChildSpec:
            async def ready() -> None:
                if name == "second":
                    second_is_there.set()
                async with asyncio.timeout(WAIT_S):
                    await second_is_there.wait()  # `first` would wait for ever if `second` came after it
                order.append(name)

            return ChildSpec(name=name, argv=lambda: SLEEPER, stage=1, ready=ready, **more)  # type: ignore[arg-type]

        supervisor.add([child("first"), child("second", beside_previous=True), child("third")])
        await supervisor.start(lambda _: None)
        await supervisor.stop()
        return order

    order = asyncio.run(scene())
    assert sorted(order[:2]) == ["first", "second"]
    assert order[2] == "third"


def test_stages_stop_from_the_highest_to_the_lowest(supervisor: Supervisor, tmp_path: Path) -> None:
    note = tmp_path / "order"
    script = (
        "import signal, sys, time\n"
        f"def end(*_):\n open({str(note)!r}, 'a').write(sys.argv[1]); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\nprint('ready', flush=True)\nwhile True: time.sleep(0.05)"
    )

    async def scene() -> None:
        supervisor.add(
            [
                ChildSpec(name=n, argv=lambda n=n: [sys.executable, "-c", script, n], stage=s)
                for s, n in enumerate("abc")
            ]
        )
        await supervisor.start(lambda _: None)
        await until(lambda: all("ready" in (tmp_path / "logs" / f"{n}.log").read_text() for n in "abc"))
        await supervisor.stop()

    asyncio.run(scene())
    assert note.read_text() == "cba"


def test_a_second_supervisor_on_the_same_directory_is_refused(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor._write_state()
    other = Supervisor(tmp_path / "run", stop_deadline_s=1.0, logs_dir=tmp_path / "logs")
    with pytest.raises(DataDirectoryBusy, match="in use"):
        other.lock()


SUPERVISE = """
import asyncio, sys, structlog
from pathlib import Path
from runtime.supervisor import ChildSpec, Supervisor
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
async def main():
    run = Path(sys.argv[1])
    supervisor = Supervisor(run, stop_deadline_s=2.0, logs_dir=run.parent / "logs")
    supervisor.lock()
    supervisor.add([ChildSpec(name="a", argv=lambda: [sys.executable, "-c", DEAF], stage=1)])
    await supervisor.start(lambda _: None)
    while "deaf" not in (run.parent / "logs" / "a.log").read_text():
        await asyncio.sleep(0.02)
    print(supervisor.status["a"].pid, flush=True)
    await supervisor.watch()
asyncio.run(main())
"""


def test_leftovers_of_a_killed_supervisor_are_ended_by_the_next(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()

    async def scene() -> int:
        first = await asyncio.create_subprocess_exec(
            sys.executable, "-c", SUPERVISE, str(tmp_path / "run"), stdout=asyncio.subprocess.PIPE
        )
        assert first.stdout is not None
        orphan = int(await first.stdout.readline())
        first.kill()
        await first.wait()
        assert start_time(orphan) is not None, "it ignores the death signal, so it is left over"
        second = Supervisor(tmp_path / "run", stop_deadline_s=1.0, logs_dir=tmp_path / "logs")
        second.lock()
        second.unlock()
        return orphan

    assert start_time(asyncio.run(scene())) is None
    assert json.loads((tmp_path / "run" / "children.json").read_text())
