"""History moves house: what one system recorded live is exported, imported into an empty one, and exported again the same.

Two systems on a real clock without simulators, one after the other, driven through their doors: MQTT, HTTP, the command line.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
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
ROWS = 60
WAYS = int(Source.LIVE | Source.BACKFILL | Source.IMPORT)
THRESHOLDS = {"stage_m": {"on": {"red": 6.0}, "off": {"red": 5.8}, "direction": "rise", "source": "测试台账"}}
GAUGE = {
    "device_id": "mover-1",
    "model": "water-gauge-v1",
    "kind": "water_gauge",
    "name": "迁移水位站",
    "lon": 121.44,
    "lat": 28.68,
    "attributes": {"properties": ["stage_m", "battery_v"]},
    "thresholds": THRESHOLDS,
}


@contextlib.contextmanager
def a_system(folder: Path) -> Iterator[tuple[System, httpx.Client, str]]:
    """Empty but for the gauge; with the administrator's client and the gauge's password."""
    args = ("--demo", "--no-simulator", "--clock", "real")
    with (
        running(folder / "data", args=args, env={"CITYBRAIN_DEV_STACK": ""}) as system,
        contextlib.closing(system.login("admin")) as admin,
    ):
        answer = admin.post("/api/v1/devices", json=GAUGE)
        answer.raise_for_status()
        yield system, admin, answer.json()["credential"]


def report(system: System, password: str) -> None:
    """Readings of now, one over its range, one from a wrong clock, and a backlog."""
    now_ms = time.time_ns() // 1_000_000
    told: list[dict[str, Any]] = [
        {"ts": now_ms - 3_600_000 + n * 1000, "bf": True, "values": {"stage_m": 1 + n / 7, "battery_v": 12.5}}
        for n in range(ROWS)
    ]
    told += [{"ts": now_ms, "values": {"stage_m": 2.5}}, {"ts": 420_000, "values": {"stage_m": 3.5}}]
    told += [{"ts": now_ms - 60_000, "values": {"stage_m": 140.0}}]
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="mover-1", protocol=MQTTProtocolVersion.MQTTv5)
    client.username_pw_set("mover-1", password)
    client.connect(system.ready["broker_host"], system.ready["broker_port"])
    client.loop_start()
    try:
        wait_for("connected", client.is_connected, WAIT_S)
        for one in told:
            client.publish("cb/v1/demo/mover-1/up/telemetry", json.dumps(one).encode(), qos=1).wait_for_publish(WAIT_S)
    finally:
        client.disconnect()
        client.loop_stop()


def exported(admin: httpx.Client, form: str, rows: int) -> bytes:
    """The file once it has so many rows."""
    now_us = time.time_ns() // 1000
    span = {"from": str(now_us - 86_400_000_000), "to": str(now_us + 86_400_000_000), "device": "mover-1"}

    def look(kind: str) -> bytes:
        answer = admin.get("/api/v1/observations/export", params={**span, "format": kind})
        answer.raise_for_status()
        return answer.content

    wait_for(f"{rows} rows", lambda: len(look("ndjson").splitlines()) >= rows or None, WAIT_S)
    return look(form)


def bring(system: System, file: Path, *, code: int = 0) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "runtime", "history", "import", str(file), "--json"]
    done = subprocess.run(
        [*command, "--data-dir", str(system.data_dir)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=CLI_TIMEOUT_S,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def table(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def test_what_one_system_recorded_is_in_the_other_as_history(tmp_path: Path) -> None:
    total = 2 * ROWS + 3
    files = {form: tmp_path / f"history.{form}" for form in ("csv", "ndjson", "parquet")}
    with a_system(tmp_path / "old") as (old, admin, password):
        report(old, password)
        for form, file in files.items():
            file.write_bytes(exported(admin, form, total))
    first = table(files["csv"].read_bytes())
    assert len(first) == total
    with a_system(tmp_path / "new") as (new, admin, _):
        spoilt = files["csv"].read_text(encoding="utf-8-sig").splitlines(keepends=True)
        spoilt[5] = spoilt[5].replace("mover-1", "nobody-1")
        (tmp_path / "spoilt.csv").write_text("".join(spoilt), newline="")
        said = bring(new, tmp_path / "spoilt.csv", code=1)
        assert [(one["line"], one["field"], one["got"]) for one in said if one["type"] == "refused"] == [
            (6, "device_id", "nobody-1")
        ]
        exported(admin, "csv", total - 1)
        said = bring(new, files["parquet"])  # the rest; what stands already is not told again
        assert (said[-1]["type"], said[-1]["known"], said[-1]["kept"]) == ("done", total - 1, 1)
        second = table(exported(admin, "csv", total))
        strip = [{**row, "source": int(row["source"]) & ~WAYS} for row in second]
        assert strip == [{**row, "source": int(row["source"]) & ~WAYS} for row in first]
        assert all(int(row["source"]) & int(Source.IMPORT) for row in second)
        assert bring(new, files["ndjson"])[-1]["known"] == total
        check = get(admin, "/api/v1/devices/mover-1/check")
        assert (check["conflicts"], check["dead_lettered"]) == (0, 0)

        number = next(int(row["datastream"]) for row in second if row["property"] == "stage_m")
        now_us = time.time_ns() // 1000
        span = {"from": str(now_us - 86_400_000_000), "to": str(now_us + 3_600_000_000), "bucket_s": "3600"}
        hours = get(admin, f"/api/v1/datastreams/{number}/observations", **span)["items"]
        assert sum(hour["count"] for hour in hours) == ROWS + 3, "the statistics of the hours have the imported rows"

        # History, never live: the device is unheard, and a red stage of an hour ago is news for the desk (迟到超限).
        assert get(admin, "/api/v1/devices/mover-1")["status"] == "unknown"
        with contextlib.closing(new.login("auditor")) as auditor:
            acts = [act["action"] for act in pages(auditor, "/api/v1/journal", entity="observations")]
            late = pages(auditor, "/api/v1/journal", action="late_exceedance")
        assert acts[:2] == ["imported", "import"]
        assert any("mover-1" in json.dumps(one) for one in late)
