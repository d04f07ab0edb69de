"""Helpers for tests of storage: a log in memory, a clock that stands still, batches in one line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from stream.records import EventBody, NewRecord, ObsBatch, Record, RecordKind, Source, event, observations

T0_US = 1_565_308_800_000_000  # 2019-08-09T00:00:00Z: the night of typhoon Lekima
SECOND_US = 1_000_000


@dataclass(slots=True)
class StillClock:
    """A `devices.clock.Clock` that moves when a test says so."""

    now_us: int = T0_US
    kind: Literal["real", "scaled", "stepped"] = "stepped"
    rate: float = 0.0
    machine: int = 0

    def city_us(self) -> int:
        return self.now_us

    def machine_ns(self) -> int:
        self.machine += 1_000_000
        return self.machine

    def machine_us(self) -> int:
        return self.machine // 1000


@dataclass(slots=True)
class MemoryLog:
    """The reader's side of the log, filled by a test."""

    records: list[Record] = field(default_factory=list)
    committed: dict[str, int] = field(default_factory=dict)
    at_us: int = T0_US

    def append(self, *items: NewRecord, at_us: int | None = None) -> int:
        for item in items:
            self.at_us = max(self.at_us + 1, at_us or 0)
            self.records.append(
                Record(
                    position=len(self.records) + 1,
                    at_us=self.at_us,
                    kind=RecordKind(item.kind),
                    version=1,
                    body=item.body,
                )
            )
        return len(self.records)

    def head(self) -> int:
        return len(self.records)

    def read(self, after: int, max_rows: int) -> list[Record]:
        return self.records[after : after + max_rows]

    async def wait_async(self, after: int, timeout_s: float) -> bool:
        return self.head() > after

    def commit(self, cursor: str, position: int) -> None:
        self.committed[cursor] = position

    def close(self) -> None: ...


def obs(rows: Sequence[dict[str, Any]]) -> NewRecord:
    """A frame of observations; what a row leaves out is taken from a plain live sample."""
    plain: dict[str, Any] = {
        "partition": 0,
        "device_us": None,
        "text": None,
        "quality": 1,
        "source": int(Source.LIVE),
        "seq": None,
        "packet_id": None,
        "result": None,
    }
    full = [plain | {"receive_us": row["phenomenon_us"]} | row for row in rows]
    return observations(ObsBatch.from_columns({name: [row[name] for row in full] for name in full[0]}))


def told(kind: str, device_id: str, receive_us: int, **fields: Any) -> NewRecord:
    """An event record of ingest."""
    return event(EventBody(type=kind, device_id=device_id, receive_us=receive_us, **fields))
