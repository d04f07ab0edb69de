"""Ingest as a service: broker, TCP sessions and pushes -> log, and only then receipts, acknowledgements of protocols, PUBACK and 200.

The order is the promise: append (fsync), reply, acknowledge. A crash between two of them is a redelivery, not a loss.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import structlog

from devices.clock import Clock
from devices.models import DeviceModel
from devices.registry import registry_data
from ingest import metrics
from ingest.clock_rule import RECONNECT_WINDOW_S, delivery_slack_s
from ingest.dedupe import TAIL_RECORDS, DupTail
from ingest.doors import NO_DOORS, StationDoors
from ingest.http_in import HttpInput
from ingest.message import Message
from ingest.mqtt5_in import RECEIVE_MAXIMUM, Mqtt5Input
from ingest.mqtt_in import MqttInput
from ingest.pipeline import Link, Outcome, Pipeline
from ingest.push_sources import PushSource
from ingest.refusals import RefusalService
from ingest.tcp_in import TcpInput
from stream import records
from stream.errors import LogClosed, LogError
from stream.reader import LogReader
from stream.records import Appended, ControlBody, EventBody, NewRecord, RecordKind
from stream.registry_cache import load_registry, save_snapshot
from stream.ticks import reconnect_us
from stream.writer import LogWriter

BATCH_MESSAGES = 1_000  # a record holds about 1,000 rows; what came in 20 ms is seldom more
BATCH_LINGER_S = 0.02
KEEP_REGISTRY_EVERY_S = 5.0
KEEP_QUALITY_EVERY_S = 30.0
KEEP_REGISTRY_SHARE = 20.0  # of a large register: at most a twentieth of the time goes into keeping it
QUALITY = "quality"  # name of the snapshot
BATCHES_AHEAD = 4  # decoded while the ones before them are on their way to the disk; then reading waits
RETRY_S = (0.1, 0.2, 0.5, 1.0)  # the log is full or the disk refuses: nothing is acknowledged, we try again for ever
DRAIN_IDLE_S = 0.5  # the broker's backlog is over when it has sent nothing for so long

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerAccess:
    """Where the broker is and who we are there. `log_file`: its log, where it is ours to read."""

    host: str
    port: int
    username: str
    password: str
    client_id: str = "citybrain-ingest"
    protocol: Literal["5", "3.1.1"] = "5"
    receive_maximum: int = RECEIVE_MAXIMUM
    log_file: Path | None = None


@dataclass(frozen=True, slots=True)
class _Batch:
    messages: list[Message]
    outcome: Outcome
    received_ns: int


def _input(
    tenant: str, broker: BrokerAccess, clock: Clock, on_new_session: Callable[[], None] | None
) -> Mqtt5Input | MqttInput:
    """The broker's side in the broker's protocol."""
    login = {
        "host": broker.host,
        "username": broker.username,
        "password": broker.password,
        "client_id": broker.client_id,
    }
    if broker.protocol == "5":
        return Mqtt5Input(
            tenant=tenant,
            port=broker.port,
            clock=clock,
            receive_maximum=broker.receive_maximum,
            on_new_session=on_new_session,
            **login,
        )
    return MqttInput(tenant=tenant, port=broker.port, clock=clock, on_new_session=on_new_session, **login)


class IngestService:
    """Reads the registry beside the log, then the broker, for ever.

    Give `on_control` to the AppendServer; give `drained` to the TickService. `append` is for our own event records (default:
    the writer itself). Construct before anything is appended: what the log ended with tells how long we were away.
    """

    def __init__(
        self,
        writer: LogWriter,
        clock: Clock,
        *,
        tenant: str,
        broker: BrokerAccess,
        models: Mapping[str, DeviceModel],
        on_new_session: Callable[[], None] | None = None,
        append: Callable[[list[NewRecord]], Awaitable[object]] | None = None,
        stations: StationDoors = NO_DOORS,
        pushes: Sequence[PushSource] = (),
    ) -> None:
        self._writer, self._clock = writer, clock
        self._append = append or writer.append_async
        with LogReader(writer.directory) as reader:
            self.registry, self._registry_position = load_registry(reader)
            tail = DupTail.of_log(reader.tail(RecordKind.OBS, TAIL_RECORDS))
        self._pipeline = Pipeline(
            tenant, self.registry, models, tail=tail, delivery_slack_s=delivery_slack_s(clock.rate)
        )
        self._restore_quality()
        self.input = _input(tenant, broker, clock, on_new_session)
        self.input.lost_at_us = writer.last_at_us or None
        self.lines = TcpInput(
            tenant=tenant,
            listeners=stations.listeners,
            networks=stations.networks,
            index=self._pipeline.stations.index,
            clock=clock,
            note=self._note,
            connected=lambda device_id: self._pipeline.reconnected(device_id, clock.machine_ns() / 1e9),
        )
        self.pushes = HttpInput(tenant=tenant, sources=pushes, clock=clock, registry=self.registry, append=self._append)
        self._refusals = (
            RefusalService(broker.log_file, clock, self.registry, self._append) if broker.log_file else None
        )
        self._decoded: asyncio.Queue[_Batch] = asyncio.Queue(BATCHES_AHEAD)
        self._registry_changed = asyncio.Event()
        self.drained = asyncio.Event()  # the backlog that waited at the broker is in the log

    def on_control(self, control: ControlBody, appended: Appended) -> None:
        """A control has become durable: take over a new registry; `_keep_registry` puts it beside the log."""
        if control.type != "registry":
            return
        try:
            self.registry.apply(registry_data(control.data))
        except msgspec.ValidationError as error:
            log.error("registry_control_is_wrong", id=control.id, why=str(error))  # noqa: TRY400 - the reason says it all
            return
        self._registry_position = appended.position
        self._registry_changed.set()
        log.info("registry_changed", revision=self.registry.revision, devices=len(self.registry.devices))

    async def run(self) -> None:
        """Until cancelled. Raises LogClosed when the log's writer has ended."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.input.run(), name="ingest-mqtt")
            group.create_task(self._read(), name="ingest-read")
            group.create_task(self._read_lines(), name="ingest-read-tcp")
            group.create_task(self.lines.run(), name="ingest-tcp")
            group.create_task(self._read_pushes(), name="ingest-read-http")
            group.create_task(self.pushes.run(), name="ingest-http")
            group.create_task(self._log(), name="ingest-log")
            group.create_task(self._watch_backlog(), name="ingest-backlog")
            group.create_task(self._watch_broker(), name="ingest-broker")
            group.create_task(self._keep_registry(), name="ingest-registry")
            group.create_task(self._keep_quality(), name="ingest-quality")
            if self._refusals is not None:
                group.create_task(self._refusals.run(), name="ingest-refusals")

    async def _read(self) -> None:
        while True:
            messages = await self.input.receive(BATCH_MESSAGES, BATCH_LINGER_S)
            if not messages:
                continue
            received_ns = self._clock.machine_ns()
            outcome = self._pipeline.process(messages, self._link())
            await self._decoded.put(_Batch(messages, outcome, received_ns))

    async def _read_lines(self) -> None:
        while True:
            frames = await self.lines.receive(BATCH_MESSAGES, BATCH_LINGER_S)
            received_ns = self._clock.machine_ns()
            outcome = self._pipeline.process(frames, self._link())
            await self._decoded.put(_Batch(frames, outcome, received_ns))

    async def _read_pushes(self) -> None:
        while True:
            pushed = await self.pushes.receive(BATCH_MESSAGES, BATCH_LINGER_S)
            received_ns = self._clock.machine_ns()
            outcome = self._pipeline.process(pushed, self._link())
            await self._decoded.put(_Batch(pushed, outcome, received_ns))

    async def _note(self, device_id: str, data: dict[str, Any]) -> None:
        body = EventBody(type="ingest_note", device_id=device_id, receive_us=self._clock.city_us(), data=data)
        await self._durable([records.event(body)])

    async def _log(self) -> None:
        """In the order of arrival: durable, answered, acknowledged. What was decoded during one fsync shares the next."""
        while True:
            batches = [await self._decoded.get()]
            while not self._decoded.empty():
                batches.append(self._decoded.get_nowait())
            await self._durable([record for batch in batches for record in batch.outcome.records])
            for batch in batches:
                # Replies first: what is not acknowledged yet will be answered again.
                self.input.send(reply for reply in batch.outcome.replies if not reply.line)
                self.lines.send(reply for reply in batch.outcome.replies if reply.line)
                self.input.acknowledge(batch.messages)
                self.pushes.acknowledge(batch.messages)
                metrics.BATCH_ROWS.observe(batch.outcome.rows)
                metrics.COMMIT_S.observe((self._clock.machine_ns() - batch.received_ns) / 1e9)

    async def _durable(self, records: list[NewRecord]) -> None:
        """Append; a log that refuses is asked again until it takes them, and nothing overtakes them. Meanwhile nothing is
        acknowledged and the receive maximum stops the broker. Only what is durable is acknowledged, so an append whose fate
        we do not know (a time-out) is not repeated here: the process ends and the broker sends it again."""
        attempt = 0
        while True:
            try:
                await self._writer.append_async(records)
                return
            except LogClosed:
                raise
            except LogError as error:
                await self._back_off(error, attempt)
                attempt += 1

    async def _back_off(self, error: LogError, attempt: int) -> None:
        metrics.APPEND_RETRIES.labels(type(error).__name__).inc()
        log.error("ingest_waits_for_the_log", why=str(error), attempt=attempt)
        await asyncio.sleep(RETRY_S[min(attempt, len(RETRY_S) - 1)])

    async def _keep_registry(self) -> None:
        """The whole registry beside the log, some seconds after it changed: whoever starts reads the controls after it too.
        An import of 100,000 devices in a hundred controls must not write the whole a hundred times."""
        while True:
            await self._registry_changed.wait()
            self._registry_changed.clear()
            began_ns = self._clock.machine_ns()
            data, position = self.registry.snapshot(), self._registry_position
            await asyncio.to_thread(save_snapshot, self._writer, data, position)
            took_s = (self._clock.machine_ns() - began_ns) / 1e9
            await asyncio.sleep(max(KEEP_REGISTRY_EVERY_S, KEEP_REGISTRY_SHARE * took_s))

    async def _keep_quality(self) -> None:
        """What the tests with memory know, beside the log: a flat line counts on after a restart."""
        head = self._writer.head
        while True:
            began_ns = self._clock.machine_ns()
            if self._writer.head > head:
                head, blob = self._writer.head, self._pipeline.quality.dump()
                await asyncio.to_thread(self._writer.put_snapshot, QUALITY, head, blob)
            took_s = (self._clock.machine_ns() - began_ns) / 1e9
            await asyncio.sleep(max(KEEP_QUALITY_EVERY_S, KEEP_REGISTRY_SHARE * took_s))

    def _restore_quality(self) -> None:
        found = self._writer.get_snapshot(QUALITY)
        try:
            if found is not None:
                self._pipeline.quality.restore(found[1])
        except ValueError as error:
            log.warning("quality_snapshot_unreadable", position=found and found[0], why=str(error))

    async def _watch_backlog(self) -> None:
        await self.input.subscribed.wait()
        quiet_since_ns = self._clock.machine_ns()
        while self._clock.machine_ns() - quiet_since_ns < DRAIN_IDLE_S * 1e9:
            await asyncio.sleep(DRAIN_IDLE_S / 5)
            if self.input.waiting or not self._decoded.empty():
                quiet_since_ns = self._clock.machine_ns()
        self.drained.set()
        log.info("broker_backlog_drained")

    async def _watch_broker(self) -> None:
        """While the broker is away nobody can be heard: that is our downtime, not the devices' silence. On a fast clock the
        freeze stands in the log at once, before the first device would count as silent; its end follows when it was longer."""
        while True:
            await self.input.away.wait()
            lost_us = self.input.lost_at_us or self._clock.city_us()
            frozen_us = lost_us + reconnect_us(self._clock)
            if frozen_us > lost_us:
                await self._durable([records.resume(lost_us, frozen_us)])
            await self.input.subscribed.wait()
            if self._clock.city_us() > frozen_us:
                await self._durable([records.resume(frozen_us, self._clock.city_us())])

    def _link(self) -> Link:
        now_ns = self._clock.machine_ns()
        connected_ns = self.input.connected_at_ns
        fresh = connected_ns is not None and now_ns - connected_ns <= RECONNECT_WINDOW_S * 1e9
        return Link(machine_s=now_ns / 1e9, gap_from_us=self.input.lost_at_us if fresh else None)
