"""A dry run as it is kept, and what imports ask of a transaction. `command_center.ports.Tx` extends it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Protocol

import msgspec

from command_center.registers.import_columns import Column


class ImportState(StrEnum):
    DRY = "DRY"
    COMMITTED = "COMMITTED"
    EXPIRED = "EXPIRED"


# What may follow; guarded again in SQL (`import_job_moves_forward`).
IMPORT_MOVES = {
    ImportState.DRY: frozenset({ImportState.COMMITTED, ImportState.EXPIRED}),
    ImportState.COMMITTED: frozenset[ImportState](),
    ImportState.EXPIRED: frozenset[ImportState](),
}


class ImportJob(msgspec.Struct, frozen=True, kw_only=True):
    """A file that somebody brought, how its columns are read, and what became of it. Times are city microseconds.

    `sealed`: the file, packed and sealed as personal data; empty once it is committed or expired. `counts`: of the last dry run;
    `done`: what the commit wrote.
    """

    import_id: str
    kind: str
    filename: str
    format: str
    sha256: str
    size: int
    sheet: str
    crs: str  # declared; "" where the clerk left it open
    columns: list[Column]
    state: ImportState
    owner: str
    created_us: int
    changed_us: int
    counts: dict[str, int]
    done: dict[str, Any] = {}
    reason: str = ""
    sealed: str = ""


class ImportTx(Protocol):
    async def insert_import(self, job: ImportJob) -> None: ...
    async def import_job(self, import_id: str) -> ImportJob | None:
        """With the file."""
        ...

    async def imports(self, owner: str, limit: int) -> list[ImportJob]:
        """Newest first, without the files; owner "" for everybody's."""
        ...

    async def update_import(self, job: ImportJob, *, states: Sequence[ImportState]) -> bool:
        """False where it is in none of these states any more."""
        ...
