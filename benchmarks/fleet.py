"""What do 100,000 registered devices cost, and 10,000 that are connected?

A tenant is filled through `POST /api/v1/devices/import`, stopped and started again: `start_s` is the time from the command to
`ready` (broker with all accounts, registry in every role, first canary through everything). Then 10,000 of the devices connect,
each with its own credential, and send three values every ten seconds. Memory is resident size of each process at three moments:
empty, with the register, with the connections; the quotients say what one device costs.

    python -m benchmarks.fleet                    100,000 and 10,000: about two minutes on two cores
    QUICK=1 python -m benchmarks.fleet            10,000 and 1,000
    DEVICES=, CONNECTED=, SEED=

Limit: start below 15 s. The last line is JSON; status 1 where a message was not acknowledged.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.device_register import documents, memory_mb, register
from benchmarks.load import Flood
from benchmarks.processes import cpu_seconds, difference
from citybrain_testing.system import System, wait_for

LIMIT_START_S = 15.0
EVERY_S = 10.0
SECONDS = 20.0


def main() -> None:
    quick = bool(os.environ.get("QUICK"))
    devices = int(os.environ.get("DEVICES") or (10_000 if quick else 100_000))
    connected = int(os.environ.get("CONNECTED") or (1_000 if quick else 10_000))
    seed = int(os.environ.get("SEED") or 5)
    folder = Path(tempfile.mkdtemp(prefix="cb-fleet-"))
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}, seed {seed}", flush=True)
    system = System(folder / "data", args=(), answers_checked=False)
    try:
        system.start()
        empty = memory_mb(system)
        listed = list(documents(devices, random.Random(seed)))
        with contextlib.closing(system.login("admin")) as admin:
            words, _ = register(admin, iter(listed))
            file = system.data_dir / "mosquitto" / "password_file"
            wait_for("all accounts", lambda: file.read_text().count("\nbench-") >= devices - 1 or None, 120.0)
        stop_s = system.stop()
        began = time.monotonic()
        system.start()
        start_s = time.monotonic() - began
        time.sleep(5.0)
        registered = memory_mb(system)
        result: dict[str, Any] = {"devices": devices, "connected": connected}
        result |= {"start_s": round(start_s, 1), "stop_s": round(stop_s, 1)}
        result |= {"ratio_start": round(start_s / LIMIT_START_S, 3), "memory_mb_empty": empty}
        result |= {"memory_mb_registered": registered, "bytes_per_registered": _each(empty, registered, devices)}
        gauges = [d["device_id"] for d in listed if d["model"] == "water-gauge-v1"][:connected]
        result |= _connected(system, folder, gauges, words, seed, registered)
    except BaseException:
        print(system.logs(), file=sys.stderr)
        raise
    finally:
        system.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps({**result, "seed": seed, "quick": quick}))
    sys.exit(0 if result["sent"] == result["acked"] else 1)


def _connected(
    system: System, folder: Path, names: list[str], words: dict[str, str], seed: int, before: dict[str, int]
) -> dict[str, Any]:
    ready, senders = system.ready, [[name, words[name], [name]] for name in names]
    arguments = (ready["broker_host"], ready["broker_port"], ready["tenant"], senders)
    began = time.monotonic()
    flood = Flood(folder, *arguments, len(names) / EVERY_S, SECONDS, seed)
    connect_s = time.monotonic() - began
    pids = system.children()
    used = cpu_seconds(pids)
    flood.go()
    told = flood.wait()
    cpu = difference(used, cpu_seconds(pids))
    after = memory_mb(system)
    return {
        "connect_s": round(connect_s, 1),
        "sent": told["sent"],
        "acked": told["acked"],
        "cpu_s": cpu,
        "seconds": told["seconds"],
        "memory_mb_connected": after,
        "bytes_per_connected": _each(before, after, len(names)),
    }


def _each(before: dict[str, int], after: dict[str, int], devices: int) -> dict[str, int]:
    """What one device more costs each process, in bytes."""
    return {name: round((after[name] - size) * 1024**2 / devices) for name, size in before.items() if name in after}


if __name__ == "__main__":
    main()
