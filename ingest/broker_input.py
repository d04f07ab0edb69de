"""What both sides of ingest to the broker share: what waits, what a connection is, and what the broker says of itself."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import structlog

from devices.clock import Clock
from ingest import metrics
from ingest.message import Message

QOS0_MAX = 20_000  # QoS 0 knows no back-pressure: above this it is dropped and counted
KEEPALIVE_S = 30
REPLIES_MAX = 10_000
CLIENT_ID = "citybrain-ingest"
DROPPED_TOPIC = "$SYS/broker/publish/messages/dropped"
STORE_TOPIC = "$SYS/broker/store/messages/bytes"

log = structlog.get_logger()


class BrokerInput:
    """Receives from the broker until its `run` is cancelled. `on_new_session` is called, in the event loop, after each SUBACK that
    followed a connection without a session present: the broker must save now (contract.md section 3)."""

    def __init__(self, tenant: str, clock: Clock, on_new_session: Callable[[], None] | None) -> None:
        self._tenant, self._clock, self._on_new_session = tenant, clock, on_new_session
        self._inbox: deque[Message] = deque()
        self._arrived = asyncio.Event()
        self._in_flight = 0
        self.generation = 0  # number of the connection
        self.connected = False
        self.subscribed = asyncio.Event()
        self.away = asyncio.Event()  # a connection was lost and is not back yet
        self.connected_at_ns: int | None = None  # machine time of the last connection
        self.lost_at_us: int | None = None  # city time at which the connection before it was lost
        self.broker_dropped = 0  # the broker's own count of messages that it dropped: above 0 is an alarm

    @property
    def waiting(self) -> int:
        """Messages received and not yet taken."""
        return len(self._inbox)

    def _note_broker(self, topic: str, payload: bytes) -> None:
        """A figure that the broker publishes of itself."""
        if not payload.isdigit():
            return
        if topic == STORE_TOPIC:
            metrics.BROKER_STORE_BYTES.set(int(payload))
        elif topic == DROPPED_TOPIC:
            dropped = int(payload)
            if dropped > self.broker_dropped:
                log.error("broker_dropped_messages", dropped=dropped)
            self.broker_dropped = dropped
            metrics.BROKER_DROPPED.set(dropped)
