"""Duty over HTTP: the agreed shapes, who may, inside which area, and what bad input is told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from citybrain_testing.api_rim import USERS, fake_deps
from citybrain_testing.asgi_client import AsgiClient
from citybrain_testing.command import START_US
from citybrain_testing.duty import HOUR_US, PEOPLE, Desk, a_desk
from command_center.api.app import build_app
from command_center.api.auth import Sessions
from command_center.model import Role, User
from storage.memory.command import MemoryStore

SHIFT = {"post": "duty_officer", "username": "duty1", "from_us": START_US - HOUR_US, "to_us": START_US + 8 * HOUR_US}
ORDER = {"text": "立即排查", "urgency": "urgent", "addressees": [{"kind": "user", "id": "duty1"}]}
NOBODY = User(username="met", name="气象", roles=[Role.MET])


class Front:
    """The application over a duty desk in memory; a session of anybody."""

    def __init__(self) -> None:
        self.desk: Desk = asyncio.run(a_desk(MemoryStore()))
        self.app = build_app(fake_deps(duty=self.desk.duty))
        self.client = AsgiClient(self.app)

    def __call__(self, username: str, method: str, path: str, body: Any = None, rev: int | None = None) -> Any:
        user = next(u for u in (*PEOPLE, NOBODY) if u.username == username)
        sessions: Sessions = self.app.state.sessions
        headers = {"Authorization": f"Bearer {sessions.issue(user)[0]}"}
        if rev is not None:
            headers["If-Match"] = f'"{rev}"'
        return self.client.request(method, f"/api/v1{path}", json=body, headers=headers)


@pytest.fixture
def front() -> Iterator[Front]:
    made = Front()
    with made.client:
        yield made


def test_the_roster_in_the_agreed_shapes(front: Front) -> None:
    made = front("clerk1", "POST", "/duty/shifts", SHIFT)
    assert made.status_code == 201
    shift = made.json()
    assert {"shift_id", "post", "username", "name", "area", "from_us", "to_us", "rev"} <= set(shift)
    assert made.headers["location"].endswith(shift["shift_id"])
    listed = front("analyst1", "GET", f"/duty/shifts?from={START_US}&to=2019-08-10T15:00:00Z").json()
    assert [s["shift_id"] for s in listed["items"]] == [shift["shift_id"]]
    assert [g["post"] for g in listed["gaps"]] == ["duty_officer", "duty_leader"]
    now = front("duty1", "GET", "/duty/now?area=339900").json()
    assert {"step", "post", "username", "name", "phone"} <= set(now["chain"][0])
    assert now["chain"][0]["phone"] == "138****0001"
    clear = front("duty1", "GET", "/duty/now?area=339900&clear=true")
    assert clear.json()["chain"][0]["phone"] == "13805760001"
    assert clear.headers["cache-control"] == "no-store"
    posts = front("duty1", "GET", "/duty/posts").json()["items"]
    assert [(p["post"], p["step"]) for p in posts][:2] == [("duty_officer", 1), ("deputy", 2)]


def test_an_edit_carries_the_revision_that_was_seen(front: Front) -> None:
    later = {**SHIFT, "from_us": START_US + HOUR_US}
    shift_id = front("clerk1", "POST", "/duty/shifts", later).json()["shift_id"]
    path = f"/duty/shifts/{shift_id}"
    blind = front("clerk1", "PUT", path, {**later, "username": "duty2"})
    assert blind.status_code == 428
    assert "If-Match" in blind.json()["detail"]
    assert front("clerk1", "PUT", path, {**later, "username": "duty2"}, rev=9).status_code == 409
    assert front("clerk1", "PUT", path, {**later, "username": "duty2"}, rev=1).json()["rev"] == 2
    swapped = front("clerk1", "POST", f"{path}/reassign", {"to": "duty3", "reason": "调班"}, rev=2)
    assert swapped.json()["items"][0]["username"] == "duty3"
    assert front("clerk1", "DELETE", f"{path}?reason=x", rev=3).status_code == 204
    assert front("clerk1", "GET", path).status_code == 404


def test_a_rotation_leave_and_posts(front: Front) -> None:
    body = {
        "post": "duty_officer",
        "usernames": ["duty1", "duty2"],
        "start_us": START_US,
        "shift_hours": 12,
        "until_us": START_US + 48 * HOUR_US,
    }
    assert len(front("leader1", "POST", "/duty/shifts/generate", body).json()["items"]) == 4
    leave = {"username": "duty1", "from_us": START_US, "to_us": START_US + HOUR_US, "reason": "病假"}
    answer = front("clerk1", "POST", "/duty/absences", leave).json()
    assert [s["username"] for s in answer["shifts"]] == ["duty1"]
    path = f"/duty/absences/{answer['absence']['absence_id']}"
    assert front("clerk1", "DELETE", path).status_code == 204
    assert front("clerk1", "DELETE", path).status_code == 404
    one = {"posts": [{"post": "duty_officer", "zh": "值班员", "step": 1}], "reason": "精简"}
    assert [p["en"] for p in front("admin", "PUT", "/duty/posts", one).json()["items"]] == ["duty_officer"]


def test_who_plans_is_offered_the_people_without_their_numbers(front: Front) -> None:
    listed = front("clerk1", "GET", "/duty/people").json()["items"]
    assert {"duty1", "duty2", "leader1"} <= {one["username"] for one in listed}
    assert not {"vendor1", "met", "unit-patrol-1"} & {one["username"] for one in listed}, "they read no roster"
    assert all(set(one) <= {"username", "name", "area"} for one in listed)
    assert front("duty1", "GET", "/duty/people").status_code == 403


def test_a_hand_over_is_signed_by_two_sessions(front: Front) -> None:
    front("clerk1", "POST", "/duty/shifts", SHIFT)
    made = front(
        "duty1", "POST", "/duty/handovers", {"post": "duty_officer", "to_user": "duty2", "substitute_reason": "代班"}
    )
    assert made.status_code == 201
    handover = made.json()
    keys = {"handover_id", "post", "from_user", "to_user", "state", "summary", "open_items", "signatures"}
    assert keys <= set(handover)
    path = f"/duty/handovers/{handover['handover_id']}"
    assert front("duty1", "PUT", path, {"remarks": "三号泵待修"}, rev=1).json()["remarks"] == "三号泵待修"
    assert front("duty2", "POST", f"{path}/sign", {}).status_code == 403
    assert front("duty1", "POST", f"{path}/sign", {}).json()["state"] == "SIGNED_OUT"
    assert front("duty1", "POST", f"{path}/sign", {}).status_code == 403
    assert front("duty2", "POST", f"{path}/sign", {}).json()["state"] == "SIGNED_IN"
    assert front("duty1", "POST", f"{path}/withdraw", {"comment": "x"}).status_code == 409
    assert front("analyst1", "GET", path).json()["signatures"][1]["username"] == "duty2"
    assert front("analyst1", "GET", "/duty/handovers").json()["items"][0]["state_zh"] == "接班已签"


def test_the_log_is_written_read_and_exported(front: Front) -> None:
    made = front("duty1", "POST", "/duty/log", {"kind": "call", "text": "=cmd()来电"})
    assert (made.status_code, made.json()["entry_id"]) == (201, "L-20190809-001")
    assert front("duty1", "POST", "/duty/log", {"kind": "shift", "text": "x"}).status_code == 422
    assert front("duty1", "POST", "/duty/log", {"kind": "nonsense", "text": "x"}).status_code == 422
    assert front("duty1", "POST", "/duty/log", {"kind": "call", "text": "x", "corrects": "L-9"}).status_code == 404
    listed = front("admin", "GET", "/duty/log?day=20190809&limit=1").json()
    assert listed["next"] == "L-20190809-001"
    text = front("duty1", "GET", "/duty/log/export?day=20190809")
    assert text.headers["content-type"].startswith("text/plain")
    assert "L-20190809-001" in text.text
    table = front("duty1", "GET", "/duty/log/export?day=20190809&format=markdown")
    assert table.text.startswith("# 值班日志 20190809")
    sheet = front("duty1", "GET", "/duty/log/export?day=20190809&format=rows").json()
    assert len(sheet["rows"][0]) == len(sheet["columns"])
    assert sheet["rows"][0][4] == "'=cmd()来电"  # a spreadsheet must not run what somebody said
    assert front("duty1", "GET", "/duty/log/export?day=2019").status_code == 422


def test_an_instruction_over_http_from_issue_to_close(front: Front) -> None:
    made = front("leader1", "POST", "/instructions", ORDER)
    assert made.status_code == 201
    path = f"/instructions/{made.json()['instruction_id']}"
    states = [
        front(who, "POST", f"{path}/{verb}", {"comment": "已办"}).json()["state"]
        for who, verb in (
            ("duty1", "receive"),
            ("duty1", "start"),
            ("duty1", "report"),
            ("leader1", "return"),
            ("duty1", "report"),
            ("duty2", "check"),
            ("leader1", "close"),
        )
    ]
    assert states == ["RECEIVED", "IN_PROGRESS", "REPORTED", "RETURNED", "REPORTED", "CHECKED", "CLOSED"]
    assert front("duty1", "GET", "/instructions?state=open").json()["items"] == []
    assert len(front("duty1", "GET", "/instructions").json()["items"]) == 1
    assert front("leader1", "POST", f"{path}/recall", {"comment": "x"}).status_code == 409
    assert front("duty2", "POST", f"{path}/receive", {}).status_code == 403
    assert front("leader1", "POST", f"{path}/explode", {}).status_code == 422
    assert front("unit-patrol-1", "GET", path).status_code == 404


READS = ("/duty/posts", "/duty/shifts", "/duty/now", "/duty/handovers", "/duty/log", "/instructions")
WRITES: tuple[tuple[str, str, dict[str, Any], set[str]], ...] = (
    ("POST", "/duty/shifts", SHIFT, {"clerk1", "leader1", "admin"}),
    ("POST", "/duty/log", {"kind": "call", "text": "x"}, {"duty1", "leader1"}),
    ("POST", "/instructions", ORDER, {"leader1"}),
    (
        "POST",
        "/duty/handovers",
        {"post": "duty_officer", "to_user": "duty3", "substitute_reason": "x"},
        {"duty1", "leader1"},
    ),
    (
        "PUT",
        "/duty/posts",
        {"posts": [{"post": "duty_officer", "zh": "值班员", "step": 1}]},
        {"clerk1", "leader1", "admin"},
    ),
)
EVERYBODY = ("duty1", "leader1", "clerk1", "admin", "analyst1", "unit-patrol-1", "vendor1", "met")


@pytest.mark.parametrize("path", READS)
def test_who_reads(front: Front, path: str) -> None:
    allowed = {"duty1", "leader1", "clerk1", "admin", "analyst1"} | (
        {"unit-patrol-1"} if path == "/instructions" else set()
    )
    assert {who for who in EVERYBODY if front(who, "GET", path).status_code == 200} == allowed
    assert {front(who, "GET", path).status_code for who in set(EVERYBODY) - allowed} <= {403}
    assert front.client.get(f"/api/v1{path}").status_code == 401


@pytest.mark.parametrize(("method", "path", "body", "allowed"), WRITES, ids=lambda v: v if isinstance(v, str) else "")
def test_who_writes(method: str, path: str, body: dict[str, Any], allowed: set[str]) -> None:
    for who in EVERYBODY:
        front = Front()
        with front.client:
            status = front(who, method, path, body).status_code
        assert (status < 300) == (who in allowed), f"{who}: {status}"
        assert status < 300 or status == 403, f"{who}: {status}"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/duty/shifts", {**SHIFT, "from_us": 2**70}),
        ("POST", "/duty/shifts", {**SHIFT, "post": "a b"}),
        ("POST", "/duty/shifts", {**SHIFT, "area": "\x00"}),
        ("POST", "/duty/shifts", {**SHIFT, "surprise": 1}),
        ("POST", "/duty/shifts", {**SHIFT, "phone": "call me"}),
        ("GET", "/duty/shifts?from=yesterday", None),
        ("GET", "/duty/shifts?from=2019-08-09T12:00:00", None),
        ("GET", f"/duty/shifts?from={10**30}", None),
        ("GET", "/duty/shifts?from=0001-01-01T00:00:00%2B08:00", None),
        ("GET", f"/duty/shifts?from={START_US}&to={START_US - 1}", None),
        ("GET", "/duty/now?area=%00", None),
        ("GET", "/duty/log?cursor=%00", None),
        ("GET", "/duty/log?limit=0", None),
        ("GET", "/duty/handovers?cursor='", None),
        ("POST", "/instructions", {**ORDER, "addressees": []}),
        ("POST", "/instructions", {**ORDER, "urgency": "soon"}),
        ("POST", "/instructions", {**ORDER, "due_us": 1}),
        ("POST", "/instructions", {**ORDER, "addressees": [{"kind": "user", "id": "nobody"}]}),
        ("GET", "/instructions?state=lost", None),
    ],
)
def test_bad_input_is_told_what_is_wrong(front: Front, method: str, path: str, body: Any) -> None:
    answer = front("leader1", method, path, body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]


def test_without_a_database_service_the_roster_is_unavailable() -> None:
    app = build_app(fake_deps())
    with AsgiClient(app) as client:
        token = app.state.sessions.issue(USERS["duty1"])[0]
        answer = client.get("/api/v1/duty/posts", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 503
