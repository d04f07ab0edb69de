"""The canary: a device of our own that publishes every 5 s, and whose value is looked for at every stage.

`/readyz` is green only while a canary really flows: through broker, log, rules, database and hub. It knows nothing of
the stages but their last answer, so a stage that hangs is seen even though its process lives.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiomqtt
import msgspec
import structlog

from devices.clock import Clock

log = structlog.get_logger()

EVERY_S = 5.0
FIRST_EVERY_S = 0.5  # until one has come through: the first beats may be older than the registration
GREEN_S = 15.0
RETRY_S = 1.0
LOOK_S = 0.25
NS = 1_000_000_000
PROPERTY = "beat"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One place that the canary passes. `seen` returns the newest beat there, or None; it may raise what `away` names."""

    name: str
    seen: Callable[[], Awaitable[float | None]]
    away: tuple[type[Exception], ...] = ()


@dataclass(slots=True)
class _Flight:
    beat: int
    started_ns: int
    passed: set[str] = field(default_factory=set)


class Canary:
    """Publishes beats and watches them arrive."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        device_id: str,
        username: str,
        password: str,
        tenant: str,
        clock: Clock,
        stages: list[Stage],
    ) -> None:
        self._address = (host, port)
        self._device_id, self._tenant = device_id, tenant
        self._username, self._password = username, password
        self._clock = clock
        self._stages = stages
        self._flights: list[_Flight] = []
        self._passed_ns: dict[str, int] = {}
        self._round_trip_ns: int | None = None
        self._completed_ns: int | None = None

    @property
    def green(self) -> bool:
        """Whether the last complete round trip began less than 15 s ago (machine time)."""
        age_s = self.age_s
        return age_s is not None and age_s < GREEN_S

    @property
    def age_s(self) -> float | None:
        if self._completed_ns is None:
            return None
        return (self._clock.machine_ns() - self._completed_ns) / NS

    def report(self) -> dict[str, Any]:
        """For /readyz: the age of the last round trip, how long it took, and the age per stage, seconds."""
        now_ns = self._clock.machine_ns()
        trip = self._round_trip_ns
        return {
            "age_s": None if self.age_s is None else round(self.age_s, 1),
            "round_trip_ms": None if trip is None else round(trip / 1e6, 1),
            "stages": {
                stage.name: round((now_ns - self._passed_ns[stage.name]) / NS, 1)
                if stage.name in self._passed_ns
                else None
                for stage in self._stages
            },
        }

    async def run(self) -> None:
        """Fly until cancelled; a broker that is away is tried again every second."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._publish(), name="canary-publish")
            group.create_task(self._watch(), name="canary-watch")

    async def _publish(self) -> None:
        beat = self._clock.city_us() // 1_000_000 % 1_000_000_000
        topic = f"cb/v1/{self._tenant}/{self._device_id}/up/telemetry"
        while True:
            try:
                async with aiomqtt.Client(
                    hostname=self._address[0],
                    port=self._address[1],
                    identifier=self._device_id,
                    username=self._username,
                    password=self._password,
                    timeout=EVERY_S,
                ) as client:
                    while True:
                        beat += 1
                        body = {"ts": self._clock.city_us() // 1000, "values": {PROPERTY: beat}}
                        self._flights = [*self._flights[-3:], _Flight(beat, self._clock.machine_ns())]
                        await client.publish(topic, msgspec.json.encode(body), qos=1)
                        task = asyncio.current_task()
                        if task is not None and task.cancelling():
                            raise asyncio.CancelledError  # Python 3.11's wait_for, inside, may have swallowed it
                        await asyncio.sleep(FIRST_EVERY_S if self._completed_ns is None else EVERY_S)
            except aiomqtt.MqttError as error:
                log.debug("canary_broker_away", reason=str(error))
                await asyncio.sleep(RETRY_S)

    async def _watch(self) -> None:
        while True:
            for stage in self._stages:
                try:
                    seen = await stage.seen()
                except stage.away:
                    continue
                for flight in self._flights if seen is not None else []:
                    if seen is not None and seen >= flight.beat and stage.name not in flight.passed:
                        flight.passed.add(stage.name)
                        self._passed_ns[stage.name] = flight.started_ns
            self._complete()
            await asyncio.sleep(LOOK_S)

    def _complete(self) -> None:
        wanted = {stage.name for stage in self._stages}
        for flight in self._flights:
            if flight.passed == wanted and (self._completed_ns is None or flight.started_ns > self._completed_ns):
                self._completed_ns = flight.started_ns
                self._round_trip_ns = self._clock.machine_ns() - flight.started_ns
