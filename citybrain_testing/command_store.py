"""Where the command centre's tests keep their rows: in memory or in a migrated PostgreSQL schema."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from citybrain_testing.command import START_US
from command_center.access.personal import Sealer
from command_center.ports import Store
from storage.command import PostgresStore
from storage.database import Database
from storage.memory.command import MemoryStore
from storage.migrate import migrate

SEALER = Sealer({"k1": b"1" * 32}, "k1")


@asynccontextmanager
async def command_store(url: str | None) -> AsyncIterator[Store]:
    """A fresh store: memory for None, else the schema `cmd` of the database at `url`, migrated."""
    if url is None:
        yield MemoryStore()
        return
    async with Database(url, "cmd") as database:
        await migrate(database, at_us=START_US, family="plain")
        yield PostgresStore(database, SEALER)
