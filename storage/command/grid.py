"""Reports and visits of the grid (`command_center.grid`)."""

from __future__ import annotations

from collections.abc import Sequence

from command_center.grid.model import Report, ReportState, Visit
from storage.batch import clean
from storage.command.rows import Part, params, struct
from storage.times import to_us


class GridRows(Part):
    async def report(self, report_id: str) -> Report | None:
        row = await self._one("read_report", {"report_id": clean(report_id)})
        return None if row is None else struct(Report, row)

    async def report_of_client(self, reported_by: str, client_id: str) -> Report | None:
        row = await self._one("report_of_client", {"reported_by": reported_by, "client_id": clean(client_id)})
        return None if row is None else struct(Report, row)

    async def reports(
        self,
        *,
        states: Sequence[ReportState] = (),
        reported_by: str = "",
        areas: Sequence[str] = (),
        limit: int = 200,
        before: str = "",
    ) -> list[Report]:
        values = {
            "states": [s.value for s in states],
            "reported_by": clean(reported_by),
            "areas": list(areas),
            "limit": limit,
            "before": clean(before),
        }
        return [struct(Report, row) for row in await self._all("list_reports", values)]

    async def insert_report(self, report: Report) -> None:
        await self._run("insert_report", params(report))

    async def update_report(self, report: Report, *, rev: int, states: Sequence[ReportState]) -> bool:
        values = params(report, old_rev=rev, states=[s.value for s in states])
        return await self._one("update_report", values) is not None

    async def insert_visit(self, visit: Visit) -> None:
        await self._run("insert_visit", params(visit))

    async def visit_of_client(self, visited_by: str, client_id: str) -> Visit | None:
        row = await self._one("visit_of_client", {"visited_by": visited_by, "client_id": clean(client_id)})
        return None if row is None else struct(Visit, row)

    async def last_visits(self, subjects: Sequence[str]) -> dict[str, int]:
        rows = await self._all("last_visits", {"subjects": list(subjects)})
        return {row["subject"]: to_us(row["at"]) for row in rows}

    async def visits(self, subject: str, limit: int = 100) -> list[Visit]:
        rows = await self._all("list_visits", {"subject": clean(subject), "limit": limit})
        return [struct(Visit, row) for row in rows]
