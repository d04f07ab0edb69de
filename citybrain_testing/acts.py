"""The acts that a demonstration must show, recognised in what a screen is told over the live feed."""

from __future__ import annotations

from typing import Any

from citybrain_testing.viewing import Seen

COLOURS = ("blue", "yellow", "orange", "red")
MOVING = ("ACCEPTED", "EN_ROUTE")
ARRIVED = ("ON_SCENE", "IN_PROGRESS", "REPORTED_DONE", "VERIFIED", "CLOSED")
DONE = ("REPORTED_DONE", "VERIFIED", "CLOSED")
WANTED = (
    "first_alarm",
    "typhoon_alarm",
    *(f"flood_{colour}" for colour in COLOURS),
    "chlorine_one_detector",
    "chlorine_second_detector",
    "incident_opened",
    "incident_verified",
    "task_drafted",
    "task_issued",
    "unit_accepted",
    "detour",
    "detour_arrived",
    "detour_done",
    "incident_closed",
)


class Acts:
    """Machine seconds after `ready_s` (monotonic) of each act's first time, with what it was."""

    def __init__(self, ready_s: float) -> None:
        self._ready_s = ready_s
        self.times: dict[str, float] = {}
        self.facts: dict[str, str] = {}
        self.states: dict[str, str] = {}  # newest state by task
        self.detours: dict[str, dict[str, Any]] = {}  # task -> the route that avoids a closure
        self._colours: dict[str, list[str]] = {}
        self._gas: dict[str, str] = {}
        self._verifying: set[str] = set()

    @property
    def missing(self) -> list[str]:
        return [name for name in WANTED if name not in self.times]

    def happened(self, name: str, at_s: float, fact: str) -> None:
        if name not in self.times:
            self.times[name] = round(at_s - self._ready_s, 1)
            self.facts[name] = fact

    def take(self, seen: Seen) -> None:
        getattr(self, f"_{seen.channel}")(seen, seen.data)

    def detour(self, task_id: str, route: dict[str, Any], at_s: float) -> None:
        self.detours[task_id] = route
        self.happened("detour", at_s, f"{task_id} avoids {route['avoided']}, {route['distance_m']:.0f} m")

    def _alarm(self, seen: Seen, alarm: dict[str, Any]) -> None:
        name = f"{alarm['alarm_id']} {alarm['subject']['id']} {alarm['colour']}"
        self.happened("first_alarm", seen.at_s, name)
        if alarm["hazard"] == "typhoon":
            self.happened("typhoon_alarm", seen.at_s, name)
        if alarm["hazard"] == "flood" and alarm["colour"] in COLOURS:
            path = self._colours.setdefault(alarm["alarm_id"], [])
            if len(path) < len(COLOURS) and alarm["colour"] == COLOURS[len(path)]:
                path.append(alarm["colour"])
                self.happened(f"flood_{alarm['colour']}", seen.at_s, name)
        if alarm["hazard"] == "hazchem":
            if len(alarm["device_ids"]) == 1 and alarm["colour"]:
                self._gas.setdefault(alarm["alarm_id"], alarm["colour"])
                self.happened("chlorine_one_detector", seen.at_s, f"{name} {alarm['device_ids']}")
            first = self._gas.get(alarm["alarm_id"])
            rose = first and alarm["colour"] and COLOURS.index(alarm["colour"]) > COLOURS.index(first)
            if rose and len(alarm["device_ids"]) > 1:
                self.happened("chlorine_second_detector", seen.at_s, f"{name} {alarm['device_ids']}")

    def _incident(self, seen: Seen, incident: dict[str, Any]) -> None:
        name, state = f"{incident['incident_id']} {incident['kind']} {incident['plan_id']}", incident["state"]
        if state in ("REPORTED", "VERIFYING"):
            self._verifying.add(incident["incident_id"])
            self.happened("incident_opened", seen.at_s, name)
        elif incident["incident_id"] in self._verifying:
            if state == "OPEN":
                self.happened("incident_verified", seen.at_s, name)
            if state == "TERMINATED":
                self.happened("incident_closed", seen.at_s, f"{name} {incident['task_counts']}")

    def _task(self, seen: Seen, task: dict[str, Any]) -> None:
        if seen.kind == "removed":
            return
        task_id, state = task["task_id"], task["state"]
        self.states[task_id] = state
        name = f"{task_id} {task['unit_id']}"
        if state == "DRAFT":
            self.happened("task_drafted", seen.at_s, name)
        if state == "ISSUED":
            self.happened("task_issued", seen.at_s, name)
        if state == "ACCEPTED":
            self.happened("unit_accepted", seen.at_s, name)
        if task_id in self.detours:
            if state in ARRIVED:
                self.happened("detour_arrived", seen.at_s, name)
            if state in DONE:
                self.happened("detour_done", seen.at_s, name)
