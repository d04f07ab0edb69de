"""How long does it take from a device's socket write to the parsed alarm at a viewer, at 1,000 messages a second?

Question: p99 below 500 ms with 50 viewers, on a clock of 1x, through every part that is real: MQTT at QoS 1, the log's fsync,
rules, picture, websocket, with the store writing to the database and the domain opening incidents at the same time
(design.md section 5). Ends with status 1 only when something broke; a slow figure is a figure.

Shape: a `citybrain up` of its own with the demonstration district and no scenario. DEVICES river gauges are registered through
the HTTP door and send on connections of their own, by a schedule that does not wait for replies; at a random moment each of
ALARMS gauges begins to report a stage above its threshold (half of them orange, which opens or joins an incident, half
yellow). Viewers sit in a process of their own. Every alarm is looked for at every viewer: one that is missing is an error.

    python -m benchmarks.alarm_latency            90 s of load, 600 alarms
    QUICK=1 python -m benchmarks.alarm_latency    12 s of load, 500 alarms: an alarm every 20 ms, under a minute in all
    CHANNELS=alarm,incident,task,obj/device,kpi/board ...       what each viewer follows (default: alarm)
    CITYBRAIN_DATABASE=... CITYBRAIN_BROKER=...                 as for `citybrain up`
    SEED=, VIEWERS=, RATE= change the rest

The last line is JSON. `p50_ms`, `p99_ms`, `max_ms` are over all (alarm, viewer) pairs, `p99_to_limit` is their share of the 500 ms; `per_alarm` over the slowest viewer of
each alarm; `to_log` from the write to the city time at which ingest put the observation into the log, `from_log` the rest;
`slip_ms` how late the load generator itself wrote. `cpu_s` are seconds per process during the load, `idle_cpu` the share of
one core that each used before it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import random
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from benchmarks.processes import cpu_seconds, difference
from benchmarks.viewers import Seen, Viewers
from citybrain_testing.system import System
from runtime.settings import load
from simulators.devices import Broker
from simulators.load import LoadDevice, LoadGenerator, LoadReport, schedule
from simulators.mqtt_light import ConnectionRefused, LightPublisher
from storage.database import Database

DEVICES = 1_000
IMPORT_AT_ONCE = 500
QUIET_M, THRESHOLD_M, ALARM_M = 2.0, 3.0, 4.0
SETTLE_S = 3.0  # of load before the first alarm
BROKER_KNOWS_S = 15.0  # it reads new credentials within about a second
IDLE_S = 5.0
LIMIT_MS = 500.0  # p99, design.md section 5
GRACE_S = 3.0  # after the last message, for the last alarm to be seen


def main() -> None:
    quick = bool(os.environ.get("QUICK"))
    seed = int(os.environ.get("SEED") or 2)
    rate = float(os.environ.get("RATE") or 1_000)
    viewers = int(os.environ.get("VIEWERS") or 50)
    channels = (os.environ.get("CHANNELS") or "alarm").split(",")
    load_s, alarms = (12.0, 500) if quick else (90.0, 600)
    folder = Path(tempfile.mkdtemp(prefix="cb-latency-"))
    began = time.monotonic()
    system = System(folder / "data", args=("--demo", "--no-simulator", "--clock", "real"), answers_checked=False)
    try:
        system.start()
        print(
            f"ready after {time.monotonic() - began:.1f} s on {platform.machine()}, {os.cpu_count()} cores", flush=True
        )
        devices = _register(system, seed)
        idle = _idle(system, 0.0 if quick else IDLE_S)
        result = _measure(system, devices, rate, load_s, alarms, viewers, channels, seed)
        result |= {"database": asyncio.run(_tier(system)), "idle_cpu": idle}
    except BaseException:
        print(system.logs(), file=sys.stderr)
        raise
    finally:
        system.stop()
        shutil.rmtree(folder, ignore_errors=True)
    facts = {"devices": len(devices), "viewers": viewers, "channels": channels, "seed": seed, "quick": quick}
    print(json.dumps(result | facts | {"cores": os.cpu_count(), "seconds": round(time.monotonic() - began, 1)}))


# --- before


def _register(system: System, seed: int) -> list[LoadDevice]:
    """The gauges of the load, around the district, registered as a person would import them."""
    rng = random.Random(seed)
    documents = [_document(number, rng) for number in range(DEVICES)]
    words: dict[str, str] = {}
    with contextlib.closing(system.login("admin")) as admin:
        for first in range(0, DEVICES, IMPORT_AT_ONCE):
            part = documents[first : first + IMPORT_AT_ONCE]
            answer = admin.post("/api/v1/devices/import", json={"devices": part, "reason": "benchmark"})
            answer.raise_for_status()
            words |= answer.json()["credentials"]
    return [
        LoadDevice(device_id=name, password=words[name], property="stage_m", quiet=QUIET_M, alarm=ALARM_M)
        for name in (str(document["device_id"]) for document in documents)
    ]


def _document(number: int, rng: random.Random) -> dict[str, Any]:
    colour = "orange" if number % 2 else "yellow"
    return {
        "device_id": f"bench-{number:04d}",
        "model": "water-gauge-v1",
        "kind": "water_gauge",
        "name": f"压测水位计{number:04d}",
        "lon": 121.45 + rng.uniform(-0.05, 0.05),
        "lat": 28.68 + rng.uniform(-0.05, 0.05),
        "area": "339900",
        "vendor": "benchmark",
        "attributes": {"properties": ["stage_m"]},
        "thresholds": {
            "stage_m": {
                "on": {colour: THRESHOLD_M},
                "off": {colour: THRESHOLD_M - 0.2},
                "direction": "rise",
                "on_delay_s": 0,
                "off_delay_s": 60,
                "source": "benchmark",
            }
        },
    }


def _pids(system: System) -> dict[str, int]:
    return {name: pid for name, pid in system.children().items() if name != "simulator"}


def _idle(system: System, seconds: float) -> dict[str, float]:
    """Share of one core per process of a quiet system; empty for a quick run."""
    if not seconds:
        return {}
    before = cpu_seconds(_pids(system))
    time.sleep(seconds)
    used = difference(before, cpu_seconds(_pids(system)))
    return {name: round(share / seconds, 3) for name, share in used.items()}


async def _tier(system: System) -> str:
    settings = load(system.data_dir / "run" / "settings.json")
    async with Database(settings.database, settings.tenant) as database:
        return await database.tier()


# --- the load


def _measure(
    system: System,
    devices: Sequence[LoadDevice],
    rate: float,
    load_s: float,
    alarms: int,
    viewers: int,
    channels: Sequence[str],
    seed: int,
) -> dict[str, Any]:
    with contextlib.closing(system.login("leader1")) as leader:
        token = leader.headers["Authorization"].removeprefix("Bearer ")
        with Viewers(system.base_url, token, count=viewers, channels=channels) as watching:
            watching.start()
            pids = {**_pids(system), "load": os.getpid(), "viewers": watching.pid}
            before = cpu_seconds(pids)
            report, door = asyncio.run(_load(system, leader, devices, rate, load_s, alarms, seed))
            time.sleep(GRACE_S)
            cpu = difference(before, cpu_seconds(pids))
            seen = watching.stop()
            megabytes = round(watching.bytes / 1e6, 2)
    return {
        "rate_msg_s": round(report.sent / load_s, 1),
        **_latencies(report, seen, alarms, viewers),
        "sent": report.sent,
        "acked": report.acked,
        "failed": report.failed,
        "late_over_50_ms": report.late,
        "slip_ms": _figures([slip * 1e3 for slip in report.slip_s]),
        "door_ms": _figures(door),
        "viewer_megabytes": megabytes,
        "cpu_s": cpu,
        "load_s": load_s,
    }


async def _load(
    system: System,
    leader: httpx.Client,
    devices: Sequence[LoadDevice],
    rate: float,
    load_s: float,
    alarms: int,
    seed: int,
) -> tuple[LoadReport, list[float]]:
    """What was sent, and how long the HTTP door took meanwhile for a list of incidents, once a second."""
    broker = Broker(host=system.ready["broker_host"], port=system.ready["broker_port"])
    await _until_known(broker, devices[-1])
    generator = LoadGenerator(
        broker=broker, tenant=system.ready["tenant"], devices=devices, now_us=lambda: time.time_ns() // 1000
    )
    await generator.connect()
    door: list[float] = []
    asking = asyncio.create_task(_ask(system.base_url, dict(leader.headers), door))
    try:
        slots = schedule(len(devices), rate, load_s, alarms, SETTLE_S, seed)
        return await generator.run(slots), door
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        generator.close()


async def _until_known(broker: Broker, device: LoadDevice) -> None:
    """Wait until the broker has read the new credentials."""
    end = time.monotonic() + BROKER_KNOWS_S
    while True:
        try:
            link = await LightPublisher.open(broker.host, broker.port, device.device_id, device.password)
        except ConnectionRefused:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.2)
        else:
            link.close()
            return


async def _ask(base_url: str, headers: dict[str, str], door: list[float]) -> None:
    async with httpx.AsyncClient(base_url=base_url, headers=headers, timeout=20.0) as client:
        while True:
            began = time.monotonic()
            answer = await client.get("/api/v1/incidents", params={"state": "open"})
            answer.raise_for_status()
            door.append((time.monotonic() - began) * 1e3)
            await asyncio.sleep(1.0)


# --- the figures


def _latencies(report: LoadReport, seen: Sequence[Seen], alarms: int, viewers: int) -> dict[str, Any]:
    """Raises RuntimeError when an alarm did not reach every viewer exactly once."""
    # Machine wall time is the city time of a real clock; one offset turns it into the clock of the writes.
    offset_us = time.time_ns() // 1000 - time.monotonic_ns() // 1000
    pairs: list[float] = []
    reached: set[tuple[str, int]] = set()
    slowest: dict[str, float] = defaultdict(float)
    to_log: dict[str, float] = {}
    for event in seen:
        if event.kind != "raised" or event.device_id not in report.alarm_sent_s:
            continue
        sent_ns = report.alarm_sent_s[event.device_id] * 1e9
        latency_ms = (event.parsed_ns - sent_ns) / 1e6
        pairs.append(latency_ms)
        reached.add((event.device_id, event.viewer))
        slowest[event.device_id] = max(slowest[event.device_id], latency_ms)
        to_log[event.device_id] = (event.logged_us - offset_us) / 1e3 - sent_ns / 1e6
    missing, twice = alarms * viewers - len(reached), len(pairs) - len(reached)
    if missing or twice or len(report.alarm_sent_s) != alarms:
        raise RuntimeError(
            f"{len(report.alarm_sent_s)} of {alarms} alarms were sent, {len(slowest)} seen; of {alarms * viewers} pairs "
            f"{missing} are missing and {twice} came twice"
        )
    from_log = [slowest[device] - to_log[device] for device in slowest]
    figures = _figures(pairs)
    return {
        "alarms": alarms,
        "pairs": len(pairs),
        **{f"{name}_ms": value for name, value in figures.items()},
        "limit_ms": LIMIT_MS,
        "p99_to_limit": round(figures["p99"] / LIMIT_MS, 3),
        "per_alarm": _figures(list(slowest.values())),
        "to_log": _figures(list(to_log.values())),
        "from_log": _figures(from_log),
    }


def _figures(values: Sequence[float]) -> dict[str, float]:
    """p50, p99 (nearest rank) and maximum."""
    ordered = sorted(values)
    if not ordered:
        return {}
    rank = max(0, -(-99 * len(ordered) // 100) - 1)
    return {"p50": round(ordered[len(ordered) // 2], 1), "p99": round(ordered[rank], 1), "max": round(ordered[-1], 1)}


if __name__ == "__main__":
    main()
