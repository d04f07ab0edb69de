"""Reading the journal, and what of its reading is journalled too; the port that its rows come through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from command_center.chain import Head
from command_center.model import JournalEntry


class JournalQuery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which rows; an empty filter takes all. `actor` also finds what was done on his behalf. Times are city time, `to_us` excluded."""

    entity: str = ""
    entity_id: str = ""
    actor: str = ""
    action: str = ""
    from_us: int | None = None
    to_us: int | None = None


class JournalTx(Protocol):
    """The journal's part of `command_center.ports.Tx`."""

    async def add_journal(self, entry: JournalEntry) -> int:
        """Append-only, linked to the row before it; returns the sequence number (the entry's own and its hashes are not used)."""
        ...

    async def add_journals(self, entries: Sequence[JournalEntry]) -> None:
        """Many lines at once, in their order: an import of thousands must not wait for each."""
        ...

    async def journal(self, entity: str, entity_id: str, limit: int, before: int | None) -> list[JournalEntry]: ...
    async def journal_page(self, query: JournalQuery, limit: int, before: int | None) -> list[JournalEntry]:
        """Newest first, rows below `before`."""
        ...

    async def journal_walk(self, after: int, limit: int, until: int | None = None) -> list[JournalEntry]:
        """Oldest first, rows above `after`, up to and including `until`."""
        ...

    async def journal_head(self) -> Head: ...
    async def checkpoints(self) -> list[JournalEntry]:
        """Rows that say which rows stand in which archive file, oldest first."""
        ...

    async def journal_until(self, before_machine_us: int) -> int:
        """The number up to which every row was written before that moment; 0 for none."""
        ...

    async def drop_archived(self, to_seq: int) -> int:
        """Drop rows that a checkpoint names; returns how many went."""
        ...
