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
SECURITY = Actor(username="security", roles=frozenset({Role.SECURITY}))
AUDITOR = Actor(username="auditor", roles=frozenset({Role.AUDITOR}))
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
    Action.JOURNAL: {"leader1", "analyst1", "admin", "auditor"},
    Action.AUDIT_HEAD: {"admin", "auditor"},
    Action.AUDIT_VERIFY: {"auditor"},
    Action.USERS: {"security"},
    Action.READ_USERS: {"security", "auditor"},
    Action.API_KEYS: {"security"},
    Action.APPROVE_THRESHOLD: {"duty1", "leader1", "admin"},
    Action.OVERRIDE_THRESHOLD: {"leader1"},
    Action.GIVE_INCIDENT_ROLE: {"leader1"},
    Action.EXPORT_PERSONAL: {"duty1", "leader1"},  # and registrar
    Action.IMPORT_DEVICES: {"admin"},
    Action.REPLAY_LETTERS: {"admin"},
    Action.IMPORT_HISTORY: {"admin"},
    Action.ADVANCE_CLOCK: {"admin"},
    Action.READ_RULES: {"leader1", "analyst1", "admin"},
    Action.REGISTER_DEVICE: {"admin", "vendor1"},
    Action.READ_ALARMS: {"duty1", "leader1", "unit-1", "analyst1", "admin"},
    Action.READ_REGISTERS: {"duty1", "leader1", "unit-1", "analyst1", "admin", "auditor"},  # and registrar
    Action.WRITE_REGISTERS: {"admin"},  # and registrar
    Action.VERIFY_ENTRY: {"duty1", "leader1"},  # and registrar
    Action.SIGN_STATEMENT: {"leader1"},  # and registrar
    Action.READ_PERSONAL: {"duty1", "leader1"},  # and registrar
    # Devices have credentials, and are cared for.
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
    # and are commanded.
    Action.COMMAND_DEVICE: {"admin", "vendor1"},
    Action.TURN_CAMERA: {"duty1", "leader1", "admin"},
    Action.MOVE_ACTUATOR: {"duty1", "leader1"},
    # Who looks through a camera does not read the list of who looked.
    Action.VIEW_VIDEO: {"duty1", "leader1"},
    Action.READ_VIEWS: {"security", "auditor"},
    Action.REQUEST_CLIP: {"duty1", "leader1"},
    Action.EXPORT_CLIP: {"duty1", "leader1"},
}


@pytest.mark.parametrize("action", MAY, ids=lambda a: a.name)
def test_exactly_these_may(action: Action) -> None:
    for actor in (DUTY1, LEADER, ADMIN, VENDOR, ANALYST, MET, SECURITY, AUDITOR, NOBODY, responder("unit-1")):
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


CLERK = Actor(username="clerk1", roles=frozenset({Role.REGISTRAR}))
MAY_ON_DUTY = {
    Action.READ_DUTY: {"duty1", "leader1", "analyst1", "admin", "clerk1", "auditor"},
    Action.READ_DUTY_PHONE: {"duty1", "leader1"},
    Action.PLAN_DUTY: {"leader1", "admin", "clerk1"},
    Action.HAND_OVER: {"duty1", "leader1"},
    Action.WRITE_DUTY_LOG: {"duty1", "leader1"},
    Action.READ_INSTRUCTIONS: {"duty1", "leader1", "analyst1", "admin", "clerk1", "unit-1"},
    Action.INSTRUCT: {"leader1"},
    Action.ANSWER_INSTRUCTION: {"duty1", "leader1", "analyst1", "admin", "clerk1", "unit-1"},
    Action.CHECK_INSTRUCTION: {"duty1", "leader1"},
}


@pytest.mark.parametrize("action", MAY_ON_DUTY, ids=lambda a: a.name)
def test_exactly_these_may_on_duty(action: Action) -> None:
    everybody = (DUTY1, LEADER, ADMIN, VENDOR, ANALYST, MET, NOBODY, CLERK, AUDITOR, SECURITY, responder("unit-1"))
    assert {a.username for a in everybody if a.roles & MATRIX[action]} == MAY_ON_DUTY[action]
