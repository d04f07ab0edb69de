"""uvicorn beside our services: plain HTTP on loopback, HTTPS where people are."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn

KEEP_ALIVE_S = 20
SHUTDOWN_S = 3


class Server(uvicorn.Server):
    """A server that leaves signals to us: uvicorn's own handler would re-raise SIGTERM and end us before the drain."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def server(
    app: Any, *, host: str, port: int, cert: Path | None = None, key: Path | None = None, limit: int | None = None
) -> Server:
    """`limit`: of connections and requests at once; beyond it the answer is 503."""
    return Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            lifespan="off",
            ws="websockets-sansio",
            ws_per_message_deflate=False,
            ws_max_size=64 * 1024,
            log_level="warning",
            access_log=False,
            server_header=False,
            limit_concurrency=limit,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=SHUTDOWN_S,
            ssl_certfile=None if cert is None else str(cert),
            ssl_keyfile=None if key is None else str(key),
        )
    )
