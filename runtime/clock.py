"""The city clock: real, scaled or stepped, one for all processes of a tenant.

Scaled: the supervisor writes (city_us, machine monotonic ns, rate, run id) once; every process computes the same city time
from CLOCK_MONOTONIC, which all processes of one boot share. Stepped: the time is eight bytes in a shared mapping that only
the log's owner writes. Real: the wall, guarded against running backwards.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from devices.clock import Clock, ClockKind

BEHIND_S = 5.0  # a wall clock further than this behind the log's last append is a fault (contract.md section 2)
TICK_CITY_US = 1_000_000
TICK_MACHINE_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockState:
    """What every process needs to compute city time; stands in `run/clock.json` and, as a control record, in the log."""

    kind: ClockKind
    city_us: int
    machine_ns: int
    rate: float
    run_id: str
    tick_us: int  # city microseconds between ticks


def tick_interval_us(rate: float) -> int:
    """max(1 city second, 50 ms of machine time), in city microseconds."""
    return max(TICK_CITY_US, int(TICK_MACHINE_S * rate * 1_000_000))


class _Machine:
    @staticmethod
    def machine_ns() -> int:
        return time.monotonic_ns()

    @staticmethod
    def machine_us() -> int:
        return time.time_ns() // 1000


class RealClock(_Machine):
    """The wall clock, guarded. While it reads more than 5 s before what it should (`floor_us`, the log's last append, or
    the last reading that was believed, and the machine time since), time goes on by the monotonic clock and `behind` is True.

    Without that a wall clock that is set back would stop every timer until it has caught up.
    """

    kind: ClockKind = "real"
    rate = 1.0

    def __init__(self, floor_us: int = 0) -> None:
        self._known = (floor_us, time.monotonic_ns())  # one tuple: several threads read the clock

    @property
    def behind(self) -> bool:
        return self._read()[1]

    def city_us(self) -> int:
        return self._read()[0]

    def machine_us(self) -> int:  # type: ignore[override]  # timers that wait for a person must not wait for the wall
        """The guarded wall: what is due in a minute stays due in a minute when the wall is set back."""
        return self._read()[0]

    def _read(self) -> tuple[int, bool]:
        known_us, known_ns = self._known
        wall_us, now_ns = time.time_ns() // 1000, time.monotonic_ns()
        expected_us = known_us + (now_ns - known_ns) // 1000
        if wall_us < expected_us - int(BEHIND_S * 1e6):
            return expected_us, True
        self._known = (wall_us, now_ns)
        return wall_us, False


class ScaledClock(_Machine):
    """City time runs `rate` times as fast as the machine."""

    kind: ClockKind = "scaled"

    def __init__(self, state: ClockState) -> None:
        self._state = state
        self.rate = state.rate

    def city_us(self) -> int:
        elapsed_ns = time.monotonic_ns() - self._state.machine_ns
        return self._state.city_us + int(elapsed_ns * self.rate) // 1000


class SteppedClock(_Machine):
    """City time stands until the owner sets it. `path` holds it for every process."""

    kind: ClockKind = "stepped"
    rate = 0.0

    def __init__(self, path: Path, *, start_us: int | None = None) -> None:
        """Map the file; `start_us` creates or sets it (the owner's side)."""
        if start_us is not None:
            path.write_bytes(struct.pack("<q", start_us))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 8)

    def city_us(self) -> int:
        value: int = struct.unpack_from("<q", self._map, 0)[0]
        return value

    def set_us(self, city_us: int) -> None:
        """Advance. Raises ValueError for a step backwards."""
        now_us = self.city_us()
        if city_us < now_us:
            raise ValueError(f"a stepped clock does not go back: it reads {now_us}, asked for {city_us}")
        struct.pack_into("<q", self._map, 0, city_us)


def write_state(state: ClockState, path: Path) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(asdict(state)))
    temporary.replace(path)


def read_state(path: Path) -> ClockState:
    return ClockState(**json.loads(path.read_text()))


def new_state(kind: ClockKind, *, city_us: int, rate: float, run_id: str) -> ClockState:
    """The state at this moment of the machine."""
    return ClockState(
        kind=kind,
        city_us=city_us,
        machine_ns=time.monotonic_ns(),
        rate=rate,
        run_id=run_id,
        tick_us=tick_interval_us(rate if kind == "scaled" else 1.0),
    )


def open_clock(run_dir: Path, *, floor_us: int = 0) -> Clock:
    """The clock of a child process, from the supervisor's `clock.json`."""
    state = read_state(run_dir / "clock.json")
    if state.kind == "scaled":
        return ScaledClock(state)
    if state.kind == "stepped":
        return SteppedClock(run_dir / "clock.step")
    return RealClock(floor_us)


def boot_id() -> str:
    """Names this boot of the machine: monotonic time of another boot means nothing."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return str(os.getpid())
