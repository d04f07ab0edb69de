"""The whole loop, as a person at the wall sees it: `citybrain up --demo` at its default speed, on both database tiers.

Both tiers play at the same time, each in processes of its own: the night takes as long for two as for one. What is
checked comes through public doors only (live feed and HTTP); the evidence stands in test-artifacts/whole-loop-*.json.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from shapely.geometry import LineString, Point, shape

from citybrain_testing.acts import MOVING, WANTED, Acts
from citybrain_testing.outcome import family, get, pages, survivors, write_artifact
from citybrain_testing.servers import dev_stack
from citybrain_testing.system import System
from citybrain_testing.viewing import Viewer

pytestmark = [pytest.mark.broker, pytest.mark.database, pytest.mark.slow]

FIRST_ALARM_S = 60.0
ALL_ACTS_S = 300.0
STOP_S = 10.0
LOOK_S = 0.5
WIDTH_DEG = 2e-6  # a way and the road that it follows are the same points, rounded
APART_DEG = 1.5e-3  # about 150 m
THROUGH_SHARE = 0.75
TIERS = ("plain", "timescale")


@dataclass
class Play:
    """What one tier's night showed."""

    tier: str
    server: dict[str, Any] = field(default_factory=dict)
    started_s: float = 0.0
    acts: dict[str, float] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    detours: dict[str, Any] = field(default_factory=dict)
    crossed: list[str] = field(default_factory=list)
    stop_s: float = 0.0
    survivors: list[str] = field(default_factory=list)
    before: dict[str, list[str]] = field(default_factory=dict)
    again_s: float = 0.0
    after: dict[str, list[str]] = field(default_factory=dict)
    clock: list[int] = field(default_factory=list)
    users: int = 0
    second_stop_s: float = 0.0


def play(tier: str, folder: Path) -> Play:
    """Start, watch the acts, stop, start again, stop."""
    found = Play(tier)
    env = {"CITYBRAIN_DEV_STACK": str(dev_stack()) if tier == "timescale" else ""}
    system = System(folder / "data", env=env)
    began = time.monotonic()
    system.start()
    found.started_s = round(time.monotonic() - began, 1)
    try:
        found.server = json.loads((system.data_dir / "postgres" / "made-by.json").read_text())
        _watch(system, found)
        found.before = _kept(system, found)
        processes = family(system.pid)
        found.stop_s = round(system.stop(), 2)
        found.survivors = survivors(processes, system.data_dir)
        began = time.monotonic()
        system.start()
        found.again_s = round(time.monotonic() - began, 1)
        found.after = _kept(system, found)
        found.users = _logins_that_work(system)
    finally:
        found.second_stop_s = round(system.stop(), 2)
        write_artifact(f"whole-loop-{tier}.json", asdict(found))
    return found


def _watch(system: System, found: Play) -> None:
    ready_s = time.monotonic()
    acts = Acts(ready_s)
    with (
        contextlib.closing(system.login("leader1")) as leader,
        Viewer(lambda: system.live(leader)) as viewer,
    ):
        roads = {f["id"]: shape(f["geometry"]) for f in get(leader, "/api/v1/layers/roads.geojson")["features"]}
        taken = 0
        while acts.missing and time.monotonic() - ready_s < ALL_ACTS_S:
            for seen in viewer.events(since=taken):
                acts.take(seen)
                taken += 1
            _look_at_routes(leader, acts, roads, found)
            time.sleep(LOOK_S)
    found.acts, found.facts, found.detours = acts.times, acts.facts, acts.detours


def _look_at_routes(leader: httpx.Client, acts: Acts, roads: dict[str, LineString], found: Play) -> None:
    """Ask for the way of every unit that drives; a way must not lead over a road that is closed for the unit."""
    moving = [task_id for task_id, state in acts.states.items() if state in MOVING]
    closures = {c["closure_id"]: c for c in get(leader, "/api/v1/closures")["items"]} if moving else {}
    for task_id in moving:
        answer = leader.get(f"/api/v1/tasks/{task_id}/route")
        if answer.status_code != httpx.codes.OK:
            continue
        route = answer.json()
        avoided = [closures[c] for c in route["avoided"] if c in closures]
        if not avoided or not route["geometry"]:
            continue
        line = LineString(route["geometry"]["coordinates"])
        shut = [roads[edge] for closure in avoided for edge in closure["edges"]]
        found.crossed += [task_id for road in shut if _leads_over(line, road)]
        # A task at the water itself begins or ends on the closed road: no way leads around that.
        if all(Point(end).distance(road) > APART_DEG for road in shut for end in (line.coords[0], line.coords[-1])):
            acts.detour(task_id, route, time.monotonic())


def _leads_over(line: LineString, road: LineString) -> bool:
    return bool(line.intersection(road.buffer(WIDTH_DEG)).length > THROUGH_SHARE * road.length)


def _kept(system: System, found: Play) -> dict[str, list[str]]:
    with contextlib.closing(system.login("leader1")) as leader:
        found.clock.append(int(get(leader, "/api/v1/clock")["city_us"]))
        return {
            "alarms": sorted(a["alarm_id"] for a in pages(leader, "/api/v1/alarms", state="all")),
            "incidents": sorted(i["incident_id"] for i in pages(leader, "/api/v1/incidents")),
            "tasks": sorted(t["task_id"] for t in pages(leader, "/api/v1/tasks")),
            "closed": sorted(
                i["incident_id"] for i in pages(leader, "/api/v1/incidents") if i["state"] == "TERMINATED"
            ),
        }


def _logins_that_work(system: System) -> int:
    """Every kind of account that was generated at the first start still opens the door."""
    names = ["duty1", "leader1", "admin", "vendor1", "analyst1"]
    for name in names:
        system.login(name).close()
    return len(names)


@pytest.fixture(scope="module")
def plays(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[Play]]]:
    wanted = {tier for tier in TIERS for item in request.session.items if f"[{tier}]" in item.name}
    with ThreadPoolExecutor(max_workers=len(TIERS)) as pool:
        yield {tier: pool.submit(play, tier, tmp_path_factory.mktemp(tier)) for tier in sorted(wanted)}


@pytest.fixture(params=[pytest.param("plain"), pytest.param("timescale", marks=pytest.mark.timescale)])
def night(request: pytest.FixtureRequest, plays: dict[str, Future[Play]]) -> Play:
    return plays[request.param].result()


def test_the_tier_is_the_one_that_was_meant(night: Play) -> None:
    assert night.server["timescale"] is (night.tier == "timescale")


def test_the_first_alarm_is_on_the_wall_within_a_minute(night: Play) -> None:
    assert night.acts["first_alarm"] <= FIRST_ALARM_S


def test_every_act_is_shown_within_five_minutes(night: Play) -> None:
    assert [act for act in WANTED if act not in night.acts] == []
    assert max(night.acts.values()) <= ALL_ACTS_S


def test_the_acts_come_in_the_order_of_the_loop(night: Play) -> None:
    acts = night.acts
    flood = [acts[f"flood_{colour}"] for colour in ("blue", "yellow", "orange", "red")]
    assert flood == sorted(flood)
    assert acts["chlorine_one_detector"] <= acts["chlorine_second_detector"]
    loop = ("incident_opened", "incident_verified", "task_issued", "unit_accepted", "incident_closed")
    assert [acts[act] for act in loop] == sorted(acts[act] for act in loop)


def test_a_unit_drives_around_the_flooded_underpass(night: Play) -> None:
    assert night.detours
    assert night.crossed == []
    assert night.acts["detour"] <= night.acts["detour_arrived"] <= night.acts["detour_done"]


def test_ctrl_c_ends_everything(night: Play) -> None:
    assert night.stop_s < STOP_S
    assert night.survivors == []
    assert night.second_stop_s < STOP_S


def test_starting_again_keeps_the_data(night: Play) -> None:
    for what, names in night.before.items():
        assert set(names) <= set(night.after[what]), what
        assert names, what
    assert night.users == 5
    assert night.clock[1] >= night.clock[0] - 5_000_000
