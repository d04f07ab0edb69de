"""Dry runs of imports."""

from __future__ import annotations

from collections.abc import Sequence

from command_center.registers.import_ports import ImportJob, ImportState
from storage.batch import clean
from storage.command.rows import Part, params, struct


class ImportRows(Part):
    async def insert_import(self, job: ImportJob) -> None:
        await self._run("insert_import", params(job))

    async def import_job(self, import_id: str) -> ImportJob | None:
        row = await self._one("read_import", {"import_id": clean(import_id)})
        return None if row is None else struct(ImportJob, row)

    async def imports(self, owner: str, limit: int) -> list[ImportJob]:
        return [struct(ImportJob, row) for row in await self._all("list_imports", {"owner": owner, "limit": limit})]

    async def update_import(self, job: ImportJob, *, states: Sequence[ImportState]) -> bool:
        values = params(job, states=[state.value for state in states])
        return await self._one("update_import", values) is not None
