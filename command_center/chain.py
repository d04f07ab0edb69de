"""The journal as a chain of hashes: pure functions, no I/O, no clock.

Each row carries `hash` = SHA-256 over DOMAIN, the hash of the row before it, and the canonical bytes of its own columns. Who
changes, removes, inserts or reorders a row breaks the chain at that place; who computes all hashes anew from there on changes
the head, which anchors (`command_center/anchors.py`) have carried off the host. The canonical form is written down in
docs/decisions/0006-one-chain-for-the-journal.md; it depends on nothing that a database or a language prints.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Protocol

import msgspec

from command_center.model import JournalEntry

DOMAIN = b"citybrain.journal.v1\n"
ZERO = bytes(32)  # what the first row of a chain points to
JOURNAL = "journal"  # entity of the rows that the chain writes about itself
BEGINS = "chain_begins"  # states count and digest of rows that are older than the chain
ARCHIVED = "archived"  # the rows up to `to_seq` stand in an archive file and may be dropped here
BREAKS_MAX = 100  # a chain that is broken at more places than that is told as such, not listed to its end
WHOLE_LIMIT = 2**63
_DOUBLE = struct.Struct(">d")


class What(StrEnum):
    """What is wrong at a row, an anchor or an archive."""

    CHANGED = "changed"  # the row's columns are not those that were hashed
    REMOVED = "removed"  # rows are missing before this one
    UNLINKED = (
        "unlinked"  # it does not point to the row before it: inserted, reordered, or something between was taken out
    )
    UNHASHED = "unhashed"  # a row without a hash after the chain began
    NO_BEGINNING = "no_beginning"  # the first row is not the first of the chain, and no archive checkpoint says why
    OLDER_ROWS = "older_rows"  # rows from before the chain are not those that its first row counted
    ANCHOR_DIFFERS = "anchor_differs"  # the row is not the one that was signed: the chain was written anew
    ANCHOR_MISSING = "anchor_missing"  # a signed row is not there: the end of the journal was cut off
    ANCHOR_COUNT = "anchor_count"  # the number of rows up to there is not the signed one
    ANCHOR_FORGED = "anchor_forged"  # its signature is not ours, or it is of another tenant
    ARCHIVE_DIFFERS = "archive_differs"  # an archive file is not the one that the journal names


class Break(msgspec.Struct, frozen=True, kw_only=True):
    what: What
    seq: int  # of the row, or of the row that the anchor names
    detail: str
    anchor: str = ""  # where the anchor came from


class Anchored(Protocol):
    """What the chain needs of an anchor whose signature has been checked."""

    @property
    def seq(self) -> int: ...
    @property
    def hash(self) -> str: ...
    @property
    def count(self) -> int: ...


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The end of the chain: the newest row's number and hash, and how many rows there have ever been."""

    seq: int
    hash: str
    count: int


EMPTY = Head(seq=0, hash=ZERO.hex(), count=0)


def _whole(number: float) -> bool:
    """A whole number of 64 bits. A float is one as well as an int: jsonb does not tell 3.0 from 3."""
    return -WHOLE_LIMIT < number < WHOLE_LIMIT and number == int(number)


def normal(value: Any) -> Any:
    """The value as a journal column keeps it, so that it reads back the same from jsonb: whole floats become integers, what
    JSON has no number for (NaN, infinities) becomes null, as msgspec writes it; tuples become lists, keys text."""
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        return None if not math.isfinite(value) else int(value) if _whole(value) else value
    if isinstance(value, Mapping):
        return {str(key): normal(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [normal(item) for item in value]
    raise TypeError(f"the journal keeps JSON values, got {type(value).__name__}")


def canonical(value: Any) -> bytes:
    """One value as bytes, the same whoever writes them:

    null `n`, true `t`, false `f`; a whole number of less than 64 bits `i`, its decimal digits, `;`; another number `d` and its
    IEEE 754 double, 8 bytes big-endian; text `s`, the length of its UTF-8 bytes, `:`, the bytes; a list `l`, its length, `:`, its items; an object `m`, its
    size, `:`, its keys and values by the UTF-8 bytes of the keys. Raises TypeError for anything else.
    """
    parts: list[bytes] = []
    _canonical(value, parts.append)
    return b"".join(parts)


def _canonical(value: Any, put: Any) -> None:
    if isinstance(value, str):
        raw = value.encode()
        put(b"s%d:" % len(raw))
        put(raw)
    elif value is None:
        put(b"n")
    elif value is True:
        put(b"t")
    elif value is False:
        put(b"f")
    elif isinstance(value, int | float):
        put(b"i%d;" % int(value) if _whole(value) else b"d" + _DOUBLE.pack(value))
    elif isinstance(value, Mapping):
        put(b"m%d:" % len(value))
        for key, item in sorted((key.encode(), item) for key, item in value.items()):
            put(b"s%d:" % len(key))
            put(key)
            _canonical(item, put)
    elif isinstance(value, list | tuple):
        put(b"l%d:" % len(value))
        for item in value:
            _canonical(item, put)
    else:
        raise TypeError(f"{type(value).__name__} has no canonical form")


def row_bytes(entry: JournalEntry) -> bytes:
    """The canonical bytes of a row's columns, its two hashes left out."""
    return canonical(
        [
            entry.seq,
            entry.at_us,
            entry.machine_us,
            entry.actor,
            entry.on_behalf_of,
            entry.entity,
            entry.entity_id,
            entry.action,
            entry.before,
            entry.after,
            entry.reason,
        ]
    )


def digest(prev_hash: bytes, entry: JournalEntry) -> bytes:
    return hashlib.sha256(DOMAIN + prev_hash + row_bytes(entry)).digest()


def link(prev_hash: str, entry: JournalEntry) -> JournalEntry:
    """The row with its two hashes. `entry.seq` is its number already; before and after are `normal`."""
    hashed = digest(bytes.fromhex(prev_hash), entry).hex()
    return msgspec.structs.replace(entry, prev_hash=prev_hash, hash=hashed)


class Older:
    """Counts and hashes rows from before the chain, for its first row."""

    def __init__(self) -> None:
        self.count = 0
        self._hash = hashlib.sha256(DOMAIN)

    def add(self, entry: JournalEntry) -> None:
        self.count += 1
        self._hash.update(row_bytes(entry))

    def facts(self) -> dict[str, Any]:
        """What the first row of the chain states."""
        return {"version": 1, "rows": self.count, "sha256": self._hash.hexdigest()}


class Verifier:
    """Reads a run of rows in their order and says what is wrong with them; give it all rows, then `finish`.

    After a break it goes on from what it found, so that one change is told once and the next one too. Rows that were archived
    and dropped may be left out: then a row `archived` further on must say where the first one read goes on from.
    """

    def __init__(self, anchors: Sequence[tuple[str, Anchored]] = (), *, after: JournalEntry | None = None) -> None:
        """`after`: begin behind this row and take it for good; numbers of rows are not compared with anchors then."""
        self.breaks: list[Break] = []
        self.rows = 0
        self.anchors_checked = 0
        self._seq, self._hash, self._begun = 0, ZERO.hex(), False
        self._older = Older()
        self._start: tuple[int, str] | None = (
            None  # the row before the first one that was read, to be told by a checkpoint
        )
        self._before = 0  # rows that stand in archives that were not read
        self._anchors: dict[int, list[tuple[str, Anchored]]] = {}
        for source, anchor in anchors:
            self._anchors.setdefault(anchor.seq, []).append((source, anchor))
        self._counts: list[tuple[int, str, int]] = []  # (rows read up to an anchor, its source, what it says)
        self._partial = after is not None
        if after is not None and after.hash:
            self._seq, self._hash, self._begun = after.seq, after.hash, True

    @property
    def head(self) -> Head:
        return Head(seq=self._seq, hash=self._hash, count=self._before + self.rows)

    def extend(self, rows: Iterable[JournalEntry]) -> None:
        for row in rows:
            self.add(row)

    def add(self, row: JournalEntry) -> None:
        if not self._begun and not row.hash:
            self._add_older(row)
        else:
            self._add_linked(row)
        self._seq, self.rows = row.seq, self.rows + 1
        self._meet_anchors(row)

    def _add_older(self, row: JournalEntry) -> None:
        if row.seq <= self._seq:
            self._break(What.UNLINKED, row.seq, f"follows row {self._seq}")
        self._older.add(row)

    def _add_linked(self, row: JournalEntry) -> None:
        if not self._begun:
            self._begin(row)
        elif row.seq != self._seq + 1:
            missing = row.seq - self._seq - 1
            self._break(
                What.REMOVED if missing > 0 else What.UNLINKED,
                row.seq,
                f"{missing} rows are missing before it" if missing > 0 else f"it follows row {self._seq}",
            )
        if not row.hash:
            self._break(What.UNHASHED, row.seq, "it carries no hash")
            return
        if row.prev_hash != self._hash:
            self._break(What.UNLINKED, row.seq, "it does not point to the row before it")
        found = digest(bytes.fromhex(row.prev_hash or self._hash), row).hex()
        if found != row.hash:
            self._break(What.CHANGED, row.seq, f"its columns hash to {found[:16]}, it carries {row.hash[:16]}")
        self._hash = row.hash
        if row.entity == JOURNAL and row.action == ARCHIVED:
            self._meet_checkpoint(row)

    def _begin(self, row: JournalEntry) -> None:
        self._begun = True
        genesis = row.entity == JOURNAL and row.action == BEGINS
        if genesis and (self._older.count or row.seq == 1):
            said = {key: (row.after or {}).get(key) for key in ("rows", "sha256")}
            is_now = {key: self._older.facts()[key] for key in ("rows", "sha256")}
            if said != is_now:
                self._break(What.OLDER_ROWS, row.seq, f"it counted {said}, there are {is_now}")
        elif self._older.count:
            self._break(What.OLDER_ROWS, row.seq, f"no row {BEGINS!r} counts the {self._older.count} rows before it")
        elif row.seq != 1:
            self._start = (row.seq - 1, row.prev_hash)
            self._hash = row.prev_hash

    def _meet_checkpoint(self, row: JournalEntry) -> None:
        after = row.after or {}
        if self._start == (after.get("to_seq"), after.get("last_hash")):
            self._start, self._before = None, int(after.get("count", 0))

    def _meet_anchors(self, row: JournalEntry) -> None:
        for source, anchor in self._anchors.pop(row.seq, ()):
            self.anchors_checked += 1
            self._counts.append((self.rows, source, anchor.count))
            if anchor.hash != (row.hash or ZERO.hex()):
                detail = f"signed was {anchor.hash[:16]}, the row carries {row.hash[:16]}: it was written anew"
                self._break(What.ANCHOR_DIFFERS, row.seq, detail, anchor=source)

    def finish(self) -> list[Break]:
        """All breaks, those that only the end shows included."""
        if self._older.count and not self._begun:
            self._break(What.OLDER_ROWS, self._seq, f"no row {BEGINS!r} counts the {self._older.count} rows")
        if self._start is not None:
            self._break(
                What.NO_BEGINNING,
                self._start[0] + 1,
                f"the rows up to {self._start[0]} are gone, and no row says where to",
            )
        for read, source, count in self._counts:
            if self._start is None and not self._partial and read + self._before != count:
                detail = f"{count} rows were signed, there are {read + self._before}"
                self._break(What.ANCHOR_COUNT, 0, detail, anchor=source)
        for seq, anchors in sorted(self._anchors.items()):
            for source, anchor in anchors:
                if seq > 0 and (seq > self._seq or not self._is_before_the_first(seq)):
                    self._break(
                        What.ANCHOR_MISSING,
                        seq,
                        f"signed was row {seq}, the journal ends at {self._seq}",
                        anchor=source,
                    )
                elif seq == 0 and anchor.hash != ZERO.hex():
                    self._break(What.ANCHOR_DIFFERS, 0, "an empty journal has no hash", anchor=source)
        return self.breaks

    def _is_before_the_first(self, seq: int) -> bool:
        """Whether the row stands in an archive that was not read."""
        return seq <= self._seq - self.rows and self._before > 0

    def _break(self, what: What, seq: int, detail: str, *, anchor: str = "") -> None:
        if len(self.breaks) < BREAKS_MAX:
            self.breaks.append(Break(what=what, seq=seq, detail=detail, anchor=anchor))


def verify(rows: Iterable[JournalEntry], anchors: Sequence[tuple[str, Anchored]] = ()) -> list[Break]:
    """What is wrong with a journal; an empty list: nothing. `anchors` are (where from, anchor) with a good signature."""
    verifier = Verifier(anchors)
    verifier.extend(rows)
    return verifier.finish()
