#!/usr/bin/env python3
"""读数从标准输入逐行读入，每行一个水位（米）；收到 down/ack 才算送达，没收到就重发。
Readings from standard input, a level in metres in each line; delivered means that down/ack has come, else it is sent again.

    pip install 'paho-mqtt>=2'
    echo 5.31 | python gauge.py

Settings: see README.md beside this file.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

DEVICE = os.environ["CITY_DEVICE"]
BASE = f"cb/v1/{os.environ['CITY_TENANT']}/{DEVICE}"
RESEND_S = float(os.environ.get("CITY_RESEND_S", "10"))
STATE = Path(os.environ.get("CITY_STATE", f"{DEVICE}.seq"))


class Gauge:
    def __init__(self) -> None:
        self._confirmed: set[int] = set()
        self._changed = threading.Condition()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=DEVICE, protocol=paho.MQTTv5)
        if password := os.environ.get("CITY_PASSWORD"):
            self._client.username_pw_set(DEVICE, password)
        if ca := os.environ.get("CITY_CA"):
            self._client.tls_set(ca, os.environ.get("CITY_CERT"), os.environ.get("CITY_KEY"))
        self._client.will_set(f"{BASE}/up/state", '{"online":false}', qos=1, retain=True)
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        self._client.connect(os.environ["CITY_HOST"], int(os.environ["CITY_PORT"]), keepalive=60)
        self._client.loop_start()  # connects again by itself

    def _on_connect(self, client: paho.Client, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            print(f"not connected: {reason}", file=sys.stderr)
            return
        client.subscribe(f"{BASE}/down/ack", qos=1)
        client.publish(f"{BASE}/up/state", '{"online":true}', qos=1, retain=True)

    def _on_message(self, client: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:
        with self._changed:
            self._confirmed.add(json.loads(message.payload)["seq"])
            self._changed.notify_all()

    def deliver(self, seq: int, values: dict[str, float]) -> None:
        """Returns when the record is on the city's disk, however long that takes."""
        record = json.dumps({"ts": time.time_ns() // 1_000_000, "seq": seq, "values": values})
        while seq not in self._confirmed:
            self._client.publish(f"{BASE}/up/telemetry", record, qos=1)
            with self._changed:
                self._changed.wait_for(lambda: seq in self._confirmed, RESEND_S)
        self._confirmed.discard(seq)

    def close(self) -> None:
        self._client.publish(f"{BASE}/up/state", '{"online":false}', qos=1, retain=True).wait_for_publish(RESEND_S)
        self._client.disconnect()
        self._client.loop_stop()


def next_seq() -> int:
    """A number more than last time, also after a restart: written down before it is used."""
    seq = int(STATE.read_text()) + 1 if STATE.exists() else 1
    STATE.write_text(str(seq))
    return seq


def main() -> None:
    gauge = Gauge()
    for line in sys.stdin:
        seq = next_seq()
        gauge.deliver(seq, {"stage_m": float(line)})
        print(f"confirmed {seq}", flush=True)
    gauge.close()


if __name__ == "__main__":
    main()
