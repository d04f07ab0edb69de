"""Clocks for tests: one that stands until it is moved, and one that runs with the machine from a given city time."""

from __future__ import annotations

import time

from devices.clock import ClockKind

LEKIMA_US = 1_565_308_800_000_000  # 2019-08-09T00:00:00Z


class ManualClock:
    """Stands until moved; city and machine time move together."""

    kind: ClockKind = "stepped"
    rate = 0.0

    def __init__(self, city_us: int = LEKIMA_US) -> None:
        self.now_us = city_us
        self.ns = 1_000_000_000

    def city_us(self) -> int:
        return self.now_us

    def machine_ns(self) -> int:
        return self.ns

    def machine_us(self) -> int:
        return self.now_us

    def advance(self, seconds: float) -> None:
        self.now_us += int(seconds * 1e6)
        self.ns += int(seconds * 1e9)


class RunningClock:
    """City time from `city_us`, `rate` times as fast as the machine: for tests with real processes."""

    kind: ClockKind = "scaled"

    def __init__(self, city_us: int = LEKIMA_US, rate: float = 1.0) -> None:
        self._city_us, self.rate = city_us, rate
        self._started_ns = time.monotonic_ns()

    def city_us(self) -> int:
        return self._city_us + int((time.monotonic_ns() - self._started_ns) * self.rate) // 1000

    @staticmethod
    def machine_ns() -> int:
        return time.monotonic_ns()

    @staticmethod
    def machine_us() -> int:
        return time.time_ns() // 1000
