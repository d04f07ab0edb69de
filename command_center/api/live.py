"""The websocket door of the live feed: sockets, waiting and time around `gis.live.LiveSession`.

One task per viewer writes, one reads. The writer takes a frame from the session, gives it to the transport and waits there if
the transport is full: a slow viewer stops only itself, and because viewers have no queues, nothing grows meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from command_center.api import metrics
from command_center.api.auth import COOKIE, grant_of, origin_is_ours, read_credential
from command_center.api.deps import ApiDeps
from command_center.api.sessions import Session, Sessions
from gis.hub import RING_EVENTS
from gis.live import EXPIRED, NO_DRAIN_S, PERMS_CHANGED, SHUTDOWN, SLOW, SUBPROTOCOL, Grant, LiveSession

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger()

MAX_CLIENTS = 2_000  # a socket costs up to 64 KB here
CONNECTION_LIMIT = 3504
HISTORY_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 2.0
DRAIN_SPREAD_MS = 20_000  # so that a thousand screens do not come back in one second


class _Viewer:
    """One connection: its session, the token's id and the writer's alarm clock."""

    def __init__(self) -> None:
        self.sid = ""
        self.login: Session | None = None
        self.wake = asyncio.Event()
        self.session: LiveSession | None = None


class LiveDoor:
    """The endpoint `/api/v1/live`. `jitter` spreads reconnects (any generator: nothing depends on its numbers)."""

    def __init__(self, deps: ApiDeps, sessions: Sessions, jitter: random.Random) -> None:
        self._deps, self._sessions, self._jitter = deps, sessions, jitter
        self._viewers: set[_Viewer] = set()
        self._count = 0
        sessions.on_revoke(self.closed)

    @property
    def viewers(self) -> int:
        return len(self._viewers)

    def _now_s(self) -> float:
        return self._deps.clock.machine_ns() / 1e9

    def closed(self, sid: str) -> None:
        """A session, or a machine's key, ended or may something else now: its connections begin anew."""
        for viewer in self._viewers:
            if viewer.sid == sid and viewer.session is not None:
                viewer.session.close(PERMS_CHANGED, "the login ended, or its rights changed")
                viewer.wake.set()

    def drain(self) -> None:
        """Say bye to everybody, with reconnects spread over 20 s. The viewers' own tasks close the sockets."""
        for viewer in list(self._viewers):
            if viewer.session is not None:
                viewer.session.close(SHUTDOWN, "shutdown", self._jitter.randrange(DRAIN_SPREAD_MS))
                viewer.wake.set()

    async def endpoint(self, websocket: WebSocket) -> None:
        offered = websocket.scope.get("subprotocols", [])
        subprotocol = SUBPROTOCOL if SUBPROTOCOL in offered else None
        await websocket.accept(subprotocol=subprotocol)
        if len(self._viewers) >= MAX_CLIENTS:
            metrics.LIVE_CLOSED.labels(code=str(CONNECTION_LIMIT)).inc()
            await websocket.close(CONNECTION_LIMIT, "too many viewers")
            return
        viewer = _Viewer()
        viewer.session = self._open(websocket, viewer)
        self._viewers.add(viewer)
        metrics.LIVE_CLIENTS.set(len(self._viewers))
        try:
            await self._serve(websocket, viewer, viewer.session)
        finally:
            viewer.session.leave()
            self._viewers.discard(viewer)
            metrics.LIVE_CLIENTS.set(len(self._viewers))
            metrics.LIVE_DEGRADED.inc(viewer.session.degraded_times)

    def _open(self, websocket: WebSocket, viewer: _Viewer) -> LiveSession:
        def authenticate(token: str) -> Grant | None:
            session = read_credential(websocket.app, token)
            if session is None:
                return None
            viewer.sid, viewer.login = session.sid, session
            return grant_of(session, self._deps.clock)

        self._count += 1
        cookie = websocket.cookies.get(COOKIE)
        ours = origin_is_ours(websocket, list(self._deps.allowed_origins))
        return LiveSession(
            self._deps.hub,
            authenticate,
            session_id=f"{self._deps.node}-{self._count}",
            node=self._deps.node,
            now_s=self._now_s(),
            grant=authenticate(cookie) if cookie and ours else None,
            on_wake=viewer.wake.set,
        )

    async def _serve(self, websocket: WebSocket, viewer: _Viewer, session: LiveSession) -> None:
        """Run reader and writer until one ends; the writer ends by closing the socket."""
        reader = asyncio.create_task(self._read(websocket, viewer, session), name="live-read")
        try:
            await self._write(websocket, viewer, session, reader)
        except WebSocketDisconnect:
            log.debug("live_gone", session=session.session_id)
        finally:
            reader.cancel()
            with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect):
                await reader

    async def _read(self, websocket: WebSocket, viewer: _Viewer, session: LiveSession) -> None:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code") or 1005)
            self._count_use(viewer, session)
            text = message.get("text")
            session.receive(
                text if text is not None else message.get("bytes") or b"", self._now_s(), self._deps.clock.city_us()
            )
            viewer.wake.set()

    def _count_use(self, viewer: _Viewer, session: LiveSession) -> None:
        """A message from the client (it answers pings) is use, where the policy says so; else an idle login ends here too."""
        if viewer.login is None:
            return
        if self._sessions.live_is_use(viewer.login):
            self._sessions.touch(viewer.sid)
        elif self._sessions.owner_of(viewer.sid) is not None and not self._sessions.stands(viewer.sid):
            session.close(EXPIRED, "nobody used this login for too long")

    async def _write(
        self, websocket: WebSocket, viewer: _Viewer, session: LiveSession, reader: asyncio.Task[None]
    ) -> None:
        while not reader.done():
            viewer.wake.clear()
            await self._load_history(session)
            if not await self._flush(websocket, session):
                return
            if session.closed:
                await self._close(websocket, *session.closed)
                return
            await self._sleep(viewer.wake, session.due_s(), reader)

    async def _flush(self, websocket: WebSocket, session: LiveSession) -> bool:
        """Send what is due. False: the viewer took nothing for ten seconds and was cut off."""
        while (frame := session.poll(self._now_s())) is not None:
            metrics.LIVE_FRAMES.inc()
            metrics.LIVE_BYTES.inc(len(frame))
            try:
                async with asyncio.timeout(NO_DRAIN_S):
                    await websocket.send_text(frame.decode())
            except TimeoutError:
                session.close(SLOW, f"nothing was taken for {NO_DRAIN_S:.0f} s")
                await self._close(websocket, SLOW, "slow")
                return False
        return True

    async def _load_history(self, session: LiveSession) -> None:
        for wanted in session.history_wanted():
            events = None
            if self._deps.load_history is not None:
                try:
                    async with asyncio.timeout(HISTORY_TIMEOUT_S):
                        events = await self._deps.load_history(wanted.channel, wanted.since_seq, RING_EVENTS)
                except TimeoutError:
                    log.warning("live_history_timeout", channel=wanted.channel, since=wanted.since_seq)
            session.history(wanted.sub, events)

    async def _sleep(self, wake: asyncio.Event, due_s: float, reader: asyncio.Task[None]) -> None:
        """Until somebody wakes the viewer, something is due, or the other side has gone."""
        left_s = due_s - self._now_s()
        if left_s <= 0 or wake.is_set():
            await asyncio.sleep(0)
            return
        on_gone: Callable[[asyncio.Task[None]], None] = lambda _: wake.set()  # noqa: E731
        reader.add_done_callback(on_gone)
        try:
            async with asyncio.timeout(left_s):
                await wake.wait()
        except TimeoutError:
            return
        finally:
            reader.remove_done_callback(on_gone)

    @staticmethod
    async def _close(websocket: WebSocket, code: int, reason: str) -> None:
        metrics.LIVE_CLOSED.labels(code=str(code)).inc()
        if websocket.application_state is WebSocketState.CONNECTED:
            with contextlib.suppress(TimeoutError, RuntimeError):  # it may have gone in this very moment
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await websocket.close(code, reason[:120])
