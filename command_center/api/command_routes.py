"""Alarms, incidents, tasks, units, closures, bulletins: the command centre's methods as routes."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Body, Header, Query, Request
from starlette.responses import Response

from command_center.api.answers import page, reply
from command_center.api.auth import actor_of, only, refuse
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
from command_center.errors import Forbidden, Invalid, NotFound, Unavailable
from command_center.facade import CommandFacade
from command_center.model import Actor, Role, TaskState
from gis.roads import lonlat_line

router = APIRouter(prefix="/api/v1", route_class=IdempotentRoute)

Limit = Annotated[int, Query(ge=1, le=1_000)]
Cursor = Annotated[str, Query(max_length=200)]
Key = Annotated[str, Header(alias="Idempotency-Key", max_length=128)]
DESK = (Role.OPERATOR, Role.LEADER)
OUTSIDE = (Role.VENDOR, Role.MET)

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
    actor = refuse(request, "read alarms", *OUTSIDE)
    try:
        items, following = await facade_of(request).alarms(actor, state=state, limit=limit, cursor=cursor)
    except Unavailable:
        if state != "open":
            raise
        return page(deps_of(request).picture.open_alarms()[:limit])
    return page(items, following)


@router.get("/alarms/{alarm_id}", tags=["alarms"])
async def alarm(request: Request, alarm_id: str) -> Response:
    """The alarm and its transitions, each with its explanation."""
    actor = refuse(request, "read alarms", *OUTSIDE)
    found, transitions = await facade_of(request).alarm(actor, alarm_id)
    return reply({**msgspec.to_builtins(found), "transitions": transitions})


@router.post("/alarms/{alarm_id}/ack", status_code=202, tags=["alarms"])
async def acknowledge(request: Request, alarm_id: str, body: Comment | None = None) -> Response:
    """Acknowledge 确认. A control record: it works while the database is down."""
    actor = only(request, "acknowledge an alarm", *DESK)
    position = await facade_of(request).acknowledge(actor, alarm_id, body.comment if body else "")
    return reply({"position": position}, 202)


@router.post("/alarms/{alarm_id}/shelve", status_code=202, tags=["alarms"])
async def shelve(request: Request, alarm_id: str, body: Shelve) -> Response:
    """Shelve 搁置: with reason, for at most a shift (8 h), and it returns by itself."""
    actor = only(request, "shelve an alarm", *DESK)
    position = await facade_of(request).shelve(actor, alarm_id, body.minutes, body.comment)
    return reply({"position": position}, 202)


@router.post("/alarms/{alarm_id}/unshelve", status_code=202, tags=["alarms"])
async def unshelve(request: Request, alarm_id: str) -> Response:
    actor = only(request, "shelve an alarm", *DESK)
    return reply({"position": await facade_of(request).unshelve(actor, alarm_id)}, 202)


@router.post("/alarms/{alarm_id}/reset", status_code=202, tags=["alarms"])
async def reset(request: Request, alarm_id: str, body: Reason) -> Response:
    """Reset 人工复位 a latched alarm, or one whose sensors are silent; with reason. One that measures follows its data."""
    actor = only(request, "reset an alarm", *DESK)
    return reply({"position": await facade_of(request).reset(actor, alarm_id, body.comment)}, 202)


@router.post("/bulletins", status_code=202, tags=["bulletins"])
async def bulletin(request: Request, document: Annotated[dict[str, Any], Body()]) -> Response:
    """An official bulletin, verbatim, with issuer, number and time."""
    actor = only(request, "enter a bulletin", *DESK, Role.MET)
    return reply({"position": await facade_of(request).bulletin(actor, document)}, 202)


# -- incidents ---------------------------------------------------------------------------------------------------------


@router.get("/incidents", tags=["incidents"])
async def incidents(
    request: Request,
    state: Annotated[str, Query(max_length=20)] = "",
    limit: Limit = 100,
    cursor: Cursor = "",
) -> Response:
    actor = refuse(request, "read incidents", *OUTSIDE)
    items, following = await facade_of(request).incidents(actor, state=state, limit=limit, cursor=cursor)
    return page(items, following)


@router.get("/incidents/{incident_id}", tags=["incidents"])
async def incident(request: Request, incident_id: str) -> Response:
    actor = refuse(request, "read incidents", *OUTSIDE)
    found, tasks, linked = await facade_of(request).incident(actor, incident_id)
    return reply({**msgspec.to_builtins(found), "tasks": tasks, "alarms": linked})


@router.post("/incidents/{incident_id}/verify", tags=["incidents"])
async def verify_incident(request: Request, incident_id: str, body: Comment | None = None) -> Response:
    """Verify 核实: the event is real."""
    actor = only(request, "verify an incident", *DESK)
    return reply(await facade_of(request).verify(actor, incident_id, body.comment if body else ""))


@router.post("/incidents/{incident_id}/reject", tags=["incidents"])
async def reject_incident(request: Request, incident_id: str, body: Reason) -> Response:
    actor = only(request, "reject an incident", *DESK)
    return reply(await facade_of(request).reject(actor, incident_id, body.comment))


@router.post("/incidents/{incident_id}/controlled", tags=["incidents"])
async def control_incident(request: Request, incident_id: str, body: Comment | None = None) -> Response:
    actor = only(request, "declare an incident controlled", *DESK)
    return reply(await facade_of(request).controlled(actor, incident_id, body.comment if body else ""))


@router.post("/incidents/{incident_id}/close", tags=["incidents"])
async def close_incident(request: Request, incident_id: str, body: Comment | None = None) -> Response:
    """End 终止. Refused while a task is open or a linked alarm is firing."""
    actor = only(request, "end an incident", *DESK)
    return reply(await facade_of(request).close(actor, incident_id, body.comment if body else ""))


@router.post("/incidents/{incident_id}/notes", tags=["incidents"])
async def add_note(request: Request, incident_id: str, body: Note) -> Response:
    actor = only(request, "write into the timeline", *DESK, Role.RESPONDER)
    text = body.text or body.comment
    if not text:
        raise Invalid("text is empty: expected the note")
    return reply(await facade_of(request).note(actor, incident_id, text))


@router.post("/incidents/{incident_id}/tasks/issue", tags=["tasks"])
async def issue_tasks(request: Request, incident_id: str, body: IssueTasks | None = None, key: Key = "") -> Response:
    """Issue draft tasks: the named ones, or all."""
    actor = only(request, "issue tasks", *DESK)
    ids = body.task_ids if body else None
    return reply({"items": await facade_of(request).issue_tasks(actor, incident_id, ids, idempotency_key=key)})


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
    actor = refuse(request, "read tasks", *OUTSIDE)
    if _responder_only(actor):
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
    actor = only(request, "assign a task", *DESK)
    return reply(await facade_of(request).assign(actor, task_id, body.unit_id))


@router.get("/tasks/{task_id}/candidates", tags=["tasks"])
async def candidates(request: Request, task_id: str) -> Response:
    """Units ranked by travel time over open roads, with the reasons for and against each."""
    actor = only(request, "look for units", *DESK)
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
    roles = DESK if verb in DESK_VERBS else (*DESK, Role.RESPONDER)
    actor = only(request, f"{verb} a task", *roles)
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
    actor = refuse(request, "read tasks", *OUTSIDE)
    found = await facade_of(request).task(actor, task_id)
    if _responder_only(actor) and found.unit_id != _own_unit(actor):
        raise NotFound("task", task_id)
    return found


def _responder_only(actor: Actor) -> bool:
    return not actor.roles - {Role.RESPONDER}


def _own_unit(actor: Actor) -> str:
    if not actor.unit_id:
        raise Forbidden(actor.username, "read tasks", "the account belongs to no unit")
    return actor.unit_id


# -- other agencies ----------------------------------------------------------------------------------------------------


@router.get("/requests", tags=["requests"])
async def requests(request: Request, incident: Annotated[str, Query(max_length=96)] = "") -> Response:
    """Requests to other agencies 协调请求 and notices 仅通报, with who signed for them."""
    actor = only(request, "read requests", *DESK)
    return page(await facade_of(request).requests(actor, incident))


@router.post("/requests/{request_id}/answer", tags=["requests"])
async def answer_request(request: Request, request_id: str, body: RequestAnswer) -> Response:
    """What the other agency's dispatcher said 签收. Only a committed request gives the task to their unit."""
    actor = only(request, "record another agency's answer", *DESK)
    found = await facade_of(request).answer_request(
        actor, request_id, body.state, signed_by=body.signed_by, comment=body.comment
    )
    return reply(found)


# -- units and roads ---------------------------------------------------------------------------------------------------


@router.get("/units", tags=["units"])
async def units(request: Request) -> Response:
    actor = refuse(request, "read units", *OUTSIDE)
    return page(await facade_of(request).units(actor))


def _acts_for_unit(request: Request, unit_id: str, action: str) -> Actor:
    actor = only(request, action, *DESK, Role.RESPONDER)
    if _responder_only(actor) and actor.unit_id != unit_id:
        raise Forbidden(actor.username, action, f"{unit_id} is another unit")
    return actor


@router.post("/units/{unit_id}/position", tags=["units"])
async def unit_position(request: Request, unit_id: str, body: Position) -> Response:
    actor = _acts_for_unit(request, unit_id, "report a position")
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
    actor = _acts_for_unit(request, unit_id, "report a status")
    return reply(await facade_of(request).unit_status(actor, unit_id, body.status))


@router.get("/closures", tags=["roads"])
async def closures(request: Request) -> Response:
    actor = refuse(request, "read road closures", *OUTSIDE)
    return page(await facade_of(request).closures(actor))


@router.post("/closures", status_code=201, tags=["roads"])
async def close_road(request: Request, body: CloseRoad) -> Response:
    """Close roads. Without a depth the water is of unknown depth, which is closed for everyone."""
    actor = only(request, "close a road", *DESK)
    found = await facade_of(request).close_road(
        actor, body.edges, body.reason, depth_m=body.depth_m, minutes=body.minutes, evidence=body.evidence
    )
    return reply(found, 201)


@router.delete("/closures/{closure_id}", status_code=204, tags=["roads"])
async def reopen_road(request: Request, closure_id: str) -> Response:
    actor = only(request, "reopen a road", *DESK)
    await facade_of(request).reopen_road(actor, closure_id)
    return Response(status_code=204)


# -- what the desk can look up -----------------------------------------------------------------------------------------

READERS = (Role.ANALYST, Role.LEADER, Role.ADMIN)


@router.get("/rules", tags=["review"])
async def rules(request: Request) -> Response:
    only(request, "read rules", *READERS)
    return page(list(deps_of(request).rules()))


@router.get("/plans", tags=["review"])
async def plans(request: Request) -> Response:
    actor = only(request, "read plans", *READERS)
    return page(await facade_of(request).plans(actor))
