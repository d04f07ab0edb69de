"""One piece of work: a transaction, who does it, when, and what it must leave behind (journal, live events, timers).

Everything that changes the command centre runs inside a `Work`. It journals each change in the same transaction, numbers
what screens must see, and hands it to `emit` only after the commit. A replayed piece of work leaves nothing twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from command_center.deadlines import Deadlines
from command_center.duty.model import Called
from command_center.errors import Unavailable
from command_center.model import Actor, Change, JournalEntry, TimelineEntry
from command_center.outbox import Outbox
from command_center.places import Places
from command_center.plans import Plan
from command_center.ports import AreaOf, Emit, LiveAlarm, LiveDepth, Store, Tx
from command_center.records import Timer
from devices.clock import Clock
from devices.registry import Registry
from gis.roads import RoadGraph

LIVE_TIMELINE = 50  # entries that travel with an incident on the live channel (docs/interfaces.md section 8)
TURN_WAIT_S = 8.0  # longer than one attempt to reach a database that is away; then the caller is told so
CHINA = timedelta(hours=8)  # incident numbers carry the date of the city's wall clock


async def nowhere(tx: Tx, lon: float, lat: float) -> str:
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Env:
    """What the command centre knows that is not in the database."""

    clock: Clock
    roads: RoadGraph
    plans: Mapping[str, Plan]
    deadlines: Deadlines
    places: Places
    registry: Registry
    centre: tuple[float, float]  # lon, lat of the district: where an incident stands whose alarm has no position
    live_depth: LiveDepth | None = None
    outbox: Outbox | None = None  # None: nobody outside is told anything (a tenant that is being filled)
    live_alarm: LiveAlarm | None = None  # what the picture shows: acknowledging within an area needs no database
    area_of: AreaOf = nowhere  # which area a point lies in; "" where nobody knows
    order: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False, compare=False)  # one writer at a time


@dataclass(slots=True, kw_only=True)
class Work:
    """One transaction's worth of change. `at_us` is city time: log time for the follower, the clock's for people."""

    tx: Tx
    env: Env
    actor: Actor
    at_us: int
    machine_us: int
    changes: list[Change] = field(default_factory=list)
    gathering: bool = False  # incidents are shown once at the end (`incident_book.show_gathered`), not at each touch
    gathered: dict[str, str] = field(default_factory=dict)  # incident -> kind of its newest touch
    chains: dict[tuple[str, str], list[Called]] = field(default_factory=dict)  # who is called, by area and hazard

    async def journal(
        self, entity: str, entity_id: str, action: str, before: object, after: object, reason: str = ""
    ) -> None:
        await self.tx.add_journal(
            journal_line(self.actor, self.at_us, self.machine_us, entity, entity_id, action, before, after, reason)
        )

    async def event(self, channel: str, kind: str, identifier: str, rev: int, data: object) -> None:
        """A numbered event for screens: kept in the database, so that a viewer that was away can catch up."""
        change = Change(
            channel=channel, seq=0, at_us=self.at_us, kind=kind, id=identifier, rev=rev, data=_plain(data) or {}
        )
        seq = await self.tx.add_live(change)
        self.changes.append(msgspec.structs.replace(change, seq=seq))

    def state(self, channel: str, identifier: str, rev: int, data: object, *, removed: bool = False) -> None:
        """The latest state of something; not kept: the next one replaces it."""
        self.changes.append(
            Change(
                channel=channel,
                seq=0,
                at_us=self.at_us,
                kind="removed" if removed else "upsert",
                id=identifier,
                rev=rev,
                data=_plain(data) or {},
                removed=removed,
            )
        )

    async def note(self, incident_id: str, kind: str, zh: str, en: str, ref: str = "") -> None:
        await self.tx.add_timeline(
            incident_id,
            TimelineEntry(at_us=self.at_us, actor=self.actor.username, kind=kind, text_zh=zh, text_en=en, ref=ref),
        )

    async def person_timer(
        self, timer_id: str, kind: str, entity_id: str, after_s: float, data: dict[str, Any] | None = None
    ) -> int:
        """Wait for a person: machine time, whatever the city clock does. Returns when it is due (machine us)."""
        due_us = self.machine_us + round(after_s * 1e6)
        timer = Timer(
            timer_id=timer_id, kind=kind, entity_id=entity_id, clock="machine", due_us=due_us, data=data or {}
        )
        await self.tx.put_timer(timer)
        return due_us

    async def city_timer(self, timer_id: str, kind: str, entity_id: str, due_us: int) -> None:
        """Wait for something physical: city time."""
        await self.tx.put_timer(
            Timer(timer_id=timer_id, kind=kind, entity_id=entity_id, clock="city", due_us=due_us, data={})
        )


@asynccontextmanager
async def working(store: Store, env: Env, emit: Emit, actor: Actor, at_us: int | None = None) -> AsyncIterator[Work]:
    """A write transaction as a Work; what it changed is emitted after the commit, in the order of its numbers.

    Raises what the block raises, and `Unavailable` when the database cannot be reached; then nothing is emitted.
    """
    async with _turn(env.order):
        async with store.write() as tx:
            work = Work(
                tx=tx,
                env=env,
                actor=actor,
                at_us=env.clock.city_us() if at_us is None else at_us,
                machine_us=env.clock.machine_us(),
            )
            yield work
        for change in work.changes:
            emit(change)


@asynccontextmanager
async def _turn(order: asyncio.Lock) -> AsyncIterator[None]:
    """Commit and emit are one turn, so that screens see changes in the order of commits. Raises Unavailable after a while."""
    try:
        async with asyncio.timeout(TURN_WAIT_S):
            await order.acquire()
    except TimeoutError as error:
        raise Unavailable(f"no turn to write within {TURN_WAIT_S:g} s") from error
    try:
        yield
    finally:
        order.release()


def journal_line(
    actor: Actor,
    at_us: int,
    machine_us: int,
    entity: str,
    entity_id: str,
    action: str,
    before: object,
    after: object,
    reason: str = "",
) -> JournalEntry:
    """A line of the journal that is not written yet: `tx.add_journals` takes many at once."""
    return JournalEntry(
        seq=0,
        at_us=at_us,
        machine_us=machine_us,
        actor=actor.username,
        on_behalf_of=actor.on_behalf_of,
        entity=entity,
        entity_id=entity_id,
        action=action,
        before=_plain(before),
        after=_plain(after),
        reason=reason,
    )


def city_date(at_us: int) -> str:
    """YYYYMMDD on the city's wall (UTC+8)."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us) + CHINA).strftime("%Y%m%d")


def _plain(value: object) -> dict[str, Any] | None:
    if value is None:
        return None
    data = msgspec.to_builtins(value)
    if not isinstance(data, dict):
        raise TypeError(f"journal and live events carry objects, got {type(value).__name__}")
    return data
