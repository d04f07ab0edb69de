"""Dry runs of imports in memory: the twin of storage/command/imports.py."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from command_center.registers.import_ports import ImportJob, ImportState


class ImportMemory:
    _imports: dict[str, ImportJob]

    async def insert_import(self, job: ImportJob) -> None:
        self._imports[job.import_id] = job

    async def import_job(self, import_id: str) -> ImportJob | None:
        return self._imports.get(import_id)

    async def imports(self, owner: str, limit: int) -> list[ImportJob]:
        mine = [j for j in self._imports.values() if owner in ("", j.owner)]
        newest = sorted(mine, key=lambda j: (j.created_us, j.import_id), reverse=True)
        return [msgspec.structs.replace(j, sealed="") for j in newest[:limit]]

    async def update_import(self, job: ImportJob, *, states: Sequence[ImportState]) -> bool:
        before = self._imports.get(job.import_id)
        if before is None or before.state not in states:
            return False
        self._imports[job.import_id] = job
        return True
