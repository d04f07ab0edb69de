"""Video: leave to look through a camera, the picture behind a ticket, who looked, and the clips of an incident."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse

from command_center.api.answers import page, reply
from command_center.api.auth import actor_of
from command_center.api.idempotency import IdempotentRoute
from command_center.api.schemas import ClipBody, Instant, TurnBody, ViewBody, microseconds
from command_center.api.system_routes import deps_of
from command_center.cursors import row_number
from command_center.errors import Unavailable
from command_center.journal import JournalQuery
from command_center.video.clips import ClipService
from command_center.video.model import VIEW, ClipState
from command_center.video.service import VideoService

router = APIRouter(prefix="/api/v1", tags=["video"], route_class=IdempotentRoute)
NEVER_CACHED = {"Cache-Control": "no-store"}


@router.post("/devices/{device_id}/video", status_code=201)
async def look(request: Request, device_id: str, body: ViewBody) -> Response:
    """Leave to look through a camera, with a reason or for an incident, which is journalled. `url` opens for five minutes, for the
    login that asked."""
    viewing = await _video(request).ask(
        actor_of(request),
        device_id,
        body.purpose,
        reason=body.reason,
        incident_id=body.incident_id,
        from_us=None if body.since is None else microseconds(body.since),
        to_us=None if body.until is None else microseconds(body.until),
    )
    return reply(viewing, 201, NEVER_CACHED)


@router.get("/devices/{device_id}/presets")
async def presets(request: Request, device_id: str) -> Response:
    """Directions that a camera of the video platform knows."""
    return page(await _video(request).presets(actor_of(request), device_id))


@router.post("/devices/{device_id}/presets/goto", status_code=204)
async def turn(request: Request, device_id: str, body: TurnBody) -> Response:
    """Turn a camera of the video platform; journalled with its reason. Cameras that speak MQTT: the command `preset_goto`."""
    await _video(request).turn(actor_of(request), device_id, body.preset, body.reason)
    return Response(status_code=204)


@router.get("/video/{ticket}/media")
async def media(request: Request, ticket: str) -> Response:
    """Where the video platform gives the picture: addresses for a player, by form."""
    return reply(await _video(request).media(actor_of(request), ticket), headers=NEVER_CACHED)


@router.get("/video/{ticket}/picture")
async def picture(request: Request, ticket: str) -> Response:
    """The camera's picture as it is now."""
    content, kind = await _video(request).picture(actor_of(request), ticket)
    return Response(content, headers=NEVER_CACHED, media_type=kind)


@router.post("/video/{ticket}/extend", status_code=201)
async def extend(request: Request, ticket: str) -> Response:
    """Five more minutes; within four hours of the first ticket."""
    return reply(await _video(request).extend(actor_of(request), ticket), 201, NEVER_CACHED)


@router.delete("/video/{ticket}", status_code=204)
async def end(request: Request, ticket: str) -> Response:
    """Seen enough: the stream ends, unless somebody else looks at it."""
    await _video(request).end(actor_of(request), ticket)
    return Response(status_code=204)


@router.get("/video-views")
async def views(
    request: Request,
    device: Annotated[str, Query(max_length=96)] = "",
    actor: Annotated[str, Query(max_length=64)] = "",
    action: Annotated[str, Query(max_length=40, description="live, playback, snapshot, extend, export")] = "",
    since: Annotated[Instant | None, Query(alias="from", description="city time, included")] = None,
    until: Annotated[Instant | None, Query(alias="to", description="city time, excluded")] = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 200,
    cursor: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """Who looked through which camera, when and why, newest first. This reading is journalled too."""
    query = JournalQuery(
        entity=VIEW,
        entity_id=device,
        actor=actor,
        action=action,
        from_us=None if since is None else microseconds(since),
        to_us=None if until is None else microseconds(until),
    )
    items, following = await _video(request).views(actor_of(request), query, limit=limit, before=row_number(cursor))
    return page(items, following)


@router.get("/incidents/{incident_id}/clips")
async def clips(
    request: Request,
    incident_id: str,
    state: Annotated[list[ClipState] | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 200,
    cursor: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Recordings that were asked for, newest first."""
    items, following = await _clips(request).of_incident(
        actor_of(request), incident_id, states=state or (), limit=limit, cursor=cursor
    )
    return page(items, following)


@router.post("/incidents/{incident_id}/clips", status_code=201)
async def request_clip(request: Request, incident_id: str, body: ClipBody) -> Response:
    """Have a recording fetched and kept, before the recorder writes over it."""
    clip = await _clips(request).ask(
        actor_of(request), incident_id, body.device_id, microseconds(body.since), microseconds(body.until), body.reason
    )
    return reply(clip, 201)


@router.get("/clips/{clip_id}/content")
async def content(
    request: Request, clip_id: str, reason: Annotated[str, Query(min_length=1, max_length=2_000)]
) -> Response:
    """The recording as a file; an export, journalled with its reason and its SHA-256."""
    clip, parts = await _clips(request).download(actor_of(request), clip_id, reason)
    headers = {
        **NEVER_CACHED,
        "Content-Disposition": f'attachment; filename="{clip_id}"',
        "Content-Length": str(clip.size),
        "X-Content-SHA256": clip.sha256,
    }
    return StreamingResponse(parts, headers=headers, media_type="application/octet-stream")


def _video(request: Request) -> VideoService:
    found = deps_of(request).video
    if found is None:
        raise Unavailable("video is not reachable")
    return found


def _clips(request: Request) -> ClipService:
    found = deps_of(request).clips
    if found is None:
        raise Unavailable("clips are not reachable")
    return found
