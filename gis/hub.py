"""The hub: what every screen sees, as a snapshot and numbered deltas.

Two classes of channel. *State* (objects on the map, figures on a board): the latest value per id wins, and what a viewer has
not got yet is the set of ids that changed after its cursor, so a slow viewer costs nothing and is never cut off. *Event*
(alarms, incidents, tasks): every message, in order, resumable; the ring is shared, a viewer is a cursor into it, and one that
falls out of the ring has to start again.

No viewer has a queue of its own. A row is encoded once when it changes, and a delta once for all viewers that stand at the
same cursor with the same permission, which is why 50 walls cost little more than one.

Everything here is synchronous and belongs to one event loop: snapshot and registration happen in one step because there is no
await between them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from gis.points import check_lonlat
from gis.sight import UNLABELLED, Label, Seen, label_of, may_see
from gis.tiles import Tile, TileRange, tile_of

RING_EVENTS = 1_000  # resume is all or nothing within this many events (gis-live.md section 3.3)
MAX_TOMBSTONES = 10_000  # removed ids that a viewer may still have to hear about
DELTA_BYTES = 48_000  # a frame is capped at 64 KB; other messages share it
DELTA_CACHE = 64

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Row:
    """One object of a state channel. `ver` is the channel's sequence at its last change; `data` the encoded row."""

    ver: int
    label: Label  # permission: whose it is, where, about what
    tile: Tile | None
    data: bytes
    columns: bytes  # the encoded row without its version, to tell a change from a repetition

    @property
    def owner(self) -> str:
        return self.label.owner


@dataclass(slots=True)
class StateView:
    """One viewer's place in a state channel.

    `scope` None sees everything, otherwise what it covers (`gis.sight`). `viewport` None is the whole map. A filtered viewer keeps
    the ids it was told, so that it hears when one leaves; the others need no memory at all.
    """

    scope: Seen
    viewport: TileRange | None
    cursor: int
    known: set[str] = field(default_factory=set)

    @property
    def filtered(self) -> bool:
        return self.scope is not None or self.viewport is not None

    def sees(self, row: Row) -> bool:
        """Permission first, viewport second. A row without a place is in every viewport."""
        if not may_see(self.scope, row.label):
            return False
        return self.viewport is None or row.tile is None or row.tile in self.viewport


class StateChannel:
    """Latest value per id. `schema` names the columns of a row; `spatial` rows carry lon_e6 and lat_e6 after the version."""

    def __init__(self, name: str, epoch: str, schema: Sequence[str], *, spatial: bool) -> None:
        self.name, self.epoch, self.schema, self.spatial = name, epoch, list(schema), spatial
        self.seq = 0
        self.t_us = 0
        self.rows: dict[str, Row] = {}
        self.unchanged = 0  # puts that repeated what stood there
        self.tombstones_dropped = 0
        self._changed: dict[
            str, int
        ] = {}  # id -> seq of its last change, oldest first; an id without a row is a tombstone
        self._tombstones: dict[str, None] = {}
        self._floor = 0  # deltas from a cursor below this would miss a removal
        self._tiles: dict[Tile, set[str]] = {}
        self._cache: dict[tuple[int, int], list[bytes]] = {}

    def put(
        self,
        object_id: str,
        columns: Sequence[Any],
        *,
        t_us: int,
        lon: float | None = None,
        lat: float | None = None,
        owner: str = "",
        area: str | None = None,
        hazard: str | None = None,
    ) -> bool:
        """Set an object's row; False when nothing changed.

        The row is `[id, ver, *columns]`, in a spatial channel `[id, ver, lon_e6, lat_e6, *columns]`. Raises ValueError for a
        position that is not one (a spatial channel needs it).
        """
        tile: Tile | None = None
        values: list[Any] = list(columns)
        if self.spatial:
            x, y = check_lonlat(lon, lat)
            tile = tile_of(x, y)
            values = [round(x * 1e6), round(y * 1e6), *values]
        encoded = _encode(values)
        old = self.rows.get(object_id)
        label = label_of(owner, area, hazard)
        if old is not None and old.columns == encoded and old.label == label:
            self.unchanged += 1
            return False
        ver = self._advance(object_id, t_us)
        data = b"[" + _encode(object_id) + b",%d" % ver + (b"," + encoded[1:] if len(encoded) > 2 else b"]")
        self.rows[object_id] = Row(ver, label, tile, data, encoded)
        self._tombstones.pop(object_id, None)
        if tile is not None and (old is None or old.tile != tile):
            self._leave_tile(object_id, old)
            self._tiles.setdefault(tile, set()).add(object_id)
        return True

    def remove(self, object_id: str, *, t_us: int) -> bool:
        """Take an object away; False when it was not there."""
        old = self.rows.pop(object_id, None)
        if old is None:
            return False
        self._leave_tile(object_id, old)
        self._advance(object_id, t_us)
        self._tombstones[object_id] = None
        while len(self._tombstones) > MAX_TOMBSTONES:
            oldest = next(iter(self._tombstones))
            del self._tombstones[oldest]
            self._floor = max(self._floor, self._changed.pop(oldest))
            self.tombstones_dropped += 1
        return True

    def _leave_tile(self, object_id: str, row: Row | None) -> None:
        if row is None or row.tile is None:
            return
        members = self._tiles[row.tile]
        members.discard(object_id)
        if not members:
            del self._tiles[row.tile]

    def _advance(self, object_id: str, t_us: int) -> int:
        self.seq += 1
        self.t_us = max(self.t_us, t_us)
        self._changed.pop(object_id, None)
        self._changed[object_id] = self.seq
        return self.seq

    # -- viewers ---------------------------------------------------------------------------------------------------

    def subscribe(self, scope: Seen = None, viewport: TileRange | None = None) -> tuple[StateView, list[str]]:
        """Snapshot and registration in one step: the view stands at `seq`, the ids are those visible now.

        Rows are read when a page is sent (`page`), so a page never shows an object that has left meanwhile and a delta
        from the view's cursor completes it.
        """
        view = StateView(scope, viewport, self.seq)
        return view, self.visible_ids(view)

    def visible_ids(self, view: StateView) -> list[str]:
        """Ids that the view may see now, sorted."""
        return sorted(i for i in self._candidates(view.viewport) if view.sees(self.rows[i]))

    def _candidates(self, viewport: TileRange | None) -> Iterable[str]:
        if viewport is None or not self.spatial:
            return self.rows
        if viewport.size > len(self._tiles):
            return (i for tile, ids in self._tiles.items() if tile in viewport for i in ids)
        return (i for tile in viewport.tiles() for i in self._tiles.get(tile, ()))

    def page(self, view: StateView, ids: Iterable[str]) -> list[bytes]:
        """Encoded rows of those ids that are still there and visible."""
        rows = []
        for object_id in ids:
            row = self.rows.get(object_id)
            if row is None or not view.sees(row):
                continue
            if view.filtered:
                view.known.add(object_id)
            rows.append(row.data)
        return rows

    def look(self, view: StateView, viewport: TileRange | None) -> tuple[list[str], list[str]]:
        """Move the viewport: ids that come in (to be paged) and ids that the viewer should drop. Only the difference."""
        if not view.filtered:  # was looking at everything: from now on its memory counts
            view.known.update(self.rows)
        view.viewport = viewport
        visible = set(self.visible_ids(view))
        gone = sorted(view.known - visible)
        fresh = sorted(visible - view.known)
        view.known.difference_update(gone)
        return fresh, gone

    def can_resume(self, seq: int) -> bool:
        return self._floor <= seq <= self.seq

    def deltas(self, view: StateView) -> list[bytes] | None:
        """What changed after the view's cursor, as message bodies (see `_bodies`), and the cursor moved to `seq`.

        None when the cursor is older than the removals that are remembered: the viewer needs a new snapshot.
        """
        if view.cursor == self.seq:
            return []
        if view.cursor < self._floor:
            return None
        start, view.cursor = view.cursor, self.seq
        if view.filtered:
            return self._bodies(*self._filtered(view, start))
        key = (start, self.seq)
        bodies = self._cache.get(key)
        if bodies is None:
            if len(self._cache) >= DELTA_CACHE:
                self._cache.clear()
            bodies = self._cache[key] = self._bodies(*self._all(start))
        return bodies

    def _since(self, start: int) -> Iterator[str]:
        for object_id in reversed(self._changed):
            if self._changed[object_id] <= start:
                return
            yield object_id

    def _all(self, start: int) -> tuple[list[bytes], list[str]]:
        up, gone = [], []
        for object_id in self._since(start):
            row = self.rows.get(object_id)
            if row is None:
                gone.append(object_id)
            else:
                up.append(row.data)
        return up, gone

    def _filtered(self, view: StateView, start: int) -> tuple[list[bytes], list[str]]:
        up, gone = [], []
        for object_id in self._since(start):
            row = self.rows.get(object_id)
            if row is not None and view.sees(row):
                view.known.add(object_id)
                up.append(row.data)
            elif object_id in view.known:
                view.known.discard(object_id)
                gone.append(object_id)
        return up, gone

    def _bodies(self, up: list[bytes], gone: list[str]) -> list[bytes]:
        """The tail of one or more `delta` messages, each at most DELTA_BYTES: `"seq":..,"t":..,"up":[..],"rm":[..]}`."""
        if not up and not gone:
            return []
        head = b'"seq":%d,"t":%d,"up":[' % (self.seq, self.t_us)
        bodies = [head + b",".join(chunk) + b'],"rm":[]}' for chunk in chunked(up, DELTA_BYTES)]
        ids = [_encode(object_id) for object_id in gone]
        return bodies + [head + b'],"rm":[' + b",".join(chunk) + b"]}" for chunk in chunked(ids, DELTA_BYTES)]


@dataclass(frozen=True, slots=True)
class Event:
    """One message of an event channel, encoded. `side` marks a second event at a sequence that was used already."""

    ordinal: int
    seq: int
    side: bool
    label: Label
    data: bytes
    left: Label | None  # where the object was until this event: who sees only there gets `left_data` instead
    left_data: bytes
    total_bytes: int  # of all events up to this one: a difference is a backlog's size


@dataclass(frozen=True, slots=True)
class PastEvent:
    """An event older than the ring, from the place where history is kept."""

    seq: int
    kind: str
    id: str
    rev: int
    data: Any
    t_us: int
    owner: str = ""
    area: str | None = None
    hazard: str | None = None

    @property
    def label(self) -> Label:
        return Label(owner=self.owner, area=self.area, hazard=self.hazard)


KeptEvent = tuple[int, bool, Label, bytes]
"""What `dump` keeps of an event: sequence, side, label, message."""


@dataclass(slots=True)
class EventView:
    """One viewer's place in an event channel: the ordinal it wants next. Events at or below `after_seq` it has already."""

    scope: Seen
    cursor: int
    after_seq: int = -1


@dataclass(slots=True)
class _Open:
    rev: int
    label: Label
    data: bytes

    @property
    def owner(self) -> str:
        return self.label.owner


class EventChannel:
    """Ordered, lossless messages about objects, and the objects that are open now.

    Sequences come from outside (the log, or the database) and may have holes; they never fall. An event that comes with a
    sequence that was passed already (a side event, or commits that overtook each other) is sent at the head, marked, so that
    a viewer that resumes from that sequence gets it again rather than not at all.
    """

    def __init__(self, name: str, epoch: str, start_seq: int = 0) -> None:
        self.name, self.epoch = name, epoch
        self.seq = start_seq
        self.objects: dict[str, _Open] = {}
        self.evicted = 0
        self._ring: deque[Event] = deque()
        self._next = 0
        self._floor = start_seq  # the ring is complete for a viewer that has everything up to here
        self._bytes = 0
        self._wakes: set[Callable[[], None]] = set()

    def start_at(self, seq: int, epoch: str | None = None) -> None:
        """Before the first event: history up to `seq` is not in the ring."""
        if self._ring:
            raise ValueError(f"channel {self.name} has events already")
        self.seq = self._floor = seq
        self.epoch = epoch or self.epoch

    def skip_to(self, seq: int) -> None:
        """Events up to `seq` happened elsewhere and are not in the ring: viewers that need them load history."""
        if seq > self.seq:
            self._ring.clear()
            self.seq = self._floor = seq

    def load(self, object_id: str, rev: int, data: Any, label: Label = UNLABELLED) -> None:
        """Put an open object into the snapshot without an event (at start, or a correction that is no event)."""
        self.objects[object_id] = _Open(rev, label, _encode(data))

    def publish(
        self,
        *,
        seq: int,
        kind: str,
        object_id: str,
        rev: int,
        data: Any,
        t_us: int,
        owner: str = "",
        area: str | None = None,
        hazard: str | None = None,
        keep: bool = True,
    ) -> Event:
        """One event for everybody who may see it. `keep` False: the object leaves the snapshot with this event."""
        before = self.objects.pop(object_id, None)
        encoded = _encode(data)
        side = seq <= self.seq
        self.seq = max(seq, self.seq)
        label = label_of(owner, area, hazard)
        left: Label | None = None
        left_data = b""
        if before is not None and before.label != label:
            left = before.label
            left_data = self.message(self.seq, t_us, "removed", object_id, rev, _encode({"id": object_id}))
        message = self.message(self.seq, t_us, kind, object_id, rev, encoded)
        if keep:
            self.objects[object_id] = _Open(rev, label, encoded)
        self._bytes += len(message)
        event = Event(self._next, self.seq, side, label, message, left, left_data, self._bytes)
        self._next += 1
        self._ring.append(event)
        if len(self._ring) > RING_EVENTS:
            dropped = self._ring.popleft()
            self._floor = dropped.seq + (1 if dropped.side else 0)
            self.evicted += 1
        for wake in list(self._wakes):
            wake()
        return event

    def message(self, seq: int, t_us: int, kind: str, object_id: str, rev: int, data: bytes) -> bytes:
        head = b'{"type":"ev","ch":%s,"seq":%d,"t":%d,"kind":%s,"id":%s,"rev":%d,"data":'
        return head % (_encode(self.name), seq, t_us, _encode(kind), _encode(object_id), rev) + data + b"}"

    # -- viewers ---------------------------------------------------------------------------------------------------

    def subscribe(self, scope: Seen = None) -> tuple[EventView, list[str]]:
        """Snapshot and registration in one step: ids of the open objects now, and a view that continues from here."""
        ids = [i for i, o in self.objects.items() if may_see(scope, o.label)]
        return EventView(scope, self._next), ids

    def page(self, view: EventView, ids: Iterable[str]) -> list[bytes]:
        rows = []
        for object_id in ids:
            found = self.objects.get(object_id)
            if found is not None and may_see(view.scope, found.label):
                rows.append(found.data)
        return rows

    def resume(self, since_seq: int, scope: Seen = None) -> EventView | None:
        """A view that continues after `since_seq`, or None when the ring does not reach back that far.

        A viewer that is ahead of us (we restarted and are still reading the log) waits for what it has not seen.
        """
        if since_seq < self._floor:
            return None
        for event in self._ring:
            if event.seq > since_seq or (event.seq == since_seq and event.side):
                return EventView(scope, event.ordinal, since_seq)
        return EventView(scope, self._next, since_seq)

    @property
    def floor_seq(self) -> int:
        """The ring can continue from any sequence that is at least this."""
        return self._floor

    def behind(self, view: EventView) -> int:
        """Events that the view has not taken."""
        return self._next - view.cursor

    def behind_bytes(self, view: EventView) -> int:
        if view.cursor >= self._next or not self._ring:
            return 0
        first = self._ring[max(0, view.cursor - self._ring[0].ordinal)]
        return self._bytes - first.total_bytes + len(first.data)

    def lost(self, view: EventView) -> bool:
        """True when the ring has dropped an event that the view had not taken."""
        return view.cursor < (self._ring[0].ordinal if self._ring else self._next)

    def take(self, view: EventView, max_bytes: int, max_events: int) -> list[bytes]:
        """The next messages for the view, in order, within the bounds (at least one, however large)."""
        if view.cursor >= self._next:
            return []
        messages: list[bytes] = []
        size = 0
        first = self._ring[0].ordinal
        while view.cursor < self._next and len(messages) < max_events:
            event = self._ring[view.cursor - first]
            message = self._for(view, event)
            if message is not None:
                size += len(message) + 1
                if messages and size > max_bytes:
                    break
                messages.append(message)
            view.cursor += 1
        return messages

    @staticmethod
    def _for(view: EventView, event: Event) -> bytes | None:
        if event.seq <= view.after_seq and not event.side:
            return None
        if may_see(view.scope, event.label):
            return event.data
        if event.left is not None and may_see(view.scope, event.left):
            return event.left_data
        return None

    def on_event(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` (which must not block) at every event; returns the way out."""
        self._wakes.add(wake)
        return lambda: self._wakes.discard(wake)

    def dump(self, last: int) -> tuple[int, int, list[KeptEvent]]:
        """(seq, floor, events): the newest events of the ring and from where they are complete; resume survives a restart."""
        events = list(self._ring)
        kept = events[-last:] if last else []
        floor = self._floor
        if len(kept) < len(events):
            before = events[len(events) - len(kept) - 1]
            floor = before.seq + (1 if before.side else 0)
        return self.seq, floor, [(e.seq, e.side, e.label, e.data) for e in kept]

    def restore(self, seq: int, floor: int, events: Iterable[KeptEvent]) -> None:
        """Take over what `dump` gave. Only before the first event."""
        self.start_at(seq)
        self._floor = floor
        for event_seq, side, label, data in events:
            self._bytes += len(data)
            self._ring.append(Event(self._next, event_seq, side, label, data, None, b"", self._bytes))
            self._next += 1


Channel = StateChannel | EventChannel
_C = TypeVar("_C", StateChannel, EventChannel)


class Hub:
    """All channels of one tenant. `epoch` names this start of the process; event channels may bring a lasting one."""

    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        self.channels: dict[str, Channel] = {}

    def state(self, name: str, schema: Sequence[str], *, spatial: bool = True) -> StateChannel:
        """Create a state channel. `schema` leaves out nothing: it is what the client is told."""
        channel = StateChannel(name, self.epoch, schema, spatial=spatial)
        return self._add(name, channel)

    def events(self, name: str, *, epoch: str | None = None, start_seq: int = 0) -> EventChannel:
        channel = EventChannel(name, epoch or self.epoch, start_seq)
        return self._add(name, channel)

    def _add(self, name: str, channel: _C) -> _C:
        if name in self.channels:
            raise ValueError(f"channel {name!r} exists already")
        self.channels[name] = channel
        return channel


def chunked(fragments: Sequence[bytes], max_bytes: int) -> Iterator[list[bytes]]:
    """Runs of fragments whose sizes add up to at most `max_bytes` each; a single larger fragment stands alone."""
    run: list[bytes] = []
    size = 0
    for fragment in fragments:
        if run and size + len(fragment) + 1 > max_bytes:
            yield run
            run, size = [], 0
        run.append(fragment)
        size += len(fragment) + 1
    if run:
        yield run
