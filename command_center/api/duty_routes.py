"""Duty over HTTP: posts, roster, who is called now, hand-over, duty log."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from command_center.api.answers import page, reply
from command_center.api.auth import actor_of
from command_center.api.duty_schemas import (
    FAR_US,
    AbsenceBody,
    GenerateBody,
    HandoverBody,
    IfMatch,
    LogBody,
    PathId,
    PostsBody,
    ReassignBody,
    RemarksBody,
    ShiftBody,
    SignBody,
    revision,
)
from command_center.api.idempotency import IdempotentRoute
from command_center.api.schemas import Reason, microseconds
from command_center.api.system_routes import deps_of
from command_center.duty import log as duty_log
from command_center.duty.model import LOG_ZH, US_PER_DAY, US_PER_HOUR, LogEntry, Post
from command_center.duty.service import DutyService
from command_center.duty.shifts import ShiftDraft
from command_center.errors import Invalid, Unavailable

router = APIRouter(prefix="/api/v1/duty", tags=["duty"], route_class=IdempotentRoute)

Limit = Annotated[int, Query(ge=1, le=500)]
Cursor = Annotated[str, Query(pattern=r"^[A-Za-z0-9-]{0,64}$")]
AreaQuery = Annotated[str, Query(pattern=r"^[0-9A-Za-z_-]{0,32}$")]
Day = Annotated[str, Query(pattern=r"^([0-9]{8})?$")]
Why = Annotated[str, Query(max_length=500)]


def duty_of(request: Request) -> DutyService:
    duty = deps_of(request).duty
    if duty is None:
        raise Unavailable("the roster is not reachable")
    return duty


@router.get("/posts")
async def posts(request: Request) -> Response:
    return page(await duty_of(request).posts(actor_of(request)))


@router.put("/posts")
async def set_posts(request: Request, body: PostsBody) -> Response:
    """Replace the district's posts; `step` is the order of calling."""
    wanted = [Post(**{**p.model_dump(), "en": p.en or p.post}) for p in body.posts]
    return page(await duty_of(request).set_posts(actor_of(request), wanted, body.reason))


@router.get("/people")
async def people(request: Request) -> Response:
    """Who can be put on the roster: names and accounts alone, for whoever plans it."""
    return page(await duty_of(request).people(actor_of(request)))


@router.get("/shifts")
async def shifts(
    request: Request,
    since: Annotated[str, Query(alias="from", max_length=40)] = "",
    to: Annotated[str, Query(max_length=40)] = "",
) -> Response:
    """The roster of a stretch of time (a week from now by default), with its gaps and overlaps named."""
    from_us = instant("from", since) if since else deps_of(request).clock.city_us()
    to_us = instant("to", to) if to else from_us + 7 * US_PER_DAY
    plan = await duty_of(request).plan(actor_of(request), from_us, to_us)
    body = {"items": plan.shifts, "next": None, "overlaps": plan.overlaps, "gaps": plan.gaps, "absences": plan.absences}
    return reply(body)


@router.get("/shifts/{shift_id}")
async def shift(request: Request, shift_id: PathId) -> Response:
    return reply(await duty_of(request).shift(actor_of(request), shift_id))


@router.post("/shifts", status_code=201)
async def add_shift(request: Request, body: ShiftBody) -> Response:
    made = await duty_of(request).add_shift(actor_of(request), _draft(body), body.reason)
    return reply(made, 201, {"Location": f"/api/v1/duty/shifts/{made.shift_id}"})


@router.post("/shifts/generate", status_code=201)
async def generate(request: Request, body: GenerateBody) -> Response:
    """A rotation: the people in this order, one shift after another, until `until_us`. All or none."""
    shift_us = round(body.shift_hours * US_PER_HOUR)
    made = await duty_of(request).generate(
        actor_of(request), body.post, body.area, body.usernames, body.start_us, shift_us, body.until_us, body.reason
    )
    return reply({"items": made, "next": None}, 201)


@router.put("/shifts/{shift_id}")
async def change_shift(request: Request, shift_id: PathId, body: ShiftBody, if_match: IfMatch = "") -> Response:
    rev = revision(if_match)
    return reply(await duty_of(request).change_shift(actor_of(request), shift_id, _draft(body), rev, body.reason))


@router.delete("/shifts/{shift_id}", status_code=204)
async def remove_shift(request: Request, shift_id: PathId, reason: Why = "", if_match: IfMatch = "") -> Response:
    await duty_of(request).remove_shift(actor_of(request), shift_id, revision(if_match), reason)
    return Response(status_code=204)


@router.post("/shifts/{shift_id}/reassign")
async def reassign(request: Request, shift_id: PathId, body: ReassignBody, if_match: IfMatch = "") -> Response:
    """Swap (换班) or leave (请假): what is left of the shift goes to another person; both are named in the journal."""
    made = await duty_of(request).reassign_shift(
        actor_of(request), shift_id, body.to, revision(if_match), kind=body.kind, reason=body.reason
    )
    return page(made)


@router.post("/absences", status_code=201)
async def add_absence(request: Request, body: AbsenceBody) -> Response:
    """Leave: the person is not called meanwhile. The answer names the shifts that now need somebody else."""
    absence, touched = await duty_of(request).add_absence(
        actor_of(request), body.username, body.from_us, body.to_us, body.reason
    )
    return reply({"absence": absence, "shifts": touched}, 201)


@router.delete("/absences/{absence_id}", status_code=204)
async def remove_absence(request: Request, absence_id: PathId, reason: Why = "") -> Response:
    await duty_of(request).remove_absence(actor_of(request), absence_id, reason)
    return Response(status_code=204)


@router.get("/now")
async def now(
    request: Request,
    area: AreaQuery = "",
    hazard: Annotated[str, Query(pattern=r"^[a-z_]{0,32}$")] = "",
    *,
    clear: bool = False,
) -> Response:
    """Who is called about something in this area, in order. `clear`: with telephone numbers; journalled."""
    found = await duty_of(request).chain(actor_of(request), area, hazard, clear=clear)
    return reply(found, 200, {"Cache-Control": "no-store"})


# --- hand-over


@router.get("/handovers")
async def handovers(request: Request, limit: Limit = 50, cursor: Cursor = "") -> Response:
    return page(*await duty_of(request).handovers(actor_of(request), limit, cursor))


@router.post("/handovers", status_code=201)
async def draft_handover(request: Request, body: HandoverBody) -> Response:
    """Who leaves drafts it: everything that is open is taken down as it stands now."""
    made = await duty_of(request).draft_handover(
        actor_of(request),
        body.post,
        body.area,
        body.to_user,
        substitute_reason=body.substitute_reason,
        remarks=body.remarks,
    )
    return reply(made, 201, {"Location": f"/api/v1/duty/handovers/{made.handover_id}"})


@router.get("/handovers/{handover_id}")
async def handover(request: Request, handover_id: PathId) -> Response:
    return reply(await duty_of(request).handover(actor_of(request), handover_id))


@router.put("/handovers/{handover_id}")
async def remark_handover(request: Request, handover_id: PathId, body: RemarksBody, if_match: IfMatch = "") -> Response:
    rev = revision(if_match)
    return reply(await duty_of(request).remark_handover(actor_of(request), handover_id, body.remarks, rev))


@router.post("/handovers/{handover_id}/sign")
async def sign_handover(request: Request, handover_id: PathId, body: SignBody) -> Response:
    """First who leaves, then who comes; each with his own login."""
    signed = await duty_of(request).sign_handover(
        actor_of(request), handover_id, comment=body.comment, substitute_reason=body.substitute_reason
    )
    return reply(signed)


@router.post("/handovers/{handover_id}/withdraw")
async def withdraw_handover(request: Request, handover_id: PathId, body: Reason) -> Response:
    return reply(await duty_of(request).withdraw_handover(actor_of(request), handover_id, body.comment))


# --- log


@router.get("/log")
async def log_entries(request: Request, day: Day = "", limit: Limit = 200, cursor: Cursor = "") -> Response:
    """Newest first; `day` YYYYMMDD of the city."""
    found, following = await duty_of(request).log_entries(actor_of(request), day=day, limit=limit, cursor=cursor)
    return page(found, following)


@router.post("/log", status_code=201)
async def write_log(request: Request, body: LogBody) -> Response:
    """A new entry. A mistake is corrected by another entry that names it in `corrects`; nothing is ever changed."""
    entry = LogEntry(
        entry_id="", at_us=0, actor="", kind_zh=LOG_ZH[body.kind], **body.model_dump()
    )  # number, time and author are the service's
    return reply(await duty_of(request).write_log(actor_of(request), entry), 201)


@router.get(
    "/log/export",
    responses={200: {"content": {kind: {"schema": {"type": "string"}} for kind in ("text/plain", "text/markdown")}}},
)
async def export_log(
    request: Request,
    day: Annotated[str, Query(pattern=r"^[0-9]{8}$")],
    style: Annotated[Literal["text", "markdown", "rows"], Query(alias="format")] = "text",
) -> Response:
    """A whole day, oldest first: to print, to archive, or as rows for a sheet."""
    entries = await duty_of(request).whole_day(actor_of(request), day)
    if style == "rows":
        return reply({"columns": duty_log.COLUMNS, "rows": duty_log.safe_rows(entries)})
    text = duty_log.as_text(day, entries) if style == "text" else duty_log.as_markdown(day, entries)
    kind, ending = ("text/plain", "txt") if style == "text" else ("text/markdown", "md")
    headers = {"Content-Disposition": f'attachment; filename="duty-log-{day}.{ending}"', "Cache-Control": "no-store"}
    return Response(text, 200, headers, f"{kind}; charset=utf-8")


def _draft(body: ShiftBody) -> ShiftDraft:
    return ShiftDraft(
        post=body.post,
        username=body.username,
        name=body.name,
        phone=body.phone,
        area=body.area,
        from_us=body.from_us,
        to_us=body.to_us,
    )


def instant(name: str, text: str) -> int:
    """City microseconds of ISO 8601 with a zone, or of a number of them. Raises Invalid naming the parameter."""
    if text.isdecimal() and text.isascii():
        found = int(text)
    else:
        try:
            value = datetime.fromisoformat(text)
        except ValueError as error:
            raise Invalid(f"{name} {text!r} is neither ISO 8601 nor microseconds") from error
        if value.utcoffset() is None:
            raise Invalid(f"{name} {text!r} must carry a zone, as in 2019-08-09T12:00:00Z")
        try:
            found = microseconds(value.astimezone(UTC))
        except OverflowError as error:
            raise Invalid(f"{name} {text!r} lies outside the calendar") from error
    if not 0 <= found <= FAR_US:
        raise Invalid(f"{name} {text!r}: expected a time from 1970 to 2100")
    return found
