"""The API describes itself: every answer that is one of our types, every error, who must log in."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from citybrain_testing.api_rim import PASSWORD, fake_deps
from citybrain_testing.asgi_client import AsgiClient
from command_center.api.app import OPEN_PATHS, build_app
from command_center.api.openapi import ANSWERS

DOCUMENT: dict[str, Any] = build_app(fake_deps()).openapi()


def test_the_table_of_answers_names_routes_that_exist() -> None:
    described = {(method, path) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert set(ANSWERS) <= described


def test_every_reference_leads_somewhere() -> None:
    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return own + [r for inner in value.values() for r in references(inner)]
        return [r for inner in value for r in references(inner)] if isinstance(value, list) else []

    known = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}
    assert set(references(DOCUMENT)) <= known


def test_every_operation_says_who_may_and_how_it_fails() -> None:
    for path, methods in DOCUMENT["paths"].items():
        for operation in methods.values():
            assert ("security" in operation) == (path not in OPEN_PATHS)
            assert "application/problem+json" in operation["responses"]["default"]["content"]


@pytest.mark.parametrize("path", ["/api/v1/alarms", "/api/v1/incidents", "/api/v1/tasks", "/api/v1/units"])
def test_an_answer_has_the_columns_that_the_document_names(path: str) -> None:
    with AsgiClient(build_app(fake_deps())) as client:
        client.post("/api/v1/sessions", json={"username": "duty1", "password": PASSWORD})
        (item, *_) = client.get(path).json()["items"]
    schema = DOCUMENT["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    name = schema["properties"]["items"]["items"]["$ref"].rsplit("/", 1)[1]
    columns = set(DOCUMENT["components"]["schemas"][name]["properties"])
    assert set(item) <= columns
    assert set(DOCUMENT["components"]["schemas"][name]["required"]) <= set(item)
    assert msgspec.json.encode(DOCUMENT)
