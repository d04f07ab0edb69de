"""Topics of other platforms in a real Mosquitto with our plugin: what they become, whose they become, and what stays shut."""

from __future__ import annotations

import queue
import secrets
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from citybrain_testing.servers import PrivateMosquitto, private_mosquitto
from devices.credentials import acl_text
from ingest.refusals import RefusalParser
from runtime.embedded import plugin
from runtime.embedded.mosquitto import MosquittoBroker

pytestmark = [pytest.mark.broker, pytest.mark.compiler]

WORD = secrets.token_urlsafe(9)
END = "the last one"
MANY = 120_000  # a broker that lost the old topics would grow by 32 bytes each, 3.7 MB
GROWTH_MAX_KB = 1_500


@pytest.fixture
def broker() -> Iterator[PrivateMosquitto]:
    with private_mosquitto(accounts={"dev-1": WORD, "dev-2": WORD}) as running:
        yield running


def login(broker: PrivateMosquitto, name: str) -> list[str]:
    return ["-h", broker.host, "-p", str(broker.port), "-u", name, "-P", broker.password(name)]


def publish(broker: PrivateMosquitto, name: str, topic: str, *more: str, text: str = "{}") -> None:
    argv = ["mosquitto_pub", *login(broker, name), "-i", f"client-{name}", "-q", "1", "-t", topic, "-m", text, *more]
    subprocess.run(argv, check=True, timeout=20)


class Ingest:
    """What ingest would get."""

    def __init__(self, broker: PrivateMosquitto) -> None:
        self._broker = broker
        self._came: queue.Queue[str] = queue.Queue()
        ready = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, "ingest")
        self._client.username_pw_set("service.ingest", broker.password("service.ingest"))
        self._client.on_subscribe = lambda *_: ready.set()
        self._client.on_message = lambda _, __, m: self._came.put(f"{m.topic} {int(m.retain)} {m.payload.decode()}")
        self._client.connect(broker.host, broker.port)
        self._client.subscribe(f"cb/v1/{broker.tenant}/+/up/#", qos=1)
        self._client.loop_start()
        assert ready.wait(20)

    def seen(self) -> list[str]:
        """Everything until now: topic below `cb/v1/TENANT/`, retain flag, payload."""
        publish(self._broker, "dev-2", f"cb/v1/{self._broker.tenant}/dev-2/up/event", text=END)
        found: list[str] = []
        while not (line := self._came.get(timeout=20)).endswith(END):
            found.append(line.removeprefix(f"cb/v1/{self._broker.tenant}/"))
        self._client.disconnect()
        self._client.loop_stop()
        return found


def test_each_platforms_topic_becomes_the_senders_own(broker: PrivateMosquitto) -> None:
    ingest = Ingest(broker)
    for name in ("dev-1", "dev-2"):
        publish(broker, name, "v1/devices/me/telemetry")
        publish(broker, name, f"/sys/a1Pk/{name}/thing/event/property/post")
        publish(broker, name, f"$oc/devices/{name}/sys/properties/report")
        publish(broker, name, f"/prod/{name}/child/三号 a/properties/report")
        publish(broker, name, f"{name}/onvif-ej/RuleEngine/FieldDetector/ObjectsInside/&1/2/Yard")
        publish(broker, name, f"onvif/{name}/onvif-ej/Device/Trigger/tns1:Relay/&Relay-1", text="")
        publish(broker, name, f"{name}/东门/onvif-ej/VideoSource/MotionAlarm")
        publish(broker, name, "frigate/reviews")
        publish(broker, name, f"{name}/events")
        publish(broker, name, f"gb28181/{name}/alarm")
    assert ingest.seen() == [
        f"{name}/up/raw/{tail} 0 {text}"
        for name in ("dev-1", "dev-2")
        for tail, text in (
            ("thingsboard", "{}"),
            ("aliyun/a1Pk", "{}"),
            ("huawei", "{}"),
            ("jetlinks-child/prod/三号 a", "{}"),
            ("onvif-json/RuleEngine/FieldDetector/ObjectsInside/&1/2/Yard", "{}"),
            ("onvif-ej/Device/Trigger/tns1:Relay/&Relay-1", ""),
            ("onvif-json-child/东门/VideoSource/MotionAlarm", "{}"),
            ("frigate", "{}"),
            ("frigate", "{}"),
            ("gb28181-alarm", "{}"),
        )
    ]


def test_nobody_speaks_in_another_devices_name(broker: PrivateMosquitto) -> None:
    ingest = Ingest(broker)
    foreign = [
        "/sys/a1Pk/dev-2/thing/event/property/post",
        "$oc/devices/dev-2/sys/properties/report",
        "/prod/dev-2/properties/report",
        "/prod/dev-1/child/dev-2/properties/report/x",
        "/sys//dev-1/thing/event/property/post",
        f"/sys/{'x' * 65}/dev-1/thing/event/property/post",
        "v1/devices/me/telemetry/x",
        "dev-2/onvif-ej/VideoSource/MotionAlarm",
        "dev-1/onvif-ej",
        "dev-1/onvif-ej/",
        "dev-1/onvif-ej/VideoSource//MotionAlarm",
        f"dev-1/onvif-ej/{'/'.join(['x' * 63] * 4)}",
        f"dev-1/onvif-ej/{'x' * 65}",
        "dev-2/events",
        "frigate/stats",
        "v1/devices/dev-2/telemetry",
        "v1/devices/me/rpc/request/1",
    ]
    for topic in foreign:
        publish(broker, "dev-1", topic)
    assert ingest.seen() == []
    refusals = RefusalParser().parse(broker.log.encode())
    assert [(r.username, r.topic) for r in refusals] == [
        ("dev-1", topic[:200]) for topic in foreign
    ]  # what the broker logs of one


def test_a_device_that_is_shut_out_is_shut_out_in_every_dialect(broker: PrivateMosquitto) -> None:
    ingest = Ingest(broker)
    broker.broker.acl_file.write_text(acl_text(broker.tenant, ["ingest"], ["dev-1"], dialects=True))
    broker.broker.reload(broker.pid)
    time.sleep(1.0)
    publish(broker, "dev-1", "v1/devices/me/telemetry")
    publish(broker, "dev-1", "/prod/dev-1/properties/report")
    publish(broker, "dev-2", "v1/devices/me/telemetry")
    assert ingest.seen() == ["dev-2/up/raw/thingsboard 0 {}"]


def test_our_services_become_no_device(broker: PrivateMosquitto) -> None:
    ingest = Ingest(broker)
    publish(broker, "service.monitor", "v1/devices/me/telemetry")
    assert ingest.seen() == []


def test_nothing_is_kept_for_later(broker: PrivateMosquitto) -> None:
    publish(broker, "dev-1", "v1/devices/me/telemetry", "-r")
    assert Ingest(broker).seen() == []


@pytest.mark.parametrize("protocol", [MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5])
def test_a_refused_publish_does_not_cost_a_device_its_connection(
    broker: PrivateMosquitto, protocol: MQTTProtocolVersion
) -> None:
    ended: list[object] = []
    client = paho.Client(CallbackAPIVersion.VERSION2, "client-dev-1", protocol=protocol)
    client.username_pw_set("dev-1", WORD)
    client.on_disconnect = lambda *_: ended.append(1)
    client.connect(broker.host, broker.port)
    client.loop_start()
    try:
        client.subscribe("v1/devices/me/rpc/request/+", qos=1)
        client.publish("v1/devices/me/rpc/request/1", "{}", qos=1).wait_for_publish(20)
        client.publish("v1/devices/me/telemetry", "{}", qos=1).wait_for_publish(20)
        assert client.is_connected()
        assert ended == []
    finally:
        client.disconnect()
        client.loop_stop()


def test_the_broker_does_not_grow_with_the_topics_it_forgets(broker: PrivateMosquitto) -> None:
    def publish_many() -> int:
        argv = ["mosquitto_pub", *login(broker, "dev-1"), "-q", "0", "-t", "v1/devices/me/telemetry", "-l"]
        subprocess.run(argv, input="{}\n" * MANY, text=True, check=True, timeout=60)
        time.sleep(1.0)
        status = Path(f"/proc/{broker.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])

    before = publish_many()
    assert publish_many() - before < GROWTH_MAX_KB


def test_where_topics_are_not_rewritten_they_stay_shut(tmp_path: Path) -> None:
    """What nobody reads must not be acknowledged; and what another process writes later goes by what the broker was started with."""
    broker = MosquittoBroker(tmp_path, port=1, tenant="demo")
    broker.prepare([])
    assert "pattern write v1/devices/me/telemetry" in broker.acl_file.read_text()
    MosquittoBroker(tmp_path, port=1, tenant="demo", build_plugin=False).prepare([])
    assert "plugin_opt_rewrite" not in broker.conf_file.read_text()
    broker.write_accounts({})
    assert "v1/devices" not in broker.acl_file.read_text()
    assert (plugin.can_rewrite("2.0.11"), plugin.can_rewrite("2.1.0")) == (True, False)
