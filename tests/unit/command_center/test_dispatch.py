"""Who goes where: closures by depth, reasons, joint assignment."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citybrain_testing.command import START_US, a_unit, grid_roads, node
from command_center.dispatch import Demand, assign_jointly, candidates, closed_for, sendable
from command_center.model import Authority, Candidate, Closure, UnitStatus
from command_center.records import UnitRecord

ROADS = grid_roads()


def closure(edges: list[str], depth_m: float | None) -> Closure:
    return Closure(
        closure_id="C-1",
        edges=edges,
        reason="积水",
        lon=0,
        lat=0,
        depth_m=depth_m,
        since_us=0,
        expires_us=None,
        author="system",
    )


@pytest.mark.parametrize(
    ("depth_m", "wading_m", "shut"),
    [
        (None, 0.3, True),
        (None, 2.0, True),  # unknown depth is closed for everyone
        (0.30, 0.3, False),
        (0.31, 0.3, True),
        (0.6, 0.8, False),
        (0.9, 0.8, True),
        (0.2, 0.1, False),
        (math.nan, 5.0, True),
    ],
)
def test_which_unit_a_closure_stops(depth_m: float | None, wading_m: float, shut: bool) -> None:
    assert bool(closed_for([closure(["h-0-0"], depth_m)], wading_m)) is shut


def demand(x: float, y: float, capability: str = "pumping", task_id: str = "T1", **fields: object) -> Demand:
    lon, lat = node(x, y)
    return Demand(task_id=task_id, capability=capability, lon=lon, lat=lat, **fields)  # type: ignore[arg-type]


def ranked(units: list[UnitRecord], closures: list[Closure] | None = None, **fields: object) -> list[Candidate]:
    return candidates(demand(2, 0, **fields), units, closures or [], ROADS, START_US)


def test_the_nearest_by_road_comes_first_and_water_turns_the_order() -> None:
    near, far = UnitRecord(unit=a_unit("near", ["pumping"], 0, 0)), UnitRecord(unit=a_unit("far", ["pumping"], 4, 1))
    assert [c.unit.unit_id for c in ranked([far, near])] == ["near", "far"]
    wall = closure(["h-1-0", "h-1-1", "h-1-2", "h-1-3", "h-1-4"], None)  # the river: no bridge is open
    first, second = ranked([far, near], [wall])
    assert first.unit.unit_id == "far"
    assert second.eta_s is None
    assert "封路后无路可达" in second.reasons_zh
    assert not sendable(second)


def test_a_unit_that_wades_goes_through_where_the_depth_is_known() -> None:
    boat = UnitRecord(unit=a_unit("boat", ["pumping"], 0, 0, wading_depth_m=0.8))
    car = UnitRecord(unit=a_unit("car", ["pumping"], 0, 0))
    wall = closure(["h-1-0", "h-1-1", "h-1-2", "h-1-3", "h-1-4"], 0.5)
    by_id = {c.unit.unit_id: c for c in ranked([boat, car], [wall])}
    assert by_id["boat"].eta_s is not None
    assert by_id["car"].eta_s is None


def test_each_reason_is_said_in_both_languages() -> None:
    units = [
        UnitRecord(unit=a_unit("incapable", ["patrol"], 0, 0)),
        UnitRecord(unit=a_unit("busy", ["pumping"], 0, 0, status=UnitStatus.WORKING, task_id="X")),
        UnitRecord(
            unit=a_unit("stale", ["pumping"], 0, 0, status=UnitStatus.AVAIL_MOBILE, fix_us=START_US - 3600 * 10**6)
        ),
        UnitRecord(unit=a_unit("never", ["pumping"], 0, 0, status=UnitStatus.AVAIL_MOBILE)),
        UnitRecord(unit=a_unit("foreign", ["pumping"], 0, 0, authority=Authority.REQUEST)),
        UnitRecord(unit=a_unit("refused", ["pumping"], 0, 0)),
        UnitRecord(unit=a_unit("good", ["pumping"], 4, 4)),
    ]
    found = ranked(units, refused_units=frozenset({"refused"}))
    assert found[0].unit.unit_id == "good"
    assert [sendable(c) for c in found] == [True] + [False] * 6
    says = {c.unit.unit_id: " ".join(c.reasons_zh) for c in found}
    for unit_id, word in {
        "incapable": "不具备能力",
        "busy": "处置中",
        "stale": "定位过期",
        "never": "从未上报",
        "foreign": "协调请求",
        "refused": "谢绝",
    }.items():
        assert word in says[unit_id]
    assert all(len(c.reasons_zh) == len(c.reasons_en) for c in found)


def test_two_tasks_share_two_units_for_the_least_total_time() -> None:
    """Greedy would send the middle unit to the first task and the far one across the city."""
    units = [UnitRecord(unit=a_unit("a", ["pumping"], 0, 0)), UnitRecord(unit=a_unit("b", ["pumping"], 2, 0))]
    one, two = demand(1.4, 0, task_id="T1"), demand(4, 0, task_id="T2")
    chosen = assign_jointly({d.task_id: candidates(d, units, [], ROADS, START_US) for d in (one, two)})
    assert {t: c.unit.unit_id for t, c in chosen.items()} == {"T1": "a", "T2": "b"}


def test_a_tie_goes_to_the_lower_id() -> None:
    units = [UnitRecord(unit=a_unit(u, ["pumping"], 0, 0)) for u in ("z", "m", "b")]
    chosen = assign_jointly({"T1": ranked(units)})
    assert chosen["T1"].unit.unit_id == "b"


spots = st.tuples(st.integers(0, 4), st.integers(0, 4))


@given(units=st.lists(spots, max_size=6), tasks=st.lists(spots, min_size=1, max_size=5))
def test_no_unit_twice_and_no_task_left_while_somebody_is_free(
    units: list[tuple[int, int]], tasks: list[tuple[int, int]]
) -> None:
    records = [UnitRecord(unit=a_unit(f"u{i}", ["pumping"], *spot)) for i, spot in enumerate(units)]
    wants = [demand(*spot, task_id=f"T{i}") for i, spot in enumerate(tasks)]
    lists = {d.task_id: candidates(d, records, [], ROADS, START_US) for d in wants}
    chosen = assign_jointly(lists)
    sent = [c.unit.unit_id for c in chosen.values()]
    assert len(sent) == len(set(sent)) == min(len(units), len(tasks))
    again = assign_jointly(dict(reversed(lists.items())))
    assert {t: c.unit.unit_id for t, c in again.items()} == {t: c.unit.unit_id for t, c in chosen.items()}
