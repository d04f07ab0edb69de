"""The clock that every room is handed. The implementation is `runtime.clock`; below `runtime` nobody reads the wall."""

from __future__ import annotations

from typing import Literal, Protocol

ClockKind = Literal["real", "scaled", "stepped"]


class Clock(Protocol):
    """City time for observations, log and screens; machine time for tokens, heartbeats and timers that wait for a person."""

    @property
    def kind(self) -> ClockKind: ...

    @property
    def rate(self) -> float:
        """City seconds per machine second; 1.0 on a real clock, 0.0 on a stepped one."""
        ...

    def city_us(self) -> int:
        """City time now, microseconds since 1970-01-01T00:00:00Z."""
        ...

    def machine_ns(self) -> int:
        """Monotonic machine time, nanoseconds; comparable between processes of one boot only."""
        ...

    def machine_us(self) -> int:
        """Machine wall time, microseconds since 1970 UTC: for durable timers that wait for a person, and for the journal."""
        ...
