"""Who goes where: candidates for one task with reasons, and the joint assignment of several tasks. Pure, deterministic.

Travel times come from one reverse search of the road graph per wading depth, with the closures that hold for that depth
(reference/command-dispatch.md 4.2). Joint assignment is a rectangular LSAP with a dummy column per task (4.3).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from command_center.machines import UNIT, UNIT_AVAILABLE
from command_center.model import Authority, Candidate, Closure, Unit, UnitStatus
from command_center.records import UnitRecord
from gis.roads import RoadGraph

FIX_MAX_AGE_S = 1800.0  # Resgrid's default for a stale position; a unit in its quarters stands where it is registered
WADING_M = (
    0.30  # trafficability of ordinary vehicles (TRID 1412184); deeper is closed without a registered wading depth
)
LEFT_OUT_COST = 1.0e7  # seconds: leaving a task without unit is worse than any drive
IMPOSSIBLE_COST = 1.0e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """One task that wants a unit."""

    task_id: str
    capability: str
    lon: float
    lat: float
    refused_units: frozenset[str] = frozenset()


def closed_for(closures: Iterable[Closure], wading_depth_m: float) -> set[str]:
    """Road ids closed for a unit. Unknown depth is closed for everyone; a known one where it is deeper than the unit wades."""
    limit_m = max(WADING_M, wading_depth_m)
    shut: set[str] = set()
    for closure in closures:
        if closure.depth_m is None or not closure.depth_m <= limit_m:  # NaN closes
            shut.update(closure.edges)
    return shut


def travel_times_s(
    roads: RoadGraph, units: Sequence[Unit], lon: float, lat: float, closures: Sequence[Closure]
) -> dict[str, float]:
    """Seconds from each unit to a place, `inf` where no open way leads there."""
    by_depth: dict[float, list[Unit]] = {}
    for unit in units:
        by_depth.setdefault(unit.wading_depth_m, []).append(unit)
    times: dict[str, float] = {}
    for depth_m, group in sorted(by_depth.items()):
        starts = {u.unit_id: (u.lon, u.lat) for u in group}
        times.update(roads.travel_times_s(starts, lon, lat, closed_for(closures, depth_m)))
    return times


def fix_age_s(unit: Unit, now_us: int) -> float | None:
    """Age of the position; None for a unit in quarters that has none: it stands where it is registered."""
    if unit.fix_us is None:
        return None if unit.status is UnitStatus.IN_QTRS else math.inf
    return max(0.0, (now_us - unit.fix_us) / 1e6)


def candidates(
    demand: Demand,
    units: Sequence[UnitRecord],
    closures: Sequence[Closure],
    roads: RoadGraph,
    now_us: int,
    fix_max_age_s: float = FIX_MAX_AGE_S,
) -> list[Candidate]:
    """All units, those that can be sent first, then by travel time and id; each with its reasons in both languages."""
    plain = [record.unit for record in units]
    times = travel_times_s(roads, plain, demand.lon, demand.lat, closures)
    found = [_candidate(demand, unit, times[unit.unit_id], now_us, fix_max_age_s) for unit in plain]
    return sorted(found, key=_order)


def sendable(candidate: Candidate) -> bool:
    """Whether the engine may choose it: capable, free, own, reachable, known position, and it has not refused."""
    return (
        candidate.capable
        and candidate.available
        and candidate.eta_s is not None
        and candidate.unit.authority is Authority.DIRECT
    )


def _order(candidate: Candidate) -> tuple[bool, bool, bool, float, str]:
    eta = math.inf if candidate.eta_s is None else candidate.eta_s
    return (not sendable(candidate), not candidate.capable, not candidate.available, eta, candidate.unit.unit_id)


def _candidate(demand: Demand, unit: Unit, eta_s: float, now_us: int, fix_max_age_s: float) -> Candidate:
    zh: list[str] = []
    en: list[str] = []

    def say(chinese: str, english: str) -> None:
        zh.append(chinese)
        en.append(english)

    capable = demand.capability in unit.capabilities
    if not capable:
        say(f"不具备能力 {demand.capability}", f"lacks the capability {demand.capability}")
    available = unit.status in UNIT_AVAILABLE and not unit.task_id
    if not available:
        busy = f"，执行 {unit.task_id}" if unit.task_id else ""
        say(
            f"当前{UNIT.zh[unit.status]}{busy}",
            f"is {unit.status.value}{' on ' + unit.task_id if unit.task_id else ''}",
        )
    age_s = fix_age_s(unit, now_us)
    if age_s is not None and age_s > fix_max_age_s and unit.status is not UnitStatus.IN_QTRS:
        available = False
        shown = "从未上报" if math.isinf(age_s) else f"{age_s / 60:.0f} 分钟前"
        say(
            f"定位过期（{shown}）",
            f"position is stale ({'never reported' if math.isinf(age_s) else f'{age_s / 60:.0f} min old'})",
        )
    if unit.unit_id in demand.refused_units:
        available = False
        say("已谢绝或未应答本任务", "declined this task or did not answer")
    if unit.authority is Authority.REQUEST:
        say("须发协调请求，由对方签收", "another agency's: a request that they sign for")
    elif unit.authority is Authority.NOTIFY:
        say("仅可通报", "may only be notified")
    reachable = math.isfinite(eta_s)
    if reachable:
        say(f"预计 {eta_s / 60:.0f} 分钟到达", f"about {eta_s / 60:.0f} min by open roads")
    else:
        say("封路后无路可达", "no open road leads there")
    return Candidate(
        unit=unit,
        eta_s=eta_s if reachable else None,
        capable=capable,
        available=available,
        reasons_zh=zh,
        reasons_en=en,
    )


def assign_jointly(ranked: Mapping[str, Sequence[Candidate]]) -> dict[str, Candidate]:
    """Task id -> unit, each unit at most once, least total travel time, as many tasks served as can be.

    `ranked` are the candidates of each task. Ties go to the lower unit id, so that a replay assigns the same.
    """
    tasks = sorted(ranked)
    choices = {t: {c.unit.unit_id: c for c in ranked[t] if sendable(c)} for t in tasks}
    units = sorted({u for found in choices.values() for u in found})
    if not tasks or not units:
        return {}
    cost = np.full((len(tasks), len(units) + len(tasks)), IMPOSSIBLE_COST)
    for row, task_id in enumerate(tasks):
        cost[row, len(units) + row] = LEFT_OUT_COST
        for column, unit_id in enumerate(units):
            candidate = choices[task_id].get(unit_id)
            if candidate is not None and candidate.eta_s is not None:
                cost[row, column] = candidate.eta_s + column * 1e-6  # the tie-break, far below any real difference
    rows, columns = linear_sum_assignment(cost)
    return {
        tasks[row]: choices[tasks[row]][units[column]]
        for row, column in zip(rows, columns, strict=True)
        if column < len(units) and cost[row, column] < LEFT_OUT_COST
    }
