"""Video over HTTP: tickets and what they open, the viewing log, clips; what is wrong, and how it is said."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from citybrain_testing.api_rim import fake_deps
from citybrain_testing.asgi_client import AsgiClient
from citybrain_testing.front import Front
from citybrain_testing.matrix import INCIDENT
from citybrain_testing.watching import PNG
from command_center.api.app import build_app
from command_center.model import Role, User

CAMERA = "/api/v1/devices/cam-under/video"
CLIPS = f"/api/v1/incidents/{INCIDENT}/clips"
SPAN = {"from": "2019-08-09T11:00:00Z", "to": "2019-08-09T11:05:00Z"}


@pytest.fixture
def front() -> Iterator[Front]:
    made = Front()
    with made.client:
        yield made


def test_a_ticket_is_a_url_of_ours_that_opens_the_picture(front: Front) -> None:
    asked = front(Role.OPERATOR, "POST", CAMERA, {"purpose": "snapshot", "reason": "看积水"})
    assert asked.status_code == 201
    assert asked.headers["cache-control"] == "no-store"
    url = asked.json()["url"]
    assert url.startswith("/api/v1/video/"), "no address of the platform"
    shown = front(Role.OPERATOR, "GET", url)
    assert (shown.status_code, shown.headers["content-type"], shown.content) == (200, "image/png", PNG)
    assert shown.headers["cache-control"] == "no-store"
    assert front(Role.ANALYST, "GET", url).status_code == 403
    assert front.client.request("GET", url).status_code == 401, "a ticket without a login opens nothing"
    other = front.world.sessions.issue(User(username="duty2", name="乙", roles=[Role.OPERATOR]))[0]
    foreign = front.client.request("GET", url, headers={"Authorization": f"Bearer {other}"})
    assert foreign.status_code == 404
    assert url not in foreign.text


def test_live_is_opened_extended_and_ended(front: Front) -> None:
    url = front(Role.LEADER, "POST", CAMERA, {"purpose": "live", "incident_id": INCIDENT}).json()["url"]
    opened = front(Role.LEADER, "GET", url)
    assert opened.json()["urls"] == {"hls": "http://media.city/rtp/34020000001310000001.m3u8"}
    ticket = url.removesuffix("/media")
    assert front(Role.LEADER, "POST", f"{ticket}/extend").status_code == 201
    assert front(Role.LEADER, "DELETE", ticket).status_code == 204
    assert front(Role.LEADER, "GET", f"{ticket}/picture").status_code == 422
    log = front(Role.AUDITOR, "GET", "/api/v1/video-views?device=cam-under&limit=2").json()
    assert [row["action"] for row in log["items"]] == ["extend", "live"]
    assert log["items"][1]["incident_id"] == INCIDENT
    older = front(Role.AUDITOR, "GET", f"/api/v1/video-views?cursor={log['next']}").json()
    assert {row["reason"] for row in older["items"]} == {"看积水"}


@pytest.mark.parametrize(
    ("path", "body", "why"),
    [
        (CAMERA, {"purpose": "live"}, "reason"),
        (CAMERA, {"purpose": "live", "reason": "  "}, "reason"),
        (CAMERA, {"purpose": "watch", "reason": "x"}, "purpose"),
        (CAMERA, {"purpose": "playback", "reason": "x"}, "both are needed"),
        (CAMERA, {"purpose": "playback", "reason": "x", **SPAN, "to": "2019-08-09T11:00:00"}, "zone"),
        (CAMERA, {"purpose": "live", "reason": "x", "url": "http://x"}, "url"),
        (CAMERA, {"purpose": "live", "reason": "x" * 2001}, "reason"),
        ("/api/v1/devices/wg-river/video", {"purpose": "live", "reason": "x"}, "no video platform"),
        ("/api/v1/devices/cam-under/presets/goto", {"preset": 0, "reason": "x"}, "preset"),
        ("/api/v1/devices/cam-under/presets/goto", {"preset": True, "reason": "x"}, "preset"),
        ("/api/v1/devices/cam-under/presets/goto", {"preset": 1}, "reason"),
        (CLIPS, {"device_id": "cam-under"}, "from"),
        (CLIPS, {"device_id": "cam-under", **SPAN, "to": "2019-08-09T10:00:00Z"}, "after `from`"),
        (CLIPS, {"device_id": "cam-under", **SPAN, "from": "2019-08-09T09:00:00Z"}, "at most 60 min"),
        (CLIPS, {"device_id": "wg-river", **SPAN}, "no video platform"),
        (CLIPS, {"device_id": "../etc", **SPAN}, "device_id"),
    ],
)
def test_what_is_wrong_is_named(front: Front, path: str, body: dict[str, Any], why: str) -> None:
    answer = front(Role.OPERATOR, "POST", path, body)
    assert answer.status_code == 422
    assert why in answer.text


@pytest.mark.parametrize("ticket", ["x", "a.b", "%00", "🎥", "." * 300])
def test_what_is_no_ticket_opens_nothing(front: Front, ticket: str) -> None:
    assert front(Role.OPERATOR, "GET", f"/api/v1/video/{ticket}/media").status_code == 404


def test_a_clip_is_asked_for_once_listed_and_downloaded(front: Front) -> None:
    body = {"device_id": "cam-under", **SPAN, "reason": "留证"}
    first, again = (front(Role.OPERATOR, "POST", CLIPS, body, key="k1") for _ in range(2))
    assert (first.status_code, first.json()) == (201, again.json())
    assert [c["state"] for c in front(Role.ANALYST, "GET", CLIPS).json()["items"]] == ["REQUESTED", "STORED"]
    stored = front.world.names["@clip"]
    assert [c["clip_id"] for c in front(Role.ANALYST, "GET", f"{CLIPS}?state=STORED").json()["items"]] == [stored]
    content = f"/api/v1/clips/{stored}/content"
    assert front(Role.OPERATOR, "GET", content).status_code == 422, "a reason is needed"
    file = front(Role.OPERATOR, "GET", f"{content}?reason=移交")
    assert (file.status_code, file.content) == (200, b"a film of water")
    assert file.headers["content-disposition"] == f'attachment; filename="{stored}"'
    assert front(Role.RESPONDER, "GET", f"{content}?reason=x").status_code == 403
    waiting = front(Role.OPERATOR, "GET", f"/api/v1/clips/{first.json()['clip_id']}/content?reason=x")
    assert waiting.status_code == 409


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/api/v1/video/x/media"), ("GET", "/api/v1/clips/x/content?reason=x")]
)
def test_without_the_room_behind_it_the_door_says_so(method: str, path: str) -> None:
    app = build_app(fake_deps())
    token = app.state.sessions.issue(User(username="duty1", name="值班", roles=[Role.OPERATOR]))[0]
    with AsgiClient(app) as client:
        assert client.request(method, path, headers={"Authorization": f"Bearer {token}"}).status_code == 503
