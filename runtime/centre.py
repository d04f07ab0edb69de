"""Builds the command centre from what the database and the shipped documents say."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from command_center.deadlines import Deadlines, OnDuty, load_deadlines
from command_center.model import Change
from command_center.outbox import Outbox
from command_center.places import Places
from command_center.plans import load_plans
from command_center.ports import AreaOf, LiveAlarm, LiveDepth
from command_center.service import CommandCenter
from command_center.work import Env, nowhere
from devices.clock import Clock
from devices.registry import Registry
from gis.features import Feature
from gis.roads import RoadGraph
from storage.command import PostgresStore
from storage.database import Database
from storage.features import FeatureStore
from stream.records import Appended, NewRecord

ROADS = "roads"


class NoLog:
    """For work that appends nothing (seeding): an append here would be a fault, and says so."""

    async def append(self, items: Sequence[NewRecord]) -> list[Appended]:
        raise RuntimeError(f"{len(items)} records would be appended before the log is open")


async def load_layers(database: Database, clock: Clock) -> dict[str, list[Feature]]:
    """Every static layer by name."""
    store = FeatureStore(database, clock)
    layers: dict[str, list[Feature]] = {}
    for info in await store.layers():
        found = await store.get_layer(info.layer)
        if found is not None:
            layers[info.layer] = found[1]
    return layers


def district_centre(layers: dict[str, list[Feature]]) -> tuple[float, float]:
    """Where an incident without a position stands, and where a map opens: the middle of the district, else (0, 0)."""
    for feature in layers.get("district", []):
        point = feature.geometry.representative_point()
        return float(point.x), float(point.y)
    return 0.0, 0.0


def build_env(
    layers: dict[str, list[Feature]],
    clock: Clock,
    registry: Registry,
    *,
    duty_chain: Sequence[OnDuty] = (),
    live_depth: LiveDepth | None = None,
    outbox: Outbox | None = None,
    live_alarm: LiveAlarm | None = None,
    area_of: AreaOf = nowhere,
) -> Env:
    roads = layers.get(ROADS, [])
    return Env(
        clock=clock,
        roads=RoadGraph.from_features(roads) if roads else RoadGraph.empty(),
        plans=load_plans(),
        deadlines=_deadlines(duty_chain),
        places=Places(layers),
        registry=registry,
        centre=district_centre(layers),
        live_depth=live_depth,
        outbox=outbox,
        live_alarm=live_alarm,
        area_of=area_of,
    )


def _deadlines(duty_chain: Sequence[OnDuty]) -> Deadlines:
    deadlines = load_deadlines()
    return msgspec.structs.replace(deadlines, duty_chain=list(duty_chain)) if duty_chain else deadlines


def _nobody(_: Change) -> None:
    """Nobody watches while a tenant is filled."""


async def build_centre(database: Database, clock: Clock, *, emit: Callable[[Change], None] = _nobody) -> CommandCenter:
    """A command centre without a log, for filling a tenant before its roles start."""
    env = build_env(await load_layers(database, clock), clock, Registry())
    return CommandCenter(store=PostgresStore(database), append=NoLog(), env=env, emit=emit)
