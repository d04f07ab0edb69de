"""What goes down to a device: the receipt of a numbered message, and the right time for a wrong clock."""

from __future__ import annotations

from typing import Any

import msgspec

from devices import topics
from devices.commands import set_clock
from ingest.message import Reply

CLOCK_SET_EVERY_S = (
    600.0  # machine seconds between two clock-sets to one device: it may need a while, or not obey at all
)
_encoder = msgspec.json.Encoder()


def receipt(tenant: str, device_id: str, seq: int, *, child: str = "") -> Reply:
    """`down/ack {"seq": n}`: message n is on disk, the device may forget it. Send only after the fsync."""
    body: dict[str, Any] = {"seq": seq}
    if child:
        body["child"] = child
    return Reply(topic=topics.down_ack(tenant, device_id), payload=_encoder.encode(body))


def clock_set(tenant: str, device_id: str, now_us: int) -> Reply:
    """`down/cmd` with the city's time."""
    command = set_clock(f"clock-{device_id}-{now_us // 1000}", now_us=now_us)
    return Reply(topic=topics.down_cmd(tenant, device_id), payload=_encoder.encode(command))


class ClockSetLimit:
    """At most one clock-set per device in ten minutes."""

    def __init__(self, every_s: float = CLOCK_SET_EVERY_S) -> None:
        self._every_s = every_s
        self._sent: dict[str, float] = {}

    def allow(self, device_id: str, machine_s: float) -> bool:
        sent_s = self._sent.get(device_id)
        if sent_s is not None and machine_s - sent_s < self._every_s:
            return False
        self._sent[device_id] = machine_s
        return True
