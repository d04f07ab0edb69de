"""From drafts to rows: judge them against what stands, then write what is new or changed, all in one transaction, journalled.

The service (one entry) and the import target (thousands) go through here, so that a form and a spreadsheet obey the same checks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar

import msgspec
from shapely.geometry import shape

from command_center.access.personal import Sealer
from command_center.errors import Conflict, Invalid, NotFound
from command_center.model import Actor, JournalEntry
from command_center.ports import Tx
from command_center.registers.checks import Draft, Judged, Names, device_names, judge
from command_center.registers.entries import (
    Entry,
    Link,
    difference,
    links_of,
    organisation_of,
    same,
    seal,
    search_text,
    unseal,
)
from command_center.registers.kinds import DEVICE_KINDS, Kind
from command_center.registers.ports import EntryRow
from command_center.registers.targets import Committed
from command_center.registers.values import Wrong, is_blank, several, tidy
from command_center.work import Work, journal_line
from devices.registry import Registry
from gis.areas import Area, AreaIndex

replace = msgspec.structs.replace
P = ParamSpec("P")
T = TypeVar("T")
FEW_ROWS = 50  # judged in a few milliseconds


class WrongValues(Invalid):
    """Values that cannot be taken; `problems` names each with what was expected."""

    def __init__(self, problems: Sequence[Wrong]) -> None:
        super().__init__("; ".join(f"{p.key}: {p.en}" + (f" (got {p.value})" if p.value else "") for p in problems))
        self.problems = list(problems)


@dataclass(slots=True)
class Areas:
    """The areas of the register as an index, built anew when one of them changed."""

    _stamp: tuple[Any, ...] | None = None
    _index: AreaIndex = field(default_factory=lambda: AreaIndex([]))

    async def index(self, tx: Tx) -> AreaIndex:
        stamp = await tx.register_stamp(["area"])
        if stamp != self._stamp:
            found = await tx.register_areas()
            drawn = [
                Area(code=e.entry_id, name=e.name, geometry=None if e.geometry is None else shape(e.geometry))
                for e in found
            ]
            self._index, self._stamp = AreaIndex(drawn), stamp
        return self._index

    async def code_at(self, tx: Tx, lon: float, lat: float) -> str:
        """The deepest registered area that contains a point, "" outside all of them: a `command_center.ports.AreaOf`."""
        return (await self.index(tx)).deepest([lon], [lat])[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """What writing needs besides a transaction."""

    kinds: Mapping[str, Kind]
    sealer: Sealer
    registry: Registry
    areas: Areas = field(default_factory=Areas)

    def kind(self, name: str) -> Kind:
        """Raises NotFound."""
        if name not in self.kinds:
            raise NotFound("kind of register", name)
        return self.kinds[name]

    def opened(self, entry: Entry) -> Entry:
        return unseal(self.kinds[entry.kind], entry, self.sealer)

    async def entries(self, tx: Tx, kind: Kind, ids: Sequence[str]) -> dict[str, Entry]:
        """Clear entries by id; unknown ids are left out."""
        stored = await tx.register_entries(kind.kind, ids)
        return await _off_the_loop(len(stored), lambda: {e.entry_id: self.opened(e) for e in stored})

    async def judge(self, tx: Tx, kind: Kind, drafts: Sequence[Draft]) -> list[Judged]:
        olds = await self.entries(tx, kind, [d.entry_id for d in drafts])
        names = await self.names(tx, kind, drafts, olds)
        index = await self.areas.index(tx)
        return await _off_the_loop(len(drafts), judge, kind, drafts, olds, names, index)

    async def names(self, tx: Tx, kind: Kind, drafts: Sequence[Draft], olds: Mapping[str, Entry]) -> Names:
        """Everything that the drafts may point at; entries of the same file count for their own kind."""
        names = device_names(self.registry) if any(f.ref in DEVICE_KINDS for f in kind.refs()) else Names()
        wanted: dict[str, set[str]] = {}
        for ref in kind.refs():
            if ref.ref not in DEVICE_KINDS:
                texts = wanted.setdefault(ref.ref, set())
                for values in (*(d.values for d in drafts), *(old.values for old in olds.values())):
                    texts.update(_texts(values.get(ref.key)))
        for target, texts in wanted.items():
            for entry_id, name in await tx.register_names(target, sorted(texts)):
                names.add(target, entry_id, name)
        if kind.kind in wanted:
            for draft in drafts:
                names.add(kind.kind, draft.entry_id, tidy(draft.values.get("name", "")))
        return names

    async def make(self, kind: Kind, judged: Sequence[Judged], by: By, reason: str) -> Made:
        """What is to be written, of what was judged. Touches no database: it may be done before the turn to write comes.

        Raises WrongValues when anything is wrong.
        """
        if wrong := [w for one in judged for w in one.wrong]:
            raise WrongValues(wrong)
        return await _off_the_loop(len(judged), self._make, kind, judged, by, reason)

    async def store(self, work: Work, made: Made) -> Committed:
        """Write it. Raises Conflict when somebody was faster: the entries, or what they point at, are not what was judged."""
        if await work.tx.insert_register_entries(made.new) != len(made.new):
            raise Conflict("an entry of this id was registered by somebody else meanwhile; load again")
        if await work.tx.update_register_entries(made.changed) != len(made.changed):
            raise Conflict("an entry was changed by somebody else meanwhile; load again")
        await self._targets_stand(work.tx, made.links)
        await work.tx.put_register_links(made.owners, made.links)
        lines = [replace(line, at_us=work.at_us, machine_us=work.machine_us) for line in made.lines]
        await work.tx.add_journals(lines)
        written = len(made.new) + len(made.changed)
        return Committed(created=len(made.new), changed=len(made.changed), same=made.judged - written)

    async def _targets_stand(self, tx: Tx, links: Sequence[Link]) -> None:
        targets: dict[str, set[str]] = {}
        for link in links:
            if link.target_kind not in DEVICE_KINDS:
                targets.setdefault(link.target_kind, set()).add(link.target_id)
        for kind, ids in targets.items():
            gone = ids - {entry_id for entry_id, _ in await tx.register_names(kind, sorted(ids))}
            if gone:
                raise Conflict(f"{kind} {min(gone)!r} was removed by somebody else meanwhile; load again")

    def _make(self, kind: Kind, judged: Sequence[Judged], by: By, reason: str) -> Made:
        """Rows, links and lines of the journal, which holds personal values sealed as the register does."""
        made = Made(judged=len(judged))
        for one in judged:
            old, entry = one.old, one.entry
            if entry is None or (old is not None and same(old, entry)):
                continue
            entry = self._stamped(by, old, entry)
            sealed = seal(kind, entry, self.sealer)
            row = EntryRow(entry=sealed, organisation=organisation_of(kind, entry), search=search_text(kind, entry))
            (made.new if old is None else made.changed).append(row)
            made.owners.append((entry.kind, entry.entry_id))
            made.links += links_of(kind, entry)
            before = None if old is None else seal_alike(kind, old, entry, sealed, self.sealer)
            was, became = difference(before, sealed)
            action = "create" if old is None else "change"
            made.lines.append(
                journal_line(
                    by.actor, by.at_us, by.machine_us, journal_name(kind), entry.entry_id, action, was, became, reason
                )
            )
        return made

    def _stamped(self, by: By, old: Entry | None, entry: Entry) -> Entry:
        stamped = replace(
            entry, rev=1 if old is None else old.rev + 1, changed_us=by.at_us, changed_by=by.actor.username
        )
        if old is not None and numbers(self.kinds[entry.kind], old) != numbers(self.kinds[entry.kind], entry):
            return replace(stamped, verified_us=None, verified_by="")  # what was checked is not what stands there now
        return stamped


@dataclass(frozen=True, slots=True, kw_only=True)
class By:
    """Who writes, and when."""

    actor: Actor
    at_us: int
    machine_us: int


@dataclass(slots=True)
class Made:
    """What one import writes, of `judged` rows."""

    judged: int
    new: list[EntryRow] = field(default_factory=list)
    changed: list[EntryRow] = field(default_factory=list)
    owners: list[tuple[str, str]] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    lines: list[JournalEntry] = field(default_factory=list)


async def _off_the_loop(rows: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Thousands of rows take the better part of a second: alarms must not wait for a clerk's spreadsheet."""
    if rows < FEW_ROWS:
        return work(*args, **kwargs)
    return await asyncio.to_thread(work, *args, **kwargs)


def journal_name(kind: Kind) -> str:
    """The entity under which a register's changes stand in the journal."""
    return f"register.{kind.kind}"


def seal_alike(kind: Kind, old: Entry, new: Entry, sealed_new: Entry, sealer: Sealer) -> Entry:
    """The old entry sealed, where a value that did not change is the very same sealed text: else each change would seem to
    touch every personal value."""
    sealed = seal(kind, old, sealer)
    kept = {k: sealed_new.values[k] for k, v in old.values.items() if k in new.values and new.values[k] == v}
    return replace(sealed, values={**sealed.values, **kept})


def numbers(kind: Kind, entry: Entry) -> dict[str, Any]:
    """What a verification vouches for: telephones, and who answers for the object."""
    return {
        f.key: entry.values.get(f.key)
        for f in kind.fields
        if f.type == "phone" or (f.type == "ref" and f.ref == "contact")
    }


def _texts(cell: object) -> list[str]:
    if is_blank(cell) or isinstance(cell, Mapping | bool):
        return []
    return [tidy(cell), *several(cell)]
