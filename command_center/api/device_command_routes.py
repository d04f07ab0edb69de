"""Commands to devices: asked for, looked up. What moves something in the street is refused here with every unmet condition."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from command_center.api.answers import page, reply
from command_center.api.auth import actor_of
from command_center.api.idempotency import IdempotentRoute
from command_center.api.schemas import DeviceCommandBody
from command_center.api.system_routes import deps_of
from command_center.device_commands.model import CommandState
from command_center.device_commands.service import DeviceCommands
from command_center.errors import Unavailable

router = APIRouter(prefix="/api/v1", tags=["device commands"], route_class=IdempotentRoute)


@router.post("/devices/{device_id}/commands", status_code=201)
async def command_device(request: Request, device_id: str, body: DeviceCommandBody) -> Response:
    """Queue a command for the device: `clock_set {}`, `interval_set {"interval_s"}`, `preset_goto {"preset"}`. It is sent when the
    device is heard, and expires. Sirens, pumps and gates: 409 with every condition that does not hold."""
    made = await _commands(request).ask(actor_of(request), device_id, body.method, body.params, body.reason)
    return reply(made, 201, {"Location": f"/api/v1/commands/{made.command_id}"})


@router.get("/devices/{device_id}/commands")
async def device_commands(
    request: Request,
    device_id: str,
    state: Annotated[list[CommandState] | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 200,
    cursor: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Commands of a device, newest first."""
    items, following = await _commands(request).of_device(
        actor_of(request), device_id, states=state or (), limit=limit, cursor=cursor
    )
    return page(items, following)


@router.get("/commands/{command_id}")
async def device_command(request: Request, command_id: str) -> Response:
    """One command, as far as it has come."""
    return reply(await _commands(request).one(actor_of(request), command_id))


def _commands(request: Request) -> DeviceCommands:
    found = deps_of(request).device_commands
    if found is None:
        raise Unavailable("commands to devices are not reachable")
    return found
