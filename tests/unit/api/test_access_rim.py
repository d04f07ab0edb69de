"""Logins with two factors, sessions that are listed and ended, keys, limits, and what a screen of one area is shown."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pyotp
import pytest

from citybrain_testing.access_world import AccessWorld, access_world
from citybrain_testing.api_rim import PASSWORD, HandClock, a_task, an_alarm, an_incident, fake_deps, live_hub
from citybrain_testing.asgi_client import AsgiClient
from citybrain_testing.authenticator import SoftKey
from citybrain_testing.matrix import ALARM, AREA, INCIDENT
from command_center.access.scope import EVERYWHERE, Scope
from command_center.api.app import build_app
from command_center.api.auth import channels_of
from command_center.api.limits import Limits
from command_center.model import Actor, Role
from gis.hub import EventChannel, Hub, PastEvent, StateChannel
from gis.live import Grant, LiveSession
from gis.sight import Sight

STREET = Scope(areas=(AREA,))


@pytest.fixture
def world() -> AccessWorld:
    return asyncio.run(access_world())


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def log_in(client: AsgiClient, **more: str) -> Any:
    answer = client.post("/api/v1/sessions", json={"username": "leader1", "password": PASSWORD, **more})
    client.cookies.clear()
    return answer


def test_a_login_takes_the_code_once_a_second_factor_is_set_up(world: AccessWorld) -> None:
    clock = world.world.clock
    with AsgiClient(world.app) as client:
        first = log_in(client).json()
        assert first["user"]["second_factor_missing"] is True  # the policy of a real tenant wants one of a leader
        made = client.post("/api/v1/me/totp", headers=bearer(first["token"])).json()
        assert made["qr_svg"].startswith("<svg")
        assert made["uri"].startswith("otpauth://totp/")
        totp = pyotp.TOTP(made["secret"])
        code = totp.at(clock.machine_us() // 1_000_000)
        codes = client.post("/api/v1/me/totp/confirm", json={"code": code}, headers=bearer(first["token"])).json()
        assert len(codes["recovery_codes"]) == 10
        me = client.get("/api/v1/me", headers=bearer(first["token"])).json()
        assert "second_factor_missing" not in me["user"]  # this session has shown a code
        asked = log_in(client)
        assert (asked.status_code, asked.json()["type"]) == (401, "urn:citybrain:problem:second-factor-required")
        assert log_in(client, otp=code).status_code == 401  # taken already
        clock.step(30)
        assert log_in(client, otp=totp.at(clock.machine_us() // 1_000_000)).status_code == 201
        assert log_in(client, otp=codes["recovery_codes"][0]).status_code == 201
        listed = client.get("/api/v1/me/sessions", headers=bearer(first["token"])).json()["items"]
        assert [s["second_factor"] for s in listed] == [True, True, True]


def test_a_login_is_answered_by_a_security_key(world: AccessWorld) -> None:
    clock, origin = world.world.clock, "http://localhost"
    with AsgiClient(world.app, base_url=origin) as client:
        token = log_in(client).json()["token"]
        me = bearer(token) | {"Origin": origin}
        secret = client.post("/api/v1/me/totp", headers=me).json()["secret"]
        assert client.post("/api/v1/me/keys/options", headers=me).status_code == 403, "no second factor was given yet"
        code = pyotp.TOTP(secret).at(clock.machine_us() // 1_000_000)
        client.post("/api/v1/me/totp/confirm", json={"code": code}, headers=me)
        password = {"username": "leader1", "password": PASSWORD}
        assert client.post("/api/v1/sessions/key", json=password, headers={"Origin": origin}).status_code == 404
        foreign = me | {"Origin": "https://evil.test"}
        assert client.post("/api/v1/me/keys/options", headers=foreign).json()["type"].endswith("foreign-origin")
        key, options = SoftKey(), client.post("/api/v1/me/keys/options", headers=me).json()
        body = {"name": "办公室", "credential": key.create(options, origin)}
        made = client.post("/api/v1/me/keys", json=body, headers=me)
        assert made.status_code == 201
        assert client.post("/api/v1/me/keys", json=body, headers=me).status_code == 422, "an answer counts once"
        (listed,) = client.get("/api/v1/me/keys", headers=me).json()["items"]
        assert (listed["name"], listed["rp_id"], listed["last_used_at"]) == ("办公室", "localhost", None)

        def ask(word: str = PASSWORD) -> Any:
            return client.post(
                "/api/v1/sessions/key", json={"username": "leader1", "password": word}, headers={"Origin": origin}
            )

        def answer(credential: Any, origin: str = origin) -> Any:
            got = client.post("/api/v1/sessions", json=password | {"key": credential}, headers={"Origin": origin})
            client.cookies.clear()
            return got

        assert ask("wrong word, long").status_code == 401, "who has no password learns of no key"
        assertion = key.get(ask().json(), origin)
        opened = answer(assertion)
        assert opened.status_code == 201
        assert "second_factor_missing" not in opened.json()["user"]
        assert answer(assertion).status_code == 401, "it opened once"
        assert answer(key.get(ask().json(), origin), "https://evil.test").status_code == 403
        assert answer({"id": "\x00"}).status_code == 422
        assert client.delete(f"/api/v1/me/keys/{listed['key_id']}", headers=me).status_code == 204
        assert ask().status_code == 404


def test_sessions_are_listed_and_ended_one_by_one_or_all_but_this(world: AccessWorld) -> None:
    with AsgiClient(world.app) as client:
        mine, other, third = (log_in(client).json()["token"] for _ in range(3))
        listed = client.get("/api/v1/me/sessions", headers=bearer(mine)).json()["items"]
        assert [s["current"] for s in listed] == [False, False, True]
        assert client.delete(f"/api/v1/sessions/{listed[0]['sid']}", headers=bearer(mine)).status_code == 204
        assert client.get("/api/v1/me", headers=bearer(third)).status_code == 401
        assert client.delete("/api/v1/me/sessions", headers=bearer(mine)).status_code == 204
        assert client.get("/api/v1/me", headers=bearer(other)).status_code == 401
        assert client.get("/api/v1/me", headers=bearer(mine)).status_code == 200
        stranger = world.token(Role.OPERATOR, EVERYWHERE)
        sid = world.sessions.of_user("leader1")[0].sid
        assert client.delete(f"/api/v1/sessions/{sid}", headers=bearer(stranger)).status_code == 404
        guard = world.token(Role.SECURITY, EVERYWHERE, second_factor=True)
        assert client.delete(f"/api/v1/sessions/{sid}", headers=bearer(guard)).status_code == 204
        assert client.get("/api/v1/me", headers=bearer(mine)).status_code == 401


def test_what_the_security_administrator_changes_counts_in_open_sessions(world: AccessWorld) -> None:
    with AsgiClient(world.app) as client:
        token = log_in(client).json()["token"]
        guard = bearer(world.token(Role.SECURITY, EVERYWHERE, second_factor=True))
        assert client.get(f"/api/v1/alarms/{ALARM}", headers=bearer(token)).status_code == 200
        moved = {"scope": {"areas": ["339900002"]}, "reason": "调岗"}
        user = client.get("/api/v1/users/leader1", headers=guard)
        stale = client.put("/api/v1/users/leader1", json=moved, headers={**guard, "If-Match": '"1"'})
        assert stale.status_code == 409
        etag = user.headers["etag"]
        assert client.put("/api/v1/users/leader1", json=moved, headers={**guard, "If-Match": etag}).status_code == 200
        assert client.get(f"/api/v1/alarms/{ALARM}", headers=bearer(token)).status_code == 404
        assert client.get("/api/v1/incidents", headers=bearer(token)).json()["items"] == []
        disabled = client.post("/api/v1/users/leader1/disable", json={"comment": "离职"}, headers=guard)
        assert disabled.json()["enabled"] is False
        assert client.get("/api/v1/me", headers=bearer(token)).status_code == 401
        assert log_in(client).status_code == 401


def test_a_new_user_logs_in_with_the_word_that_was_shown_once(world: AccessWorld) -> None:
    guard = bearer(world.token(Role.SECURITY, EVERYWHERE, second_factor=True))
    body = {"username": "duty9", "name": "九号", "roles": ["operator"], "scope": {"areas": [AREA]}}
    with AsgiClient(world.app) as client:
        made = client.post("/api/v1/users", json=body, headers=guard)
        assert made.headers["cache-control"] == "no-store"
        word = made.json()["password"]
        login = client.post("/api/v1/sessions", json={"username": "duty9", "password": word})
        assert login.json()["user"]["scope"] == {"areas": [AREA]}
        client.cookies.clear()
        assert client.post("/api/v1/users", json=body, headers=guard).status_code == 409
        for wrong, says in (
            ({**body, "username": "x", "roles": ["king"]}, "king"),
            ({**body, "username": "x", "roles": ["operator", "auditor"]}, "never held together"),
            ({**body, "username": "x y"}, "username"),
            ({**body, "username": "x", "scope": {"areas": ["%"]}}, "areas"),
        ):
            answer = client.post("/api/v1/users", json=wrong, headers=guard)
            assert (answer.status_code, says in answer.text) == (422, True), answer.text


def test_a_machine_reads_with_its_key_within_its_scope_until_the_key_is_revoked(world: AccessWorld) -> None:
    guard = bearer(world.token(Role.SECURITY, EVERYWHERE, second_factor=True))
    body = {"name": "省平台", "roles": ["upstream"], "days": 30, "scope": {"areas": [AREA]}}
    with AsgiClient(world.app) as client:
        made = client.post("/api/v1/api-keys", json=body, headers=guard).json()
        machine = bearer(made["token"])
        assert [a["alarm_id"] for a in client.get("/api/v1/alarms", headers=machine).json()["items"]] == [ALARM]
        assert client.post(f"/api/v1/alarms/{ALARM}/ack", json={}, headers=machine).status_code == 403
        listed = client.get("/api/v1/api-keys", headers=guard)
        assert "secret" not in listed.text
        shown = {k["key_id"]: k for k in listed.json()["items"]}[made["key"]["key_id"]]
        assert shown["last_used_machine_us"] is not None
        assert client.delete(f"/api/v1/api-keys/{shown['key_id']}", headers=guard).status_code == 204
        assert client.get("/api/v1/alarms", headers=machine).status_code == 401


def test_a_role_in_one_incident_opens_that_incident_and_no_other_door(world: AccessWorld) -> None:
    path = f"/api/v1/incidents/{INCIDENT}"
    with AsgiClient(world.app) as client:
        outside = Scope(areas=("339900002",))
        commander = bearer(world.token(Role.COMMANDER, outside))
        assert client.get(path, headers=commander).status_code == 404
        leader = bearer(world.token(Role.LEADER, EVERYWHERE))
        body = {"username": "me", "role": "commander", "hours": 2}
        given = client.post(f"{path}/roles", json=body, headers=bearer(log_in(client).json()["token"]))
        assert given.status_code == 201, given.text
        assert client.get(path, headers=commander).status_code == 200
        assert len(client.get("/api/v1/incidents", headers=commander).json()["items"]) == 1
        assert client.get("/api/v1/tasks", headers=commander).json()["items"]
        assert client.post(f"{path}/notes", json={"text": "接管"}, headers=commander).status_code == 200
        assert client.post(f"{path}/verify", json={}, headers=commander).status_code == 403  # the desk's
        assert client.get(f"/api/v1/alarms/{ALARM}", headers=commander).status_code == 404
        roles = client.get(f"{path}/roles", headers=leader).json()["items"]
        world.world.clock.step(2 * 3600 + 1, machine=False)
        assert client.get(path, headers=commander).status_code == 404  # its time is over
        role_id = next(r["role_id"] for r in roles if r["username"] == "me")
        assert client.delete(f"{path}/roles/{role_id}", headers=leader).status_code == 204


def test_an_account_that_writes_too_fast_is_told_so_and_others_are_not() -> None:
    clock = HandClock()
    limits = Limits(account_per_s=2, account_burst=3, address_per_s=100, address_burst=5)
    with AsgiClient(build_app(fake_deps(clock=clock, limits=limits))) as client:

        def token(username: str) -> dict[str, str]:
            body = {"username": username, "password": PASSWORD}
            found = bearer(client.post("/api/v1/sessions", json=body).json()["token"])
            client.cookies.clear()
            return found

        duty, leader = token("duty1"), token("leader1")
        path = f"/api/v1/alarms/{ALARM}/ack"
        assert [client.post(path, json={}, headers=duty).status_code for _ in range(4)] == [202, 202, 202, 429]
        refused = client.post(path, json={}, headers=duty)
        assert refused.json()["type"] == "urn:citybrain:problem:too-many-writes"
        assert refused.headers["retry-after"] == "1"
        assert client.get("/api/v1/alarms", headers=duty).status_code == 200  # reading goes on
        assert client.post(path, json={}, headers=leader).status_code == 202
        assert client.post(path, json={}, headers=leader).status_code == 202
        assert client.post(path, json={}, headers=leader).status_code == 429  # now the address
        clock.advance(1)
        assert client.post(path, json={}, headers=duty).status_code == 202


# -- the live channel --------------------------------------------------------------------------------------------------


def a_feed(actor: Actor, hub: Hub) -> LiveSession:
    grant = Grant(subject=actor.username, channels=channels_of(actor), expires_s=1e9)
    session = LiveSession(hub, lambda _: grant, session_id="s", node="n", now_s=0.0)
    session.receive(b'{"type":"hello","token":"t"}', 0.0, 0)
    return session


def said(session: LiveSession, now_s: float = 0.0) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    while (frame := session.poll(now_s)) is not None:
        messages += msgspec.json.decode(frame)
    return messages


def subscribe(session: LiveSession, channel: str, **more: Any) -> None:
    session.receive(msgspec.json.encode({"type": "sub", "ch": channel, **more}), 0.0, 0)


def test_a_screen_of_one_area_gets_only_its_rows_and_events() -> None:
    hub = live_hub()
    devices, alarms = hub.channels["obj/device"], hub.channels["alarm"]
    assert isinstance(devices, StateChannel)
    assert isinstance(alarms, EventChannel)

    def publish(seq: int, area: str, hazard: str = "flood") -> None:
        data = an_alarm(f"{seq:016x}", area=area)
        alarms.publish(
            seq=seq, kind="raised", object_id=data.alarm_id, rev=seq, data=data, t_us=0, area=area, hazard=hazard
        )

    for n, area in enumerate((f"{AREA}001", "339900002", "")):
        devices.put(f"g{n}", ["x"], t_us=0, lon=121.4, lat=28.6, area=area)
        publish(n + 1, area)
    scope = Scope(areas=(AREA,), hazards=("flood",))
    session = a_feed(Actor(username="street1", roles=frozenset({Role.OPERATOR}), scope=scope), hub)
    subscribe(session, "obj/device")
    subscribe(session, "alarm")
    rows = {m["ch"]: m["rows"] for m in said(session) if m["type"] == "snap"}
    assert [row[0] for row in rows["obj/device"]] == ["g0"]
    assert [row["alarm_id"] for row in rows["alarm"]] == [f"{1:016x}"]
    devices.put("g1", ["y"], t_us=1, lon=121.4, lat=28.6, area="339900002")
    devices.put("g0", ["y"], t_us=1, lon=121.4, lat=28.6, area="339900002")  # handed to the neighbours
    publish(4, "339900002")
    publish(5, AREA, "typhoon")
    publish(6, AREA)
    heard = said(session, 5.0)
    (delta,) = [m for m in heard if m["type"] == "delta"]
    assert (delta["up"], delta["rm"]) == ([], ["g0"])
    assert [m["seq"] for m in heard if m["type"] == "ev"] == [6]


def test_an_event_that_moves_out_of_the_area_is_told_as_gone_and_a_resume_is_held_to_the_area_too() -> None:
    hub = live_hub()
    incidents = hub.channels["incident"]
    assert isinstance(incidents, EventChannel)
    actor = Actor(username="street1", roles=frozenset({Role.OPERATOR}), scope=STREET)
    session = a_feed(actor, hub)
    subscribe(session, "incident")
    said(session)
    for seq, area in ((1, AREA), (2, "339900002"), (3, "339900002")):
        incident = an_incident(area=area)
        incidents.publish(
            seq=seq, kind="moved", object_id=INCIDENT, rev=seq, data=incident, t_us=0, area=area, hazard="flood"
        )
    heard = [(m["seq"], m["kind"]) for m in said(session, 5.0) if m["type"] == "ev"]
    assert heard == [(1, "moved"), (2, "removed")]
    again = a_feed(actor, hub)
    subscribe(again, "incident", since={"epoch": incidents.epoch, "seq": 2})
    assert [m for m in said(again, 5.0) if m["type"] == "ev"] == []
    incidents.skip_to(10)
    late = a_feed(actor, hub)
    subscribe(late, "incident", since={"epoch": incidents.epoch, "seq": 4})
    (wanted,) = late.history_wanted()
    past = [PastEvent(5, "x", "I1", 1, {}, 0, area=AREA, hazard="flood"), PastEvent(6, "x", "I2", 1, {}, 0, area="1")]
    late.history(wanted.sub, past)
    assert [m["id"] for m in said(late, 5.0) if m["type"] == "ev"] == ["I1"]


def test_live_channels_follow_the_matrix() -> None:
    def channels(role: Role, **fields: Any) -> dict[str, Any]:
        return channels_of(Actor(username="x", roles=frozenset({role}), **fields))

    assert channels(Role.SECURITY) == channels(Role.AUDITOR) == {}
    assert set(channels(Role.GRID, scope=STREET)) == {"obj/device", "obj/closure", "alarm", "sys"}
    assert channels(Role.OPERATOR, scope=STREET)["task"] == Sight(areas=(AREA,))
    crew = channels(Role.RESPONDER, unit_id="unit-1", scope=STREET)
    assert (crew["task"], crew["obj/unit"]) == ("unit-1", "unit-1")  # an order reaches them wherever it is sent
    assert channels(Role.VENDOR, vendor="acme") == {"obj/device": "acme", "sys": None}
    assert channels(Role.LIAISON, unit_id="army-1")["task"] == "army-1"
    assert a_task().area == ""


def test_half_a_character_in_a_request_is_the_callers_fault_and_not_ours(world: AccessWorld) -> None:
    with AsgiClient(world.app) as client:
        token = world.token(Role.LEADER, EVERYWHERE, second_factor=True)
        body = b'{"property":"stage_m","thresholds":{"\\ud800":1},"source":"x"}'
        headers = {**bearer(token), "Content-Type": "application/json"}
        assert client.put("/api/v1/devices/wg-river/thresholds", content=body, headers=headers).status_code == 422
        moved = client.delete(f"/api/v1/incidents/{INCIDENT}/roles/%00", headers=headers)
        assert moved.status_code == 404
