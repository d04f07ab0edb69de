"""A real tenant on a database and a broker that others run: what docker-compose.yml starts, without its containers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import paho.mqtt.publish as publish
import pytest

from citybrain_testing.servers import PrivateMosquitto, private_mosquitto, private_postgres
from citybrain_testing.system import ROOT, System, running, wait_for

pytestmark = [pytest.mark.broker, pytest.mark.database, pytest.mark.slow]

RULE = ROOT / "rules" / "documents" / "flood.river-stage.yaml"
GAUGE = {
    "device_id": "wl-test-1",
    "model": "water-gauge-v1",
    "kind": "water_gauge",
    "name": "测试水位站",
    "lon": 121.43,
    "lat": 28.67,
    "attributes": {"properties": ["stage_m"]},
    "thresholds": {
        "stage_m": {"on": {"orange": 5.0}, "off": {"orange": 4.8}, "on_delay_s": 0, "off_delay_s": 60, "source": "test"}
    },
}


def _hangs_up_when_files_change(broker: PrivateMosquitto, stop: threading.Event) -> None:
    """What deploy/broker-entrypoint.sh does in the container."""
    seen = broker.broker.password_file.stat().st_mtime_ns
    while not stop.wait(0.2):
        now = broker.broker.password_file.stat().st_mtime_ns
        if now != seen:
            seen = now
            os.kill(broker.pid, signal.SIGHUP)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("real")
    stop = threading.Event()
    with private_postgres() as postgres, private_mosquitto(tenant="main") as broker:
        watcher = threading.Thread(target=_hangs_up_when_files_change, args=(broker, stop))
        watcher.start()
        try:
            args = ["--database", postgres.url, "--broker", f"mqtt://127.0.0.1:{broker.port}"]
            env = {
                "CITYBRAIN_BROKER_FILES": str(broker.broker.password_file.parent),
                "CITYBRAIN_BROKER_LOG": str(broker.broker.log_file),
            }
            with running(folder / "data", args=args, env=env) as up:
                yield up
        finally:
            stop.set()
            watcher.join()


def _citybrain(system: System, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "runtime", *args, "--data-dir", str(system.data_dir)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_it_starts_neither_broker_nor_database_and_shows_no_banner(system: System) -> None:
    assert set(system.children()) == {"supervisor", "ingest", "rules", "store", "command"}
    with contextlib.closing(system.login("admin")) as admin:
        clock = admin.get("/api/v1/clock").json()
    assert clock["kind"] == "real"
    assert not clock.get("banner")


def test_a_rule_needs_two_persons_to_become_active(system: System) -> None:
    alone = _citybrain(system, "rules", "activate", str(RULE), "--author", "a", "--approver", "a", "--source", "plan 7")
    assert alone.returncode == 1
    assert "two persons" in alone.stderr


def test_a_registered_gauge_alarms_over_https(system: System, tmp_path: Path) -> None:
    done = _citybrain(system, "rules", "activate", str(RULE), "--author", "a", "--approver", "b", "--source", "plan 7")
    assert done.returncode == 0, done.stderr
    document = tmp_path / "gauge.json"
    document.write_text(json.dumps(GAUGE))
    added = _citybrain(system, "devices", "add", str(document))
    assert added.returncode == 0, added.stderr
    credential = json.loads(added.stdout)[0]["credential"]

    def report() -> list[dict[str, Any]] | None:
        body = json.dumps({"ts": time.time_ns() // 1_000_000, "values": {"stage_m": 5.6}})
        auth: publish.AuthParameter = {"username": "wl-test-1", "password": credential}
        port = int(system.ready["broker_port"])
        publish.single("cb/v1/main/wl-test-1/up/telemetry", body, qos=1, port=port, client_id="wl-test-1", auth=auth)
        alarms: list[dict[str, Any]] = admin.get("/api/v1/alarms").json()["items"]
        return [a for a in alarms if a["device_ids"] == ["wl-test-1"]] or None

    trusted = ssl.create_default_context(cafile=str(system.data_dir / "tls" / "ca.pem"))
    with httpx.Client(base_url=system.ready["https"], verify=trusted, timeout=20.0) as admin:
        word = system.secret("logins")["admin"]
        token = admin.post("/api/v1/sessions", json={"username": "admin", "password": word}).json()["token"]
        admin.headers["Authorization"] = f"Bearer {token}"
        alarms = wait_for("an orange alarm of the gauge", report, 30.0, every_s=0.5)
    assert alarms[0]["colour"] == "orange"
    assert alarms[0]["rule_id"] == "flood.river-stage"
