"""Credentials of devices at the real Mosquitto: own topics only, revoked within two seconds, by password and by certificate."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import paho.mqtt.client as mqtt
import pytest

from citybrain_testing.servers import free_port
from citybrain_testing.system import ROOT, System, running, wait_for

pytestmark = [pytest.mark.broker, pytest.mark.database, pytest.mark.slow]

WAIT_S = 20.0
REVOKED_WITHIN_S = 2.0


class Device:
    """A device as paho sees it."""

    def __init__(self, name: str, port: int, *, word: str = "", tls: Path | None = None) -> None:
        self.name = name
        self.outcome, self.answered, self.lost = "", threading.Event(), threading.Event()
        self._published: dict[int, str] = {}
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, name, protocol=mqtt.MQTTv5)
        if tls is None:
            self._client.username_pw_set(name, word)
        else:
            self._client.tls_set(str(tls / "ca.pem"), str(tls / "device.pem"), str(tls / "device.key"))
        self._client.on_connect = lambda *a: self._answer(str(a[3]))
        self._client.on_disconnect = lambda *_: self.lost.set()
        self._client.on_publish = lambda _c, _u, mid, reason, _p: self._published.update({mid: str(reason)})
        self._client.reconnect_delay_set(600, 600)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self.answered.wait(5.0)

    def _answer(self, outcome: str) -> None:
        self.outcome = outcome
        self.answered.set()

    def publish(self, topic: str) -> str:
        """The broker's reason code."""
        message = self._client.publish(topic, json.dumps({"values": {"stage_m": 1.0}}), qos=1)
        return wait_for("a PUBACK", lambda: self._published.get(message.mid), WAIT_S, every_s=0.02)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    port = free_port()
    with running(
        tmp_path_factory.mktemp("access") / "data", args=(), env={"CITYBRAIN_BROKER_TLS_PORT": str(port)}
    ) as up:
        up.ready["broker_tls_port"] = port
        yield up


@pytest.fixture(scope="module")
def admin(system: System) -> Iterator[httpx.Client]:
    with contextlib.closing(system.login("admin")) as client:
        yield client


def _register(admin: httpx.Client, device_id: str, **fields: Any) -> str:
    document = {
        "device_id": device_id,
        "model": "water-gauge-v1",
        "name": device_id,
        "lon": 121.4,
        "lat": 28.6,
    } | fields
    answer = admin.post("/api/v1/devices", json=document)
    assert answer.status_code == 201, answer.text
    word: str = answer.json()["credential"]
    return word


def _connected(device_id: str, port: int, word: str) -> bool:
    with contextlib.closing(Device(device_id, port, word=word)) as device:
        return device.outcome == "Success"


def test_a_password_opens_the_own_topics_and_a_revocation_closes_them_within_two_seconds(
    system: System, admin: httpx.Client
) -> None:
    port = int(system.ready["broker_port"])
    word = _register(admin, "wl-a")
    wait_for("the new device's connection", lambda: _connected("wl-a", port, word) or None, WAIT_S)
    with contextlib.closing(Device("wl-a", port, word=word)) as device:
        assert device.publish("cb/v1/main/wl-b/up/telemetry") == "Not authorized"
        assert device.publish("cb/v1/main/wl-a/up/telemetry") in ("Success", "No matching subscribers")
        assert _register(admin, "wl-a", name="改名") == "", "a corrected name keeps the credential"
        time.sleep(1.5)
        assert not device.lost.is_set()
        began = time.monotonic()
        done = admin.delete("/api/v1/devices/wl-a/credentials", params={"reason": "stolen"})
        assert done.status_code == 200, done.text
        assert device.lost.wait(REVOKED_WITHIN_S - (time.monotonic() - began)), "the live connection must be cut"
    wait_for("a refusal", lambda: not _connected("wl-a", port, word) or None, WAIT_S)
    fresh = admin.post("/api/v1/devices/wl-a/credentials", json={"reason": "replaced"}).json()["credential"]
    wait_for("the new password", lambda: _connected("wl-a", port, fresh) or None, WAIT_S)
    assert not _connected("wl-a", port, word)


def test_a_disabled_device_cannot_connect_and_one_brought_back_can(system: System, admin: httpx.Client) -> None:
    port = int(system.ready["broker_port"])
    word = _register(admin, "wl-d")
    wait_for("the new device's connection", lambda: _connected("wl-d", port, word) or None, WAIT_S)
    _register(admin, "wl-d", enabled=False)
    wait_for("a refusal", lambda: not _connected("wl-d", port, word) or None, WAIT_S)
    _register(admin, "wl-d", enabled=True)
    wait_for("the old password again", lambda: _connected("wl-d", port, word) or None, WAIT_S)


def _certified(folder: Path, issued: dict[str, Any]) -> Path:
    folder.mkdir()
    (folder / "ca.pem").write_text(issued["ca_pem"])
    (folder / "device.pem").write_text(issued["certificate_pem"])
    (folder / "device.key").write_text(issued["key_pem"])
    return folder


def _by_certificate(port: int, folder: Path) -> str:
    try:
        with contextlib.closing(Device("wl-c", port, tls=folder)) as device:
            return device.outcome
    except OSError as error:
        return type(error).__name__


def test_a_device_comes_in_by_certificate_and_uses_its_own_topics_only(
    system: System, admin: httpx.Client, tmp_path: Path
) -> None:
    port = int(system.ready["broker_tls_port"])
    _register(admin, "wl-c")
    issued = admin.post("/api/v1/devices/wl-c/certificate", json={"days": 30}).json()
    assert issued["port"] == port
    first = _certified(tmp_path / "first", issued)
    with contextlib.closing(Device("wl-c", port, tls=first)) as device:
        assert device.outcome == "Success"
        assert device.publish("cb/v1/main/wl-c/up/telemetry") in ("Success", "No matching subscribers")
        assert device.publish("cb/v1/main/wl-a/up/telemetry") == "Not authorized"
    second = _certified(tmp_path / "second", admin.post("/api/v1/devices/wl-c/certificate", json={}).json())
    wait_for("the first certificate refused", lambda: _by_certificate(port, first) != "Success" or None, WAIT_S)
    with contextlib.closing(Device("wl-c", port, tls=second)) as device:
        assert device.outcome == "Success"
        admin.delete("/api/v1/devices/wl-c/credentials", params={"reason": "stolen"}).raise_for_status()
        topic = "cb/v1/main/wl-c/up/telemetry"
        began = time.monotonic()
        wait_for("own topics refused", lambda: device.publish(topic) == "Not authorized" or None, REVOKED_WITHIN_S)
        assert time.monotonic() - began < REVOKED_WITHIN_S
    assert _by_certificate(port, second) != "Success"


def test_another_broker_asks_the_same_accounts(system: System, admin: httpx.Client) -> None:
    word = _register(admin, "wl-h")
    secret = json.loads((system.data_dir / "secrets" / "secrets.json").read_text())["broker_hook"]

    def verdict(password: str) -> str:
        ask = {"username": "wl-h", "password": password}
        headers = {"Authorization": f"Bearer {secret}"}
        answer: str = httpx.post(f"{system.base_url}/api/v1/broker/auth", json=ask, headers=headers).json()["result"]
        return answer

    wait_for("the account", lambda: verdict(word) == "allow" or None, WAIT_S)
    assert verdict("wrong") == "deny"
    admin.delete("/api/v1/devices/wl-h/credentials", params={"reason": "stolen"}).raise_for_status()
    wait_for("the revocation", lambda: verdict(word) == "deny" or None, WAIT_S)


def _citybrain(system: System, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "runtime", "devices", *args, "--data-dir", str(system.data_dir)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_line_imports_issues_and_revokes(system: System, tmp_path: Path) -> None:
    port = int(system.ready["broker_port"])
    plain = {"model": "water-gauge-v1", "name": "批量", "lon": 121.4, "lat": 28.6}
    document = tmp_path / "devices.json"
    document.write_text(json.dumps({"devices": [plain | {"device_id": f"wl-i{k}"} for k in (1, 2)]}))
    done = _citybrain(system, "import", str(document))
    assert done.returncode == 0, done.stderr
    words = json.loads(done.stdout)
    wait_for("the imported device", lambda: _connected("wl-i2", port, words["wl-i2"]) or None, WAIT_S)
    again = _citybrain(system, "import", str(document))
    assert (again.returncode, "wl-i1" in again.stderr) == (1, True)
    made = _citybrain(system, "certificate", "wl-i1", "--out", str(tmp_path / "out"))
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "out" / "wl-i1.key").stat().st_mode & 0o777 == 0o600
    assert _citybrain(system, "credentials", "wl-i1", "--rotate", "--revoke").returncode == 2
    assert json.loads(_citybrain(system, "credentials", "wl-i1", "--rotate").stdout)["credential"] != words["wl-i1"]
    gone = json.loads(_citybrain(system, "credentials", "wl-i1", "--revoke", "--reason", "报废").stdout)
    assert gone["password_since_us"] is None
    assert all(c["revoked_machine_us"] for c in gone["certificates"])
