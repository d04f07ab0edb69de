"""`CommandCenter`: the only writer of incidents, tasks and units, behind the facade that the HTTP rim sees.

Each method asks the authority table, opens one transaction, does one thing and lets `emit` have what changed after the
commit. Acknowledge, shelve and bulletin are log records and work without a database.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import msgspec

from command_center import closures as road_closures
from command_center import incident_book as book
from command_center import incident_roles, incidents, requests, tasks, units
from command_center.access.records import IncidentRole
from command_center.access.scope import EVERYWHERE
from command_center.alarm_side import alarm_of
from command_center.authority import Action, must_see, only_own, require
from command_center.cursors import row_number
from command_center.dispatch import closed_for
from command_center.errors import Conflict, Forbidden, Invalid, NotFound
from command_center.machines import INCIDENT_OPEN, TASK_OVER, RequestState
from command_center.model import (
    Actor,
    Alarm,
    Candidate,
    Change,
    Closure,
    Incident,
    IncidentState,
    JournalEntry,
    Role,
    Task,
    TaskState,
    Unit,
    UnitStatus,
)
from command_center.ports import Append, Emit, Store
from command_center.records import Request
from command_center.work import LIVE_TIMELINE, Env, Work, working
from gis.roads import Route
from hazards.bulletins import Bulletin
from stream.records import ControlBody, control

ALARM_ID = re.compile(r"[0-9a-f]{16}")
MAX_PAGE = 500
FULL_TIMELINE = 1000
SHELVE_MAX_MINUTES = 8 * 60.0  # ISA-18.2 leaves it to the site: never longer than a shift
EVENT_CHANNELS = ("incident", "task", "instruction")


class CommandCenter:
    """Implements `command_center.facade.CommandFacade`.

    `store`: storage.command.PostgresStore or storage.memory.MemoryStore. `append`: the log. `emit` is called synchronously
    after each commit, in the order of the changes' numbers.
    """

    def __init__(self, *, store: Store, append: Append, env: Env, emit: Emit) -> None:
        self.store, self.env, self.emit = store, env, emit
        self._append = append

    # --- alarms: the log decides, the database follows

    async def alarms(
        self, actor: Actor, *, state: str = "open", limit: int = 200, cursor: str = ""
    ) -> tuple[list[Alarm], str | None]:
        require(actor, Action.READ_ALARMS)
        if state not in ("open", "all"):
            raise Invalid(f"state {state!r}: expected open or all")
        limit = _page(limit)
        async with self.store.read() as tx:
            found = await tx.alarms(
                firing_only=state == "open", limit=limit, before=_alarm_cursor(cursor), scope=actor.scope
            )
        last = found[-1].condition if len(found) == limit else None
        return [alarm_of(a.condition, a.side) for a in found], f"{last.raised_us}:{last.alarm_id}" if last else None

    async def alarm(self, actor: Actor, alarm_id: str) -> tuple[Alarm, list[dict[str, Any]]]:
        require(actor, Action.READ_ALARMS)
        async with self.store.read() as tx:
            record = await tx.alarm(alarm_id)
            if record is None:
                raise NotFound("alarm", alarm_id)
            last = record.condition.last
            must_see(actor, "alarm", alarm_id, area=last.area, hazard=last.hazard)
            return alarm_of(record.condition, record.side), await tx.transitions(alarm_id)

    async def acknowledge(self, actor: Actor, alarm_id: str, comment: str = "") -> int:
        require(actor, Action.ACK_ALARM)
        await self._must_see_alarm(actor, alarm_id)
        return await self._control(actor, "ack", {"alarm_id": _alarm_id(alarm_id), "comment": comment})

    async def shelve(self, actor: Actor, alarm_id: str, minutes: float, comment: str) -> int:
        require(actor, Action.SHELVE_ALARM)
        await self._must_see_alarm(actor, alarm_id)
        if not 0 < minutes <= SHELVE_MAX_MINUTES:
            raise Invalid(f"minutes: {minutes} is not in 0..{SHELVE_MAX_MINUTES:g}")
        if not comment.strip():
            raise Invalid("comment: shelving needs a reason")
        until_us = self.env.clock.city_us() + round(minutes * 60e6)
        data = {"alarm_id": _alarm_id(alarm_id), "until_us": until_us, "comment": comment}
        return await self._control(actor, "shelve", data)

    async def unshelve(self, actor: Actor, alarm_id: str) -> int:
        require(actor, Action.SHELVE_ALARM)
        await self._must_see_alarm(actor, alarm_id)
        return await self._control(actor, "unshelve", {"alarm_id": _alarm_id(alarm_id)})

    async def reset(self, actor: Actor, alarm_id: str, comment: str) -> int:
        require(actor, Action.RESET_ALARM)
        await self._must_see_alarm(actor, alarm_id)
        if not comment.strip():
            raise Invalid("comment: a reset needs a reason")
        return await self._control(actor, "reset", {"alarm_id": _alarm_id(alarm_id), "comment": comment})

    async def bulletin(self, actor: Actor, bulletin: dict[str, Any]) -> int:
        require(actor, Action.BULLETIN, area="")  # it is about the whole tenant
        try:
            document = msgspec.convert(bulletin, Bulletin)
        except msgspec.ValidationError as error:
            raise Invalid(f"bulletin: {error}") from error
        if not document.track:
            raise Invalid("bulletin: track is empty")
        key = (
            f"bulletin:{document.bulletin_id}"  # an issue is sent once; sending it again is answered with its position
        )
        return await self._control(actor, "bulletin", {"bulletin": msgspec.to_builtins(document)}, identifier=key)

    async def _must_see_alarm(self, actor: Actor, alarm_id: str) -> None:
        """Raises NotFound outside the scope. What is on the screens is known without the database; the rest is looked up."""
        if actor.scope == EVERYWHERE:
            return
        place = self.env.live_alarm(alarm_id) if self.env.live_alarm is not None else None
        if place is None:
            async with self.store.read() as tx:
                record = await tx.alarm(_alarm_id(alarm_id))
            if record is None:
                raise NotFound("alarm", alarm_id)
            place = (record.condition.last.area, record.condition.last.hazard)
        must_see(actor, "alarm", alarm_id, area=place[0], hazard=place[1])

    async def _control(self, actor: Actor, kind: str, data: dict[str, Any], *, identifier: str = "") -> int:
        body = ControlBody(id=identifier or uuid.uuid4().hex, type=kind, actor=actor.username, data=data)
        return (await self._append.append([control(body)]))[0].position

    # --- incidents

    async def incidents(
        self, actor: Actor, *, state: str = "", limit: int = 100, cursor: str = ""
    ) -> tuple[list[Incident], str | None]:
        require(actor, Action.READ_INCIDENTS)
        limit = _page(limit)
        wanted = list(INCIDENT_OPEN) if state == "open" else incidents.states_named([s for s in state.split(",") if s])
        async with self._reading(actor) as work:
            also = await incident_roles.incidents_of(work.tx, actor, work.at_us)
            found = await work.tx.incidents(wanted, limit, cursor, scope=actor.scope, also=also)
            shown = [await book.with_timeline(work, i.incident_id, LIVE_TIMELINE) for i in found]
        return shown, shown[-1].incident_id if len(shown) == limit else None

    async def incident(self, actor: Actor, incident_id: str) -> tuple[Incident, list[Task], list[Alarm]]:
        require(actor, Action.READ_INCIDENTS)
        async with self._reading(actor) as work:
            await incident_roles.ask(work, Action.READ_INCIDENTS, incident_id)
            incident = await book.with_timeline(work, incident_id, FULL_TIMELINE)
            of_incident = [r.task for r in await work.tx.tasks(incident_id=incident_id)]
            linked = await work.tx.alarms_of(incident_id)
            sees_all = bool(await incident_roles.held(work.tx, actor, incident_id, work.at_us))
        mine = [t for t in of_incident if not only_own(actor) or t.unit_id == actor.unit_id]
        shown = [alarm_of(a.condition, a.side) for a in linked]
        return incident, mine, [a for a in shown if sees_all or actor.scope.covers(area=a.area, hazard=a.hazard)]

    async def verify(self, actor: Actor, incident_id: str, comment: str = "") -> Incident:
        async with self._asked(actor, Action.VERIFY_INCIDENT, incident_id) as work:
            return await incidents.verify(work, incident_id, comment)

    async def reject(self, actor: Actor, incident_id: str, comment: str) -> Incident:
        async with self._asked(actor, Action.REJECT_INCIDENT, incident_id) as work:
            return await incidents.reject(work, incident_id, comment)

    async def controlled(self, actor: Actor, incident_id: str, comment: str = "") -> Incident:
        async with self._asked(actor, Action.CONTROL_INCIDENT, incident_id) as work:
            return await incidents.move(work, incident_id, IncidentState.CONTROLLED, "controlled", comment)

    async def close(self, actor: Actor, incident_id: str, comment: str) -> Incident:
        async with self._asked(actor, Action.CLOSE_INCIDENT, incident_id) as work:
            return await incidents.close(work, incident_id, comment)

    async def note(self, actor: Actor, incident_id: str, text: str) -> Incident:
        if not text.strip():
            incident_roles.could(actor, Action.NOTE)
            raise Invalid("text: a note needs words")
        async with self._asked(actor, Action.NOTE, incident_id) as work:
            if only_own(actor):
                await self._must_take_part(work, actor, incident_id)
            await book.tell(work, incident_id, "note", text, text)
            await work.journal("incident", incident_id, "note", None, {"text": text})
            return await book.with_timeline(work, incident_id, LIVE_TIMELINE)

    # --- tasks

    async def issue_tasks(
        self, actor: Actor, incident_id: str, task_ids: Sequence[str] | None = None, *, idempotency_key: str = ""
    ) -> list[Task]:
        async with self._asked(actor, Action.ISSUE_TASKS, incident_id) as work:
            asked = ["issue", incident_id, sorted(task_ids) if task_ids is not None else None]
            await _once(work, idempotency_key, asked)
            tasks.must_be_verified(await book.get(work, incident_id))
            return await tasks.issue(work, incident_id, task_ids)

    async def tasks(
        self, actor: Actor, *, unit_id: str = "", state: str = "", incident_id: str = "", limit: int = 200
    ) -> list[Task]:
        """`state`: codes separated by commas, or `open` for what is neither over nor a draft. A responder sees its own."""
        require(actor, Action.READ_TASKS)
        unit_id = actor.unit_id if only_own(actor) else unit_id
        if only_own(actor) and not unit_id:
            return []
        wanted = [s for s in TaskState if s not in TASK_OVER] if state == "open" else _task_states(state)
        scope = EVERYWHERE if only_own(actor) else actor.scope  # an order reaches its unit wherever it is sent
        async with self._reading(actor) as work:
            also = await incident_roles.incidents_of(work.tx, actor, work.at_us)
            found = await work.tx.tasks(
                incident_id=incident_id, unit_id=unit_id, states=wanted, limit=_page(limit), scope=scope, also=also
            )
        return [record.task for record in found]

    async def task(self, actor: Actor, task_id: str) -> Task:
        require(actor, Action.READ_TASKS)
        async with self._reading(actor) as work:
            return await self._task_of(work, Action.READ_TASKS, task_id)

    async def assign(self, actor: Actor, task_id: str, unit_id: str) -> Task:
        incident_roles.could(actor, Action.ASSIGN)
        async with self._working(actor) as work:
            await self._task_of(work, Action.ASSIGN, task_id)
            unit = (await units.get(work, unit_id)).unit
            must_see(actor, "unit", unit_id, area=unit.area)
            return await tasks.assign(work, task_id, unit_id)

    async def candidates(self, actor: Actor, task_id: str) -> list[Candidate]:
        incident_roles.could(actor, Action.ASSIGN)
        async with self._reading(actor) as work:
            await self._task_of(work, Action.ASSIGN, task_id)
            ranked = await tasks.rank_units(work, await tasks.get(work, task_id))
        return [candidate for candidate in ranked if actor.scope.covers(area=candidate.unit.area)]

    async def move_task(
        self,
        actor: Actor,
        task_id: str,
        to: TaskState,
        *,
        comment: str = "",
        device_time_us: int | None = None,
        position: tuple[float, float] | None = None,
        idempotency_key: str = "",
    ) -> Task:
        """A responder moves its own task; the desk moves any, and alone checks, closes, suspends and recalls."""
        action = Action.RESPOND if to in tasks.BY_UNIT else Action.CHECK_TASK
        incident_roles.could(actor, action)
        async with self._working(actor) as work:
            await self._task_of(work, action, task_id)
            record = await tasks.get(work, task_id)
            if action is Action.RESPOND and not only_own(actor) and record.task.unit_id:
                work.actor = msgspec.structs.replace(actor, on_behalf_of=actor.on_behalf_of or record.task.unit_id)
            if await _once(work, idempotency_key, ["move", task_id, to.value, comment]):
                return record.task
            return await tasks.move(work, task_id, to, comment, device_time_us, position)

    async def route(self, actor: Actor, task_id: str) -> tuple[Route | None, list[Closure]]:
        require(actor, Action.READ_TASKS)
        async with self._reading(actor) as work:
            task = await self._task_of(work, Action.READ_TASKS, task_id)
            if not task.unit_id:
                raise Invalid(f"task {task_id} has no unit yet: there is no way to show")
            unit = (await units.get(work, task.unit_id)).unit
            shut = await tasks.open_closures(work)
        start, goal = (unit.lon, unit.lat), (task.lon, task.lat)
        route = self.env.roads.route(start, goal, closed_for(shut, unit.wading_depth_m))
        direct = self.env.roads.route(start, goal)
        crossed = set(direct.edge_ids) if direct else set()
        avoided = [c for c in shut if crossed.intersection(c.edges) and closed_for([c], unit.wading_depth_m)]
        return route, avoided

    # --- other agencies

    async def requests(self, actor: Actor, incident_id: str = "") -> list[Request]:
        require(actor, Action.READ_REQUESTS)
        async with self._reading(actor) as work:
            found = await work.tx.requests(incident_id)
            seen: dict[str, bool] = {}
            for request in found:
                if request.incident_id not in seen:
                    incident = await book.get(work, request.incident_id)
                    seen[request.incident_id] = actor.scope.covers(area=incident.area, hazard=incident.kind)
        if only_own(actor):
            return [r for r in found if actor.unit_id and r.unit_id == actor.unit_id]
        return [r for r in found if seen[r.incident_id]]

    async def answer_request(
        self, actor: Actor, request_id: str, to: RequestState, *, signed_by: str, comment: str = ""
    ) -> Request:
        """What the other agency's dispatcher (`signed_by`) said; COMMITTED gives the task to their unit."""
        require(actor, Action.ANSWER_REQUEST)
        if not signed_by.strip() and to is not RequestState.WITHDRAWN:
            raise Invalid("signed_by: who of the other agency signed for it")
        async with self._working(actor) as work:
            await self._must_see_request(work, request_id)
            request = await requests.answer(work, request_id, to, signed_by, comment)
            if to is RequestState.COMMITTED:
                record = await tasks.get(work, request.task_id)
                await tasks.hand_over(work, record, await units.get(work, request.unit_id), f"signed by {signed_by}")
            return request

    # --- units

    async def units(self, actor: Actor) -> list[Unit]:
        require(actor, Action.READ_UNITS)
        async with self.store.read() as tx:
            everybody = [record.unit for record in await tx.units()]
        return [u for u in everybody if _own_unit(actor, u.unit_id) or actor.scope.covers(area=u.area)]

    async def register_unit(self, actor: Actor, unit: Unit) -> Unit:
        require(actor, Action.REGISTER_UNIT)
        async with self._working(actor) as work:
            return await units.register(work, unit)

    async def unit_position(
        self,
        actor: Actor,
        unit_id: str,
        lon: float,
        lat: float,
        *,
        heading: float | None = None,
        speed_ms: float | None = None,
        ts_us: int | None = None,
    ) -> Unit:
        require(actor, Action.REPORT_UNIT, unit_id=unit_id)
        async with self._working(actor) as work:
            await self._must_see_unit(work, unit_id)
            return await units.position(work, unit_id, lon, lat, heading, speed_ms, ts_us)

    async def unit_status(self, actor: Actor, unit_id: str, status: UnitStatus) -> Unit:
        require(actor, Action.REPORT_UNIT, unit_id=unit_id)
        async with self._working(actor) as work:
            await self._must_see_unit(work, unit_id)
            return await units.status(work, unit_id, status)

    # --- roads

    async def closures(self, actor: Actor) -> list[Closure]:
        require(actor, Action.READ_CLOSURES)
        async with self.store.read() as tx:
            found = [c for c in await tx.closures() if actor.scope.covers(area=c.area)]
        return road_closures.with_live_depth(self.env, found, self.env.clock.city_us())

    async def close_road(
        self,
        actor: Actor,
        edges: Sequence[str],
        reason: str,
        *,
        depth_m: float | None,
        minutes: float | None,
        evidence: str = "",
    ) -> Closure:
        require(actor, Action.CLOSE_ROAD)
        async with self._working(actor) as work:
            return await road_closures.close_by_hand(work, edges, reason, depth_m, minutes, evidence)

    async def reopen_road(self, actor: Actor, closure_id: str) -> None:
        require(actor, Action.CLOSE_ROAD)
        async with self._working(actor) as work:
            await road_closures.reopen(work, closure_id, "reopened by hand")

    # --- reading back

    async def journal(
        self, actor: Actor, *, entity: str = "", entity_id: str = "", limit: int = 200, cursor: str = ""
    ) -> tuple[list[JournalEntry], str | None]:
        """Newest first; `cursor` is the number of the last entry seen."""
        require(actor, Action.JOURNAL, area="")  # its entries have no area: who is limited to one reads timelines
        before = row_number(cursor)
        limit = _page(limit)
        async with self.store.read() as tx:
            found = await tx.journal(entity, entity_id, limit, before)
        return found, str(found[-1].seq) if len(found) == limit else None

    async def plans(self, actor: Actor) -> list[dict[str, Any]]:
        require(actor, Action.READ_PLANS)
        return [msgspec.to_builtins(plan) for _, plan in sorted(self.env.plans.items())]

    async def events_since(self, channel: str, seq: int, limit: int = 1000) -> list[Change]:
        """Numbered events of `incident`, `task` or `instruction` after `seq`, for a viewer that comes back. For the hub, not for users."""
        if channel not in EVENT_CHANNELS:
            raise Invalid(f"channel {channel!r}: expected one of {', '.join(EVENT_CHANNELS)}")
        async with self.store.read() as tx:
            return await tx.live_since(channel, seq, limit)

    async def picture(self) -> tuple[int, list[Incident], list[Task], list[Unit], list[Closure]]:
        """What the hub starts from: head of the event numbers, then all that is not over, in one consistent reading."""
        async with self._reading(Actor(username="system")) as work:
            seq = await work.tx.live_head()
            shown = [s for s in IncidentState if s is not IncidentState.ARCHIVED]
            found = await work.tx.incidents(shown, MAX_PAGE)
            all_incidents = [await book.with_timeline(work, i.incident_id, LIVE_TIMELINE) for i in found]
            going = [s for s in TaskState if s is not TaskState.CLOSED]
            open_tasks = [r.task for r in await work.tx.tasks(states=going)]
            everybody = [r.unit for r in await work.tx.units()]
            return seq, all_incidents, open_tasks, everybody, await tasks.open_closures(work)

    # --- roles in an incident

    async def incident_roles(self, actor: Actor, incident_id: str) -> list[IncidentRole]:
        require(actor, Action.READ_INCIDENTS)
        async with self._reading(actor) as work:
            return await incident_roles.of_incident(work, incident_id)

    async def give_incident_role(
        self, actor: Actor, incident_id: str, username: str, role: Role, *, hours: float
    ) -> IncidentRole:
        require(actor, Action.GIVE_INCIDENT_ROLE)
        async with self._working(actor) as work:
            return await incident_roles.give(work, incident_id, username, role, hours)

    async def end_incident_role(self, actor: Actor, incident_id: str, role_id: str) -> None:
        require(actor, Action.READ_INCIDENTS)
        async with self._working(actor) as work:
            await incident_roles.end(work, incident_id, role_id)

    # --- plumbing

    @asynccontextmanager
    async def _asked(self, actor: Actor, action: Action, incident_id: str) -> AsyncIterator[Work]:
        """A piece of work on an incident that the actor sees and may do this in, by his roles or by one in the incident."""
        incident_roles.could(actor, action)
        async with self._working(actor) as work:
            await incident_roles.ask(work, action, incident_id)
            yield work

    async def _task_of(self, work: Work, action: Action, task_id: str) -> Task:
        """The task, if the actor sees it and may do this to it. Raises NotFound, Forbidden."""
        actor, task = work.actor, (await tasks.get(work, task_id)).task
        roles = await incident_roles.held(work.tx, actor, task.incident_id, work.at_us)
        if not _own_unit(actor, task.unit_id):
            must_see(actor, "task", task_id, area=task.area, hazard=task.hazard, held=roles)
        require(actor, action, unit_id=task.unit_id, held=roles)
        return task

    async def _must_see_unit(self, work: Work, unit_id: str) -> None:
        unit = (await units.get(work, unit_id)).unit
        if not _own_unit(work.actor, unit_id):
            must_see(work.actor, "unit", unit_id, area=unit.area)

    async def _must_see_request(self, work: Work, request_id: str) -> None:
        request = await work.tx.request(request_id)
        if request is None:
            raise NotFound("request", request_id)
        incident = await book.get(work, request.incident_id)
        if not _own_unit(work.actor, request.unit_id):
            must_see(work.actor, "request", request_id, area=incident.area, hazard=incident.kind)
        require(work.actor, Action.ANSWER_REQUEST, unit_id=request.unit_id)

    def _working(self, actor: Actor) -> AbstractAsyncContextManager[Work]:
        return working(self.store, self.env, self.emit, actor)

    @asynccontextmanager
    async def _reading(self, actor: Actor) -> AsyncIterator[Work]:
        async with self.store.read() as tx:
            yield Work(
                tx=tx,
                env=self.env,
                actor=actor,
                at_us=self.env.clock.city_us(),
                machine_us=self.env.clock.machine_us(),
            )

    async def _must_take_part(self, work: Work, actor: Actor, incident_id: str) -> None:
        mine = await work.tx.tasks(incident_id=incident_id, unit_id=actor.unit_id, limit=1) if actor.unit_id else []
        if not mine:
            raise Forbidden(actor.username, Action.NOTE.value, "your unit has no task in this incident")


async def _once(work: Work, key: str, asked: object) -> bool:
    """True when this actor has sent the same request with this key before. Raises Conflict for another request."""
    if not key:
        return False
    fingerprint = hashlib.blake2b(msgspec.json.encode(asked), digest_size=16).hexdigest()
    before = await work.tx.remember(work.actor.username, key, fingerprint, work.at_us)
    if before is not None and before != fingerprint:
        raise Conflict(f"idempotency key {key!r} came before with another request")
    return before is not None


def _own_unit(actor: Actor, unit_id: str) -> bool:
    """A crew sees and answers what concerns its own unit, wherever it was sent."""
    return only_own(actor) and bool(unit_id) and actor.unit_id == unit_id


def _alarm_id(alarm_id: str) -> str:
    if not ALARM_ID.fullmatch(alarm_id):
        raise NotFound("alarm", alarm_id)
    return alarm_id


def _alarm_cursor(cursor: str) -> str:
    raised, _, alarm_id = cursor.partition(":")
    if cursor and not (raised.lstrip("-").isdigit() and ALARM_ID.fullmatch(alarm_id)):
        raise Invalid(f"cursor {cursor!r}: expected what `next` gave")
    return cursor


def _task_states(state: str) -> list[TaskState]:
    try:
        return [TaskState(s) for s in state.split(",") if s]
    except ValueError as error:
        raise Invalid(f"state: {error}") from error


def _page(limit: int) -> int:
    if limit < 1:
        raise Invalid(f"limit: {limit} is not above 0")
    return min(limit, MAX_PAGE)
