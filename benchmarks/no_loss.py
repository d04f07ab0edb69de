"""Is anything lost, doubled or wrongly refused while everything that can die does?

Question: with load on MQTT, HJ 212 and SL 651, after `kill -9` at random of each process of ours, of the database and of the
broker, after an outage of the database and a full disk: is every record that a device was told is safe in the database, once?
See `benchmarks/ordeal.py` for what is promised when. `peers_lost`: what two other ways to write the same load into PostgreSQL lose
when they and their database are killed (`benchmarks/peers.py`). That an fsync stands behind each answer is the business of
`tests/integration/ingest/test_stations_tcp.py`, where a disk forgets what was not synced.

    python -m benchmarks.no_loss                KILLS=30, SEED=
    QUICK=1 python -m benchmarks.no_loss        one kill of each, shorter outages

Exit code 1 where anything was lost, doubled or wrongly refused. The last line is JSON.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import peers
from benchmarks.ordeal import Ordeal, Plan


def main() -> None:
    quick = bool(os.environ.get("QUICK"))
    seed = int(os.environ.get("SEED") or 11)
    plan = Plan(
        seed=seed,
        kills=int(os.environ.get("KILLS") or (2 if quick else 30)),
        broker_kills=1 if quick else 3,
        outage_s=3.0 if quick else 60.0,
        full_disk_s=3.0 if quick else 20.0,
        flood_msg_s=1_000.0 if quick else 2_000.0,
    )
    folder = Path(tempfile.mkdtemp(prefix="cb-no-loss-"))
    began = time.monotonic()
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}; {plan}", flush=True)
    try:
        toll = Ordeal(folder, plan, say=lambda text: print(text, flush=True)).run()
        peers_lost = peers.losses(folder, seed, 1 if quick else 5)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for line in toll.lost:
        print(f"lost: {line}")
    result = {
        **toll.figures(),
        "peers_lost": peers_lost,
        "seed": seed,
        "quick": quick,
        "seconds": round(time.monotonic() - began, 1),
    }
    print(json.dumps(result))
    sys.exit(1 if toll.lost or toll.duplicates or toll.valid_dead_lettered else 0)


if __name__ == "__main__":
    main()
