"""The plugin that tells of refused publishes, in a real Mosquitto: what it says, what it leaves alone, and what it does not decide."""

from __future__ import annotations

import secrets
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from citybrain_testing.servers import PrivateMosquitto, private_mosquitto
from devices.credentials import acl_text
from ingest.refusals import RefusalParser
from runtime.embedded import plugin

pytestmark = [pytest.mark.broker, pytest.mark.compiler]

WORD = secrets.token_urlsafe(9)
LAST_S = 10.0


@pytest.fixture
def broker() -> Iterator[PrivateMosquitto]:
    with private_mosquitto(accounts={"dev-1": WORD, "dev-11": WORD, "dev-2": WORD}) as running:
        yield running


def publish(broker: PrivateMosquitto, device: str, topic: str, payload: str = "{}") -> None:
    login = ["-h", broker.host, "-p", str(broker.port), "-u", device, "-P", WORD, "-i", f"client-{device}"]
    subprocess.run(["mosquitto_pub", *login, "-q", "1", "-t", topic, "-m", payload], check=True, timeout=20)


def log_after(broker: PrivateMosquitto, last: str) -> str:
    """The broker's log once it shows a client's end."""
    end = time.monotonic() + LAST_S
    while last not in broker.log and time.monotonic() < end:
        time.sleep(0.05)
    return broker.log


def test_a_foreign_topic_is_told_in_words_that_ingest_reads(broker: PrivateMosquitto) -> None:
    foreign = [
        "cb/v1/demo/dev-2/up/telemetry",
        "cb/v1/other/dev-1/up/telemetry",
        "v2/anything",
        "cb/v1/demo/dev-1/down/cmd",
    ]
    foreign.append("cb/v1/demo/dev-1")
    for topic in [t.replace("demo", broker.tenant) for t in foreign]:
        publish(broker, "dev-1", topic)
    publish(broker, "dev-1", f"cb/v1/{broker.tenant}/dev-11/up/telemetry")  # a name that begins like one's own
    refusals = RefusalParser().parse(log_after(broker, "Client client-dev-1 disconnected").encode())
    assert [r.topic.replace(broker.tenant, "demo") for r in refusals] == [*foreign, "cb/v1/demo/dev-11/up/telemetry"]
    assert {(r.reason, r.username, r.client_id) for r in refusals} == {("acl_denied", "dev-1", "client-dev-1")}


def test_nothing_is_told_of_what_is_allowed_and_the_log_stays_small(broker: PrivateMosquitto) -> None:
    publish(broker, "dev-1", f"cb/v1/{broker.tenant}/dev-1/up/telemetry")
    text = log_after(broker, "Client client-dev-1 disconnected")
    assert "PUBLISH" not in text
    assert "plugin_opt_tenant" in broker.broker.conf_file.read_text()


def test_the_decision_stays_with_the_acl_file(broker: PrivateMosquitto) -> None:
    """dev-1's own topic is closed by the file: the plugin, which would find nothing wrong, opens nothing."""
    listener = subprocess.Popen(
        [
            "mosquitto_sub", "-h", broker.host, "-p", str(broker.port), "-u", "service.ingest",
            "-P", broker.password("service.ingest"), "-q", "1", "-t", f"cb/v1/{broker.tenant}/+/up/#", "-F", "%t", "-C", "1", "-W", "10",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    broker.broker.acl_file.write_text(acl_text(broker.tenant, ["ingest"], ["dev-1"]))
    broker.broker.reload(broker.pid)
    time.sleep(1.0)
    publish(broker, "dev-1", f"cb/v1/{broker.tenant}/dev-1/up/telemetry")
    publish(broker, "dev-1", f"cb/v1/{broker.tenant}/dev-2/up/telemetry")
    publish(broker, "dev-2", f"cb/v1/{broker.tenant}/dev-2/up/telemetry")
    out, _ = listener.communicate(timeout=20)
    assert out.splitlines() == [f"cb/v1/{broker.tenant}/dev-2/up/telemetry"]
    assert broker.log.count("Denied PUBLISH from client-dev-1") == 1


def test_a_line_break_in_a_topic_cannot_forge_a_line(broker: PrivateMosquitto) -> None:
    client = paho.Client(CallbackAPIVersion.VERSION2, "client-dev-1")
    client.username_pw_set("dev-1", WORD)
    client.connect(broker.host, broker.port)
    client.publish("x\nDenied PUBLISH from client-dev-2 (d0, q1, r0, m0, 'y', ... (1 bytes))", "{}", qos=0)
    for _ in range(10):
        client.loop(0.1)
    client.disconnect()
    refusals = RefusalParser().parse(log_after(broker, "Client client-dev-1").encode())
    assert "client-dev-2" not in [r.client_id for r in refusals]


def test_it_is_compiled_once(tmp_path: Path) -> None:
    first = plugin.tell_refusals(tmp_path)
    assert first is not None
    made = first.stat().st_mtime_ns
    assert plugin.tell_refusals(tmp_path) == first
    assert first.stat().st_mtime_ns == made
    assert [path.name for path in tmp_path.iterdir()] == [first.name]


@pytest.mark.root
def test_on_a_disk_that_forbids_execution_the_debug_log_stays(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "noexec", "citybrain-noexec", str(tmp_path)], check=True)
    try:
        assert plugin.tell_refusals(tmp_path) is None
        assert plugin.tell_refusals(tmp_path) is None, "when it lies there already, too"
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
