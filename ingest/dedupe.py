"""Messages that the broker sends again after a reconnect, or a platform pushes again, and that are in the log already.

Every observation record carries, beside its rows, the packet id and a hash of each message that it holds. After a restart the
tail of the log tells which of the redelivered (DUP) messages were made durable just before their PUBACK was lost. A push has no packet
id (0 stands in its place) and 64 bits that its source makes (ingest/push_sources.py).
"""

from __future__ import annotations

import struct
import zlib
from collections import OrderedDict
from collections.abc import Iterable

from ingest.message import Message
from stream.records import Record, metadata_of

TAIL = 65_535  # packet ids that one session can have in flight
TAIL_RECORDS = 200  # observation records to read back at a start: more than any receive maximum fills
PACKETS = b"packets"
_PACKET = struct.Struct("<HQ")
PacketKey = tuple[int, int]


def packet_key(message: Message) -> PacketKey:
    """(packet id, 64 bits of checksums of topic and payload). They need not withstand an attacker: only a message that the broker itself marks as
    sent again is held against them, and with its own packet id."""
    if message.delivery:
        return 0, message.delivery
    payload = message.payload
    return message.packet_id, zlib.adler32(payload) << 32 | zlib.crc32(payload, zlib.crc32(message.topic.encode()))


def pack(keys: Iterable[PacketKey]) -> dict[bytes, bytes]:
    """Keys as metadata of an observation record."""
    return {PACKETS: b"".join(_PACKET.pack(*key) for key in keys)}


def unpack(record: Record) -> list[PacketKey]:
    return list(_PACKET.iter_unpack(metadata_of(record).get(PACKETS, b"")))


class DupTail:
    """The packets that were made durable last; the oldest are forgotten. Pushes are kept apart: a platform tries again after minutes, when
    what the broker brought meanwhile would have taken their place."""

    def __init__(self, size: int = TAIL) -> None:
        self._size = size
        self._packets: OrderedDict[PacketKey, None] = OrderedDict()
        self._pushes: OrderedDict[PacketKey, None] = OrderedDict()

    def add(self, keys: Iterable[PacketKey]) -> None:
        for key in keys:
            known = self._packets if key[0] else self._pushes
            known[key] = None
            known.move_to_end(key)
        for known in (self._packets, self._pushes):
            for _ in range(len(known) - self._size):
                known.popitem(last=False)

    def __contains__(self, key: PacketKey) -> bool:
        return key in (self._packets if key[0] else self._pushes)

    @classmethod
    def of_log(cls, records: Iterable[Record]) -> DupTail:
        """From the last observation records, oldest first."""
        tail = cls()
        for record in records:
            tail.add(unpack(record))
        return tail
