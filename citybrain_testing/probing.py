"""A device that never repeats itself: it tells what PUBACK promised apart from what `down/ack` promised."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

EVERY_S = 0.05
KEEPALIVE_S = 10
RECONNECT_S = 0.2


@dataclass
class Probe:
    """Publishes a numbered record every 50 ms while it is connected. Use as a context."""

    host: str
    port: int
    tenant: str
    device_id: str
    password: str
    city_us: Callable[[], int]
    values: Callable[[int], dict[str, Any]] = lambda seq: {"stage_m": 2.0 + seq % 10 / 100}
    sent: dict[int, int] = field(default_factory=dict)  # seq -> ts, ms
    acked: dict[int, float] = field(default_factory=dict)  # seq -> monotonic s of PUBACK
    confirmed: set[int] = field(default_factory=set)  # seq of which down/ack came

    def __post_init__(self) -> None:
        self._seq_of: dict[int, int] = {}
        self._stop = threading.Event()
        self._connected = threading.Event()
        self._thread = threading.Thread(target=self._run, name="probe", daemon=True)
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id=self.device_id, protocol=MQTTProtocolVersion.MQTTv5)
        client.username_pw_set(self.device_id, self.password)
        client.reconnect_delay_set(1, 1)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        self._client = client

    def __enter__(self) -> Probe:
        self._client.connect(self.host, self.port, KEEPALIVE_S)
        self._client.loop_start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._client.disconnect()
        self._client.loop_stop()

    def topic(self, tail: str = "up/telemetry") -> str:
        return f"cb/v1/{self.tenant}/{self.device_id}/{tail}"

    def _run(self) -> None:
        seq = 0
        while not self._stop.wait(EVERY_S):
            if not self._connected.is_set():
                continue
            seq += 1
            ts_ms = self.city_us() // 1000
            body = json.dumps({"ts": ts_ms, "seq": seq, "values": self.values(seq)})
            sent = self._client.publish(self.topic(), body, qos=1)
            self._seq_of[sent.mid] = seq
            self.sent[seq] = ts_ms

    def _on_connect(self, client: paho.Client, *_: Any) -> None:
        client.subscribe(self.topic("down/#"), qos=1)
        self._connected.set()

    def _on_disconnect(self, *_: Any) -> None:
        self._connected.clear()

    def _on_publish(self, client: paho.Client, data: Any, mid: int, reason: Any, properties: Any) -> None:
        end = time.monotonic() + 1.0  # PUBACK may overtake the publishing thread
        while mid not in self._seq_of and time.monotonic() < end:
            time.sleep(0.001)
        if not reason.is_failure:
            self.acked[self._seq_of.pop(mid)] = time.monotonic()

    def _on_message(self, client: paho.Client, data: Any, message: paho.MQTTMessage) -> None:
        if message.topic.endswith("down/ack"):
            self.confirmed.add(json.loads(message.payload)["seq"])
