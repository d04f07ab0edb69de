"""What the register lets in, the rules can use: otherwise a gauge would be registered and not watched."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from devices.documents import COLOURS, threshold_problems
from rules.documents import Level
from rules.gas import _own_alarms
from rules.levels import _own_table

values = st.sampled_from([-1.0, 0.0, 1.0, 1.5, 2, 3.0, float("nan"), float("inf"), True, None, "high"])
tables = st.dictionaries(st.sampled_from([*COLOURS, "green"]), values, max_size=4)
level_tables = st.fixed_dictionaries(
    {"on": tables},
    optional={"off": tables, "direction": st.sampled_from(["rise", "fall", "up"]), "on_delay_s": values},
)
gas_tables = st.fixed_dictionaries({"first": values, "second": values}, optional={"deadband": values})


@given(thresholds=level_tables)
def test_a_level_table_that_the_register_takes_the_rules_take(thresholds: dict[str, Any]) -> None:
    if not list(threshold_problems(thresholds)):
        assert _own_table(thresholds, Level())["on"] == {c: float(v) for c, v in thresholds["on"].items()}


@given(thresholds=gas_tables)
def test_gas_alarms_that_the_register_takes_the_rules_take(thresholds: dict[str, Any]) -> None:
    if not list(threshold_problems(thresholds)):
        assert _own_alarms(thresholds, 0.2)[:2] == (float(thresholds["first"]), float(thresholds["second"]))
