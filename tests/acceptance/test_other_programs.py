"""Programs that are not ours, against the whole system: the samples of docs/samples in three languages, by password and by
certificate, and ThingsBoard's own client. What they send is found in the database."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from citybrain_testing import samples
from citybrain_testing.outcome import get
from citybrain_testing.servers import free_port
from citybrain_testing.system import System, running, wait_for
from citybrain_testing.thingsboard import ThingsBoardDevice

pytestmark = [pytest.mark.broker, pytest.mark.compiler, pytest.mark.database, pytest.mark.slow]

WAIT_S = 30.0


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    port = free_port()
    with running(
        tmp_path_factory.mktemp("programs") / "data",
        args=("--demo", "--no-simulator", "--clock", "real"),
        env={"CITYBRAIN_DEV_STACK": "", "CITYBRAIN_BROKER_TLS_PORT": str(port)},
    ) as started:
        started.ready["broker_tls_port"] = port
        yield started


@pytest.fixture(scope="module")
def admin(system: System) -> Iterator[httpx.Client]:
    with contextlib.closing(system.login("admin")) as client:
        yield client


def register(admin: httpx.Client, device_id: str, **more: Any) -> str:
    """Its password."""
    document = {"device_id": device_id, "model": "water-gauge-v1", "name": device_id, "lon": 121.44, "lat": 28.68}
    answer = admin.post(
        "/api/v1/devices",
        json={**document, "vendor": "haichuan", "attributes": {"properties": ["stage_m", "battery_v"]}, **more},
    )
    answer.raise_for_status()
    word: str = answer.json()["credential"]
    return word


def check(admin: httpx.Client, device_id: str) -> dict[str, Any]:
    report: dict[str, Any] = get(admin, f"/api/v1/devices/{device_id}/check")
    return report


def stored(admin: httpx.Client, device_id: str, result: float) -> dict[str, Any]:
    """The report of a device once the database has this value as its newest."""

    def look() -> dict[str, Any] | None:
        report = check(admin, device_id)
        return report if result in [row["result"] for row in report["last_messages"]] else None

    return wait_for(f"{result} of {device_id} is stored", look, WAIT_S)


@pytest.mark.parametrize("way", ["password", "certificate"])
@pytest.mark.parametrize("language", samples.LANGUAGES)
def test_a_sample_is_confirmed_and_stored(
    system: System, admin: httpx.Client, tmp_path: Path, language: str, way: str
) -> None:
    device_id = f"sample-{language}-{way}"
    settings = {"CITY_HOST": "127.0.0.1", "CITY_TENANT": system.ready["tenant"], "CITY_DEVICE": device_id, "CITY_RESEND_S": "3"}  # fmt: skip
    settings["CITY_PASSWORD"] = register(admin, device_id)
    settings["CITY_PORT"] = str(system.ready["broker_port"])
    if way == "certificate":
        issued = admin.post(f"/api/v1/devices/{device_id}/certificate", json={"days": 30, "reason": "sample"}).json()
        for name, key in {"CITY_CERT": "certificate_pem", "CITY_KEY": "key_pem", "CITY_CA": "ca_pem"}.items():
            (tmp_path / key).write_text(issued[key])
            settings[name] = str(tmp_path / key)
        settings |= {"CITY_PASSWORD": "", "CITY_PORT": str(system.ready["broker_tls_port"])}
    program = samples.start(language, tmp_path, settings)
    out, err = program.communicate("5.31\n5.42\n", timeout=60)
    assert (program.returncode, out) == (0, "confirmed 1\nconfirmed 2\n"), err
    report = stored(admin, device_id, 5.42)
    assert (report["dead_letters"], report["notes"], report["refusals"]) == ([], [], [])


def test_thingsboards_client_is_stored(system: System, admin: httpx.Client) -> None:
    word = register(admin, "tb-gate", model="gateway-v1", kind="gateway", attributes={"properties": ["battery_v"]})
    named = {"stations": {"thingsboard": {"station": "三号水位"}}, "properties": ["stage_m"]}
    register(admin, "tb-child", gateway="tb-gate", attributes=named)

    def connected() -> ThingsBoardDevice | None:
        device = ThingsBoardDevice("127.0.0.1", int(system.ready["broker_port"]), "tb-gate", word)
        if device.greeting == "connected":
            return device
        device.end()
        return None

    device = wait_for("the gateway's connection", connected, WAIT_S)
    try:
        assert device.do("telemetry", {"battery_v": 12.5}) == "ok"
        assert device.do("gateway", ["三号水位", {"stage_m": 3.25}]) == "ok"
        assert device.do("gateway", ["sample-python-password", {"stage_m": 9.0}]) == "ok"
    finally:
        device.end()
    stored(admin, "tb-child", 3.25)
    report = stored(admin, "tb-gate", 12.5)
    assert "is not 'tb-gate' and not bound to it" in report["dead_letters"][0]["reason"]
    assert {refusal["topic"] for refusal in report["refusals"]} <= {"v1/devices/me/rpc/request/1"}
