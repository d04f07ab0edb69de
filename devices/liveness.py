"""How long a device may be silent. Pure: times in city microseconds come in as arguments.

Absence is judged against the reporting interval; our own downtime is not the devices' silence (contract.md section 2):
deadlines stand still over it, and every device then gets one interval of grace.
"""

from __future__ import annotations

from collections.abc import Iterable

from devices.models import DeviceModel
from devices.registry import Device

_US = 1_000_000


def silence_allowed_us(device: Device, model: DeviceModel) -> int:
    """City microseconds after its last report when a device counts as silent: `no_data_after` intervals of its own."""
    return int(model.no_data_after * model.interval_of(device) * _US)


def gap_allowed_us(device: Device, model: DeviceModel) -> int:
    """The longest pause between two samples that still counts as continuous: `max_gap` intervals."""
    return int(model.max_gap * model.interval_of(device) * _US)


def silence_deadline_us(
    last_us: int, *, allowed_us: int, grace_us: int = 0, downtimes: Iterable[tuple[int, int]] = ()
) -> int:
    """When a device that reported at `last_us` counts as silent.

    `downtimes`: our own, (from, to) in order and without overlap (`resume` records). Each that begins before the deadline
    moves it by its length after `last_us`, plus `grace_us` (one reporting interval).
    """
    deadline_us = last_us + allowed_us
    for start_us, end_us in downtimes:
        if end_us <= last_us or start_us >= deadline_us:
            continue
        deadline_us += (end_us - max(start_us, last_us)) + grace_us
    return deadline_us


def is_silent(now_us: int, last_us: int, *, allowed_us: int) -> bool:
    """Whether `now_us` lies beyond what is allowed; the deadline itself still counts as heard."""
    return now_us - last_us > allowed_us


def is_live(phenomenon_us: int, receive_us: int, model: DeviceModel) -> bool:
    """Whether a sample speaks of the present: its age at receipt is within the model's live window."""
    return receive_us - phenomenon_us <= int(model.live_window_s * _US)


def clock_is_plausible(device_us: int, receive_us: int, model: DeviceModel) -> bool:
    """Whether a stamp of a live message may be believed: within the model's tolerance of our receive time."""
    return abs(device_us - receive_us) <= int(model.clock_tolerance_s * _US)
