"""A field unit: gets its tasks like a phone does, drives along the route that it is given, and reports.

It drives at the road's speed in city time. When closures change on the way, it asks for a new route from where it is.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

import structlog

from gis.points import bearing_deg, haversine_m
from simulators.client import LiveEar, Refused, Session
from simulators.scenario import iso
from simulators.simclock import SimClock

log = structlog.get_logger()

POLL_S = 3.0  # machine seconds between looks at the task list when nothing stirs
POSITION_EVERY_S = 1.0  # machine seconds: no faster (contract.md section 2)
REROUTE_EVERY_S = 3.0  # machine seconds between questions whether the way is still open
NO_ROUTE_RETRY_S = 3.0
WORK_S = (6.0, 12.0)  # machine seconds on scene
OPEN_STATES = ("ISSUED", "DELIVERED", "ACKED", "ACCEPTED", "EN_ROUTE", "ON_SCENE", "IN_PROGRESS")
MIN_SPEED_MS = 3.0

Point = tuple[float, float]


class Way:
    """A polyline that is driven along: position after so many metres."""

    def __init__(self, points: list[Point]) -> None:
        if len(points) < 2:
            points = [points[0], points[0]] if points else [(0.0, 0.0), (0.0, 0.0)]
        self.points = points
        lon, lat = [p[0] for p in points], [p[1] for p in points]
        self._legs = [float(d) for d in haversine_m(lon[:-1], lat[:-1], lon[1:], lat[1:])]
        self.length_m = sum(self._legs)

    def at(self, metres: float) -> tuple[Point, float]:
        """Position and heading in degrees; the end beyond the end."""
        left = max(0.0, metres)
        for i, leg in enumerate(self._legs):
            if left <= leg and leg > 0:
                (x1, y1), (x2, y2) = self.points[i], self.points[i + 1]
                share = left / leg
                return (x1 + (x2 - x1) * share, y1 + (y2 - y1) * share), float(bearing_deg(x1, y1, x2, y2))
            left -= leg
        (x1, y1), (x2, y2) = self.points[-2], self.points[-1]
        return (x2, y2), float(bearing_deg(x1, y1, x2, y2))


@dataclass(slots=True, kw_only=True)
class FieldUnit:
    """One unit. `run` works through its tasks until cancelled."""

    unit_id: str
    session: Session
    ear: LiveEar
    clock: SimClock
    rng: random.Random
    position: Point
    pace: float = 1.0  # of the people: 0.5 takes half the time
    done: int = 0
    rerouted: int = 0
    _seen_closures: frozenset[str] = field(default_factory=frozenset)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.ear.run(), name=f"live {self.unit_id}")
            while True:
                task = await self._next_task()
                if task is None:
                    await self.ear.wait(POLL_S)
                    continue
                try:
                    await self._carry_out(task)
                except Refused as refused:
                    # Recalled, reassigned or moved on by the desk: the list tells what is left to do.
                    log.info("unit_refused", unit=self.unit_id, task=task["task_id"], why=str(refused))
                    await asyncio.sleep(POLL_S)

    async def _next_task(self) -> dict[str, Any] | None:
        """The task furthest along, else the oldest. Others are told to be received meanwhile."""
        try:
            listed = await self.session.get("/api/v1/tasks", unit=self.unit_id)
        except Refused as refused:
            log.warning("tasks_refused", unit=self.unit_id, why=str(refused))
            return None
        mine = [t for t in _items(listed) if t["state"] in OPEN_STATES and t.get("unit_id") in ("", self.unit_id)]
        for task in mine:
            if task["state"] == "ISSUED":
                task.update(await self._step(task, "deliver") or {})
        mine.sort(key=lambda t: (-OPEN_STATES.index(t["state"]) if t["state"] in OPEN_STATES else 0, t["task_id"]))
        return mine[0] if mine else None

    async def _step(self, task: dict[str, Any], verb: str, **body: Any) -> Any:
        lon, lat = self.position
        body |= {"device_time": iso(self.clock.city_us()), "lon": round(lon, 6), "lat": round(lat, 6)}
        return await self.session.post(
            f"/api/v1/tasks/{task['task_id']}/{verb}", body, key=f"{self.unit_id}-{task['task_id']}-{verb}"
        )

    async def _pause(self, low_s: float, high_s: float) -> None:
        await asyncio.sleep(self.rng.uniform(low_s, high_s) * self.pace)

    async def _carry_out(self, task: dict[str, Any]) -> None:
        state = task["state"]
        if state == "DELIVERED":
            await self._pause(0.4, 1.0)
            await self._step(task, "ack")
            state = "ACKED"
        if state == "ACKED":
            await self._pause(0.8, 1.8)
            await self._step(task, "accept")
            state = "ACCEPTED"
        if state == "ACCEPTED":
            await self._pause(0.5, 1.2)
            await self._step(task, "depart")
            state = "EN_ROUTE"
        if state == "EN_ROUTE":
            await self._drive(task)
            await self._step(task, "arrive")
            state = "ON_SCENE"
        if state == "ON_SCENE":
            await self._pause(0.5, 1.0)
            await self._step(task, "start")
        await self._pause(*WORK_S)
        await self._step(task, "done", comment="已处置完毕，现场交接")
        self.done += 1
        log.info("unit_done", unit=self.unit_id, task=task["task_id"])

    # -- driving

    async def _drive(self, task: dict[str, Any]) -> None:
        """Until the end of the way. Raises Refused when the task is taken away."""
        way, speed_ms = await self._route(task)
        driven_m, at_us = 0.0, self.clock.city_us()
        asked_s = self.clock.machine_s()
        while True:
            await asyncio.sleep(POSITION_EVERY_S)
            now_us = self.clock.city_us()
            driven_m += speed_ms * (now_us - at_us) / 1e6
            at_us = now_us
            self.position, heading = way.at(driven_m)
            await self._report(heading, 0.0 if driven_m >= way.length_m else speed_ms)
            if driven_m >= way.length_m:
                return
            if self.clock.machine_s() - asked_s >= REROUTE_EVERY_S:
                asked_s = self.clock.machine_s()
                if await self._closures_changed():
                    way, speed_ms = await self._route(task)
                    driven_m, at_us = 0.0, self.clock.city_us()
                    self.rerouted += 1

    async def _route(self, task: dict[str, Any]) -> tuple[Way, float]:
        """The way from here and the mean speed on it; waits while there is no open way."""
        while True:
            await self._closures_changed()
            found = await self.session.get(f"/api/v1/tasks/{task['task_id']}/route")
            geometry = (found or {}).get("geometry")
            if geometry and len(geometry["coordinates"]) > 1:
                way = Way([(float(x), float(y)) for x, y in geometry["coordinates"]])
                eta_s = float(found.get("eta_s") or 0.0)
                log.info(
                    "unit_route",
                    unit=self.unit_id,
                    task=task["task_id"],
                    metres=round(way.length_m),
                    avoided=found.get("avoided"),
                )
                return way, max(MIN_SPEED_MS, way.length_m / eta_s if eta_s > 0 else 10.0)
            if geometry:
                return Way([self.position, (float(task["lon"]), float(task["lat"]))]), MIN_SPEED_MS
            log.info("unit_cut_off", unit=self.unit_id, task=task["task_id"])
            await asyncio.sleep(NO_ROUTE_RETRY_S)

    async def _closures_changed(self) -> bool:
        ids = frozenset(c["closure_id"] for c in _items(await self.session.get("/api/v1/closures")))
        changed = ids != self._seen_closures
        self._seen_closures = ids
        return changed

    async def _report(self, heading: float, speed_ms: float) -> None:
        lon, lat = self.position
        body = {
            "lon": round(lon, 6),
            "lat": round(lat, 6),
            "heading": round(heading, 1),
            "speed_ms": round(speed_ms, 1),
            "ts": self.clock.city_us() // 1000,
        }
        await self.session.post(f"/api/v1/units/{self.unit_id}/position", body)

    async def report_once(self) -> None:
        """The first fix after sign-in, so that the unit stands on the map."""
        try:
            await self._report(0.0, 0.0)
        except Refused as refused:
            log.warning("position_refused", unit=self.unit_id, why=str(refused))


def _items(answer: Any) -> list[dict[str, Any]]:
    """The rows of a list answer, paged or bare."""
    if isinstance(answer, dict):
        return list(answer.get("items", []))
    return list(answer or [])
