"""A publisher of MQTT 3.1.1 at QoS 1 in a hundred lines: for load, where a thousand full clients cost more than the system.

One object is one connection with its own identity. It writes straight to the socket, so the moment of the write is known
to the microsecond; it counts PUBACKs and answers nothing else.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from typing import Self

CONNECT_TIMEOUT_S = 15.0
KEEPALIVE_S = 600
CONNACK, PUBACK = 0x20, 0x40


class ConnectionRefused(ConnectionError):
    """The broker's CONNACK code: 4 wrong username or password, 5 not authorised."""

    def __init__(self, username: str, code: int) -> None:
        super().__init__(f"broker refused {username!r}: CONNACK code {code}")
        self.username, self.code = username, code


def connect_packet(client_id: str, username: str, password: str) -> bytes:
    """CONNECT, clean session, with username and password."""
    head = _text("MQTT") + bytes([4, 0b1100_0010]) + struct.pack(">H", KEEPALIVE_S)
    body = head + _text(client_id) + _text(username) + _text(password)
    return b"\x10" + _length(len(body)) + body


def publish_packet(topic: str, payload: bytes, packet_id: int) -> bytes:
    """PUBLISH at QoS 1, not retained."""
    body = _text(topic) + struct.pack(">H", packet_id) + payload
    return b"\x32" + _length(len(body)) + body


def _text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack(">H", len(raw)) + raw


def _length(size: int) -> bytes:
    """Remaining length, 7 bits a byte."""
    out = bytearray()
    while True:
        size, low = divmod(size, 128)
        out.append(low | (0x80 if size else 0))
        if not size:
            return bytes(out)


class LightPublisher(asyncio.Protocol):
    """`open`, then `publish`; `acked` counts what the broker took."""

    def __init__(self, username: str, password: str) -> None:
        self._username, self._password = username, password
        self._transport: asyncio.Transport | None = None
        self._connected: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._buffer = bytearray()
        self._packet_id = 0
        self.sent = 0
        self.acked = 0
        self.lost = False

    @classmethod
    async def open(cls, host: str, port: int, username: str, password: str, tls: ssl.SSLContext | None = None) -> Self:
        """Raises ConnectionRefused, OSError, TimeoutError."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            transport, protocol = await loop.create_connection(lambda: cls(username, password), host, port, ssl=tls)
            try:
                await protocol._connected
            except BaseException:
                transport.abort()  # the broker closes too, but perhaps after this loop has ended
                raise
        return protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(connect_packet(self._username, self._username, self._password))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= 2:
            size = 2 + self._buffer[1]  # what a broker sends us here is always shorter than 128 bytes
            if len(self._buffer) < size:
                return
            packet, self._buffer = bytes(self._buffer[:size]), self._buffer[size:]
            self._packet(packet)

    def _packet(self, packet: bytes) -> None:
        kind = packet[0] & 0xF0
        if kind == PUBACK:
            self.acked += 1
        elif kind == CONNACK and not self._connected.done():
            if packet[3]:
                self._connected.set_exception(ConnectionRefused(self._username, packet[3]))
            else:
                self._connected.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        if not self._connected.done():
            self._connected.set_exception(error or ConnectionResetError(f"broker closed {self._username!r}"))

    def publish(self, topic: str, payload: bytes) -> None:
        """Hand one message to the socket. Raises ConnectionResetError when the connection is gone."""
        if self._transport is None or self.lost:
            raise ConnectionResetError(f"connection of {self._username!r} is gone")
        self._packet_id = self._packet_id % 65_535 + 1
        self._transport.write(publish_packet(topic, payload, self._packet_id))
        self.sent += 1

    def close(self) -> None:
        if self._transport is not None and not self.lost:
            self._transport.write(b"\xe0\x00")
            self._transport.close()
