"""A camera at the city's video platform (GB/T 28181): which device and channel of the platform it is.

The register says it, in the camera's document:

    attributes: {video: {device: "34020000001320000001", channel: "34020000001310000001"}}

Both are numbers of GB/T 28181: twenty digits. `device` is what registered at the platform (a recorder or the camera), `channel` the picture.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from devices.registry import Device

ATTRIBUTE = "video"
CAMERA = "camera"
_NUMBER = re.compile(r"[0-9]{20}")
_FIELDS = ("device", "channel")


class VideoChannel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the platform has the camera's picture."""

    device: str
    channel: str


def channel_of(device: Device) -> VideoChannel | None:
    """The camera's channel; None for what is no camera or stands at no platform."""
    if device.kind != CAMERA or ATTRIBUTE not in device.attributes or list(video_problems(device)):
        return None
    return msgspec.convert(device.attributes[ATTRIBUTE], VideoChannel)


def video_problems(device: Device) -> Iterator[str]:
    """What is wrong with `attributes.video`."""
    if ATTRIBUTE not in device.attributes:
        return
    given = device.attributes[ATTRIBUTE]
    if device.kind != CAMERA:
        yield f"attributes.video: {device.device_id} is of kind {device.kind!r}, not a camera"
    if not isinstance(given, dict):
        yield "attributes.video: expected {device, channel}"
        return
    for name in sorted(given.keys() - set(_FIELDS)):
        yield f"attributes.video.{name}: unknown field, expected {', '.join(_FIELDS)}"
    for name in _FIELDS:
        value = given.get(name)
        if not isinstance(value, str) or not _NUMBER.fullmatch(value):
            yield f"attributes.video.{name} {value!r}: expected the 20 digits of GB/T 28181"
