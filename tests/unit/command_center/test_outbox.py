"""Messages to people: queued with what causes them, sent once, told apart where they are not real."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest

from citybrain_testing.command import DUTY1, START_US, World, make_world, river, underpass, with_team
from citybrain_testing.duty import CLERK, HOUR_US
from command_center.access.personal import Sealer
from command_center.duty.service import DutyService
from command_center.duty.shifts import ShiftDraft
from command_center.errors import IllegalTransition
from command_center.model import Role, User
from command_center.outbox import (
    ATTEMPTS_MAX,
    TRANSITIONS,
    Happened,
    Message,
    NotSent,
    Outbox,
    OutboxState,
    Recipient,
    Sender,
    Sink,
    Swallow,
    advance,
    place,
)
from command_center.records import UserRecord
from rules.transitions import Kind
from storage.memory.command import MemoryStore

SEALER = Sealer({"k1": b"k" * 32}, "k1")
PHONE = "13805761234"


class Collector:
    """A sink of a test: keeps what it is given, refuses as long as `down`."""

    name = "collector"

    def __init__(self) -> None:
        self.down = False
        self.got: list[tuple[Message, Recipient]] = []

    async def send(self, message: Message, to: Recipient) -> None:
        if self.down:
            raise NotSent("HTTP 503")
        self.got.append((message, to))


def run(story: Callable[[World, MemoryStore], Coroutine[Any, Any, None]], kind: str = "real") -> None:
    async def body() -> None:
        store = MemoryStore()
        world = await with_team(make_world(store, outbox=Outbox(SEALER, kind)))
        async with store.write() as tx:
            user = User(username="duty1", name="值班员", roles=[Role.OPERATOR], phone=PHONE)
            await tx.put_user(UserRecord(user=user, password_hash="x"))
        await story(world, store)

    asyncio.run(body())


def sender(world: World, store: MemoryStore, sink: Sink | None) -> Sender:
    return Sender(store, world.clock, SEALER, sink)


def queued(store: MemoryStore) -> list[Message]:
    return sorted(store._state.outbox.values(), key=lambda m: m.changed_us)


def test_every_wish_that_the_table_does_not_name_is_refused() -> None:
    message = Message(
        message_id="m",
        key="k",
        kind="x",
        entity="",
        entity_id="",
        recipient="",
        text="",
        at_us=0,
        next_us=0,
        changed_us=0,
    )
    for state, happened in itertools.product(OutboxState, Happened):
        current = msgspec.structs.replace(message, state=state)
        if (state, happened) in TRANSITIONS:
            assert advance(current, happened, 1).state is TRANSITIONS[state, happened]
        else:
            with pytest.raises(IllegalTransition):
                advance(current, happened, 1)


def test_somebody_without_an_account_is_called_by_the_number_of_his_shift() -> None:
    async def story(world: World, store: MemoryStore) -> None:
        duty = DutyService(store, world.env, lambda change: None, SEALER)
        shift = ShiftDraft(
            post="duty_officer", name="王工", phone="13912345678", from_us=START_US - HOUR_US, to_us=START_US + HOUR_US
        )
        await duty.add_shift(CLERK, shift, "值班表")
        await world.happen(river(), Kind.RAISED, "orange", 4.6)
        sink = Collector()
        assert await sender(world, store, sink).step() == 1
        [(message, to)] = sink.got
        assert (to.username, to.name, to.phone) == ("王工", "王工", "13912345678")
        assert "13912345678" not in repr(message)

    run(story)


def test_who_is_called_about_an_alarm_gets_a_message_in_the_same_transaction() -> None:
    async def story(world: World, store: MemoryStore) -> None:
        await world.happen(river(), Kind.RAISED, "orange", 4.6)
        [message] = queued(store)
        assert message.text == "请确认告警：椒江水位超警戒（第 1 次呼叫）"
        assert (message.state, message.entity) == (OutboxState.QUEUED, "alarm")
        assert PHONE not in repr(message)  # sealed at rest
        sink = Collector()
        assert await sender(world, store, sink).step() == 1
        assert await sender(world, store, sink).step() == 0
        [(_, to)] = sink.got
        assert (to.username, to.phone) == ("duty1", PHONE)
        assert queued(store)[0].state is OutboxState.SENT

    run(story)


def test_the_next_person_gets_one_too_and_a_replayed_record_gives_none_again() -> None:
    async def story(world: World, store: MemoryStore) -> None:
        await world.happen(underpass(), Kind.RAISED, "red", 0.7)
        await world.later(60.1)
        assert len(queued(store)) == 2
        async with store.write() as tx:
            known = queued(store)[0]
            assert not await tx.put_message(msgspec.structs.replace(known, message_id="other"))
        assert len(queued(store)) == 2

    run(story)


@pytest.mark.parametrize(("kind", "word"), [("demo", "【演示】"), ("exercise", "【演练】"), ("test", "【测试】")])
def test_what_is_not_real_says_so_first_and_is_swallowed(kind: str, word: str) -> None:
    async def story(world: World, store: MemoryStore) -> None:
        await world.happen(river(), Kind.RAISED, "orange", 4.6)
        await sender(world, store, Swallow()).step()
        [message] = queued(store)
        assert message.text.startswith(word)
        assert message.state is OutboxState.SWALLOWED

    run(story, kind)


def test_a_refused_message_is_tried_again_later_and_at_last_given_up() -> None:
    async def story(world: World, store: MemoryStore) -> None:
        sink = Collector()
        sink.down = True
        await world.happen(river(), Kind.RAISED, "orange", 4.6)
        [message] = queued(store)
        work = sender(world, store, sink)
        waits = []
        for _ in range(ATTEMPTS_MAX):
            before = store._state.outbox[message.message_id]
            waits.append(round((before.next_us - before.changed_us) / 1e6))
            world.clock.step(max(0, before.next_us - world.clock.machine_us()) / 1e6)
            await work.step()
        after = store._state.outbox[message.message_id]
        assert waits == [0, 1, 2, 4, 8, 16, 32, 60]
        assert (after.state, after.attempts, after.error) == (OutboxState.FAILED, ATTEMPTS_MAX, "HTTP 503")
        assert await work.step() == 0

    run(story)


def test_without_a_sink_everything_waits() -> None:
    async def story(world: World, store: MemoryStore) -> None:
        await world.happen(river(), Kind.RAISED, "orange", 4.6)
        assert await sender(world, store, None).step() == 0
        assert queued(store)[0].state is OutboxState.QUEUED

    run(story)


def test_a_recipient_that_was_copied_from_another_message_is_not_sent() -> None:
    async def story(world: World, store: MemoryStore) -> None:
        await world.happen(river(), Kind.RAISED, "orange", 4.6)
        [message] = queued(store)
        foreign = SEALER.seal('{"username":"x"}', place("another"))
        store._state.outbox[message.message_id] = msgspec.structs.replace(message, recipient=foreign)
        sink = Collector()
        await sender(world, store, sink).step()
        assert sink.got == []
        assert queued(store)[0].state is OutboxState.FAILED

    run(story)


def test_a_failed_transaction_leaves_no_message() -> None:
    async def story(world: World, store: MemoryStore) -> None:
        outbox = Outbox(SEALER, "real")

        async def crash() -> None:
            async with store.write() as tx:
                await outbox.put(
                    tx, key="k", kind="x", entity="alarm", entity_id="a", to=Recipient(username="u"), text="t",
                    at_us=START_US, machine_us=START_US,
                )  # fmt: skip
                raise RuntimeError("crash")

        with pytest.raises(RuntimeError, match="crash"):
            await crash()
        assert queued(store) == []
        await world.center.alarms(DUTY1)

    run(story)
