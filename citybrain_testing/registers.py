"""A small register for tests: four areas, organisations, people, and a reservoir that they answer for."""

from __future__ import annotations

from typing import Any

from citybrain_testing.command import SteppedClock, World, make_world
from command_center.access.personal import Sealer
from command_center.access.scope import Scope
from command_center.model import Actor, Role
from command_center.ports import Store
from command_center.registers.checks import Draft
from command_center.registers.register_target import RegisterTarget
from command_center.registers.service import EntryRegister
from command_center.registers.targets import Committed, Row

SEALER = Sealer({"k1": b"1" * 32}, "k1")
REGISTRAR = Actor(username="clerk1", roles=frozenset({Role.REGISTRAR}))
EAST = Actor(username="clerk2", roles=frozenset({Role.REGISTRAR}), scope=Scope(areas=("339900002",)))
AUDITOR = Actor(username="audit1", roles=frozenset({Role.AUDITOR}))


def square(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


AREAS = [
    ("339900", "椒湾示范区", square(121.0, 28.0, 122.0, 29.0)),
    ("339900001", "城西街道", square(121.0, 28.0, 121.5, 29.0)),
    ("339900002", "城东街道", square(121.5, 28.0, 122.0, 29.0)),
    ("339900002001", "东浦村", square(121.6, 28.4, 121.7, 28.6)),
]


def row(entry_id: str, n: int = 2, **values: Any) -> Row:
    lon, lat = values.pop("lon", None), values.pop("lat", None)
    return Row(row=n, entry_id=entry_id, values=values, lon=lon, lat=lat, geometry=values.pop("geometry", None))


def draft(entry_id: str = "", **values: Any) -> Draft:
    place = {name: values.pop(name) for name in ("area", "lon", "lat", "geometry") if name in values}
    return Draft(entry_id=entry_id, values=values, **place)


PEOPLE = [
    row("k1", 2, name="王建国", phone="13800000001", organisation="水利局", area="339900001"),
    row("k2", 3, name="李秀英", phone="13800000002", organisation="org-water", area="339900002"),
    row("k3", 4, name="张伟", phone="13800000003", organisation="org-water", area="339900002"),
]


def a_register(store: Store, *, world: World | None = None) -> EntryRegister:
    world = world or make_world(store, clock=SteppedClock())
    return EntryRegister(store=store, env=world.env, emit=world.changes.append, sealer=SEALER)


async def put(register: EntryRegister, kind: str, rows: list[Row], actor: Actor = REGISTRAR) -> Committed:
    return await RegisterTarget(register, kind).commit(actor, rows, reason="test")


async def filled(register: EntryRegister) -> EntryRegister:
    """Areas, one organisation, three people."""
    await put(register, "area", [row(code, name=name, geometry=shape) for code, name, shape in AREAS])
    await put(register, "organisation", [row("org-water", name="水利局", area="339900")])
    await put(register, "contact", PEOPLE)
    return register
