"""Migrations run forward, once, on every tier, and end where schema.sql says."""

from __future__ import annotations

import asyncio
from importlib.resources import files

import pytest
from psycopg import sql

from citybrain_testing.servers import PrivatePostgres
from citybrain_testing.storing import T0_US
from storage import migrate as migrating
from storage.database import Connection, Database
from storage.errors import DatabaseUnavailable, MigrationChanged, SchemaAhead, SchemaMissing
from storage.migrate import Migration, for_family, migrate, migrations, pending

CATALOGUE = {
    "columns": """
        SELECT table_name, column_name, data_type, is_nullable, column_default, is_identity, collation_name
          FROM information_schema.columns WHERE table_schema = %(schema)s ORDER BY 1, 2""",
    "constraints": """
        SELECT r.relname, c.conname, pg_get_constraintdef(c.oid)
          FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid
          JOIN pg_namespace n ON n.oid = r.relnamespace WHERE n.nspname = %(schema)s ORDER BY 1, 2""",
    "indexes": """
        SELECT tablename, indexname, indexdef FROM pg_indexes
         WHERE schemaname = %(schema)s ORDER BY 1, 2""",
    "functions": """
        SELECT p.proname, pg_get_function_identity_arguments(p.oid), p.prosrc
          FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = %(schema)s ORDER BY 1, 2""",
    "triggers": """
        SELECT r.relname, t.tgname FROM pg_trigger t JOIN pg_class r ON r.oid = t.tgrelid
          JOIN pg_namespace n ON n.oid = r.relnamespace
         WHERE n.nspname = %(schema)s AND NOT t.tgisinternal ORDER BY 1, 2""",
    "partitioned": """
        SELECT r.relname, pg_get_partkeydef(r.oid), r.reloptions FROM pg_class r
          JOIN pg_namespace n ON n.oid = r.relnamespace
         WHERE n.nspname = %(schema)s AND r.relkind IN ('r', 'p') ORDER BY 1""",
}


async def catalogue(conn: Connection, schema: str) -> dict[str, list[tuple[str, ...]]]:
    found: dict[str, list[tuple[str, ...]]] = {}
    for name, query in CATALOGUE.items():
        rows = await (await conn.execute(query, {"schema": schema})).fetchall()
        plain = [tuple(str(value).replace(f"{schema}.", "") for value in row.values()) for row in rows]
        found[name] = [row for row in plain if row[0] != "schema_migration"]
    return found


def test_the_migrations_end_where_schema_sql_says(server: PrivatePostgres) -> None:
    url = server.fresh_database()

    async def work() -> None:
        async with Database(url, "migrated") as database:
            await migrate(database, at_us=T0_US)
            family = await database.family()
            assert family == server.tier
            async with database.dedicated() as conn:
                await conn.execute("CREATE SCHEMA drawn")
                await conn.execute("SELECT set_config('search_path', 'drawn,public', false)")
                script = files("storage").joinpath("schema.sql").read_text(encoding="utf-8")
                await conn.execute(for_family(script, family))
                drawn, migrated = await catalogue(conn, "drawn"), await catalogue(conn, "migrated")
        for what in CATALOGUE:
            assert drawn[what] == migrated[what], f"write the change into storage/schema.sql too ({what})"

    asyncio.run(work())


def test_migrating_again_does_nothing_and_two_at_once_do_it_once(server: PrivatePostgres) -> None:
    url = server.fresh_database()

    async def work() -> None:
        async with Database(url, "demo") as one, Database(url, "demo") as two, Database(url, "other") as other:
            with pytest.raises(SchemaMissing, match="demo"):
                await one.family()
            assert await pending(one) == migrations()
            if server.tier == "timescale":  # two CREATE EXTENSION at once collide in PostgreSQL itself
                await migrate(other, at_us=T0_US)
            done = await asyncio.gather(migrate(one, at_us=T0_US), migrate(two, at_us=T0_US))
            assert sorted(m.number for applied in done for m in applied) == [m.number for m in migrations()]
            assert await migrate(one, at_us=T0_US) == []
            assert await pending(one) == []
            assert await one.tier() == ("plain" if server.tier == "plain" else "timescale-apache")

    asyncio.run(work())


def test_a_changed_or_unknown_migration_is_refused(server: PrivatePostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    url = server.fresh_database()
    real = migrations()

    async def work() -> None:
        async with Database(url, "demo") as database:
            await migrate(database, at_us=T0_US)
            first = Migration(number=1, name=real[0].name, text=real[0].text + "-- changed")
            monkeypatch.setattr(migrating, "migrations", lambda: [first, *real[1:]])
            with pytest.raises(MigrationChanged, match="0001_observation_side"):
                await migrate(database, at_us=T0_US)
            monkeypatch.setattr(migrating, "migrations", lambda: real[1:])
            with pytest.raises(SchemaAhead, match=r"\[1\]"):
                await migrate(database, at_us=T0_US)

    asyncio.run(work())


def test_a_failing_migration_leaves_nothing_behind(server: PrivatePostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    url = server.fresh_database()
    bad = Migration(number=99, name="bad", text="CREATE TABLE half (x integer); SELECT 1/0;")
    monkeypatch.setattr(migrating, "migrations", lambda: [*migrations()[:1], bad])

    async def work() -> None:
        async with Database(url, "demo") as database:
            with pytest.raises(Exception, match="division by zero"):
                await migrate(database, at_us=T0_US)
            async with database.transaction() as conn:
                row = await (await conn.execute(sql.SQL("SELECT to_regclass('demo.half') AS found"))).fetchone()
            assert row == {"found": None}

    asyncio.run(work())


@pytest.mark.timescale
@pytest.mark.database
def test_a_tenant_may_stay_plain_where_timescaledb_is_there(timescale_server: PrivatePostgres) -> None:
    url = timescale_server.fresh_database()

    async def work() -> None:
        async with Database(url, "demo") as database, Database(url, "hyper") as hyper:
            await migrate(database, at_us=T0_US, family="plain")
            await migrate(hyper, at_us=T0_US)
            assert await database.tier() == "plain"
            assert await hyper.tier() == "timescale-apache"

    asyncio.run(work())


@pytest.mark.database
def test_a_server_that_is_not_there_is_one_error(plain_server: PrivatePostgres) -> None:
    url = plain_server.fresh_database().replace("dbname=test", "dbname=missing")

    async def work() -> None:
        async with Database(url, "demo", acquire_timeout_s=0.5) as database:
            with pytest.raises(DatabaseUnavailable):
                await database.ping()
            with pytest.raises(DatabaseUnavailable):
                await migrate(database, at_us=T0_US)

    asyncio.run(work())


def test_a_tenant_name_that_is_no_identifier_is_refused() -> None:
    for wrong in ("", "Demo", 'a"b', "a;b", "1a", "a-b"):
        with pytest.raises(ValueError, match="tenant"):
            Database("", wrong)
