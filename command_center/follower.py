"""The domain follows the log: alarms, their operator's side, incidents and automatic closures, each record exactly once.

The cursor is a row in the same transaction as what the records did; after a crash at any point the follower reads on from
it and nothing happens twice. While the database is away it waits; the live picture goes on without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import structlog

from command_center import alarms, closures, metrics
from command_center import incident_book as book
from command_center.device_commands import replies
from command_center.errors import Unavailable
from command_center.model import SYSTEM, Actor
from command_center.ports import Emit, Reader, Store
from command_center.work import Env, Work, working
from devices.registry import registry_data
from rules import transitions
from stream.records import Record, RecordKind, as_control, as_event

log = structlog.get_logger(__name__)

CURSOR = "command"
BATCH_ROWS = 32  # observation frames come along and are skipped; bounds memory
WAIT_S = 1.0
GATHER_S = 0.1  # at the log's end: screens have the alarm already, and one commit for ten costs a tenth
TURN_NS = 500_000_000  # a storm on a busy machine must not keep people's writes waiting (`work.TURN_WAIT_S`)
RETRY_FIRST_S = 0.2
RETRY_LAST_S = 5.0
IDLE_SAVE_NS = 5_000_000_000  # observations and ticks change nothing here: their cursor needs no commit for each batch

_EVENTS = (closures.CAMERA_EVENT.encode(), replies.REPLY.encode())


class DomainFollower:
    """`reader` is a LogReader of its own. `run` until cancelled; `step` does one batch (tests, and the stepped clock)."""

    def __init__(self, reader: Reader, store: Store, env: Env, emit: Emit) -> None:
        self._reader, self._store, self._env, self._emit = reader, store, env, emit
        self._position: int | None = None
        self._at_end = False
        self._followed_us = 0
        self._saved_ns = env.clock.machine_ns()

    @property
    def position(self) -> int:
        """Everything that acts up to this log position is in the database."""
        return self._position or 0

    @property
    def followed_us(self) -> int:
        """Log time of the newest record that was taken over since the start; 0 before the first."""
        return self._followed_us

    async def run(self) -> None:
        """Follow until cancelled. Raises what the log raises (trimmed, corrupt): then a person must look."""
        pause_s = RETRY_FIRST_S
        while True:
            try:
                moved = await self.step()
            except Unavailable as error:
                metrics.FOLLOWER_RETRIES.inc()
                log.warning("follower_waits_for_database", reason=str(error), position=self._position, pause_s=pause_s)
                self._position = None  # a commit that failed may have happened: ask the database where we are
                await asyncio.sleep(pause_s)
                pause_s = min(RETRY_LAST_S, pause_s * 2)
                continue
            pause_s = RETRY_FIRST_S
            if not moved:
                await self._reader.wait_async(self.position, WAIT_S)
            elif self._at_end:
                await asyncio.sleep(GATHER_S)

    async def step(self) -> int:
        """Take one batch over; returns the number of records taken. Raises Unavailable."""
        if self._position is None:
            async with self._store.read() as tx:
                self._position = await tx.cursor(CURSOR)
        records = self._reader.read(self._position, BATCH_ROWS)
        if not records:
            return 0
        now_ns = self._env.clock.machine_ns()
        taken = len(records)
        if any(_acts(record) for record in records) or now_ns - self._saved_ns >= IDLE_SAVE_NS:
            taken = await self._take(records)
            self._reader.commit(CURSOR, records[taken - 1].position)
            self._saved_ns = now_ns
        self._position = records[taken - 1].position
        self._followed_us = records[taken - 1].at_us
        self._at_end = taken == len(records) < BATCH_ROWS
        metrics.FOLLOWER_POSITION.set(self._position)
        return taken

    async def _take(self, records: Sequence[Record]) -> int:
        """Take records over in one transaction, as many as the turn allows, at least one. Returns how many."""
        taken = 0
        async with working(self._store, self._env, self._emit, SYSTEM, records[-1].at_us) as work:
            # Another process, or our own commit whose answer was lost, may have been here already.
            done = await work.tx.cursor(CURSOR)
            work.gathering = True
            until_ns = self._env.clock.machine_ns() + TURN_NS
            for record in records:
                if taken and self._env.clock.machine_ns() > until_ns:
                    break
                if record.position > done and _acts(record):
                    work.at_us = record.at_us
                    await self._apply(work, record)
                taken += 1
            await book.show_gathered(work)
            last = records[taken - 1]
            if last.position > done:
                await work.tx.set_cursor(CURSOR, last.position, last.at_us)
        return taken

    async def _apply(self, work: Work, record: Record) -> None:
        work.actor = SYSTEM
        if record.kind is RecordKind.TRANSITION:
            transition = transitions.decode(record.body)
            if await alarms.apply_transition(work, transition):
                await closures.follow_transition(work, transition)
                metrics.TRANSITIONS.labels(transition.kind.value).inc()
                if transition.kind is transitions.Kind.LATE_EXCEEDANCE:
                    metrics.LATE_EXCEEDANCES.inc()
        elif record.kind is RecordKind.EVENT:
            body = as_event(record)
            if body.type == replies.REPLY:
                await replies.follow_reply(work, body)
            else:
                await closures.follow_event(work, body, record.position)
        else:
            await self._control(work, record)

    async def _control(self, work: Work, record: Record) -> None:
        body = as_control(record)
        if body.type == "registry":
            try:
                self._env.registry.apply(registry_data(body.data))
            except msgspec.ValidationError:
                log.exception("registry_control_wrong", position=record.position)
            return
        work.actor = Actor(username=body.actor)
        await alarms.apply_control(work, body)


def _acts(record: Record) -> bool:
    """Whether a record can change anything here. Of events only a camera's waterlogging and replies to commands do: the bytes
    tell cheaply."""
    if record.kind is RecordKind.EVENT:
        return any(word in record.body for word in _EVENTS)
    return record.kind in (RecordKind.TRANSITION, RecordKind.CONTROL)
