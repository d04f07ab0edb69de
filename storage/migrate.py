"""Numbered, forward-only migrations of one tenant's schema.

`storage/migrations/NNNN_name.sql`: 0001-0099 observation side, 0100-0199 command side. Each runs in a transaction of
its own together with its record (number, checksum), under an advisory lock, so that two processes may start at once.
Inside a file `-- tier: timescale`, `-- tier: plain` and `-- tier: all` open blocks for one family of tables.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files

import psycopg
import structlog
from psycopg import sql

from storage.database import Connection, Database, Family, tenant_identifier
from storage.errors import DatabaseUnavailable, MigrationChanged, SchemaAhead, StatementFileWrong
from storage.statements import load
from storage.times import to_time

log = structlog.get_logger(__name__)

_FILE = re.compile(r"^(\d{4})_([a-z0-9_]+)\.sql$")
_TIER = re.compile(r"^-- tier: (\w+)\s*$")
_SQL = load("base")


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One file. `checksum` is over its whole text, whatever the family."""

    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    def script(self, family: Family) -> str:
        return for_family(self.text, family)


def for_family(text: str, family: Family) -> str:
    """The statements of a script that are meant for tables of `family`. Raises StatementFileWrong for another mark."""
    lines: list[str] = []
    block = "all"
    for line in text.splitlines():
        mark = _TIER.match(line)
        if mark is not None:
            block = mark[1]
            if block not in ("all", "timescale", "plain"):
                raise StatementFileWrong(f"-- tier: {block}: expected all, timescale or plain")
        elif block in ("all", family):
            lines.append(line)
    return "\n".join(lines)


def migrations() -> list[Migration]:
    """All migrations of this build, by number. Raises StatementFileWrong for a bad name or a number that is used twice."""
    found: dict[int, Migration] = {}
    for entry in files("storage").joinpath("migrations").iterdir():
        if not entry.name.endswith(".sql"):
            continue
        match = _FILE.match(entry.name)
        if match is None:
            raise StatementFileWrong(f"migration {entry.name!r}: expected NNNN_name.sql")
        number = int(match[1])
        if number in found:
            raise StatementFileWrong(f"migration {number:04d} is there twice")
        found[number] = Migration(number=number, name=match[2], text=entry.read_text(encoding="utf-8"))
    return [found[number] for number in sorted(found)]


async def migrate(
    database: Database, *, at_us: int, family: Family | None = None, numbers: frozenset[int] | None = None
) -> list[Migration]:
    """Bring the tenant's schema up to this build; returns what was applied now (none: it was up to date).

    `at_us` is written beside each. `family` forces how a *new* schema is made; by default hypertables where the
    TimescaleDB extension is there or can be made, else native partitions. A schema keeps its family for life. `numbers`: only
    these, for a schema that is restored as an older build knew it.
    Raises MigrationChanged, SchemaAhead, DatabaseUnavailable.
    """
    async with database.dedicated() as conn:
        async with conn.transaction():
            await conn.execute(_SQL["lock_migrations"], {"tenant": database.tenant})
            await conn.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(tenant_identifier(database.tenant)))
            await conn.execute(_SQL["create_migration_table"])
        fixed = await _applied(conn)
        chosen = fixed[0].family if fixed else family or await _detect(database)
        wanted = [m for m in migrations() if numbers is None or m.number in numbers]
        applied = [m for m in wanted if await _apply(conn, database.tenant, m, chosen, at_us)]
        _check(await _applied(conn))
    if applied:
        log.info("schema_migrated", tenant=database.tenant, family=chosen, numbers=[m.number for m in applied])
    return applied


async def pending(database: Database) -> list[Migration]:
    """Migrations of this build that the tenant's schema has not seen."""
    async with database.transaction() as conn:
        found = await conn.execute(_SQL["has_table"], {"schema": database.tenant, "name": "schema_migration"})
        if await found.fetchone() is None:
            return migrations()
        known = {row.number for row in await _applied(conn)}
    return [m for m in migrations() if m.number not in known]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Applied:
    number: int
    name: str
    checksum: str
    family: Family


async def _applied(conn: Connection) -> list[_Applied]:
    return [_Applied(**row) for row in await (await conn.execute(_SQL["applied_migrations"])).fetchall()]


def _check(applied: list[_Applied]) -> None:
    known = {m.number: m for m in migrations()}
    ahead = [row.number for row in applied if row.number not in known]
    if ahead:
        raise SchemaAhead(ahead)
    for row in applied:
        if known[row.number].checksum != row.checksum:
            raise MigrationChanged(row.number, row.name)


async def _apply(conn: Connection, tenant: str, migration: Migration, family: Family, at_us: int) -> bool:
    async with conn.transaction():
        await conn.execute(_SQL["lock_migrations"], {"tenant": tenant})
        rows = await _applied(conn)
        _check(rows)
        if any(row.number == migration.number for row in rows):
            return False
        await conn.execute(migration.script(family))
        await conn.execute(
            _SQL["record_migration"],
            {
                "number": migration.number,
                "name": migration.name,
                "checksum": migration.checksum,
                "family": family,
                "applied_at": to_time(at_us),
            },
        )
    return True


async def _detect(database: Database) -> Family:
    """Hypertables where the extension is there, or can be made; tried on a connection of its own, since a library that
    is not preloaded ends the connection."""
    async with database.dedicated() as conn:
        if await (await conn.execute(_SQL["timescale_license"])).fetchone() is not None:
            return "timescale"
        if await (await conn.execute(_SQL["timescale_available"])).fetchone() is None:
            return "plain"
    try:
        async with database.dedicated() as conn:
            await conn.execute(_SQL["create_timescale"])
    except (DatabaseUnavailable, psycopg.DatabaseError) as error:  # not preloaded, or not ours to create
        log.warning("timescaledb_cannot_be_used", reason=str(error))
        return "plain"
    return "timescale"
