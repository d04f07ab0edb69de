"""Answers: msgspec objects as JSON, pages of lists, ETags."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from fastapi import Request
from starlette.responses import Response


def reply(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(value), status, dict(headers or {}), "application/json")


def page(items: Sequence[Any], following: str | None = None) -> Response:
    return reply({"items": items, "next": following})


def with_etag(request: Request, body: bytes, media_type: str, etag: str | None = None) -> Response:
    """The body, or 304 where the caller has it already. The caller always asks again (`no-cache`)."""
    tag = etag or f'"{hashlib.sha256(body).hexdigest()[:24]}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Cookie, Authorization"}
    known = {t.strip().removeprefix("W/") for t in request.headers.get("if-none-match", "").split(",")}
    if tag.removeprefix("W/") in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return Response(body, 200, headers, media_type)
