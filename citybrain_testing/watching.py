"""Video over a store in memory or PostgreSQL, with a platform and a place for clips that a test moves by hand."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from citybrain_testing.command import START_US
from citybrain_testing.devices_world import DevicesWorld, devices_world, gauge
from command_center.machines import INCIDENT
from command_center.model import Change, Incident, IncidentState
from command_center.video.clips import ClipFetcher, ClipService
from command_center.video.model import Media, Preset, Purpose, VideoClip
from command_center.video.ports import ClipTooLarge
from command_center.video.service import VideoService
from command_center.video.tickets import Tickets
from devices.video import VideoChannel

CHANNEL = {"device": "34020000001180000001", "channel": "34020000001310000001"}
OTHER = {"device": "34020000001180000001", "channel": "34020000001310000002"}
PNG = b"\x89PNG\r\n\x1a\nmade here"
FILM = [b"a film ", b"of water"]
FILM_SHA256 = hashlib.sha256(b"".join(FILM)).hexdigest()
INCIDENT_ID = "I-20190809-001"
ELSEWHERE_ID = "I-20190809-002"
DEVICES = [
    gauge("cam-1", model="camera-v1", kind="camera", thresholds={}, attributes={"video": CHANNEL}),
    gauge("cam-2", model="camera-v1", kind="camera", thresholds={}, attributes={"video": OTHER}),
    gauge("cam-z", model="camera-v1", kind="camera", thresholds={}, area="331003", attributes={"video": OTHER}),
    gauge("cam-bare", model="camera-v1", kind="camera", thresholds={}),
    gauge("wl-1"),
]


class Killed(BaseException):
    """`kill -9`: nothing of this process runs on."""


@dataclass
class FakePlatform:
    """A platform: `fails` is raised by whatever is asked next, until it is taken away; `dies` ends this process in a recording after
    so many parts."""

    fails: Exception | None = None
    dies: int | None = None
    asked: list[str] = field(default_factory=list)

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.fails is not None:
            raise self.fails

    async def play(self, channel: VideoChannel) -> Media:
        self._ask("play")
        return Media(urls={"hls": f"http://media.city/rtp/{channel.channel}.m3u8"}, stream=f"live_{channel.channel}")

    async def playback(self, channel: VideoChannel, from_us: int, to_us: int) -> Media:
        self._ask("playback")
        stream = f"back_{channel.channel}_{from_us}_{len(self.asked)}"
        return Media(urls={"hls": f"http://media.city/rtp/{stream}.m3u8"}, stream=stream)

    async def stop(self, channel: VideoChannel, purpose: Purpose, stream: str) -> None:
        self._ask(f"stop {purpose.value}")

    async def presets(self, channel: VideoChannel) -> list[Preset]:
        self._ask("presets")
        return [Preset(preset=1, name="桥下")]

    async def turn(self, channel: VideoChannel, preset: int) -> None:
        self._ask(f"turn {preset}")

    async def snapshot(self, channel: VideoChannel) -> tuple[bytes, str]:
        self._ask("snapshot")
        return PNG, "image/png"

    @asynccontextmanager
    async def recording(self, channel: VideoChannel, from_us: int, to_us: int) -> AsyncIterator[AsyncIterator[bytes]]:
        self._ask("recording")
        yield self._parts()

    async def _parts(self) -> AsyncIterator[bytes]:
        for number, part in enumerate(FILM):
            if number == self.dies:
                raise Killed
            yield part


@dataclass
class MemoryClips:
    """A `ClipFiles` in a dict. `fails` is raised in place of keeping; `dies`: this process ends once the file stands."""

    files: dict[str, bytes] = field(default_factory=dict)
    fails: Exception | None = None
    dies: bool = False
    kept: int = 0

    async def keep(self, clip_id: str, parts: AsyncIterator[bytes], max_bytes: int) -> tuple[int, str]:
        if self.fails is not None:
            raise self.fails
        content = b"".join([part async for part in parts])
        if len(content) > max_bytes:
            raise ClipTooLarge(f"the recording has more than {max_bytes} bytes")
        self.files[clip_id] = content
        self.kept += 1
        if self.dies:
            raise Killed
        return len(content), hashlib.sha256(content).hexdigest()

    def open(self, clip_id: str) -> Iterator[bytes]:
        if clip_id not in self.files:
            raise FileNotFoundError(clip_id)
        return iter([self.files[clip_id]])

    async def drop_unfinished(self) -> None:
        """A dict has nothing half written."""


@dataclass
class VideoWorld:
    devices: DevicesWorld
    platform: FakePlatform
    files: MemoryClips
    video: VideoService
    clips: ClipService
    fetcher: ClipFetcher
    changes: list[Change] = field(default_factory=list)

    @property
    def now_us(self) -> int:
        return self.devices.clock.city_us()

    async def clip(self, clip_id: str) -> VideoClip:
        async with self.devices.store.read() as tx:
            found = await tx.video_clip(clip_id)
        assert found is not None
        return found

    async def journal(self, entity: str, entity_id: str) -> list[str]:
        """What happened to it, oldest first."""
        async with self.devices.store.read() as tx:
            return [entry.action for entry in await tx.journal(entity, entity_id, 50, None)][::-1]

    def restarted(self) -> VideoWorld:
        """As after `kill -9`: store, files and platform survive."""
        self.platform.dies = None
        self.files.dies = False
        return _world(self.devices, self.platform, self.files)


@asynccontextmanager
async def video_world(url: str | None) -> AsyncIterator[VideoWorld]:
    """Memory for None, else the schema `cmd` of the database at `url`, migrated."""
    async with devices_world(url, DEVICES) as devices:
        async with devices.store.write() as tx:
            for incident_id, area in ((INCIDENT_ID, "331002001"), (ELSEWHERE_ID, "331003")):
                await tx.insert_incident(an_incident(incident_id, area), f"group-{incident_id}")
        yield _world(devices, FakePlatform(), MemoryClips())


def an_incident(incident_id: str, area: str) -> Incident:
    return Incident(
        incident_id=incident_id,
        kind="flood",
        title_zh="积水",
        title_en="Water",
        state=IncidentState.OPEN,
        state_zh=INCIDENT.zh[IncidentState.OPEN],
        lon=121.4,
        lat=28.6,
        area=area,
        colour="orange",
        opened_us=START_US,
        changed_us=START_US,
        rev=1,
    )


def _world(devices: DevicesWorld, platform: FakePlatform, files: MemoryClips) -> VideoWorld:
    changes: list[Change] = []
    store, env, emit = devices.store, devices.env, changes.append
    return VideoWorld(
        devices=devices,
        platform=platform,
        files=files,
        video=VideoService(store, env, emit, Tickets(b"t" * 32, tenant="test"), platform),
        clips=ClipService(store, env, emit, files, platform=True),
        fetcher=ClipFetcher(store, env, emit, files, platform),
        changes=changes,
    )


def ticket_of(url: str) -> str:
    return url.split("/")[-2]
