"""The broker's side of ingest on MQTT 3.1.1 (amqtt, some city clusters); `ingest.mqtt5_in` is the rule.

One client with a persistent session and manual acknowledgement; the broker's own in-flight bound holds it back. A PUBACK goes out
only when the caller says so, in the order of arrival, and only over the connection on which the message came: an
acknowledgement for an older connection could hit another message that has its packet id by now.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from typing import Any

import paho.mqtt.client as paho
import structlog
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from devices import topics
from devices.clock import Clock
from ingest import metrics
from ingest.broker_input import CLIENT_ID, DROPPED_TOPIC, KEEPALIVE_S, QOS0_MAX, REPLIES_MAX, STORE_TOPIC, BrokerInput
from ingest.message import Message, Reply

BACK_OFF_S = (1, 10)
NO_WINDOW = 0  # replies leave at once, so that they stand before the PUBACK on the wire; REPLIES_MAX bounds them

log = structlog.get_logger()


class MqttInput(BrokerInput):
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
        on_new_session: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(tenant, clock, on_new_session)
        self._address = (host, port)
        self._lock = threading.Lock()
        self._signalled = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._session_present = False
        self._client = self._make_client(client_id, username, password)

    def _make_client(self, client_id: str, username: str, password: str) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=False,
            protocol=MQTTProtocolVersion.MQTTv311,
            manual_ack=True,
        )
        client.username_pw_set(username, password)
        client.reconnect_delay_set(*BACK_OFF_S)
        client.max_queued_messages_set(REPLIES_MAX)
        client.max_inflight_messages_set(NO_WINDOW)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        return client

    # -- the event loop's side

    async def run(self) -> None:
        """Connect, again and again, until cancelled; then leave the broker: session and what is unacknowledged stay there."""
        self._loop = asyncio.get_running_loop()
        self._client.connect_async(*self._address, KEEPALIVE_S)
        self._client.loop_start()
        try:
            await asyncio.Event().wait()
        finally:
            self._client.disconnect()
            self._client.loop_stop()
            self._loop = None

    async def receive(self, max_messages: int, linger_s: float) -> list[Message]:
        """Messages in the order of arrival: waits for the first, then at most `linger_s` for more."""
        await self._arrived.wait()
        if len(self._inbox) < max_messages:
            await asyncio.sleep(linger_s)
        with self._lock:
            taken = [self._inbox.popleft() for _ in range(min(max_messages, len(self._inbox)))]
            if not self._inbox:
                self._arrived.clear()
                self._signalled = False
        return taken

    def acknowledge(self, messages: Iterable[Message]) -> None:
        """PUBACK, in the given order, what came over the present connection; the rest will come again."""
        with self._lock:
            for message in messages:
                if not message.packet_id or message.generation != self.generation:
                    continue
                self._in_flight -= 1
                if self.connected:
                    self._client.ack(message.packet_id, 1)
        metrics.IN_FLIGHT.set(self._in_flight)

    def send(self, replies: Iterable[Reply]) -> None:
        """Publish down at QoS 1. While the broker is away, or too far behind, a reply is dropped and counted: a device that
        misses its receipt sends the message again."""
        for reply in replies:
            if not self.connected:
                metrics.REPLIES_DROPPED.inc()
                continue
            info = self._client.publish(reply.topic, reply.payload, qos=1)
            if info.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
                metrics.REPLIES_DROPPED.inc()
            else:
                metrics.REPLIES.labels(reply.topic.rpartition("/")[2]).inc()

    # -- callbacks in the client's thread

    def _on_connect(
        self,
        client: paho.Client,
        userdata: Any,
        flags: paho.ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            log.warning("broker_refused_login", why=str(reason))
            return
        with self._lock:
            self.generation += 1
            self.connected = True
            self.connected_at_ns = self._clock.machine_ns()
            self._session_present = flags.session_present
            self._in_flight = 0
        metrics.CONNECTED.set(1)
        metrics.CONNECTS.labels("present" if flags.session_present else "new").inc()
        log.info("broker_connected", session_present=flags.session_present, generation=self.generation)
        client.subscribe(self._subscriptions())

    def _subscriptions(self) -> list[tuple[str, Any]]:
        up, states = topics.all_up(self._tenant), topics.all_states(self._tenant)
        return [(up, 1), (states, 1), (DROPPED_TOPIC, 0), (STORE_TOPIC, 0)]

    def _on_subscribe(
        self, client: paho.Client, userdata: Any, mid: int, reasons: list[ReasonCode], properties: Properties | None
    ) -> None:
        refused = [str(reason) for reason in reasons[:2] if reason.is_failure]
        if refused:
            log.error("broker_refused_subscription", why=refused)
            return
        self._in_loop(self.away.clear)
        self._in_loop(self.subscribed.set)
        if not self._session_present and self._on_new_session is not None:
            self._in_loop(self._on_new_session)

    def _on_disconnect(
        self,
        client: paho.Client,
        userdata: Any,
        flags: paho.DisconnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        with self._lock:
            if self.connected:
                self.lost_at_us = self._clock.city_us()
                self._in_loop(self.away.set)
            self.connected = False
        metrics.CONNECTED.set(0)
        self._in_loop(self.subscribed.clear)
        log.warning("broker_lost", why=str(reason))

    def _on_message(self, client: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:
        if message.topic in (DROPPED_TOPIC, STORE_TOPIC):
            self._note_broker(message.topic, bytes(message.payload))
            return
        with self._lock:
            if message.qos == 0 and len(self._inbox) >= QOS0_MAX:
                metrics.DROPPED.inc()
                return
            self._inbox.append(
                Message(
                    topic=message.topic,
                    payload=bytes(message.payload),
                    packet_id=message.mid if message.qos else 0,
                    receive_us=self._clock.city_us(),
                    dup=message.dup,
                    retain=message.retain,
                    generation=self.generation,
                )
            )
            self._in_flight += 1 if message.qos else 0
            wake = not self._signalled
            self._signalled = True
        if wake:
            self._in_loop(self._arrived.set)

    def _in_loop(self, act: Callable[[], object]) -> None:
        """From the client's thread; nothing to tell once the loop is gone."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(act)
