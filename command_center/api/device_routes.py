"""Devices, their observations, and what was refused from them."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Body, Query, Request
from starlette.responses import Response, StreamingResponse

from command_center.api.answers import page, reply, with_etag
from command_center.api.approval_routes import approvals_of
from command_center.api.auth import actor_of, ask
from command_center.api.deps import ApiDeps, History, Registers
from command_center.api.idempotency import IdempotentRoute
from command_center.api.plain import must_be_plain
from command_center.api.schemas import DeviceImport, Thresholds, microseconds
from command_center.api.system_routes import deps_of
from command_center.authority import Action
from command_center.errors import Invalid, NotFound, Unavailable
from command_center.model import Actor, Role
from command_center.observation_files import MEDIA_TYPES, FileFormat, pages, written
from devices.registry import Datastream, Device
from devices.stations import shown_attributes

router = APIRouter(prefix="/api/v1", tags=["devices"], route_class=IdempotentRoute)

MAX_ROWS = 10_000
Limit = Annotated[int, Query(ge=1, le=1_000)]
Cursor = Annotated[str, Query(max_length=200)]


def sees_device(actor: Actor, device: Device) -> bool:
    """A vendor sees its own firm's devices, everybody else all; of them those inside his scope."""
    own = bool(actor.roles - {Role.VENDOR}) or (bool(actor.vendor) and device.vendor == actor.vendor)
    return own and actor.scope.covers(area=device.area)


def visible_device(request: Request, device_id: str) -> Device:
    device = deps_of(request).picture.registry.devices.get(device_id)
    if device is None or not sees_device(actor_of(request), device):
        raise NotFound("device", device_id)
    return device


def device_json(deps: ApiDeps, device: Device) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(device)
    if device.attributes:
        found["attributes"] = shown_attributes(device)
    found["status"] = deps.picture.status_of(device.device_id)
    found["latest"] = deps.picture.latest_of(device.device_id)
    streams = deps.picture.registry.datastreams_of(device.device_id)
    found["datastreams"] = [
        {"datastream": s.datastream, "property": s.property, "uom": s.uom, "kind": s.kind} for s in streams
    ]
    return found


@router.get("/devices")
async def devices(request: Request, limit: Limit = 200, cursor: Cursor = "", kind: str = "") -> Response:
    """Devices by id, with status and latest values from the live picture (no database needed)."""
    deps, actor = deps_of(request), ask(request, Action.READ_DEVICES)
    registry = deps.picture.registry
    ids = registry.ordered()
    after = (registry.devices[ids[k]] for k in range(bisect_right(ids, cursor), len(ids)))
    wanted = (d for d in after if sees_device(actor, d) and (not kind or d.kind == kind))
    found = list(islice(wanted, limit + 1))
    following = found[limit - 1].device_id if len(found) > limit else None
    body = msgspec.json.encode({"items": [device_json(deps, d) for d in found[:limit]], "next": following})
    return with_etag(request, body, "application/json")


@router.get("/devices/{device_id}")
async def device(request: Request, device_id: str) -> Response:
    ask(request, Action.READ_DEVICES)
    found = device_json(deps_of(request), visible_device(request, device_id))
    return with_etag(request, msgspec.json.encode(found), "application/json")


@router.post("/devices", status_code=201)
async def add_device(request: Request, document: Annotated[dict[str, Any], Body()]) -> Response:
    """Register a device, or change one, which keeps its credential. The answer shows a new credential once; only a hash is kept."""
    actor = ask(request, Action.REGISTER_DEVICE)
    must_be_plain(document, "device")
    if not actor.has(Role.ADMIN):
        document = {**document, "vendor": actor.vendor}
    device, credential = await _registers(request).add_device(actor, document)
    shown = {**msgspec.to_builtins(device), "attributes": shown_attributes(device)}
    body = {"device": shown, "credential": credential}
    return reply(body, 201, {"Cache-Control": "no-store", "Location": f"/api/v1/devices/{device.device_id}"})


@router.post("/devices/import", status_code=201)
async def import_devices(request: Request, body: DeviceImport) -> Response:
    """Register many new devices at once, thresholds included: all or none. The answer shows their credentials once."""
    actor = ask(request, Action.IMPORT_DEVICES)
    revision, credentials = await _registers(request).import_devices(actor, body.devices, reason=body.reason)
    return reply({"revision": revision, "credentials": credentials}, 201, {"Cache-Control": "no-store"})


@router.get("/devices/{device_id}/children")
async def children(request: Request, device_id: str) -> Response:
    """The devices that a gateway speaks for (`up/gw/telemetry`). One is unbound by registering it with `gateway` empty."""
    found = _registers(request).children(actor_of(request), device_id)
    return page([device_json(deps_of(request), device) for device in found])


@router.put("/devices/{device_id}/thresholds", status_code=202)
async def set_thresholds(request: Request, device_id: str, body: Thresholds) -> Response:
    """Propose new thresholds; another person decides (`POST /approvals/{id}/decide`). An emergency change applies at once, and
    goes back by itself unless a second person confirms it in time."""
    actor = ask(request, Action.SET_THRESHOLD)
    visible_device(request, device_id)
    found = await approvals_of(request).propose(
        actor,
        "threshold",
        f"{device_id}/{body.property}",
        body.thresholds,
        source=body.source,
        reason=body.reason,
        asked=body.approver,
        emergency_h=body.hours if body.emergency else None,
    )
    return reply(
        {"device_id": device_id, "property": body.property, "approval_id": found.approval_id, **found.result}, 202
    )


@router.get("/devices/{device_id}/check")
async def check(request: Request, device_id: str) -> Response:
    """What we received, flagged and refused, and why: the first page a vendor looks at."""
    ask(request, Action.CHECK_DEVICE)
    visible_device(request, device_id)
    return reply(await history_of(request).check(device_id))


@router.get("/datastreams/{number}/observations")
async def observations(
    request: Request,
    number: int,
    since: Annotated[str, Query(alias="from")],
    to: str,
    bucket_s: Annotated[float | None, Query(gt=0, le=86_400 * 31)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_ROWS)] = MAX_ROWS,
) -> Response:
    """Rows, or buckets where `bucket_s` is given. Times are ISO 8601 with a zone, or city microseconds."""
    ask(request, Action.READ_OBSERVATIONS)
    stream = deps_of(request).picture.registry.datastreams.get(number)
    if stream is None:
        raise NotFound("datastream", str(number))
    visible_device(request, stream.device_id)
    from_us, to_us = instant("from", since), instant("to", to)
    if to_us <= from_us:
        raise Invalid(f"to ({to}) must be after from ({since})")
    history = history_of(request)
    items: list[Mapping[str, Any]]
    if bucket_s is None:
        items = list(await history.observations(number, from_us, to_us, limit))
    else:
        bucket_us = int(bucket_s * 1e6)
        if (to_us - from_us) / bucket_us > MAX_ROWS:
            raise Invalid(f"{bucket_s} s buckets make more than {MAX_ROWS} rows: take longer buckets")
        items = list(await history.buckets(number, from_us, to_us, bucket_us))
    return reply({"items": items, "next": None, "uom": stream.uom, "property": stream.property})


@router.get("/areas/{area}/observations")
async def area_observations(
    request: Request,
    area: str,
    prop: Annotated[str, Query(alias="property", min_length=1, max_length=64)],
    since: Annotated[str, Query(alias="from")],
    to: str,
    bucket_s: Annotated[int, Query(ge=3_600, le=86_400 * 31)] = 3_600,
) -> Response:
    """One property over all devices of an area that the caller may see, in buckets of whole hours. Times as for a datastream; bounds
    within an hour are widened to it."""
    actor = ask(request, Action.READ_OBSERVATIONS)
    from_us, to_us = instant("from", since), instant("to", to)
    if to_us <= from_us:
        raise Invalid(f"to ({to}) must be after from ({since})")
    if bucket_s % 3_600:
        raise Invalid(f"bucket_s {bucket_s}: expected whole hours")
    if (to_us - from_us) / (bucket_s * 1e6) > MAX_ROWS:
        raise Invalid(f"{bucket_s} s buckets make more than {MAX_ROWS} rows: take longer buckets")
    found = _seen_series(request, actor, prop=prop, area=area)
    if not found:
        raise NotFound("property in area", f"{prop} in {area}")
    numbers = [stream.datastream for stream in found]
    items = list(await history_of(request).area_buckets(numbers, from_us, to_us, bucket_s * 1_000_000))
    about = {"uom": found[0].uom, "property": prop, "area": area, "series": len(found)}
    return reply({"items": items, "next": None, **about})


@router.get("/observations/export")
async def export_observations(
    request: Request,
    since: Annotated[str, Query(alias="from")],
    to: str,
    format: FileFormat = FileFormat.CSV,  # noqa: A002  (the door's name)
    prop: Annotated[str, Query(alias="property", max_length=64)] = "",
    device: Annotated[str, Query(max_length=64)] = "",
    area: Annotated[str, Query(max_length=32)] = "",
) -> Response:
    """Rows of all series that the caller may see, of a device, a property, an area where these are named, as a file that is written
    while it is sent. A file that ends early (CSV and NDJSON within a row, Parquet without its end) has not come whole."""
    actor = ask(request, Action.READ_OBSERVATIONS)
    from_us, to_us = instant("from", since), instant("to", to)
    if to_us <= from_us:
        raise Invalid(f"to ({to}) must be after from ({since})")
    found = _seen_series(request, actor, prop=prop, area=area, device=device)
    if not found:
        raise NotFound("series", " ".join(filter(None, (device, prop, area))) or "any")
    name = f"observations-{from_us // 1_000_000}-{to_us // 1_000_000}.{format.value}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Series": str(len(found))}
    rows = pages(history_of(request), found, from_us, to_us, MAX_ROWS)
    return StreamingResponse(written(rows, format), media_type=MEDIA_TYPES[format], headers=headers)


def _seen_series(
    request: Request, actor: Actor, *, prop: str = "", area: str = "", device: str = ""
) -> list[Datastream]:
    """Series that the actor may see, by number; "" asks for nothing."""
    registry = deps_of(request).picture.registry
    streams = registry.datastreams_of(device) if device else registry.datastreams.values()
    return sorted(
        (
            stream
            for stream in streams
            if (not prop or stream.property == prop)
            and (owner := registry.devices.get(stream.device_id)) is not None
            and owner.area.startswith(area)
            and sees_device(actor, owner)
        ),
        key=lambda stream: stream.datastream,
    )


def instant(name: str, text: str) -> int:
    if re.fullmatch(r"-?[0-9]{1,18}", text):
        return int(text)
    try:
        value = datetime.fromisoformat(text)
        if value.utcoffset() is not None:
            value = value.astimezone(UTC)  # overflows at either end of time
    except (ValueError, OverflowError) as error:
        raise Invalid(f"{name} {text!r} is neither ISO 8601 nor microseconds") from error
    if value.utcoffset() is None:
        raise Invalid(f"{name} {text!r} must carry a zone, as in 2019-08-09T12:00:00Z")
    return microseconds(value)


def history_of(request: Request) -> History:
    history = deps_of(request).history
    if history is None:
        raise Unavailable("the database of observations is not reachable")
    return history


def _registers(request: Request) -> Registers:
    registers = deps_of(request).registers
    if registers is None:
        raise Unavailable("the device register is not reachable")
    return registers
