"""Who decides: the table as it stands, role by role."""

from __future__ import annotations

import pytest

from citybrain_testing.command import ADMIN, DUTY1, LEADER, responder
from command_center.authority import DECISIONS, MATRIX, Act, Action, How, may_be_automatic, only_own, require
from command_center.errors import Forbidden
from command_center.model import SYSTEM, Actor, Role

VENDOR = Actor(username="vendor1", roles=frozenset({Role.VENDOR}), vendor="acme")
ANALYST = Actor(username="analyst1", roles=frozenset({Role.ANALYST}))
MET = Actor(username="met", roles=frozenset({Role.MET}))
NOBODY = Actor(username="nobody")

MAY = {
    Action.ACK_ALARM: {"duty1", "leader1"},
    Action.VERIFY_INCIDENT: {"duty1", "leader1"},
    Action.ISSUE_TASKS: {"duty1", "leader1"},
    Action.CLOSE_INCIDENT: {"duty1", "leader1"},
    Action.BULLETIN: {"duty1", "leader1", "met"},
    Action.RESPOND: {"duty1", "leader1", "unit-1"},
    Action.CHECK_TASK: {"duty1", "leader1"},
    Action.SET_THRESHOLD: {"leader1"},
    Action.JOURNAL: {"leader1", "analyst1", "admin"},
    Action.USERS: {"admin"},
    Action.REGISTER_DEVICE: {"admin", "vendor1"},
    Action.READ_ALARMS: {"duty1", "leader1", "unit-1", "analyst1", "admin"},
    # what is done with and for devices
    Action.DEVICE_CREDENTIALS: {"admin", "vendor1"},
    Action.READ_CARE: {"duty1", "leader1", "analyst1", "admin", "vendor1"},
    Action.CALIBRATE: {"admin", "vendor1"},
    Action.OPEN_TICKET: {"duty1", "leader1", "admin", "vendor1"},
    Action.ANSWER_TICKET: {"admin", "vendor1"},
    Action.DECIDE_TICKET: {"duty1", "leader1", "admin"},
    Action.MAINTENANCE: {"leader1", "admin"},
    Action.FILL_ACCEPTANCE: {"admin", "vendor1"},
    Action.ACCEPT_FOR_VENDOR: {"vendor1"},
    Action.ACCEPT_FOR_CITY: {"leader1", "admin"},
    Action.READ_RATES: {"duty1", "leader1", "analyst1", "admin", "vendor1"},
}


@pytest.mark.parametrize("action", MAY, ids=lambda a: a.name)
def test_exactly_these_may(action: Action) -> None:
    for actor in (DUTY1, LEADER, ADMIN, VENDOR, ANALYST, MET, NOBODY, responder("unit-1")):
        if actor.username in MAY[action]:
            require(actor, action)
        else:
            with pytest.raises(Forbidden, match=action.value):
                require(actor, action)


def test_every_action_has_a_row() -> None:
    assert set(MATRIX) == set(Action)
    assert all(MATRIX.values())


def test_a_responder_acts_only_for_its_own_unit() -> None:
    require(responder("unit-1"), Action.RESPOND, unit_id="unit-1")
    with pytest.raises(Forbidden, match="own unit"):
        require(responder("unit-1"), Action.RESPOND, unit_id="unit-2")
    with pytest.raises(Forbidden, match="own unit"):
        require(responder(""), Action.RESPOND, unit_id="unit-2")
    require(DUTY1, Action.RESPOND, unit_id="unit-2")  # by radio, on the unit's behalf
    assert only_own(responder("unit-1"))
    assert not only_own(DUTY1)


def test_the_engine_passes_and_nobody_can_pose_as_it() -> None:
    require(SYSTEM, Action.VERIFY_INCIDENT)
    with pytest.raises(Forbidden):
        require(Actor(username="system", roles=frozenset({Role.VENDOR})), Action.VERIFY_INCIDENT)


def test_what_may_happen_by_itself_is_what_the_design_says() -> None:
    assert set(DECISIONS) == set(Act)
    assert {a for a in Act if may_be_automatic(a)} == {
        Act.OPERATOR_ALARM,
        Act.CALL_DESK_AND_PLANT,
        Act.DRAFT_INCIDENT,
    }
    assert may_be_automatic(Act.TASK_OWN, pre_authorised=True)
    assert not may_be_automatic(Act.TASK_OTHER_AGENCY, pre_authorised=True)
    assert DECISIONS[Act.PLANT_VALVE].how is How.NEVER
    assert DECISIONS[Act.THRESHOLD].how is How.TWO_PERSONS
