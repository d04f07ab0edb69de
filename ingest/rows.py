"""The columns of a batch in the making."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ingest.clock_rule import Verdict
from ingest.dedupe import PacketKey, pack
from ingest.values import Checked
from stream.records import NewRecord, ObsBatch, observations

ROWS_MAX = 1_000  # of one record; one large array becomes several


@dataclass(slots=True)
class Rows:
    """Observations by column (contract.md section 1)."""

    columns: dict[str, list[Any]] = field(
        default_factory=lambda: {
            name: []
            for name in (
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
        }
    )

    def __len__(self) -> int:
        return len(self.columns["datastream"])

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
        columns = self.columns
        columns["partition"].append(partition)
        columns["datastream"].append(datastream)
        columns["phenomenon_us"].append(verdict.phenomenon_us)
        columns["device_us"].append(verdict.device_us)
        columns["receive_us"].append(receive_us)
        columns["result"].append(checked.result)
        columns["text"].append(checked.text)
        columns["quality"].append(checked.quality)
        columns["source"].append(int(verdict.source | checked.source))
        columns["seq"].append(seq)
        columns["packet_id"].append(packet_id or None)

    def records(self, packets: list[PacketKey]) -> list[NewRecord]:
        """Observation records of at most ROWS_MAX rows; the packet keys travel with the last one, which makes them all durable."""
        if not len(self):
            return []
        batch = ObsBatch.from_columns(self.columns)
        starts = range(0, len(batch), ROWS_MAX)
        return [
            observations(
                batch.slice(start, min(start + ROWS_MAX, len(batch))), pack(packets) if start == starts[-1] else None
            )
            for start in starts
        ]
