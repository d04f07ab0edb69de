"""All rows out of one snapshot and back, on both tiers and from one to the other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest

from citybrain_testing.command import DUTY1, START_US, make_world, river, with_team
from citybrain_testing.servers import PrivatePostgres, Tier, private_postgres
from command_center import chain
from command_center.audit import feed
from rules.transitions import Kind
from storage.command import PostgresStore
from storage.database import Database
from storage.dump import DumpFacts, DumpWrong, NotEmpty, dumping, load
from storage.errors import MigrationChanged, SchemaAhead
from storage.migrate import migrate

pytestmark = pytest.mark.database
WEEK_US = 7 * 86_400_000_000


@pytest.fixture(scope="session")
def servers() -> Iterator[Any]:
    running: dict[str, PrivatePostgres] = {}
    from contextlib import ExitStack

    with ExitStack() as stack:

        def server(tier: Tier) -> PrivatePostgres:
            if tier not in running:
                running[tier] = stack.enter_context(private_postgres(tier=tier))
            return running[tier]

        yield server


class Memory:
    """Parts of a dump in memory."""

    def __init__(self) -> None:
        self.parts: dict[str, list[bytes]] = {}

    @contextmanager
    def part(self, table: str) -> Iterator[Any]:
        blocks = self.parts.setdefault(table, [])

        class Sink:
            def write(self, data: bytes) -> None:
                blocks.append(data)

        yield Sink()

    def source(self, table: str) -> list[bytes]:
        return self.parts[table]


async def fill(database: Database) -> None:
    """A night's work, and observations of some weeks."""
    world = await with_team(make_world(PostgresStore(database)))
    await world.happen(river(), Kind.RAISED, "orange", 4.6)
    [incident], _ = await world.center.incidents(DUTY1)
    await world.center.verify(DUTY1, incident.incident_id)
    await world.center.issue_tasks(DUTY1, incident.incident_id)
    async with database.transaction() as conn:
        await conn.execute("SELECT observation_ensure('2019-08-01', '2019-08-20')")
        await conn.execute(
            """INSERT INTO observation (datastream, phenomenon_time, receive_time, result, quality, source, seq)
               SELECT 7, TIMESTAMPTZ '2019-08-01 00:00Z' + n * INTERVAL '1 hour', '2019-08-01 00:00Z', n / 7.0, 1, 1, n
                 FROM generate_series(1, 400) AS n"""
        )


async def dump(database: Database, memory: Memory) -> DumpFacts:
    async with dumping(database) as open_dump:
        for table, _ in open_dump.tables:
            with memory.part(table) as sink:
                await open_dump.copy(table, sink)
        return open_dump.facts()


async def counts(database: Database, facts: DumpFacts) -> dict[str, int]:
    found = {}
    async with database.transaction() as conn:
        for table in facts.tables:
            row = await (await conn.execute(f"SELECT count(*) AS n FROM {table.name}".encode())).fetchone()  # noqa: S608
            assert row is not None
            found[table.name] = row["n"]
    return found


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("plain", "plain"),
        pytest.param("timescale", "timescale", marks=pytest.mark.timescale),
        pytest.param("timescale", "plain", marks=pytest.mark.timescale),
        pytest.param("plain", "timescale", marks=pytest.mark.timescale),
    ],
)
def test_every_row_comes_back_on_each_tier_and_from_one_to_the_other(servers: Any, source: Tier, target: Tier) -> None:
    memory = Memory()

    async def story() -> None:
        async with Database(servers(source).fresh_database(), "cmd") as old:
            await migrate(old, at_us=START_US)
            await fill(old)
            facts = await dump(old, memory)
            before = await counts(old, facts)
        assert before["observation"] == 400
        assert facts.family == source
        async with Database(servers(target).fresh_database(), "cmd") as new:
            await load(new, facts, memory.source, at_us=START_US)
            assert await new.family() == target
            assert await counts(new, facts) == before
            verifier = chain.Verifier()
            async with PostgresStore(new).read() as tx:
                await feed(verifier, tx, 0)
            assert verifier.rows > 3
            assert verifier.finish() == []
            again = Memory()
            assert (await dump(new, again)).sequences == facts.sequences
            for table in ("journal", "incident_timeline", "task", "alarm"):  # byte for byte
                assert b"".join(again.parts[table]) == b"".join(memory.parts[table]), table
            # what counts goes on counting, what is append-only refuses again
            world = make_world(PostgresStore(new))
            [incident], _ = await world.center.incidents(DUTY1)
            await world.center.note(DUTY1, incident.incident_id, "恢复以后")
            with pytest.raises(Exception, match="append-only"):
                async with new.transaction() as conn:
                    await conn.execute("DELETE FROM task_history")

    asyncio.run(story())


def test_a_dump_is_one_moment_though_people_work_on(servers: Any) -> None:
    memory = Memory()

    async def story() -> None:
        async with Database(servers("plain").fresh_database(), "cmd") as database:
            await migrate(database, at_us=START_US, family="plain")
            await fill(database)
            center = make_world(PostgresStore(database)).center
            [incident], _ = await center.incidents(DUTY1)
            async with dumping(database) as open_dump:
                head = await open_dump.journal_head()
                for table, _ in open_dump.tables:
                    await center.note(DUTY1, incident.incident_id, f"写于 {table}")
                    with memory.part(table) as sink:
                        await open_dump.copy(table, sink)
                facts = open_dump.facts()
            rows = {table.name: table.rows for table in facts.tables}
            assert rows["journal"] == head.count
            assert b"\xe5\x86\x99\xe4\xba\x8e" not in b"".join(memory.parts["journal"])

    asyncio.run(story())


def test_a_load_asks_for_an_empty_schema_and_the_same_migrations(servers: Any) -> None:
    memory = Memory()

    async def story() -> None:
        url = servers("plain").fresh_database()
        async with Database(url, "cmd") as database, Database(url, "other") as other:
            await migrate(database, at_us=START_US, family="plain")
            facts = await dump(database, memory)
            with pytest.raises(NotEmpty, match="'cmd' has"):
                await load(database, facts, memory.source, at_us=START_US)
            newer = msgspec.structs.replace(facts, migrations={**facts.migrations, "9999": "x"})
            with pytest.raises(SchemaAhead, match="9999"):
                await load(other, newer, memory.source, at_us=START_US)
            changed = msgspec.structs.replace(facts, migrations={**facts.migrations, "1": "x"})
            with pytest.raises(MigrationChanged):
                await load(other, changed, memory.source, at_us=START_US)

    asyncio.run(story())


def test_a_row_too_few_undoes_the_whole_load(servers: Any) -> None:
    memory = Memory()

    async def story() -> None:
        url = servers("plain").fresh_database()
        async with Database(url, "cmd") as database, Database(url, "other") as other:
            await migrate(database, at_us=START_US, family="plain")
            await fill(database)
            facts = await dump(database, memory)
            memory.parts["journal"] = [b"".join(memory.parts["journal"]).split(b"\n", 1)[1]]
            with pytest.raises(DumpWrong, match="journal"):
                await load(other, facts, memory.source, at_us=START_US)
            assert sum((await counts(other, facts)).values()) == 0

    asyncio.run(story())
