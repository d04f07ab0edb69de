"""What a stretch of the log means for the database, as plain data: rows to copy and events to write. No I/O, no clock.

Time comes from the records: whether a phenomenon time is an outlier is judged against the record's own append time, so
that storing a stretch today or next week gives the same tables.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from storage import packing
from storage.rollups import HOUR_US, Touched
from storage.summary import Observed, Summary, counts_of, newest_of
from storage.times import opt_time, to_time
from stream.records import EventBody, Record, RecordKind, ResumeBody, Source, as_batch, as_event, as_resume

WEEK_US = 7 * 86_400 * 1_000_000
AHEAD_US = 86_400 * 1_000_000  # contract.md section 1: phenomenon times more than a day ahead are outliers

Params = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Direct:
    """The same rows for the short way: straight into the table, and what they add to each series reckoned here."""

    observations: bytes
    summary: Summary


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Observations ready for COPY. `weeks` are the starts (us) of the partitions that they need."""

    count: int
    incoming: Callable[[], bytes]  # packed when it is asked for: most batches go the short way
    direct: Direct | None  # None: rows of wrong clocks or outliers among them, which only the database can place
    touched: Touched  # where history gets rows: hours whose statistics must be made anew
    outliers: int
    clock_faults: int
    from_us: int  # bounds of the phenomenon times that are not outliers
    to_us: int
    weeks: frozenset[int]


@dataclass(slots=True, kw_only=True)
class Effects:
    """Everything that a stretch of records writes, by statement name, besides its observations."""

    rows: Rows | None = None
    by_statement: dict[str, list[Params]] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        return self.rows is None and not self.by_statement

    def add(self, statement: str, params: Params) -> None:
        self.by_statement.setdefault(statement, []).append(params)


def effects_of(records: Sequence[Record], *, retention_us: int) -> Effects:
    """Decode a stretch. Raises what decoding raises when a record is damaged: the writer then takes it alone."""
    effects = Effects()
    observed = [record for record in records if record.kind is RecordKind.OBS]
    if observed:
        effects.rows = _rows(observed, retention_us)
    for record in records:
        if record.kind is RecordKind.EVENT:
            _event(effects, record.position, as_event(record))
        elif record.kind is RecordKind.RESUME:
            _resume(effects, record.position, as_resume(record))
    return effects


def _rows(records: Sequence[Record], retention_us: int) -> Rows | None:
    batches = [(record.at_us, as_batch(record).table) for record in records]
    table = pa.Table.from_batches([batch for _, batch in batches]).combine_chunks()
    if table.num_rows == 0:
        return None
    at_us = np.repeat([at for at, _ in batches], [batch.num_rows for _, batch in batches])
    datastream = _numpy(table, "datastream").astype(np.int64)
    phenomenon = _numpy(table, "phenomenon_us")
    receive = _numpy(table, "receive_us")
    source = _numpy(table, "source").astype(np.int32)
    device, device_null = _nullable(table, "device_us")
    result, result_null = _nullable(table, "result")
    seq, seq_null = _nullable(table, "seq")
    quality = _numpy(table, "quality").astype(np.int16)
    outlier = (phenomenon < at_us - retention_us) | (phenomenon > at_us + AHEAD_US)
    clock_fault = ((source & Source.CLOCK_FAULT) != 0) & ~device_null
    effective = np.minimum(phenomenon, receive)
    ahead_of_receipt = ((source & Source.BACKFILL) != 0) & (phenomenon > receive)
    newest = newest_of(datastream, effective, ~outlier & ~ahead_of_receipt)
    texts = table.column("text")
    text = None if texts.null_count == table.num_rows else texts.to_pylist()
    observed = Observed(
        datastream=datastream,
        phenomenon=phenomenon,
        receive=receive,
        effective=effective,
        quality=quality,
        source=source,
        device=device,
        device_null=device_null,
        result=result,
        result_null=result_null,
        text=text,
    )
    incoming = observed.incoming(newest=newest, outlier=outlier, clock_fault=clock_fault, seq=seq, seq_null=seq_null)
    direct = None
    if not outlier.any() and not clock_fault.any():
        _, stream, at, came, _, flag, how, _, _, _, device_time, value, number = incoming
        stamp = np.where(device_null, phenomenon, device)
        direct = Direct(
            observations=packing.pack([stream, at, came, device_time, value, flag, how, number], text),
            summary=Summary(
                newest=observed.taken(np.flatnonzero(newest)),
                counts=counts_of(datastream, quality, source, receive, stamp - receive, newest),
            ),
        )
    inside = phenomenon[~outlier]
    touched = Touched(datastream=datastream[~outlier], hour=inside // HOUR_US, at_us=at_us[~outlier])
    return Rows(
        count=table.num_rows,
        incoming=lambda: packing.pack(incoming, text),
        direct=direct,
        touched=touched,
        outliers=int(outlier.sum()),
        clock_faults=int(clock_fault.sum()),
        from_us=int(inside.min()) if len(inside) else 0,
        to_us=int(inside.max()) if len(inside) else 0,
        weeks=frozenset((np.unique(inside // WEEK_US) * WEEK_US).tolist()),
    )


def _numpy(table: pa.Table, name: str) -> npt.NDArray[Any]:
    return np.asarray(table.column(name).to_numpy())


def _nullable(table: pa.Table, name: str) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    column = table.column(name)
    if not column.null_count:
        return np.asarray(column.to_numpy()), np.zeros(table.num_rows, dtype=np.bool_)
    null = np.asarray(column.is_null().to_numpy())
    return np.asarray(column.fill_null(0).to_numpy()), null


def _resume(effects: Effects, position: int, body: ResumeBody) -> None:
    span = {"from_at": to_time(body.from_us), "to_at": to_time(max(body.from_us, body.to_us))}
    effects.add("insert_own_downtime", {"position": position} | span)


def _event(effects: Effects, position: int, body: EventBody) -> None:
    at = to_time(body.receive_us)
    common: Params = {"device_id": body.device_id, "receive_time": at}
    if body.type in ("device_event", "cmd_reply"):
        effects.add(
            "insert_event",
            common
            | {
                "event_id": event_id(body),
                "event_type": str(body.data.get("type", body.type)) if body.type == "device_event" else body.type,
                "phenomenon_time": opt_time(body.phenomenon_us) or at,
                "data": to_json(body.data),
                "position": position,
            },
        )
    elif body.type == "device_state":
        online = body.data.get("online")
        effects.add(
            "upsert_state",
            common | {"online": online if isinstance(online, bool) else None, "data": to_json(body.data)},
        )
    elif body.type == "device_attr":
        values = body.data.get("values", body.data)
        for key, value in values.items() if isinstance(values, dict) else ():
            effects.add("upsert_attr", common | {"key": clean(str(key)), "value": to_json(value)})
    elif body.type == "dead_letter":
        effects.add("insert_dead_letter", common | {"position": position} | _dead_letter(body))
    elif body.type == "dead_letter_replayed":
        facts = {name: body.data.get(name) for name in ("letter", "outcome", "rows", "events", "actor")}
        effects.add("insert_dead_letter_replay", {"position": position, "at": at} | facts)
    elif body.type == "refusal":
        count = body.data.get("count", 1)
        effects.add(
            "insert_refusal",
            common
            | {
                "position": position,
                "reason": clean(str(body.data.get("reason", "unknown"))),
                "count": count if isinstance(count, int) else 1,
                "data": to_json(body.data),
            },
        )
    else:
        reason = clean(str(body.data.get("reason", body.type)))
        effects.add("insert_note", common | {"position": position, "reason": reason, "data": to_json(body.data)})


def event_id(body: EventBody) -> str:
    """What makes an event the same event: its own id, else a hash of device and payload (contract.md section 1)."""
    own = body.id or body.data.get("id")
    if own:
        return clean(f"{body.data.get('state')}:{own}" if body.type == "cmd_reply" else str(own))
    digest = hashlib.sha256(body.device_id.encode() + b"\0" + msgspec.json.encode(body.data, order="sorted"))
    return f"sha256:{digest.hexdigest()}"


def _dead_letter(body: EventBody) -> Params:
    data = dict(body.data)
    encoded = data.pop("raw", None)
    raw = _decoded(encoded)
    if raw is None and encoded is not None:
        data["raw"] = encoded
    digest = str(data.get("sha256") or hashlib.sha256(raw or b"").hexdigest())
    size = data.get("size", len(raw or b""))
    return {
        "reason": clean(str(data.get("reason", "unknown"))),
        "data": to_json(data),
        "raw": raw,
        "sha256": clean(digest),
        "size_bytes": size if isinstance(size, int) else len(raw or b""),
    }


def _decoded(encoded: object) -> bytes | None:
    if not isinstance(encoded, str):
        return None
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None


def clean(text: str) -> str:
    """Text that PostgreSQL can hold: no U+0000, no lone surrogate."""
    return text.replace("\x00", "�").encode("utf-8", "replace").decode()


def to_json(value: Any) -> str:
    r"""JSON text that `jsonb` accepts: `\u0000` is replaced, since jsonb refuses it."""
    text = msgspec.json.encode(value).decode()
    return text if "\\u0000" not in text else msgspec.json.encode(_without_nul(value)).decode()


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {_without_nul(key): _without_nul(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nul(item) for item in value]
    return value
