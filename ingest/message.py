"""What comes in from the broker and what goes back to it, as plain values."""

from __future__ import annotations

import msgspec


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One MQTT publish as it was received, or one frame of a TCP session, or one body that was pushed, under the topic that it would have had."""

    topic: str
    payload: bytes
    packet_id: int  # 0 at QoS 0
    receive_us: int  # city time
    dup: bool = False
    retain: bool = False
    generation: int = 0  # number of the connection it came over: acknowledgements of an older one are void
    line: int = 0  # number of the TCP session it came over; 0: the broker
    request: int = 0  # number of the HTTP request it came with; 0: none
    delivery: int = 0  # what tells it from other pushes, 64 bits; 0: nothing does
    problems: tuple[str, ...] = ()  # what its session found wrong with it: it ends as a dead letter
    denial: bytes | None = None  # goes back once that is on disk


class Reply(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A message down to a device, over the broker or (`line`) over the TCP session that the device's message came by."""

    topic: str
    payload: bytes
    line: int = 0
