"""Which devices somebody may act on: role by the matrix, area by the scope, and a vendor its own firm's only."""

from __future__ import annotations

from command_center.authority import MATRIX, Action, must_see, require
from command_center.errors import NotFound
from command_center.model import SYSTEM, Actor, Role
from devices.registry import Device, Registry

VENDOR_ONLY = frozenset({Role.VENDOR})


def device_for(actor: Actor, action: Action, registry: Registry, device_id: str) -> Device:
    """The device. Raises Forbidden (role), NotFound: a foreign firm's device, or one in another area, looks like none."""
    require(actor, action)
    device = registry.devices.get(device_id)
    if device is None or not of_own_firm(actor, action, device.vendor):
        raise NotFound("device", device_id)
    must_see(actor, "device", device_id, area=device.area)
    return device


def of_own_firm(actor: Actor, action: Action, vendor: str) -> bool:
    """False for a device of another firm when it is only as a vendor that the actor may do this."""
    if actor == SYSTEM or actor.roles & MATRIX[action] != VENDOR_ONLY:
        return True
    return bool(actor.vendor) and vendor == actor.vendor


def sees(actor: Actor, action: Action, device: Device) -> bool:
    """For lists: as `device_for`, without an error."""
    return of_own_firm(actor, action, device.vendor) and actor.scope.covers(area=device.area)
