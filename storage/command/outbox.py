"""Rows of the outbox, and the mark of what kind of tenant a schema belongs to."""

from __future__ import annotations

from command_center.outbox import Message, OutboxState
from storage.command.rows import SQL, Part, params, struct
from storage.database import Database
from storage.errors import StorageError
from storage.times import to_time


class OutboxRows(Part):
    """The outbox's part of a `command_center.ports.Tx`."""

    async def put_message(self, message: Message) -> bool:
        return await self._one("put_message", params(message)) is not None

    async def message(self, message_id: str) -> Message | None:
        row = await self._one("read_message", {"message_id": message_id})
        return None if row is None else struct(Message, row)

    async def due_messages(self, machine_us: int, limit: int) -> list[Message]:
        rows = await self._all("due_messages", {"now": to_time(machine_us), "limit": limit})
        return [struct(Message, row) for row in rows]

    async def move_message(self, message: Message, *, before: OutboxState, attempts: int) -> bool:
        values = {**params(message), "before": before.value, "known_attempts": attempts}
        return await self._one("move_message", values) is not None


class OtherKind(StorageError):
    """The schema belongs to a tenant of another kind."""

    def __init__(self, tenant: str, kind: str, wanted: str) -> None:
        super().__init__(
            f"schema {tenant!r} belongs to a tenant of kind {kind!r}, not {wanted!r}: a tenant keeps its kind for life; "
            "choose another CITYBRAIN_TENANT and data directory"
        )


async def keep_kind(database: Database, kind: str) -> None:
    """Mark the schema as belonging to a tenant of this kind. Raises OtherKind when it is marked otherwise."""
    async with database.transaction() as conn:
        await conn.execute(SQL["keep_kind"], {"kind": kind})
        row = await (await conn.execute(SQL["read_kind"])).fetchone()
    if row is None or row["kind"] != kind:
        raise OtherKind(database.tenant, row["kind"] if row else "", kind)
