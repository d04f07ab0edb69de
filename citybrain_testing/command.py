"""A small command centre for tests: a stepped clock, a grid of roads, a log in memory, alarms by the line."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import shapely

from command_center.deadlines import load_deadlines
from command_center.follower import DomainFollower
from command_center.model import Actor, Authority, Change, Role, Unit, UnitStatus
from command_center.outbox import Outbox
from command_center.places import Places
from command_center.plans import load_plans
from command_center.ports import AreaOf, LiveDepth, Store
from command_center.service import CommandCenter
from command_center.timers import TimerService
from command_center.work import Env, nowhere
from devices.clock import ClockKind
from devices.registry import Datastream, Device, Registry, RegistryData
from gis.features import Feature
from gis.roads import RoadGraph
from rules import transitions
from rules.transitions import Explanation, Kind, Subject, Transition, episode_id
from stream.records import Appended, EventBody, NewRecord, Record, RecordKind, event

START_US = 1_565_362_800_000_000  # 2019-08-09T15:00:00Z, 23:00 in the city
LON0, LAT0, STEP = 121.40, 28.60, 0.01

DUTY1 = Actor(username="duty1", roles=frozenset({Role.OPERATOR}))
DUTY2 = Actor(username="duty2", roles=frozenset({Role.OPERATOR}))
LEADER = Actor(username="leader1", roles=frozenset({Role.LEADER}))
ADMIN = Actor(username="admin", roles=frozenset({Role.ADMIN}))


def responder(unit_id: str) -> Actor:
    return Actor(username=unit_id, roles=frozenset({Role.RESPONDER}), unit_id=unit_id)


class SteppedClock:
    """City and machine time move only when told, together or apart."""

    kind: ClockKind = "stepped"
    rate = 0.0

    def __init__(self, start_us: int = START_US) -> None:
        self._city_us = start_us
        self._machine_us = 1_700_000_000_000_000

    def city_us(self) -> int:
        return self._city_us

    def machine_us(self) -> int:
        return self._machine_us

    def machine_ns(self) -> int:
        return self._machine_us * 1000

    def step(self, seconds: float, *, city: bool = True, machine: bool = True) -> None:
        self._city_us += round(seconds * 1e6) if city else 0
        self._machine_us += round(seconds * 1e6) if machine else 0


class MemoryLog:
    """A log of records in a list: what AppendClient and LogReader do, without files."""

    def __init__(self, clock: SteppedClock) -> None:
        self.records: list[Record] = []
        self.committed: dict[str, int] = {}
        self.broken = False
        self._clock = clock
        self._keys: dict[str, Appended] = {}

    async def append(self, items: Sequence[NewRecord]) -> list[Appended]:
        if self.broken:
            raise ConnectionError("the log's owner is away")
        return [self.put(item) for item in items]

    def put(self, item: NewRecord) -> Appended:
        if item.key is not None and item.key in self._keys:
            known = self._keys[item.key]
            return Appended(position=known.position, at_us=known.at_us, duplicate=True)
        position = len(self.records) + 1
        at_us = max(self._clock.city_us(), self.records[-1].at_us + 1 if self.records else 0)
        self.records.append(Record(position=position, at_us=at_us, kind=item.kind, version=1, body=item.body))
        done = Appended(position=position, at_us=at_us)
        if item.key is not None:
            self._keys[item.key] = done
        return done

    def read(self, after: int, max_rows: int) -> list[Record]:
        return self.records[after : after + max_rows]

    async def wait_async(self, after: int, timeout_s: float) -> bool:
        await asyncio.sleep(0)
        return len(self.records) > after

    def commit(self, cursor: str, position: int) -> None:
        self.committed[cursor] = position


def grid_roads(size: int = 5) -> RoadGraph:
    """A square grid, node (x, y) at LON0 + x STEP, LAT0 + y STEP; road `h-x-y` runs east, `v-x-y` north, 36 km/h."""
    features = []

    def road(name: str, a: tuple[int, int], b: tuple[int, int]) -> None:
        line = shapely.LineString([node(*a), node(*b)])
        features.append(
            Feature(feature_id=name, geometry=line, properties={"from": f"{a}", "to": f"{b}", "speed_kmh": 36.0})
        )

    for x in range(size):
        for y in range(size):
            if x + 1 < size:
                road(f"h-{x}-{y}", (x, y), (x + 1, y))
            if y + 1 < size:
                road(f"v-{x}-{y}", (x, y), (x, y + 1))
    return RoadGraph.from_features(features)


def node(x: float, y: float) -> tuple[float, float]:
    return (LON0 + x * STEP, LAT0 + y * STEP)


def place(name: str, x: float, y: float) -> Feature:
    return Feature(feature_id=name, geometry=shapely.Point(*node(x, y)), properties={"name_zh": name})


def a_unit(unit_id: str, capabilities: list[str], x: float, y: float, **fields: Any) -> Unit:
    lon, lat = node(x, y)
    base = Unit(
        unit_id=unit_id,
        name=f"队 {unit_id}",
        kind="flood",
        authority=Authority.DIRECT,
        capabilities=capabilities,
        status=UnitStatus.IN_QTRS,
        lon=lon,
        lat=lat,
    )
    return msgspec.structs.replace(base, **fields)


def devices() -> RegistryData:
    def device(device_id: str, kind: str, x: float, y: float, **fields: Any) -> Device:
        lon, lat = node(x, y)
        return Device(
            device_id=device_id,
            model=f"{kind}-v1",
            kind=kind,
            name=device_id,
            lon=lon,
            lat=lat,
            area="339900",
            **fields,
        )

    return RegistryData(
        revision=1,
        full=True,
        devices=[
            device("wg-river", "water_gauge", 1, 1),
            device("wg-under", "water_gauge", 2.5, 2, attributes={"road_edges": ["h-2-2"]}),
            device("cam-under", "camera", 2.5, 2, attributes={"road_edges": ["h-2-2"]}),
            device("gas-1", "gas_detector", 4, 4, group="park-a"),
            device("gas-2", "gas_detector", 4, 4, group="park-a"),
        ],
        datastreams=[
            Datastream(datastream=1, device_id="wg-river", property="stage_m", uom="m"),
            Datastream(datastream=2, device_id="wg-under", property="depth_m", uom="m"),
        ],
    )


UNDERPASS = {
    "on": {"blue": 0.15, "yellow": 0.27, "orange": 0.4, "red": 0.6},
    "off": {"blue": 0.1, "yellow": 0.2, "orange": 0.3, "red": 0.5},
}


@dataclass(slots=True)
class Episode:
    """One alarm episode: each call of `goes` makes the next transition."""

    rule_id: str
    hazard: str
    device_id: str
    title: str
    uom: str = "m"
    subject_kind: str = "datastream"
    subject_id: str = ""
    n: int = 0
    colour: str = ""
    alarm_id: str = ""

    def goes(
        self, kind: Kind, colour: str, value: float | None, position: int, at_us: int, **fields: Any
    ) -> Transition:
        self.n += 1
        subject_id = self.subject_id or self.device_id
        self.alarm_id = self.alarm_id or episode_id(self.rule_id, subject_id, at_us, at_us)
        known = {d.device_id: d for d in devices().devices}
        where = known[self.device_id]
        base = Transition(
            alarm_id=self.alarm_id,
            n=self.n,
            kind=kind,
            input_position=position,
            ordinal=0,
            at_us=at_us,
            event_time_us=at_us,
            rule_id=self.rule_id,
            rule_version="1",
            hazard=self.hazard,
            subject=Subject(kind=self.subject_kind, id=subject_id, name=where.name),
            colour=colour,
            colour_before=self.colour,
            device_ids=[self.device_id],
            area="339900",
            lon=where.lon,
            lat=where.lat,
            value=value,
            uom=self.uom,
            title_zh=self.title,
            title_en=self.title,
            explanation=Explanation(inputs=[], thresholds=UNDERPASS),
        )
        self.colour = colour
        return msgspec.structs.replace(base, **fields)


@dataclass
class World:
    """Everything wired: `log` in, `changes` out."""

    store: Store
    clock: SteppedClock
    log: MemoryLog
    env: Env
    center: CommandCenter
    follower: DomainFollower
    timers: TimerService
    changes: list[Change] = field(default_factory=list)

    async def drain(self) -> None:
        """Follow the log to its end."""
        while await self.follower.step():
            pass

    async def happen(
        self, episode: Episode, kind: Kind, colour: str, value: float | None = None, **fields: Any
    ) -> Transition:
        """One transition through the log, taken over."""
        transition = episode.goes(kind, colour, value, len(self.log.records) + 1, self.clock.city_us(), **fields)
        self.log.put(NewRecord(kind=RecordKind.TRANSITION, body=transitions.encode(transition), key=transition.key))
        await self.drain()
        return transition

    async def camera_event(self, device_id: str, kind: str, *, retold: bool = False) -> None:
        body = EventBody(
            type="device_event",
            device_id=device_id,
            receive_us=self.clock.city_us(),
            data={"type": kind},
            retold=retold,
        )
        self.log.put(event(body))
        await self.drain()

    async def later(self, seconds: float, *, city: bool = True, machine: bool = True) -> None:
        """Let time pass, then fire what came due."""
        self.clock.step(seconds, city=city, machine=machine)
        while await self.timers.run_due():
            pass

    def restarted(self) -> World:
        """As after `kill -9`: nothing but store and log survives."""
        return make_world(self.store, clock=self.clock, log=self.log)


def make_world(
    store: Store,
    *,
    clock: SteppedClock | None = None,
    log: MemoryLog | None = None,
    live_depth: LiveDepth | None = None,
    emit: Callable[[Change], None] | None = None,
    outbox: Outbox | None = None,
    area_of: AreaOf = nowhere,
) -> World:
    clock = clock or SteppedClock()
    log = log or MemoryLog(clock)
    env = Env(
        clock=clock,
        roads=grid_roads(),
        plans=load_plans(),
        deadlines=load_deadlines(),
        places=Places({"villages": [place("东村", 0, 3)], "shelters": [place("一中避灾点", 3, 0)]}),
        registry=Registry.from_data(devices()),
        centre=node(2, 2),
        live_depth=live_depth,
        outbox=outbox,
        area_of=area_of,
    )
    changes: list[Change] = []
    out = emit or changes.append
    return World(
        store=store,
        clock=clock,
        log=log,
        env=env,
        center=CommandCenter(store=store, append=log, env=env, emit=out),
        follower=DomainFollower(log, store, env, out),
        timers=TimerService(store, env, out),
        changes=changes,
    )


def river() -> Episode:
    return Episode(rule_id="flood.river-stage", hazard="flood", device_id="wg-river", title="椒江水位超警戒")


def underpass() -> Episode:
    return Episode(rule_id="flood.underpass-depth", hazard="flood", device_id="wg-under", title="下穿通道积水")


def gas() -> Episode:
    return Episode(
        rule_id="hazchem.gas",
        hazard="hazchem",
        device_id="gas-1",
        title="氯气泄漏",
        uom="mg/m3",
        subject_kind="site",
        subject_id="park-a",
    )


TEAM = (
    a_unit("unit-flood-1", ["flood_rescue", "pumping"], 0, 0, wading_depth_m=0.8),
    a_unit("unit-pump-1", ["pumping"], 4, 0),
    a_unit("unit-patrol-1", ["patrol"], 1, 0),
    a_unit("unit-patrol-2", ["patrol"], 4, 4),
    a_unit("unit-police-1", ["traffic_control"], 3, 3, kind="police"),
    a_unit("unit-hazmat-1", ["hazmat"], 3, 4, kind="hazmat"),
    a_unit("unit-med-1", ["medical"], 0, 4, kind="medical"),
    a_unit("unit-evac-1", ["evacuation"], 2, 4),
)


async def with_team(world: World, units: Sequence[Unit] = TEAM) -> World:
    for unit in units:
        await world.center.register_unit(ADMIN, unit)
    return world
