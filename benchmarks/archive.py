"""How fast do frames go into the archive, and how fast do they come back?

Question: an hour of the log at full load (100,000 observations/s) is archived well within the hour beside everything else, and a
back-test reads it faster than it can step it (issue: at least a million observations a second).

Shape: ROWS observations (default 20 million; QUICK=1: 2 million) of 15,000 series in records of 1,000 rows, an event in every tenth; one sealed file of the log. Archived,
then read through record by record and decoded. CPU seconds of this process.

    python -m benchmarks.archive
The last line is one JSON object.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from contextlib import closing
from pathlib import Path

import numpy as np

from citybrain_testing.clocks import ManualClock
from stream import files
from stream.archive import Archive, archive_file
from stream.records import TICK, EventBody, ObsBatch, RecordKind, as_batch, event, observations
from stream.writer import LogWriter

SEED = 11
SERIES, RECORD_ROWS, GROUP = 15_000, 1_000, 200
LIMIT_ROWS_PER_S = 1_000_000
NOW_US = 1_790_000_000_000_000


def fill(directory: Path, rows: int) -> int:
    """One sealed file; its last position."""
    rng = np.random.default_rng(SEED)
    level = rng.normal(3.0, 0.5, SERIES)
    clock = ManualClock()
    with LogWriter(directory, clock) as writer:
        for first in range(0, rows // RECORD_ROWS, GROUP):
            items = []
            for number in range(first, min(first + GROUP, rows // RECORD_ROWS)):
                index = number * RECORD_ROWS + np.arange(RECORD_ROWS)
                stream = index % SERIES
                at_us = NOW_US + index * 10
                level[stream] += rng.normal(0, 0.002, RECORD_ROWS)
                columns = {
                    "partition": (stream % 64).astype(np.uint8),
                    "datastream": (stream + 1).astype(np.uint32),
                    "phenomenon_us": at_us // 1_000 * 1_000,
                    "receive_us": at_us + 3_000,
                    "result": np.round(level[stream], 3),
                    "quality": np.ones(RECORD_ROWS, np.uint8),
                    "source": np.ones(RECORD_ROWS, np.uint16),
                    "packet_id": (index % 65_535).astype(np.uint16),
                }
                items.append(observations(ObsBatch.from_columns(columns)))
                if number % 10 == 0:
                    items.append(event(EventBody(type="device_attr", device_id=f"g{number}", receive_us=NOW_US)))
            writer.append(items)
        last = writer.head
        clock.advance(3600.0)
        writer.append([TICK])
    return last


def main() -> None:
    rows = int(os.environ.get("ROWS") or (2_000_000 if os.environ.get("QUICK") else 20_000_000))
    folder = Path(tempfile.mkdtemp(prefix="cb-archive-"))
    try:
        last = fill(folder / "log", rows)
        source = files.log_files(folder / "log")[0]
        began, cpu = time.monotonic(), time.process_time()
        pair = archive_file(source, last, folder / "archive")
        write_s, write_cpu = time.monotonic() - began, time.process_time() - cpu
        began, cpu, found = time.monotonic(), time.process_time(), 0
        with closing(Archive(folder / "archive")) as archive:
            after = 0
            while records := archive.read(after, 500):
                found += sum(len(as_batch(record)) for record in records if record.kind is RecordKind.OBS)
                after = records[-1].position
        read_s, read_cpu = time.monotonic() - began, time.process_time() - cpu
        assert found == rows // RECORD_ROWS * RECORD_ROWS, (found, rows)
        result = {
            "rows": found,
            "log_bytes_per_row": round(source.size() / found, 1),
            "archive_bytes_per_row": round(pair.size() / found, 1),
            "archived_rows_per_s": round(found / write_s),
            "archive_cpu_us_per_row": round(1e6 * write_cpu / found, 2),
            "read_rows_per_s": round(found / read_s),
            "read_cpu_us_per_row": round(1e6 * read_cpu / found, 2),
            "limit_rows_per_s": LIMIT_ROWS_PER_S,
            "to_limit": round(found / read_s / LIMIT_ROWS_PER_S, 2),
            "seed": SEED,
            "load_1min": round(os.getloadavg()[0], 1),
            "cpus": os.cpu_count(),
        }
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
