"""One private PostgreSQL for this folder, and receivers of anchors that are real sockets."""

from __future__ import annotations

import http.server
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from citybrain_testing.servers import PrivatePostgres, private_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[PrivatePostgres]:
    with private_postgres() as server:
        yield server


@pytest.fixture
def fresh_url(postgres: PrivatePostgres) -> Callable[[], str]:
    return postgres.fresh_database


@dataclass
class Receiver:
    """Somebody else's machine: what it was sent, and where it listens."""

    port: int = 0
    got: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    answer: int = 204
    arrived: threading.Event = field(default_factory=threading.Event)

    def take(self, data: bytes) -> None:
        self.got.append(data)
        self.arrived.set()


@pytest.fixture
def tcp_syslog() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            length = b""
            while (byte := self.rfile.read(1)) and byte != b" ":
                length += byte
            receiver.take(self.rfile.read(int(length)))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        yield from _serve(server, receiver)


@pytest.fixture
def udp_syslog() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(socketserver.DatagramRequestHandler):
        def handle(self) -> None:
            receiver.take(self.rfile.read())

    with socketserver.ThreadingUDPServer(("127.0.0.1", 0), Handler) as server:
        yield from _serve(server, receiver)


@pytest.fixture
def upstream() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.headers.append({"path": self.path, **{k.lower(): v for k, v in self.headers.items()}})
            if receiver.answer < 300:
                receiver.take(body)
            self.send_response(receiver.answer)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """A test's output is its own."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        yield from _serve(server, receiver)


def _serve(server: socketserver.BaseServer, receiver: Receiver) -> Iterator[Receiver]:
    address: tuple[str, int] = server.server_address  # type: ignore[assignment]
    receiver.port = address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield receiver
    server.shutdown()
    thread.join()


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
