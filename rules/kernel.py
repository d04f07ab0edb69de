"""The vectorised part of the level rules: which rows of a batch cannot change any alarm, and taking those over at once.

Exact, not approximate: a row is *calm* when the scalar machine of `levels` would do nothing with it but remember it.
Every other row, and every row of a series that has one in the batch, goes through that machine in order. In quiet and in
steadily firing weather nearly all rows are calm, so the cost of a batch is a few gathers and compares per row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rules.context import HISTORY, NEVER, OUT_OF_RANGE
from stream.records import Quality

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
LEVELS = 4

# What an instance needs of a row to be calm.
PLAIN, BUSY, LOWERING = 0, 1, 2


class LevelColumns:
    """State and parameters of `level` instances, one row each. Values and thresholds are signed so that up is dangerous.

    on, off (4, n): thresholds by level, NaN where a colour is not used. lo, hi: inside [lo, hi) a value changes nothing at
    the present level. Times in microseconds: `last_p` phenomenon time; `last_at`, `timer_at` log time, the second
    moved by our own downtime; deadlines in log time, NEVER when not set; `up_since`, `dn_since` in phenomenon time.
    """

    FIELDS: dict[str, tuple[Any, Any, bool]] = {  # name -> dtype, initial value, by level
        "on": (np.float64, np.nan, True),
        "off": (np.float64, np.nan, True),
        "up_since": (np.int64, NEVER, True),
        "up_due": (np.int64, NEVER, True),
        "sign": (np.float64, 1.0, False),
        "on_delay": (np.int64, 0, False),
        "off_delay": (np.int64, 0, False),
        "max_gap": (np.int64, 0, False),
        "no_data_after": (np.int64, 0, False),
        "excluded_until": (np.int64, 0, False),
        "datastream": (np.int64, -1, False),
        "level": (np.int8, 0, False),
        "mode": (np.int8, PLAIN, False),
        "no_data": (np.bool_, False, False),
        "lo": (np.float64, -np.inf, False),
        "hi": (np.float64, np.inf, False),
        "last_p": (np.int64, -NEVER, False),
        "last_v": (np.float64, np.nan, False),
        "last_q": (np.uint8, 0, False),
        "last_src": (np.uint16, 0, False),
        "last_pos": (np.int64, -1, False),
        "last_at": (np.int64, 0, False),
        "timer_at": (np.int64, 0, False),
        "dn_since": (np.int64, NEVER, False),
        "dn_due": (np.int64, NEVER, False),
        "settle_from": (np.int64, NEVER, False),
        "settle_due": (np.int64, NEVER, False),
        "history_level": (np.int8, 0, False),
        "history_p": (np.int64, -NEVER, False),
        "due": (np.int64, NEVER, False),
    }

    on: F64
    off: F64
    up_since: I64
    up_due: I64
    sign: F64
    on_delay: I64
    off_delay: I64
    max_gap: I64
    no_data_after: I64
    excluded_until: I64
    datastream: I64
    level: npt.NDArray[np.int8]
    mode: npt.NDArray[np.int8]
    no_data: npt.NDArray[np.bool_]
    lo: F64
    hi: F64
    last_p: I64
    last_v: F64
    last_q: npt.NDArray[np.uint8]
    last_src: npt.NDArray[np.uint16]
    last_pos: I64
    last_at: I64
    timer_at: I64
    dn_since: I64
    dn_due: I64
    settle_from: I64
    settle_due: I64
    history_level: npt.NDArray[np.int8]
    history_p: I64
    due: I64

    def __init__(self) -> None:
        self.size = 0
        for name, (dtype, _, by_level) in self.FIELDS.items():
            setattr(self, name, np.empty((LEVELS, 0) if by_level else 0, dtype))
        self._winner = np.empty(0, np.int64)  # scratch: the last row of each instance in the batch
        self._busy = np.empty(0, np.bool_)  # scratch: instances with a row that is not calm

    def grow(self, count: int) -> None:
        for name, (dtype, initial, by_level) in self.FIELDS.items():
            fresh = np.full((LEVELS, count) if by_level else count, initial, dtype)
            setattr(self, name, np.concatenate([getattr(self, name), fresh], axis=-1))
        self.size += count
        self._winner = np.zeros(self.size, np.int64)
        self._busy = np.zeros(self.size, np.bool_)

    def dump(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.FIELDS}

    def load(self, data: dict[str, Any]) -> None:
        for name in self.FIELDS:
            setattr(self, name, data[name])
        self.size = len(self.level)
        self._winner = np.zeros(self.size, np.int64)
        self._busy = np.zeros(self.size, np.bool_)

    def take_calm(
        self,
        i: npt.NDArray[np.int32],
        phenomenon_us: I64,
        result: F64,
        quality: npt.NDArray[np.uint8],
        source: npt.NDArray[np.uint16],
        position: int,
        at_us: int,
    ) -> npt.NDArray[np.intp]:
        """Take over the calm rows; return the numbers of the others, in order, for the scalar machine.

        i: instance of each row (n,), repeats allowed; phenomenon_us (n,) int64; result (n,) float64 in the property's uom;
        quality (n,) QARTOD; source (n,) bits. A NaN result is never calm. The outcome does not depend on how rows are cut
        into batches, as long as those with one log time keep it.
        """
        x = result * self.sign[i]
        calm = x < self.hi[i]
        mode = self.mode[i]
        above = x > self.lo[i]
        lowering = mode == LOWERING
        calm &= above ^ lowering
        calm &= mode != BUSY
        calm &= phenomenon_us > self.last_p[i]
        calm &= quality < Quality.FAIL
        calm &= (source & (HISTORY | OUT_OF_RANGE)) == 0
        if lowering.any():
            calm &= ~lowering | self._steadily_lowering(i, phenomenon_us, at_us)
        # A series with several rows is calm only as a whole, and in strictly rising phenomenon time.
        number = np.arange(len(i))
        self._winner[i] = number  # NumPy assigns in order: the last row of an instance wins
        last = self._winner[i]
        repeated = last != number
        if repeated.any():
            calm &= ~repeated | (phenomenon_us < phenomenon_us[last])
            calm = self._whole_series(i, calm, phenomenon_us, repeated)
        elif calm.all():
            self._remember(i, phenomenon_us, result, quality, source, position, at_us)
            return np.empty(0, np.intp)
        rest = np.flatnonzero(~calm)
        keep = calm & ~repeated
        self._remember(i[keep], phenomenon_us[keep], result[keep], quality[keep], source[keep], position, at_us)
        return rest

    def still_due(self, i: npt.NDArray[np.intp], now_us: int) -> npt.NDArray[np.intp]:
        """Of the instances whose `due` is reached, those where something is; the rest get their true one.

        Calm rows move `timer_at` and leave `due` a lower bound, so most of what falls due is a NO_DATA that did not happen.
        """
        firing = (self.level[i] > 0) & ~self.no_data[i]
        true = np.minimum(np.where(firing, self.timer_at[i] + self.no_data_after[i], NEVER), self.dn_due[i])
        later = (self.mode[i] != BUSY) & (true > now_us)
        self.due[i[later]] = true[later]
        return np.asarray(i[~later])

    def _steadily_lowering(self, i: npt.NDArray[np.int32], phenomenon_us: I64, at_us: int) -> npt.NDArray[np.bool_]:
        """Rows that leave a running off-delay as it is: not yet through, and no gap that would freeze it."""
        gap = self.max_gap[i]
        steady = phenomenon_us < self.dn_since[i] + self.off_delay[i]
        steady &= at_us - self.timer_at[i] <= gap
        steady &= phenomenon_us - self.last_p[i] <= gap
        return np.asarray(steady)

    def _whole_series(
        self,
        i: npt.NDArray[np.int32],
        calm: npt.NDArray[np.bool_],
        phenomenon_us: I64,
        repeated: npt.NDArray[np.bool_],
    ) -> npt.NDArray[np.bool_]:
        """Withdraw calm from every row of an instance that has one busy row, or whose rows are not in rising order."""
        busy = self._busy
        busy[i[~calm]] = True
        # Three rows or more of one instance: the pairwise check against the last row does not order the earlier ones.
        early = np.flatnonzero(repeated)
        rows = i[early]
        order = np.argsort(rows, kind="stable")
        same = rows[order][1:] == rows[order][:-1]
        times = phenomenon_us[early][order]
        busy[rows[order][1:][same & (times[1:] <= times[:-1])]] = True
        calm = calm & ~busy[i]
        busy[i] = False
        return calm

    def _remember(
        self,
        i: npt.NDArray[np.int32],
        phenomenon_us: I64,
        result: F64,
        quality: npt.NDArray[np.uint8],
        source: npt.NDArray[np.uint16],
        position: int,
        at_us: int,
    ) -> None:
        self.last_p[i] = phenomenon_us
        self.last_v[i] = result
        self.last_q[i] = quality
        self.last_src[i] = source
        self.last_pos[i] = position
        self.last_at[i] = at_us
        self.timer_at[i] = at_us
