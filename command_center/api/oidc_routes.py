"""Logging in at an identity provider: authorisation code with PKCE. Open routes: who comes here has no session yet."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from command_center.access.oidc import identity_of
from command_center.api import metrics
from command_center.api.auth import COOKIE, address_of
from command_center.api.deps import Oidc
from command_center.api.problems import Problem
from command_center.api.sessions import Sessions
from command_center.api.system_routes import deps_of
from command_center.errors import Unavailable
from devices.clock import Clock

router = APIRouter(prefix="/api/v1/oidc", tags=["session"])

STATE_COOKIE = "cb_oidc"
FLOW_S = 600.0  # from the button to coming back: a person types a password and finds a phone
MAX_FLOWS = 1_000  # the oldest is forgotten; who started it presses the button again


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flow:
    nonce: str
    verifier: str
    until_ns: int


class Flows:
    """Logins that are under way, by their state. In memory: a restart costs another press of the button."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._flows: OrderedDict[str, _Flow] = OrderedDict()

    def begin(self) -> tuple[str, _Flow]:
        state = secrets.token_urlsafe(32)
        until_ns = self._clock.machine_ns() + int(FLOW_S * 1e9)
        flow = _Flow(nonce=secrets.token_urlsafe(32), verifier=secrets.token_urlsafe(48), until_ns=until_ns)
        self._flows[state] = flow
        while len(self._flows) > MAX_FLOWS:
            self._flows.popitem(last=False)
        return state, flow

    def end(self, state: str) -> _Flow | None:
        """The flow, once; None when it is unknown, over, or too old."""
        flow = self._flows.pop(state, None)
        return flow if flow is not None and flow.until_ns > self._clock.machine_ns() else None


def _provider(request: Request) -> Oidc:
    found = deps_of(request).oidc
    if found is None:
        raise Problem(404, "not-found", "no identity provider is set up here")
    return found


@router.get("/login")
async def login(request: Request) -> Response:
    """To the provider, with a challenge that only this browser's callback can answer."""
    flows: Flows = request.app.state.oidc_flows
    provider = _provider(request)
    state, flow = flows.begin()
    digest = hashlib.sha256(flow.verifier.encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    url = await provider.authorization_url(state=state, nonce=flow.nonce, challenge=challenge)
    response = RedirectResponse(url, 302, {"Cache-Control": "no-store"})
    secure = request.url.scheme == "https"
    # Lax: the browser comes back from another site, with a GET.
    response.set_cookie(
        STATE_COOKIE, state, max_age=int(FLOW_S), path="/api/v1/oidc", secure=secure, httponly=True, samesite="lax"
    )
    return response


@router.get("/callback")
async def callback(
    request: Request,
    state: Annotated[str, Query(max_length=200)] = "",
    code: Annotated[str, Query(max_length=4_000)] = "",
    error: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Back from the provider: the code becomes an identity, its groups roles, and the browser gets its session."""
    provider = _provider(request)
    flows: Flows = request.app.state.oidc_flows
    ours = request.cookies.get(STATE_COOKIE, "")
    flow = flows.end(state) if ours and hmac.compare_digest(ours.encode(), state.encode()) else None
    if flow is None:
        raise Problem(400, "oidc-state", "this login was not begun in this browser, or took too long: begin again")
    if error or not code:
        raise Problem(401, "login-refused", f"the identity provider refused: {error or 'no code'}")
    claims = await provider.claims(code=code, verifier=flow.verifier, nonce=flow.nonce)
    identity = identity_of(provider.config, claims)
    people = deps_of(request).people
    if people is None:
        raise Unavailable("the register of users is not reachable")
    user = await people.arrive(identity.user)
    sessions: Sessions = request.app.state.sessions
    client = request.headers.get("user-agent", "")
    token, _ = sessions.issue(user, second_factor=identity.second_factor, address=address_of(request), client=client)
    metrics.LOGINS.labels(outcome="accepted").inc()
    # A page of ours, not a redirect: our cookie is SameSite=Strict and would not go along from the provider's site.
    page = HTMLResponse(
        "<!doctype html><html lang=zh-CN><meta charset=utf-8><meta http-equiv=refresh content='0;url=/'>"
        "<title>登录 Login</title><p><a href='/'>继续 / continue</a></p></html>",
        headers={"Cache-Control": "no-store"},
    )
    page.delete_cookie(STATE_COOKIE, path="/api/v1/oidc")
    page.set_cookie(
        COOKIE,
        token,
        max_age=int(sessions.lifetime_s),
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return page
