"""The chain in a real PostgreSQL: what a superuser does to it with the triggers off is found."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import psycopg
import pytest

from citybrain_testing.command import DUTY1, START_US, make_world, river, with_team
from command_center import chain
from command_center.chain import Break, What
from command_center.model import JournalEntry
from command_center.ports import Store
from devices.models import load_models
from devices.registry import Device
from rules.transitions import Kind
from storage import migrate as migrating
from storage.command import PostgresStore
from storage.command.journal import ChainWriter
from storage.database import Database
from storage.migrate import migrate, migrations
from storage.registry import RegistryStore

pytestmark = pytest.mark.database
replace = msgspec.structs.replace
FreshUrl = Callable[[], str]


def an_entry(n: int, **fields: object) -> JournalEntry:
    base = JournalEntry(
        seq=0,
        at_us=START_US + n,
        machine_us=START_US + n,
        actor="duty1",
        on_behalf_of="u1",
        entity="note",
        entity_id=f"N-{n}",
        action="write",
        before=None,
        after={
            "n": n,
            "ratio": n / 7,
            "big": 1e21,
            "zero": -0.0,
            "tiny": 5e-324,
            "text": "甲\x00乙",
            "list": [1.0, None],
        },
        reason="试验",
    )
    return replace(base, **fields)


@asynccontextmanager
async def a_journal(url: str, rows: int = 8) -> AsyncIterator[tuple[Database, Store]]:
    async with Database(url, "cmd") as database:
        await migrate(database, at_us=START_US, family="plain")
        store = PostgresStore(database)
        for n in range(rows):
            async with store.write() as tx:
                await tx.add_journal(an_entry(n))
        yield database, store


async def rows_of(store: Store) -> list[JournalEntry]:
    async with store.read() as tx:
        return await tx.journal_walk(0, 100_000)


def tamper(url: str, *statements: str) -> None:
    """As a superuser with every trigger off: what the database itself cannot refuse."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("SET session_replication_role = replica")
        for statement in statements:
            conn.execute(statement.encode())


def whats(breaks: list[Break]) -> set[tuple[What, int]]:
    return {(b.what, b.seq) for b in breaks}


def test_everything_that_people_and_engine_do_stands_in_one_whole_chain(fresh_url: FreshUrl) -> None:
    async def story() -> None:
        async with a_journal(fresh_url(), 0) as (_, store):
            world = await with_team(make_world(store))
            await world.happen(river(), Kind.RAISED, "orange", 4.6)
            [incident], _ = await world.center.incidents(DUTY1)
            await world.center.verify(DUTY1, incident.incident_id)
            await world.center.issue_tasks(DUTY1, incident.incident_id)
            rows = await rows_of(store)
            assert len({row.entity for row in rows}) >= 3
            assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
            assert chain.verify(rows) == []

    asyncio.run(story())


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE cmd.journal SET reason = 'x' WHERE seq = 4", (What.CHANGED, 4)),
        ("UPDATE cmd.journal SET after = jsonb_set(after, '{n}', '77') WHERE seq = 4", (What.CHANGED, 4)),
        ("UPDATE cmd.journal SET at = at + interval '1 microsecond' WHERE seq = 4", (What.CHANGED, 4)),
        ("DELETE FROM cmd.journal WHERE seq = 4", (What.REMOVED, 5)),
        ("DELETE FROM cmd.journal WHERE seq <= 2", (What.NO_BEGINNING, 3)),
    ],
    ids=["reason", "after", "time", "row", "beginning"],
)
def test_rewriting_one_row_with_the_triggers_off_is_found(
    fresh_url: FreshUrl, statement: str, found: tuple[What, int]
) -> None:
    url = fresh_url()

    async def story() -> None:
        async with a_journal(url) as (_, store):
            assert chain.verify(await rows_of(store)) == []
            tamper(url, statement)
            assert found in whats(chain.verify(await rows_of(store)))

    asyncio.run(story())


def test_the_database_refuses_a_row_that_does_not_follow_the_last_one(fresh_url: FreshUrl) -> None:
    url = fresh_url()
    statement = """INSERT INTO cmd.journal SELECT {seq}, at, machine_at, 'intruder', '', entity, entity_id, action, before, after,
                   reason, {prev}, hash FROM cmd.journal WHERE seq = 8"""

    async def story() -> None:
        async with a_journal(url):
            pass

    asyncio.run(story())
    with psycopg.connect(url, autocommit=True) as conn:
        for seq, prev in ((9, "prev_hash"), (10, "hash"), (3, "hash")):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match=f"row {seq} does not follow row 8"):
                conn.execute(statement.format(seq=seq, prev=prev).encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
            conn.execute("DELETE FROM cmd.journal WHERE seq = 1")


def test_two_writers_at_once_make_one_chain(fresh_url: FreshUrl) -> None:
    url = fresh_url()

    async def story() -> None:
        async with a_journal(url, 1) as (_, store), Database(url, "cmd") as second:

            async def write(to: Store, count: int) -> None:
                for n in range(count):
                    async with to.write() as tx:
                        await tx.add_journal(an_entry(n))
                        await tx.add_journal(an_entry(n))

            await asyncio.gather(write(store, 10), write(PostgresStore(second), 10))
            rows = await rows_of(store)
            assert len(rows) == 41
            assert chain.verify(rows) == []

    asyncio.run(story())


def test_rows_from_before_the_chain_are_counted_by_its_first_row(
    fresh_url: FreshUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = fresh_url()
    every = migrations()

    async def story() -> None:
        async with Database(url, "cmd") as database:
            monkeypatch.setattr(migrating, "migrations", lambda: [m for m in every if m.number < 125])
            await migrate(database, at_us=START_US, family="plain")
            old = """INSERT INTO journal (at, machine_at, actor, on_behalf_of, entity, entity_id, action, before, after, reason)
                     VALUES ('2019-08-09', '2026-01-01', 'duty1', '', 'task', 'T', 'accept', NULL, '{"a": 1.50}', '')"""
            async with database.transaction() as conn:
                for _ in range(3):
                    await conn.execute(old)
            monkeypatch.setattr(migrating, "migrations", lambda: every)
            await migrate(database, at_us=START_US)
            store = PostgresStore(database)
            async with store.write() as tx:
                await tx.add_journal(an_entry(1))
            rows = await rows_of(store)
            assert [(r.seq, r.action, bool(r.hash)) for r in rows[2:]] == [
                (3, "accept", False),
                (4, chain.BEGINS, True),
                (5, "write", True),
            ]
            assert rows[3].after is not None
            assert rows[3].after["rows"] == 3
            assert chain.verify(rows) == []
            tamper(url, "UPDATE cmd.journal SET actor = 'x' WHERE seq = 2")
            assert whats(chain.verify(await rows_of(store))) == {(What.OLDER_ROWS, 4)}

    asyncio.run(story())


def test_changes_of_the_device_register_stand_in_the_same_chain_with_before_and_after(fresh_url: FreshUrl) -> None:
    gauge = Device(
        device_id="wg-1", model="water-gauge-v1", kind="water_gauge", name="一号站", lon=121.4, lat=28.6, vendor="acme"
    )

    async def story() -> None:
        async with a_journal(fresh_url(), 1) as (database, store):
            world = make_world(store)
            register = RegistryStore(database, world.clock, load_models())
            await register.upsert([gauge], author="admin", reason="register")
            await register.upsert([gauge], author="admin", reason="the same again")
            await register.upsert(
                [replace(gauge, name="改名")], author="leader1", approver="duty1", reason="thresholds of stage_m"
            )
            await register.remove(["wg-1", "nobody"], author="admin", reason="dismantled")
            async with store.read() as tx:
                rows = [e for e in await tx.journal_walk(0, 100) if e.entity == "device"]
                assert chain.verify(await tx.journal_walk(0, 100)) == []
            assert [(r.action, r.actor, r.entity_id) for r in rows] == [
                ("register", "admin", "wg-1"),
                ("change", "leader1", "wg-1"),
                ("remove", "admin", "wg-1"),
            ]
            assert [(r.before or {}).get("name") for r in rows] == [None, "一号站", "改名"]
            assert [(r.after or {}).get("name") for r in rows] == ["一号站", "改名", None]
            assert "approver duty1" in rows[1].reason

    asyncio.run(story())


def test_many_rows_are_linked_in_one_go(fresh_url: FreshUrl) -> None:
    async def story() -> None:
        async with a_journal(fresh_url(), 1) as (database, store):
            async with database.transaction() as conn:
                writer = ChainWriter(conn)
                assert await writer.append([an_entry(n) for n in range(500)]) == 501
                assert await writer.append([an_entry(0)]) == 502
            assert chain.verify(await rows_of(store)) == []

    asyncio.run(story())


def test_command_and_register_share_one_transaction_and_one_chain(fresh_url: FreshUrl) -> None:
    """An approval is decided and carried out in one transaction: both write rows, in turn."""

    async def story() -> None:
        async with a_journal(fresh_url(), 2) as (database, store):
            async with database.transaction() as conn:
                first = ChainWriter(conn)
                await first.append([an_entry(1)])
                second = ChainWriter(conn)
                await second.append([an_entry(2)])
                await first.append([an_entry(3)])
                await second.append([an_entry(4)])
            rows = await rows_of(store)
            assert len(rows) == 6
            assert chain.verify(rows) == []

    asyncio.run(story())
