"""The devices' part of the live picture: latest values, whether a device is heard, and the worst open alarm on it.

Fed by log records only. Rows go to the hub when `flush` is called, so that a device that reports ten properties in one batch is
encoded once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from devices.registry import Device, Registry
from gis.hub import StateChannel
from rules.transitions import Condition, rank
from stream.records import RETOLD, EventBody, ObsBatch

SCHEMA = ("id", "ver", "lon_e6", "lat_e6", "kind", "name", "status", "colour", "t_us", "stale_s", "values")
NO_DATA_INTERVALS = 3  # contract.md section 2: no data after 3 intervals
DEFAULT_INTERVAL_S = 60.0
CANARY = "canary"  # our own probe: on no map
LIFE_SIGNS = frozenset({"device_event", "device_attr", "cmd_reply"})
ABSENCE_RULE = "device.absence"


class DeviceLive(msgspec.Struct, kw_only=True):
    """What was last heard from one device. `seen_us` is log time; `latest` is property -> [value, quality, t_us]."""

    seen_us: int = 0
    offline: bool = False  # it said so itself, or the broker did by its last will
    latest: dict[str, list[Any]] = {}


class _Unsettled:
    """The newest row of each datastream of the batches since the last `drained`, in columns by datastream."""

    def __init__(self) -> None:
        self._time_us = np.zeros(0, np.int64)
        self._result = np.zeros(0)
        self._quality = np.zeros(0, np.uint8)
        self._at_us = np.zeros(0, np.int64)
        self._there = np.zeros(0, np.bool_)
        self._texts: dict[int, str] = {}
        self._any = False

    def __bool__(self) -> bool:
        return self._any

    def take(self, batch: ObsBatch, at_us: int) -> None:
        """Of two rows of one time the later one counts."""
        if not len(batch):
            return
        stream, time_us = batch.numpy("datastream").astype(np.int64), batch.numpy("phenomenon_us")
        self._reach(int(stream.max()))
        rows = np.argsort(time_us, kind="stable")
        rows = rows[~self._there[stream[rows]] | (time_us[rows] >= self._time_us[stream[rows]])]
        at = stream[rows]  # where one repeats, NumPy keeps the last
        self._time_us[at], self._result[at] = time_us[rows], batch.numpy("result")[rows]
        self._quality[at] = batch.numpy("quality")[rows]
        self._there[stream] = True
        self._at_us[stream[(batch.numpy("source") & RETOLD) == 0]] = at_us  # the rest a person put in: nobody was heard
        self._any = True
        texts = batch.column("text")
        if texts.null_count < len(batch):
            words = texts.to_pylist()
            self._texts |= {int(stream[row]): words[row] for row in rows.tolist() if words[row] is not None}

    def drained(self, only: Sequence[int] | None = None) -> Iterator[tuple[int, int, float | str, int, int]]:
        """(datastream, phenomenon time, value, quality, log time at which it was heard, 0: it was not); of all series or some."""
        if only is None:
            numbers = np.flatnonzero(self._there)
        else:
            numbers = np.array([one for one in only if one < len(self._there) and self._there[one]], np.int64)
        columns = [column[numbers].tolist() for column in (self._time_us, self._result, self._quality, self._at_us)]
        self._there[numbers], self._at_us[numbers] = False, 0
        self._any = self._any and only is not None
        for number, time_us, result, quality, at_us in zip(numbers.tolist(), *columns, strict=True):
            yield number, time_us, self._texts.pop(number, result), quality, at_us

    def _reach(self, top: int) -> None:
        if top < len(self._there):
            return
        more = max(top + 1, 2 * len(self._there)) - len(self._there)
        for name in ("_time_us", "_result", "_quality", "_at_us", "_there"):
            column = getattr(self, name)
            setattr(self, name, np.concatenate([column, np.zeros(more, column.dtype)]))


class DeviceBoard:
    """Status of every registered device; `channel` is `obj/device`."""

    def __init__(self, registry: Registry, channel: StateChannel) -> None:
        self.registry, self.channel = registry, channel
        self.live: dict[str, DeviceLive] = {}  # see `settle`
        self._unsettled = _Unsettled()
        self.now_us = 0  # log time
        self.quiet_from_us = 0  # our own downtime is not the devices' silence
        self._colours: dict[str, dict[str, str]] = {}  # device -> firing alarm -> colour
        self._absent: dict[str, set[str]] = {}  # device -> alarms that say it is silent
        self._dirty: set[str] = set()
        self._status: dict[str, str] = {}
        self._stale_s: dict[str, float] = {}

    # -- what happened ---------------------------------------------------------------------------------------------

    def observations(self, batch: ObsBatch, at_us: int) -> None:
        """A batch: the newest value per property by phenomenon time. Rows of unknown datastreams are skipped."""
        self._unsettled.take(batch, at_us)

    def settle(self, device_id: str | None = None) -> None:
        """What the batches brought goes to the devices, or to one: a series that reported ten times meanwhile counts once. Whatever asks for
        a device does this first."""
        if not self._unsettled:
            return
        one = None if device_id is None else [s.datastream for s in self.registry.datastreams_of(device_id)]
        for number, time_us, value, quality, at_us in self._unsettled.drained(one):
            stream = self.registry.datastreams.get(number)
            if stream is None:
                continue
            device = self._heard(stream.device_id, at_us) if at_us else self._live(stream.device_id)
            known = device.latest.get(stream.property)
            if known is None or known[2] <= time_us:
                device.latest[stream.property] = [value, quality, time_us]

    def event(self, body: EventBody, at_us: int) -> None:
        if body.device_id not in self.registry.devices or body.retold:
            return
        self.settle(body.device_id)
        if body.type == "device_state":
            device = self._heard(body.device_id, at_us)
            device.offline = not body.data.get("online", False)
        elif body.type in LIFE_SIGNS:
            self._heard(body.device_id, at_us)

    def _heard(self, device_id: str, at_us: int) -> DeviceLive:
        device = self._live(device_id)
        device.seen_us = max(device.seen_us, at_us)
        device.offline = False
        return device

    def _live(self, device_id: str) -> DeviceLive:
        """To be changed by the caller, and so to be shown anew."""
        device = self.live.get(device_id)
        if device is None:
            device = self.live[device_id] = DeviceLive()
        self._dirty.add(device_id)
        return device

    def alarm(self, condition: Condition) -> None:
        """Colour and silence that an alarm means for its devices."""
        last = condition.last
        for device_id in last.device_ids:
            colours = self._colours.setdefault(device_id, {})
            absent = self._absent.setdefault(device_id, set())
            colours.pop(condition.alarm_id, None)
            absent.discard(condition.alarm_id)
            if condition.firing:
                colours[condition.alarm_id] = condition.colour
                if condition.no_data or last.rule_id == ABSENCE_RULE:
                    absent.add(condition.alarm_id)
            self._dirty.add(device_id)

    def registered(self, touched: Iterable[str] | None = None) -> None:
        """The registry has changed, for some devices or for all: rows follow it."""
        self.settle()
        about = list(touched) if touched is not None else [*self.live, *self.channel.rows, *self.registry.devices]
        for device_id in about:
            self._stale_s.pop(device_id, None)
            if device_id in self.registry.devices:
                self._dirty.add(device_id)
                continue
            self.live.pop(device_id, None)
            self._status.pop(device_id, None)
            if device_id in self.channel.rows:
                self.channel.remove(device_id, t_us=self.now_us)

    # -- what is shown ---------------------------------------------------------------------------------------------

    def status_of(self, device_id: str) -> str:
        """online, offline, no_data or unknown (never heard)."""
        self.settle(device_id)
        device = self.live.get(device_id)
        if device is None or not device.seen_us:
            return "no_data" if self._absent.get(device_id) else "unknown"
        if device.offline:
            return "offline"
        silent_us = self.now_us - max(device.seen_us, self.quiet_from_us)
        if self._absent.get(device_id) or silent_us > self.stale_s(device_id) * 1e6:
            return "no_data"
        return "online"

    def latest_of(self, device_id: str) -> Mapping[str, Sequence[Any]]:
        self.settle(device_id)
        device = self.live.get(device_id)
        return {} if device is None else dict(device.latest)

    def stale_s(self, device_id: str) -> float:
        """How long a device may be silent before its data count as missing."""
        found = self._stale_s.get(device_id)
        if found is None:
            device = self.registry.devices[device_id]
            streams = self.registry.datastreams_of(device_id)
            interval_s = device.interval_s or max((s.interval_s for s in streams), default=DEFAULT_INTERVAL_S)
            found = self._stale_s[device_id] = NO_DATA_INTERVALS * interval_s
        return found

    def colour_of(self, device_id: str) -> str:
        return max(self._colours.get(device_id, {}).values(), key=rank, default="")

    def sweep(self) -> None:
        """Find devices whose status changed only because time went on."""
        self.settle()
        for device_id in self.live:
            if device_id in self.registry.devices and self._status.get(device_id) != self.status_of(device_id):
                self._dirty.add(device_id)

    def flush(self) -> None:
        """Give the rows that changed to the hub."""
        self.settle()
        for device_id in self._dirty:
            device = self.registry.devices.get(device_id)
            if device is not None and device.kind != CANARY:
                self._put(device)
        self._dirty.clear()

    def _put(self, device: Device) -> None:
        live = self.live.get(device.device_id)
        latest = {} if live is None else live.latest
        status = self._status[device.device_id] = self.status_of(device.device_id)
        time_us = max((value[2] for value in latest.values()), default=0)
        self.channel.put(
            device.device_id,
            [
                device.kind,
                device.name,
                status,
                self.colour_of(device.device_id),
                time_us,
                self.stale_s(device.device_id),
                latest,
            ],
            t_us=self.now_us,
            lon=device.lon,
            lat=device.lat,
            owner=device.vendor,
            area=device.area,
        )

    def counts(self) -> dict[str, int]:
        """Of the rows that were shown so far. Asked twice a second: counted in C, not device by device."""
        found = dict.fromkeys(("online", "offline", "no_data", "unknown"), 0) | Counter(self._status.values())
        found["total"] = sum(found.values())
        return found
