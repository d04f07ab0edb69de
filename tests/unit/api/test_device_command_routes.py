"""Commands to devices over HTTP: the agreed shapes, what is refused and how it is said, retries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from citybrain_testing.api_rim import fake_deps
from citybrain_testing.asgi_client import AsgiClient
from citybrain_testing.front import Front
from command_center.api.app import build_app
from command_center.model import Role, User

HERE = "/api/v1/devices/wg-river/commands"
FASTER = {"method": "interval_set", "params": {"interval_s": 30}, "reason": "加密观测"}


@pytest.fixture
def front() -> Iterator[Front]:
    made = Front()
    with made.client:
        yield made


def test_a_command_is_queued_and_found_again(front: Front) -> None:
    made = front(Role.ADMIN, "POST", HERE, FASTER)
    assert made.status_code == 201
    command = made.json()
    assert (command["state"], command["state_zh"], command["params"]) == ("QUEUED", "待发送", {"interval_s": 30.0})
    assert made.headers["location"] == f"/api/v1/commands/{command['command_id']}"
    assert front(Role.OPERATOR, "GET", made.headers["location"]).json() == command
    before = front.world.names["@command"]
    listed = front(Role.ANALYST, "GET", f"{HERE}?state=QUEUED&limit=1").json()
    assert ([c["command_id"] for c in listed["items"]], listed["next"]) == (
        [command["command_id"]],
        command["command_id"],
    )
    rest = front(Role.ANALYST, "GET", f"{HERE}?cursor={listed['next']}").json()
    assert [c["command_id"] for c in rest["items"]] == [before]
    care = front(Role.OPERATOR, "GET", "/api/v1/devices/wg-river/care").json()
    assert [c["command_id"] for c in care["commands"]] == [command["command_id"], before]


def test_a_retry_with_its_key_queues_nothing_twice(front: Front) -> None:
    first, again = (front(Role.ADMIN, "POST", HERE, FASTER, key="k1") for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    other = front(Role.ADMIN, "POST", HERE, {**FASTER, "params": {"interval_s": 20}}, key="k1")
    assert other.status_code == 409


@pytest.mark.parametrize("method", ["siren.start", "pump", "gate.open"])
def test_what_moves_something_is_refused_with_every_unmet_condition(front: Front, method: str) -> None:
    answer = front(Role.LEADER, "POST", HERE, {"method": method, "reason": "内涝"})
    assert answer.status_code == 409
    problem = answer.json()
    assert problem["type"] == "urn:citybrain:problem:refused"
    assert [e["field"] for e in problem["errors"]] == [method] * len(problem["errors"])
    assert {e["expected"] for e in problem["errors"]} == {
        "remote control is switched off",
        "the device is not known to stand on remote",
        "the device gives no feedback",
        "select and execute need a name each",
    }
    valve = front(Role.LEADER, "POST", HERE, {"method": "valve.close", "reason": "泄漏"}).json()
    assert [e["expected"] for e in valve["errors"]] == [
        "a plant's valves are never moved from here: call its control room"
    ]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"method": "interval_set", "reason": "x"}, "interval_s"),
        ({"method": "interval_set", "params": {"interval_s": 600}, "reason": "x"}, "the register expects"),
        ({"method": "interval_set", "params": {"interval_s": None}, "reason": "x"}, "params"),
        ({"method": "preset_goto", "params": {"preset": "9" * 65}, "reason": "x"}, "params"),
        ({"method": "reboot", "reason": "x"}, "expected one of clock_set"),
        ({"method": "Siren!", "reason": "x"}, "method"),
        ({"method": "clock_set"}, "reason"),
        ({"method": "clock_set", "reason": "  "}, "reason"),
    ],
)
def test_what_is_wrong_is_named(front: Front, body: dict[str, Any], why: str) -> None:
    answer = front(Role.ADMIN, "POST", HERE, body)
    assert answer.status_code == 422
    assert why in answer.text


def test_without_the_room_behind_it_the_door_says_so() -> None:
    app = build_app(fake_deps())
    token = app.state.sessions.issue(User(username="admin", name="管理员", roles=[Role.ADMIN]))[0]
    with AsgiClient(app) as client:
        answer = client.request("GET", "/api/v1/commands/x", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 503
