"""Fetches a clip that is due, and ends with SIGKILL at a named step: `python -m citybrain_testing.fetch_until_killed URL PLATFORM FOLDER STEP`.

Steps: `asked` (the platform prepares the recording), `written` (half of it is on the disk), `renamed` (the file stands, the row does
not know it), `` (none: it ends what it began).
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from citybrain_testing.devices_world import devices_world
from citybrain_testing.watching import DEVICES
from command_center.video.clips import ClipFetcher
from devices.registry import RegistryData
from runtime.video import ClipFolder, WvpPlatform

MAX_BYTES = 1024**3


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class DyingPlatform(WvpPlatform):
    async def _prepared(self, where: str, stream: str) -> str:
        die()
        return ""


class DyingFolder(ClipFolder):
    def __init__(self, folder: Path, step: str) -> None:
        super().__init__(folder, MAX_BYTES)
        self._step = step

    async def keep(self, clip_id: str, parts: AsyncIterator[bytes], max_bytes: int) -> tuple[int, str]:
        kept = await super().keep(clip_id, self._half(parts) if self._step == "written" else parts, max_bytes)
        if self._step == "renamed":
            die()
        return kept

    @staticmethod
    async def _half(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for part in parts:
            yield part[: len(part) // 2]
            die()


async def life(url: str, platform_url: str, folder: Path, step: str) -> int:
    """One life of the fetcher; how many clips an earlier one had in hand."""
    async with devices_world(url) as world:
        world.registry.apply(RegistryData(revision=1, full=True, devices=DEVICES))
        platform = (DyingPlatform if step == "asked" else WvpPlatform)(None, platform_url, "city", "word")
        fetcher = ClipFetcher(world.store, world.env, lambda _: None, DyingFolder(folder, step), platform)
        left = await fetcher.take_back()
        await fetcher.run_due()
        return left


if __name__ == "__main__":
    asyncio.run(life(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4]))
