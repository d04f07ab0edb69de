"""Plans as versioned documents: which calls, which tasks, for which alarm, where and until when.

A plan never decides more than its approval allows: `pre_authorised` tasks go out by themselves only when the document names
who approved it, when, and from which source. Documents stand in `command_center/plans/*.yaml`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import yaml

from command_center.errors import CommandError
from rules.transitions import COLOURS, Transition, rank

KINDS = ("typhoon", "flood", "hazchem", "other")
CAPABILITIES = ("flood_rescue", "pumping", "traffic_control", "hazmat", "medical", "evacuation", "patrol")
END_RULES = ("all_tasks_closed", "no_alarm_firing")
PLAN_FOLDER = Path(__file__).parent / "plans"


class BadPlan(CommandError):
    """A plan document is wrong; the text names the document, the place in it and what was expected."""


class Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    zh: str
    en: str


class Call(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A call that the desk makes first, in this order."""

    to: str
    text: Text


class When(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For which alarms a task is drafted. Empty = all."""

    rules: list[str] = []
    at_least: str = ""  # colour


class PlanTask(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`place`: incident, alarm, or nearest:LAYER (from the alarm). `per`: once an incident, or once an alarm's place."""

    id: str
    title: Text
    detail: Text
    capability: str
    place: str = "incident"
    per: str = "incident"
    when: When = When()
    due_min: float
    pre_authorised: bool = False


class Approval(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    by: str
    date: str
    document: str


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    plan_id: str
    version: str
    kind: str
    title: Text
    jurisdiction: str
    source: str
    approval: Approval | None = None
    calls: list[Call] = []
    tasks: list[PlanTask]
    end: list[str] = msgspec.field(default_factory=lambda: list(END_RULES))

    def fitting(self, transition: Transition) -> list[PlanTask]:
        """The tasks that this alarm asks for, in the document's order."""
        return [task for task in self.tasks if _fits(task.when, transition)]


def _fits(when: When, transition: Transition) -> bool:
    if when.rules and transition.rule_id not in when.rules:
        return False
    return not when.at_least or rank(transition.colour) >= rank(when.at_least)


def parse_plan(document: Mapping[str, Any], *, name: str) -> Plan:
    """Validate one document. Raises BadPlan naming document, path and expectation."""
    try:
        plan = msgspec.convert(document, Plan)
    except msgspec.ValidationError as error:
        raise BadPlan(f"{name}: {error}") from error
    if faults := _faults(plan):
        raise BadPlan(f"{name}: {'; '.join(faults)}")
    return plan


def _faults(plan: Plan) -> list[str]:
    faults = []
    if plan.kind not in KINDS:
        faults.append(f"kind {plan.kind!r} is not one of {', '.join(KINDS)}")
    if not plan.tasks:
        faults.append("tasks is empty: a plan without tasks does nothing")
    faults += [f"end rule {rule!r} is not one of {', '.join(END_RULES)}" for rule in plan.end if rule not in END_RULES]
    seen: set[str] = set()
    for task in plan.tasks:
        where = f"tasks[{task.id}]"
        if task.id in seen:
            faults.append(f"{where}: the id stands twice")
        seen.add(task.id)
        if task.capability not in CAPABILITIES:
            faults.append(f"{where}: capability {task.capability!r} is not one of {', '.join(CAPABILITIES)}")
        if task.place not in ("incident", "alarm") and not task.place.startswith("nearest:"):
            faults.append(f"{where}: place {task.place!r} is not incident, alarm or nearest:LAYER")
        if task.per not in ("incident", "alarm"):
            faults.append(f"{where}: per {task.per!r} is not incident or alarm")
        if task.when.at_least not in COLOURS:
            faults.append(f"{where}: when.at_least {task.when.at_least!r} is not a warning colour")
        if task.due_min <= 0:
            faults.append(f"{where}: due_min {task.due_min} is not above 0")
        if task.pre_authorised and plan.approval is None:
            faults.append(f"{where}: pre_authorised needs the plan's approval (by, date, document)")
    return faults


def load_plans(folder: Path = PLAN_FOLDER) -> dict[str, Plan]:
    """All documents of a folder by incident kind. Raises BadPlan for a wrong one, or two for one kind."""
    plans: dict[str, Plan] = {}
    for path in sorted(folder.glob("*.yaml")):
        plan = parse_plan(_read(path), name=path.name)
        if plan.kind in plans:
            raise BadPlan(f"{path.name}: {plans[plan.kind].plan_id} is a plan for {plan.kind} already")
        plans[plan.kind] = plan
    return plans


def check_files(paths: Sequence[Path]) -> list[str]:
    """What is wrong with these documents, one line each, naming file and place; empty when all are good."""
    problems = []
    for path in paths:
        try:
            parse_plan(_read(path), name=path.name)
        except BadPlan as error:
            problems.append(str(error))
    return problems


def _read(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadPlan(f"{path.name}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadPlan(f"{path.name}: not YAML: {error}") from error
    if not isinstance(document, dict):
        raise BadPlan(f"{path.name}: expected a mapping at the top")
    return document


# Which kind of incident an alarm's hazard belongs to. A device that fell silent opens none.
KIND_OF_HAZARD: Mapping[str, str] = {
    "flood": "flood",
    "rain": "flood",
    "typhoon": "typhoon",
    "wind": "typhoon",
    "hazchem": "hazchem",
    "air": "other",
    "fire": "other",
}


def incident_kind(transition: Transition) -> str:
    """Kind of the incident that this transition calls for, "" for none.

    Orange and red call for one, and so does a rule that proposes it (the second gas detector) whatever the colour.
    """
    if transition.propose_incident:
        return KIND_OF_HAZARD.get(transition.propose_incident, transition.propose_incident)
    if rank(transition.colour) >= rank("orange"):
        return KIND_OF_HAZARD.get(transition.hazard, "")
    return ""
