"""One tenant's database: a pool of connections whose search path is the tenant's schema.

Everything in `storage` works on a `Database`. It turns every way in which a server can be away into one error,
`DatabaseUnavailable`, so that callers decide about patience and nothing else. Rows are dicts.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from storage.errors import DatabaseUnavailable, SchemaMissing
from storage.statements import load

Tier = Literal["timescale-community", "timescale-apache", "plain"]
Family = Literal["timescale", "plain"]  # how a tenant's tables were made: hypertables or native partitions
Row = dict[str, Any]
Connection = AsyncConnection[Row]

TENANT = re.compile(r"[a-z][a-z0-9_]{0,47}")  # an identifier that needs no quotes, and a legal topic level

# After an outage psycopg's pool backs off exponentially up to this long before it gives an attempt up; the next
# request starts a fresh one. Long values would delay our recovery by as much.
_RECONNECT_TIMEOUT_S = 4.0


class Database:
    """A pool on `url` for `tenant`. Open it before use and close it at the end; both may be called once."""

    def __init__(
        self,
        url: str,
        tenant: str,
        *,
        pool_max: int = 8,
        acquire_timeout_s: float = 5.0,
        connect_timeout_s: int = 4,
        statement_timeout_s: float = 60.0,
    ) -> None:
        if not TENANT.fullmatch(tenant):
            raise ValueError(f"tenant {tenant!r}: expected {TENANT.pattern}")
        self.url = url
        self.tenant = tenant
        self._statement_timeout_s = statement_timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._sql = load("base")
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            connection_class=AsyncConnection[Row],
            kwargs={"row_factory": dict_row, "connect_timeout": connect_timeout_s, "application_name": "citybrain"},
            min_size=0,
            max_size=pool_max,
            timeout=acquire_timeout_s,
            max_waiting=256,  # more waiters than this means that the database is away: tell them at once
            reconnect_timeout=_RECONNECT_TIMEOUT_S,
            configure=self._configure,
            check=AsyncConnectionPool.check_connection,
            open=False,
            name=f"citybrain-{tenant}",
        )

    async def open(self) -> None:
        """Start the pool. Does not wait for the server: a database that is down is found out by the first use."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        await self._pool.close()

    async def __aenter__(self) -> Database:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection inside a transaction: committed when the block ends, rolled back when it raises.

        Raises DatabaseUnavailable when the server is away, at any moment of the block or of the commit. After a failed
        commit nobody knows whether it happened; every writer here is idempotent for that reason.
        """
        with _unavailable():
            async with self._pool.connection() as conn, conn.transaction():
                yield conn

    @asynccontextmanager
    async def dedicated(self) -> AsyncIterator[Connection]:
        """A connection of one's own outside the pool, autocommit: for migrations and CREATE EXTENSION."""
        with _unavailable():
            conn = await AsyncConnection[Row].connect(
                self.url, autocommit=True, row_factory=dict_row, connect_timeout=self._connect_timeout_s
            )
            try:
                await self._configure(conn)
                yield conn
            finally:
                await conn.close()

    async def family(self) -> Family:
        """How this tenant's tables were made. Raises SchemaMissing before the first migration."""
        async with self.transaction() as conn:
            cursor = await conn.execute(self._sql["has_table"], {"schema": self.tenant, "name": "schema_migration"})
            if await cursor.fetchone() is None:
                raise SchemaMissing(self.tenant)
            row = await (await conn.execute(self._sql["schema_family"])).fetchone()
        if row is None:
            raise SchemaMissing(self.tenant)
        return "timescale" if row["family"] == "timescale" else "plain"

    async def tier(self) -> Tier:
        """What the tenant's schema runs on: the tables' family and, on hypertables, the licence of the extension."""
        if await self.family() == "plain":
            return "plain"
        async with self.transaction() as conn:
            row = await (await conn.execute(self._sql["timescale_license"])).fetchone()
        return "timescale-community" if row is not None and row["license"] == "timescale" else "timescale-apache"

    async def server_version(self) -> str:
        async with self.transaction() as conn:
            row = await (await conn.execute(self._sql["server_version"])).fetchone()
        return str(row["version"]) if row is not None else ""

    async def ping(self) -> None:
        """Raises DatabaseUnavailable unless the server answers."""
        async with self.transaction() as conn:
            await conn.execute(self._sql["ping"])

    async def _configure(self, conn: Connection) -> None:
        timeout_ms = int(self._statement_timeout_s * 1000)
        await conn.execute(
            self._sql["configure_session"],
            {"search_path": f"{self.tenant},public", "statement_timeout": str(timeout_ms)},
        )
        if not conn.autocommit:
            await conn.commit()


def tenant_identifier(tenant: str) -> sql.Identifier:
    """The tenant's schema as a quoted identifier, for the few statements that cannot take it as a parameter."""
    if not TENANT.fullmatch(tenant):
        raise ValueError(f"tenant {tenant!r}: expected {TENANT.pattern}")
    return sql.Identifier(tenant)


class _unavailable:  # noqa: N801 - reads as a statement
    """Turns what psycopg raises when the server is away into DatabaseUnavailable; programming errors pass."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        # OperationalError: refused, shut down, cancelled, deadlock, disk full. InterfaceError: connection is closed.
        if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError | PoolTimeout | PoolClosed):
            raise DatabaseUnavailable(_one_line(error)) from error
        if isinstance(error, TooManyRequests):
            raise DatabaseUnavailable("too many requests wait for a connection") from error


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
