"""Five thousand devices come back after an hour: how long until every newest value is seen, and what do live alarms notice?

Question: 5,000 gauges were away for an hour and return within 30 s, each with its whole backlog (60 minutes, two values each; half of
them mark it and send the newest value first, half send it oldest first and unmarked: benchmarks/storm.py). Is every newest value
evaluated and on a viewer's socket within 10 s of its write, do the alarms of devices that were never away stay below 2 s (p99),
and is the whole backlog in the database afterwards, at its own times?

How: a `citybrain up` of its own. Each of the 5,000 reports once (of an hour and ten minutes ago) and goes away; their silence is waited for, which raises absence alarms. LIVE gauges report once a second all the time; at a random moment each crosses its threshold.
A tenth of the newest values of the storm lies above the threshold: "evaluated" is their alarm at the viewer, and that no other
device of the storm raises one. "On the socket" is the row of `obj/device` with the newest value's time. What does not come is an error.

    python -m benchmarks.reconnect_storm                 5,000 devices, 200 live ones
    QUICK=1 python -m benchmarks.reconnect_storm         500 and 100, without waiting for the silence
    DEVICES=, LIVE=, SEED=

`newest_s` is the longest of all, of row and alarm; `live_p99_ms` over all (alarm, viewer) pairs; `backlog_s` from the last device's return
to the last row's commit; `also_at_arrival` counts rows of the backlog's beginnings that were taken for a wrong clock's first. The last line is JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.storm import MINUTES, ROWS_PER_SAMPLE
from benchmarks.viewers import Seen, Viewers
from citybrain_testing.system import System
from runtime.settings import load
from simulators.devices import Broker
from simulators.load import LoadDevice, LoadGenerator, LoadReport, schedule
from simulators.mqtt_light import LightPublisher
from storage.database import Database
from stream.records import Source

VIEWERS = 3
IMPORT_AT_ONCE = 500
INTERVAL_S = 10.0  # of the registered devices: their silence is known after three
THRESHOLD_M = 3.0
RULE = "flood.river-stage"
LEAD_S = 5.0  # of live load before the storm
STILL_S = 20.0  # no new row for so long: that was all
FIRST_MS = (MINUTES + 10) * 60_000
FIRST_M, FIRST_V = 1.0, 12.0  # what a device of the storm reports before it goes away
FAULT = int(Source.CLOCK_FAULT)
PATIENCE_S = 300.0
LIMIT_NEWEST_S, LIMIT_LIVE_MS = 10.0, 2_000.0


def main() -> None:
    quick = bool(os.environ.get("QUICK"))
    seed = int(os.environ.get("SEED") or 8)
    devices = int(os.environ.get("DEVICES") or (500 if quick else 5_000))
    live = int(os.environ.get("LIVE") or (100 if quick else 200))
    back_s, tail_s = (8.0, 5.0) if quick else (30.0, 25.0)
    folder = Path(tempfile.mkdtemp(prefix="cb-storm-"))
    began = time.monotonic()
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}, seed {seed}", flush=True)
    system = System(folder / "data", args=("--demo", "--no-simulator", "--clock", "real"), answers_checked=False)
    try:
        system.start()
        words = _register(system, devices, live)
        if not quick:
            _silence(system, words, devices)
        print(f"prepared after {time.monotonic() - began:.0f} s", flush=True)
        result = _measure(system, folder, words, devices, live, back_s, tail_s, seed)
    except BaseException:
        print(system.logs(), file=sys.stderr)
        raise
    finally:
        system.stop()
        shutil.rmtree(folder, ignore_errors=True)
    facts = {"devices": devices, "live": live, "seed": seed, "quick": quick, "cores": os.cpu_count()}
    print(json.dumps(result | facts | {"seconds": round(time.monotonic() - began, 1)}))


# --- before


def _storm_name(number: int) -> str:
    return f"storm-{number:04d}"


def _live_name(number: int) -> str:
    return f"live-{number:04d}"


def _register(system: System, devices: int, live: int) -> dict[str, str]:
    names = [_storm_name(n) for n in range(devices)] + [_live_name(n) for n in range(live)]
    words: dict[str, str] = {}
    with contextlib.closing(system.login("admin")) as admin:
        for first in range(0, len(names), IMPORT_AT_ONCE):
            part = [_document(name) for name in names[first : first + IMPORT_AT_ONCE]]
            answer = admin.post("/api/v1/devices/import", json={"devices": part, "reason": "benchmark"}, timeout=120)
            answer.raise_for_status()
            words |= answer.json()["credentials"]
    time.sleep(3.0)  # the broker reads new credentials within a second or two
    return words


def _document(name: str) -> dict[str, Any]:
    level = {"on": {"yellow": THRESHOLD_M}, "off": {"yellow": THRESHOLD_M - 0.2}, "direction": "rise"}
    return {
        "device_id": name,
        "model": "water-gauge-v1",
        "name": name,
        "lon": 121.45,
        "lat": 28.68,
        "area": "339900",
        "vendor": "benchmark",
        "interval_s": INTERVAL_S,
        "attributes": {"properties": ["stage_m", "battery_v"]},
        "thresholds": {"stage_m": level | {"on_delay_s": 0, "off_delay_s": 60, "source": "benchmark"}},
    }


def _silence(system: System, words: dict[str, str], devices: int) -> None:
    """Each device reports once and goes; wait until their silence is known."""
    broker = _broker(system)

    async def once() -> None:
        gate = asyncio.Semaphore(32)

        async def one(name: str) -> None:
            async with gate:
                link = await LightPublisher.open(broker.host, broker.port, name, words[name])
                ts = time.time_ns() // 1_000_000 - FIRST_MS  # before the hour that it will bring
                body = json.dumps({"ts": ts, "values": {"stage_m": FIRST_M, "battery_v": FIRST_V}, "bf": True})
                link.publish(f"cb/v1/{system.ready['tenant']}/{name}/up/telemetry", body.encode())
                while link.acked < link.sent:
                    await asyncio.sleep(0.01)
                link.close()

        await asyncio.gather(*(one(_storm_name(n)) for n in range(devices)))

    asyncio.run(once())
    time.sleep(4 * INTERVAL_S)
    if not _silent(system):
        raise RuntimeError("nobody has noticed the silence")


def _silent(system: System) -> int:
    """Open absence alarms: one by one for the first, one for all of them once they are many."""
    return _count(
        system,
        "SELECT count(*) AS n FROM alarm WHERE firing AND condition->'last'->>'rule_id' = 'device.absence'",
    )


def _broker(system: System) -> Broker:
    return Broker(host=system.ready["broker_host"], port=system.ready["broker_port"])


# --- the storm


class Storm:
    """The generator in a process of its own."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        path = folder / "storm.json"
        path.write_text(json.dumps(settings))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.storm", str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != "ready":
            raise RuntimeError("the storm did not start")

    def blow(self) -> dict[str, Any]:
        """Begins, and ends when everything is acknowledged."""
        out, _ = self._process.communicate("go\n")
        if self._process.returncode:
            raise RuntimeError("the storm failed")
        told: dict[str, Any] = json.loads(out.splitlines()[-1])
        return told


def _measure(
    system: System,
    folder: Path,
    words: dict[str, str],
    devices: int,
    live: int,
    back_s: float,
    tail_s: float,
    seed: int,
) -> dict[str, Any]:
    rng = random.Random(seed)
    names = [_storm_name(n) for n in range(devices)]
    high = set(rng.sample(names, devices // 10))
    broker = _broker(system)
    settings = {
        "host": broker.host,
        "port": broker.port,
        "tenant": system.ready["tenant"],
        "devices": [[name, words[name]] for name in names],
        "back_s": back_s,
        "seed": seed,
        "high": sorted(high),
    }
    with contextlib.closing(system.login("leader1")) as leader:
        token = leader.headers["Authorization"].removeprefix("Bearer ")
        with Viewers(system.base_url, token, count=VIEWERS, channels=("alarm", "obj/device")) as watching:
            watching.start()
            storm = Storm(folder, settings)
            told: list[dict[str, Any]] = []
            blowing = threading.Timer(LEAD_S, lambda: told.append(storm.blow()))
            blowing.start()
            load = [
                LoadDevice(device_id=name, password=words[name], property="stage_m", quiet=2.0, alarm=4.0)
                for name in (_live_name(n) for n in range(live))
            ]
            report = asyncio.run(_live_load(system, load, LEAD_S + back_s + tail_s, seed))
            blowing.join()
            back_at = time.monotonic()
            rows, at_arrival = _backlog(system, told[0])
            backlog_s = time.monotonic() - back_at
            time.sleep(2.0)
            seen = watching.stop()
    return {
        **_newest(told[0]["newest"], high, seen),
        **_live(report, live, seen),
        "backlog_complete": rows == told[0]["samples"] * ROWS_PER_SAMPLE,
        "backlog_rows": rows,
        "also_at_arrival": at_arrival,
        "sent_rows": told[0]["samples"] * ROWS_PER_SAMPLE,
        "backlog_s": round(backlog_s, 1),
        "messages": told[0]["messages"],
        "acked": told[0]["acked"],
        "back_within_s": round(told[0]["connected_s"], 1),
        "limits": {"newest_s": LIMIT_NEWEST_S, "live_p99_ms": LIMIT_LIVE_MS},
    }


async def _live_load(system: System, load: Sequence[LoadDevice], seconds: float, seed: int) -> LoadReport:
    generator = LoadGenerator(
        broker=_broker(system), tenant=system.ready["tenant"], devices=load, now_us=lambda: time.time_ns() // 1000
    )
    await generator.connect()
    try:
        return await generator.run(schedule(len(load), len(load), seconds, len(load), LEAD_S, seed))
    finally:
        generator.close()


# --- the reckoning


def _backlog(system: System, told: dict[str, Any]) -> tuple[int, int]:
    """Rows at the times that were sent, once all of them are there or none more come; and how many counted at their arrival too."""
    wanted = told["samples"] * ROWS_PER_SAMPLE
    question = f"SELECT count(*) AS n {_STORM} AND source & {FAULT} "
    end, rows, still = time.monotonic() + PATIENCE_S, -1, time.monotonic()
    while time.monotonic() < min(end, still + STILL_S) and rows < wanted:
        found = _count(system, question + "= 0")
        if found != rows:
            rows, still = found, time.monotonic()
        time.sleep(0.5)
    right = 0
    for row in _ask(system, f"SELECT device_id, array_agg({_MS}) AS at {_STORM} AND source & {FAULT} = 0 GROUP BY 1"):
        newest = told["newest"][row["device_id"]][0]
        own = {newest - minute * 60_000 for minute in range(MINUTES + 1)}
        right += sum(at in own for at in row["at"])
    return right, _count(system, question + "<> 0")


_MS = "(extract(epoch FROM phenomenon_time) * 1000)::bigint"
_STORM = (
    "FROM observation JOIN datastream USING (datastream) WHERE device_id LIKE 'storm-%%' "
    f"AND result NOT IN ({FIRST_M}, {FIRST_V})"
)


def _count(system: System, question: str) -> int:
    return int(_ask(system, question)[0]["n"])


def _ask(system: System, question: str) -> list[dict[str, Any]]:
    settings = load(system.data_dir / "run" / "settings.json")

    async def ask() -> list[dict[str, Any]]:
        async with Database(settings.database, settings.tenant) as database, database.transaction() as connection:
            return list(await (await connection.execute(question)).fetchall())

    return asyncio.run(ask())


def _newest(sent: dict[str, tuple[int, int]], high: set[str], seen: Sequence[Seen]) -> dict[str, Any]:
    """Raises RuntimeError where a newest value did not reach every viewer, or the wrong devices raised."""
    rows: dict[tuple[str, int], int] = {}
    alarms: dict[tuple[str, int], int] = {}
    for event in seen:
        if event.device_id not in sent:
            continue
        key = (event.device_id, event.viewer)
        if event.kind == "row" and event.logged_us >= sent[event.device_id][0] * 1000:
            rows.setdefault(key, event.parsed_ns)
        elif event.kind == "raised" and event.rule_id == RULE:
            alarms.setdefault(key, event.parsed_ns)
    raised = {name for name, _ in alarms}
    if len(rows) != len(sent) * VIEWERS or raised != high or len(alarms) != len(high) * VIEWERS:
        raise RuntimeError(
            f"newest values on a socket: {len(rows)} of {len(sent) * VIEWERS}; alarms: {len(alarms)} of {len(high) * VIEWERS}, "
            f"of {len(raised - high)} devices that should not"
        )
    on_socket = [(at - sent[name][1]) / 1e9 for (name, _), at in rows.items()]
    evaluated = [(at - sent[name][1]) / 1e9 for (name, _), at in alarms.items()]
    return {
        "newest_s": round(max(*on_socket, *evaluated), 2),
        "newest_row_s": _figures(on_socket, 2),
        "newest_alarm_s": _figures(evaluated, 2),
    }


def _live(report: LoadReport, live: int, seen: Sequence[Seen]) -> dict[str, Any]:
    """Raises RuntimeError where an alarm did not reach every viewer once."""
    sent = report.alarm_sent_s
    pairs = [
        event.parsed_ns / 1e6 - sent[event.device_id] * 1e3
        for event in seen
        if event.kind == "raised" and event.rule_id == RULE and event.device_id in sent
    ]
    if len(sent) != live or len(pairs) != live * VIEWERS or report.failed:
        raise RuntimeError(f"{len(sent)} of {live} live alarms sent, {len(pairs)} of {live * VIEWERS} seen")
    figures = _figures(pairs, 1)
    return {"live_p50_ms": figures["p50"], "live_p99_ms": figures["p99"], "live_max_ms": figures["max"]}


def _figures(values: Sequence[float], digits: int) -> dict[str, float]:
    """p50, p99 (nearest rank) and maximum."""
    ordered = sorted(values)
    rank = max(0, -(-99 * len(ordered) // 100) - 1)
    return {
        "p50": round(ordered[len(ordered) // 2], digits),
        "p99": round(ordered[rank], digits),
        "max": round(ordered[-1], digits),
    }


if __name__ == "__main__":
    main()
