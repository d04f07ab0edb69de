"""Shapes of answers: problems, pages of lists, ETags, idempotency, files."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from citybrain_testing.api_rim import (
    CITY_US,
    PASSWORD,
    FakeFacade,
    FakePicture,
    HandClock,
    a_registry,
    an_alarm,
    fake_deps,
)
from citybrain_testing.asgi_client import AsgiClient
from command_center.api.app import build_app
from command_center.api.layers import StaticLayers
from command_center.api.schemas import iso
from command_center.model import Actor, TaskState
from stream.errors import LogFull


class Desk:
    """A client that is logged in."""

    def __init__(self, username: str = "duty1", **changes: Any) -> None:
        self.facade = FakeFacade()
        self.client = AsgiClient(build_app(fake_deps(**{"facade": self.facade, **changes})))
        self.be(username)

    def be(self, username: str) -> None:
        answer = self.client.post("/api/v1/sessions", json={"username": username, "password": PASSWORD})
        self.client.cookies.clear()
        self.headers = {"Authorization": f"Bearer {answer.json()['token']}"}

    def request(self, method: str, path: str, headers: dict[str, str] | None = None, **options: Any) -> Any:
        return self.client.request(method, path, headers={**self.headers, **(headers or {})}, **options)

    def get(self, path: str, **options: Any) -> Any:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> Any:
        return self.request("POST", path, **options)


@pytest.fixture
def desk() -> Iterator[Desk]:
    found = Desk()
    with found.client:
        yield found


# -- problems --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "slug"),
    [
        ("GET", "/api/v1/incidents/none", None, 404, "not-found"),
        ("GET", "/api/v1/devices/none", None, 404, "not-found"),
        ("GET", "/api/v1/nothing-here", None, 404, "not-found"),
        ("PUT", "/api/v1/alarms", {}, 405, "method-not-allowed"),
        ("POST", "/api/v1/incidents/I-20190809-001/reject", {}, 422, "validation"),
        ("POST", "/api/v1/incidents/I-20190809-001/notes", {}, 422, "invalid"),
        ("POST", "/api/v1/units/unit-1/position", {"lon": 181, "lat": 28}, 422, "validation"),
        ("POST", "/api/v1/units/unit-1/position", {"lon": 121, "lat": 28, "lng": 1}, 422, "validation"),
        ("POST", "/api/v1/tasks/I-20190809-001-T01/fly", {}, 422, "validation"),
        ("POST", "/api/v1/tasks/I-20190809-001-T01/arrive", {"lon": 121.4}, 422, "invalid"),
        ("POST", "/api/v1/tasks/I-20190809-001-T01/arrive", {"device_time": "2019-08-09T12:00:00"}, 422, "validation"),
        ("GET", "/api/v1/datastreams/7/observations?from=yesterday&to=9", None, 422, "invalid"),
        ("GET", "/api/v1/datastreams/7/observations?from=9&to=9", None, 422, "invalid"),
        ("GET", "/api/v1/datastreams/7/observations?from=0&to=90000000000&bucket_s=0.001", None, 422, "invalid"),
        ("GET", "/api/v1/alarms?limit=0", None, 422, "validation"),
        ("GET", "/api/v1/layers/none.geojson", None, 404, "not-found"),
        ("POST", "/api/v1/clock/advance", {"seconds": 1}, 403, "forbidden"),
    ],
)
def test_every_error_is_a_problem_that_says_what_was_wrong(
    desk: Desk, method: str, path: str, body: Any, status: int, slug: str
) -> None:
    answer = desk.request(method, path, json=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == f"urn:citybrain:problem:{slug}"
    assert (problem["status"], bool(problem["detail"]), bool(problem["title"])) == (status, True, True)


def test_a_validation_problem_names_field_and_expectation(desk: Desk) -> None:
    problem = desk.post("/api/v1/units/unit-1/position", json={"lon": "east", "lat": 100}).json()
    found = {e["field"]: e for e in problem["errors"]}
    assert found["body.lon"]["got"] == "east"
    assert "90" in found["body.lat"]["expected"]


def test_broken_json_is_a_problem_too(desk: Desk) -> None:
    answer = desk.post("/api/v1/bulletins", content=b"{broken", headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


def test_our_own_fault_tells_nothing_of_the_inside() -> None:
    class Broken(FakeFacade):
        async def units(self, actor: Any) -> Any:
            raise RuntimeError("password of the database is 12345")

    desk = Desk(facade=Broken())
    with desk.client, pytest.raises(AssertionError, match=r"status 500 is not documented.*logged") as found:
        desk.get("/api/v1/units")
    assert "12345" not in str(found.value)


# -- lists, history, ETags -------------------------------------------------------------------------------------------


def test_devices_come_in_pages(desk: Desk) -> None:
    first = desk.get("/api/v1/devices?limit=1").json()
    second = desk.get(f"/api/v1/devices?limit=1&cursor={first['next']}").json()
    assert [first["items"][0]["device_id"], second["items"][0]["device_id"], second["next"]] == [
        "cam-1",
        "gauge-1",
        None,
    ]
    gauge = second["items"][0]
    assert (gauge["status"], gauge["latest"]["stage_m"][0]) == ("online", 4.2)
    assert gauge["datastreams"] == [{"datastream": 7, "property": "stage_m", "uom": "m", "kind": "number"}]


def test_what_the_caller_has_already_is_not_sent_again(desk: Desk) -> None:
    first = desk.get("/api/v1/devices/gauge-1")
    again = desk.get("/api/v1/devices/gauge-1", headers={"If-None-Match": f'W/"x", {first.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert desk.get("/api/v1/devices/gauge-1", headers={"If-None-Match": '"x"'}).status_code == 200


def test_observations_and_buckets(desk: Desk) -> None:
    rows = desk.get(
        "/api/v1/datastreams/7/observations?from=2019-08-09T12:00:00Z&to=2019-08-09T20:00:01%2B08:00"
    ).json()
    assert rows["items"][0]["phenomenon_us"] == CITY_US
    assert (rows["uom"], rows["property"]) == ("m", "stage_m")
    buckets = desk.get(f"/api/v1/datastreams/7/observations?from={CITY_US}&to={CITY_US + 10**9}&bucket_s=60").json()
    assert buckets["items"][0]["count"] == 1
    span = f"property=stage_m&from={CITY_US}&to={CITY_US + 10**9}"
    area = desk.get(f"/api/v1/areas/3399/observations?{span}").json()
    assert (area["uom"], area["area"], area["series"], area["items"][0]["series"]) == ("m", "3399", 1, 1)
    assert desk.get(f"/api/v1/areas/3398/observations?{span}").status_code == 404
    sheet = desk.get(f"/api/v1/observations/export?device=gauge-1&from={CITY_US}&to={CITY_US + 1}&format=ndjson")
    assert (sheet.headers["content-type"], sheet.headers["x-series"]) == ("application/x-ndjson", "1")
    assert sheet.json()["property"] == "stage_m"
    assert desk.get(f"/api/v1/observations/export?area=3398&from={CITY_US}&to={CITY_US + 1}").status_code == 404
    assert desk.get(f"/api/v1/areas/3399/observations?{span}&bucket_s=4000").status_code == 422


def test_city_time_is_written_exactly() -> None:
    assert iso(CITY_US + 1) == "2019-08-09T12:00:00.000001Z"


def test_the_clock_tells_the_pages_what_they_need(desk: Desk) -> None:
    clock = desk.get("/api/v1/clock").json()
    assert clock["city_time"] == "2019-08-09T12:00:00.000000Z"
    assert (clock["rate"], clock["kind"], clock["run_id"], clock["banner"]["zh"]) == (60.0, "scaled", "run-1", "演示")


def test_only_a_stepped_clock_is_advanced_and_only_by_the_admin() -> None:
    moved: list[float] = []

    async def advance(seconds: float) -> None:
        moved.append(seconds)

    desk = Desk("admin", advance=advance)
    with desk.client:
        assert desk.post("/api/v1/clock/advance", json={"seconds": 5}).status_code == 409
    stepped = Desk("admin", advance=advance, clock=HandClock(kind="stepped", rate=0.0))
    with stepped.client:
        assert stepped.post("/api/v1/clock/advance", json={"seconds": 5}).status_code == 200
    assert moved == [5.0]


def test_without_the_database_the_open_alarms_come_from_the_picture() -> None:
    picture = FakePicture(a_registry(), [an_alarm(stored=False)])
    desk = Desk(picture=picture)
    desk.facade.down = True
    with desk.client:
        answer = desk.get("/api/v1/alarms")
        assert [a["stored"] for a in answer.json()["items"]] == [False]
        assert desk.get("/api/v1/alarms?state=all").status_code == 503


def test_a_missing_database_of_observations_says_when_to_come_again() -> None:
    desk = Desk("analyst1", history=None)
    with desk.client:
        answer = desk.get("/api/v1/dead-letters")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


# -- writes ----------------------------------------------------------------------------------------------------------


def test_a_step_of_a_task_carries_the_time_and_place_of_the_tap(desk: Desk) -> None:
    desk.be("unit-1")
    body = {"comment": "", "device_time": "2019-08-09T20:00:00+08:00", "lon": 121.4, "lat": 28.6}
    path = "/api/v1/tasks/I-20190809-001-T01/accept"
    assert desk.post(path, json=body, headers={"Idempotency-Key": "k1"}).json()["state"] == "ACCEPTED"
    expected = ("I-20190809-001-T01", TaskState.ACCEPTED, CITY_US, (121.4, 28.6), "k1")
    assert desk.facade.calls == [("move", expected)]


def test_a_repeated_request_is_done_once_and_answered_twice(desk: Desk) -> None:
    key = {"Idempotency-Key": "once"}
    body = {"edges": ["r1"], "reason": "积水"}
    first, second = (desk.post("/api/v1/closures", json=body, headers=key) for _ in range(2))
    assert (first.status_code, first.content) == (second.status_code, second.content) == (201, first.content)
    assert len(desk.get("/api/v1/closures").json()["items"]) == 1
    assert desk.post("/api/v1/closures", json={**body, "reason": "x"}, headers=key).status_code == 409
    assert desk.post("/api/v1/closures", json=body).json()["closure_id"] == "C2", "without a key every request counts"


def test_a_key_belongs_to_who_sent_it(desk: Desk) -> None:
    key = {"Idempotency-Key": "once"}
    body = {"edges": ["r1"], "reason": "积水"}
    assert desk.post("/api/v1/closures", json=body, headers=key).json()["closure_id"] == "C1"
    desk.be("leader1")
    assert desk.post("/api/v1/closures", json=body, headers=key).json()["closure_id"] == "C2"


def test_two_that_arrive_together_are_one(desk: Desk) -> None:
    async def both() -> list[Any]:
        client = desk.client.async_client()
        headers = {**desk.headers, "Idempotency-Key": "together"}
        body = {"edges": ["r1"], "reason": "积水"}
        return await asyncio.gather(*(client.post("/api/v1/closures", json=body, headers=headers) for _ in range(5)))

    assert {answer.json()["closure_id"] for answer in desk.client.run(both())} == {"C1"}


def test_a_failure_is_not_remembered(desk: Desk) -> None:
    key = {"Idempotency-Key": "again"}
    body = {"edges": ["r1"], "reason": "积水"}
    desk.facade.down = True
    assert desk.post("/api/v1/closures", json=body, headers=key).status_code == 503
    desk.facade.down = False
    assert desk.post("/api/v1/closures", json=body, headers=key).status_code == 201


def test_a_stored_answer_is_not_for_one_who_has_logged_out(desk: Desk) -> None:
    key = {"Idempotency-Key": "once"}
    body = {"edges": ["r1"], "reason": "积水"}
    desk.post("/api/v1/closures", json=body, headers=key)
    desk.request("DELETE", "/api/v1/sessions/current")
    assert desk.post("/api/v1/closures", json=body, headers=key).status_code == 401


def test_readiness_is_what_the_callable_says() -> None:
    with AsgiClient(build_app(fake_deps(readiness=lambda: {"ready": False, "checks": {"canary": "late"}}))) as client:
        answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["checks"]["canary"]) == (503, "late")
    assert answer.headers["retry-after"] == "5"


# -- pages and layers ------------------------------------------------------------------------------------------------


@pytest.fixture
def build(tmp_path: Path) -> Path:
    dist = tmp_path / "dist"
    (dist / "assets").mkdir(parents=True)
    for name in ("wall", "login", "field"):
        (dist / f"{name}.html").write_text(f"<title>{name}</title>")
    script = dist / "assets" / "wall-abc123.js"
    script.write_text("let x = 1;" * 100)
    script.with_name("wall-abc123.js.gz").write_bytes(gzip.compress(script.read_bytes()))
    (dist / "basemap.geojson").write_text("{}")
    (tmp_path / "secret.txt").write_text("secret")
    (dist / ".hidden").write_text("secret")
    return dist


def test_pages_want_a_login_and_are_never_cached(build: Path) -> None:
    with AsgiClient(build_app(fake_deps(assets=build))) as client:
        away = client.get("/wall")
        assert (away.status_code, away.headers["location"]) == (302, "/login?next=/wall")
        assert "login" in client.get("/login").text
        client.post("/api/v1/sessions", json={"username": "duty1", "password": PASSWORD})
        page = client.get("/wall")
        assert (page.headers["cache-control"], "wall" in page.text) == ("no-cache", True)
        missing = client.get("/desk")
        assert (missing.status_code, "desk.html is not built" in missing.text) == (503, True), (
            "no other page in its place"
        )
        assert client.get("/").headers["location"] == "/wall"


def test_assets_are_kept_for_ever_and_sent_packed_to_who_takes_it(build: Path) -> None:
    with AsgiClient(build_app(fake_deps(assets=build))) as client:
        packed = client.get("/assets/wall-abc123.js", headers={"Accept-Encoding": "gzip"})
        plain = client.get("/assets/wall-abc123.js", headers={"Accept-Encoding": "identity"})
        assert packed.headers["content-encoding"] == "gzip"
        assert "content-encoding" not in plain.headers
        assert packed.text == plain.text
        assert "immutable" in packed.headers["cache-control"]
        assert packed.headers["content-type"].startswith("text/javascript")
        assert client.get("/basemap.geojson").headers["content-type"] == "application/geo+json"
        assert client.get("/basemap.geojson").headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "path",
    ["/../secret.txt", "/assets/../../secret.txt", "/%2e%2e/secret.txt", "/.hidden", "/wall.html", "/assets", "/a%00b"],
)
def test_no_path_leads_out_of_the_build(build: Path, path: str) -> None:
    with AsgiClient(build_app(fake_deps(assets=build))) as client:
        answer = client.get(path)
    assert answer.status_code == 404
    assert "secret" not in answer.text.replace("secret.txt", "")


def test_without_a_build_the_page_says_how_to_make_one() -> None:
    with AsgiClient(build_app(fake_deps())) as client:
        answer = client.get("/login")
    assert answer.status_code == 503
    assert "make web" in answer.json()["detail"]


def test_the_ca_page_shows_a_code_and_gives_the_certificate(tmp_path: Path) -> None:
    pem = tmp_path / "ca.pem"
    pem.write_text("-----BEGIN CERTIFICATE-----\n")
    with AsgiClient(build_app(fake_deps(ca_pem=pem)), "https://city.test:8443") as client:
        assert "<svg" in client.get("/ca").text
        answer = client.get("/ca.pem")
        assert answer.headers["content-type"] == "application/x-x509-ca-cert"
        cookie = client.post("/api/v1/sessions", json={"username": "duty1", "password": PASSWORD}).headers["set-cookie"]
        assert "Secure" in cookie
    with AsgiClient(build_app(fake_deps())) as client:
        assert client.get("/ca").status_code == client.get("/ca.pem").status_code == 404


def test_layers_are_checked_when_loaded_and_served_with_an_etag(tmp_path: Path) -> None:
    geometry = {"type": "LineString", "coordinates": [[121.4, 28.6], [121.5, 28.7]]}
    document = {
        "type": "FeatureCollection",
        "title_zh": "道路",
        "features": [{"type": "Feature", "id": "r1", "geometry": geometry, "properties": {"name": "一路"}}],
    }
    (tmp_path / "roads.geojson").write_text(json.dumps(document))
    desk = Desk(layers=StaticLayers(tmp_path))
    with desk.client:
        (layer,) = desk.get("/api/v1/layers").json()["items"]
        assert (layer["layer"], layer["title_zh"], layer["features"]) == ("roads", "道路", 1)
        answer = desk.get("/api/v1/layers/roads.geojson")
        assert answer.headers["content-type"] == "application/geo+json"
        assert answer.json()["features"][0]["id"] == "r1"
        assert desk.get("/api/v1/layers/roads.geojson", headers={"If-None-Match": layer["etag"]}).status_code == 304
    (tmp_path / "bad.geojson").write_text('{"features": [{"type": "Feature"}]}')
    with pytest.raises(ValueError, match=r"bad\.geojson"):
        StaticLayers(tmp_path)


def test_the_login_page_can_say_that_nothing_here_is_real() -> None:
    with AsgiClient(build_app(fake_deps())) as client:
        assert client.get("/healthz").json() == {"status": "ok", "banner": {"zh": "演示", "en": "Demo"}}


@pytest.mark.parametrize("failure", [LogFull("no space", used_bytes=1, max_bytes=1), TimeoutError()])
def test_a_log_that_takes_nothing_is_said_as_busy_and_not_as_our_fault(failure: Exception) -> None:
    class Refusing(FakeFacade):
        async def acknowledge(self, actor: Actor, alarm_id: str, comment: str = "") -> int:
            raise failure

    with AsgiClient(build_app(fake_deps(facade=Refusing()))) as client:
        body = {"username": "duty1", "password": PASSWORD}
        token = client.post("/api/v1/sessions", json=body).json()["token"]
        headers = {"Authorization": f"Bearer {token}"}
        answer = client.post(f"/api/v1/alarms/{'a' * 16}/ack", json={}, headers=headers)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
