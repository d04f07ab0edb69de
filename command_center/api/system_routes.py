"""Sessions, the clock, health and metrics."""

from __future__ import annotations

import hmac
import ipaddress

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from command_center.api import metrics
from command_center.api.answers import reply
from command_center.api.auth import COOKIE, LoginGuard, address_of, ask, page_origin
from command_center.api.deps import ApiDeps
from command_center.api.plain import must_be_plain
from command_center.api.problems import Problem
from command_center.api.schemas import Advance, KeyLogin, Login, iso
from command_center.api.sessions import Session, Sessions
from command_center.authority import Action
from command_center.errors import Unavailable

open_router = APIRouter()
router = APIRouter(prefix="/api/v1")


def deps_of(request: Request) -> ApiDeps:
    deps: ApiDeps = request.app.state.deps
    return deps


@open_router.post("/api/v1/sessions", status_code=201, tags=["session"])
async def log_in(body: Login, request: Request) -> Response:
    """Log in. Sets the cookie for pages and returns the same token as a bearer for machines."""
    sessions: Sessions = request.app.state.sessions
    guard: LoginGuard = request.app.state.guard
    address = address_of(request)
    guard.check(body.username, address)
    user = await deps_of(request).users.verify(body.username, body.password)
    if user is None or not user.enabled:
        guard.failed(body.username, address)
        metrics.LOGINS.labels(outcome="refused").inc()
        raise Problem(401, "login-refused", "user name or password is wrong")
    second_factor = await _second_factor(request, body, address)
    guard.succeeded(body.username, address)
    metrics.LOGINS.labels(outcome="accepted").inc()
    client = request.headers.get("user-agent", "")
    token, session = sessions.issue(user, second_factor=second_factor, address=address, client=client)
    response = reply(
        {
            "token": token,
            "csrf": sessions.csrf(session),
            "user": session.user(),
            "expires_at": iso(session.expires_us),
        },
        201,
        {"Cache-Control": "no-store"},
    )
    response.set_cookie(
        COOKIE,
        token,
        max_age=int(sessions.lifetime_s),
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return response


@open_router.post("/api/v1/sessions/key", tags=["session"])
async def ask_key(body: KeyLogin, request: Request) -> Response:
    """Options for `navigator.credentials.get` of a login whose password is right; its answer goes into `key` of the login."""
    guard: LoginGuard = request.app.state.guard
    address = address_of(request)
    guard.check(body.username, address)
    deps = deps_of(request)
    user = await deps.users.verify(body.username, body.password)
    if user is None or not user.enabled:
        guard.failed(body.username, address)
        raise Problem(401, "login-refused", "user name or password is wrong")
    if deps.security_keys is None:
        raise Unavailable("security keys are not reachable")
    return reply(
        await deps.security_keys.ask(body.username, page_origin(request)), headers={"Cache-Control": "no-store"}
    )


async def _second_factor(request: Request, body: Login, address: str) -> bool:
    """Whether the login comes with a second factor. Raises Problem 401 where the user has one and it is missing or wrong."""
    deps = deps_of(request)
    if deps.factors is None or not await deps.factors.has(body.username):
        return False
    keys = deps.security_keys
    if body.key is not None and keys is not None:
        must_be_plain(body.key, "key")
        if await keys.check(body.username, page_origin(request), body.key):
            return True
    elif not body.otp:
        words = "this login takes a second factor: send `otp`, or `key` (POST /sessions/key)"
        raise Problem(401, "second-factor-required", words)
    elif await deps.factors.check(body.username, body.otp):
        return True
    guard: LoginGuard = request.app.state.guard
    guard.failed(body.username, address)
    await deps.users.wrong_code(body.username)
    metrics.LOGINS.labels(outcome="refused").inc()
    raise Problem(401, "login-refused", "the code is wrong, or was used already")


@router.delete("/sessions/current", status_code=204, tags=["session"])
async def log_out(request: Request) -> Response:
    session: Session = request.state.session
    request.app.state.sessions.revoke(session)
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return response


@router.get("/me", tags=["session"])
async def me(request: Request) -> Response:
    session: Session = request.state.session
    body = {
        "user": session.user(),
        "csrf": request.app.state.sessions.csrf(session),
        "expires_at": iso(session.expires_us),
    }
    return reply(body, headers={"Cache-Control": "no-store"})


@router.get("/clock", tags=["system"])
async def clock(request: Request) -> Response:
    deps = deps_of(request)
    city_us = deps.clock.city_us()
    body = {
        "tenant": deps.tenant,
        "kind": deps.clock.kind,
        "rate": deps.clock.rate,
        "city_us": city_us,
        "city_time": iso(city_us),
        "run_id": deps.run_id,
        "tick_us": deps.tick_us,
    }
    if deps.banner is not None:
        body["banner"] = dict(deps.banner)
    return reply(body, headers={"Cache-Control": "no-store"})


@router.post("/clock/advance", tags=["system"])
async def advance(body: Advance, request: Request) -> Response:
    """Move a stepped clock forward; the answer comes after the log has drained."""
    ask(request, Action.ADVANCE_CLOCK)
    deps = deps_of(request)
    if deps.advance is None or deps.clock.kind != "stepped":
        raise Problem(409, "clock-not-stepped", f"the clock is {deps.clock.kind}: only a stepped clock can be advanced")
    await deps.advance(body.seconds)
    return await clock(request)


@open_router.get("/healthz", tags=["system"])
async def healthz(request: Request) -> Response:
    """The process answers; and whether what it shows is real, which the login page says too."""
    deps = deps_of(request)
    body: dict[str, object] = {"status": "ok"}
    if deps.banner is not None:
        body["banner"] = dict(deps.banner)
    if deps.oidc is not None:  # the login page shows a second button
        body["oidc"] = {"zh": deps.oidc.config.title_zh, "en": deps.oidc.config.title_en}
    return reply(body)


@open_router.get("/readyz", tags=["system"])
async def readyz(request: Request) -> Response:
    """Green only while the canary flows from broker to screen."""
    found = dict(deps_of(request).readiness())
    ready = bool(found.get("ready"))
    return reply(found, 200 if ready else 503, {} if ready else {"Retry-After": "5"})


@open_router.get("/metrics", tags=["system"])
async def prometheus(request: Request) -> Response:
    """From the machine itself, or with the metrics token."""
    token = deps_of(request).metrics_token
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    by_token = bool(token) and hmac.compare_digest(given.encode(), token.encode())
    if not by_token and not _loopback(address_of(request)):
        raise Problem(403, "forbidden", "metrics are for this machine or for the bearer of the metrics token")
    text = deps_of(request).metrics_text
    return Response(generate_latest() if text is None else text(), media_type=CONTENT_TYPE_LATEST)


def _loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
