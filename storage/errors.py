"""What can go wrong between us and the database, by name."""

from __future__ import annotations

from command_center.errors import Unavailable


class StorageError(Exception):
    """Root of storage's errors."""


class DatabaseUnavailable(StorageError, Unavailable):
    """The database cannot answer now: down, restarting, no connection free, statement cancelled. Trying again may help.

    It is the command centre's `Unavailable` too, so that its callers need to know one error only.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"database unavailable: {reason}")
        self.reason = reason


class StatementMissing(StorageError):
    """A statement was asked for that no .sql file holds."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        super().__init__(f"no statement named {name!r}; known: {', '.join(known)}")
        self.name = name


class StatementFileWrong(StorageError):
    """A .sql file does not have the form that storage/statements.py describes."""


class MigrationChanged(StorageError):
    """A migration that this schema has already seen is no longer the same file. Migrations are forward only."""

    def __init__(self, number: int, name: str) -> None:
        super().__init__(
            f"migration {number:04d}_{name} differs from the one that was applied; write a new one instead"
        )
        self.number = number


class SchemaAhead(StorageError):
    """The schema was migrated by newer code than this."""

    def __init__(self, numbers: list[int]) -> None:
        super().__init__(f"the schema has migrations that this build does not know: {numbers}; use a newer build")
        self.numbers = numbers


class SchemaMissing(StorageError):
    """The tenant's schema has not been migrated yet."""

    def __init__(self, tenant: str) -> None:
        super().__init__(f"schema {tenant!r} is not migrated; run `citybrain migrate`")
        self.tenant = tenant


class CursorAhead(StorageError):
    """The database has seen more of the log than there is: this log and this database do not belong together."""

    def __init__(self, cursor: str, position: int, head: int) -> None:
        super().__init__(
            f"cursor {cursor!r} stands at {position}, but the log ends at {head}: another log's database, or a log that "
            "was lost; restore the log that belongs to it, or start a new tenant"
        )
        self.cursor = cursor
        self.position = position
        self.head = head
