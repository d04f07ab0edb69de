"""One viewer's conversation in `cb.live.v1.json`, without I/O: bytes and time in, frames out.

The driver (command_center/api/live.py) calls `receive` for every text that arrives and `poll` whenever it may send; it owns the
socket, the clock and the waiting (`due_s`, `on_wake`). A frame is a JSON array of messages of at most 64 KB and 256 messages.

Order within what is due: answers, events, snapshot pages, deltas. Events go at once, state at the rate of the viewer's kind.
A viewer that cannot keep up gets less state, never a queue; only when events are lost to it is it sent away to resume.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from gis.hub import EventChannel, EventView, Hub, PastEvent, StateChannel, StateView, chunked
from gis.sight import Seen, may_see
from gis.tiles import TileRange, covering

SUBPROTOCOL = "cb.live.v1.json"
FRAME_BYTES = 64_000
FRAME_MESSAGES = 256
PAGE_ROWS = 1_000
SNAP_BYTES = 48_000
MAX_SUBS = 32
MAX_REPLIES = 256  # answers that a client left unread; more is somebody who only asks
MAX_TEXT = 16_384  # a request: the longest is `hello` with its token
HELLO_WITHIN_S = 10.0
PONG_WITHIN_S = 8.0
GATHER_S = 0.02  # events that come within this time of one another share a frame (at most 50 ms by the protocol)
BUFFER_HIGH = 256 * 1024  # bytes that the transport has not taken: skip state
BACKLOG_BYTES = 1_000_000  # events waiting behind such a buffer: start again
NO_DRAIN_S = 10.0

# kind -> (state flushes per second, seconds between pings). A background phone pays for every wake-up.
KINDS: Mapping[str, tuple[float, float]] = {
    "wall": (2.0, 10.0),
    "console": (2.0, 10.0),
    "desk": (2.0, 10.0),
    "replay": (2.0, 10.0),
    "machine": (2.0, 10.0),
    "vendor": (1.0, 25.0),
    "phone": (0.5, 25.0),
    "field": (0.5, 25.0),
}
DEFAULT_KIND = "console"
MIN_HZ = 0.1

# bye codes (gis-live.md section 3.7): 30xx reconnect and resume, 35xx stop and show the reason
SHUTDOWN, EXPIRED, SLOW, NO_PONG, TOO_MANY, PERMS_CHANGED = 3001, 3005, 3008, 3012, 3013, 3014
BAD_TOKEN, BAD_REQUEST, NO_HELLO = 3500, 3501, 3502
# err codes
UNAUTHORISED, UNKNOWN_CHANNEL, PERMISSION, LIMIT, BAD, TOKEN_EXPIRED, UNRECOVERABLE = 101, 102, 103, 106, 107, 109, 112

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a viewer may see: channel -> what of it (`gis.sight`; None: everything). Other channels are refused."""

    subject: str
    channels: Mapping[str, Seen]
    expires_s: float  # machine time


@dataclass(frozen=True, slots=True)
class HistoryWanted:
    """Events between `since_seq` and the ring are wanted: the driver loads them and calls `history`."""

    sub: int
    channel: str
    scope: Seen
    since_seq: int


@dataclass(slots=True)
class _Sub:
    number: int
    name: str
    interval_s: float
    pending: list[str] = field(default_factory=list)  # ids of the snapshot that were not sent yet
    snap_seq: int = 0
    part: int = 0
    snapshot: bool = False  # pages (at least an empty one) are still to be sent
    waiting: bool = False  # for history
    state: StateView | None = None
    events: EventView | None = None
    past: list[bytes] = field(default_factory=list)
    next_flush_s: float = 0.0
    seen: int = 0
    request: Any = None


class LiveSession:
    """The server's side of one connection. Times are machine seconds; `city_us` only goes into messages."""

    def __init__(
        self,
        hub: Hub,
        authenticate: Callable[[str], Grant | None],
        *,
        session_id: str,
        node: str,
        now_s: float,
        grant: Grant | None = None,
        on_wake: Callable[[], None] = lambda: None,
    ) -> None:
        """`grant` stands for the cookie that came with the handshake: then `hello` may leave its token out."""
        self.hub, self.session_id, self.node = hub, session_id, node
        self.kind = DEFAULT_KIND
        self.closed: tuple[int, str] | None = None  # after the last frame the driver closes with this
        self.frames = self.degraded_times = 0
        self._authenticate = authenticate
        self._cookie_grant = grant
        self._grant: Grant | None = None
        self._on_wake = on_wake
        self._hello_by_s = now_s + HELLO_WITHIN_S
        self._replies: list[bytes] = []
        self._subs: dict[int, _Sub] = {}
        self._numbers = 0
        self._wanted: list[HistoryWanted] = []
        self._leave: dict[str, Callable[[], None]] = {}
        self._ping_at_s = self._pong_by_s = float("inf")
        self._event_at_s = 0.0
        self._drained_s = now_s
        self._degraded = False

    # -- what the client says --------------------------------------------------------------------------------------

    def receive(self, text: str | bytes, now_s: float, city_us: int) -> None:
        """One text from the client: a message, or an array of messages. Never raises for what a client may send."""
        if self.closed:
            return
        try:
            messages = self._parse(text)
        except ValueError as error:
            self.close(BAD_REQUEST, str(error))
            return
        for message in messages:
            if self.closed:
                return
            self._handle(message, now_s, city_us)

    @staticmethod
    def _parse(text: str | bytes) -> list[dict[str, Any]]:
        if len(text) > MAX_TEXT:
            raise ValueError(f"request of {len(text)} bytes, at most {MAX_TEXT} expected")
        try:
            value = msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            raise ValueError(f"not JSON: {error}") from error
        messages = value if isinstance(value, list) else [value]
        if all(isinstance(message, dict) and isinstance(message.get("type"), str) for message in messages):
            return messages
        raise ValueError('expected an object with a text "type", or an array of such objects')

    def _handle(self, message: dict[str, Any], now_s: float, city_us: int) -> None:
        kind = message["type"]
        if self._grant is None and kind != "hello":
            self.close(BAD_TOKEN, "the first message must be hello")
            return
        handlers: dict[str, Callable[[], None]] = {
            "hello": lambda: self._hello(message, now_s, city_us),
            "auth": lambda: self._auth(message, now_s),
            "sub": lambda: self._subscribe(message, now_s),
            "view": lambda: self._view(message, now_s),
            "unsub": lambda: self._unsubscribe(message),
            "seen": lambda: self._seen(message),
            "pong": lambda: self._pong(now_s),
        }
        handler = handlers.get(kind)
        if handler is None:
            self._err(message, BAD, f"unknown type {kind!r}, expected one of {', '.join(handlers)}")
            return
        try:
            handler()
        except _Refused as refused:
            self._err(message, refused.code, str(refused), temp=refused.temp)

    def _hello(self, message: dict[str, Any], now_s: float, city_us: int) -> None:
        if self._grant is not None:
            raise _Refused(BAD, "hello was said already; use auth to renew the token")
        token = message.get("token")
        grant = self._authenticate(token) if isinstance(token, str) and token else self._cookie_grant
        if grant is None or grant.expires_s <= now_s:
            self.close(BAD_TOKEN, "token missing, wrong or expired: log in again")
            return
        client = message.get("client")
        kind = client.get("kind") if isinstance(client, dict) else None
        self.kind = kind if isinstance(kind, str) and kind in KINDS else DEFAULT_KIND
        self._grant = grant
        self._drained_s = now_s
        rate, ping_s = KINDS[self.kind]
        self._ping_at_s = now_s + ping_s
        self._reply(
            type="welcome",
            session=self.session_id,
            node=self.node,
            time=city_us,
            ping_s=ping_s,
            limits={"frame": FRAME_BYTES, "subs": MAX_SUBS, "hz": rate},
            perms=sorted(grant.channels),
        )

    def _auth(self, message: dict[str, Any], now_s: float) -> None:
        grant = self._authenticate(str(message.get("token", "")))
        if grant is None or grant.expires_s <= now_s:
            raise _Refused(TOKEN_EXPIRED, "token wrong or expired: log in again")
        assert self._grant is not None
        if grant.subject != self._grant.subject or dict(grant.channels) != dict(self._grant.channels):
            self.close(PERMS_CHANGED, "the permissions changed: connect again")
            return
        self._grant = grant
        self._reply(type="ok", i=message.get("i"))

    def _subscribe(self, message: dict[str, Any], now_s: float) -> None:
        assert self._grant is not None
        name = message.get("ch")
        channel = self.hub.channels.get(name) if isinstance(name, str) else None
        if channel is None or not isinstance(name, str):
            raise _Refused(UNKNOWN_CHANNEL, f"unknown channel {name!r}, expected one of {', '.join(self.hub.channels)}")
        if name not in self._grant.channels:
            raise _Refused(PERMISSION, f"{self._grant.subject} may not see {name}")
        if len(self._subs) >= MAX_SUBS:
            raise _Refused(LIMIT, f"at most {MAX_SUBS} subscriptions")
        viewport, since = _viewport(message), _since(message)
        self._numbers += 1
        sub = _Sub(self._numbers, name, self._interval_s(message), request=message.get("i"))
        scope = self._grant.channels[name]
        if isinstance(channel, StateChannel):
            self._subscribe_state(sub, channel, scope, viewport, since)
        else:
            self._subscribe_events(sub, channel, scope, since)
        if not sub.snapshot:
            sub.next_flush_s = self._grid(now_s, sub.interval_s)
        self._subs[sub.number] = sub

    def _interval_s(self, message: dict[str, Any]) -> float:
        rate, _ = KINDS[self.kind]
        hz = message.get("hz")
        if hz is None:
            return 1.0 / rate
        if not isinstance(hz, (int, float)) or isinstance(hz, bool) or not hz > 0:
            raise _Refused(BAD, f"hz must be a number above 0, got {hz!r}")
        return 1.0 / max(MIN_HZ, min(rate, float(hz)))

    def _subscribe_state(
        self,
        sub: _Sub,
        channel: StateChannel,
        scope: Seen,
        viewport: TileRange | None,
        since: tuple[str, int] | None,
    ) -> None:
        sub.state, ids = channel.subscribe(scope, viewport)
        resumes = since is not None and since[0] == channel.epoch and channel.can_resume(since[1])
        # A filtered viewer's memory of what it was shown went with its connection.
        recovered = resumes and not sub.state.filtered
        self._ok(sub, channel, recovered=recovered, schema=channel.schema)
        if recovered and since is not None:
            sub.state.cursor = since[1]
            return
        if since is not None:
            self._reset(sub, "gap" if since[0] == channel.epoch else "epoch")
        self._start_snapshot(sub, ids, channel.seq)

    def _subscribe_events(self, sub: _Sub, channel: EventChannel, scope: Seen, since: tuple[str, int] | None) -> None:
        if channel.name not in self._leave:
            self._leave[channel.name] = channel.on_event(self._on_wake)
        if since is not None and since[0] == channel.epoch:
            view = channel.resume(since[1], scope)
            if view is None:
                sub.events, sub.waiting = EventView(scope, 0), True
                self._wanted.append(HistoryWanted(sub.number, channel.name, scope, since[1]))
                return
            sub.events = view
            self._ok(sub, channel, recovered=True)
            return
        self._fresh_events(sub, channel, scope, "epoch" if since is not None else "")

    def _fresh_events(self, sub: _Sub, channel: EventChannel, scope: Seen, why: str) -> None:
        sub.events, ids = channel.subscribe(scope)
        self._ok(sub, channel, recovered=False)
        if why:
            self._reset(sub, why)
        self._start_snapshot(sub, ids, channel.seq)

    def history(self, sub_number: int, events: Iterable[PastEvent] | None) -> None:
        """What the driver loaded for a `HistoryWanted`: every event after `since_seq` up to now, oldest first; None: not to
        be had completely, which is a reset and a snapshot. All or nothing.
        """
        sub = self._subs.get(sub_number)
        if sub is None or not sub.waiting or sub.events is None:
            return
        sub.waiting = False
        channel = self.hub.channels[sub.name]
        assert isinstance(channel, EventChannel)
        scope = sub.events.scope
        past = [] if events is None else list(events)
        # Complete up to now, so complete up to where the ring begins, even if other channels used the last numbers.
        view = channel.resume(max([channel.floor_seq, *(e.seq for e in past)]), scope)
        if events is None or view is None:
            self._fresh_events(sub, channel, scope, "gap")
            return
        sub.events = view
        sub.past = [
            channel.message(e.seq, e.t_us, e.kind, e.id, e.rev, _encode(e.data))
            for e in past
            if may_see(scope, e.label)
        ]
        self._ok(sub, channel, recovered=True)

    def _view(self, message: dict[str, Any], now_s: float) -> None:
        sub = self._sub_of(message)
        if sub.state is None:
            raise _Refused(BAD, f"subscription {sub.number} is of events: they have no viewport")
        channel = self.hub.channels[sub.name]
        assert isinstance(channel, StateChannel)
        fresh, gone = channel.look(sub.state, _viewport(message))
        if gone:
            head = b'{"type":"delta","sub":%d,"ch":%s,"seq":%d,"t":%d,"up":[],"rm":['
            prefix = head % (sub.number, _encode(sub.name), sub.state.cursor, channel.t_us)
            self._say(*(prefix + b",".join(ids) + b"]}" for ids in chunked([_encode(i) for i in gone], SNAP_BYTES)))
        self._reply(type="ok", i=message.get("i"), sub=sub.number, epoch=channel.epoch, seq=channel.seq)
        still = set(gone)
        self._start_snapshot(sub, sorted({*fresh, *(i for i in sub.pending if i not in still)}), channel.seq)

    def _unsubscribe(self, message: dict[str, Any]) -> None:
        sub = self._sub_of(message)
        del self._subs[sub.number]
        if all(other.name != sub.name for other in self._subs.values()):
            self._leave.pop(sub.name, lambda: None)()
        self._reply(type="ok", i=message.get("i"), sub=sub.number)

    def _seen(self, message: dict[str, Any]) -> None:
        sub, seq = self._sub_of(message), message.get("seq")
        if not isinstance(seq, int):
            raise _Refused(BAD, f"seq must be a whole number, got {seq!r}")
        sub.seen = max(sub.seen, seq)

    def _sub_of(self, message: dict[str, Any]) -> _Sub:
        number = message.get("sub")
        sub = self._subs.get(number) if isinstance(number, int) else None
        if sub is None:
            raise _Refused(BAD, f"no subscription {number!r}")
        return sub

    def _pong(self, now_s: float) -> None:
        self._pong_by_s = float("inf")
        self._drained_s = now_s

    # -- what we say -----------------------------------------------------------------------------------------------

    def close(self, code: int, reason: str, retry_ms: int = 0) -> None:
        """Say bye; the driver sends the last frame and closes. The first reason stands."""
        if self.closed:
            return
        self._replies.append(_encode({"type": "bye", "code": code, "reason": reason, "retry_ms": retry_ms}))
        self.closed = (code, reason)
        self.leave()

    def leave(self) -> None:
        """Let go of the channels. Call it when the connection has ended, however it ended."""
        for way_out in self._leave.values():
            way_out()
        self._leave.clear()
        self._subs.clear()

    def note(self, code: str, text_key: str) -> None:
        self._reply(type="note", code=code, text_key=text_key)

    def history_wanted(self) -> list[HistoryWanted]:
        wanted, self._wanted = self._wanted, []
        return wanted

    def seen(self) -> dict[str, int]:
        """The newest sequence per channel that the viewer says it has shown."""
        return {sub.name: sub.seen for sub in self._subs.values() if sub.seen}

    def due_s(self) -> float:
        """When `poll` should be called at the latest, machine time, if nothing wakes the driver before."""
        if self._replies:
            return 0.0
        if self._grant is None:
            return self._hello_by_s
        due = min(self._ping_at_s, self._pong_by_s, self._grant.expires_s)
        for sub in self._subs.values():
            if sub.snapshot or sub.past:
                return 0.0
            if sub.state is not None:
                due = min(due, sub.next_flush_s)
            elif self._waits(sub):
                due = min(due, self._event_at_s)
        return due

    def poll(self, now_s: float, buffered: int = 0) -> bytes | None:
        """The next frame, or None when nothing is due. Call again until None, then wait.

        `buffered`: bytes given to the transport that it has not sent; above 256 KB only answers and events go out.
        """
        self._watch(now_s, buffered)
        frame = _Frame()
        self._put_replies(frame)
        if self._grant is not None and not self.closed:
            self._put_events(frame, now_s)
            if buffered <= BUFFER_HIGH:
                self._put_snapshots(frame)
                self._put_deltas(frame, now_s)
            else:
                self._degrade()
        if not frame.messages:
            return None
        self.frames += 1
        return frame.bytes()

    def _watch(self, now_s: float, buffered: int) -> None:
        """Deadlines: hello, pong, token, drain; and events that the ring has dropped."""
        if self.closed:
            return
        if buffered == 0:
            self._drained_s = now_s
        if self._grant is None:
            if now_s >= self._hello_by_s:
                self.close(NO_HELLO, f"no hello within {HELLO_WITHIN_S:.0f} s")
            return
        if now_s >= self._grant.expires_s:
            self.close(EXPIRED, "the token expired")
        elif now_s >= self._pong_by_s:
            self.close(NO_PONG, f"no pong within {PONG_WITHIN_S:.0f} s")
        elif now_s - self._drained_s >= NO_DRAIN_S:
            self.close(SLOW, f"nothing was taken for {NO_DRAIN_S:.0f} s")
        elif any(self._overflows(sub, buffered) for sub in self._subs.values()):
            self.close(SLOW, "events came faster than they were taken: connect again and resume")
        elif now_s >= self._ping_at_s:
            self._ping_at_s = now_s + KINDS[self.kind][1]
            self._pong_by_s = min(self._pong_by_s, now_s + PONG_WITHIN_S)
            self._reply(type="ping", t=int(now_s * 1000))

    def _overflows(self, sub: _Sub, buffered: int) -> bool:
        channel = self.hub.channels[sub.name]
        if sub.events is None or sub.waiting or not isinstance(channel, EventChannel):
            return False
        return channel.lost(sub.events) or (buffered > BUFFER_HIGH and channel.behind_bytes(sub.events) > BACKLOG_BYTES)

    def _waits(self, sub: _Sub) -> bool:
        channel = self.hub.channels[sub.name]
        return (
            sub.events is not None
            and not sub.waiting
            and isinstance(channel, EventChannel)
            and channel.behind(sub.events) > 0
        )

    def _put_replies(self, frame: _Frame) -> None:
        sent = 0
        for message in self._replies:
            if not frame.add(message):
                break
            sent += 1
        del self._replies[:sent]

    def _put_events(self, frame: _Frame, now_s: float) -> None:
        if self._replies:
            return  # an answer (ok, reset) must not be overtaken by what it announces
        gathering = now_s < self._event_at_s
        for sub in self._subs.values():
            if sub.waiting or sub.events is None:
                continue
            while sub.past and frame.add(sub.past[0]):
                sub.past.pop(0)
            if sub.snapshot:
                self._put_pages(frame, sub)
            if gathering or sub.past or sub.snapshot or not self._waits(sub):
                continue
            channel = self.hub.channels[sub.name]
            assert isinstance(channel, EventChannel)
            messages = channel.take(sub.events, frame.room, FRAME_MESSAGES - len(frame.messages))
            frame.extend(messages)
            if messages and channel.behind(sub.events) == 0:
                self._event_at_s = now_s + GATHER_S

    def _put_snapshots(self, frame: _Frame) -> None:
        if self._replies:
            return
        for sub in self._subs.values():
            if sub.state is not None and sub.snapshot:
                self._put_pages(frame, sub)

    def _put_pages(self, frame: _Frame, sub: _Sub) -> None:
        """Snapshot pages while the frame has room: at most 1000 rows and 48 KB each."""
        while sub.snapshot and frame.room >= SNAP_BYTES:
            ids, rows = sub.pending[:PAGE_ROWS], self._rows(sub, sub.pending[:PAGE_ROWS])
            pages = list(chunked(rows, SNAP_BYTES)) or [[]]
            del sub.pending[: len(ids)]
            last = len(pages) - 1
            for index, page in enumerate(pages):
                more = index < last or bool(sub.pending)
                head = b'{"type":"snap","sub":%d,"ch":%s,"seq":%d,"part":%d,"more":%s,"rows":['
                more_text = b"true" if more else b"false"
                prefix = head % (sub.number, _encode(sub.name), sub.snap_seq, sub.part, more_text)
                message = prefix + b",".join(page) + b"]}"
                sub.part += 1
                if index == 0:
                    frame.extend([message])
                else:
                    self._replies.append(message)  # the rest of this page goes first into the next frames
            sub.snapshot = bool(sub.pending)
            if self._replies:
                return

    def _rows(self, sub: _Sub, ids: list[str]) -> list[bytes]:
        channel = self.hub.channels[sub.name]
        if isinstance(channel, StateChannel):
            assert sub.state is not None
            return channel.page(sub.state, ids)
        assert sub.events is not None
        return channel.page(sub.events, ids)

    def _put_deltas(self, frame: _Frame, now_s: float) -> None:
        late = False
        for sub in self._subs.values():
            if sub.state is None or sub.snapshot or now_s < sub.next_flush_s or self._replies:
                continue
            channel = self.hub.channels[sub.name]
            assert isinstance(channel, StateChannel)
            late = late or (sub.next_flush_s > 0 and now_s - sub.next_flush_s > 2 * sub.interval_s)
            sub.next_flush_s = self._grid(now_s, sub.interval_s)
            bodies = channel.deltas(sub.state)
            if bodies is None:
                self._reset(sub, "gap")
                sub.state, ids = channel.subscribe(sub.state.scope, sub.state.viewport)
                self._start_snapshot(sub, ids, channel.seq)
                continue
            prefix = b'{"type":"delta","sub":%d,"ch":%s,' % (sub.number, _encode(sub.name))
            for body in bodies:
                if self._replies or not frame.add(prefix + body):
                    self._replies.append(prefix + body)
        if late:
            self._degrade()
        elif self._degraded and not self._replies:
            self._degraded = False

    def _degrade(self) -> None:
        if not self._degraded:
            self._degraded = True
            self.degraded_times += 1
            self.note("degraded", "live.degraded")

    @staticmethod
    def _grid(now_s: float, interval_s: float) -> float:
        """The next multiple of the interval: viewers of one kind flush together and share one encoding."""
        return (now_s // interval_s + 1) * interval_s

    def _start_snapshot(self, sub: _Sub, ids: list[str], seq: int) -> None:
        sub.pending, sub.snap_seq, sub.part, sub.snapshot = ids, seq, 0, True
        sub.next_flush_s = 0.0  # deltas follow the last page at once, and are not late

    def _ok(self, sub: _Sub, channel: StateChannel | EventChannel, *, recovered: bool, schema: Any = None) -> None:
        more = {} if schema is None else {"schema": schema}
        self._reply(
            type="ok",
            i=sub.request,
            sub=sub.number,
            ch=sub.name,
            epoch=channel.epoch,
            seq=channel.seq,
            recovered=recovered,
            **more,
        )

    def _reset(self, sub: _Sub, why: str) -> None:
        self._reply(type="reset", sub=sub.number, ch=sub.name, why=why)

    def _err(self, message: dict[str, Any], code: int, text: str, *, temp: bool = False) -> None:
        self._reply(type="err", i=message.get("i"), code=code, msg=text, temp=temp)

    def _reply(self, **message: Any) -> None:
        self._say(_encode(message))

    def _say(self, *messages: bytes) -> None:
        if self.closed:
            return
        self._replies.extend(messages)
        if len(self._replies) > MAX_REPLIES:
            self._replies.clear()
            self.close(TOO_MANY, f"more than {MAX_REPLIES} answers were left unread")


class _Refused(Exception):
    """A request that is answered with `err`."""

    def __init__(self, code: int, text: str, *, temp: bool = False) -> None:
        super().__init__(text)
        self.code, self.temp = code, temp


class _Frame:
    """Messages that share one websocket frame."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self._size = 2

    @property
    def room(self) -> int:
        return 0 if len(self.messages) >= FRAME_MESSAGES else FRAME_BYTES - self._size

    def add(self, message: bytes) -> bool:
        """False when there is no room; the first message always fits."""
        if self.messages and len(message) + 1 > self.room:
            return False
        self.extend([message])
        return True

    def extend(self, messages: Iterable[bytes]) -> None:
        for message in messages:
            self.messages.append(message)
            self._size += len(message) + 1

    def bytes(self) -> bytes:
        return b"[" + b",".join(self.messages) + b"]"


def _viewport(message: dict[str, Any]) -> TileRange | None:
    bbox = message.get("bbox")
    if bbox is None:
        return None
    if not isinstance(bbox, list) or len(bbox) != 4 or not all(isinstance(v, (int, float)) for v in bbox):
        raise _Refused(BAD, "bbox must be four numbers: west, south, east, north")
    try:
        return covering((float(bbox[0]), float(bbox[1]), float(bbox[2]), float(bbox[3])))
    except ValueError as error:
        raise _Refused(BAD, str(error)) from error


def _since(message: dict[str, Any]) -> tuple[str, int] | None:
    since = message.get("since")
    if since is None:
        return None
    if not isinstance(since, dict):
        raise _Refused(BAD, "since must be an object {epoch, seq}")
    epoch, seq = since.get("epoch"), since.get("seq")
    if not isinstance(epoch, str) or not isinstance(seq, int) or isinstance(seq, bool) or seq < 0:
        raise _Refused(BAD, "since needs epoch (text) and seq (whole number)")
    return epoch, seq
