"""Sends what is queued: at QoS 1, to devices that are heard, again until they answer, never after the expiry.

The row is the queue. It is marked after the broker's answer, so a crash in between sends the command once more, under the same id,
and a device does each id once. A device that is offline keeps its commands here and gets them when it is heard again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import msgspec
import structlog

from command_center import metrics
from command_center.device_commands.model import TO_SEND, CommandState, DeviceCommand
from command_center.device_commands.ports import Line, LineDown
from command_center.device_commands.replies import step
from command_center.errors import Unavailable
from command_center.model import SYSTEM
from command_center.ports import Emit, Store
from command_center.work import Env, Work, working
from devices import topics
from devices.commands import DownCommand, as_sent

log = structlog.get_logger(__name__)
replace = msgspec.structs.replace

EVERY_S = 0.5
BATCH = 50
AGAIN_FIRST_S, AGAIN_MAX_S = 15.0, 120.0  # without a word from the device: QoS 1 ends at the broker
NOBODY_AGAIN_S = 5.0  # the broker knows nobody who listens: the device may be about to subscribe
CLOCK_KEPT_S = 5  # by the broker, for a device that is away: a time that arrives later is wrong by so much
DOWN_AGAIN_S = 2.0
ONLINE = "online"


class CommandSender:
    """One per tenant, in the role `command`. `status_of` as for `DeviceCommands`."""

    def __init__(
        self, store: Store, env: Env, emit: Emit, line: Line, tenant: str, status_of: Callable[[str], str]
    ) -> None:
        self._store, self._env, self._emit = store, env, emit
        self._line, self._tenant, self._status_of = line, tenant, status_of

    async def run(self) -> None:
        """Until cancelled. A broker or a database that is away is waited for."""
        while True:
            try:
                done = await self.run_due()
            except (Unavailable, LineDown) as error:
                log.warning("commands_wait", reason=str(error))
                await asyncio.sleep(DOWN_AGAIN_S)
                continue
            await asyncio.sleep(0 if done == BATCH else EVERY_S)

    async def run_due(self) -> int:
        """Send what is due to devices that are heard; returns how many were tried. Raises Unavailable, LineDown."""
        clock = self._env.clock
        machine_us, city_us = clock.machine_us(), clock.city_us()
        async with self._store.read() as tx:
            waiting = await tx.devices_to_command(machine_us, city_us)
            heard = [device_id for device_id in waiting if self._reachable(device_id)]
            due = await tx.commands_to_send(heard, machine_us, city_us, BATCH) if heard else []
        metrics.DEVICE_COMMANDS_HELD.set(len(waiting) - len(heard))
        answers: dict[str, str] = {}
        try:
            for command in due:
                if (left_us := command.expires_us - clock.city_us()) > 0:
                    answers[command.command_id] = await self._send(command, left_us)
        except LineDown:
            await self._mark(answers)  # what the broker took before it went away
            raise
        await self._mark(answers)
        return len(due)

    def _reachable(self, device_id: str) -> bool:
        device = self._env.registry.devices.get(device_id)
        return device is not None and device.enabled and self._status_of(device_id) == ONLINE

    async def _send(self, command: DeviceCommand, left_us: int) -> str:
        clock = self._env.clock
        plain = DownCommand(
            id=command.command_id,
            method=command.method,
            params=command.params,
            expires_at=command.expires_us // 1000,
        )
        keep_s = max(1, round(left_us / 1e6 / (clock.rate or 1.0)))
        if command.method == "clock_set":
            keep_s = min(keep_s, CLOCK_KEPT_S)
        payload = msgspec.json.encode(as_sent(plain, clock.city_us()))
        return await self._line.publish(topics.down_cmd(self._tenant, command.device_id), payload, keep_s=keep_s)

    async def _mark(self, answers: Mapping[str, str]) -> None:
        if not answers:
            return
        async with working(self._store, self._env, self._emit, SYSTEM) as work:
            for command_id, answer in answers.items():
                command = await work.tx.device_command(command_id)
                if command is not None and command.state in TO_SEND:  # else its reply was faster than we
                    await (_nobody_took(work, command, answer) if answer else _taken(work, command))


async def _taken(work: Work, command: DeviceCommand) -> None:
    wait_s = min(AGAIN_FIRST_S * 2**command.sends, AGAIN_MAX_S)
    sent = {
        "sends": command.sends + 1,
        "next_us": work.machine_us + round(wait_s * 1e6),
        "sent_us": work.at_us if command.sent_us is None else command.sent_us,
        "error": "",
    }
    if command.state is CommandState.QUEUED:
        await step(work, command, CommandState.SENT, **sent)
        return
    metrics.DEVICE_COMMANDS_REPEATED.inc()
    after = msgspec.structs.replace(command, rev=command.rev + 1, **sent)
    await work.tx.update_device_command(after, rev=command.rev, states=[command.state])


async def _nobody_took(work: Work, command: DeviceCommand, why: str) -> None:
    """The command waits on; why, stands with it."""
    after = replace(command, error=why, next_us=work.machine_us + round(NOBODY_AGAIN_S * 1e6), rev=command.rev + 1)
    await work.tx.update_device_command(after, rev=command.rev, states=[command.state])
