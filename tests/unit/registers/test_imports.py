"""The import engine: bad cells named, differences shown, all or none, twice is once, nothing lost over a reload."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from citybrain_testing.command import DUTY1, responder
from citybrain_testing.import_target import FIELDS, MemoryTarget
from citybrain_testing.importing import CLERK, OTHER_CLERK, VENDOR, Importing, make_importing
from command_center.errors import Conflict, Forbidden, Invalid, NotFound
from command_center.registers.import_columns import guess
from command_center.registers.imports import DryRun, Geography
from command_center.registers.targets import Row
from command_center.registers.values import read_values
from gis.crs import from_wgs84
from gis.formats.sheet import FileWrong, Format
from storage.memory.command import MemoryStore

HEAD = "编号,名称,等级,坝高(m),责任人电话,经度,纬度"
GOOD = f"{HEAD}\nR1,东山水库,红,35.5,13805761234,121.45,28.68\nR2,西山水库,蓝,12,0576-88881234,121.46,28.69\n"


def run(coroutine: Any) -> Any:
    return asyncio.run(coroutine)


def importing(**options: Any) -> Importing:
    return make_importing(MemoryStore(), **options)


async def dry(world: Importing, text: str | bytes, *, name: str = "x.csv", **options: Any) -> DryRun:
    content = text.encode() if isinstance(text, str) else text
    return await world.imports.start(CLERK, kind="reservoir", filename=name, content=content, **options)


def test_a_dry_run_writes_nothing_and_a_commit_writes_all() -> None:
    async def story() -> None:
        world = importing()
        found = await dry(world, GOOD)
        assert found.counts == {"rows": 2, "new": 2, "changed": 0, "same": 0, "wrong": 0}
        assert [c.entry_id for c in found.changes] == ["R1", "R2"]
        assert world.target.rows == {}
        done, skipped = await world.imports.commit(CLERK, found.import_id, reason="汛前更新")
        assert (done.created, done.changed, done.same, skipped) == (2, 0, 0, 0)
        row = world.target.rows["R1"]
        assert row.values == {"name": "东山水库", "grade": "red", "height_m": 35.5, "phone": "13805761234"}
        assert (row.lon, row.lat) == (121.45, 28.68)

    run(story())


def test_importing_the_same_file_twice_changes_nothing() -> None:
    async def story() -> None:
        world = importing()
        await world.imports.commit(CLERK, (await dry(world, GOOD)).import_id, reason="a")
        again = await dry(world, GOOD)
        assert again.counts == {"rows": 2, "new": 0, "changed": 0, "same": 2, "wrong": 0}
        done, _ = await world.imports.commit(CLERK, again.import_id, reason="b")
        assert (done.created, done.changed, done.same) == (0, 0, 2)

    run(story())


def test_every_bad_cell_is_named_with_row_column_value_and_what_was_expected() -> None:
    text = f"{HEAD}\nR1,,紫,高,12,121.45,28.68\nR2,好,红,900,13805761234,北,28.69\n,,,,,121,\n"
    found = run(dry(importing(), text))
    said = {(p.row, p.column): p for p in found.problems}
    assert {
        (2, "名称"),
        (2, "等级"),
        (2, "坝高(m)"),
        (2, "责任人电话"),
        (3, "坝高(m)"),
        (3, "经度"),
        (4, "编号"),
    } <= set(said)
    assert said[2, "等级"].value == "紫"
    assert "红" in said[2, "等级"].zh
    assert "expected one of red" in said[2, "等级"].en
    assert "121°27′08.5″" in said[3, "经度"].zh
    assert (4, "纬度") in said
    assert found.counts["wrong"] == 3
    assert found.changes == []


def test_one_id_twice_in_the_file_is_named_with_the_first_row() -> None:
    found = run(dry(importing(), f"{HEAD}\nR1,甲,红,1,,121,28\nR2,乙,红,1,,121,28\nR1,丙,红,1,,121,28\n"))
    (problem,) = found.problems
    assert (problem.row, problem.column, problem.value) == (4, "编号", "R1")
    assert "第 2 行" in problem.zh


def test_wrong_rows_stop_a_commit_unless_they_are_left_out_and_counted() -> None:
    async def story() -> None:
        world = importing()
        found = await dry(world, f"{HEAD}\nR1,东山,红,1,,121,28\nR2,西山,红,高,,121,28\n")
        with pytest.raises(Invalid, match="1 rows are wrong"):
            await world.imports.commit(CLERK, found.import_id, reason="a")
        assert world.target.rows == {}
        done, skipped = await world.imports.commit(CLERK, found.import_id, reason="a", skip_wrong=True)
        assert (done.created, skipped) == (1, 1)
        assert set(world.target.rows) == {"R1"}

    run(story())


def test_what_the_target_refuses_stands_at_the_heading_of_the_file() -> None:
    target = MemoryTarget()
    target.forbidden_name = "东山水库"
    found = run(dry(importing(target=target), GOOD.replace("名称", "水库名称")))
    assert [(p.row, p.column) for p in found.problems] == [(2, "水库名称")]
    assert found.counts["new"] == 1


def test_a_change_shows_before_and_after_and_masks_what_is_personal() -> None:
    async def story() -> None:
        world = importing()
        await world.imports.commit(CLERK, (await dry(world, GOOD)).import_id, reason="a")
        found = await dry(world, GOOD.replace("35.5", "36").replace("13805761234", "13905765678"))
        (change,) = found.changes
        assert change.what == "changed"
        shown = {f.key: (f.before, f.after) for f in change.fields}
        assert shown == {"height_m": (35.5, 36.0), "phone": ("138****1234", "139****5678")}

    run(story())


def test_a_sheet_without_a_column_leaves_it_and_a_blank_cell_clears_it() -> None:
    async def story() -> None:
        world = importing()
        await world.imports.commit(CLERK, (await dry(world, GOOD)).import_id, reason="a")
        found = await dry(world, "编号,等级\nR1,\nR2,红\n")
        assert found.counts["changed"] == 2
        await world.imports.commit(CLERK, found.import_id, reason="b")
        assert world.target.rows["R1"].values == {"name": "东山水库", "height_m": 35.5, "phone": "13805761234"}
        assert world.target.rows["R2"].values["grade"] == "red"
        assert world.target.rows["R1"].lon == 121.45

    run(story())


def test_a_cell_that_shows_our_own_mask_leaves_the_number_behind_it() -> None:
    async def story() -> None:
        world = importing()
        await world.imports.commit(CLERK, (await dry(world, GOOD)).import_id, reason="a")
        found = await dry(world, GOOD.replace("13805761234", "138****1234"))
        assert found.counts["same"] == 2

    run(story())


def test_rows_without_an_id_get_one_of_their_name_that_stays() -> None:
    async def story() -> None:
        world = importing()
        text = "名称,经度,纬度\n东山水库,121.45,28.68\n西山水库,121.46,28.69\n"
        await world.imports.commit(CLERK, (await dry(world, text)).import_id, reason="a")
        assert len(world.target.rows) == 2
        assert (await dry(world, text)).counts["same"] == 2

    run(story())


def test_columns_are_guessed_by_label_key_alias_and_likeness_and_each_field_once() -> None:
    found = {
        c.source: (c.field, c.how)
        for c in guess(["水库名称", "height_m", "Telephone", "责任人的电话", "经度E", "???"], MemoryTarget())
    }
    assert found["水库名称"] == ("name", "exact")
    assert found["height_m"] == ("height_m", "exact")
    assert found["Telephone"] == ("phone", "exact")
    assert found["责任人的电话"] == (None, "")  # its field is taken by a better fit
    assert found["经度E"] == ("lon", "exact")
    assert found["???"] == (None, "")
    assert guess(["责任人的电话"], MemoryTarget())[0] == guess(["责任人的电话"], MemoryTarget())[0]
    assert guess(["责任人的电话"], MemoryTarget())[0].field == "phone"
    assert guess(["责任人的电话"], MemoryTarget())[0].how == "fuzzy"


def test_columns_can_be_chosen_and_the_choice_survives_a_reload() -> None:
    async def story() -> None:
        world = importing()
        found = await dry(world, "编号,叫什么,经度,纬度\nR1,东山水库,121.45,28.68\n")
        assert found.counts["wrong"] == 1  # no name
        again = await world.imports.rework(CLERK, found.import_id, columns={"叫什么": "name"})
        assert again.counts["new"] == 1
        after_restart = make_importing(world.world.store, target=world.target)
        seen = await after_restart.imports.look(CLERK, found.import_id)
        assert [(c.source, c.field) for c in seen.columns][1] == ("叫什么", "name")
        assert seen.counts["new"] == 1

    run(story())


@pytest.mark.parametrize(
    "columns",
    [{"没有": "name"}, {"名称": "nothing"}, {"名称": "name", "等级": "name"}],
    ids=["column", "field", "twice"],
)
def test_a_choice_that_cannot_be_is_refused(columns: dict[str, str | None]) -> None:
    async def story() -> None:
        world = importing()
        found = await dry(world, GOOD)
        with pytest.raises(Invalid, match="columns"):
            await world.imports.rework(CLERK, found.import_id, columns=columns)

    run(story())


def test_a_declared_system_is_turned_and_an_undeclared_one_is_found() -> None:
    places = {f"水库{i}": shapely.Point(121.40 + i / 100, 28.65 + i / 200) for i in range(6)}
    place = Geography(boundary=shapely.box(121.3, 28.6, 121.6, 28.8), references=places)

    def file(system: str) -> str:
        lines = []
        for i, (name, point) in enumerate(places.items()):
            x, y = from_wgs84(point.x, point.y, system)
            lines.append(f"R{i},{name},{float(x):.8f},{float(y):.8f}")
        return "编号,名称,经度,纬度\n" + "\n".join(lines)

    async def story() -> None:
        world = importing(place=place)
        for system in ("GCJ-02", "BD-09", "EPSG:4490", "EPSG:4549"):
            found = await dry(world, file(system), crs=system)
            assert (found.crs.used, found.crs.warning_zh) == (system, "")
            assert found.changes[0].lon == pytest.approx(121.40, abs=2e-7)
        mixed = await dry(world, file("GCJ-02"), crs="WGS84")
        assert (mixed.crs.declared, mixed.crs.detected, mixed.crs.used) == ("EPSG:4326", "GCJ-02", "EPSG:4326")
        assert mixed.crs.offset_m is not None
        assert 300 < mixed.crs.offset_m < 700
        assert "GCJ-02" in mixed.crs.warning_zh
        corrected = await world.imports.rework(CLERK, mixed.import_id, crs="gcj02")
        assert corrected.crs.warning_zh == ""
        assert corrected.changes[0].lon == pytest.approx(121.40, abs=2e-7)
        undeclared = await dry(world, file("EPSG:4549"))
        assert undeclared.crs.used == "EPSG:4549"
        assert undeclared.changes[0].lon == pytest.approx(121.40, abs=2e-7)

    run(story())


def test_positions_are_read_from_one_cell_from_wkt_and_from_minutes_and_seconds() -> None:
    text = (
        '编号,名称,坐标\n1,甲,"121.45,28.68"\n2,乙,POINT (121.45 28.68)\n3,丙,121°27′00″E 28°40′48″N\n'
        '4,丁,"POLYGON ((121 28, 121.1 28, 121.1 28.1, 121 28))"\n5,戊,somewhere\n'
    )

    async def story() -> None:
        world = importing()
        found = await dry(world, text)
        assert [(round(c.lon, 6), round(c.lat, 6)) for c in found.changes[:3] if c.lon and c.lat] == [
            (121.45, 28.68)
        ] * 3
        assert [p.row for p in found.problems] == [6]
        await world.imports.commit(CLERK, found.import_id, reason="a", skip_wrong=True)
        shape = world.target.rows["4"].geometry
        assert shape is not None
        assert shape["type"] == "Polygon"

    run(story())


def test_an_area_is_refused_where_only_points_belong() -> None:
    target = MemoryTarget(located="point")
    found = run(dry(importing(target=target), '编号,名称,几何\n1,甲,"POLYGON ((0 0, 1 0, 1 1, 0 0))"\n'))
    assert "只能是点" in found.problems[0].zh


def test_a_crossed_outline_and_a_point_off_the_earth_are_named() -> None:
    text = '编号,名称,几何\n1,甲,"POLYGON ((0 0, 1 1, 1 0, 0 1, 0 0))"\n2,乙,POINT (121 95)\n'
    found = run(dry(importing(), text, crs="WGS84"))
    assert {p.row for p in found.problems} == {2, 3}


def test_lines_of_a_table_come_from_json_or_from_a_sheet_of_their_own() -> None:
    sheets = {
        "水库": [{"编号": "R1", "名称": "东山"}, {"编号": "R2", "名称": "西山"}],
        "闸门": [{"编号": "R1", "闸门编号": "1#", "宽度": "3.5"}, {"编号": "R1", "闸门编号": "2#"}],
    }

    async def story() -> None:
        world = importing()
        found = await dry(world, json.dumps(sheets, ensure_ascii=False), name="x.yaml", sheet="水库")
        await world.imports.commit(CLERK, found.import_id, reason="a")
        assert world.target.rows["R1"].values["gates"] == [{"gate": "1#", "width_m": 3.5}, {"gate": "2#"}]
        wrong = await dry(
            world, json.dumps([{"编号": "R9", "名称": "x", "gates": [{"width_m": "wide"}]}]), name="y.yaml"
        )
        assert {p.column for p in wrong.problems} == {"gates"}

    run(story())


def test_a_dry_run_is_its_owners_alone_and_over_after_a_commit() -> None:
    async def story() -> None:
        world = importing()
        found = await dry(world, GOOD)
        with pytest.raises(NotFound):
            await world.imports.look(OTHER_CLERK, found.import_id)
        with pytest.raises(NotFound):
            await world.imports.commit(OTHER_CLERK, found.import_id, reason="x")
        await world.imports.commit(CLERK, found.import_id, reason="x")
        for act in (
            world.imports.look(CLERK, found.import_id),
            world.imports.commit(CLERK, found.import_id, reason="x"),
        ):
            with pytest.raises(Conflict):
                await act

    run(story())


def test_a_commit_needs_a_reason_and_the_journal_has_name_hash_and_counts() -> None:
    async def story() -> None:
        world = importing()
        found = await dry(world, GOOD, name="C:\\桌面\\水库.csv")
        with pytest.raises(Invalid, match="reason"):
            await world.imports.commit(CLERK, found.import_id, reason="  ")
        await world.imports.commit(CLERK, found.import_id, reason="汛前更新")
        async with world.world.store.read() as tx:
            newest, first = await tx.journal("import", found.import_id, 10, None)
            job = await tx.import_job(found.import_id)
        assert (newest.action, newest.actor, newest.reason) == ("commit", "clerk1", "汛前更新")
        assert newest.after is not None
        assert newest.after["filename"] == "水库.csv"
        assert newest.after["done"] == {"created": 2, "changed": 0, "same": 0, "skipped": 0}
        assert len(newest.after["sha256"]) == 64
        assert first.action == "dry_run"
        assert "13805761234" not in repr((newest, first))
        assert job is not None
        assert job.sealed == ""

    run(story())


def test_a_file_stands_sealed_and_goes_after_a_day() -> None:
    async def story() -> None:
        world = importing()
        found = await dry(world, GOOD)
        async with world.world.store.read() as tx:
            job = await tx.import_job(found.import_id)
        assert job is not None
        assert job.sealed.startswith("p1:k:")
        await world.world.later(23 * 3600)
        assert (await world.imports.look(CLERK, found.import_id)).counts["new"] == 2
        await world.world.later(2 * 3600)
        with pytest.raises(Conflict, match="expired"):
            await world.imports.look(CLERK, found.import_id)
        async with world.world.store.read() as tx:
            job = await tx.import_job(found.import_id)
        assert job is not None
        assert (job.state, job.sealed) == ("EXPIRED", "")

    run(story())


def test_one_person_keeps_twenty_open_files_and_the_oldest_go() -> None:
    async def story() -> None:
        world = importing()
        found = []
        for number in range(22):
            found.append(await dry(world, GOOD, name=f"{number}.csv"))
            world.world.clock.step(1)
        first, last = found[0], found[-1]
        states = [job.state.value for job in await world.imports.imports(CLERK, 100)]
        assert (states.count("DRY"), states.count("EXPIRED")) == (20, 2)
        with pytest.raises(Conflict):
            await world.imports.look(CLERK, first.import_id)
        assert (await world.imports.look(CLERK, last.import_id)).counts["new"] == 2

    run(story())


def test_what_is_shown_once_reaches_its_reader_though_the_database_goes_away_meanwhile() -> None:
    class Fragile(MemoryTarget):
        async def commit(self, actor: Any, rows: Any, *, reason: str) -> Any:
            done = await super().commit(actor, rows, reason=reason)
            store.down = True
            return msgspec.structs.replace(done, extra={"credentials": {"R1": "shown-once"}})

    store = MemoryStore()

    async def story() -> None:
        world = make_importing(store, target=Fragile())
        found = await dry(world, GOOD)
        done, _ = await world.imports.commit(CLERK, found.import_id, reason="a")
        assert done.extra == {"credentials": {"R1": "shown-once"}}
        store.down = False
        assert (await world.imports.look(CLERK, found.import_id)).counts["same"] == 2

    run(story())


def test_one_content_under_two_formats_is_read_as_each() -> None:
    async def story() -> None:
        world = importing()
        text = json.dumps([{"编号": "R1", "名称": "东山"}], ensure_ascii=False)
        assert (await dry(world, text, name="x.yaml")).counts["new"] == 1
        with pytest.raises(FileWrong):
            await dry(world, text, name="x.geojson")

    run(story())


def test_the_list_shows_ones_own() -> None:
    async def story() -> None:
        world = importing()
        await dry(world, GOOD)
        assert len(await world.imports.imports(CLERK)) == 1
        assert await world.imports.imports(OTHER_CLERK) == []

    run(story())


def test_who_may_not_is_refused_before_anything_is_parsed() -> None:
    async def story() -> None:
        world = importing()
        for actor in (VENDOR, responder("unit-1")):
            with pytest.raises(Forbidden):
                await world.imports.start(actor, kind="reservoir", filename="x.csv", content=b"\x00")
        with pytest.raises(NotFound):
            await world.imports.start(CLERK, kind="spaceship", filename="x.csv", content=b"a,b")
        with pytest.raises(Invalid, match="coordinate system"):
            await world.imports.start(CLERK, kind="reservoir", filename="x.csv", content=b"a,b", crs="mars")
        with pytest.raises(FileWrong):
            await world.imports.start(DUTY1, kind="reservoir", filename="x.csv", content=b"")
        with pytest.raises(Invalid, match="sheet"):
            await world.imports.start(CLERK, kind="reservoir", filename="x.csv", content=GOOD.encode(), sheet="no")

    run(story())


class Roster(MemoryTarget):
    """Rows have no id in the file, and names stand for accounts: what the roster of duty does."""

    def row_ids(self, cells: Any) -> list[str]:
        return [f"S-{row['name']}" for row in cells]

    async def settled(self, rows: Any) -> list[Row]:
        return [
            msgspec.structs.replace(r, values={**r.values, "owner_name": r.values["owner_name"].lower()}) for r in rows
        ]


def test_a_target_may_name_its_rows_and_say_them_in_its_own_words() -> None:
    async def story() -> None:
        target = Roster()
        world = importing(target=target)
        text = "名称,责任人\nmonday,WANG\n"
        target.rows["S-monday"] = Row(row=0, entry_id="S-monday", values={"name": "monday", "owner_name": "wang"})
        assert (await dry(world, text)).counts["same"] == 1
        found = await dry(world, text.replace("WANG", "LI"))
        assert found.counts["changed"] == 1
        await world.imports.commit(CLERK, found.import_id, reason="a")
        assert target.rows["S-monday"].values["owner_name"] == "LI"  # as the file says it: the target turns it itself

    run(story())


# --- export and back

IDS = st.from_regex(r"[A-Z]{1,3}-[0-9]{1,3}", fullmatch=True)
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=20)
RAW = st.fixed_dictionaries(
    {"name": WORDS.filter(lambda t: t.strip("-/—"))},
    optional={
        "grade": st.sampled_from(["red", "blue", "county"]),
        "uses": st.lists(st.sampled_from(["supply", "flood"]), unique=True, min_size=1),
        "height_m": st.floats(0, 400, allow_nan=False),
        "people": st.integers(0, 10**7),
        "checked": st.dates().map(lambda d: d.isoformat()),
        "fenced": st.booleans(),
        "owner_name": WORDS,
        "phone": st.sampled_from(["13805761234", "0576-88881234", "119"]),
        "gauges": st.lists(st.sampled_from(["wg-1", "wg-2", "=1"]), unique=True, min_size=1),
        "area": st.sampled_from(["331002", "331002001"]),
        "gates": st.lists(
            st.fixed_dictionaries({"gate": st.sampled_from(["1#", "=2"]), "width_m": st.floats(0, 99)}), min_size=1
        ),
        "remark": st.sampled_from(["=cmd|x", "+1", "两行\n字", 'a,b;c\t"d"', "'quoted", "007", "x" * 300]),
    },
)
LON, LAT = (st.floats(lo, lo + 1).map(lambda v: round(v, 7)) for lo in (121, 28))
SHAPES = st.sampled_from(
    [None, {"type": "Polygon", "coordinates": [[[121.0, 28.0], [121.1, 28.0], [121.1, 28.1], [121.0, 28.0]]]}]
)


@st.composite
def registered(draw: st.DrawFn) -> dict[str, Row]:
    rows = {}
    for entry_id in draw(st.lists(IDS, unique=True, min_size=1, max_size=4)):
        values, wrong = read_values(FIELDS, draw(RAW))
        if not wrong:
            rows[entry_id] = Row(
                row=0, entry_id=entry_id, values=values, lon=draw(LON), lat=draw(LAT), geometry=draw(SHAPES)
            )
    return rows


@pytest.mark.parametrize("fmt", list(Format))
@settings(max_examples=15, deadline=None)
@given(rows=registered())
def test_what_is_exported_comes_back_without_a_difference(fmt: Format, rows: dict[str, Row]) -> None:
    async def story() -> None:
        world = importing()
        world.target.rows = dict(rows)
        exported = await world.exports.export(CLERK, "reservoir", fmt, clear=True)
        for name in {"x_area", "x_point"} if fmt is Format.SHP_ZIP else {""}:
            found = await dry(world, exported.content, name=exported.filename, sheet=_sheet(name, exported.content))
            assert found.problems == []
            assert found.changes == []

    if rows:
        run(story())


def _sheet(name: str, content: bytes) -> str:
    """The layer of a Shapefile export with that kind of geometry, or the only one."""
    if not name:
        return ""
    from gis.formats import vectors

    layers = [s.name for s in vectors.read_shp_zip(content)]
    return next((layer for layer in layers if layer.endswith(name[1:])), layers[0])
