"""The registers in memory: the twin of storage/command/registers.py, a mixin of the memory transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from command_center.registers.entries import Entry, Link
from command_center.registers.ports import EntryQuery, EntryRow, NamedPlace, Statement
from command_center.registers.seasons import is_verified


@dataclass(slots=True)
class RegisterState:
    entries: dict[tuple[str, str], EntryRow] = field(default_factory=dict)
    links: set[Link] = field(default_factory=set)
    statements: dict[tuple[str, str, str, int], Statement] = field(default_factory=dict)

    def __copy__(self) -> RegisterState:
        return RegisterState(dict(self.entries), set(self.links), dict(self.statements))


class MemoryRegisters:
    """What `command_center.registers.ports.RegisterTx` asks."""

    _registers: RegisterState

    async def register_entry(self, kind: str, entry_id: str) -> Entry | None:
        row = self._registers.entries.get((kind, entry_id))
        return row.entry if row else None

    async def register_entries(self, kind: str, entry_ids: Sequence[str]) -> list[Entry]:
        rows = (self._registers.entries.get((kind, i)) for i in sorted(set(entry_ids)))
        return [row.entry for row in rows if row is not None]

    async def register_list(self, query: EntryQuery) -> list[Entry]:
        found = (e for e in self._asked(query) if (e.kind, e.entry_id) > tuple(query.after))
        return sorted(found, key=lambda e: (e.kind, e.entry_id))[: query.limit]

    async def register_total(self, query: EntryQuery) -> dict[str, int]:
        return dict(Counter(e.kind for e in self._asked(query)))

    def _asked(self, query: EntryQuery) -> Iterator[Entry]:
        for row in self._registers.entries.values():
            entry = row.entry
            if (
                entry.kind in query.kinds
                and entry.area.startswith(query.area)
                and (not query.areas or any(entry.area.startswith(p) for p in query.areas))
                and (not query.organisations or row.organisation is None or row.organisation in query.organisations)
                and all(word in row.search for word in query.words)
                and _within(entry, query.bbox)
                and not (query.unverified and is_verified(entry.verified_us, entry.area, query.unverified))
            ):
                yield entry

    async def register_names(self, kind: str, texts: Sequence[str]) -> list[tuple[str, str]]:
        wanted = set(texts)
        entries = (row.entry for (of_kind, _), row in self._registers.entries.items() if of_kind == kind)
        return sorted((e.entry_id, e.name) for e in entries if e.entry_id in wanted or e.name in wanted)

    async def insert_register_entries(self, rows: Sequence[EntryRow]) -> int:
        new = [row for row in rows if _key(row) not in self._registers.entries]
        self._registers.entries |= {_key(row): row for row in new}
        return len(new)

    async def update_register_entries(self, rows: Sequence[EntryRow]) -> int:
        known = self._registers.entries
        right = [row for row in rows if _key(row) in known and known[_key(row)].entry.rev == row.entry.rev - 1]
        self._registers.entries |= {_key(row): row for row in right}
        return len(right)

    async def verify_register_entry(self, entry: Entry) -> bool:
        old = self._registers.entries.get((entry.kind, entry.entry_id))
        if old is None:
            return False
        return (
            await self.update_register_entries(
                [EntryRow(entry=entry, organisation=old.organisation, search=old.search)]
            )
            == 1
        )

    async def delete_register_entry(self, kind: str, entry_id: str, rev: int) -> bool:
        row = self._registers.entries.get((kind, entry_id))
        if row is None or row.entry.rev != rev:
            return False
        del self._registers.entries[kind, entry_id]
        await self.put_register_links([(kind, entry_id)], [])
        return True

    async def put_register_links(self, owners: Sequence[tuple[str, str]], links: Sequence[Link]) -> None:
        gone = set(owners)
        self._registers.links = {k for k in self._registers.links if (k.kind, k.entry_id) not in gone} | set(links)

    async def register_links_to(self, kind: str, entry_id: str, limit: int) -> list[Link]:
        return (await self.register_linked(kind, [entry_id]))[:limit]

    async def register_linked(self, target_kind: str, target_ids: Sequence[str]) -> list[Link]:
        return sorted(k for k in self._registers.links if k.target_kind == target_kind and k.target_id in target_ids)

    async def register_plants_of_sites(self, sites: Sequence[str]) -> list[Entry]:
        plants = (row.entry for (kind, _), row in self._registers.entries.items() if kind == "plant")
        return sorted((e for e in plants if e.values.get("site") in sites), key=lambda e: e.entry_id)

    async def register_areas(self) -> list[Entry]:
        areas = (row.entry for (kind, _), row in self._registers.entries.items() if kind == "area")
        return sorted(areas, key=lambda e: e.entry_id)

    async def register_stamp(self, kinds: Sequence[str]) -> tuple[Any, ...]:
        entries = [row.entry for row in self._registers.entries.values() if row.entry.kind in kinds]
        return (len(entries), sum(e.rev for e in entries), max((e.changed_us for e in entries), default=None))

    async def register_places(self, kinds: Sequence[str], after: tuple[str, str], limit: int) -> list[NamedPlace]:
        entries = sorted((row.entry for row in self._registers.entries.values()), key=lambda e: (e.kind, e.entry_id))
        return [
            NamedPlace(
                kind=e.kind,
                entry_id=e.entry_id,
                name=e.name,
                area=e.area,
                lon=e.lon,
                lat=e.lat,
                also=e.values.get("also", ""),
                address=next((e.values[k] for k in ("address", "location", "road") if k in e.values), ""),
            )
            for e in entries
            if e.kind in kinds and e.lon is not None and e.lat is not None and (e.kind, e.entry_id) > after
        ][:limit]

    async def statements(self, kind: str, entry_id: str, limit: int) -> list[Statement]:
        found = [s for s in self._registers.statements.values() if (s.kind, s.entry_id) == (kind, entry_id)]
        return sorted(found, key=lambda s: (s.day, s.edition), reverse=True)[:limit]

    async def statements_of_day(self, kind: str, entry_id: str, day: str) -> list[Statement]:
        return [s for s in await self.statements(kind, entry_id, len(self._registers.statements)) if s.day == day]

    async def statements_on(self, kind: str, entry_ids: Sequence[str], day: str) -> list[Statement]:
        found = [await self.statements_of_day(kind, i, day) for i in sorted(set(entry_ids))]
        return [editions[0] for editions in found if editions]

    async def add_statement(self, statement: Statement) -> bool:
        key = (statement.kind, statement.entry_id, statement.day, statement.edition)
        if key in self._registers.statements:
            return False
        self._registers.statements[key] = statement
        return True


def _key(row: EntryRow) -> tuple[str, str]:
    return (row.entry.kind, row.entry.entry_id)


def _within(entry: Entry, bbox: tuple[float, float, float, float] | None) -> bool:
    if bbox is None:
        return True
    if entry.lon is None or entry.lat is None:
        return False
    west, south, east, north = bbox
    return west <= entry.lon <= east and south <= entry.lat <= north
