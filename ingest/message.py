"""What comes in from the broker and what goes back to it, as plain values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One MQTT publish as it was received."""

    topic: str
    payload: bytes
    packet_id: int  # 0 at QoS 0
    receive_us: int  # city time
    dup: bool = False
    retain: bool = False
    generation: int = 0  # number of the connection it came over: acknowledgements of an older one are void


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A message down to a device."""

    topic: str
    payload: bytes
