"""Dead letters put in again: once, whole, by whom the journal names, also when it was cut off in the middle."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from citybrain_testing.clocks import LEKIMA_US
from citybrain_testing.command import ADMIN, DUTY1, World, make_world
from citybrain_testing.letters import DirectReader, MemoryLetters
from citybrain_testing.logged import events_of, gauge, registry_of, rows_of, series
from command_center import letters as letters_module
from command_center.access.scope import Scope
from command_center.errors import Forbidden, Invalid
from command_center.letters import Letter, LetterFilter, LetterService, Replayed
from command_center.model import Actor, Role
from devices.registry import Registry
from storage.memory.command import MemoryStore
from stream.records import RETOLD, Appended, NewRecord

ALL = LetterFilter()
GATEWAY = gauge("gw", model="gateway-v1")
UNREGISTERED = registry_of([GATEWAY], [])
MENDED = registry_of([GATEWAY, gauge("child", gateway="gw"), gauge("g1")], [series(1, "child"), series(2, "g1")])


def letter(position: int, values: Any = None, **fields: Any) -> Letter:
    """A message of the child at second `position`, refused because nobody had registered it."""
    receive_us = LEKIMA_US + position * 1_000_000
    body = {"child": [{"ts": receive_us // 1000, "values": values or {"stage_m": float(position)}}]}
    defaults: dict[str, Any] = {
        "device_id": "gw",
        "receive_us": receive_us,
        "reasons": ("child 'child' is not registered",),
        "topic": "cb/v1/demo/gw/up/gw/telemetry",
        "payload": json.dumps(body).encode(),
    }
    return Letter(position=position, **(defaults | fields))


class Desk:
    """A service over a log, a store and a pipeline in memory."""

    def __init__(self, *kept: Letter, registry: Registry = MENDED) -> None:
        self.world: World = make_world(MemoryStore())
        self.letters, self.reader = MemoryLetters(kept), DirectReader(registry)
        self.service = self.fresh()

    def fresh(self, append: Any = None) -> LetterService:
        """As after a restart of the process."""
        world = self.world
        env, emit = world.center.env, world.changes.append
        return LetterService(self.letters, self.reader, append or world.log, world.store, env, emit)

    def replay(self, actor: Actor = ADMIN, asked: LetterFilter = ALL, **options: Any) -> Replayed:
        return asyncio.run(self.service.replay(actor, asked, **options))

    def stored(self) -> None:
        """The store's role catches up."""
        self.letters.store(self.world.log.records)

    def values(self) -> list[float]:
        return [row["result"] for row in rows_of(self.world.log.records)]

    def journalled(self) -> list[Any]:
        async def read() -> list[Any]:
            async with self.world.store.read() as tx:
                return list(await tx.journal("dead_letter", "", 50, None))

        return asyncio.run(read())


def test_what_is_valid_after_the_mend_is_history_and_marked() -> None:
    desk = Desk(letter(1), letter(2))
    done = desk.replay(reason="child 已登记")
    assert (done.matched, done.taken, done.rows, done.next) == (2, 2, 2, None)
    records = desk.world.log.records
    assert all(row["source"] & RETOLD for row in rows_of(records))
    assert [row["receive_us"] for row in rows_of(records)] == [LEKIMA_US + n * 1_000_000 for n in (1, 2)]
    marks = events_of(records, "dead_letter_replayed")
    assert [(m.data["letter"], m.data["outcome"], m.data["rows"], m.data["actor"]) for m in marks] == [
        (1, "taken", 1, "admin"),
        (2, "taken", 1, "admin"),
    ]
    (line,) = desk.journalled()
    assert (line.actor, line.reason, line.after["taken"], line.after["letters"]) == ("admin", "child 已登记", 2, 2)


def test_a_second_replay_leaves_out_what_was_taken() -> None:
    desk = Desk(letter(1))
    desk.replay()
    desk.stored()
    again = desk.replay()
    assert (again.already, again.taken, again.rows) == (1, 0, 0)
    assert desk.values() == [1.0]
    assert len(desk.journalled()) == 1


def test_before_the_store_has_caught_up_the_keys_keep_it_from_being_done_twice() -> None:
    desk = Desk(letter(1))
    desk.replay()
    length = len(desk.world.log.records)
    again = asyncio.run(desk.fresh().replay(ADMIN, ALL))  # `kill -9` of command, and nothing stored yet
    assert (again.already, again.taken) == (1, 0)
    assert len(desk.world.log.records) == length


def test_cut_off_in_the_middle_it_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(*(letter(n) for n in range(1, 6)))
    monkeypatch.setattr(letters_module, "PORTION_LETTERS", 2)

    class Dying:
        """The owner's door: its second answer never comes, though the log has the records."""

        calls = 0

        async def append(self, items: list[NewRecord]) -> list[Appended]:
            answer = await desk.world.log.append(items)
            self.calls += 1
            if self.calls == 2:
                raise TimeoutError
            return answer

    with pytest.raises(TimeoutError):
        asyncio.run(desk.fresh(Dying()).replay(ADMIN, ALL))
    assert desk.values() == [1.0, 2.0, 3.0, 4.0]
    done = desk.replay()
    assert (done.taken, done.already) == (1, 4)
    assert desk.values() == [1.0, 2.0, 3.0, 4.0, 5.0]
    desk.stored()
    assert desk.replay().already == 5


def test_what_is_still_wrong_is_counted_and_makes_no_second_letter() -> None:
    desk = Desk(letter(1), letter(2), registry=UNREGISTERED)
    done = desk.replay()
    assert (done.still_wrong, done.taken) == (2, 0)
    assert done.letters[0].reasons == ("child 'child' is not registered",)
    assert (desk.world.log.records, desk.journalled()) == ([], [])
    desk.reader.registry = MENDED
    assert desk.replay().taken == 2


def test_the_good_part_goes_in_and_the_rest_waits_for_the_next_mend() -> None:
    body = {"child": [{"ts": LEKIMA_US // 1000, "values": {"stage_m": 1.0}}], "other": [{"values": {"stage_m": 2.0}}]}
    desk = Desk(letter(1, payload=json.dumps(body).encode()))
    done = desk.replay()
    assert (done.partly, done.rows, done.letters[0].outcome) == (1, 1, "partly")
    desk.stored()
    again = desk.replay()
    assert (again.still_wrong, again.rows) == (1, 0)  # what stands is not told again
    more = [GATEWAY, gauge("child", gateway="gw"), gauge("other", gateway="gw")]
    desk.reader.registry = registry_of(more, [series(1, "child"), series(3, "other")])
    assert (desk.replay().taken, desk.values()) == (1, [1.0, 2.0])


def test_what_history_has_already_is_not_told_again() -> None:
    desk = Desk(letter(1))
    desk.letters.values.add((1, LEKIMA_US + 1_000_000, 1.0, None))
    done = desk.replay()
    assert (done.taken, done.rows) == (1, 0)
    assert [e.type for e in events_of(desk.world.log.records)] == ["dead_letter_replayed"]


def test_letters_that_cannot_be_put_in_are_named() -> None:
    desk = Desk(letter(1, payload=None), letter(2, truncated=True), letter(3, topic=""))
    done = desk.replay()
    assert (done.not_replayable, done.taken) == (3, 0)
    assert [one.reasons[0].split()[0] for one in done.letters] == ["over", "truncated:", "a"]


def test_a_dry_run_says_the_same_and_writes_nothing() -> None:
    desk = Desk(letter(1), letter(2, payload=b"{"))
    done = desk.replay(dry_run=True)
    assert (done.dry_run, done.taken, done.still_wrong, done.rows) == (True, 1, 1, 1)
    assert (desk.world.log.records, desk.journalled()) == ([], [])


def test_pages_go_on_at_next_until_there_are_no_more() -> None:
    desk = Desk(*(letter(n) for n in range(1, 6)))
    first = desk.replay(limit=2)
    second = desk.replay(limit=2, cursor=first.next)
    third = desk.replay(limit=2, cursor=second.next)
    assert [page.next for page in (first, second, third)] == ["2", "4", None]
    assert desk.values() == [1.0, 2.0, 3.0, 4.0, 5.0]
    with pytest.raises(Invalid):
        desk.replay(cursor="x")


def test_only_the_letters_that_were_asked_for() -> None:
    desk = Desk(letter(1), letter(2, device_id="other"), letter(3, reasons=("broken JSON",)))
    assert desk.replay(asked=LetterFilter(device_ids=("gw",), reason="not registered"), dry_run=True).matched == 1


def test_an_administrator_of_the_whole_tenant_does_it() -> None:
    desk = Desk(letter(1))
    district = Actor(username="a2", roles=frozenset({Role.ADMIN}), scope=Scope(areas=("3399",)))
    for actor in (DUTY1, district):
        with pytest.raises(Forbidden):
            desk.replay(actor)
    assert desk.world.log.records == []
