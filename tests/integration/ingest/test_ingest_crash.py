"""kill -9 of ingest under load with a real Mosquitto: nothing that was acknowledged to the broker is missing in the log."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from citybrain_testing.clocks import LEKIMA_US
from citybrain_testing.logged import all_records, gauge, registry_of, rows_of, series
from citybrain_testing.servers import PrivateMosquitto, private_mosquitto
from stream.reader import LogReader
from stream.registry_cache import save_registry

pytestmark = pytest.mark.broker
ROOT = Path(__file__).resolve().parents[3]
DEVICES = {f"g{n}": f"pw-{n}" for n in range(1, 5)}
MESSAGES = 2_500  # of each device
KILLS_AFTER_S = (0.4, 0.1, 0.3)
WAIT_S = 40.0


class Gauge(threading.Thread):
    """Publishes numbered readings and keeps what the broker acknowledged and what ingest receipted."""

    def __init__(self, broker: PrivateMosquitto, device_id: str) -> None:
        super().__init__(name=device_id)
        self._topic = f"cb/v1/{broker.tenant}/{device_id}"
        self.receipts: set[int] = set()
        self.confirmed = 0
        self._client = paho.Client(CallbackAPIVersion.VERSION2, device_id, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.username_pw_set(device_id, broker.password(device_id))
        self._client.on_message = self._on_receipt
        self._client.connect(broker.host, broker.port)
        self._client.subscribe(f"{self._topic}/down/ack", qos=1)
        self._client.loop_start()

    def _on_receipt(self, client: paho.Client, userdata: object, message: paho.MQTTMessage) -> None:
        self.receipts.add(json.loads(message.payload)["seq"])

    def run(self) -> None:
        for number in range(MESSAGES):
            body = {"ts": LEKIMA_US // 1000 + number, "seq": number, "values": {"stage_m": number}}
            self._client.publish(f"{self._topic}/up/telemetry", json.dumps(body), qos=1).wait_for_publish(WAIT_S)
            self.confirmed += 1

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def start_ingest(settings: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "citybrain_testing.ingest_until_killed", str(settings)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)


def prepare(folder: Path, broker: PrivateMosquitto) -> Path:
    registry = registry_of([gauge(name) for name in DEVICES], [series(int(name[1:]), name) for name in DEVICES])
    with LogReader(folder / "log") as reader:
        save_registry(reader, registry, 0)
    access = {
        "host": broker.host,
        "port": broker.port,
        "username": "service.ingest",
        "password": broker.password("service.ingest"),
    }
    settings = folder / "settings.json"
    document = {
        "city_us": LEKIMA_US,
        "directory": str(folder / "log"),
        "tenant": broker.tenant,
        "broker": access,
        "subscribed": str(folder / "subscribed"),
    }
    settings.write_text(json.dumps(document))
    return settings


def wait_until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not what() and time.monotonic() < deadline:
        time.sleep(0.05)


def test_nothing_acknowledged_is_missing_after_kill_9_of_ingest(tmp_path: Path) -> None:
    with private_mosquitto(accounts=DEVICES) as broker:
        settings = prepare(tmp_path, broker)
        process = start_ingest(settings)
        wait_until((tmp_path / "subscribed").exists)  # what is published before anybody subscribes is nobody's
        gauges = [Gauge(broker, name) for name in DEVICES]
        for device in gauges:
            device.start()
        with LogReader(tmp_path / "log") as reader:
            for after_s in KILLS_AFTER_S:
                before = reader.head()
                wait_until(lambda before=before: reader.head() > before)  # type: ignore[misc]
                time.sleep(after_s)
                process.kill()
                process.wait()
                process = start_ingest(settings)
        for device in gauges:
            device.join(WAIT_S)
        wait_until(lambda: all(len(device.receipts) == MESSAGES for device in gauges))
        process.kill()
        process.wait()
        for device in gauges:
            device.close()
    rows = rows_of(all_records(tmp_path / "log"))
    keys = [(row["datastream"], row["phenomenon_us"]) for row in rows]
    missing = {(n, LEKIMA_US + number * 1000) for n in range(1, 5) for number in range(MESSAGES)} - set(keys)
    assert [device.confirmed for device in gauges] == [MESSAGES] * len(gauges)
    assert missing == set()
    assert [len(device.receipts) for device in gauges] == [MESSAGES] * len(gauges)
    assert len(keys) == len(set(keys))  # what was redelivered stood in the log's tail and was dropped
