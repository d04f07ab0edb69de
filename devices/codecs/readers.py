"""Every reader of messages whose form no table describes, by the name that a platform's document calls it (`reader:`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from devices.codecs import ctwing, frigate, gb28181, onenet, onvif, thingsboard
from devices.codecs.json_message import Levels, Reader
from devices.codecs.station import Refused, Report


def _payload_alone(read: Callable[[bytes], list[Report | Refused]]) -> Reader:
    def reader(payload: bytes, levels: Levels) -> list[Report | Refused]:
        return read(payload)

    return reader


READERS: Mapping[str, Reader] = {
    **{f"thingsboard.{name}": _payload_alone(read) for name, read in thingsboard.READERS.items()},
    "onvif.event": onvif.event,
    "frigate.activity": frigate.activity,
    "gb28181.alarm": gb28181.alarm,
    "onenet.push": _payload_alone(onenet.push),
    "ctwing.push": _payload_alone(ctwing.push),
}
