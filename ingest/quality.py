"""Quality control of live values, by QARTOD's tests, one batch at a time for all series together.

Which tests a series has, with which limits, stands in its device's model (`devices.properties.QualitySpec`). A test can only worsen a flag, and
which test it was stands in the row's `source`; what a flag means for alarms is the rules' business: none ever suppresses a rise
(design.md section 2). Backfill and the values of a wrong clock get the tests that need no memory; the others judge a series in the order of its times, and what
does not come in that order is not judged by them.

Tests (QARTOD manuals of IOOS, streaming forms): user range and climatology by month; rate of change against the value before; flat line,
as the range within a window up to the newest value; attenuated signal, the same over two halves of a longer window; neighbour, against
the newest value of another series. The gross range is `ingest.values`. The spike test judges the value before the newest one, which
is logged by then: it is told as a note and not as a flag (`Spike`), in its differential form min(|d1|, |d2|) where the signs differ, which
does not take a step for a spike.

State is columns by series; a batch is taken in rounds, the k-th value of each series in round k, so that one batch or many give the same
flags. It goes over a restart of ingest by a snapshot (`dump`): what came after the last one is not known, and a flat line counts on.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from devices.models import DeviceModel
from devices.properties import QualitySpec
from devices.registry import Datastream, Registry
from stream.records import Quality, Source

SECOND_US = 1_000_000
CHINA_US = 8 * 3_600 * SECOND_US
GONE_US = -(1 << 62)
UNSEEN, UNTESTED = -2, -1
NEIGHBOURS = "neighbours"  # attribute of a device: {property: {device, limit}}
STEP_MIN_US = (
    60 * SECOND_US
)  # a change that a minute may bring is no rate, however soon it comes: waves, noise of the instrument
FRESH_INTERVALS = 2.0  # an older value of a neighbour says nothing

Numbers = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spike:
    """The value of a series at `phenomenon_us` stands out of those before and behind it by `by`, in the property's unit."""

    datastream: int
    phenomenon_us: int
    value: float
    by: float
    quality: Quality  # SUSPECT or FAIL


class QualityControl:
    """The tests of every series of a registry. Not thread-safe."""

    def __init__(self, registry: Registry, models: Mapping[str, DeviceModel]) -> None:
        self._registry, self._models = registry, models
        self._revision = -1
        self._slot = np.full(1, UNSEEN, np.int64)  # datastream -> row of the columns below
        self._row_of: dict[int, int] = {}  # of all that ever had tests: what is known of a series stays with it
        self._streams: list[int] = []
        self._state = np.zeros((0, len(_STATE)))
        self._times = np.zeros((0, len(_TIMES)), np.int64)
        self._told = np.zeros(0, np.bool_)  # whether a series has a neighbour or is one
        self._newest: dict[int, tuple[int, float]] = {}  # of those: time and value
        self._limits = {name: np.zeros(0) for name in (*_LIMITS, *_NEIGHBOUR)} | {
            "month_low": np.zeros((0, 12)),
            "month_high": np.zeros((0, 12)),
        }

    def control(
        self, datastream: Numbers, phenomenon_us: Numbers, source: Numbers, results: Numbers
    ) -> tuple[Numbers, Numbers, list[Spike]]:
        """For n rows in the order of arrival, (n,) int64 each and `results` (n,) float64, NaN where there is no number: the flag that the tests give
        to each, (n,) uint8, QARTOD, 1 where none finds anything; the bits of the tests that found something, (n,) int64; and spikes. Rows without a
        finite number, and those of series without tests, are 1 and 0."""
        flags = np.ones(len(datastream), np.uint8)
        found = np.zeros(len(datastream), np.int64)
        spikes: list[Spike] = []
        slots = self._slots(datastream)
        rows = np.flatnonzero(slots >= 0)
        if not len(rows):
            return flags, found, spikes
        values = np.asarray(results, np.float64)[rows]
        rows, values = rows[np.isfinite(values)], values[np.isfinite(values)]
        slots, times = slots[rows], phenomenon_us[rows]
        found[rows] |= self._without_memory(slots, times, values)
        # A wrong clock's values stand at their arrival, an array of them within microseconds: their times say nothing of a rate.
        steady = (source[rows] & (Source.LIVE | Source.CLOCK_FAULT)) == Source.LIVE
        rows, slots, times, values = rows[steady], slots[steady], times[steady], values[steady]
        found[rows] |= self._beside_neighbours(slots, times, values)
        for turn in _rounds(slots):
            at, t, x = slots[turn], times[turn], values[turn]
            newer = t > self._times[at, LAST]
            turn, at, t, x = turn[newer], at[newer], t[newer], x[newer]
            bits, failed, spiked = self._with_memory(at, t, x)
            found[rows[turn]] |= bits
            flags[rows[turn]] = np.where(failed, Quality.FAIL, flags[rows[turn]])
            spikes += spiked
        flags[(found != 0) & (flags == Quality.GOOD)] = Quality.SUSPECT
        return flags, found, spikes

    def _without_memory(self, slots: Numbers, times: Numbers, values: Numbers) -> Numbers:
        limits = self._limits
        outside = (values < limits["user_low"][slots]) | (values > limits["user_high"][slots])
        bits = np.where(outside, int(Source.USER_RANGE), 0)
        month = ((times + CHINA_US).astype("datetime64[us]").astype("datetime64[M]").astype(np.int64)) % 12
        strange = (values < limits["month_low"][slots, month]) | (values > limits["month_high"][slots, month])
        return np.asarray(bits | np.where(strange, int(Source.CLIMATOLOGY), 0), np.int64)

    def _with_memory(self, at: Numbers, t: Numbers, x: Numbers) -> tuple[Numbers, npt.NDArray[np.bool_], list[Spike]]:
        """One value each of distinct series, newer than what the series has. Bits, whether a test failed it, and spikes."""
        limits, state, times = self._limits, self._state, self._times
        known = times[at, LAST] != GONE_US
        last, before = state[at, VALUE], state[at, BEFORE]
        with np.errstate(invalid="ignore"):
            minutes = np.maximum(t - times[at, LAST], STEP_MIN_US) / (60.0 * SECOND_US)
            bits = np.where(known & (np.abs(x - last) > limits["rate"][at] * minutes), int(Source.RATE_OF_CHANGE), 0)
            spikes = self._spikes(at, x, last, before)
        # flat line: the run goes on while all of it fits into eps
        low, high = np.minimum(state[at, FLAT_LOW], x), np.maximum(state[at, FLAT_HIGH], x)
        goes_on = (
            known
            & (high - low <= limits["flat_eps"][at])
            & ~(np.abs(x - limits["flat_not_at"][at]) <= limits["flat_eps"][at])
        )
        state[at, FLAT_LOW], state[at, FLAT_HIGH] = np.where(goes_on, low, x), np.where(goes_on, high, x)
        times[at, FLAT_SINCE] = np.where(goes_on, times[at, FLAT_SINCE], t)
        flat_s = (t - times[at, FLAT_SINCE]) / SECOND_US
        bits |= np.where(flat_s >= limits["flat_suspect_s"][at], int(Source.FLAT_LINE), 0)
        failed = flat_s >= limits["flat_fail_s"][at]
        # attenuated: two halves of the window, the one before and the one under way
        half_us = limits["window_us"][at] / 2
        over = known & (t - times[at, HALF_SINCE] >= half_us)
        for old, now in ((OLD_LOW, NOW_LOW), (OLD_HIGH, NOW_HIGH)):
            state[at, old] = np.where(over, state[at, now], state[at, old])
        fresh = over | ~known
        state[at, NOW_LOW] = np.where(fresh, x, np.minimum(state[at, NOW_LOW], x))
        state[at, NOW_HIGH] = np.where(fresh, x, np.maximum(state[at, NOW_HIGH], x))
        times[at, HALVES] = np.where(~known, 0, times[at, HALVES] + over)
        times[at, HALF_SINCE] = np.where(fresh, t, times[at, HALF_SINCE])
        span = np.maximum(state[at, OLD_HIGH], state[at, NOW_HIGH]) - np.minimum(state[at, OLD_LOW], state[at, NOW_LOW])
        weak = (times[at, HALVES] >= 2) & (span < limits["window_range"][at])
        bits |= np.where(weak, int(Source.ATTENUATED), 0)
        state[at, BEFORE], state[at, VALUE] = last, x
        times[at, BEFORE_TIME], times[at, LAST] = times[at, LAST], t
        return np.asarray(bits, np.int64), np.asarray(failed, np.bool_), spikes

    def _beside_neighbours(self, slots: Numbers, times: Numbers, values: Numbers) -> Numbers:
        """Bits. Value by value in the order of arrival, since it is the neighbour's newest value that counts; few series have one."""
        bits = np.zeros(len(slots), np.int64)
        column = self._limits["neighbour"]
        for i in np.flatnonzero(self._told[slots]).tolist():
            row, t, x = int(slots[i]), int(times[i]), float(values[i])
            if t <= self._newest.get(row, (GONE_US, 0.0))[0]:
                continue
            self._newest[row] = (t, x)
            at, value = self._newest.get(int(column[row]), (GONE_US, 0.0))
            near = abs(t - at) <= self._limits["neighbour_us"][row]
            if near and abs(x - value) > self._limits["neighbour_limit"][row]:
                bits[i] = int(Source.NEIGHBOUR)
        return bits

    def _spikes(self, at: Numbers, x: Numbers, last: Numbers, before: Numbers) -> list[Spike]:
        up, down = last - before, x - last
        by = np.where(up * down < 0, np.minimum(np.abs(up), np.abs(down)), 0.0)
        which = np.flatnonzero((by > self._limits["spike_suspect"][at]) & (self._times[at, BEFORE_TIME] != GONE_US))
        return [
            Spike(
                datastream=self._streams[at[i]],
                phenomenon_us=int(self._times[at[i], LAST]),
                value=float(last[i]),
                by=float(by[i]),
                quality=Quality.FAIL if by[i] > self._limits["spike_fail"][at[i]] else Quality.SUSPECT,
            )
            for i in which.tolist()
        ]

    # -- over a restart

    def dump(self) -> bytes:
        """What is known of the series, for `restore`."""
        rows = len(self._streams)
        out = io.BytesIO()
        np.savez(out, streams=np.array(self._streams, np.int64), state=self._state[:rows], times=self._times[:rows])
        return out.getvalue()

    def restore(self, blob: bytes) -> None:
        """Take over what another process knew, before the first batch. Raises ValueError for what is not its form."""
        try:
            with np.load(io.BytesIO(blob), allow_pickle=False) as found:
                streams, state, times = (np.asarray(found[name]) for name in ("streams", "state", "times"))
        except (KeyError, IndexError, OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
            raise ValueError(f"state of the quality control: {error}") from error
        rows = len(streams)
        if state.shape != (rows, len(_STATE)) or times.shape != (rows, len(_TIMES)):
            raise ValueError(f"state of the quality control: expected {len(_STATE)} and {len(_TIMES)} columns")
        for number in streams.tolist():
            self._row_of[number] = self._new_row(number)
        self._state[:rows], self._times[:rows] = state, times

    # -- the register

    def _slots(self, datastream: Numbers) -> Numbers:
        """Rows of the columns, UNTESTED where a series has no tests. A series is looked up when it is first seen, and again after a
        change of the register."""
        if self._revision != self._registry.revision:
            self._revision = self._registry.revision
            self._slot[:] = UNSEEN
        top = int(datastream.max(initial=0))
        if top >= len(self._slot):
            grown = np.full(max(top + 1, 2 * len(self._slot)), UNSEEN, np.int64)
            grown[: len(self._slot)] = self._slot
            self._slot = grown
        slots = self._slot[datastream]
        if (slots == UNSEEN).any():
            for number in np.unique(datastream[slots == UNSEEN]).tolist():
                self._look_up(number)
            slots = self._slot[datastream]
        return np.asarray(slots, np.int64)

    def _look_up(self, number: int) -> int:
        """Make or renew the row of a series; UNTESTED: it has no tests."""
        self._slot[number] = UNTESTED
        stream = self._registry.datastreams.get(number)
        device = self._registry.devices.get(stream.device_id) if stream is not None else None
        if stream is None or device is None or stream.kind != "number":
            return UNTESTED
        model = self._models.get(device.model)
        known = model.properties.get(stream.property) if model is not None else None
        listed = device.attributes.get(NEIGHBOURS)
        beside = listed.get(stream.property) if isinstance(listed, Mapping) else None
        spec = known.quality if known is not None else None
        if spec is None and not isinstance(beside, Mapping):
            return UNTESTED
        row = self._row_of.get(number)
        if row is None:
            row = self._row_of[number] = self._new_row(number)
        self._slot[number] = row
        self._write(row, spec or QualitySpec(), stream, beside if isinstance(beside, Mapping) else {})
        return row

    def _new_row(self, number: int) -> int:
        row = len(self._streams)
        self._streams.append(number)
        if row >= len(self._state):
            more = max(64, len(self._state))
            self._state = np.concatenate([self._state, np.zeros((more, len(_STATE)))])
            gone = np.full((more, len(_TIMES)), GONE_US, np.int64)
            gone[:, HALVES] = 0
            self._times = np.concatenate([self._times, gone])
            self._told = np.concatenate([self._told, np.zeros(more, np.bool_)])
            for name, column in self._limits.items():
                self._limits[name] = np.concatenate([column, np.zeros((more, *column.shape[1:]))])
        return row

    def _write(self, row: int, spec: QualitySpec, stream: Datastream, beside: Mapping[str, Any]) -> None:
        limits = self._limits
        for name, read in _LIMITS.items():
            limits[name][row] = read(spec)
        bounds = np.array([_month(spec, month) for month in range(12)])
        limits["month_low"][row], limits["month_high"][row] = bounds[:, 0], bounds[:, 1]
        other = self._registry.datastream_of(str(beside.get("device", "")), stream.property) if beside else None
        there = UNTESTED
        if other is not None and other.datastream != stream.datastream:
            there = self._row_of.get(other.datastream, UNTESTED)
            if there == UNTESTED:
                self._slots(np.array([other.datastream]))
                there = self._row_of.get(other.datastream, UNTESTED)
        limits = self._limits  # looking up the neighbour may have made longer ones
        interval_s = max(stream.interval_s, other.interval_s) if other is not None else 0.0
        limits["neighbour"][row] = there
        if there != UNTESTED:
            self._told[[row, there]] = True
            for known in (row, there):  # what it said before it was a neighbour
                self._newest.setdefault(known, (int(self._times[known, LAST]), float(self._state[known, VALUE])))
        limits["neighbour_limit"][row] = float(beside.get("limit", math.inf))
        limits["neighbour_us"][row] = FRESH_INTERVALS * interval_s * SECOND_US


_STATE = VALUE, BEFORE, FLAT_LOW, FLAT_HIGH, OLD_LOW, OLD_HIGH, NOW_LOW, NOW_HIGH = range(8)
_TIMES = LAST, BEFORE_TIME, FLAT_SINCE, HALF_SINCE, HALVES = range(5)
_NEIGHBOUR = ("neighbour", "neighbour_limit", "neighbour_us")
_LIMITS: dict[str, Callable[[QualitySpec], float]] = {
    "user_low": lambda s: s.user_range[0] if s.user_range else -math.inf,
    "user_high": lambda s: s.user_range[1] if s.user_range else math.inf,
    "rate": lambda s: math.inf if s.rate_per_min is None else s.rate_per_min,
    "spike_suspect": lambda s: s.spike.suspect if s.spike else math.inf,
    "spike_fail": lambda s: s.spike.fail if s.spike else math.inf,
    "flat_eps": lambda s: s.flat.eps if s.flat else -1.0,
    "flat_suspect_s": lambda s: s.flat.suspect_s if s.flat else math.inf,
    "flat_fail_s": lambda s: s.flat.fail_s if s.flat else math.inf,
    "flat_not_at": lambda s: math.inf if s.flat is None or s.flat.not_at is None else s.flat.not_at,
    "window_us": lambda s: s.attenuated.window_s * SECOND_US if s.attenuated else math.inf,
    "window_range": lambda s: s.attenuated.min_range if s.attenuated else -math.inf,
}


def _month(spec: QualitySpec, month: int) -> tuple[float, float]:
    """Bounds of a month, 0 January; the first entry that names it holds."""
    return next((entry.range for entry in spec.climatology if month + 1 in entry.months), (-math.inf, math.inf))


def _rounds(slots: Numbers) -> list[Numbers]:
    """Indexes of the first value of each series, of the second, and so on."""
    order = np.argsort(slots, kind="stable")
    ordered = slots[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])) if len(ordered) else np.empty(0, np.int64)
    place = np.arange(len(ordered)) - np.repeat(starts, np.diff(np.append(starts, len(ordered))))
    if not len(place) or place.max() == 0:
        return [np.sort(order)]
    return [np.sort(order[place == turn]) for turn in range(int(place.max()) + 1)]
