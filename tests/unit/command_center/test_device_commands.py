"""Commands to devices in any order of events: what the device does, what the broker does, what dies in between."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from citybrain_testing.command import ADMIN
from citybrain_testing.commanding import CommandWorld, command_world
from command_center.device_commands.model import DEVICE_COMMAND, OPEN, CommandState
from command_center.device_commands.ports import LineDown
from command_center.errors import Conflict
from command_center.follower import _acts
from stream.records import EventBody, Record, RecordKind, event

DEVICES = ("wl-1", "wl-2")
WORDS = ("received", "executed", "failed")
S = CommandState

says = st.tuples(
    st.just("say"), st.integers(0, 2), st.sampled_from(WORDS), st.sampled_from(("itself", "itself", *DEVICES))
)
rare = st.one_of(
    st.tuples(st.just("ask"), st.sampled_from(DEVICES), st.sampled_from(("clock_set", "interval_set"))),
    st.tuples(st.just("status"), st.sampled_from(DEVICES), st.sampled_from(("online", "offline", "no_data"))),
    st.tuples(st.just("broker"), st.booleans()),
)
waits = st.tuples(st.just("wait"), st.sampled_from((1, 20, 61, 601)))
acts = st.tuples(st.sampled_from(("send", "read", "fire", "restart")))
events = st.lists(st.one_of(says, waits, acts, acts, rare), min_size=4, max_size=25)


@dataclass
class Life:
    """One run, and what would have to be true at its end."""

    world: CommandWorld
    asked: list[str] = field(default_factory=list)
    expires_us: dict[str, int] = field(default_factory=dict)
    device_of: dict[str, str] = field(default_factory=dict)
    words: dict[str, list[str]] = field(default_factory=dict)  # in time, of the device itself, in the log's order

    async def live(self, steps: list[tuple[object, ...]]) -> None:
        for step in steps:
            await self.do(*step)

    async def do(self, what: object, *more: object) -> None:
        world, clock = self.world, self.world.devices.clock
        match what, more:
            case "ask", (str(device_id), str(method)):
                params = {} if method == "clock_set" else {"interval_s": 30}
                with contextlib.suppress(Conflict):
                    made = await world.commands.ask(ADMIN, device_id, method, params, "x")
                    self.asked.append(made.command_id)
                    self.expires_us[made.command_id] = made.expires_us
                    self.device_of[made.command_id] = device_id
                    self.words[made.command_id] = []
            case "say", (int(n), str(word), str(device_id)) if n < len(self.asked):
                command_id = self.asked[n]
                device_id = self.device_of[command_id] if device_id == "itself" else device_id
                world.says_unread(device_id, command_id, word)
                in_time = world.log.records[-1].at_us <= self.expires_us[command_id]
                if device_id == self.device_of[command_id] and in_time:
                    self.words[command_id].append(word)
            case "status", (str(device_id), str(status)):
                world.devices.status[device_id] = status
            case "broker", (bool(up),):
                world.line.up = up
            case "wait", (int(seconds),):
                clock.step(seconds)
                world.tick()
            case "send", ():
                await self.send()
            case "read", ():
                await world.drain()
            case "fire", ():
                await world.timers.run_due()
            case "restart", ():
                self.world = world.restarted()

    async def send(self) -> None:
        line, before = self.world.line, len(self.world.line.sent)
        with contextlib.suppress(LineDown):
            await self.world.sender.run_due()
        for device_id, body, _ in line.sent[before:]:
            assert self.world.devices.clock.city_us() < self.expires_us[body["id"]], "sent after its expiry"
            assert self.world.devices.status.get(device_id, "online") == "online"
            assert self.device_of[body["id"]] == device_id

    async def end(self) -> None:
        """Everything is read, and time passes until nothing can be open."""
        await self.do("wait", 700)
        await self.do("read")
        for _ in range(3):  # a timer that waited for the log fires a second later
            await self.do("fire")
            await self.do("wait", 2)
            await self.do("read")
        for command_id in self.asked:
            found = await self.world.now(command_id)
            last = next((w for w in self.words[command_id] if w != "received"), None)
            assert found.state is (S.EXPIRED if last is None else S(last.upper())), self.words[command_id]
            await self.went_by_the_table(command_id)
        async with self.world.devices.store.read() as tx:
            assert await tx.due_timers(2**60, 2**60, 100) == []

    async def went_by_the_table(self, command_id: str) -> None:
        journal = [a for a in await self.world.journal(command_id) if a != "reply not obeyed"]
        path = [S.QUEUED, *(S(action.upper()) for action in journal[1:])]
        assert all(DEVICE_COMMAND.allows(a, b) for a, b in itertools.pairwise(path)), path
        assert path[-1] not in OPEN


@given(steps=events)
@settings(max_examples=300)
def test_whatever_happens_the_devices_first_last_word_in_time_is_the_end(steps: list[tuple[object, ...]]) -> None:
    async def body() -> None:
        async with command_world(None) as world:
            life = Life(world)
            await life.live([("ask", "wl-1", "clock_set"), ("ask", "wl-2", "interval_set"), *steps])
            await life.end()

    asyncio.run(body())


def test_the_follower_opens_a_transaction_for_replies_and_not_for_other_events() -> None:
    def record(kind: str) -> Record:
        body = event(EventBody(type=kind, device_id="wl-1", receive_us=1, data={"state": "executed"})).body
        return Record(position=1, at_us=1, kind=RecordKind.EVENT, version=1, body=body)

    assert _acts(record("cmd_reply"))
    assert not any(_acts(record(kind)) for kind in ("device_event", "device_state", "device_attr", "ingest_note"))
