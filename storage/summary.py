"""What rows add to each series: its newest value, and counts. Gathered over several transactions and written once.

A transaction that wrote both for every series that spoke in it would spend more on them than on the rows (`make bench NAME=storage_copy`). So
the writer keeps a `Summary` in memory and a cursor of its own that says how far the database has it; what lies between that and the rows' cursor
is reckoned again from the log after a restart. Counts are sums and the newest value is the first of the largest effective time, so it does not
matter how rows were cut; the clock offset is that of the newest live value of the last stretch, and a sample of what the device's clock does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from storage import packing
from stream.records import Quality, Source

Numbers = npt.NDArray[Any]
NEVER = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """n rows, (n,) each, times in microseconds since 1970; `*_null` say where there is nothing."""

    datastream: Numbers
    phenomenon: Numbers
    receive: Numbers
    effective: Numbers
    quality: Numbers
    source: Numbers
    device: Numbers
    device_null: npt.NDArray[np.bool_]
    result: Numbers
    result_null: npt.NDArray[np.bool_]
    text: list[str | None] | None

    def __len__(self) -> int:
        return len(self.datastream)

    def taken(self, rows: npt.NDArray[np.intp]) -> Observed:
        """These rows."""
        columns = {name: getattr(self, name)[rows] for name in _COLUMNS}
        text = self.text
        return Observed(**columns, text=None if text is None else [text[row] for row in rows.tolist()])

    def after(self, other: Observed) -> Observed:
        """The newest row of each series when these came after those of `other`."""
        columns = {name: np.concatenate([getattr(other, name), getattr(self, name)]) for name in _COLUMNS}
        text = None
        if self.text is not None or other.text is not None:
            text = [*(other.text or [None] * len(other)), *(self.text or [None] * len(self))]
        both = Observed(**columns, text=text)
        return both.taken(
            np.flatnonzero(newest_of(both.datastream, both.effective, np.ones(len(both), dtype=np.bool_)))
        )

    def incoming(
        self,
        *,
        newest: npt.NDArray[np.bool_],
        outlier: npt.NDArray[np.bool_],
        clock_fault: npt.NDArray[np.bool_],
        seq: Numbers,
        seq_null: npt.NDArray[np.bool_],
    ) -> list[packing.Column]:
        """The table `incoming`, in its order, but for the text at the end; the marks of each row, (n,) each."""
        return [
            packing.int4(np.arange(len(self))),
            packing.int4(self.datastream),
            packing.timestamptz(self.phenomenon),
            packing.timestamptz(self.receive),
            packing.timestamptz(self.effective),
            packing.int2(self.quality),
            packing.int4(self.source),
            packing.boolean(newest),
            packing.boolean(outlier),
            packing.boolean(clock_fault),
            packing.timestamptz(self.device, self.device_null),
            packing.float8(self.result, self.result_null),
            packing.int8(seq, seq_null),
        ]

    def packed(self) -> bytes:
        """Rows for `copy_incoming`, each the newest of its series."""
        yes, no = np.ones(len(self), dtype=np.bool_), np.zeros(len(self), dtype=np.bool_)
        unnumbered = np.zeros(len(self), np.int64)
        columns = self.incoming(newest=yes, outlier=no, clock_fault=no, seq=unnumbered, seq_null=yes)
        return packing.pack(columns, self.text)


_COLUMNS = tuple(name for name in Observed.__dataclass_fields__ if name != "text")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What arrived of each of n series, (n,) each. `offset`: the clock offset of its newest live value, us; `silent` where there is none."""

    datastream: Numbers
    received: Numbers
    flagged: Numbers
    backfilled: Numbers
    last_receive: Numbers
    offset: Numbers
    silent: npt.NDArray[np.bool_]

    def after(self, other: Counts) -> Counts:
        """Of the rows of `other` and then of these."""
        series, at = np.unique(np.concatenate([other.datastream, self.datastream]), return_inverse=True)

        def total(name: str) -> Numbers:
            found = np.zeros(len(series), np.int64)
            np.add.at(found, at, np.concatenate([getattr(other, name), getattr(self, name)]))
            return found

        last = np.full(len(series), NEVER)
        np.maximum.at(last, at, np.concatenate([other.last_receive, self.last_receive]))
        told = np.flatnonzero(~np.concatenate([other.silent, self.silent]))  # in their order: the later one stands
        offset, silent = np.zeros(len(series), np.int64), np.ones(len(series), dtype=np.bool_)
        offset[at[told]], silent[at[told]] = np.concatenate([other.offset, self.offset])[told], False
        return Counts(
            datastream=series,
            received=total("received"),
            flagged=total("flagged"),
            backfilled=total("backfilled"),
            last_receive=last,
            offset=offset,
            silent=silent,
        )

    def packed(self) -> bytes:
        """Rows for `copy_counted`."""
        return packing.pack_fixed(
            [
                packing.int4(self.datastream),
                packing.int8(self.received),
                packing.int8(self.flagged),
                packing.int8(self.backfilled),
                packing.timestamptz(self.last_receive),
                packing.int8(self.offset, self.silent),
            ]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Newest values and counts of the rows of a stretch of the log."""

    newest: Observed
    counts: Counts

    def __len__(self) -> int:
        return len(self.counts.datastream)

    def after(self, other: Summary | None) -> Summary:
        """Of the rows of `other` and then of these."""
        if other is None:
            return self
        return Summary(newest=self.newest.after(other.newest), counts=self.counts.after(other.counts))


def counts_of(
    datastream: Numbers,
    quality: Numbers,
    source: Numbers,
    receive: Numbers,
    offset: Numbers,
    newest: npt.NDArray[np.bool_],
) -> Counts:
    """Of rows without a wrong clock, (m,) each: the same reckoning as the statement `count_received`."""
    series, at = np.unique(datastream, return_inverse=True)
    last = np.full(len(series), NEVER)
    np.maximum.at(last, at, receive)
    told = np.flatnonzero(newest & ((source & Source.LIVE) != 0))  # at most one row of a series
    offsets, silent = np.zeros(len(series), np.int64), np.ones(len(series), dtype=np.bool_)
    offsets[at[told]], silent[at[told]] = offset[told], False

    def count(which: npt.NDArray[Any]) -> Numbers:
        return np.bincount(at[which], minlength=len(series))

    return Counts(
        datastream=series,
        received=count(np.ones(len(datastream), dtype=np.bool_)),
        flagged=count(quality > Quality.NOT_EVALUATED),
        backfilled=count((source & Source.BACKFILL) != 0),
        last_receive=last,
        offset=offsets,
        silent=silent,
    )


def newest_of(datastream: Numbers, effective: Numbers, eligible: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Marks, for each series, its eligible row with the largest effective time; of equals the first. (m,) each."""
    rows = np.flatnonzero(eligible)
    mark = np.zeros(len(datastream), dtype=np.bool_)
    if len(rows) == 0:
        return mark
    order = rows[np.lexsort((-rows, effective[rows], datastream[rows]))]
    last = np.append(datastream[order][1:] != datastream[order][:-1], True)
    mark[order[last]] = True
    return mark
