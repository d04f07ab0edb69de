"""The command centre's store on PostgreSQL; the same on every tier: it needs no hypertable."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from command_center.access.personal import Sealer
from command_center.errors import Unavailable
from command_center.ports import Tx
from storage.command.access import AccessRows
from storage.command.device_access import DeviceAccessRows
from storage.command.device_care import DeviceCareRows
from storage.command.device_commands import DeviceCommandRows
from storage.command.duty import HandoverRows, InstructionRows, ShiftRows
from storage.command.grid import GridRows
from storage.command.imports import ImportRows
from storage.command.incidents import AlarmRows, IncidentRows
from storage.command.journal import JournalRows
from storage.command.outbox import OutboxRows
from storage.command.registers import RegisterRows
from storage.command.rows import SQL
from storage.command.tasks import ClosureRows, TaskRows, UnitRows
from storage.command.video import VideoRows
from storage.command.work import LiveRows, UserRows, WorkRows
from storage.database import Database
from storage.errors import DatabaseUnavailable


class PostgresTx(
    IncidentRows,
    AlarmRows,
    TaskRows,
    UnitRows,
    ClosureRows,
    WorkRows,
    JournalRows,
    UserRows,
    RegisterRows,
    DeviceAccessRows,
    LiveRows,
    ImportRows,
    ShiftRows,
    HandoverRows,
    InstructionRows,
    DeviceCareRows,
    DeviceCommandRows,
    VideoRows,
    GridRows,
    OutboxRows,
    AccessRows,
):
    """A `command_center.ports.Tx` on one connection inside a transaction."""


class PostgresStore:
    """A `command_center.ports.Store`. Raises `command_center.errors.Unavailable` when the database is away.

    `sealer` seals what is personal in rows that the rooms above read in clear: users' telephone numbers. Without one they are read
    sealed and written back as they came; a number in clear is refused.
    """

    def __init__(self, database: Database, sealer: Sealer | None = None) -> None:
        self._database, self._sealer = database, sealer

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Tx]:
        """One consistent picture: every statement of the block sees the same state."""
        try:
            async with self._database.transaction() as conn:
                await conn.execute(SQL["begin_reading"])
                yield PostgresTx(conn, self._sealer)
        except DatabaseUnavailable as error:
            raise Unavailable(error.reason) from error

    async def seal_users(self) -> int:
        """Seal every user's number that the current key did not seal: from an earlier release, or after a rotation. How many."""
        async with self.write() as tx:
            return await cast(PostgresTx, tx).seal_users()

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Tx]:
        """Serialised with every other writer of this tenant, so that numbers are given in the order of commits."""
        try:
            async with self._database.transaction() as conn:
                await conn.execute(SQL["lock_writes"])
                yield PostgresTx(conn, self._sealer)
        except DatabaseUnavailable as error:
            raise Unavailable(error.reason) from error
