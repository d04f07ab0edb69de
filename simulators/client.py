"""A signed-in HTTP client of the public API, and a listener on the live feed: what a phone or a desk has."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import Mapping
from typing import Any, Self

import httpx
import structlog
import websockets

log = structlog.get_logger()

REQUEST_TIMEOUT_S = 10.0
RETRY_EVERY_S = 1.0
SIGN_IN_FOR_S = 180.0
LIVE_BACKOFF_S = (0.5, 1.0, 2.0, 4.0, 8.0)


class Refused(Exception):
    """The server answered with a problem that trying again does not mend."""

    def __init__(self, method: str, path: str, status: int, detail: str) -> None:
        super().__init__(f"{method} {path}: {status} {detail}")
        self.status, self.detail = status, detail


class Session:
    """One user's session. Requests retry while the server is away or says 503; other refusals raise Refused."""

    def __init__(self, base_url: str, username: str, password: str, *, verify: ssl.SSLContext | bool = True) -> None:
        self.base_url, self.username = base_url.rstrip("/"), username
        self._password, self._verify = password, verify
        self._http = httpx.AsyncClient(base_url=self.base_url, verify=verify, timeout=REQUEST_TIMEOUT_S)
        self.token = ""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def sign_in(self) -> None:
        """Raises Refused for a wrong password, TimeoutError when nobody answers for three minutes."""
        body = {"username": self.username, "password": self._password}
        async with asyncio.timeout(SIGN_IN_FOR_S):
            while True:
                with contextlib.suppress(httpx.TransportError):
                    answer = await self._http.post("/api/v1/sessions", json=body)
                    if answer.status_code in (401, 403):
                        raise Refused("POST", "/api/v1/sessions", answer.status_code, answer.text[:200])
                    if answer.is_success:
                        self.token = str(answer.json()["token"])
                        return
                await asyncio.sleep(RETRY_EVERY_S)

    async def get(self, path: str, **params: Any) -> Any:
        return await self.request("GET", path, params={k: v for k, v in params.items() if v not in ("", None)})

    async def post(self, path: str, body: Mapping[str, Any] | None = None, *, key: str = "") -> Any:
        """`key`: Idempotency-Key of what must not happen twice."""
        headers = {"Idempotency-Key": key} if key else {}
        return await self.request("POST", path, json=dict(body or {}), headers=headers)

    async def request(self, method: str, path: str, **more: Any) -> Any:
        """Until it succeeds or is refused. The answer's JSON, None where it has no body."""
        headers = dict(more.pop("headers", {}))
        while True:
            if not self.token:
                await self.sign_in()
            headers["Authorization"] = f"Bearer {self.token}"
            try:
                answer = await self._http.request(method, path, headers=headers, **more)
            except httpx.TransportError as error:
                log.debug("request_failed", user=self.username, path=path, error=str(error))
                await asyncio.sleep(RETRY_EVERY_S)
                continue
            if answer.status_code == 401:
                self.token = ""  # sessions may end with a restart
                await asyncio.sleep(RETRY_EVERY_S)
                continue
            if answer.status_code in (429, 502, 503, 504):
                await asyncio.sleep(RETRY_EVERY_S)
                continue
            if not answer.is_success:
                raise Refused(method, path, answer.status_code, _detail(answer))
            return answer.json() if answer.content else None


def _detail(answer: httpx.Response) -> str:
    with contextlib.suppress(ValueError):
        body = answer.json()
        if isinstance(body, dict):
            return str(body.get("detail") or body.get("title") or body)
    return answer.text[:200]


class LiveEar:
    """Listens to event channels of the live feed and sets `stirred` when something came; polls stay the truth."""

    def __init__(self, session: Session, channels: tuple[str, ...], *, tls: ssl.SSLContext | None = None) -> None:
        self._session, self._channels, self._tls = session, channels, tls
        self.stirred = asyncio.Event()
        self.frames = 0

    async def run(self) -> None:
        """Until cancelled; a feed that is not there is tried again, the owner polls meanwhile."""
        failures = 0
        while True:
            try:
                await self._listen()
                failures = 0
            except (OSError, websockets.WebSocketException, TimeoutError) as error:
                log.debug("live_lost", user=self._session.username, error=str(error))
                await asyncio.sleep(LIVE_BACKOFF_S[min(failures, len(LIVE_BACKOFF_S) - 1)])
                failures += 1

    async def wait(self, timeout_s: float) -> None:
        """Until something stirs or the time is up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self.stirred.wait()
        self.stirred.clear()

    async def _listen(self) -> None:
        if not self._session.token:
            await self._session.sign_in()
        url = self._session.base_url.replace("http", "ws", 1) + "/api/v1/live"
        async with websockets.connect(
            url, subprotocols=[websockets.Subprotocol("cb.live.v1.json")], ssl=self._tls, max_size=16 * 2**20
        ) as socket:
            hello = {
                "type": "hello",
                "token": self._session.token,
                "client": {"name": "simulator", "ver": "1", "kind": "phone"},
            }
            subs = [{"type": "sub", "i": n, "ch": channel} for n, channel in enumerate(self._channels, start=1)]
            await socket.send(json.dumps([hello, *subs]))
            async for frame in socket:
                self.frames += 1
                messages = json.loads(frame)
                if any(m.get("type") in ("ev", "snap", "delta", "reset") for m in messages):
                    self.stirred.set()
                if any(m.get("type") == "ping" for m in messages):
                    await socket.send(
                        json.dumps([{"type": "pong", "t": m.get("t")} for m in messages if m.get("type") == "ping"])
                    )
