"""An empty system becomes a working district through the doors that people use, and the first real alarm reaches the right person.

A real tenant on a real clock: three administrators from the first start, people with scopes, areas, registers, gauges with credentials,
units and the roster from the files of `citybrain_testing.new_district`. The tests are one morning in the order in which they stand.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx
import pyotp
import pytest

from citybrain_testing.new_district import CONTACTS, COUNTY, GAUGES, NewDistrict, streets
from citybrain_testing.outcome import ARTIFACTS
from citybrain_testing.system import ROOT, System, wait_for
from simulators.mqtt_light import ConnectionRefused, LightPublisher

pytestmark = [pytest.mark.broker, pytest.mark.database, pytest.mark.slow]

CHINA = timezone(timedelta(hours=8))
PEOPLE = {"duty1": "林晓", "duty2": "周文", "leader1": "陈海"}
ROLES = {"duty1": "operator", "duty2": "operator", "leader1": "leader", "clerk1": "registrar"}
PHONES = {"duty1": "13800000901", "duty2": "13800000902", "leader1": "13800000903", "clerk1": "13800000904"}
FIRST = ["area", "organisation", "contact"]
OBJECTS = ["reservoir", "slope", "underpass", "flood_village"]
KNOWN_S = 10.0  # the broker learns of a new credential within about a second


class Morning:
    """What the tests hand on to each other."""

    def __init__(self, system: System, folder: Path) -> None:
        self.system, self.folder = system, folder
        self.began = time.monotonic()
        self.today = datetime.now(CHINA).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
        self.files = NewDistrict(self.today, people=PEOPLE).write(folder)
        self.passwords: dict[str, str] = {}
        self.credentials: dict[str, str] = {}

    def login(self, username: str, *, otp: str = "") -> httpx.Client:
        client = httpx.Client(base_url=self.system.base_url, timeout=60.0)
        word = self.passwords.get(username) or self.system.secret("logins")[username]
        answer = client.post(
            "/api/v1/sessions", json={"username": username, "password": word, **({"otp": otp} if otp else {})}
        )
        assert answer.status_code == 201, answer.text
        client.headers["Authorization"] = f"Bearer {answer.json()['token']}"
        return client

    def bring(self, client: httpx.Client, kind: str) -> dict[str, Any]:
        """A file through the wizard: dry run without a problem, then commit."""
        path = self.files[kind]
        dry = client.post("/api/v1/imports", params={"kind": kind, "filename": path.name}, content=path.read_bytes())
        assert dry.status_code == 201, dry.text
        run = dry.json()
        assert run["problems"] == [], (kind, run["problems"][:3])
        assert run["counts"]["new"] == run["counts"]["rows"], (kind, run["counts"])
        done = client.post(f"/api/v1/imports/{run['import_id']}/commit", json={"reason": "建区", "skip_wrong": False})
        assert done.status_code == 200, done.text
        return dict(done.json())


@pytest.fixture(scope="module")
def morning(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Morning]:
    folder = tmp_path_factory.mktemp("district")
    (folder / "files").mkdir()
    (folder / "calls").mkdir()
    env = {"CITYBRAIN_DEV_STACK": "", "CITYBRAIN_OUTBOX_FILE": str(folder / "calls")}
    system = System(folder / "data", args=(), env=env)
    system.start()
    try:
        yield Morning(system, folder / "files")
    finally:
        system.stop()


def test_security_makes_the_people_after_setting_up_a_second_factor(morning: Morning) -> None:
    with closing(morning.login("security")) as alone:
        refused = alone.post("/api/v1/users", json={"username": "x1", "name": "某", "roles": ["operator"]})
        assert refused.status_code == 403, "who hands out rights in a real tenant has two factors"
        secret = alone.post("/api/v1/me/totp").json()["secret"]
        confirmed = alone.post("/api/v1/me/totp/confirm", json={"code": pyotp.TOTP(secret).now()})
        assert confirmed.status_code == 200, confirmed.text
        recovery = confirmed.json()["recovery_codes"][0]
    with closing(morning.login("security", otp=recovery)) as security:
        for username, role in ROLES.items():
            body = {
                "username": username,
                "name": PEOPLE.get(username, "郑琳"),
                "roles": [role],
                "phone": PHONES[username],
                "scope": {"areas": [COUNTY]},
            }
            made = security.post("/api/v1/users", json=body)
            assert made.status_code == 201, made.text
            morning.passwords[username] = made.json()["password"]


def test_the_clerk_fills_the_registers_from_the_districts_own_files(morning: Morning) -> None:
    with closing(morning.login("admin")) as admin:
        assert morning.bring(admin, "area")["created"] == 1 + 3 + 12 + 24
    with closing(morning.login("clerk1")) as clerk:
        assert morning.bring(clerk, "organisation")["created"] == 6
        assert morning.bring(clerk, "contact")["created"] == CONTACTS
        assert sum(morning.bring(clerk, kind)["created"] for kind in OBJECTS) == 50
        assert morning.bring(clerk, "unit")["created"] == 5
        assert morning.bring(clerk, "shift")["created"] == 21
        areas = clerk.get("/api/v1/areas").json()
        assert COUNTY in json.dumps(areas)
        slope = clerk.get("/api/v1/registers/slope", params={"limit": 1}).json()
        assert slope["total"] == 15
        assert slope["items"][0]["area"].startswith(COUNTY), "the area follows from the position"
        found = clerk.get("/api/v1/addresses", params={"q": "jiangkou 1hao shuiku"})
        assert found.status_code == 200, found.text


def test_the_gauges_come_with_their_credentials(morning: Morning) -> None:
    with closing(morning.login("admin")) as admin:
        done = morning.bring(admin, "device")
        assert done["created"] == GAUGES
        morning.credentials = done["extra"]["credentials"]
        assert len(morning.credentials) == GAUGES
        again = admin.post(
            "/api/v1/imports",
            params={"kind": "device", "filename": "d.xlsx"},
            content=morning.files["device"].read_bytes(),
        ).json()
        assert again["counts"]["same"] == GAUGES, again["counts"]


def test_the_rules_are_activated_by_two_persons(morning: Morning) -> None:
    files = sorted(str(path) for path in (ROOT / "rules" / "documents").glob("*.yaml"))
    who = ["--author", "leader1", "--approver", "admin", "--source", "新湾水利〔2026〕7号"]
    argv = [
        sys.executable,
        "-m",
        "runtime",
        "rules",
        "activate",
        *files,
        *who,
        "--data-dir",
        str(morning.system.data_dir),
    ]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_the_first_alarm_reaches_who_is_on_duty_now(morning: Morning, tmp_path: Path) -> None:
    gauge = f"wg-{GAUGES:03d}"
    asyncio.run(_report(morning, gauge, [2.0, 4.2]))
    with closing(morning.login("duty1")) as desk:

        def rung() -> dict[str, Any] | None:
            open_ = desk.get("/api/v1/alarms", params={"state": "open"}).json()["items"]
            return next((a for a in open_ if gauge in a["device_ids"] and a["escalation"]), None)

        alarm = wait_for("an alarm that calls somebody", rung, 30.0)
        assert alarm["colour"] == "orange"
        assert alarm["area"] == streets()[GAUGES % 3].code
        on_duty = desk.get("/api/v1/duty/now", params={"area": alarm["area"]}).json()
        assert on_duty["last_resort"] is False
        wanted = _on_duty_by_the_file(morning)
        assert alarm["escalation"]["to"] == wanted == on_duty["chain"][0]["username"]
    calls = morning.folder.parent / "calls"
    message = wait_for(
        "the call is laid out for the telephone", lambda: next(iter(sorted(calls.glob("*.json"))), None), 20.0
    )
    said = json.loads(message.read_text(encoding="utf-8"))
    assert PHONES[wanted] in json.dumps(said), said
    minutes = (time.monotonic() - morning.began) / 60
    ARTIFACTS.mkdir(exist_ok=True)
    (ARTIFACTS / "new-district.json").write_text(
        json.dumps({"minutes_to_the_first_call": round(minutes, 2), "called": wanted})
    )
    assert minutes < 30


def test_an_operator_of_a_street_sees_his_street(morning: Morning) -> None:
    with closing(morning.login("duty1")) as desk:
        whole = {a["area"] for a in desk.get("/api/v1/alarms", params={"state": "all"}).json()["items"]}
    assert streets()[GAUGES % 3].code in whole
    with closing(morning.login("clerk1")) as clerk:
        masked = clerk.get("/api/v1/registers/contact", params={"limit": 1}).json()["items"][0]["values"]["phone"]
        assert "****" in masked


def _on_duty_by_the_file(morning: Morning) -> str:
    now = datetime.now(CHINA)
    rows = NewDistrict(morning.today, people=PEOPLE).roster()
    half = "00:00" if now.hour < 12 else "12:00"
    return next(
        r["账号"] for r in rows if r["日期"] == now.strftime("%Y-%m-%d") and r["岗位"] == "值班员" and r["开始"] == half
    )


async def _report(morning: Morning, gauge: str, stages: list[float]) -> None:
    ready = morning.system.ready
    end = time.monotonic() + KNOWN_S
    while True:
        try:
            link = await LightPublisher.open(
                ready["broker_host"], ready["broker_port"], gauge, morning.credentials[gauge]
            )
            break
        except (ConnectionRefused, ConnectionError):
            assert time.monotonic() < end, "the broker does not know the credential"
            await asyncio.sleep(0.3)
    for seq, stage in enumerate(stages, start=1):
        body = json.dumps({"ts": time.time_ns() // 1_000_000, "seq": seq, "values": {"stage_m": stage}}).encode()
        link.publish(f"cb/v1/{ready['tenant']}/{gauge}/up/telemetry", body)
        await asyncio.sleep(1.0)
    link.close()
