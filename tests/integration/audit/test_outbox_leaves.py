"""The outbox in a real database, and its two ways out over a real socket and a real directory."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from citybrain_testing.command import START_US, make_world
from citybrain_testing.command_store import command_store
from command_center.access.personal import Sealer
from command_center.outbox import Happened, Message, NotSent, Outbox, OutboxState, Recipient, Sender, advance
from command_center.ports import Store
from runtime.outbox_sinks import SIGNATURE, FileOut, Webhook
from runtime.settings import Settings
from storage.command.outbox import OtherKind, keep_kind
from storage.database import Database
from storage.migrate import migrate

pytestmark = pytest.mark.database
SEALER = Sealer({"k1": b"k" * 32}, "k1")
WHO = Recipient(username="duty1", name="值班员", phone="13805761234")


@pytest.fixture(params=["memory", "postgres"])
def run(request: pytest.FixtureRequest) -> Callable[[Any], None]:
    url = request.getfixturevalue("fresh_url")() if request.param == "postgres" else None

    async def body(story: Any) -> None:
        async with command_store(url) as store:
            await story(store)

    return lambda story: asyncio.run(body(story))


async def put(store: Store, key: str) -> bool:
    async with store.write() as tx:
        return await Outbox(SEALER, "real").put(
            tx, key=key, kind="alarm_call", entity="alarm", entity_id="a1", to=WHO, text="请确认告警\x00",
            at_us=START_US, machine_us=START_US,
        )  # fmt: skip


def test_a_key_is_queued_once_and_states_move_only_forward(run: Callable[[Any], None]) -> None:
    async def story(store: Store) -> None:
        assert [await put(store, "k1"), await put(store, "k1"), await put(store, "k2")] == [True, False, True]
        async with store.write() as tx:
            first, _ = await tx.due_messages(START_US, 9)
            assert await tx.due_messages(START_US - 1, 9) == []
            taken = advance(first, Happened.TAKEN, START_US + 5, sink="x")
            assert await tx.move_message(taken, before=first.state, attempts=first.attempts)
            assert not await tx.move_message(taken, before=first.state, attempts=first.attempts)
            assert (await tx.message(first.message_id)) == taken
            assert await tx.message("nobody") is None
            assert len(await tx.due_messages(START_US, 9)) == 1

    run(story)


def test_the_database_refuses_a_state_that_goes_back_and_another_text(fresh_url: Callable[[], str]) -> None:
    url = fresh_url()

    async def story() -> None:
        async with command_store(url) as store:
            await put(store, "k1")

    asyncio.run(story())
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("UPDATE cmd.outbox SET state = 'SENT'")
        for change in ("state = 'QUEUED'", "text = 'other'", "recipient = 'p1:k1:x'"):
            with pytest.raises(psycopg.errors.CheckViolation):
                conn.execute(f"UPDATE cmd.outbox SET {change}".encode())  # noqa: S608


def test_a_schema_keeps_its_kind_for_life(fresh_url: Callable[[], str]) -> None:
    async def story() -> None:
        async with Database(fresh_url(), "exercise1") as database:
            await migrate(database, at_us=START_US, family="plain")
            await keep_kind(database, "exercise")
            await keep_kind(database, "exercise")
            with pytest.raises(OtherKind, match="belongs to a tenant of kind 'exercise', not 'real'"):
                await keep_kind(database, "real")
            async with database.transaction() as conn:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    await conn.execute("UPDATE tenant_kind SET kind = 'real'")

    asyncio.run(story())


def a_message() -> Message:
    return Message(
        message_id="m1", key="k", kind="alarm_call", entity="alarm", entity_id="a1", recipient="sealed", text="请确认告警",
        at_us=START_US, next_us=0, changed_us=0,
    )  # fmt: skip


def test_a_webhook_gets_a_signed_body_and_is_asked_again_when_it_refuses(upstream: Any) -> None:
    proof = Settings().real_tenant()
    sink = Webhook(proof, [f"http://127.0.0.1:{upstream.port}/sms"], "k3y")
    asyncio.run(sink.send(a_message(), WHO))
    [body], [headers] = upstream.got, upstream.headers
    assert json.loads(body)["to"]["phone"] == WHO.phone
    assert headers["idempotency-key"] == "m1"
    assert headers[SIGNATURE.lower()] == "sha256=" + hmac.new(b"k3y", body, hashlib.sha256).hexdigest()
    upstream.answer = 302
    with pytest.raises(NotSent, match="HTTP 302"):
        asyncio.run(sink.send(a_message(), WHO))
    upstream.answer = 500
    with pytest.raises(NotSent, match="HTTP 500"):
        asyncio.run(sink.send(a_message(), WHO))


def test_the_second_url_is_tried_where_the_first_is_away(upstream: Any, closed_port: int) -> None:
    urls = [f"http://127.0.0.1:{closed_port}/", f"http://127.0.0.1:{upstream.port}/"]
    asyncio.run(Webhook(Settings().real_tenant(), urls, "k").send(a_message(), WHO))
    assert len(upstream.got) == 1


def test_a_file_is_laid_whole_for_another_program(tmp_path: Path) -> None:
    sink = FileOut(Settings().real_tenant(), tmp_path)
    asyncio.run(sink.send(a_message(), WHO))
    asyncio.run(sink.send(a_message(), WHO))
    assert [path.name for path in tmp_path.iterdir()] == ["m1.json"]
    assert json.loads((tmp_path / "m1.json").read_text())["text"] == "请确认告警"
    with pytest.raises(NotSent):
        asyncio.run(FileOut(Settings().real_tenant(), tmp_path / "gone").send(a_message(), WHO))


def test_from_the_row_to_the_webhook_over_a_real_database(fresh_url: Callable[[], str], upstream: Any) -> None:
    async def story() -> None:
        async with command_store(fresh_url()) as store:
            await put(store, "k1")
            clock = make_world(store).clock
            clock._machine_us = START_US
            sink = Webhook(Settings().real_tenant(), [f"http://127.0.0.1:{upstream.port}/"], "k")
            sender = Sender(store, clock, SEALER, sink)
            assert [await sender.step(), await sender.step()] == [1, 0]
            async with store.read() as tx:
                sent = await tx.message(json.loads(upstream.got[0])["id"])
            assert sent is not None
            assert msgspec.structs.replace(sent, recipient="") == msgspec.structs.replace(
                sent, recipient="", state=OutboxState.SENT, attempts=1
            )

    asyncio.run(story())
