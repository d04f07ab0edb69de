"""Cells as clerks fill them, read as what the field means."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from command_center.registers.kinds import load_kinds
from command_center.registers.targets import Choice, Field
from command_center.registers.values import is_cas, is_credit_code, read_values

STATES = [Choice(value="ready", zh="在位", en="Ready"), Choice(value="out", zh="出动", en="Out")]


def read(kind: str, cell: Any, **more: Any) -> Any:
    field = Field(key="x", zh="某项", en="Thing", type=kind, **more)  # type: ignore[arg-type]
    values, wrong = read_values([field], {"x": cell})
    return wrong[0].en if wrong else values.get("x")


@pytest.mark.parametrize(
    ("kind", "cell", "more", "value"),
    [
        ("text", "  椒江 ", {}, "椒江"),
        ("text", 12.0, {}, "12"),
        ("number", "３．５", {}, 3.5),
        ("number", "1,234.5", {}, 1234.5),
        ("number", "29.8 m", {"uom": "m"}, 29.8),
        ("number", "12万m³", {"uom": "万m³"}, 12.0),
        ("integer", "１２０", {}, 120),
        ("integer", 120.0, {}, 120),
        ("bool", "是", {}, True),
        ("bool", "无", {}, False),
        ("bool", 1, {}, True),
        ("date", "2026/5/1", {}, "2026-05-01"),
        ("date", "2026年5月1日", {}, "2026-05-01"),
        ("date", "2026.05.01", {}, "2026-05-01"),
        ("date", "20260501", {}, "2026-05-01"),
        ("date", 46143, {}, "2026-05-01"),
        ("date", date(2026, 5, 1), {}, "2026-05-01"),
        ("date", datetime(2026, 5, 1, tzinfo=UTC), {}, "2026-05-01"),
        ("datetime", "2026-05-01 08:30", {}, "2026-05-01T08:30:00+08:00"),
        ("datetime", "2026年5月1日 8:30", {}, "2026-05-01T08:30:00+08:00"),
        ("datetime", "2026-05-01T00:30:00Z", {}, "2026-05-01T08:30:00+08:00"),
        ("choice", "出动", {"choices": STATES}, "out"),
        ("choice", "READY", {"choices": STATES}, "ready"),
        ("choices", "在位、出动，在位", {"choices": STATES}, ["ready", "out"]),
        ("phone", 13800000001.0, {}, "13800000001"),
        ("phone", "+86 138-0000-0001", {}, "13800000001"),
        ("phone", "0576-0000-1109", {}, "0576-0000-1109"),
        ("phone", "（0576）88881234", {}, "057688881234"),
        ("phone", "119", {}, "119"),
        ("phone", "无", {}, None),
        ("area", 339900001, {}, "339900001"),
        ("ref", " k1 ", {"ref": "contact"}, "k1"),
        ("refs", "wg-1、wg-2；wg-1", {"ref": "device"}, ["wg-1", "wg-2"]),
        ("number", "/", {}, None),
        ("text", "——", {}, None),
    ],
)
def test_a_cell_is_read_as_it_was_meant(kind: str, cell: Any, more: dict[str, Any], value: Any) -> None:
    assert read(kind, cell, **more) == value


@pytest.mark.parametrize(
    ("kind", "cell", "more", "expected"),
    [
        ("text", "字" * 201, {}, "at most 200"),
        ("text", ["a"], {}, "expected text"),
        ("number", "约5", {}, "expected a number"),
        ("number", "nan", {}, "finite"),
        ("number", True, {}, "expected a number"),
        ("number", -1, {"minimum": 0}, "at least 0"),
        ("number", 5.1, {"maximum": 5, "uom": "m"}, "at most 5 m"),
        ("integer", 1.5, {}, "whole number"),
        ("bool", "大概", {}, "yes or no"),
        ("date", "2026-02-30", {}, "2026-05-01"),
        ("date", "5月1日", {}, "2026-05-01"),
        ("datetime", "2026-05-01", {}, "date and time"),
        ("datetime", "2026-05-01 25:00", {}, "no such date"),
        ("datetime", "2026-05-01 05:00+99:00", {}, "time zone"),
        ("choice", "忙", {"choices": STATES}, "ready, out"),
        ("phone", "1380000", {}, None),
        ("phone", "138****0001", {}, "11 digits"),
        ("phone", "1.38E+10", {}, "1.38E+10"),
        ("phone", "23800000001", {}, "11 digits"),
        ("area", "33990", {}, "area code"),
        ("ref", ["a"], {"ref": "contact"}, "one id"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_was_expected(
    kind: str, cell: Any, more: dict[str, Any], expected: str | None
) -> None:
    found = read(kind, cell, **more)
    if expected is None:
        assert found == cell  # seven digits are a local number
    else:
        assert expected in str(found)


def test_both_languages_name_the_field_and_the_value() -> None:
    field = Field(key="crest_m", zh="坝顶高程", en="Dam crest", type="number", uom="m")
    (wrong,) = read_values([field], {"crest_m": "很高"})[1]
    assert (wrong.key, wrong.value) == ("crest_m", "很高")
    assert wrong.zh.startswith("坝顶高程")
    assert wrong.en.startswith("Dam crest")


def test_a_required_field_and_an_unknown_one_are_named() -> None:
    fields = [Field(key="name", zh="名称", en="Name", required=True)]
    wrong = {w.key: w.en for w in read_values(fields, {"name": " ", "nmae": "x"})[1]}
    assert "required" in wrong["name"]
    assert "no such field" in wrong["nmae"]


def test_rows_inside_a_row_are_read_and_their_faults_located() -> None:
    plant = load_kinds()["plant"]
    rows = [
        {"name": "1号罐", "substance": "液氯", "un_number": 1017, "cas": "7782-50-5", "capacity_t": "60吨"},
        {"name": "2号罐", "substance": "液氯", "un_number": "17", "cas": "7782-50-6"},
    ]
    values, wrong = read_values(plant.fields, {"name": "厂", "contact_a": "k", "tanks": rows}, formats=plant.formats)
    assert values["tanks"][0]["un_number"] == "1017"
    assert [w.key for w in wrong] == ["tanks[1].capacity_t", "tanks[2].un_number", "tanks[2].cas"]


def test_check_digits_hold() -> None:
    assert [is_cas(c) for c in ("7782-50-5", "7664-41-7", "67-56-1", "7782-50-4", "7782505")] == [True] * 3 + [
        False
    ] * 2
    assert is_credit_code("91330100799655058B")
    assert not is_credit_code("91330100799655058C")
    assert not is_credit_code("91330100799655058")


_CELLS = st.one_of(
    st.none(),
    st.text(max_size=30),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.lists(st.text(max_size=5), max_size=3),
)


@given(cells=st.lists(_CELLS, min_size=8, max_size=8))
def test_whatever_stands_in_a_cell_is_read_or_refused_and_reading_again_changes_nothing(cells: list[Any]) -> None:
    kinds = ["text", "number", "integer", "bool", "date", "datetime", "phone", "refs"]
    fields = [Field(key=k, zh=k, en=k, type=k, ref="x" if k == "refs" else "") for k in kinds]  # type: ignore[arg-type]
    values, _ = read_values(fields, dict(zip(kinds, cells, strict=True)))
    again, wrong = read_values(fields, values)
    assert again == values
    assert wrong == []
