"""Commands to devices (`command_center.device_commands`)."""

from __future__ import annotations

from collections.abc import Sequence

from command_center.device_commands.model import CommandState, DeviceCommand
from storage.batch import clean
from storage.command.rows import Part, params, struct
from storage.times import to_time


class DeviceCommandRows(Part):
    async def device_command(self, command_id: str) -> DeviceCommand | None:
        row = await self._one("read_device_command", {"command_id": clean(command_id)})
        return None if row is None else struct(DeviceCommand, row)

    async def device_commands(
        self, device_id: str, *, states: Sequence[CommandState] = (), limit: int = 200, before: str = ""
    ) -> list[DeviceCommand]:
        values = {
            "device_id": clean(device_id),
            "states": [s.value for s in states],
            "limit": limit,
            "before": clean(before),
        }
        return [struct(DeviceCommand, row) for row in await self._all("list_device_commands", values)]

    async def insert_device_command(self, command: DeviceCommand) -> None:
        await self._run("insert_device_command", params(command))

    async def update_device_command(self, command: DeviceCommand, *, rev: int, states: Sequence[CommandState]) -> bool:
        values = params(command, known_rev=rev, states=[s.value for s in states])
        return await self._one("update_device_command", values) is not None

    async def devices_to_command(self, machine_us: int, city_us: int) -> list[str]:
        values = {"machine": to_time(machine_us), "city": to_time(city_us)}
        return [row["device_id"] for row in await self._all("devices_to_command", values)]

    async def commands_to_send(
        self, device_ids: Sequence[str], machine_us: int, city_us: int, limit: int
    ) -> list[DeviceCommand]:
        values = {
            "device_ids": list(device_ids),
            "machine": to_time(machine_us),
            "city": to_time(city_us),
            "limit": limit,
        }
        return [struct(DeviceCommand, row) for row in await self._all("commands_to_send", values)]
