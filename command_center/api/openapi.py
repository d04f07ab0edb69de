"""The OpenAPI document: answers described by the command centre's own types, and one form of error for all.

Requests are described by FastAPI from the pydantic bodies; answers are msgspec objects, so their schemas are made here. A test
holds the table against the routes.
"""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from command_center.duty.model import Chain, Colleague, Handover, Instruction, LogEntry, Post, Shift
from command_center.model import Alarm, Candidate, Closure, Incident, JournalEntry, Task, Unit
from command_center.records import Request as AgencyRequest
from command_center.registers.imports import DryRun
from command_center.registers.ports import Statement
from command_center.registers.service import EntryPage, EntryView
from devices.registry import Device
from gis.formats.sheet import MEDIA_TYPES, Format

REF = "#/components/schemas/{name}"

# (method, path) -> (type of the answer, whether it is a page of them)
ANSWERS: dict[tuple[str, str], tuple[Any, bool]] = {
    ("get", "/api/v1/alarms"): (Alarm, True),
    ("get", "/api/v1/alarms/{alarm_id}"): (Alarm, False),
    ("get", "/api/v1/incidents"): (Incident, True),
    ("get", "/api/v1/incidents/{incident_id}"): (Incident, False),
    ("post", "/api/v1/incidents/{incident_id}/verify"): (Incident, False),
    ("post", "/api/v1/incidents/{incident_id}/reject"): (Incident, False),
    ("post", "/api/v1/incidents/{incident_id}/controlled"): (Incident, False),
    ("post", "/api/v1/incidents/{incident_id}/close"): (Incident, False),
    ("post", "/api/v1/incidents/{incident_id}/notes"): (Incident, False),
    ("post", "/api/v1/incidents/{incident_id}/tasks/issue"): (Task, True),
    ("get", "/api/v1/tasks"): (Task, True),
    ("get", "/api/v1/tasks/{task_id}"): (Task, False),
    ("post", "/api/v1/tasks/{task_id}/assign"): (Task, False),
    ("get", "/api/v1/tasks/{task_id}/candidates"): (Candidate, True),
    ("post", "/api/v1/tasks/{task_id}/{verb}"): (Task, False),
    ("get", "/api/v1/requests"): (AgencyRequest, True),
    ("post", "/api/v1/requests/{request_id}/answer"): (AgencyRequest, False),
    ("get", "/api/v1/units"): (Unit, True),
    ("post", "/api/v1/units/{unit_id}/position"): (Unit, False),
    ("post", "/api/v1/units/{unit_id}/status"): (Unit, False),
    ("get", "/api/v1/closures"): (Closure, True),
    ("post", "/api/v1/closures"): (Closure, False),
    ("get", "/api/v1/devices"): (Device, True),
    ("get", "/api/v1/devices/{device_id}"): (Device, False),
    ("get", "/api/v1/journal"): (JournalEntry, True),
    ("get", "/api/v1/duty/posts"): (Post, True),
    ("get", "/api/v1/duty/people"): (Colleague, True),
    ("post", "/api/v1/duty/shifts"): (Shift, False),
    ("put", "/api/v1/duty/shifts/{shift_id}"): (Shift, False),
    ("get", "/api/v1/duty/now"): (Chain, False),
    ("get", "/api/v1/duty/handovers"): (Handover, True),
    ("post", "/api/v1/duty/handovers"): (Handover, False),
    ("get", "/api/v1/duty/handovers/{handover_id}"): (Handover, False),
    ("post", "/api/v1/duty/handovers/{handover_id}/sign"): (Handover, False),
    ("get", "/api/v1/duty/log"): (LogEntry, True),
    ("post", "/api/v1/duty/log"): (LogEntry, False),
    ("get", "/api/v1/instructions"): (Instruction, True),
    ("post", "/api/v1/instructions"): (Instruction, False),
    ("get", "/api/v1/instructions/{instruction_id}"): (Instruction, False),
    ("post", "/api/v1/instructions/{instruction_id}/{verb}"): (Instruction, False),
    ("post", "/api/v1/imports"): (DryRun, False),
    ("get", "/api/v1/imports/{import_id}"): (DryRun, False),
    ("put", "/api/v1/imports/{import_id}"): (DryRun, False),
    ("get", "/api/v1/registers/unverified"): (EntryPage, False),
    ("get", "/api/v1/registers/{kind}"): (EntryPage, False),
    ("post", "/api/v1/registers/{kind}"): (EntryView, False),
    ("get", "/api/v1/registers/{kind}/{entry_id}"): (EntryView, False),
    ("put", "/api/v1/registers/{kind}/{entry_id}"): (EntryView, False),
    ("post", "/api/v1/registers/{kind}/{entry_id}/verify"): (EntryView, False),
    ("get", "/api/v1/registers/{kind}/{entry_id}/history"): (JournalEntry, True),
    ("get", "/api/v1/registers/{kind}/{entry_id}/statements"): (Statement, True),
    ("post", "/api/v1/registers/{kind}/{entry_id}/statements"): (Statement, False),
}

# (method, path) -> media types of an answer that is a file
_SHEETS = tuple(sorted({kind.partition(";")[0] for kind in MEDIA_TYPES.values()}))
FILES: dict[tuple[str, str], tuple[str, ...]] = {
    ("get", "/metrics"): ("text/plain",),
    ("get", "/api/v1/layers/{layer}.geojson"): ("application/geo+json",),
    ("get", "/api/v1/areas.geojson"): ("application/geo+json",),
    ("get", "/api/v1/registers/{kind}/template.xlsx"): (MEDIA_TYPES[Format.XLSX],),
    ("get", "/api/v1/registers/{kind}/export"): _SHEETS,
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
    schemas, components = msgspec.json.schema_components([t for t, _ in ANSWERS.values()], ref_template=REF)
    shapes = document.setdefault("components", {}).setdefault("schemas", {})
    shapes |= components
    shapes["Problem"] = PROBLEM
    for unused in ("HTTPValidationError", "ValidationError"):
        shapes.pop(unused, None)
    document["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "cookie": {"type": "apiKey", "in": "cookie", "name": "cb_session"},
    }
    for (method, path), schema in zip(ANSWERS, schemas, strict=True):
        operation = document["paths"][path][method]
        status = next(iter(operation["responses"]))
        operation["responses"][status]["content"] = {
            "application/json": {"schema": _page(schema) if ANSWERS[method, path][1] else schema}
        }
    for (method, path), kinds in FILES.items():
        content: dict[str, Any] = {kind: {} for kind in kinds}
        document["paths"][path][method]["responses"]["200"]["content"] = content
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _errors(operation)
            if path not in open_paths:
                operation["security"] = [{"bearer": []}, {"cookie": []}]
    return document


def _page(schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["items", "next"],
        "properties": {"items": {"type": "array", "items": schema}, "next": {"type": ["string", "null"]}},
    }


def _errors(operation: dict[str, Any]) -> None:
    """Every operation may answer with a problem; FastAPI's own validation answer is not what we send."""
    operation["responses"].pop("422", None)
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    operation["responses"]["default"] = {"description": "A problem (RFC 9457)", "content": content}
