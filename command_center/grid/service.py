"""`GridService`: reports that are filed once (网格事件只报一次) and visits that are made once (走访只巡一次).

A report goes at once to every organisation that the register `report_route` names for its kind and area; each signs and answers once,
and who reported sees one state. Another report of the same thing is shown as such to a person, who joins it: never by itself, and
reversibly. The visits that organisations want (register `patrol_duty`) are one visit for an object, whose list is the union of theirs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
from shapely.geometry import shape

from command_center.authority import Action, must_see, require
from command_center.errors import Conflict, IllegalTransition, Invalid, NotFound
from command_center.grid.model import (
    RECEIPT,
    REPORT,
    Answer,
    DueVisit,
    Receipt,
    ReceiptState,
    Report,
    ReportState,
    Visit,
    event_kinds,
)
from command_center.model import Actor
from command_center.ports import Emit, Store, Tx
from command_center.registers.entries import Entry
from command_center.registers.kinds import Kind
from command_center.registers.ports import EntryQuery
from command_center.work import Env, Work, city_date, working
from gis.points import check_lonlat, haversine_m

replace = msgspec.structs.replace

ROUTE, DUTY = "report_route", "patrol_duty"
NOTIFY = "notify"
DAY_US = 86_400_000_000
MAX_PAGE = 500
MAX_ITEMS = 60


class ReportDraft(msgspec.Struct, frozen=True, kw_only=True):
    client_id: str
    kind: str
    text: str
    lon: float
    lat: float
    address: str = ""


class VisitDraft(msgspec.Struct, frozen=True, kw_only=True):
    client_id: str
    subject: str
    answers: list[Answer]
    lon: float | None = None
    lat: float | None = None


class GridService:
    """`kinds` are those of the registers: what an object is called."""

    def __init__(self, store: Store, env: Env, emit: Emit, kinds: Mapping[str, Kind]) -> None:
        self._store, self._env, self._emit, self._kinds = store, env, emit, kinds

    # -- reports

    async def file(self, actor: Actor, draft: ReportDraft) -> Report:
        """A new report, or the same one where this client sent it before. What is seen across a border is taken too: the area is
        that of the place. Raises Forbidden, Invalid."""
        require(actor, Action.FILE_REPORT)
        kind = event_kinds().get(draft.kind)
        if kind is None:
            raise Invalid(f"kind {draft.kind!r}: expected one of {', '.join(event_kinds())}")
        if not draft.text.strip():
            raise Invalid("text: what was seen, in a few words")
        if not draft.client_id:
            raise Invalid("client_id: expected, so that a report that is sent twice is one")
        try:
            lon, lat = check_lonlat(draft.lon, draft.lat)
        except ValueError as error:
            raise Invalid(str(error)) from error
        async with self._working(actor) as work:
            if (known := await work.tx.report_of_client(actor.username, draft.client_id)) is not None:
                return known
            area = await self._env.area_of(work.tx, lon, lat)
            day = city_date(work.at_us)
            report = Report(
                report_id=f"G-{day}-{await work.tx.next_number(f'report:{day}'):04d}",
                client_id=draft.client_id,
                kind=kind.kind,
                kind_zh=kind.zh,
                urgent=kind.urgent,
                text=draft.text.strip(),
                lon=lon,
                lat=lat,
                address=draft.address.strip(),
                area=area,
                reported_by=actor.username,
                reported_us=work.at_us,
                state=REPORT.start,
                state_zh=REPORT.zh[REPORT.start],
                joined_to="",
                witnesses=0,
                receipts=await _receipts(work, kind.kind, area),
                closed_comment="",
                changed_us=work.at_us,
                rev=1,
            )
            await work.tx.insert_report(report)
            await work.journal("grid_report", report.report_id, "file", None, report)
            return report

    async def reports(
        self, actor: Actor, *, state: str = "", mine: bool = False, limit: int = 200, cursor: str = ""
    ) -> tuple[list[Report], str | None]:
        """Newest first, in the actor's areas; `mine`: those that he filed, wherever."""
        if mine:
            require(actor, Action.FILE_REPORT)
        else:
            require(actor, Action.READ_REPORTS)
        if state and state not in list(ReportState):
            raise Invalid(f"state {state!r}: expected one of {', '.join(ReportState)}")
        if not 1 <= limit <= MAX_PAGE:
            raise Invalid(f"limit {limit}: expected 1 to {MAX_PAGE}")
        async with self._store.read() as tx:
            found = await tx.reports(
                states=[ReportState(state)] if state else (),
                reported_by=actor.username if mine else "",
                areas=() if mine else actor.scope.areas,
                limit=limit,
                before=cursor,
            )
        return found, found[-1].report_id if len(found) == limit else None

    async def report(self, actor: Actor, report_id: str) -> Report:
        """One's own, or one of one's areas. Raises Forbidden, NotFound."""
        async with self._store.read() as tx:
            found = await tx.report(report_id)
        if found is not None and found.reported_by == actor.username:
            require(actor, Action.FILE_REPORT)
            return found
        require(actor, Action.READ_REPORTS)
        return _seen(actor, found, report_id)

    async def similar(self, actor: Actor, report_id: str) -> list[Report]:
        """Open reports of the same kind that are near in space and time, the nearest first: probably the same thing."""
        require(actor, Action.READ_REPORTS)
        async with self._store.read() as tx:
            report = _seen(actor, await tx.report(report_id), report_id)
            others = await _all_open(tx, actor.scope.areas)
        kind = event_kinds()[report.kind]
        near = [
            (float(haversine_m(report.lon, report.lat, other.lon, other.lat)), other)
            for other in others
            if other.kind == report.kind
            and other.report_id != report.report_id
            and abs(other.reported_us - report.reported_us) <= kind.within_min * 60e6
        ]
        return [other for away_m, other in sorted(near, key=lambda pair: pair[0]) if away_m <= kind.near_m]

    async def join(self, actor: Actor, report_id: str, into: str) -> Report:
        """The same thing as `into`, says a person. Its organisations have it already by that one. Raises NotFound, Invalid,
        IllegalTransition, Conflict."""
        async with self._handling(actor, report_id) as (work, report):
            if into == report_id:
                raise Invalid("into: another report than itself")
            target = _seen(actor, await work.tx.report(into), into)
            if target.state is not ReportState.OPEN:
                raise IllegalTransition(REPORT.name, into, target.state.value, "take another report in")
            if report.witnesses:
                raise Conflict(
                    f"{report.witnesses} reports were joined to {report_id}: join those to {into} first, or the other way round"
                )
            await self._write(work, target, replace(target, witnesses=target.witnesses + 1), "witness", report_id)
            return await self._move(work, report, ReportState.JOINED, "join", into, joined_to=into)

    async def unjoin(self, actor: Actor, report_id: str) -> Report:
        """It was another thing after all. Raises NotFound, IllegalTransition."""
        async with self._handling(actor, report_id) as (work, report):
            target = await work.tx.report(report.joined_to) if report.joined_to else None
            moved = await self._move(work, report, ReportState.OPEN, "unjoin", report.joined_to, joined_to="")
            if target is not None:
                fewer = replace(target, witnesses=max(0, target.witnesses - 1))
                await self._write(work, target, fewer, "witness_gone", report_id)
            return moved

    async def close(self, actor: Actor, report_id: str, comment: str) -> Report:
        """By hand, with what came of it; also where nobody had to answer. Raises NotFound, Invalid, IllegalTransition."""
        if not comment.strip():
            raise Invalid("comment: what came of it")
        async with self._handling(actor, report_id) as (work, report):
            return await self._move(work, report, ReportState.CLOSED, "close", comment, closed_comment=comment.strip())

    async def reopen(self, actor: Actor, report_id: str, comment: str) -> Report:
        """Raises NotFound, Invalid, IllegalTransition."""
        if not comment.strip():
            raise Invalid("comment: why it is not over")
        async with self._handling(actor, report_id) as (work, report):
            if report.state is not ReportState.CLOSED:
                raise IllegalTransition(REPORT.name, report_id, report.state.value, "reopen")
            return await self._move(work, report, ReportState.OPEN, "reopen", comment, closed_comment="")

    async def sign(self, actor: Actor, report_id: str, organisation_id: str) -> Report:
        """The organisation has it (签收), says its liaison, or the desk for it by telephone. Raises as `result`."""
        return await self._receipt(actor, report_id, organisation_id, ReceiptState.SIGNED, "")

    async def result(self, actor: Actor, report_id: str, organisation_id: str, comment: str) -> Report:
        """What it did, once. When all who were asked have answered, the report is closed. Raises NotFound, Invalid,
        IllegalTransition, Conflict."""
        if not comment.strip():
            raise Invalid("comment: what was done")
        return await self._receipt(actor, report_id, organisation_id, ReceiptState.DONE, comment.strip())

    async def _receipt(
        self, actor: Actor, report_id: str, organisation_id: str, to: ReceiptState, comment: str
    ) -> Report:
        async with self._handling(actor, report_id, Action.ANSWER_REPORT) as (work, report):
            if report.state is not ReportState.OPEN:
                raise IllegalTransition(REPORT.name, report_id, report.state.value, to.value)
            known = {receipt.organisation_id: receipt for receipt in report.receipts}
            if organisation_id not in known:
                raise NotFound("organisation of this report", organisation_id)
            old = known[organisation_id]
            RECEIPT.advance(f"{report_id}/{organisation_id}", old.state, to)
            new = replace(old, state=to, state_zh=RECEIPT.zh[to])
            if to is ReceiptState.SIGNED:
                new = replace(new, signed_by=actor.username, signed_us=work.at_us)
            else:
                new = replace(new, result=comment, done_us=work.at_us)
            receipts = [new if r.organisation_id == organisation_id else r for r in report.receipts]
            changed = await self._write(work, report, replace(report, receipts=receipts), to.value.lower(), comment)
            asked = [r for r in receipts if r.authority != NOTIFY]
            if asked and all(r.state is ReceiptState.DONE for r in asked):
                words = "；".join(f"{r.organisation}：{r.result}" for r in asked)
                return await self._move(work, changed, ReportState.CLOSED, "answered", words, closed_comment=words)
            return changed

    # -- visits

    async def due(self, actor: Actor, *, days: float = 0.0) -> list[DueVisit]:
        """Visits that are due within so many days, or overdue, in the actor's areas: the most overdue first."""
        require(actor, Action.PATROL)
        if not 0 <= days <= 366:
            raise Invalid(f"days {days}: expected 0 to 366")
        async with self._store.read() as tx:
            wanted = await self._wanted(tx, actor)
            last = await tx.last_visits(list(wanted))
            names = dict(
                await tx.register_names("organisation", sorted({o for w in wanted.values() for o in _owners(w[1])}))
            )
        now_us = self._env.clock.city_us()
        found = [
            self._due(subject, entry, duties, last.get(subject), names, now_us)
            for subject, (entry, duties) in wanted.items()
        ]
        until_us = now_us + round(days * DAY_US)
        return sorted((d for d in found if d.due_us <= until_us), key=lambda d: (d.due_us, d.subject))

    async def visit(self, actor: Actor, draft: VisitDraft) -> Visit:
        """One visit, for all who asked for one of this object. Where the visitor stood is kept, never a reason to refuse.

        Raises Forbidden, NotFound, Invalid.
        """
        require(actor, Action.PATROL)
        if not draft.client_id:
            raise Invalid("client_id: expected, so that a visit that is sent twice is one")
        if len(draft.answers) > MAX_ITEMS:
            raise Invalid(f"answers: at most {MAX_ITEMS} expected, got {len(draft.answers)}")
        if (draft.lon is None) != (draft.lat is None):
            raise Invalid("lon and lat belong together: one of them is missing")
        async with self._working(actor) as work:
            if (known := await work.tx.visit_of_client(actor.username, draft.client_id)) is not None:
                return known
            wanted = await self._wanted(work.tx, actor)
            if draft.subject not in wanted:
                raise NotFound("object that is visited", draft.subject)
            entry, duties = wanted[draft.subject]
            if missing := [item for item in _checklist(duties) if item not in {a.item for a in draft.answers}]:
                raise Invalid(f"answers: {'、'.join(missing[:5])} is not answered; one visit answers everybody's list")
            day, place = city_date(work.at_us), _place(entry)
            distance_m = None
            if draft.lon is not None and draft.lat is not None and place is not None:
                distance_m = round(float(haversine_m(draft.lon, draft.lat, *place)), 1)
            visit = Visit(
                visit_id=f"V-{day}-{await work.tx.next_number(f'visit:{day}'):04d}",
                client_id=draft.client_id,
                subject=draft.subject,
                area=entry.area,
                visited_by=actor.username,
                visited_us=work.at_us,
                lon=draft.lon,
                lat=draft.lat,
                distance_m=distance_m,
                organisations=_owners(duties),
                answers=draft.answers,
                findings=sum(not answer.ok for answer in draft.answers),
            )
            await work.tx.insert_visit(visit)
            await work.journal("grid_visit", visit.visit_id, "visit", None, visit)
            return visit

    async def _wanted(self, tx: Tx, actor: Actor) -> dict[str, tuple[Entry, list[Entry]]]:
        """Objects in the actor's areas that somebody wants visited, with the duties."""
        duties: dict[str, list[Entry]] = {}
        for duty in await _entries(tx, DUTY):
            duties.setdefault(str(duty.values.get("subject", "")), []).append(duty)
        by_kind: dict[str, list[str]] = {}
        for subject in duties:
            kind, _, entry_id = subject.partition("/")
            by_kind.setdefault(kind, []).append(entry_id)
        objects = [
            e for kind, ids in by_kind.items() if kind in self._kinds for e in await tx.register_entries(kind, ids)
        ]
        seen = [e for e in objects if actor.scope.covers(area=e.area)]
        return {(subject := f"{e.kind}/{e.entry_id}"): (e, duties[subject]) for e in seen}

    def _due(
        self,
        subject: str,
        entry: Entry,
        duties: Sequence[Entry],
        last_us: int | None,
        names: Mapping[str, str],
        now_us: int,
    ) -> DueVisit:
        every = min(int(duty.values.get("every_days") or 1) for duty in duties)
        due_us = now_us if last_us is None else last_us + every * DAY_US
        place = _place(entry)
        return DueVisit(
            subject=subject,
            kind_zh=self._kinds[entry.kind].zh,
            name=str(entry.values.get("name", entry.entry_id)),
            area=entry.area,
            lon=None if place is None else place[0],
            lat=None if place is None else place[1],
            organisations=[names.get(o) or o for o in _owners(duties)],
            checklist=_checklist(duties),
            every_days=every,
            last_us=last_us,
            due_us=due_us,
            overdue=last_us is not None and due_us < now_us,
        )

    # -- what they share

    def _working(self, actor: Actor) -> AbstractAsyncContextManager[Work]:
        return working(self._store, self._env, self._emit, actor)

    def _handling(self, actor: Actor, report_id: str, action: Action = Action.HANDLE_REPORT) -> _Handling:
        return _Handling(self, actor, report_id, action)

    async def _move(
        self, work: Work, report: Report, to: ReportState, action: str, reason: str, **changed: Any
    ) -> Report:
        REPORT.advance(report.report_id, report.state, to, action)
        moved = replace(report, state=to, state_zh=REPORT.zh[to], **changed)
        return await self._write(work, report, moved, action, reason)

    async def _write(self, work: Work, old: Report, new: Report, action: str, reason: str) -> Report:
        new = replace(new, changed_us=work.at_us, rev=old.rev + 1)
        if not await work.tx.update_report(new, rev=old.rev, states=[old.state]):
            raise Conflict(f"{old.report_id} was changed by somebody else meanwhile; reload it")
        await work.journal("grid_report", old.report_id, action, old, new, reason)
        return new


class _Handling:
    """A write transaction on one report that the actor may handle."""

    def __init__(self, service: GridService, actor: Actor, report_id: str, action: Action) -> None:
        self._service, self._actor, self._report_id, self._action = service, actor, report_id, action

    async def __aenter__(self) -> tuple[Work, Report]:
        require(self._actor, self._action)
        self._work = self._service._working(self._actor)
        work: Work = await self._work.__aenter__()
        try:
            return work, _seen(self._actor, await work.tx.report(self._report_id), self._report_id)
        except BaseException as error:
            await self._work.__aexit__(type(error), error, error.__traceback__)
            raise

    async def __aexit__(self, *error: Any) -> Any:
        return await self._work.__aexit__(*error)


def _seen(actor: Actor, report: Report | None, report_id: str) -> Report:
    if report is None:
        raise NotFound("report", report_id)
    must_see(actor, "report", report_id, area=report.area)
    return report


async def _receipts(work: Work, kind: str, area: str) -> list[Receipt]:
    """Everybody whom the register of routes names for this kind here, once each; the strictest authority first."""
    routes = [r for r in await _entries(work.tx, ROUTE) if r.values.get("event") == kind and area.startswith(r.area)]
    ids = list(dict.fromkeys(str(r.values.get("organisation", "")) for r in routes))
    names = dict(await work.tx.register_names("organisation", ids))
    authority = {
        str(r.values.get("organisation", "")): str(r.values.get("authority") or NOTIFY) for r in reversed(routes)
    }
    return [
        Receipt(
            organisation_id=one,
            organisation=names.get(one) or one,
            authority=authority[one],
            state=RECEIPT.start,
            state_zh=RECEIPT.zh[RECEIPT.start],
            sent_us=work.at_us,
        )
        for one in ids
    ]


async def _entries(tx: Tx, kind: str) -> list[Entry]:
    found: list[Entry] = []
    query = EntryQuery(kinds=[kind], limit=1_000)
    while True:
        page = await tx.register_list(query)
        found += page
        if len(page) < query.limit:
            return found
        query = replace(query, after=(page[-1].kind, page[-1].entry_id))


async def _all_open(tx: Tx, areas: Sequence[str]) -> list[Report]:
    found: list[Report] = []
    before = ""
    while page := await tx.reports(states=[ReportState.OPEN], areas=areas, limit=MAX_PAGE, before=before):
        found += page
        before = page[-1].report_id
    return found


def _checklist(duties: Sequence[Entry]) -> list[str]:
    """The union of their lists, a line an item, in the order of the duties."""
    lines = (line.strip() for duty in duties for line in str(duty.values.get("checklist") or "").splitlines())
    return list(dict.fromkeys(line for line in lines if line))


def _owners(duties: Sequence[Entry]) -> list[str]:
    return list(dict.fromkeys(str(duty.values.get("organisation", "")) for duty in duties))


def _place(entry: Entry) -> tuple[float, float] | None:
    if entry.lon is not None and entry.lat is not None:
        return entry.lon, entry.lat
    if entry.geometry is None:
        return None
    centre = shape(entry.geometry).representative_point()
    return centre.x, centre.y
