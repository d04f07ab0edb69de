"""One private PostgreSQL for this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from citybrain_testing.servers import PrivatePostgres, private_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[PrivatePostgres]:
    with private_postgres() as server:
        yield server


@pytest.fixture
def fresh_url(postgres: PrivatePostgres) -> Callable[[], str]:
    return postgres.fresh_database
