"""Credentials of devices, and the questions that another broker (EMQX, VerneMQ) asks about them.

The two hooks have no session: the broker shows a secret of its own. They answer from memory, with the same accounts and topic
rules that our own broker's files are written from.
"""

from __future__ import annotations

import hmac
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response

from command_center.api import metrics
from command_center.api.answers import reply
from command_center.api.auth import actor_of
from command_center.api.idempotency import IdempotentRoute
from command_center.api.problems import Problem
from command_center.api.schemas import BrokerAcl, BrokerLogin, CertificateRequest, WhyCredential
from command_center.api.system_routes import deps_of
from command_center.device_access import DeviceAccess
from command_center.errors import Unavailable
from devices.credentials import may_use_topic

router = APIRouter(prefix="/api/v1", tags=["device credentials"], route_class=IdempotentRoute)
broker_router = APIRouter(prefix="/api/v1/broker", tags=["broker"])

ONCE = {"Cache-Control": "no-store"}  # what is in the answer is shown this once


@router.get("/devices/{device_id}/credentials")
async def credentials(request: Request, device_id: str) -> Response:
    """Since when and with what a device may come in; never the secret itself."""
    return reply(await _access(request).state(actor_of(request), device_id))


@router.post("/devices/{device_id}/credentials", status_code=201)
async def issue(request: Request, device_id: str, body: WhyCredential) -> Response:
    """A new password, shown this once. The one before ends at once: the broker has one line for a user."""
    password = await _access(request).issue(actor_of(request), device_id, reason=body.reason)
    return reply({"device_id": device_id, "credential": password}, 201, ONCE)


@router.delete("/devices/{device_id}/credentials")
async def revoke(
    request: Request, device_id: str, reason: Annotated[str, Query(min_length=1, max_length=2_000)]
) -> Response:
    """Password and certificate end; the broker cuts the device off within about a second."""
    return reply(await _access(request).revoke(actor_of(request), device_id, reason=reason))


@router.post("/devices/{device_id}/certificate", status_code=201)
async def certificate(request: Request, device_id: str, body: CertificateRequest) -> Response:
    """A client certificate with the device id as common name, and its private key, shown this once; an earlier one ends."""
    made = await _access(request).certificate(actor_of(request), device_id, days=body.days, reason=body.reason)
    return reply(made, 201, ONCE)


@broker_router.post("/auth")
async def broker_auth(
    request: Request,
    body: BrokerLogin,
    authorization: Annotated[str, Header()] = "",
    vernemq_hook: Annotated[str, Header()] = "",
) -> Response:
    """May this username connect with this password? EMQX's form of answer; VerneMQ's where its header is there."""
    door = _asked_by_the_broker(request, authorization)
    allowed = door.allows(body.username or "", body.password or "")
    return _verdict("auth", allowed, vernemq=bool(vernemq_hook))


@broker_router.post("/acl")
async def broker_acl(
    request: Request,
    body: BrokerAcl,
    authorization: Annotated[str, Header()] = "",
    vernemq_hook: Annotated[str, Header()] = "",
) -> Response:
    """May this username publish to, or subscribe to, these topics? All of them or none."""
    door = _asked_by_the_broker(request, authorization)
    action = {"auth_on_publish": "publish", "auth_on_subscribe": "subscribe"}.get(vernemq_hook, body.action)
    topics = [body.topic] if body.topic else [entry.topic for entry in body.topics]
    tenant, username = deps_of(request).tenant, body.username or ""
    allowed = (
        action in ("publish", "subscribe")
        and bool(topics)
        and door.knows(username)
        and all(may_use_topic(tenant, username, topic, write=action == "publish") for topic in topics)
    )
    return _verdict("acl", allowed, vernemq=bool(vernemq_hook))


def _asked_by_the_broker(request: Request, authorization: str) -> Any:
    deps = deps_of(request)
    scheme, _, given = authorization.partition(" ")
    right = bool(deps.broker_secret) and hmac.compare_digest(given.strip().encode(), deps.broker_secret.encode())
    if scheme.lower() != "bearer" or not right:
        metrics.BROKER_ASKED.labels(hook="any", verdict="refused").inc()
        raise Problem(401, "broker-secret", "this door is for the broker: send its secret as a bearer token")
    if deps.broker_door is None or not deps.broker_door.loaded:
        raise Unavailable("the accounts are not loaded yet")
    return deps.broker_door


def _verdict(hook: str, allowed: bool, *, vernemq: bool) -> Response:
    metrics.BROKER_ASKED.labels(hook=hook, verdict="allow" if allowed else "deny").inc()
    if vernemq:
        return reply({"result": "ok" if allowed else {"error": "not_allowed"}})
    return reply({"result": "allow" if allowed else "deny"})


def _access(request: Request) -> DeviceAccess:
    access = deps_of(request).device_access
    if access is None:
        raise Unavailable("the device register is not reachable")
    return access
