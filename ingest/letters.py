"""Dead letters: what ingest refuses, kept with its raw bytes and with reasons that a vendor understands."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import Any

from ingest.message import Message
from stream.records import EventBody

RAW_MAX = 64 * 1024  # bytes of a refused message that are kept; its hash tells the rest
REASONS_MAX = 20  # of one message: a vendor fixes the first ones first
QUOTA_BURST = 60.0  # refused messages of one device that are kept whole at once ...
QUOTA_PER_S = 1.0  # ... and per machine second after that; beyond it only hash and reason
DEVICES_MAX = 100_000  # names in the quota table; a stranger could invent more
RETAINED = "retained message: publish without the retain flag; what the broker has kept is not fresh data"


def stranger(codec: str) -> str:
    """The name under which frames of nobody that we know stand. Strangers share it, and so one quota: they could invent as many
    names as they like."""
    return f"tcp-{codec}"


class Quota:
    """A token bucket for each device, so that one broken device does not fill the log with its raw bytes."""

    def __init__(self, *, burst: float = QUOTA_BURST, per_s: float = QUOTA_PER_S) -> None:
        self._burst, self._per_s = burst, per_s
        self._buckets: dict[str, tuple[float, float]] = {}
        self.exceeded = 0

    def take(self, device_id: str, machine_s: float) -> bool:
        """Whether this one is within the quota."""
        tokens, at_s = self._buckets.get(device_id, (self._burst, machine_s))
        tokens = min(self._burst, tokens + (machine_s - at_s) * self._per_s)
        if device_id not in self._buckets and len(self._buckets) >= DEVICES_MAX:
            self._buckets.pop(next(iter(self._buckets)))
        allowed = tokens >= 1.0
        self._buckets[device_id] = (tokens - 1.0 if allowed else tokens, machine_s)
        self.exceeded += not allowed
        return allowed


def dead_letter(message: Message, device_id: str, reasons: Sequence[str], *, within_quota: bool) -> EventBody:
    """The record of a refused message. Raises ValueError without a reason: nobody could act on that."""
    if not reasons:
        raise ValueError("a dead letter needs a reason")
    data: dict[str, Any] = {
        "reason": "; ".join(reasons[:3]),
        "reasons": list(reasons[:REASONS_MAX]),
        "topic": message.topic[:512],
        "sha256": hashlib.sha256(message.payload).hexdigest(),
        "size": len(message.payload),
    }
    if message.line:
        data["tcp"] = True
    if message.request:
        data["http"] = True
    if within_quota:
        data["raw"] = base64.b64encode(message.payload[:RAW_MAX]).decode()
        if len(message.payload) > RAW_MAX:
            data["truncated"] = True
    else:
        data["over_quota"] = True
    return EventBody(type="dead_letter", device_id=device_id, receive_us=message.receive_us, data=data)
