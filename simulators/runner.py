"""Plays a scenario against a running system: devices by MQTT; units, duty desk and the bureau's feed by HTTP."""

from __future__ import annotations

import asyncio
import random
import ssl
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import structlog

from devices.registry import Device
from simulators.client import LiveEar, Session
from simulators.devices import MESSAGE_EVERY_S, Broker, SimDevice, Stats
from simulators.district import District, generate
from simulators.duty import Acknowledger, IncidentDesk
from simulators.ledger import Ledger
from simulators.met import MetOffice
from simulators.scenario import Scenario, iso, load
from simulators.sensors import Instrument
from simulators.simclock import SimClock
from simulators.truth import write_truth
from simulators.units import FieldUnit
from simulators.world import World

log = structlog.get_logger()

READY_TIMEOUT_S = 180.0
CONNECT_SPREAD_S = 0.02  # between two connects: a broker on a small machine hashes a password for each
UNIT_SPREAD_S = 0.15  # between two sign-ins: Argon2 takes its time by design
PROGRESS_EVERY_S = 15.0
LOOK_S = 0.5
CLOCK_USER = "met"  # reads the city clock for everybody: the clock is for those who signed in

Progress = Callable[[str], None]


class MissingSecret(KeyError):
    """No password for a device or user that the scenario needs."""

    def __init__(self, what: str, name: str) -> None:
        super().__init__(f"no password for {what} {name}: is the secrets file of this tenant?")
        self.name = name


def _silent(text: str) -> None:
    """Progress that nobody watches."""


async def simulate(
    scenario: Scenario | str | Path,
    *,
    base_url: str,
    broker_host: str,
    broker_port: int,
    logins: Mapping[str, Any],
    credentials: Mapping[str, Any],
    ledger_path: Path | None = None,
    truth_path: Path | None = None,
    tenant: str = "demo",
    broker_tls: ssl.SSLContext | None = None,
    seed: int | None = None,
    devices: int | None = None,
    rate: float | None = None,
    people: bool = True,
    desk: bool = True,
    pace: float = 1.0,
    until_us: int | None = None,
    world: World | None = None,
    verify: ssl.SSLContext | bool = True,
    progress: Progress = _silent,
) -> Stats:
    """Run until cancelled, or until city time `until_us`; then the counters.

    `logins`: username -> password; `credentials`: device_id -> password (a mapping with the member `password` does as
    well). `devices`: at most so many of the district's. `rate`: at most about so many messages a second of all devices
    together (each sends fewer, larger ones); `simulators.load` is for more. `people=False` leaves units and desk to
    others, `desk=False` the duty desk alone (a browser test); `pace` scales the time they take. Raises MissingSecret, TimeoutError when the server never
    answers.
    """
    night = scenario if isinstance(scenario, Scenario) else load(scenario)
    drawn = world.district.seed if world is not None else seed if seed is not None else night.seed
    district = world.district if world is not None else generate(drawn)
    progress(f"模拟 {night.title.zh}：生成 {len(district.devices())} 台设备、{len(district.units())} 支队伍")
    if world is None:
        world = await asyncio.to_thread(World, night, district)
    if truth_path is not None:
        found = await asyncio.to_thread(write_truth, world, truth_path)
        progress(f"真值文件 {truth_path}：{len(found)} 项险情")
    if ledger_path is not None:
        ledger_path.parent.mkdir(parents=True, exist_ok=True)
    stats = Stats()
    watchman = _password(logins, "user", CLOCK_USER)
    async with Session(base_url, CLOCK_USER, watchman, verify=verify) as session:
        clock = SimClock(session)
        await _wait_ready(clock)
        chosen = _chosen(district.devices(), devices)
        every_s = MESSAGE_EVERY_S if rate is None else max(MESSAGE_EVERY_S, len(chosen) / rate)
        with Ledger(ledger_path) as ledger:
            fleet = [
                SimDevice(
                    instrument=Instrument(device, world, drawn),
                    clock=clock,
                    broker=Broker(host=broker_host, port=broker_port, tls=broker_tls),
                    tenant=tenant,
                    password=_password(credentials, "device", device.device_id),
                    ledger=ledger,
                    stats=stats,
                    start_us=night.start_us,
                    fault=night.fault_of(device.device_id),
                    message_every_s=every_s,
                )
                for device in chosen
            ]
            progress(f"城市时间 {iso(clock.city_us())}，{clock.rate:g} 倍速")
            cast = _cast(night, world, district, clock, logins, base_url, verify, drawn, people, desk, pace)
            await _perform(clock, fleet, cast, stats, until_us, progress)
    return stats


async def _wait_ready(clock: SimClock) -> None:
    async with asyncio.timeout(READY_TIMEOUT_S):
        await clock.sync()


def _password(secrets: Mapping[str, Any], what: str, name: str) -> str:
    found = secrets.get(name)
    if isinstance(found, Mapping):
        found = found.get("password")
    if not found:
        raise MissingSecret(what, name)
    return str(found)


def _chosen(devices: list[Device], most: int | None) -> list[Device]:
    """The first of each kind in turn, so that a short list still has gauges, gas and cameras."""
    if most is None or most >= len(devices):
        return devices
    by_kind: dict[str, list[Device]] = {}
    for device in devices:
        by_kind.setdefault(device.kind, []).append(device)
    turns = [kind[n] for n in range(len(devices)) for kind in by_kind.values() if n < len(kind)]
    return turns[:most]


class _Cast:
    """Everyone who speaks HTTP."""

    def __init__(self) -> None:
        self.sessions: list[Session] = []
        self.services: list[tuple[str, Any]] = []
        self.units: list[FieldUnit] = []


def _cast(
    night: Scenario,
    world: World,
    district: District,
    clock: SimClock,
    logins: Mapping[str, Any],
    base_url: str,
    verify: ssl.SSLContext | bool,
    seed: int,
    people: bool,
    desk: bool,
    pace: float,
) -> _Cast:
    cast = _Cast()

    def session(username: str) -> Session:
        opened = Session(base_url, username, _password(logins, "user", username), verify=verify)
        cast.sessions.append(opened)
        return opened

    tls = verify if isinstance(verify, ssl.SSLContext) else None
    cast.services.append(("met", MetOffice(night, world.storm, session("met"), clock)))
    if not people:
        return cast
    if desk:
        duty1, duty2, leader = session("duty1"), session("duty2"), session("leader1")
        ear = LiveEar(duty1, ("alarm",), tls=tls)
        cast.services.append(("duty1", Acknowledger(session=duty1, ear=ear, rng=random.Random(seed), pace=pace)))
        ear = LiveEar(duty2, ("incident", "task"), tls=tls)
        cast.services.append(
            ("duty2", IncidentDesk(session=duty2, leader=leader, ear=ear, rng=random.Random(seed + 1), pace=pace))
        )
    for unit in district.units():
        unit_id = str(unit["unit_id"])
        own = session(unit_id)
        cast.units.append(
            FieldUnit(
                unit_id=unit_id,
                session=own,
                ear=LiveEar(own, ("task",), tls=tls),
                clock=clock,
                rng=random.Random(zlib.crc32(unit_id.encode()) ^ seed),
                position=(float(unit["lon"]), float(unit["lat"])),
                pace=pace,
            )
        )
    return cast


async def _perform(
    clock: SimClock,
    fleet: list[SimDevice],
    cast: _Cast,
    stats: Stats,
    until_us: int | None,
    progress: Progress,
) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            services = [group.create_task(clock.run(), name="clock")]
            for number, device in enumerate(fleet):
                services.append(group.create_task(_after(number * CONNECT_SPREAD_S, device.run), name=device.device_id))
            services += [group.create_task(service.run(), name=name) for name, service in cast.services]
            for number, unit in enumerate(cast.units):
                services.append(group.create_task(_after(number * UNIT_SPREAD_S, unit.run), name=unit.unit_id))
            await _watch(clock, stats, until_us, progress)
            for service in services:
                service.cancel()
    finally:
        for session in cast.sessions:
            await session.__aexit__(None, None, None)


async def _after(delay_s: float, run: Callable[[], Any]) -> None:
    await asyncio.sleep(delay_s)
    await run()


async def _watch(clock: SimClock, stats: Stats, until_us: int | None, progress: Progress) -> None:
    """Say how it goes, until the end."""
    spoken_s = clock.machine_s()
    while until_us is None or clock.city_us() < until_us:
        await asyncio.sleep(LOOK_S)
        if clock.machine_s() - spoken_s >= PROGRESS_EVERY_S:
            spoken_s = clock.machine_s()
            progress(
                f"{iso(clock.city_us())} 在线 {stats.connected} 已发 {stats.sent} 已确认 {stats.confirmed} "
                f"补发 {stats.resent} 事件 {stats.events}"
            )
