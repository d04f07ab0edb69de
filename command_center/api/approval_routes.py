"""Proposals that take a second person."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from command_center.access.approvals import Approvals
from command_center.api.answers import page, reply
from command_center.api.auth import actor_of, ask
from command_center.api.idempotency import IdempotentRoute
from command_center.api.schemas import Comment, Decision, NewProposal
from command_center.api.system_routes import deps_of
from command_center.authority import Action
from command_center.errors import Unavailable

router = APIRouter(prefix="/api/v1", tags=["approvals"], route_class=IdempotentRoute)


def approvals_of(request: Request) -> Approvals:
    found = deps_of(request).approvals
    if found is None:
        raise Unavailable("approvals are not reachable")
    return found


@router.get("/approvals")
async def approvals(
    request: Request,
    state: Annotated[str, Query(max_length=80)] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    cursor: Annotated[str, Query(max_length=40)] = "",
) -> Response:
    """Proposals, newest first: payload beside what stands now. `state=PENDING` is what waits for somebody."""
    actor = ask(request, Action.READ_APPROVALS)
    items, following = await approvals_of(request).list(actor, state=state, limit=limit, cursor=cursor)
    return page(items, following)


@router.get("/approvals/{approval_id}")
async def approval(request: Request, approval_id: str) -> Response:
    actor = ask(request, Action.READ_APPROVALS)
    return reply(await approvals_of(request).get(actor, approval_id))


@router.post("/approvals", status_code=201)
async def propose(request: Request, body: NewProposal) -> Response:
    """Propose a change of a registered kind (`threshold`: subject `device/property`)."""
    found = await approvals_of(request).propose(
        actor_of(request),
        body.kind,
        body.subject,
        body.payload,
        source=body.source,
        reason=body.reason,
        asked=body.approver,
        emergency_h=body.hours if body.emergency else None,
    )
    return reply(found, 201)


@router.post("/approvals/{approval_id}/decide")
async def decide(request: Request, approval_id: str, body: Decision) -> Response:
    """Approve, which does it, or reject. Another person than the proposer, with his own login and its second factor."""
    found = await approvals_of(request).decide(
        actor_of(request), approval_id, approve=body.approve, comment=body.comment
    )
    return reply(found)


@router.post("/approvals/{approval_id}/withdraw")
async def withdraw(request: Request, approval_id: str, body: Comment | None = None) -> Response:
    """The proposer takes it back."""
    return reply(await approvals_of(request).withdraw(actor_of(request), approval_id, body.comment if body else ""))
