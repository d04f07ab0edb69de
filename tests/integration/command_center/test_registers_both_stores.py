"""The registers, the same story on the memory twin and on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec
import psycopg
import pytest

from citybrain_testing.command import ADMIN, DUTY1, LEADER, START_US, make_world, responder
from citybrain_testing.command_store import command_store
from citybrain_testing.registers import EAST, PEOPLE, REGISTRAR, SEALER, a_register, draft, filled, put, row
from command_center.access.personal import Unsealable
from command_center.access.scope import Scope
from command_center.errors import Conflict, Forbidden, Invalid, NotFound
from command_center.model import Actor, Role
from command_center.registers.checks import Draft
from command_center.registers.entries import Entry, Link
from command_center.registers.plants import control_room
from command_center.registers.ports import EntryQuery, EntryRow, Statement
from command_center.registers.register_target import RegisterTarget
from command_center.registers.service import EntryRegister
from command_center.registers.unit_target import UnitTarget
from command_center.registers.wiring import RegisterPlaces, rows_of, targets_of
from command_center.registers.writing import By, WrongValues
from command_center.work import Work

replace = msgspec.structs.replace
DAY_US = 86_400_000_000
Story = Callable[[EntryRegister], Awaitable[None]]
Run = Callable[[Story], None]
RESERVOIR = {
    "name": "库前水库",
    "contact_a": "k1",
    "contact_b": "k2",
    "owner": "org-water",
    "limit_m": 28.0,
    "datum": "cgvd85",
}


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.database)])
def run(request: pytest.FixtureRequest) -> Run:
    url = request.getfixturevalue("fresh_url")() if request.param == "postgres" else None

    async def body(story: Story) -> None:
        async with command_store(url) as store:
            await story(await filled(a_register(store)))

    return lambda story: asyncio.run(body(story))


async def journal(register: EntryRegister, kind: str, entry_id: str = "") -> list[str]:
    async with register.store.read() as tx:
        return [e.action for e in await tx.journal(f"register.{kind}", entry_id, 100, None)]


def test_an_entry_is_registered_found_changed_and_removed_and_the_journal_tells_it(run: Run) -> None:
    async def story(r: EntryRegister) -> None:
        made = await r.create(REGISTRAR, "reservoir", draft("r1", lon=121.65, lat=28.5, **RESERVOIR), reason="new")
        assert (made.area, made.area_name, made.rev) == ("339900002001", "东浦村", 1)
        assert made.refs["contact"] == {"k1": "王建国", "k2": "李秀英"}
        (found,) = (await r.entries(DUTY1, "reservoir", q="库前 水利")).items or (
            await r.entries(DUTY1, "reservoir")
        ).items
        assert found.entry_id == "r1"
        changed = await r.change(
            REGISTRAR,
            "reservoir",
            "r1",
            draft(lon=121.65, lat=28.5, **{**RESERVOIR, "limit_m": 27.5}),
            rev=1,
            reason="批复",
        )
        assert (changed.rev, changed.values["limit_m"]) == (2, 27.5)
        lines, _ = await r.history(DUTY1, "reservoir", "r1")
        assert (lines[0].before, lines[0].after, lines[0].reason) == (
            {"values.limit_m": 28.0},
            {"values.limit_m": 27.5},
            "批复",
        )
        with pytest.raises(Conflict, match="revision 2, yours was 1"):
            await r.change(REGISTRAR, "reservoir", "r1", draft(lon=121.65, lat=28.5, **RESERVOIR), rev=1, reason="late")
        with pytest.raises(Conflict, match="registered already"):
            await r.create(REGISTRAR, "reservoir", draft("r1", lon=121.65, lat=28.5, **RESERVOIR), reason="again")
        await r.remove(REGISTRAR, "reservoir", "r1", rev=2, reason="废止")
        with pytest.raises(NotFound):
            await r.get(DUTY1, "reservoir", "r1")
        assert await journal(r, "reservoir", "r1") == ["remove", "change", "create"]
        assert (await r.history(REGISTRAR, "reservoir", "r1"))[0][0].action == "remove"

    run(story)


def test_a_change_that_changes_nothing_writes_nothing(run: Run) -> None:
    async def story(r: EntryRegister) -> None:
        await r.create(REGISTRAR, "reservoir", draft("r1", lon=121.65, lat=28.5, **RESERVOIR), reason="new")
        same = await r.change(REGISTRAR, "reservoir", "r1", draft(lon=121.65, lat=28.5, **RESERVOIR), rev=1, reason="-")
        assert same.rev == 1
        assert await journal(r, "reservoir") == ["create"]

    run(story)


def test_telephones_are_sealed_in_the_store_and_masked_on_the_way_out(run: Run) -> None:
    async def story(r: EntryRegister) -> None:
        async with r.store.read() as tx:
            stored = await tx.register_entry("contact", "k1")
            lines = await tx.journal("register.contact", "k1", 10, None)
        assert stored is not None
        assert stored.values["phone"].startswith("p1:k1:")
        assert "13800000001" not in msgspec.json.encode([stored, lines]).decode()
        for actor in (DUTY1, REGISTRAR, ADMIN, responder("unit-1")):
            seen = await r.get(actor, "contact", "k1")
            assert (seen.values["phone"], seen.masked) == ("138****0001", ["phone"])
        assert not (await r.entries(REGISTRAR, "contact", q="13800000001")).items

    run(story)


def test_reading_a_telephone_in_clear_takes_the_right_and_leaves_a_line(run: Run) -> None:
    async def story(r: EntryRegister) -> None:
        assert (await r.get(DUTY1, "contact", "k1", clear=True)).values["phone"] == "13800000001"
        async with r.store.read() as tx:
            (line, *_) = await tx.journal("register.contact", "k1", 1, None)
        assert (line.actor, line.action, line.after) == ("duty1", "read_personal", {"keys": ["phone"]})
        for actor in (ADMIN, responder("unit-1"), Actor(username="a", roles=frozenset({Role.ANALYST}))):
            with pytest.raises(Forbidden, match="personal"):
                await r.get(actor, "contact", "k1", clear=True)
        assert await journal(r, "contact", "k1") == ["read_personal", "create"]
        clear = await r.everything(LEADER, "contact", clear=True, reason="演练")
        assert [v.values["phone"] for v in clear] == ["13800000001", "13800000002", "13800000003"]
        assert (await journal(r, "contact", "*")) == ["read_personal"]

    run(story)


def test_a_mask_that_comes_back_leaves_the_number_behind_it(run: Run) -> None:
    async def story(r: EntryRegister) -> None:
        seen = await r.get(REGISTRAR, "contact", "k1")
        sent = draft(area=seen.area, **{**seen.values, "post": "局长"})
        changed = await r.change(REGISTRAR, "contact", "k1", sent, rev=1, reason="职务")
        assert changed.values["post"] == "局长"
        assert (await r.get(DUTY1, "contact", "k1", clear=True)).values["phone"] == "13800000001"
        lines, _ = await r.history(REGISTRAR, "contact", "k1")
        assert next(line for line in lines if line.action == "change").after == {"values.post": "局长"}
        with pytest.raises(WrongValues, match="11 digits"):
            await r.change(
                REGISTRAR, "contact", "k1", draft(**{**seen.values, "phone": "139****9999"}), rev=2, reason="x"
            )

    run(story)


def test_a_new_telephone_is_a_number_that_nobody_checked(run: Run) -> None:
    async def story(r: EntryRegister) -> None:
        assert (await r.unverified(DUTY1)).total == 4  # the organisation and three people
        checked = await r.verify(DUTY1, "contact", "k1", comment="本人接听")
        assert (checked.verified, checked.verified_by, checked.verified_us) == (True, "duty1", START_US)
        assert {e.entry_id for e in (await r.unverified(DUTY1)).items} == {"org-water", "k2", "k3"}
        await r.change(
            REGISTRAR,
            "contact",
            "k1",
            draft(area="339900001", name="王建国", phone="13800000009"),
            rev=2,
            reason="换号",
        )
        assert not (await r.get(DUTY1, "contact", "k1")).verified
        async with r.store.read() as tx:
            lines = await tx.journal("register.contact", "k1", 10, None)
        assert [line.action for line in lines] == ["change", "verify", "create"]
        assert lines[1].reason == "本人接听"

    run(story)


def test_what_was_checked_last_season_counts_no_longer(run: Run) -> None:
    async def story(r: EntryRegister) -> None:
        await r.verify(DUTY1, "contact", "k1")
        r.env.clock.step(200 * 86_400.0)  # type: ignore[attr-defined]  # into February 2020: the next season counts
        assert (await r.get(DUTY1, "contact", "k1")).verified is False
        page = await r.entries(DUTY1, "contact", unverified=True, limit=2)
        assert ([e.entry_id for e in page.items], page.next, page.total) == (["k1", "k2"], "k2", 3)
        assert [e.entry_id for e in (await r.entries(DUTY1, "contact", unverified=True, cursor="k2")).items] == ["k3"]

    run(story)


def test_what_something_refers_to_is_not_removed(run: Run) -> None:
    async def story(r: EntryRegister) -> None:
        await r.create(REGISTRAR, "reservoir", draft("r1", lon=121.65, lat=28.5, **RESERVOIR), reason="new")
        with pytest.raises(Conflict, match=r"reservoir r1 \(contact_a\)"):
            await r.remove(REGISTRAR, "contact", "k1", rev=1, reason="x")
        with pytest.raises(Conflict, match="reservoir r1"):
            await r.remove(REGISTRAR, "area", "339900002001", rev=1, reason="x")
        with pytest.raises(Conflict, match="area 339900002001"):
            await r.remove(REGISTRAR, "area", "339900002", rev=1, reason="x")
        await r.remove(REGISTRAR, "reservoir", "r1", rev=1, reason="x")
        await r.remove(REGISTRAR, "contact", "k1", rev=1, reason="x")

    run(story)


def test_nobody_acts_or_looks_outside_his_area(run: Run) -> None:
    async def story(r: EntryRegister) -> None:
        await r.create(REGISTRAR, "reservoir", draft("west", lon=121.2, lat=28.5, **RESERVOIR), reason="new")
        await r.create(EAST, "reservoir", draft("east", lon=121.65, lat=28.5, **RESERVOIR), reason="new")
        assert [e.entry_id for e in (await r.entries(EAST, "reservoir")).items] == ["east"]
        assert (await r.entries(EAST, "reservoir")).total == 1
        assert next(k["count"] for k in await r.kinds(EAST) if k["kind"] == "reservoir") == 1
        for look in (r.get(EAST, "reservoir", "west"), r.verify(EAST, "reservoir", "west")):
            with pytest.raises(NotFound):
                await look
        with pytest.raises(NotFound):
            await r.change(EAST, "reservoir", "west", draft(lon=121.65, lat=28.5, **RESERVOIR), rev=1, reason="x")
        with pytest.raises(Forbidden, match="339900001"):
            await r.create(EAST, "reservoir", draft("w2", lon=121.2, lat=28.5, **RESERVOIR), reason="x")
        with pytest.raises(Forbidden, match="339900001"):  # nor pushed out of it
            await r.change(EAST, "reservoir", "east", draft(lon=121.2, lat=28.5, **RESERVOIR), rev=1, reason="x")
        mine = await r.create(EAST, "contact", draft(name="陈晨", phone="13800000004"), reason="new")
        assert (mine.area, mine.entry_id) == ("339900002", "contact-1")

    run(story)


def test_an_organisation_sees_what_is_its_own(run: Run) -> None:
    async def story(r: EntryRegister) -> None:
        await put(r, "organisation", [row("org-port", name="港务局")])
        await r.create(REGISTRAR, "reservoir", draft("ours", lon=121.2, lat=28.5, **RESERVOIR), reason="new")
        await r.create(
            REGISTRAR,
            "reservoir",
            draft("theirs", lon=121.2, lat=28.5, **{**RESERVOIR, "owner": "org-port"}),
            reason="",
        )
        port = Actor(username="p", roles=frozenset({Role.OPERATOR}), scope=Scope(organisations=("org-port",)))
        assert [e.entry_id for e in (await r.entries(port, "reservoir")).items] == ["theirs"]
        assert (await r.entries(port, "area")).total == 4  # areas belong to no organisation
        with pytest.raises(NotFound):
            await r.get(port, "reservoir", "ours")

    run(story)


ROLES = {
    Role.OPERATOR: "read check",
    Role.LEADER: "read check sign",
    Role.REGISTRAR: "read write check sign",
    Role.ADMIN: "read write",
    Role.RESPONDER: "read",
    Role.ANALYST: "read",
    Role.AUDITOR: "read",
    Role.VENDOR: "",
    Role.MET: "",
    Role.SECURITY: "",
}


PLANT = {"name": "厂", "contact_a": "k1", "contact_b": "k2", "grade": "red"}


def doors(r: EntryRegister, actor: Actor, here: str, new: str) -> list[tuple[str, Callable[[], Awaitable[object]]]]:
    """Every way into the registers, with the permission that it takes."""
    target, moved = RegisterTarget(r, "plant"), draft(lon=121.3, lat=28.5, **PLANT)
    return [
        ("read", lambda: r.kinds(actor)),
        ("read", lambda: r.entries(actor, "plant")),
        ("read", lambda: r.get(actor, "plant", here)),
        ("read", lambda: r.unverified(actor)),
        ("read", lambda: r.history(actor, "plant", here)),
        ("read", lambda: r.statements(actor, "plant", here)),
        ("read", lambda: r.areas(actor)),
        ("read", lambda: r.areas_geojson(actor)),
        ("read", lambda: r.everything(actor, "plant")),
        ("write", lambda: r.create(actor, "plant", draft(new, lon=121.2, lat=28.5, **PLANT), reason="")),
        ("write", lambda: r.change(actor, "plant", here, moved, rev=1, reason="")),
        ("write", lambda: target.current(actor, [here])),
        ("write", lambda: target.check(actor, [])),
        ("write", lambda: target.commit(actor, [], reason="")),
        ("check", lambda: r.verify(actor, "plant", here)),
        ("sign", lambda: r.sign(actor, "plant", here, day="2019-08-09", grade="red", text="检修")),
        ("write", lambda: r.remove(actor, "plant", new, rev=1, reason="")),
    ]


def test_each_role_does_its_own(run: Run) -> None:
    async def story(r: EntryRegister) -> None:
        for n, (role, may) in enumerate(ROLES.items()):
            actor = Actor(username=f"u{n}", roles=frozenset({role}))
            await r.create(REGISTRAR, "plant", draft(f"p{n}", lon=121.2, lat=28.5, **PLANT), reason="new")
            for needed, door in doors(r, actor, f"p{n}", f"q{n}"):
                if needed in may:
                    await door()
                else:
                    with pytest.raises(Forbidden):
                        await door()

    run(story)


def test_a_list_is_narrowed_by_words_area_and_box_and_read_page_by_page(run: Run) -> None:
    async def story(r: EntryRegister) -> None:
        rows = [
            row(
                f"s{n}",
                n,
                name=f"避灾点{n}",
                capacity=100 + n,
                lon=121.1 + n / 100,
                lat=28.5,
                location="人民路" if n % 2 else "",
            )
            for n in range(60)
        ]
        await put(r, "shelter", rows)
        first = await r.entries(DUTY1, "shelter", limit=25)
        second = await r.entries(DUTY1, "shelter", limit=25, cursor=first.next or "")
        third = await r.entries(DUTY1, "shelter", limit=25, cursor=second.next or "")
        assert (first.total, third.next) == (60, None)
        assert [e.entry_id for p in (first, second, third) for e in p.items] == sorted(f"s{n}" for n in range(60))
        assert (await r.entries(DUTY1, "shelter", q="人民路 避灾点1")).total == 6
        assert [(await r.entries(DUTY1, "shelter", q=f"避灾点{c}")).total for c in ("%", "_", "\\")] == [0, 0, 0]
        assert (await r.entries(DUTY1, "shelter", area="339900002001")).total == 10
        assert (await r.entries(DUTY1, "shelter", bbox=(121.195, 28.0, 121.305, 29.0))).total == 11
        with pytest.raises(Invalid, match="limit"):
            await r.entries(DUTY1, "shelter", limit=0)
        with pytest.raises(NotFound, match="moon"):
            await r.entries(DUTY1, "moon")

    run(story)


def test_an_import_goes_in_whole_or_not_at_all_and_twice_changes_nothing(run: Run) -> None:
    async def story(r: EntryRegister) -> None:
        rows = [
            row(f"d{n}", n, name=f"堤{n}", contact_a="王建国", lon=121.2, lat=28.5, warning_m="3.0")
            for n in range(2, 12)
        ]
        target = RegisterTarget(r, "dyke")
        bad = [*rows, row("d99", 99, name="堤99", contact_a="赵六", lon=121.2, lat=28.5)]
        (problem,) = await target.check(REGISTRAR, bad)
        assert (problem.row, problem.column, problem.value) == (99, "contact_a", "赵六")
        with pytest.raises(WrongValues, match="row 99 contact_a"):
            await target.commit(REGISTRAR, bad, reason="x")
        assert (await r.entries(REGISTRAR, "dyke")).total == 0
        done = await target.commit(REGISTRAR, rows, reason="年度台账")
        assert (done.created, done.changed, done.same) == (10, 0, 0)
        assert {w["key"] for w in done.extra["warnings"]} >= {"datum", "owner", "contact_b"}
        again = await target.commit(REGISTRAR, rows, reason="again")
        assert (again.created, again.changed, again.same) == (0, 0, 10)
        assert len(await journal(r, "dyke")) == 10
        third = await target.commit(REGISTRAR, [row("d2", 2, remarks="加固"), rows[1]], reason="x")
        assert (third.created, third.changed, third.same) == (0, 1, 1)
        kept = await r.get(REGISTRAR, "dyke", "d2")
        assert (kept.values["warning_m"], kept.values["remarks"], kept.lon) == (3.0, "加固", 121.2)
        cleared = await target.commit(REGISTRAR, [row("d2", 2, warning_m=None)], reason="x")
        assert cleared.changed == 1
        assert "warning_m" not in (await r.get(REGISTRAR, "dyke", "d2")).values

    run(story)


def test_an_import_of_people_twice_writes_nothing_although_their_numbers_are_sealed(run: Run) -> None:
    async def story(r: EntryRegister) -> None:
        again = await put(r, "contact", PEOPLE)
        assert (again.created, again.changed, again.same) == (0, 0, 3)
        exported = [row(p.entry_id, p.row, **{**p.values, "phone": "138****" + p.values["phone"][-4:]}) for p in PEOPLE]
        assert (await put(r, "contact", exported)).same == 3
        current = await RegisterTarget(r, "contact").current(REGISTRAR, ["k1", "nobody"])
        assert set(current) == {"k1"}
        assert current["k1"].values == {
            "name": "王建国",
            "phone": "13800000001",
            "organisation": "org-water",
            "area": "339900001",
        }
        assert (await RegisterTarget(r, "contact").current(ADMIN, ["k1"]))["k1"].values["phone"] == "138****0001"
        assert (await journal(r, "contact", "*")) == ["read_personal"]

    run(story)


def test_rows_outside_the_clerks_area_are_problems_and_hide_what_stands_there(run: Run) -> None:
    async def story(r: EntryRegister) -> None:
        target = RegisterTarget(r, "contact")
        assert await target.current(EAST, ["k1"]) == {}
        (problem,) = await target.check(EAST, [row("k1", 7, name="王建国", phone="13800000001", organisation="水利局")])
        assert (problem.row, problem.value) == (7, "339900001")
        with pytest.raises(WrongValues, match="outside your scope"):
            await target.commit(EAST, [row("k1", 7, phone="13800000008")], reason="x")

    run(story)


def test_two_rows_of_one_id_are_a_problem(run: Run) -> None:
    async def story(r: EntryRegister) -> None:
        rows = [row("k9", 2, name="甲", phone="13800000005"), row("k9", 3, name="乙", phone="13800000006")]
        (problem,) = await RegisterTarget(r, "contact").check(REGISTRAR, rows)
        assert (problem.row, problem.column) == (3, "entry_id")

    run(story)


def test_a_statement_is_signed_once_and_corrected_by_number(run: Run) -> None:
    async def story(r: EntryRegister) -> None:
        plant = {"name": "厂", "contact_a": "k1", "contact_b": "k2", "grade": "orange"}
        await r.create(REGISTRAR, "plant", draft("p1", lon=121.2, lat=28.5, **plant), reason="new")
        first = await r.sign(LEADER, "plant", "p1", day="2019-08-09", grade="orange", text="2 处动火作业")
        assert (first.edition, first.signed_by, first.signed_us) == (1, "leader1", START_US)
        with pytest.raises(Conflict, match="edition 1"):
            await r.sign(LEADER, "plant", "p1", day="2019-08-09", grade="orange", text="2 处动火作业 ")
        assert (await r.get(DUTY1, "plant", "p1")).statement == first
        second = await r.sign(REGISTRAR, "plant", "p1", day="2019-08-09", grade="red", text="3 处动火作业")
        assert second.edition == 2
        assert [e.statement for e in (await r.entries(DUTY1, "plant")).items] == [second]
        assert [(s.edition, s.grade) for s in await r.statements(DUTY1, "plant", "p1")] == [(2, "red"), (1, "orange")]
        for day, said in [("2019-08-10", "has not come"), ("2019-08-01", "on its day"), ("9.8.2019", "expected a day")]:
            with pytest.raises(Invalid, match=said):
                await r.sign(LEADER, "plant", "p1", day=day, grade="red", text="x")
        with pytest.raises(Invalid, match="grade"):
            await r.sign(LEADER, "plant", "p1", day="2019-08-08", grade="green", text="x")
        with pytest.raises(Invalid, match="no daily risk statement"):
            await r.statements(DUTY1, "contact", "k1")
        assert await journal(r, "plant", "p1") == ["correct_statement", "sign_statement", "create"]

    run(story)


def test_the_control_room_is_that_of_the_plant_whose_detector_it_is(run: Run) -> None:
    async def story(r: EntryRegister) -> None:
        gas = [r.env.registry.devices[i] for i in ("gas-1", "gas-2")]
        async with r.store.read() as tx:
            assert await control_room(tx, gas) is None
        base = {"contact_a": "k1", "contact_b": "k2"}
        await r.create(
            REGISTRAR,
            "plant",
            draft("p1", lon=121.2, lat=28.5, name="园区厂", site="park-a", control_room_phone="0576-0000-1109", **base),
            reason="",
        )
        async with r.store.read() as tx:
            assert await control_room(tx, gas) == ("园区厂", "0576-0000-1109")
        await r.create(
            REGISTRAR,
            "plant",
            draft(
                "p2", lon=121.2, lat=28.5, name="所有者", devices=["gas-2"], control_room_phone="0576-0000-1110", **base
            ),
            reason="",
        )
        async with r.store.read() as tx:
            assert await control_room(tx, gas) == ("所有者", "0576-0000-1110")
            assert await control_room(tx, [r.env.registry.devices["wg-river"]]) is None

    run(story)


def test_units_come_from_a_sheet_and_keep_what_they_are_doing(run: Run) -> None:
    async def story(r: EntryRegister) -> None:
        world = make_world(r.store)
        target = UnitTarget(store=r.store, env=world.env, emit=world.changes.append)
        sheet = [
            row(
                "unit-1",
                2,
                name="防汛一队",
                kind="防汛抢险",
                authority="直接调度",
                capabilities="排涝、水域救援",
                wading_depth_m="0.8",
                lon=121.2,
                lat=28.5,
            ),
            row(
                "unit-2",
                3,
                name="交警中队",
                kind="police",
                authority="协调请求",
                capabilities=["traffic_control"],
                phone="119",
                lon=121.65,
                lat=28.5,
            ),
        ]
        assert await target.check(REGISTRAR, sheet) == []
        done = await target.commit(REGISTRAR, sheet, reason="年度")
        assert (done.created, done.changed) == (2, 0)
        assert [c.id for c in world.changes] == ["unit-1", "unit-2"]
        assert (await target.commit(REGISTRAR, sheet, reason="again")).same == 2
        changed = await target.commit(
            REGISTRAR, [row("unit-1", 2, wading_depth_m=1.0, lon=121.9, lat=28.9)], reason="新车"
        )
        assert changed.changed == 1
        async with r.store.read() as tx:
            units = {u.unit.unit_id: u.unit for u in await tx.units()}
            lines = await tx.journal("unit", "unit-1", 5, None)
        assert (units["unit-1"].wading_depth_m, units["unit-1"].lon, units["unit-1"].area) == (1.0, 121.2, "339900001")
        assert units["unit-2"].area == "339900002001"
        assert [(line.action, line.reason) for line in lines] == [("register", "新车"), ("register", "年度")]
        wrong = [
            row("unit 3", 4, name="x", kind="navy", authority="direct", capabilities="pumping"),
            row("unit-1", 5, area="339900009"),
        ]
        problems = {(p.row, p.column) for p in await target.check(REGISTRAR, wrong)}
        assert problems == {(4, "kind"), (4, "entry_id"), (4, ""), (5, "area")}
        with pytest.raises(WrongValues, match="row 4 kind"):
            await target.commit(REGISTRAR, wrong, reason="x")
        outside = await target.check(EAST, [row("unit-1", 2, wading_depth_m=0.5)])
        assert [p.en for p in outside] == ["lies outside your scope"]
        assert set(await target.current(EAST, ["unit-1", "unit-2"])) == {"unit-2"}

    run(story)


def test_areas_are_a_tree_and_a_changed_outline_counts_at_once(run: Run) -> None:
    async def story(r: EntryRegister) -> None:
        (top,) = await r.areas(DUTY1)
        assert [c["name"] for c in top["children"]] == ["城西街道", "城东街道"]
        assert len((await r.areas_geojson(EAST))["features"]) == 2
        await put(
            r,
            "area",
            [
                row(
                    "339900003",
                    name="新街道",
                    geometry={
                        "type": "Polygon",
                        "coordinates": [[[121.1, 28.1], [121.2, 28.1], [121.2, 28.2], [121.1, 28.1]]],
                    },
                )
            ],
        )
        made = await r.create(
            REGISTRAR, "shelter", draft("s1", lon=121.18, lat=28.15, name="点", capacity=5), reason=""
        )
        assert made.area == "339900003"
        again = await put(r, "area", [row("339900003", name="新街道")])
        assert again.same == 1

    run(story)


def test_the_stores_rows_obey_revision_and_cursor(run: Run) -> None:
    async def story(r: EntryRegister) -> None:
        def as_row(n: int, rev: int, **more: object) -> EntryRow:
            base = Entry(kind="vehicle", entry_id=f"v{n}", name=f"车{n}", rev=rev, changed_us=START_US, changed_by="x")
            return EntryRow(entry=replace(base, **more), organisation="", search=f"v{n} 车{n}")

        async with r.store.write() as tx:
            assert await tx.insert_register_entries([as_row(n, 1) for n in range(2_500)]) == 2_500
            assert await tx.insert_register_entries([as_row(7, 1), as_row(3_000, 1)]) == 1
            assert (
                await tx.update_register_entries(
                    [as_row(7, 2, geometry={"type": "Point", "coordinates": [1, 2]}), as_row(8, 3)]
                )
                == 1
            )
            assert not await tx.delete_register_entry("vehicle", "v7", 1)
            link = Link(kind="vehicle", entry_id="v7", field="owner", target_kind="organisation", target_id="org-water")
            await tx.put_register_links([("vehicle", "v7")], [link])
            await tx.put_register_links([("vehicle", "v7")], [link])
            assert len(await tx.register_links_to("organisation", "org-water", 1)) == 1
        async with r.store.read() as tx:
            assert (await tx.register_total(EntryQuery(kinds=["vehicle"]))) == {"vehicle": 2_501}
            found = await tx.register_list(EntryQuery(kinds=["vehicle"], after=("vehicle", "v998"), limit=2))
            assert [e.entry_id for e in found] == ["v999"]
            seven = await tx.register_entry("vehicle", "v7")
            assert seven is not None
            assert (seven.rev, seven.geometry) == (2, {"type": "Point", "coordinates": [1, 2]})
            assert await tx.register_names("vehicle", ["v7", "车8", "none"]) == [("v7", "车7"), ("v8", "车8")]
            assert link in await tx.register_linked("organisation", ["org-water", "x"])

    run(story)


@pytest.mark.database
def test_sql_refuses_what_the_code_would_never_do(fresh_url: Callable[[], str]) -> None:
    """Guards of the database itself: revisions step by one, links lead somewhere, what was signed stays."""

    async def story() -> None:
        async with command_store(fresh_url()) as store:
            await filled(a_register(store))

            def a_row(**more: object) -> EntryRow:
                base = Entry(kind="vehicle", entry_id="v1", name="车", changed_us=START_US, changed_by="x")
                return EntryRow(entry=replace(base, **more), organisation=None, search="")

            for wrong in ({"name": ""}, {"lon": 200.0, "lat": 1.0}, {"lon": 1.0}, {"kind": "area", "area": "33"}):
                with pytest.raises(psycopg.errors.CheckViolation):
                    async with store.write() as tx:
                        await tx.insert_register_entries([a_row(**wrong)])

            async def link_to_nobody() -> None:
                link = Link(kind="vehicle", entry_id="v1", field="owner", target_kind="organisation", target_id="none")
                async with store.write() as tx:
                    await tx.insert_register_entries([a_row()])
                    await tx.put_register_links([("vehicle", "v1")], [link])

            with pytest.raises(psycopg.errors.ForeignKeyViolation):
                await link_to_nobody()
            with pytest.raises(psycopg.errors.ForeignKeyViolation):
                async with store.write() as tx:
                    await tx.delete_register_entry("organisation", "org-water", 1)
            statement = Statement(
                kind="plant",
                entry_id="p",
                day="2019-08-09",
                edition=1,
                grade="red",
                text="t",
                signed_by="a",
                signed_name="",
                signed_us=1,
                machine_us=1,
            )
            async with store.write() as tx:
                assert await tx.add_statement(statement)
                assert not await tx.add_statement(replace(statement, text="other"))
                conn = tx._conn  # type: ignore[attr-defined]
                for sql in (
                    "UPDATE register_statement SET grade = 'blue'",
                    "DELETE FROM register_statement",
                    "TRUNCATE register_statement",
                ):
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        async with conn.transaction():
                            await conn.execute(sql)
                with pytest.raises(psycopg.errors.CheckViolation):
                    async with conn.transaction():
                        await conn.execute("UPDATE register_entry SET rev = rev + 2")

    asyncio.run(story())


def test_a_sealed_value_opens_only_where_it_was_sealed(run: Run) -> None:
    async def story(r: EntryRegister) -> None:
        async with r.store.read() as tx:
            stored = await tx.register_entry("contact", "k1")
        assert stored is not None
        assert SEALER.unseal(stored.values["phone"], "contact/k1/phone") == "13800000001"

    run(story)


def test_what_an_export_and_an_address_search_take(run: Run) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Spot:
        entry_id: str
        kind: str
        name: str
        lon: float
        lat: float
        aliases: tuple[str, ...]
        address: str
        area: str

    async def story(r: EntryRegister) -> None:
        targets, rows = targets_of(r), rows_of(r)
        assert set(targets) == {*r.engine.kinds, "unit"}
        assert all(target.kind == kind for kind, target in targets.items())
        assert (await rows(DUTY1, "contact", True))[0].values["phone"] == "13800000001"
        assert [x.entry_id for x in await rows(EAST, "contact", False)] == ["k2", "k3"]
        with pytest.raises(Forbidden):
            await rows(ADMIN, "contact", True)
        assert list(await rows(ADMIN, "unit", False)) == []
        streets = RegisterPlaces(r.store, Spot, ["address"])
        before = await streets.stamp()
        many = [
            row(f"a{n:04d}", n, name=f"人民路{n}号", also="大马路、老街", lon=121.2, lat=28.5) for n in range(1, 1_102)
        ]
        await put(r, "address", many)
        assert await streets.stamp() != before
        found = await streets.places()
        assert (len(found), found[0].aliases, found[0].area) == (1_101, ("大马路", "老街"), "339900001")
        assert not await RegisterPlaces(r.store, Spot).places()  # the organisation has no position

    run(story)


def test_rows_are_compared_in_the_words_of_what_stands(run: Run) -> None:
    async def story(r: EntryRegister) -> None:
        target = RegisterTarget(r, "dyke")
        given = row(
            "d1", 2, name="堤", contact_a="王建国", cameras=["cam-under"], owner="无此单位", lon=121.2, lat=28.5
        )
        (settled,) = await target.settled([given])
        assert settled.values == {"name": "堤", "contact_a": "k1", "cameras": ["cam-under"], "owner": "无此单位"}
        (area,) = await RegisterTarget(r, "area").settled([row("339900001", 2, name="城西街道", level=None)])
        assert area.values["level"] == "street"

    run(story)


def test_what_was_removed_while_a_sheet_was_judged_is_a_conflict(run: Run) -> None:
    async def story(r: EntryRegister) -> None:
        kind = r.engine.kind("dyke")
        one = Draft(entry_id="d1", values={"name": "堤", "contact_a": "k3"}, lon=121.2, lat=28.5)
        async with r.store.read() as tx:
            judged = await r.engine.judge(tx, kind, [one])
        made = await r.engine.make(kind, judged, By(actor=REGISTRAR, at_us=START_US, machine_us=1), "x")
        await r.remove(REGISTRAR, "contact", "k3", rev=1, reason="调离")

        async def write() -> None:
            async with r.store.write() as tx:
                work = Work(tx=tx, env=r.env, actor=REGISTRAR, at_us=START_US, machine_us=1)
                await r.engine.store(work, made)

        with pytest.raises(Conflict, match="k3"):
            await write()
        assert (await r.entries(REGISTRAR, "dyke")).total == 0

    run(story)


def test_one_value_that_no_key_opens_hides_itself_and_not_the_list(run: Run) -> None:
    async def story(r: EntryRegister) -> None:
        async with r.store.write() as tx:
            stored = await tx.register_entry("contact", "k2")
            other = await tx.register_entry("contact", "k1")
            assert stored is not None
            assert other is not None
            copied = replace(stored, rev=2, values={**stored.values, "phone": other.values["phone"]})
            row = EntryRow(entry=copied, organisation="org-water", search="k2")
            assert await tx.update_register_entries([row]) == 1
        page = await r.entries(DUTY1, "contact")
        assert [e.values["phone"] for e in page.items] == ["138****0001", "****", "138****0003"]
        assert "cannot be opened" in page.items[1].warnings[0].en
        with pytest.raises(Unsealable):
            await r.get(DUTY1, "contact", "k2", clear=True)

    run(story)
