"""The restore drill: a running system is backed up, killed, and brought back in an empty directory from the backup alone.

What was lost and how long it took stands in test-artifacts/restore_drill.json: RPO is the time between the backup's cut and the
kill, RTO the time from the call of `restore` until a device's observation has arrived again.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from citybrain_testing.outcome import get, pages, stored_times, write_artifact
from citybrain_testing.probing import Probe
from citybrain_testing.system import ROOT, System, wait_for

pytestmark = [pytest.mark.broker, pytest.mark.database, pytest.mark.slow]

CLI_TIMEOUT_S = 120.0
WAIT_S = 60.0
PROBE = {
    "device_id": "drill-1",
    "model": "water-gauge-v1",
    "kind": "water_gauge",
    "name": "演练水位站",
    "lon": 121.44,
    "lat": 28.68,
    "attributes": {"properties": ["stage_m"]},
    "thresholds": {
        "stage_m": {
            "on": {"blue": 3.0, "yellow": 4.0, "orange": 5.0, "red": 6.0},
            "off": {"blue": 2.8, "yellow": 3.8, "orange": 4.8, "red": 5.8},
            "direction": "rise",
            "source": "测试台账",
        }
    },
}
HIGH_M = 5.5
RTO_MOST_S = 120.0  # a shared machine takes its time to start a system; the figure itself is in the artifact


def cli(*argv: str, status: int = 0) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "runtime", *argv], cwd=ROOT, capture_output=True, text=True, timeout=CLI_TIMEOUT_S, check=False
    )  # fmt: skip
    assert done.returncode == status, f"{argv}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else None


@dataclass
class Drill:
    backup: dict[str, Any] = field(default_factory=dict)
    restored: dict[str, Any] = field(default_factory=dict)
    audit: dict[str, Any] = field(default_factory=dict)
    rpo_s: float = 0.0
    rto_s: float = 0.0
    restore_s: float = 0.0
    backup_s: float = 0.0
    confirmed_before_backup: int = 0
    confirmed_missing: list[int] = field(default_factory=list)
    confirmed_after_cut_lost: int = 0
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    arrived_after: int = 0
    ports: tuple[int, int] = (0, 0)


def clock_of(client: httpx.Client) -> Callable[[], int]:
    clock, at_s = get(client, "/api/v1/clock"), time.monotonic()
    return lambda: int(clock["city_us"] + (time.monotonic() - at_s) * clock["rate"] * 1e6)


def facts_of(client: httpx.Client) -> dict[str, Any]:
    """What a person would look for after a restore."""
    return {
        "devices": sorted(d["device_id"] for d in pages(client, "/api/v1/devices")),
        "alarms": sorted(a["alarm_id"] for a in pages(client, "/api/v1/alarms", state="all")),
        "units": sorted(u["unit_id"] for u in pages(client, "/api/v1/units")),
        "incidents": sorted(i["incident_id"] for i in pages(client, "/api/v1/incidents")),
        "journal": {e["seq"]: e["hash"] for e in pages(client, "/api/v1/journal") if e["action"] != "read"},
    }


@pytest.fixture(scope="module")
def drill(tmp_path_factory: pytest.TempPathFactory) -> Drill:
    folder = tmp_path_factory.mktemp("drill")
    story = Drill()
    key = folder / "off-host.key"
    cli("backup-key", str(key))
    system = System(folder / "old")
    system.start()
    try:
        backed_up_us, word, probe = _until_killed(system, folder, key, story)
    finally:
        system.stop()
    _restore(folder, key, story, word, probe)
    story.rpo_s = round(story.rpo_s - backed_up_us / 1e6, 1)
    write_artifact("restore_drill.json", _figures(story))
    return story


def _until_killed(system: System, folder: Path, key: Path, story: Drill) -> tuple[int, str, Probe]:
    with contextlib.closing(system.login("admin")) as admin:
        return _tell(admin, system, folder, key, story)


def _tell(admin: httpx.Client, system: System, folder: Path, key: Path, story: Drill) -> tuple[int, str, Probe]:
    word = admin.post("/api/v1/devices", json=PROBE).raise_for_status().json()["credential"]
    with Probe(
        host=system.ready["broker_host"],
        port=system.ready["broker_port"],
        tenant=system.ready["tenant"],
        device_id="drill-1",
        password=word,
        city_us=clock_of(admin),
        values=lambda _: {"stage_m": HIGH_M},
    ) as probe:
        wait_for("an incident to keep", lambda: pages(admin, "/api/v1/incidents") or None, WAIT_S)
        wait_for("confirmed records", lambda: len(probe.confirmed) > 40, WAIT_S)
        confirmed = set(probe.confirmed)
        story.before = facts_of(admin)
        began = time.monotonic()
        story.backup = cli(
            "backup", "--to", str(folder / "share"), "--data-dir", str(system.data_dir),
            "--recipient-key", f"{key}.pub", "--json",
        )  # fmt: skip
        story.backup_s = round(time.monotonic() - began, 1)
        story.confirmed_before_backup = len(confirmed)
        time.sleep(1.0)  # what is confirmed now is after the cut, and will be missing
        story.rpo_s = time.time()
        for name in ("ingest", "command", "store", "rules", "database", "broker"):
            system.kill(name)
        system.kill_supervisor()
    probe.sent = {seq: ts for seq, ts in probe.sent.items() if seq in probe.confirmed}
    story.ports = (system.ready["broker_port"], 0)
    story.confirmed_missing = sorted(confirmed)
    return int(story.backup["machine_us"]), word, probe


def _restore(folder: Path, key: Path, story: Drill, word: str, old_probe: Probe) -> None:
    began = time.monotonic()
    story.restored = cli(
        "restore", story.backup["path"], "--data-dir", str(folder / "new"), "--identity", str(key), "--json"
    )
    story.restore_s = round(time.monotonic() - began, 1)
    system = System(folder / "new", args=("--demo", "--no-simulator"))
    system.start()
    try:
        story.ports = (story.ports[0], system.ready["broker_port"])
        with contextlib.closing(system.login("admin")) as admin:
            _look(admin, system, story, word, old_probe, began)
        story.audit = cli("audit", "verify", "--data-dir", str(system.data_dir), "--json")
    finally:
        system.stop()


def _look(admin: httpx.Client, system: System, story: Drill, word: str, old_probe: Probe, began: float) -> None:
    with Probe(
        host=system.ready["broker_host"],
        port=system.ready["broker_port"],
        tenant=system.ready["tenant"],
        device_id="drill-1",
        password=word,
        city_us=clock_of(admin),
        values=lambda _: {"stage_m": 1.25},
    ) as probe:
        wait_for("an observation by the old credential", lambda: probe.confirmed, WAIT_S)
        wait_for("it on the screens", lambda: _latest(admin) == 1.25, WAIT_S)
        story.rto_s = round(time.monotonic() - began, 1)
        story.arrived_after = len(probe.confirmed)
    story.after = facts_of(admin)
    found = stored_times(admin, 0, clock_of(admin)(), only=lambda device_id: device_id == "drill-1")
    there = {time_us for times in found.values() for time_us in times}
    wanted = story.confirmed_missing
    story.confirmed_missing = [seq for seq in wanted if old_probe.sent[seq] * 1000 not in there]
    story.confirmed_after_cut_lost = sum(ts * 1000 not in there for ts in old_probe.sent.values())


def _latest(client: httpx.Client) -> float | None:
    latest = get(client, "/api/v1/devices/drill-1").get("latest", {}).get("stage_m")
    return None if latest is None else float(latest[0])


def _figures(story: Drill) -> dict[str, Any]:
    figures = asdict(story)
    for name in ("before", "after"):
        figures[name] = {what: len(found) for what, found in figures[name].items()}
    return figures


def test_the_same_devices_units_alarms_and_incidents_are_there_again(drill: Drill) -> None:
    for what in ("devices", "units"):
        assert drill.after[what] == drill.before[what], what
    for what in ("alarms", "incidents"):  # the log may have told of more since
        assert set(drill.before[what]) <= set(drill.after[what]), what
    assert drill.before["alarms"]


def test_nothing_that_was_confirmed_before_the_backup_is_missing(drill: Drill) -> None:
    assert drill.confirmed_before_backup > 40
    assert drill.confirmed_missing == []


def test_the_journal_is_whole_and_the_same_rows_stand_in_it(drill: Drill) -> None:
    assert drill.restored["journal_whole"] is True
    assert drill.audit["ok"] is True, drill.audit["breaks"]
    assert drill.audit["anchors_checked"] >= 2
    again = {seq: drill.after["journal"].get(seq) for seq in drill.before["journal"]}
    assert again == drill.before["journal"]


def test_a_device_comes_back_at_the_same_port_with_its_old_credential(drill: Drill) -> None:
    assert drill.ports[0] == drill.ports[1]
    assert drill.arrived_after > 0


def test_what_it_took_and_what_was_lost_is_measured(drill: Drill) -> None:
    assert 0 < drill.restore_s < drill.rto_s < RTO_MOST_S
    assert 0 < drill.rpo_s < RTO_MOST_S
    assert drill.confirmed_after_cut_lost > 0  # what came after the cut is what the next backup would have had
