"""Devices that come back after an hour, all at once, each with its backlog: the generator of `reconnect_storm`.

    python -m benchmarks.storm SETTINGS.json      {host, port, tenant, devices: [[name, password]], back_s, seed, high}

A line on its input begins. Each device connects at its moment within `back_s`, says that it is online, and sends what it kept,
in one of the two ways that are in use, in turn: *marked* sends its newest value first and then the hour in arrays marked
`bf`; *monotone* sends the hour oldest first, one sample a message and unmarked, and its newest value last. The devices that
`high` names report a newest value above the threshold. The last line is JSON: per device the stamp of its newest value (ms)
and the moment at which that was written (monotonic ns), and what was sent and acknowledged.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devices import topics
from devices.topics import Channel
from simulators.mqtt_light import LightPublisher

MINUTES = 60
ARRAY = 20
QUIET_M, HIGH_M = 2.0, 4.0
BATTERY_V = 12.5
ROWS_PER_SAMPLE = 2
DRAIN_S = 60.0


@dataclass(slots=True)
class Told:
    """What the storm sent."""

    newest: dict[str, tuple[int, int]] = field(default_factory=dict)  # device -> stamp ms, written ns
    samples: int = 0
    messages: int = 0
    acked: int = 0
    connected_s: float = 0.0  # when the last device was back


def main() -> None:
    settings = json.loads(Path(sys.argv[1]).read_text())
    print("ready", flush=True)
    sys.stdin.readline()
    told = asyncio.run(_storm(settings))
    print(json.dumps({name: getattr(told, name) for name in Told.__slots__}))


async def _storm(settings: dict[str, Any]) -> Told:
    rng = random.Random(settings["seed"])
    told, began = Told(), time.monotonic()
    high = set(settings["high"])
    links: list[LightPublisher] = []

    async def one(number: int, name: str, password: str, at_s: float) -> None:
        await asyncio.sleep(at_s - (time.monotonic() - began))
        link = await LightPublisher.open(settings["host"], settings["port"], name, password)
        links.append(link)
        told.connected_s = max(told.connected_s, time.monotonic() - began)
        _send(link, settings["tenant"], name, number % 2 == 0, HIGH_M if name in high else QUIET_M, told)

    async with asyncio.TaskGroup() as group:
        for number, (name, password) in enumerate(settings["devices"]):
            group.create_task(one(number, name, password, rng.uniform(0.0, settings["back_s"])))
    end = time.monotonic() + DRAIN_S
    while (acked := sum(link.acked for link in links)) < told.messages and time.monotonic() < end:
        await asyncio.sleep(0.05)
    told.acked = acked
    for link in links:
        link.close()
    return told


def _send(link: LightPublisher, tenant: str, name: str, marked: bool, newest_m: float, told: Told) -> None:
    """All that the device has to say, to its socket at once."""
    now_ms = time.time_ns() // 1_000_000
    kept = [_sample(now_ms - minute * 60_000, minute, QUIET_M) for minute in range(MINUTES, 0, -1)]
    topic = topics.up(tenant, name, Channel.TELEMETRY)
    newest = _sample(now_ms, 0, newest_m)
    link.publish(topics.up(tenant, name, Channel.STATE), json.dumps({"online": True, "ts": now_ms}).encode())
    if marked:
        told.newest[name] = (now_ms, time.monotonic_ns())
        link.publish(topic, json.dumps(newest).encode())
        for first in range(0, MINUTES, ARRAY):
            array = [sample | {"bf": True} for sample in kept[first : first + ARRAY]]
            link.publish(topic, json.dumps(array).encode())
    else:
        for sample in kept:
            link.publish(topic, json.dumps(sample).encode())
        told.newest[name] = (now_ms, time.monotonic_ns())
        link.publish(topic, json.dumps(newest).encode())
    told.messages += link.sent
    told.samples += MINUTES + 1


def _sample(ts_ms: int, minute: int, stage_m: float) -> dict[str, Any]:
    return {"ts": ts_ms, "values": {"stage_m": round(stage_m + minute / 1000, 3), "battery_v": BATTERY_V}}


if __name__ == "__main__":
    main()
