"""The OpenAPI document: answers described by the command centre's own types, and one form of error for all.

Requests are described by FastAPI from the pydantic bodies; answers are msgspec objects, so their schemas are made here. A test
holds the table against the routes.
"""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from command_center.access.people import Person
from command_center.access.records import Approval, IncidentRole
from command_center.api import shapes
from command_center.audit import Finding
from command_center.device_access import AccessState, IssuedCertificate
from command_center.device_care.model import AcceptanceView, Calibration, Care, Maintenance, Proposal, Ticket
from command_center.device_care.rates import RatesAnswer
from command_center.device_commands.model import DeviceCommand
from command_center.duty.model import Chain, Colleague, Handover, Instruction, LogEntry, Post, Shift
from command_center.grid.model import DueVisit, EventKind, Report, Visit
from command_center.letters import Replayed
from command_center.model import Alarm, Candidate, Closure, Incident, JournalEntry, Task, Unit
from command_center.observation_files import MEDIA_TYPES as OBSERVATION_TYPES
from command_center.plans import Plan
from command_center.quality import QualityBoard
from command_center.records import Request as AgencyRequest
from command_center.registers.imports import DryRun
from command_center.registers.ports import Statement
from command_center.registers.service import EntryPage, EntryView
from command_center.registers.zones import LeakZones
from command_center.township import AreaSummary
from command_center.video.model import OpenedMedia, Preset, VideoClip, VideoView, Viewing
from gis.formats.sheet import MEDIA_TYPES, Format

REF = "#/components/schemas/{name}"
PAGE, ONE = True, False

# (method, path) -> (type of the answer, or several of them, whether it is a page of them). Every operation whose answer has a body stands here or in FILES.
ANSWERS: dict[tuple[str, str], tuple[Any, bool]] = {
    ("post", "/api/v1/sessions"): (shapes.LoggedIn, ONE),
    ("post", "/api/v1/sessions/key"): (shapes.KeyOptions, ONE),
    ("get", "/api/v1/me"): (shapes.Me, ONE),
    ("get", "/api/v1/me/keys"): (shapes.SecurityKeyRow, PAGE),
    ("post", "/api/v1/me/keys"): (shapes.SecurityKeyRow, ONE),
    ("post", "/api/v1/me/keys/options"): (shapes.KeyOptions, ONE),
    ("get", "/api/v1/me/sessions"): (shapes.SessionRow, PAGE),
    ("post", "/api/v1/me/totp"): (shapes.NewSecret, ONE),
    ("post", "/api/v1/me/totp/confirm"): (shapes.RecoveryCodes, ONE),
    ("get", "/healthz"): (shapes.Alive, ONE),
    ("get", "/readyz"): (shapes.Ready, ONE),
    ("get", "/api/v1/clock"): (shapes.CityClock, ONE),
    ("post", "/api/v1/clock/advance"): (shapes.CityClock, ONE),
    ("post", "/api/v1/broker/auth"): (shapes.Verdict, ONE),
    ("post", "/api/v1/broker/acl"): (shapes.Verdict, ONE),
    ("get", "/api/v1/users"): (Person, PAGE),
    ("post", "/api/v1/users"): (shapes.NewPerson, ONE),
    ("get", "/api/v1/users/{username}"): (Person, ONE),
    ("put", "/api/v1/users/{username}"): (Person, ONE),
    ("post", "/api/v1/users/{username}/password"): (shapes.PasswordShown, ONE),
    ("post", "/api/v1/users/{username}/disable"): (Person, ONE),
    ("post", "/api/v1/users/{username}/enable"): (Person, ONE),
    ("get", "/api/v1/api-keys"): (shapes.ApiKeyRow, PAGE),
    ("post", "/api/v1/api-keys"): (shapes.NewApiKey, ONE),
    ("get", "/api/v1/approvals"): (Approval, PAGE),
    ("post", "/api/v1/approvals"): (Approval, ONE),
    ("get", "/api/v1/approvals/{approval_id}"): (Approval, ONE),
    ("post", "/api/v1/approvals/{approval_id}/decide"): (Approval, ONE),
    ("post", "/api/v1/approvals/{approval_id}/withdraw"): (Approval, ONE),
    ("get", "/api/v1/alarms"): (Alarm, PAGE),
    ("get", "/api/v1/alarms/{alarm_id}"): (shapes.AlarmView, ONE),
    ("post", "/api/v1/alarms/{alarm_id}/ack"): (shapes.InTheLog, ONE),
    ("post", "/api/v1/alarms/{alarm_id}/shelve"): (shapes.InTheLog, ONE),
    ("post", "/api/v1/alarms/{alarm_id}/unshelve"): (shapes.InTheLog, ONE),
    ("post", "/api/v1/alarms/{alarm_id}/reset"): (shapes.InTheLog, ONE),
    ("post", "/api/v1/bulletins"): (shapes.InTheLog, ONE),
    ("get", "/api/v1/incidents"): (Incident, PAGE),
    ("get", "/api/v1/incidents/{incident_id}"): (shapes.IncidentView, ONE),
    ("post", "/api/v1/incidents/{incident_id}/verify"): (Incident, ONE),
    ("post", "/api/v1/incidents/{incident_id}/reject"): (Incident, ONE),
    ("post", "/api/v1/incidents/{incident_id}/controlled"): (Incident, ONE),
    ("post", "/api/v1/incidents/{incident_id}/close"): (Incident, ONE),
    ("post", "/api/v1/incidents/{incident_id}/notes"): (Incident, ONE),
    ("post", "/api/v1/incidents/{incident_id}/tasks/issue"): (Task, PAGE),
    ("get", "/api/v1/incidents/{incident_id}/roles"): (IncidentRole, PAGE),
    ("post", "/api/v1/incidents/{incident_id}/roles"): (IncidentRole, ONE),
    ("get", "/api/v1/tasks"): (Task, PAGE),
    ("get", "/api/v1/tasks/{task_id}"): (Task, ONE),
    ("post", "/api/v1/tasks/{task_id}/assign"): (Task, ONE),
    ("get", "/api/v1/tasks/{task_id}/candidates"): (Candidate, PAGE),
    ("get", "/api/v1/tasks/{task_id}/route"): (shapes.Route, ONE),
    ("post", "/api/v1/tasks/{task_id}/{verb}"): (Task, ONE),
    ("get", "/api/v1/requests"): (AgencyRequest, PAGE),
    ("post", "/api/v1/requests/{request_id}/answer"): (AgencyRequest, ONE),
    ("get", "/api/v1/units"): (Unit, PAGE),
    ("post", "/api/v1/units/{unit_id}/position"): (Unit, ONE),
    ("post", "/api/v1/units/{unit_id}/status"): (Unit, ONE),
    ("get", "/api/v1/closures"): (Closure, PAGE),
    ("post", "/api/v1/closures"): (Closure, ONE),
    ("get", "/api/v1/rules"): (shapes.ActiveRule, PAGE),
    ("get", "/api/v1/plans"): (Plan, PAGE),
    ("get", "/api/v1/layers"): (shapes.LayerRow, PAGE),
    ("get", "/api/v1/devices"): (shapes.DeviceView, PAGE),
    ("post", "/api/v1/devices"): (shapes.NewDevice, ONE),
    ("post", "/api/v1/devices/import"): (shapes.ImportedDevices, ONE),
    ("get", "/api/v1/devices/{device_id}"): (shapes.DeviceView, ONE),
    ("get", "/api/v1/devices/{device_id}/children"): (shapes.DeviceView, PAGE),
    ("put", "/api/v1/devices/{device_id}/thresholds"): (shapes.ThresholdProposal, ONE),
    ("get", "/api/v1/devices/{device_id}/check"): (shapes.DeviceCheck, ONE),
    ("get", "/api/v1/devices/{device_id}/commands"): (DeviceCommand, PAGE),
    ("post", "/api/v1/devices/{device_id}/commands"): (DeviceCommand, ONE),
    ("get", "/api/v1/commands/{command_id}"): (DeviceCommand, ONE),
    ("post", "/api/v1/devices/{device_id}/video"): (Viewing, ONE),
    ("get", "/api/v1/devices/{device_id}/presets"): (Preset, PAGE),
    ("get", "/api/v1/video/{ticket}/media"): (OpenedMedia, ONE),
    ("post", "/api/v1/video/{ticket}/extend"): (Viewing, ONE),
    ("get", "/api/v1/video-views"): (VideoView, PAGE),
    ("get", "/api/v1/incidents/{incident_id}/clips"): (VideoClip, PAGE),
    ("post", "/api/v1/incidents/{incident_id}/clips"): (VideoClip, ONE),
    ("get", "/api/v1/devices/{device_id}/credentials"): (AccessState, ONE),
    ("post", "/api/v1/devices/{device_id}/credentials"): (shapes.Credential, ONE),
    ("delete", "/api/v1/devices/{device_id}/credentials"): (AccessState, ONE),
    ("post", "/api/v1/devices/{device_id}/certificate"): (IssuedCertificate, ONE),
    ("get", "/api/v1/devices/{device_id}/care"): (Care, ONE),
    ("get", "/api/v1/calibrations/due"): (Calibration, PAGE),
    ("post", "/api/v1/devices/{device_id}/calibrations"): (Calibration, ONE),
    ("put", "/api/v1/devices/{device_id}/maintenance"): (Maintenance, ONE),
    ("get", "/api/v1/tickets"): (Ticket, PAGE),
    ("get", "/api/v1/tickets/proposals"): (Proposal, PAGE),
    ("post", "/api/v1/devices/{device_id}/tickets"): (Ticket, ONE),
    ("post", "/api/v1/tickets/{ticket_id}/{verb}"): (Ticket, ONE),
    ("post", "/api/v1/devices/{device_id}/acceptance"): (AcceptanceView, ONE),
    ("get", "/api/v1/vendors/rates"): (RatesAnswer, ONE),
    ("get", "/api/v1/quality"): (QualityBoard, ONE),
    ("get", "/api/v1/datastreams/{number}/observations"): ((shapes.Observations, shapes.ObservationBuckets), ONE),
    ("get", "/api/v1/areas/{area}/observations"): (shapes.AreaBuckets, ONE),
    ("get", "/api/v1/dead-letters"): (shapes.DeadLetter, PAGE),
    ("post", "/api/v1/dead-letters/replay"): (Replayed, ONE),
    ("get", "/api/v1/journal"): (JournalEntry, PAGE),
    ("get", "/api/v1/audit/head"): (shapes.AuditHead, ONE),
    ("get", "/api/v1/audit/verify"): (Finding, ONE),
    ("get", "/api/v1/duty/posts"): (Post, PAGE),
    ("put", "/api/v1/duty/posts"): (Post, PAGE),
    ("get", "/api/v1/duty/people"): (Colleague, PAGE),
    ("get", "/api/v1/duty/shifts"): (shapes.RosterSpan, ONE),
    ("post", "/api/v1/duty/shifts"): (Shift, ONE),
    ("post", "/api/v1/duty/shifts/generate"): (Shift, PAGE),
    ("get", "/api/v1/duty/shifts/{shift_id}"): (Shift, ONE),
    ("put", "/api/v1/duty/shifts/{shift_id}"): (Shift, ONE),
    ("post", "/api/v1/duty/shifts/{shift_id}/reassign"): (Shift, PAGE),
    ("post", "/api/v1/duty/absences"): (shapes.AbsenceMade, ONE),
    ("get", "/api/v1/duty/now"): (Chain, ONE),
    ("get", "/api/v1/duty/handovers"): (Handover, PAGE),
    ("post", "/api/v1/duty/handovers"): (Handover, ONE),
    ("get", "/api/v1/duty/handovers/{handover_id}"): (Handover, ONE),
    ("put", "/api/v1/duty/handovers/{handover_id}"): (Handover, ONE),
    ("post", "/api/v1/duty/handovers/{handover_id}/sign"): (Handover, ONE),
    ("post", "/api/v1/duty/handovers/{handover_id}/withdraw"): (Handover, ONE),
    ("get", "/api/v1/duty/log"): (LogEntry, PAGE),
    ("post", "/api/v1/duty/log"): (LogEntry, ONE),
    ("get", "/api/v1/duty/log/export"): (shapes.DaySheet, ONE),
    ("get", "/api/v1/grid/kinds"): (EventKind, PAGE),
    ("get", "/api/v1/grid/reports"): (Report, PAGE),
    ("post", "/api/v1/grid/reports"): (Report, ONE),
    ("get", "/api/v1/grid/reports/{report_id}"): (Report, ONE),
    ("get", "/api/v1/grid/reports/{report_id}/similar"): (Report, PAGE),
    ("post", "/api/v1/grid/reports/{report_id}/{verb}"): (Report, ONE),
    ("get", "/api/v1/grid/visits/due"): (DueVisit, PAGE),
    ("post", "/api/v1/grid/visits"): (Visit, ONE),
    ("get", "/api/v1/instructions"): (Instruction, PAGE),
    ("post", "/api/v1/instructions"): (Instruction, ONE),
    ("get", "/api/v1/instructions/{instruction_id}"): (Instruction, ONE),
    ("post", "/api/v1/instructions/{instruction_id}/{verb}"): (Instruction, ONE),
    ("get", "/api/v1/imports"): (shapes.ImportRow, PAGE),
    ("post", "/api/v1/imports"): (DryRun, ONE),
    ("get", "/api/v1/imports/{import_id}"): (DryRun, ONE),
    ("put", "/api/v1/imports/{import_id}"): (DryRun, ONE),
    ("post", "/api/v1/imports/{import_id}/commit"): (shapes.ImportDone, ONE),
    ("get", "/api/v1/addresses"): (shapes.PlaceHit, PAGE),
    ("get", "/api/v1/areas"): (shapes.AreaNode, PAGE),
    ("get", "/api/v1/areas/{code}/summary"): (AreaSummary, ONE),
    ("get", "/api/v1/registers"): (shapes.KindRow, PAGE),
    ("get", "/api/v1/registers/unverified"): (EntryPage, ONE),
    ("get", "/api/v1/registers/{kind}"): (EntryPage, ONE),
    ("post", "/api/v1/registers/{kind}"): (EntryView, ONE),
    ("get", "/api/v1/registers/{kind}/{entry_id}"): (EntryView, ONE),
    ("put", "/api/v1/registers/{kind}/{entry_id}"): (EntryView, ONE),
    ("post", "/api/v1/registers/{kind}/{entry_id}/verify"): (EntryView, ONE),
    ("get", "/api/v1/registers/{kind}/{entry_id}/history"): (JournalEntry, PAGE),
    ("get", "/api/v1/registers/{kind}/{entry_id}/statements"): (Statement, PAGE),
    ("post", "/api/v1/registers/{kind}/{entry_id}/statements"): (Statement, ONE),
    ("get", "/api/v1/registers/plant/{entry_id}/zones"): (LeakZones, ONE),
}

# (method, path) -> media types of an answer that is a file
_SHEETS = tuple(sorted({kind.partition(";")[0] for kind in MEDIA_TYPES.values()}))
FILES: dict[tuple[str, str], tuple[str, ...]] = {
    ("get", "/api/v1/oidc/callback"): ("text/html",),
    ("get", "/metrics"): ("text/plain",),
    ("get", "/api/v1/layers/{layer}.geojson"): ("application/geo+json",),
    ("get", "/api/v1/areas.geojson"): ("application/geo+json",),
    ("get", "/api/v1/observations/export"): tuple(kind.partition(";")[0] for kind in OBSERVATION_TYPES.values()),
    ("post", "/api/v1/observations/import"): ("application/x-ndjson",),
    ("get", "/api/v1/video/{ticket}/picture"): ("image/jpeg", "image/png"),
    ("get", "/api/v1/clips/{clip_id}/content"): ("application/octet-stream",),
    ("get", "/api/v1/dictionary.xlsx"): (MEDIA_TYPES[Format.XLSX],),
    ("get", "/api/v1/registers/{kind}/template.xlsx"): (MEDIA_TYPES[Format.XLSX],),
    ("get", "/api/v1/registers/{kind}/export"): _SHEETS,
}

# What an operation may answer besides its success and what follows from its form (`_statuses`).
MORE: dict[tuple[str, str], tuple[int, ...]] = {
    ("post", "/api/v1/sessions"): (401, 403, 429),
    ("post", "/api/v1/sessions/key"): (401, 403, 404, 429),
    ("get", "/metrics"): (403,),
    ("get", "/api/v1/oidc/login"): (404,),
    ("get", "/api/v1/observations/export"): (404,),
    ("get", "/api/v1/oidc/callback"): (400, 401, 404),
    ("get", "/api/v1/registers/unverified"): (404,),
    ("post", "/api/v1/imports"): (415,),
    ("put", "/api/v1/imports/{import_id}"): (415,),
    ("get", "/api/v1/devices"): (304,),
    ("get", "/api/v1/devices/{device_id}"): (304,),
    ("get", "/api/v1/clips/{clip_id}/content"): (409,),
    ("get", "/api/v1/layers/{layer}.geojson"): (304,),
    ("get", "/api/v1/areas.geojson"): (304,),
}
REDIRECTS = frozenset({("get", "/api/v1/oidc/login")})
WITHOUT_DATABASE = frozenset({"/healthz", "/metrics"})
DESCRIPTIONS = {
    304: "What the caller has is what stands",
    400: "The body cannot be read, or the exchange is not one that was begun here",
    401: "Nobody is logged in, or the credential is wrong",
    403: "The role may not do this, the second factor or the CSRF header is missing",
    404: "It does not exist, or lies outside the caller's area",
    409: "What stands does not allow it: another state, another revision, another request under the same Idempotency-Key",
    413: "The body is too large",
    415: "A file of no kind that we read",
    422: "A parameter or a field is not as described; `errors` names each",
    428: "If-Match is missing",
    429: "Too many requests; Retry-After says when",
    503: "The database, the log or another part is away; Retry-After says when to ask again",
}

PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "expected": {"type": "string"}, "got": {}},
            },
        },
    },
}


def describe(app: FastAPI, open_paths: frozenset[str]) -> None:
    """Replace the application's description by one that knows answers, errors and who must log in."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, open_paths)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def _document(app: FastAPI, open_paths: frozenset[str]) -> dict[str, Any]:
    document: dict[str, Any] = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    types = {one for answer, _ in ANSWERS.values() for one in _types(answer)}
    schemas, components = msgspec.json.schema_components(types, ref_template=REF)
    schema_of = dict(zip(types, schemas, strict=True))
    shapes_ = document.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        shapes_.pop(unused, None)
    if twice := sorted(name for name in set(shapes_) & set(components) if "enum" not in components[name]):
        raise RuntimeError(f"{', '.join(twice)}: a body and an answer have the same name")
    shapes_ |= components
    shapes_["HttpProblem"] = PROBLEM
    document["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "cookie": {"type": "apiKey", "in": "cookie", "name": "cb_session"},
    }
    for (method, path), (answer, paged) in ANSWERS.items():
        either = [schema_of[one] for one in _types(answer)]
        schema = either[0] if len(either) == 1 else {"anyOf": either}
        operation = document["paths"][path][method]
        success = operation["responses"][_success(operation)]
        content = success.setdefault("content", {})
        content["application/json"] = {"schema": _page(schema) if paged else schema}
    for (method, path), kinds in FILES.items():
        content = {kind: {} if kind.endswith("json") else {"schema": {"type": "string"}} for kind in kinds}
        document["paths"][path][method]["responses"]["200"]["content"] = content
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            open_ = path in open_paths
            _refusals(method, path, operation, open_=open_)
            if not open_:
                operation["security"] = [{"bearer": []}, {"cookie": []}]
    return document


def _types(answer: Any) -> tuple[Any, ...]:
    return answer if isinstance(answer, tuple) else (answer,)


def _success(operation: dict[str, Any]) -> str:
    found: str = next(status for status in operation["responses"] if status.startswith("2"))
    return found


def _page(schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["items", "next"],
        "properties": {"items": {"type": "array", "items": schema}, "next": {"type": ["string", "null"]}},
    }


def _refusals(method: str, path: str, operation: dict[str, Any], *, open_: bool) -> None:
    """State every status that is not a success, as problems. FastAPI's own validation answer is not what we send."""
    responses = operation["responses"]
    responses.pop("422", None)
    if (method, path) in REDIRECTS:
        responses.pop("200", None)
        responses["302"] = {"description": "To the identity provider"}
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/HttpProblem"}}}
    for status in sorted(_statuses(method, path, operation, open_=open_)):
        responses[str(status)] = {"description": DESCRIPTIONS[status]} | ({} if status == 304 else {"content": problem})
    if path == "/readyz":  # not ready is an answer, not a problem
        responses["503"] = {"description": "Not ready", "content": responses["200"]["content"]}


def _statuses(method: str, path: str, operation: dict[str, Any], *, open_: bool) -> set[int]:
    """What follows from the form of an operation, and what `MORE` adds."""
    found = {422, *MORE.get((method, path), ())}
    if path not in WITHOUT_DATABASE:
        found.add(503)
    if "{" in path:
        found.add(404)
    if not open_ or path.startswith("/api/v1/broker/"):
        found.add(401)
    if not open_:
        found.add(403)
        if method != "get":
            found |= {404, 409, 429}
    if "requestBody" in operation:
        found |= {400, 413}
    if any(parameter["name"].lower() == "if-match" for parameter in operation.get("parameters", ())):
        found.add(428)
    return found
