"""Stations from the register to the alarm: registered through the public door, dialled in over TCP, answered, alarmed, checked."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from citybrain_testing.outcome import get, pages
from citybrain_testing.servers import free_port
from citybrain_testing.system import System, running, wait_for
from devices.codecs import hj212, sl651

pytestmark = [pytest.mark.broker, pytest.mark.database, pytest.mark.slow]

WAIT_S = 20.0
STATION, MN = "0011223344", "010000A8900016F000169DC0"
LEVELS = {"blue": 3.0, "yellow": 4.0, "orange": 5.0, "red": 6.0}
OFF = {colour: value - 0.2 for colour, value in LEVELS.items()}


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    return {"sl651": free_port(), "hj212": free_port()}


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, ports: dict[str, int]) -> Iterator[System]:
    doors = " ".join(f"{codec}=127.0.0.1:{port}" for codec, port in ports.items())
    with running(
        tmp_path_factory.mktemp("stations") / "data",
        args=("--demo", "--no-simulator", "--clock", "real"),
        env={"CITYBRAIN_DEV_STACK": "", "CITYBRAIN_STATIONS": doors},
    ) as started:
        yield started


@pytest.fixture(scope="module")
def admin(system: System) -> Iterator[httpx.Client]:
    with contextlib.closing(system.login("admin")) as client:
        yield client


def register(admin: httpx.Client, device_id: str, model: str, stations: dict[str, Any], **more: Any) -> httpx.Response:
    document = {
        "device_id": device_id,
        "model": model,
        "name": device_id,
        "lon": 121.44,
        "lat": 28.68,
        "vendor": "haichuan",
    }
    return admin.post(
        "/api/v1/devices", json={**document, "attributes": {"stations": stations, **more.pop("attributes", {})}, **more}
    )


@pytest.fixture(scope="module")
def registered(admin: httpx.Client) -> None:
    answer = register(
        admin,
        "hydro-1",
        "hydro-station-v1",
        {"sl651": {"station": STATION, "password": "03E8"}},
        attributes={"properties": ["stage_m", "battery_v"]},
        thresholds={"stage_m": {"on": LEVELS, "off": OFF, "direction": "rise", "source": "测试台账"}},
    )
    answer.raise_for_status()
    assert "03E8" not in answer.text
    assert "password" not in answer.json()["device"]["attributes"]["stations"]["sl651"]
    assert "password_hash" not in admin.get("/api/v1/devices/hydro-1").text
    register(admin, "dust-1", "dust-monitor-v1", {"hj212": {"station": MN, "password": "123456"}}).raise_for_status()


def check(admin: httpx.Client, device_id: str) -> dict[str, Any]:
    report: dict[str, Any] = get(admin, f"/api/v1/devices/{device_id}/check")
    return report


def stored(admin: httpx.Client, device_id: str) -> dict[str, Any]:
    """The report of a device once something of it is in the database."""

    def look() -> dict[str, Any] | None:
        report = check(admin, device_id)
        return report if report["last_messages"] else None

    return wait_for(f"{device_id} is stored", look, WAIT_S)


def river_frame(stage_m: float) -> bytes:
    now_us = time.time_ns() // 1000
    body = b"\x00\x01" + sl651.bcd_time(now_us, seconds=True) + b"\xf1\xf1" + bytes.fromhex(STATION) + b"\x48"
    body += b"\xf0\xf0" + sl651.bcd_time(now_us, seconds=False)
    body += sl651.element("39", stage_m, digits=7, decimals=3) + sl651.element("38", 12.5, digits=4, decimals=2)
    frame = sl651.Frame(up=True, centre=1, station=STATION, password="03E8", function=0x33, body=body, end=sl651.ETX)
    return sl651.encode(frame)


def dust_frame(value: str, *, pw: str = "123456") -> bytes:
    now = time.strftime("%Y%m%d%H%M%S", time.gmtime(time.time() + 8 * 3600))
    cp = f"DataTime={now};a34004-Rtd={value},a34004-Flag=N"
    return hj212.encode(hj212.Frame(qn=f"{now}000", st="39", cn="2011", pw=pw, mn=MN, flag=5, cp=cp))


@pytest.mark.usefixtures("registered")
def test_a_river_station_is_answered_and_raises_the_alarm(
    system: System, admin: httpx.Client, ports: dict[str, int]
) -> None:
    with socket.create_connection(("127.0.0.1", ports["sl651"]), timeout=WAIT_S) as line:
        line.sendall(river_frame(6.2))
        assert sl651.open_frame(line.recv(1024)).end == sl651.EOT
    with contextlib.closing(system.login("leader1")) as leader:

        def look() -> dict[str, Any] | None:
            rows = pages(leader, "/api/v1/alarms", state="open")
            return next((row for row in rows if row["device_ids"] == ["hydro-1"]), None)

        alarm = wait_for("the station's alarm", look, WAIT_S)
    assert (alarm["colour"], alarm["value"]) == ("red", 6.2)
    report = stored(admin, "hydro-1")
    assert {row["property"]: row["result"] for row in report["last_messages"]} == {"stage_m": 6.2, "battery_v": 12.5}


@pytest.mark.usefixtures("registered")
def test_what_is_wrong_with_a_frame_is_shown_to_its_vendor(admin: httpx.Client, ports: dict[str, int]) -> None:
    damaged = dust_frame("35.2").replace(b"35.2", b"95.2")
    with socket.create_connection(("127.0.0.1", ports["hj212"]), timeout=WAIT_S) as line:
        line.sendall(damaged + dust_frame("1", pw="000000") + dust_frame("36.5"))
        (answer,) = hj212.Hj212Decoder().feed(line.recv(1024))
        assert b"CN=9014" in answer.raw
    report = stored(admin, "dust-1")
    assert [row["result"] for row in report["last_messages"]] == [36.5]
    reasons = sorted(letter["reason"] for letter in report["dead_letters"])
    assert len(reasons) == 2
    assert reasons[0].startswith("checksum: expected ")
    assert "wrong password" in reasons[1]


@pytest.mark.usefixtures("registered")
def test_a_station_number_is_given_once(admin: httpx.Client) -> None:
    again = register(admin, "hydro-2", "hydro-station-v1", {"sl651": {"station": STATION}})
    assert again.status_code == 422
    assert "belongs to another device already" in again.text
    wrong = register(admin, "hydro-3", "hydro-station-v1", {"sl999": {"station": "1"}})
    assert wrong.status_code == 422
    assert "attributes.stations.sl999" in wrong.text
