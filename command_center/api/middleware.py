"""What every answer has (security headers, a count) and what no request may have (a body without end)."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from command_center.api import metrics
from command_center.api.problems import problem_response
from devices.clock import Clock

MAX_BODY_BYTES = 1_000_000  # JSON only; uploads get a door of their own
MAX_UPLOAD_BYTES = 32 * 1024 * 1024
# Doors that take a file as their body. They read it themselves, after they know who asks; the length must be announced.
MAX_HISTORY_BYTES = (
    2 * 1024**3
)  # goes to the disk, not into memory: tens of millions of rows as CSV, far more as Parquet
UPLOADS = {
    ("POST", "/api/v1/imports"): MAX_UPLOAD_BYTES,
    ("POST", "/api/v1/observations/import"): MAX_HISTORY_BYTES,
}

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data: blob:; worker-src 'self' blob:; object-src 'none'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "geolocation=(self), camera=(self), microphone=()",
}


class Rim:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, clock: Clock) -> None:
        self._app, self._clock = app, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_ns = self._clock.machine_ns()
        status = 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(message)
            await send(message)

        try:
            await self._limited(scope, receive, send_with_headers)
        finally:
            metrics.REQUESTS.labels(method=scope["method"], status=str(status)).inc()
            metrics.REQUEST_S.labels(method=scope["method"]).observe((self._clock.machine_ns() - began_ns) / 1e9)

    async def _limited(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a body above the limit, announced or not, before anything parses it."""
        if (refused := _nul_in(scope)) is not None:
            await refused(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"0")
        limit = UPLOADS.get((scope["method"], scope["path"]), MAX_BODY_BYTES)
        if not length.isdigit() or int(length) > limit:
            await _too_large(scope, receive, send, limit)
            return
        if scope["method"] in ("GET", "HEAD", "DELETE", "OPTIONS") or length != b"0":
            await self._app(scope, receive, send)
            return
        body = await _read_body(receive)  # chunked: no length was announced
        if body is None:
            await _too_large(scope, receive, send)
            return
        await self._app(scope, _replay(body, receive), send)


def _nul_in(scope: Scope) -> Response | None:
    """The refusal of an address with a NUL in it, which no row of a database can hold: nothing has such an id."""
    if "\x00" in scope["path"]:
        return problem_response(404, "not-found", "nothing has an id with a NUL in it")
    if b"%00" in scope["query_string"]:
        return problem_response(422, "validation", "a parameter holds NUL, which is no character")
    return None


def _add_headers(message: MutableMapping[str, Any]) -> None:
    headers = MutableHeaders(scope=message)
    for name, value in SECURITY_HEADERS.items():
        headers.setdefault(name, value)


async def _too_large(scope: Scope, receive: Receive, send: Send, limit: int = MAX_BODY_BYTES) -> None:
    metrics.BODY_REFUSED.inc()
    response = problem_response(413, "too-large", f"the body may have at most {limit} bytes")
    await response(scope, receive, send)


async def _read_body(receive: Receive) -> bytes | None:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b"".join(parts)
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY_BYTES:
            return None
        if not message.get("more_body", False):
            return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
