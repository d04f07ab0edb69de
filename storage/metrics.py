"""What an operator must notice about storage."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

ROWS = Counter("citybrain_store_rows_total", "Observations by what became of them.", ["outcome"])
EVENTS = Counter("citybrain_store_events_total", "Events, states, dead letters and notes written.", ["statement"])
BATCHES = Counter("citybrain_store_batches_total", "Batches committed.")
FAILURES = Counter("citybrain_store_failures_total", "Batches that did not commit, by reason.", ["reason"])
REJECTED = Counter(
    "citybrain_store_rejected_records_total", "Records the database refused; now among the dead letters."
)
DEPTH = Gauge("citybrain_store_depth_records", "Log records that are not in the database yet.")
AGE = Gauge("citybrain_store_age_seconds", "City time between now and the last stored record; 0 when all is stored.")
CONNECTED = Gauge("citybrain_store_connected", "1 while the last batch reached the database, 0 during an outage.")
COMMIT_SECONDS = Histogram(
    "citybrain_store_commit_seconds",
    "Machine time of one batch from reading to commit.",
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)
EXPIRED = Counter("citybrain_store_expired_total", "Partitions and rows that retention dropped.", ["what"])
ROLLUPS = Counter("citybrain_store_rollups_total", "Hours of series of which statistics were made.")
ROLLUPS_LATE = Counter(
    "citybrain_store_rollups_late_total",
    "Hours that got rows after their history had been dropped; their statistics stand.",
)
ROLLUP_MARKS = Gauge(
    "citybrain_store_rollup_marks", "Marks of hours whose statistics are still to be made; open hours count."
)
ROLLUP_AGE = Gauge("citybrain_store_rollup_age_seconds", "City time since the oldest such hour could have been done.")
