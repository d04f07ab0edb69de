"""指挥长 and 现场指挥 of one incident."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from command_center.api.answers import page, reply
from command_center.api.auth import ask
from command_center.api.command_routes import facade_of
from command_center.api.idempotency import IdempotentRoute
from command_center.api.schemas import GiveRole
from command_center.authority import Action
from command_center.model import Role

router = APIRouter(prefix="/api/v1", tags=["incidents"], route_class=IdempotentRoute)


@router.get("/incidents/{incident_id}/roles")
async def roles(request: Request, incident_id: str) -> Response:
    """Who commands this incident, and who did."""
    actor = ask(request, Action.READ_INCIDENTS)
    return page(await facade_of(request).incident_roles(actor, incident_id))


@router.post("/incidents/{incident_id}/roles", status_code=201)
async def give(request: Request, incident_id: str, body: GiveRole) -> Response:
    """Give a role in this incident for some city hours."""
    actor = ask(request, Action.GIVE_INCIDENT_ROLE)
    found = await facade_of(request).give_incident_role(
        actor, incident_id, body.username, Role(body.role), hours=body.hours
    )
    return reply(found, 201)


@router.delete("/incidents/{incident_id}/roles/{role_id}", status_code=204)
async def end(request: Request, incident_id: str, role_id: str) -> Response:
    """Take it back: a leader, or whoever holds it."""
    actor = ask(request, Action.READ_INCIDENTS)
    await facade_of(request).end_incident_role(actor, incident_id, role_id)
    return Response(status_code=204)
