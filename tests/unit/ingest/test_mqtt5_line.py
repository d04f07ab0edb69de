"""The MQTT 5 line without a network: packets in pieces, acknowledgements of one connection, the broker's window, damage.

What a real Mosquitto makes of it: tests/integration/ingest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import mqtt5

from citybrain_testing.clocks import ManualClock
from ingest.broker_input import DROPPED_TOPIC, QOS0_MAX
from ingest.message import Message, Reply
from ingest.mqtt5_in import Mqtt5Input, _Line


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written, self.aborted = b"", False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True

    def close(self) -> None:
        self.aborted = True

    def get_write_buffer_size(self) -> int:
        return 0

    def packets(self) -> list[mqtt5.Packet]:
        found, at = [], 0
        while at < len(self.written):
            packet, used = mqtt5.read(memoryview(self.written)[at:])
            found.append(packet)
            at += used
        return found


def connected(test: Callable[[Mqtt5Input, _Line, Wire], Any]) -> None:
    """Run a test on an input whose connection stands."""

    async def scene() -> None:
        source = Mqtt5Input(
            tenant="demo", host="nowhere", port=1, username="service.ingest", password="x", clock=ManualClock()
        )
        wire, line = Wire(), _Line(source)
        line.connection_made(wire)
        source._line, source.connected, source.generation, line.generation = line, True, 1, 1
        result = test(source, line, wire)
        if result is not None:
            await result

    asyncio.run(scene())


def publish(
    number: int, *, qos: mqtt5.QoS = mqtt5.QoS.AT_LEAST_ONCE, topic: str = "", duplicate: bool = False
) -> bytes:
    packet_id = number if qos != mqtt5.QoS.AT_MOST_ONCE else None
    name = topic or f"cb/v1/demo/g{number}/up/telemetry"
    return mqtt5.PublishPacket(name, b"%d" % number, qos=qos, packet_id=packet_id, duplicate=duplicate).write()


async def taken(source: Mqtt5Input) -> list[Message]:
    return await source.receive(1_000, 0.0)


def test_packets_come_whole_however_they_are_cut() -> None:
    async def test(source: Mqtt5Input, line: _Line, wire: Wire) -> None:
        stream = b"".join(publish(n) for n in range(1, 40))
        for at in range(0, len(stream), 7):
            line.data_received(stream[at : at + 7])
        messages = await taken(source)
        assert [(m.packet_id, m.payload, m.generation) for m in messages] == [(n, b"%d" % n, 1) for n in range(1, 40)]
        assert source.waiting == 0

    connected(test)


def test_a_batch_is_acknowledged_in_order_and_an_older_connections_messages_are_not() -> None:
    async def test(source: Mqtt5Input, line: _Line, wire: Wire) -> None:
        line.data_received(publish(5) + publish(3) + publish(9))
        messages = await taken(source)
        line.generation = source.generation = 2
        line.data_received(publish(7))
        source.acknowledge([*messages, *await taken(source)])
        packets = wire.packets()
        assert [packet.packet_id for packet in packets if isinstance(packet, mqtt5.PubAckPacket)] == [7]
        assert len(packets) == 1

    connected(test)


def test_what_comes_in_one_breath_with_the_greeting_is_of_this_connection_and_acknowledged() -> None:
    async def test(source: Mqtt5Input, line: _Line, wire: Wire) -> None:
        again = _Line(source)
        again.connection_made(wire)
        again.data_received(mqtt5.ConnAckPacket(session_present=True, receive_max=9).write() + publish(4) + publish(5))
        messages = await taken(source)
        assert [m.generation for m in messages] == [2, 2]
        assert (source.generation, source.connected, again.window) == (2, True, 9)
        source.acknowledge(messages)
        assert [p.packet_id for p in wire.packets() if isinstance(p, mqtt5.PubAckPacket)] == [4, 5]

    connected(test)


def test_a_refused_login_is_no_connection() -> None:
    def test(source: Mqtt5Input, line: _Line, wire: Wire) -> None:
        source._lost(line)
        again = _Line(source)
        again.connection_made(wire)
        refused = mqtt5.ConnAckPacket(reason_code=mqtt5.ConnAckReasonCode.BAD_USER_NAME_OR_PASSWORD)
        again.data_received(refused.write())
        assert (source.connected, source.generation) == (False, 1)

    connected(test)


def test_a_duplicate_and_a_retained_message_say_so() -> None:
    async def test(source: Mqtt5Input, line: _Line, wire: Wire) -> None:
        line.data_received(publish(1, duplicate=True))
        (message,) = await taken(source)
        assert (message.dup, message.retain) == (True, False)

    connected(test)


def test_replies_keep_to_the_brokers_window() -> None:
    def test(source: Mqtt5Input, line: _Line, wire: Wire) -> None:
        line.window = 2
        source.send(Reply(topic=f"cb/v1/demo/g{n}/down/ack", payload=b"{}") for n in range(5))
        assert len(wire.packets()) == 2
        line.data_received(mqtt5.PubAckPacket(1).write() + mqtt5.PubAckPacket(2).write())
        sent = [packet for packet in wire.packets() if isinstance(packet, mqtt5.PublishPacket)]
        assert [packet.topic for packet in sent] == [f"cb/v1/demo/g{n}/down/ack" for n in range(4)]
        assert [packet.packet_id for packet in sent] == [1, 2, 3, 4]

    connected(test)


def test_without_a_connection_a_reply_is_dropped_and_not_kept_for_a_stranger() -> None:
    def test(source: Mqtt5Input, line: _Line, wire: Wire) -> None:
        line.window = 0
        source.send([Reply(topic="a", payload=b"")])
        source._lost(line)
        source.send([Reply(topic="b", payload=b"")])
        line.window = 9
        source._flush()
        assert wire.packets() == []
        assert source.away.is_set()
        assert not source.connected

    connected(test)


def test_a_malformed_packet_ends_the_connection_and_keeps_what_came_before() -> None:
    async def test(source: Mqtt5Input, line: _Line, wire: Wire) -> None:
        line.data_received(publish(1) + b"\x00\x00")
        assert wire.aborted
        assert line.reason.startswith("malformed packet")
        assert [m.packet_id for m in await taken(source)] == [1]

    connected(test)


def test_qos_0_is_bounded_and_the_brokers_own_figures_are_no_messages() -> None:
    def test(source: Mqtt5Input, line: _Line, wire: Wire) -> None:
        zero = mqtt5.QoS.AT_MOST_ONCE
        line.data_received(publish(7, qos=zero, topic=DROPPED_TOPIC))
        assert (source.broker_dropped, source.waiting) == (7, 0)
        line.data_received(publish(1, qos=zero) * (QOS0_MAX + 10))
        assert source.waiting == QOS0_MAX

    connected(test)
