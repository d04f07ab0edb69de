"""Devices from a file: what is new, what changes, what may not, and what is said about it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from citybrain_testing.command import ADMIN, DUTY1
from citybrain_testing.devices_world import ACME, DevicesWorld, devices_world, gauge
from command_center.access.scope import Scope
from command_center.device_target import DeviceTarget
from command_center.errors import Forbidden
from command_center.model import Actor, Role
from command_center.registers.targets import ImportTarget, Row

LOCAL = Actor(username="admin2", roles=frozenset({Role.ADMIN}), scope=Scope(areas=("331002",)))


def row(number: int, entry_id: str, **values: Any) -> Row:
    lon, lat = values.pop("lon", 121.4), values.pop("lat", 28.6)
    plain = {"name": f"站{number}", "model": "water-gauge-v1", "vendor": "acme", "area": "331002001"}
    keyed = {key.replace("__", "."): value for key, value in values.items()}
    return Row(row=number, entry_id=entry_id, values=plain | keyed, lon=lon, lat=lat)


def story(work: Callable[[DevicesWorld, DeviceTarget], Awaitable[None]]) -> None:
    async def run() -> None:
        async with devices_world(None, [gauge("wl-1"), gauge("wl-z", vendor="zeta", area="331003")]) as world:
            await work(world, DeviceTarget(world.registers, world.access, world.registry))

    asyncio.run(run())


def test_new_devices_come_with_thresholds_and_show_their_credentials_once() -> None:
    async def work(world: DevicesWorld, target: DeviceTarget) -> None:
        kept: ImportTarget = target
        rows = [
            row(2, "wl-8", stage_m__orange=4.5, stage_m__red=5.0, source="防汛预案"),
            row(3, "gas-8", model="gas-detector-v1", cl2_mg_m3__first=1.0, cl2_mg_m3__second=2.0, source="GB/T 50493"),
        ]
        assert await kept.check(ADMIN, rows) == []
        done = await kept.commit(ADMIN, rows, reason="import")
        assert (done.created, done.changed, done.same, sorted(done.extra["credentials"])) == (
            2,
            0,
            0,
            ["gas-8", "wl-8"],
        )
        new = world.registry.devices["wl-8"]
        assert new.thresholds == {"stage_m": {"on": {"orange": 4.5, "red": 5.0}, "source": "防汛预案"}}
        assert world.registry.devices["gas-8"].kind == "gas_detector"
        again = await kept.commit(ADMIN, rows, reason="the same file")
        assert (again.created, again.changed, again.same, again.extra) == (0, 0, 2, {})
        current = await kept.current(ADMIN, ["wl-8", "nobody"])
        assert current["wl-8"].values["stage_m.red"] == 5.0
        assert set(current) == {"wl-8"}

    story(work)


def test_a_registered_device_is_changed_but_never_its_thresholds() -> None:
    async def work(world: DevicesWorld, target: DeviceTarget) -> None:
        (problem,) = await target.check(ADMIN, [row(5, "wl-1", stage_m__red=6.0)])
        assert (problem.row, problem.column, problem.value) == (5, "stage_m.red", "6.0")
        assert "双人审批" in problem.zh
        assert "5.0" in problem.en
        same = row(5, "wl-1", name="新名", stage_m__red=5.0, source="防汛预案")
        assert await target.check(ADMIN, [same]) == []
        done = await target.commit(ADMIN, [same], reason="renamed")
        assert (done.created, done.changed, done.extra) == (0, 1, {})
        known = world.registry.devices["wl-1"]
        assert (known.name, known.thresholds["stage_m"]["on"]) == ("新名", {"red": 5.0})

    story(work)


@pytest.mark.parametrize(
    ("actor", "bad", "column", "says"),
    [
        (ADMIN, row(2, "有空格 id"), "entry_id", "expected"),
        (ADMIN, row(2, "wl-9", model="nothing"), "model", "expected one of"),
        (ADMIN, row(2, "wl-9", lon=None), "", "needs a position"),
        (ADMIN, row(2, "wl-9", stage_m__red=5.0), "source", "name the document"),
        (ADMIN, row(2, "wl-9", stage_m__orange=6.0, stage_m__red=5.0, source="x"), "", "not beyond"),
        (ADMIN, row(2, "wl-9", gateway="nobody"), "gateway", "not registered"),
        (ADMIN, row(2, "wl-9", gateway="wl-1"), "gateway", "no gateway"),
        (ADMIN, row(2, "wl-9", interval_s=-1), "interval_s", "more than 0"),
        (LOCAL, row(2, "wl-9", area="331003"), "area", "outside your scope"),
        (LOCAL, row(2, "wl-z"), "entry_id", "another firm's or area's"),
        (ACME, row(2, "wl-z"), "entry_id", "another firm's or area's"),
        (ACME, row(2, "wl-9", stage_m__red=5.0, source="x"), "", "a vendor does not decide"),
    ],
)
def test_every_bad_row_is_named_with_its_column(actor: Actor, bad: Row, column: str, says: str) -> None:
    async def work(world: DevicesWorld, target: DeviceTarget) -> None:
        problems = await target.check(actor, [bad])
        assert any(p.row == 2 and p.column == column and says in p.en and p.zh for p in problems), problems

    story(work)


def test_ids_that_stand_twice_and_a_gateway_of_the_same_file() -> None:
    async def work(world: DevicesWorld, target: DeviceTarget) -> None:
        gateway = row(2, "gw-9", model="gateway-v1")
        child = row(3, "wl-9", gateway="gw-9")
        assert await target.check(ADMIN, [child, gateway]) == []
        await target.commit(ADMIN, [child, gateway], reason="x")
        assert [d.device_id for d in world.registers.children(ADMIN, "gw-9")] == ["wl-9"]
        assert [p.row for p in await target.check(ADMIN, [row(2, "wl-a"), row(3, "wl-a")])] == [3]
        with pytest.raises(Forbidden):
            await target.check(DUTY1, [child])
        with pytest.raises(Forbidden):
            await target.commit(DUTY1, [child], reason="x")

    story(work)


def test_the_columns_are_those_of_the_properties_that_rules_watch() -> None:
    async def work(world: DevicesWorld, target: DeviceTarget) -> None:
        keys = [field.key for field in target.fields]
        assert {"stage_m.orange", "depth_m.red", "cl2_mg_m3.first", "gust_3s_ms.blue"} <= set(keys)
        assert len(keys) == len(set(keys))
        orange = next(f for f in target.fields if f.key == "stage_m.orange")
        assert (orange.zh, orange.uom, "stage_m 橙色" in orange.aliases) == ("河道水位 橙色", "m", True)

    story(work)
