"""Appending from other processes: a Unix socket in front of the log's one writer.

A frame is a big-endian u32 length and one msgpack array. The server greets with a session name; the client sends
`[id, "append", [[kind, body, key], ...]]` or `[id, "commit", [cursor, position]]` and gets `[id, result, error]`, in order.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import structlog

from stream import errors
from stream.errors import LogError, LogFailed
from stream.records import Appended, ControlBody, NewRecord, RecordKind, as_control_body
from stream.writer import LogWriter

FRAME_MAX = 64 * 1024**2
REPLIES_MAX = 256  # answers owed to one client; above it the server stops reading from that client
IN_FLIGHT_MAX = 64
APPEND_TIMEOUT_S = 30.0
BACK_OFF_S = (0.05, 0.1, 0.2, 0.5, 1.0)  # the owner is restarted within a second or two; then once a second
_LENGTH = struct.Struct(">I")
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder()

log = structlog.get_logger()
OnControl = Callable[[ControlBody, Appended], None]


class BadFrame(LogError):
    """The peer does not speak this protocol."""


class AppendServer:
    """Serves appends to the processes of this machine's user. `on_control` is called for every new control once durable."""

    def __init__(self, writer: LogWriter, socket_path: Path, *, on_control: OnControl | None = None) -> None:
        self._writer, self._path, self._on_control = writer, socket_path, on_control
        self._opened_at, self._sessions = writer.head, 0

    async def run(self) -> None:
        """Serve until cancelled. The writer's lock says that we own the log, so an old socket in the way is a leftover."""
        listener = _listen(self._path)
        try:
            async with asyncio.TaskGroup() as group:

                def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                    group.create_task(self._serve(reader, writer), name="append-connection")

                async with await asyncio.start_unix_server(accept, sock=listener) as server:
                    await server.serve_forever()
        finally:
            self._path.unlink(missing_ok=True)

    async def append(self, items: Sequence[NewRecord]) -> list[Appended]:
        """The owner's own appends, with the same call to `on_control`."""
        answer = await self._writer.append_async(items)
        self._tell(items, answer)
        return answer

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._sessions += 1
        # Unique for ever: two servers that start at the same head have had nothing appended between them.
        writer.write(_frame([0, f"{self._opened_at}-{self._sessions}", None]))
        replies: asyncio.Queue[tuple[int, Sequence[NewRecord], Future[list[Appended]]] | None] = asyncio.Queue(
            REPLIES_MAX
        )
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._reply(replies, writer), name="append-replies")
                await self._receive(reader, replies)
                await replies.put(None)
        except* (ConnectionError, BadFrame) as error:
            log.warning("append_client_lost", why=str(error.exceptions[0]))
        finally:
            writer.close()

    async def _receive(
        self,
        reader: asyncio.StreamReader,
        replies: asyncio.Queue[tuple[int, Sequence[NewRecord], Future[list[Appended]]] | None],
    ) -> None:
        while (message := await _receive(reader)) is not None:
            number, operation, payload = message
            items: list[NewRecord] = []
            if operation == "append":
                items = [NewRecord(kind=RecordKind(kind), body=body, key=key) for kind, body, key in payload]
            elif operation == "commit":
                self._writer.commit(*payload)
            else:
                raise BadFrame(f"operation {operation!r}: expected append or commit")
            await replies.put((number, items, self._submit(items)))

    def _submit(self, items: Sequence[NewRecord]) -> Future[list[Appended]]:
        try:
            return self._writer.submit(items)
        except LogError as error:
            refused: Future[list[Appended]] = Future()
            refused.set_exception(error)
            return refused

    async def _reply(
        self,
        replies: asyncio.Queue[tuple[int, Sequence[NewRecord], Future[list[Appended]]] | None],
        writer: asyncio.StreamWriter,
    ) -> None:
        while (reply := await replies.get()) is not None:
            number, items, future = reply
            try:
                answer = await asyncio.wrap_future(future)
            except LogError as error:
                writer.write(_frame([number, None, [type(error).__name__, str(error)]]))
            else:
                self._tell(items, answer)
                writer.write(_frame([number, [(a.position, a.at_us, a.duplicate) for a in answer], None]))
            await writer.drain()

    def _tell(self, items: Sequence[NewRecord], answer: Sequence[Appended]) -> None:
        if self._on_control is None:
            return
        for item, appended in zip(items, answer, strict=True):
            if item.kind == RecordKind.CONTROL and not appended.duplicate:
                self._on_control(as_control_body(item.body), appended)


class AppendClient:
    """Appends through the owner's socket; reconnects for ever, and sends again by key what was not answered.

    Use as `async with AppendClient(path) as client:`, or run `client.run()` in a TaskGroup of your own.
    """

    def __init__(self, socket_path: Path, *, in_flight_max: int = IN_FLIGHT_MAX) -> None:
        self._path = socket_path
        self._slots = asyncio.Semaphore(in_flight_max)
        self._waiting: dict[int, tuple[str, list[Any], asyncio.Future[list[Appended]]]] = {}
        self._number = 0
        self._session = ""
        self._greeted = asyncio.Event()
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None
        self.reconnects = 0

    @property
    def connected(self) -> bool:
        return self._writer is not None

    async def append(self, items: Sequence[NewRecord], *, timeout_s: float = APPEND_TIMEOUT_S) -> list[Appended]:
        """Durable when it returns; results in the order of `items`.

        Raises LogFull, LogBusy, LogFailed (nothing was appended; try later) and TimeoutError (unknown: the items may or may
        not be in the log; append them again only with keys of your own).
        """
        async with asyncio.timeout(timeout_s):
            async with self._slots:
                await self._greeted.wait()
                number = self._next()
                rows = [
                    [int(item.kind), item.body, item.key or f"a:{self._session}:{number}:{index}"]
                    for index, item in enumerate(items)
                ]
                return await self._ask(number, "append", rows)

    async def commit(self, cursor: str, position: int, *, timeout_s: float = APPEND_TIMEOUT_S) -> None:
        """As `LogReader.commit`, for a process that does not share the directory."""
        async with asyncio.timeout(timeout_s):
            async with self._slots:
                await self._ask(self._next(), "commit", [cursor, position])

    async def run(self) -> None:
        """Hold the connection until cancelled."""
        failures = 0
        while True:
            try:
                reader, writer = await _connect(self._path)
            except OSError:
                await asyncio.sleep(BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)])
                failures += 1
                continue
            failures = 0
            try:
                await self._talk(reader, writer)
            except (ConnectionError, BadFrame) as error:
                log.warning("append_owner_lost", why=str(error) or type(error).__name__, waiting=len(self._waiting))
            finally:
                self._writer = None
                writer.close()
            self.reconnects += 1
            await asyncio.sleep(BACK_OFF_S[0])

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.run(), name="append-client")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])

    def _next(self) -> int:
        self._number += 1
        return self._number

    async def _ask(self, number: int, operation: str, payload: list[Any]) -> list[Appended]:
        future: asyncio.Future[list[Appended]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = (operation, payload, future)
        try:
            if self._writer is not None:
                self._writer.write(_frame([number, operation, payload]))
                # no drain: slots bound what is in flight, and a lost connection is the run loop's business
            return await future
        finally:
            self._waiting.pop(number, None)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello = await _receive(reader)
        if hello is None:
            raise ConnectionResetError("the owner closed the connection before its greeting")
        self._session = self._session or str(hello[1])  # kept for life: keys of a retry must not change
        for number, (operation, payload, _) in sorted(self._waiting.items()):
            writer.write(_frame([number, operation, payload]))
        self._writer = writer
        self._greeted.set()
        while (message := await _receive(reader)) is not None:
            self._answer(*message)
        raise ConnectionResetError("the owner closed the connection")

    def _answer(self, number: int, result: list[tuple[int, int, bool]] | None, error: tuple[str, str] | None) -> None:
        waiting = self._waiting.get(number)
        if waiting is None or waiting[2].done():
            return
        if error is not None:
            waiting[2].set_exception(_remote(*error))
        else:
            waiting[2].set_result([Appended(position=p, at_us=at, duplicate=dup) for p, at, dup in result or []])


class LogRefused(LogFailed):
    """The owner refused; `kind` names its reason (LogFull, LogBusy, LogFailed, LogClosed)."""

    def __init__(self, kind: str, why: str) -> None:
        super().__init__(why)
        self.kind = kind


def _remote(kind: str, why: str) -> LogError:
    if kind == "LogFull":
        full = errors.LogFull(why, used_bytes=0, max_bytes=0)
        full.args = (why,)  # the owner's own words, with its figures
        return full
    return LogRefused(kind, why)


def _frame(message: list[Any]) -> bytes:
    body = _encoder.encode(message)
    return _LENGTH.pack(len(body)) + body


async def _receive(reader: asyncio.StreamReader) -> tuple[Any, Any, Any] | None:
    """The next message; None when the peer has closed between two messages."""
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        if length > FRAME_MAX:
            raise BadFrame(f"frame of {length} bytes: at most {FRAME_MAX}")
        message = _decoder.decode(await reader.readexactly(length))
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise ConnectionResetError("connection ended inside a frame") from error
        return None
    except msgspec.DecodeError as error:
        raise BadFrame(str(error)) from error
    if not isinstance(message, list) or len(message) != 3:
        raise BadFrame("expected an array of three")
    return message[0], message[1], message[2]


def _listen(path: Path) -> socket.socket:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)  # born 0600
    try:
        _at_short_path(path, listener.bind)
    finally:
        os.umask(before)
    return listener


async def _connect(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _at_short_path(path, connection.connect)  # local and immediate: there or refused
        connection.setblocking(False)
        return await asyncio.open_unix_connection(sock=connection, limit=1024**2)
    except OSError:
        connection.close()
        raise


def _at_short_path(path: Path, act: Callable[[str], None]) -> None:
    """A socket address holds 107 bytes; a data directory may be deeper, its descriptor's name is not."""
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        act(f"/proc/self/fd/{directory}/{path.name}")
    finally:
        os.close(directory)
