"""Counters of the HTTP and live rim."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

LOGINS = Counter("citybrain_logins_total", "Login attempts", ["outcome"])
LIVE_CLIENTS = Gauge("citybrain_live_clients", "Connected live viewers")
LIVE_FRAMES = Counter("citybrain_live_frames_total", "Frames sent to live viewers")
LIVE_BYTES = Counter("citybrain_live_bytes_total", "Bytes sent to live viewers")
LIVE_CLOSED = Counter("citybrain_live_closed_total", "Live connections that we ended", ["code"])
LIVE_DEGRADED = Counter("citybrain_live_degraded_total", "Times a viewer got less state because it was slow")
REQUESTS = Counter("citybrain_http_requests_total", "HTTP requests", ["method", "status"])
REQUEST_S = Histogram("citybrain_http_request_seconds", "HTTP request duration", ["method"])
BODY_REFUSED = Counter("citybrain_http_body_refused_total", "Requests refused for their size")
REPLAYED = Counter("citybrain_http_idempotent_replays_total", "Answers given again for a known Idempotency-Key")
BROKER_ASKED = Counter(
    "citybrain_broker_hook_total", "Questions of another broker, by hook and verdict", ["hook", "verdict"]
)
SESSIONS_ENDED = Counter(
    "citybrain_sessions_ended_total", "Sessions that ended before their holder logged out", ["why"]
)
WRITES_REFUSED = Counter("citybrain_http_writes_refused_total", "Writes refused because they came too fast", ["by"])
