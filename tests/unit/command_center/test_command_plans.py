"""Plan and deadline documents: the shipped ones are good, wrong ones are refused by name."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from citybrain_testing.command import gas, river, underpass
from command_center.deadlines import DEADLINES_FILE, BadDeadlines, load_deadlines
from command_center.plans import (
    PLAN_FOLDER,
    BadPlan,
    check_files,
    incident_kind,
    load_plans,
    parse_plan,
)
from rules.transitions import Kind


def document() -> dict[str, Any]:
    found = yaml.safe_load((PLAN_FOLDER / "flood.yaml").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return copy.deepcopy(found)


def test_one_plan_for_each_kind_ships() -> None:
    plans = load_plans()
    assert {kind: plan.plan_id for kind, plan in plans.items()} == {
        "typhoon": "plan.typhoon",
        "flood": "plan.flood",
        "hazchem": "plan.hazchem",
    }
    assert plans["hazchem"].calls[0].to == "plant_control_room"
    assert check_files(sorted(PLAN_FOLDER.glob("*.yaml"))) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kind": "war"}, "kind 'war' is not one of typhoon"),
        ({"tasks": []}, "tasks is empty"),
        ({"end": ["some_day"]}, "end rule 'some_day'"),
        ({"surprise": 1}, "surprise"),
        ({"approval": None}, "pre_authorised needs the plan's approval"),
    ],
)
def test_a_wrong_document_is_refused_with_its_reason(change: dict[str, Any], says: str) -> None:
    with pytest.raises(BadPlan, match=r"flood\.yaml") as caught:
        parse_plan({**document(), **change}, name="flood.yaml")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("capability", "magic", "capability 'magic'"),
        ("place", "somewhere", "place 'somewhere'"),
        ("per", "day", "per 'day'"),
        ("due_min", 0, "due_min 0"),
        ("when", {"at_least": "purple"}, "purple"),
        ("id", "pump-underpass", "stands twice"),
    ],
)
def test_a_wrong_task_is_named(field: str, value: object, says: str) -> None:
    wrong = document()
    wrong["tasks"][0][field] = value
    with pytest.raises(BadPlan) as caught:
        parse_plan(wrong, name="flood.yaml")
    assert says in str(caught.value)
    assert "tasks[" in str(caught.value)


def test_check_files_names_each_bad_file(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("- a list", encoding="utf-8")
    (tmp_path / "b.yaml").write_text("a: [", encoding="utf-8")
    problems = check_files([tmp_path / "a.yaml", tmp_path / "b.yaml", tmp_path / "none.yaml"])
    assert [p.split(":")[0] for p in problems] == ["a.yaml", "b.yaml", "none.yaml"]


def test_the_plan_asks_for_what_the_alarm_needs() -> None:
    plan = load_plans()["flood"]
    at = underpass().goes(Kind.RAISED, "orange", 0.5, 1, 1)
    assert [t.id for t in plan.fitting(at)] == ["close-underpass", "pump-underpass", "rescue-standby"]
    low = river().goes(Kind.RAISED, "yellow", 4.0, 1, 1)
    assert [t.id for t in plan.fitting(low)] == ["patrol-river"]


def test_which_alarms_call_for_an_incident() -> None:
    assert incident_kind(river().goes(Kind.RAISED, "yellow", 4.0, 1, 1)) == ""
    assert incident_kind(river().goes(Kind.RAISED, "orange", 4.0, 1, 1)) == "flood"
    assert incident_kind(gas().goes(Kind.MEMBER, "yellow", 4.0, 1, 1, propose_incident="hazchem")) == "hazchem"
    assert incident_kind(river().goes(Kind.RAISED, "red", 4.0, 1, 1, hazard="device")) == ""


def test_deadlines_name_what_is_wrong(tmp_path: Path) -> None:
    assert load_deadlines().alarm_ack_s == {"red": 60, "orange": 180, "yellow": 600, "blue": 1800}
    good = yaml.safe_load(DEADLINES_FILE.read_text(encoding="utf-8"))
    path = tmp_path / "deadlines.yaml"
    for change, says in (
        ({"alarm_ack_s": {"red": 60}}, "alarm_ack_s has no value for"),
        ({"duty_chain": []}, "nobody would be called"),
        ({"task_ack_s": "soon"}, "task_ack_s"),
    ):
        path.write_text(yaml.safe_dump({**good, **change}), encoding="utf-8")
        with pytest.raises(BadDeadlines, match=says):
            load_deadlines(path)
