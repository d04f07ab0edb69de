"""Files in and out: every format gives back what was written, tells where its header is, and refuses what is hostile or broken."""

from __future__ import annotations

import datetime as dt
import io
import json
import math
import zipfile
from typing import Any

import openpyxl
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gis.formats import archives, files, sheet, tables, vectors, writers
from gis.formats.sheet import FileTooLarge, FileWrong, Format, Sheet, UnknownFormat, text_of

KNOWN = frozenset({"编号", "名称", "经度", "纬度"})

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=30)
CELLS = st.one_of(
    st.none(),
    TEXT,
    st.integers(-(10**9), 10**9),
    st.floats(-1e6, 1e6).map(lambda x: round(x, 6)),
    st.booleans(),
    st.dates(dt.date(1990, 1, 1), dt.date(2099, 12, 31)),
    st.sampled_from(["=1+1", "+86", "-5", "@cmd", "'=x", "13805761234", "007", "a,b;c", 'say "hi"', "两行\n文字"]),
)
POINTS = st.builds(
    shapely.Point, st.floats(121, 122).map(lambda x: round(x, 6)), st.floats(28, 29).map(lambda x: round(x, 6))
)


def same(cell: Any) -> Any:
    """A cell without what a format may turn: numbers as numbers, everything else as its text."""
    if isinstance(cell, bool):
        return str(cell).lower()
    text = text_of(cell)
    try:
        number = float(text)
    except ValueError:
        return text.lower() if text.lower() in ("true", "false") else text
    return round(number, 6) if math.isfinite(number) else text


@st.composite
def sheets(draw: st.DrawFn) -> Sheet:
    width = draw(st.integers(1, 4))
    rows = draw(st.lists(st.tuples(TEXT, *[CELLS] * width), min_size=1, max_size=6))
    columns = ("编号", "名称", "水位 (m)", "备注=", "level")[: width + 1]
    return Sheet(
        columns=columns,
        rows=rows,
        numbers=range(1, len(rows) + 1),
        geometries=draw(st.lists(POINTS, min_size=len(rows), max_size=len(rows))),
        crs="EPSG:4326",
        name="水库",
    )


@pytest.mark.parametrize("fmt", list(Format))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(wanted=sheets())
def test_what_is_written_is_read_back_in_every_format(fmt: Format, wanted: Sheet) -> None:
    content = files.write([wanted], fmt)
    assert files.sniff(content, f"x.{fmt}") is fmt
    found = files.read(content, fmt, KNOWN)[0]
    for name, column in enumerate(wanted.columns):
        here = found.columns.index(column) if column in found.columns else None
        got = [None if here is None else row[here] for row in found.rows]
        assert [same(v) for v in got] == [same(row[name]) for row in wanted.rows]
    if fmt in (Format.GEOJSON, Format.GPKG, Format.SHP_ZIP, Format.YAML):
        assert all(a.equals(b) for a, b in zip(found.geometries, wanted.geometries, strict=True))


def workbook(*rows: tuple[Any, ...], title: str = "Sheet") -> bytes:
    book = openpyxl.Workbook()
    page = book.active
    assert page is not None
    page.title = title
    for row in rows:
        page.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def test_the_header_is_found_below_a_merged_title_and_rows_keep_their_numbers() -> None:
    book = openpyxl.Workbook()
    page = book.active
    assert page is not None
    page["A1"] = "椒江区水库责任人名单（2024 年汛期）"
    page.merge_cells("A1:D1")
    page["A2"] = "填报单位：水利局"
    page.append(["编号", "名称", "经度", "纬度"])
    page.append([])
    page.append(["R1", "东山水库", "121.40", 28.6])
    page.append(["R2", "西山水库", 121.41, "28.61"])
    out = io.BytesIO()
    book.save(out)
    found = files.read(out.getvalue(), Format.XLSX, KNOWN)[0]
    assert found.columns == ("编号", "名称", "经度", "纬度")
    assert list(found.numbers) == [5, 6]
    assert found.rows[0] == ("R1", "东山水库", "121.40", 28.6)
    assert "2024 年汛期" in found.notes[0]


def test_a_header_is_found_without_any_known_heading() -> None:
    found = files.read(
        workbook(("Title only",), ("code", "label", "height"), ("a", "x", 3), ("b", "y", 4)), Format.XLSX
    )
    assert found[0].columns == ("code", "label", "height")


def test_several_sheets_are_all_read_and_an_empty_one_is_left_out() -> None:
    book = openpyxl.load_workbook(io.BytesIO(workbook(("编号",), ("a",), title="一")))
    book.create_sheet("空")
    book.create_sheet("二").append(["编号", "名称"])
    out = io.BytesIO()
    book.save(out)
    found = files.read(out.getvalue(), Format.XLSX, KNOWN)
    assert [s.name for s in found] == ["一", "二"]
    assert found[0].sheets == ("一", "空", "二")


def test_repeated_and_missing_headings_get_names_of_their_own() -> None:
    assert sheet.headings(["电话", "电话", None, " A\nB "]) == ("电话", "电话 (2)", "C", "A B")


@pytest.mark.parametrize(
    ("encoding", "delimiter"), [("utf-8", ","), ("utf-8-sig", ";"), ("gb18030", ","), ("gbk", "\t"), ("utf-16", ",")]
)
def test_csv_encodings_and_delimiters_are_found(encoding: str, delimiter: str) -> None:
    rows = [["编号", "名称", "说明"], ["1", "东山水库", "坝高 3,5 米; 旧" if delimiter == "\t" else "无"]]
    text = "\r\n".join(delimiter.join(row) for row in rows)
    found = files.read(text.encode(encoding), Format.CSV, KNOWN)[0]
    assert found.columns == ("编号", "名称", "说明")
    assert found.rows[0][1] == "东山水库"


def test_a_csv_row_number_is_the_line_on_which_it_begins() -> None:
    found = files.read('编号,名称\n1,"两\n行"\n\n2,末\n'.encode(), Format.CSV, KNOWN)[0]
    assert list(found.numbers) == [2, 5]
    assert found.rows[0][1] == "两\n行"


def test_cells_that_a_spreadsheet_would_run_are_escaped_in_csv_and_text_in_xlsx() -> None:
    evil = ("=HYPERLINK(1)", "+1", "-1", "@x", "\t=1", "'=quoted", "fine")
    wanted = Sheet(columns=tuple("ABCDEFG"), rows=[evil], numbers=[1])
    for cell in tables.csv.reader(io.StringIO(writers.write_csv(wanted).decode("utf-8-sig").splitlines()[1])):
        assert all(not c.startswith(("=", "+", "-", "@", "\t")) for c in cell)
    book = openpyxl.load_workbook(io.BytesIO(writers.write_xlsx([wanted])))
    assert {c.data_type for c in next(book.worksheets[0].iter_rows(min_row=2))} == {"s"}


def test_a_blank_workbook_helps_whoever_fills_it_in() -> None:
    many = tuple(f"选项{i}" for i in range(80))
    columns = [
        writers.Column(heading="等级", note="四色", choices=("红", "橙"), required=True),
        writers.Column(heading="种类", choices=many),
    ]
    content = writers.write_xlsx([Sheet(columns=("等级", "种类"), rows=[], numbers=[], name="水库")], columns)
    book = openpyxl.load_workbook(io.BytesIO(content))
    page = book["水库"]
    assert page.freeze_panes == "A2"
    assert page["A1"].comment is not None
    assert "四色" in page["A1"].comment.text
    formulas = [str(v.formula1) for v in page.data_validations.dataValidation]
    assert formulas[0] == '"红,橙"'
    assert formulas[1].endswith("$A$1:$A$80")


def test_a_shapefile_in_gbk_without_cpg_in_a_folder_with_a_chinese_name_is_read() -> None:
    plain = Sheet(
        columns=("name",), rows=[("东山水库",)], numbers=[1], geometries=[shapely.Point(121.4, 28.6)], crs="EPSG:4490"
    )
    with zipfile.ZipFile(io.BytesIO(vectors.write_shp_zip(plain))) as archive:
        parts = {
            n.rsplit(".", 1)[1]: archive.read(n)
            for n in archive.namelist()
            if n.endswith((".shp", ".shx", ".dbf", ".prj"))
        }
    text, gbk = "东山水库".encode(), "东山水库".encode("gbk")
    parts["dbf"] = parts["dbf"].replace(text, gbk + b" " * (len(text) - len(gbk)))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for suffix, body in parts.items():
            archive.writestr(f"data/水库.{suffix}", body)
    found = files.read(out.getvalue(), Format.SHP_ZIP)[0]
    assert found.rows == [("东山水库",)]
    assert found.crs == "EPSG:4490"


def test_an_edited_shapefile_is_believed_and_not_the_exact_values_beside_it() -> None:
    wanted = Sheet(columns=("名称",), rows=[("old",)], numbers=[1], geometries=[shapely.Point(121.4, 28.6)], name="x")
    content = vectors.write_shp_zip(wanted)
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as before, zipfile.ZipFile(out, "w") as after:
        for name in before.namelist():
            body = before.read(name)
            after.writestr(name, body.replace(b"old", b"new") if name.endswith(".dbf") else body)
    found = files.read(out.getvalue(), Format.SHP_ZIP)[0]
    assert (found.columns, found.rows) == (("名称",), [("new",)])


def test_long_names_and_long_texts_survive_a_shapefile() -> None:
    wanted = Sheet(
        columns=("责任人甲的姓名", "责任人甲的电话", "responsible_a", "responsible_b"),
        rows=[("王" * 300, "1", "2", "3")],
        numbers=[1],
        geometries=[shapely.box(0, 0, 1, 1)],
    )
    found = files.read(vectors.write_shp_zip(wanted), Format.SHP_ZIP)[0]
    assert (found.columns, found.rows[0][0]) == (wanted.columns, "王" * 300)


def test_mixed_geometries_become_one_shapefile_each_and_one_geopackage_layer() -> None:
    wanted = Sheet(
        columns=("id",),
        rows=[("p",), ("a",), ("n",)],
        numbers=[1, 2, 3],
        geometries=[shapely.Point(1, 2), shapely.box(0, 0, 1, 1), None],
        name="x",
    )
    assert [s.name for s in files.read(vectors.write_shp_zip(wanted), Format.SHP_ZIP)] == ["x_area", "x_point"]
    assert len(files.read(vectors.write_gpkg(wanted), Format.GPKG)[0].rows) == 3


def test_a_geojson_says_its_system_by_the_old_member() -> None:
    document = {
        "type": "FeatureCollection",
        "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::4549"}},
        "features": [
            {
                "type": "Feature",
                "id": "a",
                "geometry": {"type": "Point", "coordinates": [500000, 3e6]},
                "properties": {},
            }
        ],
    }
    found = files.read(json.dumps(document).encode(), Format.GEOJSON)[0]
    assert (found.crs, found.columns, found.rows) == ("EPSG:4549", ("id",), [("a",)])


def test_the_format_is_told_by_the_bytes_and_not_by_the_name() -> None:
    book = workbook(("编号",), ("a",))
    assert files.sniff(book, "liar.csv") is Format.XLSX
    assert files.sniff(b'{"type":"FeatureCollection","features":[]}', "") is Format.GEOJSON
    assert files.sniff("编号,名称".encode("gbk"), "noname") is Format.CSV


@pytest.mark.parametrize(
    ("content", "name", "error"),
    [
        (b"", "x.csv", FileWrong),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1rest", "x.xls", UnknownFormat),
        (b"\x7fELF\x00\x00", "x.xlsx", UnknownFormat),
        (b"PK\x03\x04 broken", "x.xlsx", FileWrong),
        (b"x" * (sheet.MAX_FILE_BYTES + 1), "x.csv", FileTooLarge),
        (b"just words", "x", UnknownFormat),
    ],
)
def test_what_is_no_table_is_refused_in_both_languages(content: bytes, name: str, error: type[FileWrong]) -> None:
    with pytest.raises(error) as caught:
        files.sniff(content, name)
    assert caught.value.zh
    assert caught.value.en


@pytest.mark.parametrize(
    ("fmt", "content"),
    [
        (Format.CSV, b'a,b\n"open'),
        (Format.CSV, b"a,b\n\x00\x00"),
        (Format.GEOJSON, b"{"),
        (Format.GEOJSON, b'{"type":"FeatureCollection","features":[3]}'),
        (
            Format.GEOJSON,
            b'{"features":[{"type":"Feature","geometry":{"type":"Point","coordinates":["x"]},"properties":{}}]}',
        ),
        (Format.GEOJSON, b"[" * 100_000),
        (Format.YAML, b"- a: [\n"),
        (Format.YAML, b"- 1\n- 2\n"),
        (Format.YAML, b"just: text"),
        (Format.YAML, b"- !!python/object/apply:os.system ['true']\n"),
        (Format.GPKG, vectors.GPKG_MAGIC + b"\x00" * 4096),
        (Format.XLSX, b"PK\x03\x04" + b"x" * 100),
    ],
)
def test_a_broken_file_gives_a_clear_error(fmt: Format, content: bytes) -> None:
    with pytest.raises(FileWrong):
        files.read(content, fmt)


def test_a_yaml_that_multiplies_itself_runs_into_a_budget() -> None:
    lines = ["- x: &a0 [1,1,1,1,1,1,1,1,1,1]"]
    lines += [f"- x: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    with pytest.raises(FileTooLarge):
        files.read("\n".join(lines).encode(), Format.YAML)


def bomb(size: int, name: str = "xl/workbook.xml") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, b"\x00" * size)
    return out.getvalue()


def test_a_zip_bomb_is_refused_before_it_is_unpacked() -> None:
    content = bomb(60 * 1024 * 1024)
    assert len(content) < 100_000
    for fmt in (Format.XLSX, Format.SHP_ZIP):
        with pytest.raises(FileTooLarge, match="zip bomb"):
            files.read(content, fmt)


def test_an_archive_that_lies_about_a_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytearray(bomb(1_000_000, "a.shp"))
    at = content.rfind(b"PK\x01\x02")
    content[at + 24 : at + 28] = (10).to_bytes(4, "little")  # the directory promises ten bytes
    with archives.open_archive(bytes(content)) as archive, pytest.raises(FileWrong):
        archives.read_member(archive, "a.shp")


def test_too_many_columns_and_too_long_cells_are_refused() -> None:
    with pytest.raises(FileTooLarge):
        files.read(",".join(f"c{i}" for i in range(400)).encode(), Format.CSV)
    with pytest.raises(FileWrong):
        files.read(("a\n" + "x" * 200_000).encode(), Format.CSV)


def test_a_shapefile_without_its_table_says_what_to_zip_together() -> None:
    with pytest.raises(FileWrong, match=r"\.dbf"):
        files.read(bomb(10, "a.shp"), Format.SHP_ZIP)
