"""The journal in memory: the twin of storage/command/journal.py, linked in the same way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from command_center import chain
from command_center.chain import Head
from command_center.journal import JournalQuery
from command_center.model import JournalEntry
from storage.command.journal import prepared


class _HasJournal(Protocol):
    journal: list[JournalEntry]


class JournalPart:
    """Mixin of the memory transaction; its state has a list `journal`."""

    _s: _HasJournal

    async def add_journal(self, entry: JournalEntry) -> int:
        head = await self.journal_head()
        numbered = prepared(msgspec.structs.replace(entry, seq=head.seq + 1))
        self._s.journal.append(chain.link(head.hash, numbered))
        return head.seq + 1

    async def add_journals(self, entries: Sequence[JournalEntry]) -> None:
        for entry in entries:
            await self.add_journal(entry)

    async def journal(self, entity: str, entity_id: str, limit: int, before: int | None) -> list[JournalEntry]:
        return await self.journal_page(JournalQuery(entity=entity, entity_id=entity_id), limit, before)

    async def journal_page(self, query: JournalQuery, limit: int, before: int | None) -> list[JournalEntry]:
        found = [e for e in reversed(self._s.journal) if _fits(e, query) and (before is None or e.seq < before)]
        return found[:limit]

    async def journal_walk(self, after: int, limit: int, until: int | None = None) -> list[JournalEntry]:
        return [e for e in self._s.journal if e.seq > after and (until is None or e.seq <= until)][:limit]

    async def journal_head(self) -> Head:
        if not self._s.journal:
            return chain.EMPTY
        last, first = self._s.journal[-1], self._s.journal[0]
        gone = [e.after or {} for e in await self.checkpoints()]
        archived = max((int(a["count"]) for a in gone if a["to_seq"] < first.seq), default=0)
        return Head(seq=last.seq, hash=last.hash, count=len(self._s.journal) + archived)

    async def checkpoints(self) -> list[JournalEntry]:
        return [e for e in self._s.journal if e.entity == chain.JOURNAL and e.action == chain.ARCHIVED]

    async def journal_until(self, before_machine_us: int) -> int:
        late = [e.seq - 1 for e in self._s.journal if e.machine_us >= before_machine_us]
        return min(late, default=self._s.journal[-1].seq if self._s.journal else 0)

    async def drop_archived(self, to_seq: int) -> int:
        named = max((int((e.after or {})["to_seq"]) for e in await self.checkpoints()), default=0)
        if to_seq > named:
            raise PermissionError(f"journal is append-only: row {to_seq} is in no archive")
        kept = [e for e in self._s.journal if e.seq > to_seq]
        gone = len(self._s.journal) - len(kept)
        self._s.journal[:] = kept
        return gone


def _fits(entry: JournalEntry, query: JournalQuery) -> bool:
    return (
        query.entity in ("", entry.entity)
        and query.entity_id in ("", entry.entity_id)
        and query.actor in ("", entry.actor, entry.on_behalf_of or entry.actor)
        and query.action in ("", entry.action)
        and (query.from_us is None or entry.at_us >= query.from_us)
        and (query.to_us is None or entry.at_us < query.to_us)
    )
