"""Clips of cameras (`command_center.video`)."""

from __future__ import annotations

from collections.abc import Sequence

from command_center.video.model import ClipState, VideoClip
from storage.batch import clean
from storage.command.rows import Part, params, struct
from storage.times import to_time


class VideoRows(Part):
    async def video_clip(self, clip_id: str) -> VideoClip | None:
        row = await self._one("read_video_clip", {"clip_id": clean(clip_id)})
        return None if row is None else struct(VideoClip, row)

    async def video_clips(
        self, incident_id: str, *, states: Sequence[ClipState] = (), limit: int = 200, before: str = ""
    ) -> list[VideoClip]:
        values = {
            "incident_id": clean(incident_id),
            "states": [s.value for s in states],
            "limit": limit,
            "before": clean(before),
        }
        return [struct(VideoClip, row) for row in await self._all("list_video_clips", values)]

    async def insert_video_clip(self, clip: VideoClip) -> None:
        await self._run("insert_video_clip", params(clip))

    async def update_video_clip(self, clip: VideoClip, *, rev: int, states: Sequence[ClipState]) -> bool:
        values = params(clip, known_rev=rev, states=[s.value for s in states])
        return await self._one("update_video_clip", values) is not None

    async def clips_to_fetch(self, machine_us: int, limit: int) -> list[VideoClip]:
        values = {"machine": to_time(machine_us), "limit": limit}
        return [struct(VideoClip, row) for row in await self._all("clips_to_fetch", values)]

    async def clips_in_hand(self) -> list[VideoClip]:
        return [struct(VideoClip, row) for row in await self._all("clips_in_hand")]
