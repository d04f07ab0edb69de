"""Dead letters over HTTP: what was refused and why, and putting it in again once it has been mended."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from command_center.access.scope import EVERYWHERE
from command_center.api.answers import page, reply
from command_center.api.auth import ask
from command_center.api.device_routes import Cursor, Limit, history_of, instant, sees_device, visible_device
from command_center.api.idempotency import IdempotentRoute
from command_center.api.schemas import ReplayLetters, microseconds
from command_center.api.system_routes import deps_of
from command_center.authority import Action
from command_center.cursors import row_number
from command_center.errors import Unavailable
from command_center.letters import LetterFilter
from command_center.model import Role

router = APIRouter(prefix="/api/v1", tags=["devices"], route_class=IdempotentRoute)

Words = Annotated[str, Query(max_length=200)]


@router.get("/dead-letters")
async def dead_letters(
    request: Request,
    device: str = "",
    reason: Words = "",
    codec: Words = "",
    since: Annotated[str, Query(alias="from", max_length=64)] = "",
    to: Annotated[str, Query(max_length=64)] = "",
    limit: Limit = 100,
    cursor: Cursor = "",
) -> Response:
    """Newest first. `reason`: part of one; `codec`: of frames on `up/raw/{codec}`, or `json`; `from`, `to`: when they were received."""
    actor = ask(request, Action.READ_DEAD_LETTERS)
    wide = actor.has(Role.ANALYST, Role.ADMIN) and actor.scope == EVERYWHERE
    if device and not wide:
        visible_device(request, device)
    ids: tuple[str, ...] | None = (device,) if device else None
    if ids is None and not wide:
        registry = deps_of(request).picture.registry
        ids = tuple(d.device_id for d in registry.devices.values() if sees_device(actor, d))
    row_number(cursor)
    asked = LetterFilter(
        device_ids=ids,
        reason=reason,
        codec=codec,
        from_us=instant("from", since) if since else None,
        to_us=instant("to", to) if to else None,
    )
    items, following = await history_of(request).dead_letters(asked, limit, cursor)
    return page(items, following)


@router.post("/dead-letters/replay")
async def replay(request: Request, body: ReplayLetters) -> Response:
    """Put dead letters in again, oldest first, with the register and the codecs of today: what is valid now completes history under
    its own times, and nothing is answered to devices. One call takes at most `limit`; call again with `next` as `cursor` until
    it is null. A letter that was taken is left out from then on."""
    service = deps_of(request).letters
    actor = ask(request, Action.REPLAY_LETTERS)
    if service is None:
        raise Unavailable("the database of observations is not reachable")
    asked = LetterFilter(
        device_ids=(body.device,) if body.device else None,
        reason=body.match,
        codec=body.codec,
        from_us=None if body.since is None else microseconds(body.since),
        to_us=None if body.to is None else microseconds(body.to),
    )
    done = await service.replay(
        actor, asked, dry_run=body.dry_run, limit=body.limit, cursor=body.cursor, reason=body.reason
    )
    return reply(msgspec.to_builtins(done))
