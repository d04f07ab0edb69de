"""The journal behind the HTTP door: its rows with their hashes, its head, and what a check finds."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from command_center.api.answers import page, reply
from command_center.api.auth import actor_of
from command_center.api.schemas import Instant, microseconds
from command_center.api.system_routes import deps_of
from command_center.audit import LAST_DEFAULT, LAST_MAX, PAGE_MAX, AuditService
from command_center.errors import Invalid, Unavailable
from command_center.journal import JournalQuery

router = APIRouter(prefix="/api/v1", tags=["audit"])
NEVER_CACHED = {"Cache-Control": "no-store"}


def audit_of(request: Request) -> AuditService:
    audit = deps_of(request).audit
    if audit is None:
        raise Unavailable("the journal is not open yet")
    return audit


@router.get("/journal")
async def journal(
    request: Request,
    entity: Annotated[str, Query(max_length=40)] = "",
    entity_id: Annotated[str, Query(max_length=96)] = "",
    actor: Annotated[str, Query(max_length=64, description="also what was done on his behalf")] = "",
    action: Annotated[str, Query(max_length=40)] = "",
    since: Annotated[Instant | None, Query(alias="from", description="city time, included")] = None,
    until: Annotated[Instant | None, Query(alias="to", description="city time, excluded")] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 200,
    cursor: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """Who changed or read what, when, on whose behalf, newest first. This reading becomes a row too."""
    if since is not None and until is not None and until <= since:
        raise Invalid("to: expected a time after `from`")
    query = JournalQuery(
        entity=entity, entity_id=entity_id, actor=actor, action=action, from_us=_us(since), to_us=_us(until)
    )
    items, following = await audit_of(request).read(actor_of(request), query, limit=limit, cursor=cursor)
    return page(items, following)


@router.get("/audit/head")
async def head(request: Request) -> Response:
    """The end of the chain, the newest signed anchor, the public key, and which sinks have taken it."""
    return reply(await audit_of(request).head(actor_of(request)), headers=NEVER_CACHED)


@router.get("/audit/verify")
async def verify(request: Request, last: Annotated[int, Query(ge=1, le=LAST_MAX)] = LAST_DEFAULT) -> Response:
    """Check the newest rows and the anchors kept here; `citybrain audit verify` reads everything, anchors of other hosts too."""
    return reply(await audit_of(request).verify(actor_of(request), last=last), headers=NEVER_CACHED)


def _us(time: datetime | None) -> int | None:
    return None if time is None else microseconds(time)
