"""The table that the generated authorisation test walks over: for every route of the OpenAPI the action that it asks, and a
request that would succeed. What each role may expect follows from `command_center.authority.MATRIX`.

To add a route: one row in `ROWS`. `@name` in a parameter is what the world of the test named so. A route in no row fails the test, and so does a row without a route.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from citybrain_testing.api_rim import CITY_US
from command_center.authority import Action
from command_center.observation_files import SCHEMA

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
BROKER = "broker"  # who shows the broker's secret; no login of a person opens it


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
    also: tuple[Action, ...] = ()  # asked besides: a role needs them all
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None  # in place of a JSON body

    @property
    def actions(self) -> tuple[Action, ...]:
        return () if self.action is None else (self.action, *self.also)


HERE = {"Origin": "http://city.test"}  # a page of ours
HOUR_US = 3_600_000_000
REV = {"If-Match": '"1"'}
WHY = {"reason": "核对"}
SHELTER = {"lon": 121.2, "lat": 28.5, "values": {"name": "东浦礼堂", "capacity": 300}, "reason": "新建"}
SHEET = "编号,名称,容纳人数,经度,纬度\ns9,西浦礼堂,200,121.21,28.51\n".encode()
HISTORY = (
    ",".join(SCHEMA.names) + "\nwg-river,stage_m,m,1,2019-08-09T11:00:00Z,2019-08-09T11:00:01Z,,1.5,,1,1\n"
).encode()
STAND = {
    "post": "duty_officer",
    "username": "leader1",
    "area": AREA,
    "from_us": CITY_US + 200 * HOUR_US,
    "to_us": CITY_US + 208 * HOUR_US,
}

THRESHOLDS = {"property": "stage_m", "thresholds": {"on": {"red": 9.0}}, "source": "文"}
FASTER = {"method": "interval_set", "params": {"interval_s": 30}, "reason": "加密观测"}
DEVICE = {
    "lon": 121.0,
    "lat": 28.0,
    "device_id": "g9",
    "model": "water-gauge-v1",
    "kind": "water_gauge",
    "name": "九",
    "area": AREA,
}


def _device(action: Action, device_id: str = "wg-river", **more: Any) -> Row:
    return Row(action=action, place=Place.OBJECT, params={"device_id": device_id}, **more)


def _entry(action: Action, kind: str = "plant", entry_id: str = "p1", **more: Any) -> Row:
    return Row(action=action, place=Place.OBJECT, params={"kind": kind, "entry_id": entry_id}, **more)


def _import(**more: Any) -> Row:
    return Row(action=Action.IMPORT, also=(Action.WRITE_REGISTERS,), params={"import_id": "@import"}, **more)


def _duty(action: Action, what: str, **more: Any) -> Row:
    return Row(action=action, place=Place.OBJECT, params={f"{what}_id": f"@{what}"}, **more)


def _report(action: Action, verb: str = "", **more: Any) -> Row:
    params = {"report_id": "@report"} | ({"verb": verb} if verb else {})
    return Row(action=action, place=Place.OBJECT, params=params, **more)


def _order(action: Action, verb: str = "", **more: Any) -> Row:
    params = {"instruction_id": "@order"} | ({"verb": verb} if verb else {})
    return Row(action=action, place=Place.OBJECT, params=params, **more)


MOVE = {"verb": "accept", "task_id": TASK}

ROWS: Mapping[tuple[str, str], Row] = {
    # system
    ("GET", "/healthz"): Row(who=OPEN),
    ("GET", "/readyz"): Row(who=OPEN),
    ("GET", "/metrics"): Row(who=OPEN),
    ("POST", "/api/v1/sessions"): Row(who=OPEN),
    ("POST", "/api/v1/sessions/key"): Row(who=OPEN),
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
    ("GET", "/api/v1/me/keys"): Row(who=OWN),
    ("POST", "/api/v1/me/keys/options"): Row(who="own factor", headers=HERE),
    ("POST", "/api/v1/me/keys"): Row(who=OWN, body={"name": "钥匙", "credential": {}}, headers=HERE),
    ("DELETE", "/api/v1/me/keys/{key_id}"): Row(who="own factor", params={"key_id": "k"}),
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
    ("GET", "/api/v1/areas/{area}/observations"): Row(
        action=Action.READ_OBSERVATIONS,
        place=Place.OBJECT,
        params={"area": "3399"},
        query=f"?property=stage_m&from={CITY_US}&to={CITY_US + 1}",
    ),
    ("GET", "/api/v1/observations/export"): Row(
        action=Action.READ_OBSERVATIONS,
        place=Place.OBJECT,
        query=f"?device=wg-river&from={CITY_US}&to={CITY_US + 1}",
    ),
    ("POST", "/api/v1/observations/import"): Row(
        action=Action.IMPORT_HISTORY, place=Place.WHOLE, query="?format=csv&filename=h.csv", content=HISTORY
    ),
    ("GET", "/api/v1/dead-letters"): Row(action=Action.READ_DEAD_LETTERS),
    ("POST", "/api/v1/dead-letters/replay"): Row(action=Action.REPLAY_LETTERS, place=Place.WHOLE, body={"limit": 10}),
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
    # video
    ("POST", "/api/v1/devices/{device_id}/video"): _device(
        Action.VIEW_VIDEO, "cam-under", body={"purpose": "live", "reason": "看积水"}
    ),
    ("GET", "/api/v1/devices/{device_id}/presets"): _device(Action.TURN_CAMERA, "cam-under"),
    ("POST", "/api/v1/devices/{device_id}/presets/goto"): _device(
        Action.TURN_CAMERA, "cam-under", body={"preset": 1, "reason": "看桥下"}
    ),
    ("GET", "/api/v1/video/{ticket}/media"): Row(
        action=Action.VIEW_VIDEO, place=Place.OBJECT, params={"ticket": "@live"}
    ),
    ("GET", "/api/v1/video/{ticket}/picture"): Row(
        action=Action.VIEW_VIDEO, place=Place.OBJECT, params={"ticket": "@snapshot"}
    ),
    ("POST", "/api/v1/video/{ticket}/extend"): Row(
        action=Action.VIEW_VIDEO, place=Place.OBJECT, params={"ticket": "@live"}
    ),
    ("DELETE", "/api/v1/video/{ticket}"): Row(action=Action.VIEW_VIDEO, place=Place.OBJECT, params={"ticket": "@live"}),
    ("GET", "/api/v1/video-views"): Row(action=Action.READ_VIEWS, place=Place.WHOLE),
    ("GET", "/api/v1/incidents/{incident_id}/clips"): Row(
        action=Action.READ_INCIDENTS, place=Place.OBJECT, params={"incident_id": INCIDENT}
    ),
    ("POST", "/api/v1/incidents/{incident_id}/clips"): Row(
        action=Action.REQUEST_CLIP,
        place=Place.OBJECT,
        params={"incident_id": INCIDENT},
        body={"device_id": "cam-under", "from": "2019-08-09T11:00:00Z", "to": "2019-08-09T11:05:00Z"},
    ),
    ("GET", "/api/v1/clips/{clip_id}/content"): Row(
        action=Action.EXPORT_CLIP, place=Place.OBJECT, params={"clip_id": "@clip"}, query="?reason=x"
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
    # the broker's questions
    ("POST", "/api/v1/broker/auth"): Row(who=BROKER, body={"username": "wg-river", "password": "x"}),
    ("POST", "/api/v1/broker/acl"): Row(who=BROKER, body={"username": "wg-river", "topic": "t", "action": "publish"}),
    # what is done for a device, and its credentials
    ("GET", "/api/v1/devices/{device_id}/children"): _device(Action.READ_CARE),
    ("GET", "/api/v1/devices/{device_id}/credentials"): _device(Action.DEVICE_CREDENTIALS),
    ("POST", "/api/v1/devices/{device_id}/credentials"): _device(Action.DEVICE_CREDENTIALS, body=WHY),
    ("POST", "/api/v1/devices/{device_id}/certificate"): _device(Action.DEVICE_CREDENTIALS, body=WHY),
    ("DELETE", "/api/v1/devices/{device_id}/credentials"): _device(Action.DEVICE_CREDENTIALS, query="?reason=x"),
    ("GET", "/api/v1/devices/{device_id}/care"): _device(Action.READ_CARE),
    ("POST", "/api/v1/devices/{device_id}/calibrations"): _device(
        Action.CALIBRATE,
        body={"calibrated": "2019-08-01T00:00:00Z", "calibrated_by": "计量所", "certificate": "JL-1"},
    ),
    ("PUT", "/api/v1/devices/{device_id}/maintenance"): _device(
        Action.MAINTENANCE, body={"until": "2019-08-10T00:00:00Z", "reason": "清淤"}
    ),
    ("DELETE", "/api/v1/devices/{device_id}/maintenance"): _device(Action.MAINTENANCE),
    ("POST", "/api/v1/devices/{device_id}/tickets"): _device(Action.OPEN_TICKET, body={"title": "检修"}),
    ("POST", "/api/v1/devices/{device_id}/acceptance"): _device(
        Action.FILL_ACCEPTANCE, body={"items": {"installed": {"ok": True}}}
    ),
    ("GET", "/api/v1/devices/{device_id}/commands"): _device(Action.READ_CARE),
    ("POST", "/api/v1/devices/{device_id}/commands"): _device(Action.COMMAND_DEVICE, body=FASTER),
    ("GET", "/api/v1/commands/{command_id}"): Row(
        action=Action.READ_CARE, place=Place.OBJECT, params={"command_id": "@command"}
    ),
    ("GET", "/api/v1/calibrations/due"): Row(action=Action.READ_CARE, place=Place.LIST, query="?days=3000"),
    ("GET", "/api/v1/areas/{code}/summary"): Row(
        action=Action.READ_REGISTERS, place=Place.OBJECT, params={"code": AREA}
    ),
    ("GET", "/api/v1/quality"): Row(action=Action.READ_CARE, place=Place.LIST),
    ("GET", "/api/v1/tickets"): Row(action=Action.READ_CARE, place=Place.LIST),
    ("GET", "/api/v1/tickets/proposals"): Row(action=Action.READ_CARE, place=Place.LIST),
    ("POST", "/api/v1/tickets/{ticket_id}/{verb}"): Row(
        action=Action.DECIDE_TICKET, place=Place.OBJECT, params={"ticket_id": "@ticket", "verb": "assign"}, body={}
    ),
    ("GET", "/api/v1/vendors/rates"): Row(
        action=Action.READ_RATES, place=Place.LIST, query=f"?from={CITY_US - HOUR_US}&to={CITY_US}"
    ),
    # registers
    ("GET", "/api/v1/registers"): Row(action=Action.READ_REGISTERS),
    ("GET", "/api/v1/registers/unverified"): Row(action=Action.READ_REGISTERS, place=Place.LIST),
    ("GET", "/api/v1/registers/plant/{entry_id}/zones"): Row(
        action=Action.READ_REGISTERS, place=Place.OBJECT, params={"entry_id": "p1"}
    ),
    ("GET", "/api/v1/registers/{kind}"): Row(action=Action.READ_REGISTERS, place=Place.LIST, params={"kind": "plant"}),
    ("GET", "/api/v1/registers/{kind}/template.xlsx"): Row(action=Action.IMPORT, params={"kind": "shelter"}),
    ("GET", "/api/v1/registers/{kind}/export"): Row(
        action=Action.EXPORT, params={"kind": "shelter"}, query="?format=csv"
    ),
    ("POST", "/api/v1/registers/{kind}"): Row(
        action=Action.WRITE_REGISTERS, place=Place.CREATE, params={"kind": "shelter"}, body=SHELTER
    ),
    ("GET", "/api/v1/registers/{kind}/{entry_id}"): _entry(Action.READ_REGISTERS),
    ("GET", "/api/v1/registers/{kind}/{entry_id}/history"): _entry(Action.READ_REGISTERS),
    ("GET", "/api/v1/registers/{kind}/{entry_id}/statements"): _entry(Action.READ_REGISTERS),
    ("POST", "/api/v1/registers/{kind}/{entry_id}/statements"): _entry(
        Action.SIGN_STATEMENT, body={"date": "2019-08-09", "grade": "red", "text": "动火"}
    ),
    ("POST", "/api/v1/registers/{kind}/{entry_id}/verify"): _entry(Action.VERIFY_ENTRY, body={"comment": "本人接听"}),
    ("PUT", "/api/v1/registers/{kind}/{entry_id}"): _entry(
        Action.WRITE_REGISTERS, kind="shelter", entry_id="s1", body=SHELTER, headers=REV
    ),
    ("DELETE", "/api/v1/registers/{kind}/{entry_id}"): _entry(
        Action.WRITE_REGISTERS, kind="shelter", entry_id="s1", query="?reason=x", headers=REV
    ),
    ("GET", "/api/v1/areas"): Row(action=Action.READ_REGISTERS, place=Place.LIST),
    ("GET", "/api/v1/areas.geojson"): Row(action=Action.READ_REGISTERS),
    # import, address search; an import is its owner's, and what may be imported the register decides
    ("POST", "/api/v1/imports"): Row(
        action=Action.IMPORT, also=(Action.WRITE_REGISTERS,), query="?kind=shelter&filename=x.csv", content=SHEET
    ),
    ("GET", "/api/v1/dictionary.xlsx"): Row(action=Action.READ_REGISTERS),
    ("GET", "/api/v1/imports"): Row(action=Action.IMPORT),
    ("GET", "/api/v1/imports/{import_id}"): _import(),
    ("PUT", "/api/v1/imports/{import_id}"): _import(body={"crs": "EPSG:4490"}),
    ("POST", "/api/v1/imports/{import_id}/commit"): _import(body=WHY),
    ("GET", "/api/v1/addresses"): Row(action=Action.SEARCH_ADDRESS, place=Place.LIST, query="?q=氯碱厂"),
    # the journal's proof
    ("GET", "/api/v1/audit/head"): Row(action=Action.AUDIT_HEAD),
    ("GET", "/api/v1/audit/verify"): Row(action=Action.AUDIT_VERIFY),
    # duty
    # the grid
    ("GET", "/api/v1/grid/kinds"): Row(action=Action.FILE_REPORT),
    ("POST", "/api/v1/grid/reports"): Row(
        action=Action.FILE_REPORT,
        body={"client_id": "c9", "kind": "water", "text": "积水", "lon": 121.2, "lat": 28.5},
    ),
    ("GET", "/api/v1/grid/reports"): Row(action=Action.READ_REPORTS, place=Place.LIST),
    ("GET", "/api/v1/grid/reports/{report_id}"): _report(Action.READ_REPORTS),
    ("GET", "/api/v1/grid/reports/{report_id}/similar"): _report(Action.READ_REPORTS),
    ("POST", "/api/v1/grid/reports/{report_id}/{verb}"): _report(
        Action.ANSWER_REPORT, verb="sign", body={"organisation": "org-1"}
    ),
    ("GET", "/api/v1/grid/visits/due"): Row(action=Action.PATROL, place=Place.LIST),
    ("POST", "/api/v1/grid/visits"): Row(
        action=Action.PATROL,
        place=Place.OBJECT,
        body={
            "client_id": "v9",
            "subject": "shelter/s1",
            "answers": [{"item": "门锁", "ok": True}, {"item": "照明", "ok": False, "note": "坏"}],
        },
    ),
    ("GET", "/api/v1/duty/posts"): Row(action=Action.READ_DUTY),
    ("PUT", "/api/v1/duty/posts"): Row(
        action=Action.PLAN_DUTY,
        place=Place.WHOLE,
        body={"posts": [{"post": "duty_officer", "zh": "值班员", "step": 1}], "reason": "x"},
    ),
    ("GET", "/api/v1/duty/people"): Row(action=Action.PLAN_DUTY),
    ("GET", "/api/v1/duty/shifts"): Row(
        action=Action.READ_DUTY, place=Place.LIST, query=f"?from={CITY_US}&to={CITY_US + 100 * HOUR_US}"
    ),
    ("GET", "/api/v1/duty/now"): Row(action=Action.READ_DUTY, place=Place.CREATE, query=f"?area={AREA}"),
    ("GET", "/api/v1/duty/shifts/{shift_id}"): _duty(Action.READ_DUTY, "shift"),
    ("POST", "/api/v1/duty/shifts"): Row(action=Action.PLAN_DUTY, place=Place.CREATE, body=STAND),
    ("POST", "/api/v1/duty/shifts/generate"): Row(
        action=Action.PLAN_DUTY,
        place=Place.CREATE,
        body={
            "post": "duty_officer",
            "usernames": ["leader1"],
            "area": AREA,
            "start_us": CITY_US + 300 * HOUR_US,
            "until_us": CITY_US + 316 * HOUR_US,
            "shift_hours": 8,
        },
    ),
    ("PUT", "/api/v1/duty/shifts/{shift_id}"): _duty(Action.PLAN_DUTY, "shift", body=STAND, headers=REV),
    ("POST", "/api/v1/duty/shifts/{shift_id}/reassign"): _duty(
        Action.PLAN_DUTY, "shift", body={"to": "spare", "reason": "换班"}, headers={"If-Match": "2"}
    ),
    ("DELETE", "/api/v1/duty/shifts/{shift_id}"): _duty(Action.PLAN_DUTY, "shift", query="?reason=x", headers=REV),
    ("POST", "/api/v1/duty/absences"): Row(
        action=Action.PLAN_DUTY,
        place=Place.CREATE,
        body={"username": "spare", "from_us": CITY_US, "to_us": CITY_US + 100 * HOUR_US, "reason": "病假"},
    ),
    ("DELETE", "/api/v1/duty/absences/{absence_id}"): Row(
        action=Action.PLAN_DUTY, place=Place.WHOLE, params={"absence_id": "@absence"}, query="?reason=x"
    ),
    ("GET", "/api/v1/duty/handovers"): Row(action=Action.READ_DUTY, place=Place.LIST),
    ("GET", "/api/v1/duty/handovers/{handover_id}"): _duty(Action.READ_DUTY, "handover"),
    ("POST", "/api/v1/duty/handovers"): Row(
        action=Action.HAND_OVER,
        place=Place.CREATE,
        body={"post": "duty_leader", "to_user": "leader1", "area": AREA, "substitute_reason": "x"},
    ),
    ("PUT", "/api/v1/duty/handovers/{handover_id}"): _duty(
        Action.HAND_OVER, "handover", body={"remarks": "无"}, headers=REV
    ),
    ("POST", "/api/v1/duty/handovers/{handover_id}/sign"): _duty(Action.HAND_OVER, "handover", body={}),
    ("POST", "/api/v1/duty/handovers/{handover_id}/withdraw"): _duty(
        Action.HAND_OVER, "handover", body={"comment": "重写"}
    ),
    ("GET", "/api/v1/duty/log"): Row(action=Action.READ_DUTY, place=Place.LIST),
    ("POST", "/api/v1/duty/log"): Row(
        action=Action.WRITE_DUTY_LOG, place=Place.CREATE, body={"kind": "call", "text": "来电", "area": AREA}
    ),
    ("GET", "/api/v1/duty/log/export"): Row(action=Action.READ_DUTY, query="?day=20190809"),
    # instructions: their addressees see and answer them wherever they are
    ("GET", "/api/v1/instructions"): Row(action=Action.READ_INSTRUCTIONS),
    ("GET", "/api/v1/instructions/{instruction_id}"): _order(Action.READ_INSTRUCTIONS, own_unit=True),
    ("POST", "/api/v1/instructions"): Row(
        action=Action.INSTRUCT,
        place=Place.CREATE,
        body={"text": "立即排查", "addressees": [{"kind": "user", "id": "spare"}], "area": AREA},
    ),
    ("POST", "/api/v1/instructions/{instruction_id}/{verb}"): _order(Action.CHECK_INSTRUCTION, verb="check", body={}),
}

# The same routes asked for something else: another verb, more in the answer, an emergency.
MORE: Sequence[tuple[tuple[str, str], Row]] = (
    (
        ("POST", "/api/v1/devices/{device_id}/commands"),
        _device(
            Action.TURN_CAMERA,
            device_id="cam-under",
            body={"method": "preset_goto", "params": {"preset": 1}, "reason": "看积水"},
        ),
    ),
    (
        ("POST", "/api/v1/devices/{device_id}/commands"),
        _device(Action.MOVE_ACTUATOR, body={"method": "siren.start", "reason": "疏散"}),
    ),
    (
        ("POST", "/api/v1/grid/reports/{report_id}/{verb}"),
        Row(
            action=Action.HANDLE_REPORT,
            place=Place.OBJECT,
            params={"report_id": "@witness", "verb": "close"},
            body={"comment": "已排除"},
        ),
    ),
    (
        ("POST", "/api/v1/instructions/{instruction_id}/{verb}"),
        Row(
            action=Action.ANSWER_INSTRUCTION,
            params={"instruction_id": "@mine", "verb": "receive"},
            body={"comment": ""},
        ),
    ),
    (
        ("POST", "/api/v1/instructions/{instruction_id}/{verb}"),
        _order(Action.INSTRUCT, verb="recall", body={"comment": "撤回"}),
    ),
    (
        ("GET", "/api/v1/duty/now"),
        Row(
            action=Action.READ_DUTY,
            also=(Action.READ_DUTY_PHONE,),
            place=Place.CREATE,
            query=f"?area={AREA}&clear=true",
        ),
    ),
    (
        ("GET", "/api/v1/registers/{kind}/{entry_id}"),
        _entry(Action.READ_REGISTERS, kind="contact", entry_id="k1", also=(Action.READ_PERSONAL,), query="?clear=true"),
    ),
    (
        ("GET", "/api/v1/registers/{kind}/export"),
        Row(
            action=Action.EXPORT,
            also=(Action.EXPORT_PERSONAL, Action.READ_PERSONAL),
            params={"kind": "contact"},
            query="?format=csv&clear=true",
        ),
    ),
    (
        ("POST", "/api/v1/tickets/{ticket_id}/{verb}"),
        Row(action=Action.ANSWER_TICKET, place=Place.OBJECT, params={"ticket_id": "@ticket", "verb": "start"}, body={}),
    ),
    (
        ("POST", "/api/v1/tasks/{task_id}/{verb}"),
        Row(action=Action.CHECK_TASK, place=Place.OBJECT, params={"verb": "recall", "task_id": TASK}, body={}),
    ),
    (
        ("PUT", "/api/v1/devices/{device_id}/thresholds"),
        _device(
            Action.SET_THRESHOLD,
            also=(Action.OVERRIDE_THRESHOLD,),
            body={**THRESHOLDS, "emergency": True, "hours": 1, "reason": "险情"},
        ),
    ),
)
# Actions that no door asks alone: a side of a signature by one's own role (tests/unit/command_center/test_device_care.py), and
# what only the start of the programs does.
NO_DOOR_OF_ITS_OWN = frozenset({Action.ACCEPT_FOR_VENDOR, Action.ACCEPT_FOR_CITY, Action.REGISTER_UNIT})
