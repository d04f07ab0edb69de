"""The columns of a batch in the making."""

from __future__ import annotations

from typing import Any

from ingest.clock_rule import Verdict
from ingest.dedupe import PacketKey, pack
from ingest.values import Checked
from stream.records import NewRecord, ObsBatch, observations

ROWS_MAX = 1_000  # of one record; one large array becomes several


# In this order a row is a tuple.
COLUMNS = (
    "partition",
    "datastream",
    "phenomenon_us",
    "device_us",
    "receive_us",
    "result",
    "text",
    "quality",
    "source",
    "seq",
    "packet_id",
)
Row = tuple[int, int, int, int | None, int, float | None, str | None, int, int, int | None, int | None]


class Rows:
    """Observations of a batch in the order of arrival (contract.md section 1)."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def __len__(self) -> int:
        return len(self.rows)

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

    def columns(self) -> dict[str, Any]:
        """By the names of COLUMNS; there are rows."""
        return dict(zip(COLUMNS, zip(*self.rows, strict=True), strict=True))

    @staticmethod
    def records(columns: dict[str, Any], packets: list[PacketKey]) -> list[NewRecord]:
        """Observation records of at most ROWS_MAX rows; the packet keys travel with the last one, which makes them all durable."""
        batch = ObsBatch.from_columns(columns)
        starts = range(0, len(batch), ROWS_MAX)
        return [
            observations(
                batch.slice(start, min(start + ROWS_MAX, len(batch))), pack(packets) if start == starts[-1] else None
            )
            for start in starts
        ]
