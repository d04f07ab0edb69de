"""Dead letters: what ingest refused, put in again by one act once the register or a codec has been mended.

A letter is read by ingest's own pipeline (`LetterReader`), with the register of today and its own time of receipt. What comes of
it goes into the log through the owner's door as history (`RETOLD`), together with a mark that names the letter, in one append:
both are there or neither is. A letter that is marked `taken` is left out from then on; one that is still wrong stays as it is
and is counted. What history has already is not told again, and keys made of the letter's position keep an append that
was cut off from being done twice.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from command_center import metrics
from command_center.authority import Action, require
from command_center.cursors import row_number
from command_center.model import Actor
from command_center.ports import Append, Emit, Store
from command_center.work import Env, working
from stream.records import EventBody, NewRecord, ObsBatch, event, observations

LETTERS_MAX = 500  # of one call: a second's work, and at most 32 MiB of bytes; the next call goes on at `next`
PORTION_LETTERS = 100  # of one append
PORTION_BYTES = 4 * 1024**2
SHOWN_MAX = 100  # letters that one answer names with their reasons


class LetterFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which letters; what is not said does not matter."""

    device_ids: tuple[str, ...] | None = None
    reason: str = ""  # part of a reason, in whatever case
    codec: str = ""  # of frames on `up/raw/{codec}`; `json`: our own payloads
    from_us: int | None = None  # received at or after
    to_us: int | None = None  # received before


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """One dead letter. `payload` None: its bytes were not kept."""

    position: int
    device_id: str
    receive_us: int
    reasons: tuple[str, ...]
    topic: str
    payload: bytes | None
    by_tcp: bool = False
    truncated: bool = False
    taken: bool = False  # put in again already


class Reread(msgspec.Struct, frozen=True, kw_only=True):
    """What the pipeline makes of a letter today. `wrong`: what it refuses still; `refused`: why the letter cannot be put in at all."""

    rows: ObsBatch | None = None
    events: tuple[EventBody, ...] = ()
    wrong: tuple[str, ...] = ()
    refused: str = ""


class Letters(Protocol):
    """The store of letters (`storage.letters.LetterStore`). Raises Unavailable."""

    async def letters(self, asked: LetterFilter, after: int, limit: int) -> list[Letter]:
        """Oldest first, those behind a log position."""
        ...

    async def known_rows(self, batch: ObsBatch) -> npt.NDArray[np.bool_]:
        """(n,): whether history has the value already."""
        ...

    async def known_events(self, events: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """Of (device, event id), those that stand already."""
        ...


class LetterReader(Protocol):
    """Ingest's pipeline (`runtime.letters.PipelineReader`)."""

    async def read(self, letters: Sequence[Letter], *, anew: bool) -> Sequence[Reread]:
        """One for each, in their order. `anew`: these begin a run; what is left of the run before (parts of a message) is forgotten."""
        ...


class Outcome(StrEnum):
    TAKEN = "taken"
    PARTLY = "partly"  # the good part of it; the rest is still wrong, and the letter may be put in again
    STILL_WRONG = "still_wrong"
    NOT_REPLAYABLE = "not_replayable"
    ALREADY = "already"  # marked before


class Unplaced(msgspec.Struct, frozen=True, kw_only=True):
    """A letter that was not taken, or not wholly, and why."""

    position: int
    device_id: str
    receive_us: int
    outcome: Outcome
    reasons: tuple[str, ...]


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What one call did, or would do (`dry_run`). `next`: the cursor of the next call; None: there are no more."""

    dry_run: bool
    matched: int
    taken: int
    partly: int
    still_wrong: int
    not_replayable: int
    already: int
    rows: int
    events: int
    letters: tuple[Unplaced, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    letter: Letter
    outcome: Outcome
    rows: ObsBatch | None = None  # what history does not have yet
    events: tuple[EventBody, ...] = ()
    reasons: tuple[str, ...] = ()

    @property
    def counts(self) -> tuple[int, int]:
        return len(self.rows) if self.rows is not None else 0, len(self.events)


class LetterService:
    """One replay at a time."""

    def __init__(
        self, letters: Letters, reader: LetterReader, append: Append, store: Store, env: Env, emit: Emit
    ) -> None:
        self._letters, self._reader, self._append = letters, reader, append
        self._store, self._env, self._emit = store, env, emit
        self._lock = asyncio.Lock()

    async def replay(
        self,
        actor: Actor,
        asked: LetterFilter,
        *,
        dry_run: bool = False,
        limit: int = LETTERS_MAX,
        cursor: str = "",
        reason: str = "",
    ) -> Replayed:
        """Put at most `limit` letters in again, oldest first. Raises Forbidden, Invalid for a cursor that we did not give,
        Unavailable, and what the log raises (then some may have been put in; calling again does the rest)."""
        require(actor, Action.REPLAY_LETTERS, area="")  # a letter may be of a device that nobody placed
        after = row_number(cursor) or 0
        limit = min(limit, LETTERS_MAX)
        async with self._lock:
            letters = await self._letters.letters(asked, after, limit)
            done = await self._read(letters, anew=after == 0)
            if not dry_run and (work := [one for one in done if one.outcome in (Outcome.TAKEN, Outcome.PARTLY)]):
                # Before the first is put in: an act that the journal does not know must not have happened.
                await self._journal(actor, asked, done, reason)
                before = await self._put_in(actor, work)
                done = [one if one.letter.position not in before else _already(one) for one in done]
        if not dry_run:
            for outcome, count in Counter(one.outcome for one in done).items():
                metrics.LETTERS.labels(outcome.value).inc(count)
        following = str(letters[-1].position) if len(letters) == limit else None
        return _answer(done, dry_run=dry_run, following=following)

    async def _read(self, letters: Sequence[Letter], *, anew: bool) -> list[_Done]:
        fresh = [letter for letter in letters if not letter.taken]
        reread = dict(zip((one.position for one in fresh), await self._reader.read(fresh, anew=anew), strict=True))
        return [
            _Done(letter=letter, outcome=Outcome.ALREADY)
            if letter.taken
            else await self._judge(letter, reread[letter.position])
            for letter in letters
        ]

    async def _judge(self, letter: Letter, found: Reread) -> _Done:
        if found.refused:
            return _Done(letter=letter, outcome=Outcome.NOT_REPLAYABLE, reasons=(found.refused,))
        rows = found.rows
        if rows is not None:
            new = ~await self._letters.known_rows(rows)
            rows = ObsBatch(rows.table.filter(pa.array(new))) if new.any() else None
        known = await self._letters.known_events([(e.device_id, e.id) for e in found.events if e.id])
        events = tuple(e for e in found.events if (e.device_id, e.id) not in known)
        if not found.wrong:
            return _Done(letter=letter, outcome=Outcome.TAKEN, rows=rows, events=events)
        if rows is None and not events:
            return _Done(letter=letter, outcome=Outcome.STILL_WRONG, reasons=found.wrong)
        return _Done(letter=letter, outcome=Outcome.PARTLY, rows=rows, events=events, reasons=found.wrong)

    async def _journal(self, actor: Actor, asked: LetterFilter, done: Sequence[_Done], reason: str) -> None:
        counts = Counter(one.outcome.value for one in done)
        about = {"asked": msgspec.to_builtins(asked), "letters": len(done), **counts}
        async with working(self._store, self._env, self._emit, actor) as work:
            await work.journal("dead_letter", "", "replay", None, about, reason)

    async def _put_in(self, actor: Actor, work: Sequence[_Done]) -> set[int]:
        """Append; the positions of letters whose mark was in the log already."""
        before: set[int] = set()
        for portion in _portions([(one, self._records(actor, one)) for one in work]):
            answers = iter(await self._append.append([record for _, records in portion for record in records]))
            for one, records in portion:
                if [next(answers) for _ in records][-1].duplicate:
                    before.add(one.letter.position)
        return before

    def _records(self, actor: Actor, one: _Done) -> list[NewRecord]:
        """What goes into the log for a letter, the mark last."""
        name = f"dl:{one.letter.position}"
        found: list[NewRecord] = []
        if one.rows is not None:
            found.append(replace(observations(one.rows), key=f"{name}:{_hash(one.rows)}"))
        # An event with an id has the key that ingest gives it: told live and told again it is one.
        found += [event(e, key=f"e:{e.device_id}:{e.id}" if e.id else f"{name}:{i}") for i, e in enumerate(one.events)]
        rows, events = one.counts
        mark = EventBody(
            type="dead_letter_replayed",
            device_id=one.letter.device_id,
            receive_us=self._env.clock.city_us(),
            data={
                "letter": one.letter.position,
                "outcome": one.outcome.value,
                "rows": rows,
                "events": events,
                "actor": actor.username,
            },
            retold=True,
        )
        suffix = "" if one.outcome is Outcome.TAKEN else f":{_hash(one.rows)}:{events}"
        return [*found, event(mark, key=f"{name}:{one.outcome.value}{suffix}")]


def _hash(rows: ObsBatch | None) -> str:
    """Which values these are: a letter whose other half is mended later has other ones then."""
    if rows is None:
        return ""
    which = rows.numpy("datastream").astype(np.int64).tobytes() + rows.numpy("phenomenon_us").tobytes()
    return hashlib.blake2b(which, digest_size=8).hexdigest()


def _portions(
    work: Sequence[tuple[_Done, list[NewRecord]]],
) -> Iterator[list[tuple[_Done, list[NewRecord]]]]:
    """Letters of one append, which is one transaction of the log: a letter is never divided."""
    portion: list[tuple[_Done, list[NewRecord]]] = []
    size = 0
    for one, records in work:
        length = sum(len(record.body) for record in records)
        if portion and (len(portion) == PORTION_LETTERS or size + length > PORTION_BYTES):
            yield portion
            portion, size = [], 0
        portion.append((one, records))
        size += length
    if portion:
        yield portion


def _already(one: _Done) -> _Done:
    return _Done(letter=one.letter, outcome=Outcome.ALREADY)


def _answer(done: Sequence[_Done], *, dry_run: bool, following: str | None) -> Replayed:
    counts = Counter(one.outcome for one in done)
    unplaced = [
        Unplaced(
            position=one.letter.position,
            device_id=one.letter.device_id,
            receive_us=one.letter.receive_us,
            outcome=one.outcome,
            reasons=one.reasons,
        )
        for one in done
        if one.reasons
    ]
    return Replayed(
        dry_run=dry_run,
        matched=len(done),
        taken=counts[Outcome.TAKEN],
        partly=counts[Outcome.PARTLY],
        still_wrong=counts[Outcome.STILL_WRONG],
        not_replayable=counts[Outcome.NOT_REPLAYABLE],
        already=counts[Outcome.ALREADY],
        rows=sum(one.counts[0] for one in done),
        events=sum(one.counts[1] for one in done),
        letters=tuple(unplaced[:SHOWN_MAX]),
        next=following,
    )
