"""The HTTP front of the command centre: `build_app(deps)` gives the ASGI application that uvicorn serves.

Every route outside `OPEN_PATHS` asks for a session through one dependency on its router; a test walks over all routes. Long-lived
work does not live in here: the services run beside the server.
"""

from __future__ import annotations

import random

from fastapi import APIRouter, Depends, FastAPI
from starlette.routing import WebSocketRoute

from command_center.access.keys import KeyRing
from command_center.api import (
    account_routes,
    approval_routes,
    audit_routes,
    command_routes,
    device_access_routes,
    device_care_routes,
    device_command_routes,
    device_routes,
    duty_routes,
    grid_routes,
    history_routes,
    import_routes,
    incident_role_routes,
    instruction_routes,
    layers,
    letter_routes,
    oidc_routes,
    problems,
    quality_routes,
    register_routes,
    system_routes,
    user_routes,
    video_routes,
)
from command_center.api.auth import LoginGuard, key_sid, require_session
from command_center.api.deps import ApiDeps
from command_center.api.idempotency import Replays
from command_center.api.limits import WriteLimiter
from command_center.api.live import LiveDoor
from command_center.api.middleware import Rim
from command_center.api.openapi import describe
from command_center.api.pages import page_routes
from command_center.api.sessions import Sessions

LIVE_PATH = "/api/v1/live"
# Open without login (contract.md section 7): health, login, the API description, the CA; pages redirect by themselves.
OPEN_PATHS = frozenset(
    {
        "/api/v1/sessions",
        "/api/v1/sessions/key",
        "/api/v1/oidc/login",
        "/api/v1/oidc/callback",
        "/healthz",
        "/readyz",
        "/metrics",
        "/openapi.json",
    }
)

_ROUTERS: tuple[APIRouter, ...] = (
    system_routes.router,
    device_access_routes.router,
    device_care_routes.router,
    device_command_routes.router,
    video_routes.router,
    quality_routes.router,
    device_routes.router,
    letter_routes.router,
    history_routes.router,
    command_routes.router,
    layers.router,
    import_routes.router,  # before the registers' own: template.xlsx and export are no entries
    register_routes.router,  # after anything with fixed words below /registers/{kind}
    audit_routes.router,
    duty_routes.router,
    grid_routes.router,
    instruction_routes.router,
    account_routes.router,
    user_routes.router,
    approval_routes.router,
    incident_role_routes.router,
)


def build_app(deps: ApiDeps) -> FastAPI:
    """The application. Serve it with `uvicorn ... ws="websockets-sansio"`, per-message deflate off.

    `app.state.live` is the live door: call its `drain()` before the server stops.
    """
    app = FastAPI(
        title="City Brain",
        version="1",
        description="Sensing and emergency command. Times ending in `_us` are city microseconds since 1970 UTC.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    furnish(app, deps)
    problems.install(app)
    app.include_router(system_routes.open_router)
    app.include_router(device_access_routes.broker_router)  # no session: the broker shows a secret of its own
    app.include_router(oidc_routes.router)
    for router in _ROUTERS:
        app.include_router(router, dependencies=[Depends(require_session)])
    app.router.routes.append(WebSocketRoute(LIVE_PATH, app.state.live.endpoint))
    app.router.routes.extend(page_routes(deps))
    describe(app, OPEN_PATHS)
    app.add_middleware(Rim, clock=deps.clock)
    return app


def furnish(app: FastAPI, deps: ApiDeps) -> None:
    """Put the rooms behind the doors. Once per application; tests that need many worlds build the doors once."""
    app.state.deps = deps
    app.state.sessions = deps.sessions or Sessions(deps.signing_key, deps.clock, tenant=deps.tenant)
    app.state.keys = deps.key_ring or KeyRing(deps.clock)
    app.state.limiter = WriteLimiter(deps.clock, deps.limits)
    app.state.guard = LoginGuard(deps.clock)
    app.state.oidc_flows = oidc_routes.Flows(deps.clock)
    app.state.replays = Replays()
    app.state.live = LiveDoor(deps, app.state.sessions, random.Random(deps.run_id))
    app.state.keys.on_close(lambda key_id: app.state.live.closed(key_sid(key_id)))
