"""Rows of the grid: the same on the memory twin and on PostgreSQL, whose constraints hold what the service says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import psycopg
import pytest

from citybrain_testing.command import START_US
from citybrain_testing.command_store import command_store
from command_center.grid.model import Answer, Receipt, ReceiptState, Report, ReportState, Visit
from command_center.ports import Store
from storage.memory.command import MemoryStore

replace = msgspec.structs.replace
Story = Callable[[Store], Awaitable[None]]
Run = Callable[[Story], None]

RECEIPT = Receipt(
    organisation_id="org-1",
    organisation="水利局",
    authority="direct",
    state=ReceiptState.SENT,
    state_zh="已分送",
    sent_us=1,
)
REPORT = Report(
    report_id="G-20190809-0001", client_id="c1", kind="water", kind_zh="积水内涝", urgent=False, text="积水", lon=121.2, lat=28.5,
    address="", area="339900001", reported_by="grid1", reported_us=START_US, state=ReportState.OPEN, state_zh="处置中",
    joined_to="", witnesses=0, receipts=[RECEIPT], closed_comment="", changed_us=START_US, rev=1,
)  # fmt: skip
VISIT = Visit(
    visit_id="V-20190809-0001", client_id="v1", subject="school/w", area="339900001", visited_by="grid1", visited_us=START_US,
    lon=None, lat=None, distance_m=None, organisations=["org-1"], answers=[Answer(item="门", ok=False, note="坏")], findings=1,
)  # fmt: skip


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.database)])
def run(request: pytest.FixtureRequest) -> Run:
    url = request.getfixturevalue("fresh_url")() if request.param == "postgres" else None

    async def body(story: Story) -> None:
        async with command_store(url) as store:
            await story(store)

    return lambda story: asyncio.run(body(story))


def test_reports_are_listed_by_state_person_and_area_and_change_from_what_was_seen(run: Run) -> None:
    async def story(store: Store) -> None:
        second = replace(REPORT, report_id="G-20190809-0002", client_id="c2", area="339900002", reported_by="grid2")
        async with store.write() as tx:
            await tx.insert_report(REPORT)
            await tx.insert_report(second)
            assert await tx.report(REPORT.report_id) == REPORT
            assert await tx.report("G-0") is None
            assert await tx.report_of_client("grid1", "c1") == REPORT
            assert await tx.report_of_client("grid2", "c1") is None
            assert await tx.reports() == [second, REPORT]
            assert await tx.reports(areas=["339900001"]) == [REPORT]
            assert await tx.reports(reported_by="grid2") == [second]
            assert await tx.reports(before=second.report_id) == [REPORT]
            assert await tx.reports(limit=1) == [second]
            signed = replace(RECEIPT, state=ReceiptState.SIGNED, signed_by="l", signed_us=START_US + 1)
            joined = replace(
                REPORT,
                state=ReportState.JOINED,
                joined_to=second.report_id,
                receipts=[signed],
                rev=2,
                changed_us=START_US + 1,
            )
            assert not await tx.update_report(joined, rev=2, states=[ReportState.OPEN])
            assert not await tx.update_report(joined, rev=1, states=[ReportState.CLOSED])
            assert await tx.update_report(joined, rev=1, states=[ReportState.OPEN])
            assert await tx.report(REPORT.report_id) == joined
            assert await tx.reports(states=[ReportState.OPEN]) == [second]

    run(story)


def test_visits_are_kept_and_the_last_of_each_object_is_known(run: Run) -> None:
    async def story(store: Store) -> None:
        later = replace(VISIT, visit_id="V-20190810-0001", client_id="v2", visited_us=START_US + 9, lon=121.2, lat=28.5)
        async with store.write() as tx:
            await tx.insert_visit(VISIT)
            await tx.insert_visit(later)
            assert await tx.visit_of_client("grid1", "v1") == VISIT
            assert await tx.visits("school/w") == [later, VISIT]
            assert await tx.last_visits(["school/w", "school/e"]) == {"school/w": START_US + 9}

    run(story)


@pytest.mark.parametrize(
    "wrong",
    [
        {"state": ReportState.JOINED, "joined_to": ""},
        {"state": ReportState.OPEN, "joined_to": "G-2"},
        {"state": ReportState.JOINED, "joined_to": REPORT.report_id},
        {"witnesses": -1},
        {"lat": 91.0},
    ],
)
@pytest.mark.database
def test_the_database_itself_refuses_what_cannot_be(run: Run, wrong: dict[str, object]) -> None:
    async def story(store: Store) -> None:
        if isinstance(store, MemoryStore):
            return  # it has no constraints: the service is what it is tested with
        with pytest.raises(psycopg.errors.CheckViolation):
            async with store.write() as tx:
                await tx.insert_report(replace(REPORT, **wrong))

    run(story)
