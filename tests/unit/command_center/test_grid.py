"""网格事件只报一次、走访只巡一次: filed once, sent to everybody, joined by a person and back; visited once for all who ask."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citybrain_testing.command import LEADER, SteppedClock, World, make_world
from citybrain_testing.registers import EAST, REGISTRAR, SEALER, draft, filled, put, row
from command_center.access.scope import Scope
from command_center.errors import Conflict, Forbidden, IllegalTransition, Invalid, NotFound
from command_center.grid.model import Answer, ReceiptState, Report, ReportState, event_kinds
from command_center.grid.service import DAY_US, GridService, ReportDraft, VisitDraft
from command_center.model import Actor, Role
from command_center.ports import Tx
from command_center.registers.kinds import load_kinds
from command_center.registers.service import EntryRegister
from gis.points import local_lonlat
from storage.memory.command import MemoryStore

WALKER = Actor(username="grid1", roles=frozenset({Role.GRID}), scope=Scope(areas=("339900001",)))
OTHER = Actor(username="grid2", roles=frozenset({Role.GRID}), scope=Scope(areas=("339900001",)))
LIAISON = Actor(username="liaison1", roles=frozenset({Role.LIAISON}), unit_id="u")
VENDOR = Actor(username="v", roles=frozenset({Role.VENDOR}), vendor="acme")
LON, LAT = 121.2, 28.5


@dataclass
class Street:
    grid: GridService
    entries: EntryRegister
    clock: SteppedClock
    world: World

    async def seen(self, n: int, actor: Actor = WALKER, *, kind: str = "water", east_m: float = 0.0) -> Report:
        lon, lat = local_lonlat(east_m, 0.0, LON, LAT)
        return await self.grid.file(
            actor, ReportDraft(client_id=f"c{n}", kind=kind, text="立交积水", lon=float(lon), lat=float(lat))
        )

    async def journal(self, entity: str, entity_id: str) -> list[str]:
        async with self.world.store.read() as tx:
            return [entry.action for entry in await tx.journal(entity, entity_id, 50, None)]


async def _area(tx: Tx, lon: float, lat: float) -> str:
    return "339900001" if lon < 121.5 else "339900002"


def story(work: Callable[[Street], Awaitable[None]]) -> None:
    async def run() -> None:
        clock = SteppedClock()
        world = make_world(MemoryStore(), clock=clock, area_of=_area)
        entries = await filled(
            EntryRegister(store=world.store, env=world.env, emit=world.changes.append, sealer=SEALER)
        )
        await put(entries, "organisation", [row("org-road", 2, name="市政处"), row("org-news", 3, name="宣传部")])
        await put(
            entries,
            "report_route",
            [
                row("r1", 2, name="积水-水利", event="water", organisation="org-water", authority="direct"),
                row("r2", 3, name="积水-市政", event="water", organisation="org-road", authority="request"),
                row("r3", 4, name="积水-宣传", event="water", organisation="org-news", authority="notify"),
                row("r4", 5, name="积水-重复", event="water", organisation="org-water", authority="notify"),
                row("r5", 6, name="火情", event="fire", organisation="org-road", authority="direct"),
            ],
        )
        people = {"contact_a": "k1", "contact_b": "k2", "owner": "org-water"}
        for name, lon in (("w", 121.2), ("e", 121.6)):
            await entries.create(REGISTRAR, "school", draft(name, name=name, lon=lon, lat=28.5, **people), reason="x")
        await put(
            entries,
            "patrol_duty",
            [
                row(
                    "d1",
                    2,
                    name="教育",
                    subject="school/w",
                    organisation="org-road",
                    every_days=30,
                    checklist="围墙\n消防栓",
                ),
                row(
                    "d2",
                    3,
                    name="水利",
                    subject="school/w",
                    organisation="org-water",
                    every_days=7,
                    checklist="排水\n消防栓",
                ),
                row(
                    "d3", 4, name="水利东", subject="school/e", organisation="org-water", every_days=7, checklist="排水"
                ),
                row("d4", 5, name="已撤", subject="school/gone", organisation="org-water", every_days=7),
            ],
        )
        grid = GridService(world.store, world.env, world.changes.append, entries.engine.kinds)
        await work(Street(grid, entries, clock, world))

    asyncio.run(run())


def test_a_report_goes_once_to_everybody_who_is_named_for_it() -> None:
    async def work(street: Street) -> None:
        report = await street.seen(1)
        assert [(r.organisation, r.authority, r.state) for r in report.receipts] == [
            ("水利局", "direct", ReceiptState.SENT),
            ("市政处", "request", ReceiptState.SENT),
            ("宣传部", "notify", ReceiptState.SENT),
        ], "named twice is told once, by the first of its routes"
        assert (report.area, report.state, report.kind_zh) == ("339900001", ReportState.OPEN, "积水内涝")
        again = await street.seen(1)
        assert again == report, "sent twice by a phone with a weak network is one report"
        assert (await street.seen(1, OTHER)).report_id != report.report_id, "another person's client is another"
        assert (await street.seen(2, kind="road")).receipts == []
        assert await street.journal("grid_report", report.report_id) == ["file"]

    story(work)


def test_each_signs_and_answers_once_and_then_it_is_over() -> None:
    async def work(street: Street) -> None:
        grid, report = street.grid, await street.seen(1)
        with pytest.raises(IllegalTransition):
            await grid.result(LIAISON, report.report_id, "org-water", "已抽排")
        await grid.sign(LIAISON, report.report_id, "org-water")
        with pytest.raises(IllegalTransition):
            await grid.sign(LIAISON, report.report_id, "org-water")
        half = await grid.result(LIAISON, report.report_id, "org-water", "已抽排")
        assert half.state is ReportState.OPEN
        await grid.sign(LEADER, report.report_id, "org-road")
        done = await grid.result(LEADER, report.report_id, "org-road", "已封闭")
        assert (done.state, done.closed_comment) == (ReportState.CLOSED, "水利局：已抽排；市政处：已封闭")
        assert done.receipts[2].state is ReceiptState.SENT, "who is only notified is not waited for"
        assert (await grid.report(WALKER, report.report_id)).state_zh == "已办结", "who reported sees one state"
        with pytest.raises(IllegalTransition):
            await grid.sign(LEADER, report.report_id, "org-news")
        with pytest.raises(NotFound):
            await grid.sign(LEADER, (await street.seen(2)).report_id, "org-9")
        back = await grid.reopen(LEADER, report.report_id, "又积水")
        assert (back.state, back.closed_comment) == (ReportState.OPEN, "")
        expected = ["file", "signed", "done", "signed", "done", "answered", "reopen"]
        assert (await street.journal("grid_report", report.report_id))[::-1] == expected

    story(work)


def test_the_same_thing_is_shown_and_joined_by_a_person_and_back() -> None:
    async def work(street: Street) -> None:
        grid = street.grid
        first = await street.seen(1)
        street.clock.step(600)
        near, far = await street.seen(2, OTHER, east_m=120), await street.seen(3, OTHER, east_m=900)
        fire = await street.seen(4, OTHER, kind="fire", east_m=10)
        assert [r.report_id for r in await grid.similar(LEADER, near.report_id)] == [first.report_id]
        assert near.state is ReportState.OPEN, "nothing is joined by itself"
        assert await grid.similar(LEADER, far.report_id) == []
        assert await grid.similar(LEADER, fire.report_id) == []
        joined = await grid.join(LEADER, near.report_id, first.report_id)
        assert (joined.state, joined.joined_to) == (ReportState.JOINED, first.report_id)
        assert (await grid.report(LEADER, first.report_id)).witnesses == 1
        with pytest.raises(IllegalTransition):
            await grid.join(LEADER, far.report_id, near.report_id)
        with pytest.raises(Conflict, match="joined to"):
            await grid.join(LEADER, first.report_id, far.report_id)
        with pytest.raises(Invalid):
            await grid.join(LEADER, far.report_id, far.report_id)
        back = await grid.unjoin(LEADER, near.report_id)
        assert (back.state, back.joined_to) == (ReportState.OPEN, "")
        assert (await grid.report(LEADER, first.report_id)).witnesses == 0
        street.clock.step(4 * 3600)
        late = await street.seen(5, OTHER)
        assert await grid.similar(LEADER, late.report_id) == [], "hours later it is another water"

    story(work)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["join", "unjoin", "close", "reopen"]), st.integers(0, 3), st.integers(0, 3)),
        max_size=14,
    )
)
def test_however_they_are_joined_and_parted_the_witnesses_are_those_that_are_joined(
    steps: list[tuple[str, int, int]],
) -> None:
    async def work(street: Street) -> None:
        ids = [(await street.seen(n)).report_id for n in range(4)]
        for verb, a, b in steps:
            try:
                match verb:
                    case "join":
                        await street.grid.join(LEADER, ids[a], ids[b])
                    case "unjoin":
                        await street.grid.unjoin(LEADER, ids[a])
                    case "close":
                        await street.grid.close(LEADER, ids[a], "x")
                    case _:
                        await street.grid.reopen(LEADER, ids[a], "x")
            except (Invalid, Conflict, IllegalTransition):
                pass
        found = {r.report_id: r for r in (await street.grid.reports(LEADER))[0]}
        for report in found.values():
            joined = [r for r in found.values() if r.joined_to == report.report_id]
            assert report.witnesses == len(joined)
            assert (report.state is ReportState.JOINED) == bool(report.joined_to)

    story(work)


def test_bad_reports_are_refused_by_name_and_strangers_file_nothing() -> None:
    async def work(street: Street) -> None:
        good = ReportDraft(client_id="c", kind="water", text="x", lon=LON, lat=LAT)
        for changed, said in (
            ({"kind": "ufo"}, "kind"), ({"text": " "}, "text"), ({"client_id": ""}, "client_id"),
            ({"lat": 91.0}, "lat"), ({"lon": float("nan")}, "finite|lon|number|NaN"),
        ):  # fmt: skip
            with pytest.raises(Invalid, match=said):
                await street.grid.file(
                    WALKER, ReportDraft(**{**{f: getattr(good, f) for f in good.__struct_fields__}, **changed})
                )
        with pytest.raises(Forbidden):
            await street.grid.file(VENDOR, good)
        report = await street.seen(1)
        with pytest.raises(Forbidden):
            await street.grid.close(WALKER, report.report_id, "x")
        with pytest.raises(NotFound):
            await street.grid.report(
                Actor(username="l", roles=frozenset({Role.LEADER}), scope=EAST.scope), report.report_id
            )
        with pytest.raises(Forbidden):
            await street.grid.report(OTHER, report.report_id)
        across = await street.grid.file(WALKER, ReportDraft(client_id="far", kind="fire", text="x", lon=121.6, lat=LAT))
        assert across.area == "339900002", "what is seen across the border is taken"
        mine, _ = await street.grid.reports(WALKER, mine=True)
        assert {r.report_id for r in mine} == {report.report_id, across.report_id}
        for wrong in ({"state": "x"}, {"limit": 0}):
            with pytest.raises(Invalid):
                await street.grid.reports(LEADER, **wrong)  # type: ignore[arg-type]

    story(work)


def test_one_visit_answers_everybodys_list() -> None:
    async def work(street: Street) -> None:
        grid = street.grid
        (due,) = await grid.due(WALKER)
        assert (due.subject, due.organisations, due.every_days, due.last_us) == (
            "school/w",
            ["市政处", "水利局"],
            7,
            None,
        )
        assert due.checklist == ["围墙", "消防栓", "排水"], "the union, each once"
        answers = [
            Answer(item="围墙", ok=True),
            Answer(item="消防栓", ok=False, note="被挡"),
            Answer(item="排水", ok=True),
        ]
        with pytest.raises(Invalid, match="排水"):
            await grid.visit(WALKER, VisitDraft(client_id="v", subject="school/w", answers=answers[:2]))
        lon, lat = local_lonlat(0.0, 200.0, LON, LAT)
        visit = await grid.visit(
            WALKER, VisitDraft(client_id="v", subject="school/w", answers=answers, lon=float(lon), lat=float(lat))
        )
        assert (visit.findings, visit.organisations) == (1, ["org-road", "org-water"])
        assert visit.distance_m == pytest.approx(200, rel=0.01)
        assert await grid.visit(WALKER, VisitDraft(client_id="v", subject="school/w", answers=[])) == visit, (
            "sent again"
        )
        assert await grid.due(WALKER) == []
        assert [d.subject for d in await grid.due(WALKER, days=7)] == ["school/w"]
        street.clock.step(8 * 86_400)
        (again,) = await grid.due(WALKER)
        assert (again.last_us, again.due_us, again.overdue) == (visit.visited_us, visit.visited_us + 7 * DAY_US, True)
        assert {d.subject for d in await grid.due(LEADER)} == {"school/e", "school/w"}, (
            "what is gone is wanted by nobody"
        )
        with pytest.raises(NotFound):
            await grid.visit(
                WALKER, VisitDraft(client_id="w", subject="school/e", answers=[Answer(item="排水", ok=True)])
            )
        with pytest.raises(NotFound):
            await grid.visit(LEADER, VisitDraft(client_id="w", subject="school/gone", answers=[]))
        with pytest.raises(Forbidden):
            await grid.due(VENDOR)
        assert await street.journal("grid_visit", visit.visit_id) == ["visit"]

    story(work)


def test_the_register_of_routes_knows_the_kinds_that_there_are() -> None:
    field = load_kinds()["report_route"].field("event")
    assert field is not None
    assert [(c.value, c.zh, c.en) for c in field.choices] == [(k.kind, k.zh, k.en) for k in event_kinds().values()]
