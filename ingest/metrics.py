"""What an operator of ingest must see."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)

RECEIVED = Counter("citybrain_ingest_received_total", "Messages from the broker", ["channel"])
ROWS = Counter("citybrain_ingest_rows_total", "Observations logged")
FLAGGED = Counter("citybrain_ingest_flagged_rows_total", "Observations logged with a flag", ["flag"])
DEAD_LETTERS = Counter("citybrain_ingest_dead_letters_total", "Messages refused, by kind of reason", ["kind"])
SEQ_MISSING = Counter("citybrain_ingest_seq_missing_total", "Numbers missing in the devices' own counters")
DUPLICATES = Counter("citybrain_ingest_duplicates_total", "Redelivered messages that were in the log already")
REFUSALS = Counter("citybrain_ingest_broker_refusals_total", "Messages and logins that the broker refused", ["reason"])
DROPPED = Counter("citybrain_ingest_dropped_qos0_total", "QoS 0 messages dropped at the bound of the queue")
REPLIES = Counter("citybrain_ingest_replies_total", "Messages sent down to devices", ["kind"])
REPLIES_DROPPED = Counter("citybrain_ingest_replies_dropped_total", "Messages down dropped while the broker was away")
LINES = Gauge("citybrain_ingest_tcp_sessions", "Stations connected over TCP", ["codec"])
LINES_REFUSED = Counter("citybrain_ingest_tcp_refused_total", "TCP peers turned away", ["codec", "why"])
PUSHED = Counter("citybrain_ingest_pushes_total", "HTTP pushes by what became of them", ["source", "outcome"])
CONNECTS = Counter("citybrain_ingest_connects_total", "Connections to the broker", ["session"])
CONNECTED = Gauge("citybrain_ingest_connected", "1 while connected to the broker")
IN_FLIGHT = Gauge("citybrain_ingest_in_flight", "Messages received and not yet acknowledged")
BATCH_ROWS = Histogram(
    "citybrain_ingest_batch_rows", "Rows of a batch", buckets=(1, 5, 10, 50, 100, 500, 1000, 2000, 5000)
)
COMMIT_S = Histogram(
    "citybrain_ingest_commit_seconds", "From the receipt of a batch's oldest message to its fsync", buckets=_SECONDS
)
APPEND_RETRIES = Counter("citybrain_ingest_append_retries_total", "Batches that the log refused and that wait", ["why"])
BROKER_DROPPED = Gauge("citybrain_broker_dropped_messages", "Messages that the broker itself says it has dropped")
BROKER_STORE_BYTES = Gauge("citybrain_broker_store_bytes", "Bytes of messages that the broker holds")
REFUSALS_DROPPED = Counter(
    "citybrain_ingest_refusal_records_dropped_total", "Refusal records dropped while the log refused"
)
