"""The registers over HTTP: who may, where, and what a wrong request is told."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI, Request
from jsonschema import Draft202012Validator

from citybrain_testing.api_rim import fake_deps
from citybrain_testing.asgi_client import AsgiClient
from citybrain_testing.registers import a_register, filled
from command_center.access.scope import Scope
from command_center.api.app import build_app
from command_center.api.auth import require_session
from command_center.model import Actor, Role
from command_center.registers.service import EntryRegister
from storage.memory.command import MemoryStore

PEOPLE = {
    actor.username: actor
    for actor in (
        Actor(username="clerk1", roles=frozenset({Role.REGISTRAR})),
        Actor(username="clerk2", roles=frozenset({Role.REGISTRAR}), scope=Scope(areas=("339900002",))),
        Actor(username="duty1", roles=frozenset({Role.OPERATOR})),
        Actor(username="leader1", roles=frozenset({Role.LEADER})),
        Actor(username="admin", roles=frozenset({Role.ADMIN})),
        Actor(username="audit1", roles=frozenset({Role.AUDITOR})),
        Actor(username="analyst1", roles=frozenset({Role.ANALYST})),
        Actor(username="unit-1", roles=frozenset({Role.RESPONDER}), unit_id="unit-1"),
        Actor(username="vendor1", roles=frozenset({Role.VENDOR}), vendor="acme"),
        Actor(username="met", roles=frozenset({Role.MET})),
        Actor(username="sec1", roles=frozenset({Role.SECURITY})),
    )
}
PLANT: dict[str, Any] = {"name": "氯碱厂", "contact_a": "k1", "contact_b": "k2", "grade": "red"}
SHELTER: dict[str, Any] = {
    "lon": 121.65,
    "lat": 28.5,
    "values": {"name": "东浦礼堂", "capacity": 300},
    "reason": "新建",
}


async def who_asks(request: Request) -> None:
    """In place of the login: these tests are about what a person may do who is in."""
    request.state.session = SimpleNamespace(actor=PEOPLE[request.headers["x-who"]], sid=request.headers["x-who"])


def application(**deps: Any) -> FastAPI:
    app = build_app(fake_deps(**deps))
    app.dependency_overrides[require_session] = who_asks
    return app


class Door:
    """The application, asked by somebody."""

    def __init__(self, client: AsgiClient) -> None:
        self.client = client

    def ask(self, who: str, method: str, path: str, **options: Any) -> Any:
        headers = {"X-Who": who, **options.pop("headers", {})}
        return self.client.request(method, f"/api/v1{path}", headers=headers, **options)


@pytest.fixture
def door() -> Iterator[Door]:
    yield from _door()


@pytest.fixture(scope="module")
def shared() -> Iterator[Door]:
    """For requests that change nothing."""
    yield from _door()


def _door() -> Iterator[Door]:
    register: EntryRegister = a_register(MemoryStore())
    with AsgiClient(application(entries=register)) as client:
        client.run(filled(register))
        found = Door(client)
        found.ask(
            "clerk1", "POST", "/registers/plant", json={"entry_id": "p1", "lon": 121.2, "lat": 28.5, "values": PLANT}
        )
        yield found


READ, WRITE, CHECK, SIGN = "read", "write", "check", "sign"
MAY = {
    "clerk1": {READ, WRITE, CHECK, SIGN},
    "duty1": {READ, CHECK},
    "leader1": {READ, CHECK, SIGN},
    "admin": {READ, WRITE},
    "audit1": {READ},
    "analyst1": {READ},
    "unit-1": {READ},
    "vendor1": set(),
    "met": set(),
    "sec1": set(),
}
DOORS: list[tuple[str, str, str, dict[str, Any]]] = [
    (READ, "GET", "/registers", {}),
    (READ, "GET", "/registers/unverified", {}),
    (READ, "GET", "/registers/plant", {}),
    (READ, "GET", "/registers/plant/p1", {}),
    (READ, "GET", "/registers/plant/p1/history", {}),
    (READ, "GET", "/registers/plant/p1/statements", {}),
    (READ, "GET", "/areas", {}),
    (READ, "GET", "/areas.geojson", {}),
    (WRITE, "POST", "/registers/shelter", {"json": {**SHELTER, "entry_id": "s1"}}),
    (WRITE, "PUT", "/registers/shelter/s1", {"json": SHELTER, "headers": {"If-Match": "1"}}),
    (CHECK, "POST", "/registers/plant/p1/verify", {"json": {"comment": "本人接听"}}),
    (SIGN, "POST", "/registers/plant/p1/statements", {"json": {"date": "2019-08-09", "grade": "red", "text": "动火"}}),
    (WRITE, "DELETE", "/registers/shelter/s1?reason=x", {"headers": {"If-Match": "1"}}),
]


@pytest.mark.parametrize("who", MAY)
def test_each_role_gets_through_its_own_doors(door: Door, who: str) -> None:
    for needed, method, path, options in DOORS:
        status = door.ask(who, method, path, **options).status_code
        assert (status < 300) if needed in MAY[who] else status == 403, (needed, method, path, status)


def test_an_entry_is_made_read_changed_and_removed_by_revision(door: Door) -> None:
    made = door.ask("clerk1", "POST", "/registers/shelter", json=SHELTER)
    assert (made.status_code, made.headers["etag"]) == (201, '"1"')
    entry = made.json()
    assert (entry["entry_id"], entry["area"], entry["area_name"]) == ("shelter-1", "339900002001", "东浦村")
    assert made.headers["location"] == "/api/v1/registers/shelter/shelter-1"
    path = "/registers/shelter/shelter-1"
    bigger = {**SHELTER, "values": {"name": "东浦礼堂", "capacity": "３５０人"}}
    refused = door.ask("clerk1", "PUT", path, json=bigger, headers={"If-Match": "1"})
    assert refused.status_code == 422
    (problem,) = refused.json()["errors"]
    assert (problem["field"], problem["got"]) == ("capacity", "３５０人")
    assert problem["zh"].startswith("容纳人数")
    bigger["values"]["capacity"] = "３５０"
    changed = door.ask("clerk1", "PUT", path, json=bigger, headers={"If-Match": '"1"'})
    assert (changed.status_code, changed.json()["values"]["capacity"], changed.json()["rev"]) == (200, 350, 2)
    stale = door.ask("clerk1", "PUT", path, json=bigger, headers={"If-Match": "1"})
    assert stale.status_code == 409
    assert door.ask("clerk1", "PUT", path, json=bigger).status_code == 428
    lines = door.ask("clerk1", "GET", f"{path}/history").json()["items"]
    assert [line["action"] for line in lines] == ["change", "create"]
    assert door.ask("clerk1", "DELETE", path, headers={"If-Match": "2"}).status_code == 422  # no reason
    assert door.ask("clerk1", "DELETE", path, headers={"If-Match": "2"}, json={"reason": "拆除"}).status_code == 204
    assert door.ask("clerk1", "GET", path).status_code == 404


def test_kinds_tell_their_fields_and_how_many_there_are(door: Door) -> None:
    kinds = {k["kind"]: k for k in door.ask("duty1", "GET", "/registers").json()["items"]}
    assert (kinds["contact"]["count"], kinds["area"]["count"], kinds["reservoir"]["count"]) == (3, 4, 0)
    assert kinds["plant"]["group"] == "risk"
    assert not kinds["plant"]["may_write"]
    fields = {f["key"]: f for f in kinds["contact"]["fields"]}
    assert (fields["phone"]["personal"], fields["phone"]["zh"]) == (True, "手机")


def test_telephones_come_masked_and_in_clear_only_on_request(door: Door) -> None:
    listed = door.ask("duty1", "GET", "/registers/contact?limit=1").json()
    assert (listed["items"][0]["values"]["phone"], listed["next"], listed["total"]) == ("138****0001", "k1", 3)
    clear = door.ask("duty1", "GET", "/registers/contact/k1?clear=true")
    assert clear.json()["values"]["phone"] == "13800000001"
    assert clear.headers["cache-control"] == "no-store"
    for who in ("admin", "unit-1", "audit1", "analyst1"):
        assert door.ask(who, "GET", "/registers/contact/k1?clear=true").status_code == 403
    lines = door.ask("audit1", "GET", "/registers/contact/k1/history").json()["items"]
    assert [line["action"] for line in lines] == ["read_personal", "create"]
    assert lines[1]["after"]["values.phone"] == "138****0001"


def test_outside_his_area_a_clerk_finds_nothing_and_writes_nothing(door: Door) -> None:
    assert door.ask("clerk2", "GET", "/registers/plant").json()["total"] == 0
    assert door.ask("clerk2", "GET", "/registers/plant/p1").status_code == 404
    assert door.ask("clerk2", "POST", "/registers/plant/p1/verify", json={}).status_code == 404
    west = {**SHELTER, "lon": 121.2}
    assert door.ask("clerk2", "POST", "/registers/shelter", json=west).status_code == 403
    assert door.ask("clerk2", "POST", "/registers/shelter", json=SHELTER).status_code == 201
    assert [a["code"] for a in door.ask("clerk2", "GET", "/areas").json()["items"]] == ["339900002"]
    assert len(door.ask("clerk2", "GET", "/areas.geojson").json()["features"]) == 2


def test_a_position_that_contradicts_the_area_is_refused_in_words(door: Door) -> None:
    answer = door.ask("clerk1", "POST", "/registers/shelter", json={**SHELTER, "area": "339900001"})
    assert answer.status_code == 422
    (problem,) = answer.json()["errors"]
    assert problem["field"] == "area"
    assert "东浦村" in problem["zh"]
    away = door.ask("clerk1", "POST", "/registers/shelter", json={**SHELTER, "lon": 113.0}).json()["errors"]
    assert away[0]["field"] == "position"


def test_a_statement_is_signed_under_a_name_and_corrected_under_a_number(door: Door) -> None:
    path = "/registers/plant/p1/statements"
    first = door.ask("leader1", "POST", path, json={"date": "2019-08-09", "grade": "orange", "text": "两处动火"})
    assert (first.status_code, first.json()["edition"], first.json()["signed_by"]) == (201, 1, "leader1")
    second = door.ask("clerk1", "POST", path, json={"date": "2019-08-09", "grade": "red", "text": "三处动火"})
    assert second.json()["edition"] == 2
    listed = door.ask("duty1", "GET", path).json()["items"]
    assert [(s["date"], s["edition"], s["grade"]) for s in listed] == [
        ("2019-08-09", 2, "red"),
        ("2019-08-09", 1, "orange"),
    ]
    for body in (
        {"date": "2019-08-10", "grade": "red", "text": "x"},
        {"date": "2019-08-09", "grade": "green", "text": "x"},
    ):
        assert door.ask("leader1", "POST", path, json=body).status_code == 422


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/registers/moon", None, 404),
        ("GET", "/registers/Plant", None, 422),
        ("GET", "/registers/plant?bbox=1,2,3", None, 422),
        ("GET", "/registers/plant?bbox=5,0,1,9", None, 422),
        ("GET", "/registers/plant?bbox=a,b,c,d", None, 422),
        ("GET", "/registers/plant?limit=0", None, 422),
        ("GET", "/registers/plant?area=33%25", None, 422),
        ("GET", "/registers/unverified?kind=moon", None, 404),
        ("GET", "/registers/plant/p1/history?cursor=x", None, 422),
        ("GET", "/registers/shelter/s1/statements", None, 422),
        ("POST", "/registers/shelter", {**SHELTER, "lat": 91}, 422),
        ("POST", "/registers/shelter", {**SHELTER, "entry_id": "a b"}, 422),
        ("POST", "/registers/shelter", {**SHELTER, "entry_id": "export"}, 422),
        ("POST", "/registers/shelter", {**SHELTER, "colour": "red"}, 422),
        ("POST", "/registers/shelter", {**SHELTER, "values": {"name": "x"}}, 422),
        ("POST", "/registers/shelter", {**SHELTER, "values": {"name": "x", "capacity": 1, "moon": 1}}, 422),
        ("POST", "/registers/shelter", {"values": {"name": "x", "capacity": 1}}, 422),
        ("POST", "/registers/shelter", {**SHELTER, "geometry": {"type": "Polygon", "coordinates": []}}, 422),
        (
            "POST",
            "/registers/dyke",
            {"values": {"name": "x", "contact_a": "k1"}, "geometry": {"type": "LineString"}},
            422,
        ),
        ("POST", "/registers/area", {"values": {"name": "x"}}, 422),
        ("POST", "/registers/area", {"entry_id": "33990", "values": {"name": "x"}}, 422),
        ("POST", "/registers/plant", {"lon": 121.2, "lat": 28.5, "values": {**PLANT, "contact_b": "k1"}}, 422),
        ("POST", "/registers/area/339900/verify", {}, 422),
        ("PUT", "/registers/plant/p1", {"entry_id": "p2", "values": PLANT, "reason": "x"}, 422),
        ("PUT", "/registers/plant/p1", {"lon": 121.2, "lat": 28.5, "values": PLANT}, 422),
        ("PUT", "/registers/plant/none", {"lon": 121.2, "lat": 28.5, "values": PLANT, "reason": "x"}, 404),
        ("DELETE", "/registers/contact/k1?reason=x", None, 409),
    ],
)
def test_a_wrong_request_is_refused_with_a_reason(shared: Door, method: str, path: str, body: Any, status: int) -> None:
    options: dict[str, Any] = {"headers": {"If-Match": "1"}} if method in ("PUT", "DELETE") else {}
    answer = shared.ask("clerk1", method, path, **options, **({} if body is None else {"json": body}))
    assert answer.status_code == status, answer.text
    assert answer.json()["detail"]


def test_answers_are_what_the_api_description_says(door: Door) -> None:
    document = door.client.get("/openapi.json").json()
    door.ask(
        "leader1", "POST", "/registers/plant/p1/statements", json={"date": "2019-08-09", "grade": "red", "text": "x"}
    )
    for path, described in [
        ("/registers/contact", "/registers/{kind}"),
        ("/registers/unverified", "/registers/unverified"),
        ("/registers/plant/p1", "/registers/{kind}/{entry_id}"),
        ("/registers/plant/p1/history", "/registers/{kind}/{entry_id}/history"),
        ("/registers/plant/p1/statements", "/registers/{kind}/{entry_id}/statements"),
    ]:
        schema = document["paths"][f"/api/v1{described}"]["get"]["responses"]["200"]["content"]["application/json"][
            "schema"
        ]
        validator = Draft202012Validator({**schema, "components": document["components"]})
        assert list(validator.iter_errors(door.ask("duty1", "GET", path).json())) == [], path


def test_without_registers_the_doors_say_so() -> None:
    with AsgiClient(application()) as client:
        assert Door(client).ask("clerk1", "GET", "/registers").status_code == 503
