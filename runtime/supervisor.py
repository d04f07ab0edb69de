"""The supervisor of the child processes: start in order, restart with back-off for ever, stop in order with a deadline.

Children run in sessions of their own (Ctrl-C in the terminal reaches only us), get a death signal with their parent, and
inherit the lock on the data directory, so that leftovers of a killed supervisor hold it and are recognised by pid and
start time. Only a first start that never came up ends the whole: with the reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import structlog

log = structlog.get_logger()

BACKOFF_FIRST_S = 0.25
BACKOFF_MAX_S = 30.0
SETTLED_S = 30.0  # a child that lived this long starts again at the first back-off
LEFTOVER_TIMEOUT_S = 5.0


class FirstStartFailed(Exception):
    """A child did not come up at the first start of the whole; the text has its last words."""


class DataDirectoryBusy(Exception):
    """Another supervisor runs on this data directory."""


@dataclass(kw_only=True)
class ChildSpec:
    """One child. `ready` returns when it serves; it raises or times out otherwise. Children of one `stage` stop together."""

    name: str
    argv: Callable[[], Sequence[str]]
    stage: int
    env: Mapping[str, str] = field(default_factory=dict)
    ready: Callable[[], Awaitable[None]] | None = None
    ready_timeout_s: float = 60.0
    stop_signal: signal.Signals = signal.SIGTERM
    on_start: Callable[[int], None] | None = None  # told the pid after each start
    after: Callable[[], Awaitable[None]] | None = None  # once, after the first time it is ready
    beside_previous: bool = False  # at the first start: does not wait for the child before it
    restart: bool = True  # False: one that ends with 0 has done its work (a simulator)


@dataclass(kw_only=True)
class ChildStatus:
    state: str = "starting"  # starting, up, waiting (back-off), done, stopped
    pid: int = 0
    restarts: int = 0
    since_machine_us: int = 0
    last_exit: str = ""


def start_time(pid: int) -> int | None:
    """The kernel's start time of a process (clock ticks after boot), or None when it is gone or a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    after_name = text.rsplit(")", 1)[1].split()
    if after_name[0] == "Z":
        return None
    return int(after_name[19])


class DirectoryLock:
    """An exclusive flock on the data directory. Children inherit the descriptor."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "run" / "lock"
        self._file: IO[str] | None = None

    def acquire(self, kill_leftovers: Callable[[], bool]) -> int:
        """The descriptor. Leftovers that hold the lock are ended first; raises DataDirectoryBusy for a living supervisor."""
        file = self._path.open("a+")
        for attempt in (1, 2):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                if attempt == 1 and kill_leftovers():
                    continue
                file.close()
                raise DataDirectoryBusy(
                    f"{self._path.parent.parent} is in use by another `citybrain up`; stop it or give --data-dir"
                ) from None
            self._file = file
            os.set_inheritable(file.fileno(), True)
            return file.fileno()
        raise AssertionError("unreachable")

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


class Supervisor:
    """Starts children in list order, keeps them alive while `watch` runs, stops them stage by stage."""

    def __init__(self, run_dir: Path, *, stop_deadline_s: float, logs_dir: Path) -> None:
        self._run_dir = run_dir
        self._children: list[ChildSpec] = []
        self._deadline_s = stop_deadline_s
        self._logs_dir = logs_dir
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._start_times: dict[str, tuple[int, int]] = {}
        self._stopping = False
        self._lock = DirectoryLock(run_dir.parent)
        self._lock_fd: int | None = None
        self.status: dict[str, ChildStatus] = {}

    def add(self, children: Sequence[ChildSpec]) -> None:
        self._children += children
        self.status.update({child.name: ChildStatus() for child in children})

    def lock(self) -> None:
        """Take the data directory, ending leftovers of a killed supervisor."""
        self._lock_fd = self._lock.acquire(self._end_leftovers)
        self._end_leftovers()

    def unlock(self) -> None:
        """Let the data directory go, once every child is stopped."""
        self._lock.release()

    def _end_leftovers(self) -> bool:
        """End processes that children.json names and that still are the same processes. True if the way is free."""
        path = self._run_dir / "children.json"
        try:
            rows: list[dict[str, Any]] = json.loads(path.read_text())
        except (OSError, ValueError):
            return False
        supervisor = next((r for r in rows if r["name"] == "supervisor"), None)
        if (
            supervisor
            and supervisor["pid"] != os.getpid()
            and start_time(supervisor["pid"]) == supervisor["start_time"]
        ):
            return False
        left = [r for r in rows if r["name"] != "supervisor" and start_time(r["pid"]) == r["start_time"]]
        for how in (signal.SIGTERM, signal.SIGKILL):
            for row in left:
                log.warning("leftover_ended", child=row["name"], pid=row["pid"], signal=how.name)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(row["pid"], how)
            deadline = time.monotonic() + LEFTOVER_TIMEOUT_S / 2
            while left and time.monotonic() < deadline:
                time.sleep(0.05)
                left = [r for r in left if start_time(r["pid"]) == r["start_time"]]
            if not left:
                break
        return not left

    def _write_state(self) -> None:
        rows = [{"name": "supervisor", "pid": os.getpid(), "start_time": start_time(os.getpid())}]
        rows += [{"name": n, "pid": pid, "start_time": started} for n, (pid, started) in self._start_times.items()]
        _replace(self._run_dir / "children.json", rows)
        _replace(self._run_dir / "status.json", {n: vars(s) for n, s in self.status.items()})

    def _set(self, name: str, state: str, **facts: Any) -> None:
        status = self.status[name]
        status.state = state
        status.since_machine_us = time.time_ns() // 1000
        for key, value in facts.items():
            setattr(status, key, value)
        self._write_state()

    async def start(self, progress: Callable[[str], None]) -> None:
        """Start every child in order, each after the one before is ready unless it says otherwise. Raises FirstStartFailed."""
        groups: list[list[ChildSpec]] = []
        for child in self._children:
            if child.beside_previous and groups:
                groups[-1].append(child)
            else:
                groups.append([child])
        for group in groups:
            starting = [asyncio.create_task(self._first_start(child, progress), name=child.name) for child in group]
            try:
                await asyncio.gather(*starting)
            finally:
                for task in starting:
                    task.cancel()
                await asyncio.gather(*starting, return_exceptions=True)

    async def _first_start(self, child: ChildSpec, progress: Callable[[str], None]) -> None:
        progress(child.name)
        await self._spawn(child)
        try:
            await self._wait_ready(child)
            if child.after:
                await child.after()
        except (TimeoutError, FirstStartFailed) as error:
            reason = f"{child.name} did not come up: {error or 'no answer in time'}\n{self._last_words(child.name)}"
            raise FirstStartFailed(reason) from error

    async def watch(self) -> None:
        """Keep the started children alive until cancelled."""
        async with asyncio.TaskGroup() as group:
            for child in self._children:
                group.create_task(self._keep(child), name=f"keep-{child.name}")

    async def start_more(self, child: ChildSpec) -> None:
        """Start a child that is no condition for being ready, and keep it alive until cancelled."""
        self.add([child])
        await self._spawn(child)
        await self._wait_ready(child)
        await self._keep(child)

    async def _spawn(self, child: ChildSpec) -> asyncio.subprocess.Process:
        argv = _dies_with_us(list(child.argv()))
        self._logs_dir.mkdir(parents=True, exist_ok=True)
        path = self._logs_dir / f"{child.name}.log"
        if path.exists() and path.stat().st_size > 20 * 1024**2:
            path.replace(path.with_suffix(".log.1"))
        with path.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **child.env},
                start_new_session=True,
                pass_fds=() if self._lock_fd is None else (self._lock_fd,),
            )
        self._processes[child.name] = process
        self._start_times[child.name] = (process.pid, start_time(process.pid) or 0)
        self._set(child.name, "starting", pid=process.pid)
        log.info("child_started", child=child.name, pid=process.pid)
        if child.on_start:
            child.on_start(process.pid)
        return process

    async def _wait_ready(self, child: ChildSpec) -> None:
        process = self._processes[child.name]
        if child.ready is None:
            self._set(child.name, "up")
            return
        ended = asyncio.create_task(process.wait(), name=f"ended-{child.name}")
        ready = asyncio.ensure_future(child.ready())
        try:
            async with asyncio.timeout(child.ready_timeout_s):
                await asyncio.wait({ended, ready}, return_when=asyncio.FIRST_COMPLETED)
            if not ready.done():
                raise FirstStartFailed(f"it ended with {process.returncode}")
            ready.result()
            self._set(child.name, "up")
        finally:
            for task in (ended, ready):
                task.cancel()
            await asyncio.gather(ended, ready, return_exceptions=True)

    async def _keep(self, child: ChildSpec) -> None:
        backoff_s = BACKOFF_FIRST_S
        while True:
            began = time.monotonic()
            code = await self._processes[child.name].wait()
            if self._stopping:
                return
            if code == 0 and not child.restart:
                self._set(child.name, "done", last_exit="0")
                return
            if time.monotonic() - began > SETTLED_S:
                backoff_s = BACKOFF_FIRST_S
            log.error("child_died", child=child.name, code=code, again_in_s=backoff_s)
            self._set(child.name, "waiting", last_exit=str(code), restarts=self.status[child.name].restarts + 1)
            await asyncio.sleep(backoff_s)
            backoff_s = min(BACKOFF_MAX_S, backoff_s * 2)
            await self._spawn(child)
            try:
                await self._wait_ready(child)
            except (TimeoutError, FirstStartFailed) as error:
                log.warning("child_not_ready", child=child.name, reason=str(error))

    async def stop(self) -> None:
        """Stop stage by stage, highest first, all within the deadline; what is left then is killed."""
        self._stopping = True
        end = time.monotonic() + self._deadline_s
        stages = sorted({c.stage for c in self._children}, reverse=True)
        for index, stage in enumerate(stages):
            group = [c for c in self._children if c.stage == stage and self._alive(c.name)]
            for child in group:
                self._signal(child.name, child.stop_signal)
            # Later stages (broker, database) keep their share of the time that is left.
            share_s = max(0.2, (end - time.monotonic()) / (len(stages) - index) * 1.5)
            waits = [asyncio.create_task(self._processes[c.name].wait()) for c in group]
            if waits:
                await asyncio.wait(waits, timeout=min(share_s, max(0.2, end - time.monotonic())))
            for child in group:
                if self._alive(child.name):
                    log.warning("child_killed", child=child.name)
                    self._signal(child.name, signal.SIGKILL)
                    await self._processes[child.name].wait()
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._processes[child.name].pid, signal.SIGKILL)
                self._set(child.name, "stopped", pid=0)
        self._start_times.clear()
        self._write_state()

    def _alive(self, name: str) -> bool:
        process = self._processes.get(name)
        return process is not None and process.returncode is None

    def _signal(self, name: str, how: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._processes[name].send_signal(how)

    def _last_words(self, name: str) -> str:
        path = self._logs_dir / f"{name}.log"
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        return "\n".join(lines[-15:])


def _dies_with_us(argv: list[str]) -> list[str]:
    """The command under `setpriv --pdeathsig`, so that it ends with us even if we are killed; unless it has one already."""
    setpriv = shutil.which("setpriv")
    if setpriv is None or "--pdeathsig" in argv:
        return argv
    return [setpriv, "--pdeathsig", "TERM", "--", *argv]


def _replace(path: Path, data: Any) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(data))
    temporary.replace(path)
