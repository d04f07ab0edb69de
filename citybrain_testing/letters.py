"""Dead letters in memory, between a log in memory and ingest's real pipeline."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from command_center.history_import import HistoryImport, Known
from command_center.letters import Letter, LetterFilter, Reread
from command_center.ports import Append, Emit, Store
from command_center.work import Env
from devices.models import load_models
from devices.registry import Registry
from ingest.history import HistoryRows
from ingest.recall import Recall, not_replayable
from stream.records import ObsBatch, Record, RecordKind, as_batch, as_event

RETENTION_US = 400 * 86_400_000_000
replace = msgspec.structs.replace
Value = tuple[int, int, float | None, str | None]


class MemoryLetters:
    """The store's side: `store` takes over what the log has, when a test says so."""

    def __init__(self, letters: Sequence[Letter] = ()) -> None:
        self.kept = {letter.position: letter for letter in letters}
        self.values: set[Value] = set()
        self.events: set[tuple[str, str]] = set()
        self.marks: dict[int, str] = {}

    async def letters(self, asked: LetterFilter, after: int, limit: int) -> list[Letter]:
        found = [
            letter
            for position, letter in sorted(self.kept.items())
            if position > after
            and (asked.device_ids is None or letter.device_id in asked.device_ids)
            and asked.reason in " ".join(letter.reasons)
        ]
        return [replace(letter, taken=self.marks.get(letter.position) == "taken") for letter in found[:limit]]

    async def known_rows(self, batch: ObsBatch) -> npt.NDArray[np.bool_]:
        return np.array([value in self.values for value in _values(batch)], np.bool_)

    async def known_events(self, events: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        return self.events & set(events)

    def store(self, records: Sequence[Record]) -> None:
        for record in records:
            if record.kind is RecordKind.OBS:
                self.values |= set(_values(as_batch(record)))
            elif record.kind is RecordKind.EVENT:
                body = as_event(record)
                if body.type == "dead_letter_replayed":
                    self.marks[body.data["letter"]] = body.data["outcome"]
                elif body.id:
                    self.events.add((body.device_id, body.id))


class DirectReader:
    """The pipeline without a thread, at the registry that the test holds."""

    def __init__(self, registry: Registry, tenant: str = "demo") -> None:
        self.registry, self._tenant = registry, tenant

    async def read(self, letters: Sequence[Letter], *, anew: bool) -> Sequence[Reread]:
        recall = Recall(self._tenant, self.registry, load_models())
        return [self._one(recall, letter) for letter in letters]

    @staticmethod
    def _one(recall: Recall, letter: Letter) -> Reread:
        refused = not_replayable(letter.topic, letter.payload, letter.reasons, truncated=letter.truncated)
        if refused or letter.payload is None:
            return Reread(refused=refused)
        found = recall.read(letter.topic, letter.payload, letter.receive_us, by_tcp=letter.by_tcp)
        return Reread(rows=found.rows, events=found.events, wrong=found.wrong)


def a_history_import(
    registry: Registry, append: Append, known: Known, store: Store, env: Env, emit: Emit
) -> HistoryImport:
    """The import of history with ingest's own rules; the rules keep up at once."""

    async def followed(position: int) -> None: ...

    return HistoryImport(
        known=known,
        append=append,
        store=store,
        env=env,
        emit=emit,
        judge=lambda: HistoryRows(registry, load_models(), retention_us=RETENTION_US),
        followed=followed,
    )


def _values(batch: ObsBatch) -> list[Value]:
    names = ("datastream", "phenomenon_us", "result", "text")
    return list(zip(*(batch.column(name).to_pylist() for name in names), strict=True))
