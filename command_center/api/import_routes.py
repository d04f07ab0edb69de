"""Import, export, blank sheets and the address search. A file is the raw body of its request: no multipart, nothing to parse."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.responses import Response

from command_center.api.answers import page, reply
from command_center.api.auth import actor_of
from command_center.api.middleware import MAX_UPLOAD_BYTES
from command_center.api.problems import Problem
from command_center.api.schemas import Body, Needed
from command_center.api.system_routes import deps_of
from command_center.authority import Action, require
from command_center.errors import Invalid, Unavailable
from command_center.registers.addresses import AddressService
from command_center.registers.exports import Exported, ExportService
from command_center.registers.import_ports import ImportJob
from command_center.registers.imports import ImportService
from gis.formats.sheet import Format

router = APIRouter(prefix="/api/v1", tags=["import"])

Kind = Annotated[str, Query(pattern=r"^[a-z0-9_-]{1,64}$")]
Short = Annotated[str, Query(max_length=200)]
FILE = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}


class ImportChange(Body):
    columns: Annotated[dict[str, str | None], Field(max_length=300)] | None = None
    crs: Annotated[str, Field(max_length=64)] | None = None
    sheet: Annotated[str, Field(max_length=200)] | None = None


class ImportCommit(Body):
    reason: Needed
    skip_wrong: bool = False


@router.post("/imports", status_code=201, openapi_extra={"requestBody": {"required": True, "content": FILE}})
async def start(request: Request, kind: Kind, filename: Short, crs: Short = "", sheet: Short = "") -> Response:
    """Bring a file: XLSX, CSV, GeoJSON, YAML, GeoPackage or zipped Shapefile, as the body. A dry run; nothing is written."""
    imports = _imports(request)
    require(actor_of(request), Action.IMPORT)  # before a stranger's 32 MiB are taken in
    content = await _file(request)
    found = await imports.start(actor_of(request), kind=kind, filename=filename, content=content, crs=crs, sheet=sheet)
    return reply(found, 201, {"Location": f"/api/v1/imports/{found.import_id}", "Cache-Control": "no-store"})


async def _file(request: Request) -> bytes:
    """The body, at most as long as announced; the rim has checked what was announced."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_UPLOAD_BYTES:
            raise Problem(413, "too-large", f"the file may have at most {MAX_UPLOAD_BYTES} bytes")
        parts.append(part)
    return b"".join(parts)


@router.get("/imports")
async def listed(request: Request, limit: Annotated[int, Query(ge=1, le=500)] = 50) -> Response:
    """The last imports, newest first: one's own; an administrator sees everybody's."""
    return page([_job(job) for job in await _imports(request).imports(actor_of(request), limit)])


@router.get("/imports/{import_id}")
async def look(request: Request, import_id: str) -> Response:
    """The dry run again, against what stands now: after a reload of the page."""
    return reply(await _imports(request).look(actor_of(request), import_id), 200, {"Cache-Control": "no-store"})


@router.put("/imports/{import_id}")
async def rework(request: Request, import_id: str, body: ImportChange) -> Response:
    """Other columns, another coordinate system or another sheet: the dry run again."""
    found = await _imports(request).rework(
        actor_of(request), import_id, columns=body.columns, crs=body.crs, sheet=body.sheet
    )
    return reply(found, 200, {"Cache-Control": "no-store"})


@router.post("/imports/{import_id}/commit")
async def commit(request: Request, import_id: str, body: ImportCommit) -> Response:
    """Write it, all or none; `skip_wrong` leaves wrong rows out and says how many. `extra` is shown this once."""
    done, skipped = await _imports(request).commit(
        actor_of(request), import_id, reason=body.reason, skip_wrong=body.skip_wrong
    )
    return reply({**msgspec.structs.asdict(done), "skipped": skipped}, 200, {"Cache-Control": "no-store"})


@router.get("/registers/{kind}/template.xlsx")
async def template(request: Request, kind: str) -> Response:
    """A blank workbook: notes on the headings, drop-downs for choices."""
    return _attachment(await _exports(request).template(actor_of(request), kind))


@router.get("/dictionary.xlsx")
async def dictionary(request: Request) -> Response:
    """The documented schema of all registers (数据字典): kinds, fields, types, units, allowed values."""
    return _attachment(await _exports(request).dictionary(actor_of(request)))


@router.get("/registers/{kind}/export")
async def export(request: Request, kind: str, format: Format = Format.XLSX, clear: bool = False) -> Response:  # noqa: A002  (the door's name)
    """All of a register that the asker may see. Personal data are masked unless `clear`, which takes the right to read them."""
    return _attachment(await _exports(request).export(actor_of(request), kind, format, clear=clear))


@router.get("/addresses")
async def addresses(
    request: Request,
    q: Annotated[str, Query(max_length=200)],
    lon: Annotated[float | None, Query(ge=-180, le=180, allow_inf_nan=False)] = None,
    lat: Annotated[float | None, Query(ge=-90, le=90, allow_inf_nan=False)] = None,
    limit: Annotated[int, Query(ge=1, le=50)] = 10,
) -> Response:
    """Addresses and places by what somebody said: characters, pinyin, initials. `lon`, `lat`: where the caller is."""
    if (lon is None) != (lat is None):
        raise Invalid("lon and lat come together")
    near = None if lon is None or lat is None else (lon, lat)
    service: AddressService | None = deps_of(request).addresses
    if service is None:
        raise Unavailable("the address search is not part of this installation")
    hits = await service.search(actor_of(request), q, near=near, limit=limit)
    items = [
        {
            "name": h.place.name,
            "kind": h.place.kind,
            "entry_id": h.place.entry_id,
            "address": h.place.address,
            "lon": h.place.lon,
            "lat": h.place.lat,
            "area": h.place.area,
            "score": h.score,
        }
        for h in hits
    ]
    return page(items)


def _imports(request: Request) -> ImportService:
    found = deps_of(request).imports
    if found is None:
        raise Unavailable("imports are not part of this installation")
    return found


def _exports(request: Request) -> ExportService:
    found = deps_of(request).exports
    if found is None:
        raise Unavailable("exports are not part of this installation")
    return found


def _job(job: ImportJob) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(job)
    del found["sealed"], found["columns"]
    return found


def _attachment(made: Exported) -> Response:
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(made.filename)}",
        "Cache-Control": "no-store",
        **({"X-Export-Id": made.export_id} if made.export_id else {}),
    }
    return Response(made.content, 200, headers, made.media_type)
