"""The registry beside the log: who owns the log keeps a snapshot, so that ingest and rules start without the database."""

from __future__ import annotations

import msgspec

from devices.registry import Registry, RegistryData, registry_data
from stream.reader import LogReader
from stream.records import as_control
from stream.writer import LogWriter

SNAPSHOT = "registry"
_decoder = msgspec.json.Decoder(RegistryData)


def save_registry(log: LogWriter | LogReader, registry: Registry, position: int) -> None:
    """Keep the registry as it was after the record at `position`."""
    save_snapshot(log, registry.snapshot(), position)


def save_snapshot(log: LogWriter | LogReader, data: RegistryData, position: int) -> None:
    """`save_registry` for a thread of its own: entry by entry, so that 100,000 devices do not hold the interpreter."""
    head = msgspec.json.encode({"revision": data.revision, "full": True})
    devices = b",".join(msgspec.json.encode(device) for device in data.devices)
    streams = b",".join(msgspec.json.encode(stream) for stream in data.datastreams)
    blob = head[:-1] + b',"devices":[' + devices + b'],"datastreams":[' + streams + b"]}"
    log.put_snapshot(SNAPSHOT, position, blob)


def load_registry(reader: LogReader) -> tuple[Registry, int]:
    """The registry after the last control in the log, and the position up to which controls were applied.

    Snapshot plus the `registry` controls after it; an empty registry where neither says anything.
    """
    found = reader.get_snapshot(SNAPSHOT)
    registry = Registry.from_data(_decoder.decode(found[1])) if found else Registry()
    position = found[0] if found else 0
    for record in reader.controls(position):
        control = as_control(record)
        position = record.position
        if control.type == "registry":
            registry.apply(registry_data(control.data))
    return registry, position
