"""Bad input from a real device credential, end to end: each kind ends where its vendor sees it, and nobody else suffers.

One system on a real clock without simulators; four devices registered through the public door. Each report is read twice:
by `citybrain devices check` and over HTTP.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from citybrain_testing.outcome import get, pages, write_artifact
from citybrain_testing.probing import Probe
from citybrain_testing.system import ROOT, System, wait_for

pytestmark = [pytest.mark.broker, pytest.mark.database, pytest.mark.slow]

WAIT_S = 20.0
CLI_TIMEOUT_S = 60.0
TEN_MB = 10 * 1024**2
THRESHOLDS = {
    "stage_m": {
        "on": {"blue": 3.0, "yellow": 4.0, "orange": 5.0, "red": 6.0},
        "off": {"blue": 2.8, "yellow": 3.8, "orange": 4.8, "red": 5.8},
        "direction": "rise",
        "source": "测试台账",
    }
}


def _gauge(device_id: str, **more: Any) -> dict[str, Any]:
    return {
        "device_id": device_id,
        "model": "water-gauge-v1",
        "kind": "water_gauge",
        "name": f"试验水位站 {device_id}",
        "lon": 121.44,
        "lat": 28.68,
        "vendor": "haichuan",
        "attributes": {"properties": ["stage_m", "battery_v"]},
        **more,
    }


@dataclass
class Bench:
    """A running system with devices that misbehave (`bad-1`, `old-1970`, `new-2099`, `high-1`) and one that does not."""

    system: System
    admin: httpx.Client
    credentials: dict[str, str]
    good: Probe

    @contextlib.contextmanager
    def device(self, device_id: str, username: str = "", password: str = "") -> Iterator[paho.Client]:
        """A connected client; it says so in `connected`, or raises."""
        username = username or device_id
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id=device_id, protocol=MQTTProtocolVersion.MQTTv5)
        client.username_pw_set(username, password or self.credentials.get(username, ""))
        client.connect(self.system.ready["broker_host"], self.system.ready["broker_port"])
        client.loop_start()
        try:
            wait_for("connected", client.is_connected, WAIT_S)
            yield client
        finally:
            client.disconnect()
            client.loop_stop()

    def send(
        self, device_id: str, payload: bytes | dict[str, Any], *, tail: str = "up/telemetry", to: str = ""
    ) -> None:
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        with self.device(device_id) as client:
            client.publish(f"cb/v1/demo/{to or device_id}/{tail}", body, qos=1).wait_for_publish(WAIT_S)

    def check(self, device_id: str) -> dict[str, Any]:
        report: dict[str, Any] = get(self.admin, f"/api/v1/devices/{device_id}/check")
        return report

    def cli(self, device_id: str, *options: str) -> str:
        """What `citybrain devices check` prints."""
        command = [sys.executable, "-m", "runtime", "devices", "check", device_id]
        done = subprocess.run(
            [*command, "--data-dir", str(self.system.data_dir), *options],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=CLI_TIMEOUT_S,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def letter(self, device_id: str, reason: str) -> dict[str, Any]:
        """The dead letter with that reason, once it is there."""

        def look() -> dict[str, Any] | None:
            return next((row for row in self.check(device_id)["dead_letters"] if reason in row["reason"]), None)

        return wait_for(f"a dead letter {reason!r}", look, WAIT_S)

    def refusal(self, device_id: str, reason: str) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            return next((row for row in self.check(device_id)["refusals"] if row["reason"] == reason), None)

        return wait_for(f"a refusal {reason!r}", look, WAIT_S)

    def alarm(self, device_id: str) -> dict[str, Any]:
        with contextlib.closing(self.system.login("leader1")) as leader:

            def look() -> dict[str, Any] | None:
                rows = pages(leader, "/api/v1/alarms", state="open")
                return next((row for row in rows if row["device_ids"] == [device_id]), None)

            return wait_for(f"an alarm of {device_id}", look, WAIT_S)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    system = System(
        tmp_path_factory.mktemp("bad") / "data",
        args=("--demo", "--no-simulator", "--clock", "real"),
        env={"CITYBRAIN_DEV_STACK": ""},
    )
    system.start()
    try:
        with contextlib.closing(system.login("admin")) as admin:
            credentials = {}
            for device_id in ("bad-1", "old-1970", "new-2099", "high-1", "good-1"):
                answer = admin.post("/api/v1/devices", json=_gauge(device_id, thresholds=THRESHOLDS))
                answer.raise_for_status()
                credentials[device_id] = answer.json()["credential"]
            ready = system.ready
            with Probe(
                host=ready["broker_host"],
                port=ready["broker_port"],
                tenant=ready["tenant"],
                device_id="good-1",
                password=credentials["good-1"],
                city_us=lambda: time.time_ns() // 1000,
            ) as good:
                bench = Bench(system, admin, credentials, good)
                wait_for("the good gauge is heard", lambda: len(good.confirmed) > 5, WAIT_S)
                yield bench
                write_artifact("bad-input.json", {name: bench.check(name) for name in credentials})
    finally:
        system.stop()


def test_broken_json_is_a_dead_letter_with_its_bytes(bench: Bench) -> None:
    bench.send("bad-1", b'{"ts":1,"values":{"stage_m":')
    letter = bench.letter("bad-1", "JSON")
    assert letter["text"] == '{"ts":1,"values":{"stage_m":'
    assert "JSON" in bench.cli("bad-1")


def test_a_wrong_type_is_named_with_what_was_expected(bench: Bench) -> None:
    bench.send("bad-1", {"values": {"stage_m": "high", "battery_v": 12.5}})
    letter = bench.letter("bad-1", "values.stage_m")
    assert re.search(r"stage_m.*expected.*number", letter["reason"])
    assert any(row["property"] == "battery_v" for row in bench.check("bad-1")["last_messages"])


def test_an_unknown_device_behind_a_device_is_a_dead_letter(bench: Bench) -> None:
    bench.send("bad-1", {"nobody-7": [{"values": {"stage_m": 1.0}}]}, tail="up/gw/telemetry")
    assert "nobody-7" in bench.letter("bad-1", "not registered")["reason"]


def test_an_unknown_device_is_refused_and_counted(bench: Bench) -> None:
    def refused() -> float:
        text = httpx.get(f"{bench.system.base_url}/metrics").text
        found = re.search(r'citybrain_ingest_broker_refusals_total\{.*reason="login_refused".*\} (\S+)', text)
        return float(found[1]) if found else 0.0

    before = refused()
    with pytest.raises(AssertionError, match="connected"), contextlib.ExitStack() as stack:
        stack.enter_context(_short(bench))
    wait_for("the refused login is counted", lambda: refused() > before, WAIT_S)


@contextlib.contextmanager
def _short(bench: Bench) -> Iterator[None]:
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="nobody-7", protocol=MQTTProtocolVersion.MQTTv5)
    client.username_pw_set("nobody-7", "guess")
    client.connect(bench.system.ready["broker_host"], bench.system.ready["broker_port"])
    client.loop_start()
    try:
        wait_for("connected", client.is_connected, 1.0)
        yield
    finally:
        client.disconnect()
        client.loop_stop()


def test_a_foreign_topic_is_refused_and_counted_for_the_sender(bench: Bench) -> None:
    bench.send("bad-1", {"values": {"stage_m": 99.0}}, to="good-1")
    row = bench.refusal("bad-1", "acl_denied")
    assert row["count"] >= 1
    assert "good-1" in row["data"]["detail"]
    assert "acl_denied" in bench.cli("bad-1")
    assert "is not yours" in bench.cli("bad-1")
    assert all(message["result"] != 99.0 for message in bench.check("good-1")["last_messages"])


def test_ten_megabytes_are_refused_and_counted(bench: Bench) -> None:
    with bench.device("bad-1") as client:
        client.publish("cb/v1/demo/bad-1/up/telemetry", b"x" * TEN_MB, qos=1)
        wait_for("the broker hung up", lambda: not client.is_connected(), WAIT_S, every_s=0.005)
    row = bench.refusal("bad-1", "packet_too_large")
    assert "256 KiB" in row["data"]["detail"]
    report = json.loads(bench.cli("bad-1", "--json"))
    assert report["refused"] >= 2


def test_a_value_out_of_physical_range_is_kept_flagged_and_still_alarms(bench: Bench) -> None:
    bench.send("high-1", {"ts": time.time_ns() // 1_000_000, "values": {"stage_m": 140.0}})
    alarm = bench.alarm("high-1")
    assert (alarm["colour"], alarm["value"]) == ("red", 140.0)
    report = wait_for("flagged", lambda: (r := bench.check("high-1"))["flagged"] and r, WAIT_S)
    message = report["last_messages"][0]
    assert message["result"] == 140.0
    assert "over_range" in str(message["flags"])
    assert "over_range" in bench.cli("high-1")


@pytest.mark.parametrize(("device_id", "ts_ms"), [("old-1970", 420_000), ("new-2099", 4_070_908_800_000)])
def test_a_gauge_with_a_wrong_clock_still_alarms(bench: Bench, device_id: str, ts_ms: int) -> None:
    bench.send(device_id, {"ts": ts_ms, "seq": 1, "values": {"stage_m": 6.2}})
    alarm = bench.alarm(device_id)
    assert alarm["colour"] == "red"
    assert "时钟异常" in alarm["flags"]
    report = wait_for("stored", lambda: (r := bench.check(device_id))["clock_fault"] and r, WAIT_S)
    assert abs(report["clock_offset_s"] - (ts_ms / 1000 - time.time())) < 60
    assert abs(report["last_messages"][0]["phenomenon_us"] / 1e6 - time.time()) < 60
    assert "clock_fault" in bench.cli(device_id)


def test_good_input_beside_it_keeps_flowing(bench: Bench) -> None:
    confirmed = len(bench.good.confirmed)
    wait_for("more is confirmed", lambda: len(bench.good.confirmed) > confirmed + 10, WAIT_S)
    report = bench.check("good-1")
    assert (report["dead_lettered"], report["refused"], report["flagged"], report["clock_fault"]) == (0, 0, 0, 0)
    assert report["received"] >= confirmed


def test_the_vendor_sees_only_devices_of_its_own(bench: Bench) -> None:
    with contextlib.closing(bench.system.login("vendor1")) as vendor:
        assert vendor.get("/api/v1/devices/rw-town/check").status_code in (403, 404)
