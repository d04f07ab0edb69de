"""Reports and visits of the grid in memory: the twin of storage/command/grid.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from command_center.grid.model import Report, ReportState, Visit


@dataclass(slots=True)
class GridState:
    reports: dict[str, Report] = field(default_factory=dict)
    visits: dict[str, Visit] = field(default_factory=dict)

    def __copy__(self) -> GridState:
        return GridState(dict(self.reports), dict(self.visits))


class GridMemory:
    _grid: GridState

    async def report(self, report_id: str) -> Report | None:
        return self._grid.reports.get(report_id)

    async def report_of_client(self, reported_by: str, client_id: str) -> Report | None:
        mine = (r for r in self._grid.reports.values() if (r.reported_by, r.client_id) == (reported_by, client_id))
        return next(mine, None)

    async def reports(
        self,
        *,
        states: Sequence[ReportState] = (),
        reported_by: str = "",
        areas: Sequence[str] = (),
        limit: int = 200,
        before: str = "",
    ) -> list[Report]:
        found = [
            r
            for r in self._grid.reports.values()
            if (not states or r.state in states)
            and reported_by in ("", r.reported_by)
            and (not areas or any(r.area.startswith(code) for code in areas))
            and (not before or r.report_id < before)
        ]
        return sorted(found, key=lambda r: r.report_id, reverse=True)[:limit]

    async def insert_report(self, report: Report) -> None:
        self._grid.reports[report.report_id] = report

    async def update_report(self, report: Report, *, rev: int, states: Sequence[ReportState]) -> bool:
        known = self._grid.reports.get(report.report_id)
        if known is None or known.rev != rev or known.state not in states:
            return False
        self._grid.reports[report.report_id] = report
        return True

    async def insert_visit(self, visit: Visit) -> None:
        self._grid.visits[visit.visit_id] = visit

    async def visit_of_client(self, visited_by: str, client_id: str) -> Visit | None:
        mine = (v for v in self._grid.visits.values() if (v.visited_by, v.client_id) == (visited_by, client_id))
        return next(mine, None)

    async def last_visits(self, subjects: Sequence[str]) -> dict[str, int]:
        found: dict[str, int] = {}
        for visit in self._grid.visits.values():
            if visit.subject in subjects:
                found[visit.subject] = max(visit.visited_us, found.get(visit.subject, visit.visited_us))
        return found

    async def visits(self, subject: str, limit: int = 100) -> list[Visit]:
        found = [v for v in self._grid.visits.values() if v.subject == subject]
        return sorted(found, key=lambda v: (v.visited_us, v.visit_id), reverse=True)[:limit]
