"""What the grid needs of a transaction (part of `command_center.ports.Tx`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from command_center.grid.model import Report, ReportState, Visit


class GridTx(Protocol):
    async def report(self, report_id: str) -> Report | None: ...
    async def report_of_client(self, reported_by: str, client_id: str) -> Report | None: ...
    async def reports(
        self,
        *,
        states: Sequence[ReportState] = (),
        reported_by: str = "",
        areas: Sequence[str] = (),
        limit: int = 200,
        before: str = "",
    ) -> list[Report]:
        """Newest number first, numbers below `before`; empty `states` = all; `areas`: code prefixes, empty for everywhere."""
        ...

    async def insert_report(self, report: Report) -> None: ...
    async def update_report(self, report: Report, *, rev: int, states: Sequence[ReportState]) -> bool:
        """False when its revision or state is not what was expected."""
        ...

    async def insert_visit(self, visit: Visit) -> None:
        """Append-only."""
        ...

    async def visit_of_client(self, visited_by: str, client_id: str) -> Visit | None: ...
    async def last_visits(self, subjects: Sequence[str]) -> dict[str, int]:
        """When each was visited last (city us); those that never were are left out."""
        ...

    async def visits(self, subject: str, limit: int = 100) -> list[Visit]:
        """Newest first."""
        ...
