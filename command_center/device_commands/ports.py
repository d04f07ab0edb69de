"""What commands to devices need of a transaction (part of `command_center.ports.Tx`), and of the way to the broker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from command_center.device_commands.model import CommandState, DeviceCommand


class DeviceCommandTx(Protocol):
    async def device_command(self, command_id: str) -> DeviceCommand | None: ...

    async def device_commands(
        self, device_id: str, *, states: Sequence[CommandState] = (), limit: int = 200, before: str = ""
    ) -> list[DeviceCommand]:
        """Newest id first, ids below `before`; empty `states` = all."""
        ...

    async def insert_device_command(self, command: DeviceCommand) -> None: ...

    async def update_device_command(self, command: DeviceCommand, *, rev: int, states: Sequence[CommandState]) -> bool:
        """False when its revision or state is not what was expected."""
        ...

    async def devices_to_command(self, machine_us: int, city_us: int) -> list[str]:
        """Ids of devices that have something to be sent now, in order."""
        ...

    async def commands_to_send(
        self, device_ids: Sequence[str], machine_us: int, city_us: int, limit: int
    ) -> list[DeviceCommand]:
        """Of these devices: what is to be sent (again) now and has not expired, oldest first."""
        ...


class LineDown(Exception):
    """The broker is away, or does not answer: nothing is known about what was given to it."""


class Line(Protocol):
    """The way down to devices, at QoS 1."""

    async def publish(self, topic: str, payload: bytes, *, keep_s: int) -> str:
        """Returns when the broker has answered: "" means that it took the message for somebody who listens, else why not. The
        broker need not keep it longer than `keep_s` (machine seconds) for a device that is away. Raises LineDown."""
        ...
