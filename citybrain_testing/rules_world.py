"""A small world for tests of the rule engine: a registry, the shipped rules, and records with log times of one's own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from devices.registry import Datastream, Device, as_data
from rules import documents
from stream.records import (
    ControlBody,
    EventBody,
    NewRecord,
    ObsBatch,
    Record,
    RecordKind,
    Source,
    control,
    event,
    observations,
    resume,
)

T0_US = 1_565_308_800_000_000  # 2019-08-09T00:00:00Z
SECOND_US = 1_000_000
STAGE = {
    "on": {"blue": 2.0, "yellow": 3.0, "orange": 4.0, "red": 5.0},
    "off": {"blue": 1.8, "yellow": 2.8, "orange": 3.8, "red": 4.8},
    "direction": "rise",
    "on_delay_s": 0,
    "off_delay_s": 600,
    "source": "测站台账",
}


def at(seconds: float) -> int:
    """City time, microseconds, so many seconds into the night."""
    return T0_US + round(seconds * SECOND_US)


def gauge(device_id: str, number: int, *, interval_s: float = 60.0, **change: Any) -> tuple[Device, list[Datastream]]:
    fields: dict[str, Any] = {
        "model": "water-gauge-v1",
        "kind": "water_gauge",
        "name": f"水位站{device_id}",
        "lon": 121.45,
        "lat": 28.68,
        "area": "339900",
        "interval_s": interval_s,
        "thresholds": {"stage_m": STAGE},
    }
    device = Device(device_id=device_id, **(fields | change))
    stream = Datastream(datastream=number, device_id=device_id, property="stage_m", uom="m", interval_s=interval_s)
    return device, [stream]


def detector(device_id: str, number: int, *, group: str = "park", **change: Any) -> tuple[Device, list[Datastream]]:
    fields: dict[str, Any] = {
        "model": "gas-detector-v1",
        "kind": "gas_detector",
        "name": f"探测器{device_id}",
        "lon": 121.46,
        "lat": 28.69,
        "area": "339900",
        "group": group,
        "interval_s": 30.0,
        "thresholds": {"cl2_mg_m3": {"first": 1.0, "second": 2.0, "deadband": 0.2}},
    }
    device = Device(device_id=device_id, **(fields | change))
    stream = Datastream(datastream=number, device_id=device_id, property="cl2_mg_m3", uom="mg/m3", interval_s=30.0)
    return device, [stream]


def camera(device_id: str, number: int, **change: Any) -> tuple[Device, list[Datastream]]:
    fields: dict[str, Any] = {
        "model": "camera-v1",
        "kind": "camera",
        "name": f"摄像机{device_id}",
        "lon": 121.44,
        "lat": 28.67,
        "area": "339900",
        "interval_s": 60.0,
    }
    device = Device(device_id=device_id, **(fields | change))
    stream = Datastream(datastream=number, device_id=device_id, property="fps", uom="1/s", interval_s=60.0)
    return device, [stream]


Member = tuple[Device, list[Datastream]]


class Recorder:
    """Builds records one after another; positions count from 1."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def add(self, at_us: int, new: NewRecord) -> Record:
        record = Record(position=len(self.records) + 1, at_us=at_us, kind=new.kind, version=1, body=new.body)
        self.records.append(record)
        return record

    def registry(self, at_us: int, revision: int, members: Iterable[Member], removed: Sequence[str] = ()) -> Record:
        listed = list(members)
        data = as_data(revision, [d for d, _ in listed], [s for _, streams in listed for s in streams], removed)
        return self.control(at_us, "registry", data)

    def rules(self, at_us: int, *rule_ids: str, changed: Iterable[documents.Document] = ()) -> Record:
        """Activate shipped rules by id, and changed documents as they are."""
        chosen = [d for d in documents.shipped() if d.id in rule_ids] + list(changed)
        data = documents.activation(chosen, author="analyst1", approver="leader1", source="test")
        return self.control(at_us, "rules", data)

    def control(self, at_us: int, kind: str, data: dict[str, Any]) -> Record:
        body = ControlBody(id=f"{kind}-{len(self.records)}", type=kind, actor="test", data=data)
        return self.add(at_us, control(body))

    def event(self, at_us: int, device_id: str, data: dict[str, Any], *, phenomenon_us: int | None = None) -> Record:
        body = EventBody(
            type="device_event",
            device_id=device_id,
            receive_us=at_us,
            phenomenon_us=phenomenon_us if phenomenon_us is not None else at_us,
            id=f"e{len(self.records)}",
            data=data,
        )
        return self.add(at_us, event(body))

    def obs(self, at_us: int, *rows: dict[str, Any]) -> Record:
        """Rows of `datastream`, `value` and, where it differs, `p`, `quality`, `source`."""
        return self.add(at_us, observations(batch(at_us, rows)))

    def tick(self, at_us: int) -> Record:
        return self.add(at_us, NewRecord(kind=RecordKind.TICK, body=b"{}"))

    def ticks(self, from_s: float, to_s: float, every_s: float = 1.0) -> None:
        t = from_s
        while t <= to_s:
            self.tick(at(t))
            t += every_s

    def resume(self, at_us: int, from_us: int, to_us: int) -> Record:
        return self.add(at_us, resume(from_us, to_us))


def batch(at_us: int, rows: Sequence[dict[str, Any]]) -> ObsBatch:
    return ObsBatch.from_columns(
        {
            "partition": [0] * len(rows),
            "datastream": [row["datastream"] for row in rows],
            "phenomenon_us": [row.get("p", at_us) for row in rows],
            "receive_us": [at_us] * len(rows),
            "result": [row["value"] for row in rows],
            "quality": [row.get("quality", 1) for row in rows],
            "source": [int(row.get("source", Source.LIVE)) for row in rows],
        }
    )


def builtins(value: Any) -> Any:
    return msgspec.to_builtins(value)
