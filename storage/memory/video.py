"""Clips of cameras in memory: the twin of storage/command/video.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from command_center.video.model import ClipState, VideoClip


class _HasClips(Protocol):
    video_clips: dict[str, VideoClip]


class VideoPart:
    """Mixin of the memory transaction; its state has a dict `video_clips` by clip id."""

    _s: _HasClips

    async def video_clip(self, clip_id: str) -> VideoClip | None:
        return self._s.video_clips.get(clip_id)

    async def video_clips(
        self, incident_id: str, *, states: Sequence[ClipState] = (), limit: int = 200, before: str = ""
    ) -> list[VideoClip]:
        found = [
            c
            for c in self._s.video_clips.values()
            if c.incident_id == incident_id and (not states or c.state in states) and (not before or c.clip_id < before)
        ]
        return sorted(found, key=lambda c: c.clip_id, reverse=True)[:limit]

    async def insert_video_clip(self, clip: VideoClip) -> None:
        self._s.video_clips[clip.clip_id] = clip

    async def update_video_clip(self, clip: VideoClip, *, rev: int, states: Sequence[ClipState]) -> bool:
        known = self._s.video_clips.get(clip.clip_id)
        if known is None or known.rev != rev or known.state not in states:
            return False
        self._s.video_clips[clip.clip_id] = clip
        return True

    async def clips_to_fetch(self, machine_us: int, limit: int) -> list[VideoClip]:
        due = [c for c in self._ordered() if c.state is ClipState.REQUESTED and c.next_us <= machine_us]
        return due[:limit]

    async def clips_in_hand(self) -> list[VideoClip]:
        return [c for c in self._ordered() if c.state is ClipState.FETCHING]

    def _ordered(self) -> list[VideoClip]:
        return sorted(self._s.video_clips.values(), key=lambda c: c.clip_id)
