"""docs/requirements.md names every row of the plans, and nothing in it that does not exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROWS = re.findall(
    r"(?m)^\| ([LXYJT]\d+) \| ([^|]+) \| (\w+) \| ([^|]+) \|$", (ROOT / "docs" / "requirements.md").read_text()
)
PLANS = {"L": 20, "X": 11, "Y": 10, "J": 4, "T": 6}


def test_every_row_of_the_five_plans_stands_in_the_table_once_and_in_order() -> None:
    assert [row for row, *_ in ROWS] == [f"{plan}{n}" for plan, count in PLANS.items() for n in range(1, count + 1)]


def test_a_row_that_does_not_work_whole_says_what_it_waits_for() -> None:
    assert {state for _, _, state, _ in ROWS} <= {"Works", "Partly", "Waits"}
    silent = [
        row
        for row, _, state, where in ROWS
        if state == "Partly" and not re.search(r"wait|by design|is there|away", where)
    ]
    assert silent == []


def test_what_a_row_names_exists() -> None:
    named = {(row, name) for row, _, _, where in ROWS for name in re.findall(r"`([a-z_]+/[^` ]*)`", where)}
    assert sorted((row, name) for row, name in named if not (ROOT / name).exists()) == []
