"""A duty night through public doors: the roster calls, the shift changes, two people sign, a leader instructs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from citybrain_testing.system import System, running, wait_for
from citybrain_testing.viewing import Viewer

pytestmark = [pytest.mark.broker, pytest.mark.database, pytest.mark.slow]

HALF_HOUR_S = 1_860.0  # longer than the grace that devices get after their registration
HALF_DAY_S = 13 * 3600.0
SOON_S = 20.0


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder: Path = tmp_path_factory.mktemp("duty")
    with running(folder / "data", args=("--demo", "--no-simulator", "--clock", "stepped")) as up:
        yield up


@pytest.fixture(scope="module")
def people(system: System) -> Iterator[dict[str, httpx.Client]]:
    with contextlib.ExitStack() as stack:
        names = ("admin", "duty1", "duty2", "leader1")
        yield {name: stack.enter_context(contextlib.closing(system.login(name))) for name in names}


def called(client: httpx.Client) -> list[str]:
    return [c["username"] for c in client.get("/api/v1/duty/now").json()["chain"]]


def escalations(client: httpx.Client) -> list[dict[str, Any]]:
    alarms = client.get("/api/v1/alarms").json()["items"]
    return [a["escalation"] for a in alarms if a["escalation"] is not None]


def test_a_night_on_duty(system: System, people: dict[str, httpx.Client]) -> None:
    admin, duty1, duty2, leader = (people[name] for name in ("admin", "duty1", "duty2", "leader1"))
    assert called(duty1) == ["duty1", "duty2", "leader1"]
    roster = duty1.get("/api/v1/duty/now").json()
    assert (roster["gaps"], roster["last_resort"]) == ([], False)

    # Devices that never spoke: their alarms ring at the first person of the roster.
    assert admin.post("/api/v1/clock/advance", json={"seconds": HALF_HOUR_S}).status_code == httpx.codes.OK
    ringing = wait_for("an alarm rings", lambda: escalations(duty1) or None, SOON_S)
    assert {(e["to"], e["post"]) for e in ringing} <= {("duty1", "duty_officer"), ("duty2", "deputy")}

    # Eight in the morning comes: the others take over, and what rings rings at them.
    assert admin.post("/api/v1/clock/advance", json={"seconds": HALF_DAY_S}).status_code == httpx.codes.OK
    wait_for("the new shift", lambda: called(duty1) == ["duty2", "duty1", "leader1"], SOON_S)
    log = wait_for("the log tells it", lambda: _shift_lines(duty1) or None, SOON_S)
    assert any("值班员 林晓 下班，值班员 周岚 上班" in line for line in log)

    with Viewer(dial=lambda: system.live(leader), channels=("instruction",)) as screen:
        wait_for("the screen is there", lambda: screen.connections > 0, SOON_S)
        _hand_over(duty1, duty2)
        _instruct(leader, duty2, screen)


def _shift_lines(client: httpx.Client) -> list[str]:
    entries = client.get("/api/v1/duty/log").json()["items"]
    return [e["text"] for e in entries if e["kind"] == "shift"]


def _hand_over(duty1: httpx.Client, duty2: httpx.Client) -> None:
    made = duty1.post(
        "/api/v1/duty/handovers", json={"post": "duty_officer", "to_user": "duty2", "remarks": "通信中断"}
    )
    assert made.status_code == httpx.codes.CREATED, made.text
    handover = made.json()
    assert handover["summary"]["alarm"] == len([i for i in handover["open_items"] if i["kind"] == "alarm"]) > 0
    path = f"/api/v1/duty/handovers/{handover['handover_id']}/sign"
    assert duty2.post(path, json={}).status_code == httpx.codes.FORBIDDEN
    assert duty1.post(path, json={}).json()["state"] == "SIGNED_OUT"
    assert duty2.post(path, json={}).json()["state"] == "SIGNED_IN"


def _instruct(leader: httpx.Client, duty2: httpx.Client, screen: Viewer) -> None:
    body = {"text": "全面排查失联设备", "urgency": "urgent", "addressees": [{"kind": "user", "id": "duty2"}]}
    made = leader.post("/api/v1/instructions", json=body)
    assert made.status_code == httpx.codes.CREATED, made.text
    number = made.json()["instruction_id"]
    assert duty2.post(f"/api/v1/instructions/{number}/receive", json={}).json()["state"] == "RECEIVED"
    kinds = wait_for("both steps on the screen", lambda: _steps(screen), SOON_S)
    assert kinds[-2:] == ["issue", "received"]
    assert screen.errors == []


def _steps(screen: Viewer) -> list[str] | None:
    kinds = [e.kind for e in screen.events("instruction")]
    return kinds if len(kinds) > 1 else None
