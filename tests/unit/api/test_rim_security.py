"""Who gets in: every route, every role, and what a request must not be able to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute

from citybrain_testing.api_rim import PASSWORD, USERS, FakeUsers, HandClock, fake_deps
from citybrain_testing.asgi_client import AsgiClient
from command_center.api import pages
from command_center.api.app import OPEN_PATHS, build_app
from command_center.api.sessions import Sessions

PAGES = {"/", "/login", "/ca", "/ca.pem", "/{path:path}", *(f"/{name}" for name in pages.PAGES)}


def client_of(**changes: Any) -> AsgiClient:
    return AsgiClient(build_app(fake_deps(**changes)))


@pytest.fixture
def client() -> Iterator[AsgiClient]:
    with client_of() as found:
        yield found


def kept(path: Path) -> Sessions:
    return Sessions(b"k" * 32, HandClock(), tenant="test", file=path)


def bearer(client: AsgiClient, username: str) -> dict[str, str]:
    answer = client.post("/api/v1/sessions", json={"username": username, "password": PASSWORD})
    assert answer.status_code == 201, answer.text
    client.cookies.clear()
    return {"Authorization": f"Bearer {answer.json()['token']}"}


def all_routes() -> list[tuple[str, str]]:
    """(method, path) of every HTTP route in the OpenAPI document, with path parameters filled in."""
    document = build_app(fake_deps()).openapi()
    return [(method.upper(), path) for path, methods in document["paths"].items() for method in methods]


@pytest.mark.parametrize(("method", "path"), all_routes())
def test_every_route_outside_the_open_list_wants_a_login(client: AsgiClient, method: str, path: str) -> None:
    filled = path.replace("{verb}", "accept").replace("{number}", "7")
    while "{" in filled:
        filled = filled[: filled.index("{")] + "x" + filled[filled.index("}") + 1 :]
    answer = client.request(method, filled, json={})
    if path in OPEN_PATHS:
        assert answer.status_code != 401 or path == "/api/v1/sessions"
    else:
        assert answer.status_code == 401, f"{method} {path} answered {answer.status_code} without login"
        assert answer.headers["content-type"] == "application/problem+json"


def test_no_route_hides_from_the_openapi_document() -> None:
    app = build_app(fake_deps())
    described = set(app.openapi()["paths"])
    seen = {route.path for route in app.routes if isinstance(route, APIRoute)}
    assert seen <= described
    others = {getattr(route, "path", "") for route in app.routes if not isinstance(route, APIRoute)}
    assert {path for path in others if path} - {"/openapi.json", "/api/v1/live"} - PAGES == set()


def test_a_login_gives_a_cookie_a_token_and_a_csrf_word(client: AsgiClient) -> None:
    answer = client.post("/api/v1/sessions", json={"username": "unit-1", "password": PASSWORD})
    body = answer.json()
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert body["user"] == {"username": "unit-1", "name": "一队", "roles": ["responder"], "unit_id": "unit-1"}
    assert client.get("/api/v1/me").json()["csrf"] == body["csrf"]


def test_a_cookie_alone_does_not_write(client: AsgiClient) -> None:
    csrf = client.post("/api/v1/sessions", json={"username": "duty1", "password": PASSWORD}).json()["csrf"]
    path = f"/api/v1/alarms/{'a' * 16}/ack"
    assert client.post(path, json={}).status_code == 403
    assert client.post(path, json={}, headers={"X-CSRF-Token": "0" * 64}).status_code == 403
    assert client.post(path, json={}, headers={"X-CSRF-Token": csrf}).status_code == 202


def test_a_wrong_bearer_is_not_rescued_by_a_good_cookie(client: AsgiClient) -> None:
    client.post("/api/v1/sessions", json={"username": "duty1", "password": PASSWORD})
    assert client.get("/api/v1/me", headers={"Authorization": "Bearer nonsense"}).status_code == 401


@pytest.mark.parametrize("change", ["tail", "middle", "empty"])
def test_a_forged_token_is_refused(client: AsgiClient, change: str) -> None:
    token = bearer(client, "duty1")["Authorization"].removeprefix("Bearer ")
    forged = {"tail": token[:-2] + "xx", "middle": "x" + token, "empty": ""}[change]
    assert client.get("/api/v1/me", headers={"Authorization": f"Bearer {forged}"}).status_code == 401


def test_a_token_of_another_tenant_is_refused(client: AsgiClient) -> None:
    token = bearer(client, "duty1")
    with client_of(tenant="exercise") as other:
        assert other.get("/api/v1/me", headers=token).status_code == 401


def test_a_session_ends_by_logout_and_stays_ended_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "revoked.json"
    with client_of(sessions=kept(path)) as client:
        token = bearer(client, "duty1")
        assert client.get("/api/v1/me", headers=token).status_code == 200
        assert client.delete("/api/v1/sessions/current", headers=token).status_code == 204
        assert client.get("/api/v1/me", headers=token).status_code == 401
    with client_of(sessions=kept(path)) as restarted:
        assert restarted.get("/api/v1/me", headers=token).status_code == 401


def test_a_session_ends_after_one_shift_of_machine_time() -> None:
    clock = HandClock()
    with client_of(clock=clock) as client:
        token = bearer(client, "duty1")
        clock.city += 10**15  # city time races: nothing happens
        assert client.get("/api/v1/me", headers=token).status_code == 200
        clock.advance(12 * 3600 + 1)
        assert client.get("/api/v1/me", headers=token).status_code == 401


def test_people_stay_logged_in_while_the_database_is_down() -> None:
    users = FakeUsers()
    with client_of(users=users) as client:
        token = bearer(client, "duty1")
        users.down = True
        assert client.get("/api/v1/me", headers=token).status_code == 200
        refused = client.post("/api/v1/sessions", json={"username": "duty1", "password": PASSWORD})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "7")


def test_guessing_is_slowed_and_locks_out_only_who_guesses() -> None:
    clock = HandClock()
    with client_of(clock=clock) as client:
        wrong = {"username": "duty1", "password": "guess"}
        assert [client.post("/api/v1/sessions", json=wrong).status_code for _ in range(5)] == [401] * 5
        slowed = client.post("/api/v1/sessions", json={"username": "duty1", "password": PASSWORD})
        assert slowed.status_code == 429
        assert int(slowed.headers["retry-after"]) > 0
        assert client.post("/api/v1/sessions", json={"username": "leader1", "password": PASSWORD}).status_code == 201
        clock.advance(301)
        assert client.post("/api/v1/sessions", json={"username": "duty1", "password": PASSWORD}).status_code == 201


def test_a_disabled_user_does_not_get_in(client: AsgiClient) -> None:
    assert client.post("/api/v1/sessions", json={"username": "gone", "password": PASSWORD}).status_code == 401


def test_a_refused_login_does_not_echo_the_password(client: AsgiClient) -> None:
    answer = client.post("/api/v1/sessions", json={"username": "duty1", "password": "s3cret" * 100})
    assert answer.status_code == 422
    assert "s3cret" not in answer.text
    assert answer.json()["errors"][0]["field"] == "body.password"


WATCH = set(USERS) - {"vendor1", "met", "gone", "security", "auditor"}
APART = {"security", "auditor", "gone"}  # people and the audit, no operations

MAY = {  # (method, path, body) -> users who are not refused
    ("POST", f"/api/v1/alarms/{'a' * 16}/ack", None): {"duty1", "leader1"},
    ("POST", f"/api/v1/alarms/{'a' * 16}/shelve", "shelve"): {"duty1", "leader1"},
    ("POST", f"/api/v1/alarms/{'a' * 16}/unshelve", None): {"duty1", "leader1"},
    ("POST", f"/api/v1/alarms/{'a' * 16}/reset", "reason"): {"duty1", "leader1"},
    ("GET", "/api/v1/requests", None): {"duty1", "leader1"},
    ("POST", "/api/v1/requests/I-20190809-001-R01/answer", "answer"): {"duty1", "leader1"},
    ("POST", "/api/v1/incidents/I-20190809-001/verify", None): {"duty1", "leader1"},
    ("POST", "/api/v1/incidents/I-20190809-001/tasks/issue", None): {"duty1", "leader1"},
    ("POST", "/api/v1/tasks/I-20190809-001-T01/accept", None): {"duty1", "leader1", "unit-1", "unit-2"},
    ("POST", "/api/v1/tasks/I-20190809-001-T01/verify", None): {"duty1", "leader1"},
    ("POST", "/api/v1/tasks/I-20190809-001-T01/recall", None): {"duty1", "leader1"},
    ("POST", "/api/v1/units/unit-1/position", "position"): {"duty1", "leader1", "unit-1"},
    ("POST", "/api/v1/closures", "closure"): {"duty1", "leader1"},
    ("POST", "/api/v1/bulletins", None): {"duty1", "leader1", "met"},
    ("PUT", "/api/v1/devices/gauge-1/thresholds", "thresholds"): {"leader1"},
    ("POST", "/api/v1/devices", "device"): {"admin", "vendor1"},
    ("POST", "/api/v1/devices/import", "import"): {"admin"},
    ("POST", "/api/v1/clock/advance", "advance"): {"admin"},
    ("GET", "/api/v1/alarms", None): WATCH,
    ("GET", "/api/v1/incidents", None): WATCH,
    ("GET", "/api/v1/tasks", None): WATCH,
    ("GET", "/api/v1/units", None): WATCH,
    ("GET", "/api/v1/journal", None): {"analyst1", "leader1", "admin", "auditor"},
    ("GET", "/api/v1/audit/head", None): {"admin", "auditor"},
    ("GET", "/api/v1/audit/verify", None): {"auditor"},
    ("GET", "/api/v1/plans", None): {"duty1", "analyst1", "leader1", "admin"},
    ("GET", "/api/v1/rules", None): {"analyst1", "leader1", "admin"},
    ("GET", "/api/v1/devices/gauge-1", None): set(USERS) - APART,
    ("GET", "/api/v1/devices/cam-1", None): set(USERS) - APART - {"vendor1"},
    ("GET", "/api/v1/devices/gauge-1/check", None): {"vendor1", "duty1", "leader1", "admin"},
    ("GET", "/api/v1/datastreams/7/observations?from=0&to=9", None): set(USERS) - APART - {"unit-1", "unit-2", "met"},
    ("GET", "/api/v1/datastreams/8/observations?from=0&to=9", None): {"duty1", "leader1", "analyst1", "admin"},
    ("GET", "/api/v1/dead-letters", None): {"vendor1", "analyst1", "admin"},
}
BODIES: dict[str | None, Any] = {
    None: {},
    "shelve": {"minutes": 5, "comment": "维护"},
    "reason": {"comment": "探头已毁"},
    "answer": {"state": "SIGNED", "signed_by": "王参谋"},
    "position": {"lon": 121.4, "lat": 28.6},
    "closure": {"edges": ["r1"], "reason": "积水"},
    "thresholds": {"property": "stage_m", "thresholds": {"on": {"blue": 1}}, "source": "文", "approver": "duty1"},
    "device": {
        "device_id": "g9",
        "model": "water-gauge-v1",
        "kind": "water_gauge",
        "name": "九号",
        "lon": 121.0,
        "lat": 28.0,
    },
    "import": {"devices": [{"device_id": "g9"}], "reason": "台账导入"},
    "advance": {"seconds": 1},
}


@pytest.mark.parametrize(("request_", "allowed"), MAY.items(), ids=lambda v: v[1] if isinstance(v, tuple) else "")
def test_roles_are_held_at_the_door(
    client: AsgiClient, request_: tuple[str, str, str | None], allowed: set[str]
) -> None:
    method, path, body = request_
    for username in sorted(set(USERS) - {"gone"}):
        answer = client.request(
            method, path, json=None if method == "GET" else BODIES[body], headers=bearer(client, username)
        )
        refused = answer.status_code in (403, 404)
        assert refused == (username not in allowed), f"{username}: {method} {path} -> {answer.status_code}"


def test_a_responder_sees_only_the_tasks_of_its_unit(client: AsgiClient) -> None:
    token = bearer(client, "unit-1")
    mine = client.get("/api/v1/tasks", headers=token).json()["items"]
    assert [t["task_id"] for t in mine] == ["I-20190809-001-T01"]
    assert client.get("/api/v1/tasks?unit=unit-2", headers=token).status_code == 403
    assert client.get("/api/v1/tasks/I-20190809-001-T02", headers=token).status_code == 404
    assert client.get("/api/v1/tasks/I-20190809-001-T02/route", headers=token).status_code == 404


def test_a_vendor_lists_only_its_own(client: AsgiClient) -> None:
    token = bearer(client, "vendor1")
    assert [d["device_id"] for d in client.get("/api/v1/devices", headers=token).json()["items"]] == ["gauge-1"]
    dead = client.get("/api/v1/dead-letters", headers=token).json()["items"]
    assert [letter["data"]["device_ids"] for letter in dead] == [["gauge-1"]]


def test_a_vendor_registers_only_under_its_own_name(client: AsgiClient) -> None:
    body = {**BODIES["device"], "vendor": "zeta"}
    answer = client.post("/api/v1/devices", json=body, headers=bearer(client, "vendor1"))
    assert answer.json()["device"]["vendor"] == "acme"
    assert answer.headers["cache-control"] == "no-store"


def test_security_headers_are_on_every_answer(client: AsgiClient) -> None:
    for path in ("/healthz", "/api/v1/me", "/nothing", "/wall"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["content-security-policy"].startswith("default-src 'self'")


def test_a_body_without_end_is_refused(client: AsgiClient) -> None:
    token = bearer(client, "duty1")
    path = "/api/v1/bulletins"
    announced = client.post(path, content=b"[" + b"1," * 600_000, headers=token)
    assert announced.status_code == 413
    chunked = client.post(path, content=iter([b"x" * 100_000] * 11), headers=token)
    assert chunked.status_code == 413


def test_metrics_are_for_the_machine_or_the_token(client: AsgiClient) -> None:
    assert client.get("/metrics").status_code == 403  # the test client's address is no loopback one
    answer = client.get("/metrics", headers={"Authorization": "Bearer metrics-secret"})
    assert answer.status_code == 200
    assert "citybrain_http_requests_total" in answer.text
