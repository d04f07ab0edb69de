"""When each device was last heard, in log time: columns over devices, shared by absence and by alarms without a series.

Log time, never a worker's clock: a slow reader must not make devices look silent.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from devices.registry import Registry

DEFAULT_INTERVAL_S = 300.0  # a device that declares no series at all
NEVER_HEARD = -1
LOOKUP_MAX = 1 << 26  # datastream numbers are given one by one; a table beyond this many is a mistake, not a city

I64 = npt.NDArray[np.int64]


def lookup_table(numbers: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """Dense table datastream number -> row, -1 where there is none; one more -1 at its end for numbers beyond it.

    Raises ValueError when a number is not one that our registry gives.
    """
    size = int(numbers.max(initial=-1)) + 1
    if size > LOOKUP_MAX:
        raise ValueError(f"datastream number {size - 1} is beyond {LOOKUP_MAX}")
    table = np.full(size + 1, -1, dtype=np.int32)
    table[numbers] = rows
    return table


class Presence:
    """Last sign of life of each device: observation, event, or state message."""

    def __init__(self) -> None:
        self.index: dict[str, int] = {}
        self.ids: list[str] = []  # by row
        self.heard_us: I64 = np.empty(0, np.int64)  # log time of the last sign of life; -1 never
        self.timer_us: I64 = np.empty(
            0, np.int64
        )  # the same for timers: registration when never, moved by our downtime
        self.floor_us: I64 = np.empty(0, np.int64)  # no silence is declared before this log time
        self.interval_us: I64 = np.empty(0, np.int64)
        self.present: npt.NDArray[np.bool_] = np.empty(0, np.bool_)  # registered and enabled
        self._of_datastream = np.full(1, -1, np.int32)

    def configure(self, registry: Registry, at_us: int, touched: tuple[str, ...] | None = None) -> None:
        """Take over a registry, or a change of it that is about the devices `touched` only. A device that was known keeps its
        times; a new one starts at `at_us`."""
        about = registry.devices if touched is None else [d for d in touched if d in registry.devices]
        fresh = [device_id for device_id in about if device_id not in self.index]
        for device_id in fresh:
            self.index[device_id] = len(self.index)
            self.ids.append(device_id)
        grown = len(fresh)
        self.heard_us = np.append(self.heard_us, np.full(grown, NEVER_HEARD, np.int64))
        self.timer_us = np.append(self.timer_us, np.full(grown, at_us, np.int64))
        self.floor_us = np.append(self.floor_us, np.zeros(grown, np.int64))
        self.interval_us = np.append(self.interval_us, np.zeros(grown, np.int64))
        was = np.append(self.present, np.zeros(grown, np.bool_))
        self.present = np.zeros(len(self.index), np.bool_) if touched is None else was.copy()
        self.present[[self.index[d] for d in touched or () if d in self.index]] = False
        for device_id in about:
            device = registry.devices[device_id]
            i = self.index[device_id]
            self.present[i] = device.enabled
            streams = registry.datastreams_of(device_id)
            interval_s = device.interval_s or min((s.interval_s for s in streams), default=DEFAULT_INTERVAL_S)
            self.interval_us[i] = round(interval_s * 1e6)
            if device.enabled and not was[i]:
                self.timer_us[i] = max(int(self.timer_us[i]), at_us)  # back in service: not silent since last year
        if touched is None:
            self._number(registry)
        else:
            self._renumber(registry, touched)

    def _number(self, registry: Registry) -> None:
        pairs = [
            (s.datastream, self.index[s.device_id]) for s in registry.datastreams.values() if s.device_id in self.index
        ]
        numbers, rows = np.array(pairs, np.int64).reshape(-1, 2).T
        self._of_datastream = lookup_table(numbers, rows)

    def _renumber(self, registry: Registry, touched: tuple[str, ...]) -> None:
        """The same table after a change of some devices: what they had goes, what they have comes."""
        gone = [self.index[d] for d in touched if d in self.index]
        self._of_datastream[np.isin(self._of_datastream, np.array(gone, np.int32))] = -1
        pairs = [(s.datastream, self.index[d]) for d in touched for s in registry.datastreams_of(d) if d in self.index]
        numbers, rows = np.array(pairs, np.int64).reshape(-1, 2).T
        longer = lookup_table(numbers, rows)
        if len(longer) > len(self._of_datastream):
            more = np.full(len(longer) - len(self._of_datastream), -1, np.int32)
            self._of_datastream = np.append(self._of_datastream, more)
        self._of_datastream[numbers] = rows

    def devices_of(self, datastreams: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
        """Device row of each observation; -1 for a series that is not registered."""
        return self._of_datastream.take(datastreams, mode="clip")

    def hear(self, rows: npt.NDArray[np.int32], at_us: int) -> None:
        rows = rows[rows >= 0]
        self.heard_us[rows] = at_us
        self.timer_us[rows] = at_us

    def resume(self, from_us: int, to_us: int) -> None:
        self.timer_us += max(0, to_us - from_us)
        np.maximum(self.floor_us, to_us + self.interval_us, out=self.floor_us)

    def silent_from_us(self, row: int, intervals: float) -> int:
        """Log time at which this device counts as silent, if nothing comes."""
        return max(int(self.timer_us[row] + intervals * self.interval_us[row]), int(self.floor_us[row]))

    def dump(self) -> dict[str, Any]:
        return {
            "index": list(self.index),
            "heard_us": self.heard_us,
            "timer_us": self.timer_us,
            "floor_us": self.floor_us,
            "interval_us": self.interval_us,
            "present": self.present,
        }

    def load(self, data: dict[str, Any], registry: Registry) -> None:
        self.ids = list(data["index"])
        self.index = {device_id: i for i, device_id in enumerate(self.ids)}
        for name in ("heard_us", "timer_us", "floor_us", "interval_us", "present"):
            setattr(self, name, data[name])
        self.configure(registry, 0)
