"""The table that the generated authorisation test walks over: for every route of the OpenAPI the action that it asks, and a
request that would succeed. What each role may expect follows from `command_center.authority.MATRIX`.

To add a route: one row in `ROWS`. A route in no row fails the test, and so does a row without a route.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from citybrain_testing.api_rim import CITY_US
from command_center.authority import Action

AREA = "339900001"  # everything in the world of the test lies here
ALARM = "a" * 16
INCIDENT = "I-20190809-001"
TASK = f"{INCIDENT}-T01"


class Place(StrEnum):
    """What happens outside the actor's area."""

    NONE = "none"  # the object has no area: the scope does not matter
    OBJECT = "object"  # one object: it is not there (404)
    LIST = "list"  # a list: 200 and empty
    CREATE = "create"  # something new in an area: 403
    WHOLE = "whole"  # about the whole tenant: 403 for who is limited to an area


OPEN = "open"  # without login
OWN = "own account"  # anybody who is logged in


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One route. `action` None: `OWN` or `OPEN` says who."""

    action: Action | None = None
    who: str = ""
    place: Place = Place.NONE
    body: Any = None
    params: Mapping[str, str] = field(default_factory=dict)
    query: str = ""
    own_unit: bool = False  # a crew is refused for another unit's
    in_incident: bool = False  # a role in the incident allows it too: who reads incidents gets as far as the object
    by_kind: bool = False  # the service asks by the kind in the body or in the row


THRESHOLDS = {"property": "stage_m", "thresholds": {"on": {"red": 9.0}}, "source": "文"}
DEVICE = {
    "lon": 121.0,
    "lat": 28.0,
    "device_id": "g9",
    "model": "water-gauge-v1",
    "kind": "water_gauge",
    "name": "九",
    "area": AREA,
}
MOVE = {"verb": "accept", "task_id": TASK}

ROWS: Mapping[tuple[str, str], Row] = {
    # system
    ("GET", "/healthz"): Row(who=OPEN),
    ("GET", "/readyz"): Row(who=OPEN),
    ("GET", "/metrics"): Row(who=OPEN),
    ("POST", "/api/v1/sessions"): Row(who=OPEN),
    ("GET", "/api/v1/oidc/login"): Row(who=OPEN),
    ("GET", "/api/v1/oidc/callback"): Row(who=OPEN),
    ("GET", "/api/v1/clock"): Row(who=OWN),
    ("POST", "/api/v1/clock/advance"): Row(action=Action.ADVANCE_CLOCK, body={"seconds": 1}),
    # own account
    ("GET", "/api/v1/me"): Row(who=OWN),
    ("DELETE", "/api/v1/sessions/current"): Row(who=OWN),
    ("GET", "/api/v1/me/sessions"): Row(who=OWN),
    ("DELETE", "/api/v1/me/sessions"): Row(who=OWN),
    ("DELETE", "/api/v1/sessions/{sid}"): Row(who=OWN, params={"sid": "own"}),
    ("POST", "/api/v1/me/password"): Row(who=OWN, body={"old": "correct horse battery", "new": "another horse"}),
    ("POST", "/api/v1/me/totp"): Row(who=OWN),
    ("POST", "/api/v1/me/totp/confirm"): Row(who=OWN, body={"code": "123456"}),
    ("DELETE", "/api/v1/me/totp"): Row(who="own factor"),
    # people and keys
    ("GET", "/api/v1/users"): Row(action=Action.READ_USERS),
    ("POST", "/api/v1/users"): Row(action=Action.USERS, body={"username": "new1", "name": "新", "roles": ["operator"]}),
    ("GET", "/api/v1/users/{username}"): Row(action=Action.READ_USERS, params={"username": "spare"}),
    ("PUT", "/api/v1/users/{username}"): Row(
        action=Action.USERS, params={"username": "spare"}, body={"name": "某", "reason": "改名"}
    ),
    ("POST", "/api/v1/users/{username}/password"): Row(action=Action.USERS, params={"username": "spare"}),
    ("POST", "/api/v1/users/{username}/disable"): Row(
        action=Action.USERS, params={"username": "spare"}, body={"comment": "离职"}
    ),
    ("POST", "/api/v1/users/{username}/enable"): Row(
        action=Action.USERS, params={"username": "spare"}, body={"comment": "复职"}
    ),
    ("DELETE", "/api/v1/users/{username}/sessions"): Row(action=Action.USERS, params={"username": "spare"}),
    ("POST", "/api/v1/users/{username}/totp/reset"): Row(
        action=Action.USERS, params={"username": "spare"}, body={"comment": "手机丢失"}
    ),
    ("GET", "/api/v1/api-keys"): Row(action=Action.READ_API_KEYS),
    ("POST", "/api/v1/api-keys"): Row(action=Action.API_KEYS, body={"name": "上级", "roles": ["upstream"]}),
    ("DELETE", "/api/v1/api-keys/{key_id}"): Row(action=Action.API_KEYS, params={"key_id": "K0001"}),
    # approvals
    ("GET", "/api/v1/approvals"): Row(action=Action.READ_APPROVALS, place=Place.LIST),
    ("GET", "/api/v1/approvals/{approval_id}"): Row(
        action=Action.READ_APPROVALS, place=Place.OBJECT, params={"approval_id": "A-000001"}
    ),
    ("POST", "/api/v1/approvals"): Row(
        action=Action.SET_THRESHOLD,
        place=Place.CREATE,
        body={"kind": "threshold", "subject": "wg-under/depth_m", "payload": {"on": {"red": 9.0}}, "source": "文"},
    ),
    ("POST", "/api/v1/approvals/{approval_id}/decide"): Row(
        action=Action.APPROVE_THRESHOLD,
        place=Place.OBJECT,
        params={"approval_id": "A-000001"},
        body={"approve": False, "comment": "偏高"},
        by_kind=True,
    ),
    ("POST", "/api/v1/approvals/{approval_id}/withdraw"): Row(
        who="proposer", params={"approval_id": "A-000001"}, place=Place.OBJECT
    ),
    # devices
    ("GET", "/api/v1/devices"): Row(action=Action.READ_DEVICES, place=Place.LIST),
    ("POST", "/api/v1/devices"): Row(action=Action.REGISTER_DEVICE, place=Place.CREATE, body=DEVICE),
    ("POST", "/api/v1/devices/import"): Row(
        action=Action.IMPORT_DEVICES, place=Place.CREATE, body={"devices": [DEVICE], "reason": "台账"}
    ),
    ("GET", "/api/v1/devices/{device_id}"): Row(
        action=Action.READ_DEVICES, place=Place.OBJECT, params={"device_id": "wg-river"}
    ),
    ("PUT", "/api/v1/devices/{device_id}/thresholds"): Row(
        action=Action.SET_THRESHOLD, place=Place.OBJECT, params={"device_id": "wg-river"}, body=THRESHOLDS
    ),
    ("GET", "/api/v1/devices/{device_id}/check"): Row(
        action=Action.CHECK_DEVICE, place=Place.OBJECT, params={"device_id": "wg-river"}
    ),
    ("GET", "/api/v1/datastreams/{number}/observations"): Row(
        action=Action.READ_OBSERVATIONS,
        place=Place.OBJECT,
        params={"number": "1"},
        query=f"?from={CITY_US}&to={CITY_US + 1}",
    ),
    ("GET", "/api/v1/dead-letters"): Row(action=Action.READ_DEAD_LETTERS),
    # alarms
    ("GET", "/api/v1/alarms"): Row(action=Action.READ_ALARMS, place=Place.LIST),
    ("GET", "/api/v1/alarms/{alarm_id}"): Row(
        action=Action.READ_ALARMS, place=Place.OBJECT, params={"alarm_id": ALARM}
    ),
    ("POST", "/api/v1/alarms/{alarm_id}/ack"): Row(
        action=Action.ACK_ALARM, place=Place.OBJECT, params={"alarm_id": ALARM}, body={}
    ),
    ("POST", "/api/v1/alarms/{alarm_id}/shelve"): Row(
        action=Action.SHELVE_ALARM,
        place=Place.OBJECT,
        params={"alarm_id": ALARM},
        body={"minutes": 5, "comment": "维护"},
    ),
    ("POST", "/api/v1/alarms/{alarm_id}/unshelve"): Row(
        action=Action.SHELVE_ALARM, place=Place.OBJECT, params={"alarm_id": ALARM}
    ),
    ("POST", "/api/v1/alarms/{alarm_id}/reset"): Row(
        action=Action.RESET_ALARM, place=Place.OBJECT, params={"alarm_id": ALARM}, body={"comment": "复位"}
    ),
    ("POST", "/api/v1/bulletins"): Row(action=Action.BULLETIN, place=Place.WHOLE, body={}),
    # incidents
    ("GET", "/api/v1/incidents"): Row(action=Action.READ_INCIDENTS, place=Place.LIST),
    ("GET", "/api/v1/incidents/{incident_id}"): Row(
        action=Action.READ_INCIDENTS, place=Place.OBJECT, params={"incident_id": INCIDENT}
    ),
    ("POST", "/api/v1/incidents/{incident_id}/verify"): Row(
        action=Action.VERIFY_INCIDENT, place=Place.OBJECT, params={"incident_id": INCIDENT}, body={}
    ),
    ("POST", "/api/v1/incidents/{incident_id}/reject"): Row(
        action=Action.REJECT_INCIDENT, place=Place.OBJECT, params={"incident_id": INCIDENT}, body={"comment": "误报"}
    ),
    ("POST", "/api/v1/incidents/{incident_id}/controlled"): Row(
        action=Action.CONTROL_INCIDENT,
        place=Place.OBJECT,
        params={"incident_id": INCIDENT},
        body={},
        in_incident=True,
    ),
    ("POST", "/api/v1/incidents/{incident_id}/close"): Row(
        action=Action.CLOSE_INCIDENT,
        place=Place.OBJECT,
        params={"incident_id": INCIDENT},
        body={},
        in_incident=True,
    ),
    ("POST", "/api/v1/incidents/{incident_id}/notes"): Row(
        action=Action.NOTE,
        place=Place.OBJECT,
        params={"incident_id": INCIDENT},
        body={"text": "到场"},
        in_incident=True,
        own_unit=True,
    ),
    ("POST", "/api/v1/incidents/{incident_id}/tasks/issue"): Row(
        action=Action.ISSUE_TASKS,
        place=Place.OBJECT,
        params={"incident_id": INCIDENT},
        body={},
        in_incident=True,
    ),
    ("GET", "/api/v1/incidents/{incident_id}/roles"): Row(
        action=Action.READ_INCIDENTS, place=Place.OBJECT, params={"incident_id": INCIDENT}
    ),
    ("POST", "/api/v1/incidents/{incident_id}/roles"): Row(
        action=Action.GIVE_INCIDENT_ROLE,
        place=Place.OBJECT,
        params={"incident_id": INCIDENT},
        body={"username": "spare", "role": "scene"},
    ),
    ("DELETE", "/api/v1/incidents/{incident_id}/roles/{role_id}"): Row(
        action=Action.GIVE_INCIDENT_ROLE,
        place=Place.OBJECT,
        params={"incident_id": INCIDENT, "role_id": f"{INCIDENT}-P01"},
        in_incident=True,
    ),
    # tasks
    ("GET", "/api/v1/tasks"): Row(action=Action.READ_TASKS, place=Place.LIST),
    ("GET", "/api/v1/tasks/{task_id}"): Row(
        action=Action.READ_TASKS, place=Place.OBJECT, params={"task_id": TASK}, own_unit=True
    ),
    ("POST", "/api/v1/tasks/{task_id}/assign"): Row(
        action=Action.ASSIGN,
        place=Place.OBJECT,
        params={"task_id": TASK},
        body={"unit_id": "unit-patrol-1"},
        in_incident=True,
    ),
    ("GET", "/api/v1/tasks/{task_id}/candidates"): Row(
        action=Action.ASSIGN, place=Place.OBJECT, params={"task_id": TASK}, in_incident=True
    ),
    ("GET", "/api/v1/tasks/{task_id}/route"): Row(
        action=Action.READ_TASKS, place=Place.OBJECT, params={"task_id": TASK}, own_unit=True
    ),
    ("POST", "/api/v1/tasks/{task_id}/{verb}"): Row(
        action=Action.RESPOND, place=Place.OBJECT, params=MOVE, body={}, own_unit=True
    ),
    # other agencies, units, roads
    ("GET", "/api/v1/requests"): Row(action=Action.READ_REQUESTS, place=Place.LIST),
    ("POST", "/api/v1/requests/{request_id}/answer"): Row(
        action=Action.ANSWER_REQUEST,
        place=Place.OBJECT,
        params={"request_id": f"{INCIDENT}-R01"},
        body={"state": "SIGNED", "signed_by": "王参谋"},
        own_unit=True,
    ),
    ("GET", "/api/v1/units"): Row(action=Action.READ_UNITS, place=Place.LIST),
    ("POST", "/api/v1/units/{unit_id}/position"): Row(
        action=Action.REPORT_UNIT,
        place=Place.OBJECT,
        params={"unit_id": "unit-patrol-1"},
        body={"lon": 121.4, "lat": 28.6},
        own_unit=True,
    ),
    ("POST", "/api/v1/units/{unit_id}/status"): Row(
        action=Action.REPORT_UNIT,
        place=Place.OBJECT,
        params={"unit_id": "unit-patrol-1"},
        body={"status": "STANDBY"},
        own_unit=True,
    ),
    ("GET", "/api/v1/closures"): Row(action=Action.READ_CLOSURES, place=Place.LIST),
    ("POST", "/api/v1/closures"): Row(
        action=Action.CLOSE_ROAD, place=Place.CREATE, body={"edges": ["h-0-0"], "reason": "积水"}
    ),
    ("DELETE", "/api/v1/closures/{closure_id}"): Row(
        action=Action.CLOSE_ROAD, place=Place.OBJECT, params={"closure_id": "C-00001"}
    ),
    # looking up
    ("GET", "/api/v1/rules"): Row(action=Action.READ_RULES),
    ("GET", "/api/v1/plans"): Row(action=Action.READ_PLANS),
    ("GET", "/api/v1/journal"): Row(action=Action.JOURNAL, place=Place.WHOLE),
    ("GET", "/api/v1/layers"): Row(action=Action.READ_LAYERS),
    ("GET", "/api/v1/layers/{layer}.geojson"): Row(action=Action.READ_LAYERS, params={"layer": "district"}),
}
