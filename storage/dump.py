"""All rows of one tenant as COPY text, out of one snapshot and back into a schema that our migrations make.

No dump program and no version of one is needed: the schema comes from the numbered migrations, the rows from COPY, so that a
dump of one tier or server version loads into another. A dump says which migrations it has seen; a build that does not know
them all refuses it, a newer build loads it and migrates on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from graphlib import CycleError, TopologicalSorter
from typing import Any, Protocol

import msgspec
from psycopg import sql

from command_center.chain import Head
from storage.command.journal import JournalRows
from storage.database import Connection, Database, Row
from storage.errors import MigrationChanged, SchemaAhead, StorageError
from storage.migrate import migrate, migrations
from storage.statements import load as load_statements
from storage.times import opt_time, opt_us

_SQL = load_statements("dump")
BLOCK = 1 << 18
_BASE = load_statements("base")


class NotEmpty(StorageError):
    """The schema that a dump should be loaded into has tables already."""


class DumpWrong(StorageError):
    """A dump that cannot be loaded; the text says why."""


class Sink(Protocol):
    def write(self, data: bytes) -> object: ...


class TableFacts(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    columns: list[str]
    rows: int


class DumpFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a dump says about itself. `cursors`: the log must reach at least so far to belong to it."""

    migrations: dict[str, str]  # number -> checksum
    tables: list[TableFacts]
    sequences: list[tuple[str, str, int]]
    cursors: dict[str, int]
    first_us: int | None
    last_us: int | None
    server: str
    family: str


class Dump:
    """An open snapshot. Tables in the order in which they can be loaded."""

    def __init__(self, conn: Connection, tables: Sequence[tuple[str, list[str]]], facts: DumpFacts) -> None:
        self._conn, self.tables, self._facts = conn, tables, facts
        self._rows: dict[str, int] = {}

    @property
    def cursors(self) -> Mapping[str, int]:
        return self._facts.cursors

    async def copy(self, table: str, sink: Sink) -> int:
        """Write a table's rows as COPY text; returns how many."""
        columns = dict(self.tables)[table]
        select = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT").format(_columns(columns), sql.Identifier(table))
        cursor, buffer = self._conn.cursor(), bytearray()
        async with cursor.copy(select) as copy:
            async for block in copy:  # a block is a row
                buffer += block
                if len(buffer) >= BLOCK:
                    sink.write(bytes(buffer))
                    buffer.clear()
        sink.write(bytes(buffer))
        self._rows[table] = cursor.rowcount
        return cursor.rowcount

    async def journal_head(self) -> Head:
        """The end of the journal in this snapshot."""
        return await JournalRows(self._conn).journal_head()

    def facts(self) -> DumpFacts:
        """After the last `copy`."""
        tables = [TableFacts(name=name, columns=columns, rows=self._rows[name]) for name, columns in self.tables]
        return msgspec.structs.replace(self._facts, tables=tables)


@asynccontextmanager
async def dumping(database: Database) -> AsyncIterator[Dump]:
    """A snapshot of the tenant while everything goes on; it holds no lock that a writer would notice."""
    async with database.dedicated() as conn, conn.transaction():
        await conn.execute(_SQL["begin_dump"])
        await conn.execute(_SQL["no_timeout"])
        applied = await _all(conn, _BASE["applied_migrations"])
        if not applied:
            raise DumpWrong(f"schema {database.tenant!r} has no migrations")
        [span] = await _all(conn, _SQL["observed_span"])
        facts = DumpFacts(
            migrations={str(row["number"]): row["checksum"] for row in applied},
            tables=[],
            sequences=[
                (r["name"], r["column"], r["last"])
                for r in await _all(conn, _SQL["table_sequences"])
                if r["last"] is not None
            ],
            cursors={row["name"]: row["position"] for row in await _all(conn, _SQL["all_cursors"])},
            first_us=opt_us(span["first"]),
            last_us=opt_us(span["last"]),
            server=str((await _all(conn, _BASE["server_version"]))[0]["version"]),
            family=applied[0]["family"],
        )
        yield Dump(conn, await _in_order(conn), facts)


async def _in_order(conn: Connection) -> list[tuple[str, list[str]]]:
    """Tables and their columns, those that others point to first."""
    columns = {row["name"]: list(row["columns"]) for row in await _all(conn, _SQL["tables"])}
    graph: dict[str, set[str]] = {name: set() for name in columns}
    for row in await _all(conn, _SQL["table_references"]):
        graph[row["child"]].add(row["parent"])
    try:
        return [(name, columns[name]) for name in TopologicalSorter(graph).static_order()]
    except CycleError as error:
        raise DumpWrong(f"tables point to each other in a circle: {error.args[1]}") from error


class Source(Protocol):
    """Where the rows of a table come from."""

    def __call__(self, table: str) -> Iterable[bytes]: ...


async def load(database: Database, facts: DumpFacts, source: Source, *, at_us: int) -> None:
    """Make the schema as the dump knew it, load every row, then migrate on to this build.

    All rows or none. Raises NotEmpty, SchemaAhead, MigrationChanged, DumpWrong, DatabaseUnavailable.
    """
    await _refuse_unless_empty(database)
    numbers = _known_numbers(facts)
    await migrate(database, at_us=at_us, numbers=numbers)
    async with database.dedicated() as conn, conn.transaction():
        await conn.execute(_SQL["no_timeout"])
        await _check_columns(conn, facts)
        triggers = await _all(conn, _SQL["table_triggers"])
        await _set_triggers(conn, triggers, "DISABLE")
        await _empty(conn, facts)  # what migrations put in is in the dump too
        if facts.first_us is not None:
            span = {"first": opt_time(facts.first_us), "last": opt_time(facts.last_us)}
            await conn.execute(_SQL["ensure_span"], span)
        for table in facts.tables:
            await _load_table(conn, table, source)
        for name, column, last in facts.sequences:
            await conn.execute(_SQL["set_sequence"], {"name": name, "column": column, "last": last})
        await _set_triggers(conn, triggers, "ENABLE")
    await migrate(database, at_us=at_us)


async def _refuse_unless_empty(database: Database) -> None:
    async with database.dedicated() as conn:
        [row] = await _all(conn, _SQL["schema_tables"], {"schema": database.tenant})
    if row["tables"]:
        raise NotEmpty(f"schema {database.tenant!r} has {row['tables']} tables already: a restore needs an empty one")


def _known_numbers(facts: DumpFacts) -> frozenset[int]:
    ours = {m.number: m for m in migrations()}
    theirs = {int(number): checksum for number, checksum in facts.migrations.items()}
    ahead = sorted(theirs.keys() - ours.keys())
    if ahead:
        raise SchemaAhead(ahead)
    for number, checksum in theirs.items():
        if ours[number].checksum != checksum:
            raise MigrationChanged(number, ours[number].name)
    return frozenset(theirs)


async def _check_columns(conn: Connection, facts: DumpFacts) -> None:
    have = {row["name"]: set(row["columns"]) for row in await _all(conn, _SQL["tables"])}
    for table in facts.tables:
        if table.name not in have:
            raise DumpWrong(f"the dump has a table {table.name!r} that its migrations do not make")
        strange = set(table.columns) - have[table.name]
        if strange:
            raise DumpWrong(f"{table.name}: columns that its migrations do not make: {', '.join(sorted(strange))}")


async def _set_triggers(conn: Connection, triggers: Sequence[Row], how: str) -> None:
    for row in triggers:
        statement = sql.SQL("ALTER TABLE {} {} TRIGGER {}").format(
            sql.Identifier(row["name"]), sql.SQL(how), sql.Identifier(row["trigger"])
        )
        await conn.execute(statement)


async def _empty(conn: Connection, facts: DumpFacts) -> None:
    names = sql.SQL(", ").join(sql.Identifier(table.name) for table in facts.tables)
    await conn.execute(sql.SQL("TRUNCATE {} CASCADE").format(names))


async def _load_table(conn: Connection, table: TableFacts, source: Source) -> None:
    cursor = conn.cursor()
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table.name), _columns(table.columns))
    async with cursor.copy(statement) as copy:
        for block in source(table.name):
            await copy.write(block)
    if cursor.rowcount != table.rows:
        raise DumpWrong(f"{table.name}: {cursor.rowcount} rows were loaded, the dump counts {table.rows}")


def _columns(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(name) for name in names)


async def _all(conn: Connection, statement: str, values: Mapping[str, Any] | None = None) -> list[Row]:
    return await (await conn.execute(statement, values or {})).fetchall()
