"""The statements on one file of the log; the only SQL outside `storage`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from stream.errors import LogCorrupt
from stream.files import LogFile
from stream.records import Record, RecordKind

BUSY_TIMEOUT_S = 5.0  # a reader holds a lock for milliseconds, at the recovery of a WAL
_SCHEMA = """
CREATE TABLE IF NOT EXISTS record (
    position INTEGER PRIMARY KEY,
    at_us    INTEGER NOT NULL,
    kind     INTEGER NOT NULL,
    version  INTEGER NOT NULL,
    key      TEXT,
    body     BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS record_key ON record (position) WHERE key IS NOT NULL;
"""
Row = tuple[int, int, int, int, str | None, bytes]


def open_for_writing(file: LogFile) -> sqlite3.Connection:
    """Create or recover the file: WAL, fsync on every commit. Raises LogCorrupt when it is not a database."""
    connection = sqlite3.connect(file.path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(_SCHEMA)
    except sqlite3.OperationalError:
        connection.close()
        raise
    except sqlite3.DatabaseError as error:
        connection.close()
        raise LogCorrupt(file.path, str(error)) from error
    return connection


def insert(connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """One transaction; returns when it is on disk."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.executemany("INSERT INTO record VALUES (?, ?, ?, ?, ?, ?)", rows)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def last(connection: sqlite3.Connection) -> tuple[int, int] | None:
    """(position, at_us) of the newest record."""
    row: tuple[int, int] | None = connection.execute(
        "SELECT position, at_us FROM record ORDER BY position DESC LIMIT 1"
    ).fetchone()
    return row


def keys(connection: sqlite3.Connection, limit: int) -> list[tuple[str, int, int]]:
    """(key, position, at_us) of the newest records that have a key, newest first."""
    return connection.execute(
        "SELECT key, position, at_us FROM record WHERE key IS NOT NULL ORDER BY position DESC LIMIT ?", (limit,)
    ).fetchall()


def checkpoint(connection: sqlite3.Connection) -> None:
    """Fold the WAL into a file that will not be written again; a reader in the way only leaves the WAL where it is."""
    connection.execute("PRAGMA busy_timeout = 50")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Raises sqlite3.OperationalError when the file is not there."""
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )


_SELECT = "SELECT position, at_us, kind, version, body FROM record WHERE position > ? ORDER BY position LIMIT ?"
_SELECT_KIND = (
    "SELECT position, at_us, kind, version, body FROM record INDEXED BY record_key"
    " WHERE position > ? AND key IS NOT NULL AND kind = ? ORDER BY position LIMIT ?"
)
_SELECT_NEWEST = "SELECT position, at_us, kind, version, body FROM record WHERE kind = ? ORDER BY position DESC LIMIT ?"


def select(connection: sqlite3.Connection, path: Path, after: int, max_rows: int) -> list[Record]:
    """Records with a position above `after`, in order. A file without its table (just created) has none."""
    return _records(connection, path, _SELECT, (after, max_rows))


def select_keyed(
    connection: sqlite3.Connection, path: Path, after: int, kind: RecordKind, max_rows: int
) -> list[Record]:
    """As `select`, of one kind and only those with a key: costs nothing for the observations between them."""
    return _records(connection, path, _SELECT_KIND, (after, int(kind), max_rows))


def select_newest(connection: sqlite3.Connection, path: Path, kind: RecordKind, max_rows: int) -> list[Record]:
    """The last records of a kind, newest first."""
    return _records(connection, path, _SELECT_NEWEST, (int(kind), max_rows))


def _records(connection: sqlite3.Connection, path: Path, statement: str, parameters: tuple[int, ...]) -> list[Record]:
    try:
        rows = connection.execute(statement, parameters).fetchall()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error) or "no such index" in str(error):
            return []
        raise
    except sqlite3.DatabaseError as error:
        raise LogCorrupt(path, str(error)) from error
    return [
        Record(position=position, at_us=at_us, kind=RecordKind(kind), version=version, body=body)
        for position, at_us, kind, version, body in rows
    ]
