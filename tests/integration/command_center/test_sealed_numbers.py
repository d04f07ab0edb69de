"""People's telephone numbers stand nowhere in clear: not in a table, not in a journal row; and a new key seals them again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from psycopg import sql

from citybrain_testing.command import START_US
from citybrain_testing.command_store import SEALER
from citybrain_testing.storing import StillClock
from command_center.access.people import PeopleService
from command_center.access.personal import Sealer, Unsealable
from command_center.errors import Invalid
from command_center.model import Actor, Role, User
from command_center.users import UserService
from storage.command import PostgresStore
from storage.database import Database
from storage.migrate import migrate

pytestmark = pytest.mark.database
NUMBER = "13805761234"
SECURITY = Actor(username="security", roles=frozenset({Role.SECURITY}))
NEWER = Sealer({"k1": b"1" * 32, "k2": b"2" * 32}, "k2")
DUTY = User(username="duty1", name="林晓", roles=[Role.OPERATOR], phone=NUMBER)


@pytest.fixture
def database_url(fresh_url: Callable[[], str]) -> str:
    return fresh_url()


def in_schema(url: str, work: Any) -> None:
    async def run() -> None:
        async with Database(url, "sealed") as database:
            await migrate(database, at_us=START_US, family="plain")
            await work(database)

    asyncio.run(run())


async def found_in_clear(database: Database, text: str) -> list[str]:
    """Tables of the schema of which a row, as text, has the words."""
    async with database.transaction() as conn:
        tables = await (
            await conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1")
        ).fetchall()
        found = []
        for table in tables:
            name = sql.Identifier(table["tablename"])
            query = sql.SQL("SELECT count(*) AS n FROM {0} AS t WHERE strpos(t::text, %s) > 0").format(name)
            row = await (await conn.execute(query, (text,))).fetchone()
            if row is not None and row["n"]:
                found.append(str(table["tablename"]))
    return found


def people_of(store: PostgresStore) -> PeopleService:
    clock = StillClock()
    return PeopleService(UserService(store, clock), store, clock, on_change=lambda record, sid: None)


def test_a_users_number_is_sealed_wherever_it_goes(database_url: str) -> None:
    async def work(database: Database) -> None:
        store = PostgresStore(database, SEALER)
        people = people_of(store)
        await people.create(SECURITY, DUTY, "correct horse battery")
        await people.change(SECURITY, "duty1", {"phone": "13805769999"}, reason="换号")
        await people.change(SECURITY, "duty1", {"phone": NUMBER}, reason="换回")
        assert await found_in_clear(database, "林晓") == ["app_user", "journal"], (
            "the search itself finds what is there"
        )
        assert await found_in_clear(database, NUMBER) == []
        assert await found_in_clear(database, "13805769999") == []
        async with store.read() as tx:
            record = await tx.user("duty1")
            assert record is not None
            assert record.user.phone == NUMBER, "who calls him has it"
            assert [r.user.phone for r in await tx.users_changed_since(0)] == [NUMBER]
        (shown,) = await people.list(SECURITY)
        assert shown.phone == "138****1234"

    in_schema(database_url, work)


def test_what_an_earlier_release_stored_in_clear_is_sealed_and_a_new_key_seals_again(database_url: str) -> None:
    async def work(database: Database) -> None:
        store = PostgresStore(database, SEALER)
        await people_of(store).create(SECURITY, DUTY, "correct horse battery")
        async with database.transaction() as conn:
            await conn.execute(
                "UPDATE app_user SET document = jsonb_set(document, '{phone}', to_jsonb(%s::text))", (NUMBER,)
            )
        assert await found_in_clear(database, NUMBER) == ["app_user"]
        assert await store.seal_users() == 1
        assert await found_in_clear(database, NUMBER) == []
        assert await store.seal_users() == 0, "a second time changes nothing"
        newer = PostgresStore(database, NEWER)
        assert await newer.seal_users() == 1
        assert await found_in_clear(database, "p1:k1:") == []
        async with newer.read() as tx:
            assert [record.user.phone for record in await tx.users()] == [NUMBER]
        with pytest.raises(Unsealable):
            async with store.read() as tx:
                await tx.users()

    in_schema(database_url, work)


def test_without_a_key_a_number_stays_sealed_and_a_new_one_is_refused(database_url: str) -> None:
    async def work(database: Database) -> None:
        await people_of(PostgresStore(database, SEALER)).create(SECURITY, DUTY, "correct horse battery")
        keyless = PostgresStore(database)
        await UserService(keyless, StillClock()).set_password("duty1", "another horse battery")
        async with PostgresStore(database, SEALER).read() as tx:
            record = await tx.user("duty1")
        assert record is not None
        assert record.user.phone == NUMBER, "written back as it came"
        with pytest.raises(ValueError, match="in clear"):
            await UserService(keyless, StillClock()).create(
                User(username="duty2", name="周岚", roles=[Role.OPERATOR], phone=NUMBER), "correct horse battery"
            )
        with pytest.raises(ValueError, match="no key"):
            await keyless.seal_users()
        odd = User(username="duty3", name="某", roles=[Role.OPERATOR], phone="p1:k1:AAAA")
        with pytest.raises(Invalid, match="telephone"):
            await UserService(PostgresStore(database, SEALER), StillClock()).create(odd, "correct horse battery")

    in_schema(database_url, work)
