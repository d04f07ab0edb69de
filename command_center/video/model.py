"""Looking through a camera, and a clip that is fetched for an incident: states, and the shapes that travel."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from command_center.machines import Machine


class Purpose(StrEnum):
    LIVE = "live"
    PLAYBACK = "playback"
    SNAPSHOT = "snapshot"


class ClipState(StrEnum):
    REQUESTED = "REQUESTED"
    FETCHING = "FETCHING"
    STORED = "STORED"
    FAILED = "FAILED"
    EXPIRED = "EXPIRED"  # the platform did not give it while we asked


_S = ClipState
VIDEO_CLIP: Machine[ClipState] = Machine(
    name="video clip",
    name_zh="事件录像",
    start=_S.REQUESTED,
    moves={
        _S.REQUESTED: frozenset({_S.FETCHING, _S.EXPIRED}),
        # Back to REQUESTED: the platform is away, there is no room, or this process was ended while it fetched.
        _S.FETCHING: frozenset({_S.REQUESTED, _S.STORED, _S.FAILED}),
        _S.STORED: frozenset(),
        _S.FAILED: frozenset(),
        _S.EXPIRED: frozenset(),
    },
    zh={
        _S.REQUESTED: "待取回",
        _S.FETCHING: "取回中",
        _S.STORED: "已保存",
        _S.FAILED: "取回失败",
        _S.EXPIRED: "已过期",
    },
)
ENDS = (ClipState.STORED, ClipState.FAILED, ClipState.EXPIRED)
OPEN = (ClipState.REQUESTED, ClipState.FETCHING)
CLIP = "video_clip"  # entity of the journal
VIEW = "video_view"  # entity of the journal: its id is the camera's, so that a camera's viewers are one query


class VideoClip(msgspec.Struct, frozen=True, kw_only=True):
    """One clip. `from_us`, `to_us`, `asked_us`, `ended_us` and `changed_us` are city time, `next_us` and `until_us` machine time: the
    platform and its disk live in that."""

    clip_id: str
    incident_id: str
    device_id: str
    area: str
    from_us: int
    to_us: int
    reason: str
    state: ClipState
    state_zh: str
    asked_by: str
    asked_us: int
    until_us: int  # not asked for any more afterwards
    tries: int = 0
    refusals: int = 0  # how often the platform said no
    next_us: int
    ended_us: int | None = None
    size: int = 0  # bytes
    sha256: str = ""
    error: str = ""  # why the last try came to nothing
    changed_us: int
    rev: int = 1


class Viewing(msgspec.Struct, frozen=True, kw_only=True):
    """Leave to look through one camera until `until_us` (machine time). `url` is ours and opens for the same login only."""

    url: str
    device_id: str
    purpose: Purpose
    until_us: int
    from_us: int | None = None  # playback, city time
    to_us: int | None = None


class Media(msgspec.Struct, frozen=True, kw_only=True):
    """Where the platform's media server gives the picture, by form: `flv`, `ws_flv`, `hls`, `fmp4`, `rtc`, their https and wss forms."""

    urls: dict[str, str]
    stream: str  # the platform's name for it


class OpenedMedia(msgspec.Struct, frozen=True, kw_only=True):
    """What a page's player is given. The platform is asked to end the stream at `until_us` (machine time) unless it was extended."""

    device_id: str
    purpose: Purpose
    until_us: int
    urls: dict[str, str]


class Preset(msgspec.Struct, frozen=True, kw_only=True):
    """A direction that the camera knows by number."""

    preset: int
    name: str


class VideoView(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the viewing log, out of the journal. `action`: live, playback, snapshot, extend, export."""

    seq: int
    at_us: int
    actor: str
    on_behalf_of: str
    action: str
    device_id: str
    reason: str
    incident_id: str
    from_us: int | None
    to_us: int | None
