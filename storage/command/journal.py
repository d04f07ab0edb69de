"""Rows of the journal: appended as a chain of hashes, read back, walked for its check, dropped once they are archived."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import msgspec

from command_center import chain
from command_center.access.personal import Sealer
from command_center.chain import Head
from command_center.journal import JournalQuery
from command_center.model import JournalEntry
from storage.batch import clean
from storage.command.rows import SQL, Part, jsonb, params, struct
from storage.database import Connection, Row
from storage.times import MAX_US, MIN_US, opt_time, to_time

WALK_ROWS = 2_000
replace = msgspec.structs.replace


def prepared(entry: JournalEntry) -> JournalEntry:
    """The entry as the columns can hold it: what is hashed must read back the same."""
    return replace(
        entry,
        at_us=min(max(entry.at_us, MIN_US), MAX_US),
        machine_us=min(max(entry.machine_us, MIN_US), MAX_US),
        actor=_clean(entry.actor),
        on_behalf_of=_clean(entry.on_behalf_of),
        entity=_clean(entry.entity),
        entity_id=_clean(entry.entity_id),
        action=_clean(entry.action),
        reason=_clean(entry.reason),
        before=_cleaned(chain.normal(entry.before)),
        after=_cleaned(chain.normal(entry.after)),
    )


def _clean(text: str) -> str:
    return text if text.isascii() and "\x00" not in text else clean(text)


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, dict):
        return {_clean(key): _cleaned(item) for key, item in value.items()}
    return [_cleaned(item) for item in value] if isinstance(value, list) else value


# The head as the running transaction of a connection last wrote it. Two writers of one transaction (a command and the device
# register) share it; nobody else moves it while they hold the lock. A new writer looks anew: its transaction may be a new one.
_heads: WeakKeyDictionary[Connection, tuple[int, str]] = WeakKeyDictionary()


class ChainWriter:
    """Appends rows on one connection, inside one transaction that holds the lock of writes (`lock_writes`)."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        _heads.pop(conn, None)

    async def append(self, entries: Sequence[JournalEntry]) -> int:
        """Link and write one or more; returns the number of the last row."""
        seq, last = _heads.get(self._conn) or await self._read_head(entries)
        rows = []
        for entry in entries:
            seq += 1
            linked = chain.link(last, prepared(replace(entry, seq=seq)))
            last = linked.hash
            rows.append(_params(linked))
        if len(rows) == 1:
            await self._conn.execute(SQL["add_journal"], rows[0])
        elif rows:
            await self._conn.cursor().executemany(SQL["add_journal"], rows)
        _heads[self._conn] = (seq, last)
        return seq

    async def _read_head(self, entries: Sequence[JournalEntry]) -> tuple[int, str]:
        row = await (await self._conn.execute(SQL["journal_head"])).fetchone()
        if row is None:
            return 0, chain.ZERO.hex()
        if row["hash"] is None:
            return await self._begin(int(row["seq"]), entries[0])
        return int(row["seq"]), row["hash"].hex()

    async def _begin(self, seq: int, first: JournalEntry) -> tuple[int, str]:
        """The first row of a chain in a journal that is older than the chain: it states what was there before."""
        older = chain.Older()
        async for entry in walk(self._conn, 0, seq):
            older.add(entry)
        genesis = JournalEntry(
            seq=seq + 1,
            at_us=first.at_us,
            machine_us=first.machine_us,
            actor="system",
            on_behalf_of="",
            entity=chain.JOURNAL,
            entity_id="",
            action=chain.BEGINS,
            before=None,
            after=older.facts(),
            reason="rows from before the chain carry no hash; this row counts them",
        )
        linked = chain.link(chain.ZERO.hex(), prepared(genesis))
        await self._conn.execute(SQL["add_journal"], _params(linked))
        return linked.seq, linked.hash


class JournalRows(Part):
    """The journal's part of a `command_center.ports.Tx`."""

    def __init__(self, conn: Connection, sealer: Sealer | None = None) -> None:
        super().__init__(conn, sealer)
        self._chain = ChainWriter(conn)

    async def add_journal(self, entry: JournalEntry) -> int:
        return await self._chain.append([entry])

    async def add_journals(self, entries: Sequence[JournalEntry]) -> None:
        if entries:
            await self._chain.append(entries)

    async def journal(self, entity: str, entity_id: str, limit: int, before: int | None) -> list[JournalEntry]:
        return await self.journal_page(JournalQuery(entity=entity, entity_id=entity_id), limit, before)

    async def journal_page(self, query: JournalQuery, limit: int, before: int | None) -> list[JournalEntry]:
        values = {
            "entity": clean(query.entity),
            "entity_id": clean(query.entity_id),
            "actor": clean(query.actor),
            "action": clean(query.action),
            "from_at": opt_time(query.from_us),
            "to_at": opt_time(query.to_us),
            "before": before,
            "limit": limit,
        }
        return [_entry(row) for row in await self._all("list_journal", values)]

    async def journal_walk(self, after: int, limit: int, until: int | None = None) -> list[JournalEntry]:
        values = {"after": after, "until": until, "limit": limit}
        return [_entry(row) for row in await self._all("walk_journal", values)]

    async def journal_head(self) -> Head:
        row = await self._one("journal_head")
        if row is None:
            return chain.EMPTY
        totals = await self._one("journal_totals")
        assert totals is not None
        count = int(totals["rows"])
        if totals["first"] > 1:
            count += max((_archived(e) for e in await self.checkpoints() if _to_seq(e) < totals["first"]), default=0)
        return Head(seq=int(row["seq"]), hash=(row["hash"] or chain.ZERO).hex(), count=count)

    async def checkpoints(self) -> list[JournalEntry]:
        return [_entry(row) for row in await self._all("checkpoints")]

    async def journal_until(self, before_machine_us: int) -> int:
        row = await self._one("journal_until", {"before": to_time(before_machine_us)})
        return 0 if row is None else int(row["seq"])

    async def drop_archived(self, to_seq: int) -> int:
        return (await self._conn.execute(SQL["drop_archived"], {"to_seq": to_seq})).rowcount


async def walk(conn: Connection, after: int, until: int | None) -> AsyncIterator[JournalEntry]:
    """Rows in their order, some thousand at a time."""
    while True:
        values = {"after": after, "until": until, "limit": WALK_ROWS}
        rows = await (await conn.execute(SQL["walk_journal"], values)).fetchall()
        for row in rows:
            yield _entry(row)
        if len(rows) < WALK_ROWS:
            return
        after = rows[-1]["seq"]


def _to_seq(entry: JournalEntry) -> int:
    return int((entry.after or {}).get("to_seq", 0))


def _archived(entry: JournalEntry) -> int:
    return int((entry.after or {}).get("count", 0))


def _params(linked: JournalEntry) -> dict[str, Any]:
    return params(
        linked,
        before=None if linked.before is None else jsonb(linked.before),
        after=None if linked.after is None else jsonb(linked.after),
        prev_hash=bytes.fromhex(linked.prev_hash),
        hash=bytes.fromhex(linked.hash),
    )


def _entry(row: Row) -> JournalEntry:
    hashes = {name: row[name].hex() if row[name] is not None else "" for name in ("prev_hash", "hash")}
    return struct(JournalEntry, row, **hashes)
