"""A duty desk for tests: accounts, a sealer, and the duty service over a small command centre's store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from citybrain_testing.command import START_US, TEAM, World, make_world, with_team
from command_center.access.personal import Sealer
from command_center.access.scope import Scope
from command_center.duty.service import DutyService
from command_center.duty.shifts import ShiftDraft
from command_center.model import Actor, Role, User
from command_center.ports import Store
from command_center.records import UserRecord

HOUR_US = 3600 * 1_000_000
DAY_US = 24 * HOUR_US
EIGHT_US = START_US - 15 * HOUR_US  # 08:00 on the city's wall on 2019-08-09; START_US is 23:00

PEOPLE = (
    User(username="duty1", name="林晓", roles=[Role.OPERATOR], phone="13805760001"),
    User(username="duty2", name="周岚", roles=[Role.OPERATOR], phone="13805760002"),
    User(username="duty3", name="吴越", roles=[Role.OPERATOR], phone="13805760003"),
    User(username="leader1", name="陈海", roles=[Role.LEADER], phone="13805760009"),
    User(username="leader2", name="何川", roles=[Role.LEADER], phone="13805760010"),
    User(username="clerk1", name="登记员", roles=[Role.REGISTRAR]),
    User(username="unit-patrol-1", name="巡查一队", roles=[Role.RESPONDER], unit_id="unit-patrol-1"),
    User(username="unit-patrol-2", name="巡查二队", roles=[Role.RESPONDER], unit_id="unit-patrol-2"),
    User(username="analyst1", name="分析员", roles=[Role.ANALYST]),
    User(username="admin", name="管理员", roles=[Role.ADMIN]),
    User(username="vendor1", name="厂商", roles=[Role.VENDOR], vendor="acme"),
)
CLERK = Actor(username="clerk1", roles=frozenset({Role.REGISTRAR}))
DUTY3 = Actor(username="duty3", roles=frozenset({Role.OPERATOR}))
LEADER2 = Actor(username="leader2", roles=frozenset({Role.LEADER}))


def actor(username: str, *areas: str) -> Actor:
    """One of `PEOPLE`, limited to these areas."""
    user = next(u for u in PEOPLE if u.username == username)
    return Actor(
        username=username,
        roles=frozenset(user.roles),
        unit_id=user.unit_id,
        vendor=user.vendor,
        scope=Scope(areas=areas),
    )


def a_sealer() -> Sealer:
    return Sealer({"k1": b"s" * 32}, "k1")


@dataclass
class Desk:
    world: World
    duty: DutyService

    async def shift(self, username: str, post: str, from_h: float, to_h: float, area: str = "", **more: Any) -> str:
        """A shift in hours from START_US. Returns its id."""
        draft = ShiftDraft(
            post=post,
            username=username,
            area=area,
            from_us=START_US + round(from_h * HOUR_US),
            to_us=START_US + round(to_h * HOUR_US),
            **more,
        )
        return (await self.duty.add_shift(CLERK, draft, "test")).shift_id

    async def night(self) -> None:
        """duty1, duty2 and leader1 from 20:00 to 08:00; then duty2, duty1 and leader2."""
        for post, first, second in (
            ("duty_officer", "duty1", "duty2"),
            ("deputy", "duty2", "duty1"),
            ("duty_leader", "leader1", "leader2"),
        ):
            await self.shift(first, post, -3, 9)
            await self.shift(second, post, 9, 33)

    async def set_user(self, username: str, **changes: Any) -> None:
        async with self.world.store.write() as tx:
            record = await tx.user(username)
            assert record is not None
            user = msgspec.structs.replace(record.user, **changes)
            await tx.put_user(msgspec.structs.replace(record, user=user))


async def a_desk(store: Store, people: Sequence[User] = PEOPLE, **more: Any) -> Desk:
    world = await with_team(make_world(store), TEAM)
    async with store.write() as tx:
        for user in people:
            await tx.put_user(UserRecord(user=user, password_hash="-", changed_us=0))  # noqa: S106
    return Desk(world=world, duty=DutyService(store, world.env, world.changes.append, a_sealer(), **more))
