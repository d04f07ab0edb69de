"""Everything that can be taken away from a running system, while devices of three kinds keep count of what they were promised.

Two parts. In the first the broker lives: whatever it acknowledged must be in the database, and whatever a station was answered.
In the second the broker itself is killed: the claim is about records that were confirmed end to end (`down/ack`, 9014, EOT);
how many had a PUBACK alone is counted beside it. Mosquitto acknowledges from memory (contract.md section 3).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from benchmarks.load import Flood
from citybrain_testing.probing import Probe
from citybrain_testing.servers import free_port
from citybrain_testing.stations import PASSWORD, SL651_PASSWORD, DialInStation, Hj212Dialect, Sl651Dialect
from citybrain_testing.system import System, wait_for
from runtime.metrics import reported
from runtime.settings import load
from storage.database import Database

OURS = ("store", "rules", "command", "ingest", "database")
RECOVERY_S = 120.0
SETTLE_S = 180.0
FILLING_S = 60.0
REASONS = ("LogFull", "LogFailed")
PREFIX = "lose-"
FLOOD_GATEWAYS, FLOOD_CHILDREN, FLOOD_VALUES = 10, 100, 3
DISK_BYTES = 1 << 30
STATION_PACE_S = 1.0
QUIET = {"on": {"orange": 60.0}, "off": {"orange": 59.0}, "direction": "rise", "source": "no_loss"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is done. `kills` of our processes and the database, each at least once when there are as many; then the rest."""

    seed: int
    probes: int = 10
    stations: int = 10  # of each protocol
    kills: int = 5
    broker_kills: int = 1
    outage_s: float = 10.0  # of the database
    full_disk_s: float = 5.0  # only where the log's folder can be a disk of its own (root)
    flood_msg_s: float = 1_000.0


@dataclass
class Toll:
    """What came of it."""

    acked: int = 0  # records that a device was told are safe: PUBACK in the first part, confirmed in the second
    stored: int = 0  # of those
    lost: list[str] = field(default_factory=list)
    duplicates: int = 0  # rows that nobody sent, and conflicts
    valid_dead_lettered: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    recovery_s: dict[str, float] = field(default_factory=dict)  # the longest of each
    acked_only: int = 0  # PUBACKed in the second part and not confirmed
    acked_only_lost: int = 0
    flood: dict[str, int] = field(default_factory=dict)
    answered: dict[str, int] = field(default_factory=dict)
    full_disk_refused: int | None = None  # appends that the log refused; None: the disk was not filled

    def figures(self) -> dict[str, Any]:
        return {
            "acked": self.acked,
            "stored": self.stored,
            "valid_dead_lettered": self.valid_dead_lettered,
            "lost": len(self.lost),
            "duplicates": self.duplicates,
            "kills": dict(self.kills),
            "recovery_s": self.recovery_s,
            "answered": self.answered,
            "flood": self.flood,
            "full_disk_refused": self.full_disk_refused,
            "acked_only": self.acked_only,
            "acked_only_lost": self.acked_only_lost,
        }


class Ordeal:
    """One system, its devices, and what is done to them. `run()` does it all; the system is stopped by then."""

    def __init__(self, folder: Path, plan: Plan, *, say: Callable[[str], None] = lambda text: None) -> None:
        self._folder, self._plan, self._say = folder, plan, say
        self._rng = random.Random(plan.seed)
        self._ports = {"hj212": free_port(), "sl651": free_port()}
        doors = " ".join(f"{codec}=127.0.0.1:{port}" for codec, port in self._ports.items())
        self._system = System(
            folder / "data",
            args=("--demo", "--no-simulator", "--clock", "real"),
            env={"CITYBRAIN_STATIONS": doors},
            answers_checked=False,
        )
        self.toll = Toll()

    def run(self) -> Toll:
        """Raises AssertionError where something does not come back; what is lost is in the toll."""
        with self._small_disk() as disk:
            try:
                self._system.start()
                words = self._register()
                with contextlib.ExitStack() as stack:
                    stations = self._stations()
                    probes = [stack.enter_context(self._probe(n, words)) for n in range(self._plan.probes)]
                    for station in stations.values():
                        station.start()
                        stack.callback(station.stop.set)
                    self._ours(words, disk, probes)
                    until_s = time.monotonic()
                    for _ in range(self._plan.broker_kills):
                        self._kill("broker")
                    time.sleep(3.0)
                self._reckon(probes, stations, until_s)
            except BaseException:
                self._say(self._system.logs())
                raise
            finally:
                self._system.stop()
        return self.toll

    # -- what is taken away

    def _ours(self, words: dict[str, str], disk: Path | None, probes: list[Probe]) -> None:
        """The part in which the broker lives, with a flood beside the probes."""
        victims = [*OURS, *(self._rng.choice(OURS) for _ in range(self._plan.kills))][: self._plan.kills]
        self._rng.shuffle(victims)
        senders = [[f"{PREFIX}gw-{g:02d}", words[f"{PREFIX}gw-{g:02d}"], _children(g)] for g in range(FLOOD_GATEWAYS)]
        ready, seconds = self._system.ready, 86_400.0
        arguments = (ready["broker_host"], ready["broker_port"], ready["tenant"], senders)
        flood = Flood(self._folder, *arguments, self._plan.flood_msg_s, seconds, self._plan.seed)
        flood.go()
        try:
            for victim in victims:
                self._kill(victim)
            if self._plan.outage_s:
                self._outage()
            if disk is not None and self._plan.full_disk_s:
                self._fill(disk)
            time.sleep(2.0)
        finally:
            told = flood.end()
        self._settled(probes, int(told["acked"]) * FLOOD_VALUES)
        self.toll.flood = {"sent": told["sent"], "acked": told["acked"], "stored_rows": self._flooded()}
        if told["acked"] * FLOOD_VALUES > self.toll.flood["stored_rows"]:
            self.toll.lost.append(f"flood: {self.toll.flood}")
        if told["sent"] * FLOOD_VALUES < self.toll.flood["stored_rows"]:
            self.toll.duplicates += self.toll.flood["stored_rows"] - told["sent"] * FLOOD_VALUES

    def _kill(self, victim: str) -> None:
        began, pid = time.monotonic(), self._system.kill(victim)
        self._say(f"kill -9 {victim}")
        self.toll.kills[victim] += 1
        wait_for(f"{victim} is back", lambda: self._back(victim, pid), RECOVERY_S)
        wait_for(f"/readyz after {victim}", lambda: self._ready_since(began), RECOVERY_S)
        took = round(time.monotonic() - began, 1)
        self.toll.recovery_s[victim] = max(took, self.toll.recovery_s.get(victim, 0.0))
        time.sleep(self._rng.uniform(0.2, 2.0))

    def _back(self, victim: str, pid: int) -> bool:
        status = self._system.status()[victim]
        return bool(status["state"] == "up" and status["pid"] != pid)

    def _ready_since(self, since_s: float) -> bool:
        try:
            answer = httpx.get(f"{self._system.base_url}/readyz", timeout=5.0)
        except httpx.TransportError:
            return False
        age_s = answer.json()["checks"]["canary"]["age_s"]
        return answer.status_code == httpx.codes.OK and age_s is not None and age_s < time.monotonic() - since_s

    def _outage(self) -> None:
        """The database dies again whenever it comes back, for `outage_s`."""
        self._say(f"database outage of {self._plan.outage_s:.0f} s")
        end = time.monotonic() + self._plan.outage_s
        while time.monotonic() < end:
            with contextlib.suppress(ProcessLookupError, KeyError):
                self._system.kill("database")
                self.toll.kills["database"] += 1
            time.sleep(0.3)
        began = time.monotonic()
        wait_for("/readyz after the outage", lambda: self._ready_since(began), RECOVERY_S)
        self.toll.recovery_s["outage"] = round(time.monotonic() - began, 1)

    def _fill(self, disk: Path) -> None:
        self._say(f"the log's disk is full for {self._plan.full_disk_s:.0f} s")
        ballast = disk / "ballast"
        refused, hurt = self._refused(), False
        with ballast.open("wb", buffering=0) as file:
            step = 1 << 20
            while step >= 512:
                try:
                    file.write(b"\xff" * step)
                except OSError:
                    step //= 2
            end = time.monotonic() + FILLING_S  # what SQLite has allocated already is used up first
            while time.monotonic() < end:
                if not hurt and self._refused() > refused:
                    hurt, end = True, time.monotonic() + self._plan.full_disk_s
                with contextlib.suppress(OSError):
                    file.write(b"\xff" * 512)  # what a deleted file gave back
                time.sleep(0.02)
        self.toll.full_disk_refused = int(self._refused() - refused)
        ballast.unlink()
        began = time.monotonic()
        wait_for("/readyz after the disk was full", lambda: self._ready_since(began), RECOVERY_S)
        self.toll.recovery_s["full_disk"] = round(time.monotonic() - began, 1)

    def _refused(self) -> float:
        """Records that the log refused so far, by its owner's own count."""
        run = self._system.data_dir / "run"
        return sum(reported(run, "ingest", f'citybrain_log_refused_total{{why="{why}"}}') or 0 for why in REASONS)

    @contextlib.contextmanager
    def _small_disk(self) -> Iterator[Path | None]:
        """The log's folder on a disk of its own that can be filled without harm; None where we may not mount one."""
        if os.geteuid() != 0 or not self._plan.full_disk_s:
            yield None
            return
        log = self._folder / "data" / "log"
        log.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "citybrain-log", str(log)], check=True)
        try:
            yield log
        finally:
            subprocess.run(["umount", "--lazy", str(log)], check=True)

    # -- devices

    def _register(self) -> dict[str, str]:
        documents = [_gauge(f"{PREFIX}probe-{n}", ["stage_m"]) for n in range(self._plan.probes)]
        for g in range(FLOOD_GATEWAYS):
            documents.append(_document(f"{PREFIX}gw-{g:02d}", "gateway-v1"))
            properties = ["stage_m", "depth_m", "battery_v"]
            documents += [_gauge(name, properties, gateway=f"{PREFIX}gw-{g:02d}") for name in _children(g)]
        for n in range(self._plan.stations):
            hj = {"hj212": {"station": _mn(n), "password": PASSWORD}}
            sl = {"sl651": {"station": _number(n), "password": SL651_PASSWORD}}
            documents.append(_document(f"{PREFIX}hj212-{n}", "dust-monitor-v1", attributes={"stations": hj}))
            attributes = {"stations": sl, "properties": ["stage_m", "battery_v"]}
            documents.append(_document(f"{PREFIX}sl651-{n}", "hydro-station-v1", attributes=attributes, quiet=True))
        words: dict[str, str] = {}
        with contextlib.closing(self._system.login("admin")) as admin:
            for first in range(0, len(documents), 500):
                body = {"devices": documents[first : first + 500], "reason": "no_loss"}
                answer = admin.post("/api/v1/devices/import", json=body, timeout=120)
                answer.raise_for_status()
                words |= answer.json()["credentials"]
        time.sleep(3.0)  # the broker reads new credentials within a second or two
        return words

    def _probe(self, n: int, words: dict[str, str]) -> Probe:
        ready, name = self._system.ready, f"{PREFIX}probe-{n}"
        return Probe(
            ready["broker_host"],
            ready["broker_port"],
            ready["tenant"],
            name,
            words[name],
            lambda: time.time_ns() // 1000,
        )

    def _stations(self) -> dict[str, DialInStation]:
        """Each with a reading a second; as many as it can before it is stopped."""
        now_us = time.time_ns() // 1000
        found: dict[str, DialInStation] = {}
        for n in range(self._plan.stations):
            hj = Hj212Dialect(_mn(n), now_us // 1_000_000 * 1_000_000)
            sl = Sl651Dialect(_number(n), now_us - 3_600_000_000)  # an hour of minutes, within the model's live window
            line = {codec: ("127.0.0.1", port) for codec, port in self._ports.items()}
            found[f"{PREFIX}hj212-{n}"] = DialInStation(line["hj212"], hj, 100_000, pace_s=STATION_PACE_S)
            found[f"{PREFIX}sl651-{n}"] = DialInStation(line["sl651"], sl, 60, pace_s=STATION_PACE_S)
        return found

    # -- the reckoning

    def _settled(self, probes: list[Probe], flood_rows: int) -> None:
        """Until what the broker acknowledged is in the database, or it never comes."""
        wanted = {probe.device_id: {probe.sent[seq] * 1000 for seq in list(probe.acked)} for probe in probes}
        end = time.monotonic() + SETTLE_S
        while time.monotonic() < end:
            there = self._stored("stage_m")
            if self._flooded() >= flood_rows and all(wanted[name] <= there.get(name, set()) for name in wanted):
                return
            time.sleep(1.0)

    def _reckon(self, probes: list[Probe], stations: dict[str, DialInStation], until_s: float) -> None:
        for station in stations.values():
            station.join()
        promised: dict[str, set[int]] = {}  # device -> times in microseconds
        sent: dict[str, set[int]] = {}
        only: dict[str, set[int]] = {}
        for probe in probes:
            name = probe.device_id
            sent[name] = {ts * 1000 for ts in probe.sent.values()}
            safe = {seq for seq, at_s in probe.acked.items() if at_s < until_s} | probe.confirmed
            promised[name] = {probe.sent[seq] * 1000 for seq in safe}
            only[name] = {probe.sent[seq] * 1000 for seq in probe.acked if seq not in safe}
        for name, station in stations.items():
            promised[name] = {station.dialect.time_us(number) for number in station.answered}
            sent[name] = {station.dialect.time_us(number) for number in station.shown}
        missing = self._missing(promised)
        there = self._stored("stage_m") | self._stored("pm25_ug_m3")
        toll = self.toll
        toll.acked = sum(map(len, promised.values()))
        toll.stored = toll.acked - sum(map(len, missing.values()))
        toll.lost += [f"{name}: {sorted(times)[:5]} of {len(times)}" for name, times in missing.items() if times]
        toll.acked_only = sum(map(len, only.values()))
        toll.acked_only_lost = sum(len(times - there.get(name, set())) for name, times in only.items())
        toll.duplicates += sum(len(there.get(name, set()) - times) for name, times in sent.items()) + self._conflicts()
        toll.valid_dead_lettered = self._dead()
        toll.answered = {
            "mqtt_acked": sum(len(probe.acked) for probe in probes),
            "mqtt_confirmed": sum(len(probe.confirmed) for probe in probes),
            **{
                codec: sum(len(station.answered) for name, station in stations.items() if f"-{codec}-" in name)
                for codec in ("hj212", "sl651")
            },
        }

    def _missing(self, promised: dict[str, set[int]]) -> dict[str, set[int]]:
        end = time.monotonic() + SETTLE_S
        while True:
            there = self._stored("stage_m") | self._stored("pm25_ug_m3")
            missing = {name: times - there.get(name, set()) for name, times in promised.items()}
            if not any(missing.values()) or time.monotonic() > end:
                return missing
            time.sleep(1.0)

    def _stored(self, key: str) -> dict[str, set[int]]:
        """device -> the stamps that it sent; the first two of a backlog stand at their receive time (decision 3)."""
        rows = self._ask(
            "SELECT device_id, (extract(epoch FROM coalesce(device_time, phenomenon_time)) * 1000000)::bigint AS at "
            "FROM observation "
            "JOIN datastream USING (datastream) WHERE property = %(key)s AND device_id LIKE %(like)s "
            "AND device_id NOT LIKE %(flood)s",
            key=key,
            like=f"{PREFIX}%",
            flood=f"{PREFIX}flood-%",
        )
        found: dict[str, set[int]] = {}
        for row in rows:
            found.setdefault(row["device_id"], set()).add(row["at"])
        return found

    def _flooded(self) -> int:
        return self._count("observation JOIN datastream USING (datastream)", f"{PREFIX}flood-%")

    def _conflicts(self) -> int:
        return self._count("observation_conflict JOIN datastream USING (datastream)", f"{PREFIX}%")

    def _dead(self) -> int:
        return self._count("dead_letter", f"{PREFIX}%")

    def _count(self, what: str, like: str) -> int:
        (row,) = self._ask(f"SELECT count(*) AS n FROM {what} WHERE device_id LIKE %(like)s", like=like)  # noqa: S608
        return int(row["n"])

    def _ask(self, question: str, **values: str) -> list[dict[str, Any]]:
        settings = load(self._system.data_dir / "run" / "settings.json")

        async def ask() -> list[dict[str, Any]]:
            async with Database(settings.database, settings.tenant) as database, database.transaction() as connection:
                return list(await (await connection.execute(question, values)).fetchall())

        return asyncio.run(ask())


def _children(gateway: int) -> list[str]:
    return [f"{PREFIX}flood-{gateway:02d}-{n:03d}" for n in range(FLOOD_CHILDREN)]


def _mn(n: int) -> str:
    return f"LOSE{n:020d}"


def _number(n: int) -> str:
    return f"{77_000_000 + n:010d}"


def _gauge(name: str, properties: list[str], gateway: str = "") -> dict[str, Any]:
    return _document(name, "water-gauge-v1", attributes={"properties": properties}, gateway=gateway, quiet=True)


def _document(
    name: str, model: str, *, attributes: dict[str, Any] | None = None, gateway: str = "", quiet: bool = False
) -> dict[str, Any]:
    return {
        "device_id": name,
        "model": model,
        "name": name,
        "lon": 121.45,
        "lat": 28.68,
        "area": "339900",
        "vendor": "no_loss",
        "gateway": gateway,
        "attributes": attributes or {},
        "thresholds": {"stage_m": QUIET} if quiet else {},
    }
