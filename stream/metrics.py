"""Counters of the log; the owner's process exposes them."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

APPENDED = Counter("citybrain_log_appended_total", "Records made durable", ["kind"])
DUPLICATES = Counter("citybrain_log_duplicate_keys_total", "Appends answered with the position their key had already")
REFUSED = Counter("citybrain_log_refused_total", "Records not taken", ["why"])
COMMIT_S = Histogram(
    "citybrain_log_commit_seconds",
    "One group commit with its fsync",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)
GROUP = Histogram(
    "citybrain_log_group_records", "Records in a group commit", buckets=(1, 2, 5, 10, 20, 50, 100, 500, 2000)
)
HEAD = Gauge("citybrain_log_head", "Last durable position")
BYTES = Gauge("citybrain_log_bytes", "Bytes of the log's files")
FILES_TRIMMED = Counter("citybrain_log_files_trimmed_total", "Files deleted because every cursor has passed them")
UNARCHIVED = Counter(
    "citybrain_log_files_unarchived_total", "Files deleted at the byte bound before the archive had them"
)
NOT_KEPT = Counter(
    "citybrain_log_side_files_refused_total", "Cursors and snapshots that the disk did not take", ["folder"]
)
ARCHIVED = Gauge("citybrain_archive_position", "Last archived position")
ARCHIVE_BYTES = Gauge("citybrain_archive_bytes", "Bytes of the archive")
ARCHIVE_WAITING = Gauge("citybrain_archive_waiting_files", "Sealed files of the log that wait for the archive")
ARCHIVE_AGE_S = Gauge("citybrain_archive_age_seconds", "City time since the newest archived record, while files wait")
ARCHIVE_FAILURES = Counter("citybrain_archive_failures_total", "Files that could not be archived; they are tried again")
