"""What we send down to devices: commands without side effects in the street, and the rule about those with.

Three commands are harmless and allowed: setting a clock, setting a reporting interval, and turning a camera to one of its
presets. Everything that moves something
(siren, pump, gate) is refused unless every line of the table in design.md section 2 holds; a plant's valves never.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

ACTUATOR_LIFETIME_US = 30_000_000  # an actuator command that was not executed by then never is
HARMLESS_LIFETIME_US = 600_000_000
CLOCK_LIFETIME_US = 60_000_000  # a time that arrives later than that would be wrong again
INTERVAL_MIN_S = 1.0
INTERVAL_MAX_S = 86_400.0
PRESET_MAX = 255  # GB/T 28181 A.3: the preset number is one byte, and 0 is reserved (not verified)

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
HARMLESS = ("clock_set", "interval_set", "preset_goto")
ACTUATORS = ("siren", "pump", "gate")
_PARAMS = {"clock_set": "", "interval_set": "interval_s", "preset_goto": "preset"}  # what a person says of each
NEVER = ("valve",)  # of a plant: the first call is to its control room, which decides


class CommandRefused(ValueError):
    """A command that may not be sent; `reasons` name each condition that does not hold."""

    def __init__(self, method: str, reasons: list[str]) -> None:
        super().__init__(f"{method}: " + "; ".join(reasons))
        self.method = method
        self.reasons = reasons


class DownCommand(msgspec.Struct, frozen=True, kw_only=True):
    """The payload of `down/cmd` (design.md section 7). `expires_at` in milliseconds, city time."""

    id: str
    method: str
    params: dict[str, float | int | str | bool]
    expires_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ActuatorCircumstances:
    """What must be known before something is moved. None: not known, which counts as no."""

    enabled: bool  # switched on for this installation and this device; off by default
    device_online: bool
    remote: bool | None  # the device stands on remote, not local
    feedback: bool | None  # the device reports what it does
    selected_by: str = ""
    executed_by: str = ""
    select_age_us: int = 0


def set_clock(command_id: str, *, now_us: int) -> DownCommand:
    """Tell a device the city time. The device takes `ts` (milliseconds) as of arrival."""
    return _command(command_id, "clock_set", {"ts": now_us // 1000}, now_us + CLOCK_LIFETIME_US)


def set_interval(command_id: str, interval_s: float, *, now_us: int) -> DownCommand:
    """Tell a device how often to report. Raises CommandRefused outside 1 s .. 1 day."""
    if not INTERVAL_MIN_S <= interval_s <= INTERVAL_MAX_S:  # also refuses NaN
        raise CommandRefused(
            "interval_set", [f"interval_s {interval_s}: expected {INTERVAL_MIN_S:g} to {INTERVAL_MAX_S:g}"]
        )
    return _command(command_id, "interval_set", {"interval_s": float(interval_s)}, now_us + HARMLESS_LIFETIME_US)


def goto_preset(command_id: str, preset: int, *, now_us: int) -> DownCommand:
    """Turn a camera to preset 1 .. 255. Raises CommandRefused outside, and for what is not a whole number."""
    if isinstance(preset, bool) or not isinstance(preset, int) or not 1 <= preset <= PRESET_MAX:
        raise CommandRefused("preset_goto", [f"preset {preset!r}: expected a whole number from 1 to {PRESET_MAX}"])
    return _command(command_id, "preset_goto", {"preset": preset}, now_us + HARMLESS_LIFETIME_US)


def harmless(command_id: str, method: str, params: Mapping[str, Any], *, now_us: int) -> DownCommand:
    """One of the harmless commands by its name, from parameters as a person gave them. Raises CommandRefused naming every
    parameter that is missing, wrong or of another method."""
    wanted = _PARAMS.get(method)
    if wanted is None:
        raise CommandRefused(method, [f"unknown method: expected one of {', '.join(HARMLESS)}"])
    wrong = [f"{name}: {method} has no such parameter" for name in params if name != wanted]
    if wanted and wanted not in params:
        wrong.append(f"{wanted}: {method} needs it")
    value = params.get(wanted)
    if not wrong and method == "interval_set" and (isinstance(value, bool) or not isinstance(value, int | float)):
        wrong.append(f"interval_s {value!r}: expected a number of seconds")
    if wrong:
        raise CommandRefused(method, wrong)
    match method:
        case "interval_set":
            return set_interval(command_id, params["interval_s"], now_us=now_us)
        case "preset_goto":
            return goto_preset(command_id, params["preset"], now_us=now_us)
        case _:
            return set_clock(command_id, now_us=now_us)


def as_sent(command: DownCommand, now_us: int) -> DownCommand:
    """The command as it goes out now: a clock-set says the time of this sending, not of the one before nor of the request."""
    if command.method != "clock_set":
        return command
    return msgspec.structs.replace(command, params={"ts": now_us // 1000})


def move_actuator(
    command_id: str, actuator: str, action: str, circumstances: ActuatorCircumstances, *, now_us: int
) -> DownCommand:
    """The execute half of select-then-execute. Raises CommandRefused unless every condition holds. Never queued: the
    caller sends it now or drops it."""
    method = f"{actuator}.{action}"
    reasons = actuator_refusals(actuator, circumstances)
    if reasons:
        raise CommandRefused(method, reasons)
    return _command(command_id, method, {}, now_us + ACTUATOR_LIFETIME_US)


def actuator_refusals(actuator: str, now: ActuatorCircumstances) -> list[str]:
    """Why an actuator may not be moved now; empty: it may."""
    if actuator in NEVER:
        return ["a plant's valves are never moved from here: call its control room"]
    if actuator not in ACTUATORS:
        return [f"unknown actuator {actuator!r}: expected one of {', '.join(ACTUATORS)}"]
    table = (
        (now.enabled, "remote control is switched off"),
        (now.device_online, "the device is offline, and commands are never queued"),
        (now.remote is True, "the device is not known to stand on remote"),
        (now.feedback is True, "the device gives no feedback"),
        (bool(now.selected_by) and bool(now.executed_by), "select and execute need a name each"),
        (now.selected_by != now.executed_by, "select and execute need two persons"),
        (0 <= now.select_age_us <= ACTUATOR_LIFETIME_US, "the selection has expired"),
    )
    return [why for holds, why in table if not holds]


def _command(command_id: str, method: str, params: dict[str, float | int | str | bool], expires_us: int) -> DownCommand:
    if not _ID.fullmatch(command_id):
        raise CommandRefused(method, [f"command id {command_id!r}: expected {_ID.pattern}"])
    return DownCommand(id=command_id, method=method, params=params, expires_at=expires_us // 1000)
