"""Durable timers: rows with a due time, one loop that fires them. Nothing waits in memory only, so a restart forgets nothing.

Timers that wait for a person count machine time; physical ones count city time. Firing and what follows from it are one
transaction: a crash in between fires it again, and every handler looks first where its entity stands now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog

from command_center import closures, escalation, incidents, metrics, tasks
from command_center.duty import instructions, shifts
from command_center.errors import CommandError, Unavailable
from command_center.model import SYSTEM
from command_center.ports import Emit, Store
from command_center.records import Timer
from command_center.registers import imports
from command_center.work import Env, Work, working

log = structlog.get_logger(__name__)


async def _shift_changed(work: Work, timer: Timer) -> None:
    """The roster moves on, and so do the calls about alarms that nobody answered."""
    await shifts.changed_over(work, timer)
    await escalation.reroute(work)
    await shifts.show(work)


Handler = Callable[[Work, Timer], Awaitable[None]]
HANDLERS: Mapping[str, Handler] = {
    "alarm_ack": escalation.expired,
    "alarm_unshelve": escalation.shelving_ended,
    "incident_verify": incidents.verify_overdue,
    "task": tasks.expired,
    "closure_expiry": closures.expired,
    imports.EXPIRY: imports.expired,
    "duty_shift": _shift_changed,
    "duty_handover": shifts.hand_over_overdue,
    "instruction": instructions.expired,
}
POLL_S = 0.25  # a step of 60 s may come this much late; one indexed query each
BATCH = 50
RETRY_S = 2.0
# Viewers that were away longer than this get a snapshot; phones that were away longer reload their tasks (city time).
KEEP_LIVE_US = 48 * 3600 * 1_000_000
KEEP_KEYS_US = 7 * 24 * 3600 * 1_000_000
TIDY_EVERY_NS = 600 * 1_000_000_000


class TimerService:
    """Fires due timers, one transaction each, in order of their due time."""

    def __init__(self, store: Store, env: Env, emit: Emit, more: Mapping[str, Handler] | None = None) -> None:
        """`more`: handlers of services that this module does not know, by kind."""
        self._store, self._env, self._emit = store, env, emit
        self._handlers = {**HANDLERS, **(more or {})}
        self._tidied_ns: int | None = None

    async def run(self) -> None:
        """Until cancelled. A database that is away is waited for; timers that came due meanwhile fire afterwards."""
        while True:
            try:
                fired = await self.run_due()
                await self.tidy()
            except Unavailable as error:
                log.warning("timers_wait_for_database", reason=str(error))
                await asyncio.sleep(RETRY_S)
                continue
            if not fired:
                await asyncio.sleep(POLL_S)

    async def run_due(self) -> int:
        """Fire what is due now; returns how many fired."""
        async with self._store.read() as tx:
            due = await tx.due_timers(self._env.clock.machine_us(), self._env.clock.city_us(), BATCH)
        for timer in due:
            await self._fire(timer)
        return len(due)

    async def tidy(self) -> None:
        """Drop what only a resume or a retry would ask for, every ten minutes."""
        now_ns = self._env.clock.machine_ns()
        if self._tidied_ns is not None and now_ns - self._tidied_ns < TIDY_EVERY_NS:
            return
        self._tidied_ns = now_ns
        city_us = self._env.clock.city_us()
        async with self._store.write() as tx:
            rows = await tx.forget(city_us - KEEP_LIVE_US, city_us - KEEP_KEYS_US)
        if rows:
            log.info("command_rows_forgotten", rows=rows)

    async def _fire(self, timer: Timer) -> None:
        try:
            async with working(self._store, self._env, self._emit, SYSTEM) as work:
                current = await work.tx.timer(timer.timer_id)
                if current is None or current.due_us != timer.due_us:
                    return  # answered or set anew since we looked
                await self._handlers[timer.kind](work, current)
        except Unavailable:
            raise
        except CommandError as error:
            # Its entity is not where the timer expected it; it must not stand in the way of the other timers for ever.
            log.warning("timer_refused", timer_id=timer.timer_id, kind=timer.kind, reason=str(error))
            metrics.TIMERS_REFUSED.inc()
            async with working(self._store, self._env, self._emit, SYSTEM) as work:
                await work.journal("timer", timer.timer_id, "refused", timer, None, str(error))
                await work.tx.drop_timer(timer.timer_id)
            return
        metrics.TIMERS_FIRED.labels(timer.kind).inc()
