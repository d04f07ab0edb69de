"""Commands to devices in memory: the twin of storage/command/device_commands.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from command_center.device_commands.model import TO_SEND, CommandState, DeviceCommand


class _HasCommands(Protocol):
    device_commands: dict[str, DeviceCommand]


class DeviceCommandPart:
    """Mixin of the memory transaction; its state has a dict `device_commands` by command id."""

    _s: _HasCommands

    async def device_command(self, command_id: str) -> DeviceCommand | None:
        return self._s.device_commands.get(command_id)

    async def device_commands(
        self, device_id: str, *, states: Sequence[CommandState] = (), limit: int = 200, before: str = ""
    ) -> list[DeviceCommand]:
        found = [
            c
            for c in self._s.device_commands.values()
            if c.device_id == device_id and (not states or c.state in states) and (not before or c.command_id < before)
        ]
        return sorted(found, key=lambda c: c.command_id, reverse=True)[:limit]

    async def insert_device_command(self, command: DeviceCommand) -> None:
        self._s.device_commands[command.command_id] = command

    async def update_device_command(self, command: DeviceCommand, *, rev: int, states: Sequence[CommandState]) -> bool:
        known = self._s.device_commands.get(command.command_id)
        if known is None or known.rev != rev or known.state not in states:
            return False
        self._s.device_commands[command.command_id] = command
        return True

    async def devices_to_command(self, machine_us: int, city_us: int) -> list[str]:
        return sorted({c.device_id for c in self._to_send(machine_us, city_us)})

    async def commands_to_send(
        self, device_ids: Sequence[str], machine_us: int, city_us: int, limit: int
    ) -> list[DeviceCommand]:
        due = [c for c in self._to_send(machine_us, city_us) if c.device_id in device_ids]
        return sorted(due, key=lambda c: c.command_id)[:limit]

    def _to_send(self, machine_us: int, city_us: int) -> list[DeviceCommand]:
        return [
            c
            for c in self._s.device_commands.values()
            if c.state in TO_SEND and c.next_us <= machine_us and c.expires_us > city_us
        ]
