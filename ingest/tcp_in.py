"""Stations that dial in over TCP: sessions that cut frames and send answers.

A frame gets the topic that it would have had over the broker and goes the same way: pipeline, log, fsync, and only then the
protocol's own acknowledgement back over the session. So acknowledged means stored here too, and a station that hears nothing
sends again.

These protocols have no encryption of their own and show a six-digit password in every frame. So a listener is bound to a named
address, takes only peers of the networks that it is told, and a station may be held to its own (`attributes.stations.*.allow`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import structlog

from devices import topics
from devices.clock import Clock
from devices.codecs.station import Decoder, Refused, Report, Said
from devices.registry import Device
from devices.stations import DECODERS, NOBODY, SESSIONS, Station, StationIndex, disbelief, station_of
from ingest import metrics
from ingest.doors import Listener, Network, address_of
from ingest.letters import stranger
from ingest.message import Message, Reply

READ_BYTES = 4096
WAITING_MAX = 2_000  # frames between the sessions and the log; then sessions stop reading and TCP stops the stations
SESSIONS_MAX = 10_000  # of one listener
FIRST_FRAME_S = 60.0  # machine seconds in which a peer must show a frame of a registered station
LISTEN_AGAIN_S = 5.0
IDLE_S = 3_900.0  # HJ 212 lets a station report once an hour
REFUSED_MAX = 50  # in a row; then the peer is no station of this protocol
UNSENT_MAX = 64 * 1024  # bytes of answers that a peer does not read

log = structlog.get_logger()

Note = Callable[[str, dict[str, Any]], Awaitable[None]]  # device, what is to be told about it


class _Session:
    """One connection. `devices`: those that it has shown a valid frame of; `admitted`: those that have shown their code, as what
    they were known then."""

    def __init__(self, line: int, codec: str, decoder: Decoder, writer: asyncio.StreamWriter, peer: str) -> None:
        self.line, self.codec, self.decoder, self.writer = line, codec, decoder, writer
        self.peer, self.address = peer, address_of(peer)
        self.devices: set[str] = set()
        self.admitted: dict[str, Station] = {}
        self.refused = 0

    def close(self) -> None:
        self.writer.close()

    def doubt(self, device: Device, report: Report) -> str:
        """Why a frame is not believed after all the others of this session; "" if it is. Only a code admits a device, and a wrong one
        ends that."""
        name, station = device.device_id, station_of(device, self.codec)
        problem = disbelief(device, self.codec, report, peer=self.address)
        if self.codec not in SESSIONS or (problem and report.said is not Said.LOGIN):
            return problem
        if report.said is Said.LOGIN:
            self.admitted.pop(name, None)
            if not problem:
                self.admitted[name] = station
        elif report.said is not Said.REGISTRATION and self.admitted.get(name) != station:
            return f"{self.codec} station {report.station!r}: expected its code first, got {report.command}"
        return problem


class TcpInput:
    """All listeners and their sessions. Use `receive` and `send` as with the broker's input."""

    def __init__(
        self,
        *,
        tenant: str,
        listeners: Sequence[Listener],
        networks: Sequence[Network],
        index: StationIndex,
        clock: Clock,
        note: Note,
        connected: Callable[[str], None],
        idle_s: float = IDLE_S,
        first_frame_s: float = FIRST_FRAME_S,
    ) -> None:
        """`connected` is told a device whose session begins; `note` what a person should know of one."""
        self._tenant, self._listeners, self._networks = tenant, listeners, networks
        self._index, self._clock = index, clock
        self._note, self._connected = note, connected
        self._idle_s, self._first_frame_s = idle_s, first_frame_s
        self._frames: asyncio.Queue[Message] = asyncio.Queue(WAITING_MAX)
        self._sessions: dict[int, _Session] = {}
        self._of_device: dict[str, int] = {}  # device -> line of its newest session
        self._peer_of: dict[str, str] = {}  # device -> address that it last came from
        self._lines = 0
        self.addresses: list[tuple[str, str, int]] = []  # (codec, host, port) that are listened at
        self.listening = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled. An address that cannot be listened at is tried again and again: it must not stop the other inputs."""
        async with asyncio.TaskGroup() as group:
            for listener in self._listeners:
                group.create_task(self._listen(listener), name=f"stations-{listener.codec}")

    async def _listen(self, listener: Listener) -> None:
        while True:
            try:
                server = await asyncio.start_server(self._handler(listener.codec), listener.host, listener.port)
                break
            except OSError as error:
                metrics.LINES_REFUSED.labels(listener.codec, "cannot_listen").inc()
                where = f"{listener.host}:{listener.port}"
                log.warning("stations_cannot_listen", codec=listener.codec, where=where, why=str(error))
                await asyncio.sleep(LISTEN_AGAIN_S)
        host, port = server.sockets[0].getsockname()[:2]
        self.addresses.append((listener.codec, host, port))
        log.info("stations_listen", codec=listener.codec, host=host, port=port)
        if len(self.addresses) == len(self._listeners):
            self.listening.set()
        try:
            await asyncio.Event().wait()
        finally:
            server.close()
            for session in list(self._sessions.values()):
                session.close()

    async def receive(self, max_messages: int, linger_s: float) -> list[Message]:
        """Frames in the order of arrival: waits for the first, then at most `linger_s` for more."""
        taken = [await self._frames.get()]
        if self._frames.qsize() < max_messages:
            await asyncio.sleep(linger_s)
        while len(taken) < max_messages and not self._frames.empty():
            taken.append(self._frames.get_nowait())
        return taken

    def send(self, replies: Iterable[Reply]) -> None:
        """Answers to sessions that are still there. A station whose session has ended sends its frame again, and is answered
        then."""
        for reply in replies:
            session = self._sessions.get(reply.line)
            if session is None or session.writer.is_closing():
                metrics.REPLIES_DROPPED.inc()
                continue
            if session.writer.transport.get_write_buffer_size() > UNSENT_MAX:
                log.warning("station_does_not_read", codec=session.codec, peer=session.peer)
                session.close()
                metrics.REPLIES_DROPPED.inc()
                continue
            session.writer.write(reply.payload)
            metrics.REPLIES.labels(session.codec).inc()

    # -- sessions

    def _handler(self, codec: str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            peer = writer.get_extra_info("peername")
            if peer is None:  # gone before we looked
                writer.close()
                return
            self._lines += 1
            session = _Session(self._lines, codec, DECODERS[codec](NOBODY), writer, str(peer[0]))
            refusal = self._refusal(session)
            if refusal:
                metrics.LINES_REFUSED.labels(codec, refusal).inc()
                log.warning("station_refused", codec=codec, peer=session.peer, why=refusal)
                session.close()
                return
            self._sessions[session.line] = session
            metrics.LINES.labels(codec).inc()
            try:
                await self._serve(session, reader)
            except (ConnectionError, TimeoutError) as error:
                log.info("station_gone", codec=codec, peer=session.peer, why=type(error).__name__)
            finally:
                self._end(session)

        return handle

    def _refusal(self, session: _Session) -> str:
        if not any(session.address in network for network in self._networks):
            return "network"
        same = sum(1 for other in self._sessions.values() if other.codec == session.codec)
        return "sessions" if same >= SESSIONS_MAX else ""

    async def _serve(self, session: _Session, reader: asyncio.StreamReader) -> None:
        """Read until the peer goes, is silent for too long, or shows that it is no station of ours."""
        began_ns = self._clock.machine_ns()
        while session.refused < REFUSED_MAX:
            patience_s = self._idle_s
            if not session.devices:
                patience_s = self._first_frame_s - (self._clock.machine_ns() - began_ns) / 1e9
            async with asyncio.timeout(max(0.0, patience_s)):
                data = await reader.read(READ_BYTES)
            for piece in session.decoder.feed(data) if data else session.decoder.finish():
                await self._frames.put(await self._message(session, piece))
            if not data:
                return
        log.warning("no_station", codec=session.codec, peer=session.peer, refused=session.refused)

    async def _message(self, session: _Session, piece: Report | Refused) -> Message:
        """A piece under the topic that it would have had over the broker."""
        problems: tuple[str, ...] = ()
        device = self._index.device_of(session.codec, piece.station) if piece.station else None
        if isinstance(piece, Refused):
            problems = piece.problems
        elif device is None:
            problems = (f"{session.codec} station {piece.station!r} is not registered",)
        else:
            problem = session.doubt(device, piece)
            problems = (problem,) if problem else ()
        if device is not None and isinstance(piece, Report) and not problems:
            session.refused = 0
            if piece.said is not Said.REGISTRATION:  # who only asks for a code has not said who it is
                await self._identified(session, device)
        else:
            session.refused += 1
        return Message(
            topic=topics.up(self._tenant, self._name(session, device), topics.Channel.RAW, session.codec),
            payload=piece.raw,
            packet_id=0,
            receive_us=self._clock.city_us(),
            line=session.line,
            problems=problems,
            denial=piece.denial if device is not None and isinstance(piece, Report) else None,
        )

    @staticmethod
    def _name(session: _Session, device: Device | None) -> str:
        """Under which device the vendor will look for it."""
        if device is not None:
            return device.device_id
        return next(iter(session.devices)) if len(session.devices) == 1 else stranger(session.codec)

    async def _identified(self, session: _Session, device: Device) -> None:
        """A frame that is the device's. Its newest session counts; an older one is a half-dead connection, or somebody else."""
        name = device.device_id
        if name in session.devices:
            return
        session.devices.add(name)
        before = self._sessions.get(self._of_device.get(name, 0))
        self._of_device[name] = session.line
        self._connected(name)
        if before is not None and before is not session:
            about = {"reason": "duplicate_session", "codec": session.codec, "peer": session.peer, "before": before.peer}
            log.warning("station_dialled_in_twice", device=name, **about)
            before.close()
            await self._note(name, about)
        known = self._peer_of.get(name)
        self._peer_of[name] = session.peer
        if known is not None and known != session.peer:
            about = {"reason": "address_changed", "codec": session.codec, "peer": session.peer, "before": known}
            log.warning("station_changed_address", device=name, **about)
            await self._note(name, about)

    def _end(self, session: _Session) -> None:
        session.close()
        self._sessions.pop(session.line, None)
        metrics.LINES.labels(session.codec).dec()
        for name in session.devices:
            if self._of_device.get(name) == session.line:
                del self._of_device[name]
