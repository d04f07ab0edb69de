"""A synchronous HTTP client that talks to an ASGI application in this process: no socket, no server, cookies kept.

What one of our applications answers is held against its own OpenAPI document, in passing: an answer that it does not have is an
AssertionError in whatever test asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Any, Self

import httpx
from fastapi import FastAPI
from starlette.types import ASGIApp

from citybrain_testing.documented import Documented


class AsgiClient:
    """`httpx` over ASGI. The caller's address is not a loopback one, as a screen in another room would be."""

    def __init__(self, app: ASGIApp, base_url: str = "http://city.test") -> None:
        self._runner = asyncio.Runner()
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False, client=("10.1.2.3", 40000))
        self._client = httpx.AsyncClient(transport=transport, base_url=base_url)
        self._app = app

    @property
    def cookies(self) -> httpx.Cookies:
        return self._client.cookies

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        content = options.get("content")
        if isinstance(content, Iterator):
            options["content"] = _chunks(content)
        answer = self._runner.run(self._client.request(method, path, **options))
        if isinstance(self._app, FastAPI) and (complaint := held(self._app, answer)):
            raise AssertionError(f"{method} {path}: not as the document says: {complaint}")
        return answer

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)

    def put(self, path: str, **options: Any) -> httpx.Response:
        return self.request("PUT", path, **options)

    def delete(self, path: str, **options: Any) -> httpx.Response:
        return self.request("DELETE", path, **options)

    def run(self, coroutine: Any) -> Any:
        """Run a coroutine on the client's loop."""
        return self._runner.run(coroutine)

    def async_client(self) -> httpx.AsyncClient:
        return self._client

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.run(self._client.aclose())
        self._runner.close()


def held(app: FastAPI, answer: httpx.Response) -> str:
    """What is wrong with an answer by the application's own document; "" for what the document does not know, such as pages."""
    if not _DOCUMENTED:  # once: all our applications have the same routes, whatever stands behind them
        _DOCUMENTED.append(Documented(app.openapi()))
    return _DOCUMENTED[0].complaint_about(answer)


_DOCUMENTED: list[Documented] = []


async def _chunks(parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
