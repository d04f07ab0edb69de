"""The MQTT topic tree `cb/v1/{tenant}/{device}/up/...` and `.../down/...` (design.md section 7)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from devices.credentials import DEVICE_ID

ROOT = "cb/v1"


class Channel(StrEnum):
    """What a device publishes; the rest of the topic after `up/`."""

    TELEMETRY = "telemetry"
    EVENT = "event"
    ATTR = "attr"
    STATE = "state"
    CMD = "cmd"  # cmd/{id}
    RAW = "raw"  # raw/{codec}, raw/{codec}/{names that a rewritten topic had}
    GATEWAY = "gw/telemetry"


class BadTopic(ValueError):
    """A topic outside the tree; the text says what was expected."""

    def __init__(self, topic: str, expected: str, device_id: str = "") -> None:
        super().__init__(f"topic {topic!r}: expected {expected}")
        self.topic, self.expected, self.device_id = topic, expected, device_id


@dataclass(frozen=True, slots=True, kw_only=True)
class UpTopic:
    tenant: str
    device_id: str
    channel: Channel
    argument: str = ""  # command id, codec name
    more: tuple[str, ...] = ()  # behind a codec: see devices.dialects


_PLAIN = {channel.value: channel for channel in Channel if channel not in (Channel.CMD, Channel.RAW)}
_WITH_ARGUMENT = {Channel.CMD.value: Channel.CMD, Channel.RAW.value: Channel.RAW}
_UP = f"{ROOT}/TENANT/DEVICE/up/(" + "|".join([*_PLAIN, "cmd/ID", "raw/CODEC"]) + ")"


def parse_up(topic: str) -> UpTopic:
    """Raises BadTopic; its `device_id` is set where the topic names one, so that the vendor can be told."""
    parts = topic.split("/")
    if len(parts) < 6 or parts[0] != "cb" or parts[1] != "v1" or parts[4] != "up" or not parts[2]:
        raise BadTopic(topic, _UP)
    device_id = parts[3]
    if not DEVICE_ID.fullmatch(device_id):
        raise BadTopic(topic, f"a device id of the form {DEVICE_ID.pattern}")
    rest = "/".join(parts[5:])
    channel = _PLAIN.get(rest)
    if channel is not None:
        return UpTopic(tenant=parts[2], device_id=device_id, channel=channel)
    argued = _WITH_ARGUMENT.get(parts[5])
    more = tuple(parts[7:])
    if argued is None or len(parts) < 7 or not parts[6] or (more and argued is not Channel.RAW) or not all(more):
        raise BadTopic(topic, _UP, device_id)
    return UpTopic(tenant=parts[2], device_id=device_id, channel=argued, argument=parts[6], more=more)


def up(tenant: str, device_id: str, channel: Channel, argument: str = "") -> str:
    """Where a device publishes."""
    tail = f"/{argument}" if argument else ""
    return f"{ROOT}/{tenant}/{device_id}/up/{channel.value}{tail}"


def down_cmd(tenant: str, device_id: str) -> str:
    return f"{ROOT}/{tenant}/{device_id}/down/cmd"


def down_ack(tenant: str, device_id: str) -> str:
    return f"{ROOT}/{tenant}/{device_id}/down/ack"


def down_raw(tenant: str, device_id: str, codec: str) -> str:
    """Frames of a station protocol to the device: acknowledgements, clock-sets."""
    return f"{ROOT}/{tenant}/{device_id}/down/raw/{codec}"


def all_up(tenant: str) -> str:
    """Subscription to everything that devices publish."""
    return f"{ROOT}/{tenant}/+/up/#"


def all_states(tenant: str) -> str:
    """Subscription to the retained states."""
    return f"{ROOT}/{tenant}/+/up/state"
