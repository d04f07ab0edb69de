"""The doors of device credentials, care and the broker's questions: who may, for what, and what a wrong request is told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from citybrain_testing.api_rim import PASSWORD, FakePicture, fake_deps
from citybrain_testing.asgi_client import AsgiClient
from citybrain_testing.devices_world import DevicesWorld, devices_world, gauge
from command_center.api.app import build_app
from command_center.device_care.rates import VendorRate

SECRET = "hook-secret"
BEARER = {"Authorization": f"Bearer {SECRET}"}


class Door:
    loaded = True

    def allows(self, username: str, password: str) -> bool:
        return (username, password) == ("wl-1", "right")

    def knows(self, username: str) -> bool:
        return username in ("wl-1", "service.command")


class NoRates:
    async def vendor_rates(self, from_us: int, to_us: int, *, vendor: str, areas: Sequence[str]) -> list[VendorRate]:
        assert vendor == "acme"
        return []


class Rig:
    def __init__(self, client: AsgiClient, world: DevicesWorld) -> None:
        self.client, self.world = client, world

    def as_user(self, username: str) -> Rig:
        self.client.cookies.clear()
        answer = self.client.post("/api/v1/sessions", json={"username": username, "password": PASSWORD})
        self._csrf = {"X-CSRF-Token": answer.json()["csrf"]}
        return self

    def call(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        answer = self.client.request(method, f"/api/v1{path}", headers=self._csrf, **options)
        return answer.status_code, answer.json() if answer.content else None


@pytest.fixture
def rig() -> Iterator[Rig]:
    context = devices_world(None, [gauge("wl-1"), gauge("wl-z", vendor="zeta")])
    world = asyncio.run(context.__aenter__())
    deps = fake_deps(
        picture=FakePicture(world.registry),
        device_access=world.access,
        device_care=world.care,
        broker_door=Door(),
        broker_secret=SECRET,
        rates=NoRates(),
    )
    with AsgiClient(build_app(deps)) as client:
        yield Rig(client, world)


def test_a_vendor_replaces_and_revokes_its_own_devices_credential(rig: Rig) -> None:
    vendor = rig.as_user("vendor1")
    status, first = vendor.call("POST", "/devices/wl-1/credentials", json={"reason": "new"})
    assert (status, first["credential"]) == (201, "word-1")
    assert vendor.call("POST", "/devices/wl-z/credentials", json={})[0] == 404
    status, state = vendor.call("GET", "/devices/wl-1/credentials")
    assert (status, state["password_since_us"] is not None, "word-1" in str(state)) == (200, True, False)
    assert vendor.call("DELETE", "/devices/wl-1/credentials")[0] == 422, "a revocation has a reason"
    assert vendor.call("DELETE", "/devices/wl-1/credentials", params={"reason": "stolen"})[0] == 200
    assert vendor.call("DELETE", "/devices/wl-1/credentials", params={"reason": "stolen"})[0] == 404


@pytest.mark.parametrize("username", ["duty1", "leader1", "unit-1", "analyst1", "met"])
def test_only_vendors_and_the_administrator_touch_credentials(rig: Rig, username: str) -> None:
    who = rig.as_user(username)
    assert who.call("POST", "/devices/wl-1/credentials", json={})[0] == 403
    assert who.call("POST", "/devices/wl-1/certificate", json={})[0] == 403
    assert who.call("DELETE", "/devices/wl-1/credentials", params={"reason": "x"})[0] == 403


def test_a_certificate_is_shown_once_and_never_cached(rig: Rig) -> None:
    rig.as_user("admin")
    answer = rig.client.post("/api/v1/devices/wl-1/certificate", json={"days": 30}, headers=rig._csrf)
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    assert answer.json()["certificate"]["device_id"] == "wl-1"
    status, problem = rig.call("POST", "/devices/wl-1/certificate", json={"days": 0})
    assert (status, problem["errors"][0]["field"]) == (422, "body.days")


def test_tickets_go_through_the_door(rig: Rig) -> None:
    status, ticket = rig.as_user("duty1").call("POST", "/devices/wl-1/tickets", json={"title": "跳变"})
    assert (status, ticket["state"]) == (201, "OPEN")
    name = ticket["ticket_id"]
    assert rig.call("POST", f"/tickets/{name}/assign", json={})[0] == 200
    assert rig.call("POST", f"/tickets/{name}/start", json={})[0] == 403
    assert rig.call("POST", f"/tickets/{name}/check", json={})[0] == 409
    assert rig.call("POST", f"/tickets/{name}/explode", json={})[0] == 422
    vendor = rig.as_user("vendor1")
    assert vendor.call("POST", f"/tickets/{name}/start", json={})[1]["state_zh"] == "处理中"
    assert vendor.call("POST", f"/tickets/{name}/report", json={})[0] == 422
    assert [t["ticket_id"] for t in vendor.call("GET", "/tickets")[1]["items"]] == [name]
    assert vendor.call("GET", "/tickets", params={"state": "CLOSED"})[1]["items"] == []
    assert rig.as_user("unit-1").call("GET", "/tickets")[0] == 403


def test_calibration_maintenance_and_acceptance_go_through_the_door(rig: Rig) -> None:
    body = {"calibrated": "2019-08-01T00:00:00Z", "calibrated_by": "省计量院", "certificate": "JL-7", "due": "2020-08-01T00:00:00Z"}  # fmt: skip
    vendor = rig.as_user("vendor1")
    assert vendor.call("POST", "/devices/wl-1/calibrations", json=body | {"offsets": {"stage_m": 0.02}})[0] == 201
    assert vendor.call("POST", "/devices/wl-1/calibrations", json=body | {"calibrated": "2019-08-01"})[0] == 422
    assert vendor.call("POST", "/devices/wl-1/calibrations", json=body | {"offsets": {"x": 1}})[0] == 422
    assert len(vendor.call("GET", "/calibrations/due", params={"days": 400})[1]["items"]) == 1
    until = {"until": "2019-08-09T16:00:00Z", "reason": "清淤"}
    assert vendor.call("PUT", "/devices/wl-1/maintenance", json=until)[0] == 403
    assert vendor.call("POST", "/devices/wl-1/acceptance", json={})[0] == 422
    items = {"items": {"position": {"ok": True}}}
    assert vendor.call("POST", "/devices/wl-1/acceptance", json=items)[1]["mark_zh"] == "未验收"
    status, problem = vendor.call("POST", "/devices/wl-1/acceptance", json={"sign": True})
    assert (status, "first_data" in problem["detail"]) == (422, True)
    leader = rig.as_user("leader1")
    assert leader.call("PUT", "/devices/wl-1/maintenance", json=until)[1]["author"] == "leader1"
    care = leader.call("GET", "/devices/wl-1/care")[1]
    assert (care["maintenance"]["reason"], len(care["calibrations"])) == ("清淤", 1)
    assert leader.call("DELETE", "/devices/wl-1/maintenance")[0] == 204
    assert leader.call("GET", "/devices/nobody/care")[0] == 404


@pytest.mark.parametrize(
    ("since", "to"),
    [
        ("²", "5"),
        ("1" * 40, "5"),
        ("0001-01-01T00:00:00+14:00", "2019-08-09T00:00:00Z"),
        ("2019-08-09T00:00:00", "2019-08-10T00:00:00Z"),
        ("-1", "2019-08-09T00:00:00Z"),
        ("2030-01-01T00:00:00Z", "2030-01-02T00:00:00Z"),
    ],
)
def test_a_span_that_is_none_is_refused_with_words(rig: Rig, since: str, to: str) -> None:
    status, problem = rig.as_user("vendor1").call("GET", "/vendors/rates", params={"from": since, "to": to})
    assert (status, problem["detail"].startswith("from")) == (422, True)
    end = {"until": "9999-12-31T23:59:59-14:00", "reason": "x"}
    assert rig.as_user("leader1").call("PUT", "/devices/wl-1/maintenance", json=end)[0] == 422


def test_rates_are_asked_by_those_who_may(rig: Rig) -> None:
    span = {"from": "2019-08-08T00:00:00Z", "to": "2019-08-09T00:00:00Z"}
    status, answer = rig.as_user("vendor1").call("GET", "/vendors/rates", params=span)
    assert (status, answer["items"], answer["own_downtime_excluded"]) == (200, [], True)
    assert rig.as_user("unit-1").call("GET", "/vendors/rates", params=span)[0] == 403
    assert rig.call("GET", "/vendors/rates")[0] == 422


def test_the_broker_shows_its_secret_or_learns_nothing(rig: Rig) -> None:
    ask = {"username": "wl-1", "password": "right"}
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {SECRET}"}):
        assert rig.client.post("/api/v1/broker/auth", json=ask, headers=headers).status_code == 401
    closed = fake_deps(broker_door=Door())
    with AsgiClient(build_app(closed)) as client:
        assert client.post("/api/v1/broker/auth", json=ask, headers={"Authorization": "Bearer "}).status_code == 401


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        ({"username": "wl-1", "password": "right", "clientid": "c"}, "allow"),
        ({"username": "wl-1", "password": "wrong"}, "deny"),
        ({"username": None, "password": None}, "deny"),
        ({}, "deny"),
    ],
)
def test_a_broker_asks_who_may_connect(rig: Rig, body: dict[str, Any], verdict: str) -> None:
    answer = rig.client.post("/api/v1/broker/auth", json=body, headers=BEARER)
    assert (answer.status_code, answer.json()) == (200, {"result": verdict})
    vernemq = rig.client.post("/api/v1/broker/auth", json=body, headers=BEARER | {"vernemq-hook": "auth_on_register"})
    assert vernemq.json() == {"result": "ok" if verdict == "allow" else {"error": "not_allowed"}}


@pytest.mark.parametrize(
    ("username", "action", "topic", "verdict"),
    [
        ("wl-1", "publish", "cb/v1/test/wl-1/up/telemetry", "allow"),
        ("wl-1", "publish", "cb/v1/test/wl-2/up/telemetry", "deny"),
        ("wl-1", "publish", "cb/v1/other/wl-1/up/telemetry", "deny"),
        ("wl-1", "publish", "cb/v1/test/wl-1/up/#", "deny"),
        ("wl-1", "subscribe", "cb/v1/test/wl-1/down/#", "allow"),
        ("wl-1", "subscribe", "cb/v1/test/+/down/#", "deny"),
        ("wl-1", "subscribe", "#", "deny"),
        ("wl-1", "subscribe", "cb/v1/test/wl-1/up/telemetry", "deny"),
        ("wl-1", "own", "cb/v1/test/wl-1/up/telemetry", "deny"),
        ("stranger", "publish", "cb/v1/test/stranger/up/telemetry", "deny"),
        ("service.command", "publish", "cb/v1/test/wl-1/down/cmd", "allow"),
        ("service.command", "publish", "cb/v1/test/wl-1/down/ack", "deny"),
    ],
)
def test_a_broker_asks_about_topics(rig: Rig, username: str, action: str, topic: str, verdict: str) -> None:
    body = {"username": username, "action": action, "topic": topic}
    assert rig.client.post("/api/v1/broker/acl", json=body, headers=BEARER).json() == {"result": verdict}


def test_vernemq_asks_about_several_filters_at_once(rig: Rig) -> None:
    headers = BEARER | {"vernemq-hook": "auth_on_subscribe"}
    own, foreign = "cb/v1/test/wl-1/down/cmd", "cb/v1/test/wl-2/down/cmd"
    ask = {"username": "wl-1", "topics": [{"topic": own, "qos": 1}]}
    assert rig.client.post("/api/v1/broker/acl", json=ask, headers=headers).json() == {"result": "ok"}
    ask["topics"] = [{"topic": own, "qos": 1}, {"topic": foreign, "qos": 1}]
    assert rig.client.post("/api/v1/broker/acl", json=ask, headers=headers).json() == {
        "result": {"error": "not_allowed"}
    }
