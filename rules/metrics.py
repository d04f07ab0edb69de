"""What an operator must notice about the rule engine."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

EVALUATIONS = Counter("citybrain_rules_evaluations_total", "Observations, events and bulletins through rule instances")
RECORDS = Counter("citybrain_rules_records_total", "Log records stepped")
TRANSITIONS = Counter("citybrain_rules_transitions_total", "Alarm transitions emitted", ["rule", "kind"])
MISMATCHES = Counter(
    "citybrain_rules_replay_mismatches_total", "Transitions in the log that a replay after a restart did not reproduce"
)
LAG_S = Gauge("citybrain_rules_lag_seconds", "City time behind the last record stepped")
UNHEALTHY = Gauge("citybrain_rules_unhealthy", "Rules that stopped with an error")
ACTIVE = Gauge("citybrain_rules_active", "Rules in force")
REFUSED_CONTROLS = Gauge("citybrain_rules_refused_controls", "Control records that could not be read since the start")
APPEND_RETRIES = Counter("citybrain_rules_append_retries_total", "Appends of transitions tried again")
SNAPSHOTS = Counter("citybrain_rules_snapshots_total", "Snapshots of the engine state")
REBUILT = Counter(
    "citybrain_rules_state_rebuilt_total", "Starts without a usable snapshot, from the log's beginning", ["why"]
)
