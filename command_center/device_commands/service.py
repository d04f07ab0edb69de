"""Who commands a device: rights, what may be commanded at all, and the queue's bound.

Harmless commands are put into a row and go out by themselves (`sending.py`). What moves something in the street is never put into a
row: it is refused here with every condition that does not hold (design.md section 2). This release has no switch that turns it
on, no selection by a first person, and no code that would send it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from command_center import metrics
from command_center.authority import Action, must_see, require
from command_center.device_commands.model import DEVICE_COMMAND, ENTITY, OPEN, CommandState, DeviceCommand
from command_center.device_commands.replies import end_of_time
from command_center.device_rights import device_for, of_own_firm
from command_center.errors import Conflict, Invalid, NotFound, Refused
from command_center.model import Actor
from command_center.ports import Emit, Store
from command_center.records import Timer
from command_center.work import Env, Work, city_date, working
from devices.commands import (
    ACTUATORS,
    NEVER,
    ActuatorCircumstances,
    CommandRefused,
    DownCommand,
    actuator_refusals,
    harmless,
)
from devices.registry import Device, Registry

OPEN_MAX = 16  # of one device: more than this is a program that has gone wrong
ID_PREFIX = "DC-"
CAMERA = "camera"
ONLINE = "online"
TIMER_AGAIN_S = 1.0  # until the log has been read as far as the expiry


class DeviceCommands:
    """`status_of`: online, offline, no_data or unknown, from the live picture. `followed_us`: log time up to which replies were
    taken over (`DomainFollower.followed_us`)."""

    def __init__(
        self,
        store: Store,
        env: Env,
        emit: Emit,
        status_of: Callable[[str], str],
        followed_us: Callable[[], int],
    ) -> None:
        self._store, self._env, self._emit = store, env, emit
        self._status_of, self._followed_us = status_of, followed_us

    @property
    def handlers(self) -> Mapping[str, Callable[[Work, Timer], Any]]:
        """For the timer service: what a command's expiry does."""
        return {ENTITY: self._expired}

    async def ask(
        self, actor: Actor, device_id: str, method: str, params: Mapping[str, Any], reason: str
    ) -> DeviceCommand:
        """Queue a harmless command. Raises Forbidden, NotFound, Invalid naming what is wrong, Conflict (queue full), and Refused for
        what moves something, naming every condition that does not hold."""
        actuator = method.partition(".")[0]
        moves = actuator in ACTUATORS or actuator in NEVER
        action = Action.MOVE_ACTUATOR if moves else _ACTIONS.get(method, Action.COMMAND_DEVICE)
        device = device_for(actor, action, self._env.registry, device_id)
        if not reason.strip():
            raise Invalid("reason: why the device is commanded")
        if moves:
            raise await self._refused(actor, device, actuator, method, reason)
        draft = _draft(self._env.registry, device, method, params, self._env.clock.city_us())
        async with working(self._store, self._env, self._emit, actor) as work:
            waiting = await work.tx.device_commands(device_id, states=OPEN, limit=OPEN_MAX)
            if len(waiting) >= OPEN_MAX:
                metrics.DEVICE_COMMANDS_REFUSED.labels("queue_full").inc()
                raise Conflict(f"{device_id} has {len(waiting)} open commands: wait until they end")
            command = await _made(work, device, draft, params, reason)
            await work.tx.insert_device_command(command)
            await work.city_timer(f"{ENTITY}:{command.command_id}", ENTITY, command.command_id, command.expires_us)
            await work.journal(ENTITY, command.command_id, "queue", None, command, reason)
        metrics.DEVICE_COMMANDS.labels(method, command.state.value).inc()
        return command

    async def of_device(
        self, actor: Actor, device_id: str, *, states: Sequence[CommandState] = (), limit: int = 200, cursor: str = ""
    ) -> tuple[list[DeviceCommand], str | None]:
        """Newest first, and the cursor of the next page. Raises Forbidden, NotFound."""
        device_for(actor, Action.READ_CARE, self._env.registry, device_id)
        async with self._store.read() as tx:
            found = await tx.device_commands(device_id, states=states, limit=limit + 1, before=cursor)
        return found[:limit], found[limit - 1].command_id if len(found) > limit else None

    async def one(self, actor: Actor, command_id: str) -> DeviceCommand:
        """Raises Forbidden, NotFound. Also of a device that is gone from the register by now."""
        require(actor, Action.READ_CARE)
        async with self._store.read() as tx:
            command = await tx.device_command(command_id)
        if command is None or not of_own_firm(actor, Action.READ_CARE, command.vendor):
            raise NotFound("device command", command_id)
        must_see(actor, "device command", command_id, area=command.area)
        return command

    async def _refused(self, actor: Actor, device: Device, actuator: str, method: str, reason: str) -> Refused:
        """What keeps an actuator still, all of it. That somebody wanted to move it is journalled."""
        now = ActuatorCircumstances(
            enabled=False,  # no setting turns it on in this release
            device_online=self._status_of(device.device_id) == ONLINE,
            remote=None,  # no device model reports its local/remote switch yet
            feedback=None,
            executed_by=actor.username,
        )
        refused = Refused(method, actuator_refusals(actuator, now))
        async with working(self._store, self._env, self._emit, actor) as work:
            asked = {"method": method, "unmet": refused.reasons}
            await work.journal("device", device.device_id, "actuator refused", None, asked, reason)
        metrics.DEVICE_COMMANDS_REFUSED.labels("actuator").inc()
        return refused

    async def _expired(self, work: Work, timer: Timer) -> None:
        """A command's time is over, once the log has been read that far: a reply that was in time may stand there unread."""
        if self._followed_us() < timer.data.get("expires_us", timer.due_us):
            again_us = work.machine_us + round(TIMER_AGAIN_S * 1e6)
            data = {"expires_us": timer.data.get("expires_us", timer.due_us)}
            await work.tx.put_timer(msgspec.structs.replace(timer, clock="machine", due_us=again_us, data=data))
            return
        await work.tx.drop_timer(timer.timer_id)
        await end_of_time(work, timer.entity_id)


_ACTIONS = {"preset_goto": Action.TURN_CAMERA}


def _draft(registry: Registry, device: Device, method: str, params: Mapping[str, Any], now_us: int) -> DownCommand:
    """What would be sent, under no id yet. Raises Invalid naming why this device cannot be told that."""
    try:
        draft = harmless("draft", method, params, now_us=now_us)
    except CommandRefused as error:
        raise Invalid(str(error)) from error
    if not device.enabled:
        raise Invalid(f"{device.device_id} is switched off in the register")
    if device.gateway:
        raise Invalid(f"{device.device_id} has no topic of its own: it speaks through the gateway {device.gateway}")
    if method == "preset_goto" and device.kind != CAMERA:
        raise Invalid(f"preset_goto: {device.device_id} is a {device.kind}, not a camera")
    if method == "interval_set":
        _must_not_watch_less(registry, device, float(draft.params["interval_s"]))
    return draft


def _must_not_watch_less(registry: Registry, device: Device, interval_s: float) -> None:
    """Raises Invalid for an interval longer than the registered one: between two reports nobody sees what rises. Who wants that
    changes the register, where it is decided and seen."""
    streams = registry.datastreams_of(device.device_id)
    registered_s = device.interval_s or max((s.interval_s for s in streams), default=interval_s)
    if interval_s > registered_s:
        raise Invalid(
            f"interval_s {interval_s:g}: the register expects a report every {registered_s:g} s; change it there first"
        )


async def _made(
    work: Work, device: Device, draft: DownCommand, params: Mapping[str, Any], reason: str
) -> DeviceCommand:
    day = city_date(work.at_us)
    number = await work.tx.next_number(f"{ENTITY}:{day}")
    # A device does each id once, ever: a database that went back to a backup must not give a number out again.
    tail = work.machine_us // 1000 & 0xFFFFFF
    state = DEVICE_COMMAND.start
    return DeviceCommand(
        command_id=f"{ID_PREFIX}{day}-{number:06d}-{tail:06x}",
        device_id=device.device_id,
        vendor=device.vendor,
        area=device.area,
        method=draft.method,
        params={} if draft.method == "clock_set" else dict(draft.params),
        reason=reason,
        state=state,
        state_zh=DEVICE_COMMAND.zh[state],
        asked_by=work.actor.username,
        asked_us=work.at_us,
        expires_us=draft.expires_at * 1000,
        next_us=work.machine_us,
        changed_us=work.at_us,
    )
