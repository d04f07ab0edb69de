"""What is looked at from above, over HTTP: the board of data quality, and one area's summary."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from command_center.api.answers import reply
from command_center.api.auth import ask
from command_center.api.system_routes import deps_of
from command_center.authority import Action
from command_center.errors import Unavailable

router = APIRouter(prefix="/api/v1", tags=["quality"])

Filter = Annotated[str, Query(max_length=64)]


@router.get("/quality")
async def quality(
    request: Request,
    check: Filter = "",
    area: Annotated[str, Query(pattern=r"^[0-9A-Za-z]{0,32}$")] = "",
    whose: Filter = "",
    stage: Filter = "",
    limit: Annotated[int, Query(ge=1, le=1_000)] = 200,
    cursor: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """What is wrong with the data now, whose it is and how far its mending is. A vendor sees its own devices."""
    actor = ask(request, Action.READ_CARE)
    service = deps_of(request).quality
    if service is None:
        raise Unavailable("the board of data quality is not part of this installation")
    found = await service.board(actor, check=check, area=area, whose=whose, stage=stage, limit=limit, cursor=cursor)
    return reply(found, headers={"Cache-Control": "no-store"})


@router.get("/areas/{code}/summary")
async def area_summary(request: Request, code: Annotated[str, Path(pattern=r"^[0-9A-Za-z]{2,32}$")]) -> Response:
    """One area at a glance 乡镇驾驶舱: alarms, incidents, tasks, objects at risk, devices, data quality, duty, instructions; what the
    asker may see of them."""
    actor = ask(request, Action.READ_REGISTERS)
    service = deps_of(request).township
    if service is None:
        raise Unavailable("summaries of areas are not part of this installation")
    return reply(await service.summary(actor, code), headers={"Cache-Control": "no-store"})
