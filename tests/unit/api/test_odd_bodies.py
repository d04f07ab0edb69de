"""What is valid JSON and can still not be stored or said again: told by name (422), never our fault (500)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from citybrain_testing.access_world import access_world
from citybrain_testing.asgi_client import AsgiClient
from citybrain_testing.matrix import INCIDENT
from command_center.access.scope import EVERYWHERE
from command_center.model import Role

ODD = [
    r'"a\u0000b"',
    r'"\ud800"',
    "NaN",
    "-Infinity",
    "1" + "0" * 30,
    "1" + "0" * 5000,
    r'{"\ud800": 1}',
    r'["\u0000"]',
]
DOORS = [
    ("/api/v1/registers/shelter", '{{"lon": 121.2, "lat": 28.5, "values": {{"name": {0}, "capacity": 3}}}}'),
    ("/api/v1/registers/shelter", '{{"lon": 121.2, "lat": 28.5, "values": {{"name": "x", "capacity": {0}}}}}'),
    ("/api/v1/registers/shelter", '{{"values": {{"name": "x", "capacity": 1}}, "geometry": {{"type": {0}}}}}'),
    (f"/api/v1/incidents/{INCIDENT}/notes", '{{"text": {0}}}'),
    (f"/api/v1/incidents/{INCIDENT}/notes", '{{"text": "x", "nothing": {0}}}'),
    ("/api/v1/devices", '{{"device_id": "g1", "name": {0}, "attributes": {{"x": {0}}}}}'),
    (
        "/api/v1/approvals",
        '{{"kind": "threshold", "subject": "wg-river/stage_m", "payload": {{"on": {0}}}, "source": "x"}}',
    ),
]


@pytest.fixture(scope="module")
def asked() -> Iterator[tuple[AsgiClient, dict[str, str]]]:
    world = asyncio.run(access_world())
    tokens = {r.value: world.token(r, EVERYWHERE, second_factor=True) for r in (Role.ADMIN, Role.OPERATOR, Role.LEADER)}
    with AsgiClient(world.app) as client:
        yield client, tokens


@pytest.mark.parametrize(("path", "body"), DOORS)
@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_an_odd_value_is_told_and_breaks_nothing(
    asked: tuple[AsgiClient, dict[str, str]], path: str, body: str, odd: str
) -> None:
    client, tokens = asked
    role = "operator" if "notes" in path else "leader" if "approvals" in path else "admin"
    headers = {"Authorization": f"Bearer {tokens[role]}", "Content-Type": "application/json"}
    answer = client.post(path, content=body.format(odd).encode(), headers=headers)
    assert answer.status_code in (400, 422), answer.text[:300]
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/registers/shelter?q=a%00b",
        "/api/v1/journal?cursor=%C2%B2",
        "/api/v1/journal?cursor=99999999999999999999",
        "/api/v1/registers/plant/p1/history?cursor=" + "9" * 40,
        "/api/v1/dead-letters?cursor=" + "9" * 40,
    ],
)
def test_an_odd_parameter_is_told_too(asked: tuple[AsgiClient, dict[str, str]], path: str) -> None:
    client, tokens = asked
    answer = client.get(path, headers={"Authorization": f"Bearer {tokens['admin']}"})
    assert answer.status_code == 422, answer.text[:300]


def test_nothing_has_an_id_with_a_nul_in_it(asked: tuple[AsgiClient, dict[str, str]]) -> None:
    client, tokens = asked
    answer = client.get("/api/v1/registers/shelter/a%00b", headers={"Authorization": f"Bearer {tokens['admin']}"})
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
