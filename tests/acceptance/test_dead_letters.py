"""A gateway speaks for children that nobody has registered; they are registered, and one command makes their history whole.

One system on a real clock without simulators, driven through its doors: MQTT, HTTP and the command line.
"""

from __future__ import annotations

import contextlib
import json
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

from citybrain_testing.outcome import get, pages
from citybrain_testing.system import ROOT, System, running, wait_for
from stream.records import Source

pytestmark = [pytest.mark.broker, pytest.mark.database, pytest.mark.slow]

WAIT_S = 20.0
CLI_TIMEOUT_S = 120.0
MANY = 50  # within the quota of whole letters
HISTORY = int(Source.BACKFILL | Source.REPLAY)
THRESHOLDS = {
    "stage_m": {
        "on": {"blue": 3.0, "yellow": 4.0, "orange": 5.0, "red": 6.0},
        "off": {"blue": 2.8, "yellow": 3.8, "orange": 4.8, "red": 5.8},
        "direction": "rise",
        "source": "测试台账",
    }
}


def device(device_id: str, model: str, kind: str, **more: Any) -> dict[str, Any]:
    return {
        "device_id": device_id,
        "model": model,
        "kind": kind,
        "name": device_id,
        "lon": 121.44,
        "lat": 28.68,
        **more,
    }


def child(device_id: str) -> dict[str, Any]:
    listed = {"properties": ["stage_m"]}
    return device(device_id, "water-gauge-v1", "water_gauge", gateway="gw-1", thresholds=THRESHOLDS, attributes=listed)


@dataclass
class Bench:
    system: System
    admin: httpx.Client
    password: str

    def send(self, *messages: dict[str, Any]) -> None:
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id="gw-1", protocol=MQTTProtocolVersion.MQTTv5)
        client.username_pw_set("gw-1", self.password)
        client.connect(self.system.ready["broker_host"], self.system.ready["broker_port"])
        client.loop_start()
        try:
            wait_for("connected", client.is_connected, WAIT_S)
            for message in messages:
                body = json.dumps(message).encode()
                client.publish("cb/v1/demo/gw-1/up/gw/telemetry", body, qos=1).wait_for_publish(WAIT_S)
        finally:
            client.disconnect()
            client.loop_stop()

    def letters(self, reason: str, count: int) -> list[dict[str, Any]]:
        def look() -> list[dict[str, Any]] | None:
            found = pages(self.admin, "/api/v1/dead-letters", device="gw-1", reason=reason)
            return found if len(found) == count else None

        return wait_for(f"{count} dead letters {reason!r}", look, WAIT_S)

    def cli(self, *words: str) -> Any:
        command = [sys.executable, "-m", "runtime", "letters", *words, "--json"]
        done = subprocess.run(
            [*command, "--data-dir", str(self.system.data_dir)],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=CLI_TIMEOUT_S,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def register(self, document: dict[str, Any]) -> int:
        """The number of its series, once ingest knows the device."""
        self.admin.post("/api/v1/devices", json=document).raise_for_status()
        found = get(self.admin, f"/api/v1/devices/{document['device_id']}")
        number: int = found["datastreams"][0]["datastream"]
        return number

    def history(self, series: int, count: int) -> list[dict[str, Any]]:
        now_us = time.time_ns() // 1000
        span = {"from": str(now_us - 86_400_000_000), "to": str(now_us), "limit": "1000"}

        def look() -> list[dict[str, Any]] | None:
            rows: list[dict[str, Any]] = get(self.admin, f"/api/v1/datastreams/{series}/observations", **span)["items"]
            return rows if len(rows) >= count else None

        return wait_for(f"{count} rows of series {series}", look, WAIT_S)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder, args = tmp_path_factory.mktemp("letters"), ("--demo", "--no-simulator", "--clock", "real")
    with (
        running(folder / "data", args=args, env={"CITYBRAIN_DEV_STACK": ""}) as system,
        contextlib.closing(system.login("admin")) as admin,
    ):
        answer = admin.post("/api/v1/devices", json=device("gw-1", "gateway-v1", "gateway"))
        answer.raise_for_status()
        yield Bench(system, admin, answer.json()["credential"])


def test_a_child_that_is_registered_later_gets_its_history_by_one_command(bench: Bench) -> None:
    then_ms = time.time_ns() // 1_000_000 - 2 * 3_600_000
    flood = {"child-1": [{"ts": then_ms, "bf": True, "values": {"stage_m": 6.2}}]}
    bench.send(flood)
    (letter,) = bench.letters("child-1", 1)
    options = ("--device", "gw-1", "--reason", "child-1")
    assert [row["position"] for row in bench.cli("list", *options)] == [letter["position"]]
    before = bench.cli("replay", *options, "--dry-run")
    assert (before["still_wrong"], before["taken"]) == (1, 0)

    series = bench.register(child("child-1"))
    done = bench.cli("replay", *options, "--why", "child-1 已登记")
    assert (done["taken"], done["rows"], done["still_wrong"]) == (1, 1, 0)
    (row,) = bench.history(series, 1)
    assert (row["phenomenon_us"], row["receive_us"]) == (then_ms * 1000, letter["receive_us"])
    assert (row["result"], row["source"] & HISTORY) == (6.2, HISTORY)

    wait_for("the letter is marked", lambda: bench.letters("child-1", 1)[0]["replayed"] == "taken", WAIT_S)
    again = bench.cli("replay", *options)
    assert (again["already"], again["taken"], again["rows"]) == (1, 0, 0)
    with contextlib.closing(bench.system.login("auditor")) as auditor:
        acts = pages(auditor, "/api/v1/journal", entity="dead_letter")
        late = pages(auditor, "/api/v1/journal", action="late_exceedance")
    assert [(act["actor"], act["action"], act["reason"]) for act in acts] == [("admin", "replay", "child-1 已登记")]
    assert "child-1" in json.dumps(late, ensure_ascii=False)

    # A flood of two hours ago is news for the desk (迟到超限), no alarm of now; and the child is as silent as before.
    with contextlib.closing(bench.system.login("leader1")) as leader:
        assert [a for a in pages(leader, "/api/v1/alarms", state="all") if a["device_ids"] == ["child-1"]] == []
    assert get(bench.admin, "/api/v1/devices/child-1")["status"] == "unknown"


def test_a_replay_that_is_cut_off_by_kill_9_is_whole_after_the_next(bench: Bench) -> None:
    first_ms = time.time_ns() // 1_000_000 - 3_600_000
    bench.send(
        *({"child-2": [{"ts": first_ms + 1000 * n, "bf": True, "values": {"stage_m": n / 100}}]} for n in range(MANY))
    )
    bench.letters("child-2", MANY)
    series = bench.register(child("child-2"))
    body = {"match": "child-2", "limit": 10}
    answer = bench.admin.post("/api/v1/dead-letters/replay", json=body)
    answer.raise_for_status()
    assert answer.json()["taken"] == 10
    bench.system.kill("ingest")
    bench.system.kill("store")
    with contextlib.suppress(httpx.HTTPError):
        bench.admin.post("/api/v1/dead-letters/replay", json=body | {"limit": MANY}, timeout=0.05)
    bench.system.kill("command")

    def ready() -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return bench.admin.get("/readyz").status_code == 200
        return False

    wait_for("everything is back", ready, 60.0)
    with contextlib.closing(bench.system.login("admin")) as admin:
        bench.admin = admin
        done = bench.cli("replay", "--reason", "child-2")
        assert done["taken"] + done["already"] == MANY
        rows = bench.history(series, MANY)
        assert [row["result"] for row in rows] == [n / 100 for n in range(MANY)]
        wait_for("all are marked", lambda: bench.cli("replay", "--reason", "child-2")["already"] == MANY, WAIT_S)
        check = get(admin, "/api/v1/devices/child-2/check")
    assert (check["received"], check["conflicts"]) == (MANY, 0)
