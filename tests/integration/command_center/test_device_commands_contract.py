"""Commands to devices: the same stories on the memory twin and on PostgreSQL."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable

import msgspec
import psycopg
import pytest

from citybrain_testing.command import ADMIN, DUTY1, LEADER
from citybrain_testing.commanding import CommandWorld, command_world
from citybrain_testing.devices_world import ACME, REGISTRAR, ZETA
from command_center.access.scope import Scope
from command_center.device_commands.model import DEVICE_COMMAND, OPEN, CommandState, DeviceCommand
from command_center.device_commands.service import OPEN_MAX
from command_center.errors import Conflict, Forbidden, Invalid, NotFound, Refused
from command_center.model import Actor, Role
from storage.command import PostgresStore

replace = msgspec.structs.replace
Story = Callable[[CommandWorld], Awaitable[None]]
Run = Callable[[Story], None]
S = CommandState
ELSEWHERE = Actor(username="admin3", roles=frozenset({Role.ADMIN}), scope=Scope(areas=("3310030",)))


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.database)])
def run(request: pytest.FixtureRequest) -> Run:
    url = request.getfixturevalue("fresh_url")() if request.param == "postgres" else None

    async def body(story: Story) -> None:
        async with command_world(url) as world:
            await story(world)

    return lambda story: asyncio.run(body(story))


async def interval(world: CommandWorld, device_id: str = "wl-1", seconds: float = 30.0) -> DeviceCommand:
    return await world.commands.ask(ADMIN, device_id, "interval_set", {"interval_s": seconds}, "加密观测")


def test_a_command_goes_from_the_queue_to_the_device_and_its_words_move_it(run: Run) -> None:
    async def story(world: CommandWorld) -> None:
        asked = await interval(world)
        assert asked.command_id.startswith("DC-20190809-000001-")
        assert (asked.state, asked.state_zh, asked.expires_us - asked.asked_us) == (S.QUEUED, "待发送", 600_000_000)
        assert await world.sender.run_due() == 1
        ((device_id, body, keep_s),) = world.line.sent
        assert (device_id, keep_s) == ("wl-1", 600)
        assert body == {
            "id": asked.command_id,
            "method": "interval_set",
            "params": {"interval_s": 30.0},
            "expires_at": asked.expires_us // 1000,
        }
        sent = await world.now(asked.command_id)
        assert (sent.state, sent.sends, sent.sent_us) == (S.SENT, 1, world.devices.clock.city_us())
        await world.says("wl-1", asked.command_id, "received")
        received = await world.now(asked.command_id)
        assert received.state is S.RECEIVED
        assert (await world.devices.care.care(DUTY1, "wl-1")).commands == [received]
        await world.says("wl-1", asked.command_id, "executed", {"interval_s": 30})
        done = await world.now(asked.command_id)
        assert (done.state, done.result, done.ended_us) == (S.EXECUTED, '{"interval_s":30}', done.changed_us)
        assert (await world.devices.care.care(DUTY1, "wl-1")).commands == []
        assert await world.journal(asked.command_id) == ["queue", "sent", "received", "executed"]
        await world.later(700)
        assert (await world.now(asked.command_id)).state is S.EXECUTED
        assert len(world.line.sent) == 1

    run(story)


def test_a_device_that_is_offline_gets_it_when_it_is_heard_again(run: Run) -> None:
    async def story(world: CommandWorld) -> None:
        world.devices.status["wl-1"] = "offline"
        asked = await interval(world)
        other = await interval(world, "wl-2")
        assert await world.sender.run_due() == 1
        assert [device_id for device_id, _, _ in world.line.sent] == ["wl-2"]
        assert (await world.now(asked.command_id)).state is S.QUEUED
        await world.later(300)
        world.devices.status["wl-1"] = "online"
        await world.says("wl-2", other.command_id, "executed")
        assert await world.sender.run_due() == 1
        assert (await world.now(asked.command_id)).state is S.SENT
        assert world.line.sent[-1][2] == 300, "the broker keeps it no longer than it is good for"

    run(story)


def test_what_nobody_answers_expires_and_is_not_sent_any_more(run: Run) -> None:
    async def story(world: CommandWorld) -> None:
        world.devices.status["wl-1"] = "no_data"
        asked = await interval(world)
        await world.later(599)
        assert (await world.now(asked.command_id)).state is S.QUEUED
        await world.later(2)
        over = await world.now(asked.command_id)
        assert (over.state, over.state_zh, over.sends) == (S.EXPIRED, "已过期", 0)
        world.devices.status["wl-1"] = "online"
        assert await world.sender.run_due() == 0
        assert world.line.sent == []
        async with world.devices.store.read() as tx:
            assert await tx.due_timers(2**52, 2**52, 10) == []
        assert await world.journal(asked.command_id) == ["queue", "expired"]

    run(story)


def test_an_expiry_outlives_a_restart(run: Run) -> None:
    async def story(world: CommandWorld) -> None:
        asked = await interval(world)
        await world.sender.run_due()
        after = world.restarted()
        after.devices.clock.step(700)
        await after.timers.run_due()
        assert (await after.now(asked.command_id)).state is S.SENT, "the log has not been read that far"
        await after.later(2)
        assert (await after.now(asked.command_id)).state is S.EXPIRED

    run(story)


def test_a_reply_that_was_in_time_counts_although_nobody_read_it_in_time(run: Run) -> None:
    """The log decides, not how far behind its reader was."""

    async def story(world: CommandWorld) -> None:
        asked = await interval(world)
        await world.sender.run_due()
        world.devices.clock.step(500)
        world.says_unread("wl-1", asked.command_id, "executed")
        after = world.restarted()
        await after.later(200, read=False)
        assert (await after.now(asked.command_id)).state is S.SENT
        await after.drain()
        assert (await after.now(asked.command_id)).state is S.EXECUTED
        await after.later(2)
        assert (await after.now(asked.command_id)).state is S.EXECUTED

    run(story)


def test_a_crash_between_the_broker_and_the_row_sends_it_again_under_the_same_id(run: Run) -> None:
    async def story(world: CommandWorld) -> None:
        asked = await interval(world)
        await world.line.publish("cb/v1/test/wl-1/down/cmd", msgspec.json.encode({"id": asked.command_id}), keep_s=1)
        await world.restarted().sender.run_due()
        assert [body["id"] for _, body, _ in world.line.sent] == [asked.command_id] * 2

    run(story)


def test_without_a_word_it_is_sent_again_less_and_less_often_until_it_expires(run: Run) -> None:
    async def story(world: CommandWorld) -> None:
        asked = await interval(world)
        at: list[int] = []
        for second in range(620):
            if await world.sender.run_due():
                at.append(second)
            await world.later(1)
        assert at == [0, 15, 45, 105, 225, 345, 465, 585]
        over = await world.now(asked.command_id)
        assert (over.state, over.sends) == (S.EXPIRED, 8)
        assert {body["id"] for _, body, _ in world.line.sent} == {asked.command_id}
        assert await world.journal(asked.command_id) == ["queue", "sent", "expired"]

    run(story)


def test_a_clock_set_says_the_time_of_its_sending(run: Run) -> None:
    async def story(world: CommandWorld) -> None:
        asked = await world.commands.ask(ACME, "wl-1", "clock_set", {}, "时钟偏差")
        assert (asked.params, asked.expires_us - asked.asked_us) == ({}, 60_000_000)
        world.line.up = False
        with pytest.raises(Exception, match="not connected"):
            await world.sender.run_due()
        await world.later(20)
        world.line.up = True
        await world.sender.run_due()
        await world.later(15)
        await world.sender.run_due()
        assert [body["params"]["ts"] * 1000 - asked.asked_us for _, body, _ in world.line.sent] == [
            20_000_000,
            35_000_000,
        ]
        assert {(body["expires_at"] * 1000, keep) for _, body, keep in world.line.sent} == {(asked.expires_us, 5)}

    run(story)


def test_what_the_broker_took_before_it_went_away_is_marked(run: Run) -> None:
    async def story(world: CommandWorld) -> None:
        one, two = await interval(world), await interval(world, "wl-2")
        world.line.ends_after = 1
        with pytest.raises(Exception, match="not connected"):
            await world.sender.run_due()
        states = [(await world.now(c.command_id)).state for c in (one, two)]
        assert states == [S.SENT, S.QUEUED]

    run(story)


def test_where_nobody_listens_it_stays_queued_and_says_so(run: Run) -> None:
    async def story(world: CommandWorld) -> None:
        asked = await interval(world)
        world.line.nobody.add("wl-1")
        await world.sender.run_due()
        waits = await world.now(asked.command_id)
        assert (waits.state, waits.sends, waits.error) == (S.QUEUED, 0, "nobody listens")
        assert await world.sender.run_due() == 0
        await world.later(5)
        world.line.nobody.clear()
        await world.sender.run_due()
        sent = await world.now(asked.command_id)
        assert (sent.state, sent.error) == (S.SENT, "")

    run(story)


def test_replies_that_are_not_obeyed_are_noted_once(run: Run) -> None:
    async def story(world: CommandWorld) -> None:
        asked = await interval(world)
        await world.sender.run_due()
        await world.says("wl-1", "DC-20190809-000099-ffffff", "executed")
        await world.says("wl-1", "clock-wl-1-1565362800000", "executed")
        for _ in range(3):
            await world.says("wl-2", asked.command_id, "executed")
        noted = await world.now(asked.command_id)
        assert (noted.state, noted.note) == (S.SENT, "wl-2 answered in its place (executed)")
        await world.says("wl-1", asked.command_id, "failed", "valve stuck")
        await world.says("wl-1", asked.command_id, "executed")
        await world.says("wl-1", asked.command_id, "failed")
        failed = await world.now(asked.command_id)
        assert (failed.state, failed.result) == (S.FAILED, "valve stuck")
        assert await world.journal(asked.command_id) == ["queue", "sent", "reply not obeyed", "failed"]

    run(story)


def test_a_reply_after_the_expiry_is_noted_and_not_obeyed(run: Run) -> None:
    async def story(world: CommandWorld) -> None:
        asked, late = await interval(world), await interval(world, "wl-2")
        await world.sender.run_due()
        world.devices.clock.step(601)
        await world.says("wl-2", late.command_id, "executed")
        before = await world.now(late.command_id)
        assert (before.state, before.note) == (S.SENT, "executed after its expiry"), "no timer has fired yet"
        await world.later(1)
        await world.says("wl-1", asked.command_id, "executed")
        over = [await world.now(c.command_id) for c in (asked, late)]
        assert [(c.state, c.note) for c in over] == [(S.EXPIRED, "executed after its expiry")] * 2

    run(story)


def test_duplicates_and_late_receipts_are_harmless(run: Run) -> None:
    async def story(world: CommandWorld) -> None:
        asked = await interval(world)
        await world.says("wl-1", asked.command_id, "executed")  # faster than our own mark
        first = await world.now(asked.command_id)
        assert first.state is S.EXECUTED
        for word in ("executed", "received", "executed"):
            await world.says("wl-1", asked.command_id, word)
        assert await world.now(asked.command_id) == first
        assert await world.sender.run_due() == 0

    run(story)


def test_who_may_command_what(run: Run) -> None:
    async def story(world: CommandWorld) -> None:
        ask = world.commands.ask
        for actor in (ADMIN, REGISTRAR, ACME):
            await ask(actor, "wl-1", "clock_set", {}, "校时")
        for actor in (ADMIN, DUTY1, LEADER):
            await ask(actor, "cam-1", "preset_goto", {"preset": 3}, "看桥下")
        for actor, device_id, method, error in (
            (DUTY1, "wl-1", "clock_set", Forbidden),
            (ACME, "cam-1", "preset_goto", Forbidden),
            (ACME, "wl-1", "siren.start", Forbidden),
            (ZETA, "wl-1", "clock_set", NotFound),
            (ELSEWHERE, "wl-1", "clock_set", NotFound),
            (ADMIN, "nobody", "clock_set", NotFound),
        ):
            with pytest.raises(error):
                await ask(actor, device_id, method, {}, "x")
        found, following = await world.commands.of_device(DUTY1, "wl-1", limit=2)
        assert ([c.asked_by for c in found], following) == (["acme1", "clerk1"], found[-1].command_id)
        rest, end = await world.commands.of_device(DUTY1, "wl-1", limit=2, cursor=following or "")
        assert ([c.asked_by for c in rest], end) == (["admin"], None)
        assert await world.commands.of_device(DUTY1, "wl-1", states=[S.FAILED]) == ([], None)
        assert (await world.commands.one(ACME, found[0].command_id)).command_id == found[0].command_id
        for actor in (ZETA, ELSEWHERE):
            with pytest.raises(NotFound):
                await world.commands.one(actor, found[0].command_id)
            with pytest.raises(NotFound):
                await world.commands.of_device(actor, "wl-1")

    run(story)


def test_what_cannot_be_done_is_refused_by_name(run: Run) -> None:
    async def story(world: CommandWorld) -> None:
        for device_id, method, params, why in (
            ("wl-1", "reboot", {}, "clock_set, interval_set, preset_goto"),
            ("wl-1", "interval_set", {}, "interval_s: interval_set needs it"),
            ("wl-1", "interval_set", {"interval_s": 0}, "expected 1 to 86400"),
            ("wl-1", "interval_set", {"interval_s": "30"}, "expected a number"),
            ("wl-1", "interval_set", {"interval_s": True}, "expected a number"),
            ("wl-1", "interval_set", {"interval_s": 3600}, "the register expects a report every 60 s"),
            ("wl-1", "clock_set", {"ts": 1}, "ts: clock_set has no such parameter"),
            ("wl-1", "preset_goto", {"preset": 1}, "not a camera"),
            ("cam-1", "preset_goto", {"preset": 1.5}, "whole number"),
            ("wl-child", "clock_set", {}, "through the gateway gw-1"),
            ("wl-off", "clock_set", {}, "switched off"),
        ):
            with pytest.raises(Invalid, match=why):
                await world.commands.ask(ADMIN, device_id, method, params, "x")
        with pytest.raises(Invalid, match="reason"):
            await world.commands.ask(ADMIN, "wl-1", "clock_set", {}, " ")
        for _ in range(OPEN_MAX):
            await interval(world)
        with pytest.raises(Conflict, match="16 open commands"):
            await interval(world)

    run(story)


@pytest.mark.parametrize("method", ["siren.start", "pump.stop", "gate.open", "gate", "valve.close"])
def test_what_moves_something_is_refused_with_every_condition_and_never_queued(run: Run, method: str) -> None:
    async def story(world: CommandWorld) -> None:
        world.devices.status["wl-1"] = "offline"
        with pytest.raises(Refused) as refused:
            await world.commands.ask(LEADER, "wl-1", method, {}, "内涝")
        reasons = " / ".join(refused.value.reasons)
        if method.startswith("valve"):
            assert "call its control room" in reasons
        else:
            for why in ("switched off", "offline", "remote", "feedback", "select and execute need a name each"):
                assert why in reasons
        assert await world.commands.of_device(LEADER, "wl-1") == ([], None)
        assert await world.sender.run_due() == 0
        async with world.devices.store.read() as tx:
            (entry,) = [e for e in await tx.journal("device", "wl-1", 10, None) if e.action == "actuator refused"]
        assert entry.actor == "leader1"
        assert entry.after == {"method": method, "unmet": refused.value.reasons}

    run(story)


def test_two_at_one_command_do_not_both_win(run: Run) -> None:
    async def story(world: CommandWorld) -> None:
        asked = await interval(world)
        sent = replace(asked, state=S.SENT, rev=2)
        async with world.devices.store.write() as tx:
            assert not await tx.update_device_command(sent, rev=2, states=[S.QUEUED])
            assert not await tx.update_device_command(sent, rev=1, states=[S.SENT])
            assert await tx.update_device_command(sent, rev=1, states=[S.QUEUED])
            assert not await tx.update_device_command(sent, rev=1, states=[S.QUEUED])

    run(story)


@pytest.mark.database
def test_the_database_refuses_what_no_command_may_be(fresh_url: Callable[[], str]) -> None:
    """Every pair of states against the table of the machine; what was asked never changes; nothing that moves is ever a row."""

    async def body() -> None:
        async with command_world(fresh_url()) as world:
            store = world.devices.store
            assert isinstance(store, PostgresStore)
            for source, to in itertools.product(S, S):
                asked = await interval(world, "wl-2")
                allowed = source is to or DEVICE_COMMAND.allows(source, to)
                path = [s for s in (S.SENT, S.RECEIVED) if source is S.RECEIVED] or (
                    [source] if source is not S.QUEUED else []
                )
                current = asked
                for state in path:
                    current = await forced(world, current, state)
                assert await can(world, current, to) is allowed, f"{source} -> {to}"
                async with store.write() as tx:
                    rest = await tx.device_commands("wl-2", states=OPEN)
                for command in rest:
                    await forced(world, command, S.EXPIRED)
            asked = await interval(world)
            with pytest.raises(psycopg.errors.CheckViolation):
                await made_another(store, asked)
            with pytest.raises(psycopg.errors.CheckViolation):
                async with store.write() as tx:
                    await tx.insert_device_command(replace(asked, command_id="DC-x", method="siren.start"))

    asyncio.run(body())


async def made_another(store: PostgresStore, command: DeviceCommand) -> None:
    async with store.write() as tx:
        change = "UPDATE device_command SET method = 'clock_set' WHERE command_id = %s"
        await tx.connection.execute(change, (command.command_id,))  # type: ignore[attr-defined]


async def forced(world: CommandWorld, command: DeviceCommand, to: CommandState) -> DeviceCommand:
    after = moved(command, to)
    async with world.devices.store.write() as tx:
        assert await tx.update_device_command(after, rev=command.rev, states=[command.state])
    return after


def moved(command: DeviceCommand, to: CommandState) -> DeviceCommand:
    ended = command.asked_us if to not in OPEN else None
    return replace(command, state=to, ended_us=ended, rev=command.rev + 1)


async def can(world: CommandWorld, command: DeviceCommand, to: CommandState) -> bool:
    """Whether the database lets the row go there, asked past our own table."""
    try:
        async with world.devices.store.write() as tx:
            return await tx.update_device_command(moved(command, to), rev=command.rev, states=[command.state])
    except psycopg.errors.CheckViolation:
        return False
