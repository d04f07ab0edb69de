"""Figures of the command centre for /metrics."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

TIMERS_FIRED = Counter("citybrain_command_timers_fired_total", "Durable timers fired, by kind", ["kind"])
TIMERS_REFUSED = Counter("citybrain_command_timers_refused_total", "Timers whose entity refused them")
FOLLOWER_POSITION = Gauge("citybrain_command_follower_position", "Log position that the domain has taken over")
FOLLOWER_RETRIES = Counter(
    "citybrain_command_follower_retries_total", "Batches tried again because the database was away"
)
TRANSITIONS = Counter("citybrain_command_transitions_total", "Alarm transitions taken over, by kind", ["kind"])
LATE_EXCEEDANCES = Counter("citybrain_command_late_exceedances_total", "Crossings found in backlogs")
LETTERS = Counter("citybrain_command_dead_letters_replayed_total", "Dead letters put in again, by outcome", ["outcome"])
IMPORTED_ROWS = Counter("citybrain_command_imported_rows_total", "Rows of files of history that were judged")
LOGINS_REFUSED = Counter("citybrain_command_logins_refused_total", "Refused logins", ["why"])
DEVICE_COMMANDS = Counter(
    "citybrain_device_commands_total", "Commands to devices that came into a state, by method", ["method", "state"]
)
DEVICE_COMMANDS_REFUSED = Counter("citybrain_device_commands_refused_total", "Commands that were not queued", ["why"])
DEVICE_COMMANDS_REPEATED = Counter("citybrain_device_commands_repeated_total", "Commands sent again without an answer")
DEVICE_COMMANDS_HELD = Gauge("citybrain_device_commands_held", "Devices whose commands wait because they are not heard")
DEVICE_COMMAND_REPLIES = Counter(
    "citybrain_device_command_replies_total", "Replies of devices: obeyed, duplicate, or why not", ["what"]
)
VIDEO_VIEWS = Counter("citybrain_video_views_total", "Looks through cameras that were granted, by purpose", ["purpose"])
VIDEO_OPEN = Gauge(
    "citybrain_video_streams_open", "Streams that the video platform was asked for and that have not ended"
)
VIDEO_CLIPS = Counter("citybrain_video_clips_total", "Clips that came into a state", ["state"])
