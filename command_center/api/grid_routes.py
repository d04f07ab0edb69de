"""The grid over HTTP: reports that are filed once, visits that are made once."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from pydantic import Field
from starlette.responses import Response

from command_center.api.answers import page, reply
from command_center.api.auth import actor_of, ask
from command_center.api.idempotency import IdempotentRoute
from command_center.api.schemas import Body
from command_center.api.system_routes import deps_of
from command_center.authority import Action
from command_center.errors import Invalid, Unavailable
from command_center.grid.model import Answer, event_kinds
from command_center.grid.service import GridService, ReportDraft, VisitDraft

router = APIRouter(prefix="/api/v1/grid", tags=["grid"], route_class=IdempotentRoute)

ReportId = Annotated[str, Path(pattern=r"^[A-Za-z0-9-]{1,64}$")]
Client = Annotated[str, Field(min_length=1, max_length=96)]
Words = Annotated[str, Field(max_length=2_000)]


class ReportBody(Body):
    """`client_id`: made where the report is written; the same one again is the same report."""

    client_id: Client
    kind: Annotated[str, Field(max_length=32)]
    text: Annotated[str, Field(min_length=1, max_length=2_000)]
    lon: Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)]
    lat: Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]
    address: Annotated[str, Field(max_length=200)] = ""


class ReportVerb(StrEnum):
    JOIN = "join"
    UNJOIN = "unjoin"
    SIGN = "sign"
    RESULT = "result"
    CLOSE = "close"
    REOPEN = "reopen"


class ReportMove(Body):
    """`into` for join; `organisation` for sign and result; `comment` for result, close and reopen."""

    into: Annotated[str, Field(max_length=64)] = ""
    organisation: Annotated[str, Field(max_length=96)] = ""
    comment: Words = ""


class AnswerBody(Body):
    item: Annotated[str, Field(min_length=1, max_length=400)]
    ok: bool
    note: Words = ""


class VisitBody(Body):
    client_id: Client
    subject: Annotated[str, Field(min_length=3, max_length=200)]
    answers: Annotated[list[AnswerBody], Field(max_length=60)] = []
    lon: Annotated[float | None, Field(ge=-180, le=180, allow_inf_nan=False)] = None
    lat: Annotated[float | None, Field(ge=-90, le=90, allow_inf_nan=False)] = None


def _grid(request: Request) -> GridService:
    found = deps_of(request).grid
    if found is None:
        raise Unavailable("the grid is not part of this installation")
    return found


@router.get("/kinds")
async def kinds(request: Request) -> Response:
    """What can be reported."""
    ask(request, Action.FILE_REPORT)
    return page(list(event_kinds().values()))


@router.post("/reports", status_code=201)
async def file(request: Request, body: ReportBody) -> Response:
    """What somebody sees, once: it goes to everybody concerned."""
    draft = ReportDraft(**body.model_dump())
    return reply(await _grid(request).file(actor_of(request), draft), 201)


@router.get("/reports")
async def reports(
    request: Request,
    state: Annotated[str, Query(max_length=16)] = "",
    mine: bool = False,
    limit: Annotated[int, Query(ge=1, le=500)] = 200,
    cursor: Annotated[str, Query(max_length=64)] = "",
) -> Response:
    """Newest first, in one's areas; `mine`: what one filed oneself, wherever it was."""
    found, following = await _grid(request).reports(
        actor_of(request), state=state, mine=mine, limit=limit, cursor=cursor
    )
    return page(found, following)


@router.get("/reports/{report_id}")
async def report(request: Request, report_id: ReportId) -> Response:
    return reply(await _grid(request).report(actor_of(request), report_id))


@router.get("/reports/{report_id}/similar")
async def similar(request: Request, report_id: ReportId) -> Response:
    """Open reports that are probably about the same thing, the nearest first. A person joins them."""
    return page(await _grid(request).similar(actor_of(request), report_id))


@router.post("/reports/{report_id}/{verb}")
async def move(request: Request, report_id: ReportId, verb: ReportVerb, body: ReportMove) -> Response:
    """join, unjoin, close, reopen: the desk. sign, result: the liaison of an organisation, or the desk for it."""
    grid, actor = _grid(request), actor_of(request)
    match verb:
        case ReportVerb.JOIN:
            found = await grid.join(actor, report_id, body.into)
        case ReportVerb.UNJOIN:
            found = await grid.unjoin(actor, report_id)
        case ReportVerb.SIGN:
            found = await grid.sign(actor, report_id, body.organisation)
        case ReportVerb.RESULT:
            found = await grid.result(actor, report_id, body.organisation, body.comment)
        case ReportVerb.CLOSE:
            found = await grid.close(actor, report_id, body.comment)
        case ReportVerb.REOPEN:
            found = await grid.reopen(actor, report_id, body.comment)
    return reply(found)


@router.get("/visits/due")
async def due(request: Request, days: Annotated[float, Query(ge=0, le=366, allow_inf_nan=False)] = 0.0) -> Response:
    """Visits that are due within so many days in one's areas, one for an object, the most overdue first."""
    return page(await _grid(request).due(actor_of(request), days=days))


@router.post("/visits", status_code=201)
async def visit(request: Request, body: VisitBody) -> Response:
    """One visit that answers everybody's list."""
    if len({answer.item for answer in body.answers}) != len(body.answers):
        raise Invalid("answers: an item is answered twice")
    draft = VisitDraft(
        client_id=body.client_id,
        subject=body.subject,
        answers=[Answer(**answer.model_dump()) for answer in body.answers],
        lon=body.lon,
        lat=body.lat,
    )
    return reply(await _grid(request).visit(actor_of(request), draft), 201)
