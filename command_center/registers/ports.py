"""What the registers ask of a transaction. `command_center.ports.Tx` extends it; rows hold sealed entries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from command_center.registers.entries import Entry, Link


class EntryRow(msgspec.Struct, frozen=True, kw_only=True):
    """An entry as it is stored, with what is asked for in SQL. `organisation` None: this kind belongs to none."""

    entry: Entry  # personal values sealed
    organisation: str | None
    search: str


class SeasonStart(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of entries in areas beginning with `prefix` count as checked when that was at or after `since_us`."""

    prefix: str
    since_us: int


class EntryQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries, ordered by (kind, entry_id). `areas`, `organisations`: the asker's scope, empty for no limit."""

    kinds: Sequence[str]
    words: Sequence[str] = ()  # lower case; all must be found
    area: str = ""
    areas: Sequence[str] = ()
    organisations: Sequence[str] = ()
    bbox: tuple[float, float, float, float] | None = None  # west, south, east, north
    unverified: Sequence[SeasonStart] = ()
    after: tuple[str, str] = ("", "")  # kind and id of the last one seen
    limit: int = 100


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """A day's risk statement. Immutable: what was wrong gets another edition."""

    kind: str
    entry_id: str
    day: str = msgspec.field(name="date")  # 2026-05-01
    edition: int
    grade: str
    text: str
    signed_by: str
    signed_name: str
    signed_us: int  # city time
    machine_us: int


class NamedPlace(msgspec.Struct, frozen=True, kw_only=True):
    """An entry as somebody on the telephone may name it. `also`: other names, separated as people separate them."""

    kind: str
    entry_id: str
    name: str
    area: str
    lon: float
    lat: float
    also: str
    address: str


class RegisterTx(Protocol):
    async def register_entry(self, kind: str, entry_id: str) -> Entry | None: ...
    async def register_entries(self, kind: str, entry_ids: Sequence[str]) -> list[Entry]: ...
    async def register_list(self, query: EntryQuery) -> list[Entry]: ...
    async def register_total(self, query: EntryQuery) -> dict[str, int]:
        """How many there are of each kind; limit and cursor are not asked."""
        ...

    async def register_names(self, kind: str, texts: Sequence[str]) -> list[tuple[str, str]]:
        """(id, name) of the entries of a kind whose id or name is among the texts."""
        ...

    async def insert_register_entries(self, rows: Sequence[EntryRow]) -> int:
        """How many were new; what stands already is left as it is."""
        ...

    async def update_register_entries(self, rows: Sequence[EntryRow]) -> int:
        """How many were changed: those that stand with the revision before the row's."""
        ...

    async def verify_register_entry(self, entry: Entry) -> bool:
        """Only who checked it and when; False unless it stands with the revision before the entry's."""
        ...

    async def delete_register_entry(self, kind: str, entry_id: str, rev: int) -> bool: ...
    async def put_register_links(self, owners: Sequence[tuple[str, str]], links: Sequence[Link]) -> None:
        """The links of these (kind, id), in place of the ones that they had."""
        ...

    async def register_links_to(self, kind: str, entry_id: str, limit: int) -> list[Link]: ...
    async def register_linked(self, target_kind: str, target_ids: Sequence[str]) -> list[Link]:
        """What points at one of these."""
        ...

    async def register_plants_of_sites(self, sites: Sequence[str]) -> list[Entry]:
        """Plants whose detectors form one of these groups."""
        ...

    async def register_places(self, kinds: Sequence[str], after: tuple[str, str], limit: int) -> list[NamedPlace]:
        """Entries of these kinds with a position, by (kind, id)."""
        ...

    async def register_stamp(self, kinds: Sequence[str]) -> tuple[Any, ...]:
        """Changes whenever an entry of these kinds does."""
        ...

    async def register_areas(self) -> list[Entry]: ...
    async def statements(self, kind: str, entry_id: str, limit: int) -> list[Statement]:
        """Newest day first, newest edition first."""
        ...

    async def statements_of_day(self, kind: str, entry_id: str, day: str) -> list[Statement]: ...
    async def statements_on(self, kind: str, entry_ids: Sequence[str], day: str) -> list[Statement]:
        """The newest edition of that day of each of these that has one."""
        ...

    async def add_statement(self, statement: Statement) -> bool:
        """False when this edition is there already."""
        ...
