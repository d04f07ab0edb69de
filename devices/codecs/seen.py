"""What cameras see, in the city's words: the types of events that the model `camera-v1` lists and that rules ask for.

A class that a detector gives ("Person", "car", "smoke") becomes a type by WORDS; one that is not known there is `object_seen`, with
the class as its text. A rule that an installer named after a type ("smoke", "crowd-2") is of that type, whatever the protocol
calls it: that is how analytics without a topic of their own in ONVIF come to be smoke.

The end of something is TYPE_ended, a record and nothing more: a box that no longer sees smoke may have lost it, and another rule
of the same camera may still see it, so that no alarm is cleared by it. `waterlogging_cleared` stays the word of boxes that know.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

OTHER = "object_seen"
TYPES = frozenset(
    (
        "waterlogging",
        "smoke",
        "fire",
        "crowd",
        "intrusion",
        "line_crossing",
        "loitering",
        "wrong_way",
        "fast_moving",
        "object_left",
        "object_removed",
        "motion",
        "person",
        "vehicle",
        "animal",
        OTHER,
        "sound_heard",
        "camera_alarm",
        "camera_tampered",
        "video_lost",
        "camera_fault",
    )
)

_SAME: Mapping[str, tuple[str, ...]] = {
    "person": ("human", "people", "pedestrian", "face"),
    "vehicle": ("car", "truck", "bus", "van", "motorcycle", "motorbike", "bicycle", "bike"),
    "animal": ("dog", "cat", "bird", "horse", "cow", "sheep"),
    "fire": ("flame", "flames"),
    "crowd": ("group",),
}
# By class in lower case. Of the types themselves only those that a detector can see in one picture: no class makes an intrusion.
WORDS: Mapping[str, str] = {
    **{word: word for word in ("waterlogging", "smoke", "fire", "crowd", "person", "vehicle", "animal")},
    **{same: word for word, others in _SAME.items() for same in others},
}

_NUMBERED = re.compile(r"([a-z]+(?:_[a-z]+)*)(?:[ _-]?[0-9]{1,4})?")


def type_of_class(name: str) -> str:
    """Of a detector's class."""
    return WORDS.get(name.strip().lower(), OTHER)


def type_of_rule(name: str) -> str:
    """Of a rule that is named after a type, with or without a number; "" for any other name."""
    found = _NUMBERED.fullmatch(name.strip().lower())
    return found[1] if found and found[1] in TYPES else ""


def ended(kind: str) -> str:
    """What the end of a type is called."""
    return f"{kind}_ended"
