"""The state machines: their tables, their drawing, and what no sequence of events may do."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from command_center.device_commands.model import DEVICE_COMMAND
from command_center.duty.machines import MACHINES as DUTY
from command_center.errors import IllegalTransition
from command_center.machines import (
    ALARM,
    IMPLIED,
    INCIDENT,
    INCIDENT_OPEN,
    REQUEST,
    TASK,
    TASK_OVER,
    UNIT,
    UNIT_OF_TASK,
    Machine,
    draw_all,
)
from command_center.model import IncidentState, TaskState, UnitStatus
from command_center.video.model import VIDEO_CLIP

MACHINES: list[Machine[Any]] = [INCIDENT, TASK, UNIT, ALARM, REQUEST, *DUTY, DEVICE_COMMAND, VIDEO_CLIP]
machine_names = pytest.mark.parametrize("machine", MACHINES, ids=lambda m: m.name)


@machine_names
def test_every_state_has_a_row_and_a_chinese_name(machine: Machine[Any]) -> None:
    states = set(type(machine.start))
    assert set(machine.moves) == states
    assert set(machine.zh) == states
    assert all(targets <= states for targets in machine.moves.values())


@machine_names
def test_every_state_can_be_reached(machine: Machine[Any]) -> None:
    seen, waiting = set(), [machine.start]
    while waiting:
        state = waiting.pop()
        if state not in seen:
            seen.add(state)
            waiting += machine.moves[state]
    beyond = {IncidentState.REPORTED, UnitStatus.OFF}  # REPORTED is where a person's report starts
    assert set(machine.moves) - seen <= beyond


@given(data=st.data())
def test_a_walk_of_any_wishes_only_ever_takes_legal_steps(data: st.DataObject) -> None:
    machine = data.draw(st.sampled_from(MACHINES))
    state = machine.start
    for wish in data.draw(st.lists(st.sampled_from(list(machine.moves)), max_size=30)):
        if machine.allows(state, wish):
            before, state = state, machine.advance("x", state, wish)
            assert before in machine.sources_of(state)
        else:
            with pytest.raises(IllegalTransition, match=state.value):
                machine.advance("x", state, wish)


def test_what_a_tap_implies_is_legal_step_by_step() -> None:
    for (source, target), between in IMPLIED.items():
        state = source
        for step in (*between, target):
            state = TASK.advance("t", state, step)


def test_a_closed_task_stays_closed_and_an_ended_incident_takes_no_alarm() -> None:
    assert TASK.moves[TaskState.CLOSED] == frozenset()
    assert TaskState.CLOSED in TASK_OVER
    assert IncidentState.TERMINATED not in INCIDENT_OPEN
    assert IncidentState.REJECTED not in INCIDENT_OPEN


def test_the_unit_can_follow_its_task_along_the_whole_way() -> None:
    way = [TaskState.ISSUED, TaskState.ACKED, TaskState.EN_ROUTE, TaskState.ON_SCENE, TaskState.IN_PROGRESS]
    statuses = [UNIT_OF_TASK[state] for state in way]
    assert all(UNIT.allows(a, b) for a, b in itertools.pairwise(statuses))


def test_docs_states_is_what_the_tables_draw() -> None:
    drawn = (Path(__file__).parents[3] / "docs" / "states.md").read_text(encoding="utf-8")
    assert drawn == draw_all(), "run: python -m command_center.machines > docs/states.md"
