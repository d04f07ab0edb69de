"""A gateway speaks for the devices that are bound to it: the register takes only bindings that make sense."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from citybrain_testing.command import ADMIN, DUTY1
from citybrain_testing.devices_world import ACME, ZETA, DevicesWorld, devices_world, gauge
from command_center.errors import Forbidden, Invalid, NotFound
from devices.registry import Device


def gateway(device_id: str = "gw-1", **fields: object) -> Device:
    return gauge(device_id, **({"model": "gateway-v1", "kind": "gateway", "thresholds": {}} | fields))


def story(work: Callable[[DevicesWorld], Awaitable[None]]) -> None:
    async def run() -> None:
        async with devices_world(None, [gateway(), gauge("wl-1", gateway="gw-1"), gauge("wl-2"), gauge("wl-z", vendor="zeta")]) as w:  # fmt: skip
            await work(w)

    asyncio.run(run())


def test_children_are_bound_listed_and_unbound() -> None:
    async def work(world: DevicesWorld) -> None:
        await world.registers.save_device(ACME, gauge("wl-2", gateway="gw-1"))
        assert [d.device_id for d in world.registers.children(DUTY1, "gw-1")] == ["wl-1", "wl-2"]
        await world.registers.save_device(ACME, gauge("wl-1"))
        assert [d.device_id for d in world.registers.children(ACME, "gw-1")] == ["wl-2"]
        with pytest.raises(NotFound):
            world.registers.children(ZETA, "gw-1")

    story(work)


@pytest.mark.parametrize(
    ("device", "why"),
    [
        (gauge("wl-3", gateway="nobody"), "gateway 'nobody' is not registered"),
        (gauge("wl-3", gateway="wl-2"), "wl-2 cannot be a gateway"),
        (gateway("gw-1", gateway="gw-2"), "is bound to gw-2 itself|'gw-2' is not registered"),
        (gauge("gw-1"), "water-gauge-v1 is no gateway"),
        (gauge("wl-z", vendor="zeta", gateway="wl-1"), "cannot be a gateway"),
    ],
)
def test_a_binding_that_cannot_work_is_refused_with_its_reason(device: Device, why: str) -> None:
    async def work(world: DevicesWorld) -> None:
        with pytest.raises(Invalid, match=why):
            await world.registers.save_device(ADMIN, device)

    story(work)


def test_two_gateways_cannot_be_bound_in_a_circle_not_even_in_one_import() -> None:
    async def work(world: DevicesWorld) -> None:
        pair = [gateway("gw-8", gateway="gw-9"), gateway("gw-9", gateway="gw-8")]
        with pytest.raises(Invalid, match="cannot be a gateway"):
            await world.registers.import_devices(ADMIN, pair, reason="import")
        both = [gateway("gw-8"), gauge("wl-8", gateway="gw-8")]
        await world.registers.import_devices(ADMIN, both, reason="a gateway and its child come together")
        assert [d.device_id for d in world.registers.children(ADMIN, "gw-8")] == ["wl-8"]

    story(work)


def test_a_vendor_binds_to_its_own_gateway_only() -> None:
    async def work(world: DevicesWorld) -> None:
        with pytest.raises(Invalid, match="another firm's"):
            await world.registers.save_device(ZETA, gauge("wl-z", vendor="zeta", gateway="gw-1", thresholds={}))
        with pytest.raises(Forbidden):
            await world.registers.save_device(ZETA, gateway("gw-1", vendor="zeta"))

    story(work)
