"""What stands in the log: record kinds, their bodies, and the columnar batch of observations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

SCHEMA_VERSION = 1
_ON_THIS_THREAD = pa.ipc.IpcReadOptions(use_threads=False)  # a fifth of the cost for a batch of 1,000 rows


class RecordKind(IntEnum):
    OBS = 1
    EVENT = 2
    TICK = 3
    CONTROL = 4
    RESUME = 5
    TRANSITION = 6


class Source(IntFlag):
    """Where a row came from and what is special about it (the u16 column `source`)."""

    LIVE = 1
    BACKFILL = 2
    IMPORT = 4
    REPLAY = 8
    CLOCK_FAULT = 16
    OVER_RANGE = 32
    UNDER_RANGE = 64
    CRC_ALTERNATIVE = 128
    LATE = 256
    # which test of the quality control found something (ingest/quality.py)
    USER_RANGE = 512
    RATE_OF_CHANGE = 1024
    FLAT_LINE = 2048
    CLIMATOLOGY = 4096
    ATTENUATED = 8192
    NEIGHBOUR = 16384


# Put in by a person (dead letters replayed, history imported): the past, and no sign that the device is there.
RETOLD = int(Source.REPLAY | Source.IMPORT)


class Quality(IntEnum):
    """QARTOD flags."""

    GOOD = 1
    NOT_EVALUATED = 2
    SUSPECT = 3
    FAIL = 4
    MISSING = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One durable record. `position` is opaque to readers except for order within one log."""

    position: int
    at_us: int  # append time in city microseconds, strictly increasing
    kind: RecordKind
    version: int
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRecord:
    """A record to append. `key` makes the append idempotent within the log's tail."""

    kind: RecordKind
    body: bytes
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    position: int
    at_us: int
    duplicate: bool = False  # the key was there already: this is its old position


class ControlBody(msgspec.Struct, frozen=True, kw_only=True):
    """Every other thing that changes an outcome; acts at its position in the log."""

    id: str
    type: str
    actor: str
    data: dict[str, Any]


class EventBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A device's own event, a state change, a dead letter, or a refusal that we counted."""

    type: str  # device_event, device_state, device_attr, cmd_reply, dead_letter, dead_letter_replayed, refusal, ingest_note
    device_id: str
    receive_us: int
    phenomenon_us: int | None = None
    id: str = ""
    data: dict[str, Any] = {}
    retold: bool = False  # put in again by a person, as rows with a bit of RETOLD are


class ResumeBody(msgspec.Struct, frozen=True, kw_only=True):
    """Our own downtime: absence and duration timers are frozen over it."""

    from_us: int
    to_us: int


OBS_SCHEMA = pa.schema(
    [
        pa.field("partition", pa.uint8(), nullable=False),
        pa.field("datastream", pa.uint32(), nullable=False),
        pa.field("phenomenon_us", pa.int64(), nullable=False),
        pa.field("device_us", pa.int64()),
        pa.field("receive_us", pa.int64(), nullable=False),
        pa.field("result", pa.float64()),
        pa.field("text", pa.utf8()),
        pa.field("quality", pa.uint8(), nullable=False),
        pa.field("source", pa.uint16(), nullable=False),
        pa.field("seq", pa.uint32()),
        pa.field("packet_id", pa.uint16()),
    ]
)


@dataclass(frozen=True, slots=True)
class ObsBatch:
    """Observations as an Arrow record batch of OBS_SCHEMA, with NumPy views of the hot columns.

    `result` of a text row is NaN in the view (null in Arrow); NaN never means missing: a missing value has no row.
    """

    table: pa.RecordBatch

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @classmethod
    def from_columns(cls, columns: dict[str, Any]) -> ObsBatch:
        """Build from lists or arrays by column name; columns that are left out and nullable become null."""
        rows = len(columns["datastream"])
        arrays = []
        for field in OBS_SCHEMA:
            values = columns.get(field.name)
            if values is None:
                if not field.nullable:
                    raise ValueError(f"column {field.name} is required")
                arrays.append(pa.nulls(rows, field.type))
            else:
                arrays.append(pa.array(values, type=field.type))
        return cls(pa.RecordBatch.from_arrays(arrays, schema=OBS_SCHEMA))

    @classmethod
    def joined(cls, batches: Sequence[ObsBatch]) -> ObsBatch | None:
        """All rows in order; None where there are none."""
        tables = [batch.table for batch in batches if len(batch)]
        if len(tables) < 2:
            return cls(tables[0]) if tables else None
        return cls(pa.Table.from_batches(tables, schema=OBS_SCHEMA).combine_chunks().to_batches()[0])

    def column(self, name: str) -> pa.Array:
        return self.table.column(name)

    def numpy(self, name: str) -> npt.NDArray[Any]:
        """The column as NumPy; nulls of integer columns become 0, of `result` NaN. Use `column` to see nulls."""
        array = self.column(name)
        if array.null_count:
            array = array.fill_null(float("nan") if pa.types.is_floating(array.type) else 0)
        return np.asarray(array.to_numpy(zero_copy_only=False))

    def slice(self, start: int, stop: int) -> ObsBatch:
        return ObsBatch(self.table.slice(start, stop - start))

    def encode(self, metadata: Mapping[bytes, bytes] | None = None) -> bytes:
        """Arrow IPC stream, LZ4. `metadata` travels with the batch and is read by `metadata_of`."""
        sink = pa.BufferOutputStream()
        options = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)  # Arrow's threads cost more than they do
        with pa.ipc.new_stream(sink, OBS_SCHEMA, options=options) as writer:
            writer.write_batch(self.table, custom_metadata=dict(metadata) if metadata else None)
        return bytes(sink.getvalue().to_pybytes())

    @classmethod
    def decode(cls, body: bytes) -> ObsBatch:
        with pa.ipc.open_stream(body, options=_ON_THIS_THREAD) as reader:
            batches = list(reader)
        if len(batches) == 1:
            return cls(batches[0])
        return cls(pa.Table.from_batches(batches, schema=OBS_SCHEMA).combine_chunks().to_batches()[0])


_encoder = msgspec.json.Encoder()
_control = msgspec.json.Decoder(ControlBody)
_event = msgspec.json.Decoder(EventBody)
_resume = msgspec.json.Decoder(ResumeBody)


def control(body: ControlBody, *, key: str | None = None) -> NewRecord:
    return NewRecord(kind=RecordKind.CONTROL, body=_encoder.encode(body), key=key or f"c:{body.id}")


def event(body: EventBody, *, key: str | None = None) -> NewRecord:
    return NewRecord(kind=RecordKind.EVENT, body=_encoder.encode(body), key=key)


def resume(from_us: int, to_us: int) -> NewRecord:
    return NewRecord(kind=RecordKind.RESUME, body=_encoder.encode(ResumeBody(from_us=from_us, to_us=to_us)))


def observations(batch: ObsBatch, metadata: Mapping[bytes, bytes] | None = None) -> NewRecord:
    return NewRecord(kind=RecordKind.OBS, body=batch.encode(metadata))


def metadata_of(record: Record) -> dict[bytes, bytes]:
    """What the writer of an OBS record sent along with it (ingest: which MQTT packets it holds); {} where nothing."""
    with pa.ipc.open_stream(record.body, options=_ON_THIS_THREAD) as reader:
        metadata = reader.read_next_batch_with_custom_metadata().custom_metadata
        return dict(metadata.items()) if metadata is not None else {}


TICK = NewRecord(kind=RecordKind.TICK, body=b"{}")


def as_control(record: Record) -> ControlBody:
    return _control.decode(record.body)


def as_control_body(body: bytes) -> ControlBody:
    """As `as_control`, for a body that is not in the log yet."""
    return _control.decode(body)


def as_event(record: Record) -> EventBody:
    return _event.decode(record.body)


def as_resume(record: Record) -> ResumeBody:
    return _resume.decode(record.body)


def as_batch(record: Record) -> ObsBatch:
    return ObsBatch.decode(record.body)
