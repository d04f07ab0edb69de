"""Registers of areas, objects at risk, people and resources: look up, change, check numbers, sign, remove."""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Body, Header, Path, Query, Request
from pydantic import Field
from starlette.responses import Response

from command_center.api import schemas
from command_center.api.answers import page, reply, with_etag
from command_center.api.auth import actor_of
from command_center.api.idempotency import IdempotentRoute
from command_center.api.problems import Problem
from command_center.api.schemas import Needed, Text
from command_center.api.system_routes import deps_of
from command_center.errors import Invalid, Unavailable
from command_center.registers.checks import Draft
from command_center.registers.service import MAX_PAGE, EntryRegister

router = APIRouter(prefix="/api/v1", tags=["registers"], route_class=IdempotentRoute)

Kind = Annotated[str, Path(max_length=40, pattern=r"^[a-z_]+$")]
EntryId = Annotated[str, Path(max_length=64)]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]
Cursor = Annotated[str, Query(max_length=200)]
Words = Annotated[str, Query(max_length=200)]
AreaPrefix = Annotated[str, Query(max_length=15, pattern=r"^[0-9A-Za-z]*$")]
IfMatch = Annotated[str, Header(max_length=80)]


class EntryBody(schemas.Body):
    """An entry as a person writes it; positions in WGS 84 degrees, `geometry` GeoJSON where there is more than a point."""

    entry_id: Annotated[str, Field(max_length=64)] = ""
    area: Annotated[str, Field(max_length=15)] = ""
    lon: schemas.Longitude | None = None
    lat: schemas.Latitude | None = None
    geometry: dict[str, Any] | None = None
    values: Annotated[dict[str, Any], Field(max_length=200)]
    reason: Text = ""

    def draft(self) -> Draft:
        return Draft(
            entry_id=self.entry_id,
            values=self.values,
            area=self.area,
            lon=self.lon,
            lat=self.lat,
            geometry=self.geometry,
        )


class Removal(schemas.Body):
    reason: Needed


class StatementBody(schemas.Body):
    date: Annotated[str, Field(max_length=10)]
    grade: Annotated[str, Field(max_length=10)]
    text: Needed


@router.get("/registers")
async def kinds(request: Request) -> Response:
    """What is registered, with its fields, and how much of it the caller can see."""
    return page(await _register(request).kinds(actor_of(request)))


@router.get("/registers/unverified")
async def unverified(
    request: Request, kind: str = "", q: Words = "", area: AreaPrefix = "", limit: Limit = 100, cursor: Cursor = ""
) -> Response:
    """Entries of every kind whose numbers nobody checked this season."""
    found = await _register(request).unverified(
        actor_of(request), kind=kind, q=q, area=area, limit=limit, cursor=cursor
    )
    return reply(found)


@router.get("/registers/{kind}")
async def entries(
    request: Request,
    kind: Kind,
    q: Words = "",
    area: AreaPrefix = "",
    bbox: Annotated[str, Query(max_length=100)] = "",
    unverified: bool = False,
    limit: Limit = 100,
    cursor: Cursor = "",
) -> Response:
    """One page of a register, by id. `bbox` is west,south,east,north; personal values are masked."""
    found = await _register(request).entries(
        actor_of(request),
        kind,
        q=q,
        area=area,
        bbox=_bbox(bbox),
        unverified=unverified,
        limit=limit,
        cursor=cursor,
    )
    return reply(found)


@router.post("/registers/{kind}", status_code=201)
async def create(request: Request, kind: Kind, body: EntryBody) -> Response:
    """Register something new; without `entry_id` it gets a number."""
    made = await _register(request).create(actor_of(request), kind, body.draft(), reason=body.reason)
    return reply(made, 201, {"ETag": f'"{made.rev}"', "Location": f"/api/v1/registers/{kind}/{made.entry_id}"})


@router.get("/registers/{kind}/{entry_id}")
async def entry(request: Request, kind: Kind, entry_id: EntryId, clear: bool = False) -> Response:
    """One entry. With `clear=true` telephones are in clear, which the journal remembers."""
    found = await _register(request).get(actor_of(request), kind, entry_id, clear=clear)
    return reply(found, headers={"ETag": f'"{found.rev}"', "Cache-Control": "no-store"})


@router.put("/registers/{kind}/{entry_id}")
async def change(request: Request, kind: Kind, entry_id: EntryId, body: EntryBody, if_match: IfMatch = "") -> Response:
    """Replace what a person wrote. `If-Match` carries the `rev` that was looked at; a masked value stays what it was."""
    if body.entry_id not in ("", entry_id):
        raise Invalid(f"entry_id {body.entry_id!r}: an id is not changed; register anew and remove this one")
    if not body.reason:
        raise Invalid("reason: why it changes; the journal keeps it")
    made = await _register(request).change(
        actor_of(request), kind, entry_id, body.draft(), rev=_revision(if_match), reason=body.reason
    )
    return reply(made, headers={"ETag": f'"{made.rev}"'})


@router.delete("/registers/{kind}/{entry_id}", status_code=204)
async def remove(
    request: Request,
    kind: Kind,
    entry_id: EntryId,
    if_match: IfMatch = "",
    reason: Annotated[str, Query(max_length=2_000)] = "",
    body: Annotated[Removal | None, Body()] = None,
) -> Response:
    """Remove what nothing refers to any more. The reason comes as parameter or in the body."""
    why = body.reason if body is not None else reason.strip()
    if not why:
        raise Invalid("reason: why it is removed; the journal keeps it")
    await _register(request).remove(actor_of(request), kind, entry_id, rev=_revision(if_match), reason=why)
    return Response(status_code=204)


@router.get("/registers/{kind}/{entry_id}/history")
async def history(request: Request, kind: Kind, entry_id: EntryId, limit: Limit = 100, cursor: Cursor = "") -> Response:
    """Who changed what, when and why; who read it in clear. Personal values are masked."""
    items, following = await _register(request).history(actor_of(request), kind, entry_id, limit=limit, cursor=cursor)
    return page(items, following)


@router.post("/registers/{kind}/{entry_id}/verify")
async def verify(request: Request, kind: Kind, entry_id: EntryId, body: schemas.Comment) -> Response:
    """The numbers were checked: called, and the right person answered."""
    return reply(await _register(request).verify(actor_of(request), kind, entry_id, comment=body.comment))


@router.get("/registers/{kind}/{entry_id}/statements")
async def statements(request: Request, kind: Kind, entry_id: EntryId) -> Response:
    """Daily risk statements, newest first, every edition."""
    return page(await _register(request).statements(actor_of(request), kind, entry_id))


@router.post("/registers/{kind}/{entry_id}/statements", status_code=201)
async def sign(request: Request, kind: Kind, entry_id: EntryId, body: StatementBody) -> Response:
    """Sign the day's statement; where the day has one, this is its correction under the next number."""
    signed = await _register(request).sign(
        actor_of(request), kind, entry_id, day=body.date, grade=body.grade, text=body.text
    )
    return reply(signed, 201)


@router.get("/registers/plant/{entry_id}/zones")
async def zones(request: Request, entry_id: EntryId) -> Response:
    """Isolation and protective action zones of its tanks now, and who is inside: advice that a person confirms."""
    service = deps_of(request).zones
    if service is None:
        raise Unavailable("zones are not part of this installation")
    return reply(await service.of_plant(actor_of(request), entry_id), headers={"Cache-Control": "no-store"})


@router.get("/areas")
async def areas(request: Request) -> Response:
    """The tree of areas, nested, without outlines."""
    return page(await _register(request).areas(actor_of(request)))


@router.get("/areas.geojson")
async def areas_geojson(request: Request) -> Response:
    """Outlines of all areas that have one."""
    found = await _register(request).areas_geojson(actor_of(request))
    return with_etag(request, msgspec.json.encode(found), "application/geo+json")


def _revision(if_match: str) -> int:
    """The revision of an If-Match header: `3` or `"3"`."""
    if not if_match:
        raise Problem(428, "precondition-required", "If-Match: send the rev of the entry that you looked at")
    found = re.fullmatch(r'(?:W/)?"?(\d{1,18})"?', if_match.strip())
    if found is None:
        raise Invalid(f"If-Match {if_match!r}: expected the rev of the entry, as 3")
    return int(found[1])


def _bbox(text: str) -> tuple[float, float, float, float] | None:
    if not text:
        return None
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError as error:
        raise Invalid(f"bbox {text!r}: expected west,south,east,north in degrees") from error
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        raise Invalid(f"bbox {text!r}: expected west <= east within 180 and south <= north within 90 degrees")
    return west, south, east, north


def _register(request: Request) -> EntryRegister:
    register = deps_of(request).entries
    if register is None:
        raise Unavailable("the registers are not reachable")
    return register
