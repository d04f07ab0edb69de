"""The columns of a batch in the making."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from ingest.clock_rule import Verdict
from ingest.dedupe import PacketKey, pack
from ingest.values import Checked
from stream.records import OBS_SCHEMA, NewRecord, ObsBatch, Quality, observations

ROWS_MAX = 1_000  # of one record; one large array becomes several

# Of one row, in the order of OBS_SCHEMA.
Row = tuple[int, int, int, int | None, int, float | None, str | None, int, int, int | None, int | None]
# What the rows of one plain sample share: partition, phenomenon and receive time, source, seq, packet id (0: none), and how many they are.
Head = tuple[int, int, int, int, int | None, int, int]
Columns = dict[str, pa.Array]


class Rows:
    """Observations of a batch (contract.md section 1): plain ones by column, the others row by row; each in the order of arrival."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._heads: list[Head] = []
        self._streams: list[int] = []
        self._results: list[float] = []

    def __len__(self) -> int:
        return len(self.rows) + self.plain_rows

    @property
    def plain_rows(self) -> int:
        """The first rows of `columns` are these."""
        return len(self._streams)

    def plain(self, head: Head, streams: Iterable[int], results: Iterable[float]) -> None:
        """Rows of one sample, good as they are."""
        self._heads.append(head)
        self._streams.extend(streams)
        self._results.extend(results)

    def add(
        self,
        *,
        partition: int,
        datastream: int,
        receive_us: int,
        verdict: Verdict,
        checked: Checked,
        seq: int | None,
        packet_id: int,
    ) -> None:
        self.rows.append(
            (
                partition,
                datastream,
                verdict.phenomenon_us,
                verdict.device_us,
                receive_us,
                checked.result,
                checked.text,
                checked.quality,
                int(verdict.source | checked.source),
                seq,
                packet_id or None,
            )
        )

    def columns(self) -> Columns:
        """By the names of OBS_SCHEMA; there are rows."""
        parts = [part for part in (self._plain_columns(), self._other_columns()) if part]
        return parts[0] if len(parts) == 1 else {name: pa.concat_arrays([p[name] for p in parts]) for name in parts[0]}

    def _plain_columns(self) -> Columns:
        if not self._streams:
            return {}
        *shared, counts = zip(*self._heads, strict=True)
        partition, phenomenon_us, receive_us, source, seq, packet_id = shared
        times = np.array(counts, np.int64)
        found = {
            "partition": np.repeat(np.array(partition, np.uint8), times),
            "datastream": np.array(self._streams, np.uint32),
            "phenomenon_us": np.repeat(np.array(phenomenon_us, np.int64), times),
            "receive_us": np.repeat(np.array(receive_us, np.int64), times),
            "result": np.array(self._results, np.float64),
            "quality": np.full(len(self._streams), Quality.GOOD, np.uint8),
            "source": np.repeat(np.array(source, np.uint16), times),
            "seq": _numbers_of(seq, times),
            "packet_id": np.repeat(np.array(packet_id, np.int64), times),
        }
        made: Columns = {}
        for field in OBS_SCHEMA:
            values: Any = found.get(field.name)
            if values is None:
                made[field.name] = pa.nulls(len(self._streams), field.type)
            elif field.name == "packet_id":
                made[field.name] = pa.array(values, field.type, mask=values == 0)
            elif field.name == "seq":
                made[field.name] = pa.array(values, field.type, mask=values < 0)
            else:
                made[field.name] = pa.array(values, field.type)
        return made

    def _other_columns(self) -> Columns:
        if not self.rows:
            return {}
        return {
            field.name: pa.array(values, field.type)
            for field, values in zip(OBS_SCHEMA, zip(*self.rows, strict=True), strict=True)
        }

    @staticmethod
    def records(columns: Columns, packets: list[PacketKey]) -> list[NewRecord]:
        """Observation records of at most ROWS_MAX rows; the packet keys travel with the last one, which makes them all durable."""
        batch = ObsBatch(pa.RecordBatch.from_arrays([columns[field.name] for field in OBS_SCHEMA], schema=OBS_SCHEMA))
        starts = range(0, len(batch), ROWS_MAX)
        return [
            observations(
                batch.slice(start, min(start + ROWS_MAX, len(batch))), pack(packets) if start == starts[-1] else None
            )
            for start in starts
        ]


def _numbers_of(seq: tuple[int | None, ...], times: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """-1 where there is none; most devices number either all of their samples or none."""
    return np.repeat(np.array([-1 if one is None else one for one in seq], np.int64), times)
