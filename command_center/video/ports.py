"""What video needs: rows of a transaction, a video platform, and a place for clips."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from command_center.video.model import ClipState, Media, Preset, Purpose, VideoClip
from devices.video import VideoChannel


class VideoTx(Protocol):
    """Part of `command_center.ports.Tx`."""

    async def video_clip(self, clip_id: str) -> VideoClip | None: ...

    async def video_clips(
        self, incident_id: str, *, states: Sequence[ClipState] = (), limit: int = 200, before: str = ""
    ) -> list[VideoClip]:
        """Newest id first, ids below `before`; empty `states` = all."""
        ...

    async def insert_video_clip(self, clip: VideoClip) -> None: ...

    async def update_video_clip(self, clip: VideoClip, *, rev: int, states: Sequence[ClipState]) -> bool:
        """False when its revision or state is not what was expected."""
        ...

    async def clips_to_fetch(self, machine_us: int, limit: int) -> list[VideoClip]:
        """REQUESTED and due, those that were asked for first come first."""
        ...

    async def clips_in_hand(self) -> list[VideoClip]:
        """FETCHING."""
        ...


class PlatformAway(Exception):
    """The video platform does not answer, or not in time, or not as we know it."""


class PlatformRefused(Exception):
    """The video platform answered, and said no: it has no such channel or recording, or the camera is off."""


class ClipTooLarge(Exception):
    """More bytes than a clip may have."""


class NoRoom(Exception):
    """The place for clips is full."""


class Platform(Protocol):
    """A video platform. Every call ends within a named time. Raises PlatformAway, PlatformRefused."""

    async def play(self, channel: VideoChannel) -> Media: ...
    async def playback(self, channel: VideoChannel, from_us: int, to_us: int) -> Media: ...
    async def stop(self, channel: VideoChannel, purpose: Purpose, stream: str) -> None: ...
    async def snapshot(self, channel: VideoChannel) -> tuple[bytes, str]:
        """A picture as it is now, and its media type."""
        ...

    async def presets(self, channel: VideoChannel) -> list[Preset]: ...
    async def turn(self, channel: VideoChannel, preset: int) -> None: ...
    def recording(
        self, channel: VideoChannel, from_us: int, to_us: int
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """What was recorded, as a file in parts."""
        ...


class ClipFiles(Protocol):
    async def keep(self, clip_id: str, parts: AsyncIterator[bytes], max_bytes: int) -> tuple[int, str]:
        """Write a clip, whole or not at all; a second time replaces it. Returns its size and SHA-256 (hexadecimal). Raises NoRoom,
        ClipTooLarge, and what `parts` raises."""
        ...

    def open(self, clip_id: str) -> Iterator[bytes]:
        """Its bytes in parts. Raises FileNotFoundError at once."""
        ...

    async def drop_unfinished(self) -> None:
        """What an earlier life left half written."""
        ...
