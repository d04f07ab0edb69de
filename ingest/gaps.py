"""Gaps in a device's own counter: `seq` jumps where a message was lost before it reached us."""

from __future__ import annotations

import msgspec

DEVICES_MAX = 200_000  # counters that are remembered
RESTART_BELOW = 1_000  # a counter that falls this far was set back: the device has started anew, nothing is missing


class Gap(msgspec.Struct, frozen=True, gc=False):
    """`missing` numbers between `after` and `before`, both of which came."""

    after: int
    before: int

    @property
    def missing(self) -> int:
        return self.before - self.after - 1


class SeqGaps:
    """The highest number of each device. A message that comes late or twice closes nothing: what was told stays told."""

    def __init__(self, devices_max: int = DEVICES_MAX) -> None:
        self._highest: dict[str, int] = {}
        self._devices_max = devices_max

    def seen(self, device_id: str, seq: int) -> Gap | None:
        """Take a number; the gap before it, if there is one. After our own start the first number tells of none."""
        highest = self._highest.get(device_id)
        if highest is None:
            if len(self._highest) >= self._devices_max:
                self._highest.pop(next(iter(self._highest)))
            self._highest[device_id] = seq
            return None
        if seq == highest + 1:
            self._highest[device_id] = seq
            return None
        if seq > highest:
            self._highest[device_id] = seq
            return Gap(highest, seq)
        if highest - seq >= RESTART_BELOW or seq == 0:
            self._highest[device_id] = seq
        return None
