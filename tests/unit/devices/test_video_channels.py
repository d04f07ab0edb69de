"""Which camera stands at which channel of the video platform."""

from __future__ import annotations

from typing import Any

import pytest

from devices.documents import DeviceWrong, parse_device
from devices.video import VideoChannel, channel_of

DEVICE, CHANNEL = "34020000001180000001", "34020000001310000001"
CAMERA = {
    "device_id": "cam-1",
    "model": "camera-v1",
    "name": "桥下",
    "lon": 121.4,
    "lat": 28.6,
    "attributes": {"video": {"device": DEVICE, "channel": CHANNEL}},
}


def test_a_camera_says_its_channel() -> None:
    assert channel_of(parse_device(CAMERA)) == VideoChannel(device=DEVICE, channel=CHANNEL)
    assert channel_of(parse_device({**CAMERA, "attributes": {}})) is None


@pytest.mark.parametrize(
    ("video", "why"),
    [
        (None, "expected {device, channel}"),
        ([DEVICE, CHANNEL], "expected {device, channel}"),
        ({"device": DEVICE}, "attributes.video.channel None"),
        ({"device": DEVICE, "channel": CHANNEL[:-1]}, "20 digits"),
        ({"device": DEVICE, "channel": f"{CHANNEL}\n"}, "20 digits"),
        ({"device": DEVICE, "channel": "３４０２００００００１３１０００００１０"}, "20 digits"),
        ({"device": int(DEVICE), "channel": CHANNEL}, "20 digits"),
        ({"device": "../../api/user/add0000", "channel": CHANNEL}, "20 digits"),
        ({"device": DEVICE, "channel": CHANNEL, "password": "x"}, "attributes.video.password: unknown field"),
    ],
)
def test_what_is_wrong_is_named(video: Any, why: str) -> None:
    with pytest.raises(DeviceWrong) as wrong:
        parse_device({**CAMERA, "attributes": {"video": video}})
    assert why in str(wrong.value)


def test_a_gauge_has_no_picture() -> None:
    gauge = {**CAMERA, "model": "water-gauge-v1"}
    with pytest.raises(DeviceWrong, match="not a camera"):
        parse_device(gauge)
