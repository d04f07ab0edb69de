"""One server per tier for the whole run of these tests; a fresh database for each test."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import pytest

from citybrain_testing.servers import PrivatePostgres, private_postgres
from citybrain_testing.storing import T0_US
from storage.database import Database
from storage.migrate import migrate

_T = TypeVar("_T")


@pytest.fixture(scope="session")
def plain_server() -> Iterator[PrivatePostgres]:
    with private_postgres(tier="plain") as server:
        yield server


@pytest.fixture(scope="session")
def timescale_server() -> Iterator[PrivatePostgres]:
    with private_postgres(tier="timescale") as server:
        yield server


@pytest.fixture(
    params=[
        pytest.param("plain", marks=pytest.mark.database),
        pytest.param("timescale", marks=[pytest.mark.database, pytest.mark.timescale]),
    ]
)
def server(request: pytest.FixtureRequest) -> PrivatePostgres:
    """Each tier in turn."""
    found = request.getfixturevalue(f"{request.param}_server")
    assert isinstance(found, PrivatePostgres)
    return found


InDatabase = Callable[[Callable[[Database], Awaitable[_T]]], _T]


@pytest.fixture
def in_database(server: PrivatePostgres) -> InDatabase[object]:
    """Runs an async function on a migrated, empty tenant."""
    url = server.fresh_database()

    def run(work: Callable[[Database], Awaitable[_T]]) -> _T:
        async def go() -> _T:
            async with Database(url, "demo") as database:
                await migrate(database, at_us=T0_US)
                return await work(database)

        return asyncio.run(go())

    return run
