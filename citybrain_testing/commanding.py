"""Commands to devices over a store in memory or PostgreSQL, with a broker and devices that a test moves by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from citybrain_testing.command import MemoryLog
from citybrain_testing.devices_world import DevicesWorld, devices_world, gauge
from command_center.device_commands.model import DeviceCommand
from command_center.device_commands.ports import LineDown
from command_center.device_commands.sending import CommandSender
from command_center.device_commands.service import DeviceCommands
from command_center.follower import DomainFollower
from command_center.model import Change
from command_center.timers import TimerService
from stream.records import EventBody, NewRecord, RecordKind, event

DEVICES = [
    gauge("wl-1"),
    gauge("wl-2"),
    gauge("wl-z", vendor="zeta", area="331003"),
    gauge("cam-1", model="camera-v1", kind="camera", thresholds={}),
    gauge("gw-1", model="gateway-v1", kind="gateway", thresholds={}),
    gauge("wl-child", gateway="gw-1"),
    gauge("wl-off", enabled=False),
]


@dataclass
class FakeLine:
    """A broker: `up` false, it is away; `nobody` listens on these topics; `ends_after` so many messages it goes away."""

    up: bool = True
    nobody: set[str] = field(default_factory=set)
    ends_after: int | None = None
    sent: list[tuple[str, dict[str, Any], int]] = field(default_factory=list)  # device, body, kept seconds

    async def publish(self, topic: str, payload: bytes, *, keep_s: int) -> str:
        if not self.up or (self.ends_after is not None and len(self.sent) >= self.ends_after):
            raise LineDown("not connected to the broker")
        device_id = topic.split("/")[3]
        if device_id in self.nobody:
            return "nobody listens"
        self.sent.append((device_id, msgspec.json.decode(payload), keep_s))
        return ""


@dataclass
class CommandWorld:
    """`devices.status` says which devices are heard: all are online unless it says otherwise."""

    devices: DevicesWorld
    line: FakeLine
    commands: DeviceCommands
    sender: CommandSender
    follower: DomainFollower
    timers: TimerService
    changes: list[Change] = field(default_factory=list)

    @property
    def log(self) -> MemoryLog:
        return self.devices.log

    async def drain(self) -> None:
        while await self.follower.step():
            pass

    async def says(self, device_id: str, command_id: str, state: str, result: object = None) -> None:
        """The device replies, and the reply is taken over."""
        self.says_unread(device_id, command_id, state, result)
        await self.drain()

    def says_unread(self, device_id: str, command_id: str, state: str, result: object = None) -> None:
        data: dict[str, Any] = {"state": state, "ts": 1} | ({} if result is None else {"result": result})
        now_us = self.devices.clock.city_us()
        self.log.put(
            event(EventBody(type="cmd_reply", device_id=device_id, receive_us=now_us, id=command_id, data=data))
        )

    def tick(self) -> None:
        self.log.put(NewRecord(kind=RecordKind.TICK, body=b""))

    async def later(self, seconds: float, *, read: bool = True) -> None:
        """Time passes and the log ticks on; then what is due fires. `read`: the follower keeps up."""
        self.devices.clock.step(seconds)
        self.tick()
        if read:
            await self.drain()
        await self.timers.run_due()

    async def now(self, command_id: str) -> DeviceCommand:
        async with self.devices.store.read() as tx:
            found = await tx.device_command(command_id)
        assert found is not None
        return found

    async def journal(self, command_id: str) -> list[str]:
        """What happened to it, oldest first."""
        async with self.devices.store.read() as tx:
            return [entry.action for entry in await tx.journal("device_command", command_id, 50, None)][::-1]

    def restarted(self) -> CommandWorld:
        """As after `kill -9`: nothing but store and log survives (and the broker, and what it was given)."""
        return _world(self.devices, self.line)


@asynccontextmanager
async def command_world(url: str | None) -> AsyncIterator[CommandWorld]:
    """Memory for None, else the schema `cmd` of the database at `url`, migrated."""
    async with devices_world(url, DEVICES) as devices:
        yield _world(devices, FakeLine())


def _world(devices: DevicesWorld, line: FakeLine) -> CommandWorld:
    changes: list[Change] = []
    store, env, emit = devices.store, devices.env, changes.append

    def status_of(device_id: str) -> str:
        return devices.status.get(device_id, "online")

    follower = DomainFollower(devices.log, store, env, emit)
    commands = DeviceCommands(store, env, emit, status_of, lambda: follower.followed_us)
    return CommandWorld(
        devices=devices,
        line=line,
        commands=commands,
        sender=CommandSender(store, env, emit, line, "test", status_of),
        follower=follower,
        timers=TimerService(store, env, emit, commands.handlers),
        changes=changes,
    )
