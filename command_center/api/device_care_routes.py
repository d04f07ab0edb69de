"""What is done for a device: calibrations, maintenance windows, repair tickets, the acceptance checklist."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from command_center.api.answers import page, reply
from command_center.api.auth import actor_of
from command_center.api.device_routes import instant
from command_center.api.idempotency import IdempotentRoute
from command_center.api.schemas import (
    AcceptanceAnswers,
    CalibrationBody,
    MaintenanceBody,
    TicketBody,
    TicketMove,
    microseconds,
)
from command_center.api.system_routes import deps_of
from command_center.device_care.model import TicketState, TicketVerb
from command_center.device_care.rates import vendor_rates
from command_center.device_care.service import DeviceCare
from command_center.errors import Unavailable

router = APIRouter(prefix="/api/v1", tags=["device care"], route_class=IdempotentRoute)


@router.get("/devices/{device_id}/care")
async def care(request: Request, device_id: str) -> Response:
    """Calibrations, tickets, checklist and maintenance window of a device."""
    return reply(await _care(request).care(actor_of(request), device_id))


@router.get("/calibrations/due")
async def calibrations_due(request: Request, days: Annotated[float, Query(ge=0, le=3_660)] = 30.0) -> Response:
    """Calibrations that are due within so many days, the most overdue first."""
    return page(await _care(request).due(actor_of(request), days))


@router.post("/devices/{device_id}/calibrations", status_code=201)
async def calibrate(request: Request, device_id: str, body: CalibrationBody) -> Response:
    made = await _care(request).calibrate(
        actor_of(request),
        device_id,
        calibrated_us=microseconds(body.calibrated),
        calibrated_by=body.calibrated_by,
        certificate=body.certificate,
        due_us=None if body.due is None else microseconds(body.due),
        offsets=body.offsets,
        comment=body.comment,
    )
    return reply(made, 201)


@router.put("/devices/{device_id}/maintenance")
async def maintain(request: Request, device_id: str, body: MaintenanceBody) -> Response:
    """Take the device's samples out of the alarms until then: at most seven days, with a reason."""
    window = await _care(request).maintain(
        actor_of(request), device_id, until_us=microseconds(body.until), reason=body.reason
    )
    return reply(window)


@router.delete("/devices/{device_id}/maintenance", status_code=204)
async def end_maintenance(request: Request, device_id: str) -> Response:
    """The device's samples count again from now on."""
    await _care(request).end_maintenance(actor_of(request), device_id)
    return Response(status_code=204)


@router.get("/tickets")
async def tickets(
    request: Request,
    state: Annotated[list[TicketState] | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 200,
    cursor: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Repair tickets, newest first; a vendor's own firm's."""
    items, following = await _care(request).tickets(actor_of(request), states=state or (), limit=limit, cursor=cursor)
    return page(items, following)


@router.get("/tickets/proposals")
async def proposals(request: Request) -> Response:
    """Silent devices that nobody mends yet."""
    return page(await _care(request).proposals(actor_of(request)))


@router.post("/devices/{device_id}/tickets", status_code=201)
async def open_ticket(request: Request, device_id: str, body: TicketBody) -> Response:
    ticket = await _care(request).open_ticket(
        actor_of(request),
        device_id,
        title=body.title,
        detail=body.detail,
        origin=body.origin,
        due_us=None if body.due is None else microseconds(body.due),
    )
    return reply(ticket, 201)


@router.post("/tickets/{ticket_id}/{verb}")
async def move_ticket(request: Request, ticket_id: str, verb: TicketVerb, body: TicketMove) -> Response:
    """assign, start, report, check, return (it is not mended), close, reject."""
    ticket = await _care(request).move_ticket(
        actor_of(request), ticket_id, verb, comment=body.comment, assignee=body.assignee
    )
    return reply(ticket)


@router.post("/devices/{device_id}/acceptance")
async def acceptance(request: Request, device_id: str, body: AcceptanceAnswers) -> Response:
    """Fill in items of the checklist, then sign (`sign: true`) for the side of one's own role. Filling in ends signatures."""
    care = _care(request)
    if body.items:
        answers = {key: (item.ok, item.value) for key, item in body.items.items()}
        view = await care.fill(actor_of(request), device_id, answers)
        if not body.sign:
            return reply(view)
    return reply(await care.sign(actor_of(request), device_id))


@router.get("/vendors/rates")
async def rates(request: Request, since: Annotated[str, Query(alias="from")], to: str) -> Response:
    """What each firm's devices were expected to report, and did, and in which share of the time they were heard."""
    deps = deps_of(request)
    if deps.rates is None:
        raise Unavailable("the database of observations is not reachable")
    span = instant("from", since), instant("to", to)
    return reply(await vendor_rates(actor_of(request), deps.rates, deps.clock, *span))


def _care(request: Request) -> DeviceCare:
    care = deps_of(request).device_care
    if care is None:
        raise Unavailable("the device register is not reachable")
    return care
