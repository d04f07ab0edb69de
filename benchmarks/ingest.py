"""How many messages a second does one machine take, from a device's publish to the committed row, beside everything else?

Question: sustained messages a second at QoS 1 with three values each, 5,000 devices, on two cores that also carry the broker, the
database, rules, picture and the load generator; and which share that is of what `mosquitto_sub` alone drains from the same
broker at the same shape in the same run. Shape *gateways*: 50 connections that speak for 100 devices each; *direct*: 5,000
connections.

The load is offered at RATE; what is over the system's rate waits at the broker, so `msg_s` counts from the first publish to the
last committed row. `p99_commit_ms` is the age of the newest committed observation of a hundred series as a client of the database sees it every
100 ms, at half the sustained rate. `p99_alarm_ms` is measured there too: of ALARMS gauges beside the load that cross a threshold once,
from the socket write to the alarm at a viewer. Everything that was acknowledged must be there in the end: what is missing is an error.

    python -m benchmarks.ingest                 RATE=30000 for SECONDS=300
    QUICK=1 python -m benchmarks.ingest         a few seconds of each
    SHAPE=gateways|direct, SEED=

The last line is JSON; `cpu_us_per_msg` is what ingest, store, rules and command used together, `cpu_s` each.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks import peers
from benchmarks.load import Flood, named
from benchmarks.processes import cpu_seconds, difference
from benchmarks.viewers import Seen, Viewers
from citybrain_testing.servers import private_mosquitto
from citybrain_testing.system import System
from runtime.settings import load
from simulators.devices import Broker
from simulators.load import LoadDevice, LoadGenerator, LoadReport, schedule
from storage.database import Database

IMPORT_AT_ONCE = 500
VALUES = 3
POLL_S = 0.1
PROBED = 100  # series of the flood, of which one speaks every few milliseconds
PROBES = "SELECT datastream FROM datastream WHERE device_id LIKE 'flood-%%' ORDER BY md5(datastream::text) LIMIT %(n)s"
NEWEST = (
    "SELECT (extract(epoch FROM max(r.receive_time)) * 1000)::float8 AS newest FROM unnest(%(probes)s::int[]) AS p (d), "
    "LATERAL (SELECT receive_time FROM observation WHERE datastream = p.d ORDER BY phenomenon_time DESC LIMIT 1) AS r"
)
PATIENCE_S = 900.0  # for the last row
OURS = ("ingest", "store", "rules", "command")
ALARMS = 200
CROSSED = {"on": {"yellow": 3.0}, "off": {"yellow": 2.8}, "direction": "rise", "on_delay_s": 0, "source": "benchmark"}
RULE = "flood.river-stage"
QUIET = {"on": {"orange": 60.0}, "off": {"orange": 59.0}, "direction": "rise", "source": "benchmark"}


def main() -> None:
    quick = bool(os.environ.get("QUICK"))
    rate = float(os.environ.get("RATE") or 30_000)
    seconds = float(os.environ.get("SECONDS") or (4 if quick else 300))
    shape = os.environ.get("SHAPE") or "gateways"
    seed = int(os.environ.get("SEED") or 4)
    folder = Path(tempfile.mkdtemp(prefix="cb-ingest-"))
    began = time.monotonic()
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}", flush=True)
    drained = drain_limit(folder, shape, seed, min(seconds, 10.0))
    print(f"mosquitto_sub alone: {drained:.0f} msg/s", flush=True)
    beside = peers.measure(folder, seed, 2.0 if quick else 30.0) if shape == "gateways" else {}
    print(f"peers: {beside}", flush=True)
    system = System(folder / "data", args=("--demo", "--no-simulator", "--clock", "real"), answers_checked=False)
    try:
        system.start()
        senders, words = register(system, shape)
        print(
            f"{sum(len(s[2]) for s in senders)} devices registered after {time.monotonic() - began:.0f} s", flush=True
        )
        full = measure(system, folder, senders, shape, rate, seconds, seed)
        print(json.dumps(full), flush=True)
        half_s = min(seconds, 60.0)
        with Alarms(system, words, half_s + 3.0, seed) as alarms:
            half = measure(system, folder, senders, shape, full["msg_s"] / 2, max(half_s, 8.0), seed + 1)
        half |= {"alarms": alarms.figures()}
    except BaseException:
        print(system.logs(), file=sys.stderr)
        raise
    finally:
        system.stop()
        shutil.rmtree(folder, ignore_errors=True)
    result = {
        **full,
        "shape": shape,
        "drain_limit_msg_s": round(drained),
        "ratio_to_limit": round(full["msg_s"] / drained, 3),
        "p99_commit_ms": half["commit_age_ms"]["p99"],
        "p99_alarm_ms": half["alarms"]["p99"],
        "half": half,
        "peers": beside,
        "seed": seed,
        "quick": quick,
        "cores": os.cpu_count(),
        "seconds": round(time.monotonic() - began, 1),
    }
    print(json.dumps(result))


def drain_limit(folder: Path, shape: str, seed: int, seconds: float) -> float:
    """Messages a second that one `mosquitto_sub` takes from a broker of the same settings, offered more than it takes."""
    people = named(shape)
    with private_mosquitto(accounts={name: "word" for name, _ in people}) as broker:
        senders = [[name, "word", devices] for name, devices in people]
        flood = Flood(folder, broker.host, broker.port, broker.tenant, senders, 1e9, seconds, seed)
        password = broker.password("service.ingest")
        login = ["-h", broker.host, "-p", str(broker.port), "-u", "service.ingest", "-P", password, "-i", "drain"]
        command = ["mosquitto_sub", *login, "-q", "1", "-c", "-t", f"cb/v1/{broker.tenant}/+/up/#", "-F", "x"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as subscriber:
            try:
                time.sleep(0.5)
                began = time.monotonic()
                flood.go()
                counted = Counted(subscriber)
                sent = flood.wait()["sent"]
                counted.until(sent)
                took = time.monotonic() - began
            finally:
                subscriber.terminate()
    return float(sent / took)


class Counted(threading.Thread):
    """Counts the lines that a subscriber prints."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        super().__init__(daemon=True)
        self._process, self.lines = process, 0
        self.start()

    def run(self) -> None:
        assert self._process.stdout is not None
        while data := os.read(self._process.stdout.fileno(), 65_536):
            self.lines += data.count(b"\n")

    def until(self, lines: int) -> None:
        end = time.monotonic() + PATIENCE_S
        while self.lines < lines and time.monotonic() < end:
            time.sleep(0.01)
        if self.lines < lines:
            raise RuntimeError(f"{self.lines} of {lines} messages were drained")


def register(system: System, shape: str) -> tuple[list[list[Any]], dict[str, str]]:
    """The devices, imported through the HTTP door; the senders with their credentials, and all credentials."""
    people = named(shape)
    documents: list[dict[str, Any]] = []
    for sender, devices in people:
        if devices != [sender]:
            documents.append(document(sender, "gateway-v1"))
        documents += [document(name, "water-gauge-v1", "" if devices == [sender] else sender) for name in devices]
    documents += [
        document(_alarm_name(n), "water-gauge-v1") | {"thresholds": {"stage_m": CROSSED}} for n in range(ALARMS)
    ]
    words: dict[str, str] = {}
    with contextlib.closing(system.login("admin")) as admin:
        for first in range(0, len(documents), IMPORT_AT_ONCE):
            part = documents[first : first + IMPORT_AT_ONCE]
            answer = admin.post("/api/v1/devices/import", json={"devices": part, "reason": "benchmark"}, timeout=120)
            answer.raise_for_status()
            words |= answer.json()["credentials"]
    time.sleep(3.0)  # the broker reads new credentials within a second or two
    return [[sender, words[sender], devices] for sender, devices in people], words


def document(name: str, model: str, gateway: str = "") -> dict[str, Any]:
    gauge = model == "water-gauge-v1"
    return {
        "device_id": name,
        "model": model,
        "name": name,
        "lon": 121.45,
        "lat": 28.68,
        "area": "339900",
        "vendor": "benchmark",
        "gateway": gateway,
        "attributes": {"properties": ["stage_m", "depth_m", "battery_v"]} if gauge else {},
        "thresholds": {"stage_m": QUIET} if gauge else {},
    }


def measure(
    system: System, folder: Path, senders: list[list[Any]], shape: str, rate: float, seconds: float, seed: int
) -> dict[str, Any]:
    ready = system.ready
    pids = {name: pid for name, pid in system.children().items() if name != "simulator"}
    flood = Flood(folder, ready["broker_host"], ready["broker_port"], ready["tenant"], senders, rate, seconds, seed)
    pids["load"] = flood.pid
    with Watch(system) as watch:
        rows, already = watch.rows(), watch.stored()
        before = cpu_seconds(pids)
        began = time.monotonic()
        flood.go()
        watch.begin()
        sent: list[dict[str, Any]] = []
        waiter = threading.Thread(target=lambda: sent.append(flood.wait()))
        waiter.start()
        time.sleep(max(0.0, seconds - 0.5))
        cpu_load = difference({"load": before["load"]}, cpu_seconds({"load": flood.pid}))  # it is gone afterwards
        waiter.join()
        watch.until(rows + sent[0]["acked"] * VALUES)
        took = time.monotonic() - began
        cpu = difference(before, cpu_seconds({k: v for k, v in pids.items() if k != "load"})) | cpu_load
        stored = watch.stored() - already
    acked = sent[0]["acked"]
    return {
        "msg_s": round(acked / took),
        "obs_s": round(stored / took),
        "offered_msg_s": round(rate),
        "sent": sent[0]["sent"],
        "acked": acked,
        "stored": stored,
        "took_s": round(took, 1),
        "generator_slow": sent[0]["slow"],
        "cpu_us_per_msg": round(1e6 * sum(cpu.get(name, 0.0) for name in OURS) / acked, 1),
        "cpu_s": cpu,
        "commit_age_ms": watch.ages(),
    }


def _alarm_name(number: int) -> str:
    return f"alarm-{number:03d}"


class Alarms:
    """Gauges beside the load, of which each crosses its threshold once, and a viewer. Use as a context, then ask `figures`."""

    def __init__(self, system: System, words: dict[str, str], seconds: float, seed: int) -> None:
        self._system, self._seconds, self._seed = system, seconds, seed
        self._load = [
            LoadDevice(device_id=name, password=words[name], property="stage_m", quiet=2.0, alarm=4.0)
            for name in (_alarm_name(n) for n in range(ALARMS))
        ]
        self._report: LoadReport | None = None
        self._seen: list[Seen] = []
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Alarms:
        leader = self._stack.enter_context(contextlib.closing(self._system.login("leader1")))
        token = leader.headers["Authorization"].removeprefix("Bearer ")
        self._viewers = self._stack.enter_context(Viewers(self._system.base_url, token, count=1, channels=("alarm",)))
        self._viewers.start()
        self._sender = threading.Thread(target=lambda: asyncio.run(self._send()))
        self._sender.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._sender.join()
        time.sleep(3.0)  # for the last alarm
        self._seen = self._viewers.stop()
        self._stack.close()

    async def _send(self) -> None:
        ready = self._system.ready
        broker = Broker(host=ready["broker_host"], port=ready["broker_port"])
        generator = LoadGenerator(
            broker=broker, tenant=ready["tenant"], devices=self._load, now_us=lambda: time.time_ns() // 1000
        )
        await generator.connect()
        try:
            self._report = await generator.run(schedule(ALARMS, ALARMS, self._seconds, ALARMS, 3.0, self._seed))
        finally:
            generator.close()

    def figures(self) -> dict[str, Any]:
        """p50, p99, maximum in ms from write to viewer. Raises RuntimeError where an alarm did not come, or came twice."""
        assert self._report is not None
        sent = self._report.alarm_sent_s
        found = sorted(
            event.parsed_ns / 1e6 - sent[event.device_id] * 1e3
            for event in self._seen
            if event.kind == "raised" and event.rule_id == RULE and event.device_id in sent
        )
        if not len(sent) == len(found) == ALARMS:
            raise RuntimeError(f"{len(sent)} of {ALARMS} alarms were sent, {len(found)} seen")
        return {
            "count": ALARMS,
            "p50": round(found[len(found) // 2], 1),
            "p99": round(found[max(0, -(-99 * len(found) // 100) - 1)], 1),
            "max": round(found[-1], 1),
        }


class Watch:
    """A client of the database: rows of the flood's devices, and the age of the newest one, sampled."""

    def __init__(self, system: System) -> None:
        settings = load(system.data_dir / "run" / "settings.json")
        self._url, self._tenant = settings.database, settings.tenant
        self._ages: list[float] = []
        self._began_ms = 0.0
        self._stop = threading.Event()
        self._sampler: threading.Thread | None = None

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        if self._sampler is not None:
            self._sampler.join()

    def begin(self) -> None:
        self._began_ms = time.time_ns() / 1e6
        self._sampler = threading.Thread(target=lambda: asyncio.run(self._sample()), daemon=True)
        self._sampler.start()

    def rows(self) -> int:
        """Committed observations of the flood's devices."""
        return self._ask(
            "SELECT coalesce(sum(received), 0)::bigint AS n FROM datastream_stat JOIN datastream USING (datastream) "
            "WHERE device_id LIKE 'flood-%%'"
        )

    def stored(self) -> int:
        """The same, counted row by row."""
        return self._ask(
            "SELECT count(*) AS n FROM observation JOIN datastream USING (datastream) WHERE device_id LIKE 'flood-%%'"
        )

    def until(self, rows: int) -> None:
        """Wait for the last row. Raises RuntimeError where it does not come: an acknowledged observation is missing."""
        end = time.monotonic() + PATIENCE_S
        while (found := self.rows()) < rows and time.monotonic() < end:
            time.sleep(min(1.0, POLL_S + (rows - found) / 400_000))
        if found < rows:
            raise RuntimeError(f"{rows - found} acknowledged observations are missing")

    def _ask(self, question: str) -> int:
        async def ask() -> int:
            async with Database(self._url, self._tenant) as database, database.transaction() as connection:
                row = await (await connection.execute(question)).fetchone()
                assert row is not None
                return int(row["n"])

        return asyncio.run(ask())

    async def _sample(self) -> None:
        """The newest committed row of PROBED series, by their index: one that scans would be a load of its own."""
        async with Database(self._url, self._tenant) as database:
            async with database.transaction() as connection:
                found = await (await connection.execute(PROBES, {"n": PROBED})).fetchall()
            probes = {"probes": [int(row["datastream"]) for row in found]}
            while not self._stop.wait(POLL_S):
                async with database.transaction() as connection:
                    row = await (await connection.execute(NEWEST, probes)).fetchone()
                if row is not None and (row["newest"] or 0) > self._began_ms:  # older ones are of the run before
                    self._ages.append(time.time_ns() / 1e6 - float(row["newest"]))

    def ages(self) -> dict[str, float]:
        """p50, p99, maximum in milliseconds while the load ran."""
        ordered = sorted(self._ages) or [0.0]
        return {
            "p50": round(ordered[len(ordered) // 2], 1),
            "p99": round(ordered[-max(1, len(ordered) // 100)], 1),
            "max": round(ordered[-1], 1),
        }


if __name__ == "__main__":
    main()
