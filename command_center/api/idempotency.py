"""`Idempotency-Key`: the same request sent twice is done once and answered twice.

A phone on a weak network cannot know whether its request arrived. Answers of writes are kept by credential, path and key; a
known key with another body is a conflict. Only successes are kept, so that a 503 may be tried again. The memory is this
process's: where a repetition after a restart would do harm (tasks), the command centre checks the key again in its own
transaction.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from command_center.api import metrics
from command_center.api.auth import COOKIE, require_session
from command_center.api.problems import Problem

HEADER = "Idempotency-Key"
MAX_KEYS = 10_000  # oldest are forgotten
MAX_KEY_CHARS = 128


@dataclass(frozen=True, slots=True)
class _Answer:
    fingerprint: bytes
    status: int
    headers: dict[str, str]
    body: bytes


class Replays:
    """Answers that were given, by key, and a lock per key in work."""

    def __init__(self) -> None:
        self._answers: OrderedDict[bytes, _Answer] = OrderedDict()
        self._working: dict[bytes, asyncio.Lock] = {}
        self.forgotten = 0

    def lock(self, key: bytes) -> asyncio.Lock:
        return self._working.setdefault(key, asyncio.Lock())

    def release(self, key: bytes) -> None:
        lock = self._working.get(key)
        if lock is not None and not lock.locked():
            del self._working[key]

    def get(self, key: bytes, fingerprint: bytes) -> Response | None:
        known = self._answers.get(key)
        if known is None:
            return None
        if known.fingerprint != fingerprint:
            raise Problem(409, "idempotency-conflict", f"this {HEADER} came before with another body")
        metrics.REPLAYED.inc()
        return Response(known.body, known.status, known.headers)

    def put(self, key: bytes, fingerprint: bytes, response: Response) -> None:
        headers = {k: v for k, v in response.headers.items() if k.lower() not in ("content-length", "set-cookie")}
        self._answers[key] = _Answer(fingerprint, response.status_code, headers, bytes(response.body))
        while len(self._answers) > MAX_KEYS:
            self._answers.popitem(last=False)
            self.forgotten += 1


class IdempotentRoute(APIRoute):
    """A route whose writes honour `Idempotency-Key`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def once(request: Request) -> Response:
            given = request.headers.get(HEADER)
            if not given or request.method == "GET":
                return await handle(request)
            if len(given) > MAX_KEY_CHARS:
                raise Problem(422, "validation", f"{HEADER} of {len(given)} characters, at most {MAX_KEY_CHARS}")
            await require_session(request)  # a stored answer is only for one who may still ask
            replays: Replays = request.app.state.replays
            credential = request.headers.get("authorization") or request.cookies.get(COOKIE, "")
            place = f"{credential}\n{request.method} {request.url.path}\n{given}"
            key = hashlib.sha256(place.encode()).digest()
            fingerprint = hashlib.sha256(await request.body()).digest()
            async with replays.lock(key):
                response = replays.get(key, fingerprint)
                if response is None:
                    response = await handle(request)
                    if 200 <= response.status_code < 300:
                        replays.put(key, fingerprint, response)
            replays.release(key)
            return response

        return once
