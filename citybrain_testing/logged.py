"""Reading a log in tests, and a registry small enough to see through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from devices.registry import Datastream, Device, Registry, RegistryData
from stream.reader import LogReader
from stream.records import EventBody, Record, RecordKind, as_batch, as_event


def gauge(device_id: str = "g1", **changes: Any) -> Device:
    """A river gauge of model water-gauge-v1."""
    fields: dict[str, Any] = {
        "model": "water-gauge-v1",
        "kind": "water_gauge",
        "name": device_id,
        "lon": 121.4,
        "lat": 28.7,
    }
    return Device(device_id=device_id, **(fields | changes))


def series(number: int, device_id: str = "g1", prop: str = "stage_m", **changes: Any) -> Datastream:
    return Datastream(datastream=number, device_id=device_id, property=prop, uom="m", **changes)


def registry_of(devices: list[Device], datastreams: list[Datastream]) -> Registry:
    return Registry.from_data(RegistryData(revision=1, full=True, devices=devices, datastreams=datastreams))


def all_records(directory: Path) -> list[Record]:
    with LogReader(directory) as reader:
        found: list[Record] = []
        while more := reader.read(found[-1].position if found else 0, 500):
            found += more
    return found


def rows_of(records: list[Record]) -> list[dict[str, Any]]:
    """Every observation row as a dict, in log order."""
    return [row for record in records if record.kind == RecordKind.OBS for row in as_batch(record).table.to_pylist()]


def events_of(records: list[Record], kind: str = "") -> list[EventBody]:
    bodies = [as_event(record) for record in records if record.kind == RecordKind.EVENT]
    return [body for body in bodies if not kind or body.type == kind]
