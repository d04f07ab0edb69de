"""Observations as a file: each format gives back what was stored, page by page, and a spreadsheet is not made to reckon."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pyarrow.parquet as pq
import pytest

from command_center.observation_files import SCHEMA, FileFormat, pages, written
from devices.registry import Datastream

T0_US = 1_565_308_800_000_000
STREAMS = [
    Datastream(datastream=1, device_id="g1", property="stage_m", uom="m"),
    Datastream(datastream=2, device_id="g1", property="state_text", uom="", kind="text"),
    Datastream(datastream=3, device_id="g2", property="stage_m", uom="m"),
]


class Stored:
    """Rows by series; keeps what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int, int]] = []
        self.rows = {
            1: [self.row(n, result=n / 10) for n in range(7)],
            2: [self.row(0, text="=HYPERLINK(1)"), self.row(1, text="阀门\n开", device_us=T0_US - 5)],
            3: [],
        }

    @staticmethod
    def row(n: int, **fields: Any) -> dict[str, Any]:
        at_us = T0_US + n * 60_000_000 + 1
        plain = {"phenomenon_us": at_us, "receive_us": at_us + 2, "device_us": None, "result": None, "text": None}
        return plain | {"quality": 3 if n == 2 else 1, "source": 16_385} | fields

    async def observations(self, datastream: int, from_us: int, to_us: int, limit: int) -> Sequence[dict[str, Any]]:
        self.asked.append((datastream, from_us, limit))
        return [row for row in self.rows[datastream] if from_us <= row["phenomenon_us"] < to_us][:limit]


def exported(form: FileFormat, stored: Stored, page_rows: int = 3) -> bytes:
    async def collect() -> bytes:
        found = pages(stored, STREAMS, T0_US, T0_US + 3_600_000_000, page_rows)
        return b"".join([piece async for piece in written(found, form)])

    return asyncio.run(collect())


def wanted(stored: Stored) -> list[tuple[Any, ...]]:
    return [
        (s.device_id, s.property, s.datastream, row["phenomenon_us"], row["device_us"], row["result"], row["text"], row["quality"])
        for s in STREAMS
        for row in stored.rows[s.datastream]
    ]  # fmt: skip


def micros(text: str | None) -> int | None:
    if not text:
        return None
    at = datetime.fromisoformat(text)
    return int(at.timestamp()) * 1_000_000 + at.microsecond


def test_csv_gives_back_what_was_stored_and_no_formula() -> None:
    stored = Stored()
    raw = exported(FileFormat.CSV, stored)
    assert raw.startswith(b"\xef\xbb\xbfdevice_id,")
    rows = list(csv.DictReader(io.StringIO(raw.decode("utf-8-sig"), newline="")))
    assert list(rows[0]) == SCHEMA.names
    texts = [row["text"] for row in rows]
    assert "'=HYPERLINK(1)" in texts
    assert "阀门\n开" in texts
    assert [
        (r["device_id"], r["property"], int(r["datastream"]), micros(r["phenomenon_time"]), micros(r["device_time"]),
         float(r["result"]) if r["result"] else None, r["text"].removeprefix("'") or None, int(r["quality"]))
        for r in rows
    ] == wanted(stored)  # fmt: skip


def test_ndjson_gives_back_what_was_stored() -> None:
    stored = Stored()
    rows = [json.loads(line) for line in exported(FileFormat.NDJSON, stored).decode().splitlines()]
    assert [
        (r["device_id"], r["property"], r["datastream"], micros(r["phenomenon_time"]), micros(r["device_time"]),
         r["result"], r["text"], r["quality"])
        for r in rows
    ] == wanted(stored)  # fmt: skip


@pytest.mark.parametrize("page_rows", [1, 3, 7, 100])
def test_parquet_gives_back_what_was_stored_whatever_the_page(page_rows: int) -> None:
    stored = Stored()
    table = pq.read_table(io.BytesIO(exported(FileFormat.PARQUET, stored, page_rows)))
    assert table.schema.equals(SCHEMA)
    columns = {name: table.column(name).to_pylist() for name in SCHEMA.names}
    times = table.column("phenomenon_time").cast("int64").to_pylist()
    device = table.column("device_time").cast("int64").to_pylist()
    found = list(
        zip(
            columns["device_id"], columns["property"], columns["datastream"], times, device,
            columns["result"], columns["text"], columns["quality"], strict=True,
        )
    )  # fmt: skip
    assert found == wanted(stored)
    assert set(columns["source"]) == {16_385}


def test_no_page_asks_for_more_than_its_rows_and_each_begins_behind_the_last() -> None:
    stored = Stored()
    exported(FileFormat.CSV, stored)
    assert all(limit == 3 for _, _, limit in stored.asked)
    first = [from_us for number, from_us, _ in stored.asked if number == 1]
    assert first == [T0_US, T0_US + 2 * 60_000_000 + 2, T0_US + 5 * 60_000_000 + 2]


def test_nothing_stored_is_a_file_without_rows() -> None:
    stored = Stored()
    stored.rows = {1: [], 2: [], 3: []}
    assert exported(FileFormat.CSV, stored).decode("utf-8-sig").splitlines() == [",".join(SCHEMA.names)]
    assert exported(FileFormat.NDJSON, stored) == b""
    assert pq.read_table(io.BytesIO(exported(FileFormat.PARQUET, stored))).num_rows == 0
