"""批示 over HTTP: given by a leader, answered by its addressees, checked by the desk."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from command_center.api.answers import page, reply
from command_center.api.auth import actor_of
from command_center.api.duty_routes import Cursor, Limit, duty_of
from command_center.api.duty_schemas import AnswerBody, InstructionBody, PathId
from command_center.api.idempotency import IdempotentRoute
from command_center.duty.instructions import InstructionDraft
from command_center.duty.model import InstructionState

router = APIRouter(prefix="/api/v1/instructions", tags=["duty"], route_class=IdempotentRoute)

ANSWERS = {
    "receive": InstructionState.RECEIVED,
    "start": InstructionState.IN_PROGRESS,
    "report": InstructionState.REPORTED,
}
CHECKS = {
    "check": InstructionState.CHECKED,
    "return": InstructionState.RETURNED,
    "close": InstructionState.CLOSED,
}
Verb = Literal["receive", "start", "report", "check", "return", "close", "recall"]


@router.get("")
async def instructions(
    request: Request,
    state: Annotated[Literal["open", "all"], Query()] = "all",
    limit: Limit = 100,
    cursor: Cursor = "",
    subject: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Newest first. Outside one's area, and for a responder, only what is addressed to him. `subject`: about one entry of the
    registers, `kind/id`."""
    found, following = await duty_of(request).instructions(
        actor_of(request), open_only=state == "open", limit=limit, cursor=cursor, subject=subject
    )
    return page(found, following)


@router.post("", status_code=201)
async def instruct(request: Request, body: InstructionBody) -> Response:
    draft = InstructionDraft(
        text=body.text,
        urgency=body.urgency,
        addressees=[(a.kind, a.id) for a in body.addressees],
        due_us=body.due_us,
        incident_id=body.incident_id,
        area=body.area,
        subject=body.subject,
    )
    made = await duty_of(request).instruct(actor_of(request), draft)
    return reply(made, 201, {"Location": f"/api/v1/instructions/{made.instruction_id}"})


@router.get("/{instruction_id}")
async def instruction(request: Request, instruction_id: PathId) -> Response:
    return reply(await duty_of(request).instruction(actor_of(request), instruction_id))


@router.post("/{instruction_id}/{verb}")
async def step(request: Request, instruction_id: PathId, verb: Verb, body: AnswerBody) -> Response:
    """receive, start, report: by an addressee. check, return, close: by the desk. recall: by a leader.

    `n` names the addressee; left out it is one's own, or for the desk all who are that far.
    """
    duty, actor = duty_of(request), actor_of(request)
    if verb in ANSWERS:
        found = await duty.answer_instruction(actor, instruction_id, ANSWERS[verb], n=body.n, comment=body.comment)
    elif verb in CHECKS:
        found = await duty.check_instruction(actor, instruction_id, CHECKS[verb], n=body.n, comment=body.comment)
    else:
        found = await duty.recall_instruction(actor, instruction_id, n=body.n, comment=body.comment)
    return reply(found)
