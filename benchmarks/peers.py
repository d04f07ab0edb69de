"""The same load into what else one could use: how many messages a second reach the database, and what a `kill -9` costs.

Each peer has a Mosquitto of our settings and a PostgreSQL of the plain tier to itself. `msg_s`: from the first publish to the last
committed row, offered more than it takes. `lost_after_kill`: of the messages that the broker acknowledged to the devices,
how many are not in the peer's database after it was killed once in the middle and started again.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.load import Flood, named
from citybrain_testing.servers import private_mosquitto, private_postgres

VALUES = 3
OFFERED_MSG_S, LOSS_MSG_S = 30_000.0, 1_000.0
STILL_S = 5.0  # no new row for so long: that was all
NOT_MEASURED = {"node_red": "not measured"}


def measure(folder: Path, seed: int, seconds: float) -> dict[str, Any]:
    """Peer -> figures; `seconds` of load for each of the two questions."""
    words = {name: "word" for name, _ in named("gateways")}
    senders = [[name, "word", devices] for name, devices in named("gateways")]
    with private_mosquitto(accounts=words) as broker, private_postgres() as postgres:
        settings = {
            "host": broker.host,
            "port": broker.port,
            "username": "service.ingest",
            "password": broker.password("service.ingest"),
            "topic": f"cb/v1/{broker.tenant}/+/up/#",
            "database": postgres.url,
        }
        path = folder / "peer.json"
        path.write_text(json.dumps(settings))
        place = (broker.host, broker.port, broker.tenant, senders)
        peer = _start(path)
        try:
            began = time.monotonic()
            flood = Flood(folder, *place, OFFERED_MSG_S, seconds, seed)
            flood.go()
            told = flood.wait()
            stored, last_s = _settled(postgres.url)
            rate = {"sent": told["sent"], "acked": told["acked"], "msg_s": round(stored / VALUES / (last_s - began))}
            flood = Flood(folder, *place, LOSS_MSG_S, seconds, seed + 1)
            flood.go()
            time.sleep(seconds / 2)
            peer.kill()
            peer.wait()
            peer = _start(path)
            told = flood.wait()
            after, _ = _settled(postgres.url)
        finally:
            peer.kill()
            peer.wait()
    lost = told["acked"] - (after - stored) / VALUES
    return {"aiomqtt_executemany": {**rate, "lost_after_kill": round(lost), "of": told["acked"]}, **NOT_MEASURED}


def _start(settings: Path) -> subprocess.Popen[str]:
    peer = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.peer_aiomqtt", str(settings)], stdout=subprocess.PIPE, text=True
    )
    assert peer.stdout is not None
    if peer.stdout.readline().strip() != "subscribed":
        raise RuntimeError("the peer did not subscribe")
    return peer


def _settled(url: str) -> tuple[int, float]:
    """Rows once no more come, and when the last came."""
    count, at = -1, time.monotonic()
    with psycopg.connect(url, autocommit=True) as connection:
        while time.monotonic() < at + STILL_S:
            row = connection.execute("SELECT count(*) FROM reading").fetchone()
            assert row is not None
            if row[0] != count:
                count, at = row[0], time.monotonic()
            time.sleep(0.2)
    return count, at
