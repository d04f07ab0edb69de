"""Alarms, incidents, tasks, units, closures, bulletins: the command centre's methods as routes."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Body, Header, Query, Request
from starlette.responses import Response

from command_center.api.answers import page, reply
from command_center.api.auth import actor_of, ask, could
from command_center.api.idempotency import IdempotentRoute
from command_center.api.schemas import (
    Assign,
    CloseRoad,
    Comment,
    IssueTasks,
    Note,
    Position,
    Reason,
    RequestAnswer,
    Shelve,
    Status,
    TaskMove,
    TaskVerb,
    microseconds,
)
from command_center.api.system_routes import deps_of
from command_center.authority import Action, only_own, require
from command_center.errors import Forbidden, Invalid, NotFound, Unavailable
from command_center.facade import CommandFacade
from command_center.model import Actor, TaskState
from gis.roads import lonlat_line

router = APIRouter(prefix="/api/v1", route_class=IdempotentRoute)

Limit = Annotated[int, Query(ge=1, le=1_000)]
Cursor = Annotated[str, Query(max_length=200)]
Key = Annotated[str, Header(alias="Idempotency-Key", max_length=128)]

VERBS: dict[str, TaskState] = {
    "deliver": TaskState.DELIVERED,
    "ack": TaskState.ACKED,
    "accept": TaskState.ACCEPTED,
    "decline": TaskState.DECLINED,
    "depart": TaskState.EN_ROUTE,
    "arrive": TaskState.ON_SCENE,
    "start": TaskState.IN_PROGRESS,
    "done": TaskState.REPORTED_DONE,
    "verify": TaskState.VERIFIED,
    "close": TaskState.CLOSED,
    "recall": TaskState.RECALLED,
}
DESK_VERBS = frozenset({"verify", "close", "recall"})


def facade_of(request: Request) -> CommandFacade:
    return deps_of(request).facade


# -- alarms ------------------------------------------------------------------------------------------------------------


@router.get("/alarms", tags=["alarms"])
async def alarms(
    request: Request,
    state: Annotated[str, Query(pattern="^(open|all)$")] = "open",
    limit: Limit = 200,
    cursor: Cursor = "",
) -> Response:
    """Alarms, newest first. While the database is down the open ones come from the live picture, marked `stored: false`."""
    actor = ask(request, Action.READ_ALARMS)
    try:
        items, following = await facade_of(request).alarms(actor, state=state, limit=limit, cursor=cursor)
    except Unavailable:
        if state != "open":
            raise
        shown = [a for a in deps_of(request).picture.open_alarms() if actor.scope.covers(area=a.area, hazard=a.hazard)]
        return page(shown[:limit])
    return page(items, following)


@router.get("/alarms/{alarm_id}", tags=["alarms"])
async def alarm(request: Request, alarm_id: str) -> Response:
    """The alarm and its transitions, each with its explanation."""
    actor = ask(request, Action.READ_ALARMS)
    found, transitions = await facade_of(request).alarm(actor, alarm_id)
    return reply({**msgspec.to_builtins(found), "transitions": transitions})


@router.post("/alarms/{alarm_id}/ack", status_code=202, tags=["alarms"])
async def acknowledge(request: Request, alarm_id: str, body: Comment | None = None) -> Response:
    """Acknowledge 确认. A control record: it works while the database is down."""
    actor = ask(request, Action.ACK_ALARM)
    position = await facade_of(request).acknowledge(actor, alarm_id, body.comment if body else "")
    return reply({"position": position}, 202)


@router.post("/alarms/{alarm_id}/shelve", status_code=202, tags=["alarms"])
async def shelve(request: Request, alarm_id: str, body: Shelve) -> Response:
    """Shelve 搁置: with reason, for at most a shift (8 h), and it returns by itself."""
    actor = ask(request, Action.SHELVE_ALARM)
    position = await facade_of(request).shelve(actor, alarm_id, body.minutes, body.comment)
    return reply({"position": position}, 202)


@router.post("/alarms/{alarm_id}/unshelve", status_code=202, tags=["alarms"])
async def unshelve(request: Request, alarm_id: str) -> Response:
    actor = ask(request, Action.SHELVE_ALARM)
    return reply({"position": await facade_of(request).unshelve(actor, alarm_id)}, 202)


@router.post("/alarms/{alarm_id}/reset", status_code=202, tags=["alarms"])
async def reset(request: Request, alarm_id: str, body: Reason) -> Response:
    """Reset 人工复位 a latched alarm, or one whose sensors are silent; with reason. One that measures follows its data."""
    actor = ask(request, Action.RESET_ALARM)
    return reply({"position": await facade_of(request).reset(actor, alarm_id, body.comment)}, 202)


@router.post("/bulletins", status_code=202, tags=["bulletins"])
async def bulletin(request: Request, document: Annotated[dict[str, Any], Body()]) -> Response:
    """An official bulletin, verbatim, with issuer, number and time."""
    actor = ask(request, Action.BULLETIN)
    return reply({"position": await facade_of(request).bulletin(actor, document)}, 202)


# -- incidents ---------------------------------------------------------------------------------------------------------


@router.get("/incidents", tags=["incidents"])
async def incidents(
    request: Request,
    state: Annotated[str, Query(max_length=20)] = "",
    limit: Limit = 100,
    cursor: Cursor = "",
) -> Response:
    actor = ask(request, Action.READ_INCIDENTS)
    items, following = await facade_of(request).incidents(actor, state=state, limit=limit, cursor=cursor)
    return page(items, following)


@router.get("/incidents/{incident_id}", tags=["incidents"])
async def incident(request: Request, incident_id: str) -> Response:
    actor = ask(request, Action.READ_INCIDENTS)
    found, tasks, linked = await facade_of(request).incident(actor, incident_id)
    return reply({**msgspec.to_builtins(found), "tasks": tasks, "alarms": linked})


@router.post("/incidents/{incident_id}/verify", tags=["incidents"])
async def verify_incident(request: Request, incident_id: str, body: Comment | None = None) -> Response:
    """Verify 核实: the event is real."""
    actor = ask(request, Action.VERIFY_INCIDENT)
    return reply(await facade_of(request).verify(actor, incident_id, body.comment if body else ""))


@router.post("/incidents/{incident_id}/reject", tags=["incidents"])
async def reject_incident(request: Request, incident_id: str, body: Reason) -> Response:
    actor = ask(request, Action.REJECT_INCIDENT)
    return reply(await facade_of(request).reject(actor, incident_id, body.comment))


@router.post("/incidents/{incident_id}/controlled", tags=["incidents"])
async def control_incident(request: Request, incident_id: str, body: Comment | None = None) -> Response:
    actor = could(request, Action.CONTROL_INCIDENT)
    return reply(await facade_of(request).controlled(actor, incident_id, body.comment if body else ""))


@router.post("/incidents/{incident_id}/close", tags=["incidents"])
async def close_incident(request: Request, incident_id: str, body: Comment | None = None) -> Response:
    """End 终止. Refused while a task is open or a linked alarm is firing."""
    actor = could(request, Action.CLOSE_INCIDENT)
    return reply(await facade_of(request).close(actor, incident_id, body.comment if body else ""))


@router.post("/incidents/{incident_id}/notes", tags=["incidents"])
async def add_note(request: Request, incident_id: str, body: Note) -> Response:
    actor = could(request, Action.NOTE)
    text = body.text or body.comment
    if not text:
        raise Invalid("text is empty: expected the note")
    return reply(await facade_of(request).note(actor, incident_id, text))


@router.post("/incidents/{incident_id}/tasks/issue", tags=["tasks"])
async def issue_tasks(request: Request, incident_id: str, body: IssueTasks | None = None, key: Key = "") -> Response:
    """Issue draft tasks: the named ones, or all."""
    actor = could(request, Action.ISSUE_TASKS)
    ids = body.task_ids if body else None
    return page(await facade_of(request).issue_tasks(actor, incident_id, ids, idempotency_key=key))


# -- tasks -------------------------------------------------------------------------------------------------------------


@router.get("/tasks", tags=["tasks"])
async def tasks(
    request: Request,
    unit: Annotated[str, Query(max_length=96)] = "",
    state: Annotated[str, Query(max_length=20)] = "",
    incident: Annotated[str, Query(max_length=96)] = "",
    limit: Limit = 200,
) -> Response:
    """Tasks; a responder sees those of its own unit."""
    actor = ask(request, Action.READ_TASKS)
    if only_own(actor):
        if unit and unit != actor.unit_id:
            raise Forbidden(actor.username, "read tasks", f"they are of unit {unit}")
        unit = _own_unit(actor)
    found = await facade_of(request).tasks(actor, unit_id=unit, state=state, incident_id=incident, limit=limit)
    return page(found)


@router.get("/tasks/{task_id}", tags=["tasks"])
async def task(request: Request, task_id: str) -> Response:
    return reply(await _own_task(request, task_id))


@router.post("/tasks/{task_id}/assign", tags=["tasks"])
async def assign(request: Request, task_id: str, body: Assign) -> Response:
    actor = could(request, Action.ASSIGN)
    return reply(await facade_of(request).assign(actor, task_id, body.unit_id))


@router.get("/tasks/{task_id}/candidates", tags=["tasks"])
async def candidates(request: Request, task_id: str) -> Response:
    """Units ranked by travel time over open roads, with the reasons for and against each."""
    actor = could(request, Action.ASSIGN)
    return page(await facade_of(request).candidates(actor, task_id))


@router.get("/tasks/{task_id}/route", tags=["tasks"])
async def route(request: Request, task_id: str) -> Response:
    """The unit's way over open roads, and which closures it avoids; without a geometry when none leads there."""
    await _own_task(request, task_id)
    way, closures = await facade_of(request).route(actor_of(request), task_id)
    avoided = [c.closure_id for c in closures]
    if way is None:
        return reply({"eta_s": None, "distance_m": None, "geometry": None, "avoided": avoided})
    return reply(
        {
            "eta_s": way.seconds,
            "distance_m": way.distance_m,
            "geometry": lonlat_line(way.coordinates),
            "avoided": avoided,
        }
    )


@router.post("/tasks/{task_id}/{verb}", tags=["tasks"])
async def move_task(
    request: Request, task_id: str, verb: TaskVerb, body: TaskMove | None = None, key: Key = ""
) -> Response:
    """One step of a task. A phone sends the time of the tap; the way back through a bad network may take minutes."""
    actor = could(request, Action.CHECK_TASK if verb in DESK_VERBS else Action.RESPOND)
    move = body or TaskMove()
    if (move.lon is None) != (move.lat is None):
        raise Invalid("lon and lat belong together: one of them is missing")
    position = None if move.lon is None or move.lat is None else (move.lon, move.lat)
    return reply(
        await facade_of(request).move_task(
            actor,
            task_id,
            VERBS[verb],
            comment=move.comment,
            device_time_us=None if move.device_time is None else microseconds(move.device_time),
            position=position,
            idempotency_key=key,
        )
    )


async def _own_task(request: Request, task_id: str) -> Any:
    actor = ask(request, Action.READ_TASKS)
    found = await facade_of(request).task(actor, task_id)
    if only_own(actor) and found.unit_id != _own_unit(actor):
        raise NotFound("task", task_id)
    return found


def _own_unit(actor: Actor) -> str:
    if not actor.unit_id:
        raise Forbidden(actor.username, "read tasks", "the account belongs to no unit")
    return actor.unit_id


# -- other agencies ----------------------------------------------------------------------------------------------------


@router.get("/requests", tags=["requests"])
async def requests(request: Request, incident: Annotated[str, Query(max_length=96)] = "") -> Response:
    """Requests to other agencies 协调请求 and notices 仅通报, with who signed for them."""
    actor = ask(request, Action.READ_REQUESTS)
    return page(await facade_of(request).requests(actor, incident))


@router.post("/requests/{request_id}/answer", tags=["requests"])
async def answer_request(request: Request, request_id: str, body: RequestAnswer) -> Response:
    """What the other agency's dispatcher said 签收. Only a committed request gives the task to their unit."""
    actor = ask(request, Action.ANSWER_REQUEST)
    found = await facade_of(request).answer_request(
        actor, request_id, body.state, signed_by=body.signed_by, comment=body.comment
    )
    return reply(found)


# -- units and roads ---------------------------------------------------------------------------------------------------


@router.get("/units", tags=["units"])
async def units(request: Request) -> Response:
    actor = ask(request, Action.READ_UNITS)
    return page(await facade_of(request).units(actor))


def _acts_for_unit(request: Request, unit_id: str) -> Actor:
    actor = ask(request, Action.REPORT_UNIT)
    require(actor, Action.REPORT_UNIT, unit_id=unit_id)
    return actor


@router.post("/units/{unit_id}/position", tags=["units"])
async def unit_position(request: Request, unit_id: str, body: Position) -> Response:
    actor = _acts_for_unit(request, unit_id)
    return reply(
        await facade_of(request).unit_position(
            actor,
            unit_id,
            body.lon,
            body.lat,
            heading=body.heading,
            speed_ms=body.speed_ms,
            ts_us=None if body.ts is None else body.ts * 1000,
        )
    )


@router.post("/units/{unit_id}/status", tags=["units"])
async def unit_status(request: Request, unit_id: str, body: Status) -> Response:
    actor = _acts_for_unit(request, unit_id)
    return reply(await facade_of(request).unit_status(actor, unit_id, body.status))


@router.get("/closures", tags=["roads"])
async def closures(request: Request) -> Response:
    actor = ask(request, Action.READ_CLOSURES)
    return page(await facade_of(request).closures(actor))


@router.post("/closures", status_code=201, tags=["roads"])
async def close_road(request: Request, body: CloseRoad) -> Response:
    """Close roads. Without a depth the water is of unknown depth, which is closed for everyone."""
    actor = ask(request, Action.CLOSE_ROAD)
    found = await facade_of(request).close_road(
        actor, body.edges, body.reason, depth_m=body.depth_m, minutes=body.minutes, evidence=body.evidence
    )
    return reply(found, 201)


@router.delete("/closures/{closure_id}", status_code=204, tags=["roads"])
async def reopen_road(request: Request, closure_id: str) -> Response:
    actor = ask(request, Action.CLOSE_ROAD)
    await facade_of(request).reopen_road(actor, closure_id)
    return Response(status_code=204)


# -- what the desk can look up -----------------------------------------------------------------------------------------


@router.get("/rules", tags=["review"])
async def rules(request: Request) -> Response:
    ask(request, Action.READ_RULES)
    return page(list(deps_of(request).rules()))


@router.get("/plans", tags=["review"])
async def plans(request: Request) -> Response:
    actor = ask(request, Action.READ_PLANS)
    return page(await facade_of(request).plans(actor))
