"""The same load into what else one could use: how many messages a second reach the database, and what kills cost.

Two peers, each with a Mosquitto of our settings and a PostgreSQL of the plain tier to itself: what a competent person writes in
an afternoon (`peer_aiomqtt.py`: aiomqtt, one transaction for what came within 50 ms), and Node-RED (`peer_node_red/`: mqtt in, rows
collected for 50 ms, one INSERT of arrays). Neither checks identity or quality, evaluates rules, or keeps latest values.

`msg_s`: from the first publish to the last committed row, offered more than they take. `lost`: of the messages that the broker
acknowledged to the devices, how many are not in the peer's database after `kill -9` of the peer and of its database, each some
times at random; a peer that dies is started again at once, as a service manager would.

    python -m benchmarks.peers             both questions for both peers; make bench-peers brings Node-RED
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from benchmarks.load import Flood, named
from citybrain_testing.servers import PrivateMosquitto, PrivatePostgres, free_port, private_mosquitto, private_postgres

HERE = Path(__file__).resolve().parent
NODE_RED = HERE / "peer_node_red"
VALUES = 3
OFFERED_MSG_S, LOSS_MSG_S = 30_000.0, 1_000.0
STILL_S = 3.0  # no new row for so long: that was all
READY_S = 30.0
BETWEEN_KILLS_S = (1.0, 3.0)


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer and how to start it: settings file and a folder of its own to a command and what its environment gets besides."""

    name: str
    command: Callable[[Path, Path, dict[str, Any]], tuple[list[str], dict[str, str]]]
    missing: Callable[[], str]  # why it can't run here; empty: it can


def _aiomqtt(path: Path, folder: Path, settings: dict[str, Any]) -> tuple[list[str], dict[str, str]]:
    return [sys.executable, "-m", "benchmarks.peer_aiomqtt", str(path)], {}


def _node_red(path: Path, folder: Path, settings: dict[str, Any]) -> tuple[list[str], dict[str, str]]:
    folder.mkdir(exist_ok=True)
    shutil.copy(NODE_RED / "flows.json", folder / "flows.json")
    login = {"user": settings["username"], "password": settings["password"]}
    (folder / "flows_cred.json").write_text(json.dumps({"broker": login}))
    environment = {
        "PEER_SETTINGS": str(path),
        "PEER_FOLDER": str(folder),
        "PEER_PORT": str(free_port()),
        "PEER_HOST": settings["host"],
        "PEER_BROKER_PORT": str(settings["port"]),
        "PEER_TOPIC": settings["topic"],
    }
    program = NODE_RED / "node_modules" / "node-red" / "red.js"
    return ["node", str(program), "--settings", str(NODE_RED / "settings.cjs")], environment


def _no_node_red() -> str:
    if shutil.which("node") is None:
        return "no node on this machine"
    return "" if (NODE_RED / "node_modules" / "node-red").is_dir() else "not installed: make bench-peers"


PEERS = (Peer("aiomqtt_executemany", _aiomqtt, lambda: ""), Peer("node_red", _node_red, _no_node_red))


def measure(folder: Path, seed: int, seconds: float) -> dict[str, Any]:
    """Peer -> messages a second into the database over `seconds` of load, or why it was not measured."""
    return {peer.name: peer.missing() or _rate(peer, folder, seed, seconds) for peer in PEERS}


def losses(folder: Path, seed: int, kills: int) -> dict[str, Any]:
    """Peer -> acknowledged messages, those that are lost after `kills` of the peer and of its database each."""
    return {peer.name: peer.missing() or _lost(peer, folder, seed, kills) for peer in PEERS}


def _rate(peer: Peer, folder: Path, seed: int, seconds: float) -> dict[str, Any]:
    with Place(peer, folder) as place, place.running():
        began = time.monotonic()
        flood = place.flood(OFFERED_MSG_S, seconds, seed)
        flood.go()
        told = flood.wait()
        stored, last_s = place.settled()
    return {"sent": told["sent"], "acked": told["acked"], "msg_s": round(stored / VALUES / (last_s - began))}


def _lost(peer: Peer, folder: Path, seed: int, kills: int) -> dict[str, Any]:
    rng = random.Random(seed)
    victims = ["peer", "database"] * kills
    rng.shuffle(victims)
    with Place(peer, folder) as place, place.running():
        flood = place.flood(LOSS_MSG_S, 86_400.0, seed)
        flood.go()
        for victim in victims:
            time.sleep(rng.uniform(*BETWEEN_KILLS_S))
            place.kill(victim)
        time.sleep(BETWEEN_KILLS_S[1])
        told = flood.end()
        stored, _ = place.settled()
    return {"acked": told["acked"], "lost": told["acked"] - stored // VALUES, "kills": len(victims)}


class Place:
    """A broker and a database for one peer, and the peer itself, which is started again whenever it ends."""

    def __init__(self, peer: Peer, folder: Path) -> None:
        self._peer = peer
        self._folder = Path(tempfile.mkdtemp(prefix="peer-", dir=folder))
        self._stack = contextlib.ExitStack()
        self._process: subprocess.Popen[str] | None = None
        self._ended = threading.Event()
        self._broker: PrivateMosquitto
        self._postgres: PrivatePostgres

    def __enter__(self) -> Place:
        words = {name: "word" for name, _ in named("gateways")}
        self._broker = self._stack.enter_context(private_mosquitto(accounts=words))
        self._postgres = self._stack.enter_context(private_postgres())
        broker = self._broker
        facts = conninfo_to_dict(self._postgres.url)
        settings = {
            "host": broker.host,
            "port": broker.port,
            "username": "service.ingest",
            "password": broker.password("service.ingest"),
            "topic": f"cb/v1/{broker.tenant}/+/up/#",
            "database": self._postgres.url,
            "postgres": {
                "host": facts["host"],
                "port": int(facts.get("port") or 5432),
                "user": facts["user"],
                "password": facts["password"],
                "database": facts["dbname"],
            },
        }
        path = self._folder / "peer.json"
        path.write_text(json.dumps(settings))
        self._argv, environment = self._peer.command(path, self._folder / "home", settings)
        self._environment = {**os.environ, **environment}
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        subscribed = threading.Event()
        keeper = threading.Thread(target=self._keep, args=(subscribed,), daemon=True)
        keeper.start()
        try:
            if not subscribed.wait(READY_S):
                raise RuntimeError(f"{self._peer.name} did not subscribe")
            yield
        finally:
            self._ended.set()
            if self._process is not None:
                self._process.kill()
            keeper.join()

    def _keep(self, subscribed: threading.Event) -> None:
        with (self._folder / "peer.err").open("w") as errors:
            while not self._ended.is_set():
                self._process = subprocess.Popen(
                    self._argv, env=self._environment, stdout=subprocess.PIPE, stderr=errors, text=True
                )
                assert self._process.stdout is not None
                for line in self._process.stdout:
                    if line.strip() == "subscribed":
                        subscribed.set()
                self._process.wait()
                self._ended.wait(0.1)

    def kill(self, victim: str) -> None:
        if victim == "peer":
            assert self._process is not None
            self._process.kill()
        else:
            self._postgres.kill()
            self._postgres.start()

    def flood(self, rate: float, seconds: float, seed: int) -> Flood:
        broker = self._broker
        senders = [[name, "word", devices] for name, devices in named("gateways")]
        return Flood(self._folder, broker.host, broker.port, broker.tenant, senders, rate, seconds, seed)

    def settled(self) -> tuple[int, float]:
        """Rows once no more come, and when the last came."""
        count, at = -1, time.monotonic()
        with psycopg.connect(self._postgres.url, autocommit=True) as connection:
            while time.monotonic() < at + STILL_S:
                row = connection.execute("SELECT count(*) FROM reading").fetchone()
                assert row is not None
                if row[0] != count:
                    count, at = row[0], time.monotonic()
                time.sleep(0.2)
        return count, at


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="cb-peers-"))
    quick = bool(os.environ.get("QUICK"))
    seed = int(os.environ.get("SEED") or 4)
    try:
        rates = measure(folder, seed, 3.0 if quick else 30.0)
        print(json.dumps(rates), flush=True)
        lost = losses(folder, seed, 1 if quick else 5)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps({"peers": rates, "peers_lost": lost, "seed": seed, "quick": quick}))


if __name__ == "__main__":
    main()
