"""The API describes itself: every answer that is one of our types, every error, who must log in."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest
from fastapi import FastAPI, Response

from citybrain_testing.api_rim import PASSWORD, fake_deps
from citybrain_testing.asgi_client import AsgiClient
from citybrain_testing.documented import Documented
from command_center.api.app import OPEN_PATHS, build_app
from command_center.api.openapi import ANSWERS, DESCRIPTIONS, FILES, MORE

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


OPERATIONS = [(method, path) for path, methods in DOCUMENT["paths"].items() for method in methods]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_operation_says_who_may_what_comes_back_and_how_it_fails(method: str, path: str) -> None:
    operation = DOCUMENT["paths"][path][method]
    assert ("security" in operation) == (path not in OPEN_PATHS)
    responses = operation["responses"]
    assert "default" not in responses, "a status that anything fits says nothing"
    (success,) = (status for status in responses if status[0] in "23" and status != "304")
    if success in ("204", "302"):
        assert "content" not in responses[success]
    else:
        kinds = responses[success]["content"]
        assert kinds
        assert all("schema" in content or kind.endswith(("geo+json", "ndjson")) for kind, content in kinds.items())
        assert kinds.get("application/json", {}).get("schema", True), "an answer without a shape"
    refusals = {status: answer for status, answer in responses.items() if status[0] in "45" and (path, status) != READY}
    assert "422" in refusals
    for status, answer in refusals.items():
        assert list(answer["content"]) == ["application/problem+json"], status


READY = ("/readyz", "503")


def test_what_the_tables_add_is_of_routes_that_exist() -> None:
    assert set(MORE) <= set(OPERATIONS)
    assert set(FILES) <= set(OPERATIONS)
    assert all(set(statuses) <= set(DESCRIPTIONS) for statuses in MORE.values())


def answer(status: int, body: Any = None, kind: str = "application/json") -> httpx.Response:
    content = b"" if body is None else msgspec.json.encode(body)
    return httpx.Response(status, content=content, headers={"content-type": kind} if content else {})


POST = {"post": "tech", "zh": "技术保障", "en": "Technical support", "step": 5, "required": False, "hand_over": False}


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (answer(200, {"items": [POST | {"hazards": []}], "next": None}), ""),
        (answer(200, {"items": [{"post": "tech"}], "next": None}), "'zh' is a required property"),
        (answer(200, {"items": [POST | {"hazards": [], "phone": "1"}], "next": None}), "'phone' was unexpected"),
        (answer(200, {"items": [POST | {"hazards": [], "step": "first"}], "next": None}), "not of type 'integer'"),
        (answer(200, [POST]), "not of type 'object'"),
        (answer(201, {"items": [], "next": None}), "status 201 is not documented"),
        (answer(500, {"type": "x"}, "application/problem+json"), "status 500 is not documented"),
        (answer(403, {"items": []}), "status 403 is application/json"),
        (answer(403, {"type": "x", "title": "x", "status": 403}, "application/problem+json"), "'detail' is a required"),
        (answer(200), "without a type"),
    ],
)
def test_an_answer_that_is_not_as_documented_is_found(given: httpx.Response, complaint: str) -> None:
    found = Documented(DOCUMENT).complaint("GET", "/api/v1/duty/posts", given)
    assert complaint in found
    assert bool(found) == bool(complaint)


def test_a_client_of_the_tests_complains_by_itself() -> None:
    """A route answers what no document has: whoever asked it hears of it."""
    app = FastAPI()
    app.openapi = lambda: DOCUMENT  # type: ignore[method-assign]
    app.add_api_route("/api/v1/users/{username}", lambda: Response(status_code=418), methods=["GET"])
    with AsgiClient(app) as client, pytest.raises(AssertionError, match="status 418 is not documented"):
        client.get("/api/v1/users/duty1?x=1")


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
