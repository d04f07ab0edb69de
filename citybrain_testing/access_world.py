"""The whole of what people can reach, with the real command centre over memory behind the real HTTP rim: for tests of who may what.

One of each object, all in `matrix.AREA`: an alarm, its incident with tasks, a request, units, a closure, devices, a proposal, a
key, a user with a second factor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from argon2 import PasswordHasher
from fastapi import FastAPI

from citybrain_testing.api_rim import PASSWORD, FakeHistory, FakePicture, FakeRegisters, fake_deps
from citybrain_testing.command import ADMIN, LEADER, TEAM, World, devices, make_world, river
from citybrain_testing.matrix import ALARM, AREA
from citybrain_testing.registering import FakeRegister
from command_center.access.approvals import Approvals
from command_center.access.factors import SecondFactors
from command_center.access.keys import KeyRing, KeyService
from command_center.access.people import PeopleService
from command_center.access.personal import Sealer
from command_center.access.policy import AccessPolicy, load_policy
from command_center.access.records import SecondFactor
from command_center.access.scope import Scope
from command_center.access.thresholds import ThresholdChange
from command_center.api.app import build_app
from command_center.api.sessions import Sessions
from command_center.device_register import RegisterService
from command_center.machines import RequestState
from command_center.model import Actor, Role, User
from command_center.ports import Tx
from command_center.records import Request, UserRecord
from command_center.users import UserService
from devices.registry import Device, Registry, RegistryData
from rules.transitions import Kind
from storage.memory.command import MemoryStore

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
WORD = CHEAP.hash(PASSWORD)
SECURITY = Actor(username="security0", roles=frozenset({Role.SECURITY}))


class Districts:
    """Static layers with one in it."""

    def names(self) -> Sequence[Mapping[str, Any]]:
        return [{"layer": "district", "title_zh": "区界", "title_en": "District", "features": 0, "etag": '"1"'}]

    def geojson(self, layer: str) -> tuple[bytes, str] | None:
        return (b'{"type":"FeatureCollection","features":[]}', '"1"') if layer == "district" else None


class CheckedRegisters(FakeRegisters):
    """The fake's answers behind the real service's questions."""

    def __init__(self, service: RegisterService) -> None:
        self._service = service

    async def add_device(self, actor: Actor, document: Mapping[str, Any]) -> tuple[Device, str]:
        return await self._service.save_device(actor, msgspec.convert(dict(document), Device)), "shown-once"

    async def import_devices(
        self, actor: Actor, documents: Sequence[Mapping[str, Any]], *, reason: str
    ) -> tuple[int, Mapping[str, str]]:
        found = [msgspec.convert(dict(document), Device) for document in documents]
        return await self._service.save_devices(actor, found, reason=reason), {}


async def _in_the_area(tx: Tx, lon: float, lat: float) -> str:
    return AREA


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessWorld:
    app: FastAPI
    world: World
    sessions: Sessions
    users: UserService
    keys: KeyService
    approvals: Approvals
    policy: AccessPolicy

    def token(self, role: Role, scope: Scope, *, second_factor: bool = False) -> str:
        """A new session of the user `me`."""
        return self.sessions.issue(me(role, scope), second_factor=second_factor)[0]


def me(role: Role, scope: Scope = Scope()) -> User:
    return User(username="me", name="某人", roles=[role], unit_id="unit-mine", vendor="acme", scope=scope)


async def access_world(tenant_kind: str = "real") -> AccessWorld:
    world = make_world(MemoryStore(), area_of=_in_the_area)
    clock, store = world.clock, world.store
    data = _devices()
    live, register = Registry.from_data(data), FakeRegister(data)
    world.env.registry.apply(msgspec.structs.replace(data, revision=5))
    registers = RegisterService(register, world.log, live)
    policy = load_policy(tenant_kind)
    sessions = Sessions(b"k" * 32, clock, tenant="test", policy=policy)
    users = UserService(store, clock, hasher=CHEAP)
    ring = KeyRing(clock)
    keys = KeyService(store, clock, ring)
    approvals = Approvals(store, world.env, world.changes.append, ThresholdChange(registers))

    def follow(record: UserRecord, keep: str = "") -> None:
        sessions.user_changed(record.user, password_us=record.password_us, keep=keep)

    await _fill(world, keys, approvals)
    deps = fake_deps(
        clock=clock,
        facade=world.center,
        users=users,
        picture=FakePicture(live),
        history=FakeHistory(),
        registers=CheckedRegisters(registers),
        layers=Districts(),
        sessions=sessions,
        key_ring=ring,
        people=PeopleService(users, store, clock, on_change=follow),
        factors=SecondFactors(store, clock, Sealer({"k1": b"s" * 32}, "k1")),
        keys=keys,
        approvals=approvals,
    )
    return AccessWorld(
        app=build_app(deps),
        world=world,
        sessions=sessions,
        users=users,
        keys=keys,
        approvals=approvals,
        policy=policy,
    )


def _devices() -> RegistryData:
    data = devices()
    moved = [msgspec.structs.replace(d, area=AREA, vendor="acme") for d in data.devices]
    return msgspec.structs.replace(data, devices=moved)


async def _fill(world: World, keys: KeyService, approvals: Approvals) -> None:
    now_us = world.clock.machine_us()
    async with world.store.write() as tx:
        for user in (
            User(username="spare", name="备员", roles=[Role.OPERATOR]),
            User(username="leader1", name="带班", roles=[Role.LEADER]),
            User(username="me", name="某人", roles=[Role.OPERATOR]),
        ):
            await tx.put_user(UserRecord(user=user, password_hash=WORD, changed_us=now_us, password_us=0))
        await tx.put_second_factor(
            SecondFactor(
                username="spare",
                secret="sealed",  # noqa: S106
                confirmed=True,
                last_step=0,
                recovery=[],
                changed_machine_us=now_us,
            )
        )
    for unit in TEAM:
        await world.center.register_unit(ADMIN, msgspec.structs.replace(unit, area=AREA))
    episode = river()
    episode.alarm_id = ALARM
    await world.happen(episode, Kind.RAISED, "orange", 4.6, area=f"{AREA}001")
    async with world.store.write() as tx:
        incident = (await tx.incidents([], 1))[0]
        task = (await tx.tasks(incident_id=incident.incident_id))[0].task
        await tx.insert_request(
            Request(
                request_id=f"{incident.incident_id}-R01",
                task_id=task.task_id,
                incident_id=incident.incident_id,
                unit_id="unit-hazmat-1",
                kind="request",
                state=RequestState.REQUESTED,
                asked_us=world.clock.city_us(),
                changed_us=world.clock.city_us(),
                asked_by="duty1",
            )
        )
    await world.center.close_road(LEADER, ["h-0-0"], "积水", depth_m=None, minutes=None)
    await world.center.give_incident_role(LEADER, incident.incident_id, "spare", Role.SCENE, hours=1)
    await keys.create(SECURITY, name="上级平台", roles=[Role.UPSTREAM], days=1)
    await approvals.propose(LEADER, "threshold", "wg-river/stage_m", {"on": {"red": 9.0}}, source="文")
