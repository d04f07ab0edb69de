"""How many observations a second does one core take through the level rules?

Question: does the kernel hold 10 million observations/s on quiet weather (reference/rule-engines.md 0.4), and what is left
of it when every gauge fires, or when values jump about the thresholds? Expected: quiet and steadily firing rows cost some
50 ns, a row that changes something about 20 us of Python.

Shape: 10,000 series, one rule with four levels, hysteresis, on-delay 0 and off-delay 600 s; batches of 4,096 rows, series
drawn at random with repeats (some 17 % of the rows meet their series again in the batch). Not measured: decoding of Arrow,
the log, appending transitions. Times are CPU time of the one thread, so a busy machine does not spoil them; `step` measures the same batches as log records with decoding.

    python -m benchmarks.rules_kernel [seed]        QUICK=1 for a tenth of the batches
The last line is one JSON object.
"""

from __future__ import annotations

import json
import os
import sys
import time

import numpy as np

from citybrain_testing.rules_world import STAGE, Recorder, at
from devices.registry import Datastream, Device
from rules.context import Rows, Step
from rules.engine import EngineState, dump, load, step, step_all
from stream.records import ObsBatch, Record, RecordKind, observations

SERIES, ROWS = 10_000, 4_096
LIMIT_OBS_PER_S = 10_000_000  # quiet weather, on one core


def world() -> EngineState:
    log = Recorder()
    thresholds = {"stage_m": STAGE}
    members = []
    for k in range(SERIES):
        name = f"g{k:05}"
        device = Device(
            device_id=name, model="water-gauge-v1", kind="water_gauge", name=name, lon=121.4, lat=28.7, area="339900",
            interval_s=60.0, thresholds=thresholds,
        )  # fmt: skip
        members.append((device, [Datastream(datastream=k + 1, device_id=name, property="stage_m", uom="m")]))
    log.registry(at(-10), 1, members)
    log.rules(at(-9), "flood.river-stage")
    state = EngineState()
    step_all(state, log.records)
    return state


def batches(rng: np.random.Generator, count: int, weather: str) -> list[tuple[int, ObsBatch]]:
    made = []
    level = {"quiet": 1.0, "firing": 4.3, "turbulent": 2.0}[weather]
    spread = {"quiet": 0.1, "firing": 0.1, "turbulent": 0.15}[weather]
    for number in range(count):
        # Each row its own millisecond: repeats of a series in a batch come in order, as devices send them
        at_us = at(number * 5)
        columns = {
            "partition": np.zeros(ROWS, np.uint8),
            "datastream": rng.integers(1, SERIES + 1, ROWS).astype(np.uint32),
            "phenomenon_us": at_us - (ROWS - np.arange(ROWS)) * 1_000,
            "receive_us": np.full(ROWS, at_us),
            "result": rng.normal(level, spread, ROWS),
            "quality": np.ones(ROWS, np.uint8),
            "source": np.ones(ROWS, np.uint16),
        }
        made.append((at_us, ObsBatch.from_columns(columns)))
    return made


def kernel(rng: np.random.Generator, count: int, weather: str) -> dict[str, float]:
    """Observations/s through the level rule alone, and the time per batch."""
    state = world()
    rule = state.rules["flood.river-stage"].evaluator
    made = [(at_us, Rows(batch)) for at_us, batch in batches(rng, count + 20, weather)]
    spent, changes = [], 0
    for number, (at_us, rows) in enumerate(made):
        now = Step(position=number + 10, at_us=at_us, registry=state.registry, presence=state.presence)
        active = state.rules["flood.river-stage"]
        now.rule, now.version = active.document, active.version
        started = time.thread_time_ns()
        rule.advance(now)
        rule.observe(now, rows)
        if number >= 20:  # the first batches raise every gauge of a firing world once
            spent.append(time.thread_time_ns() - started)
            changes += len(now.out)
    times = np.array(spent) / 1e9
    return {
        "obs_per_s": round(count * ROWS / float(times.sum())),
        "batch_p50_ms": round(float(np.percentile(times, 50)) * 1e3, 3),
        "batch_p99_ms": round(float(np.percentile(times, 99)) * 1e3, 3),
        "transitions": changes,
    }


def whole_step(rng: np.random.Generator, count: int) -> dict[str, float]:
    """Observations/s through `step`, Arrow decoding included, and what a snapshot costs."""
    state = world()
    records = [
        Record(position=k + 10, at_us=at_us, kind=RecordKind.OBS, version=1, body=observations(batch).body)
        for k, (at_us, batch) in enumerate(batches(rng, count, "quiet"))
    ]
    started = time.thread_time()
    for record in records:
        step(state, record)
    elapsed = time.thread_time() - started
    started = time.thread_time()
    blob = dump(state)
    dumped = time.thread_time()
    load(blob)
    return {
        "obs_per_s": round(count * ROWS / elapsed),
        "snapshot_bytes": len(blob),
        "dump_ms": round((dumped - started) * 1e3, 1),
        "load_ms": round((time.thread_time() - dumped) * 1e3, 1),
    }


def main() -> None:
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    count = 60 if os.environ.get("QUICK") else 600
    rng = np.random.default_rng(seed)
    result: dict[str, object] = {"bench": "rules_kernel", "seed": seed, "series": SERIES, "batch_rows": ROWS}
    for weather in ("quiet", "firing", "turbulent"):
        figures = kernel(rng, count if weather != "turbulent" else max(6, count // 20), weather)
        result[weather] = figures | {"to_limit": round(figures["obs_per_s"] / LIMIT_OBS_PER_S, 3)}
        print(f"{weather:10} {result[weather]}", flush=True)
    result["limit_obs_per_s"] = LIMIT_OBS_PER_S
    result["step"] = whole_step(rng, count)
    print(f"{'step':10} {result['step']}", flush=True)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
