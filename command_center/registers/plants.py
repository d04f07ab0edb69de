"""The first call at a gas alarm: whose detectors are these, and which number rings in the control room."""

from __future__ import annotations

from collections.abc import Sequence

from command_center.ports import Tx
from devices.registry import Device

KIND = "plant"


async def control_room(tx: Tx, devices: Sequence[Device]) -> tuple[str, str] | None:
    """Name and control-room number of the registered plant of these detectors: linked by id, else by their group. None where
    none is registered with a number. The number is the plant's public one and not sealed."""
    links = await tx.register_linked("device", [d.device_id for d in devices])
    linked = await tx.register_entries(KIND, [link.entry_id for link in links if link.kind == KIND])
    grouped = await tx.register_plants_of_sites(sorted({d.group for d in devices if d.group}))
    for plant in (*linked, *grouped):
        if phone := plant.values.get("control_room_phone"):
            return plant.name, str(phone)
    return None
