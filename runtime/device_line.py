"""The role `command`'s own connection to the broker: publishes commands down to devices at QoS 1, and waits for each PUBACK.

It keeps no session and no queue: what was not acknowledged stands in its row and is published again from there. So each connection
is a new client, which repeats nothing of the one before.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import paho.mqtt.client as paho
import structlog
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from command_center.device_commands.ports import LineDown
from ingest.service import BrokerAccess

log = structlog.get_logger(__name__)

CLIENT_ID = "citybrain-command"
KEEPALIVE_S = 30
CONNECT_S = 5.0  # in a thread, which a stop of the process waits for
PUBACK_S = 5.0
BACK_OFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)  # a broker that was killed is back within seconds
NOBODY_LISTENS = 0x10  # MQTT 5, 3.4.2.1: "No matching subscribers"


class DeviceLine:
    """A `command_center.device_commands.ports.Line`. `run` holds the connection until it is cancelled."""

    def __init__(self, access: BrokerAccess, *, client_id: str = CLIENT_ID) -> None:
        self._access, self._client_id = access, client_id
        self._client: paho.Client | None = None  # while connected
        self._lost: asyncio.Event | None = None
        self._waiting: dict[int, asyncio.Future[str]] = {}

    @property
    def connected(self) -> bool:
        return self._client is not None

    async def run(self) -> None:
        """Connect, again and again, until cancelled."""
        attempt = 0
        while True:
            attempt = 0 if await self._connection() else attempt + 1
            await asyncio.sleep(BACK_OFF_S[min(attempt, len(BACK_OFF_S) - 1)])

    async def publish(self, topic: str, payload: bytes, *, keep_s: int) -> str:
        """See `Line`. A broker of MQTT 3.1.1 says only that it took the message, not for whom."""
        client = self._client
        if client is None:
            raise LineDown("not connected to the broker")
        properties: Properties | None = None
        if self._access.protocol == "5":
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.MessageExpiryInterval = keep_s
        answered: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        info = client.publish(topic, payload, qos=1, properties=properties)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise LineDown(f"the broker does not take anything: {paho.error_string(info.rc)}")
        self._waiting[info.mid] = answered  # no await since publish: its PUBACK is told to the loop later
        try:
            async with asyncio.timeout(PUBACK_S):
                return await answered
        except TimeoutError as error:
            raise LineDown(f"no PUBACK within {PUBACK_S:g} s") from error
        finally:
            self._waiting.pop(info.mid, None)

    async def _connection(self) -> bool:
        """One connection until it is lost; whether the broker let us in."""
        lost = self._lost = asyncio.Event()
        welcomed = threading.Event()
        client = self._make(asyncio.get_running_loop(), lost, welcomed)
        try:
            async with asyncio.timeout(CONNECT_S):
                await asyncio.to_thread(client.connect, self._access.host, self._access.port, KEEPALIVE_S)
        except (OSError, TimeoutError) as error:
            log.warning("device_line_not_connected", why=str(error) or type(error).__name__)
            return False
        client.loop_start()
        try:
            await lost.wait()
        finally:
            self._client = None
            client.disconnect()
            client.loop_stop()
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(LineDown("the connection to the broker was lost"))
        return welcomed.is_set()

    def _make(self, loop: asyncio.AbstractEventLoop, lost: asyncio.Event, welcomed: threading.Event) -> paho.Client:
        five = self._access.protocol == "5"
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            clean_session=None if five else True,
            protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        client.username_pw_set(self._access.username, self._access.password)
        client.connect_timeout = CONNECT_S

        def tell(act: Any, *arguments: Any) -> None:
            """From the client's thread; nothing to tell once the loop is gone."""
            if not loop.is_closed():
                loop.call_soon_threadsafe(act, *arguments)

        def on_connect(_: Any, __: Any, ___: Any, reason: ReasonCode, ____: Any) -> None:
            if reason.is_failure:
                log.warning("device_line_refused", why=str(reason))
                tell(lost.set)
                return
            welcomed.set()
            tell(self._welcome, client, lost)

        def on_disconnect(_: Any, __: Any, ___: Any, reason: ReasonCode, ____: Any) -> None:
            tell(lost.set)

        def on_publish(_: Any, __: Any, mid: int, reason: ReasonCode, ____: Any) -> None:
            tell(self._answered, mid, _why_not(reason))

        client.on_connect, client.on_disconnect, client.on_publish = on_connect, on_disconnect, on_publish
        return client

    def _welcome(self, client: paho.Client, lost: asyncio.Event) -> None:
        if self._lost is lost and not lost.is_set():
            self._client = client
            log.info("device_line_connected", host=self._access.host, port=self._access.port)

    def _answered(self, mid: int, answer: str) -> None:
        future = self._waiting.get(mid)
        if future is not None and not future.done():
            future.set_result(answer)


def _why_not(reason: ReasonCode) -> str:
    if reason.value == NOBODY_LISTENS:
        return "nobody listens to the device's topic at the broker"
    return str(reason) if reason.is_failure else ""
