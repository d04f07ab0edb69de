"""A process that appends to a log and prints each position once it was told that it is durable; to be killed by a test.

Run as `python -m citybrain_testing.append_until_killed DIRECTORY`.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from citybrain_testing.clocks import RunningClock
from stream.records import NewRecord, RecordKind
from stream.writer import LogWriter

THREADS = 4
BODY_BYTES = 3_000
CITY_RATE = 8 * 3_600.0  # the log changes its file eight times a second


def main(directory: Path) -> None:
    writer = LogWriter(directory, RunningClock(rate=CITY_RATE))
    printing = threading.Lock()

    def append_for_ever(name: int) -> None:
        number = 0
        while True:
            number += 1
            key = f"{name}-{number}"
            body = key.encode().ljust(BODY_BYTES, b".")
            (appended,) = writer.append([NewRecord(kind=RecordKind.EVENT, body=body, key=key)])
            with printing:
                sys.stdout.write(f"{appended.position} {key}\n")
                sys.stdout.flush()

    threads = [threading.Thread(target=append_for_ever, args=(name,)) for name in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
