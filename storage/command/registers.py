"""Entries of the registers, what they point at, and daily risk statements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from command_center.registers.entries import Entry, Link
from command_center.registers.ports import EntryQuery, EntryRow, NamedPlace, Statement
from storage.batch import clean
from storage.command.rows import Part, jsonb, params, struct
from storage.database import Row
from storage.times import opt_time, to_time

BATCH = 1_000  # rows of one statement: a document of a few megabytes at most
MANY_LINKS = 10_000


class RegisterRows(Part):
    async def register_entry(self, kind: str, entry_id: str) -> Entry | None:
        row = await self._one("read_register_entry", {"kind": clean(kind), "entry_id": clean(entry_id)})
        return None if row is None else _entry(row)

    async def register_entries(self, kind: str, entry_ids: Sequence[str]) -> list[Entry]:
        values = {"kind": kind, "entry_ids": [clean(i) for i in entry_ids]}
        return [_entry(row) for row in await self._all("read_register_entries", values)]

    async def register_list(self, query: EntryQuery) -> list[Entry]:
        return [_entry(row) for row in await self._all("list_register", _question(query))]

    async def register_total(self, query: EntryQuery) -> dict[str, int]:
        return {row["kind"]: row["entries"] for row in await self._all("count_register", _question(query))}

    async def register_names(self, kind: str, texts: Sequence[str]) -> list[tuple[str, str]]:
        rows = await self._all("register_names", {"kind": kind, "texts": [clean(t) for t in texts]})
        return [(row["entry_id"], row["name"]) for row in rows]

    async def insert_register_entries(self, rows: Sequence[EntryRow]) -> int:
        return await self._put("insert_register_entries", rows)

    async def update_register_entries(self, rows: Sequence[EntryRow]) -> int:
        return await self._put("update_register_entries", rows)

    async def _put(self, name: str, rows: Sequence[EntryRow]) -> int:
        written = 0
        for start in range(0, len(rows), BATCH):
            documents = [_document(row) for row in rows[start : start + BATCH]]
            written += len(await self._all(name, {"rows": jsonb(documents)}))
        return written

    async def verify_register_entry(self, entry: Entry) -> bool:
        values = {
            "kind": entry.kind,
            "entry_id": entry.entry_id,
            "rev": entry.rev,
            "verified_at": opt_time(entry.verified_us),
            "verified_by": entry.verified_by,
        }
        return await self._one("verify_register_entry", values) is not None

    async def delete_register_entry(self, kind: str, entry_id: str, rev: int) -> bool:
        values = {"kind": kind, "entry_id": entry_id, "rev": rev}
        return await self._one("delete_register_entry", values) is not None

    async def put_register_links(self, owners: Sequence[tuple[str, str]], links: Sequence[Link]) -> None:
        if owners:
            kinds, ids = zip(*owners, strict=True)
            await self._run("drop_register_links", {"kinds": list(kinds), "entry_ids": list(ids)})
        if links:
            await self._run("add_register_links", {"rows": jsonb(msgspec.to_builtins(links))})

    async def register_links_to(self, kind: str, entry_id: str, limit: int) -> list[Link]:
        values = {"target_kind": kind, "target_ids": [entry_id], "limit": limit}
        return [struct(Link, row) for row in await self._all("register_links_to", values)]

    async def register_linked(self, target_kind: str, target_ids: Sequence[str]) -> list[Link]:
        values = {"target_kind": target_kind, "target_ids": list(target_ids), "limit": MANY_LINKS}
        return [struct(Link, row) for row in await self._all("register_links_to", values)]

    async def register_plants_of_sites(self, sites: Sequence[str]) -> list[Entry]:
        return [_entry(row) for row in await self._all("register_plants_of_sites", {"sites": list(sites)})]

    async def register_areas(self) -> list[Entry]:
        return [_entry(row) for row in await self._all("register_areas")]

    async def register_stamp(self, kinds: Sequence[str]) -> tuple[Any, ...]:
        row = await self._one("register_stamp", {"kinds": list(kinds)})
        assert row is not None
        return (row["entries"], row["revisions"], row["newest"])

    async def register_places(self, kinds: Sequence[str], after: tuple[str, str], limit: int) -> list[NamedPlace]:
        values = {"kinds": list(kinds), "after_kind": after[0], "after_id": clean(after[1]), "limit": limit}
        return [NamedPlace(**row) for row in await self._all("register_places", values)]

    async def statements(self, kind: str, entry_id: str, limit: int) -> list[Statement]:
        values = {"kind": kind, "entry_id": entry_id, "limit": limit}
        return [_statement(row) for row in await self._all("list_statements", values)]

    async def statements_of_day(self, kind: str, entry_id: str, day: str) -> list[Statement]:
        values = {"kind": kind, "entry_id": entry_id, "day": clean(day)}
        return [_statement(row) for row in await self._all("statements_of_day", values)]

    async def statements_on(self, kind: str, entry_ids: Sequence[str], day: str) -> list[Statement]:
        values = {"kind": kind, "entry_ids": list(entry_ids), "day": day}
        return [_statement(row) for row in await self._all("statements_on", values)]

    async def add_statement(self, statement: Statement) -> bool:
        return await self._one("add_statement", params(statement)) is not None


def _entry(row: Row) -> Entry:
    return struct(Entry, row, values=row["document"])


def _statement(row: Row) -> Statement:
    return struct(Statement, row, day=row["day"].isoformat())


def _document(row: EntryRow) -> dict[str, Any]:
    """An entry as a record of `jsonb_to_recordset`."""
    found: dict[str, Any] = msgspec.to_builtins(row.entry)
    found["document"] = found.pop("values")
    verified_us, changed_us = found.pop("verified_us"), found.pop("changed_us")
    found["verified_at"] = None if verified_us is None else to_time(verified_us).isoformat()
    found["changed_at"] = to_time(changed_us).isoformat()
    return {**found, "organisation": row.organisation, "search": row.search}


def _question(query: EntryQuery) -> dict[str, Any]:
    west, south, east, north = query.bbox or (None, None, None, None)
    return {
        "kinds": list(query.kinds),
        "patterns": [f"%{_literal(clean(w))}%" for w in query.words],
        "area": clean(query.area),
        "areas": [f"{_literal(a)}%" for a in query.areas],
        "organisations": list(query.organisations),
        "west": west,
        "south": south,
        "east": east,
        "north": north,
        "unverified": bool(query.unverified),
        "prefixes": [s.prefix for s in query.unverified],
        "since": [to_time(s.since_us) for s in query.unverified],
        "after_kind": query.after[0],
        "after_id": clean(query.after[1]),
        "limit": query.limit,
    }


def _literal(text: str) -> str:
    """Text as LIKE takes it word for word."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
