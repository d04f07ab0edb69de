"""The process `rules`: read the log, step, append the transitions, keep snapshots.

Order makes a crash safe: transitions are durable before the snapshot that contains them. After a start the engine steps
again from its snapshot, compares with the transitions that the log already has, and appends only what is missing; the key
of an append (input position, ordinal) makes even a repeated one harmless.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

import structlog

from devices.clock import Clock
from rules import metrics
from rules.engine import EngineState, StateUnreadable, dump, load, step
from rules.transitions import Transition, decode, encode
from stream.errors import LogError
from stream.records import Appended, NewRecord, Record, RecordKind

SNAPSHOT = "rules"  # also the cursor that trimming respects
CHUNK = 64  # records between two looks at the event loop: at 1,000 rows each some 10 ms of work
IDLE_WAIT_S = 1.0  # the reader itself polls every 5 ms; this only bounds one wait
SNAPSHOT_EVERY_S = 10.0
SNAPSHOT_EVERY_RECORDS = 20_000
APPEND_BACK_OFF_S = (0.05, 0.2, 0.5, 1.0)

log = structlog.get_logger()


class Reader(Protocol):
    """The part of `stream.reader.LogReader` that this process uses."""

    def head(self) -> int: ...
    def read(self, after: int, max_rows: int) -> list[Record]: ...
    async def wait_async(self, after: int, timeout_s: float) -> bool: ...
    def commit(self, cursor: str, position: int) -> None: ...
    def put_snapshot(self, name: str, position: int, blob: bytes) -> bool: ...
    def get_snapshot(self, name: str) -> tuple[int, bytes] | None: ...


class Appender(Protocol):
    """The part of `stream.owner.AppendClient` that this process uses."""

    async def append(self, items: Sequence[NewRecord]) -> list[Appended]: ...


class RulesService:
    """Long-lived: `run()` ends when cancelled, with a last snapshot. One per tenant."""

    def __init__(
        self,
        reader: Reader,
        appender: Appender,
        clock: Clock,
        *,
        snapshot_every_s: float = SNAPSHOT_EVERY_S,
        snapshot_every_records: int = SNAPSHOT_EVERY_RECORDS,
    ) -> None:
        self._reader, self._appender, self._clock = reader, appender, clock
        self._snapshot_every_ns = round(snapshot_every_s * 1e9)
        self._snapshot_every_records = snapshot_every_records
        self.state = EngineState()
        self.mismatches = 0
        self._read_to = 0  # last record read, transitions included
        self._durable = 0  # last input whose transitions are in the log
        self._saved = 0
        self._saved_ns = 0
        self._since_saved = 0
        self._logged: dict[str, Transition] = {}  # transitions that the log had at the start, by key
        self._recovered_to = 0

    @property
    def position(self) -> int:
        """The last input whose transitions are durable."""
        return self._durable

    @property
    def unhealthy(self) -> dict[str, str]:
        """Rules that stopped, with the reason."""
        return {rule_id: rule.error for rule_id, rule in self.state.rules.items() if rule.error}

    async def run(self) -> None:
        await self._recover()
        self._saved_ns = self._clock.machine_ns()
        try:
            while True:
                records = self._reader.read(self._read_to, CHUNK)
                if not records:
                    await self._reader.wait_async(self._read_to, IDLE_WAIT_S)
                    continue
                await self._work(records)
                if self._snapshot_due():
                    await self._snapshot()
                await asyncio.sleep(0)
        finally:
            if self._durable == self.state.position and self._durable > self._saved:
                self._put(self._durable, dump(self.state))

    # -- start --------------------------------------------------------------------------------------------------------

    async def _recover(self) -> None:
        """Load the newest snapshot; remember which transitions the log already has for the inputs after it."""
        head = self._reader.head()
        found = self._reader.get_snapshot(SNAPSHOT)
        why = "" if found else "none"
        if found is not None and found[0] > head:
            why = "log_lost"  # the log ends before the snapshot: never go on silently from a state it does not hold
        elif found is not None:
            try:
                self.state = load(found[1])
            except StateUnreadable as error:
                why = "unreadable"
                log.warning("rules_snapshot_unreadable", why=str(error))
        if why:
            metrics.REBUILT.labels(why).inc()
            log.warning("rules_state_from_log_start", why=why, head=head)
        start = self.state.position
        self._read_to = self._durable = self._saved = start
        self._recovered_to = head
        after = start
        while after < head:
            records = self._reader.read(after, 1_000)
            if not records:
                break
            for record in records:
                if record.kind == RecordKind.TRANSITION and record.position <= head:
                    transition = decode(record.body)
                    if transition.input_position > start:
                        self._logged[transition.key] = transition
            after = records[-1].position
            await asyncio.sleep(0)
        log.info("rules_recovered", position=start, head=head, logged_transitions=len(self._logged))

    def _compare(self, transition: Transition) -> bool:
        """Whether the log has this transition already. What stands in the log was acted upon: it stays, ours is news."""
        known = self._logged.pop(transition.key, None)
        if known is None:
            return False
        if encode(known) != encode(transition):
            self._mismatch("differs", transition)
        return True

    def _mismatch(self, how: str, transition: Transition) -> None:
        self.mismatches += 1
        metrics.MISMATCHES.inc()
        log.error(
            "rules_replay_mismatch", how=how, key=transition.key, alarm_id=transition.alarm_id, kind=transition.kind
        )

    def _end_of_recovery(self) -> None:
        for transition in self._logged.values():
            self._mismatch("not_reproduced", transition)
        self._logged.clear()
        self._recovered_to = 0

    # -- work ---------------------------------------------------------------------------------------------------------

    async def _work(self, records: list[Record]) -> None:
        before = self.state.evaluations
        found: list[Transition] = []
        for record in records:
            found += step(self.state, record)
        fresh = [transition for transition in found if not self._compare(transition)]
        if fresh:
            await self._append(fresh)
        self._read_to = records[-1].position
        self._durable = self.state.position
        self._since_saved += len(records)
        if self._recovered_to and self._read_to >= self._recovered_to:
            self._end_of_recovery()
        self._measure(records, fresh, self.state.evaluations - before)

    async def _append(self, transitions: list[Transition]) -> None:
        """Until it is durable: an alarm is never "logged and fine". The log's owner may be restarting."""
        items = [NewRecord(kind=RecordKind.TRANSITION, body=encode(t), key=t.key) for t in transitions]
        tries = 0
        while True:
            try:
                await self._appender.append(items)
                return
            except (LogError, TimeoutError, OSError) as error:
                metrics.APPEND_RETRIES.inc()
                log.warning("transitions_append_retry", why=str(error) or type(error).__name__, waiting=len(items))
                await asyncio.sleep(APPEND_BACK_OFF_S[min(tries, len(APPEND_BACK_OFF_S) - 1)])
                tries += 1

    def _measure(self, records: list[Record], fresh: list[Transition], evaluations: int) -> None:
        metrics.RECORDS.inc(len(records))
        metrics.EVALUATIONS.inc(evaluations)
        for transition in fresh:
            metrics.TRANSITIONS.labels(transition.rule_id, transition.kind).inc()
        metrics.LAG_S.set(max(0.0, (self._clock.city_us() - records[-1].at_us) / 1e6))
        metrics.ACTIVE.set(len(self.state.rules))
        metrics.UNHEALTHY.set(len(self.unhealthy))
        metrics.REFUSED_CONTROLS.set(self.state.refused_controls)
        if fresh:
            log.info("transitions", count=len(fresh), first=fresh[0].key, rules=sorted({t.rule_id for t in fresh}))

    # -- snapshots ----------------------------------------------------------------------------------------------------

    def _snapshot_due(self) -> bool:
        if self._durable <= self._saved:
            return False
        waited = self._clock.machine_ns() - self._saved_ns >= self._snapshot_every_ns
        return waited or self._since_saved >= self._snapshot_every_records

    async def _snapshot(self) -> None:
        """The state is copied here, written (with fsync) beside the event loop."""
        position, blob = self._durable, dump(self.state)
        await asyncio.to_thread(self._put, position, blob)

    def _put(self, position: int, blob: bytes) -> None:
        self._saved_ns, self._since_saved = self._clock.machine_ns(), 0
        if not self._reader.put_snapshot(SNAPSHOT, position, blob):
            return  # the one before stands, and with it what the log has kept since
        self._reader.commit(SNAPSHOT, position)
        self._saved = position
        metrics.SNAPSHOTS.inc()
