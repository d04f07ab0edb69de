"""Proof of an alarm: evaluate the log again and hold the result against what was said then, field by field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from rules.engine import EngineState, load, step
from rules.transitions import Transition, encode
from stream.records import Record

READ_ROWS = 1_000


class RangeReader(Protocol):
    def read(self, after: int, max_rows: int) -> list[Record]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What was logged and what the same records say now. `proven` when both are equal in every field."""

    alarm_id: str
    logged: list[Transition]
    evaluated: list[Transition]
    from_position: int
    to_position: int

    @property
    def proven(self) -> bool:
        return bool(self.logged) and [encode(t) for t in self.logged] == [encode(t) for t in self.evaluated]


def explain(transitions: Sequence[Transition], reader: RangeReader, *, snapshot: bytes | None = None) -> Proof:
    """Step the log from a snapshot taken before the alarm (else from the log's beginning) through its last transition.

    Raises ValueError when `transitions` are not one alarm's, and what the reader raises when the range is not kept any more
    (then the archive, or an older snapshot, is needed).
    """
    alarm_ids = {transition.alarm_id for transition in transitions}
    if len(alarm_ids) != 1:
        raise ValueError(f"expected the transitions of one alarm, got {sorted(alarm_ids)}")
    (alarm_id,) = alarm_ids
    logged = sorted(transitions, key=lambda transition: transition.n)
    last = max(transition.input_position for transition in logged)
    state = load(snapshot) if snapshot is not None else EngineState()
    start = after = state.position
    found: list[Transition] = []
    while after < last:
        records = reader.read(after, READ_ROWS)
        if not records:
            break
        for record in records:
            if record.position <= last:
                found += [t for t in step(state, record) if t.alarm_id == alarm_id]
        after = records[-1].position
    return Proof(alarm_id=alarm_id, logged=logged, evaluated=found, from_position=start, to_position=last)
