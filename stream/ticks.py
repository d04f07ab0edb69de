"""Time in the log: ticks, the mark of our own downtime, and the clock's state as a control record."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import structlog

from devices.clock import Clock
from stream import records
from stream.errors import LogBusy, LogFailed, LogFull
from stream.records import TICK, Appended, ControlBody
from stream.writer import LogWriter

DRAIN_TIMEOUT_S = 60.0  # the broker's backlog comes first, for at most this long (contract.md section 2)
STEPPED_POLL_S = 0.005
SLEEP_MAX_S = 1.0  # a clock may be set: never sleep through it
RECONNECT_S = 30.0  # machine seconds in which devices and their broker find each other again

log = structlog.get_logger()


def reconnect_us(clock: Clock) -> int:
    """City time that reconnecting takes beyond what it would take at rate 1, where a device's interval of grace covers it.

    Sockets and processes live in machine time: at 60x the few seconds of a reconnect are minutes of the city's.
    """
    return round(RECONNECT_S * max(0.0, clock.rate - 1.0) * 1e6)


async def append_resume(writer: LogWriter, clock: Clock) -> Appended | None:
    """Mark the time since the last append, and that of reconnecting on a fast clock, as our own downtime.

    None for an empty log. Call before anything is appended.
    """
    if writer.head == 0:
        return None
    from_us = writer.last_at_us
    to_us = max(from_us, clock.city_us()) + reconnect_us(clock)
    (appended,) = await writer.append_async([records.resume(from_us, to_us)])
    return appended


async def append_clock(writer: LogWriter, state: Mapping[str, Any]) -> Appended:
    """Put a clock state (`city_us`, `rate`, `kind`, `run_id`, `tick_us`) into the log; the same state twice is once."""
    data = {name: state[name] for name in ("city_us", "rate", "kind", "run_id", "tick_us")}
    identifier = f"clock:{data['run_id']}:{data['city_us']}:{data['rate']}"
    control = ControlBody(id=identifier, type="clock", actor="runtime", data=data)
    (appended,) = await writer.append_async([records.control(control)])
    return appended


class TickService:
    """Appends a tick each time the city clock passes a multiple of `interval_us` (max(1 city second, 50 ms of machine time)).

    Waits first for `drained` (the broker's backlog is in the log), at most 60 s. On a stepped clock a tick follows each
    advance by at least one interval; none while the clock stands.
    """

    def __init__(
        self,
        writer: LogWriter,
        clock: Clock,
        *,
        interval_us: int,
        drained: asyncio.Event | None = None,
        drain_timeout_s: float = DRAIN_TIMEOUT_S,
    ) -> None:
        self._writer, self._clock, self._interval_us = writer, clock, interval_us
        self._drained, self._drain_timeout_s = drained, drain_timeout_s
        self.refused = 0

    async def run(self) -> None:
        await self._wait_for_backlog()
        due_us = self._after(self._clock.city_us())
        while True:
            now_us = self._clock.city_us()
            if now_us < due_us:
                await asyncio.sleep(self._pause_s(due_us - now_us))
                continue
            await self._tick()
            due_us = self._after(now_us)

    async def _wait_for_backlog(self) -> None:
        if self._drained is None:
            return
        try:
            async with asyncio.timeout(self._drain_timeout_s):
                await self._drained.wait()
        except TimeoutError:
            log.warning("ticks_begin_before_backlog_is_drained", waited_s=self._drain_timeout_s)

    async def _tick(self) -> None:
        """A tick that the log refuses is not repeated: the next one says more."""
        try:
            await self._writer.append_async([TICK])
        except (LogFull, LogBusy, LogFailed) as error:
            self.refused += 1
            log.warning("tick_refused", why=str(error))

    def _after(self, now_us: int) -> int:
        return (now_us // self._interval_us + 1) * self._interval_us

    def _pause_s(self, city_us: int) -> float:
        if self._clock.rate <= 0:
            return STEPPED_POLL_S
        return min(SLEEP_MAX_S, city_us / 1e6 / self._clock.rate)
