"""The broker's side of ingest on MQTT 5: one connection with a persistent session and manual acknowledgement, in the event loop.

The wire format is `mqtt5`'s (Rust); the session is ours, since what bounds ingest is the work per message: no thread beside
the loop, packets read in bursts, PUBACKs of a batch in one write. The receive maximum is the back-pressure: what is not
acknowledged is not followed by more. A PUBACK goes out only when the caller says so, in the order of arrival, and only over the
connection on which the message came: an acknowledgement for an older connection could hit another message that has its packet
id by now. For a broker of 3.1.1 see `ingest.mqtt_in`, which has the same methods.
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import Callable, Iterable

import mqtt5
import structlog

from devices import topics
from devices.clock import Clock
from ingest import metrics
from ingest.broker_input import CLIENT_ID, DROPPED_TOPIC, KEEPALIVE_S, QOS0_MAX, REPLIES_MAX, STORE_TOPIC, BrokerInput
from ingest.message import Message, Reply

RECEIVE_MAXIMUM = 16_000  # below the broker's max_inflight_messages; several batches
SILENCE_S = 1.5 * KEEPALIVE_S  # without a byte from the broker: it is gone
CONNECT_S = 10.0
SESSION_EXPIRY_S = 0xFFFFFFFF  # never: what waits for us is not ours to forget
BACK_OFF_S = (0.2, 0.5, 1.0, 1.0, 2.0, 2.0, 5.0, 10.0)  # a broker that was killed is back within seconds
UNSENT_MAX = 8 << 20  # bytes that the broker does not take
IDS = 65_535

log = structlog.get_logger()


class Mqtt5Input(BrokerInput):
    """See `BrokerInput`."""

    def __init__(
        self,
        *,
        tenant: str,
        host: str,
        port: int,
        username: str,
        password: str,
        clock: Clock,
        client_id: str = CLIENT_ID,
        receive_maximum: int = RECEIVE_MAXIMUM,
        on_new_session: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(tenant, clock, on_new_session)
        self._address, self._login = (host, port), (client_id, username, password)
        self._receive_maximum = receive_maximum
        self._line: _Line | None = None
        self._replies: deque[Reply] = deque()  # that wait for the broker's own receive maximum

    async def run(self) -> None:
        """Connect, again and again, until cancelled; then leave the broker: session and what is unacknowledged stay there."""
        attempt = 0
        while True:
            if await self._connection():
                attempt = 0
            await asyncio.sleep(BACK_OFF_S[min(attempt, len(BACK_OFF_S) - 1)])
            attempt += 1

    async def receive(self, max_messages: int, linger_s: float) -> list[Message]:
        """Messages in the order of arrival: waits for the first, then at most `linger_s` for more."""
        await self._arrived.wait()
        if len(self._inbox) < max_messages:
            await asyncio.sleep(linger_s)
        inbox = self._inbox
        taken = [inbox.popleft() for _ in range(min(max_messages, len(inbox)))]
        if not inbox:
            self._arrived.clear()
        return taken

    def acknowledge(self, messages: Iterable[Message]) -> None:
        """PUBACK, in the given order, what came over the present connection; the rest will come again."""
        generation = self.generation
        ids = [m.packet_id for m in messages if m.packet_id and m.generation == generation]
        self._in_flight -= len(ids)
        if self._line is not None and ids:
            self._line.acknowledge(ids)
        metrics.IN_FLIGHT.set(self._in_flight)

    def send(self, replies: Iterable[Reply]) -> None:
        """Publish down at QoS 1. While the broker is away, or too far behind, a reply is dropped and counted: a device that
        misses its receipt sends the message again."""
        for reply in replies:
            if self._line is None or not self.connected or len(self._replies) >= REPLIES_MAX:
                metrics.REPLIES_DROPPED.inc()
                continue
            self._replies.append(reply)
            metrics.REPLIES.labels(reply.topic.rpartition("/")[2]).inc()
        self._flush()

    # -- the connection

    async def _connection(self) -> bool:
        """One connection until it is lost; whether the broker let us in."""
        line = _Line(self)
        try:
            async with asyncio.timeout(CONNECT_S):
                await asyncio.get_running_loop().create_connection(lambda: line, *self._address)
                let_in = await self._greet(line)
            if let_in:
                await self._keep_alive(line)
        except (OSError, TimeoutError) as error:
            log.warning("broker_not_reached", why=str(error) or type(error).__name__)
            return False
        except asyncio.CancelledError:
            line.leave()
            raise
        finally:
            line.close()
            self._lost(line)
        return let_in

    async def _greet(self, line: _Line) -> bool:
        client_id, username, password = self._login
        connect = mqtt5.ConnectPacket(
            client_id,
            username=username,
            password=password.encode(),
            clean_start=False,
            keep_alive=KEEPALIVE_S,
            session_expiry_interval=SESSION_EXPIRY_S,
            receive_max=self._receive_maximum,
        )
        line.write(connect.write())
        answer = await line.greeted
        if answer.reason_code != mqtt5.ConnAckReasonCode.SUCCESS:
            log.warning("broker_refused_login", why=str(answer.reason_code))
            return False
        line.write(mqtt5.SubscribePacket(line.next_id(), self._filters()).write())
        reasons = await line.subscribed
        refused = [str(reason) for reason in reasons[:2] if reason != mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE]
        if refused:
            log.error("broker_refused_subscription", why=refused)
            return False
        self.away.clear()
        self.subscribed.set()
        if not answer.session_present and self._on_new_session is not None:
            self._on_new_session()
        return True

    def _filters(self) -> list[mqtt5.TopicFilter]:
        once, never = mqtt5.QoS.AT_LEAST_ONCE, mqtt5.RetainHandling.SEND_NEVER
        up, states = topics.all_up(self._tenant), topics.all_states(self._tenant)
        return [
            mqtt5.TopicFilter(up, max_qos=once, retain_as_published=False, retain_handling=never),
            mqtt5.TopicFilter(states, max_qos=once, retain_as_published=False),
            mqtt5.TopicFilter(DROPPED_TOPIC, max_qos=mqtt5.QoS.AT_MOST_ONCE),
            mqtt5.TopicFilter(STORE_TOPIC, max_qos=mqtt5.QoS.AT_MOST_ONCE),
        ]

    async def _keep_alive(self, line: _Line) -> None:
        """Until the connection is lost, ping; a broker that says nothing is gone."""
        ping = mqtt5.PingReqPacket().write()
        while not line.lost.is_set():
            try:
                async with asyncio.timeout(KEEPALIVE_S / 2):
                    await line.lost.wait()
            except TimeoutError:
                silent_s = (self._clock.machine_ns() - line.heard_ns) / 1e9
                if silent_s > SILENCE_S:
                    line.reason = f"silent for {silent_s:.0f} s"
                    return
                line.write(ping)

    def _lost(self, line: _Line) -> None:
        if self._line is not line:
            return
        self._line = None
        self.connected = False
        self.lost_at_us = self._clock.city_us()
        self.away.set()
        self.subscribed.clear()
        metrics.CONNECTED.set(0)
        metrics.REPLIES_DROPPED.inc(len(self._replies))
        self._replies.clear()
        log.warning("broker_lost", why=line.reason or "connection closed")

    # -- called by the line

    def welcomed(self, line: _Line, answer: mqtt5.ConnAckPacket) -> None:
        """The broker has let us in. At once, not when the greeting goes on: what waited in the session comes in the same breath,
        and belongs to this connection."""
        self.generation += 1
        line.generation, line.window = self.generation, answer.receive_max
        self._line, self._in_flight = line, 0
        self.connected, self.connected_at_ns = True, self._clock.machine_ns()
        metrics.CONNECTED.set(1)
        metrics.CONNECTS.labels("present" if answer.session_present else "new").inc()
        log.info("broker_connected", session_present=answer.session_present, generation=self.generation)

    @property
    def machine_ns(self) -> int:
        return self._clock.machine_ns()

    def took(self, packets: list[mqtt5.PublishPacket], generation: int) -> None:
        """Messages that one read brought; they were received at one moment."""
        now_us = self._clock.city_us()
        inbox = self._inbox
        for packet in packets:
            topic = packet.topic
            if topic.startswith("$SYS/"):
                self._note_broker(topic, packet.payload)
                continue
            packet_id = packet.packet_id or 0
            if not packet_id and len(inbox) >= QOS0_MAX:
                metrics.DROPPED.inc()
                continue
            inbox.append(
                Message(
                    topic=topic,
                    payload=packet.payload,
                    packet_id=packet_id,
                    receive_us=now_us,
                    dup=packet.duplicate,
                    retain=packet.retain,
                    generation=generation,
                )
            )
            self._in_flight += 1 if packet_id else 0
        if inbox:
            self._arrived.set()

    def reply_taken(self) -> None:
        """The broker has acknowledged one of our replies: the next one may go."""
        self._flush()

    def _flush(self) -> None:
        line = self._line
        while line is not None and self._replies and line.open_replies < line.window and line.unsent < UNSENT_MAX:
            reply = self._replies.popleft()
            line.open_replies += 1
            packet = mqtt5.PublishPacket(
                reply.topic, reply.payload, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=line.next_id()
            )
            line.write(packet.write())


class _Line(asyncio.Protocol):
    """One connection: bytes in, packets out, and the other way round."""

    def __init__(self, owner: Mqtt5Input) -> None:
        loop = asyncio.get_running_loop()
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._packet_id = 0
        self.greeted: asyncio.Future[mqtt5.ConnAckPacket] = loop.create_future()
        self.subscribed: asyncio.Future[list[mqtt5.SubAckReasonCode]] = loop.create_future()
        self.lost = asyncio.Event()
        self.reason = ""
        self.heard_ns = owner.machine_ns
        self.generation = 0
        self.window = IDS  # the broker's receive maximum
        self.open_replies = 0

    @property
    def unsent(self) -> int:
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def next_id(self) -> int:
        self._packet_id = self._packet_id % IDS + 1
        return self._packet_id

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def acknowledge(self, ids: list[int]) -> None:
        """PUBACK, reason success: four bytes each."""
        pack = struct.Struct(">HH").pack
        self.write(b"".join([pack(0x4002, packet_id) for packet_id in ids]))

    def leave(self) -> None:
        """Say goodbye; the session stays."""
        self.write(mqtt5.DisconnectPacket().write())

    def close(self) -> None:
        """After what is written has gone."""
        if self._transport is not None:
            self._transport.close()

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        self.reason = self.reason or str(error or "closed by the broker")
        self.lost.set()
        for future in (self.greeted, self.subscribed):
            if not future.done():
                future.set_exception(ConnectionResetError(self.reason))
                future.exception()  # seen here, so that a future that nobody waits for is not reported

    def data_received(self, data: bytes) -> None:
        self.heard_ns = self._owner.machine_ns
        buffer = self._rest + data if self._rest else data
        view, at, size = memoryview(buffer), 0, len(buffer)
        published: list[mqtt5.PublishPacket] = []
        try:
            while at < size:
                packet, used = mqtt5.read(view[at:])
                at += used
                if type(packet) is mqtt5.PublishPacket:
                    published.append(packet)
                else:
                    self._other(packet)
        except IndexError:
            pass  # the rest of the packet is still coming
        except ValueError as error:
            self._fail(f"malformed packet: {error}")
        self._rest = buffer[at:]
        if published:
            self._owner.took(published, self.generation)

    def _other(self, packet: mqtt5.Packet) -> None:
        match packet:
            case mqtt5.PubAckPacket():
                self.open_replies -= 1
                self._owner.reply_taken()
            case mqtt5.ConnAckPacket():
                if not self.greeted.done():
                    if packet.reason_code == mqtt5.ConnAckReasonCode.SUCCESS:
                        self._owner.welcomed(self, packet)
                    self.greeted.set_result(packet)
            case mqtt5.SubAckPacket():
                if not self.subscribed.done():
                    self.subscribed.set_result(packet.reason_codes)
            case mqtt5.DisconnectPacket():
                self._fail(str(packet.reason_code))
            case _:
                pass

    def _fail(self, reason: str) -> None:
        self.reason = self.reason or reason
        if self._transport is not None:
            self._transport.abort()
