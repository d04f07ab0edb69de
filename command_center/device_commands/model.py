"""A command to a device: its states, and the shape in which it is kept and travels to screens."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from command_center.machines import Machine


class CommandState(StrEnum):
    QUEUED = "QUEUED"
    SENT = "SENT"  # the broker has taken it for somebody who listens
    RECEIVED = "RECEIVED"  # the device says so
    EXECUTED = "EXECUTED"
    FAILED = "FAILED"
    EXPIRED = "EXPIRED"  # nobody said in time that it was done


_S = CommandState
_ENDS = frozenset({_S.EXECUTED, _S.FAILED, _S.EXPIRED})
DEVICE_COMMAND: Machine[CommandState] = Machine(
    name="device command",
    name_zh="设备命令",
    start=_S.QUEUED,
    moves={
        # A device may answer before we have written down that the broker took the command, and need not say "received".
        _S.QUEUED: frozenset({_S.SENT, _S.RECEIVED}) | _ENDS,
        _S.SENT: frozenset({_S.RECEIVED}) | _ENDS,
        _S.RECEIVED: _ENDS,
        _S.EXECUTED: frozenset(),
        _S.FAILED: frozenset(),
        _S.EXPIRED: frozenset(),  # the log decides what was in time, so an end is an end
    },
    zh={
        _S.QUEUED: "待发送",
        _S.SENT: "已发送",
        _S.RECEIVED: "设备已收到",
        _S.EXECUTED: "已执行",
        _S.FAILED: "执行失败",
        _S.EXPIRED: "已过期",
    },
)
OPEN = (CommandState.QUEUED, CommandState.SENT, CommandState.RECEIVED)
TO_SEND = (CommandState.QUEUED, CommandState.SENT)  # sent, and not a word: sent again, under the same id
ENTITY = "device_command"  # in the journal, and the kind of its timer


class DeviceCommand(msgspec.Struct, frozen=True, kw_only=True):
    """One command. `next_us` is machine time, everything else city time. `params` are what a person said: a clock-set gets its time
    when it is sent."""

    command_id: str
    device_id: str
    vendor: str  # the firm that answers for the device
    area: str
    method: str
    params: dict[str, float | int | str | bool]
    reason: str
    state: CommandState
    state_zh: str
    asked_by: str
    asked_us: int
    expires_us: int
    sends: int = 0  # how often the broker took it
    next_us: int  # not sent, or sent again, before
    sent_us: int | None = None  # for the first time
    received_us: int | None = None
    ended_us: int | None = None
    result: str = ""  # what the device said with its last word
    error: str = ""  # why the last attempt to send it came to nothing
    note: str = ""  # the first reply about it that was not obeyed
    changed_us: int
    rev: int = 1
