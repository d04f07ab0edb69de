"""Does a register of 100,000 devices come in through the door in two minutes, and does a revoked device leave in two seconds?

A real tenant of its own (`citybrain up`: PostgreSQL, Mosquitto, all four roles) is filled through `POST /api/v1/devices/import`.
Then: does every password that the answers showed stand in the broker's file, can a random sample connect, how soon is a revoked
device cut off, and how long does a broker with all these accounts need to come back after `kill -9`.

    python -m benchmarks.device_register            100,000 devices: about three minutes on two cores
    QUICK=1 python -m benchmarks.device_register    10,000, under a minute

Expected before measuring: 1,000 devices are parsed, written, hashed and appended in 0.6 s, so 60 s; a revocation waits for the
second between two reloads at most. `ratio` is measured / limit. The last line is JSON. Not measured: 100,000 connections at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import paho.mqtt.client as mqtt

from benchmarks.processes import cpu_seconds, difference
from citybrain_testing.system import System, wait_for
from devices.credentials import verify_password

SEED = 20190809
LIMIT_IMPORT_S, LIMIT_REVOKE_S = 120.0, 2.0
FULL, QUICK, PART, SAMPLE = 100_000, 10_000, 1_000, 200
WAIT_S = 120.0
PAGE = 200


def documents(devices: int, rng: random.Random) -> Iterator[dict[str, Any]]:
    """Gauges with thresholds, rain stations and cameras in the shares of a county."""
    for number in range(devices):
        kind = ("water-gauge-v1", "rain-wind-station-v1", "camera-v1", "water-gauge-v1")[number % 4]
        document: dict[str, Any] = {
            "device_id": f"bench-{number:06}",
            "model": kind,
            "name": f"测点{number:06}",
            "lon": round(121.3 + rng.random() * 0.3, 6),
            "lat": round(28.5 + rng.random() * 0.3, 6),
            "area": f"331002{number % 12:03}",
            "vendor": f"firm-{number % 20}",
        }
        if number % 4 == 0:
            on = {"yellow": 4.0, "orange": 4.5, "red": 5.0}
            document["thresholds"] = {"stage_m": {"on": on, "source": "防汛预案"}}
        yield document


def main() -> None:
    devices = int(os.environ.get("DEVICES") or (QUICK if os.environ.get("QUICK") else FULL))
    rng = random.Random(SEED)
    folder = Path(tempfile.mkdtemp(prefix="cb-register-"))
    system = System(folder / "data", args=(), answers_checked=False)
    try:
        system.start()
        print(f"{devices} devices on {platform.machine()}, {os.cpu_count()} cores, seed {SEED}", flush=True)
        result = _measure(system, devices, rng)
    except BaseException:
        print(system.logs(), file=sys.stderr)
        raise
    finally:
        system.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(result))


def _measure(system: System, devices: int, rng: random.Random) -> dict[str, Any]:
    result: dict[str, Any] = {
        "devices": devices,
        "load_average": os.getloadavg()[0],
        "memory_mb_before": memory_mb(system),
    }
    with contextlib.closing(system.login("admin")) as admin:
        pids = system.children()
        began, used = time.monotonic(), cpu_seconds(pids)
        words, parts = register(admin, documents(devices, rng))
        result["import_s"] = round(time.monotonic() - began, 1)
        result["import_cpu_s"] = difference(used, cpu_seconds(pids))
        result["import_part_ms"] = {"p50": _ms(statistics.median(parts)), "max": _ms(max(parts))}
        file = system.data_dir / "mosquitto" / "password_file"
        wait_for("all accounts in the broker's file", lambda: len(_lines(file)) >= devices + 1 or None, WAIT_S)
        result["accounts_written_s"] = round(time.monotonic() - began, 1)
        result["followers_caught_up_s"] = round(_caught_up(admin, began), 1)
        result["password_file_mb"] = round(file.stat().st_size / 1e6, 1)
        result["passwords_right"] = _all_right(_lines(file), words)
        sample = rng.sample(sorted(words), min(SAMPLE, devices))
        result["sample_connected"], result["connect_ms_p50"] = _connect_all(system, sample, words)
        result |= _revoke(system, admin, sample[0], words)
        result |= _pages(admin)
        result |= _hook(system, sample[1:], words)
        result["memory_mb"] = memory_mb(system)
        result |= _restart(system, sample[1], words)
    limit_s = LIMIT_IMPORT_S * devices / FULL
    result["ratio_import"] = round(result["accounts_written_s"] / limit_s, 3)
    result["ratio_revoke"] = round(max(result["revoked_live_s"], result["revoked_new_s"]) / LIMIT_REVOKE_S, 3)
    return result


def register(admin: httpx.Client, found: Iterator[dict[str, Any]]) -> tuple[dict[str, str], list[float]]:
    """Import them; their passwords and the seconds that each part took."""
    words: dict[str, str] = {}
    parts: list[float] = []
    listed = list(found)
    for first in range(0, len(listed), PART):
        body = {"devices": listed[first : first + PART], "reason": "benchmark"}
        began = time.monotonic()
        answer = admin.post("/api/v1/devices/import", json=body, timeout=60.0)
        answer.raise_for_status()
        parts.append(time.monotonic() - began)
        words |= answer.json()["credentials"]
        if first % 10_000 == 0:
            print(f"  {first + PART} after {sum(parts):.1f} s, last part {parts[-1]:.2f} s", flush=True)
    return words, parts


def _lines(file: Path) -> dict[str, str]:
    return dict(line.split(":", 1) for line in file.read_text().splitlines() if line.startswith(("bench-", "canary")))


def _all_right(lines: dict[str, str], words: dict[str, str]) -> int:
    """How many of the passwords that were shown open their line of the broker's file: all of them are tried."""
    return sum(verify_password(word, lines.get(device_id, "")) for device_id, word in words.items())


def _caught_up(admin: httpx.Client, began: float) -> float:
    """Until every role has taken in all that was appended: the canary, which flies through all of them, is seen again."""
    time.sleep(1.0)
    wait_for("ready", lambda: admin.get("/readyz").status_code == 200 or None, WAIT_S, every_s=0.25)
    return time.monotonic() - began


class Device:
    """One connection; `outcome` is set when the broker has answered, `lost` when it has ended it."""

    def __init__(self, system: System, device_id: str, word: str) -> None:
        self.outcome = ""
        self.answered, self.lost = threading.Event(), threading.Event()
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, device_id, protocol=mqtt.MQTTv5)
        self._client.username_pw_set(device_id, word)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = lambda *_: self.lost.set()
        self._client.reconnect_delay_set(600, 600)
        self._client.connect("127.0.0.1", int(system.ready["broker_port"]))
        self._client.loop_start()

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self.outcome = str(reason)
        self.answered.set()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def _try(system: System, device_id: str, word: str) -> tuple[str, float]:
    """What the broker says to a connection (Success, or why not), and when."""
    try:
        device = Device(system, device_id, word)
    except OSError as error:
        return type(error).__name__, time.monotonic()
    device.answered.wait(5.0)
    at = time.monotonic()
    device.close()
    return device.outcome, at


def _connect_all(system: System, sample: list[str], words: dict[str, str]) -> tuple[int, float]:
    times, right = [], 0
    for device_id in sample:
        began = time.monotonic()
        outcome, at = _try(system, device_id, words[device_id])
        right += outcome == "Success"
        times.append(at - began)
    return right, _ms(statistics.median(times))


def _revoke(system: System, admin: httpx.Client, device_id: str, words: dict[str, str]) -> dict[str, Any]:
    """Seconds from the request until the live connection is cut, and until a new one is refused."""
    live = Device(system, device_id, words[device_id])
    live.answered.wait(10.0)
    assert live.outcome == "Success", live.outcome
    began = time.monotonic()
    admin.delete(f"/api/v1/devices/{device_id}/credentials", params={"reason": "stolen"}).raise_for_status()
    answered = time.monotonic() - began
    assert live.lost.wait(30.0), "the live connection was never cut"
    cut = time.monotonic() - began
    refused = _first(system, device_id, words, lambda outcome: outcome == "Not authorized") - began
    live.close()
    return {
        "revoke_answer_s": round(answered, 3),
        "revoked_live_s": round(cut, 3),
        "revoked_new_s": round(refused, 3),
    }


def _pages(admin: httpx.Client) -> dict[str, Any]:
    times, cursor = [], "bench-005000"
    for _ in range(10):
        began = time.monotonic()
        answer = admin.get("/api/v1/devices", params={"limit": PAGE, "cursor": cursor}).json()
        times.append(time.monotonic() - began)
        cursor = answer["next"] or ""
    return {"page_ms": {"p50": _ms(statistics.median(times)), "max": _ms(max(times))}}


def _hook(system: System, sample: list[str], words: dict[str, str]) -> dict[str, Any]:
    """Another broker's question, one after the other over one connection."""
    secret = json.loads((system.data_dir / "secrets" / "secrets.json").read_text())["broker_hook"]
    times = []
    with httpx.Client(base_url=system.base_url, headers={"Authorization": f"Bearer {secret}"}) as broker:
        for device_id in sample:
            began = time.monotonic()
            ask = {"username": device_id, "password": words[device_id]}
            answer = broker.post("/api/v1/broker/auth", json=ask).json()
            times.append(time.monotonic() - began)
            assert answer == {"result": "allow"}, answer
    return {"hook_ms": {"p50": _ms(statistics.median(times)), "max": _ms(max(times))}}


def _restart(system: System, device_id: str, words: dict[str, str]) -> dict[str, Any]:
    """`kill -9` of the broker: seconds until a device is in again, the supervisor's back-off included."""
    began = time.monotonic()
    system.kill("broker")
    at = _first(system, device_id, words, lambda outcome: outcome == "Success")
    return {"broker_restart_s": round(at - began, 2)}


def _first(system: System, device_id: str, words: dict[str, str], wanted: Callable[[str], bool]) -> float:
    """When the broker first answered as wanted."""

    def look() -> float | None:
        outcome, at = _try(system, device_id, words[device_id])
        return at if wanted(outcome) else None

    return wait_for("the broker's answer", look, 60.0, every_s=0.02)


def memory_mb(system: System) -> dict[str, int]:
    """Resident megabytes of each child; PostgreSQL is its first process alone."""
    found = {}
    for name, pid in system.children().items():
        text = Path(f"/proc/{pid}/status").read_text()
        found[name] = round(int(text.split("VmRSS:")[1].split()[0]) / 1024)
    return found


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)


if __name__ == "__main__":
    main()
