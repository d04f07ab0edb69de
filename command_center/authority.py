"""Who may do what: one table, asked by every method of the command centre (design.md section 2 "Who decides").

`MATRIX` says which roles may call an action. `DECISIONS` says how an act of the city's own comes about: by itself, by one
person, by two, or never from here; stricter per jurisdiction by data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from command_center.errors import Forbidden, NotFound, SecondFactorNeeded
from command_center.model import Actor, Role

O, L, R, V, A, ADM, MET = (  # noqa: E741  (one letter each keeps the table readable)
    Role.OPERATOR,
    Role.LEADER,
    Role.RESPONDER,
    Role.VENDOR,
    Role.ANALYST,
    Role.ADMIN,
    Role.MET,
)
REG = Role.REGISTRAR
SEC, AUD, COM, SCN, LIA, GRD = (
    Role.SECURITY,
    Role.AUDITOR,
    Role.COMMANDER,
    Role.SCENE,
    Role.LIAISON,
    Role.GRID,
)
_DESK = frozenset({O, L})
_COMMAND = frozenset({COM, SCN})
_WATCH = frozenset({O, L, R, A, ADM, COM, SCN, LIA, Role.ISSUER, Role.UPSTREAM})
_ANYBODY = frozenset(Role)

SYSTEM_NAME = "system"


class Action(StrEnum):
    READ_ALARMS = "read alarms"
    ACK_ALARM = "acknowledge an alarm"
    SHELVE_ALARM = "shelve an alarm"
    RESET_ALARM = "reset a latched or silent alarm"
    BULLETIN = "enter an official bulletin"
    READ_INCIDENTS = "read incidents"
    VERIFY_INCIDENT = "verify an incident"
    REJECT_INCIDENT = "reject an incident"
    CONTROL_INCIDENT = "declare an incident controlled"
    CLOSE_INCIDENT = "end an incident"
    NOTE = "write into an incident's timeline"
    ISSUE_TASKS = "issue tasks"
    ASSIGN = "assign a task"
    READ_TASKS = "read tasks"
    RESPOND = "answer a task"
    CHECK_TASK = "check, close or recall a task"
    READ_UNITS = "read units"
    REPORT_UNIT = "report a unit's position or status"
    REGISTER_UNIT = "register a unit"
    READ_CLOSURES = "read road closures"
    CLOSE_ROAD = "close or reopen a road"
    ANSWER_REQUEST = "record another agency's answer"
    JOURNAL = "read the journal"
    READ_PLANS = "read plans"
    USERS = "manage users"
    REGISTER_DEVICE = "register a device"
    SET_THRESHOLD = "change a threshold"
    # devices: their credentials, and the care that is taken of them
    DEVICE_CREDENTIALS = "issue or revoke a device's credentials"
    READ_CARE = "read what is done for a device"
    CALIBRATE = "record a calibration"
    OPEN_TICKET = "open a repair ticket"
    ANSWER_TICKET = "answer a repair ticket"
    DECIDE_TICKET = "assign, check or close a repair ticket"
    MAINTENANCE = "set a maintenance window"
    FILL_ACCEPTANCE = "fill in an acceptance checklist"
    ACCEPT_FOR_VENDOR = "sign an acceptance for the vendor"
    ACCEPT_FOR_CITY = "sign an acceptance for the city"
    COMMAND_DEVICE = "set a device's clock or reporting interval"
    TURN_CAMERA = "turn a camera to a preset"
    MOVE_ACTUATOR = "move a siren, a pump or a gate"
    READ_RATES = "read the vendors' rates"
    # cameras and who looks through them
    VIEW_VIDEO = "look through a camera"
    READ_VIEWS = "read who looked through which camera"
    REQUEST_CLIP = "have a recording fetched for an incident"
    EXPORT_CLIP = "download an incident's recording"

    # Registers of areas, objects at risk, people and resources (command_center/registers)
    READ_REGISTERS = "read the registers"
    WRITE_REGISTERS = "change the registers"
    VERIFY_ENTRY = "confirm that an entry's numbers were checked"
    SIGN_STATEMENT = "sign a daily risk statement"
    READ_PERSONAL = "read personal data in clear"
    # the journal's proof (command_center/audit.py)
    AUDIT_HEAD = "read the head of the journal"
    AUDIT_VERIFY = "check the journal's chain"

    # Import, export, address search (command_center/registers/imports.py, exports.py, addresses.py)
    IMPORT = "import a file"
    EXPORT = "export a register"
    SEARCH_ADDRESS = "search addresses"
    # duty (command_center/duty): roster, hand-over, log, instructions
    READ_DUTY = "read the roster and the duty log"
    READ_DUTY_PHONE = "read telephone numbers of people on duty"
    PLAN_DUTY = "plan duty"
    HAND_OVER = "hand over or take over a shift"
    WRITE_DUTY_LOG = "write into the duty log"
    READ_INSTRUCTIONS = "read instructions"
    INSTRUCT = "give an instruction"
    ANSWER_INSTRUCTION = "answer an instruction"
    CHECK_INSTRUCTION = "check or close an instruction"
    # the grid (command_center/grid): reports that are filed once, visits that are made once
    FILE_REPORT = "file a report"
    READ_REPORTS = "read reports"
    HANDLE_REPORT = "join, close or reopen a report"
    ANSWER_REPORT = "sign for a report and answer it"
    PATROL = "make a visit"
    # access: what the rim alone decided before, people, keys, sessions, approvals, roles in an incident
    READ_RULES = "read rules"
    READ_REQUESTS = "read requests to other agencies"
    READ_LAYERS = "read map layers"
    READ_DEVICES = "read devices"
    READ_OBSERVATIONS = "read observations"
    CHECK_DEVICE = "check a device"
    READ_DEAD_LETTERS = "read dead letters"
    REPLAY_LETTERS = "put dead letters in again"
    IMPORT_HISTORY = "import history"
    IMPORT_DEVICES = "import devices"
    ADVANCE_CLOCK = "advance the clock"
    OWN_ACCOUNT = "look after one's own account"
    READ_USERS = "read users"
    READ_API_KEYS = "read API keys"
    API_KEYS = "manage API keys"
    READ_APPROVALS = "read approvals"
    APPROVE_THRESHOLD = "approve a change of a threshold"
    OVERRIDE_THRESHOLD = "change a threshold at once in an emergency"
    GIVE_INCIDENT_ROLE = "give a role in an incident"
    EXPORT_PERSONAL = "export personal data in clear"


MATRIX: Mapping[Action, frozenset[Role]] = {
    Action.READ_ALARMS: _WATCH | {GRD},
    Action.ACK_ALARM: _DESK,
    Action.SHELVE_ALARM: _DESK,
    Action.RESET_ALARM: _DESK,
    Action.BULLETIN: _DESK | {MET},
    Action.READ_INCIDENTS: _WATCH,
    Action.VERIFY_INCIDENT: _DESK,
    Action.REJECT_INCIDENT: _DESK,
    Action.CONTROL_INCIDENT: _DESK,
    Action.CLOSE_INCIDENT: _DESK,
    Action.NOTE: _DESK | {R},  # and who has a role in the incident: INCIDENT_MATRIX
    Action.ISSUE_TASKS: _DESK,
    Action.ASSIGN: _DESK,
    Action.READ_TASKS: _WATCH,
    Action.RESPOND: _DESK | {R},  # the desk on a unit's behalf, by radio
    Action.CHECK_TASK: _DESK,
    Action.READ_UNITS: _WATCH,
    Action.REPORT_UNIT: _DESK | {R},
    Action.REGISTER_UNIT: frozenset({ADM}),
    Action.READ_CLOSURES: _WATCH | {GRD},
    Action.CLOSE_ROAD: _DESK,
    Action.ANSWER_REQUEST: _DESK | {LIA},
    Action.JOURNAL: frozenset({L, A, ADM, AUD}),
    Action.READ_PLANS: frozenset({O, L, A, ADM}),
    Action.USERS: frozenset({SEC}),
    Action.REGISTER_DEVICE: frozenset({ADM, V}),
    Action.SET_THRESHOLD: frozenset({L}),
    # Registers: everybody who works for the district reads them, masked; who calls people at night reads telephones in clear;
    # the system administrator may fill a register, but a stranger's telephone is not his business.
    Action.READ_REGISTERS: _WATCH | {Role.REGISTRAR, Role.AUDITOR},
    Action.WRITE_REGISTERS: frozenset({Role.REGISTRAR, ADM}),
    Action.VERIFY_ENTRY: _DESK | {Role.REGISTRAR},
    Action.SIGN_STATEMENT: frozenset({L, Role.REGISTRAR}),
    Action.READ_PERSONAL: _DESK | {Role.REGISTRAR},
    # devices: their credentials, and the care that is taken of them; a vendor for its own firm's only (`device_rights`)
    Action.DEVICE_CREDENTIALS: frozenset({ADM, V}),
    Action.READ_CARE: frozenset({O, L, A, ADM, REG, V}),
    Action.CALIBRATE: frozenset({ADM, REG, V}),
    Action.OPEN_TICKET: frozenset({O, L, ADM, REG, V}),
    Action.ANSWER_TICKET: frozenset({V, ADM, REG}),
    Action.DECIDE_TICKET: frozenset({O, L, ADM, REG}),
    Action.MAINTENANCE: frozenset({L, ADM}),  # it takes samples away from the alarms
    Action.FILL_ACCEPTANCE: frozenset({ADM, REG, V}),
    Action.ACCEPT_FOR_VENDOR: frozenset({V}),
    Action.ACCEPT_FOR_CITY: frozenset({L, ADM, REG}),
    Action.READ_RATES: frozenset({O, L, A, ADM, REG, V}),
    Action.COMMAND_DEVICE: frozenset({ADM, REG, V}),  # who cares for it; a vendor for its own firm's
    Action.TURN_CAMERA: frozenset({O, L, ADM}),  # who looks through it
    Action.VIEW_VIDEO: _DESK,
    Action.READ_VIEWS: frozenset({SEC, AUD}),  # who does not look himself
    Action.REQUEST_CLIP: _DESK,
    Action.EXPORT_CLIP: _DESK,
    Action.MOVE_ACTUATOR: _DESK,  # who would have to answer for it; every request is refused so far
    # the journal's proof (command_center/audit.py)
    Action.AUDIT_HEAD: frozenset({Role.AUDITOR, ADM}),
    Action.AUDIT_VERIFY: frozenset({Role.AUDITOR}),
    # Import, export, address search: what may be written or read of a kind, its target and its register decide besides.
    Action.IMPORT: frozenset({O, L, ADM, V, Role.REGISTRAR}),
    Action.EXPORT: frozenset({O, L, A, ADM, Role.REGISTRAR}),
    Action.SEARCH_ADDRESS: _WATCH | {Role.REGISTRAR},
    # duty
    Action.READ_DUTY: frozenset({O, L, A, ADM, Role.REGISTRAR, Role.AUDITOR}),
    Action.READ_DUTY_PHONE: _DESK,
    Action.PLAN_DUTY: frozenset({L, ADM, Role.REGISTRAR}),
    Action.HAND_OVER: _DESK,
    Action.WRITE_DUTY_LOG: _DESK,
    Action.READ_INSTRUCTIONS: _WATCH | {Role.REGISTRAR},
    Action.INSTRUCT: frozenset({L, COM}),
    Action.ANSWER_INSTRUCTION: _WATCH | {Role.REGISTRAR},  # whose name, unit or organisation it bears
    Action.CHECK_INSTRUCTION: _DESK | {COM},
    # the grid: everybody who works for the district may say what he sees
    Action.FILE_REPORT: _WATCH | {GRD, Role.REGISTRAR},
    Action.READ_REPORTS: frozenset({O, L, A, ADM, COM, SCN, LIA, Role.REGISTRAR, Role.UPSTREAM}),
    Action.HANDLE_REPORT: _DESK,
    Action.ANSWER_REPORT: _DESK | {LIA},
    Action.PATROL: _DESK | {GRD, Role.REGISTRAR},
    # access
    Action.READ_RULES: frozenset({L, A, ADM}),
    Action.READ_REQUESTS: _DESK | {LIA},
    Action.READ_LAYERS: _ANYBODY,
    Action.READ_DEVICES: _ANYBODY - {SEC, AUD},
    Action.READ_OBSERVATIONS: frozenset({O, L, A, ADM, V, COM, SCN, Role.REGISTRAR, Role.UPSTREAM}),
    Action.CHECK_DEVICE: frozenset({V, O, L, ADM}),
    Action.READ_DEAD_LETTERS: frozenset({V, A, ADM}),
    Action.REPLAY_LETTERS: frozenset({ADM}),  # it writes history; as `IMPORT_DEVICES`
    Action.IMPORT_HISTORY: frozenset({ADM}),
    Action.IMPORT_DEVICES: frozenset({ADM}),
    Action.ADVANCE_CLOCK: frozenset({ADM}),
    Action.OWN_ACCOUNT: _ANYBODY,
    Action.READ_USERS: frozenset({SEC, AUD}),
    Action.READ_API_KEYS: frozenset({SEC, AUD}),
    Action.API_KEYS: frozenset({SEC}),
    Action.READ_APPROVALS: frozenset({O, L, A, ADM, AUD}),
    Action.APPROVE_THRESHOLD: frozenset({O, L, ADM}),
    Action.OVERRIDE_THRESHOLD: frozenset({L}),
    Action.GIVE_INCIDENT_ROLE: frozenset({L}),
    Action.EXPORT_PERSONAL: frozenset({O, L, Role.REGISTRAR}),  # of those who may export, who may read one in clear
}

# What a role held in one incident (`command_center.incident_roles`) allows in that incident, whatever the account's own roles.
INCIDENT_MATRIX: Mapping[Action, frozenset[Role]] = {
    Action.READ_INCIDENTS: _COMMAND,
    Action.READ_TASKS: _COMMAND,
    Action.NOTE: _COMMAND,
    Action.ISSUE_TASKS: _COMMAND,
    Action.ASSIGN: _COMMAND,
    Action.CHECK_TASK: _COMMAND,
    Action.CONTROL_INCIDENT: _COMMAND,
    Action.CLOSE_INCIDENT: frozenset({COM}),
}
INCIDENT_ROLES = _COMMAND

# Acts that a login with one factor is not enough for, where the policy (`access/second_factor.yaml`) wants two of the role.
NEEDS_SECOND_FACTOR = frozenset(
    {
        Action.USERS,
        Action.API_KEYS,
        Action.APPROVE_THRESHOLD,
        Action.OVERRIDE_THRESHOLD,
        Action.EXPORT_PERSONAL,
    }
)

# Roles that nobody holds together: who hands out roles does not use them, who audits changes nothing, who comes from outside
# (a firm, a machine) has no desk. Pairs; `command_center.users.check_user` asks.
_ALONE = frozenset({SEC, AUD, V, MET, Role.UPSTREAM})
FORBIDDEN_TOGETHER: frozenset[frozenset[Role]] = frozenset(
    frozenset({alone, other}) for alone in _ALONE for other in Role if other is not alone
)

# Actions a responder may take only for its own unit.
OWN_UNIT_ONLY = frozenset(
    {Action.RESPOND, Action.REPORT_UNIT, Action.READ_TASKS, Action.ANSWER_REQUEST, Action.READ_REQUESTS}
)


def require(
    actor: Actor,
    action: Action,
    *,
    unit_id: str | None = None,
    area: str | None = None,
    organisation: str | None = None,
    hazard: str | None = None,
    held: frozenset[Role] = frozenset(),
) -> None:
    """Raises Forbidden unless the matrix lets the actor do this, and on this object: inside his scope where it has an area, an
    organisation or a hazard; a responder only for its own `unit_id` where that counts. `held`: roles that he holds in the
    incident that this is about; they carry their own scope, which is the incident. Raises SecondFactorNeeded where the act
    takes two factors and the login had one.

    An object that exists and lies outside the scope is not refused here but is not there: `must_see`. The engine itself (`system`) may do what the callers in this package do; it never comes through the facade.
    """
    if actor.username == SYSTEM_NAME and not actor.roles:
        return
    allowed = MATRIX[action]
    by_incident = bool(held & INCIDENT_MATRIX.get(action, frozenset()))
    if not actor.roles & allowed and not by_incident:
        needed = ", ".join(sorted(role.value for role in allowed))
        raise Forbidden(actor.username, action.value, f"this needs one of the roles {needed}")
    if action in NEEDS_SECOND_FACTOR and actor.lacks_second_factor:
        raise SecondFactorNeeded(actor.username, action.value)
    if by_incident:
        return
    if unit_id is not None and action in OWN_UNIT_ONLY and only_own(actor) and actor.unit_id != unit_id:
        raise Forbidden(actor.username, action.value, f"only for your own unit {actor.unit_id or '(none)'}")
    if not actor.scope.covers(area=area, organisation=organisation, hazard=hazard):
        where = ", ".join(part for part in (area, organisation, hazard) if part)
        raise Forbidden(actor.username, action.value, f"{where or 'an object without an area'} lies outside your scope")


def must_see(
    actor: Actor,
    kind: str,
    identifier: str,
    *,
    area: str | None = None,
    organisation: str | None = None,
    hazard: str | None = None,
    held: frozenset[Role] = frozenset(),
) -> None:
    """Raises NotFound for an object outside the actor's scope: what one may not see is not there (404), what one may see and
    not do is refused (403, `require`)."""
    if held & INCIDENT_ROLES or actor.scope.covers(area=area, organisation=organisation, hazard=hazard):
        return
    raise NotFound(kind, identifier)


def may(actor: Actor, action: Action) -> bool:
    """Whether the matrix has the action for one of his roles, wherever."""
    return bool(actor.roles & MATRIX[action]) or (actor.username == SYSTEM_NAME and not actor.roles)


def only_own(actor: Actor) -> bool:
    """True for an actor whose view and acts are limited to its own unit."""
    return actor.has(R, LIA) and not actor.has(O, L, A, ADM, COM, SCN)


class How(StrEnum):
    AUTOMATIC = "automatic"
    ONE_PERSON = "one person"
    PLAN_OR_PERSON = "automatic where an approved plan says pre_authorised, else one person"
    SIGNATORY = "the signatory that the plan names"
    TWO_PERSONS = "two persons"
    PERSON_ONLY = "a person only"
    NEVER = "never"


class Act(StrEnum):
    OPERATOR_ALARM = "operator alarm"
    CALL_DESK_AND_PLANT = "call to the duty desk and the plant"
    DRAFT_INCIDENT = "event in state 待核实 with draft tasks"
    TASK_OWN = "task to our own team"
    TASK_OTHER_AGENCY = "task to another agency's team"
    RESPONSE_LEVEL = "start, change, end of a response level"
    PUBLIC_TEXT = "text to the public"
    ACTUATOR = "siren, pump, gate"
    PLANT_VALVE = "a plant's valves"
    GRADE = "grade of an event, casualty figures"
    THRESHOLD = "change of an active threshold or rule"


@dataclass(frozen=True, slots=True)
class Decision:
    how: How
    built: bool  # False: this release does not do it at all, which is the strictest form of the rule


DECISIONS: Mapping[Act, Decision] = {
    Act.OPERATOR_ALARM: Decision(How.AUTOMATIC, built=True),
    Act.CALL_DESK_AND_PLANT: Decision(How.AUTOMATIC, built=True),
    Act.DRAFT_INCIDENT: Decision(How.AUTOMATIC, built=True),
    Act.TASK_OWN: Decision(How.PLAN_OR_PERSON, built=True),
    Act.TASK_OTHER_AGENCY: Decision(How.NEVER, built=True),  # it becomes a request that they sign for
    Act.RESPONSE_LEVEL: Decision(How.SIGNATORY, built=False),
    Act.PUBLIC_TEXT: Decision(How.TWO_PERSONS, built=False),
    Act.ACTUATOR: Decision(How.TWO_PERSONS, built=False),
    Act.PLANT_VALVE: Decision(How.NEVER, built=False),
    Act.GRADE: Decision(How.PERSON_ONLY, built=False),
    Act.THRESHOLD: Decision(How.TWO_PERSONS, built=True),
}


def may_be_automatic(act: Act, *, pre_authorised: bool = False) -> bool:
    """Whether the engine may do this without a person."""
    how = DECISIONS[act].how
    return how is How.AUTOMATIC or (how is How.PLAN_OR_PERSON and pre_authorised)
