"""The command side in PostgreSQL."""

from storage.command.store import PostgresStore

__all__ = ["PostgresStore"]
