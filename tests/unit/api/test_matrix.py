"""Who may what, generated: every route of the OpenAPI x every role x in and out of the area x with and without a second factor.

The table of routes stands in `citybrain_testing/matrix.py`; what is expected follows from `command_center.authority.MATRIX`. The
rows of the matrix itself are written down a second time, by hand, in tests/unit/command_center/test_command_authority.py.
"""

from __future__ import annotations

import asyncio
import itertools
from functools import cache

import httpx
import pytest
from fastapi import FastAPI

from citybrain_testing.access_world import access_world, me
from citybrain_testing.api_rim import fake_deps
from citybrain_testing.asgi_client import AsgiClient
from citybrain_testing.documented import Documented
from citybrain_testing.matrix import AREA, BROKER, MORE, NO_DOOR_OF_ITS_OWN, OPEN, OWN, ROWS, Place, Row
from command_center.access.policy import load_policy
from command_center.access.scope import EVERYWHERE, Scope
from command_center.api.app import OPEN_PATHS, build_app
from command_center.authority import MATRIX, NEEDS_SECOND_FACTOR, Action, only_own
from command_center.model import Role
from command_center.users import actor_of

WHERE = {"everywhere": EVERYWHERE, "inside": Scope(areas=(AREA,)), "outside": Scope(areas=("339900002",))}
REAL = load_policy("real")
REFUSED = {401, 403, 404}
# What the rows' requests do not bring about, here: a provider or a secret that is not there, a state that another row has changed.
UNSEEN = {
    ("POST", "/api/v1/sessions"),  # a row without a body: test_rim_security logs in
    ("POST", "/api/v1/sessions/key"),
    ("POST", "/api/v1/me/keys/options"),
    ("POST", "/api/v1/me/keys"),
    ("DELETE", "/api/v1/me/keys/{key_id}"),
    ("GET", "/api/v1/oidc/login"),
    ("GET", "/api/v1/oidc/callback"),
    ("GET", "/metrics"),
    ("POST", "/api/v1/broker/auth"),
    ("POST", "/api/v1/broker/acl"),
    ("POST", "/api/v1/clock/advance"),
    ("POST", "/api/v1/me/totp/confirm"),
    ("POST", "/api/v1/bulletins"),
    ("POST", "/api/v1/devices/import"),
    ("POST", "/api/v1/devices/{device_id}/acceptance"),
    ("GET", "/api/v1/tasks/{task_id}/route"),
    ("POST", "/api/v1/tasks/{task_id}/assign"),
    ("POST", "/api/v1/incidents/{incident_id}/reject"),
    ("POST", "/api/v1/incidents/{incident_id}/close"),
    ("POST", "/api/v1/incidents/{incident_id}/roles"),
    ("POST", "/api/v1/approvals/{approval_id}/withdraw"),
    ("PUT", "/api/v1/duty/shifts/{shift_id}"),
    ("POST", "/api/v1/duty/shifts/{shift_id}/reassign"),
    ("DELETE", "/api/v1/registers/{kind}/{entry_id}"),
}


def test_the_table_has_every_route_and_no_other() -> None:
    document = build_app(fake_deps()).openapi()
    routes = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert set(ROWS) == routes, "a route without a row in citybrain_testing/matrix.py is a hole"
    assert {path for (_, path), row in ROWS.items() if row.who == OPEN} == OPEN_PATHS - {"/openapi.json"}


def test_every_action_has_a_door() -> None:
    asked = {action for row in (*ROWS.values(), *(row for _, row in MORE)) for action in row.actions}
    assert set(Action) - asked - NO_DOOR_OF_ITS_OWN == {Action.OWN_ACCOUNT}, "an action that nothing asks"


def expected(row: Row, role: Role, where: str, factor: bool) -> tuple[set[int], bool]:
    """Statuses that may come, and whether they are the only ones (else: the only ones that may not)."""
    refused = {403, 404} if where == "outside" and row.place is Place.OBJECT else {403}
    if row.who == OPEN:
        return {401}, False
    if row.who == BROKER:
        return {401}, True
    if row.who == OWN:
        return {401, 403}, False
    if row.who == "own factor":
        return ({403}, False) if factor else ({403}, True)
    if row.who == "proposer":
        return refused, True
    lacks = REAL.wants_second_factor([role]) and not factor and not NEEDS_SECOND_FACTOR.isdisjoint(row.actions)
    if lacks or not all(role in MATRIX[action] for action in row.actions):
        return refused, True
    if row.own_unit and only_own(actor_of(me(role))):
        return {403, 404}, True
    if row.place is Place.WHOLE:
        return ({403}, True) if where != "everywhere" else (REFUSED, False)
    if where != "outside" or row.place in (Place.NONE, Place.LIST):
        return REFUSED, False
    return ({404}, True) if row.place is Place.OBJECT else ({403}, True)


@cache
def doors() -> FastAPI:
    """The routes once for all worlds."""
    return build_app(fake_deps())


@cache
def documented() -> Documented:
    return Documented(doors().openapi())


async def ask_everything(
    role: Role, where: str, factor: bool, succeeded: set[tuple[str, str]] | None = None
) -> list[str]:
    """What is wrong, a line each: a status that the matrix does not expect, an answer that the document does not have."""
    world, wrong = await access_world(doors=doors()), []
    transport = httpx.ASGITransport(app=world.app, raise_app_exceptions=False, client=("10.1.2.3", 40000))
    async with httpx.AsyncClient(transport=transport, base_url="http://city.test") as client:
        for (method, path), row in (*MORE, *ROWS.items()):
            token = world.token(role, WHERE[where], second_factor=factor)
            params = {key: world.names.get(value, value) for key, value in row.params.items()}
            if params.get("sid") == "own":
                params["sid"] = world.sessions.of_user("me")[0].sid
            url = path.format(**params) + row.query
            body = None if method in ("GET", "DELETE") else row.body
            headers = {"Authorization": f"Bearer {token}", **row.headers}
            answer = await client.request(method, url, json=body, content=row.content, headers=headers)
            if complaint := documented().complaint(method, path, answer):
                wrong.append(f"{method} {url}: {complaint}")
            if answer.is_success and succeeded is not None:
                succeeded.add((method, path))
            statuses, only = expected(row, role, where, factor)
            if (answer.status_code in statuses) is not only or answer.status_code >= 500:
                wrong.append(f"{method} {url}: {answer.status_code} {answer.text[:160]}")
            elif row.place is Place.LIST and answer.status_code == 200:
                wrong += wrong_list(method, url, role, where, answer.json()["items"])
    return wrong


def wrong_list(method: str, url: str, role: Role, where: str, items: list[object]) -> list[str]:
    """A list is empty outside, and is not inside: a scope that hides everything would pass otherwise."""
    if where == "outside" and items:
        return [f"{method} {url}: {len(items)} from outside the area"]
    if where != "outside" and not items and not only_own(actor_of(me(role))):
        return [f"{method} {url}: empty inside the area"]
    return []


@pytest.mark.parametrize(("role", "where", "factor"), list(itertools.product(Role, WHERE, (True, False))))
def test_every_route_answers_every_role_as_the_matrix_says(role: Role, where: str, factor: bool) -> None:
    assert asyncio.run(ask_everything(role, where, factor)) == []


def test_the_answers_that_are_held_against_the_document_are_of_all_routes() -> None:
    """A refusal proves little of a schema: every route must be seen to do what was asked, by somebody."""
    succeeded: set[tuple[str, str]] = set()
    for role in Role:
        asyncio.run(ask_everything(role, "everywhere", True, succeeded))
    assert set(ROWS) - succeeded == UNSEEN


def test_what_takes_a_second_factor_says_so_to_who_has_the_right_but_not_the_factor() -> None:
    world = asyncio.run(access_world())
    with AsgiClient(world.app) as client:
        token = world.token(Role.SECURITY, EVERYWHERE)
        body = {"username": "new1", "name": "新", "roles": ["operator"]}
        answer = client.post("/api/v1/users", json=body, headers={"Authorization": f"Bearer {token}"})
        assert answer.json()["type"] == "urn:citybrain:problem:second-factor-required"
        assert Action.USERS in NEEDS_SECOND_FACTOR
