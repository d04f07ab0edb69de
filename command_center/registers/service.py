"""`EntryRegister`: what people do with the registers, one entry at a time: look up, change, check numbers, sign, remove.

Every method asks the authority table with the entry's own area and organisation. Personal values leave masked, unless they are
asked for in clear by who may; that is journalled. Importing is `target.RegisterTarget`, which goes through the same checks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
from shapely.geometry import mapping

from command_center.access.personal import Sealer, Unsealable
from command_center.authority import Action, require
from command_center.cursors import row_number
from command_center.errors import Conflict, Forbidden, Invalid, NotFound
from command_center.model import Actor, JournalEntry
from command_center.ports import Emit, Store, Tx
from command_center.registers import seasons
from command_center.registers.checks import Draft, Judged, warnings
from command_center.registers.entries import (
    Entry,
    difference,
    has_personal,
    hide,
    links_of,
    mask,
    masked_journal,
    organisation_of,
    personal_keys,
)
from command_center.registers.kinds import DEVICE_KINDS, Kind, load_kinds
from command_center.registers.ports import EntryQuery, Statement
from command_center.registers.statements import sign, today
from command_center.registers.values import Wrong
from command_center.registers.writing import Areas, By, Engine, WrongValues, journal_name
from command_center.work import Env, Work, working
from gis.areas import AreaIndex, AreaNode, level_of

replace = msgspec.structs.replace
MAX_PAGE = 1_000
SHOWN_REFERRERS = 5
STATEMENTS_SHOWN = 400


class EntryView(Entry, frozen=True, kw_only=True):
    """An entry as it leaves: masked or clear, with the names behind its references and what is missing."""

    area_name: str = ""
    verified: bool = True  # its numbers were checked this season, or this kind has none to check
    masked: list[str] = []  # keys of values that are shown masked
    refs: dict[str, dict[str, str]] = {}  # kind -> id -> name, of everything that the values point at
    warnings: list[Wrong] = []
    statement: Statement | None = None  # today's, where this kind signs one each day and somebody has


class EntryPage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[EntryView]
    next: str | None
    total: int


class EntryRegister:
    """`env` gives clock, order of writers and the register of devices. `kinds` may be others in tests."""

    def __init__(
        self,
        *,
        store: Store,
        env: Env,
        emit: Emit,
        sealer: Sealer,
        kinds: Mapping[str, Kind] | None = None,
        season: Sequence[seasons.Season] | None = None,
        areas: Areas | None = None,
    ) -> None:
        self.store, self.env, self.emit = store, env, emit
        self.engine = Engine(kinds=kinds or load_kinds(), sealer=sealer, registry=env.registry, areas=areas or Areas())
        self._seasons = seasons.load_seasons() if season is None else season

    # --- reading

    async def kinds(self, actor: Actor) -> list[dict[str, Any]]:
        """What there is to register, with how much of it the asker can see."""
        require(actor, Action.READ_REGISTERS)
        async with self.store.read() as tx:
            counts = await tx.register_total(self._scoped(actor, EntryQuery(kinds=list(self.engine.kinds))))
        return [
            {
                "kind": k.kind,
                "zh": k.zh,
                "en": k.en,
                "group": k.group,
                "located": k.located,
                "position_required": k.position_required,
                "statement": k.statement,
                "verify": k.verify,
                "source": k.source,
                "fields": msgspec.to_builtins(k.fields),
                "count": counts.get(k.kind, 0),
                "may_write": may_write(actor),
            }
            for k in self.engine.kinds.values()
        ]

    async def entries(
        self,
        actor: Actor,
        kind: str,
        *,
        q: str = "",
        area: str = "",
        bbox: tuple[float, float, float, float] | None = None,
        unverified: bool = False,
        limit: int = 100,
        cursor: str = "",
    ) -> EntryPage:
        """One page by id, masked. `area`: code prefix; `cursor`: what `next` gave."""
        require(actor, Action.READ_REGISTERS)
        self.engine.kind(kind)
        query = EntryQuery(
            kinds=[kind], words=q.lower().split(), area=area, bbox=bbox, after=(kind, cursor), limit=limit
        )
        return await self._page(actor, query, unverified=unverified, joined=False)

    async def unverified(
        self, actor: Actor, *, kind: str = "", q: str = "", area: str = "", limit: int = 100, cursor: str = ""
    ) -> EntryPage:
        """Entries of every kind whose numbers nobody checked this season. `cursor`: `kind/id`."""
        require(actor, Action.READ_REGISTERS)
        kinds = [k.kind for k in self.engine.kinds.values() if k.verify and kind in ("", k.kind)]
        if not kinds:
            raise NotFound("kind of register with numbers to check", kind)
        before, _, after = cursor.partition("/")
        query = EntryQuery(kinds=kinds, words=q.lower().split(), area=area, after=(before, after), limit=limit)
        return await self._page(actor, query, unverified=True, joined=True)

    async def get(self, actor: Actor, kind: str, entry_id: str, *, clear: bool = False) -> EntryView:
        """One entry. In clear it takes READ_PERSONAL and leaves a line in the journal. Raises NotFound, Forbidden."""
        require(actor, Action.READ_REGISTERS)
        what = self.engine.kind(kind)
        if not (clear and has_personal(what)):
            async with self.store.read() as tx:
                entry = await self._seen(tx, actor, what, entry_id)
                return (await self._views(tx, [entry], clear=False))[0]
        require(actor, Action.READ_PERSONAL)
        async with self._working(actor) as work:
            entry = await self._seen(work.tx, actor, what, entry_id)
            self._allowed(actor, Action.READ_PERSONAL, what, entry)
            read = {"keys": personal_keys(what, entry.values)}
            await work.journal(journal_name(what), entry_id, "read_personal", None, read)
            return (await self._views(work.tx, [entry], clear=True))[0]

    async def everything(self, actor: Actor, kind: str, *, clear: bool = False, reason: str = "") -> list[EntryView]:
        """All entries of a kind that the asker may see, for an export; in clear it takes READ_PERSONAL and is journalled."""
        require(actor, Action.READ_REGISTERS)
        what = self.engine.kind(kind)
        query = self._scoped(actor, EntryQuery(kinds=[kind], limit=MAX_PAGE))
        if not (clear and has_personal(what)):
            async with self.store.read() as tx:
                return await self._views(tx, await _all(tx, query), clear=False)
        require(actor, Action.READ_PERSONAL)
        async with self._working(actor) as work:
            found = await _all(work.tx, query)
            await work.journal(journal_name(what), "*", "read_personal", None, {"entries": len(found)}, reason)
            return await self._views(work.tx, found, clear=True)

    async def history(
        self, actor: Actor, kind: str, entry_id: str, *, limit: int = 100, cursor: str = ""
    ) -> tuple[list[JournalEntry], str | None]:
        """What happened to an entry, newest first; also to one that was removed, for who may change this register."""
        require(actor, Action.READ_REGISTERS)
        what = self.engine.kind(kind)
        before = row_number(cursor)
        limit = _limit(limit)
        async with self.store.read() as tx:
            if await tx.register_entry(kind, entry_id) is None:
                require(actor, Action.WRITE_REGISTERS)
                if actor.scope.areas or actor.scope.organisations:
                    raise NotFound(kind, entry_id)
            else:
                await self._seen(tx, actor, what, entry_id)
            found = await tx.journal(journal_name(what), entry_id, limit, before)
        shown = [replace(j, before=self._shown(what, j, j.before), after=self._shown(what, j, j.after)) for j in found]
        return shown, str(found[-1].seq) if len(found) == limit else None

    def _shown(self, kind: Kind, line: JournalEntry, document: dict[str, Any] | None) -> Any:
        return masked_journal(kind, line.entity_id, document, self.engine.sealer)

    # --- writing

    async def create(self, actor: Actor, kind: str, draft: Draft, *, reason: str) -> EntryView:
        """A new entry; without an id it gets the next number. Raises WrongValues naming every field, Conflict, Forbidden."""
        require(actor, Action.WRITE_REGISTERS)
        what = self.engine.kind(kind)
        async with self._working(actor) as work:
            if not draft.entry_id:
                draft = replace(draft, entry_id=await self._next_id(work, what))
            draft = replace(draft, home=home_of(actor))
            (one,) = await self.engine.judge(work.tx, what, [draft])
            if one.old is not None:
                raise Conflict(f"{kind} {draft.entry_id!r} is registered already")
            return await self._write(work, what, one, reason)

    async def change(self, actor: Actor, kind: str, entry_id: str, draft: Draft, *, rev: int, reason: str) -> EntryView:
        """Replace what a person wrote. `rev`: the revision that was looked at. Raises Conflict, WrongValues, NotFound."""
        require(actor, Action.WRITE_REGISTERS)
        what = self.engine.kind(kind)
        async with self._working(actor) as work:
            old = await self._seen(work.tx, actor, what, entry_id)
            self._allowed(actor, Action.WRITE_REGISTERS, what, old)
            _must_match(old, rev)
            (one,) = await self.engine.judge(work.tx, what, [replace(draft, entry_id=entry_id)])
            return await self._write(work, what, one, reason)

    async def _write(self, work: Work, kind: Kind, one: Judged, reason: str) -> EntryView:
        if one.entry is None:
            raise WrongValues(one.wrong)
        self._allowed(work.actor, Action.WRITE_REGISTERS, kind, one.entry)
        by = By(actor=work.actor, at_us=work.at_us, machine_us=work.machine_us)
        await self.engine.store(work, await self.engine.make(kind, [one], by, reason))
        stored = await work.tx.register_entry(kind.kind, one.entry.entry_id)
        assert stored is not None
        return (await self._views(work.tx, [stored], clear=False))[0]

    async def remove(self, actor: Actor, kind: str, entry_id: str, *, rev: int, reason: str) -> None:
        """Raises Conflict naming what still refers to it."""
        require(actor, Action.WRITE_REGISTERS)
        what = self.engine.kind(kind)
        async with self._working(actor) as work:
            old = await self._seen(work.tx, actor, what, entry_id)
            self._allowed(actor, Action.WRITE_REGISTERS, what, old)
            _must_match(old, rev)
            await self._nothing_refers(work.tx, what, entry_id)
            if not await work.tx.delete_register_entry(kind, entry_id, rev):
                raise Conflict(f"{kind} {entry_id!r} was changed by somebody else meanwhile; load it again")
            await work.journal(journal_name(what), entry_id, "remove", difference(old, None)[0], None, reason)

    async def _nothing_refers(self, tx: Tx, kind: Kind, entry_id: str) -> None:
        links = await tx.register_links_to(kind.kind, entry_id, SHOWN_REFERRERS + 1)
        users = [f"{link.kind} {link.entry_id} ({link.field})" for link in links]
        if kind.group == "area":
            inside = await tx.register_list(
                EntryQuery(kinds=list(self.engine.kinds), area=entry_id, limit=SHOWN_REFERRERS + 2)
            )
            users += [f"{e.kind} {e.entry_id} (area)" for e in inside if (e.kind, e.entry_id) != (kind.kind, entry_id)]
        if users:
            more = " and more" if len(users) > SHOWN_REFERRERS else ""
            raise Conflict(
                f"{kind.kind} {entry_id!r} cannot be removed: {', '.join(users[:SHOWN_REFERRERS])}{more} refer to it"
            )

    async def verify(self, actor: Actor, kind: str, entry_id: str, *, comment: str = "") -> EntryView:
        """The telephones were called and the persons are right: counts for this season."""
        require(actor, Action.VERIFY_ENTRY)
        what = self.engine.kind(kind)
        if not what.verify:
            raise Invalid(f"{what.en} has no numbers to check")
        async with self._working(actor) as work:
            old = await self._seen(work.tx, actor, what, entry_id)
            self._allowed(actor, Action.VERIFY_ENTRY, what, old)
            checked = replace(old, verified_us=work.at_us, verified_by=actor.username, rev=old.rev + 1)
            if not await work.tx.verify_register_entry(checked):
                raise Conflict(f"{kind} {entry_id!r} was changed by somebody else meanwhile; load it again")
            await work.journal(
                journal_name(what),
                entry_id,
                "verify",
                {"verified_us": old.verified_us, "verified_by": old.verified_by},
                {"verified_us": work.at_us, "verified_by": actor.username},
                comment,
            )
            return (await self._views(work.tx, [checked], clear=False))[0]

    # --- daily risk statements

    async def statements(self, actor: Actor, kind: str, entry_id: str) -> list[Statement]:
        require(actor, Action.READ_REGISTERS)
        what = self._with_statements(kind)
        async with self.store.read() as tx:
            await self._seen(tx, actor, what, entry_id)
            return await tx.statements(kind, entry_id, STATEMENTS_SHOWN)

    async def sign(self, actor: Actor, kind: str, entry_id: str, *, day: str, grade: str, text: str) -> Statement:
        """Sign a day's statement; when the day has one, this is its next edition. Raises Invalid, Conflict."""
        require(actor, Action.SIGN_STATEMENT)
        what = self._with_statements(kind)
        async with self._working(actor) as work:
            entry = await self._seen(work.tx, actor, what, entry_id)
            self._allowed(actor, Action.SIGN_STATEMENT, what, entry)
            return await sign(work, what, entry_id, day=day, grade=grade, text=text)

    def _with_statements(self, kind: str) -> Kind:
        what = self.engine.kind(kind)
        if not what.statement:
            raise Invalid(f"{what.en}: no daily risk statement is signed for this kind")
        return what

    # --- areas

    async def areas(self, actor: Actor) -> list[dict[str, Any]]:
        """The tree of areas that the asker may see, nested; without polygons."""
        require(actor, Action.READ_REGISTERS)
        async with self.store.read() as tx:
            index = await self.engine.areas.index(tx)
        return [_node(node) for node in index.tree(actor.scope.areas)]

    async def areas_geojson(self, actor: Actor) -> dict[str, Any]:
        require(actor, Action.READ_REGISTERS)
        async with self.store.read() as tx:
            index = await self.engine.areas.index(tx)
        drawn = [a for a in index.areas.values() if a.geometry is not None and actor.scope.covers(area=a.code)]
        features = [
            {
                "type": "Feature",
                "id": a.code,
                "geometry": mapping(a.geometry),
                "properties": {"code": a.code, "name": a.name, "level": level_of(a.code)},
            }
            for a in drawn
        ]
        return {"type": "FeatureCollection", "features": features}

    # --- what they share

    def _working(self, actor: Actor) -> AbstractAsyncContextManager[Work]:
        return working(self.store, self.env, self.emit, actor)

    def _scoped(self, actor: Actor, query: EntryQuery) -> EntryQuery:
        return replace(query, areas=list(actor.scope.areas), organisations=list(actor.scope.organisations))

    def _allowed(self, actor: Actor, action: Action, kind: Kind, entry: Entry) -> None:
        require(actor, action, area=entry.area, organisation=organisation_of(kind, entry))

    async def _seen(self, tx: Tx, actor: Actor, kind: Kind, entry_id: str) -> Entry:
        """The stored (sealed) entry. Raises NotFound also for what lies outside the asker's scope: that it exists is news too."""
        entry = await tx.register_entry(kind.kind, entry_id)
        if entry is None:
            raise NotFound(kind.kind, entry_id)
        try:
            self._allowed(actor, Action.READ_REGISTERS, kind, entry)
        except Forbidden as error:
            raise NotFound(kind.kind, entry_id) from error
        return entry

    async def _page(self, actor: Actor, query: EntryQuery, *, unverified: bool, joined: bool) -> EntryPage:
        since = seasons.starts(self._seasons, self.env.clock.city_us()) if unverified else []
        query = self._scoped(actor, replace(query, unverified=since, limit=_limit(query.limit)))
        if query.area and not query.area.isalnum():
            raise Invalid(f"area {query.area!r}: expected an area code or its beginning")
        async with self.store.read() as tx:
            found = await tx.register_list(query)
            total = sum((await tx.register_total(query)).values())
            items = await self._views(tx, found, clear=False)
        last = found[-1] if len(found) == query.limit else None
        return EntryPage(
            items=items,
            next=None if last is None else (f"{last.kind}/{last.entry_id}" if joined else last.entry_id),
            total=total,
        )

    async def _views(self, tx: Tx, stored: Sequence[Entry], *, clear: bool) -> list[EntryView]:
        index = await self.engine.areas.index(tx)
        since = seasons.starts(self._seasons, self.env.clock.city_us())
        names = await self._names(tx, stored)
        signed = await self._signed_today(tx, stored)
        views = [self._view(entry, index, names, since, clear=clear) for entry in stored]
        return [replace(v, statement=signed.get((v.kind, v.entry_id))) for v in views] if signed else views

    async def _signed_today(self, tx: Tx, stored: Sequence[Entry]) -> dict[tuple[str, str], Statement]:
        day = today(self.env.clock.city_us()).isoformat()
        found: dict[tuple[str, str], Statement] = {}
        for kind in {e.kind for e in stored if self.engine.kinds[e.kind].statement}:
            ids = [e.entry_id for e in stored if e.kind == kind]
            found |= {(kind, s.entry_id): s for s in await tx.statements_on(kind, ids, day)}
        return found

    async def _names(self, tx: Tx, stored: Sequence[Entry]) -> dict[str, dict[str, str]]:
        wanted: dict[str, set[str]] = {}
        for entry in stored:
            for link in links_of(self.engine.kinds[entry.kind], entry):
                wanted.setdefault(link.target_kind, set()).add(link.target_id)
        found: dict[str, dict[str, str]] = {}
        for kind, ids in wanted.items():
            if kind in DEVICE_KINDS:
                known = self.env.registry.devices
                found[kind] = {i: known[i].name for i in ids if i in known}
            else:
                named = await tx.register_names(kind, sorted(ids))
                found[kind] = {i: name for i, name in named if i in ids}
        return found

    def _view(
        self,
        stored: Entry,
        index: AreaIndex,
        names: Mapping[str, Mapping[str, str]],
        since: Sequence[Any],
        *,
        clear: bool,
    ) -> EntryView:
        kind = self.engine.kinds[stored.kind]
        shown, broken = self._shown_entry(kind, stored, clear=clear)
        refs: dict[str, dict[str, str]] = {}
        for link in links_of(kind, stored):
            name = names.get(link.target_kind, {}).get(link.target_id)
            refs.setdefault(link.target_kind, {})[link.target_id] = name or ""
        return EntryView(
            **{name: getattr(shown, name) for name in Entry.__struct_fields__},
            area_name=index.name(stored.area),
            verified=not kind.verify or seasons.is_verified(stored.verified_us, stored.area, since),
            masked=[] if clear else personal_keys(kind, stored.values),
            refs=refs,
            warnings=[*broken, *warnings(kind, stored, index)],
        )

    def _shown_entry(self, kind: Kind, stored: Entry, *, clear: bool) -> tuple[Entry, list[Wrong]]:
        """Masked or clear. A value that no key opens hides that entry's personal values, not the whole list of who answers.

        Raises Unsealable where it was asked for in clear.
        """
        try:
            opened = self.engine.opened(stored)
        except Unsealable:
            if clear:
                raise
            broken = Wrong(
                key="",
                value="",
                zh="个人信息无法解密：密钥缺失或数据被改动",
                en="personal data cannot be opened: a key is missing or the data was changed",
            )
            return hide(kind, stored), [broken]
        return (opened if clear else mask(kind, opened)), []

    async def _next_id(self, work: Work, kind: Kind) -> str:
        if kind.group == "area":
            raise Invalid("entry_id: an area is registered under its code")
        while True:
            entry_id = f"{kind.kind}-{await work.tx.next_number(f'register:{kind.kind}')}"
            if await work.tx.register_entry(kind.kind, entry_id) is None:
                return entry_id


def may_write(actor: Actor) -> bool:
    try:
        require(actor, Action.WRITE_REGISTERS)
    except Forbidden:
        return False
    return True


def home_of(actor: Actor) -> str:
    """The area that somebody works in, where it is exactly one; else ""."""
    return actor.scope.areas[0] if len(actor.scope.areas) == 1 else ""


def _must_match(entry: Entry, rev: int) -> None:
    if entry.rev != rev:
        raise Conflict(
            f"{entry.kind} {entry.entry_id!r} was changed by {entry.changed_by or 'somebody else'} meanwhile "
            f"(revision {entry.rev}, yours was {rev}); load it again"
        )


async def _all(tx: Tx, query: EntryQuery) -> list[Entry]:
    found: list[Entry] = []
    while True:
        page = await tx.register_list(query)
        found += page
        if len(page) < query.limit:
            return found
        query = replace(query, after=(page[-1].kind, page[-1].entry_id))


def _limit(limit: int) -> int:
    if not 1 <= limit <= MAX_PAGE:
        raise Invalid(f"limit {limit}: expected 1..{MAX_PAGE}")
    return limit


def _node(node: AreaNode) -> dict[str, Any]:
    return {
        "code": node.area.code,
        "name": node.area.name,
        "level": level_of(node.area.code),
        "parent": node.parent,
        "has_polygon": node.area.geometry is not None,
        "children": [_node(child) for child in node.children],
    }
